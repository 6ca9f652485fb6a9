"""Search attributes: which there are, who may set them, and how their values are read and written (semantics 14.3).

The only module of visibility that looks into payloads. It knows attributes by the names users know; what a namespace
registered comes as a plain dict of name to `enums.IndexedValueType` number. It must not know filters or stores.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, final

from perdure.api import common
from perdure.errors import InvalidArgument
from perdure.machines import json_payloads
from perdure.visibility.times import parse_rfc3339

TEXT: Final = 1
KEYWORD: Final = 2
INT: Final = 3
DOUBLE: Final = 4
BOOL: Final = 5
DATETIME: Final = 6
KEYWORD_LIST: Final = 7

TYPE_NAMES: Final = {
    TEXT: "Text",
    KEYWORD: "Keyword",
    INT: "Int",
    DOUBLE: "Double",
    BOOL: "Bool",
    DATETIME: "Datetime",
    KEYWORD_LIST: "KeywordList",
}
TYPE_NUMBERS: Final = {name: number for number, name in TYPE_NAMES.items()}

SYSTEM: Final = {
    "WorkflowId": KEYWORD,
    "RunId": KEYWORD,
    "WorkflowType": KEYWORD,
    "StartTime": DATETIME,
    "ExecutionTime": DATETIME,
    "CloseTime": DATETIME,
    "ExecutionStatus": KEYWORD,
    "TaskQueue": KEYWORD,
    "HistoryLength": INT,
    "ExecutionDuration": INT,
    "StateTransitionCount": INT,
    "HistorySizeBytes": INT,
    "ParentWorkflowId": KEYWORD,
    "ParentRunId": KEYWORD,
    "RootWorkflowId": KEYWORD,
    "RootRunId": KEYWORD,
}
"""Facts of the execution itself; nobody sets them."""

USER_SETTABLE: Final = {
    "TemporalChangeVersion": KEYWORD_LIST,
    "BinaryChecksums": KEYWORD_LIST,
    "BuildIds": KEYWORD_LIST,
    "BatcherNamespace": KEYWORD,
    "BatcherUser": KEYWORD,
    "TemporalScheduledStartTime": DATETIME,
    "TemporalScheduledById": KEYWORD,
    "TemporalSchedulePaused": BOOL,
    "TemporalNamespaceDivision": KEYWORD,
    "TemporalPauseInfo": KEYWORD_LIST,
    "TemporalReportedProblems": KEYWORD_LIST,
}
"""Predefined attributes that a caller may set as well."""

PREDEFINED: Final = {
    **USER_SETTABLE,
    "TemporalWorkerDeployment": KEYWORD,
    "TemporalWorkerDeploymentVersion": KEYWORD,
    "TemporalWorkflowVersioningBehavior": KEYWORD,
    "TemporalUsedWorkerDeploymentVersions": KEYWORD_LIST,
    "TemporalExternalPayloadCount": INT,
    "TemporalExternalPayloadSizeBytes": INT,
}
"""Attributes that every namespace has without registering them."""

DIVISION: Final = "TemporalNamespaceDivision"
RESERVED_PREFIX: Final = "Temporal"
RESERVED: Final = frozenset({"NamespaceId", "Memo", "MemoEncoding", "VisibilityTaskKey"})

KEYS_MAX: Final = 100
VALUE_BYTES_MAX: Final = 2 * 1024
TOTAL_BYTES_MAX: Final = 40 * 1024

_ENCODING: Final = "encoding"
_TYPE: Final = "type"
_JSON: Final = b"json/plain"
_NULL: Final = b"binary/null"
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_DOUBLE_MAX: Final = 2**1024 - 2**970
_WORDS: Final = re.compile(r"[^\W_]+")

Value = str | int | float | bool | list[str]
"""A decoded value: Datetime as int nanoseconds, KeywordList as a list, the others as themselves."""


@final
class BadValue(ValueError):
    """A payload is no value of the type; never leaves the package."""


class TooLarge(InvalidArgument):
    """Search attributes that are right but too many bytes: in a command no retry can mend that."""


class NoMapping(InvalidArgument):
    """A search attribute that the namespace does not have."""


def is_reserved(name: str) -> bool:
    """Whether no custom attribute may be registered under that name."""
    return name in SYSTEM or name in PREDEFINED or name in RESERVED or name.startswith(RESERVED_PREFIX)


def type_of(name: str, custom: Mapping[str, int]) -> int | None:
    """The type of an attribute that a record may carry (predefined or custom), or None."""
    found = PREDEFINED.get(name)
    return custom.get(name) if found is None and name not in SYSTEM else found


def validate(
    fields: Mapping[str, common.Payload],
    custom: Mapping[str, int],
    namespace: str,
    keys_max: int = KEYS_MAX,
    value_bytes_max: int = VALUE_BYTES_MAX,
    total_bytes_max: int = TOTAL_BYTES_MAX,
) -> None:
    """Check what a caller wants to set: names, values, sizes in bytes, in Temporal's order.

    Raises InvalidArgument with the texts of semantics 14.3.
    """
    for name in fields:
        if name not in SYSTEM and name not in PREDEFINED and name not in custom:
            raise NoMapping(f"Namespace {namespace} has no mapping defined for search attribute {name}")
    if len(fields) > keys_max:
        raise InvalidArgument(f"number of search attributes {len(fields)} exceeds limit {keys_max}")
    for name, payload in fields.items():
        if name in SYSTEM or (name in PREDEFINED and name not in USER_SETTABLE):
            raise InvalidArgument(f"{name} attribute can't be set in SearchAttributes")
        kind = type_of(name, custom)
        assert kind is not None
        try:
            decode(payload, kind)
        except BadValue:
            shown = _shown(payload)
            message = f"invalid value for search attribute {name} of type {TYPE_NAMES[kind]}: {shown}"
            raise InvalidArgument(message) from None
    for name, payload in fields.items():
        if len(payload.data) > value_bytes_max:
            size = len(payload.data)
            raise TooLarge(f"search attribute {name} value size {size} exceeds size limit {value_bytes_max}")
    total = common.SearchAttributes(indexed_fields=fields).ByteSize()
    if total > total_bytes_max:
        raise TooLarge(f"total size of search attributes {total} exceeds size limit {total_bytes_max}")


def decode(payload: common.Payload, kind: int) -> Value | None:
    """The value in a payload for an attribute of that type, None if it unsets the attribute.

    A list of one for a type that holds one value counts as its element. Raises BadValue.
    """
    encoding = payload.metadata.get(_ENCODING, b"")
    if encoding == _NULL:
        return None
    if encoding != _JSON:
        raise BadValue(f"encoding {encoding!r}")
    try:
        raw = _json(payload.data)
    except (ValueError, RecursionError) as error:
        raise BadValue(str(error)) from None
    if raw is None or raw == []:
        return None
    if kind == KEYWORD_LIST:
        if not isinstance(raw, list):
            raise BadValue("not a list")
        return ["" if item is None else _string(item) for item in raw]
    if isinstance(raw, list):
        if len(raw) > 1:
            raise BadValue("more than one value")
        return None if raw[0] is None else _scalar(raw[0], kind)
    return _scalar(raw, kind)


def _json(data: bytes) -> Any:
    """JSON as Go reads it: bytes that are no UTF-8 are replaced, numbers beyond a float64 are errors."""
    return json.loads(data.decode("utf-8", "replace"), parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a float64")
    return number


def _string(raw: object) -> str:
    if not isinstance(raw, str):
        raise BadValue("not a string")
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        return raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return raw


def _scalar(raw: object, kind: int) -> Value:
    if kind in (KEYWORD, TEXT):
        return _string(raw)
    if kind == BOOL:
        if not isinstance(raw, bool):
            raise BadValue("not a bool")
        return raw
    if kind == DATETIME:
        moment = parse_rfc3339(_string(raw))
        if moment is None:
            raise BadValue("not a time")
        return moment
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise BadValue("not a number")
    if kind == INT:
        if not isinstance(raw, int) or not _INT64_MIN <= raw <= _INT64_MAX:
            raise BadValue("not an int64")
        return raw
    if isinstance(raw, int) and abs(raw) > _DOUBLE_MAX:
        raise BadValue("not a float64")
    return float(raw)


def _shown(payload: common.Payload) -> str:
    """A refused value the way Go prints it."""
    encoding = payload.metadata.get(_ENCODING, b"")
    if encoding == b"binary/plain":
        return "[" + " ".join([str(byte) for byte in payload.data]) + "]"
    if encoding == _JSON:
        try:
            return go_text(_json(payload.data))
        except (ValueError, RecursionError):
            pass
    fields = [
        f"metadata:{{key:{_go_bytes(key.encode())}  value:{_go_bytes(payload.metadata[key])}}}"
        for key in sorted(payload.metadata)
    ]
    if payload.data:
        fields.append(f"data:{_go_bytes(payload.data)}")
    return f"value from <{'  '.join(fields)}>"


def _go_bytes(data: bytes) -> str:
    """Bytes in quotes; what is not plain ASCII in octal."""
    escaped = [chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in data]
    return '"' + "".join(escaped) + '"'


def go_text(value: object) -> str:
    """A decoded JSON value as Go's `%v` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _go_float(value)
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{go_text(value[name])}" for name in sorted(value)) + "]"
    return str(value)


