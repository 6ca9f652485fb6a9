"""What scenarios about updates are made of: requests, and the messages with which a worker answers them.

A worker's messages are built from what a poll brought, as an SDK builds them. Nothing here judges an answer.
"""

from __future__ import annotations

from typing import Any as Anything

from google.protobuf.message import Message as AnyMessage
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import (
    Acceptance,
    Input,
    Meta,
    Outcome,
    Rejection,
    Request,
    Response,
    UpdateRef,
    WaitPolicy,
)
from temporalio.api.workflowservice import v1 as rpc

from . import values
from .script import NAMESPACE, POLL_SECONDS, Pending, Script, filled

Poll = rpc.PollWorkflowTaskQueueResponse


def stage(name: str) -> WaitPolicy:
    """A wait policy by the end of the stage's enum name."""
    return WaitPolicy(
        lifecycle_stage=Stage.Value(f"UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_{name}"),
    )


def body(s: Script, update_id: str = "u", text: str = '"in"') -> Request:
    """An update's request with an id of this run of the scenario."""
    return Request(
        meta=Meta(update_id=update_id and f"{update_id}-{s.nonce}", identity="updater"),
        input=Input(name="change", args=values.payloads(text)),
    )


def update_request(
    s: Script, update_id: str = "u", wait: str = "COMPLETED", **fields: Anything
) -> rpc.UpdateWorkflowExecutionRequest:
    """UpdateWorkflowExecution of the script's run."""
    return filled(
        rpc.UpdateWorkflowExecutionRequest,
        fields,
        namespace=NAMESPACE,
        workflow_execution=s.execution(),
        wait_policy=stage(wait),
        request=body(s, update_id),
    )


def update(
    s: Script, update_id: str = "u", wait: str = "COMPLETED", **fields: Anything
) -> Pending[rpc.UpdateWorkflowExecutionResponse]:
    """An update under way: a worker must answer it before it is joined."""
    request = update_request(s, update_id, wait, **fields)
    return s.background(request, rpc.UpdateWorkflowExecutionResponse, POLL_SECONDS)


def admitted(
    s: Script, update_id: str = "u", wait: str = "COMPLETED", **fields: Anything
) -> Pending[rpc.UpdateWorkflowExecutionResponse]:
    """The same, and the server has it: asked until it says so, unrecorded."""
    pending = update(s, update_id, wait, **fields)
    s.eventually(
        poll_request(s, update_id, "UNSPECIFIED"), rpc.PollWorkflowExecutionUpdateResponse, bool_of, record=False
    )
    return pending


def bool_of(reply: rpc.PollWorkflowExecutionUpdateResponse) -> bool:
    """Whether the update is known."""
    return bool(reply.update_ref.update_id)


def poll_request(
    s: Script, update_id: str = "u", wait: str = "COMPLETED", **fields: Anything
) -> rpc.PollWorkflowExecutionUpdateRequest:
    """PollWorkflowExecutionUpdate of the script's run."""
    return filled(
        rpc.PollWorkflowExecutionUpdateRequest,
        fields,
        namespace=NAMESPACE,
        update_ref=UpdateRef(workflow_execution=s.execution(), update_id=f"{update_id}-{s.nonce}"),
        wait_policy=stage(wait),
    )


def poll_update(s: Script, update_id: str = "u", wait: str = "COMPLETED", **fields: Anything) -> None:
    """Ask how far an update has come, and record the answer."""
    s.call(poll_request(s, update_id, wait, **fields), rpc.PollWorkflowExecutionUpdateResponse, POLL_SECONDS)


# A worker's messages


def message(request: Message, kind: str, content: AnyMessage) -> Message:
    """A message of the protocol that `request` began."""
    built = Message(id=f"{request.protocol_instance_id}/{kind}", protocol_instance_id=request.protocol_instance_id)
    built.body.Pack(content)
    return built


def accept(request: Message, with_request: bool = True) -> Message:
    content = Acceptance(accepted_request_message_id=request.id, accepted_request_sequencing_event_id=request.event_id)
    if with_request:
        request.body.Unpack(content.accepted_request)
    return message(request, "accept", content)


def reject(request: Message) -> Message:
    content = Rejection(
        rejected_request_message_id=request.id,
        rejected_request_sequencing_event_id=request.event_id,
        failure=values.failure("not that"),
    )
    request.body.Unpack(content.rejected_request)
    return message(request, "reject", content)


def respond(update_id: str, text: str = '"out"') -> Message:
    """The completion of an update by its full id."""
    content = Response(meta=Meta(update_id=update_id), outcome=Outcome(success=values.payloads(text)))
    return message(Message(protocol_instance_id=update_id), "complete", content)


def fail(update_id: str) -> Message:
    """The completion of an update with a failure."""
    content = Response(meta=Meta(update_id=update_id), outcome=Outcome(failure=values.failure("no luck")))
    return message(Message(protocol_instance_id=update_id), "complete", content)


def places(*messages: Message) -> list[Command]:
    """PROTOCOL_MESSAGE commands for these messages, in order."""
    return [values.command("PROTOCOL_MESSAGE", message_id=one.id) for one in messages]


def done(task: Poll) -> list[Message]:
    """Acceptance and completion of every update that a task brought."""
    found: list[Message] = []
    for request in task.messages:
        found += [accept(request), respond(request.protocol_instance_id)]
    return found


def complete_with(s: Script, task: Poll, messages: list[Message], *commands: Command, **fields: Anything) -> Poll:
    """Complete a task with messages, each placed by a command unless it is a rejection; then these commands."""
    placed = [one for one in messages if not one.body.Is(Rejection.DESCRIPTOR)]
    reply = s.complete(task, *places(*placed), *commands, messages=messages, **fields)
    return reply.workflow_task


def idle(s: Script, **fields: Anything) -> None:
    """A run whose first workflow task is over (history 1 to 4), unrecorded but for the completion."""
    s.complete(s.begin_quietly(**fields))
