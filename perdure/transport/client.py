"""The gRPC client: unary calls on one HTTP/2 connection that comes back by itself.

For calls between our processes, for benchmarks and for tests. A channel connects when it is first used; while the
server cannot be reached calls fail fast with UNAVAILABLE, and a new attempt is made no sooner than the backoff allows.
A call that the server provably did not process is repeated once, others never: only the caller knows if that is safe.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl as ssl_module
from collections import deque
from collections.abc import Sequence
from typing import Final, cast, final

from perdure.errors import StatusCode
from perdure.transport import frames
from perdure.transport.hpack import HeaderBlock, PreparedFields
from perdure.transport.http2 import Connection
from perdure.transport.limits import Http2Limits
from perdure.transport.messages import IDENTITY, PREFIX, WBITS, BadMessage, MessageReader
from perdure.transport.metadata import Metadata, decode_message, encode_pair, format_timeout
from perdure.transport.sending import ENTERED
from perdure.transport.streams import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    PeerGoingAway,
    PingAcknowledged,
    Stream,
    StreamReset,
    TrailersReceived,
)

CONNECT_S: Final = 5.0
"""One attempt to connect, TLS and SETTINGS included."""

BACKOFF_FIRST_S: Final = 0.05
BACKOFF_FACTOR: Final = 1.6
BACKOFF_MAX_S: Final = 5.0
"""Between attempts; a process of ours that restarts is back in a second or two."""

KEEPALIVE_S: Final = 20.0
"""Silence, while calls wait, before we ping; above the 10 s that servers ask for."""

KEEPALIVE_TIMEOUT_S: Final = 10.0
"""Silence after that ping before the connection is given up."""

WAITING_MAX: Final = 10_000
"""Calls that wait for a free stream; further ones fail with RESOURCE_EXHAUSTED."""

RESPONSE_BYTES_MAX: Final = 128 * 1024 * 1024
"""One response message (server_inventory: the limit of Temporal's internal clients)."""

USER_AGENT: Final = b"perdure-grpc/1"

_RESET_CODES: Final = {
    frames.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    frames.CANCEL: StatusCode.CANCELLED,
    frames.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    frames.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}
"""gRPC's reading of a RST_STREAM without trailers; INTERNAL where nothing is listed."""

_HTTP_CODES: Final = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}
"""gRPC's reading of an HTTP status without grpc-status; UNKNOWN where nothing is listed."""


class RpcError(Exception):
    """A call that did not end with OK. `details` is the serialized google.rpc.Status, if the server sent one."""

    def __init__(self, code: StatusCode, message: str, details: bytes = b"", trailing: Metadata | None = None) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.details = details
        self.trailing = trailing if trailing is not None else Metadata(())


class _Unprocessed(Exception):
    """The server says that it has not looked at the call."""


