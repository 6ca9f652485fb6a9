"""A worker's messages about updates, for the tests of the pure machine. Built from what a delivery brought."""

from __future__ import annotations

from perdure.api import Any as Packed
from perdure.api import Message as AnyMessage
from perdure.api import command as commands
from perdure.api import common, enums, failures, protocol, update
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery


def requests(delivery: WorkflowTaskDelivery) -> list[protocol.Message]:
    """The messages of a delivery."""
    return [protocol.Message.FromString(body) for body in delivery.messages]


def _message(update_id: str, kind: str, body: AnyMessage) -> protocol.Message:
    packed = Packed(type_url="type.googleapis.com/" + body.DESCRIPTOR.full_name, value=body.SerializeToString())
    return protocol.Message(id=f"{update_id}/{kind}", protocol_instance_id=update_id, body=packed)


def accept(update_id: str = "u", after: int = 1, request: update.Request | None = None) -> protocol.Message:
    """An acceptance; `after` is the sequencing event id."""
    body = update.Acceptance(
        accepted_request_message_id=f"{update_id}/request",
        accepted_request_sequencing_event_id=after,
        accepted_request=request,
    )
    return _message(update_id, "accept", body)


def reject(update_id: str = "u", request: update.Request | None = None) -> protocol.Message:
    body = update.Rejection(failure=failures.application_failure("not that", "Kind"), rejected_request=request)
    return _message(update_id, "reject", body)


def respond(update_id: str = "u") -> protocol.Message:
    return _message(update_id, "complete", update.Response(meta=update.Meta(update_id=update_id), outcome=outcome()))


def outcome() -> update.Outcome:
    """What `respond` gives."""
    return update.Outcome(success=common.Payloads(payloads=[common.Payload(data=b"out")]))


def place(message: protocol.Message) -> commands.Command:
    """The command that places a message among the others."""
    command = commands.Command(command_type=enums.COMMAND_TYPE_PROTOCOL_MESSAGE)
    command.protocol_message_command_attributes.message_id = message.id
    return command
