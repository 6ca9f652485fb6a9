"""What gRPC puts into HTTP/2 headers: metadata, timeouts, percent-encoding, binary values.

Pure. The rules are those of the gRPC protocol description "gRPC over HTTP2".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, final

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_TIMEOUT_UNIT_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

TIMEOUT_DIGITS_MAX: Final = 99_999_999
"""The largest number that grpc-timeout may carry (eight digits)."""

_PLAIN_TEXT = re.compile(r"[ -$&-~]*")
_ENCODED_BYTE = re.compile(r"%([0-9A-Fa-f]{2})")
_VALUE_UNSAFE = re.compile(r"[^ -~]")

STATUS_MESSAGE_BYTES_MAX: Final = 4_096
"""grpc-message is cut to this, so that it fits the 8 KiB that clients allow their trailers, even when encoded."""


class BadTimeout(ValueError):
    """grpc-timeout that is not one to eight digits and a unit."""


def parse_timeout(value: bytes) -> float:
    """Seconds of a grpc-timeout value. Raises BadTimeout."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise BadTimeout(value)
    return int(match[1]) * _TIMEOUT_UNIT_S[match[2]]


def format_timeout(seconds: float) -> bytes:
    """A grpc-timeout value in the finest unit that fits, never above `seconds` by more than one unit."""
    for unit, scale in ((b"u", 1e-6), (b"m", 1e-3), (b"S", 1.0)):
        amount = max(0, round(seconds / scale))
        if amount <= TIMEOUT_DIGITS_MAX:
            return b"%d%s" % (amount, unit)
    return b"%dH" % min(TIMEOUT_DIGITS_MAX, round(seconds / 3600.0))


def encode_message(message: str) -> bytes:
    """Percent-encode a status message for grpc-message."""
    if _PLAIN_TEXT.fullmatch(message) is not None and len(message) <= STATUS_MESSAGE_BYTES_MAX:
        return message.encode("ascii")
    raw = message.encode("utf-8", "replace")[:STATUS_MESSAGE_BYTES_MAX]
    return b"".join(
        [bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in _whole_runes(raw)]
    )


def _whole_runes(raw: bytes) -> bytes:
    """Drop a character that a cut has left incomplete."""
    return raw.decode("utf-8", "ignore").encode("utf-8")


def decode_message(value: bytes) -> str:
    """The status message of a grpc-message value; bad escapes stay as they are."""
    text = value.decode("latin-1")
    raw = _ENCODED_BYTE.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1", "replace")
    return raw.decode("utf-8", "replace")


def encode_binary(value: bytes) -> bytes:
    """The value of a "-bin" header: base64 without padding."""
    return base64.b64encode(value).rstrip(b"=")


def decode_binary(value: bytes) -> bytes:
    """The bytes of a "-bin" value, with or without padding. Raises ValueError."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("bad base64 in a -bin header") from error


def encode_pair(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    """A metadata entry as a header field. Bytes need a name that ends in "-bin"; text is reduced to printable ASCII."""
    if isinstance(value, bytes):
        assert name.endswith("-bin"), name
        return name.encode("ascii"), encode_binary(value)
    return name.encode("ascii"), _VALUE_UNSAFE.sub("?", value).encode("ascii")


_NO_TEXT: Final[dict[str, str]] = {}


@final
class Metadata:
    """The header fields of a call, pseudo-header fields left out. Shared between calls: never changed."""

    __slots__ = ("_fields", "_values", "accepted")

    def __init__(self, fields: Sequence[Any]) -> None:
        self._fields = fields
        self.accepted = False
        """A mark for whoever judges fields: these have passed, whichever call brings them."""
        self._values: dict[str, str] = _NO_TEXT

    def _text(self) -> dict[str, str]:
        if self._values is _NO_TEXT:
            values: dict[str, str] = {}
            for name, value in self.items():
                # The first of several wins: what a proxy appended must not replace what the client sent.
                values.setdefault(name, value)
            self._values = values
        return self._values

    def get(self, name: str) -> str | None:
        """The first value under a lower-case name, without blanks around it; "-bin" values stay encoded."""
        return self._text().get(name)

    def get_all(self, name: str) -> list[str]:
        """Every value under a lower-case name, in order."""
        return [value for key, value in self.items() if key == name]

    def get_bin(self, name: str) -> bytes | None:
        """The decoded first value of a "-bin" name. Raises ValueError when it is not base64."""
        value = self.get(name)
        if value is None:
            return None
        return decode_binary(value.split(",", 1)[0].encode("latin-1"))

    def items(self) -> Iterator[tuple[str, str]]:
        """All entries in order, repeated names included."""
        for field in self._fields:
            name: bytes = field[0]
            if not name.startswith(b":"):
                value: bytes = field[1]
                yield name.decode("latin-1"), value.decode("latin-1").strip(" \t")
