"""gRPC's length-prefixed messages: cut from DATA, decompressed within a bound.

Pure. An unfinished message is never larger than the limit allows, because the limit is checked at its prefix.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final, final

from perdure.errors import StatusCode

PREFIX: Final = Struct(">BI")
PREFIX_BYTES: Final = 5

IDENTITY: Final = ""
WBITS: Final = {"gzip": 31, "deflate": 15}
"""Encodings of a message that we take, and zlib's window setting for each."""

ACCEPT_ENCODING: Final = b"identity,deflate,gzip"

GZIP_MEMBERS_MAX: Final = 16
"""Members of one gzip message: a stream of tiny members costs more to open than to send."""


INFLATED_RATIO_FAIR: Final = 32
"""Output bytes for each compressed one that cost nothing; text and JSON of payloads stay below it."""


class BadMessage(Exception):
    """A message that ends its call with `code`."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def prefix(message: bytes) -> bytes:
    """The five bytes before an uncompressed message."""
    return PREFIX.pack(0, len(message))


def inflate(data: bytes, encoding: str, size_max: int) -> bytes:
    """Decompress a message. Raises BadMessage; never produces more than `size_max` + 1 bytes."""
    parts: list[bytes] = []
    total = 0
    for _ in range(GZIP_MEMBERS_MAX):
        member = zlib.decompressobj(WBITS[encoding])
        try:
            part = member.decompress(data, size_max - total + 1)
        except zlib.error as error:
            raise BadMessage(
                StatusCode.INTERNAL, f"grpc: failed to decompress the received message: {error}"
            ) from error
        total += len(part)
        parts.append(part)
        if total > size_max:
            raise BadMessage(
                StatusCode.RESOURCE_EXHAUSTED,
                f"grpc: received message after decompression larger than max {size_max}",
            )
        if not member.eof:
            raise BadMessage(StatusCode.INTERNAL, "grpc: failed to decompress the received message: it is cut short")
        data = member.unused_data
        if not data:
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise BadMessage(StatusCode.INTERNAL, "grpc: received message has too many compressed members")


@final
class MessageReader:
    """Collects the messages of one direction of a call."""

    __slots__ = ("_encoding", "_parts", "_size", "_size_max", "_wanted", "inflated_excess_bytes")

    def __init__(self, encoding: str, size_max: int) -> None:
        self._encoding = encoding
        self._size_max = size_max
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = PREFIX_BYTES
        self.inflated_excess_bytes = 0
        """What was inflated beyond `INFLATED_RATIO_FAIR`, ever: the caller decides how much of that is too much."""

    @property
    def held_bytes(self) -> int:
        """Bytes of a message that is not complete."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises BadMessage."""
        if self._size:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._wanted:
                return []
            data = b"".join(self._parts)
            self._parts = []
            self._size = 0
        messages: list[bytes] = []
        position = 0
        end = len(data)
        while end - position >= PREFIX_BYTES:
            flag, length = PREFIX.unpack_from(data, position)
            self._check(flag, length)
            stop = position + PREFIX_BYTES + length
            if stop > end:
                self._wanted = PREFIX_BYTES + length
                break
            body = data[position + PREFIX_BYTES : stop]
            messages.append(self._inflate(body) if flag else body)
            position = stop
        else:
            self._wanted = PREFIX_BYTES
        if position < end:
            self._parts = [data[position:]]
            self._size = end - position
        return messages

    def _inflate(self, data: bytes) -> bytes:
        fair = len(data) * INFLATED_RATIO_FAIR
        produced = self._size_max
        try:
            text = inflate(data, self._encoding, self._size_max)
            produced = len(text)
        finally:
            if produced > fair:
                self.inflated_excess_bytes += produced - fair
        return text

    def _check(self, flag: int, length: int) -> None:
        if flag > 1:
            raise BadMessage(StatusCode.INTERNAL, f"grpc: received unexpected payload format {flag}")
        if flag and self._encoding == IDENTITY:
            raise BadMessage(StatusCode.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
        if length > self._size_max:
            raise BadMessage(
                StatusCode.RESOURCE_EXHAUSTED,
                f"grpc: received message larger than max ({length} vs. {self._size_max})",
            )
