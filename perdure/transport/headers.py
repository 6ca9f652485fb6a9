"""Which header lists HTTP/2 allows (RFC 9113 sections 8.1 to 8.3).

Each check returns the reason why a list is malformed, or "". Pure; what gRPC asks of headers is in `metadata.py`.
"""

from __future__ import annotations

import re
from typing import Final

from perdure.transport.hpack import HeaderBlock

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
"""A field name: an RFC 9110 token without upper-case letters."""

_BAD_VALUE = re.compile(rb"[\x00\r]")

_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_REQUEST_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))

_DECIMAL = re.compile(rb"[0-9]{1,18}")

PLAIN_NAMES_MAX: Final = 512
"""Names that passed `_NAME` and mean nothing here, remembered for all connections of the process. A stranger can fill
the set, not grow it, and then only costs us time."""

_plain_names: set[bytes] = set()


def _regular_fields(block: HeaderBlock, start: int) -> str:
    """Judge the fields behind the pseudo-header fields, and note the content-length."""
    fields = block.fields
    hosts: bytes | None = None
    for position in range(start, len(fields)):
        name = fields[position][0]
        if name in _plain_names:
            continue
        value = fields[position][1]
        if name == b"te":
            if value != b"trailers":
                return "te is other than trailers"
        elif name == b"host":
            if hosts is not None and hosts != value:
                return "several host fields that differ"
            hosts = value
        elif name == b"content-length":
            if _DECIMAL.fullmatch(value) is None or block.content_length not in (-1, int(value)):
                return "bad content-length"
            block.content_length = int(value)
        elif _NAME.fullmatch(name) is None:
            return "illegal field name, or a pseudo-header field behind a regular one"
        elif name in _CONNECTION_SPECIFIC:
            return "connection-specific field"
        elif len(_plain_names) < PLAIN_NAMES_MAX:
            _plain_names.add(name)
    values = b"\n".join([field[1] for field in fields])
    if _BAD_VALUE.search(values) is not None or values.count(b"\n") >= max(1, len(fields)):
        return "illegal byte in a field value"
    return ""


def check_request(block: HeaderBlock) -> str:
    """Judge the head of a request and note its content-length. A block found good is not looked at again."""
    if block.request_checked:
        return ""
    seen: dict[bytes, bytes] = {}
    for field in block.fields:
        name = field[0]
        if not name.startswith(b":"):
            break
        if name not in _REQUEST_PSEUDO or name in seen:
            return "unknown or repeated pseudo-header field"
        seen[name] = field[1]
    if not (seen.get(b":scheme") and seen.get(b":path") and b":method" in seen) and seen.get(b":method") != b"CONNECT":
        return "a pseudo-header field is missing"
    reason = _regular_fields(block, len(seen))
    if not reason:
        block.request_checked = True
    return reason


def check_response(block: HeaderBlock) -> str:
    """Judge the head of a response."""
    fields = block.fields
    if not fields or fields[0][0] != b":status" or _DECIMAL.fullmatch(fields[0][1]) is None:
        return "no :status"
    return _regular_fields(block, 1)


def check_trailers(block: HeaderBlock) -> str:
    """Judge trailers, of either direction: no pseudo-header field."""
    return _regular_fields(block, 0)


def status_of(block: HeaderBlock) -> int:
    """The :status of a response that `check_response` let pass."""
    return int(block.fields[0][1])
