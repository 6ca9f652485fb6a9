"""Where a COMMIT is synced: on the loop while the disk is quicker than a thread's wake-up, else in the thread.

Handing a COMMIT to a thread costs two wake-ups, 0.2 to 1.2 ms where vCPUs go idle; a COMMIT on a good disk costs 0.2 to
1.5 ms. So the thread pays only on slow disks, and there it must be used, or the loop would stand still (decision 004).
Only syncs on the loop tell the truth: in the thread the wait for the interpreter's lock would be counted as the disk's.
So a slow disk is probed again after a while. The policy is a value: it reads no clock.
"""

from __future__ import annotations

from typing import final

SLOW_NS = 4_000_000
"""A sync that takes this long costs the loop more than a thread would: its two wake-ups and the lock it takes away."""
WINDOW = 32
"""How many syncs on the loop are judged together."""
SLOW_MAX = 8
"""So many slow ones among them, and the next ones go to the thread."""
THREAD_ROW = 2_000
"""So many COMMITs go to the thread before the loop is tried again."""


@final
class SyncPlace:
    """The choice for the next COMMIT."""

    __slots__ = ("_judged", "_slow", "_thread_left")

    def __init__(self) -> None:
        self._judged = 0
        self._slow = 0
        self._thread_left = 0

    @property
    def on_loop(self) -> bool:
        """Whether the next COMMIT belongs on the loop."""
        return self._thread_left == 0

    def synced_in_thread(self) -> None:
        """A COMMIT went through the thread."""
        self._thread_left = max(0, self._thread_left - 1)

    def synced_on_loop(self, took_ns: int) -> None:
        """A COMMIT on the loop took so long."""
        self._judged += 1
        if took_ns >= SLOW_NS:
            self._slow += 1
        if self._slow >= SLOW_MAX:
            self._thread_left = THREAD_ROW
        if self._slow >= SLOW_MAX or self._judged >= WINDOW:
            self._judged = self._slow = 0
