"""What one HTTP/2 connection may cost us: each limit with its unit and its reason."""

from __future__ import annotations

from typing import Final, final

CONTINUATIONS_MAX: Final = 32
"""CONTINUATION frames of one block: more than a full-sized block needs at the smallest frame size any client uses."""

RESET_POINTS: Final = 1_000
"""Streams that may be reset right after they were opened before the peer is told to calm down; a worker that stops
cancels some hundreds of young polls at once (CVE-2023-44487)."""

RESETS_PER_SECOND: Final = 100
"""How fast `RESET_POINTS` come back: a client with short deadlines gives up this often for ever."""

RESET_YOUNG_S: Final = 0.1
"""A stream reset later than this after its opening is not counted: it held one of the streams that a peer may have, so
resetting brings no more than calling would; and clients whose deadlines pass together reset together."""

CONTROL_POINTS: Final = 2_000
"""Frames that carry no request (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown) in one burst."""

CONTROLS_PER_SECOND: Final = 500
"""How fast `CONTROL_POINTS` come back."""

CONTROLS_EARNED_BY_REQUEST: Final = 10
"""Points that the head of a request or response pays back: beside each come a WINDOW_UPDATE or two and a PING."""

DATA_BYTES_PER_POINT: Final = 1_024
"""DATA pays back a point for this many bytes; a DATA frame costs one unless it ends the stream."""

SENT_BYTES_PER_POINT: Final = 512
"""Our DATA pays back a point for this many bytes: some clients give two windows back for each KiB that they read."""

PING_STRIKES_MAX: Final = 2
"""Pings too close together, without an answer of ours between them, before GOAWAY too_many_pings (as grpc-go)."""

GAPS_MAX: Final = 16
"""Skipped stream ids that are remembered, only to name the right error."""


@final
class Http2Limits:
    """What one connection may cost. Bytes, counts and seconds as named."""

    __slots__ = (
        "connection_window_bytes",
        "header_list_bytes_max",
        "ping_interval_min_s",
        "stream_window_bytes",
        "streams_max",
    )

    def __init__(
        self,
        streams_max: int = 10_000,
        stream_window_bytes: int = 1_048_576,
        connection_window_bytes: int = 8_388_608,
        header_list_bytes_max: int = 65_536,
        ping_interval_min_s: float = 9.0,
    ) -> None:
        self.streams_max = streams_max
        """SETTINGS_MAX_CONCURRENT_STREAMS: a worker process may hold thousands of long polls on one connection."""
        self.stream_window_bytes = stream_window_bytes
        """What a peer may send on a stream before the reader asks for more."""
        self.connection_window_bytes = connection_window_bytes
        """What a peer may send on all streams before we have looked at it; given back as soon as it arrives."""
        self.header_list_bytes_max = header_list_bytes_max
        """SETTINGS_MAX_HEADER_LIST_SIZE, and the most compressed bytes of a block: room for two large tokens."""
        self.ping_interval_min_s = ping_interval_min_s
        """Closest pings that are not a strike: Temporal's frontend.keepAliveMinTime, 10 s, less a second of jitter."""
