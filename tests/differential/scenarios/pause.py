"""PauseWorkflowExecution and UnpauseWorkflowExecution (semantics 7.6)."""

from __future__ import annotations

from temporalio.api.enums.v1 import HistoryEventFilterType, QueryRejectCondition, WorkflowIdConflictPolicy
from temporalio.api.workflowservice import v1 as rpc

from .. import operations, update_values
from ..script import NAMESPACE, Script
from ..values import complete_workflow, retry_policy, seconds, start_timer


def before_the_first_task(s: Script) -> None:
    """A task that waits ends with the pause; the unpausing schedules another."""
    s.start()
    operations.pause(s)
    s.describe()
    s.history()
    operations.unpause(s, reason="on")
    s.describe()
    s.poll()
    s.history()


def running_task(s: Script) -> None:
    """A started task may complete; its commands take effect, nothing follows until the unpausing."""
    task = s.begin_quietly()
    operations.pause(s, reason="")
    s.describe()
    s.complete(task, s.activity("a"), start_timer("t", 0.5))
    s.another_run_waits()
    s.history()
    s.describe()
    operations.unpause(s)
    s.poll()
    s.complete_activity(s.poll_activity())
    s.history()


def in_a_delay(s: Script) -> None:
    """A run whose delay an update has interrupted in vain is held, and records what comes. What the unpausing does is
    not compared (docs/decisions/011).
    """
    s.start(workflow_start_delay=seconds(3600))
    pending = update_values.update(s)
    task = s.poll()
    update_values.complete_with(s, task, [update_values.reject(task.messages[0])])
    pending.join()
    s.history()
    operations.pause(s)
    s.signal()
    s.describe()
    s.history()
    s.terminate()


def forced_task(s: Script) -> None:
    """A completion that asks for another task is refused while paused."""
    task = s.begin_quietly()
    operations.pause(s)
    s.complete(task, force_create_new_workflow_task=True)
    s.complete(task)
    s.history()
    s.describe()


def failed_task(s: Script) -> None:
    """A task that fails while paused."""
    task = s.begin_quietly()
    operations.pause(s)
    s.fail_task(task)
    s.history()
    s.describe()
    operations.unpause(s)
    s.history()
    s.poll()


def closing(s: Script) -> None:
    """A task that runs cannot close the run: the pause is something it has not seen."""
    task = s.begin_quietly()
    operations.pause(s)
    s.complete(task, complete_workflow())
    s.history()
    s.describe()


def buffered(s: Script) -> None:
    """Pausing, signalling and unpausing while a task runs."""
    task = s.begin_quietly()
    s.signal("before")
    operations.pause(s)
    s.signal("within")
    operations.unpause(s)
    s.signal("after")
    s.complete(task)
    s.history()


def clients(s: Script) -> None:
    """Signals and cancel requests are recorded, queries and updates refused, termination works."""
    s.complete(s.begin_quietly())
    operations.pause(s)
    s.signal("one")
    s.cancel()
    s.query().join()
    s.query(query_reject_condition=QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_OPEN).join()
    s.call(update_values.update_request(s, "u"), rpc.UpdateWorkflowExecutionResponse)
    s.history()
    s.start()
    s.start(workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
    s.signal_with_start("two")
    s.history()
    s.terminate()
    s.describe()
    s.history()


def activities(s: Script) -> None:
    """An attempt that runs goes on; one that waits is held back, and so is a retry."""
    s.complete(
        s.begin_quietly(),
        s.activity("runs"),
        s.activity("fails", retry_policy=retry_policy(0.1, 1.0)),
    )
    first, second = s.poll_activities(2)
    failing, running = (first, second) if first.activity_id == "fails" else (second, first)
    operations.pause(s)
    s.describe()
    s.heartbeat(running)
    s.complete_activity(running)
    s.fail_activity(failing)
    s.another_run_waits()
    s.describe()
    s.history()
    operations.unpause(s)
    s.poll()
    s.poll_activity()
    s.history()


def waiting_activity(s: Script) -> None:
    """One that nobody has polled is not handed out until the unpausing."""
    s.complete(s.begin_quietly(), s.activity("a"))
    operations.pause(s)
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, identity="worker")
    request.task_queue.name = s.queue
    waiting = s.background(request, rpc.PollActivityTaskQueueResponse, 15.0)
    s.another_run_waits()
    s.describe()
    operations.unpause(s)
    waiting.join()
    s.describe()


