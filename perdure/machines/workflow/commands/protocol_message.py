"""PROTOCOL_MESSAGE, and the messages themselves: how a worker accepts, rejects, completes updates (semantics 8.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from perdure.api import Message, enums, history, protocol, update
from perdure.api import command as commands
from perdure.api.packed import BadPacking, type_name, unpacked
from perdure.errors import InvalidArgument, ServiceError
from perdure.machines.workflow import callbacks, updates
from perdure.machines.workflow.commands.batch import Batch, CommandRejected
from perdure.machines.workflow.pending_update import ACCEPTED, ADMITTED, SENT, PendingUpdate
from perdure.machines.workflow.update_messages import request_message_id

_CAUSE = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE
_PROTOCOL = "temporal.api.update.v1"
_ACCEPTANCE = "temporal.api.update.v1.Acceptance"
_REJECTION = "temporal.api.update.v1.Rejection"
_RESPONSE = "temporal.api.update.v1.Response"
_CONTENT: Final[Mapping[str, type[Message]]] = {
    _ACCEPTANCE: update.Acceptance,
    _REJECTION: update.Rejection,
    _RESPONSE: update.Response,
}
"""What a worker may say about an update."""
_STATES = {ADMITTED: "Admitted", SENT: "Sent", ACCEPTED: "Accepted"}


def protocol_message(batch: Batch, command: commands.Command) -> None:
    """PROTOCOL_MESSAGE: the place, among the commands, at which a message takes effect. It has no event of its own."""
    if not command.HasField("protocol_message_command_attributes"):
        raise CommandRejected(_CAUSE, "ProtocolMessageCommandAttributes is not set on ProtocolMessageCommand.")
    message_id = command.protocol_message_command_attributes.message_id
    if not message_id:
        raise CommandRejected(_CAUSE, "MessageID is not set on ProtocolMessageCommand.")
    for message in batch.messages:
        if message.id == message_id:
            batch.messages.remove(message)
            _handle(batch, message)
            return
    raise CommandRejected(_CAUSE, f"ProtocolMessageCommand referenced absent message ID {message_id}")


def remaining_messages(batch: Batch) -> None:
    """After all commands: messages that no command has placed, in order."""
    waiting, batch.messages = batch.messages, []
    for message in waiting:
        _handle(batch, message)


def is_rejection(message: protocol.Message) -> bool:
    """Whether this is a rejection, which leaves nothing in history."""
    return type_name(message.body) == _REJECTION


def _handle(batch: Batch, message: protocol.Message) -> None:
    if not message.HasField("body"):
        raise InvalidArgument("nil message body")
    name = type_name(message.body)
    if not name:
        raise InvalidArgument("no message name specified")
    package, _, kind = name.rpartition(".")
    if not package:
        raise InvalidArgument(f'failed to extract protocol type: no . found in "{name}"')
    if message.body.ByteSize() > batch.env.limits.blob_size:
        raise CommandRejected(_CAUSE, f"Message type {name} exceeds size limit.", terminate=True)
    if package != _PROTOCOL:
        raise CommandRejected(_CAUSE, f"unsupported protocol type {package}")
    content = _content(message, kind)
    update_id = message.protocol_instance_id
    # Of a run that has closed, the end of the step answers whoever waits.
    closed = not batch.execution.running and name != _REJECTION
    pending = updates.find_pending(batch.execution, update_id)
    if pending is None:
        completed = batch.execution.completed_updates.get(update_id, 0)
        if completed and not closed:
            raise _out_of_turn(update_id, name, _tentative(batch, completed, "Completed"))
        if completed:
            return
        pending = _resurrected(batch, update_id, content)
    if closed:
        return
    if isinstance(content, update.Acceptance):
        _accept(batch, pending, content)
    elif isinstance(content, update.Rejection):
        _reject(batch, pending, content)
    elif isinstance(content, update.Response):
        _respond(batch, pending, content)
    else:
        raise CommandRejected(_CAUSE, f"Message type *update.{kind} not supported")


def _content(message: protocol.Message, kind: str) -> Message | None:
    """What the message says, None for what no worker has to say; a `kind` that does not exist is refused."""
    try:
        content = unpacked(message.body, _CONTENT)
    except BadPacking:
        text = "unable to unmarshal request: proto: cannot parse invalid wire-format data"
        raise CommandRejected(_CAUSE, text) from None
    if content is None and not hasattr(update, kind):
        raise CommandRejected(_CAUSE, "unable to unmarshal request: proto: not found")
    return content


def _resurrected(batch: Batch, update_id: str, content: Message | None) -> PendingUpdate:
    """An update that this process has forgotten while a worker had it: the worker's message brings its request."""
    request: update.Request | None = None
    if isinstance(content, update.Acceptance) and content.HasField("accepted_request"):
        request = content.accepted_request
    elif isinstance(content, update.Rejection) and content.HasField("rejected_request"):
        request = content.rejected_request
    try:
        updates.check_total(batch.execution, batch.env.limits)
    except ServiceError as error:
        raise CommandRejected(_CAUSE, error.message) from None
    if request is None:
        raise CommandRejected(
            _CAUSE,
            f"update {update_id} wasn't found on the server. This is most likely a transient error which will be "
            "resolved automatically by retries",
        )
    # Nobody has checked the addresses in a worker's copy. Who named them asks again, since his call has failed.
    request.ClearField("completion_callbacks")
    pending = PendingUpdate(update_id, ADMITTED, request.SerializeToString())
    batch.draft.put_update(pending)
    return pending


