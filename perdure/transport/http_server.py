"""uvicorn on our loop, with bounds: how an ASGI application is served on a port.

uvicorn's own `serve` takes over the process's signals and wakes ten times a second; here its protocol and its
start and stop are used, and one sweep, which runs only while there are connections, ends those that make no progress:
heads that do not come, answers that nobody reads.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from email.utils import formatdate
from functools import partial
from typing import Any, Final, cast, final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from perdure.transport.listen import BACKLOG

CONNECTIONS_MAX: Final = 1_000
"""Connections of one server; further ones are closed at once."""
HEAD_BYTES_MAX: Final = 64 * 1024
"""A request's head."""
KEEP_ALIVE_S: Final = 60
"""An idle connection is closed after this."""
IDLE_S: Final = 75.0
"""A connection without a whole request is cut after this, whatever trickles in."""
STALL_S: Final = 30.0
"""An answer that its client does not read is cut after this."""
SWEEP_S: Final = 5.0


@final
class HttpServer:
    """One application on one port."""

    def __init__(self, app: Any) -> None:
        self.connections: dict[_Connection, tuple[object, float]] = {}
        """What each looked like at a sweep, and since when, by the loop's clock."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        self._config = uvicorn.Config(
            app,
            http=cast(Any, partial(_Connection, self)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            backlog=BACKLOG,
        )
        self._server = uvicorn.Server(self._config)

    async def start(self, listener: socket.socket) -> None:
        """Serve a bound socket."""
        self._config.load()
        # Its warnings are about what strangers send: anybody could fill a disk with them.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server.lifespan = self._config.lifespan_class(self._config)
        self._socket = listener
        await self._server.startup(sockets=[listener])

    async def stop(self, grace_s: float) -> None:
        """Stop listening, let requests finish within `grace_s`, end the rest. Idempotent."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        self._config.timeout_graceful_shutdown = max(1, round(grace_s))
        await self._server.shutdown(sockets=[listener])
        for connection in list(self.connections):
            connection.transport.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def admit(self, connection: _Connection) -> bool:
        """Count a connection; False when there are too many."""
        if len(self.connections) >= CONNECTIONS_MAX:
            return False
        self.connections[connection] = (None, 0.0)
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(SWEEP_S, self._sweep)
        return True

    def stamp(self) -> None:
        """Renew the `Date` of answers."""
        self._server.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    def _sweep(self) -> None:
        self._sweeper = None
        for connection, (before, since) in list(self.connections.items()):
            now = connection.loop.time()
            looks = connection.looks()
            if looks != before:
                self.connections[connection] = (looks, now)
            elif now - since > connection.patience_s():
                connection.transport.abort()
        if self.connections:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)


@final
class _Connection(H11Protocol):
    """uvicorn's connection, known to its server."""

    def __init__(self, owner: HttpServer, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._owner = owner

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._owner.admit(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._owner.stamp()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connections.pop(self, None)
        super().connection_lost(exc)

    def looks(self) -> object:
        """What changes when there is progress: the request, and what is left of its answer."""
        return id(self.cycle), self._waits(), self.transport.get_write_buffer_size()

    def patience_s(self) -> float:
        """How long it may look the same; for ever while a request is being worked on."""
        if self.flow.write_paused:
            return STALL_S
        return IDLE_S if self._waits() else math.inf

    def _waits(self) -> bool:
        """Whether the client's turn is to send a request."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete
