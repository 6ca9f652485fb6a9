"""Pause, unpause, reset and new options for pending activities (semantics 5.7)."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import ActivityType, Priority, RetryPolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..operations import pause_activity, reset_activity, tune_activity, unpause_activity
from ..script import NAMESPACE, Script
from ..values import complete_workflow, failure, retry_policy, seconds


def pause_before_start(s: Script) -> None:
    """An activity that waits for a worker is held back, shown as paused, and goes on when unpaused."""
    s.complete(s.begin_quietly(), s.activity(), s.activity("b", activity_type=ActivityType(name="Other")))
    pause_activity(s)
    s.describe()
    other = s.poll_activity()
    unpause_activity(s)
    s.describe()
    s.complete_activity(s.poll_activity())
    s.complete_activity(other)
    s.complete(s.poll_quietly(), complete_workflow())
    s.closed_history()


def pause_while_running(s: Script) -> None:
    """A running attempt is told by its heartbeats; its failure waits for the unpausing; the attempt has gone up."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), heartbeat_timeout=seconds(30)))
    task = s.poll_activity()
    pause_activity(s)
    s.heartbeat(task, '"one"')
    s.describe()
    s.fail_activity(task)
    s.describe()
    unpause_activity(s)
    task = s.poll_activity()
    s.complete_activity(task)
    s.complete(s.poll_quietly(), complete_workflow())
    s.closed_history()


def complete_while_paused(s: Script) -> None:
    """The result of a paused attempt counts."""
    s.complete(s.begin_quietly(), s.activity())
    task = s.poll_activity()
    pause_activity(s)
    s.complete_activity(task)
    s.complete(s.poll_quietly(), complete_workflow())
    s.closed_history()
    s.describe()


def non_retryable_while_paused(s: Script) -> None:
    """A failure that no policy retries ends a paused activity."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1)))
    task = s.poll_activity()
    pause_activity(s)
    s.fail_activity(task, failure("no", non_retryable=True))
    s.complete(s.poll_quietly(), complete_workflow())
    s.closed_history()


def maximum_attempts_while_paused(s: Script) -> None:
    """A paused activity does not run out of attempts."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1, 1, 0, 1)))
    task = s.poll_activity()
    pause_activity(s)
    s.fail_activity(task, failure("first"))
    s.describe()
    unpause_activity(s)
    s.fail_activity(s.poll_activity(), failure("second"))
    s.complete(s.poll_quietly(), complete_workflow())
    s.closed_history()


def pause_twice(s: Script) -> None:
    """Pausing again is a success with the same request id only."""
    s.complete(s.begin_quietly(), s.activity())
    pause_activity(s, request_id="one")
    pause_activity(s, request_id="one")
    pause_activity(s, request_id="two")
    unpause_activity(s)
    unpause_activity(s)
    s.describe()


def pause_by_type(s: Script) -> None:
    """All of a type, and of the others none."""
    s.complete(
        s.begin_quietly(), s.activity("a"), s.activity("b"), s.activity("c", activity_type=ActivityType(name="Other"))
    )
    pause_activity(s, type="Act")
    s.describe()
    pause_activity(s, type="Act", request_id="other")
    unpause_activity(s, unpause_all=True)
    s.describe()
    s.poll_activities(3)


