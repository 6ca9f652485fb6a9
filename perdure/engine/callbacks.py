"""Carries invocations of completion callbacks out of the server, and brings their answers back (DESIGN 1.10).

What is sent and what an answer means is the machine's (`invocations.py`); what is owed stands in the state of the run,
so a crash repeats an invocation at worst. Destinations do not get into each other's way: each has a queue, a limit of
requests under way, and a circuit breaker of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, final

from perdure.api import common, history
from perdure.engine.circuit import Circuit
from perdure.engine.histories import Histories
from perdure.engine.ports import Outside
from perdure.engine.telling import tell
from perdure.errors import Unavailable
from perdure.ids import ChainKey
from perdure.machines.pauses import pause
from perdure.machines.workflow import invocations
from perdure.machines.workflow.calls import InvokeCallback
from perdure.machines.workflow.exchange import CallbackInvoked, CallUndelivered
from perdure.machines.workflow.inputs import Input
from perdure.store.api import StoreError

log = logging.getLogger(__name__)

REQUESTS_MAX: Final = 256
"""Requests under way at once, to all destinations."""
DESTINATION_REQUESTS_MAX: Final = 32
"""The same to one destination of one namespace."""
DESTINATIONS_MAX: Final = 10_000
"""Destinations at rest whose failures are remembered."""
PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 10.0
"""Pauses before the run is told again of an answer that it could not take: doubling."""


@final
class _Destination:
    """Where invocations of one namespace go: scheme and host."""

    __slots__ = ("active", "address", "circuit", "key", "queued", "waiting")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.address = key[1]
        self.circuit = Circuit()
        self.waiting: deque[InvokeCallback] = deque()
        self.active = 0
        self.queued = False
        """In its turn for a request, or sleeping behind its circuit."""


@final
class Callbacks:
    """The invocations of one owner on one event loop."""

    def __init__(
        self,
        submit: Callable[[ChainKey, Input], Awaitable[object]],
        histories: Histories,
        outside: Outside,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._submit = submit
        self._histories = histories
        self.outside = outside
        self._spawn = spawn
        self._destinations: dict[tuple[str, str], _Destination] = {}
        self._ready: deque[_Destination] = deque()
        self._held: set[tuple[str, int]] = set()
        """(run id, callback number) of what waits or is under way."""
        self._active = 0
        self._open = True

    def close(self) -> None:
        """No request begins any more; what is owed stays owed."""
        self._open = False

    def send(self, call: InvokeCallback) -> None:
        """Carry an invocation; one that is under way already is dropped."""
        key = _key(call)
        if key in self._held:
            return
        self._held.add(key)
        address = invocations.destination(common.Callback.FromString(call.spec))
        destination = self._destination((call.sender.chain.namespace_id, address))
        destination.waiting.append(call)
        self._queue(destination)
        self._pump()

    def blocked(self, namespace_id: str, address: str) -> bool:
        """Whether invocations of that destination wait for its circuit."""
        destination = self._destinations.get((namespace_id, address))
        return destination is not None and not destination.circuit.closed

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def _destination(self, key: tuple[str, str]) -> _Destination:
        found = self._destinations.get(key)
        if found is None:
            if len(self._destinations) >= DESTINATIONS_MAX:
                self._forget_some()
            found = self._destinations[key] = _Destination(key)
        return found

    def _forget_some(self) -> None:
        resting = [one for one in self._destinations.values() if not one.active and not one.waiting]
        for one in resting[: DESTINATIONS_MAX // 10]:
            del self._destinations[one.key]

    def _queue(self, destination: _Destination) -> None:
        if destination.waiting and not destination.queued and destination.active < DESTINATION_REQUESTS_MAX:
            destination.queued = True
            self._ready.append(destination)

    def _pump(self) -> None:
        """Let one request of each destination go in turn, as long as there is room."""
        loop = asyncio.get_running_loop()
        while self._open and self._ready and self._active < REQUESTS_MAX:
            destination = self._ready.popleft()
            now = loop.time()
            if not destination.circuit.admits(now):
                wait = destination.circuit.opens_in(now)
                if wait:
                    loop.call_later(wait, self._wake, destination)
                else:
                    # One request tries; its end brings this destination back.
                    destination.queued = False
                continue
            destination.queued = False
            self._active += 1
            destination.active += 1
            self._spawn(self._carry(destination, destination.waiting.popleft()))
            self._queue(destination)

    def _wake(self, destination: _Destination) -> None:
        destination.queued = False
        self._queue(destination)
        self._pump()

    # -- one invocation ----------------------------------------------------------------------------------------------

    async def _carry(self, destination: _Destination, call: InvokeCallback) -> None:
        """One request, and its answer to the run."""
        answer: CallbackInvoked | None = None
        try:
            answer = await self._ask(destination, call)
        finally:
            if answer is None:
                destination.circuit.abandoned()
            else:
                reached = not answer.problem or not answer.retryable
                destination.circuit.ended(reached, asyncio.get_running_loop().time())
            destination.active -= 1
            self._active -= 1
            self._queue(destination)
            if not destination.active and not destination.waiting and destination.circuit.pristine:
                self._destinations.pop(destination.key, None)
            self._pump()
        await self._tell(call, answer)

    async def _ask(self, destination: _Destination, call: InvokeCallback) -> CallbackInvoked | None:
        """The outcome of a request; None when there was none."""
        try:
            event: history.HistoryEvent | None = None
            if call.event_id:
                body = await self._histories.event(call.sender.branches, call.event_id)
                event = history.HistoryEvent.FromString(body)
            asked = invocations.request(call, event)
            if isinstance(asked, CallbackInvoked):
                return asked
            came = await self.outside.post(call.namespace, destination.address, asked)
            return invocations.answer(call, came)
        except invocations.NoAnswer as error:
            log.info("a callback of %s was not delivered: %s", call.sender.chain, error)
            return invocations.unanswered(call, str(error))
        except (StoreError, Unavailable) as error:
            log.warning("what a callback of %s tells cannot be read now: %s", call.sender.chain, error)
        except Exception:
            log.exception("a callback of %s could not be made", call.sender.chain)
        return None

    async def _tell(self, call: InvokeCallback, answer: CallbackInvoked | None) -> None:
        """Tell the run until it has taken the answer, or is gone."""
        key = _key(call)
        fact: Input = answer if answer is not None else CallUndelivered(call.sender.run_id, call.sender.item)
        failures = 0
        if answer is None:
            await asyncio.sleep(PAUSE_MAX_S)
        while True:
            # The answer may owe the next invocation.
            self._held.discard(key)
            if await tell(self._submit, call.sender.chain, fact):
                return
            self._held.add(key)
            await asyncio.sleep(pause(failures, PAUSE_FIRST_S, PAUSE_MAX_S))
            failures += 1


def _key(call: InvokeCallback) -> tuple[str, int]:
    return call.sender.run_id, call.sender.item[1]
