"""Completion callbacks of updates (`history.enableUpdateCallbacks`): told when the update has its outcome (11.4)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.common.v1 import Callback, Link
from temporalio.api.enums.v1 import CallbackState, EventType
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Request
from temporalio.api.workflowservice import v1 as rpc

from ..receiver import Receiver
from ..script import NAMESPACE, POLL_SECONDS, Pending, Script
from ..update_values import accept, admitted, body, complete_with, done, fail, idle, reject, respond
from ..values import complete_workflow, continue_as_new
from ..wire import RpcFailed

STANDBY = CallbackState.CALLBACK_STATE_STANDBY
SUCCEEDED = CallbackState.CALLBACK_STATE_SUCCEEDED


def _request(s: Script, request_id: str, *callbacks: Callback, update_id: str = "u") -> Request:
    asked = body(s, update_id)
    asked.request_id = f"{request_id}-{s.nonce}" if request_id else ""
    asked.completion_callbacks.extend(callbacks)
    return asked


def _update(
    s: Script, request_id: str, *callbacks: Callback, wait: str = "COMPLETED", **fields: Anything
) -> Pending[rpc.UpdateWorkflowExecutionResponse]:
    """An update with callbacks that the server has."""
    return admitted(s, wait=wait, request=_request(s, request_id, *callbacks), **fields)


def _accepted(s: Script, request_id: str, callback: Callback) -> str:
    """An update that its worker has accepted, as its caller has been told; its id among messages."""
    pending = _update(s, request_id, callback, wait="ACCEPTED")
    task = s.poll_quietly()
    complete_with(s, task, [accept(task.messages[0])])
    pending.join()
    return task.messages[0].protocol_instance_id


def _described(s: Script, state: CallbackState.ValueType) -> None:
    """The callbacks once each is in this state.

    Not the request ids: the reference shows those of attached callers as buffered for ever.
    """
    request = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution())
    reply = s.eventually(
        request,
        rpc.DescribeWorkflowExecutionResponse,
        lambda shown: bool(shown.callbacks) and all(one.state == state for one in shown.callbacks),
        record=False,
    )
    shown = rpc.DescribeWorkflowExecutionResponse(callbacks=reply.callbacks)
    s.record(request, rpc.DescribeWorkflowExecutionResponse, shown)


def _link(s: Script, event_id: int = 5) -> Link:
    event = Link.WorkflowEvent(namespace=NAMESPACE, workflow_id=f"caller-{s.nonce}", run_id=f"run-{s.nonce}")
    event.event_ref.event_id = event_id
    event.event_ref.event_type = EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED
    return Link(workflow_event=event)


def completed(s: Script) -> None:
    """Accepted in one task, completed in another; the run goes on."""
    with Receiver(s) as receiver:
        idle(s)
        asked = _request(s, "r", receiver.callback("/done", _link(s), x_own="y"))
        asked.links.extend([_link(s), _link(s, 6)])
        pending = admitted(s, wait="ACCEPTED", request=asked)
        task = s.poll()
        update_id = task.messages[0].protocol_instance_id
        complete_with(s, task, [accept(task.messages[0])])
        pending.join()
        s.history()
        _described(s, STANDBY)
        s.signal()
        complete_with(s, s.poll_quietly(), [respond(update_id)])
        receiver.record(1)
        _described(s, SUCCEEDED)
        s.history()


def at_once(s: Script) -> None:
    """Accepted and completed in one task; a failure as outcome."""
    s.another("success")
    with Receiver(s) as receiver:
        idle(s)
        pending = _update(s, "r", receiver.callback())
        task = s.poll_quietly()
        complete_with(s, task, done(task))
        pending.join()
        receiver.record(1)
        _described(s, SUCCEEDED)
    s.another("failure")
    with Receiver(s) as receiver:
        idle(s)
        pending = _update(s, "r", receiver.callback())
        task = s.poll_quietly()
        complete_with(s, task, [accept(task.messages[0]), fail(task.messages[0].protocol_instance_id)])
        pending.join()
        receiver.record(1)
        _described(s, SUCCEEDED)


def rejected(s: Script) -> None:
    """A rejected update leaves no trace, and tells nobody but its caller."""
    with Receiver(s) as receiver:
        idle(s)
        pending = _update(s, "r", receiver.callback())
        task = s.poll_quietly()
        complete_with(s, task, [reject(task.messages[0])])
        pending.join()
        s.describe()
        s.history()


def closed_run(s: Script) -> None:
    """The run closes over an accepted update: its callback is told that, beside the run's own."""
    with Receiver(s) as receiver:
        idle(s, completion_callbacks=[receiver.callback("/run")])
        _accepted(s, "r", receiver.callback("/update"))
        s.terminate()
        receiver.await_requests(2)
        receiver.record_sorted(2)
        _described(s, SUCCEEDED)


