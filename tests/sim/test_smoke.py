"""A healthy server under virtual time: long timers, everything at once, the same seed the same run."""

from __future__ import annotations

import asyncio
import time

from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.testing.worker import Worker
from tests.sim.load import PROGRAMS, Story, activities, judge
from tests.sim.scenario import KINDS
from tests.sim.world import World


async def _healthy(kinds: list[str], cache_bytes_max: int = 1 << 28, faults: Faults | None = None) -> World:
    world = World(faults, cache_bytes_max)
    await world.boot()
    work = asyncio.create_task(Worker(world.client, "w", PROGRAMS, activities()).run())
    stories = [Story(world, f"{kind}-{number}", kind) for number, kind in enumerate(kinds)]
    async with asyncio.timeout(600.0):
        await asyncio.gather(*[story.tell() for story in stories])
    judge(stories)
    world.check()
    work.cancel()
    await world.close()
    return world


async def _month() -> World:
    """Client and worker are away while the timer runs: what is measured is the server."""
    world = World()
    await world.boot()
    story = Story(world, "month-0", "month")
    work = asyncio.create_task(Worker(world.client, "w", PROGRAMS, activities()).run())
    await story.start()
    await asyncio.sleep(60.0)
    work.cancel()
    await asyncio.sleep(30 * 86_400.0 - 120.0)
    work = asyncio.create_task(Worker(world.client, "w", PROGRAMS, activities()).run())
    await story.finish()
    judge([story])
    work.cancel()
    await world.close()
    return world


def test_thirty_days_pass_in_no_time() -> None:
    """A workflow with a 30-day timer ends in well under a second of real time."""
    before = time.perf_counter()
    world = virtual_time.run(1, _month())
    assert time.perf_counter() - before < 1.0
    assert world.loop.time() >= 30 * 86_400.0


def test_a_healthy_server_keeps_every_promise() -> None:
    """All kinds of workflows beside each other, without any fault."""
    virtual_time.run(2, _healthy([*KINDS, "quick"] * 2))
