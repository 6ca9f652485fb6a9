"""How many tasks a second come and go at one level of a queue, over the last 30 s, as DescribeTaskQueue shows them.

Counting is an addition; the buckets of 5 s are closed by whoever knows the time. Reads no clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from perdure.clock import SECOND

BUCKET_NS: Final = 5 * SECOND
BUCKETS: Final = 6
"""Rates cover the last 30 s and the 5 s that run, as Temporal's do."""
WINDOW_NS: Final = BUCKETS * BUCKET_NS


@final
class RateMeter:
    """Tasks added and dispatched since `since_ns`; `added` and `dispatched` count the bucket that is open."""

    __slots__ = ("_buckets", "_end_ns", "_since_ns", "added", "dispatched")

    def __init__(self, since_ns: int) -> None:
        self.added = 0
        self.dispatched = 0
        self._since_ns = since_ns
        self._end_ns = since_ns + BUCKET_NS
        self._buckets: deque[tuple[int, int]] = deque(maxlen=BUCKETS)

    def roll(self, now_ns: int) -> None:
        """Close the buckets whose time is over."""
        if now_ns < self._end_ns:
            return
        over = (now_ns - self._end_ns) // BUCKET_NS + 1
        self._end_ns += over * BUCKET_NS
        self._buckets.append((self.added, self.dispatched))
        self.added = 0
        self.dispatched = 0
        for _ in range(min(over - 1, BUCKETS)):
            self._buckets.append((0, 0))

    def rates(self, now_ns: int) -> tuple[float, float]:
        """Tasks a second, added and dispatched. Over less than a second a rate says nothing but noise."""
        self.roll(now_ns)
        span_ns = max(1, min(now_ns - self._since_ns, now_ns - self._end_ns + (BUCKETS + 1) * BUCKET_NS))
        seconds = max(1.0, span_ns / SECOND)
        added = self.added + sum([counts[0] for counts in self._buckets])
        dispatched = self.dispatched + sum([counts[1] for counts in self._buckets])
        return added / seconds, dispatched / seconds
