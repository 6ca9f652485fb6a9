"""Many alarms at one instant: each rings, in their order, and others have their turn between them."""

from __future__ import annotations

import asyncio

from perdure.clock import SECOND
from perdure.engine.alarms import RINGS_AT_ONCE, Alarms
from perdure.store.memory import MemoryStore
from perdure.testing import virtual_time

MANY = 10 * RINGS_AT_ONCE


def test_a_hundred_thousand_runs_of_one_midnight_do_not_hold_the_loop() -> None:
    """No time passes meanwhile, and not more than some ring in one turn."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        store = MemoryStore()
        await store.open()
        fence = await store.acquire()
        rung: list[tuple[int, float, str]] = []
        alarms = Alarms(store, loop, lambda _, run_id: rung.append((loop.steps, loop.time(), run_id)))
        await alarms.open(lambda: fence)
        due = loop.now_ns() + SECOND
        for number in range(MANY):
            alarms.set(b"%016d" % number, f"run {number:05}", due, 0)
        await asyncio.sleep(2)
        assert [run_id for _, _, run_id in rung] == [f"run {number:05}" for number in range(MANY)]
        assert {when for _, when, _ in rung} == {1.0}
        turns = [turn for turn, _, _ in rung]
        assert max(turns.count(turn) for turn in set(turns)) == RINGS_AT_ONCE
        assert not len(alarms)

    virtual_time.run(1, main())
