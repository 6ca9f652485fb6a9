"""How the scripted worker answers updates: a pure function of what a task shows and brings.

An update named `NOW` is accepted and completed at once. One named `LATER` is accepted, starts a timer of its own, and
is completed once that has fired, so that it lives in stored state for a while. Nothing is remembered between tasks:
what was accepted and completed is read from the history, as an SDK that replays would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from perdure.api import Message, enums, history, protocol, update
from perdure.api import command as commands
from perdure.testing.programs import Sleep, payloads, timer

NOW: Final = "now"
LATER: Final = "later"
LATER_S: Final = 2.0
"""How long an update of the second kind takes."""


@final
class Answers:
    """What goes into the completion of a task: `commands` stand in front of all others. `completed` updates ended."""

    __slots__ = ("commands", "completed", "messages")

    def __init__(self) -> None:
        self.messages: list[protocol.Message] = []
        self.commands: list[commands.Command] = []
        self.completed = 0

    def say(self, update_id: str, kind: str, content: Message) -> None:
        """Send a message of an update, at this place among the commands."""
        message = protocol.Message(id=f"{update_id}/{kind}", protocol_instance_id=update_id)
        message.body.Pack(content)
        self.messages.append(message)
        place = commands.Command(command_type=enums.COMMAND_TYPE_PROTOCOL_MESSAGE)
        place.protocol_message_command_attributes.message_id = message.id
        self.commands.append(place)

    def complete(self, update_id: str, events: Sequence[history.HistoryEvent]) -> None:
        """The outcome names the events that were seen, so that two of the same update would differ."""
        response = update.Response(meta=update.Meta(update_id=update_id))
        response.outcome.success.CopyFrom(payloads(f"{update_id} after {len(events)}"))
        self.say(update_id, "complete", response)
        self.completed += 1


def answers_of(events: Sequence[history.HistoryEvent], requests: Sequence[protocol.Message]) -> Answers:
    """The answers of one workflow task that was shown these events and brought these requests."""
    answers = Answers()
    for update_id in _due(events):
        answers.complete(update_id, events)
    for request in requests:
        asked = update.Request()
        request.body.Unpack(asked)
        update_id = asked.meta.update_id
        acceptance = update.Acceptance(
            accepted_request_message_id=request.id,
            accepted_request_sequencing_event_id=request.event_id,
            accepted_request=asked,
        )
        answers.say(update_id, "accept", acceptance)
        if asked.input.name == LATER:
            answers.commands.append(timer(Sleep(update_id, LATER_S)))
        else:
            answers.complete(update_id, events)
    return answers


def _due(events: Sequence[history.HistoryEvent]) -> list[str]:
    """Updates that were accepted, are not completed, and whose timer has fired."""
    accepted: list[str] = []
    completed: set[str] = set()
    fired: set[str] = set()
    for event in events:
        kind = event.event_type
        if kind == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            taken = event.workflow_execution_update_accepted_event_attributes
            accepted.append(taken.accepted_request.meta.update_id)
        elif kind == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            completed.add(event.workflow_execution_update_completed_event_attributes.meta.update_id)
        elif kind == enums.EVENT_TYPE_TIMER_FIRED:
            fired.add(event.timer_fired_event_attributes.timer_id)
    return [update_id for update_id in accepted if update_id in fired and update_id not in completed]
