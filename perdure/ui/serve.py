"""Starts and stops the HTTP servers of a process: the HTTP API, and the UI's port.

Importing this module costs a tenth of a second (Starlette, uvicorn), so it happens once the gRPC port answers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from perdure.transport.http_json import FOR_THE_UI, JsonGateway, http_api
from perdure.transport.http_server import HttpServer
from perdure.transport.inline import Dispatch
from perdure.ui.application import UiOptions, ui_application
from perdure.ui.landing import Facts

FAREWELL_S: Final = 1.0
"""For the last answers to be written."""


@dataclass(frozen=True, slots=True)
class UiPort:
    """What the UI's port shows and where it listens."""

    listener: socket.socket
    facts: Facts
    options: UiOptions


@final
class HttpServers:
    """The HTTP servers that run."""

    def __init__(self) -> None:
        self._running: list[HttpServer] = []
        self._gateways: list[JsonGateway] = []

    async def start(
        self,
        dispatch: Dispatch,
        server_version: str,
        hosts: Callable[[], Sequence[str]],
        api: socket.socket,
        ui: UiPort | None,
    ) -> None:
        """Serve sockets that listen already. Raises OSError when the Web UI's files cannot be read."""
        gateway = JsonGateway(dispatch, server_version, hosts)
        self._gateways.append(gateway)
        apps = [(http_api(gateway), api)]
        if ui is not None:
            gateway = JsonGateway(dispatch, server_version, hosts, FOR_THE_UI)
            self._gateways.append(gateway)
            apps.append((ui_application(gateway, dispatch, ui.facts, ui.options), ui.listener))
        for app, listener in apps:
            server = HttpServer(app)
            self._running.append(server)
            await server.start(listener)

    async def stop(self, grace_s: float) -> None:
        """Let requests finish within `grace_s`; then whoever still waits is told that the server stops."""
        running, self._running = self._running, []
        timer = asyncio.get_running_loop().call_later(grace_s, self._end_calls)
        async with asyncio.TaskGroup() as stopping:
            for server in running:
                stopping.create_task(server.stop(grace_s + FAREWELL_S))
        timer.cancel()

    def _end_calls(self) -> None:
        for gateway in self._gateways:
            gateway.end_calls()
