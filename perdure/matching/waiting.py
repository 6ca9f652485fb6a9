"""Who waits at a task queue: a poll for work, a caller of a query for its answer, a commit for its poll."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from perdure.machines.task_queue import Matched, Poll, QueryTask, Task
from perdure.matching.lines import Line

if TYPE_CHECKING:
    from perdure.matching.service import Matching


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


@final
class Reservation:
    """A poll kept for a task that is being committed; closed by exactly one of `deliver` and `release`."""

    __slots__ = ("_matching", "_poll", "_queue", "identity", "request", "worker_version")

    def __init__(self, matching: Matching, queue: Line, poll: Poll) -> None:
        self._matching = matching
        self._queue: Line | None = queue
        self._poll = poll
        self.request = poll.request
        self.identity = poll.request.identity
        self.worker_version = poll.request.worker_version

    def deliver(self, task: Task, started: object) -> bool:
        """Hand out the committed start. False when the poll has gone: the engine does what a lost delivery needs."""
        return self._matching.deliver_reserved(self._close(), self._poll, task, started)

    def release(self) -> None:
        """The commit failed: the poll returns to its place in the line."""
        self._matching.release_reserved(self._close(), self._poll)

    def _close(self) -> Line:
        queue = self._queue
        assert queue is not None, "a reservation is closed once"
        self._queue = None
        return queue


def waiter_of(poll: Poll) -> Waiter:
    """What a poll that waits was given by its coroutine."""
    waiter = poll.waiter
    assert isinstance(waiter, Waiter)
    return waiter
