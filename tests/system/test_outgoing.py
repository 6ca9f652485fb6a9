"""Requests that leave the server meet every kind of receiver, and none of them costs more than its time (F25, S18)."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from perdure.config.dynamic import DynamicConfig
from perdure.machines.workflow.invocations import HttpAnswer, NoAnswer, Outgoing
from perdure.system.outgoing import ANSWER_BYTES_MAX, Outside

TIMEOUT_S = 0.3
Behaviour = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(behaviour: Behaviour) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A socket that reads each request and then behaves like that; its address, and the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                await behaviour(requests[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


async def post(address: str, path: str = "/x", headers: dict[str, str] | None = None) -> HttpAnswer:
    """One request of a server of its own."""
    outside = Outside(DynamicConfig({"callback.request.timeout": f"{TIMEOUT_S}s"}))
    try:
        return await outside.post("default", address, Outgoing(address + path, headers or {}, b"body"))
    finally:
        await outside.close()


def answering(response: bytes) -> Behaviour:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    return answer


async def test_a_request_arrives_as_it_was_written() -> None:
    """Path and query are not rewritten, and no header is added that a receiver could mistake for the caller's."""
    async with receiver(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as (address, requests):
        came = await post(address, "/a%2Fb/%7E;c?d=%20e&f=+g", {"x-own": "y"})
    assert (came.status, came.reason, came.body) == (200, "OK", b"")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /a%2Fb/%7E;c?d=%20e&f=+g HTTP/1.1"
    names = {header.partition(":")[0].lower() for header in headers}
    assert names == {"host", "user-agent", "x-own", "content-length"}
    assert body == b"body"


async def test_a_redirect_is_an_answer_and_no_command() -> None:
    """Where requests may go was decided when the address was registered."""
    redirect = b"HTTP/1.1 307 Go\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with receiver(answering(redirect)) as (address, requests):
        came = await post(address)
    assert (came.status, len(requests)) == (307, 1)


async def test_no_more_of_an_answer_is_read_than_is_needed() -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        while True:
            writer.write(chunk)
            await writer.drain()

    async with receiver(endless) as (address, _):
        came = await post(address)
    assert (came.status, len(came.body)) == (400, ANSWER_BYTES_MAX)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    response = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
    async with receiver(answering(response)) as (address, _):
        assert (await post(address)).body == b"abc"


async def _hang(_: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_S / 10):
                await asyncio.Event().wait()


async def _hang_up(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        (_hang, "context deadline exceeded"),
        (_drip, "context deadline exceeded"),
        (_hang_up, "disconnected"),
        (answering(b"nonsense\r\n\r\n"), "."),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"), "context deadline exceeded"),
        (answering(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"), "."),
    ],
    ids=["hangs", "drips", "hangs up", "nonsense", "too short", "long header"],
)
async def test_a_bad_receiver_gives_no_answer(behaviour: Behaviour, problem: str) -> None:
    async with receiver(behaviour) as (address, _):
        with pytest.raises(NoAnswer, match=problem) as found:
            async with asyncio.timeout(5.0):
                await post(address)
    assert f'Post "{address}/x": ' in str(found.value)


async def test_nobody_listens() -> None:
    async with receiver(_hang) as (address, _):
        pass
    host = address.removeprefix("http://")
    with pytest.raises(NoAnswer, match=f"dial tcp {host}: connect: connection refused"):
        await post(address)


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "\x00"])
async def test_a_header_cannot_begin_another_line(value: str) -> None:
    async with receiver(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as (address, requests):
        with pytest.raises(NoAnswer):
            await post(address, headers={"x": value})
    assert not requests


async def test_a_connection_is_used_again() -> None:
    outside = Outside(DynamicConfig())
    ports: set[bytes] = set()

    async def note(_: bytes, writer: asyncio.StreamWriter) -> None:
        ports.add(str(writer.get_extra_info("peername")).encode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with receiver(note) as (address, requests):
        for _ in range(3):
            await outside.post("default", address, Outgoing(address + "/x", {}, b""))
        await outside.close()
    assert (len(ports), len(requests)) == (1, 3)


def test_a_server_without_callbacks_does_not_load_the_library() -> None:
    """It costs a quarter of a second and 15 MB."""
    code = "import sys, perdure.app; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
