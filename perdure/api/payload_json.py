"""The shorthand of payloads in JSON: `[1, "two", {"three": 3}]` in place of base64 with its metadata.

Plain JSON, proto JSON (with its type in `_protoMessageType`) and null have a short form; every other payload, and a
list that holds one, keeps the long form. Nothing here interprets the data beyond finding out whether it is JSON: bytes
go out as they came in.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

PAYLOAD: Final = "temporal.api.common.v1.Payload"
PAYLOADS: Final = "temporal.api.common.v1.Payloads"
MESSAGE_TYPE_KEY: Final = "_protoMessageType"
_ENCODING: Final = "encoding"
_LONG_NULL: Final = {"metadata": {_ENCODING: "YmluYXJ5L251bGw="}}


def short_payload(payload: Any) -> Any:
    """What stands for a payload; None when only the long form will do."""
    metadata = payload.metadata
    encoding = metadata.get(_ENCODING, b"")
    if encoding == b"binary/null":
        return _LONG_NULL
    if encoding == b"json/plain" and len(metadata) == 1:
        return _raw(payload.data)
    if encoding == b"json/protobuf" and len(metadata) == 2 and metadata.get("messageType"):
        return _typed(payload.data, metadata["messageType"])
    return None


def short_payloads(payloads: Any) -> list[Any] | None:
    """What stands for a list of payloads; None when one of them needs the long form."""
    short = [short_payload(payload) for payload in payloads.payloads]
    return None if None in short else short


def _raw(data: bytes) -> msgspec.Raw | None:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.Raw(data)


def _typed(data: bytes, message_type: bytes) -> dict[str, Any] | None:
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return {**fields, MESSAGE_TYPE_KEY: message_type.decode()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def looks_long(value: Any) -> bool:
    """Whether a JSON value is a payload in its long form: metadata with an encoding, data unless it is null."""
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return False
    metadata = value["metadata"]
    if not all(isinstance(entry, str) for entry in metadata.values()) or _ENCODING not in metadata:
        return False
    if len(value) == 1:
        return bool(metadata[_ENCODING] == _LONG_NULL["metadata"][_ENCODING])
    return len(value) == 2 and isinstance(value.get("data"), str)


def fill_payload(payload: Any, value: Any) -> None:
    """Turn a short form into the payload it stands for. Raises ValueError for what JSON cannot say again."""
    if value is None:
        payload.metadata[_ENCODING] = b"binary/null"
        return
    if isinstance(value, dict) and MESSAGE_TYPE_KEY in value:
        message_type = value[MESSAGE_TYPE_KEY]
        if not isinstance(message_type, str):
            raise ValueError(f'internal key "{MESSAGE_TYPE_KEY}" should have type string')
        value = {key: inner for key, inner in value.items() if key != MESSAGE_TYPE_KEY}
        payload.metadata["messageType"] = message_type.encode()
        payload.metadata[_ENCODING] = b"json/protobuf"
    else:
        payload.metadata[_ENCODING] = b"json/plain"
    payload.data = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
