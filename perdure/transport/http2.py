"""A sans-IO HTTP/2 connection, server or client (RFC 9113).

Bytes in, events out (`receive`); calls in, bytes out (`sender`, `take`). It does no I/O, reads no clock (`now` comes
with the input, in seconds of any monotonic clock) and knows nothing of gRPC. Whatever a peer can make us do without
doing something useful is paid from a budget; an empty budget ends the connection with ENHANCE_YOUR_CALM.

Where RFC 9113 allows a stream error to be treated as a connection error, the cheaper is chosen for what no working peer
does: such peers are hostile, and each stream error is work for them to order (CVE-2025-8671).
"""

from __future__ import annotations

from typing import final

from perdure.transport import frames, headers
from perdure.transport.floods import Budget, PingWatch
from perdure.transport.frames import ConnectionBroken
from perdure.transport.header_blocks import UnfinishedBlock
from perdure.transport.hpack import HeaderBlock, HeaderDecoder, HeaderListTooLarge, HpackFailed
from perdure.transport.limits import (
    CONTROL_POINTS,
    CONTROLS_EARNED_BY_REQUEST,
    CONTROLS_PER_SECOND,
    DATA_BYTES_PER_POINT,
    GAPS_MAX,
    RESET_POINTS,
    RESET_YOUNG_S,
    RESETS_PER_SECOND,
    SENT_BYTES_PER_POINT,
    Http2Limits,
)
from perdure.transport.sending import Sender
from perdure.transport.streams import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    PeerGoingAway,
    PingAcknowledged,
    SettingsReceived,
    Stream,
    StreamReset,
    TrailersReceived,
)


