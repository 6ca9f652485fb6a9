"""A circuit breaker: a destination that fails again and again is left alone for a while, then tried by one request.

Pure: whoever asks brings the time, in seconds of its loop's clock. Nothing of it is stored; a new owner finds out anew.
"""

from __future__ import annotations

from typing import Final, final

FAILURES_MAX: Final = 5
"""One failure in a row more opens the circuit."""
OPEN_S: Final = 60.0
"""How long it stays open before one request may try."""


@final
class Circuit:
    """Closed at first. Every request that `admits` let through reports to `ended`, or to `abandoned`."""

    __slots__ = ("_failures", "_opened", "_trying")

    def __init__(self) -> None:
        self._failures = 0
        self._opened: float | None = None
        self._trying = False

    @property
    def pristine(self) -> bool:
        """Whether there is nothing to remember."""
        return self._opened is None and not self._failures

    @property
    def closed(self) -> bool:
        """Whether requests pass freely."""
        return self._opened is None

    def admits(self, now: float) -> bool:
        """Whether a request may go now; then it counts as under way."""
        if self._opened is None:
            return True
        if self._trying or now < self._opened + OPEN_S:
            return False
        self._trying = True
        return True

    def opens_in(self, now: float) -> float:
        """Seconds until a request may try; 0 when one may now, or is trying."""
        return 0.0 if self._opened is None else max(0.0, self._opened + OPEN_S - now)

    def abandoned(self) -> None:
        """A request ended without telling anything of its destination."""
        self._trying = False

    def ended(self, reached: bool, now: float) -> None:
        """A request has ended; `reached`: its destination has answered, if only to refuse."""
        if self._opened is not None and not self._trying:
            # It began before the circuit opened.
            return
        if reached:
            self._failures = 0
            self._opened = None
            self._trying = False
            return
        self._failures += 1
        if self._trying or self._failures > FAILURES_MAX:
            self._opened = now
            self._trying = False
