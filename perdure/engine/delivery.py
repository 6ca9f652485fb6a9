"""Carries calls from chain to chain after the commit that owes them, and brings the answers back (DESIGN 1.10).

Nothing here decides and nothing here is remembered: what a call says and what its answer means is the machine's
(`outbound.py`), and what is owed stands in the sender's state, so a crash loses nothing. A call without a definite
answer is not repeated from here: after a pause its sender is told, and derives anew what it owes by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, final

from perdure.api import history
from perdure.engine.histories import Histories
from perdure.engine.telling import tell
from perdure.errors import PASSING, Internal, ServiceError, Unavailable
from perdure.ids import ChainKey
from perdure.machines.pauses import pause
from perdure.machines.workflow import outbound
from perdure.machines.workflow.calls import Call
from perdure.machines.workflow.exchange import CallUndelivered
from perdure.machines.workflow.inputs import Input
from perdure.store.api import StoreError

log = logging.getLogger(__name__)

CALLS_MAX = 256
"""Calls under way at once; more wait their turn."""
PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 10.0
"""Pauses before a call without a definite answer is derived again: doubling from the first to the longest."""

Key = tuple[str, tuple[int, int]]
"""(sender's run id, item)."""


@final
class Delivery:
    """The calls of one owner on one event loop. `submit` runs an input on any chain of any kind, here or elsewhere."""

    def __init__(
        self,
        submit: Callable[[ChainKey, Any], Awaitable[object]],
        histories: Histories,
        spawn: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self._submit = submit
        self._histories = histories
        self._spawn = spawn
        self._waiting: deque[Call] = deque()
        self._held: set[Key] = set()
        """Items of which a call waits, is under way, or pauses."""
        self._failures: dict[Key, int] = {}
        self._active = 0

    def send(self, call: Call) -> None:
        """Carry a call; one about an item that is held already is dropped, for its return will show what is owed."""
        key = _key(call)
        if key in self._held:
            return
        self._held.add(key)
        self._waiting.append(call)
        self._pump()

    def _pump(self) -> None:
        while self._waiting and self._active < CALLS_MAX:
            self._active += 1
            self._spawn(self._carry(self._waiting.popleft()))

    async def _carry(self, call: Call) -> None:
        """One call there and back; whatever happens, its sender hears of it."""
        try:
            event, answer = await self._ask(call)
        finally:
            self._active -= 1
            self._pump()
        key = _key(call)
        if answer is not None:
            self._failures.pop(key, None)
            afterwards = outbound.settled(call, event)
            if afterwards is None:
                # The answer may owe the item's next call. Otherwise nothing may overtake it.
                self._held.discard(key)
            if await tell(self._submit, call.sender.chain, answer):
                self._held.discard(key)
                if afterwards is not None:
                    await self._mention(*afterwards)
                return
            self._held.add(key)
        while True:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            await asyncio.sleep(pause(failures, PAUSE_FIRST_S, PAUSE_MAX_S))
            self._held.discard(key)
            if await tell(self._submit, call.sender.chain, CallUndelivered(call.sender.run_id, call.sender.item)):
                return
            self._held.add(key)

    async def _mention(self, target: ChainKey, fact: Input) -> None:
        """Tell a chain something that it can do without."""
        try:
            await self._submit(target, fact)
        except ServiceError as error:
            log.debug("%s need not know: %s", target, error)

    async def _ask(self, call: Call) -> tuple[history.HistoryEvent | None, Input | None]:
        """The event that the call names, and the answer for the sender, None when there is no definite one."""
        outcome: object
        event: history.HistoryEvent | None = None
        try:
            if call.event_id:
                body = await self._histories.event(call.sender.branches, call.event_id)
                event = history.HistoryEvent.FromString(body)
            asked = outbound.request(call, event)
            if isinstance(asked, Input):
                return event, asked
            outcome = await self._submit(*asked)
        except StoreError as error:
            outcome = Unavailable(str(error))
        except ServiceError as error:
            outcome = error
        except AssertionError:
            log.exception("a call of %s could not be made", call.sender.chain)
            outcome = Internal("a call could not be made")
        answer = outbound.answer(call, event, outcome)
        if answer is None and not isinstance(outcome, PASSING):
            log.error("%s of %s was refused: %s", type(call).__name__, call.sender.chain, outcome)
        return event, answer


def _key(call: Call) -> Key:
    return call.sender.run_id, call.sender.item