def continued_run(s: Script) -> None:
    """Continue-as-new takes the run's callbacks along, and ends the update."""
    with Receiver(s) as receiver:
        idle(s, completion_callbacks=[receiver.callback("/run")])
        _accepted(s, "r", receiver.callback("/update"))
        s.signal()
        s.complete(s.poll_quietly(), continue_as_new())
        receiver.record(1)
        close = s.await_close()
        s.run_id = close.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        _described(s, STANDBY)


def attached(s: Script) -> None:
    """A second caller of the same update: attached while it is on a worker, and once it is accepted."""
    with Receiver(s) as receiver:
        idle(s)
        # A normal task: of a speculative one the reference forgets who started it.
        s.signal()
        pending = _update(s, "r1", receiver.callback("/1"), wait="ACCEPTED")
        task = s.poll_quietly()
        update_id = task.messages[0].protocol_instance_id
        second = _update(s, "r2", receiver.callback("/2"), wait="ACCEPTED")
        complete_with(s, task, [accept(task.messages[0])])
        pending.join()
        second.join()
        for _ in range(2):
            _update(s, "r3", receiver.callback("/3"), receiver.callback("/4"), wait="ACCEPTED").join()
        s.history()
        _described(s, STANDBY)
        s.signal()
        task = s.poll_quietly()
        complete_with(s, task, [respond(update_id)])
        receiver.record_sorted(4)
        _described(s, SUCCEEDED)
        _update(s, "r5", receiver.callback("/5")).join()
        s.history()
        _described(s, SUCCEEDED)


def attached_while_buffered(s: Script) -> None:
    """Attached to an accepted update while another task is on a worker, which completes it."""
    with Receiver(s) as receiver:
        idle(s)
        update_id = _accepted(s, "r1", receiver.callback("/1"))
        s.signal()
        task = s.poll_quietly()
        _update(s, "r2", receiver.callback("/2"), wait="ACCEPTED").join()
        complete_with(s, task, [respond(update_id)])
        receiver.record_sorted(2)
        _described(s, SUCCEEDED)
        s.history()


def reset(s: Script) -> None:
    """An update that a reset admits again has its callback again; a rejection then tells it."""
    for label in ("completed", "rejected"):
        s.another(label)
        with Receiver(s) as receiver:
            idle(s)
            _accepted(s, "r", receiver.callback())
            reply = s.send(s.reset_request(4), rpc.ResetWorkflowExecutionResponse)
            assert not isinstance(reply, RpcFailed)
            s.run_id = reply.run_id
            s.history()
            _described(s, STANDBY)
            task = s.poll_quietly()
            again = Message(id=f"u-{s.nonce}/request", protocol_instance_id=f"u-{s.nonce}", event_id=5)
            found = [accept(again, False), respond(again.protocol_instance_id)]
            complete_with(s, task, found if label == "completed" else [reject(again)])
            receiver.record(1)
            _described(s, SUCCEEDED)
            s.history()


def refused(s: Script) -> None:
    """Callbacks need a request id."""
    idle(s)
    asked = _request(s, "", Callback(nexus=Callback.Nexus(url="http://127.0.0.1:9/x")))
    request = rpc.UpdateWorkflowExecutionRequest(namespace=NAMESPACE, workflow_execution=s.execution(), request=asked)
    s.call(request, rpc.UpdateWorkflowExecutionResponse, POLL_SECONDS)


def request_ids(s: Script) -> None:
    """The request id of an update without callbacks is shown with its event."""
    idle(s)
    pending = _update(s, "r")
    task = s.poll_quietly()
    complete_with(s, task, done(task))
    pending.join()
    s.describe()
    s.history()
    s.complete(_signalled(s), complete_workflow())


def _signalled(s: Script) -> rpc.PollWorkflowTaskQueueResponse:
    s.signal()
    return s.poll_quietly()