def pause_in_backoff(s: Script) -> None:
    """A retry that waits is held back; unpausing starts it at once, with its attempts counted anew if asked."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
    task = s.poll_activity()
    s.heartbeat(task, '"beat"')
    s.fail_activity(task)
    pause_activity(s)
    s.describe()
    unpause_activity(s, reset_attempts=True, reset_heartbeat=True)
    s.describe()
    s.poll_activity()


def paused_does_not_time_out(s: Script) -> None:
    """The deadlines of a paused activity strike when it is unpaused."""
    s.complete(s.begin_quietly(), s.activity(schedule_to_close_timeout=seconds(1)))
    pause_activity(s)
    s.another_run_waits()
    s.history()
    s.describe()


def unknown_activities(s: Script) -> None:
    """Nothing selected, a run that is closed, a workflow that is not there."""
    s.complete(s.begin_quietly(), s.activity())
    for verb in (pause_activity, unpause_activity, reset_activity):
        verb(s, id="nobody")
        verb(s, type="Nobody")
        verb(s, id="")
        verb(s, type="")
    tune_activity(s, "heartbeat_timeout", id="nobody", activity_options=ActivityOptions())
    tune_activity(s, id="a", restore_original=True)
    s.terminate()
    for verb in (pause_activity, unpause_activity, reset_activity):
        verb(s)
        verb(s, id="nobody")
        verb(s, type="Nobody")
        verb(s, type="Act")
    tune_activity(s, "heartbeat_timeout", activity_options=ActivityOptions())
    s.workflow_id = "nobody-" + s.nonce
    s.run_id = ""
    for verb in (pause_activity, unpause_activity, reset_activity):
        verb(s)
    tune_activity(s, "heartbeat_timeout", activity_options=ActivityOptions())
    s.run_id = "not-a-uuid"
    for verb in (pause_activity, unpause_activity, reset_activity):
        verb(s)
    s.workflow_id = ""
    for verb in (pause_activity, unpause_activity, reset_activity):
        verb(s)
    tune_activity(s)


def bad_requests(s: Script) -> None:
    """No workflow, no activity, no options, no mask, a bad priority."""
    s.complete(s.begin_quietly(), s.activity())
    for request_type, reply_type in (
        (rpc.PauseActivityRequest, rpc.PauseActivityResponse),
        (rpc.UnpauseActivityRequest, rpc.UnpauseActivityResponse),
        (rpc.ResetActivityRequest, rpc.ResetActivityResponse),
        (rpc.UpdateActivityOptionsRequest, rpc.UpdateActivityOptionsResponse),
    ):
        s.call(request_type(namespace=NAMESPACE), reply_type)
        s.call(request_type(namespace=NAMESPACE, execution=s.execution()), reply_type)
    tune_activity(s, "heartbeat_timeout")
    tune_activity(s, activity_options=ActivityOptions())
    tune_activity(s, "heartbeat_timeout", activity_options=ActivityOptions(), restore_original=True)
    tune_activity(s, "priority", activity_options=ActivityOptions(priority=Priority(priority_key=-1)))
    tune_activity(s, "task_queue.name", activity_options=ActivityOptions())
    tune_activity(s, "task_queue.name", activity_options=ActivityOptions(task_queue=TaskQueue()))
    tune_activity(s, "retry_policy", activity_options=ActivityOptions())
    tune_activity(s, "retry_policy.maximum_attempts", activity_options=ActivityOptions())
    tune_activity(s, "priority.priority_key", activity_options=ActivityOptions())
    tune_activity(s, "retry_policy", activity_options=ActivityOptions(retry_policy=retry_policy(1, 0.5)))
    tune_activity(
        s, "retry_policy.maximum_interval", activity_options=ActivityOptions(retry_policy=retry_policy(1, 1, 0.1))
    )
    tune_activity(s, "start_to_close_timeout", activity_options=ActivityOptions(start_to_close_timeout=seconds(-1)))
    tune_activity(
        s, "start_to_close_timeout", "schedule_to_close_timeout", "nonsense", activity_options=ActivityOptions()
    )
    s.describe()


def reset_in_backoff(s: Script) -> None:
    """A waiting retry starts over at once as attempt 1."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
    task = s.poll_activity()
    s.heartbeat(task, '"beat"')
    s.fail_activity(task)
    s.describe()
    reset_activity(s, reset_heartbeat=True)
    s.describe()
    s.complete_activity(s.poll_activity())
    s.complete(s.poll_quietly(), complete_workflow())
    s.closed_history()


