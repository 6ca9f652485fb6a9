"""Raw HTTP/2 for tests: frames out of bytes, and requests as a client's first bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from perdure.transport import frames
from perdure.transport.hpack import HeaderDecoder, HeaderEncoder

HELLO = frames.PREFACE + frames.settings([])

Fields = Sequence[tuple[bytes, bytes]]


class Frame(NamedTuple):
    """A frame as it was received."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def cut(data: bytes) -> list[Frame]:
    """The frames in `data`, which must be whole."""
    found = []
    while data:
        word, flags, stream_id = struct.unpack_from(">IBI", data)
        stop = 9 + (word >> 8)
        assert len(data) >= stop, "frame is cut short"
        found.append(Frame(word & 0xFF, flags, stream_id, data[9:stop]))
        data = data[stop:]
    return found


def request_fields(
    path: bytes = b"/test.Service/Echo", extra: Fields = (), **replaced: bytes | None
) -> list[tuple[bytes, bytes]]:
    """The head of a gRPC request; `method=...` and so on replace pseudo-header fields, None leaves one out."""
    pseudo: dict[bytes, bytes | None] = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b":authority": b"a:1",
    }
    pseudo |= {b":" + name.encode(): value for name, value in replaced.items()}
    regular = {b"content-type": b"application/grpc", b"te": b"trailers"}
    regular.update({name: value for name, value in extra if name in regular})
    rest = [pair for pair in extra if pair[0] not in regular]
    return [(n, v) for n, v in pseudo.items() if v is not None] + [(n, v) for n, v in regular.items() if v] + rest


def plain_block(fields: Fields) -> bytes:
    """A header block of literals that leaves every dynamic table alone."""
    return HeaderEncoder().encode(fields, False)


def head(stream_id: int, fields: Fields | None = None, flags: int = 4) -> bytes:
    """HEADERS (END_HEADERS unless `flags` says otherwise)."""
    return frames.frame(frames.HEADERS, flags, stream_id, plain_block(request_fields() if fields is None else fields))


def body(stream_id: int, data: bytes, ended: bool = True) -> bytes:
    """DATA."""
    return frames.frame(frames.DATA, 1 if ended else 0, stream_id, data)


def message(data: bytes, flag: int = 0) -> bytes:
    """A length-prefixed gRPC message."""
    return struct.pack(">BI", flag, len(data)) + data


def unary(stream_id: int, data: bytes, fields: Fields | None = None) -> bytes:
    """A whole unary request."""
    return head(stream_id, fields) + body(stream_id, message(data))


def goaways(data: bytes) -> list[tuple[int, int, bytes]]:
    """Last stream id, error code and debug data of every GOAWAY."""
    return [(*struct.unpack_from(">II", f.payload), f.payload[8:]) for f in cut(data) if f.kind == frames.GOAWAY]


def resets(data: bytes) -> list[tuple[int, int]]:
    """Stream id and error code of every RST_STREAM."""
    return [(f.stream_id, int.from_bytes(f.payload, "big")) for f in cut(data) if f.kind == frames.RST_STREAM]


def answers(data: bytes) -> dict[int, tuple[dict[bytes, bytes], bytes]]:
    """Header fields (head and trailers in one) and body of each stream's answer, from a connection's first byte on."""
    decoder = HeaderDecoder(1 << 20)
    found: dict[int, tuple[dict[bytes, bytes], bytes]] = {}
    for f in cut(data):
        fields, text = found.get(f.stream_id, ({}, b""))
        if f.kind == frames.HEADERS:
            fields = fields | {pair[0]: pair[1] for pair in decoder.decode(f.payload).fields}
        elif f.kind == frames.DATA:
            text += f.payload
        else:
            continue
        found[f.stream_id] = (fields, text)
    return found
