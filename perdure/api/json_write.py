"""Messages as proto JSON, with Temporal's shorthand for payloads.

protobuf's own `json_format` knows no shorthand and takes twice the time. Here the form of each message type is worked
out once, from its descriptor, and the text is made by `msgspec`. Users' data is never re-encoded: a JSON payload is
copied into the answer byte by byte, so no digit of a large number is lost.

Field names are lowerCamelCase, enums are names, 64-bit integers are strings, bytes are base64, fields with their
default are left out: what the reference's HTTP API and the Web UI's server write.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from perdure.api.payload_json import PAYLOAD, PAYLOADS, short_payload, short_payloads
from perdure.api.pool import message_class

if TYPE_CHECKING:
    from google.protobuf.message import Message

INDENT: Final = 2
"""Blanks per level of a pretty text."""

Write = Callable[[Any], Any]
"""From a field's value to what `msgspec` writes."""

_INTEGERS_64: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)


def to_json(message: Message, *, shorthand: bool, pretty: bool = False) -> bytes:
    """The message as UTF-8 text. Raises ValueError for a time that has no JSON form (year 10000 and later)."""
    text = msgspec.json.encode(_writer(shorthand).message(message))
    return msgspec.json.format(text, indent=INDENT) if pretty else text


def to_plain(message: Message) -> Any:
    """The message without any shorthand, as dicts, lists, texts and numbers: to become part of other JSON."""
    return _writer(shorthand=False).message(message)


@cache
def _writer(shorthand: bool) -> _Writer:
    return _Writer(shorthand)


@final
class _Writer:
    """The forms of all message types, with or without the shorthand."""

    def __init__(self, shorthand: bool) -> None:
        self._fields: dict[str, dict[int, tuple[str, Write]]] = {}
        self._special: dict[str, Write] = {
            "google.protobuf.Timestamp": _as_json_string,
            "google.protobuf.Duration": _as_json_string,
            "google.protobuf.FieldMask": _as_json_string,
            "google.protobuf.Any": self._any,
        }
        self._shorthand = shorthand

    def message(self, message: Any) -> Any:
        """Any message."""
        name: str = message.DESCRIPTOR.full_name
        special = self._special.get(name)
        if special is not None:
            return special(message)
        if self._shorthand:
            short = short_payload(message) if name == PAYLOAD else short_payloads(message) if name == PAYLOADS else None
            if short is not None:
                return short
        return self._object(message)

    def _object(self, message: Any) -> dict[str, Any]:
        descriptor = message.DESCRIPTOR
        fields = self._fields.get(descriptor.full_name)
        if fields is None:
            fields = self._fields[descriptor.full_name] = self._learn(descriptor)
        written = {}
        for field, value in message.ListFields():
            name, write = fields[field.number]
            written[name] = write(value)
        return written

    def _learn(self, descriptor: Descriptor) -> dict[int, tuple[str, Write]]:
        return {field.number: (field.json_name, self._field(field)) for field in descriptor.fields}

    def _field(self, field: FieldDescriptor) -> Write:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return _map_writer(self._single(entry.fields_by_name["value"]))
        single = self._single(field)
        return _list_writer(single) if field.is_repeated else single

    def _single(self, field: FieldDescriptor) -> Write:
        if field.message_type is not None:
            return self.message
        if field.enum_type is not None:
            return _enum_writer(field.enum_type)
        if field.type in _INTEGERS_64:
            return str
        if field.type == FieldDescriptor.TYPE_BYTES:
            return _encoded
        if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
            return _number
        return _as_it_is

    def _any(self, message: Any) -> dict[str, Any]:
        """The message inside, with its type; what cannot be read stays base64."""
        url: str = message.type_url
        try:
            inner = message_class(url.rpartition("/")[2]).FromString(message.value)
        except Exception:  # noqa: BLE001 - any bytes may be inside: an unknown type and a broken one are shown alike
            return {"@type": url, "value": _encoded(message.value)}
        body = self.message(inner)
        return {"@type": url, **body} if isinstance(body, dict) else {"@type": url, "value": body}


def _as_it_is(value: Any) -> Any:
    return value


def _as_json_string(message: Any) -> Any:
    return message.ToJsonString()


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _enum_writer(enum: EnumDescriptor) -> Write:
    names = {value.number: value.name for value in reversed(list(enum.values))}
    return lambda number: names.get(number, number)


def _list_writer(single: Write) -> Write:
    return lambda values: [single(value) for value in values]


def _map_writer(single: Write) -> Write:
    def write(entries: Mapping[Any, Any]) -> dict[str, Any]:
        return {_key(key): single(entries[key]) for key in sorted(entries)}

    return write


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