def _go_float(value: int | float) -> str:
    """A float64 with as few digits as tell it apart, in powers of ten from a million on and below 1e-4."""
    if isinstance(value, int) and abs(value) > _DOUBLE_MAX:
        return "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(float(value))).normalize()
    sign, digits, _ = number.as_tuple()
    text = "".join([str(digit) for digit in digits])
    power = number.adjusted()
    if text == "0" or -4 <= power < 6:
        return format(number, "f")
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def encode(value: Value, kind: int) -> common.Payload:
    """A payload as servers write it: JSON, and the type's name in the metadata. Datetime has no way back: give text."""
    return json_payloads.attribute(TYPE_NAMES[kind], value)


def merged(
    current: Mapping[str, common.Payload], changes: Mapping[str, common.Payload], custom: Mapping[str, int]
) -> dict[str, common.Payload]:
    """Current attributes with (validated) changes applied: null and [] remove.

    A type is written into the metadata where it says none; a wrong one stays, as it does in the reference.
    """
    result = dict(current)
    for name, payload in changes.items():
        kind = type_of(name, custom)
        unset = payload.metadata.get(_ENCODING, b"") == _NULL or payload.data in (b"null", b"[]")
        if unset:
            result.pop(name, None)
            continue
        typed = common.Payload()
        typed.CopyFrom(payload)
        if kind is not None and not typed.metadata.get(_TYPE):
            typed.metadata[_TYPE] = TYPE_NAMES[kind].encode()
        result[name] = typed
    return result


