"""What the headers of an HTTP request say to the RPC behind it. Pure.

The rules are grpc-gateway's with Temporal's additions: `Grpc-Metadata-X` arrives as `x`, `Authorization` and the
client's name and version under their own names, the permanent headers of HTTP with a prefix, all others not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from perdure.api.json_read import bytes_of
from perdure.transport.metadata import Metadata

Fields = Sequence[tuple[bytes, bytes]]
"""Names in lower case, as ASGI gives them."""

CLIENT_NAME: Final = b"temporal-server-http"
"""Who calls when the request does not say."""

FORWARDED: Final = frozenset({b"authorization-extras", b"client-name", b"client-version"})
PERMANENT: Final = frozenset(
    {
        b"accept",
        b"accept-charset",
        b"accept-language",
        b"accept-ranges",
        b"authorization",
        b"cache-control",
        b"content-type",
        b"cookie",
        b"date",
        b"expect",
        b"from",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-schedule-tag-match",
        b"if-unmodified-since",
        b"max-forwards",
        b"origin",
        b"pragma",
        b"referer",
        b"user-agent",
        b"via",
        b"warning",
    }
)
"""Request headers that IANA lists as permanent."""
METADATA_PREFIX: Final = b"grpc-metadata-"
PERMANENT_PREFIX: Final = b"grpcgateway-"
RESERVED: Final = (b"grpc-", b":")
"""What a caller may not set through `Grpc-Metadata-`: it belongs to the transport."""

_TEXT: Final = re.compile(rb"[ -~]*")
_TIMEOUT: Final = re.compile(r"([0-9]{1,18})([HMSmun])")
_UNIT_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class BadHeader(ValueError):
    """A header that a call cannot carry. Its text is fit for the caller."""


def metadata_of(headers: Fields, remote_ip: str, server_version: str) -> Metadata:
    """The metadata of the call. Raises BadHeader."""
    fields: list[tuple[bytes, bytes]] = []
    hops: list[str] = []
    host = b""
    for name, value in headers:
        if name == b"x-forwarded-for":
            hops.append(value.decode("latin-1"))
        elif name == b"x-forwarded-host":
            host = value
        elif name == b"authorization":
            fields.append((name, value))
            fields.append((PERMANENT_PREFIX + name, value))
        else:
            passed = _passed(name)
            if passed and _carries(passed, value):
                fields.append((passed, value))
    names = {name for name, _ in fields}
    if b"client-name" not in names:
        fields.append((b"client-name", CLIENT_NAME))
    if b"client-version" not in names:
        fields.append((b"client-version", server_version.encode()))
    host = host or header(headers, b"host")
    if host:
        fields.append((b"x-forwarded-host", host))
    if remote_ip:
        hops.append(remote_ip)
    if hops:
        fields.append((b"x-forwarded-for", ", ".join(hops).encode("latin-1")))
    return Metadata(fields)


def _passed(name: bytes) -> bytes:
    """The metadata name of a header; b"" for one that is not passed on."""
    if name in FORWARDED:
        return name
    if name in PERMANENT:
        return PERMANENT_PREFIX + name
    inner = name.removeprefix(METADATA_PREFIX)
    return inner if inner != name and not inner.startswith(RESERVED) else b""


def _carries(name: bytes, value: bytes) -> bool:
    if name.endswith(b"-bin"):
        if bytes_of(value.decode("latin-1")) is None:
            raise BadHeader(f"invalid binary header {name.decode('latin-1')}: illegal base64 data")
        return True
    return _TEXT.fullmatch(value) is not None


def header(headers: Fields, name: bytes) -> bytes:
    """The first value under a lower-case name, b"" without one."""
    for key, value in headers:
        if key == name:
            return value
    return b""


def timeout_of(headers: Fields) -> float | None:
    """Seconds of `Grpc-Timeout`; None without one. Raises BadHeader."""
    text = header(headers, b"grpc-timeout").decode("latin-1")
    if not text:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise BadHeader(f"invalid grpc-timeout: {text}")
    return int(match[1]) * _UNIT_S[match[2]] or None
