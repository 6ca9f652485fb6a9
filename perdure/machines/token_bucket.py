"""A rate limit as arithmetic: no clock, no waiting, exact to the nanosecond (semantics 12.3).

Who uses it asks `ready_ns` and sets one timer there; nobody polls a limiter.
"""

from __future__ import annotations

from math import ceil
from typing import final

from perdure.clock import SECOND

NEVER = 1 << 62
"""A time that does not come: what a rate of 0 waits for."""

UNLIMITED_RATE = 100_000.0
"""Tasks per second that no queue reaches: what a queue and a poller without a limit are shown with."""

_LONG_AGO = -(1 << 62)


def effective(rate: float | None) -> float | None:
    """A rate that somebody has set, or None when it limits nothing: too high, or not a number."""
    return rate if rate is not None and rate < UNLIMITED_RATE else None


@final
class TokenBucket:
    """A rate limit that is exact in virtual time: `ready_ns` is when the next task may go.

    Holds a second's worth of tokens, one at least; a rate of 0 never has any. Rates that are no limit, `effective`
    says which, set none.
    `held_ns` is when somebody last had to wait for a token; who waits sets it.
    """

    __slots__ = ("_depth_ns", "_interval_ns", "held_ns", "limited", "rate", "ready_ns")

    def __init__(self) -> None:
        self.rate: float | None = None
        self.limited = False
        self.ready_ns = _LONG_AGO
        self.held_ns = _LONG_AGO
        self._interval_ns = 0
        self._depth_ns = 0

    def limit(self, rate: float | None, now_ns: int, burst_s: float = 1.0) -> None:
        """Change the rate (tasks per second, None for no limit); it holds from now on, what was spent stays spent.

        `burst_s` is how many seconds' worth of tokens are held.
        """
        self.rate = rate = effective(rate)
        if rate is None:
            self.limited = False
            self.ready_ns = _LONG_AGO
            return
        self.limited = True
        if not rate > 1e-9:
            self._interval_ns = 0
            self.ready_ns = NEVER
            return
        self._interval_ns = int(SECOND / rate)
        self._depth_ns = (max(1, ceil(rate * burst_s)) - 1) * self._interval_ns
        # A wait that an older, slower rate asked for is cut to one interval of the new one.
        self.ready_ns = min(self.ready_ns, now_ns + self._interval_ns)

    def held_within(self, window_ns: int, now_ns: int) -> bool:
        """Whether the limit made somebody wait in the window."""
        return now_ns - self.held_ns <= window_ns

    def take(self, now_ns: int) -> None:
        """Spend one token; the caller has seen `ready_ns <= now_ns`."""
        self.ready_ns = max(now_ns - self._depth_ns, self.ready_ns) + self._interval_ns

    def refund(self) -> None:
        """Give one token back, for a task that was not started after all."""
        if self.ready_ns < NEVER:
            self.ready_ns -= self._interval_ns
