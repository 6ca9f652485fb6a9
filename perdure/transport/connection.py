"""One connection of the gRPC server: HTTP/2 events become calls, answers become frames.

All output of one turn of the loop goes into one write. What a peer may hold or make us hold is bounded by
`ServerOptions`; the limits that are times are judged in `sweep`, which the server calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, cast, final

from perdure.errors import StatusCode
from perdure.transport import frames, old_http
from perdure.transport.calls import (
    OK_TRAILERS,
    RESPONSE_HEAD,
    Peer,
    Refusal,
    RequestHead,
    ServerCall,
    failure_fields,
    head_of,
)
from perdure.transport.hpack import PreparedFields
from perdure.transport.http2 import Connection
from perdure.transport.messages import PREFIX, PREFIX_BYTES, BadMessage, MessageReader
from perdure.transport.sending import ONE_OFF
from perdure.transport.streams import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    PingAcknowledged,
    Stream,
    StreamReset,
    TrailersReceived,
)

if TYPE_CHECKING:
    from perdure.transport.server import GrpcServer

log = logging.getLogger(__name__)

KEEPALIVE_PING: Final = b"perdurek"
DRAIN_PING: Final = b"perdured"
"""Opaque bytes of our pings, to tell their answers apart."""

LINGER_S: Final = 1.0
"""How long a failed connection stays half open, so that the peer's unread bytes do not destroy our GOAWAY."""


INFLATED_BYTES_PER_POINT: Final = 131_072
"""What a point of the connection's budget buys of inflation beyond a fair ratio: some sixty bombs of 4 MiB at once,
sixteen a second in the long run, 7 ms each. No dearer, because people test with payloads of one repeated letter."""

REFUSED_BODY_BYTES_MAX: Final = 65_535
"""How much of a request that is no gRPC call is read before it is answered."""


