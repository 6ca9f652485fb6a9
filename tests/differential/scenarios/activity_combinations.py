"""Activities that an operator, a cancellation, a timeout and a worker have to do with at once (semantics 5)."""

from __future__ import annotations

from typing import Any

from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import ActivityType, RetryPolicy
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..operations import pause_activity, reset_activity, tune_activity, unpause_activity
from ..script import NAMESPACE, Script
from ..values import (
    cancel_activity,
    complete_workflow,
    failure,
    payload,
    payloads,
    retry_policy,
    seconds,
    start_timer,
)

# Paused


def paused_then_reset(s: Script) -> None:
    """A running attempt that was paused goes on unpaused, or paused if asked; its failure is retried accordingly."""
    for keep in (False, True):
        s.another("kept paused" if keep else "unpaused")
        s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), heartbeat_timeout=seconds(30)))
        task = s.poll_activity()
        pause_activity(s)
        reset_activity(s, keep_paused=keep, reset_heartbeat=keep)
        s.heartbeat(task)
        s.describe()
        s.fail_activity(task)
        if keep:
            s.describe()
            unpause_activity(s)
        s.poll_activity()
        s.describe()


def unpaused_while_running(s: Script) -> None:
    """The attempt goes on as if nothing had been; with its attempts counted anew, a later one has lost its token."""
    for anew in (False, True):
        s.another("anew" if anew else "as before")
        s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), heartbeat_timeout=seconds(30)))
        s.fail_activity(s.poll_activity())
        task = s.poll_activity()
        s.heartbeat(task)
        pause_activity(s)
        unpause_activity(s, reset_attempts=anew, reset_heartbeat=True)
        s.describe()
        s.heartbeat(task, None)
        s.fail_activity(task)


def paused_and_moved(s: Script) -> None:
    """Options of a paused activity hold once it is unpaused."""
    s.complete(s.begin_quietly(), s.activity())
    pause_activity(s)
    elsewhere = TaskQueue(name="other-" + s.queue)
    tune_activity(s, "task_queue.name", activity_options=ActivityOptions(task_queue=elsewhere))
    s.describe()
    unpause_activity(s)
    s.poll_activity(task_queue=elsewhere)


def paused_and_cancelled(s: Script) -> None:
    """One that waits is cancelled at once; one that runs hears of both, and is neither reset nor retried."""
    s.complete(s.begin_quietly(), s.activity())
    pause_activity(s)
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.history()
    s.another("while it runs")
    s.complete(s.begin_quietly(), s.activity(heartbeat_timeout=seconds(30)))
    task = s.poll_activity()
    pause_activity(s)
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.heartbeat(task)
    s.describe()
    reset_activity(s)
    s.heartbeat(task)
    s.fail_activity(task)
    s.history()


def paused_and_completed_by_id(s: Script) -> None:
    """Whoever knows the result may give it."""
    s.complete(s.begin_quietly(), s.activity())
    pause_activity(s)
    request = rpc.RespondActivityTaskCompletedByIdRequest(
        namespace=NAMESPACE, workflow_id=s.workflow_id, activity_id="a", identity="i"
    )
    s.call(request, rpc.RespondActivityTaskCompletedByIdResponse)
    s.history()


def paused_past_a_deadline(s: Script) -> None:
    """Start-to-close of an attempt, schedule-to-close of the activity: they strike after the unpausing."""
    for field in ("start_to_close_timeout", "schedule_to_close_timeout"):
        s.another(field)
        fields: dict[str, Any] = {field: seconds(1)}
        s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), **fields))
        task = s.poll_activity()
        pause_activity(s)
        s.another_run_waits()
        s.heartbeat(task)
        unpause_activity(s)
        s.another_run_waits()
        s.history()


def paused_by_type_in_part(s: Script) -> None:
    """One of them is paused by another request: nothing happens; by the same: the others are paused."""
    other = s.activity("c", activity_type=ActivityType(name="Other"))
    s.complete(s.begin_quietly(), s.activity("a"), s.activity("b"), other)
    pause_activity(s, id="b", request_id="one")
    pause_activity(s, type="Act", request_id="two")
    s.describe()
    pause_activity(s, type="Act", request_id="one")
    unpause_activity(s, type="Act")
    unpause_activity(s, unpause_all=True)
    s.poll_activities(3)


# Other options


def options_of_a_running_attempt(s: Script) -> None:
    """A shorter start-to-close timeout, and a heartbeat timeout where there was none, hold at once."""
    for field in ("start_to_close_timeout", "heartbeat_timeout"):
        s.another(field)
        s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1, 1, 1, 1)))
        s.heartbeat(s.poll_activity())
        fields: dict[str, Any] = {field: seconds(1)}
        tune_activity(s, field, activity_options=ActivityOptions(**fields))
        s.poll()
        s.history()


def schedule_to_close_moved(s: Script) -> None:
    """Retries still end when they would have ended before; a deadline that came nearer ends the activity."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.5, 1), schedule_to_close_timeout=seconds(1)))
    tune_activity(
        s, "schedule_to_close_timeout", activity_options=ActivityOptions(schedule_to_close_timeout=seconds(60))
    )
    s.another_run_waits()
    s.describe()
    s.fail_activity(s.poll_activity())
    s.history()
    s.another("nearer")
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(5, 1), schedule_to_close_timeout=seconds(100)))
    tune_activity(
        s, "schedule_to_close_timeout", activity_options=ActivityOptions(schedule_to_close_timeout=seconds(1.5))
    )
    s.fail_activity(s.poll_activity())
    s.describe()
    s.poll()
    s.history()


def fewer_attempts(s: Script) -> None:
    """There are more already than there may be: this one is the last."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1)))
    s.fail_activity(s.poll_activity())
    s.fail_activity(s.poll_activity())
    tune_activity(
        s, "retry_policy.maximum_attempts", activity_options=ActivityOptions(retry_policy=retry_policy(1, 1, 1, 2))
    )
    s.describe()
    s.fail_activity(s.poll_activity())
    s.history()


