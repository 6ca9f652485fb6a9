"""Which header lists HTTP/2 allows (RFC 9113 sections 8.1 to 8.3).

Each check returns the reason why a list is malformed, or "". Pure; what gRPC asks of headers is in `metadata.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from perdure.transport.hpack import HeaderBlock

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
"""A field name: an RFC 9110 token without upper-case letters."""

_BAD_VALUE = re.compile(rb"[\x00\r]")

_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_REQUEST_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))

_DECIMAL = re.compile(rb"[0-9]{1,18}")

KNOWN_NAMES_MAX: Final = 512
"""Names that passed `_NAME`, remembered for all connections of the process; a stranger cannot grow it further."""

_known_names: set[bytes] = set()


def _regular_fields(fields: Sequence[Any], start: int) -> str:
    """Judge the fields behind the pseudo-header fields."""
    for position in range(start, len(fields)):
        name = fields[position][0]
        if name not in _known_names:
            if _NAME.fullmatch(name) is None:
                return "illegal field name, or a pseudo-header field behind a regular one"
            if name in _CONNECTION_SPECIFIC:
                return "connection-specific field"
            if len(_known_names) < KNOWN_NAMES_MAX:
                _known_names.add(name)
        if name == b"te" and fields[position][1] != b"trailers":
            return "te is other than trailers"
    values = b"\n".join([field[1] for field in fields])
    if _BAD_VALUE.search(values) is not None or values.count(b"\n") >= max(1, len(fields)):
        return "illegal byte in a field value"
    return ""


def check_request(block: HeaderBlock) -> str:
    """Judge the head of a request and note its content-length. A block found good is not looked at again."""
    if block.request_checked:
        return ""
    fields = block.fields
    seen: dict[bytes, bytes] = {}
    position = 0
    for field in fields:
        name = field[0]
        if not name.startswith(b":"):
            break
        if name not in _REQUEST_PSEUDO or name in seen:
            return "unknown or repeated pseudo-header field"
        seen[name] = field[1]
        position += 1
    if b":method" not in seen or (seen[b":method"] != b"CONNECT" and not (seen.get(b":scheme") and seen.get(b":path"))):
        return "a pseudo-header field is missing"
    reason = _regular_fields(fields, position)
    if reason:
        return reason
    lengths = {field[1] for field in fields if field[0] == b"content-length"}
    if lengths:
        value = lengths.pop()
        if lengths or _DECIMAL.fullmatch(value) is None:
            return "bad content-length"
        block.content_length = int(value)
    hosts = {field[1] for field in fields if field[0] == b"host"}
    if len(hosts) > 1:
        return "several host fields that differ"
    block.request_checked = True
    return ""


def check_response(block: HeaderBlock) -> str:
    """Judge the head of a response."""
    fields = block.fields
    if not fields or fields[0][0] != b":status" or _DECIMAL.fullmatch(fields[0][1]) is None:
        return "no :status"
    return _regular_fields(fields, 1)


def check_trailers(block: HeaderBlock) -> str:
    """Judge trailers, of either direction: no pseudo-header field."""
    return _regular_fields(block.fields, 0)


def status_of(block: HeaderBlock) -> int:
    """The :status of a response that `check_response` let pass."""
    return int(block.fields[0][1])
