"""How many elements one request may hold: what is walked through for each of them must not hold the loop for long.

A message of 4 MiB has room for two million empty elements, which protobuf reads in milliseconds and which cost a
handler a second for every half microsecond that it spends on one. Honest requests are far from the limits: two thousand
activities with headers are thirty thousand parts. It looks at a request alone, and is asked about large ones only.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor

FIELD_ELEMENTS_MAX: Final = 20_000
"""Elements of one repeated field or map."""
PARTS_MAX: Final = 100_000
"""Elements and messages within messages of a whole request."""
SMALL_BYTES: Final = FIELD_ELEMENTS_MAX
"""No request up to this size holds so many: an element takes a byte at least."""


class Crowded(Exception):
    """A request holds too many elements; the text says where."""


def check(request: Any) -> None:
    """Raise Crowded for a request with too many elements."""
    _counted(request, 0, "")


def _counted(message: Any, before: int, path: str) -> int:
    """Parts of a message and of what came before it."""
    total = before
    for field, value in message.ListFields():
        inner = field.message_type
        if not field.is_repeated:
            if inner is not None and _crowdable(inner):
                total = _counted(value, total + 1, f"{path}{field.name}.")
            continue
        count = len(value)
        total += count
        if count > FIELD_ELEMENTS_MAX:
            raise Crowded(f"{path}{field.name} has {count} elements, the limit is {FIELD_ELEMENTS_MAX}")
        if total > PARTS_MAX:
            raise Crowded(f"the request has more than {PARTS_MAX} parts")
        if inner is None or not _crowdable(inner):
            continue
        inside = f"{path}{field.name}."
        for one in value.values() if inner.GetOptions().map_entry else value:
            total = _counted(one, total, inside)
    return total


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
