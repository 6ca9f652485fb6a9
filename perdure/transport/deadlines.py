"""Deadlines of very many calls, of which nearly all are answered long before.

Pure: time comes in. A wheel of buckets, because adding to it and leaving it must cost less than a timer of the event
loop does, and a call that has left must not be held until its deadline. Deadlines are met late by up to one bucket.
"""

from __future__ import annotations

import heapq
from typing import Any, Final, final

BUCKETS_PER_SECOND: Final = 64
"""16 ms late at most: the client keeps its own deadline, ours only frees what waits for it."""


@final
class DeadlineWheel:
    """Members and the instant, in seconds of the caller's clock, at which each is due."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, set[Any]] = {}
        self._order: list[int] = []

    def add(self, deadline: float, member: Any) -> bool:
        """Enter a member; True when its bucket is now the earliest, so that the caller's timer is late."""
        bucket = int(deadline * BUCKETS_PER_SECOND) + 1
        members = self._buckets.get(bucket)
        if members is not None:
            members.add(member)
            return False
        self._buckets[bucket] = {member}
        heapq.heappush(self._order, bucket)
        return self._order[0] == bucket

    def discard(self, deadline: float, member: Any) -> None:
        """The member needs its deadline no more. Its empty bucket stays until it is due."""
        members = self._buckets.get(int(deadline * BUCKETS_PER_SECOND) + 1)
        if members is not None:
            members.discard(member)

    def due(self, now: float) -> list[Any]:
        """Remove and return the members whose buckets have passed."""
        members: list[Any] = []
        limit = now * BUCKETS_PER_SECOND
        while self._order and self._order[0] <= limit:
            members.extend(self._buckets.pop(heapq.heappop(self._order)))
        return members

    def next_due(self) -> float | None:
        """When `due` has to be asked again; None when there is nothing to wait for."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] / BUCKETS_PER_SECOND if self._order else None
