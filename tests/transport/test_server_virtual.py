"""The server on virtual time: deadlines, keepalive, idle and old connections, stalls, drain, and one write a turn."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from perdure.errors import StatusCode
from perdure.transport import frames
from perdure.transport.calls import ServerCall
from perdure.transport.connection import KEEPALIVE_PING
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer
from tests.transport.virtual import Wire, connect, run_virtual, settle
from tests.transport.wire import HELLO, answers, body, cut, goaways, head, message, request_fields, resets, unary

Test = Callable[[], Coroutine[Any, Any, None]]


def virtual(test: Test) -> Callable[[], None]:
    """Run an async test on a virtual loop."""

    def run() -> None:
        run_virtual(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class World:
    """A server that keeps its calls, and a raw peer connected to it."""

    def __init__(self, options: ServerOptions | None = None, streaming: frozenset[str] = frozenset()) -> None:
        self.calls: list[ServerCall] = []
        self.server = GrpcServer(self.calls.append, options if options is not None else ServerOptions(), streaming)
        self.wire = Wire()
        self.near, self.far = connect(self.server, self.wire)

    async def say(self, data: bytes) -> None:
        self.wire.say(data)
        await settle()

    async def sleep_until(self, instant_s: float) -> None:
        """Until so many seconds after the loop began."""
        await asyncio.sleep(1_000.0 + instant_s - asyncio.get_running_loop().time())

    def lost(self) -> bool:
        """The connection is closed."""
        return self.wire.lost_at is not None

    def done(self, number: int) -> bool:
        """The call with this number is done."""
        return self.calls[number].done

    def status(self, stream_id: int) -> bytes:
        return answers(self.wire.heard)[stream_id][0][b"grpc-status"]


@virtual
async def test_a_call_is_dispatched_once_with_its_whole_request() -> None:
    """Path, message, metadata, peer and deadline as sent."""
    world = World()
    fields = request_fields(b"/a.B/C", extra=[(b"grpc-timeout", b"2S"), (b"k-bin", b"AAE"), (b"k", b"v")])
    await world.say(HELLO + head(1, fields) + body(1, message(b"abc")[:4], ended=False))
    assert world.calls == []
    await world.say(body(1, message(b"abc")[4:], ended=False))
    assert world.calls == []
    await world.say(body(1, b""))
    (call,) = world.calls
    assert (call.path, call.message, call.authority) == ("/a.B/C", b"abc", "a:1")
    assert (call.metadata.get("k"), call.metadata.get_bin("k-bin")) == ("v", b"\x00\x01")
    assert call.deadline == 1_002.0
    assert (call.peer.address, call.peer.tls, call.peer.certificate) == ("10.0.0.1:5000", False, None)
    call.respond(b"answer", [("x-y", "1"), ("z-bin", b"\x01")])
    assert call.done
    await settle()
    found, text = answers(world.wire.heard)[1]
    assert text == message(b"answer")
    assert found[b":status"] == b"200"
    assert found[b"grpc-status"] == b"0"
    assert found[b"content-type"] == b"application/grpc"
    assert b"gzip" in found[b"grpc-accept-encoding"]
    assert (found[b"x-y"], found[b"z-bin"]) == (b"1", b"AQ")


@virtual
async def test_all_output_of_a_turn_is_one_write() -> None:
    """A hundred answers, given in one turn of the loop by different hands."""
    world = World()
    await world.say(HELLO + b"".join([unary(2 * n + 1, b"x") for n in range(100)]))
    writes = world.far.writes
    for call in world.calls:
        call.respond(b"y")
    await settle()
    assert world.far.writes == writes + 1
    assert len(answers(world.wire.heard)) == 100


@virtual
async def test_a_failure_is_trailers_only() -> None:
    """Code, percent-encoded message, details and trailing metadata in one header block."""
    world = World()
    await world.say(HELLO + unary(1, b""))
    world.calls[0].fail(StatusCode.NOT_FOUND, "nö", b"\x08\x05", [("k", "v")])
    world.calls[0].respond(b"too late")
    await settle()
    (only,) = [f for f in cut(world.wire.heard) if f.stream_id == 1]
    assert (only.kind, only.flags) == (frames.HEADERS, 5)
    fields, _ = answers(world.wire.heard)[1]
    assert fields[b"grpc-status"] == b"5"
    assert fields[b"grpc-message"] == b"n%C3%B6"
    assert fields[b"grpc-status-details-bin"] == b"CAU"
    assert fields[b"k"] == b"v"


REFUSED: list[tuple[str, list[tuple[bytes, bytes]], bytes, bytes]] = [
    ("GET", request_fields(method=b"GET"), b"405", b"13"),
    ("JSON", request_fields(extra=[(b"content-type", b"application/json")]), b"415", b"13"),
    ("grpc-web", request_fields(extra=[(b"content-type", b"application/grpc-web")]), b"415", b"13"),
    ("no content-type", request_fields(extra=[(b"content-type", b"")]), b"415", b"13"),
    ("path without a slash", request_fields(b"a.B/C"), b"200", b"12"),
    ("unknown encoding", request_fields(extra=[(b"grpc-encoding", b"snappy")]), b"200", b"12"),
    ("bad timeout", request_fields(extra=[(b"grpc-timeout", b"soon")]), b"200", b"13"),
    ("deadline in the past", request_fields(extra=[(b"grpc-timeout", b"0n")]), b"200", b"4"),
]


@pytest.mark.parametrize(("fields", "http", "grpc"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_what_is_no_call_is_refused(fields: list[tuple[bytes, bytes]], http: bytes, grpc: bytes) -> None:
    """Before dispatch, with the status that gRPC servers give; the connection serves on."""

    async def test() -> None:
        world = World()
        await world.say(HELLO + unary(1, b"", fields) + unary(3, b"", fields))
        found, _ = answers(world.wire.heard)[3]
        assert (found[b":status"], found[b"grpc-status"]) == (http, grpc)
        assert world.calls == []
        await world.say(unary(5, b"fine"))
        assert [call.message for call in world.calls] == [b"fine"]

    run_virtual(test)


@pytest.mark.parametrize("content_type", [b"application/grpc", b"application/grpc+proto", b"application/grpc;x=y"])
def test_content_types_and_a_missing_te_are_tolerated(content_type: bytes) -> None:
    async def test() -> None:
        world = World()
        await world.say(HELLO + unary(1, b"", request_fields(extra=[(b"content-type", content_type), (b"te", b"")])))
        assert len(world.calls) == 1

    run_virtual(test)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(body(1, b""), StatusCode.UNIMPLEMENTED, id="no message"),
        pytest.param(body(1, message(b"a") * 2), StatusCode.UNIMPLEMENTED, id="two messages in one frame"),
        pytest.param(
            body(1, message(b""), ended=False) + body(1, message(b"b")), StatusCode.UNIMPLEMENTED, id="two messages"
        ),
        pytest.param(body(1, message(b"abc")[:6]), StatusCode.INTERNAL, id="half a message"),
        pytest.param(body(1, b"\x00"), StatusCode.INTERNAL, id="part of a prefix"),
        pytest.param(body(1, message(b"a", flag=1)), StatusCode.INTERNAL, id="compressed without an encoding"),
        pytest.param(body(1, message(b"a", flag=9)), StatusCode.INTERNAL, id="unknown flag"),
        pytest.param(body(1, message(b"a" * 101)), StatusCode.RESOURCE_EXHAUSTED, id="too large"),
        pytest.param(body(1, b"\x00\xff\xff\xff\xff", ended=False), StatusCode.RESOURCE_EXHAUSTED, id="far too large"),
    ],
)
def test_bad_bodies_fail_their_call_only(data: bytes, code: StatusCode) -> None:
    async def test() -> None:
        world = World(ServerOptions(message_bytes_max=100))
        await world.say(HELLO + head(1) + data)
        assert world.calls == []
        assert world.status(1) == b"%d" % code
        await world.say(unary(3, b"a" * 100))
        assert len(world.calls) == 1

    run_virtual(test)


@virtual
async def test_what_dispatch_raises_is_answered_and_the_connection_lives() -> None:
    """INTERNAL with a masked text."""

    def dispatch(call: ServerCall) -> None:
        raise RuntimeError(f"secret of {call.path}")

    server = GrpcServer(dispatch, ServerOptions())
    wire = Wire()
    connect(server, wire)
    wire.say(HELLO + unary(1, b"") + unary(3, b""))
    await settle()
    for stream_id in (1, 3):
        fields, _ = answers(wire.heard)[stream_id]
        assert (fields[b"grpc-status"], fields[b"grpc-message"]) == (b"13", b"internal error")


@virtual
async def test_a_deadline_is_answered_and_tells_those_who_asked() -> None:
    """DEADLINE_EXCEEDED at the deadline, the callback once, and a late answer is ignored."""
    world = World()
    await world.say(HELLO + unary(1, b"", request_fields(extra=[(b"grpc-timeout", b"500m")])) + unary(3, b""))
    cancelled: list[str] = []
    world.calls[0].on_cancel(lambda: cancelled.append("first"))
    world.calls[1].on_cancel(lambda: cancelled.append("second"))
    await world.sleep_until(0.49)
    assert not world.done(0)
    await world.sleep_until(0.55)
    assert world.done(0)
    assert cancelled == ["first"]
    assert world.status(1) == b"4"
    world.calls[0].respond(b"late")
    world.calls[0].on_cancel(lambda: cancelled.append("at once"))
    assert cancelled == ["first", "at once"]
    assert not world.done(1)


@virtual
async def test_an_answered_call_is_never_cancelled() -> None:
    """Neither by its deadline nor by the loss of its connection."""
    world = World()
    await world.say(HELLO + unary(1, b"", request_fields(extra=[(b"grpc-timeout", b"1S")])))
    cancelled: list[str] = []
    world.calls[0].on_cancel(lambda: cancelled.append("cancelled"))
    world.calls[0].respond(b"")
    await world.sleep_until(2)
    world.near.abort()
    await settle()
    assert cancelled == []


@virtual
async def test_a_reset_and_a_lost_connection_cancel() -> None:
    """A callback that raises does not keep the others from being told."""
    world = World()
    await world.say(HELLO + unary(1, b"") + unary(3, b"") + unary(5, b""))
    cancelled: list[int] = []

    def bad() -> None:
        raise RuntimeError("bad callback")

    for number, call in enumerate(world.calls):
        call.on_cancel(bad)
        call.on_cancel(lambda number=number: cancelled.append(number))  # type: ignore[misc]
    await world.say(frames.rst_stream(3, frames.CANCEL))
    assert cancelled == [1]
    world.near.abort()
    await settle()
    assert sorted(cancelled) == [0, 1, 2]
    assert world.server.connections == 0


@virtual
async def test_a_call_that_is_reset_in_the_same_breath_is_never_dispatched() -> None:
    """Rapid resets start no handler."""
    world = World()
    await world.say(HELLO + b"".join([unary(2 * n + 1, b"") + frames.rst_stream(2 * n + 1, 8) for n in range(100)]))
    assert world.calls == []
    await world.say(unary(201, b""))
    assert len(world.calls) == 1


# Streaming

ECHO = "/test.Service/Echo"


@virtual
async def test_a_streaming_call_is_dispatched_at_its_first_message() -> None:
    """Then messages come one by one, in both directions, until both have ended."""
    world = World(streaming=frozenset([ECHO]))
    await world.say(HELLO + head(1) + body(1, message(b"a") + message(b"b"), ended=False))
    (call,) = world.calls
    assert call.message == b"a"
    assert await call.receive() == b"b"
    waiting = asyncio.ensure_future(call.receive())
    await settle()
    assert not waiting.done()
    await world.say(body(1, message(b"c")))
    assert await waiting == b"c"
    assert await call.receive() is None
    call.send(b"x")
    call.send(b"y")
    call.finish([("k", "v")])
    await settle()
    fields, text = answers(world.wire.heard)[1]
    assert text == message(b"x") + message(b"y")
    assert (fields[b"grpc-status"], fields[b"k"]) == (b"0", b"v")


@virtual
async def test_an_empty_streaming_request_is_dispatched_at_its_end() -> None:
    world = World(streaming=frozenset([ECHO]))
    await world.say(HELLO + head(1, flags=5) + head(3) + body(3, b""))
    assert [call.message for call in world.calls] == [b"", b""]
    assert await world.calls[0].receive() is None
    world.calls[0].finish()
    world.calls[1].send(b"x")
    world.calls[1].fail(StatusCode.ABORTED, "half way")
    await settle()
    assert world.status(1) == b"0"
    assert world.status(3) == b"10"


@virtual
async def test_unread_messages_hold_the_senders_window() -> None:
    """What nobody receives is bounded by the stream's window, and receiving opens it again."""
    world = World(streaming=frozenset([ECHO]))
    window = world.server.options.http2.stream_window_bytes
    piece = message(bytes(16_000))
    await world.say(HELLO + head(1) + body(1, message(b"first"), ended=False))
    (call,) = world.calls
    for _ in range(window // len(piece) - 1):
        await world.say(body(1, piece, ended=False))
    assert not [f for f in cut(world.wire.heard) if f.kind == frames.WINDOW_UPDATE and f.stream_id == 1]
    for _ in range(window // len(piece) - 1):
        assert await call.receive() == bytes(16_000)
    await settle()
    assert [f for f in cut(world.wire.heard) if f.kind == frames.WINDOW_UPDATE and f.stream_id == 1]


@virtual
async def test_a_cancelled_streaming_call_wakes_its_receiver() -> None:
    world = World(streaming=frozenset([ECHO]))
    await world.say(HELLO + head(1) + body(1, message(b"a"), ended=False))
    waiting = asyncio.ensure_future(world.calls[0].receive())
    await settle()
    await world.say(frames.rst_stream(1, frames.CANCEL))
    assert await waiting is None


@virtual
async def test_a_bad_message_cancels_a_streaming_call() -> None:
    """The peer gets the status, the handler is told and receives no more."""
    world = World(ServerOptions(message_bytes_max=10), streaming=frozenset([ECHO]))
    await world.say(HELLO + head(1) + body(1, message(b"a"), ended=False))
    cancelled: list[bool] = []
    world.calls[0].on_cancel(lambda: cancelled.append(True))
    waiting = asyncio.ensure_future(world.calls[0].receive())
    await world.say(body(1, message(bytes(11)), ended=False))
    assert await waiting is None
    assert cancelled == [True]
    assert world.status(1) == b"8"


# Bounds


@virtual
async def test_unfinished_requests_of_a_connection_are_bounded_together() -> None:
    """The call that passes the limit pays, and its bytes are free again."""
    world = World(ServerOptions(held_bytes_max=40_000))
    await world.say(HELLO)
    for stream_id in (1, 3, 5):
        await world.say(head(stream_id) + body(stream_id, message(bytes(20_000))[:16_000], ended=False))
    assert world.status(5) == b"8"
    await world.say(body(1, message(bytes(20_000))[16_000:]))
    assert len(world.calls) == 1


@virtual
async def test_many_bombs_end_the_connection() -> None:
    """Compressed nothing, a thousand times its size, is paid from a budget, within the limit of a message or beyond."""
    for size in (4 << 20, 5 << 20):
        world = World()
        fields = request_fields(extra=[(b"grpc-encoding", b"gzip")])
        bomb = message(gzip.compress(bytes(size)), flag=1)
        await world.say(HELLO + b"".join([head(2 * n + 1, fields) + body(2 * n + 1, bomb) for n in range(100)]))
        assert [code for _, code, _ in goaways(world.wire.heard)] == [frames.ENHANCE_YOUR_CALM]
        assert len(world.calls) < 70
        assert all(call.done for call in world.calls)


@virtual
async def test_a_peer_that_never_opens_its_window_is_given_up() -> None:
    """SETTINGS_INITIAL_WINDOW_SIZE 0 and a large answer: after `stall_s` the connection is closed."""
    world = World()
    await world.say(HELLO + frames.settings([(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0)]) + unary(1, b""))
    world.calls[0].respond(bytes(100_000))
    await world.sleep_until(25)
    assert not world.lost()
    await world.sleep_until(40)
    assert world.lost()


@virtual
async def test_a_peer_that_does_not_read_is_neither_read_nor_buffered_for() -> None:
    """Output is bounded: the transport is paused, reading stops, then the stall limit closes the connection."""
    world = World(ServerOptions(write_buffer_bytes=10_000))
    await world.say(HELLO)
    world.near.pause_reading()
    await world.say(b"".join([unary(2 * n + 1, b"") for n in range(50)]))
    for call in world.calls:
        call.respond(bytes(1_000))
    await settle()
    assert not world.far.reading
    await world.say(unary(201, b""))
    assert len(world.calls) == 50
    await world.sleep_until(40)
    assert world.lost()


@virtual
async def test_reading_goes_on_when_the_peer_reads_again() -> None:
    world = World(ServerOptions(write_buffer_bytes=10_000))
    await world.say(HELLO)
    world.near.pause_reading()
    await world.say(b"".join([unary(2 * n + 1, b"") for n in range(50)]))
    for call in world.calls:
        call.respond(bytes(1_000))
    await world.say(unary(201, b""))
    world.near.resume_reading()
    await settle(100)
    assert len(world.calls) == 51
    assert len(answers(world.wire.heard)) == 50


@virtual
async def test_answers_beyond_the_limit_fail_their_call() -> None:
    """The call that passes the limit pays, not its neighbours; a streaming one is reset and its handler told."""
    world = World(ServerOptions(output_bytes_max=100_000), streaming=frozenset(["/s"]))
    await world.say(HELLO + frames.settings([(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0)]))
    await world.say(unary(1, b"") + unary(3, b"") + unary(5, b"", request_fields(b"/s")))
    world.calls[0].respond(bytes(60_000))
    world.calls[1].respond(bytes(60_000))
    cancelled: list[bool] = []
    world.calls[2].on_cancel(lambda: cancelled.append(True))
    world.calls[2].send(bytes(60_000))
    await settle()
    assert world.status(3) == b"8"
    assert resets(world.wire.heard) == [(5, frames.ENHANCE_YOUR_CALM)]
    assert cancelled == [True]
    await world.say(frames.window_update(1, 100_000))
    assert world.status(1) == b"0"


@virtual
async def test_connections_beyond_the_limit_are_closed_at_once() -> None:
    world = World(ServerOptions(connections_max=1))
    second = Wire()
    connect(world.server, second)
    await settle()
    assert second.lost_at is not None
    assert world.server.connections == 1


# Life of a connection


@pytest.mark.parametrize("data", [b"", HELLO[:10], HELLO + head(1, flags=0)])
def test_a_peer_that_owes_bytes_is_given_up(data: bytes) -> None:
    """No preface, half a preface, half a header block: `handshake_s`."""

    async def test() -> None:
        world = World()
        world.wire.say(data)
        await world.sleep_until(9)
        assert not world.lost()
        await world.sleep_until(13)
        assert world.lost()

    run_virtual(test)


@virtual
async def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    """keepalive_s, then keepalive_timeout_s; a call that waits does not change that."""
    world = World()
    await world.say(HELLO + unary(1, b""))
    await world.sleep_until(59)
    assert KEEPALIVE_PING not in world.wire.heard
    await world.sleep_until(64)
    assert KEEPALIVE_PING in world.wire.heard
    await world.sleep_until(80)
    assert world.lost()


@virtual
async def test_a_peer_that_answers_pings_lives() -> None:
    """A long poll on an otherwise silent connection, until the connection is old."""
    world = World()
    await world.say(HELLO + unary(1, b""))
    for minute in range(1, 4):
        await world.sleep_until(60 * minute + 5 * minute)
        await world.say(frames.ping(KEEPALIVE_PING, True))
    assert not world.lost()
    assert not world.done(0)


@virtual
async def test_an_idle_connection_is_closed_gracefully() -> None:
    """Two GOAWAYs: the first allows what is on its way, the second comes when the peer has seen the first."""
    world = World(ServerOptions(keepalive_s=1_000))
    await world.say(HELLO)
    await world.sleep_until(119)
    assert goaways(world.wire.heard) == []
    await world.sleep_until(124)
    assert goaways(world.wire.heard) == [(frames.STREAM_ID_MAX, frames.NO_ERROR, b"graceful_stop")]
    await world.say(unary(1, b"on its way"))
    drain_ping = next(f.payload for f in cut(world.wire.heard) if f.kind == frames.PING)
    await world.say(frames.ping(drain_ping, True))
    assert [last for last, _, _ in goaways(world.wire.heard)] == [frames.STREAM_ID_MAX, 1]
    await world.say(unary(3, b"too late"))
    assert len(world.calls) == 1
    assert not world.lost()
    world.calls[0].respond(b"")
    await settle()
    assert world.lost()
    assert world.status(1) == b"0"


@virtual
async def test_an_old_connection_has_its_grace_for_long_polls() -> None:
    """age_s spread by a tenth, then age_grace_s, then the calls that are left are cancelled."""
    world = World(ServerOptions(keepalive_s=10_000))
    await world.say(HELLO + unary(1, b""))
    cancelled: list[float] = []
    world.calls[0].on_cancel(lambda: cancelled.append(asyncio.get_running_loop().time() - 1_000))
    await world.sleep_until(269)
    assert goaways(world.wire.heard) == []
    await world.sleep_until(335)
    assert goaways(world.wire.heard)
    await world.sleep_until(420)
    assert 340 <= cancelled[0] <= 405


@virtual
async def test_stop_lets_calls_finish() -> None:
    """GOAWAY, the answer, then the end; a new connection is not admitted."""
    world = World()
    await world.say(HELLO + unary(1, b""))
    stopping = asyncio.ensure_future(world.server.stop(5))
    await settle()
    late = Wire()
    connect(world.server, late)
    await settle()
    assert late.lost_at is not None
    drain_ping = next(f.payload for f in cut(world.wire.heard) if f.kind == frames.PING)
    await world.say(frames.ping(drain_ping, True))
    world.calls[0].respond(b"done")
    await stopping
    assert asyncio.get_running_loop().time() == 1_000.0
    assert answers(world.wire.heard)[1][1] == message(b"done")
    await world.server.stop(5)


@virtual
async def test_stop_cancels_what_its_grace_does_not_suffice_for() -> None:
    world = World()
    await world.say(HELLO + unary(1, b""))
    cancelled: list[bool] = []
    world.calls[0].on_cancel(lambda: cancelled.append(True))
    await world.server.stop(5)
    assert asyncio.get_running_loop().time() == 1_005.0
    assert cancelled == [True]
    assert world.server.connections == 0


@virtual
async def test_a_broken_connection_cancels_its_calls_and_reads_no_more() -> None:
    """GOAWAY, end of output, and a second for the peer to read it."""
    world = World()
    await world.say(HELLO + unary(1, b""))
    cancelled: list[bool] = []
    world.calls[0].on_cancel(lambda: cancelled.append(True))
    await world.say(frames.rst_stream(0, 0))
    assert cancelled == [True]
    assert world.far.eof
    assert [code for _, code, _ in goaways(world.wire.heard)] == [frames.PROTOCOL_ERROR]
    await world.sleep_until(5)
    assert world.lost()


@virtual
async def test_an_empty_server_has_no_timers() -> None:
    """Idle costs nothing."""
    world = World()
    await world.say(HELLO + unary(1, b"", request_fields(extra=[(b"grpc-timeout", b"5S")])))
    world.calls[0].respond(b"")
    world.near.abort()
    await world.sleep_until(10)
    assert world.server._sweep_timer is None
    assert world.server._wheel_timer is None
