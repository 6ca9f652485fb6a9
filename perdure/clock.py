"""The clock port: the only way the time of day enters the server.

Wall time is int nanoseconds since the epoch. Durations inside the event loop (long polls, deadlines of calls) are
measured by `loop.time()`, which never jumps; this port must not be used for them.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

WALL: Final = 0
"""The number of the wall clock among the clocks of namespaces (DESIGN 1.12)."""


class Clock(Protocol):
    """Tells the time of one namespace."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch; may stand still or step back, so `env.now` takes the entity's maximum."""
        ...


class WallClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()
