"""Coroutines that mostly need not wait: their first step runs at once, and only one that waits becomes a task.

Python 3.12's eager tasks for 3.11 as well. What runs before the first wait has no current task, so it must not enter
an `asyncio.timeout`; behind it everything is as in any task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Final, final


def start_now(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run a coroutine up to its first wait. The task that does the rest; None when there is none.

    What the coroutine raises before its first wait is raised here.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return loop.create_task(_Rest(coroutine, waits_for))


_CONSUMED: Final = object()


@final
class _Rest(Coroutine[Any, Any, None]):
    """What is left of a coroutine that has run up to its first wait, as the body of a task."""

    __slots__ = ("_first", "_running")

    def __init__(self, running: Coroutine[Any, Any, None], first: Any) -> None:
        self._running = running
        self._first: Any = first

    def send(self, value: Any) -> Any:
        """The first time, what was waited for already."""
        first = self._first
        if first is not _CONSUMED:
            self._first = _CONSUMED
            return first
        return self._running.send(value)

    def throw(self, *args: Any) -> Any:
        """A cancellation may come before the task's first step: it has to reach the coroutine all the same."""
        self._first = _CONSUMED
        return self._running.throw(*args)

    def close(self) -> None:
        self._running.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise AssertionError("a task drives this by send and throw")
