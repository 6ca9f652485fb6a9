"""Calls a server in the same process without sockets: bytes in, bytes out, deadlines on the running loop.

Every request and response is serialized on its way, so nothing is shared between caller and server, and the whole
list of interceptors runs as it does behind a connection. `disconnect` is what a client sees of a server that was
killed: its calls fail with UNAVAILABLE, and what the dead server answers afterwards reaches nobody. It must not
touch a clock other than the loop's, so it serves under virtual time as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, final

from perdure.api import Message, Method, method_table
from perdure.api.methods import WORKFLOW_PATH
from perdure.errors import StatusCode
from perdure.transport.client import RpcError
from perdure.transport.inline import IN_PROCESS, Dispatch, InlineCall, start_call
from perdure.transport.metadata import Metadata, encode_pair

CALL_S: Final = 10.0
"""Deadline of a call unless its caller names another, seconds."""
SDK_METADATA: Final = (("client-name", "temporal-python"), ("client-version", "1.35.0"))
"""What an SDK sends."""


def method_named(name: str) -> Method:
    """The RPC of that path, or of that name in the WorkflowService. Raises KeyError."""
    return method_table()[name if name.startswith("/") else WORKFLOW_PATH + name]


@final
class InProcessClient:
    """Calls of one client. `connect` names the server, again after a restart; without one every call is UNAVAILABLE."""

    def __init__(
        self, dispatch: Dispatch | None = None, metadata: Sequence[tuple[str, str | bytes]] = SDK_METADATA
    ) -> None:
        self._dispatch = dispatch
        self._metadata = Metadata([encode_pair(name, value) for name, value in metadata])
        self._calls: deque[InlineCall] = deque()

    def connect(self, dispatch: Dispatch) -> None:
        """Calls go to this server from now on."""
        self._dispatch = dispatch

    def disconnect(self) -> None:
        """The server was killed: every call in flight fails with UNAVAILABLE, in the order in which they were made."""
        self._dispatch = None
        calls, self._calls = self._calls, deque()
        for call in calls:
            call.disconnect()

    async def call(self, method_name: str, request: Message, timeout_s: float | None = CALL_S) -> Any:
        """The response message of a unary RPC, named as in the proto (or by its whole path).

        `timeout_s` None sends no deadline. Raises `RpcError` with code, message, details and trailing metadata.
        """
        method = method_named(method_name)
        messages = await self.exchange(method.path, request.SerializeToString(), timeout_s)
        assert len(messages) == 1, f"{len(messages)} answers to a unary call"
        return method.response.FromString(messages[0])

    async def stream(self, method_name: str, request: Message, timeout_s: float | None = CALL_S) -> list[Any]:
        """All messages of a streaming answer, once it has ended."""
        method = method_named(method_name)
        messages = await self.exchange(method.path, request.SerializeToString(), timeout_s)
        return [method.response.FromString(message) for message in messages]

    async def exchange(self, path: str, message: bytes, timeout_s: float | None = CALL_S) -> list[bytes]:
        """Any bytes to any path. Raises `RpcError`. A caller that is cancelled is a client that went away."""
        # As over a network, an answer takes a turn of the loop: who asks again at once does not stop it.
        await asyncio.sleep(0)
        if self._dispatch is None:
            raise RpcError(StatusCode.UNAVAILABLE, "not connected")
        call = InlineCall(path, message, self._metadata, timeout_s, IN_PROCESS)
        self._calls.append(call)
        start_call(self._dispatch, call)
        try:
            return await call.answer
        finally:
            call.cancel()
            if call in self._calls:
                self._calls.remove(call)