def reset_while_running(s: Script) -> None:
    """A first attempt that runs learns of it by its heartbeats and goes on; heartbeat details are dropped after it."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1)))
    task = s.poll_activity()
    s.heartbeat(task, '"one"')
    reset_activity(s, reset_heartbeat=True)
    s.heartbeat(task, '"two"')
    s.describe()
    s.fail_activity(task)
    s.poll_activity()
    s.describe()


def reset_of_a_later_attempt(s: Script) -> None:
    """The token of a later attempt no longer fits."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1)))
    s.fail_activity(s.poll_activity())
    task = s.poll_activity()
    reset_activity(s)
    s.heartbeat(task, '"late"')
    s.complete_activity(task)
    s.describe()


def reset_of_paused(s: Script) -> None:
    """A reset unpauses, or not if asked."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
    s.fail_activity(s.poll_activity())
    pause_activity(s)
    reset_activity(s, keep_paused=True)
    s.describe()
    reset_activity(s, match_all=True)
    s.describe()
    s.poll_activity()


def update_options(s: Script) -> None:
    """What the mask names is replaced and shown; a worker gets the new retry policy and the old timeouts."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(1, 2, 10, 5, "Kind")))
    options = ActivityOptions(
        start_to_close_timeout=seconds(50),
        schedule_to_start_timeout=seconds(40),
        schedule_to_close_timeout=seconds(70),
        heartbeat_timeout=seconds(60),
        retry_policy=retry_policy(3, 4, 12, 6, "Other"),
        priority=Priority(priority_key=2, fairness_key="f", fairness_weight=2),
    )
    tune_activity(s, "heartbeatTimeout", "start_to_close_timeout", activity_options=options)
    tune_activity(s, "schedule_to_start_timeout", "scheduleToCloseTimeout", activity_options=options)
    tune_activity(s, "retry_policy.maximum_attempts", "priority.priority_key", activity_options=options)
    s.describe()
    tune_activity(s, "retryPolicy", "priority", activity_options=options)
    s.describe()
    tune_activity(s, "priority", activity_options=ActivityOptions())
    s.poll_activity()
    s.describe()
    tune_activity(s, restore_original=True)
    s.describe()


def update_queue(s: Script) -> None:
    """An activity that waits moves to another queue, and back with its original options."""
    s.complete(s.begin_quietly(), s.activity())
    elsewhere = TaskQueue(name="other-" + s.queue)
    tune_activity(s, "task_queue.name", type="Act", activity_options=ActivityOptions(task_queue=elsewhere))
    task = s.poll_activity(task_queue=elsewhere)
    s.fail_activity(task)
    reset_activity(s, restore_original_options=True)
    s.describe()
    s.poll_activity()


