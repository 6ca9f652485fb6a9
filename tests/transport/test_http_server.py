"""uvicorn on our loop: real sockets, bounds that hold, an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from perdure.transport import http_server
from perdure.transport.http_server import HttpServer
from perdure.transport.listen import listen

LARGE = 64 << 20


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with nothing, with a lot, or when the client has gone."""
    body = bytes(LARGE) if scope["path"] == "/large" else b"ok"
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(_app)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    await server.start(listener)
    try:
        yield server, port
    finally:
        await server.stop(0)


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


async def _until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    while not condition():  # noqa: ASYNC110 - the server under test sets no event
        await asyncio.sleep(0)


async def _connect(port: int, text: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    return reader, writer


def test_requests_are_answered_on_one_connection() -> None:
    """With a date, without a server's name."""

    async def test() -> None:
        async with _serving() as (_, port):
            reader, writer = await _connect(port)
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert head.startswith(b"http/1.1 200")
                assert b"\r\ndate: " in head
                assert b"server:" not in head
                assert await reader.readexactly(2) == b"ok"
            writer.close()

    _run(test)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nx-slow: ",
    ],
)
def test_heads_that_do_not_come_are_not_waited_for(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a whole request is cut, its first as well as its second."""
    monkeypatch.setattr(http_server, "IDLE_S", 0.1)
    monkeypatch.setattr(http_server, "SWEEP_S", 0.02)

    async def test() -> None:
        async with _serving() as (server, port):
            reader, _ = await _connect(port, text)
            with suppress(ConnectionResetError):
                while await reader.read(1 << 16):
                    pass
            assert server.connections == {}

    _run(test)


def test_answers_that_nobody_reads_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their bytes do not stay in memory."""
    monkeypatch.setattr(http_server, "STALL_S", 0.1)
    monkeypatch.setattr(http_server, "SWEEP_S", 0.02)

    async def test() -> None:
        async with _serving() as (server, port):
            reader, writer = await _connect(port, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await _until(lambda: not server.connections)
            writer.close()

    _run(test)


def test_heads_are_bounded() -> None:
    """Too long a head is refused."""

    async def test() -> None:
        async with _serving() as (_, port):
            reader, writer = await _connect(port, b"GET / HTTP/1.1\r\nhost: x\r\n")
            writer.write(b"x-long: " + b"x" * http_server.HEAD_BYTES_MAX * 2)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
            writer.close()

    _run(test)


@pytest.mark.parametrize(
    "text",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx y: 1\r\n\r\n",
    ],
)
def test_requests_that_two_servers_could_read_differently_are_refused(text: bytes) -> None:
    """Nothing behind them is read."""

    async def test() -> None:
        async with _serving() as (_, port):
            reader, writer = await _connect(port, text)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 400")
            assert answer.count(b"HTTP/1.1") == 1
            writer.close()

    _run(test)


def test_connections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed at once, the others stay."""
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 2)

    async def test() -> None:
        async with _serving() as (server, port):
            open_ones = [await _connect(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") for _ in range(2)]
            for reader, _ in open_ones:
                await reader.readuntil(b"\r\n\r\n")
            refused, _ = await _connect(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            with suppress(ConnectionResetError):
                assert await refused.read() == b""
            assert len(server.connections) == 2

    _run(test)


def test_stop_ends_idle_connections_and_waits_for_the_others() -> None:
    """As long as it may."""

    async def test() -> None:
        async with _serving() as (server, port):
            idle, _ = await _connect(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await idle.readuntil(b"\r\n\r\n")
            waiting, _ = await _connect(port, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            await _until(lambda: len(server.connections) == 2)
            await server.stop(1)
            assert await idle.read() == b"ok"
            with suppress(ConnectionResetError):
                assert b"200" not in await waiting.read()
            assert server.connections == {}
            with pytest.raises(OSError, match=r"."):
                await _connect(port)

    _run(test)


def test_a_busy_port_is_named() -> None:
    """With the words that harnesses look for."""
    with listen("127.0.0.1", 0) as taken, pytest.raises(OSError, match="address already in use"):
        listen("127.0.0.1", taken.getsockname()[1])
