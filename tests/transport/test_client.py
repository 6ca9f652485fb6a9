"""Our client: against our server, and against servers that misbehave."""

from __future__ import annotations

import asyncio

import pytest

from perdure.errors import StatusCode
from perdure.transport import frames
from perdure.transport.calls import ServerCall
from perdure.transport.client import BACKOFF_MAX_S, Channel, ClientConnection, RpcError
from perdure.transport.limits import Http2Limits
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer
from tests.transport.virtual import Pipe, Wire, run_virtual, settle
from tests.transport.wire import cut, goaways, message, plain_block, resets

HOST = "127.0.0.1"


def dispatch(call: ServerCall) -> None:
    """An echo, a failure, and what never answers."""
    if call.path == "/fail":
        call.fail(StatusCode.NOT_FOUND, "gone ✓", b"\x08\x05", [("k", "v")])
    elif call.path != "/hang":
        call.respond((call.metadata.get("k") or "").encode() + call.message)


async def code_of(channel: Channel, path: str, timeout_s: float | None = 5.0) -> StatusCode:
    """The status of a call that must fail."""
    with pytest.raises(RpcError) as caught:
        await channel.unary(path, b"", timeout_s=timeout_s)
    return caught.value.code


def test_calls_of_every_size_and_kind() -> None:
    """Metadata, large messages both ways, many at once on few streams, failures with details, deadlines."""

    async def test() -> None:
        server = GrpcServer(dispatch, ServerOptions(http2=Http2Limits(streams_max=5)))
        channel = Channel(HOST, await server.start(HOST, 0))
        assert await channel.unary("/echo", b"1", [("k", "v"), ("k-bin", b"\0")], timeout_s=5) == b"v1"
        assert await channel.unary("/echo", bytes(4_000_000)) == bytes(4_000_000)
        answers = await asyncio.gather(*[channel.unary("/echo", b"%d" % n) for n in range(300)])
        assert answers == [b"%d" % n for n in range(300)]
        with pytest.raises(RpcError) as caught:
            await channel.unary("/fail", b"")
        error = caught.value
        assert (error.code, error.message, error.details) == (StatusCode.NOT_FOUND, "gone ✓", b"\x08\x05")
        assert error.trailing.get("k") == "v"
        assert await code_of(channel, "/hang", 0.02) == StatusCode.DEADLINE_EXCEEDED
        assert server.connections == 1
        await channel.close()
        assert await code_of(channel, "/echo") == StatusCode.UNAVAILABLE
        await server.stop(1)

    asyncio.run(test())


def test_a_cancelled_caller_resets_its_stream() -> None:
    """The server's callback runs; the connection serves on."""

    async def test() -> None:
        hung, cancelled = asyncio.Event(), asyncio.Event()

        def hang(call: ServerCall) -> None:
            call.on_cancel(cancelled.set)
            hung.set()

        server = GrpcServer(hang, ServerOptions())
        channel = Channel(HOST, await server.start(HOST, 0))
        calling = asyncio.ensure_future(channel.unary("/hang", b""))
        await hung.wait()
        calling.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)
        await channel.close()
        await server.stop(0)

    asyncio.run(test())


def test_a_channel_comes_back_when_its_server_does() -> None:
    """Calls in flight fail with UNAVAILABLE, later ones fail fast, and succeed on a new server of that port."""

    async def test() -> None:
        server = GrpcServer(dispatch, ServerOptions())
        port = await server.start(HOST, 0)
        channel = Channel(HOST, port)
        await channel.unary("/echo", b"")
        hanging = asyncio.ensure_future(code_of(channel, "/hang"))
        await settle()
        await server.stop(0)
        assert await hanging == StatusCode.UNAVAILABLE
        assert await code_of(channel, "/echo") == StatusCode.UNAVAILABLE
        assert await code_of(channel, "/echo") == StatusCode.UNAVAILABLE
        again = GrpcServer(dispatch, ServerOptions())
        await again.start(HOST, port)
        channel._not_before = 0.0
        assert await channel.unary("/echo", b"x") == b"x"
        await channel.close()
        await again.stop(0)

    asyncio.run(test())


def test_connections_grow_old_without_a_call_lost() -> None:
    """GOAWAY and drain on our server, a new connection on our client, calls all the while."""

    async def test() -> None:
        server = GrpcServer(dispatch, ServerOptions(age_s=0.05, age_grace_s=5))
        channel = Channel(HOST, await server.start(HOST, 0))
        for _ in range(300):
            answers = await asyncio.gather(*[channel.unary("/echo", b"x") for _ in range(10)])
            assert answers == [b"x"] * 10
        await channel.close()
        await server.stop(1)

    asyncio.run(test())


def test_failed_attempts_are_spaced() -> None:
    """Backoff: calls in between fail without an attempt, and the wait has a bound."""

    async def test() -> None:
        listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, HOST, 0)
        port = listener.sockets[0].getsockname()[1]
        listener.close()
        channel = Channel(HOST, port)
        with pytest.raises(RpcError) as first:
            await channel.unary("/echo", b"")
        with pytest.raises(RpcError) as second:
            await channel.unary("/echo", b"")
        assert "failed" in first.value.message
        assert "backing off" in second.value.message
        for _ in range(30):
            channel._not_before = 0.0
            await code_of(channel, "/echo")
        assert channel._backoff_s == BACKOFF_MAX_S
        await channel.close()

    asyncio.run(test())


