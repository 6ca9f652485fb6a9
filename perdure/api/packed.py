"""What somebody else has packed into an `Any`: read with care, since nothing has looked at its bytes before."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError, Message

from perdure.api import Any


class BadPacking(Exception):
    """The bytes are not a message of the type that they are said to be."""


def type_name(packed: Any) -> str:
    """The full name of the type, "" when none is said."""
    return packed.type_url.rpartition("/")[2]


def unpacked(packed: Any, kinds: Mapping[str, type[Message]]) -> Message | None:
    """The message, None when its type is none of `kinds` (by full name). Raises BadPacking."""
    kind = kinds.get(type_name(packed))
    if kind is None:
        return None
    try:
        return kind.FromString(packed.value)
    except DecodeError:
        raise BadPacking from None
