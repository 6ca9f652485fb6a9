"""Alarms of one owner: a heap in memory up to a horizon, the store beyond it (DESIGN 1.3).

To advance, the horizon is set *first*, so that commits from then on feed the heap, and the stored alarms below it
are read *then*: no alarm can fall between. Idle, the owner sleeps until the earlier of the heap's head and the
horizon, and touches the store for nothing else; the horizon goes as far as the next stored alarm, so an idle store
is not read at all.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from typing import final

from perdure.clock import MINUTE, Clock
from perdure.ids import uuid_text
from perdure.store.api import Fence, Store, StoreError

log = logging.getLogger(__name__)

HORIZON = 10 * MINUTE
"""How far ahead stored alarms are held in memory at least, ns."""
PAGE = 1000
"""Alarms read at a time."""
FAR = (1 << 62) - 1
"""Beyond any stored alarm."""
SLEEP_MAX_S = 3600.0
"""The loop's timer is re-armed at least this often, so that a stepped wall clock is noticed."""

RINGS_AT_ONCE = 100
"""Alarms that ring in one turn of the loop: what is due after a restart, or at the same midnight, may be a hundred
thousand runs, and each of them is a step, perhaps with a read before it."""

READ_AGAIN_S = 1.0
"""Pause after a horizon that could not be read."""

Key = tuple[bytes, str]
"""(chain digest, run id)."""


@final
class Alarms:
    """Calls `ring(digest, run_id)` when an alarm's time has come. Setting an alarm again replaces it."""

    def __init__(self, store: Store, clock: Clock, ring: Callable[[bytes, str], None]) -> None:
        self._store = store
        self._clock = clock
        self._ring = ring
        self._heap: list[tuple[int, bytes, str]] = []
        self._current: dict[Key, int] = {}
        self._horizon = 0
        self._unread = 0
        """Where stored alarms begin that have not been read: the horizon, except while it moves."""
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for = FAR
        self._advance = asyncio.Event()
        self._reading = False
        self._fence: Callable[[], Fence] | None = None

    def __len__(self) -> int:
        return len(self._current)

    async def open(self, fence: Callable[[], Fence]) -> None:
        """Reads what is due soon; from now on alarms ring."""
        self._fence = fence
        await self._read()
        self._arm()

    async def run(self) -> None:
        """The task that advances the horizon: runs until cancelled."""
        while True:
            await self._advance.wait()
            self._reading = True
            try:
                await self._read()
            except StoreError as error:
                log.warning("alarms could not be read, trying again: %s", error)
                await asyncio.sleep(READ_AGAIN_S)
            else:
                self._advance.clear()
            finally:
                self._reading = False
            self._arm()

    def set(self, digest: bytes, run_id: str, when: int, stored: int) -> None:
        """The run must be looked at at `when` (ns). It is left to the store if both `when` and the `stored` alarm (0:
        none) lie beyond the horizon: one stored before it has been read already, and no reading will find it again.
        """
        key = (digest, run_id)
        if when >= self._horizon and stored >= self._horizon:
            self._current.pop(key, None)
            return
        if self._current.get(key) == when:
            return
        self._current[key] = when
        heapq.heappush(self._heap, (when, digest, run_id))
        if when < self._armed_for:
            self._arm()

    def clear(self, digest: bytes, run_id: str) -> None:
        """The run needs no attention."""
        self._current.pop((digest, run_id), None)

    def close(self) -> None:
        """No alarm rings any more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None

    async def _read(self) -> None:
        """Advance the horizon: first set it, then read up to it. Raises StoreError; what was not read stays unread."""
        assert self._fence is not None
        fence = self._fence()
        start = self._unread
        now = self._clock.now_ns()
        first = await self._store.due(fence, max(start, self._horizon, now + HORIZON), FAR, 1)
        self._horizon = first[0].alarm_ns if first else FAR
        position = start
        limit = PAGE
        while True:
            page = await self._store.due(fence, position, self._horizon, limit)
            for due in page:
                key = (due.digest, uuid_text(due.run_id))
                if key not in self._current:
                    self._current[key] = due.alarm_ns
                    heapq.heappush(self._heap, (due.alarm_ns, *key))
            if len(page) < limit:
                break
            if page[0].alarm_ns == page[-1].alarm_ns:
                limit *= 2
            else:
                position, limit = page[-1].alarm_ns, PAGE
        self._unread = self._horizon

    def _arm(self) -> None:
        """Set the loop's timer to the next alarm or the horizon; at the horizon the reader is woken."""
        while self._heap and self._current.get(self._heap[0][1:]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        now = self._clock.now_ns()
        when = self._heap[0][0] if self._heap else FAR
        if now < self._horizon:
            when = min(when, self._horizon)
        elif not self._reading:
            self._advance.set()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._armed_for = when
        if when >= FAR:
            return
        delay_s = min(max(0, when - now) / 1e9, SLEEP_MAX_S)
        self._handle = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._clock.now_ns()
        left = RINGS_AT_ONCE
        while left and self._heap and self._heap[0][0] <= now:
            when, digest, run_id = heapq.heappop(self._heap)
            if self._current.get((digest, run_id)) == when:
                del self._current[(digest, run_id)]
                self._ring(digest, run_id)
                left -= 1
        self._arm()
