"""Calls a server in the same process without sockets: bytes in, bytes out, deadlines on the running loop.

Every request and response is serialized on its way, so nothing is shared between caller and server, and the whole
list of interceptors runs as it does behind a connection. `disconnect` is what a client sees of a server that was
killed: its calls fail with UNAVAILABLE, and what the dead server answers afterwards reaches nobody. It must not
touch a clock other than the loop's, so it serves under virtual time as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast, final

from perdure.api import Message, Method, method_table
from perdure.errors import StatusCode
from perdure.transport.calls import Peer, ServerCall
from perdure.transport.client import RpcError
from perdure.transport.metadata import Metadata, encode_pair

Dispatch = Callable[[ServerCall], None]
"""`Frontend.dispatch`."""
Trailing = Sequence[tuple[str, str | bytes]]

CALL_S: Final = 10.0
"""Deadline of a call unless its caller names another, seconds."""
WORKFLOW_SERVICE: Final = "/temporal.api.workflowservice.v1.WorkflowService/"
SDK_METADATA: Final = (("client-name", "temporal-python"), ("client-version", "1.35.0"))
"""What an SDK sends."""


def method_named(name: str) -> Method:
    """The RPC of that path, or of that name in the WorkflowService. Raises KeyError."""
    return method_table()[name if name.startswith("/") else WORKFLOW_SERVICE + name]


@final
class InProcessCall:
    """One call with `ServerCall`'s interface, as far as the frontend uses it; its answer is a future of messages."""

    __slots__ = (
        "_callbacks",
        "_timer",
        "answer",
        "cancelled",
        "deadline",
        "done",
        "message",
        "metadata",
        "path",
        "peer",
        "sent",
    )

    def __init__(self, path: str, message: bytes, metadata: Metadata, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        self.path = path
        self.message = message
        self.metadata = metadata
        self.peer = Peer("in-process", False, None)
        self.deadline = None if timeout_s is None else loop.time() + timeout_s
        self.done = False
        self.cancelled = False
        self.sent: list[bytes] = []
        """What a streaming answer consists of so far."""
        self.answer: asyncio.Future[list[bytes]] = loop.create_future()
        self._callbacks: list[Callable[[], None]] = []
        self._timer = None if self.deadline is None else loop.call_at(self.deadline, self._expire)

    # The server's side

    def respond(self, message: bytes, trailing: Trailing = ()) -> None:
        """Answer with OK."""
        if not self.done:
            self.sent.append(message)
            self.finish(trailing)

    def send(self, message: bytes) -> None:
        """Send one message of a streaming answer."""
        if not self.done:
            self.sent.append(message)

    def finish(self, trailing: Trailing = ()) -> None:
        """End a streaming answer with OK."""
        if not self.done:
            self._end()
            if not self.answer.done():
                self.answer.set_result(self.sent)

    def fail(self, code: int, message: str, details: bytes = b"", trailing: Trailing = ()) -> None:
        """Answer with an error; `details` is a serialized google.rpc.Status."""
        if not self.done:
            self._end()
            fields = [encode_pair(name, value) for name, value in trailing]
            self._fail(RpcError(StatusCode(code), message, details, Metadata(fields)))

    async def receive(self) -> bytes | None:
        """There is one message to a request here."""
        return None

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call back when the caller gives up or its deadline passes; at once if it has."""
        if not self.done:
            self._callbacks.append(callback)
        elif self.cancelled:
            callback()

    # The caller's side

    def cancel(self) -> None:
        """The caller is gone."""
        if not self.done:
            self.cancelled = True
            self._end(cancelled=True)

    def disconnect(self) -> None:
        """The server is gone: it hears nothing of it, the caller gets UNAVAILABLE."""
        if not self.done:
            self._end()
            self._fail(RpcError(StatusCode.UNAVAILABLE, "the connection was lost"))

    def _expire(self) -> None:
        if not self.done:
            self.cancelled = True
            self._end(cancelled=True)
            self._fail(RpcError(StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded"))

    def _end(self, cancelled: bool = False) -> None:
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks if cancelled else ():
            callback()

    def _fail(self, error: RpcError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@final
class InProcessClient:
    """Calls of one client. `connect` names the server, again after a restart; without one every call is UNAVAILABLE."""

    def __init__(
        self, dispatch: Dispatch | None = None, metadata: Sequence[tuple[str, str | bytes]] = SDK_METADATA
    ) -> None:
        self._dispatch = dispatch
        self._metadata = Metadata([encode_pair(name, value) for name, value in metadata])
        self._calls: deque[InProcessCall] = deque()

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
        call = InProcessCall(path, message, self._metadata, timeout_s)
        self._calls.append(call)
        # It has the interface, and no connection: the one difference that the frontend cannot see.
        self._dispatch(cast("ServerCall", call))
        try:
            return await call.answer
        finally:
            call.cancel()
            if call in self._calls:
                self._calls.remove(call)