def listed(s: Script) -> None:
    """Visibility shows it as paused, and finds it by its reason."""
    s.start()
    operations.pause(s)
    for query in (
        f"WorkflowId = '{s.workflow_id}' and ExecutionStatus = 'Paused'",
        f"WorkflowId = '{s.workflow_id}' and TemporalPauseInfo = 'Workflow:{s.workflow_id}'",
        f"WorkflowId = '{s.workflow_id}' and TemporalPauseInfo = 'Reason:why'",
    ):
        s.eventually(
            rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=query),
            rpc.ListWorkflowExecutionsResponse,
            lambda reply: bool(reply.executions),
        )
    operations.unpause(s)
    s.eventually(
        rpc.ListWorkflowExecutionsRequest(
            namespace=NAMESPACE, query=f"WorkflowId = '{s.workflow_id}' and ExecutionStatus = 'Running'"
        ),
        rpc.ListWorkflowExecutionsResponse,
        lambda reply: bool(reply.executions),
    )


def refused(s: Script) -> None:
    """Twice, the other way round, too long, nobody, closed."""
    s.start()
    operations.unpause(s)
    operations.pause(s, request_id="first")
    operations.pause(s, request_id="first")
    operations.pause(s, request_id="second")
    operations.pause(s, reason="r" * 1001)
    operations.pause(s, request_id="r" * 1001)
    operations.pause(s, identity="r" * 1001)
    operations.unpause(s, reason="r" * 1001)
    operations.unpause(s, request_id="r" * 1001)
    operations.unpause(s, identity="r" * 1001)
    operations.pause(s, workflow_id="")
    operations.unpause(s, workflow_id="")
    operations.pause(s, run_id="x")
    operations.unpause(s, run_id="x")
    operations.pause(s, workflow_id="nobody", run_id="")
    operations.pause(s, run_id="b4b4a2f6-0f0e-4b3a-9d80-3a8d4e2f5c6d")
    s.terminate()
    operations.pause(s)
    operations.unpause(s)


def reset(s: Script) -> None:
    """A paused run is reset: the new one."""
    s.complete(s.begin_quietly())
    operations.pause(s)
    s.signal("one")
    old = s.run_id
    s.reset(4)
    s.history()
    s.describe()
    s.describe(execution=s.execution(old))


def reset_after_the_pause(s: Script) -> None:
    """A point behind the pause: the new run is paused as well."""
    task = s.begin_quietly()
    operations.pause(s)
    s.complete(task)
    operations.unpause(s)
    s.complete(s.poll_quietly())
    s.history()
    base = s.run_id
    for finish in (6, 9):
        s.run_id = base
        s.reset(finish)
        if s.run_id != base:
            s.history()
            s.describe()


def sticky(s: Script) -> None:
    """The pause leaves the sticky queue when a task waits there."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())
    s.signal("one")
    operations.pause(s)
    s.history()
    operations.unpause(s)
    s.history()


def sticky_idle(s: Script) -> None:
    """Without a waiting task the sticky queue stays."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())
    operations.pause(s)
    operations.unpause(s)
    s.history()


def accepted_update(s: Script) -> None:
    """One that a worker has may be accepted and completed while paused."""
    update_values.idle(s)
    pending = update_values.update(s)
    task = s.poll()
    operations.pause(s)
    update_values.complete_with(s, task, update_values.done(task))
    pending.join()
    s.history()
    update_values.poll_update(s)


def transient(s: Script) -> None:
    """A task that is tried again and waits leaves no event."""
    s.fail_task(s.begin_quietly())
    s.describe()
    operations.pause(s)
    s.history()
    s.describe()
    operations.unpause(s)
    s.poll()
    s.history()


def close_event(s: Script) -> None:
    """Who asks for the close without waiting gets the last event of a paused run."""
    s.start()
    closing = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
    s.history(history_event_filter_type=closing)
    operations.pause(s)
    s.history(history_event_filter_type=closing)


def _poll_briefly(s: Script) -> rpc.PollActivityTaskQueueResponse:
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, identity="worker")
    request.task_queue.name = s.queue
    return s.call(request, rpc.PollActivityTaskQueueResponse, 3.0)


def activity_of_a_running_task(s: Script) -> None:
    """What a task schedules after the pause waits for the unpausing."""
    task = s.begin_quietly()
    operations.pause(s)
    s.complete(task, s.activity("a"), s.activity("eager", request_eager_execution=True))
    _poll_briefly(s)
    s.describe()
    operations.unpause(s)
    s.poll_activities(2)
