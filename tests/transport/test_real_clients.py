"""The server against clients that are not ours: grpcio, and the Rust core of the Temporal SDK."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio  # type: ignore[import-untyped]
import pytest
import temporalio.client

from perdure.errors import StatusCode
from perdure.transport.calls import ServerCall
from perdure.transport.limits import Http2Limits
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer

HOST = "127.0.0.1"
DETAILS = b"\x08\x09\x12\x01x"
CHAT = "/test.Service/Chat"


class Service:
    """What the tests call: an echo, a failure, a call that never ends, and a chat."""

    def __init__(self) -> None:
        self.channel: Any = None
        self.calls: list[ServerCall] = []
        self.cancelled = asyncio.Event()
        self.waiting = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def dispatch(self, call: ServerCall) -> None:
        method = call.path.rpartition("/")[2]
        if method == "Keep":
            self.calls.append(call)
            call.respond(call.message)
        elif method == "Fail":
            call.fail(
                StatusCode.FAILED_PRECONDITION, "not ✓ 100 %", b"\x08\x09\x12\x01x", [("k", "v"), ("k-bin", b"\0")]
            )
        elif method == "Hang":
            call.on_cancel(self.cancelled.set)
            self.waiting.set()
        elif method == "Large":
            call.respond(bytes(int(call.message)))
        elif method == "Chat":
            task = asyncio.ensure_future(self._chat(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            call.respond(call.message)

    async def _chat(self, call: ServerCall) -> None:
        message: bytes | None = call.message
        while message is not None:
            call.send(message.upper())
            message = await call.receive()
        call.finish()


@asynccontextmanager
async def serving(options: ServerOptions | None = None) -> AsyncIterator[Service]:
    """A server, and a grpcio channel to it in `channel`."""
    service = Service()
    server = GrpcServer(service.dispatch, options if options is not None else ServerOptions(), frozenset([CHAT]))
    port = await server.start(HOST, 0)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    channel = service.channel = grpc.aio.insecure_channel(f"{HOST}:{port}", options=unlimited)
    try:
        yield service
    finally:
        await channel.close()
        await server.stop(0)


async def call(channel: Any, method: str, message: bytes, **keywords: Any) -> bytes:
    """A unary call of bytes."""
    answer = await channel.unary_unary(f"/test.Service/{method}")(message, **{"timeout": 20, **keywords})
    assert isinstance(answer, bytes)
    return answer


async def failure(channel: Any, method: str, message: bytes, **keywords: Any) -> Any:
    """The error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, method, message, **keywords)
    return caught.value


