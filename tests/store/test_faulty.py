"""The memory disk that loses what was not synced, torn fragments, and the faults injected on top."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from perdure.clock import SECOND
from perdure.store.api import ChainWrite, CommitFailed, CommitUnknown, StoreError
from perdure.store.faulty import Faults, FaultyStore
from perdure.store.memory import MemoryDisk, MemoryStore
from perdure.testing.virtual_time import run
from tests.store.rows import bodies, event, key, loaded, missing, run_id, start, step

T = TypeVar("T")


def on_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine function; sleeping costs nothing."""
    return run(1, main())


async def test_an_honest_disk_loses_nothing_in_a_crash() -> None:
    """With `synchronous` what was applied is synced."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    await store.open()
    await store.commit(await store.acquire(), [start("a", 1)])
    disk.crash()
    assert (await loaded(store, "a"))[1].core == b"core"


async def test_a_disk_that_does_not_sync_loses_all_but_a_prefix() -> None:
    """Without `synchronous`, a crash keeps what was synced and a prefix of what was not; later syncs build on that."""
    disk = MemoryDisk(synchronous=False)
    store = MemoryStore(disk)
    await store.open()
    fence = await store.acquire()
    await store.commit(fence, [start("a", 1, alarm_ns=5)])
    disk.sync()
    for number in (1, 2, 3):
        await store.commit(fence, [step("a", 1, number, b"core %d" % (number + 1), alarm_ns=number)])
    with pytest.raises(CommitFailed):
        await store.commit(fence, [step("a", 1, 1, b"failed")])
    assert disk.unsynced == 3
    disk.crash(kept=1)
    assert (await loaded(store, "a"))[1].version == 2
    assert [due.alarm_ns for due in await store.due(fence, 0, 100, 10)] == [1]
    await store.commit(fence, [step("a", 1, 2, b"other")])
    disk.crash()
    assert (await loaded(store, "a"))[1].core == b"core 2"
    assert disk.unsynced == 0


async def test_torn_fragments_are_unseen_and_overwritten() -> None:
    """What a failed write left behind shows nowhere, and the write that succeeds replaces it, whatever its bounds."""
    disk = MemoryDisk()
    store = MemoryStore(disk, history_first=True)
    await store.open()
    fence = await store.acquire()
    await store.commit(fence, [start("a", 1)])
    disk.tear([ChainWrite(key("a"), fragments=(event(1, 2, 5, b"torn"), event(1, 5, 6, b"torn too")))])
    disk.tear([ChainWrite(key("a"), fragments=(event(1, 1, 2, b"not this one"),))])
    assert bodies(await store.read_history(run_id(1), 1, 10, 100)) == b"<1>"
    with pytest.raises(CommitFailed):
        await store.commit(fence, [ChainWrite(key("a"), fragments=(event(1, 2, 3), event(1, 1)))])
    assert bodies(await store.read_history(run_id(1), 1, 10, 100)) == b"<1>"
    await store.commit(fence, [ChainWrite(key("a"), fragments=(event(1, 2, 3), event(1, 3, 4)))])
    assert bodies(await store.read_history(run_id(1), 1, 10, 100)) == b"<1><2><3>"
    with pytest.raises(CommitFailed):
        await store.commit(fence, [ChainWrite(key("a"), fragments=(event(1, 2, 3),))])


def test_each_fault_does_to_the_rows_what_its_name_says() -> None:
    """Failed and lost batches are not there, applied and late ones are.

    The fault is definite or ambiguous accordingly.
    """

    async def main() -> None:
        inner = MemoryStore()
        store = FaultyStore(inner, Faults(), 1)
        await store.open()
        fence = await store.acquire()
        for number, (fault, error, there) in enumerate(
            (
                ("fail", CommitFailed, False),
                ("unknown_lost", CommitUnknown, False),
                ("unknown_applied", CommitUnknown, True),
                ("late", CommitUnknown, True),
            )
        ):
            store.faults = Faults(**{fault: 1.0})  # type: ignore[arg-type]
            with pytest.raises(error):
                await store.commit(fence, [start(fault, number)])
            await asyncio.sleep(10)
            assert await missing(store, fault) != there
            assert store.injected[fault] == 1
        store.faults = Faults(read_error=1.0)
        with pytest.raises(StoreError):
            await missing(store, "late")

    on_virtual_time(main)


def test_a_late_batch_is_stopped_by_a_new_epoch() -> None:
    """The owner that takes a new epoch after `CommitUnknown` reads what stays.

    The batch on its way finds the fence gone.
    """

    async def main() -> None:
        store = FaultyStore(MemoryStore(), Faults(late=1.0), 2)
        await store.open()
        fence = await store.acquire()
        with pytest.raises(CommitUnknown):
            await store.commit(fence, [start("a", 1)])
        await store.acquire()
        await asyncio.sleep(10)
        assert await missing(store, "a")
        assert "late_applied" not in store.injected

    on_virtual_time(main)


def test_faults_repeat_with_their_seed_and_take_their_time() -> None:
    """The same seed injects the same faults at the same times.

    Latency passes on the loop's clock, within its bounds.
    """

    async def main() -> list[object]:
        faults = Faults(0.2, 0.2, 0.1, 0.1, latency_min_ns=SECOND, latency_max_ns=3 * SECOND)
        store = FaultyStore(MemoryStore(history_first=True), faults, 7)
        await store.open()
        fence = await store.acquire()
        told: list[object] = []
        for number in range(100):
            before = asyncio.get_running_loop().time()
            try:
                await store.commit(fence, [start(f"w{number}", number)])
            except (CommitFailed, CommitUnknown) as error:
                told.append(str(error))
            told.append(asyncio.get_running_loop().time() - before)
        store.crash()
        assert store.injected["tear"] > 0
        return [told, store.injected]

    first = on_virtual_time(main)
    assert first == on_virtual_time(main)
    times = [time for time in first[0] if isinstance(time, float)]  # type: ignore[attr-defined]
    assert all(1 <= time <= 6 for time in times)
