"""Messages from proto JSON, with Temporal's shorthand for payloads: the way back of `json_write`.

One parser reads a request, and it is strict: a name that occurs twice, a number that is none in JSON, text behind the
value, a field that the message does not have are errors, so that nobody in between understands a request differently.
Names may be lowerCamelCase or the proto's; enums may be names (also in the old form, `Running`) or numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from perdure.api.payload_json import PAYLOAD, PAYLOADS, fill_payload, looks_long
from perdure.api.pool import message_class

if TYPE_CHECKING:
    from google.protobuf.message import Message

DEPTH_MAX: Final = 100
"""Messages inside messages; what is deeper could not be read from its serialized form either."""


ELEMENTS_MAX: Final = 20_000
"""Elements of all lists and maps together, for who reads what strangers send: each takes microseconds here. A payload's
own JSON is not counted, it is copied in one piece."""


class BadJson(ValueError):
    """The text is no JSON, or says nothing that the message could hold. Its own text is fit for the caller."""


@final
class _Reading:
    """One text on its way into a message: how payloads are written, and how many elements it may still have."""

    __slots__ = ("left", "shorthand")

    def __init__(self, shorthand: bool, left: float) -> None:
        self.shorthand = shorthand
        self.left = left

    def take(self, count: int) -> None:
        """Raises BadJson when there are too many."""
        self.left -= count
        if self.left < 0:
            raise BadJson("too many elements in lists and maps")


def from_json(message: Message, text: bytes, *, shorthand: bool, elements_max: float = math.inf) -> None:
    """Fill an empty message. Raises BadJson; the message is then of no use."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, BadJson) else _not_json(text, error) from error
    if b"\\ud" in text.lower():
        _refuse_lone_surrogates(value)
    try:
        _fill(message, value, _Reading(shorthand, elements_max), 0)
    except BadJson:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        # protobuf's own refusals: a lone surrogate in a string, a time out of range.
        raise BadJson(f"temporalproto: {error}") from error