def live(test: Callable[[Service], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test with a server and a channel."""

    async def within() -> None:
        async with serving() as service:
            await test(service)

    def run() -> None:
        asyncio.run(within())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@live
async def test_messages_of_every_size(service: Service) -> None:
    """Empty, around a frame, around a window, and the largest that is allowed; one more byte is refused."""
    limit = ServerOptions().message_bytes_max
    source = random.Random(1)
    for size in (0, 1, 16_378, 16_379, 16_380, 65_535, 1_048_576, limit):
        message = source.randbytes(size)
        assert await call(service.channel, "Echo", message) == message
    error = await failure(service.channel, "Echo", bytes(limit + 1))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await call(service.channel, "Echo", b"still there") == b"still there"


@live
async def test_a_large_answer(service: Service) -> None:
    """Beyond every window, several at once."""
    sizes = (20_000_000, 5_000_000, 1, 3_000_000)
    answers = await asyncio.gather(*[call(service.channel, "Large", b"%d" % size) for size in sizes])
    assert [len(answer) for answer in answers] == list(sizes)


@live
async def test_metadata_and_deadline_arrive(service: Service) -> None:
    """Text, binary, the peer, the time that is left."""
    await call(service.channel, "Keep", b"x", metadata=[("client-name", "t"), ("k-bin", b"\x00\xff")], timeout=30)
    (kept,) = service.calls
    assert kept.metadata.get("client-name") == "t"
    assert kept.metadata.get_bin("k-bin") == b"\x00\xff"
    assert (kept.metadata.get("user-agent") or "").startswith("grpc-python")
    assert kept.peer.address.startswith(f"{HOST}:")
    assert kept.deadline is not None
    assert 25 < kept.deadline - asyncio.get_running_loop().time() < 31
    await call(service.channel, "Keep", b"x", timeout=None)
    assert service.calls[1].deadline is None


@live
async def test_a_failure_arrives_whole(service: Service) -> None:
    """Code, text, status details and trailing metadata."""
    error = await failure(service.channel, "Fail", b"")
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "not ✓ 100 %"
    trailing = dict(error.trailing_metadata())
    assert trailing["grpc-status-details-bin"] == DETAILS
    assert (trailing["k"], trailing["k-bin"]) == ("v", b"\0")


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(compression: Any) -> None:
    """As SDKs send them; a message that is small only while compressed is refused."""

    async def test() -> None:
        async with serving() as service:
            text = b"compress me " * 10_000
            assert await call(service.channel, "Echo", text, compression=compression) == text
            error = await failure(service.channel, "Echo", bytes(5_000_000), compression=compression)
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "decompress" in error.details()

    asyncio.run(test())


@live
async def test_a_gzip_file_as_a_message_is_left_alone(service: Service) -> None:
    """Only the flag says what is compressed."""
    channel = service.channel
    assert await call(channel, "Echo", gzip.compress(b"x")) == gzip.compress(b"x")


@live
async def test_a_cancelled_call_is_cancelled_here(service: Service) -> None:
    """The client's cancellation, and its deadline, reach those who wait for the call."""
    channel = service.channel
    hanging = channel.unary_unary("/test.Service/Hang")(b"")
    await service.waiting.wait()
    hanging.cancel()
    await asyncio.wait_for(service.cancelled.wait(), 5)
    service.cancelled.clear()
    error = await failure(channel, "Hang", b"", timeout=0.05)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(service.cancelled.wait(), 5)


@live
async def test_streaming_in_both_directions(service: Service) -> None:
    """Large messages each way, and a request without a message."""
    channel = service.channel

    async def requests() -> AsyncIterator[bytes]:
        for number in range(40):
            yield b"m%d" % number * 20_000

    answers = [answer async for answer in channel.stream_stream(CHAT)(requests())]
    assert answers == [b"M%d" % number * 20_000 for number in range(40)]


@live
async def test_many_streams_at_once(service: Service) -> None:
    channel = service.channel
    texts = [b"%d" % number * (number % 50) for number in range(2_000)]
    assert await asyncio.gather(*[call(channel, "Echo", text) for text in texts]) == texts


@live
async def test_more_streams_than_some_servers_allow_on_a_connection(service: Service) -> None:
    """Above 4,096, one after the other, all on one connection."""
    channel = service.channel
    for _ in range(4_200):
        await call(channel, "Echo", b"x")
    await call(channel, "Keep", b"x")
    assert service.calls[0].stream.stream_id > 2 * 4_200


def test_a_client_waits_for_a_free_stream() -> None:
    """SETTINGS_MAX_CONCURRENT_STREAMS is the client's queue, not an error."""

    async def test() -> None:
        async with serving(ServerOptions(http2=Http2Limits(streams_max=3))) as service:
            assert len(await asyncio.gather(*[call(service.channel, "Echo", b"x") for _ in range(200)])) == 200

    asyncio.run(test())


def test_a_client_moves_on_when_its_connection_is_old() -> None:
    """A connection that ages every 50 ms: no call of a working client is lost."""

    async def test() -> None:
        async with serving(ServerOptions(age_s=0.05, age_grace_s=5)) as service:
            for _ in range(1_000):
                assert await call(service.channel, "Echo", b"x") == b"x"

    asyncio.run(test())


def test_a_busy_port_says_so() -> None:
    """The text that the command line looks for."""

    async def test() -> None:
        first = GrpcServer(lambda _: None, ServerOptions())
        port = await first.start(HOST, 0)
        with pytest.raises(OSError, match="address already in use"):
            await GrpcServer(lambda _: None, ServerOptions()).start(HOST, port)
        await first.stop(0)

    asyncio.run(test())


def test_a_port_can_be_taken_again_at_once() -> None:
    """SO_REUSEADDR: a server that restarts does not wait for old connections of its port.

    Each channel has connections of its own: grpcio shares them by address otherwise, and a call could begin on one that
    the last server has just closed.
    """
    own = (("grpc.use_local_subchannel_pool", 1),)

    async def test() -> None:
        port = 0
        for _ in range(3):
            server = GrpcServer(lambda made: made.respond(b""), ServerOptions())
            port = await server.start(HOST, port)
            async with grpc.aio.insecure_channel(f"{HOST}:{port}", options=own) as channel:
                await call(channel, "Echo", b"")
                await server.stop(0)

    asyncio.run(test())


def test_the_temporal_sdk_connects() -> None:
    """The Rust core's client: tonic, its metadata, its compression, its first call."""

    async def test() -> None:
        seen: list[ServerCall] = []

        def dispatch(made: ServerCall) -> None:
            seen.append(made)
            made.respond(b"")

        server = GrpcServer(dispatch, ServerOptions())
        port = await server.start(HOST, 0)
        client = await temporalio.client.Client.connect(f"{HOST}:{port}")
        assert seen[0].path == "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo"
        assert seen[0].metadata.get("client-name") == "temporal-python"
        handle = await client.start_workflow("Any", "x" * 100_000, id="w", task_queue="q")
        assert handle.id == "w"
        assert len(seen[-1].message) > 100_000
        await server.stop(0)

    asyncio.run(test())
