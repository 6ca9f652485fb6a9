"""Fields of a message from text: what stands in the path and in the query of an HTTP request.

The rules are grpc-gateway's: `execution.runId=x` goes into a nested message, `a[key]=value` into a map, a name that
the message does not have is ignored, a value that the field cannot hold is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from perdure.api.json_read import bytes_of, fields_of
from perdure.api.pool import message_class

if TYPE_CHECKING:
    from google.protobuf.message import Message


class BadField(ValueError):
    """The text is no value of the field. Its own text is fit for the caller."""


_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_UNSIGNED: Final = re.compile(r"[0-9]{1,20}")
_FLOAT: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?|[+-]?(inf|infinity|nan)", re.I)
_SPAN: Final = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|ms|s|m|h)")
_SPAN_CHARS_MAX: Final = 200
"""Of a duration: the pattern takes the square of the digits in a row."""
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def set_path(message: Message, path: str, value: str) -> None:
    """Set the field that a path template names; it wins over what the body said. Raises BadField."""
    _populate(message, _checked(path).split("."), [_checked(value)])


def set_query(message: Message, pairs: Sequence[tuple[str, str]], bound: Sequence[str]) -> None:
    """Set what a query says, except the fields that the path or the body has bound already. Raises BadField."""
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(_checked(key), []).append(_checked(value))
    taken = [path.split(".") for path in bound]
    descriptor: Any = message.DESCRIPTOR
    for key, given in values.items():
        if key.endswith("]") and "[" in key:
            key, _, inner = key[:-1].rpartition("[")
            given = [inner, *given]
        path = _proto_names(descriptor, key.split("."))
        if not any(path[: len(prefix)] == prefix for prefix in taken):
            _populate(message, path, given)


def _checked(text: str) -> str:
    """Raises BadField for half a character, which no protobuf can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadField("invalid UTF-8") from None
    return text


def _proto_names(descriptor: Descriptor, path: list[str]) -> list[str]:
    names = []
    inside: Descriptor | None = descriptor
    for part in path:
        field = None if inside is None else fields_of(inside).get(part)
        if field is None:
            return path
        names.append(field.name)
        inside = None if field.is_repeated else field.message_type
    return names


def _populate(message: Any, path: list[str], values: list[str]) -> None:
    field = None
    for depth, name in enumerate(path):
        field = fields_of(message.DESCRIPTOR).get(name)
        if field is None:
            return
        _check_oneof(message, field)
        if depth == len(path) - 1:
            break
        if field.message_type is None or field.is_repeated:
            raise BadField(f'invalid path: "{name}" is not a message')
        message = getattr(message, field.name)
        message.SetInParent()
    assert field is not None, "split gives one part at least"
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        _populate_map(getattr(message, field.name), field, entry, values)
    elif field.is_repeated:
        for value in values:
            _append(getattr(message, field.name), field, value)
    elif len(values) > 1:
        raise BadField(f'too many values for field "{field.name}": {", ".join(values)}')
    elif entry is not None:
        getattr(message, field.name).CopyFrom(_wrapped(field, "field", values[0]))
    else:
        setattr(message, field.name, _wrapped(field, "field", values[0]))


def _check_oneof(message: Any, field: FieldDescriptor) -> None:
    oneof = field.containing_oneof
    if oneof is None or len(oneof.fields) == 1:
        return
    set_field = message.WhichOneof(oneof.name)
    if set_field is not None and (field.message_type is None or set_field != field.name):
        raise BadField(f'field already set for oneof "{oneof.name}"')


def _populate_map(target: Any, field: FieldDescriptor, entry: Descriptor, values: list[str]) -> None:
    if len(values) != 2:
        raise BadField(f'more than one value provided for key "{values[0]}" in map "{field.full_name}"')
    key = _wrapped(entry.fields_by_name["key"], "map key", values[0], field.name)
    value_field = entry.fields_by_name["value"]
    value = _wrapped(value_field, "map value", values[1], field.name)
    if value_field.message_type is not None:
        target[key].CopyFrom(value)
    else:
        target[key] = value


def _append(target: Any, field: FieldDescriptor, value: str) -> None:
    read = _wrapped(field, "list", value)
    if field.message_type is not None:
        target.add().CopyFrom(read)
    else:
        target.append(read)


def _wrapped(field: FieldDescriptor, what: str, text: str, name: str = "") -> Any:
    try:
        return _parse(field, text)
    except ValueError as wrong:
        raise BadField(f'parsing {what} "{name or field.name}": {wrong}') from None


def _parse(field: FieldDescriptor, text: str) -> Any:
    """Raises ValueError with the reason."""
    if field.enum_type is not None:
        return _enum(field.enum_type, text)
    if field.message_type is not None:
        return _message(field.message_type, text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    if field.type == FieldDescriptor.TYPE_STRING:
        return text
    if field.type == FieldDescriptor.TYPE_BYTES:
        read = bytes_of(text)
        if read is None:
            raise ValueError("illegal base64 data")
        return read
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        if _FLOAT.fullmatch(text) is None:
            raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
        return float(text)
    return _integer(field, text)


_BITS: Final = {
    FieldDescriptor.TYPE_INT32: (32, True),
    FieldDescriptor.TYPE_SINT32: (32, True),
    FieldDescriptor.TYPE_SFIXED32: (32, True),
    FieldDescriptor.TYPE_UINT32: (32, False),
    FieldDescriptor.TYPE_FIXED32: (32, False),
    FieldDescriptor.TYPE_INT64: (64, True),
    FieldDescriptor.TYPE_SINT64: (64, True),
    FieldDescriptor.TYPE_SFIXED64: (64, True),
    FieldDescriptor.TYPE_UINT64: (64, False),
    FieldDescriptor.TYPE_FIXED64: (64, False),
}


def _integer(field: FieldDescriptor, text: str) -> int:
    bits, signed = _BITS[field.type]
    function = "strconv.ParseInt" if signed else "strconv.ParseUint"
    if (_INTEGER if signed else _UNSIGNED).fullmatch(text) is None:
        raise ValueError(f'{function}: parsing "{text}": invalid syntax')
    value = int(text)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise ValueError(f'{function}: parsing "{text}": value out of range')
    return value


def _enum(enum: EnumDescriptor, text: str) -> int:
    found = enum.values_by_name.get(text)
    if found is None and _INTEGER.fullmatch(text) is not None:
        found = enum.values_by_number.get(int(text))
    if found is None:
        raise ValueError(f'"{text}" is not a valid value')
    return found.number


def _message(descriptor: Descriptor, text: str) -> Message:
    name = descriptor.full_name
    message: Any = message_class(name)()
    if name == "google.protobuf.Timestamp":
        try:
            message.FromJsonString(text)
        except ValueError:
            raise ValueError(f'parsing time "{text}": it is not RFC 3339') from None
    elif name == "google.protobuf.Duration":
        message.FromNanoseconds(_span_ns(text))
    elif name == "google.protobuf.FieldMask":
        message.paths.extend(text.split(","))
    else:
        raise ValueError(f'unsupported message type: "{name}"')
    return message  # type: ignore[no-any-return]


def _span_ns(text: str) -> int:
    """Nanoseconds of a duration as Go writes it: `1h2m3.5s`. Raises ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, at = 0.0, 0
    while at < len(rest) <= _SPAN_CHARS_MAX:
        match = _SPAN.match(rest, at)
        if match is None or match[1] in ("", "."):
            break
        total += float(match[1]) * _UNIT_NS[match[2]]
        at = match.end()
    if not rest or at < len(rest) or total >= 1 << 63:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * round(total)
