"""A seeded run of everything: workflows, signals, queries, workers, a store that fails, servers that are killed.

First things go wrong, then they stop, and within minutes everything must have come to its end: an obligation that was
forgotten on the way shows as a story that does not end.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

from perdure.clock import MILLISECOND
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.testing.worker import Worker
from tests.sim.audit import Violation
from tests.sim.gate import audit_rows
from tests.sim.load import PROGRAMS, Story, activities, judge
from tests.sim.world import LYING, SAFE, World, quiet

KINDS: Final = ("line", "fan", "beat", "lost", "listen", "again", "doomed", "family", "agree")
TROUBLE_S: Final = 40.0
"""How long things go wrong."""
CALM_S: Final = 400.0
"""How long what is left may take afterwards: several workflow task timeouts."""
SMALL_CACHE: Final = 1
"""Everything that rests is evicted at once."""


@final
class Plan:
    """What goes wrong."""

    def __init__(
        self,
        faults: Faults | None = None,
        cache_bytes_max: int = 1 << 28,
        crashes: bool = False,
        machine: bool = False,
        disk: str = SAFE,
        history_first: bool = False,
        workflows: int = 10,
    ) -> None:
        self.faults = faults
        self.cache_bytes_max = cache_bytes_max
        self.crashes = crashes
        self.machine = machine
        self.disk = disk
        self.history_first = history_first
        self.workflows = workflows


def swarm(share: float, latency_ms: int = 20) -> Faults:
    """All the faults of a store, each with this share of the calls."""
    return Faults(
        fail=share,
        unknown_applied=share,
        unknown_lost=share,
        late=share,
        read_error=share,
        latency_max_ns=latency_ms * MILLISECOND,
    )


def simulate(seed: int, plan: Plan) -> World:
    """The world after the run, its promises judged. Raises Violation."""
    quiet()
    return virtual_time.run(seed, _simulate(plan))


async def _simulate(plan: Plan) -> World:
    world = World(plan.faults, plan.cache_bytes_max, plan.disk, plan.history_first)
    await world.boot()
    loop = world.loop
    scripts = activities()
    workers = [Worker(world.client, f"w{n}", PROGRAMS, scripts, sticky=n == 0) for n in range(2)]
    background = [loop.create_task(worker.run()) for worker in workers]
    stories = []
    for number in range(plan.workflows):
        kind = KINDS[world.random.randrange(len(KINDS))]
        stories.append(Story(world, f"{kind}-{number}", kind))
    telling = loop.create_task(_tell(world, stories))
    await _trouble(world, plan, telling)
    try:
        async with asyncio.timeout(CALM_S):
            await telling
    except TimeoutError:
        late = [f"{story.workflow_id} ({len(story.histories)} runs)" for story in stories if not story.result]
        raise Violation(f"B20: not over {CALM_S} s after the last fault: {late}") from None
    judge(stories)
    await audit_rows(world.disk)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    await world.close()
    return world


async def _tell(world: World, stories: list[Story]) -> None:
    tasks = []
    for story in stories:
        await asyncio.sleep(world.random.uniform(0.0, 2.0))
        tasks.append(world.loop.create_task(story.tell()))
    await asyncio.gather(*tasks)


async def _trouble(world: World, plan: Plan, telling: asyncio.Future[None]) -> None:
    calm = asyncio.Event()
    trouble: list[asyncio.Task[None]] = []
    if plan.crashes:
        trouble.append(world.loop.create_task(world.crash_now_and_then(0.5, 8.0, plan.machine, calm)))
    if plan.disk == LYING:
        trouble.append(world.loop.create_task(world.sync_now_and_then(calm)))
    await asyncio.wait([telling], timeout=TROUBLE_S)
    calm.set()
    await asyncio.gather(*trouble)
    world.heal()
