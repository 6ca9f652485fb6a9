"""A run's history as JSON, in the form of `temporal workflow show --output json`: the SDKs' replayers read it."""

from __future__ import annotations

from perdure.api.history import History
from perdure.api.json_write import to_json
from perdure.errors import NotFound
from perdure.machines.workflow.execution import Execution
from perdure.store.inspect import Inspection


def history(store: Inspection, execution: Execution) -> History:
    """All events that are stored. Raises NotFound when the history is gone or has a gap."""
    found = History()
    position = 1
    for branch, bound in execution.branches:
        last = bound or execution.next_event_id - 1
        for fragment in store.history(branch):
            for event in History.FromString(fragment.body).events:
                if position <= event.event_id <= last:
                    if event.event_id != position:
                        raise NotFound(f"events {position} to {event.event_id - 1} are missing")
                    found.events.append(event)
                    position += 1
    if position < execution.next_event_id:
        raise NotFound(f"events {position} to {execution.next_event_id - 1} are missing")
    return found


def exported(store: Inspection, execution: Execution) -> str:
    """The JSON text."""
    return to_json(history(store, execution), shorthand=False, pretty=True).decode()