@final
class Connection:
    """One side of a connection. The shell writes `take()` after every call that may have produced output."""

    __slots__ = (
        "_buffer",
        "_controls",
        "_decoder",
        "_events",
        "_gaps",
        "_limits",
        "_next_stream_id",
        "_now",
        "_owed_since",
        "_pings",
        "_preface_due",
        "_recv_taken",
        "_recv_window",
        "_resets",
        "_sent_seen",
        "_settings_due",
        "_unfinished",
        "closing_above",
        "failed",
        "is_client",
        "last_peer_stream_id",
        "peer_streams_max",
        "sender",
        "streams",
    )

    def __init__(self, client: bool, limits: Http2Limits, now: float) -> None:
        self.is_client = client
        self._limits = limits
        self.sender = Sender(client)
        self.streams = self.sender.streams
        """Streams that are not closed, by id."""
        self.failed = False
        """True after a connection error: everything received later is dropped."""
        self.peer_streams_max = frames.STREAM_ID_MAX
        """How many streams the peer lets us open at once."""
        self.last_peer_stream_id = 0
        self.closing_above = frames.STREAM_ID_MAX
        """Streams of the peer above this id are not processed: we sent GOAWAY with it."""
        self._decoder = HeaderDecoder(limits.header_list_bytes_max)
        self._events: list[Event] = []
        self._now = now
        self._owed_since = now
        self._buffer = b""
        self._preface_due = not client
        self._settings_due = True
        self._recv_window = limits.connection_window_bytes
        self._recv_taken = 0
        self._next_stream_id = 1
        self._unfinished: UnfinishedBlock | None = None
        self._gaps: list[tuple[int, int]] = []
        self._resets = Budget(RESET_POINTS, RESETS_PER_SECOND, now)
        self._controls = Budget(CONTROL_POINTS, CONTROLS_PER_SECOND, now)
        self._pings = PingWatch(limits.ping_interval_min_s, now)
        self._sent_seen = 0
        self._start()

    def _start(self) -> None:
        """Our preface: SETTINGS and the connection's window, behind the magic if we are the client."""
        limits = self._limits
        pairs = [
            (frames.SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (frames.SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_list_bytes_max),
        ]
        if self.is_client:
            pairs.append((frames.SETTINGS_ENABLE_PUSH, 0))
            self.sender.out.append(frames.PREFACE)
        else:
            pairs.append((frames.SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams_max))
        self.sender.out.append(frames.settings(pairs))
        more = limits.connection_window_bytes - frames.WINDOW_INITIAL
        if more > 0:
            self.sender.out.append(frames.window_update(0, more))

    def take(self) -> bytes:
        """All output since the last call."""
        return self.sender.take()

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what the transport delivered. A broken rule becomes a ConnectionFailed event, never an exception."""
        events: list[Event] = []
        if self.failed:
            return events
        self._events = events
        self._now = now
        if self._buffer:
            data = self._buffer + data
        try:
            self._buffer = self._frames(data)
        except ConnectionBroken as error:
            self.fail(error.code, error.message)
        return events

    def fail(self, code: int, message: str) -> None:
        """End the connection with GOAWAY; the shell writes the output and closes."""
        if self.failed:
            return
        self.failed = True
        self._buffer = b""
        last = self.last_peer_stream_id
        self.sender.out.append(frames.goaway(last, code, message.encode("ascii", "replace")[:256]))
        self._events.append(ConnectionFailed(code, message))

    @property
    def owed_since(self) -> float:
        """Since when the peer owes us the rest of its preface or of a header block; negative when it owes nothing."""
        return self._owed_since if self._settings_due or self._unfinished is not None else -1.0

    def earn(self, points: float) -> None:
        """The layer above found that the peer did something useful; see the budgets."""
        self._controls.earn(points)

    def spend(self, points: float, why: str) -> None:
        """The layer above found that the peer made it work for nothing; an empty budget fails the connection."""
        if not self._controls.spend(points, self._now):
            self.fail(frames.ENHANCE_YOUR_CALM, why)

    def _frames(self, data: bytes) -> bytes:
        """Cut frames from `data`; the rest is returned."""
        position = 0
        end = len(data)
        if self._preface_due:
            magic = frames.PREFACE
            if data[: len(magic)] != magic[:end]:
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "no HTTP/2 preface")
            if end < len(magic):
                return data
            self._preface_due = False
            position = len(magic)
        unpack = frames.FRAME_HEADER.unpack_from
        while end - position >= 9:
            word, flags, stream_id = unpack(data, position)
            length = word >> 8
            kind = word & 0xFF
            stream_id &= 0x7FFFFFFF
            if length > frames.FRAME_SIZE_MIN:
                raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "frame is larger than SETTINGS_MAX_FRAME_SIZE")
            start = position + 9
            stop = start + length
            if stop > end:
                break
            position = stop
            payload = data[start:stop]
            unfinished = self._unfinished
            if unfinished is not None and (kind != frames.CONTINUATION or stream_id != unfinished.stream_id):
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "header block is interrupted")
            if self._settings_due and kind != frames.SETTINGS:
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "first frame is not SETTINGS")
            if kind == frames.DATA:
                self._data(flags, stream_id, payload)
            elif kind == frames.HEADERS:
                self._headers(flags, stream_id, payload)
            else:
                self._control(kind, flags, stream_id, payload)
        return data[position:]

    # Requests and responses

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._recv_window -= size
        if self._recv_window < 0:
            raise ConnectionBroken(frames.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
        self._recv_taken += size
        if self._recv_taken * 2 >= self._limits.connection_window_bytes:
            self.sender.out.append(frames.window_update(0, self._recv_taken))
            self._recv_window += self._recv_taken
            self._recv_taken = 0
        ended = flags & frames.FLAG_END_STREAM != 0
        if not ended:
            self._spend(1 - size / DATA_BYTES_PER_POINT)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._closed_stream(stream_id, "DATA")
            return
        if not stream.peer_open:
            raise ConnectionBroken(frames.STREAM_CLOSED, "DATA behind END_STREAM")
        stream.recv_window -= size
        if stream.recv_window < 0:
            raise ConnectionBroken(frames.FLOW_CONTROL_ERROR, "DATA beyond the stream's window")
        if flags & frames.FLAG_PADDED:
            payload = _unpadded(payload)
            stream.recv_ungranted += size - len(payload)
        if self.is_client and not stream.head_received:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "DATA before the response's head")
        stream.received += len(payload)
        if stream.content_length >= 0 and (
            stream.received > stream.content_length or (ended and stream.received != stream.content_length)
        ):
            self._break_stream(stream, frames.PROTOCOL_ERROR)
            return
        self._events.append(DataReceived(stream, payload, ended))
        if ended:
            self.sender.peer_ended(stream)

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & frames.FLAG_PADDED:
            payload = _unpadded(payload)
        if flags & frames.FLAG_PRIORITY:
            if len(payload) < 5:
                raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            if _depends_on(payload) == stream_id:
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "stream depends on itself")
            payload = payload[5:]
        end_stream = flags & frames.FLAG_END_STREAM != 0
        if flags & frames.FLAG_END_HEADERS:
            self._header_block(stream_id, payload, end_stream)
            return
        self._unfinished = UnfinishedBlock(stream_id, payload, end_stream)
        self._owed_since = self._now

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._unfinished
        if block is None:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        if not block.add(payload, self._limits.header_list_bytes_max):
            raise ConnectionBroken(frames.ENHANCE_YOUR_CALM, "header block is too large")
        if flags & frames.FLAG_END_HEADERS:
            self._unfinished = None
            self._header_block(stream_id, block.whole(), block.end_stream)

    def _header_block(self, stream_id: int, encoded: bytes, ended: bool) -> None:
        try:
            block = self._decoder.decode(encoded)
        except HpackFailed as failed:
            raise ConnectionBroken(frames.COMPRESSION_ERROR, str(failed)) from failed
        except HeaderListTooLarge as large:
            # Another name than above: mypyc gives a name one type.
            raise ConnectionBroken(frames.ENHANCE_YOUR_CALM, str(large)) from large
        stream = self.streams.get(stream_id)
        if stream is None:
            if self.is_client:
                self._closed_stream(stream_id, "HEADERS")
            else:
                self._request(stream_id, block, ended)
        elif not stream.peer_open:
            self._break_stream(stream, frames.STREAM_CLOSED)
        elif self.is_client and not stream.head_received:
            self._response(stream, block, ended)
        elif not ended or headers.check_trailers(block) or stream.body_is_short():
            self._break_stream(stream, frames.PROTOCOL_ERROR)
        else:
            self._events.append(TrailersReceived(stream, block))
            self.sender.peer_ended(stream)

    def _request(self, stream_id: int, block: HeaderBlock, ended: bool) -> None:
        """The head of a stream that the client opens."""
        if not stream_id & 1:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "client used an even stream id")
        if stream_id <= self.last_peer_stream_id:
            for low, high in self._gaps:
                if low <= stream_id <= high:
                    raise ConnectionBroken(frames.PROTOCOL_ERROR, "stream ids must grow")
            self._closed_stream(stream_id, "HEADERS")
            if not ended or headers.check_trailers(block):
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "malformed trailers")
            return
        if stream_id != self.last_peer_stream_id + 2 and len(self._gaps) < GAPS_MAX:
            self._gaps.append((self.last_peer_stream_id + 1, stream_id - 1))
        self.last_peer_stream_id = stream_id
        self._controls.earn(CONTROLS_EARNED_BY_REQUEST)
        if stream_id > self.closing_above:
            self.sender.ignore(stream_id)
            return
        if len(self.streams) >= self._limits.streams_max:
            self._refuse(stream_id, frames.REFUSED_STREAM)
            return
        if headers.check_request(block) or (ended and block.content_length > 0):
            self._refuse(stream_id, frames.PROTOCOL_ERROR)
            return
        stream = Stream(stream_id, self.sender.initial_window, self._limits.stream_window_bytes, self._now)
        stream.content_length = block.content_length
        stream.head_received = True
        stream.peer_open = not ended
        self.streams[stream_id] = stream
        self._events.append(HeadersReceived(stream, block, ended))

    def _response(self, stream: Stream, block: HeaderBlock, ended: bool) -> None:
        """The head of a response, or an informational one before it."""
        if headers.check_response(block):
            self._break_stream(stream, frames.PROTOCOL_ERROR)
            return
        if headers.status_of(block) < 200:
            self._spend(1)
            if ended:
                self._break_stream(stream, frames.PROTOCOL_ERROR)
            return
        stream.head_received = True
        self._controls.earn(CONTROLS_EARNED_BY_REQUEST)
        self._events.append(HeadersReceived(stream, block, ended))
        if ended:
            self.sender.peer_ended(stream)

    def _refuse(self, stream_id: int, code: int) -> None:
        """Reset a stream that never came to be."""
        self._spend_reset()
        self.sender.out.append(frames.rst_stream(stream_id, code))
        self.sender.ignore(stream_id)

    def _break_stream(self, stream: Stream, code: int) -> None:
        """The peer broke a rule on one stream: reset it and tell the layer above."""
        self._spend_reset()
        self.sender.reset(stream, code)
        self._events.append(StreamReset(stream, code, False))

    def _closed_stream(self, stream_id: int, what: str) -> None:
        """A frame of a request or response on a stream that we do not have: idle, ignored, or closed by the peer."""
        if self._is_idle(stream_id):
            raise ConnectionBroken(frames.PROTOCOL_ERROR, f"{what} on an idle stream")
        if stream_id not in self.sender.ignored:
            raise ConnectionBroken(frames.STREAM_CLOSED, f"{what} on a closed stream")

    def _is_idle(self, stream_id: int) -> bool:
        if stream_id & 1 and self.is_client:
            return stream_id >= self._next_stream_id
        if stream_id & 1:
            return stream_id > self.last_peer_stream_id
        return True

    def _spend(self, points: float) -> None:
        if not self._controls.spend(points, self._now):
            raise ConnectionBroken(frames.ENHANCE_YOUR_CALM, "too many control frames")

    def _spend_reset(self) -> None:
        if not self._resets.spend(1, self._now):
            raise ConnectionBroken(frames.ENHANCE_YOUR_CALM, "too many streams reset")

    # Control frames

    def _control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == frames.WINDOW_UPDATE:
            self._window_update(stream_id, payload)
        elif kind == frames.PING:
            self._ping(flags, stream_id, payload)
        elif kind == frames.RST_STREAM:
            self._rst_stream(stream_id, payload)
        elif kind == frames.SETTINGS:
            self._settings(flags, stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._continuation(flags, stream_id, payload)
        elif kind == frames.GOAWAY:
            self._goaway(stream_id, payload)
        elif kind == frames.PRIORITY:
            self._priority(stream_id, payload)
        elif kind == frames.PUSH_PROMISE:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "PUSH_PROMISE is not allowed")
        else:
            self._spend(1)

    def _window_update(self, stream_id: int, payload: bytes) -> None:
        sent_bytes = self.sender.sent_bytes
        # A peer may answer each frame of ours with an update of the stream's window and one of the connection's.
        self._controls.earn((sent_bytes - self._sent_seen) / SENT_BYTES_PER_POINT)
        self._sent_seen = sent_bytes
        self._spend(1)
        if len(payload) != 4:
            raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 bytes")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if increment == 0:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of zero")
        sender = self.sender
        if stream_id == 0:
            sender.window += increment
            if sender.window > frames.WINDOW_MAX:
                raise ConnectionBroken(frames.FLOW_CONTROL_ERROR, "WINDOW_UPDATE overflows the connection's window")
            sender.pump()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            return
        stream.send_window += increment
        if stream.send_window > frames.WINDOW_MAX:
            self._break_stream(stream, frames.FLOW_CONTROL_ERROR)
            return
        sender.stream_window_opened(stream)

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "PING is not 8 bytes")
        self._spend(1)
        if flags & frames.FLAG_ACK:
            self._events.append(PingAcknowledged(payload))
            return
        self.sender.out.append(frames.ping(payload, True))
        if not self.is_client and not self._pings.tolerates(self.sender.work, self._now):
            raise ConnectionBroken(frames.ENHANCE_YOUR_CALM, "too_many_pings")

    def _rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "RST_STREAM is not 4 bytes")
        stream = self.streams.pop(stream_id, None)
        if stream is None:
            if stream_id == 0 or self._is_idle(stream_id):
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
            self._spend(1)
            return
        self.sender.forget(stream)
        self._events.append(StreamReset(stream, int.from_bytes(payload, "big"), True))
        if not self.is_client and self._now - stream.opened_at < RESET_YOUNG_S:
            self._spend_reset()

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.FLAG_ACK:
            if payload:
                raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            if self._settings_due:
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "first frame is not SETTINGS")
            self._spend(1)
            return
        if len(payload) % 6:
            raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of 6 bytes")
        self._settings_due = False
        # Each may move the window of every stream.
        self._spend(1 + len(payload) // 6 + len(self.streams) / 100)
        for offset in range(0, len(payload), 6):
            key, value = frames.SETTING.unpack_from(payload, offset)
            self._apply_setting(key, value)
        self.sender.out.append(frames.SETTINGS_ACK)
        self.sender.pump()
        self._events.append(SettingsReceived())

    def _apply_setting(self, key: int, value: int) -> None:
        if key == frames.SETTINGS_HEADER_TABLE_SIZE:
            self.sender.encoder.set_table_size(value)
        elif key == frames.SETTINGS_ENABLE_PUSH:
            if value > 1 or (value == 1 and self.is_client):
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "bad SETTINGS_ENABLE_PUSH")
        elif key == frames.SETTINGS_MAX_CONCURRENT_STREAMS:
            self.peer_streams_max = value
        elif key == frames.SETTINGS_INITIAL_WINDOW_SIZE:
            if value > frames.WINDOW_MAX:
                raise ConnectionBroken(frames.FLOW_CONTROL_ERROR, "bad SETTINGS_INITIAL_WINDOW_SIZE")
            self.sender.set_initial_window(value)
        elif key == frames.SETTINGS_MAX_FRAME_SIZE:
            if not frames.FRAME_SIZE_MIN <= value <= frames.FRAME_SIZE_MAX:
                raise ConnectionBroken(frames.PROTOCOL_ERROR, "bad SETTINGS_MAX_FRAME_SIZE")
            self.sender.frame_size_max = value

    def _goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "GOAWAY is too short")
        self._spend(1)
        last, code = frames.PAIR.unpack_from(payload, 0)
        self._events.append(PeerGoingAway(last & 0x7FFFFFFF, code, payload[8:]))

    def _priority(self, stream_id: int, payload: bytes) -> None:
        """Priorities are deprecated and have no effect (RFC 9113 section 5.3.2); they still have to be well formed."""
        if stream_id == 0:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "PRIORITY is not 5 bytes")
        if _depends_on(payload) == stream_id:
            raise ConnectionBroken(frames.PROTOCOL_ERROR, "stream depends on itself")
        self._spend(1)

    # Calls of the layer above, beside those on `sender`

    def open_stream(self, now: float) -> Stream:
        """A new stream of ours (client). The caller keeps within `peer_streams_max` and STREAM_ID_MAX."""
        stream_id = self._next_stream_id
        assert self.is_client, "only clients open streams"
        assert stream_id <= frames.STREAM_ID_MAX, "the connection has run out of stream ids"
        self._next_stream_id = stream_id + 2
        stream = Stream(stream_id, self.sender.initial_window, self._limits.stream_window_bytes, now)
        self.streams[stream_id] = stream
        return stream

    @property
    def stream_ids_left(self) -> bool:
        """False when this connection can open no further stream."""
        return self._next_stream_id <= frames.STREAM_ID_MAX

    def grant(self, stream: Stream, size: int) -> None:
        """The reader has taken `size` bytes of the stream: give its window back, in pieces worth a frame."""
        stream.recv_ungranted += size
        if stream.peer_open and stream.recv_ungranted * 2 >= self._limits.stream_window_bytes:
            self.sender.out.append(frames.window_update(stream.stream_id, stream.recv_ungranted))
            stream.recv_window += stream.recv_ungranted
            stream.recv_ungranted = 0

    def ping(self, opaque: bytes) -> None:
        """Ask for a sign of life; `opaque` is 8 bytes and comes back in PingAcknowledged."""
        self.sender.out.append(frames.ping(opaque, False))

    def announce_close(self) -> None:
        """First GOAWAY of a graceful close: the peer should open no further stream, but those it has opened count."""
        self.sender.out.append(frames.goaway(frames.STREAM_ID_MAX, frames.NO_ERROR, b"graceful_stop"))

    def refuse_new_streams(self, code: int = frames.NO_ERROR) -> None:
        """Second GOAWAY: streams opened from now on are not processed."""
        self.closing_above = self.last_peer_stream_id
        self.sender.out.append(frames.goaway(self.last_peer_stream_id, code, b""))


def _unpadded(payload: bytes) -> bytes:
    """Strip the pad length and the padding."""
    if not payload:
        raise ConnectionBroken(frames.FRAME_SIZE_ERROR, "padded frame without a pad length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionBroken(frames.PROTOCOL_ERROR, "padding is longer than the frame")
    return payload[1 : len(payload) - padding]


def _depends_on(payload: bytes) -> int:
    """The stream that a priority depends on."""
    return int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
