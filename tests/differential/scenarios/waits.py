"""What ends when a wait has been long enough: callers of updates, heartbeats of a workflow task (semantics 3.5.2, 8.2).

Both servers wait for as long as the settings say, since half an hour is no time for a test.
"""

from __future__ import annotations

from temporalio.api.enums.v1 import HistoryEventFilterType, WorkflowIdConflictPolicy
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, POLL_SECONDS, Script
from ..update_values import accept, admitted, complete_with, done, idle, poll_update, update, update_request
from ..values import execution, start_timer

SETTINGS = ('history.longPollExpirationInterval="1500ms"', 'history.workflowTaskHeartbeatTimeout="1s"')

Operation = rpc.ExecuteMultiOperationRequest.Operation
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


def update_without_a_worker(s: Script) -> None:
    """Whoever has waited long enough is told that the update is admitted, which is no error (8.2)."""
    s.start()
    for wait in ("ACCEPTED", "COMPLETED"):
        update(s, "u", wait).join()
        poll_update(s, "u", wait)


def update_that_goes_on(s: Script) -> None:
    """Accepted and not completed: told so, whatever was waited for; failed by the end of the run (8.2)."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])])
    pending.join()
    poll_update(s)
    update(s).join()
    s.terminate()
    poll_update(s)


def update_with_start(s: Script) -> None:
    """The same for a new run that nobody polls, and for one that is there (8.3)."""

    def both(policy: WorkflowIdConflictPolicy.ValueType | None) -> rpc.ExecuteMultiOperationRequest:
        start = s.start_request(workflow_id_conflict_policy=policy)
        asked = update_request(s, workflow_execution=execution(s.workflow_id))
        operations = [Operation(start_workflow=start), Operation(update_workflow=asked)]
        return rpc.ExecuteMultiOperationRequest(namespace=NAMESPACE, operations=operations)

    s.call(both(None), rpc.ExecuteMultiOperationResponse, POLL_SECONDS)
    s.call(both(None), rpc.ExecuteMultiOperationResponse, POLL_SECONDS)
    s.another("a run that is there")
    idle(s)
    pending = s.background(both(USE_EXISTING), rpc.ExecuteMultiOperationResponse, POLL_SECONDS)
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])])
    pending.join()


def history_without_news(s: Script) -> None:
    """A long poll for events, and one for the close, that see nothing (3.10)."""
    idle(s)
    s.history(wait_new_event=True)
    s.history(wait_new_event=True, history_event_filter_type=CLOSE)


def history_of_a_pending_task(s: Script) -> None:
    """Events that a task does not have yet are shown once, with the page before the wait; then as they are (3.10)."""
    for label in ("a second attempt", "a speculative task"):
        s.another(label)
        if label == "a second attempt":
            s.fail_task(s.begin_quietly())
        else:
            idle(s)
            admitted(s)
        request = s.history_request(wait_new_event=True)
        ids: list[list[int]] = []
        for step in ("scheduled", "without news", "started"):
            if step == "started":
                s.poll()
            reply = s.send(request, rpc.GetWorkflowExecutionHistoryResponse, POLL_SECONDS)
            assert isinstance(reply, rpc.GetWorkflowExecutionHistoryResponse)
            ids.append([event.event_id for event in reply.history.events])
            request.next_page_token = reply.next_page_token
        s.terminate()
        reply = s.send(request, rpc.GetWorkflowExecutionHistoryResponse, POLL_SECONDS)
        assert isinstance(reply, rpc.GetWorkflowExecutionHistoryResponse)
        ids.append([event.event_id for event in reply.history.events])
        s.fact("ids by page", ids)


def heartbeats(s: Script) -> None:
    """A task that did nothing but heartbeat for too long has timed out; a command makes time start anew (3.5.2)."""
    task = s.begin_quietly()
    s.another_run_waits()
    s.complete(task, force_create_new_workflow_task=True)
    s.history()
    s.complete(s.poll(), start_timer(), force_create_new_workflow_task=True)
    s.history()


def heartbeats_of_a_sticky_task(s: Script) -> None:
    """The next task goes to the normal queue, as a first attempt."""
    reply = s.complete(
        s.begin_quietly(),
        force_create_new_workflow_task=True,
        return_new_workflow_task=True,
        sticky_attributes=s.sticky(),
    )
    s.another_run_waits()
    s.complete(reply.workflow_task, force_create_new_workflow_task=True)
    s.complete(s.poll())
    s.history()


def heartbeats_of_a_second_attempt(s: Script) -> None:
    """No events of it; the next is the third."""
    s.fail_task(s.begin_quietly())
    task = s.poll()
    s.another_run_waits()
    s.complete(task, force_create_new_workflow_task=True)
    s.history()
    s.complete(s.poll())
    s.history()


def heartbeats_with_an_update(s: Script) -> None:
    """On a task that an update came with, and on one that was made for it: the update goes with the next."""
    task = s.begin_quietly()
    pending = admitted(s)
    s.another_run_waits()
    s.complete(task, force_create_new_workflow_task=True)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.history()
    s.another("a speculative task")
    idle(s)
    pending = update(s)
    task = s.poll()
    s.another_run_waits()
    s.complete(task, force_create_new_workflow_task=True)
    s.history()