@final
class ServerConnection(asyncio.Protocol):
    """One connection. Made by GrpcServer only; ServerCall calls back into it."""

    def __init__(self, server: GrpcServer, loop: asyncio.AbstractEventLoop) -> None:
        options = server.options
        self.loop = loop
        self._server = server
        self._options = options
        now = self.loop.time()
        self._http2 = Connection(False, options.http2, now)
        self._sender = self._http2.sender
        self._transport: asyncio.Transport | None = None
        self.peer = Peer("", False, None)
        self._flush_due = False
        self._paused = False
        self._closing = False
        self._close_by = 0.0
        self._opened_at = now
        self._received_at = now
        self._busy_at = now
        self._pinged_at = -1.0
        self._draining = False
        self._drained_at = 0.0
        self._drain_by = 0.0
        self._refusing = False
        self._progress = 0
        self._progress_at = now
        self._held_bytes = 0
        self._silent = True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asyncio's class with uvloop, but of its interface.
        made = self._transport = cast(asyncio.Transport, transport)
        ssl_object = transport.get_extra_info("ssl_object")
        certificate = ssl_object.getpeercert(True) if ssl_object is not None else None
        self.peer = Peer(_address(transport.get_extra_info("peername")), ssl_object is not None, certificate)
        if not self._server.admit(self):
            self._abort()
            return
        if ssl_object is not None and ssl_object.selected_alpn_protocol() != "h2":
            self._abort()
            return
        # Our preface is written with what the peer's first bytes bring about: they may be no HTTP/2.
        made.set_write_buffer_limits(high=self._options.write_buffer_bytes)

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        self._received_at = now
        if self._silent:
            self._silent = False
            if old_http.recognised(data):
                self._turn_away(data)
        for event in self._http2.receive(data, now):
            kind = type(event)
            if kind is DataReceived:
                assert isinstance(event, DataReceived)
                self._data(event.stream, event.data, event.ended)
            elif kind is HeadersReceived:
                assert isinstance(event, HeadersReceived)
                self._request(event.stream, head_of(event.block), event.ended, now)
            elif isinstance(event, TrailersReceived):
                self._data(event.stream, b"", True)
            elif isinstance(event, StreamReset):
                self._cancel(event.stream)
            elif isinstance(event, PingAcknowledged):
                self._ping_acknowledged(event.opaque)
            elif isinstance(event, ConnectionFailed):
                self._fail(event)
        if self._sender.out and not self._flush_due:
            self.schedule_flush()

    def eof_received(self) -> bool:
        self._close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            log.debug("connection from %s lost: %s", self.peer.address, exc)
        self._closing = True
        self._transport = None
        for stream in list(self._http2.streams.values()):
            self._cancel(stream)
        self._server.lost(self)

    def pause_writing(self) -> None:
        self._paused = True
        self._sender.writable = False
        self._progress_at = self.loop.time()
        if self._transport is not None and not self._closing:
            # Whatever the peer sends would only make more output for it.
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._sender.writable = True
        self._sender.pump()
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()
        self.schedule_flush()

    # Output

    def schedule_flush(self) -> None:
        """Write all output behind this turn of the loop, once."""
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        transport = self._transport
        if transport is None or self._paused or self._closing:
            return
        data = self._sender.take()
        if data:
            transport.write(data)
        if self._refusing and not self._http2.streams:
            self._close()

    def _close(self) -> None:
        """Write what there is and close."""
        if self._closing:
            return
        self._closing = True
        self._close_by = self.loop.time() + self._options.handshake_s
        if self._transport is not None:
            data = self._sender.take()
            if data:
                self._transport.write(data)
            self._transport.close()

    def _abort(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _turn_away(self, request: bytes) -> None:
        """A caller in HTTP/1: one answer, whatever else it sends."""
        self._http2.failed = True
        self._sender.take()
        self._sender.out.append(old_http.answer(request, self._options.http1_elsewhere))
        self._end_output()

    def _fail(self, event: ConnectionFailed) -> None:
        """The peer broke the protocol: GOAWAY, end of our output, and a short while for the peer to read it."""
        log.info("connection from %s failed: %s (%d)", self.peer.address, event.message, event.code)
        for stream in list(self._http2.streams.values()):
            self._cancel(stream)
        self._end_output()

    def _end_output(self) -> None:
        """Write what there is, end our side, and give the peer a short while to read it."""
        transport = self._transport
        if self._closing or transport is None:
            return
        if not transport.can_write_eof():
            self._close()
            return
        self._closing = True
        self._close_by = self.loop.time() + LINGER_S
        transport.write(self._sender.take())
        transport.write_eof()

    # Requests

    def _request(self, stream: Stream, head: RequestHead, ended: bool, now: float) -> None:
        if self._closing or not stream.local_open:
            # Failed or reset by what came behind it: no handler is started for nothing.
            return
        self._busy_at = now
        refusal = head.refusal
        if refusal is not None:
            self._refuse_head(stream, head, refusal, ended)
            return
        server = self._server
        timeout_s = head.timeout_s
        deadline = now + timeout_s if timeout_s >= 0 else None
        streaming = head.path in server.streaming
        reader = None
        if streaming or head.encoding:
            reader = MessageReader(head.encoding, self._options.message_bytes_max)
        call = ServerCall(self, stream, head, deadline, streaming, reader)
        stream.owner = call
        if deadline is not None:
            server.watch(deadline, call)
        if streaming:
            call.inbox = deque()
        if ended:
            self._ended(call)

    def _data(self, stream: Stream, data: bytes, ended: bool) -> None:
        call = stream.owner
        if call is None or not stream.local_open:
            return
        reader = call.reader
        if (
            reader is None
            and ended
            and len(data) >= PREFIX_BYTES
            and data[0] == 0
            and int.from_bytes(data[1:PREFIX_BYTES], "big") == len(data) - PREFIX_BYTES
            and len(data) - PREFIX_BYTES <= self._options.message_bytes_max
        ):
            call.message = data[PREFIX_BYTES:]
            self._dispatch(call)
            return
        if reader is None:
            reader = call.reader = MessageReader("", self._options.message_bytes_max)
        try:
            self._messages(call, reader, data, ended)
        except BadMessage as error:
            call.fail(error.code, error.message)
            if call.dispatched:
                # The handler of a streaming call is at work, and this answer was not its own.
                call.cancelled = True
                call.run_callbacks()
        if self._http2.failed:
            # The event is behind those that came with it; what they ask for must not be done any more.
            self._fail(ConnectionFailed(frames.ENHANCE_YOUR_CALM, "too many compressed bombs"))

    def _messages(self, call: ServerCall, reader: MessageReader, data: bytes, ended: bool) -> None:
        """The way of everything but a whole message in one last frame. Raises BadMessage."""
        refusal = call.refusal
        if refusal is not None:
            if ended or call.stream.received > REFUSED_BODY_BYTES_MAX:
                self._refuse(call.stream, call.is_head, refusal)
            return
        held_before = reader.held_bytes
        excess_before = reader.inflated_excess_bytes
        try:
            messages = reader.feed(data)
        finally:
            excess = reader.inflated_excess_bytes - excess_before
            if excess:
                self._http2.spend(excess / INFLATED_BYTES_PER_POINT, "too many compressed bombs")
        if self._http2.failed:
            return
        self._hold(call, reader.held_bytes - held_before)
        if messages:
            self._http2.earn(len(messages))
        if not call.streaming:
            self._unary_message(call, messages)
            if not ended:
                self._http2.grant(call.stream, len(data))
        elif messages:
            self._streaming_messages(call, messages, len(data))
        elif not ended:
            self._http2.grant(call.stream, len(data))
        if ended and not call.done:
            if reader.held_bytes:
                raise BadMessage(StatusCode.INTERNAL, "grpc: request ended within a message")
            self._ended(call)

    def _unary_message(self, call: ServerCall, messages: list[bytes]) -> None:
        if not messages:
            return
        if call.peer_ended or len(messages) > 1:
            raise BadMessage(StatusCode.UNIMPLEMENTED, "unary call with more than one request message")
        # The flag only says that the message is there; it may be empty.
        call.peer_ended = True
        call.message = messages[0]
        self._hold(call, len(call.message))

    def _streaming_messages(self, call: ServerCall, messages: list[bytes], size: int) -> None:
        """Queue messages; the window for `size` bytes is given back as they are received."""
        inbox = call.inbox
        assert inbox is not None
        for message in messages:
            if not call.dispatched:
                call.message = message
                self._http2.grant(call.stream, size)
                size = 0
                self._dispatch(call)
                continue
            self._hold(call, len(message))
            inbox.append((message, size))
            size = 0
        call.wake()

    def _ended(self, call: ServerCall) -> None:
        """The request is complete."""
        if call.streaming:
            call.peer_ended = True
            if not call.dispatched:
                self._dispatch(call)
            call.wake()
        elif call.peer_ended:
            self._dispatch(call)
        else:
            call.fail(StatusCode.UNIMPLEMENTED, "unary call without a request message")

    def _hold(self, call: ServerCall, size: int) -> None:
        """Count bytes that wait in memory. Raises BadMessage beyond the connection's limit."""
        call.held_bytes += size
        self._held_bytes += size
        if size > 0 and self._held_bytes > self._options.held_bytes_max:
            raise BadMessage(StatusCode.RESOURCE_EXHAUSTED, "grpc: too many unfinished requests on this connection")

    def consumed(self, call: ServerCall, message: bytes, size: int) -> None:
        """A streaming message was received by the handler."""
        if not call.done:
            self._hold(call, -len(message))
            self._http2.grant(call.stream, size)
            self.schedule_flush()

    def _dispatch(self, call: ServerCall) -> None:
        call.dispatched = True
        try:
            self._server.dispatch(call)
        except Exception:
            # The connection serves others.
            log.exception("dispatch of %s failed", call.path)
            call.fail(StatusCode.INTERNAL, "internal error")

    # Answers

    def answer(self, call: ServerCall, message: bytes, trailers: PreparedFields) -> None:
        """A whole unary response."""
        if self._sender.queued_bytes + len(message) > self._options.output_bytes_max:
            call.fail(StatusCode.RESOURCE_EXHAUSTED, "grpc: too many unread responses on this connection")
            return
        if call.head_sent:
            self.send(call, message)
            self._sender.trailers(call.stream, trailers)
        else:
            self._sender.unary(call.stream, RESPONSE_HEAD, PREFIX.pack(0, len(message)), message, trailers)
        self._done(call)

    def send_head(self, call: ServerCall) -> None:
        """The head of a streaming response."""
        call.head_sent = True
        self._sender.headers(call.stream, RESPONSE_HEAD, False)
        self.schedule_flush()

    def send(self, call: ServerCall, message: bytes) -> None:
        """A message of a streaming response."""
        if self._sender.queued_bytes + len(message) > self._options.output_bytes_max:
            self._sender.reset(call.stream, frames.ENHANCE_YOUR_CALM)
            self._cancel(call.stream)
            self.schedule_flush()
            return
        if not call.head_sent:
            self.send_head(call)
        self._sender.data(call.stream, PREFIX.pack(0, len(message)) + message, False)
        self.schedule_flush()

    def end(self, call: ServerCall, fields: list[tuple[bytes, bytes]]) -> None:
        """Trailers behind what was sent, or trailers only."""
        if call.head_sent:
            if len(fields) == 1 and fields[0] == OK_TRAILERS.fields[0]:
                self._sender.trailers(call.stream, OK_TRAILERS)
            else:
                self._sender.trailers(call.stream, PreparedFields(ONE_OFF, tuple(fields)))
        else:
            self._sender.headers(call.stream, PreparedFields(ONE_OFF, (*RESPONSE_HEAD.fields, *fields)), True)
        self._done(call)

    def _done(self, call: ServerCall) -> None:
        """The call is answered."""
        call.done = True
        call.stream.owner = None
        self._release(call)
        self.schedule_flush()

    def _release(self, call: ServerCall) -> None:
        if call.deadline is not None:
            self._server.unwatch(call.deadline, call)
        if call.held_bytes:
            self._held_bytes -= call.held_bytes
            call.held_bytes = 0
        if call.inbox is not None:
            call.inbox.clear()
            call.wake()

    def _refuse_head(self, stream: Stream, head: RequestHead, refusal: Refusal, ended: bool) -> None:
        """A head that is no call. What is not even gRPC is answered as HTTP does it, behind the request."""
        if refusal.http_status == 200 or ended:
            self._refuse(stream, head.is_head, refusal)
            return
        call = ServerCall(self, stream, head, None, False, MessageReader("", 0))
        call.refusal = refusal
        call.is_head = head.is_head
        stream.owner = call

    def _refuse(self, stream: Stream, is_head: bool, refusal: Refusal) -> None:
        """Answer a refused head."""
        stream.owner = None
        failure = failure_fields(refusal.code, refusal.message, b"", ())
        if refusal.http_status == 200:
            fields = (*RESPONSE_HEAD.fields, *failure)
            self._sender.headers(stream, PreparedFields(ONE_OFF, fields), True)
            return
        body = b"" if is_head else refusal.message.encode("ascii", "replace")
        status = b"%d" % refusal.http_status
        fields = ((b":status", status), (b"content-type", b"text/plain"), *failure)
        self._sender.headers(stream, PreparedFields(ONE_OFF, fields), not body)
        if body:
            self._sender.data(stream, body, True)

    def _cancel(self, stream: Stream) -> None:
        """The stream is gone without an answer of ours."""
        call = stream.owner
        if call is None or call.done:
            return
        call.done = call.cancelled = True
        stream.owner = None
        self._release(call)
        call.run_callbacks()
        if self._refusing:
            self.schedule_flush()

    def expire(self, call: ServerCall) -> None:
        """The deadline of a call has passed."""
        if call.done:
            return
        call.fail(StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
        call.cancelled = True
        call.run_callbacks()

    # Life of the connection

    def drain(self, grace_s: float) -> None:
        """Take no new calls once the peer knows, finish those there are within `grace_s`, then close."""
        if self._draining or self._closing:
            return
        self._draining = True
        self._drained_at = self.loop.time()
        self._drain_by = self._drained_at + grace_s
        self._http2.announce_close()
        self._http2.ping(DRAIN_PING)
        self.schedule_flush()

    def _ping_acknowledged(self, opaque: bytes) -> None:
        if opaque == DRAIN_PING and self._draining:
            self._refuse_new()

    def _refuse_new(self) -> None:
        if not self._refusing:
            self._refusing = True
            self._http2.refuse_new_streams()
            self.schedule_flush()

    def shut(self) -> None:
        """The grace is over: calls are cancelled by the loss of their connection."""
        self._abort()

    def sweep(self, now: float) -> None:
        """Housekeeping; every limit of a connection that is a time is judged here."""
        options = self._options
        if self._closing:
            if now >= self._close_by:
                self._abort()
            return
        if self._http2.streams:
            self._busy_at = now
        if self._draining:
            if now >= self._drain_by:
                self._abort()
            elif not self._refusing and now - self._drained_at >= options.keepalive_timeout_s:
                self._refuse_new()
        elif now - self._busy_at >= options.idle_s or now - self._opened_at >= self._server.age_of(self):
            self.drain(options.age_grace_s)
        owed_since = self._http2.owed_since
        if owed_since >= 0 and now - owed_since >= options.handshake_s:
            self._abort()
            return
        self._check_keepalive(now)
        self._check_progress(now)

    def _check_keepalive(self, now: float) -> None:
        silence_s = now - self._received_at
        if silence_s < self._options.keepalive_s or self._paused:
            # While paused we do not read, so silence says nothing; stalls have their own limit.
            self._pinged_at = -1.0
        elif self._pinged_at < 0:
            self._pinged_at = now
            self._http2.ping(KEEPALIVE_PING)
            self.schedule_flush()
        elif now - self._pinged_at >= self._options.keepalive_timeout_s:
            self._abort()

    def _check_progress(self, now: float) -> None:
        sender = self._sender
        buffered = self._transport.get_write_buffer_size() if self._transport is not None else 0
        progress = sender.sent_bytes - buffered
        if progress != self._progress or not (self._paused or sender.queued_bytes):
            self._progress = progress
            self._progress_at = now
        elif now - self._progress_at >= self._options.stall_s:
            log.info("connection from %s has stalled", self.peer.address)
            self._abort()


def _address(peername: object) -> str:
    """The peer's address as text."""
    if isinstance(peername, tuple) and len(peername) >= 2:
        host, port = peername[0], peername[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(peername or "")
