"""The state of one HTTP/2 stream, and the events of a connection.

Data only: `http2.py` changes the receiving half, `sending.py` the sending half. A stream whose halves are both closed
is dropped by the connection; what must be remembered of it afterwards is in `Sender.ignored`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, final

from perdure.transport.hpack import HeaderBlock, PreparedFields


@final
class Stream:
    """A stream that is not idle and not closed. Windows are in bytes and may be negative (RFC 9113 section 6.9.2)."""

    __slots__ = (
        "content_length",
        "head_received",
        "local_open",
        "opened_at",
        "owner",
        "peer_open",
        "queue",
        "queue_end",
        "queue_offset",
        "queue_trailers",
        "received",
        "recv_ungranted",
        "recv_window",
        "send_window",
        "stream_id",
    )

    def __init__(self, stream_id: int, send_window: int, recv_window: int, opened_at: float) -> None:
        self.stream_id = stream_id
        self.peer_open = True
        self.local_open = True
        self.head_received = False
        self.send_window = send_window
        self.recv_window = recv_window
        self.recv_ungranted = 0
        """Bytes the reader has taken but whose window has not been given back yet."""
        self.content_length = -1
        self.received = 0
        self.opened_at = opened_at
        """The `now` of the input that opened it, in the clock of the shell (seconds)."""
        self.queue: deque[bytes] | None = None
        """Data that waits for a window; `queue_offset` bytes of its head are already sent."""
        self.queue_offset = 0
        self.queue_end = False
        self.queue_trailers: PreparedFields | None = None
        self.owner: Any = None
        """Whatever the layer above hangs here, to find its call without a table."""

    def body_is_short(self) -> bool:
        """Less has come than content-length promised."""
        return self.content_length >= 0 and self.received != self.content_length


@final
class HeadersReceived:
    """The head of a request (server) or of a final response (client)."""

    __slots__ = ("block", "ended", "stream")

    def __init__(self, stream: Stream, block: HeaderBlock, ended: bool) -> None:
        self.stream = stream
        self.block = block
        self.ended = ended


@final
class DataReceived:
    """Bytes of a body. The stream's window is given back only through `Connection.grant`."""

    __slots__ = ("data", "ended", "stream")

    def __init__(self, stream: Stream, data: bytes, ended: bool) -> None:
        self.stream = stream
        self.data = data
        self.ended = ended


@final
class TrailersReceived:
    """Trailers; they end the peer's half of the stream."""

    __slots__ = ("block", "stream")

    def __init__(self, stream: Stream, block: HeaderBlock) -> None:
        self.stream = stream
        self.block = block


@final
class StreamReset:
    """A stream that the layer above knows is gone: by the peer (`remote`) or because the peer broke a rule on it."""

    __slots__ = ("code", "remote", "stream")

    def __init__(self, stream: Stream, code: int, remote: bool) -> None:
        self.stream = stream
        self.code = code
        self.remote = remote


@final
class PingAcknowledged:
    """The answer to one of our pings."""

    __slots__ = ("opaque",)

    def __init__(self, opaque: bytes) -> None:
        self.opaque = opaque


@final
class PeerGoingAway:
    """GOAWAY: streams above `last_stream_id` were not and will not be processed by the peer."""

    __slots__ = ("code", "debug", "last_stream_id")

    def __init__(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self.last_stream_id = last_stream_id
        self.code = code
        self.debug = debug


@final
class SettingsReceived:
    """The peer's SETTINGS were applied."""

    __slots__ = ()


@final
class ConnectionFailed:
    """The peer broke the protocol or a limit; GOAWAY is in the output. Write it, then close."""

    __slots__ = ("code", "message")

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message


Event = (
    HeadersReceived
    | DataReceived
    | TrailersReceived
    | StreamReset
    | PingAcknowledged
    | PeerGoingAway
    | SettingsReceived
    | ConnectionFailed
)