def update_in_backoff(s: Script) -> None:
    """A shorter interval brings a waiting retry forward."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
    s.fail_activity(s.poll_activity())
    shorter = ActivityOptions(retry_policy=retry_policy(0.1))
    tune_activity(s, "retry_policy.initial_interval", match_all=True, activity_options=shorter)
    s.poll_activity()


def newer_calls(s: Script) -> None:
    """The `*ActivityExecution` calls do the same when they name a workflow."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
    target: dict[str, Any] = {
        "namespace": NAMESPACE,
        "workflow_id": s.workflow_id,
        "run_id": s.run_id,
        "activity_id": "a",
    }
    s.call(
        rpc.PauseActivityExecutionRequest(**target, identity="i", reason="r", request_id="q"),
        rpc.PauseActivityExecutionResponse,
    )
    s.describe()
    s.call(rpc.PauseActivityExecutionRequest(**target), rpc.PauseActivityExecutionResponse)
    s.call(rpc.UnpauseActivityExecutionRequest(**target), rpc.UnpauseActivityExecutionResponse)
    s.describe()
    s.fail_activity(s.poll_activity())
    s.call(rpc.ResetActivityExecutionRequest(**target), rpc.ResetActivityExecutionResponse)
    s.poll_activity()
    s.call(
        rpc.UpdateActivityExecutionOptionsRequest(
            **target,
            activity_options=ActivityOptions(heartbeat_timeout=seconds(3)),
            update_mask=FieldMask(paths=["heartbeat_timeout"]),
        ),
        rpc.UpdateActivityExecutionOptionsResponse,
    )
    wrongs: tuple[dict[str, Any], ...] = (
        {"activity_id": ""},
        {"run_id": "x"},
        {"activity_id": "x" * 1001},
        {"activity_id": "nobody"},
    )
    for broken in wrongs:
        wrong = target | broken
        s.call(rpc.PauseActivityExecutionRequest(**wrong), rpc.PauseActivityExecutionResponse)
        s.call(rpc.UnpauseActivityExecutionRequest(**wrong), rpc.UnpauseActivityExecutionResponse)
        s.call(rpc.ResetActivityExecutionRequest(**wrong), rpc.ResetActivityExecutionResponse)
        s.call(rpc.UpdateActivityExecutionOptionsRequest(**wrong), rpc.UpdateActivityExecutionOptionsResponse)


def newer_options(s: Script) -> None:
    """The newer call knows its paths, and judges each value that is named by itself."""
    s.complete(s.begin_quietly(), s.activity())
    good = ActivityOptions(
        task_queue=TaskQueue(name="other-" + s.queue),
        heartbeat_timeout=seconds(5),
        retry_policy=retry_policy(2),
        priority=Priority(priority_key=2),
    )
    _newer(s, good)
    s.call(_newer_request(s, good), rpc.UpdateActivityExecutionOptionsResponse)
    s.call(_newer_request(s), rpc.UpdateActivityExecutionOptionsResponse)
    _newer(s, good, "heartbeat_timeout", restore_original=True)
    paths = "bogus task_queue task_queue.name task_queue.kind retry_policy.non_retryable_error_types start_delay"
    for path in (*paths.split(), "heartbeatTimeout", "retry_policy", "retryPolicy.maximumAttempts", "", 'a"b'):
        s.section(path)
        _newer(s, good, path)
    _newer(s, good, restore_original=True)
    policy = RetryPolicy(backoff_coefficient=0.5, maximum_attempts=-1, initial_interval=seconds(-1))
    mixed = Duration(seconds=1, nanos=-1)
    bad = ActivityOptions(
        schedule_to_close_timeout=seconds(-1),
        start_to_close_timeout=mixed,
        retry_policy=policy,
        priority=Priority(priority_key=-1, fairness_key="f" * 65, fairness_weight=-1),
    )
    paths = "schedule_to_close_timeout start_to_close_timeout task_queue.name retry_policy heartbeat_timeout"
    parts = "retry_policy.backoff_coefficient retry_policy.maximum_attempts retry_policy.initial_interval"
    keys = "priority priority.priority_key priority.fairness_key priority.fairness_weight"
    for path in (*paths.split(), *parts.split(), *keys.split()):
        s.section(path)
        _newer(s, bad, path)
    for path in ("retry_policy", "priority", "retry_policy.initial_interval"):
        s.section(path + " is not there")
        _newer(s, ActivityOptions(), path)
    s.describe()


def _newer(s: Script, options: ActivityOptions, *paths: str, **fields: Any) -> None:
    request = _newer_request(s, options, update_mask=FieldMask(paths=paths), **fields)
    s.call(request, rpc.UpdateActivityExecutionOptionsResponse)


def _newer_request(
    s: Script, options: ActivityOptions | None = None, **fields: Any
) -> rpc.UpdateActivityExecutionOptionsRequest:
    return rpc.UpdateActivityExecutionOptionsRequest(
        namespace=NAMESPACE, workflow_id=s.workflow_id, activity_id="a", activity_options=options, **fields
    )