@final
class _Call:
    """What the client knows of one call."""

    __slots__ = ("answer", "http_status", "message", "reader", "stream")

    def __init__(self, stream: Stream, answer: asyncio.Future[bytes]) -> None:
        self.stream = stream
        self.answer = answer
        self.message: bytes | None = None
        self.reader: MessageReader | None = None
        self.http_status = 200

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@final
class ClientConnection(asyncio.Protocol):
    """One connection of a channel."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Http2Limits) -> None:
        self._loop = loop
        self._http2 = Connection(True, limits, loop.time())
        self._sender = self._http2.sender
        self._transport: asyncio.Transport | None = None
        self._flush_due = False
        self._paused = False
        self._received_at = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pinged = False
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when the server's SETTINGS have come, or with the error that prevented it."""
        self.usable = True
        """False once no further call may be started here."""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asyncio's class with uvloop, but of its interface.
        self._transport = cast(asyncio.Transport, transport)
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None and ssl_object.selected_alpn_protocol() != "h2":
            self._lose("server does not speak HTTP/2")
            return
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._received_at = self._loop.time()
        self._pinged = False
        for event in self._http2.receive(data, self._received_at):
            self._event(event)
        self._after()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lose("connection lost" if exc is None else f"connection lost: {exc}")

    def pause_writing(self) -> None:
        self._paused = True
        self._sender.writable = False

    def resume_writing(self) -> None:
        self._paused = False
        self._sender.writable = True
        self._sender.pump()
        self._schedule_flush()

    def _event(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._data(event.stream, event.data, event.ended)
        elif isinstance(event, HeadersReceived):
            self._head(event.stream, event.block, event.ended)
        elif isinstance(event, TrailersReceived):
            self._trailers(event.stream, event.block)
        elif isinstance(event, StreamReset):
            self._reset(event)
        elif isinstance(event, PeerGoingAway):
            self._going_away(event)
        elif isinstance(event, ConnectionFailed):
            self._lose(f"server broke the protocol: {event.message}")
        elif not isinstance(event, PingAcknowledged) and not self.ready.done():
            self.ready.set_result(None)

    # Output

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport is None or self._paused:
            return
        data = self._sender.take()
        if data:
            self._transport.write(data)

    def _after(self) -> None:
        """A stream may have become free, or the last of a connection that goes away may be over."""
        if self._sender.out:
            self._schedule_flush()
        free = self._http2.peer_streams_max - len(self._http2.streams) if self.usable else len(self._waiting)
        while self._waiting and free > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1
        if not self.usable and not self._http2.streams and not self._waiting:
            self.close()

    def close(self) -> None:
        """Close; calls in flight fail with UNAVAILABLE."""
        transport = self._transport
        if transport is not None:
            transport.write(self._sender.take())
            transport.close()
        self._lose("channel closed")

    def _lose(self, reason: str) -> None:
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        error = RpcError(StatusCode.UNAVAILABLE, reason)
        if not self.ready.done():
            self.ready.set_exception(error)
            # Nobody may be waiting any more; the loop need not warn about that.
            self.ready.exception()
        streams = list(self._http2.streams.values())
        self._http2.streams.clear()
        for stream in streams:
            if stream.owner is not None:
                stream.owner.fail(error)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.close()

    # Calls

    async def call(self, message: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
        """One attempt of a call. Raises RpcError, or _Unprocessed."""
        while len(self._http2.streams) >= self._http2.peer_streams_max and self.usable:
            await self._wait_for_stream()
        if not self.usable or not self._http2.stream_ids_left:
            self.usable = False
            raise _Unprocessed
        stream = self._http2.open_stream(self._loop.time())
        call = _Call(stream, self._loop.create_future())
        stream.owner = call
        self._sender.headers(stream, PreparedFields(ENTERED, tuple(fields)), False)
        self._sender.data(stream, PREFIX.pack(0, len(message)) + message, True)
        self._schedule_flush()
        if self._timer is None:
            self._timer = self._loop.call_later(KEEPALIVE_S, self._keepalive)
        try:
            return await call.answer
        finally:
            if stream.stream_id in self._http2.streams:
                # Given up: cancelled, past its deadline, or answered before its request was read.
                self._sender.reset(stream, frames.CANCEL)
                self._after()

    async def _wait_for_stream(self) -> None:
        if len(self._waiting) >= WAITING_MAX:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "too many calls wait for a stream")
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # The turn may have been ours already: pass it on.
            self._after()
            raise

    def _keepalive(self) -> None:
        """Look for silence while calls wait; the timer runs only then."""
        self._timer = None
        if not self._http2.streams:
            return
        now = self._loop.time()
        silence_s = now - self._received_at
        if silence_s >= KEEPALIVE_S + KEEPALIVE_TIMEOUT_S and self._pinged:
            self._lose("keepalive failed")
            return
        wait_s = KEEPALIVE_S - silence_s
        if wait_s <= 0:
            wait_s = KEEPALIVE_TIMEOUT_S
            if not self._pinged:
                self._pinged = True
                self._http2.ping(b"perdurec")
                self._schedule_flush()
        self._timer = self._loop.call_later(wait_s, self._keepalive)

    def _head(self, stream: Stream, block: HeaderBlock, ended: bool) -> None:
        call: _Call | None = stream.owner
        if call is None:
            return
        metadata = Metadata(block.fields)
        call.http_status = int(block.fields[0][1])
        if ended or metadata.get("grpc-status") is not None:
            self._trailers(stream, block)
            return
        if not (metadata.get("content-type") or "").startswith("application/grpc"):
            code = _HTTP_CODES.get(call.http_status, StatusCode.UNKNOWN)
            call.fail(RpcError(code, f"HTTP status {call.http_status} without gRPC"))
            return
        encoding = metadata.get("grpc-encoding") or IDENTITY
        if encoding != "identity" and encoding != IDENTITY and encoding not in WBITS:
            call.fail(RpcError(StatusCode.INTERNAL, f'unknown grpc-encoding "{encoding}"'))
            return
        call.reader = MessageReader(IDENTITY if encoding == "identity" else encoding, RESPONSE_BYTES_MAX)

    def _data(self, stream: Stream, data: bytes, ended: bool) -> None:
        call: _Call | None = stream.owner
        if call is None or call.answer.done() or call.reader is None:
            return
        try:
            messages = call.reader.feed(data)
        except BadMessage as error:
            call.fail(RpcError(error.code, error.message))
            return
        self._http2.grant(stream, len(data))
        for message in messages:
            if call.message is not None:
                call.fail(RpcError(StatusCode.UNIMPLEMENTED, "more than one message answers a unary call"))
                return
            call.message = message
        if ended:
            call.fail(RpcError(StatusCode.INTERNAL, "response ended without trailers"))

    def _trailers(self, stream: Stream, block: HeaderBlock) -> None:
        call: _Call | None = stream.owner
        if call is None or call.answer.done():
            return
        metadata = Metadata(block.fields)
        status = metadata.get("grpc-status")
        if status is None or not status.isdecimal():
            code = _HTTP_CODES.get(call.http_status, StatusCode.UNKNOWN)
            call.fail(RpcError(code, f"HTTP status {call.http_status} without grpc-status"))
        elif status != "0":
            call.fail(_status_error(int(status), metadata))
        elif call.message is None:
            call.fail(RpcError(StatusCode.UNIMPLEMENTED, "no message answers a unary call"))
        else:
            call.answer.set_result(call.message)

    def _reset(self, event: StreamReset) -> None:
        call: _Call | None = event.stream.owner
        if call is None:
            return
        if event.remote and event.code == frames.REFUSED_STREAM:
            call.fail(_Unprocessed())
            return
        code = _RESET_CODES.get(event.code, StatusCode.INTERNAL)
        call.fail(RpcError(code, f"stream was reset with error code {event.code}"))

    def _going_away(self, event: PeerGoingAway) -> None:
        self.usable = False
        for stream in list(self._http2.streams.values()):
            if stream.stream_id > event.last_stream_id:
                if stream.owner is not None:
                    stream.owner.fail(_Unprocessed())
                self._sender.reset(stream, frames.CANCEL)


def _status_error(number: int, metadata: Metadata) -> RpcError:
    """The error that trailers describe."""
    code = StatusCode(number) if number in _STATUS_NUMBERS else StatusCode.UNKNOWN
    message = decode_message((metadata.get("grpc-message") or "").encode("latin-1"))
    try:
        details = metadata.get_bin("grpc-status-details-bin") or b""
    except ValueError:
        details = b""
    return RpcError(code, message, details, metadata)


_STATUS_NUMBERS: Final = frozenset(int(code) for code in StatusCode)


@final
class Channel:
    """Unary calls to one server. All methods must be called on one loop."""

    def __init__(
        self,
        host: str,
        port: int,
        ssl: ssl_module.SSLContext | None = None,
        server_hostname: str | None = None,
        limits: Http2Limits | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._ssl = ssl
        self._server_hostname = server_hostname
        self._limits = limits if limits is not None else Http2Limits()
        self._connection: ClientConnection | None = None
        self._connecting: asyncio.Task[ClientConnection] | None = None
        self._backoff_s = 0.0
        self._not_before = 0.0
        self._closed = False
        authority = server_hostname or (f"[{host}]" if ":" in host else host)
        self._fields = (
            (b":method", b"POST"),
            (b":scheme", b"http" if ssl is None else b"https"),
            (b":authority", f"{authority}:{port}".encode()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"user-agent", USER_AGENT),
            (b"grpc-accept-encoding", b"identity,deflate,gzip"),
        )

    async def unary(
        self,
        path: str,
        message: bytes,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        timeout_s: float | None = None,
    ) -> bytes:
        """Call `path` (with its leading slash). Raises RpcError; cancelling the caller resets the stream."""
        fields = [(b":path", path.encode("latin-1")), *[encode_pair(name, value) for name, value in metadata]]
        try:
            async with asyncio.timeout(timeout_s):
                for attempt in itertools.count():
                    connection = await self._ready_connection()
                    timeout = [] if timeout_s is None else [(b"grpc-timeout", format_timeout(timeout_s))]
                    head = [*self._fields[:2], fields[0], *self._fields[2:], *timeout, *fields[1:]]
                    try:
                        return await connection.call(message, head)
                    except _Unprocessed:
                        if attempt > 0:
                            raise RpcError(StatusCode.UNAVAILABLE, "server does not take the call") from None
                raise AssertionError("unreachable")
        except TimeoutError:
            raise RpcError(StatusCode.DEADLINE_EXCEEDED, "deadline exceeded") from None

    async def close(self) -> None:
        """Close the connection; calls in flight fail with UNAVAILABLE."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _ready_connection(self) -> ClientConnection:
        connection = self._connection
        if connection is not None and connection.usable:
            return connection
        if self._closed:
            raise RpcError(StatusCode.UNAVAILABLE, "channel closed")
        if self._connecting is None:
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before:
                raise RpcError(StatusCode.UNAVAILABLE, f"{self._host}:{self._port} could not be reached; backing off")
            self._connecting = loop.create_task(self._connect(loop))
            self._connecting.add_done_callback(_retrieve)
        # Shielded: one caller's deadline must not take the connection from the others.
        return await asyncio.shield(self._connecting)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> ClientConnection:
        protocol: ClientConnection | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                _, protocol = await loop.create_connection(
                    lambda: ClientConnection(loop, self._limits),
                    self._host,
                    self._port,
                    ssl=self._ssl,
                    server_hostname=self._server_hostname if self._ssl is not None else None,
                )
                await protocol.ready
        except (OSError, TimeoutError, RpcError) as error:
            if protocol is not None:
                protocol.close()
            self._backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_FIRST_S, self._backoff_s * BACKOFF_FACTOR))
            self._not_before = loop.time() + self._backoff_s
            reason = str(error) or type(error).__name__
            message = f"connection to {self._host}:{self._port} failed: {reason}"
            raise RpcError(StatusCode.UNAVAILABLE, message) from error
        finally:
            self._connecting = None
        self._backoff_s = 0.0
        self._connection = protocol
        return protocol


def _retrieve(task: asyncio.Task[ClientConnection]) -> None:
    """All callers may have given up; the loop need not warn about an error that nobody saw."""
    if not task.cancelled():
        task.exception()