def _refuse_lone_surrogates(value: Any) -> None:
    """Half a character is no text in any other encoding, and no protobuf can hold it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadJson("invalid JSON: an escape names half a character") from None


def _not_json(text: bytes, error: Exception) -> BadJson:
    if isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip()):
        return BadJson("unexpected EOF")
    return BadJson(f"invalid JSON: {error}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadJson(f'temporalproto: duplicate field "{name}"')
            seen.add(name)
    return found


def _no_constant(word: str) -> NoReturn:
    raise BadJson(f"invalid JSON: {word} is no value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadJson(f"invalid JSON: {text[:40]} is out of range")
    return number


def _fill(message: Any, value: Any, reading: _Reading, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise BadJson("exceeded max recursion depth")
    descriptor = message.DESCRIPTOR
    name = descriptor.full_name
    if reading.shorthand and name == PAYLOAD and not looks_long(value):
        fill_payload(message, value)
        return
    if reading.shorthand and name == PAYLOADS and not isinstance(value, dict):
        _fill_payloads(message, value, reading, depth)
        return
    special = _SPECIAL.get(name)
    if special is not None:
        special(message, value, reading)
        return
    if not isinstance(value, dict):
        raise BadJson(f"temporalproto: syntax error: unexpected token {_shown(value)}, {descriptor.name} is an object")
    fields = fields_of(descriptor)
    given: set[str] = set()
    for key, inner in value.items():
        field = fields.get(key)
        if field is None:
            raise BadJson(f'temporalproto: unknown field "{key}"')
        if field.name in given:
            raise BadJson(f'temporalproto: duplicate field "{key}"')
        given.add(field.name)
        if inner is not None:
            _set(message, field, inner, reading, depth)


def _set(message: Any, field: FieldDescriptor, value: Any, reading: _Reading, depth: int) -> None:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        _fill_map(getattr(message, field.name), entry, value, reading, depth)
    elif field.is_repeated:
        if not isinstance(value, list):
            raise BadJson(f"temporalproto: syntax error: unexpected token {_shown(value)}, {field.name} is a list")
        reading.take(len(value))
        target = getattr(message, field.name)
        for item in value:
            if entry is not None:
                _fill(target.add(), item, reading, depth + 1)
            else:
                target.append(_scalar(field, item))
    else:
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1 and message.WhichOneof(oneof.name) is not None:
            raise BadJson(f'temporalproto: error parsing "{field.json_name}", oneof {oneof.full_name} is already set')
        if entry is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _fill(inner, value, reading, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, value))


def _fill_map(target: Any, entry: Descriptor, value: Any, reading: _Reading, depth: int) -> None:
    if not isinstance(value, dict):
        raise BadJson(f"temporalproto: syntax error: unexpected token {_shown(value)}, a map is an object")
    reading.take(len(value))
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for key, inner in value.items():
        name = _scalar(key_field, key == "true" if key_field.type == FieldDescriptor.TYPE_BOOL else key)
        if value_field.message_type is not None:
            _fill(target[name], inner, reading, depth + 1)
        else:
            target[name] = _scalar(value_field, inner)


def _fill_payloads(message: Any, value: Any, reading: _Reading, depth: int) -> None:
    if not isinstance(value, list):
        raise BadJson(f"temporalproto: syntax error: unexpected token {_shown(value)}, Payloads is a list or an object")
    reading.take(len(value))
    for item in value:
        _fill(message.payloads.add(), item, reading, depth + 1)


def _fill_any(message: Any, value: Any, reading: _Reading) -> None:
    url = value.get("@type") if isinstance(value, dict) else None
    if not isinstance(url, str):
        raise BadJson('temporalproto: google.protobuf.Any needs "@type"')
    try:
        inner = message_class(url.rpartition("/")[2])()
    except KeyError:
        raise BadJson(f'temporalproto: unable to resolve "{url}"') from None
    rest = {key: item for key, item in value.items() if key != "@type"}
    special = inner.DESCRIPTOR.full_name in _SPECIAL
    plain = _Reading(False, reading.left)
    _fill(inner, rest.get("value") if special else rest, plain, 1)
    reading.left = plain.left
    message.type_url = url
    message.value = inner.SerializeToString()


def _fill_text(message: Any, value: Any, _: _Reading) -> None:
    if not isinstance(value, str):
        raise BadJson(
            f"temporalproto: syntax error: unexpected token {_shown(value)}, {message.DESCRIPTOR.name} is text"
        )
    try:
        message.FromJsonString(value)
    except ValueError:
        raise BadJson(f"temporalproto: invalid {message.DESCRIPTOR.full_name} value {_shown(value)}") from None


_SPECIAL: Final[dict[str, Callable[[Any, Any, _Reading], None]]] = {
    "google.protobuf.Timestamp": _fill_text,
    "google.protobuf.Duration": _fill_text,
    "google.protobuf.FieldMask": _fill_text,
    "google.protobuf.Any": _fill_any,
}


@cache
def fields_of(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    """The fields of a message by both of their names. Do not change it: it is shared."""
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name)}


def _scalar(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        read = enum_number(field.enum_type, value)
    else:
        read = _READ[field.type](value)
    if read is None:
        kind = "enum" if field.enum_type is not None else _KINDS[field.type]
        raise BadJson(f"temporalproto: invalid value for {kind} type: {_shown(value)}")
    return read


def enum_number(enum: EnumDescriptor, value: Any) -> int | None:
    """The number that a name or number means; None when it means none. Numbers need not be known."""
    if isinstance(value, str):
        found = enum.values_by_name.get(value)
        if found is None:
            found = enum.values_by_name.get(_screaming(enum.name) + "_" + _screaming(value))
        return None if found is None else found.number
    return _integer(value, 32, signed=True)


_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _screaming(name: str) -> str:
    """`AllowDuplicate` as `ALLOW_DUPLICATE`."""
    return _WORD_START.sub("_", name).upper()


_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DIGITS_MAX: Final = 400


def _number(text: str) -> int | float | None:
    match = _NUMBER.fullmatch(text) if len(text) <= _DIGITS_MAX else None
    if match is None:
        return None
    return float(text) if match[2] or match[3] else int(text)


def _integer(value: Any, bits: int, signed: bool) -> int | None:
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return value if low <= value <= high else None


_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_MAX: Final = 3.4028235677973366e38


def _float(value: Any, limit: float) -> float | None:
    if isinstance(value, str):
        if value in _WORDS:
            return _WORDS[value]
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if abs(value) < limit else None
    except OverflowError:
        return None


def bytes_of(text: Any) -> bytes | None:
    """The bytes of base64 text, standard or for URLs, padded or not; None when it is neither."""
    if not isinstance(text, str):
        return None
    try:
        raw = text.translate(_URL_LETTERS).encode("ascii")
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None


_URL_LETTERS: Final = str.maketrans("-_", "+/")

_READ: Final[dict[int, Callable[[Any], Any]]] = {
    FieldDescriptor.TYPE_BOOL: lambda value: value if isinstance(value, bool) else None,
    FieldDescriptor.TYPE_STRING: lambda value: value if isinstance(value, str) else None,
    FieldDescriptor.TYPE_BYTES: bytes_of,
    FieldDescriptor.TYPE_INT32: lambda value: _integer(value, 32, True),
    FieldDescriptor.TYPE_SINT32: lambda value: _integer(value, 32, True),
    FieldDescriptor.TYPE_SFIXED32: lambda value: _integer(value, 32, True),
    FieldDescriptor.TYPE_UINT32: lambda value: _integer(value, 32, False),
    FieldDescriptor.TYPE_FIXED32: lambda value: _integer(value, 32, False),
    FieldDescriptor.TYPE_INT64: lambda value: _integer(value, 64, True),
    FieldDescriptor.TYPE_SINT64: lambda value: _integer(value, 64, True),
    FieldDescriptor.TYPE_SFIXED64: lambda value: _integer(value, 64, True),
    FieldDescriptor.TYPE_UINT64: lambda value: _integer(value, 64, False),
    FieldDescriptor.TYPE_FIXED64: lambda value: _integer(value, 64, False),
    FieldDescriptor.TYPE_DOUBLE: lambda value: _float(value, math.inf),
    FieldDescriptor.TYPE_FLOAT: lambda value: _float(value, _FLOAT_MAX),
}

_KINDS: Final[dict[int, str]] = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_SINT32: "sint32",
    FieldDescriptor.TYPE_SFIXED32: "sfixed32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_SINT64: "sint64",
    FieldDescriptor.TYPE_SFIXED64: "sfixed64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
}

_SHOWN_MAX: Final = 100


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"
