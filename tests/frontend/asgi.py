"""Sends requests to an ASGI application as a web server does, without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, final

from starlette.types import ASGIApp, Message


@final
class Response:
    """A whole answer."""

    def __init__(self, events: Sequence[Message]) -> None:
        assert events[0]["type"] == "http.response.start", events
        self.status: int = events[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in events[0]["headers"]}
        self.body = b"".join([event.get("body", b"") for event in events[1:]])
        assert not events[-1].get("more_body"), "the answer has no end"

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@final
class Exchange:
    """A request under way. `incoming` takes what the client does next."""

    def __init__(self, app: ASGIApp, verb: str, target: str, headers: Mapping[str, str]) -> None:
        path, _, query = target.partition("?")
        fields = {"host": "localhost", **headers}
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.events: list[Message] = []
        scope = {
            "type": "http",
            "method": verb,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": ("192.0.2.7", 5000),
        }
        self.task = asyncio.ensure_future(app(scope, self.incoming.get, self._send))

    async def _send(self, event: Message) -> None:
        self.events.append(event)

    def send(self, body: bytes, more: bool = False) -> None:
        """A part of the body."""
        self.incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def disconnect(self) -> None:
        """The client goes away."""
        self.incoming.put_nowait({"type": "http.disconnect"})


async def ask(
    app: ASGIApp, verb: str, target: str, body: bytes | str = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """One request, one answer."""
    exchange = Exchange(app, verb, target, headers or {})
    exchange.send(body.encode() if isinstance(body, str) else body)
    await exchange.task
    return Response(exchange.events)
