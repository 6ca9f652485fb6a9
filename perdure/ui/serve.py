"""Starts and stops the HTTP servers of a process: the HTTP API, and the UI's port.

Importing this module costs a tenth of a second (Starlette, uvicorn), so it happens once the gRPC port answers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from perdure.transport.http_json import FOR_THE_UI, JsonGateway, http_api
from perdure.transport.http_server import HttpServer
from perdure.transport.inline import Dispatch
from perdure.ui.application import UiOptions, ui_application
from perdure.ui.landing import Facts


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

    async def start(
        self,
        dispatch: Dispatch,
        server_version: str,
        hosts: Callable[[], Sequence[str]],
        api: socket.socket,
        ui: UiPort | None,
    ) -> None:
        """Serve sockets that listen already. Raises OSError when the Web UI's files cannot be read."""
        apps = [(http_api(JsonGateway(dispatch, server_version, hosts)), api)]
        if ui is not None:
            gateway = JsonGateway(dispatch, server_version, hosts, FOR_THE_UI)
            apps.append((ui_application(gateway, dispatch, ui.facts, ui.options), ui.listener))
        for app, listener in apps:
            server = HttpServer(app)
            self._running.append(server)
            await server.start(listener)

    async def stop(self, grace_s: float) -> None:
        """Let requests finish within `grace_s`, then end them."""
        running, self._running = self._running, []
        for server in running:
            await server.stop(grace_s)
