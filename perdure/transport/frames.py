"""HTTP/2 frames as numbers and bytes (RFC 9113 sections 4, 6 and 7).

Only constants, frame serialization and the two error types. No connection state and no I/O; the parser of incoming
frames is in `http2.py`, where it can be fused with the state it changes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

FLAG_ACK: Final = 0x1
FLAG_END_STREAM: Final = 0x1
FLAG_END_HEADERS: Final = 0x4
FLAG_PADDED: Final = 0x8
FLAG_PRIORITY: Final = 0x20

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
CONNECT_ERROR: Final = 0xA
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC
HTTP_1_1_REQUIRED: Final = 0xD

SETTINGS_HEADER_TABLE_SIZE: Final = 0x1
SETTINGS_ENABLE_PUSH: Final = 0x2
SETTINGS_MAX_CONCURRENT_STREAMS: Final = 0x3
SETTINGS_INITIAL_WINDOW_SIZE: Final = 0x4
SETTINGS_MAX_FRAME_SIZE: Final = 0x5
SETTINGS_MAX_HEADER_LIST_SIZE: Final = 0x6

WINDOW_MAX: Final = 2**31 - 1
"""The largest legal flow-control window in bytes (RFC 9113 section 6.9.1)."""

WINDOW_INITIAL: Final = 65_535
"""Every window in bytes before SETTINGS or WINDOW_UPDATE change it."""

FRAME_SIZE_MIN: Final = 16_384
"""Bytes of payload that every peer must take; also what we take."""

FRAME_SIZE_MAX: Final = 2**24 - 1

STREAM_ID_MAX: Final = 2**31 - 1

FRAME_HEADER: Final = Struct(">IBI")
"""Length and type in one word (length << 8 | type), flags, stream id: nine bytes."""

PAIR: Final = Struct(">II")
SETTING: Final = Struct(">HI")
WORD: Final = Struct(">I")


class ConnectionBroken(Exception):
    """The peer broke the protocol in a way that ends the connection; `code` goes into GOAWAY."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """One whole frame; the caller keeps the payload within the peer's SETTINGS_MAX_FRAME_SIZE."""
    return FRAME_HEADER.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def rst_stream(stream_id: int, code: int) -> bytes:
    """RST_STREAM with an error code of RFC 9113 section 7."""
    return FRAME_HEADER.pack(4 << 8 | RST_STREAM, 0, stream_id) + WORD.pack(code)


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE of 1 to 2^31 - 1 bytes; stream 0 is the connection."""
    return FRAME_HEADER.pack(4 << 8 | WINDOW_UPDATE, 0, stream_id) + WORD.pack(increment)


def settings(pairs: list[tuple[int, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join([SETTING.pack(key, value) for key, value in pairs]))


SETTINGS_ACK: Final = frame(SETTINGS, FLAG_ACK, 0, b"")


def ping(opaque: bytes, ack: bool) -> bytes:
    """PING with eight opaque bytes."""
    return frame(PING, FLAG_ACK if ack else 0, 0, opaque)


def goaway(last_stream_id: int, code: int, debug: bytes) -> bytes:
    """GOAWAY; `debug` is text for the peer's log and must hold nothing secret."""
    return frame(GOAWAY, 0, 0, PAIR.pack(last_stream_id, code) + debug)


def header_frames(stream_id: int, block: bytes, end_stream: bool, size_max: int) -> bytes:
    """HEADERS, and CONTINUATION frames where the block is longer than `size_max` bytes."""
    flags = FLAG_END_STREAM if end_stream else 0
    if len(block) <= size_max:
        return FRAME_HEADER.pack(len(block) << 8 | HEADERS, flags | FLAG_END_HEADERS, stream_id) + block
    parts = [frame(HEADERS, flags, stream_id, block[:size_max])]
    position = size_max
    while position < len(block):
        piece = block[position : position + size_max]
        position += size_max
        last = FLAG_END_HEADERS if position >= len(block) else 0
        parts.append(frame(CONTINUATION, last, stream_id, piece))
    return b"".join(parts)
