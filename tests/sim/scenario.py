"""A seeded run of everything: workflows, signals, queries, workers, a store that fails, servers that are killed.

First things go wrong, then they stop, and within minutes everything must have come to its end: an obligation that was
forgotten on the way shows as a story that does not end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, final

from perdure.app import Server
from perdure.clock import MILLISECOND
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.testing.worker import Worker
from tests.sim.audit import Violation
from tests.sim.deed import Deed, Outdoors
from tests.sim.kin import Called, Clockwork, Leaver, Patron, Planned, Strangers, Stubborn
from tests.sim.load import PROGRAMS, Guard, Story, activities, judge
from tests.sim.operators import Court, Crowd, Door, Halted, Removed, Rewritten, Toil
from tests.sim.world import LYING, SAFE, World, quiet

KINDS: Final = ("line", "fan", "beat", "lost", "listen", "again", "doomed", "family", "agree")
DEEDS: Final[tuple[type[Deed], ...]] = (
    Court,
    Door,
    Crowd,
    Rewritten,
    Halted,
    Toil,
    Removed,
    Clockwork,
    Stubborn,
    Called,
    Strangers,
    Patron,
    Leaver,
    Planned,
)
"""Every story of operators and of kin."""
TROUBLE_S: Final = 40.0
"""How long things go wrong."""
CALM_S: Final = 400.0
"""How long what is left may take afterwards: several workflow task timeouts."""
SETTINGS: Final = {
    "callback.allowedAddresses": [{"Pattern": "*", "AllowInsecure": True}],
    "frontend.WorkflowPauseEnabled": True,
}
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
        deeds: int = 0,
        network: float = 0.0,
        successions: bool = False,
        clock_s: float = 0.0,
    ) -> None:
        """`deeds`: stories of operators and of kin, beside the `workflows` of `load.py`. `network`: share of answers
        that are lost, and of requests that come twice. `successions`: living processes lose their place to others.
        `clock_s`: by how much the time of day jumps.
        """
        self.faults = faults
        self.cache_bytes_max = cache_bytes_max
        self.crashes = crashes
        self.machine = machine
        self.disk = disk
        self.history_first = history_first
        self.workflows = workflows
        self.deeds = deeds
        self.network = network
        self.successions = successions
        self.clock_s = clock_s


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


@final
class Theatre:
    """Where operators' stories are told: a world, with what its activities and its outdoors hear."""

    def __init__(self, plan: Plan) -> None:
        self.guard = Guard()
        self.address = "http://outdoors"
        self.steady = not plan.clock_s
        self.alone = not plan.successions
        self.world = World(
            plan.faults, plan.cache_bytes_max, plan.disk, plan.history_first, SETTINGS, prepare=self._prepare
        )
        self.random = self.world.random
        self.outdoors = Outdoors(self.random)
        self.sure = self.world.sure

    def _prepare(self, server: Server) -> None:
        server.engine.callbacks.outside = self.outdoors


async def _simulate(plan: Plan) -> World:
    theatre = Theatre(plan)
    world = theatre.world
    await world.boot()
    loop = world.loop
    world.network.lost = world.network.doubled = plan.network
    scripts = activities(theatre.guard)
    workers = [Worker(world.network, f"w{n}", PROGRAMS, scripts, sticky=n == 0) for n in range(2)]
    background = [loop.create_task(worker.run()) for worker in workers]
    stories: list[Story | Deed] = []
    for number in range(plan.workflows):
        kind = KINDS[world.random.randrange(len(KINDS))]
        stories.append(Story(world, f"{kind}-{number}", kind))
    cast = world.random.sample(DEEDS, len(DEEDS))
    for number in range(plan.deeds):
        deed = cast[number % len(cast)]
        stories.append(deed(theatre, f"{deed.__name__.lower()}-{number}"))
    if plan.deeds:
        world.random.shuffle(stories)
    telling = loop.create_task(_tell(world, stories))
    await _trouble(world, plan, telling)
    theatre.outdoors.bad = False
    try:
        async with asyncio.timeout(CALM_S + 3 * plan.clock_s):
            await telling
    except TimeoutError:
        late = [f"{story.workflow_id} ({len(story.histories)} runs)" for story in stories if not story.done]
        raise Violation(f"B20: not over {CALM_S} s after the last fault: {late}") from None
    judge(stories)
    world.check()
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    await world.close()
    return world


async def _tell(world: World, stories: Sequence[Story | Deed]) -> None:
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
    if plan.successions:
        trouble.append(world.loop.create_task(world.succeed_now_and_then(0.5, 8.0, calm)))
    if plan.clock_s:
        trouble.append(world.loop.create_task(world.set_the_clock_now_and_then(plan.clock_s, calm)))
    if plan.disk == LYING:
        trouble.append(world.loop.create_task(world.sync_now_and_then(calm)))
    await asyncio.wait([telling], timeout=TROUBLE_S)
    calm.set()
    await asyncio.gather(*trouble)
    world.heal()