def _out_of_turn(update_id: str, name: str, state: str) -> CommandRejected:
    kind = name.rpartition(".")[2]
    return CommandRejected(
        _CAUSE,
        f"invalid state transition attempted for Update {update_id}: "
        f"received *update.{kind} message while in state {state}",
    )


def _expect(batch: Batch, pending: PendingUpdate, name: str, *states: int) -> None:
    if pending.state not in states:
        state = _tentative(batch, pending.accepted_event_id, _STATES[pending.state])
        raise _out_of_turn(pending.update_id, name, state)


def _tentative(batch: Batch, event_id: int, state: str) -> str:
    """The state's name; what this very batch has brought about is told as such."""
    return "Provisionally" + state if event_id >= batch.draft.first_event_id else state


def _not_set(name: str, field: str) -> CommandRejected:
    kind = name.rpartition(".")[2]
    return CommandRejected(_CAUSE, f"invalid *update.{kind}: {field} is not set")


def _accept(batch: Batch, pending: PendingUpdate, message: update.Acceptance) -> None:
    """The update is in history from now on, with its request."""
    _expect(batch, pending, _ACCEPTANCE, SENT, ADMITTED)
    if not message.accepted_request_sequencing_event_id:
        raise _not_set(_ACCEPTANCE, "accepted_request_sequencing_event_id")
    if not message.accepted_request_message_id:
        raise _not_set(_ACCEPTANCE, "accepted_request_message_id")
    attributes = history.WorkflowExecutionUpdateAcceptedEventAttributes(
        protocol_instance_id=pending.update_id,
        accepted_request_message_id=request_message_id(pending.update_id),
        accepted_request_sequencing_event_id=message.accepted_request_sequencing_event_id,
    )
    if not pending.admitted_event:
        attributes.accepted_request.MergeFromString(pending.request)
    links = tuple([link for callback in attributes.accepted_request.completion_callbacks for link in callback.links])
    batch.draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, attributes, links=links)
    for request_id, bodies in pending.attached:
        updates.record_callbacks(batch.draft, pending.update_id, request_id, bodies)
        batch.unheeded += 1


def _reject(batch: Batch, pending: PendingUpdate, message: update.Rejection) -> None:
    """The update leaves no trace; its callers get the failure as its outcome."""
    _expect(batch, pending, _REJECTION, SENT, ADMITTED)
    outcome = update.Outcome(failure=message.failure)
    updates.answer(batch.step, batch.execution, pending, outcome.SerializeToString())
    batch.draft.drop_update(pending.update_id)
    callbacks.update_ended(batch.draft, pending.update_id, 0, message.failure.SerializeToString())


def _respond(batch: Batch, pending: PendingUpdate, message: update.Response) -> None:
    """An accepted update has its outcome."""
    _expect(batch, pending, _RESPONSE, ACCEPTED)
    if not message.HasField("meta"):
        raise _not_set(_RESPONSE, "meta")
    if not message.meta.update_id:
        raise _not_set(_RESPONSE, "meta.update_id")
    if message.meta.update_id != pending.update_id:
        raise CommandRejected(_CAUSE, f"invalid *update.Response: meta.update_id != {pending.update_id}")
    if not message.HasField("outcome"):
        raise _not_set(_RESPONSE, "outcome")
    attributes = history.WorkflowExecutionUpdateCompletedEventAttributes(
        meta=message.meta, accepted_event_id=pending.accepted_event_id, outcome=message.outcome
    )
    updates.answer(batch.step, batch.execution, pending, message.outcome.SerializeToString())
    event_id = batch.draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, attributes)
    callbacks.update_ended(batch.draft, pending.update_id, event_id)
