"""PauseWorkflowExecution and UnpauseWorkflowExecution (semantics 7.6)."""

from __future__ import annotations

from typing import Any

from temporalio.api.enums.v1 import HistoryEventFilterType, QueryRejectCondition, WorkflowIdConflictPolicy
from temporalio.api.workflowservice import v1 as rpc

from .. import update_values
from ..script import NAMESPACE, Script
from ..values import complete_workflow, retry_policy, start_timer


def _request(s: Script, kind: Any, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "namespace": NAMESPACE,
        "workflow_id": s.workflow_id,
        "run_id": s.run_id,
        "identity": "operator",
        "reason": "why",
        "request_id": s.new_request_id(),
    }
    return kind(**(values | fields))


def _pause(s: Script, **fields: Any) -> None:
    s.call(_request(s, rpc.PauseWorkflowExecutionRequest, **fields), rpc.PauseWorkflowExecutionResponse)


def _unpause(s: Script, **fields: Any) -> None:
    s.call(_request(s, rpc.UnpauseWorkflowExecutionRequest, **fields), rpc.UnpauseWorkflowExecutionResponse)


def before_the_first_task(s: Script) -> None:
    """A task that waits ends with the pause; the unpausing schedules another."""
    s.start()
    _pause(s)
    s.describe()
    s.history()
    _unpause(s, reason="on")
    s.describe()
    s.poll()
    s.history()


def running_task(s: Script) -> None:
    """A started task may complete; its commands take effect, nothing follows until the unpausing."""
    task = s.begin_quietly()
    _pause(s, reason="")
    s.describe()
    s.complete(task, s.activity("a"), start_timer("t", 0.5))
    s.another_run_waits()
    s.history()
    s.describe()
    _unpause(s)
    s.poll()
    s.complete_activity(s.poll_activity())
    s.history()


def forced_task(s: Script) -> None:
    """A completion that asks for another task is refused while paused."""
    task = s.begin_quietly()
    _pause(s)
    s.complete(task, force_create_new_workflow_task=True)
    s.complete(task)
    s.history()
    s.describe()


def failed_task(s: Script) -> None:
    """A task that fails while paused."""
    task = s.begin_quietly()
    _pause(s)
    s.fail_task(task)
    s.history()
    s.describe()
    _unpause(s)
    s.history()
    s.poll()


def closing(s: Script) -> None:
    """A task that runs cannot close the run: the pause is something it has not seen."""
    task = s.begin_quietly()
    _pause(s)
    s.complete(task, complete_workflow())
    s.history()
    s.describe()


def buffered(s: Script) -> None:
    """Pausing, signalling and unpausing while a task runs."""
    task = s.begin_quietly()
    s.signal("before")
    _pause(s)
    s.signal("within")
    _unpause(s)
    s.signal("after")
    s.complete(task)
    s.history()


def clients(s: Script) -> None:
    """Signals and cancel requests are recorded, queries and updates refused, termination works."""
    s.complete(s.begin_quietly())
    _pause(s)
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
    _pause(s)
    s.describe()
    s.heartbeat(running)
    s.complete_activity(running)
    s.fail_activity(failing)
    s.another_run_waits()
    s.describe()
    s.history()
    _unpause(s)
    s.poll()
    s.poll_activity()
    s.history()


def waiting_activity(s: Script) -> None:
    """One that nobody has polled is not handed out until the unpausing."""
    s.complete(s.begin_quietly(), s.activity("a"))
    _pause(s)
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, identity="worker")
    request.task_queue.name = s.queue
    waiting = s.background(request, rpc.PollActivityTaskQueueResponse, 15.0)
    s.another_run_waits()
    s.describe()
    _unpause(s)
    waiting.join()
    s.describe()


def listed(s: Script) -> None:
    """Visibility shows it as paused, and finds it by its reason."""
    s.start()
    _pause(s)
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
    _unpause(s)
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
    _unpause(s)
    _pause(s, request_id="first")
    _pause(s, request_id="first")
    _pause(s, request_id="second")
    _pause(s, reason="r" * 1001)
    _pause(s, request_id="r" * 1001)
    _pause(s, identity="r" * 1001)
    _unpause(s, reason="r" * 1001)
    _unpause(s, request_id="r" * 1001)
    _unpause(s, identity="r" * 1001)
    _pause(s, workflow_id="")
    _unpause(s, workflow_id="")
    _pause(s, run_id="x")
    _unpause(s, run_id="x")
    _pause(s, workflow_id="nobody", run_id="")
    _pause(s, run_id="b4b4a2f6-0f0e-4b3a-9d80-3a8d4e2f5c6d")
    s.terminate()
    _pause(s)
    _unpause(s)


def reset(s: Script) -> None:
    """A paused run is reset: the new one."""
    s.complete(s.begin_quietly())
    _pause(s)
    s.signal("one")
    request = rpc.ResetWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_execution=s.execution(),
        reason="why",
        request_id=s.new_request_id(),
        workflow_task_finish_event_id=4,
    )
    old = s.run_id
    s.run_id = s.call(request, rpc.ResetWorkflowExecutionResponse).run_id
    s.history()
    s.describe()
    s.describe(execution=s.execution(old))


def reset_after_the_pause(s: Script) -> None:
    """A point behind the pause: the new run is paused as well."""
    task = s.begin_quietly()
    _pause(s)
    s.complete(task)
    _unpause(s)
    s.complete(s.poll_quietly())
    s.history()
    for finish in (6, 9):
        request = rpc.ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=s.execution(),
            reason="why",
            request_id=s.new_request_id(),
            workflow_task_finish_event_id=finish,
        )
        reply = s.call(request, rpc.ResetWorkflowExecutionResponse)
        if reply.run_id:
            s.history(execution=s.execution(reply.run_id))
            s.describe(execution=s.execution(reply.run_id))


def sticky(s: Script) -> None:
    """The pause leaves the sticky queue when a task waits there."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())
    s.signal("one")
    _pause(s)
    s.history()
    _unpause(s)
    s.history()


def sticky_idle(s: Script) -> None:
    """Without a waiting task the sticky queue stays."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())
    _pause(s)
    _unpause(s)
    s.history()


def accepted_update(s: Script) -> None:
    """One that a worker has may be accepted and completed while paused."""
    update_values.idle(s)
    pending = update_values.update(s)
    task = s.poll()
    _pause(s)
    update_values.complete_with(s, task, update_values.done(task))
    pending.join()
    s.history()
    update_values.poll_update(s)


def transient(s: Script) -> None:
    """A task that is tried again and waits leaves no event."""
    s.fail_task(s.begin_quietly())
    s.describe()
    _pause(s)
    s.history()
    s.describe()
    _unpause(s)
    s.poll()
    s.history()


def close_event(s: Script) -> None:
    """Who asks for the close without waiting gets the last event of a paused run."""
    s.start()
    closing = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
    s.history(history_event_filter_type=closing)
    _pause(s)
    s.history(history_event_filter_type=closing)


def _poll_briefly(s: Script) -> rpc.PollActivityTaskQueueResponse:
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, identity="worker")
    request.task_queue.name = s.queue
    return s.call(request, rpc.PollActivityTaskQueueResponse, 3.0)


def activity_of_a_running_task(s: Script) -> None:
    """What a task schedules after the pause waits for the unpausing."""
    task = s.begin_quietly()
    _pause(s)
    s.complete(task, s.activity("a"), s.activity("eager", request_eager_execution=True))
    _poll_briefly(s)
    s.describe()
    _unpause(s)
    s.poll_activities(2)
