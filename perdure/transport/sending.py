"""The sending half of an HTTP/2 connection: header blocks, flow control, fairness, output.

Sans-IO: calls append frames to a list that `take` empties; nothing is written here. Data that a window holds back stays
in the queue of its stream, and streams that may send take turns, a frame each.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from perdure.transport import frames
from perdure.transport.hpack import HeaderEncoder, PreparedFields
from perdure.transport.streams import Stream

IGNORED_STREAMS_MAX: Final = 1_024
"""Streams that we closed first and whose late frames are dropped. Beyond it, the oldest is taken for long over."""

ONE_OFF: Final = -1
"""Token of a list that is encoded for one use and stays out of the dynamic table."""

ENTERED: Final = -2
"""Token of a list that is built anew each time but whose fields repeat: they enter the dynamic table."""


@final
class Sender:
    """What we may send, and what we have to send."""

    __slots__ = (
        "client",
        "encoder",
        "frame_size_max",
        "ignored",
        "initial_window",
        "out",
        "queued_bytes",
        "ready",
        "sent_bytes",
        "streams",
        "window",
        "work",
        "writable",
    )

    def __init__(self, client: bool) -> None:
        self.client = client
        self.encoder = HeaderEncoder()
        self.out: list[bytes] = []
        self.streams: dict[int, Stream] = {}
        self.ignored: dict[int, None] = {}
        self.window = frames.WINDOW_INITIAL
        self.initial_window = frames.WINDOW_INITIAL
        self.frame_size_max = frames.FRAME_SIZE_MIN
        self.queued_bytes = 0
        """Bytes in the queues of all streams."""
        self.sent_bytes = 0
        """DATA bytes sent, ever: whether a slow reader makes progress, and what WINDOW_UPDATEs are due."""
        self.ready: dict[int, Stream] = {}
        """Streams with queued data and an open window of their own, in the order of their turns."""
        self.writable = True
        """False while the transport is full: queued data stays here."""
        self.work = 0
        """HEADERS and DATA sent, ever: pings are counted against it."""

    def take(self) -> bytes:
        """All output since the last call."""
        out = self.out
        if not out:
            return b""
        self.out = []
        return out[0] if len(out) == 1 else b"".join(out)

    def block(self, fields: PreparedFields) -> bytes:
        """Encode a header list; blocks must be sent in the order of these calls."""
        if fields.token >= 0:
            return self.encoder.prepared(fields)
        return self.encoder.encode(fields.fields, fields.token == ENTERED)

    def headers(self, stream: Stream, fields: PreparedFields, end_stream: bool) -> None:
        """HEADERS. Ignored on a stream whose sending half is closed."""
        if not stream.local_open:
            return
        self.work += 1
        self.out.append(frames.header_frames(stream.stream_id, self.block(fields), end_stream, self.frame_size_max))
        if end_stream:
            self._ended(stream)

    def unary(self, stream: Stream, head: PreparedFields, prefix: bytes, body: bytes, trailers: PreparedFields) -> None:
        """A whole response: head, one message, trailers. The hot path: one piece of output where the windows allow."""
        if not stream.local_open:
            return
        length = len(prefix) + len(body)
        if (
            length > self.window
            or length > stream.send_window
            or length > self.frame_size_max
            or not self.writable
            or stream.queue
        ):
            self.headers(stream, head, False)
            self.data(stream, prefix + body, False)
            self.trailers(stream, trailers)
            return
        stream_id = stream.stream_id
        head_block = self.block(head)
        trailers_block = self.block(trailers)
        pack = frames.FRAME_HEADER.pack
        self.out.append(
            b"".join(
                (
                    pack(len(head_block) << 8 | frames.HEADERS, frames.FLAG_END_HEADERS, stream_id),
                    head_block,
                    pack(length << 8, 0, stream_id),
                    prefix,
                    body,
                    pack(
                        len(trailers_block) << 8 | frames.HEADERS,
                        frames.FLAG_END_HEADERS | frames.FLAG_END_STREAM,
                        stream_id,
                    ),
                    trailers_block,
                )
            )
        )
        self.window -= length
        self.sent_bytes += length
        stream.send_window -= length
        self.work += 1
        self._ended(stream)

    def data(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        """DATA, as the windows allow; the rest is queued."""
        if not stream.local_open or stream.queue_end or stream.queue_trailers is not None:
            return
        if stream.queue is None:
            stream.queue = deque()
        if data:
            stream.queue.append(data)
            self.queued_bytes += len(data)
        stream.queue_end = end_stream
        self._resume(stream)

    def trailers(self, stream: Stream, fields: PreparedFields) -> None:
        """Trailers behind all queued data; they end our half of the stream."""
        if not stream.local_open or stream.queue_end or stream.queue_trailers is not None:
            return
        if not stream.queue:
            self.headers(stream, fields, True)
            return
        stream.queue_trailers = fields

    def reset(self, stream: Stream, code: int) -> None:
        """RST_STREAM, unless both halves are closed already. Queued data is dropped."""
        if self.streams.pop(stream.stream_id, None) is None:
            return
        self.out.append(frames.rst_stream(stream.stream_id, code))
        self.ignore(stream.stream_id)
        self.forget(stream)

    def ignore(self, stream_id: int) -> None:
        """Drop what the peer sent on this stream before it learned that the stream is closed."""
        if len(self.ignored) >= IGNORED_STREAMS_MAX:
            del self.ignored[next(iter(self.ignored))]
        self.ignored[stream_id] = None

    def forget(self, stream: Stream) -> None:
        """The stream is closed: free what it has queued."""
        stream.local_open = False
        stream.peer_open = False
        if stream.queue is not None:
            self.queued_bytes -= sum(map(len, stream.queue)) - stream.queue_offset
            stream.queue = None
            stream.queue_offset = 0
            self.ready.pop(stream.stream_id, None)

    def peer_ended(self, stream: Stream) -> None:
        """The peer's half is closed; with ours, the stream."""
        stream.peer_open = False
        if not stream.local_open:
            self.streams.pop(stream.stream_id, None)

    def set_initial_window(self, size: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE moves the window of every stream. Raises ConnectionBroken on overflow.

        Nothing is sent yet: the peer must see the acknowledgement before the first byte that needs the new window.
        """
        difference = size - self.initial_window
        self.initial_window = size
        for stream in list(self.streams.values()):
            stream.send_window += difference
            if stream.send_window > frames.WINDOW_MAX:
                raise frames.ConnectionBroken(frames.FLOW_CONTROL_ERROR, "SETTINGS overflow the window of a stream")
            if difference > 0 and stream.queue:
                self.ready[stream.stream_id] = stream

    def stream_window_opened(self, stream: Stream) -> None:
        """The stream's window was raised."""
        if stream.queue:
            self._resume(stream)

    def pump(self) -> None:
        """Send what the connection's window and the transport allow, streams taking turns."""
        while self.ready and self.window > 0 and self.writable:
            for stream in list(self.ready.values()):
                self._push(stream)
                if self.window <= 0:
                    break

    def _resume(self, stream: Stream) -> None:
        if not stream.queue:
            self._queue_emptied(stream)
            return
        if stream.send_window > 0:
            self.ready[stream.stream_id] = stream
            self.pump()

    def _push(self, stream: Stream) -> None:
        """Send one DATA frame of a ready stream."""
        queue = stream.queue
        assert queue, "a ready stream has queued data"
        allowed = min(self.window, stream.send_window, self.frame_size_max)
        if allowed <= 0:
            self.ready.pop(stream.stream_id, None)
            return
        first = queue[0]
        offset = stream.queue_offset
        piece = first[offset : offset + allowed] if offset or len(first) > allowed else first
        if offset + len(piece) == len(first):
            queue.popleft()
            stream.queue_offset = 0
        else:
            stream.queue_offset = offset + len(piece)
        size = len(piece)
        self.window -= size
        stream.send_window -= size
        self.queued_bytes -= size
        self.sent_bytes += size
        self.work += 1
        last = not queue and stream.queue_end
        self.out.append(
            frames.FRAME_HEADER.pack(size << 8, frames.FLAG_END_STREAM if last else 0, stream.stream_id) + piece
        )
        if not queue:
            self.ready.pop(stream.stream_id, None)
            if last:
                self._ended(stream)
            else:
                self._queue_emptied(stream)
        elif stream.send_window <= 0:
            self.ready.pop(stream.stream_id, None)

    def _queue_emptied(self, stream: Stream) -> None:
        """All data is sent: what was to follow it?"""
        trailers = stream.queue_trailers
        if trailers is not None:
            stream.queue_trailers = None
            self.headers(stream, trailers, True)
        elif stream.queue_end:
            self.work += 1
            self.out.append(frames.FRAME_HEADER.pack(0, frames.FLAG_END_STREAM, stream.stream_id))
            self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        """Our half is closed. A server that answers early asks for no more of the request (RFC 9113 section 8.1)."""
        stream.local_open = False
        if not stream.peer_open:
            self.streams.pop(stream.stream_id, None)
        elif not self.client:
            self.reset(stream, frames.NO_ERROR)
