"""Who waits for news of a run: resolved by commits, never by drafts."""

from __future__ import annotations

import asyncio
from typing import final

from perdure.machines.workflow.execution import Execution


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
