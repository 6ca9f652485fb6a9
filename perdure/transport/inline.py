"""A call that comes from within the process: from the HTTP gateway, from tests, not from an HTTP/2 connection.

Bytes in, bytes out, deadlines on the running loop. What is dispatched this way passes the same interceptors and
handlers as a call on the wire, and its errors are made in the same place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, cast, final

from perdure.api import Message, Method
from perdure.errors import StatusCode
from perdure.transport.calls import Peer, ServerCall
from perdure.transport.client import RpcError
from perdure.transport.metadata import Metadata, encode_pair

Dispatch = Callable[[ServerCall], None]
"""`Frontend.dispatch`."""
Trailing = Sequence[tuple[str, str | bytes]]

IN_PROCESS: Final = Peer("in-process", False, None)
"""The peer of a caller who has no address."""


@final
class InlineCall:
    """One call with `ServerCall`'s interface, as far as the frontend uses it; its answer is a future of messages.

    The future fails with `RpcError`. A call that is cancelled has no answer.
    """

    __slots__ = (
        "_callbacks",
        "_timer",
        "answer",
        "authority",
        "cancelled",
        "deadline",
        "done",
        "message",
        "metadata",
        "path",
        "peer",
        "sent",
    )

    def __init__(self, path: str, message: bytes, metadata: Metadata, timeout_s: float | None, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        self.path = path
        self.authority = ""
        self.message = message
        self.metadata = metadata
        self.peer = peer
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


def start_call(dispatch: Dispatch, call: InlineCall) -> None:
    """Dispatch it: it has the interface, and no connection, the one difference that the frontend cannot see."""
    dispatch(cast("ServerCall", call))


async def call_inline(
    dispatch: Dispatch, method: Method, request: Message, metadata: Metadata, peer: Peer, timeout_s: float
) -> Any:
    """The response message of a unary RPC. Raises RpcError. A caller that is cancelled takes its call along."""
    call = InlineCall(method.path, request.SerializeToString(), metadata, timeout_s, peer)
    start_call(dispatch, call)
    try:
        (message,) = await call.answer
    finally:
        call.cancel()
    return method.response.FromString(message)
