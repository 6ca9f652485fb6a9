"""How many elements one request may hold: what is walked through for each of them must not hold the loop for long.

A message of 4 MiB has room for two million empty elements, which protobuf reads in milliseconds and which cost a
handler a second for every half microsecond that it spends on one. Honest requests are far from the limits: two thousand
activities with headers are thirty thousand parts. It looks at a request alone, and is asked about large ones only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

FIELD_ELEMENTS_MAX: Final = 20_000
"""Elements of one repeated field or map."""
PARTS_MAX: Final = 100_000
"""Elements and messages within messages of a whole request."""
SMALL_BYTES: Final = FIELD_ELEMENTS_MAX
"""No request up to this size holds so many: an element takes a byte at least."""


MESSAGES_A_PIECE: Final = 5_000
"""Messages that are counted before others have a turn."""


class Crowded(Exception):
    """A request holds too many elements; the text says where."""


def check(request: Any) -> Iterator[None]:
    """Raise Crowded for a request with too many elements; stops behind every so many messages, since to count takes
    almost a microsecond for each of them.
    """
    total = walked = 0
    waiting: list[tuple[Iterator[Any], str]] = [(iter((request,)), "")]
    while waiting:
        messages, path = waiting[-1]
        message = next(messages, None)
        if message is None:
            waiting.pop()
            continue
        walked += 1
        if not walked % MESSAGES_A_PIECE:
            yield
        for field, value in message.ListFields():
            kind = _kind(field)
            if kind == _NOTHING:
                continue
            if kind == _ONE:
                total += 1
                waiting.append((iter((value,)), f"{path}{field.name}."))
                continue
            count = len(value)
            total += count
            if count > FIELD_ELEMENTS_MAX:
                raise Crowded(f"{path}{field.name} has {count} elements, the limit is {FIELD_ELEMENTS_MAX}")
            if total > PARTS_MAX:
                raise Crowded(f"the request has more than {PARTS_MAX} parts")
            if kind != _FLAT:
                waiting.append((iter(value.values() if kind == _MAP else value), f"{path}{field.name}."))


_NOTHING: Final = 0
"""What a field is for the count: at most one thing, in which there is nothing to count."""
_ONE: Final = 1
"""One message that may hold a repeated field."""
_FLAT: Final = 2
"""Elements in which there is nothing to count."""
_MANY: Final = 3
"""Messages that may hold repeated fields."""
_MAP: Final = 4
"""Such messages as the values of a map."""


@cache
def _kind(field: FieldDescriptor) -> int:
    inner = field.message_type
    if inner is None or not _crowdable(inner):
        return _FLAT if field.is_repeated else _NOTHING
    if not field.is_repeated:
        return _ONE
    return _MAP if inner.GetOptions().map_entry else _MANY


@cache
def _crowdable(descriptor: Descriptor) -> bool:
    """Whether a message of this type can hold a repeated field anywhere; the entry of a map does so in its value."""
    if not descriptor.GetOptions().map_entry:
        return _holds_repeated(descriptor, frozenset())
    value = descriptor.fields_by_name["value"].message_type
    return value is not None and _crowdable(value)


def _holds_repeated(descriptor: Descriptor, above: frozenset[str]) -> bool:
    if descriptor.full_name in above:
        return False
    below = above | {descriptor.full_name}
    return any(
        field.is_repeated or (field.message_type is not None and _holds_repeated(field.message_type, below))
        for field in descriptor.fields
    )
