"""One gRPC call as the server's layers above see it, and what its head says.

A call only records and forwards; the frames it causes are made by its connection (`server.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from perdure.errors import StatusCode
from perdure.transport import metadata
from perdure.transport.hpack import HeaderBlock, PreparedFields
from perdure.transport.messages import ACCEPT_ENCODING, IDENTITY, WBITS, MessageReader
from perdure.transport.metadata import BadTimeout, Metadata, encode_message, encode_pair, parse_timeout
from perdure.transport.sending import ONE_OFF
from perdure.transport.streams import Stream

if TYPE_CHECKING:
    from perdure.transport.connection import ServerConnection

log = logging.getLogger(__name__)

Trailing = Sequence[tuple[str, str | bytes]]

CONTENT_TYPE: Final = b"application/grpc"

RESPONSE_HEAD: Final = PreparedFields(
    0,
    ((b":status", b"200"), (b"content-type", CONTENT_TYPE), (b"grpc-accept-encoding", ACCEPT_ENCODING)),
)
OK_TRAILERS: Final = PreparedFields(1, ((b"grpc-status", b"0"),))


@final
class Peer:
    """Who is at the other end of a connection."""

    __slots__ = ("address", "certificate", "tls")

    def __init__(self, address: str, tls: bool, certificate: bytes | None) -> None:
        self.address = address
        """Host and port as text, or the path of a Unix socket."""
        self.tls = tls
        self.certificate = certificate
        """The client's certificate in DER, verified in the handshake; None without one."""


@final
class Refusal:
    """Why a request's head gets no call."""

    __slots__ = ("code", "http_status", "message")

    def __init__(self, http_status: int, code: StatusCode, message: str) -> None:
        self.http_status = http_status
        self.code = code
        self.message = message


@final
class RequestHead:
    """What a request's header list says to gRPC. Depends on the list alone, so it is kept with a remembered block."""

    __slots__ = ("authority", "encoding", "is_head", "metadata", "path", "refusal", "timeout_s")

    def __init__(self, block: HeaderBlock) -> None:
        values = {field[0]: field[1] for field in block.fields}
        self.path: str = values[b":path"].decode("latin-1") if b":path" in values else ""
        self.authority: str = values.get(b":authority", b"").decode("latin-1")
        self.timeout_s = -1.0
        """Seconds of grpc-timeout; negative without one."""
        self.encoding = IDENTITY
        self.metadata = Metadata(block.fields)
        self.refusal: Refusal | None = None
        method = values.get(b":method", b"")
        self.is_head = method == b"HEAD"
        timeout = values.get(b"grpc-timeout", b"")
        self._judge(method, values.get(b"content-type", b""), timeout, values.get(b"grpc-encoding", b""))

    def _judge(self, method: bytes, content_type: bytes, timeout: bytes, encoding: bytes) -> None:
        if method != b"POST":
            self.refusal = Refusal(405, StatusCode.INTERNAL, "gRPC requires the POST method")
        elif not content_type.startswith(CONTENT_TYPE) or content_type[16:17] not in (b"", b"+", b";"):
            shown = content_type.decode("latin-1")
            self.refusal = Refusal(415, StatusCode.INTERNAL, f'invalid gRPC request content-type "{shown}"')
        elif not self.path.startswith("/"):
            self.refusal = Refusal(200, StatusCode.UNIMPLEMENTED, f'malformed method name: "{self.path}"')
        else:
            if encoding and encoding != b"identity":
                self._judge_encoding(encoding.decode("latin-1"))
            if timeout:
                self._judge_timeout(timeout)

    def _judge_encoding(self, encoding: str) -> None:
        self.encoding = encoding
        if encoding not in WBITS:
            message = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
            self.refusal = Refusal(200, StatusCode.UNIMPLEMENTED, message)

    def _judge_timeout(self, timeout: bytes) -> None:
        try:
            self.timeout_s = parse_timeout(timeout)
        except BadTimeout:
            shown = timeout.decode("latin-1")
            self.refusal = Refusal(200, StatusCode.INTERNAL, f'malformed grpc-timeout: "{shown}"')
            return
        if self.timeout_s == 0:
            self.refusal = Refusal(200, StatusCode.DEADLINE_EXCEEDED, "deadline had passed when the request came")


def head_of(block: HeaderBlock) -> RequestHead:
    """The gRPC view of a header list."""
    head: Any = block.head
    if head is None:
        head = block.head = RequestHead(block)
    assert isinstance(head, RequestHead)
    return head


