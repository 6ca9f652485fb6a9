"""Runs entities of one row (`machines/entity.py`): one step at a time, durable before visible, effects until they are
discharged.

A step waits for its commit before the next one of the same entity begins: these entities are not hot, and it spares
drafts on drafts. They share the committer, the fence and the alarms with workflows; an alarm whose run id is the digest
of its chain is one of theirs.

What an entity owes is performed by its kind's *performer*, a coroutine that knows the rest of the server; what it
returns is the entity's next input. A failed one is tried again as long as the state still owes it. After a crash the
entity is found by its stored alarm, which lies in the past while anything is owed.

It decides nothing about an entity (its machine does) and knows no kind by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Final, final

from perdure.api import enums
from perdure.clock import Clock
from perdure.engine import mail, one_row
from perdure.engine.alarms import Alarms
from perdure.engine.committer import Committer
from perdure.engine.mail import Letter
from perdure.engine.one_row import OneRow, StateWatcher, Write
from perdure.engine.ports import Namespaces
from perdure.errors import Internal, NamespaceNotFound, NotFound, ResourceExhausted, ServiceError, Unavailable
from perdure.ids import ChainKey, IdSource, Kind, uuid_text
from perdure.machines.entity import AlarmRang, Discard, Effect, Machine, Step
from perdure.machines.env import Env
from perdure.machines.pauses import pause
from perdure.store.api import Store, StoreError

log = logging.getLogger(__name__)

Performer = Callable[[ChainKey, Any], Awaitable[object | None]]
"""Makes an effect of a kind happen; returns the entity's next input, perhaps `After` a pause, or None. It may be asked
twice, so what it does is idempotent. Raises ServiceError or StoreError to be asked again later.
"""

FACTS_MAX: Final = 1_000
"""Inputs that may wait for one entity; more are refused."""
EFFECTS_MAX: Final = 256
"""Effects under way at once; more wait their turn."""
IDLE_BYTES_MAX: Final = 32 << 20
"""Entities at rest that are kept in memory, by their `OneRow.size`."""
PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 10.0
"""Pauses before an effect that failed is tried again: doubling from the first to the longest."""
RETRY_ALARM_S: Final = 1.0
"""How soon an alarm whose step was lost rings again."""
RETRY_FAULT_S: Final = 60.0
"""The same after a fault of ours."""
REST_S_MAX: Final = 30 * 86_400.0
"""The longest pause of an `After`."""


@final
class After:
    """A performer's answer that is held back for a pause: for whoever keeps a rate. It takes no turn from others, and
    ends at once when the entity no longer owes the effect.
    """

    __slots__ = ("fact", "pause_s")

    def __init__(self, fact: object, pause_s: float) -> None:
        self.fact = fact
        self.pause_s = pause_s


@final
class _Read:
    """The committed state, in its turn."""

    __slots__ = ()


@final
class Entities:
    """The entities of one row of one owner, on one event loop."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        alarms: Alarms,
        namespaces: Namespaces,
        clock: Clock,
        ids: IdSource,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._store = store
        self._committer = committer
        self._alarms = alarms
        self._namespaces = namespaces
        self._clock = clock
        self._ids = ids
        self._spawn = spawn
        self._kinds: dict[int, tuple[Machine[Any], Performer]] = {}
        self._entities: dict[bytes, OneRow] = {}
        self._idle: OrderedDict[bytes, int] = OrderedDict()
        self._idle_bytes = 0
        self._turns = asyncio.Semaphore(EFFECTS_MAX)
        self._open = True

    def register(self, machine: Machine[Any], performer: Performer) -> None:
        """Serve a kind; before the engine opens, or its alarms find nobody."""
        assert machine.kind not in self._kinds, f"{machine.kind!r} is registered already"
        self._kinds[machine.kind] = (machine, performer)

    def close(self, reason: str) -> None:
        """No step begins any more; who waits is sent away."""
        self._open = False
        for entity in self._entities.values():
            for letter in entity.mailbox:
                letter.resolve(Unavailable(reason))
            entity.mailbox.clear()
            entity.waiting_bytes = 0
            for watcher in entity.watchers:
                if not watcher.future.done():
                    watcher.future.set_exception(Unavailable(reason))

    # -- the door ----------------------------------------------------------------------------------------------------

    async def submit(self, key: ChainKey, fact: object) -> object:
        """Run one input; the outcome comes after its commit. Raises `ServiceError`, also when the outcome is one."""
        if not self._open:
            raise Unavailable("server is shutting down")
        entity = self._entity(key.digest, key)
        what = Kind(key.kind).name.lower()
        if len(entity.mailbox) >= FACTS_MAX:
            cause = enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
            raise ResourceExhausted(f"too many requests for one {what}", cause)
        size = mail.admitted(entity.waiting_bytes, fact, what) if entity.mailbox else 0
        return await self._posted(entity, fact, size)

    async def _answered(self, entity: OneRow, answer: object) -> object:
        """A performer's answer is taken always: they are as many as what the state owes, and to refuse one would have
        its effect made again."""
        if not self._open:
            raise Unavailable("server is shutting down")
        return await self._posted(entity, answer, 0)

    async def _posted(self, entity: OneRow, fact: object, size: int) -> object:
        """The outcome of an input that is taken; `size` is the bytes that it holds while it waits."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        entity.waiting_bytes += size
        self._post(entity, Letter(fact, future, size))
        return await future

    async def read(self, key: ChainKey) -> Any:
        """The committed state after everything submitted before, None when there is no such entity."""
        return await self.submit(key, _Read())

    async def wait(self, key: ChainKey, predicate: Callable[[Any], bool], timeout_s: float) -> Any:
        """The committed state once `predicate` holds for it or `timeout_s` has passed; None once the entity is gone."""
        loop = asyncio.get_running_loop()
        watcher = StateWatcher(predicate, loop.create_future())
        entity = self._entity(key.digest, key)
        # It watches before it looks, so that no commit falls between.
        entity.watchers.append(watcher)
        try:
            state = await self.read(key)
            if state is None or predicate(state):
                return state
            try:
                async with asyncio.timeout(timeout_s):
                    return await watcher.future
            except TimeoutError:
                return await self.read(key)
        finally:
            entity.watchers.remove(watcher)
            if watcher.future.done() and not watcher.future.cancelled():
                # The end may have come while it looked, and then nobody takes what it says.
                watcher.future.exception()
            self._settle(entity)

    def rang(self, digest: bytes) -> None:
        """An alarm of one of these entities has come."""
        if self._open:
            self._post(self._entity(digest, None), Letter(AlarmRang(), None))

    # -- steps -------------------------------------------------------------------------------------------------------

    def _entity(self, digest: bytes, key: ChainKey | None) -> OneRow:
        entity = self._entities.get(digest)
        if entity is None:
            entity = self._entities[digest] = OneRow(digest, key)
        elif entity.key is None:
            entity.key = key
        if digest in self._idle:
            self._idle_bytes -= self._idle.pop(digest)
        return entity

    def _post(self, entity: OneRow, letter: Letter[object]) -> None:
        entity.mailbox.append(letter)
        if not entity.running:
            entity.running = True
            self._spawn(self._run(entity))

    async def _run(self, entity: OneRow) -> None:
        """The entity's inputs, one after the other, until there are none."""
        try:
            while entity.mailbox:
                letter = entity.mailbox.popleft()
                entity.waiting_bytes -= letter.size
                try:
                    if entity.loaded or await self._load(entity):
                        await self._step(entity, letter)
                    else:
                        letter.resolve(NotFound("entity not found"))
                except (StoreError, Unavailable) as error:
                    log.warning("an entity could not be read or written: %s", error)
                    self._failed(entity, letter, Unavailable("the outcome is not known; please retry"), RETRY_ALARM_S)
                except Exception:
                    log.exception("a step failed: %s", type(letter.fact).__name__)
                    self._failed(entity, letter, Internal("a step failed"), RETRY_FAULT_S)
        finally:
            entity.running = False
        self._settle(entity)

    async def _load(self, entity: OneRow) -> bool:
        """Read the entity's row. False when an alarm is all that is known of it, and it is gone. Raises StoreError."""
        found = await self._store.load(entity.digest, entity.digest)
        if found is None:
            entity.loaded = True
            return entity.key is not None
        chain, row = found
        assert row is not None, "an entity has a row as long as it has a chain"
        if entity.key is None:
            entity.key = one_row.key_of(chain)
        machine, _ = self._kinds[entity.key.kind]
        entity.take(row, machine)
        self._attend(entity, machine)
        return True

    async def _step(self, entity: OneRow, letter: Letter[object]) -> None:
        key = entity.key
        assert key is not None
        if isinstance(letter.fact, _Read):
            letter.resolve(entity.state)
            return
        if isinstance(letter.fact, AlarmRang) and entity.state is None:
            return
        machine, _ = self._kinds[key.kind]
        view = self._namespaces.view(key.namespace_id)
        if view is None:
            self._failed(entity, letter, NamespaceNotFound(key.namespace_id), RETRY_FAULT_S)
            return
        env = Env(max(self._clock.now_ns(), entity.last), self._ids, view)
        before = entity.state
        if isinstance(letter.fact, Discard):
            if before is None:
                letter.resolve(None)
            else:
                await self._commit(entity, letter, machine, Step(None), env)
            return
        try:
            step = machine.step(key, before, letter.fact, env)
        except ServiceError as error:
            letter.resolve(error)
            self._attend(entity, machine)
            return
        if step.after is before:
            letter.resolve(step.outcome)
            self._attend(entity, machine)
            self._unmoved(entity, letter, machine, env.now)
            return
        await self._commit(entity, letter, machine, step, env)

    async def _commit(
        self, entity: OneRow, letter: Letter[object], machine: Machine[Any], step: Step[Any], env: Env
    ) -> None:
        """Write the step; only then does the world see it. Raises StoreError when it may not have been written."""
        key = entity.key
        assert key is not None
        after = step.after
        write, alarm = one_row.written(entity, key, machine, after, env.now)
        member = Write(write)
        self._committer.enqueue(member)
        if not await member.done:
            raise Unavailable("the outcome of the write is not known; please retry")
        entity.state = after
        entity.version = entity.version + 1 if after is not None else 0
        entity.last = env.now if after is not None else 0
        entity.alarm = alarm
        letter.resolve(step.outcome)
        for watcher in entity.watchers:
            if not watcher.future.done() and (after is None or watcher.predicate(after)):
                watcher.future.set_result(after)
        self._attend(entity, machine)

    def _attend(self, entity: OneRow, machine: Machine[Any]) -> None:
        """Set the alarm of the committed state, and perform what it owes."""
        run_id = uuid_text(entity.digest)
        state = entity.state
        when = machine.alarm(state) if state is not None else 0
        if when:
            self._alarms.set(entity.digest, run_id, when, entity.alarm)
        else:
            self._alarms.clear(entity.digest, run_id)
        owed = machine.owed(state) if state is not None else ()
        if entity.resting:
            keys = [effect.key for effect in owed]
            for key, over in entity.resting.items():
                if key not in keys:
                    over.set()
        for effect in owed:
            if effect.key not in entity.held:
                entity.held.add(effect.key)
                self._spawn(self._perform(entity, effect))

    def _unmoved(self, entity: OneRow, letter: Letter[object], machine: Machine[Any], now: int) -> None:
        """An alarm that changed nothing would ring for ever: the machine is wrong, and is asked again later only."""
        if not isinstance(letter.fact, AlarmRang):
            return
        if 0 < machine.alarm(entity.state) <= now:
            log.error("an alarm of %s moved nothing", entity.key)
            self._alarms.clear(entity.digest, uuid_text(entity.digest))
            asyncio.get_running_loop().call_later(RETRY_FAULT_S, self.rang, entity.digest)

    def _failed(self, entity: OneRow, letter: Letter[object], error: ServiceError, alarm_again_s: float) -> None:
        entity.forget()
        letter.resolve(error)
        # Whatever was lost, the entity is looked at again: its alarm and what it owes are derived from its row.
        asyncio.get_running_loop().call_later(alarm_again_s, self.rang, entity.digest)

    def _settle(self, entity: OneRow) -> None:
        """At rest it may be forgotten, the least recently used first."""
        digest = entity.digest
        if not entity.at_rest or self._entities.get(digest) is not entity:
            return
        if entity.state is None:
            del self._entities[digest]
            return
        if digest in self._idle:
            self._idle_bytes -= self._idle.pop(digest)
        self._idle[digest] = entity.size
        self._idle_bytes += entity.size
        while self._idle_bytes > IDLE_BYTES_MAX:
            oldest, size = self._idle.popitem(last=False)
            self._idle_bytes -= size
            del self._entities[oldest]

    # -- effects -----------------------------------------------------------------------------------------------------

    async def _perform(self, entity: OneRow, effect: Effect) -> None:
        """One effect until it had a definite answer; whatever happens, the state is asked again what it owes."""
        key = entity.key
        assert key is not None
        _, performer = self._kinds[key.kind]
        done = False
        try:
            async with self._turns:
                answer = await performer(key, effect)
            if isinstance(answer, After):
                await self._rest(entity, effect.key, answer.pause_s)
                answer = answer.fact
            if answer is not None:
                await self._answered(entity, answer)
            done = True
        except (ServiceError, StoreError) as error:
            log.info("%s of %r: %s", type(effect).__name__, key, error)
        except Exception:
            log.exception("%s of %r failed", type(effect).__name__, key)
        machine, _ = self._kinds[key.kind]
        if done and effect.key not in [one.key for one in self._owed(entity, machine)]:
            entity.failures.pop(effect.key, None)
        else:
            failures = entity.failures.get(effect.key, 0)
            entity.failures[effect.key] = failures + 1
            await asyncio.sleep(pause(failures, PAUSE_FIRST_S, PAUSE_MAX_S))
        entity.held.discard(effect.key)
        if entity.loaded:
            self._attend(entity, machine)
            self._settle(entity)
        else:
            self.rang(entity.digest)

    async def _rest(self, entity: OneRow, key: Hashable, pause_s: float) -> None:
        if pause_s <= 0:
            return
        over = entity.resting[key] = asyncio.Event()
        try:
            async with asyncio.timeout(min(pause_s, REST_S_MAX)):
                await over.wait()
        except TimeoutError:
            pass
        finally:
            del entity.resting[key]

    def _owed(self, entity: OneRow, machine: Machine[Any]) -> list[Effect]:
        return list(machine.owed(entity.state)) if entity.loaded and entity.state is not None else []