class Server:
    """A raw server on virtual time, with a client's connection to it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.wire = Wire()
        self.client = ClientConnection(loop, Http2Limits())
        near, far = Pipe(loop, self.client), Pipe(loop, self.wire)
        near.other, far.other = far, near
        self.wire.pipe = far
        self.near = near
        self.client.connection_made(near)
        self.wire.say(frames.settings([]))

    def call(self) -> asyncio.Task[bytes]:
        fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"a")]
        return asyncio.ensure_future(self.client.call(b"request", fields))


HEAD = frames.frame(1, 4, 1, plain_block([(b":status", b"200"), (b"content-type", b"application/grpc")]))
OK = frames.frame(1, 5, 1, plain_block([(b"grpc-status", b"0")]))


def data(text: bytes, ended: bool = False) -> bytes:
    return frames.frame(0, 1 if ended else 0, 1, text)


def trailers_only(*fields: tuple[bytes, bytes]) -> bytes:
    return frames.frame(1, 5, 1, plain_block(fields))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(HEAD + OK, StatusCode.UNIMPLEMENTED, id="no message"),
        pytest.param(HEAD + data(message(b"a") * 2) + OK, StatusCode.UNIMPLEMENTED, id="two messages"),
        pytest.param(HEAD + data(message(b"a"), True), StatusCode.INTERNAL, id="no trailers"),
        pytest.param(HEAD + data(message(b"a", flag=1)) + OK, StatusCode.INTERNAL, id="compressed without encoding"),
        pytest.param(trailers_only((b":status", b"503")), StatusCode.UNAVAILABLE, id="HTTP 503"),
        pytest.param(trailers_only((b":status", b"418")), StatusCode.UNKNOWN, id="HTTP 418"),
        pytest.param(
            frames.frame(1, 4, 1, plain_block([(b":status", b"404"), (b"content-type", b"text/html")])),
            StatusCode.UNIMPLEMENTED,
            id="a web page",
        ),
        pytest.param(trailers_only((b":status", b"200"), (b"grpc-status", b"7")), StatusCode.PERMISSION_DENIED, id="7"),
        pytest.param(trailers_only((b":status", b"200"), (b"grpc-status", b"99")), StatusCode.UNKNOWN, id="99"),
        pytest.param(trailers_only((b":status", b"200"), (b"grpc-status", b"x")), StatusCode.UNKNOWN, id="no number"),
        pytest.param(frames.rst_stream(1, frames.CANCEL), StatusCode.CANCELLED, id="reset with CANCEL"),
        pytest.param(frames.rst_stream(1, frames.PROTOCOL_ERROR), StatusCode.INTERNAL, id="reset"),
        pytest.param(frames.goaway(1, 0, b"") + frames.rst_stream(0, 0), StatusCode.UNAVAILABLE, id="broken protocol"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", StatusCode.UNAVAILABLE, id="HTTP/1.1"),
    ],
)
def test_what_a_server_may_answer_becomes_a_status(answer: bytes, code: StatusCode) -> None:
    """gRPC's mapping of what is no proper answer; nothing hangs."""

    async def test() -> None:
        server = Server()
        calling = server.call()
        await settle()
        server.wire.say(answer)
        await settle()
        assert calling.done()
        error = calling.exception()
        assert isinstance(error, RpcError)
        assert error.code == code

    run_virtual(test)


def test_a_refused_stream_and_a_goaway_leave_a_call_to_be_repeated() -> None:
    """What the server has not looked at is no error yet, whoever says so."""

    async def test() -> None:
        for answer in (frames.rst_stream(1, frames.REFUSED_STREAM), frames.goaway(0, 0, b"")):
            server = Server()
            calling = server.call()
            await settle()
            server.wire.say(answer)
            await settle()
            assert calling.done()
            assert type(calling.exception()).__name__ == "_Unprocessed"

    run_virtual(test)


def test_a_silent_server_is_pinged_and_given_up() -> None:
    """Only while calls wait."""

    async def test() -> None:
        server = Server()
        calling = server.call()
        await asyncio.sleep(19)
        assert not [f for f in cut(server.wire.heard[len(frames.PREFACE) :]) if f.kind == frames.PING]
        await asyncio.sleep(2)
        assert [f for f in cut(server.wire.heard[len(frames.PREFACE) :]) if f.kind == frames.PING]
        await asyncio.sleep(20)
        error = calling.exception()
        assert isinstance(error, RpcError)
        assert error.code == StatusCode.UNAVAILABLE

    run_virtual(test)


def test_a_given_up_call_resets_its_stream_once() -> None:
    """CANCEL, and late frames of the server are dropped."""

    async def test() -> None:
        server = Server()
        calling = server.call()
        await settle()
        calling.cancel()
        await settle()
        sent = server.wire.heard[len(frames.PREFACE) :]
        assert resets(sent) == [(1, frames.CANCEL)]
        server.wire.say(HEAD + data(message(b"late")) + OK)
        await settle()
        assert goaways(server.wire.heard[len(frames.PREFACE) :]) == []

    run_virtual(test)
