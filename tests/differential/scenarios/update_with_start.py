"""ExecuteMultiOperation: update-with-start (semantics 8.3)."""

from __future__ import annotations

import itertools
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
from ..values import complete_workflow, continue_as_new, execution, fail_workflow, seconds, start_timer

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


def _sent_to_the_run(s: Script) -> Pending[rpc.ExecuteMultiOperationResponse]:
    """An update-with-start on its way, which the run that is there has."""
    pending = _send(s, workflow_id_conflict_policy=USE_EXISTING)
    s.eventually(
        poll_request(s, "u", "UNSPECIFIED"),
        rpc.PollWorkflowExecutionUpdateResponse,
        lambda reply: bool(reply.update_ref.update_id),
        record=False,
    )
    return pending


def closing_run(s: Script) -> None:
    """The run closes before it takes the update: the whole is tried once more, and starts a new run."""
    task = s.begin_quietly()
    pending = _sent_to_the_run(s)
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
        _request(s, cron_schedule="never"),
        _request(s, cron_schedule="* * * * *", workflow_start_delay=seconds(1)),
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


def policies(s: Script) -> None:
    """Every pair of policies against an open, a completed and a failed run; the update is rejected where it arrives."""
    ends = {"open": [], "completed": [complete_workflow()], "failed": [fail_workflow()]}
    for (label, end), reuse, conflict in itertools.product(ends.items(), Reuse.values(), Conflict.values()):
        s.another(f"{label} {Reuse.Name(reuse)} {Conflict.Name(conflict)}")
        task = s.begin_quietly()
        s.send(s.complete_request(task, *end), rpc.RespondWorkflowTaskCompletedResponse)
        pending = _send(s, workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict)
        while not pending.is_over_within(0.3):
            polled = s.send(s.poll_request(), rpc.PollWorkflowTaskQueueResponse, 2.0)
            if isinstance(polled, rpc.PollWorkflowTaskQueueResponse) and polled.messages:
                request = s.complete_request(polled, messages=[reject(polled.messages[0])])
                s.send(request, rpc.RespondWorkflowTaskCompletedResponse)
        pending.join()


def paused_run(s: Script) -> None:
    """A paused run takes no update; it may be terminated in favour of a new one."""
    for conflict in Conflict.values():
        s.another(Conflict.Name(conflict))
        idle(s)
        pause = rpc.PauseWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_id=s.workflow_id, run_id=s.run_id, reason="why", request_id="pause"
        )
        s.send(pause, rpc.PauseWorkflowExecutionResponse)
        pending = _send(s, workflow_id_conflict_policy=conflict)
        if conflict == TERMINATE_EXISTING:
            task = s.poll()
            complete_with(s, task, done(task))
        pending.join()


def failing_tasks(s: Script) -> None:
    """The worker fails the first task of the new run, which brings the update again; the server fails it."""
    pending = _send(s)
    s.fail_task(s.poll())
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.another("a bad command")
    pending = _send(s)
    task = s.poll()
    complete_with(s, task, done(task), start_timer(""))
    pending.join()


def new_run_ends(s: Script) -> None:
    """The new run is terminated under the update before and after its acceptance, or continues as new."""
    for label in ("sent", "accepted", "continued"):
        s.another(label)
        pending = _send(s)
        task = s.poll()
        if label == "continued":
            s.complete(task, continue_as_new())
        else:
            if label == "accepted":
                complete_with(s, task, [accept(task.messages[0])])
            s.terminate()
        pending.join()


def existing_run_continues(s: Script) -> None:
    """The run that is there continues as new before it takes the update."""
    task = s.begin_quietly()
    pending = _sent_to_the_run(s)
    s.complete(task, continue_as_new())
    pending.join()


def too_many(s: Script) -> None:
    """The run that is there has ten updates in flight."""
    s.start()
    for number in range(10):
        admitted(s, f"u{number}")
    _refused(s, _request(s, "more", workflow_id_conflict_policy=USE_EXISTING))
