"""The gRPC server: listens, hands calls to `dispatch`, and keeps house for its connections.

Dispatch is synchronous, and nothing here knows what is dispatched: bytes in, bytes out. All instants are `loop.time()`,
and there are no threads. Deadlines and housekeeping (keepalive, idle and old connections, stalls) are one timer each
for all connections, and both stop when there is nothing to wait for.
"""

from __future__ import annotations

import asyncio
import errno
import ssl as ssl_module
from collections.abc import Callable
from typing import Final, final

from perdure.transport.calls import Peer, ServerCall
from perdure.transport.connection import LINGER_S, ServerConnection
from perdure.transport.deadlines import DeadlineWheel
from perdure.transport.options import ServerOptions

__all__ = ["GrpcServer", "Peer", "ServerCall", "ServerOptions"]

SWEEPS_PER_LIMIT: Final = 4
"""Housekeeping runs this often within the shortest of its limits: they are late by a quarter at most."""

SWEEP_S_MAX: Final = 2.5
SWEEP_S_MIN: Final = 0.01

AGE_SPREAD: Final = 0.1
"""Connections of one moment grow old over this part of `age_s`, so that they do not all come back at once."""

GOLDEN: Final = 0.6180339887498949
"""Fractions of its multiples spread evenly: the spread of ages without drawing randomness."""


@final
class GrpcServer:
    """Listens, and hands every call to `dispatch`.

    `dispatch` is called synchronously: once per unary call with its whole request, and for the paths in `streaming`
    at the first message or at the end of a request without one. What it raises answers INTERNAL.
    """

    def __init__(
        self,
        dispatch: Callable[[ServerCall], None],
        options: ServerOptions,
        streaming: frozenset[str] = frozenset(),
    ) -> None:
        self.dispatch = dispatch
        self.options = options
        self.streaming = streaming
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: asyncio.Server | None = None
        self._connections: dict[ServerConnection, float] = {}
        self._admitted = 0
        self._wheel = DeadlineWheel()
        self._wheel_timer: asyncio.TimerHandle | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None
        self._stopping = False
        self._sweep_s = _sweep_interval(options)

    async def start(self, host: str, port: int, ssl: ssl_module.SSLContext | None = None) -> int:
        """Listen; port 0 takes a free one. Returns the bound port.

        Raises OSError; the text of a busy port's error holds "address already in use".
        """
        assert self._listener is None, "a server is started once"
        loop = asyncio.get_running_loop()
        self.attach(loop)
        try:
            self._listener = await loop.create_server(
                lambda: ServerConnection(self, loop),
                host,
                port,
                ssl=ssl,
                ssl_handshake_timeout=self.options.handshake_s if ssl is not None else None,
                reuse_address=True,
                backlog=self.options.backlog,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OSError(errno.EADDRINUSE, f"listen tcp {host}:{port}: bind: address already in use") from error
            raise
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve on this loop: for connections that come from elsewhere than `start`'s listener."""
        self._loop = loop

    async def stop(self, grace_s: float) -> None:
        """Stop listening, let the calls there are finish within `grace_s`, then close what is left. Idempotent."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        loop = asyncio.get_running_loop()
        for connection in list(self._connections):
            connection.drain(grace_s)
        await self._wait_empty(loop, grace_s)
        for connection in list(self._connections):
            connection.shut()
        await self._wait_empty(loop, LINGER_S)
        for timer in (self._wheel_timer, self._sweep_timer):
            if timer is not None:
                timer.cancel()
        self._wheel_timer = self._sweep_timer = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def _wait_empty(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        """Wait until no connection is left."""
        if self._connections and timeout_s > 0:
            self._empty = loop.create_future()
            await asyncio.wait((self._empty,), timeout=timeout_s)
            self._empty = None

    # Called by connections

    def admit(self, connection: ServerConnection) -> bool:
        """Count a new connection; False when there are too many."""
        if self._stopping or len(self._connections) >= self.options.connections_max:
            return False
        self._admitted += 1
        spread = AGE_SPREAD * (2 * (self._admitted * GOLDEN % 1) - 1)
        self._connections[connection] = self.options.age_s * (1 + spread)
        if self._sweep_timer is None:
            self._sweep_timer = connection.loop.call_later(self._sweep_s, self._sweep)
        return True

    def age_of(self, connection: ServerConnection) -> float:
        """Seconds that the connection may live."""
        return self._connections[connection]

    def lost(self, connection: ServerConnection) -> None:
        """The connection is gone."""
        self._connections.pop(connection, None)
        if not self._connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def watch(self, deadline: float, call: ServerCall) -> None:
        """Expire the call at its deadline."""
        if self._wheel.add(deadline, call):
            self._arm_wheel()

    def unwatch(self, deadline: float, call: ServerCall) -> None:
        """The call is done."""
        self._wheel.discard(deadline, call)

    def _arm_wheel(self) -> None:
        if self._wheel_timer is not None:
            self._wheel_timer.cancel()
            self._wheel_timer = None
        due = self._wheel.next_due()
        if due is not None and self._loop is not None:
            self._wheel_timer = self._loop.call_at(due, self._deadlines_due)

    def _deadlines_due(self) -> None:
        self._wheel_timer = None
        assert self._loop is not None
        for call in self._wheel.due(self._loop.time()):
            call.connection.expire(call)
        self._arm_wheel()

    def _sweep(self) -> None:
        self._sweep_timer = None
        if not self._connections:
            return
        assert self._loop is not None
        now = self._loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
        self._sweep_timer = self._loop.call_later(self._sweep_s, self._sweep)


def _sweep_interval(options: ServerOptions) -> float:
    """Seconds between sweeps."""
    shortest = min(
        options.stall_s,
        options.handshake_s,
        options.keepalive_s,
        options.keepalive_timeout_s,
        options.idle_s,
        options.age_s,
        options.age_grace_s,
    )
    return min(SWEEP_S_MAX, max(SWEEP_S_MIN, shortest / SWEEPS_PER_LIMIT))
