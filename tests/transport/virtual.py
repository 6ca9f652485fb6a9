"""A loop whose clock jumps, and a pair of transports without sockets: time-outs are tested without waiting for them."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from perdure.transport.connection import ServerConnection
from perdure.transport.server import GrpcServer


class _JumpingSelector(selectors.SelectSelector):
    """Nothing comes from outside, so instead of waiting the clock is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the loop waits for nothing"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        self.virtual = _JumpingSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now


def run_virtual(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


class Pipe(asyncio.Transport):
    """One direction's writer and the other's reader; `bytes_max` in flight before the writer is paused."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("10.0.0.1", 5000)})
        self._loop = loop
        self.protocol = protocol
        self.other: Pipe | None = None
        self.reading = True
        self.closing = False
        self.eof = False
        self.pending: list[bytes] = []
        self.high = 65_536
        self.paused = False
        self.writes = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del low
        assert high is not None
        self.high = high

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.pending))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        if self.closing or not data:
            return
        self.writes += 1
        self.pending.append(bytes(data))
        self._loop.call_soon(self._deliver)
        if self.get_write_buffer_size() > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()

    def _deliver(self) -> None:
        other = self.other
        assert other is not None
        if not other.reading or not self.pending:
            return
        data, self.pending = b"".join(self.pending), []
        if not other.closing:
            other.protocol.data_received(data)
        if self.paused:
            self.paused = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        assert self.other is not None
        self._loop.call_soon(self.other._deliver)

    def close(self) -> None:
        if not self.closing:
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        if not self.closing:
            self.pending.clear()
            self._lose()

    def _lose(self) -> None:
        if self.closing:
            return
        self._deliver()
        self.closing = True
        self._loop.call_soon(self.protocol.connection_lost, None)
        assert self.other is not None
        self.other.abort()


class Wire(asyncio.Protocol):
    """A peer that says what it is told and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost_at: float | None = None
        self.pipe: Pipe

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.lost_at = asyncio.get_running_loop().time()

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.pipe.write(data)


def connect(server: GrpcServer, client: asyncio.Protocol) -> tuple[Pipe, Pipe]:
    """A connection of the server without sockets; returns the client's and the server's end."""
    loop = asyncio.get_running_loop()
    server.attach(loop)
    serving = ServerConnection(server, loop)
    near, far = Pipe(loop, client), Pipe(loop, serving)
    near.other, far.other = far, near
    if isinstance(client, Wire):
        client.pipe = near
    serving.connection_made(far)
    client.connection_made(near)
    return near, far


async def settle(turns: int = 20) -> None:
    """Let everything that is due happen, without moving the clock."""
    for _ in range(turns):
        await asyncio.sleep(0)
