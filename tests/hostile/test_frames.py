"""Bytes that are no HTTP/2, and HTTP/2 that is no gRPC: the connection or the call ends, nothing else does."""

from __future__ import annotations

import socket
import struct
import zlib
from contextlib import suppress

import pytest

from perdure.transport import frames
from tests.service.processes import ServerProcess
from tests.transport.wire import HELLO, answers, body, head, message, plain_block, request_fields, unary

ANSWER_S = 12.0
"""A peer that has sent nonsense is not kept longer than this."""

PATH = b"/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo"
FIELDS = request_fields(PATH)


def exchange(port: int, data: bytes, finished: bool = True) -> bytes:
    """Send bytes; what came back until the server closed or a call ended."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        connection.sendall(data)
        if finished:
            connection.shutdown(socket.SHUT_WR)
        # A peer that closes with our bytes unread resets the connection.
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                received += more
                if not finished and b"grpc-status" in received:
                    break
    return received


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        frames.PREFACE[:10],
        frames.PREFACE + b"\xff" * 50,
        HELLO + struct.pack(">IBI", 0xFFFFFF << 8, 0, 1) + b"x" * 1000,
        HELLO + frames.frame(frames.HEADERS, 4, 0, plain_block(FIELDS)),
        HELLO + frames.frame(frames.HEADERS, 4, 2, plain_block(FIELDS)),
        HELLO + frames.frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"),
        HELLO + frames.frame(frames.DATA, 1, 1, b"x"),
        HELLO + frames.frame(frames.PUSH_PROMISE, 4, 1, b"\x00\x00\x00\x02"),
        HELLO + frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\x00\x00\x00\x00"),
        HELLO + frames.frame(frames.SETTINGS, 0, 0, b"\x00"),
        HELLO + frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(frames.CONTINUATION, 0, 1, b"") * 1000,
        HELLO + frames.frame(frames.CONTINUATION, 4, 1, plain_block(FIELDS)),
    ],
    ids=(
        "zeros",
        "http1",
        "tls",
        "preface_cut",
        "noise",
        "huge_frame",
        "head_on_stream_0",
        "head_on_stream_2",
        "bad_hpack",
        "data_without_head",
        "push",
        "window_of_0",
        "settings_cut",
        "continuations_without_end",
        "continuation_without_head",
    ),
)
def test_what_is_no_http2_ends_the_connection(victim: ServerProcess, data: bytes) -> None:
    """By closing it, with GOAWAY where the peer could read one."""
    exchange(victim.port, data)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (struct.pack(">BI", 0, 1000) + b"short", b"13"),
        (struct.pack(">BI", 0, 2**32 - 1), b"8"),
        (message(b"x", 1), b"13"),
        (message(b"x", 77), b"13"),
        (message(b"") + message(b""), b"12"),
        (b"\x00\x00", b"13"),
        (b"", b"12"),
        (message(b"\xff\xff\xff\xff"), b"13"),
    ],
)
def test_bad_messages_have_a_status(victim: ServerProcess, data: bytes, status: bytes) -> None:
    """gRPC's own codes: INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, and no call that hangs."""
    answer = exchange(victim.port, HELLO + head(1, FIELDS) + body(1, data), finished=False)
    assert answers(answer)[1][0][b"grpc-status"] == status


def test_a_compressed_bomb_is_refused(victim: ServerProcess) -> None:
    """64 MiB of zeros in 64 KiB: RESOURCE_EXHAUSTED before they are unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    fields = [*FIELDS, (b"grpc-encoding", b"gzip")]
    data = message(bomb, 1)
    parts = [data[at : at + frames.FRAME_SIZE_MIN] for at in range(0, len(data), frames.FRAME_SIZE_MIN)]
    sent = b"".join(body(1, part, number == len(parts) - 1) for number, part in enumerate(parts))
    assert b"grpc-status" in exchange(victim.port, HELLO + head(1, fields) + sent)


@pytest.mark.parametrize("metadata", [[(b"big", b"x" * 60_000)], [(b"n%d" % number, b"v") for number in range(500)]])
def test_large_metadata_is_taken_up_to_the_limit(victim: ServerProcess, metadata: list[tuple[bytes, bytes]]) -> None:
    """Ignored, or refused with a status or a reset: never a crash."""
    block = plain_block([*FIELDS, *metadata])
    first, rest = block[: frames.FRAME_SIZE_MIN], block[frames.FRAME_SIZE_MIN :]
    sent = frames.frame(frames.HEADERS, 0 if rest else 4, 1, first)
    while rest:
        part, rest = rest[: frames.FRAME_SIZE_MIN], rest[frames.FRAME_SIZE_MIN :]
        sent += frames.frame(frames.CONTINUATION, 0 if rest else 4, 1, part)
    assert exchange(victim.port, HELLO + sent + body(1, message(b"")))


def test_header_bombs_are_refused(victim: ServerProcess) -> None:
    """A megabyte of header list on one stream."""
    block = plain_block([*FIELDS, *[(b"n%d" % number, b"x" * 1000) for number in range(1000)]])
    parts = [block[at : at + frames.FRAME_SIZE_MIN] for at in range(0, len(block), frames.FRAME_SIZE_MIN)]
    sent = frames.frame(frames.HEADERS, 0, 1, parts[0])
    sent += b"".join(
        frames.frame(frames.CONTINUATION, 0 if part is not parts[-1] else 4, 1, part) for part in parts[1:]
    )
    answer = exchange(victim.port, HELLO + sent + body(1, message(b"")))
    assert answers(answer).get(1, ({}, b""))[0].get(b"grpc-status") != b"0"


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        PATH[1:],
        b"/" + PATH,
        PATH + b"/",
        PATH.lower(),
        PATH.replace(b"/Get", b"%2FGet"),
        b"/x/../" + PATH[1:],
        b"http://a" + PATH,
        PATH + b"\x00",
    ],
)
def test_only_exact_paths_reach_a_handler(victim: ServerProcess, path: bytes) -> None:
    """Anything else is UNIMPLEMENTED, or no HTTP/2 at all."""
    answer = exchange(victim.port, HELLO + unary(1, b"", request_fields(path)))
    assert b"perdure" not in answer.lower() or b"unimplemented" in answer.lower() or b"unknown" in answer.lower()
    assert b"1.32" not in answer
