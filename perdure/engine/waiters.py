"""Callers that wait for an `Answer`: an effect of a later step than the one that took their input."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, final

from perdure.api import enums
from perdure.errors import ResourceExhausted, ServiceError
from perdure.machines.workflow.effects import Answer

WAITERS_MAX: Final = 100_000
"""Each of them pins a chain in memory, so they have a limit of their own."""


@final
class Waiters:
    """The waiting callers of one owner, by the number that their input carries."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[object]] = {}
        self._last = 0

    def new(self) -> tuple[int, asyncio.Future[object]]:
        """A number that an `Answer` may name, and the future that it resolves. Raises ResourceExhausted."""
        if len(self._futures) >= WAITERS_MAX:
            raise ResourceExhausted("too many callers wait", enums.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED, 2)
        self._last += 1
        number = self._last
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._futures[number] = future
        future.add_done_callback(partial(self._ended, number))
        return number, future

    def answer(self, answer: Answer) -> None:
        """Give the caller its answer, if it still waits."""
        future = self._futures.get(answer.waiter)
        if future is not None and not future.done():
            if isinstance(answer.outcome, Exception):
                future.set_exception(answer.outcome)
            else:
                future.set_result(answer.outcome)

    def fail(self, error: ServiceError) -> None:
        """Nobody is answered any more."""
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error)

    def _ended(self, number: int, future: asyncio.Future[object]) -> None:
        """Whether anybody still listens, the answer was taken: at the end all waiters are answered."""
        del self._futures[number]
        if not future.cancelled():
            future.exception()
