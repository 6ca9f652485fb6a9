"""The runner of entities of one row, through the production engine under virtual time, with a till for a machine.

A till takes sums of money, owes a receipt for each to the outside, and is closed by its alarm. Nothing acknowledged may
be lost, no sum may count twice, every receipt must go out, and none for a sum that the till does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Final, final

import msgspec
import pytest

from perdure.api import enums
from perdure.app import Server
from perdure.clock import SECOND
from perdure.cluster.namespaces import NamespaceRegistry
from perdure.errors import AlreadyExists, NotFound, ResourceExhausted, ServiceError, Unavailable
from perdure.ids import ChainKey, Kind
from perdure.machines.entity import AlarmRang, Listing, Step
from perdure.machines.env import Env
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from tests.sim.scenario import swarm
from tests.sim.world import SYNCED, World, quiet

OPEN_NS: Final = 60 * SECOND


@final
class Till:
    def __init__(self, closes: int, sums: dict[str, int], receipts: frozenset[str], closed: bool = False) -> None:
        self.closes = closes
        self.sums = sums
        self.receipts = receipts
        self.closed = closed


@final
class Receipt:
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def key(self) -> Hashable:
        return self.name


@final
class Open:
    """Make the till."""


@final
class Pay:
    def __init__(self, name: str, amount: int) -> None:
        self.name = name
        self.amount = amount


@final
class ReceiptPrinted:
    def __init__(self, name: str) -> None:
        self.name = name


@final
class Remove:
    """Delete the till."""


@final
class TillMachine:
    kind = Kind.PROBE

    def step(self, key: ChainKey, before: Till | None, fact: object, env: Env) -> Step[Till]:
        if isinstance(fact, Open):
            if before is not None:
                raise AlreadyExists("open already")
            return Step(Till(env.now + OPEN_NS, {}, frozenset()), "open")
        if before is None:
            raise NotFound("no till")
        if isinstance(fact, Pay):
            if fact.name in before.sums:
                return Step(before, sum(before.sums.values()))
            sums = {**before.sums, fact.name: fact.amount}
            return Step(Till(before.closes, sums, before.receipts | {fact.name}, before.closed), sum(sums.values()))
        if isinstance(fact, ReceiptPrinted):
            return Step(Till(before.closes, before.sums, before.receipts - {fact.name}, before.closed))
        if isinstance(fact, AlarmRang):
            if before.closed or env.now < before.closes:
                return Step(before)
            return Step(Till(before.closes, before.sums, before.receipts, True))
        assert isinstance(fact, Remove)
        return Step(None, NotFound("it is gone now"))

    def alarm(self, state: Till) -> int:
        return 0 if state.closed else state.closes

    def owed(self, state: Till) -> Sequence[Receipt]:
        return [Receipt(name) for name in sorted(state.receipts)]

    def encode(self, state: Till) -> bytes:
        return msgspec.msgpack.encode((state.closes, state.sums, sorted(state.receipts), state.closed))

    def decode(self, body: bytes) -> Till:
        closes, sums, receipts, closed = msgspec.msgpack.decode(body)
        return Till(closes, sums, frozenset(receipts), closed)

    def listing(self, state: Till) -> Listing | None:
        status = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED if state.closed else enums.WORKFLOW_EXECUTION_STATUS_RUNNING
        return Listing(status, state.closes - OPEN_NS, state.closes if state.closed else None, "till")


@final
class Printer:
    """The world outside: it outlives the servers, and every second receipt fails at first."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.asked = 0

    async def perform(self, key: ChainKey, effect: Receipt) -> object:
        await asyncio.sleep(0.01)
        self.asked += 1
        if self.asked % 2:
            raise Unavailable("out of paper")
        self.printed.append(effect.name)
        return ReceiptPrinted(effect.name)


def _world(printer: Printer, faults: Faults | None = None, disk: str = "safe") -> World:
    def prepare(server: Server) -> None:
        server.engine.entities.register(TillMachine(), printer.perform)

    return World(faults, disk=disk, prepare=prepare)


def _key(world: World, name: str = "till") -> ChainKey:
    registry: NamespaceRegistry = world.server.namespaces
    return ChainKey(registry.by_name("default").id, Kind.PROBE, name)


async def _sure(world: World, fact: object, name: str = "till") -> object:
    """What a patient caller does; a server that is down or was killed meanwhile is asked again."""
    while True:
        if world.up:
            server = world.server
            try:
                async with asyncio.timeout(5.0):
                    return await server.engine.submit(_key(world, name), fact)
            except (Unavailable, ResourceExhausted, TimeoutError):
                pass
            except AlreadyExists:
                return "open"
        await asyncio.sleep(0.1)


