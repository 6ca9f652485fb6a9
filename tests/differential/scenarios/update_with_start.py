"""ExecuteMultiOperation: update-with-start (semantics 8.3)."""

from __future__ import annotations

import uuid
from typing import Any as Anything

from temporalio.api.enums.v1 import WorkflowIdConflictPolicy as Conflict
from temporalio.api.enums.v1 import WorkflowIdReusePolicy as Reuse
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, POLL_SECONDS, Pending, Script
from ..update_values import (
    accept,
    admitted,
    complete_with,
    done,
    idle,
    poll_request,
    reject,
    respond,
    update_request,
)
from ..values import complete_workflow, execution, seconds, start_timer

Operation = rpc.ExecuteMultiOperationRequest.Operation
FAIL = Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL
USE_EXISTING = Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE_EXISTING = Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
REJECT_DUPLICATE = Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE


def _request(
    s: Script,
    update_id: str = "u",
    wait: str = "COMPLETED",
    change: dict[str, Anything] | None = None,
    **fields: Anything,
) -> rpc.ExecuteMultiOperationRequest:
    start = s.start_request(**fields)
    asked = update_request(s, update_id, wait, **({"workflow_execution": execution(s.workflow_id)} | (change or {})))
    return rpc.ExecuteMultiOperationRequest(
        namespace=NAMESPACE, operations=[Operation(start_workflow=start), Operation(update_workflow=asked)]
    )


def _send(s: Script, *args: Anything, **fields: Anything) -> Pending[rpc.ExecuteMultiOperationResponse]:
    return s.background(_request(s, *args, **fields), rpc.ExecuteMultiOperationResponse, POLL_SECONDS)


def _refused(s: Script, request: rpc.ExecuteMultiOperationRequest) -> None:
    s.call(request, rpc.ExecuteMultiOperationResponse)


def new_run(s: Script) -> None:
    """A new run whose first task carries the update."""
    pending = _send(s)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.history(execution=execution(s.workflow_id))


def new_run_rejects(s: Script) -> None:
    """A rejected update starts the run all the same."""
    pending = _send(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history(execution=execution(s.workflow_id))


def accepted(s: Script) -> None:
    """The answer may come at the acceptance."""
    pending = _send(s, "u", "ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], start_timer())
    pending.join()


def existing_run(s: Script) -> None:
    """USE_EXISTING: the run that is there takes the update on a speculative task."""
    idle(s)
    pending = _send(s, workflow_id_conflict_policy=USE_EXISTING)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.history()


def existing_run_refuses(s: Script) -> None:
    """FAIL: the start's error; the update is aborted."""
    idle(s)
    _refused(s, _request(s, workflow_id_conflict_policy=FAIL))
    s.history()


def existing_run_is_terminated(s: Script) -> None:
    """TERMINATE_EXISTING: a new run with the update."""
    idle(s)
    pending = _send(s, workflow_id_conflict_policy=TERMINATE_EXISTING)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.closed_history()
    s.history(execution=execution(s.workflow_id))


def known_update(s: Script) -> None:
    """An update that the run knows is joined whatever the policy says; a completed one is answered."""
    idle(s)
    first = admitted(s)
    second = _send(s, workflow_id_conflict_policy=FAIL)
    task = s.poll()
    s.another_run_waits()
    complete_with(s, task, done(task))
    first.join()
    second.join()
    _send(s, workflow_id_conflict_policy=FAIL).join()
    s.terminate()
    _send(s, workflow_id_conflict_policy=FAIL).join()


def same_start_request(s: Script) -> None:
    """A start with the request id of the run that is there: the update goes to it."""
    request_id = f"same-{s.nonce}"
    idle(s, request_id=request_id)
    pending = _send(s, workflow_id_conflict_policy=FAIL, request_id=request_id)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()


def closed_run(s: Script) -> None:
    """A closed run: started anew, or refused by the reuse policy."""
    s.complete(s.begin_quietly(), complete_workflow())
    _refused(s, _request(s, workflow_id_reuse_policy=REJECT_DUPLICATE))
    pending = _send(s)
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()


def refused_update(s: Script) -> None:
    """The run cannot take the update: its error, and the start is aborted."""
    s.fail_task(s.begin())
    s.fail_task(s.poll())
    _refused(s, _request(s, workflow_id_conflict_policy=USE_EXISTING))


def closing_run(s: Script) -> None:
    """The run closes before it takes the update: the whole is tried once more, and starts a new run."""
    task = s.begin_quietly()
    pending = _send(s, workflow_id_conflict_policy=USE_EXISTING)
    s.eventually(
        poll_request(s, "u", "UNSPECIFIED"),
        rpc.PollWorkflowExecutionUpdateResponse,
        lambda reply: bool(reply.update_ref.update_id),
        record=False,
    )
    s.complete(task, complete_workflow())
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()


def new_run_closes(s: Script) -> None:
    """The run that was started closes over the update."""
    pending = _send(s)
    s.complete(s.poll(), complete_workflow())
    pending.join()


def wrong_operations(s: Script) -> None:
    """Anything but [Start, Update]."""
    whole = _request(s)
    start, change = whole.operations
    for operations in ([], [start], [change], [change, start], [start, start], [start, change, change]):
        _refused(s, rpc.ExecuteMultiOperationRequest(namespace=NAMESPACE, operations=operations))


def bad_operations(s: Script) -> None:
    """Each operation is checked; the other one is aborted."""
    for request in (
        _request(s, cron_schedule="* * * * *"),
        _request(s, request_eager_execution=True),
        _request(s, workflow_start_delay=seconds(1)),
        _request(s, workflow_type=None),
        _request(s, namespace="another"),
        _request(s, change={"namespace": "another"}),
        _request(s, change={"first_execution_run_id": str(uuid.uuid4())}),
        _request(s, change={"workflow_execution": execution(s.workflow_id, str(uuid.uuid4()))}),
        _request(s, change={"workflow_execution": execution("another")}),
        _request(s, change={"request": None}),
        _request(s, wait="ADMITTED"),
        _request(s, workflow_type=None, change={"request": None}),
    ):
        _refused(s, request)


def completed_later(s: Script) -> None:
    """The second of two calls with one update id joins the run that the first one started."""
    pending = _send(s, "u", "ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])])
    pending.join()
    again = _send(s)
    s.another_run_waits()
    s.run_id = ""
    s.signal()
    complete_with(s, s.poll(), [respond(task.messages[0].protocol_instance_id)])
    again.join()
