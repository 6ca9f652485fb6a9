"""What tells a busy peer from an abusive one: budgets, and an eye on its keepalive pings.

Pure: time comes in. A budget is a leaky bucket in points; useful work may pay points back.
"""

from __future__ import annotations

from typing import final

from perdure.transport.limits import PING_STRIKES_MAX


@final
class Budget:
    """`capacity` points at once, `per_second` points a second in the long run."""

    __slots__ = ("_at", "_capacity", "_level", "_per_second")

    def __init__(self, capacity: float, per_second: float, now: float) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._level = capacity
        self._at = now

    def spend(self, points: float, now: float) -> bool:
        """Take points; False when there are not enough left."""
        self._level = min(self._capacity, self._level + (now - self._at) * self._per_second) - points
        self._at = now
        return self._level >= 0

    def earn(self, points: float) -> None:
        """Useful work pays points back, never above the capacity."""
        self._level = min(self._capacity, self._level + points)


@final
class PingWatch:
    """Pings that come too soon after each other while nothing is sent, as gRPC counts them."""

    __slots__ = ("_interval_min_s", "_last", "_strikes", "_work")

    def __init__(self, interval_min_s: float, now: float) -> None:
        self._interval_min_s = interval_min_s
        self._last = now - interval_min_s
        self._work = 0
        self._strikes = 0

    def tolerates(self, work: int, now: float) -> bool:
        """A ping has come; False when it is one too many. `work` counts what was sent to the peer so far."""
        if work != self._work:
            # The peer measures the bandwidth-delay product beside our answers; that is no keepalive.
            self._work = work
            self._strikes = 0
        elif now - self._last < self._interval_min_s:
            self._strikes += 1
            if self._strikes > PING_STRIKES_MAX:
                return False
        self._last = now
        return True
