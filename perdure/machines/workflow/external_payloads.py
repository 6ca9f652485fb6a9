"""Payloads whose data is kept elsewhere: how many a run's history names, and how large they are (semantics 11.5).

Payloads are not decoded; what they say of their data outside is a field of the message. Nearly no event has any, so an
event's bytes are searched for what such a field looks like, and only an event that may have one is walked.
"""

from __future__ import annotations

import re
from typing import Any

from perdure.api import common, history
from perdure.machines.workflow.execution import Execution

_MAYBE = re.compile(rb"\x1a(?<!\x0a\x02\x08.\x11.{8}\x1a)(?:\x00|[\x02-\x0b]\x08)", re.DOTALL).search
"""Field 3 of a payload, holding nothing or a varint of its own field 1. Other bytes may look so too. The maximum
interval of a retry policy, which nearly every activity has, is told from it by what stands before it: an interval and a
coefficient. The pattern begins with the byte that it needs, so that the search runs from one of these to the next.
"""

NONE = (0, 0)


def note(execution: Execution, event: history.HistoryEvent, body: bytes) -> None:
    """Count what the event of these bytes has."""
    if _MAYBE(body) is None:
        return
    count, size = _walk(event)
    if count:
        execution.external_payload_count += count
        execution.external_payload_bytes += size


def _walk(message: Any) -> tuple[int, int]:
    """(how many, bytes) in a message and what it holds; search attributes are not looked at."""
    if isinstance(message, common.Payload):
        return len(message.external_payloads), sum([one.size_bytes for one in message.external_payloads])
    if isinstance(message, common.SearchAttributes):
        return NONE
    count = size = 0
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for one in _messages(field, value):
            more, larger = _walk(one)
            count, size = count + more, size + larger
    return count, size


def _messages(field: Any, value: Any) -> list[Any]:
    """The messages that a field holds: one, several, or the values of a map."""
    if not field.is_repeated:
        return [value]
    if not field.message_type.GetOptions().map_entry:
        return list(value)
    return list(value.values()) if field.message_type.fields_by_name["value"].message_type is not None else []


def encode(execution: Execution) -> object | None:
    """The run's section of stored state, None when it has none."""
    count = execution.external_payload_count
    return (count, execution.external_payload_bytes) if count else None


def decode(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.external_payload_count, execution.external_payload_bytes = stored[0], stored[1]