def moved_from_its_queue(s: Script) -> None:
    """The old queue has it no more."""
    s.complete(s.begin_quietly(), s.activity())
    elsewhere = TaskQueue(name="other-" + s.queue)
    tune_activity(s, "task_queue.name", activity_options=ActivityOptions(task_queue=elsewhere))
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue))
    s.call(request, rpc.PollActivityTaskQueueResponse, 2.5)
    s.poll_activity(task_queue=elsewhere)


# Reset


def reset_then_timeout(s: Script) -> None:
    """A third attempt that was reset times out as the first: the next is the second."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), start_to_close_timeout=seconds(1)))
    s.fail_activity(s.poll_activity())
    s.heartbeat(s.poll_activity())
    reset_activity(s, reset_heartbeat=True)
    s.poll_activity()
    s.describe()


def reset_of_the_run(s: Script) -> None:
    """The new run has the activity as it was scheduled: first attempt, first options, not paused."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1)))
    s.fail_activity(s.poll_activity())
    old = s.poll_activity()
    pause_activity(s)
    tune_activity(s, "heartbeat_timeout", activity_options=ActivityOptions(heartbeat_timeout=seconds(1)))
    s.signal()
    s.complete(s.poll())
    request = rpc.ResetWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_execution=s.execution(),
        reason="again",
        workflow_task_finish_event_id=s.history()[-1].event_id,
        request_id=s.new_request_id(),
    )
    s.run_id = s.call(request, rpc.ResetWorkflowExecutionResponse).run_id
    s.complete_activity(old)
    s.describe()
    s.complete_activity(s.poll_activity())


# Workers


def fails_while_a_task_runs(s: Script) -> None:
    """The retry that it waits for is cancelled by the task that knew nothing of it, which closes the run."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
    activity = s.poll_activity()
    s.signal()
    task = s.poll()
    s.fail_activity(activity)
    s.complete(task, cancel_activity(5), complete_workflow())
    s.history()


def cancelled_then_timed_out(s: Script) -> None:
    """A timeout after a cancel request is the end."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), start_to_close_timeout=seconds(1.5)))
    s.poll_activity()
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.poll()
    s.history()


def completed_twice(s: Script) -> None:
    """The second answer finds nothing, also while the first waits in the buffer."""
    s.complete(s.begin_quietly(), s.activity())
    activity = s.poll_activity()
    s.signal()
    task = s.poll()
    s.complete_activity(activity)
    s.complete_activity(activity)
    s.heartbeat(activity)
    s.complete(task)
    s.fail_activity(activity)
    s.cancel_activity(activity)
    s.history()


def eager_ones_among_others(s: Script) -> None:
    """With a heartbeat of the workflow task; one that waits is cancelled by the next task; one fails and is retried."""
    commands = [
        s.activity(str(number), request_eager_execution=number % 2 == 0, retry_policy=retry_policy(0.1))
        for number in range(5)
    ]
    reply = s.complete(s.begin_quietly(), *commands, force_create_new_workflow_task=True, return_new_workflow_task=True)
    s.complete_activity(reply.activity_tasks[0])
    s.fail_activity(reply.activity_tasks[1])
    s.complete(reply.workflow_task, cancel_activity(6))
    s.history()
    s.another("a bad command with it")
    s.complete(s.begin_quietly(), s.activity(request_eager_execution=True), start_timer(""))
    s.describe()


def whole_failure_is_kept(s: Script) -> None:
    """Cause, source, stack, details, encoded attributes: in the description, for the next attempt, in the end."""
    cause = Failure(message="inner", application_failure_info=ApplicationFailureInfo(type="I"))
    info = ApplicationFailureInfo(type="O", details=payloads('"d"'), next_retry_delay=seconds(1.5))
    whole = Failure(
        message="outer",
        source="source",
        stack_trace="stack",
        cause=cause,
        encoded_attributes=payload('"e"'),
        application_failure_info=info,
    )
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600, 1, 3600, 2)))
    s.fail_activity(s.poll_activity(), whole, last_heartbeat_details=payloads('"last"'))
    s.describe()
    s.fail_activity(s.poll_activity(), whole)
    s.poll()
    s.history()


def policies(s: Script) -> None:
    """Retry policies at the edges of what is allowed, and when the second attempt is due by them."""
    for label, policy in (
        ("no growth", retry_policy(0.1, 1.0, 0.1, 2)),
        ("one attempt, the rest nonsense", RetryPolicy(maximum_attempts=1, backoff_coefficient=0.1)),
        ("the first interval is the longest", retry_policy(2, 2, 2, 0)),
        ("a huge coefficient", retry_policy(3600, 1e30, 0, 3)),
        ("the longest only", RetryPolicy(maximum_interval=seconds(0.5))),
        ("the first only", RetryPolicy(initial_interval=seconds(200))),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), s.activity(retry_policy=policy))
        if s.history()[-1].event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            s.fail_activity(s.poll_activity(), failure())
            s.describe()