async def _till(world: World) -> Till:
    state = await world.server.engine.entities.read(_key(world))
    assert isinstance(state, Till)
    return state


def test_a_step_is_answered_after_its_commit_and_outlives_the_process() -> None:
    """Also the time of the alarm does."""

    async def scenario() -> None:
        world = _world(Printer(), disk=SYNCED)
        await world.boot()
        engine = world.server.engine
        assert await engine.submit(_key(world), Open()) == "open"
        assert await engine.submit(_key(world), Pay("a", 3)) == 3
        world.kill(machine=True)
        await world.boot()
        assert (await _till(world)).sums == {"a": 3}
        await asyncio.sleep(OPEN_NS / SECOND + 1)
        assert (await _till(world)).closed
        await world.close()

    virtual_time.run(1, scenario())


def test_a_refusal_changes_nothing_and_an_error_outcome_may_change_all() -> None:
    """A deleted entity is gone with its row, and its name is free."""

    async def scenario() -> None:
        world = _world(Printer())
        await world.boot()
        engine = world.server.engine
        with pytest.raises(NotFound, match="no till"):
            await engine.submit(_key(world), Pay("a", 1))
        await engine.submit(_key(world), Open())
        with pytest.raises(AlreadyExists):
            await engine.submit(_key(world), Open())
        with pytest.raises(NotFound, match="gone now"):
            await engine.submit(_key(world), Remove())
        assert await engine.entities.read(_key(world)) is None
        assert await world.server.store.load(_key(world).digest, _key(world).digest) is None
        assert await engine.submit(_key(world), Open()) == "open"
        await world.close()

    virtual_time.run(2, scenario())


def test_who_waits_is_woken_by_the_commit_that_matters_or_by_the_end() -> None:
    """Three ends of a wait: the predicate holds, the time is up, the entity is gone."""

    async def scenario() -> None:
        world = _world(Printer())
        await world.boot()
        entities = world.server.engine.entities
        key = _key(world)
        await entities.submit(key, Open())
        rich = asyncio.create_task(entities.wait(key, lambda till: sum(till.sums.values()) >= 5, 30.0))
        never = asyncio.create_task(entities.wait(key, lambda till: False, 2.0))
        last = asyncio.create_task(entities.wait(key, lambda till: False, 50.0))
        await asyncio.sleep(0.1)
        await entities.submit(key, Pay("a", 2))
        assert not rich.done()
        await entities.submit(key, Pay("b", 3))
        assert (await rich).sums == {"a": 2, "b": 3}
        assert (await never).sums == {"a": 2, "b": 3}
        with pytest.raises(NotFound):
            await entities.submit(key, Remove())
        assert await last is None
        await world.close()

    virtual_time.run(3, scenario())


def test_an_alarm_that_moves_nothing_is_no_busy_loop() -> None:
    """A machine that is wrong about its alarm costs a step a minute; the virtual loop would notice more."""

    async def scenario() -> None:
        world = _world(Printer())
        await world.boot()
        await world.server.engine.submit(_key(world), Open())
        world.server.engine.entities._kinds[Kind.PROBE][0].alarm = lambda state: state.closes  # type: ignore[method-assign]
        await asyncio.sleep(3600)
        await world.close()

    virtual_time.run(4, scenario())


@pytest.mark.parametrize("seed", range(20))
def test_under_faults_and_kills_every_sum_counts_once_and_every_receipt_goes_out(seed: int) -> None:
    """Faults of the store, lost processes and machines."""
    quiet()

    async def scenario() -> None:
        printer = Printer()
        world = _world(printer, swarm(0.05), disk=SYNCED)
        await world.boot()
        calm = asyncio.Event()
        crashes = asyncio.create_task(world.crash_now_and_then(0.5, 3.0, True, calm))
        await _sure(world, Open())
        totals = [int(str(await _sure(world, Pay(f"sum-{number}", 1)))) for number in range(40)]
        calm.set()
        await crashes
        world.heal()
        await asyncio.sleep(OPEN_NS / SECOND + 30)
        till = await _till(world)
        assert totals == sorted(totals)
        assert till.sums == {f"sum-{number}": 1 for number in range(40)}, seed
        assert till.closed
        assert not till.receipts
        assert set(printer.printed) == set(till.sums)
        await world.close()

    try:
        virtual_time.run(seed, scenario())
    except ServiceError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
