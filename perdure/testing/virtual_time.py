"""A seeded event loop whose time is virtual: when nothing is ready it jumps to the next timer.

Thirty days pass in milliseconds, and the same seed gives the same run. Callbacks run in the order asyncio
promises; what a seed decides is the order of timers that are due at the same instant. Nothing real may happen
inside: no sockets, no threads, no executors (each is refused), so that time can never depend on the machine.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar, final

from perdure.clock import SECOND

T = TypeVar("T")

EPOCH_NS = 1_700_000_000 * SECOND
"""Virtual time begins here: a fixed instant in November 2023."""
STEPS_PER_INSTANT_MAX = 1_000_000
"""More loop steps than this without time moving is a busy loop."""

CANCELS_MAX = 20
"""How often what is left at the end is cancelled: clean-up may wait again."""


class Deadlock(RuntimeError):
    """Nothing is ready and nothing is scheduled, but the main task has not ended."""


@final
class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `time()` is virtual seconds since the start."""

    # What asyncio's base loop keeps; its stubs do not say so.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._virtual = 0.0
        self._clock_resolution = 0.0
        self._steps_at_instant = 0
        self.steps = 0

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual

    def now_ns(self) -> int:
        """The loop's time as a time of day: this loop is also a `Clock`."""
        return EPOCH_NS + round(self._virtual * SECOND)

    def _run_once(self) -> None:
        """One step: due timers become ready in seeded order, then everything ready now runs."""
        self._drop_cancelled()
        if not self._ready and not self._stopping:
            if not self._scheduled:
                raise Deadlock("nothing is ready and no timer is set")
            self._virtual = max(self._virtual, self._scheduled[0].when())
            self._steps_at_instant = 0
        self._take_due()
        self._steps_at_instant += 1
        if self._steps_at_instant > STEPS_PER_INSTANT_MAX:
            raise Deadlock("time does not advance: a busy loop")
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                self.steps += 1
                handle._run()

    def _drop_cancelled(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]  # asyncio's own flag

    def _take_due(self) -> None:
        due: list[asyncio.TimerHandle] = []
        while self._scheduled and self._scheduled[0].when() <= self._virtual:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]  # asyncio's own flag
            if not handle._cancelled:
                due.append(handle)
        if len(due) > 1:
            self.random.shuffle(due)
            due.sort(key=lambda one: one.when())
        self._ready.extend(due)

    def _write_to_self(self) -> None:
        """Nobody else can wake this loop: it never waits."""

    def _process_events(self, event_list: object) -> None:
        """There are no events from outside."""

    def call_soon_threadsafe(  # type: ignore[override]  # refuses whatever it is given
        self, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """Threads do not exist here."""
        raise RuntimeError("no threads under virtual time")

    def run_in_executor(  # type: ignore[override]  # refuses whatever it is given
        self, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """Executors do not exist here."""
        raise RuntimeError("no executors under virtual time")


def run(seed: int, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end under virtual time; the loop is closed afterwards, whatever is left of it cancelled."""
    loop = VirtualLoop(seed)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        for _ in range(CANCELS_MAX):
            left = asyncio.all_tasks(loop)
            if not left:
                break
            for task in left:
                task.cancel()
            loop.call_soon(loop.call_soon, loop.stop)
            loop.run_forever()
        asyncio.set_event_loop(None)
        loop.close()