def failure_fields(code: int, message: str, details: bytes, trailing: Trailing) -> list[tuple[bytes, bytes]]:
    """The trailers of a failed call."""
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", encode_message(message)))
    if details:
        fields.append((b"grpc-status-details-bin", metadata.encode_binary(details)))
    fields.extend([encode_pair(name, value) for name, value in trailing])
    return fields


@final
class ServerCall:
    """One gRPC call. Every method is a no-op once `done`; all must be called on the server's loop."""

    __slots__ = (
        "_callbacks",
        "authority",
        "cancelled",
        "connection",
        "deadline",
        "dispatched",
        "done",
        "head_sent",
        "held_bytes",
        "inbox",
        "is_head",
        "message",
        "metadata",
        "path",
        "peer",
        "peer_ended",
        "reader",
        "refusal",
        "stream",
        "streaming",
        "waiter",
    )

    def __init__(
        self,
        connection: ServerConnection,
        stream: Stream,
        head: RequestHead,
        deadline: float | None,
        streaming: bool,
        reader: MessageReader | None,
    ) -> None:
        self.path = head.path
        """As sent, with its leading slash; nothing is normalised, so only an exact name matches."""
        self.message = b""
        """The request of a unary call, decompressed; of a streaming call its first message, or b"" if none came."""
        self.metadata = head.metadata
        self.authority = head.authority
        self.deadline = deadline
        """Instant in `loop.time()` seconds; None when the caller set none."""
        self.peer = connection.peer
        self.done = False
        """Answered, cancelled, reset, or its connection lost."""
        self.cancelled = False
        """Done without an answer from above: reset, lost, or past its deadline."""
        self.connection = connection
        self.stream = stream
        self.streaming = streaming
        self.reader = reader
        self.dispatched = False
        self.head_sent = False
        self.peer_ended = False
        self.refusal: Refusal | None = None
        """Set for what only looks like a call until its request has ended."""
        self.is_head = False
        self.held_bytes = 0
        self.inbox: deque[tuple[bytes, int]] | None = None
        """Messages of a streaming request that nobody has received, with the bytes to grant for each."""
        self.waiter: asyncio.Future[None] | None = None
        self._callbacks: list[Callable[[], None]] | None = None

    def respond(self, message: bytes, trailing: Trailing = ()) -> None:
        """Answer a unary call with OK."""
        if self.done:
            return
        if not trailing:
            self.connection.answer(self, message, OK_TRAILERS)
            return
        fields = (*OK_TRAILERS.fields, *[encode_pair(name, value) for name, value in trailing])
        self.connection.answer(self, message, PreparedFields(ONE_OFF, fields))

    def fail(self, code: int, message: str, details: bytes = b"", trailing: Trailing = ()) -> None:
        """Answer with an error: trailers only, or trailers behind what was sent.

        `details` is a serialized google.rpc.Status and goes into grpc-status-details-bin.
        """
        if not self.done:
            self.connection.end(self, failure_fields(code, message, details, trailing))

    def send(self, message: bytes) -> None:
        """Send a message of a streaming response; without an open window it is queued."""
        if not self.done:
            self.connection.send(self, message)

    def finish(self, trailing: Trailing = ()) -> None:
        """End a streaming response with OK."""
        if self.done:
            return
        if not self.head_sent:
            self.connection.send_head(self)
        self.connection.end(self, [*OK_TRAILERS.fields, *[encode_pair(name, value) for name, value in trailing]])

    async def receive(self) -> bytes | None:
        """The next message of a streaming request behind `message`; None when it has ended or the call is done.

        One receiver at a time.
        """
        assert self.inbox is not None, "only streaming calls have further messages"
        assert self.waiter is None, "one receiver at a time"
        while not self.inbox:
            if self.peer_ended or self.done:
                return None
            self.waiter = self.connection.loop.create_future()
            try:
                await self.waiter
            finally:
                self.waiter = None
        message, size = self.inbox.popleft()
        self.connection.consumed(self, message, size)
        return message

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call back when the peer resets the call, its connection is lost, or its deadline passes.

        In the last case the server has answered DEADLINE_EXCEEDED. Never called once the call is answered; a call that
        was cancelled already calls back at once.
        """
        if self._callbacks is None:
            self._callbacks = []
        if self.done:
            if self.cancelled:
                _run(callback)
            return
        self._callbacks.append(callback)

    def wake(self) -> None:
        """Let a waiting `receive` look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def run_callbacks(self) -> None:
        """Tell those who asked that the call is cancelled."""
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            _run(callback)


def _run(callback: Callable[[], None]) -> None:
    """A callback's fault must not reach the connection, which others use."""
    try:
        callback()
    except Exception:
        log.exception("cancel callback failed")
