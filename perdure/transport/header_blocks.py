"""A header block that comes in several frames: HEADERS, CONTINUATIONs, nothing between (RFC 9113 section 6.10)."""

from __future__ import annotations

from typing import final

from perdure.transport.limits import CONTINUATIONS_MAX


@final
class UnfinishedBlock:
    """What has come of a block. It opens or ends `stream_id`; `end_stream` was said by its first frame."""

    __slots__ = ("_frames", "_parts", "_size", "end_stream", "stream_id")

    def __init__(self, stream_id: int, first: bytes, end_stream: bool) -> None:
        self.stream_id = stream_id
        self.end_stream = end_stream
        self._parts = [first]
        self._size = len(first)
        self._frames = 0

    def add(self, payload: bytes, bytes_max: int) -> bool:
        """One CONTINUATION more; False when that is too much."""
        self._parts.append(payload)
        self._size += len(payload)
        self._frames += 1
        return self._size <= bytes_max and self._frames <= CONTINUATIONS_MAX

    def whole(self) -> bytes:
        """The block, once its last frame was added."""
        return b"".join(self._parts)
