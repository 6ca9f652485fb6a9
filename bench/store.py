"""What a store costs: transitions per second and the time of a batch, alone and beside a busy event loop (DESIGN 5).

A transition is what a step writes: a run row with 0.8 KB of core, a fragment of history of 0.4 KB and two small parts;
a run lives for four of them and the first also inserts the chain. The figures are printed beside DESIGN's targets as
ratios. Run it on an otherwise idle machine: `python bench/store.py [--store sqlite|memory|postgresql DSN] [--seconds
3]`. It must not be run inside a test.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import final

from perdure.ids import ChainKey, uuid7, uuid_bytes, uuid_text
from perdure.store.api import ChainPut, ChainWrite, Fence, Fragment, PartPut, RunPut, Store
from perdure.store.memory import MemoryStore
from perdure.store.sqlite import SqliteStore
from perdure.visibility.record import VisibilityRecord

TARGETS = {"sqlite": 8_900.0, "postgresql": 15_000.0}
"""Transitions per second in batches of 50 (DESIGN 5)."""

STEPS = 4
LIVE = 400
CORE = os.urandom(800)
EVENTS = os.urandom(400)
SMALL = os.urandom(60)


@final
class Load:
    """Makes transitions of a few hundred runs that live in turn, each for `STEPS` writes."""

    def __init__(self, visibility: bool = False) -> None:
        self._visibility = visibility
        self._transitions = self._make()
        self._made = 0

    def batch(self, size: int) -> list[ChainWrite]:
        """The next `size` transitions, each of another run."""
        return [next(self._transitions) for _ in range(size)]

    def _make(self) -> Iterator[ChainWrite]:
        while True:
            runs = []
            for _ in range(LIVE):
                self._made += 1
                run_id = uuid_bytes(uuid7(time.time_ns(), int.from_bytes(os.urandom(10), "big")))
                assert run_id is not None
                runs.append((ChainKey("bench", 1, f"order-{self._made}-{os.getpid()}"), run_id))
            for step in range(STEPS):
                for key, run_id in runs:
                    yield _transition(key, run_id, step, self._visibility)


def _transition(key: ChainKey, run_id: bytes, step: int, visibility: bool) -> ChainWrite:
    first = 1 + 3 * step
    shown: tuple[VisibilityRecord, ...] = ()
    if visibility and step in (0, STEPS - 1):
        closed = time.time_ns() if step else None
        status = 2 if step else 1
        shown = (VisibilityRecord("bench", uuid_text(run_id), key.id, "Order", status, 1, 1, closed, "queue"),)
    alarm_ns = time.time_ns() + 10**10 if step < STEPS - 1 else None
    return ChainWrite(
        key,
        ChainPut(0, run_id, SMALL) if step == 0 else None,
        (RunPut(run_id, step, CORE, alarm_ns, step in (0, STEPS - 1)),),
        (PartPut(run_id, 1, b"activity-%d" % step, SMALL), PartPut(run_id, 2, b"memo", SMALL)),
        (Fragment(run_id, first, first + 3, EVENTS),),
        shown,
    )


@final
class Beside:
    """The rest of a server: slices of interpreter work, one a loop turn, counted."""

    def __init__(self) -> None:
        self.slices = 0

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            total = 0
            for number in range(2_000):  # about 0.1 ms
                total += number
            self.slices += 1
            await asyncio.sleep(0)


async def measure(store: Store, fence: Fence, load: Load, size: int, seconds: float, busy: bool) -> list[float]:
    """Seconds of each commit. The next batch is made while one is in flight, as the committer does."""
    beside = Beside()
    neighbour = asyncio.create_task(beside.run()) if busy else None
    times: list[float] = []
    following = load.batch(size)
    begin = time.perf_counter()
    cpu = time.process_time()
    while time.perf_counter() - begin < seconds:
        batch = following
        start = time.perf_counter()
        commit = asyncio.create_task(store.commit(fence, batch))
        await asyncio.sleep(0)
        following = load.batch(size)
        await commit
        times.append(time.perf_counter() - start)
    wall = time.perf_counter() - begin
    cpu = time.process_time() - cpu
    if neighbour is not None:
        neighbour.cancel()
        await asyncio.gather(neighbour, return_exceptions=True)
    await store.commit(fence, following)
    _print(store.traits.name, size, busy, times, wall, cpu, beside.slices)
    return times


def _print(name: str, size: int, busy: bool, times: list[float], wall: float, cpu: float, slices: int) -> None:
    rate = len(times) * size / wall
    target = TARGETS.get(name) if size == 50 else None
    ordered = sorted(times)
    line = (
        f"{name:10} batch {size:3} {'beside a busy loop' if busy else 'alone':18} {rate:9,.0f}/s"
        f"  p50 {statistics.median(times) * 1e3:6.2f} ms  p99 {ordered[int(len(ordered) * 0.99)] * 1e3:6.2f}"
        f"  max {ordered[-1] * 1e3:6.1f}"
    )
    line += f"  neighbour {slices / wall:6,.0f}/s" if busy else f"  cpu {cpu / (len(times) * size) * 1e6:5.0f} us"
    print(line + (f"  {rate / target:5.2f} of target" if target else ""))


def sync_ms(folder: str | None, size: int) -> float:
    """The middle one of 30 syncs of `size` bytes, written over old ones: what the disk alone takes, in milliseconds."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for number in range(31):
            file.seek(0)
            file.write(os.urandom(size))
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            if number:
                times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


async def run(store: Store, seconds: float, visibility: bool = False) -> None:
    """All measurements of one store."""
    await store.open()
    fence = await store.acquire()
    load = Load(visibility)
    for busy in (False, True):
        for size in (1, 50):
            await measure(store, fence, load, size, seconds, busy)
    await store.close()


def main() -> None:
    """Parses the arguments and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("memory", "sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--dsn", default="")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--switch-interval", type=float, default=0.0005)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--visibility", action="store_true", help="the first and the last write of a run show it")
    parser.add_argument("--folder", default=None, help="where the SQLite file goes; on a disk that syncs")
    arguments = parser.parse_args()
    sys.setswitchinterval(arguments.switch_interval)
    alone, batch = sync_ms(arguments.folder, 28 << 10), sync_ms(arguments.folder, 200 << 10)
    print(f"the disk alone: {alone:.2f} ms to sync what 1 transition writes, {batch:.2f} ms for 50")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        store: Store
        if arguments.store == "memory":
            store = MemoryStore()
        elif arguments.store == "sqlite":
            store = SqliteStore(os.path.join(folder, "bench.db"))
        else:
            from perdure.store.postgresql import PostgresStore

            store = PostgresStore(arguments.dsn)
        if arguments.uvloop:
            import uvloop

            uvloop.run(run(store, arguments.seconds, arguments.visibility))
        else:
            asyncio.run(run(store, arguments.seconds, arguments.visibility))


if __name__ == "__main__":
    main()
