"""Updates on their way to a worker: the messages of a workflow task (semantics 8.2). Decides nothing about outcomes."""

from __future__ import annotations

from perdure.api import Any, protocol
from perdure.machines.env import Limits
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.pending_update import ADMITTED, SENT, PendingUpdate

_REQUEST_TYPE = "type.googleapis.com/temporal.api.update.v1.Request"


def request_message_id(update_id: str) -> str:
    """The id of the message that carries an update's request."""
    return update_id + "/request"


def to_send(execution: Execution, again: bool) -> bool:
    """Whether a workflow task that starts now has updates to carry; `again` counts those that an earlier one took."""
    return any(_goes(pending, again) for pending in execution.updates)


def messages(execution: Execution, again: bool, started_event_id: int) -> tuple[bytes, ...]:
    """Serialized `temporal.api.protocol.v1.Message`s in order of admission.

    A request that stands in history (UPDATE_ADMITTED) needs no message.
    """
    found: list[bytes] = []
    for pending in execution.updates:
        if _goes(pending, again) and not pending.admitted_event:
            message = protocol.Message(
                id=request_message_id(pending.update_id),
                protocol_instance_id=pending.update_id,
                event_id=started_event_id - 1,
                body=Any(type_url=_REQUEST_TYPE, value=pending.request),
            )
            found.append(message.SerializeToString())
    return tuple(found)


def mark_sent(execution: Execution) -> None:
    """Whatever could go has gone."""
    if execution.updates:
        execution.updates = tuple([one.at(SENT) if one.state == ADMITTED else one for one in execution.updates])


def suggests_continue_as_new(execution: Execution, limits: Limits) -> bool:
    """Whether the run has nearly had all the updates that it may have."""
    if not limits.updates_total or limits.updates_suggest <= 0:
        return False
    return len(execution.updates) + execution.update_count >= limits.updates_total * limits.updates_suggest


def _goes(pending: PendingUpdate, again: bool) -> bool:
    return pending.state == ADMITTED or (again and pending.state == SENT)
