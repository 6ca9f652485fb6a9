"""Who waits for news of a run: resolved by commits, never by drafts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import final

from perdure.ids import ChainKey
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Input, Snapshot


@final
class Watcher:
    """Somebody who waits for a run's events from `next_event_id` on, or for its close. It hears of commits only, and
    only of the one that it waits for.
    """

    __slots__ = ("future", "next_event_id")

    def __init__(self, next_event_id: int, future: asyncio.Future[Execution | None]) -> None:
        self.next_event_id = next_event_id
        self.future = future

    def wants(self, execution: Execution) -> bool:
        """Whether the wait is over with the run in this state."""
        return execution.next_event_id > self.next_event_id or not execution.running

    def resolve(self, execution: Execution | None) -> None:
        """The wait is over; None: its time is up, or what it waits for may have happened unseen."""
        if not self.future.done():
            self.future.set_result(execution)


@final
class Watchers:
    """All who wait for news of this owner's runs. `submit` runs an input of a chain."""

    def __init__(self, submit: Callable[[ChainKey, Input], Awaitable[object]]) -> None:
        self._submit = submit
        self.of_run: dict[str, list[Watcher]] = {}
        """By run id; a run that nobody waits for is not in it."""

    async def wait(self, key: ChainKey, run_id: str, next_event_id: int, timeout_s: float) -> Execution:
        """The run once it has events from `next_event_id` on, or is closed, or the time is up. Raises ServiceError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            # It watches before it looks, so that no commit falls between.
            watcher = Watcher(next_event_id, loop.create_future())
            self.of_run.setdefault(run_id, []).append(watcher)
            alarm: asyncio.TimerHandle | None = None
            try:
                execution = await self._submit(key, Snapshot(run_id))
                assert isinstance(execution, Execution)
                if watcher.wants(execution) or loop.time() >= deadline:
                    return execution
                alarm = loop.call_at(deadline, watcher.resolve, None)
                news = await watcher.future
                if news is not None:
                    return news
            finally:
                if alarm is not None:
                    alarm.cancel()
                self._remove(run_id, watcher)

    def tell(self, execution: Execution) -> None:
        """A commit has brought the run into this state."""
        for watcher in self.of_run.get(execution.info.run_id, ()):
            if watcher.wants(execution):
                watcher.resolve(execution)

    def wake(self, run_id: str) -> None:
        """Who waits for this run must look at it again."""
        for watcher in self.of_run.get(run_id, ()):
            watcher.resolve(None)

    def wake_all(self) -> None:
        """Who waits for any run must look at it again."""
        for run_id in self.of_run:
            self.wake(run_id)

    def _remove(self, run_id: str, watcher: Watcher) -> None:
        watchers = self.of_run[run_id]
        watchers.remove(watcher)
        if not watchers:
            del self.of_run[run_id]
