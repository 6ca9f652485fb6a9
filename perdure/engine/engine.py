"""The engine: runs chains (DESIGN 4.3). Input -> mailbox -> step -> draft -> commit -> reply and effects, in that
order.

Nothing is answered, cached as truth, delivered or notified before its transaction has committed. Steps of one
chain run one after the other on its newest draft, also while an earlier one is being written; their replies wait
for their own commits. Before a commit the engine may reserve a waiting poller and put the start of its task into
the same write (DESIGN 1.7).

It decides nothing about workflows (the machine does) and knows no SQL (the store does).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, final

from perdure.api import enums
from perdure.clock import Clock
from perdure.engine import mail, rows
from perdure.engine.alarms import Alarms
from perdure.engine.archiving import Archiving
from perdure.engine.cache import Cache
from perdure.engine.callbacks import Callbacks
from perdure.engine.committer import QUEUE_MEMBERS_MAX, Committer, Member
from perdure.engine.delivery import Delivery
from perdure.engine.eager import start_now
from perdure.engine.entities import Entities
from perdure.engine.entity import MAILBOX_MAX, Entity
from perdure.engine.histories import Histories
from perdure.engine.loading import load, look_up
from perdure.engine.long_steps import by_turns
from perdure.engine.mail import Letter
from perdure.engine.ports import Dispatch, Namespaces, Outside, Reservation
from perdure.engine.waiters import Waiters
from perdure.engine.watchers import Watchers
from perdure.errors import Internal, NamespaceNotFound, NotFound, ResourceExhausted, ServiceError, Unavailable
from perdure.ids import ChainKey, IdSource, Kind, uuid_text
from perdure.machines.env import Env
from perdure.machines.persistent import EMPTY
from perdure.machines.task_queue import Offered, Task
from perdure.machines.workflow import alarm as alarms
from perdure.machines.workflow import machine, offers
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.effects import Answer, Archive, Effect, Invoke, OfferTask, Send, WithdrawTask
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import (
    AlarmRang,
    Input,
    Stale,
)
from perdure.machines.workflow.machine import Transition
from perdure.machines.workflow.needs import Needs, needs
from perdure.store.api import Store, StoreError

log = logging.getLogger(__name__)

RETRY_ALARM_S = 1.0
"""How soon an alarm whose step was lost rings again, and a run whose draft was lost is looked at."""
RETRY_FAULT_S = 60.0
"""How soon after a fault of ours: often enough to heal, seldom enough to be no load."""
STARTS_RESERVED_MAX = 32
"""Starts that may ride on one write: a batch holds the whole of it (`BATCH_WRITES_MAX`)."""


@final
class StepMember(Member):
    """One step (and the starts reserved with it) on its way through a commit."""

    __slots__ = ("deliveries", "engine", "entity", "followers", "generation", "letter", "transitions")

    def __init__(self, engine: Engine, entity: Entity, letter: Letter[Input], transition: Transition) -> None:
        super().__init__([])
        self.engine = engine
        self.entity = entity
        self.letter = letter
        self.generation = entity.generation
        self.transitions: list[Transition] = [transition]
        self.deliveries: list[tuple[Reservation, Task, object]] = []
        self.followers: list[tuple[Letter[Input], object, list[Effect]]] = []
        """Outcomes of volatile steps and reads that came after this step: they become visible with it."""

    def stale(self) -> bool:
        return self.generation != self.entity.generation

    def release(self) -> None:
        """Give the reserved pollers back."""
        for reservation, _, _ in self.deliveries:
            reservation.release()

    def committed(self) -> None:
        self.engine._committed(self)

    def lost(self, ambiguous: bool) -> None:
        self.engine._lost(self)


@final
class Engine:
    """Runs the chains of one owner on one event loop."""

    def __init__(
        self,
        store: Store,
        matching: Dispatch,
        namespaces: Namespaces,
        outside: Outside,
        clock: Clock,
        ids: IdSource,
        cache_bytes_max: int,
    ) -> None:
        self._store = store
        self._matching = matching
        self._namespaces = namespaces
        self._clock = clock
        self._ids = ids
        self._cache = Cache(cache_bytes_max, self._release_tails)
        self._committer = Committer(store, self._fence_lost)
        self._alarms = Alarms(store, clock, self._rang)
        self.histories = Histories(store)
        self.waiters = Waiters()
        self.watchers = Watchers(self.submit)
        self._long_step = asyncio.Lock()
        """Held by the one chain whose step is made in pieces."""
        self._delivery = Delivery(self.submit, self.histories, self._spawn)
        self.callbacks = Callbacks(self.submit, self.histories, outside, self._spawn)
        self.archiving = Archiving(self.submit, self.histories, namespaces, self._spawn)
        self.entities = Entities(store, self._committer, self._alarms, namespaces, clock, ids, self._spawn)
        """The kinds that are one row each."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False

    # -- life --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take ownership and begin to ring alarms; what was owed before a crash is offered again."""
        await self._committer.acquire()
        self._open = True
        self._spawn(self._committer.run())
        await self._alarms.open(lambda: self._committer.fence)
        self._spawn(self._alarms.run())

    async def close(self) -> None:
        """Refuse new inputs, finish what is queued as long as the store takes it, stop."""
        self._open = False
        self._alarms.close()
        self.entities.close("server is shutting down")
        self.callbacks.close()
        await self._committer.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.waiters.fail(Unavailable("server is shutting down"))

    @property
    def committer(self) -> Committer:
        """For figures only."""
        return self._committer

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.get_running_loop().create_task(coroutine))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("an engine task ended", exc_info=task.exception())

    def _fence_lost(self) -> None:
        """Another owner answers from now on: who waits here is sent there."""
        self._open = False
        self._alarms.close()
        self.entities.close("another owner has taken over")
        self.waiters.fail(Unavailable("another owner has taken over"))
        self.watchers.wake_all()

    # -- the door ----------------------------------------------------------------------------------------------------

    async def submit(self, key: ChainKey, fact: object) -> object:
        """Run one input of a chain of any kind; the outcome comes after its commit.

        Raises `ServiceError`, also when the outcome is one.
        """
        if not self._open:
            raise Unavailable("server is shutting down")
        if self._committer.waiting > QUEUE_MEMBERS_MAX:
            raise ResourceExhausted("too many writes are waiting", enums.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED, 2)
        if key.kind != Kind.WORKFLOW:
            return await self.entities.submit(key, fact)
        assert isinstance(fact, Input)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        entity = self._cache.get(key.digest)
        if entity is None:
            entity = Entity(key.digest, key, rows.empty_state())
            self._cache.put(entity)
        elif entity.key is None:
            # Made by an alarm, which knows no names.
            entity.key = key
        if len(entity.mailbox) >= MAILBOX_MAX:
            raise ResourceExhausted("too many requests for one workflow", enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW)
        if entity.mailbox:
            entity.waiting_bytes += mail.admitted(entity.waiting_bytes, fact, "workflow")
        entity.mailbox.append(Letter(fact, future))
        if not entity.busy:
            self._drain(entity)
        return await future

    # -- steps -------------------------------------------------------------------------------------------------------

    def _drain(self, entity: Entity) -> None:
        """Run what is in the mailbox until something must be read from the store first."""
        while entity.mailbox:
            if not entity.loaded and entity.in_flight:
                # What is on its way may yet change the rows: the last of it goes on here.
                return
            letter = entity.mailbox[0]
            if not entity.loaded or self._lacks_run(entity, letter.fact):
                if self._fetch(entity, None):
                    continue
                return
            missing = needs(entity.state, letter.fact, self._clock.now_ns())
            if missing is not None:
                if missing.history and entity.in_flight:
                    # Only what has committed can be read: the last of it goes on here.
                    return
                if self._fetch(entity, missing):
                    continue
                return
            entity.mailbox.popleft()
            self._step(entity, letter)
            if entity.busy:
                return
        entity.waiting_bytes = 0
        self._settle(entity)

    def _lacks_run(self, entity: Entity, fact: Input) -> bool:
        chain = entity.state.chain
        if chain is None:
            return False
        wanted = fact.run_id or chain.current_run_id
        return bool(wanted) and wanted not in entity.state.runs and wanted not in entity.missing

    def _fetch(self, entity: Entity, missing: Needs | None) -> bool:
        """Read what the next step lacks. True when that is done; else the mailbox goes on once it is."""
        entity.busy = True
        task = start_now(asyncio.get_running_loop(), self._read(entity, missing))
        if task is None:
            return True
        self._keep(task)
        task.add_done_callback(lambda read: None if read.cancelled() else self._drain(entity))
        return False

    async def _read(self, entity: Entity, missing: Needs | None) -> None:
        try:
            if missing is None:
                await load(self._store, entity, entity.mailbox[0].fact)
            else:
                await look_up(self._store, self.histories, entity, missing)
        except (StoreError, Unavailable) as error:
            log.warning("a chain could not be read: %s", error)
            letter = entity.mailbox.popleft()
            letter.resolve(Unavailable("the store cannot be read now"))
            self._retry_alarm(entity, letter, RETRY_ALARM_S)
        except Exception:
            log.exception("a chain could not be loaded")
            letter = entity.mailbox.popleft()
            letter.resolve(Internal("a chain could not be loaded"))
            self._retry_alarm(entity, letter, RETRY_FAULT_S)
        finally:
            entity.busy = False

    def _step(self, entity: Entity, letter: Letter[Input]) -> None:
        """One step on the newest draft."""
        key = entity.key
        if key is None:
            # An alarm of a chain that is gone.
            letter.resolve(NotFound("workflow not found"))
            return
        namespace = self._namespaces.view(key.namespace_id)
        if namespace is None:
            letter.resolve(NamespaceNotFound(key.namespace_id))
            self._retry_alarm(entity, letter, RETRY_FAULT_S)
            return
        env = Env(self._clock.now_ns(), self._ids, namespace)
        state = entity.state
        if state.histories:
            # They are for this step alone: whatever comes of it, they are not kept.
            entity.state = ChainState(state.chain, state.runs, state.start_requests, state.start_events)
        if machine.is_long(entity.state, letter.fact, env.now):
            entity.busy = True
            self._spawn(self._step_by_turns(entity, letter, key, env))
            return
        try:
            transition = machine.step(key, state, letter.fact, env)
        except ServiceError as error:
            self._follow(entity, letter, error, [])
            return
        except Exception:
            log.exception("a step failed: %s", type(letter.fact).__name__)
            self._faulty(entity, letter)
            return
        self._take(entity, letter, key, env, transition)

    async def _step_by_turns(self, entity: Entity, letter: Letter[Input], key: ChainKey, env: Env) -> None:
        """One step in pieces, then on with the mailbox; the chain is busy until then."""
        state = entity.state
        try:
            async with self._long_step:
                pieces = machine.pieces(key, state, letter.fact, env)
                transition = await by_turns(pieces, lambda: entity.state is state)
            entity.busy = False
            if transition is not None:
                self._take(entity, letter, key, env, transition)
            else:
                entity.mailbox.appendleft(letter)
        except ServiceError as error:
            entity.busy = False
            self._follow(entity, letter, error, [])
        except Exception:
            log.exception("a step failed: %s", type(letter.fact).__name__)
            entity.busy = False
            self._faulty(entity, letter)
        except asyncio.CancelledError:
            letter.resolve(Unavailable("server is shutting down"))
            raise
        self._drain(entity)

    def _take(self, entity: Entity, letter: Letter[Input], key: ChainKey, env: Env, transition: Transition) -> None:
        """What a step has made is the chain's newest draft, and on its way into the store."""
        entity.state = transition.state
        if isinstance(letter.fact, AlarmRang):
            for delta in transition.deltas:
                if delta.reclaim:
                    entity.leave_out(delta.execution.info.run_id)
        if not transition.stored:
            self._volatile(entity, letter, transition)
            return
        member = StepMember(self, entity, letter, transition)
        try:
            self._reserve(entity, key, env, member)
            types = env.namespace.search_attributes
            member.writes = [rows.chain_write(key, each, types) for each in member.transitions]
        except Exception:
            log.exception("a step could not be written: %s", type(letter.fact).__name__)
            member.release()
            self._faulty(entity, letter)
            return
        entity.last = member
        entity.in_flight += 1
        self._committer.enqueue(member)

    def _settle(self, entity: Entity) -> None:
        """The chain may have come to rest: what it need not hold in memory goes."""
        if not entity.pinned:
            for branch in entity.rest():
                entity.branches = tuple([one for one in entity.branches if one != branch])
                entity.tail_bytes -= self.histories.forget(branch)
            self._cache.settle(entity)

    def _release_tails(self, entity: Entity) -> None:
        for branch in entity.branches:
            entity.tail_bytes -= self.histories.forget(branch)
        entity.branches = ()

    def _volatile(self, entity: Entity, letter: Letter[Input], transition: Transition) -> None:
        """Nothing to store: the outcome is visible once everything before it is."""
        self._follow(entity, letter, transition.outcome, transition.effects)
        for delta in transition.deltas:
            self._set_alarm(entity, delta.execution)

    def _follow(self, entity: Entity, letter: Letter[Input], outcome: object, effects: list[Effect]) -> None:
        member = entity.last
        if isinstance(member, StepMember):
            member.followers.append((letter, outcome, effects))
            return
        letter.resolve(outcome)
        self._deliver(effects)

    def _reserve(self, entity: Entity, key: ChainKey, env: Env, member: StepMember) -> None:
        """Start the tasks of this step that a waiting poller can take, as further steps of the same write."""
        first = member.transitions[0]
        left: list[Effect] = []
        for effect in first.effects:
            reservation = (
                self._matching.reserve(effect.task)
                if isinstance(effect, OfferTask) and len(member.transitions) <= STARTS_RESERVED_MAX
                else None
            )
            if reservation is None:
                left.append(effect)
                continue
            assert isinstance(effect, OfferTask)
            fact = offers.start_of(effect.task, env.request_id(), reservation.identity, reservation.worker_version)
            try:
                transition = machine.step(key, entity.state, fact, env)
            except Exception:
                reservation.release()
                raise
            if isinstance(transition.outcome, Stale) or not transition.stored:
                reservation.release()
                left.append(effect)
                continue
            entity.state = transition.state
            member.transitions.append(transition)
            member.deliveries.append((reservation, effect.task, transition.outcome))
        first.effects = left

    # -- after the commit --------------------------------------------------------------------------------------------

    def _committed(self, member: StepMember) -> None:
        """The member is durable: now, and only now, the world may see it."""
        entity = member.entity
        entity.in_flight -= 1
        if entity.last is member:
            entity.last = None
        news: list[Execution] = []
        for transition, write in zip(member.transitions, member.writes, strict=True):
            for fragment in write.fragments:
                if fragment.branch_id not in entity.branches:
                    entity.branches = (*entity.branches, fragment.branch_id)
                entity.tail_bytes += self.histories.remember(fragment)
            for delta in transition.deltas:
                self._remember(entity, delta, news)
        for transition in member.transitions[:1]:
            member.letter.resolve(transition.outcome)
        for reservation, task, outcome in member.deliveries:
            if not reservation.deliver(task, outcome):
                log.info("a poller went away between reservation and delivery; the task waits for its timeout")
        for transition in member.transitions:
            self._deliver(transition.effects)
        for letter, outcome, effects in member.followers:
            letter.resolve(outcome)
            self._deliver(effects)
        for execution in news:
            self.watchers.tell(execution)
        self._rest(entity)

    def _rest(self, entity: Entity) -> None:
        """A member of this entity is through: go on with what waited for that."""
        if entity.mailbox and not entity.busy:
            self._drain(entity)
        else:
            self._settle(entity)

    def _remember(self, entity: Entity, delta: machine.RunDelta, news: list[Execution]) -> None:
        """Set the alarm, and note what may be news to somebody."""
        execution = delta.execution
        run_id = execution.info.run_id
        if delta.reclaim:
            self._alarms.clear(entity.digest, run_id)
            self._drop_run(entity, run_id)
            return
        if run_id in self.watchers.of_run:
            news.append(execution)
        self._set_alarm(entity, execution)

    def _drop_run(self, entity: Entity, run_id: str) -> None:
        entity.leave_out(run_id)
        state = entity.state
        if state.chain is not None and not state.chain.run_count:
            entity.state = ChainState(None, state.runs, EMPTY, EMPTY)

    def _set_alarm(self, entity: Entity, execution: Execution) -> None:
        """Alarms follow the newest draft: ringing early is harmless, and the mailbox keeps the order."""
        newest = entity.state.runs.get(execution.info.run_id, execution)
        when = alarms.volatile_alarm(newest)
        if when >= alarms.NEVER:
            self._alarms.clear(entity.digest, execution.info.run_id)
        else:
            self._alarms.set(entity.digest, execution.info.run_id, when, newest.alarm)

    def _deliver(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, OfferTask):
                if self._matching.offer(effect.task) is Offered.STICKY_UNAVAILABLE and effect.fallback is not None:
                    self._matching.offer(effect.fallback)
            elif isinstance(effect, WithdrawTask):
                self._matching.forget(effect.task.key)
            elif isinstance(effect, Send):
                self._delivery.send(effect.call)
            elif isinstance(effect, Invoke):
                self.callbacks.send(effect.call)
            elif isinstance(effect, Archive):
                self.archiving.send(effect.call)
            elif isinstance(effect, Answer):
                self.waiters.answer(effect)

    # -- when things go wrong ----------------------------------------------------------------------------------------

    def _lost(self, member: StepMember) -> None:
        """The write did not happen, or nobody knows: the next step reads the chain again."""
        entity = member.entity
        entity.in_flight -= 1
        if entity.last is member:
            entity.last = None
        error = Unavailable("the outcome of the write is not known; please retry")
        member.release()
        member.letter.resolve(error)
        self._retry_alarm(entity, member.letter, RETRY_ALARM_S)
        for letter, _, _ in member.followers:
            letter.resolve(error)
            self._retry_alarm(entity, letter, RETRY_ALARM_S)
        if not member.stale():
            self._forget(entity)
        self._rest(entity)

    def _faulty(self, entity: Entity, letter: Letter[Input]) -> None:
        """A fault of ours: this request fails, and the entity's drafts go with it."""
        letter.resolve(Internal("a step failed"))
        self._retry_alarm(entity, letter, RETRY_FAULT_S)
        self._forget(entity)

    def _forget(self, entity: Entity) -> None:
        """Drop every draft of the chain; its next step reads the store. Whoever waits is told to come again.

        Alarms followed the drafts: each run is looked at once more, or an obligation that a lost draft had done away
        with would be forgotten. A wait for history may be over: the write may have happened.
        """
        entity.generation += 1
        loop = asyncio.get_running_loop()
        for run_id in entity.state.runs:
            loop.call_later(RETRY_ALARM_S, self._rang, entity.digest, run_id)
            self.watchers.wake(run_id)
        self._deliver(machine.forgotten(entity.state))
        self._release_tails(entity)
        entity.state = rows.empty_state()
        entity.missing = frozenset()
        entity.loaded = False
        entity.last = None

    def _retry_alarm(self, entity: Entity, letter: Letter[Input], delay_s: float) -> None:
        """An alarm whose step came to nothing rings again."""
        if isinstance(letter.fact, AlarmRang):
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, self._rang, entity.digest, letter.fact.run_id)

    # -- alarms ------------------------------------------------------------------------------------------------------

    def _rang(self, digest: bytes, run_id: str) -> None:
        """An alarm's time has come: its step is an input like any other."""
        if not self._open:
            return
        if run_id == uuid_text(digest):
            self.entities.rang(digest)
            return
        entity = self._cache.get(digest)
        if entity is None:
            entity = Entity(digest, None, rows.empty_state())
            self._cache.put(entity)
        entity.mailbox.append(Letter(AlarmRang(run_id), None))
        if not entity.busy:
            self._drain(entity)