def set_type(payload: common.Payload, name: str, custom: Mapping[str, int]) -> None:
    """Write the type of the attribute into the payload's metadata, whatever stands there; an unknown name stays."""
    kind = type_of(name, custom)
    if kind is not None:
        write_type(payload, kind)


def write_type(payload: common.Payload, kind: int) -> None:
    """Write a type into the payload's metadata, whatever stands there."""
    payload.metadata[_TYPE] = TYPE_NAMES[kind].encode()


def is_registered(name: str, payload: common.Payload, custom: Mapping[str, int]) -> bool:
    """Whether a written value belongs to the attribute that has the name now: one removed since, or registered again
    with another type, is another.
    """
    kind = type_of(name, custom)
    return kind is not None and payload.metadata.get(_TYPE, b"") == TYPE_NAMES[kind].encode()


def words(text: str) -> str:
    """Text as its lower-case words, one blank before and after each: matching a token is finding its words in it."""
    found = _WORDS.findall(text.lower())
    return " " + " ".join(found) + " " if found else ""


def index_key(name: str, kind: int) -> str:
    """The key of an attribute's value among a record's indexed values: another type is another attribute."""
    return f"{kind}{name}"


def indexed(search_attributes: bytes) -> dict[str, Value]:
    """The comparable values of a serialized `SearchAttributes`, by `index_key`; each payload carries its type.

    Text comes as `words`. What has no known type, no value or the wrong one is left out, as are NUL characters, which
    not every database takes.
    """
    if not search_attributes:
        return {}
    values: dict[str, Value] = {}
    for name, payload in common.SearchAttributes.FromString(search_attributes).indexed_fields.items():
        kind = TYPE_NUMBERS.get(payload.metadata.get(_TYPE, b"").decode("ascii", "replace"))
        if kind is None:
            continue
        try:
            value = decode(payload, kind)
        except BadValue:
            continue
        if value is None:
            continue
        if isinstance(value, str):
            value = words(value) if kind == TEXT else value.replace("\0", "\ufffd")
        elif isinstance(value, list):
            value = [item.replace("\0", "\ufffd") for item in value]
        values[index_key(name, kind)] = value
    return values
