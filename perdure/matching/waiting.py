"""Who waits at a task queue: a poll for work, a caller of a query for its answer."""

from __future__ import annotations

import asyncio
from typing import final

from perdure.machines.task_queue import Matched, Poll, QueryTask
from perdure.matching.lines import Line


@final
class Waiter:
    """What a waiting poll awaits, and what ends the wait."""

    __slots__ = ("future", "overtime", "timer")

    def __init__(self, future: asyncio.Future[Matched | None]) -> None:
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        self.overtime = False
        """Its time is up, but a commit has reserved it."""

    def end(self, matched: Matched | None) -> None:
        """The wait is over; None: empty-handed."""
        if self.timer is not None:
            self.timer.cancel()
        if not self.future.done():
            self.future.set_result(matched)


@final
class Asked:
    """A query whose caller waits: for a worker first, then for the answer."""

    __slots__ = ("future", "query", "queue", "timer")

    def __init__(self, query: QueryTask, queue: Line, future: asyncio.Future[object]) -> None:
        self.query = query
        self.queue = queue
        self.future = future
        self.timer: asyncio.TimerHandle | None = None

    def fail(self, error: Exception) -> None:
        """The caller gets an error, if it has no answer yet."""
        if not self.future.done():
            self.future.set_exception(error)


def waiter_of(poll: Poll) -> Waiter:
    """What a poll that waits was given by its coroutine."""
    waiter = poll.waiter
    assert isinstance(waiter, Waiter)
    return waiter
