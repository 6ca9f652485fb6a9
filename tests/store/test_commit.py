"""What `Store.commit` promises, for every backend: versions, order, atomicity, append-only histories, deletions."""

from __future__ import annotations

import pytest

from perdure.ids import Kind
from perdure.store.api import (
    BATCH_WRITES_MAX,
    KEYED,
    ChainPut,
    ChainWrite,
    CommitFailed,
    Fence,
    Fragment,
    PartPut,
    Reclaim,
    RunPut,
)
from perdure.store.limits import FRAGMENTS_RECLAIMED_MAX
from tests.store.conftest import Medium
from tests.store.rows import bodies, event, key, loaded, missing, part, record, run_id, start, step


async def test_first_write_inserts_chain_and_run_with_version_one(medium: Medium) -> None:
    """Expected version 0 inserts; the row gets version 1."""
    async with medium.opened() as (store, fence):
        await store.commit(fence, [start("a", 1, alarm_ns=7)])
        chain, run = await loaded(store, "a")
        assert (chain.version, chain.current_run_id, chain.core) == (1, run_id(1), b"chain")
        assert (run.run_id, run.version, run.core, run.alarm_ns, run.parts) == (run_id(1), 1, b"core", 7, [])


async def test_matching_version_replaces_the_row_and_gets_the_next(medium: Medium) -> None:
    """The row must have the expected version, and gets the next."""
    async with medium.opened() as (store, fence):
        await store.commit(fence, [start("a", 1)])
        write = ChainWrite(key("a"), ChainPut(1, run_id(2), b"chain 2"), (RunPut(run_id(2), 0, b"new", None, True),))
        await store.commit(fence, [write])
        await store.commit(fence, [step("a", 2, 1, b"newer")])
        chain, run = await loaded(store, "a")
        assert (chain.version, chain.current_run_id, chain.core) == (2, run_id(2), b"chain 2")
        assert (run.version, run.core) == (2, b"newer")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(start("a", 2), id="chain exists"),
        pytest.param(ChainWrite(key("a"), ChainPut(2, run_id(1), b"")), id="chain ahead"),
        pytest.param(ChainWrite(key("b"), ChainPut(1, run_id(1), b"")), id="chain missing"),
        pytest.param(ChainWrite(key("a"), None, (RunPut(run_id(1), 0, b"", None, True),)), id="run exists"),
        pytest.param(step("a", 1, 5, b"", 5), id="run ahead"),
        pytest.param(step("a", 9, 1, b""), id="run missing"),
        pytest.param(step("c", 1, 1, b"", 5), id="run of another chain"),
        pytest.param(step("c", 1, 1, b""), id="run of another chain, same alarm"),
        pytest.param(ChainWrite(key("a"), fragments=(event(1, 1),)), id="fragment exists"),
        pytest.param(ChainWrite(key("a"), fragments=(event(1, 2), event(1, 2))), id="fragment twice"),
    ],
)
async def test_a_member_that_fails_takes_the_whole_batch_with_it(medium: Medium, bad: ChainWrite) -> None:
    """A failed version check or a fragment that exists is `CommitFailed`, and nothing of the batch was applied."""
    async with medium.opened() as (store, fence):
        first = start("a", 1, alarm_ns=7)
        kept = (part(1, 3, b"k", b"v"),)
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, kept, first.fragments)])
        good = start("good", 5, alarm_ns=8)
        rich = ChainWrite(
            key("a"),
            None,
            (RunPut(run_id(1), 1, b"changed", 99, True),),
            (part(1, 3, b"k", None), part(1, 3, b"new", b"v"), part(1, KEYED, b"new", b"v")),
            (event(1, 50),),
            (record("a", 1),),
        )
        swept = ChainWrite(key("gone"), None, reclaim=(Reclaim(run_id(1), (run_id(1),)),), drop_chain=True)
        hopeless = ChainWrite(key("nowhere"), ChainPut(1, run_id(1), b""))
        for batch in ([good, bad], [bad, good], [rich, bad], [good, rich, bad], [swept, hopeless]):
            with pytest.raises(CommitFailed):
                await store.commit(fence, batch)
            chain, run = await loaded(store, "a")
            assert (chain.version, run.version, run.core, run.alarm_ns) == (1, 1, b"core", 7)
            assert run.parts == [(3, b"k", b"v")]
            assert await store.load_parts(run_id(1), KEYED, [b"new"]) == {}
            assert bodies(await store.read_history(run_id(1), 1, 100, 1000)) == b"<1>"
            assert await missing(store, "good")
            assert [due.alarm_ns for due in await store.due(fence, 0, 1000, 10)] == [7]
            assert (await store.list_visibility("namespace", Kind.WORKFLOW, None, 10, b"")).records == []
        await store.commit(fence, [good])
        assert not await missing(store, "good")


async def test_writes_of_one_chain_in_one_batch_are_applied_in_order(medium: Medium) -> None:
    """Two writes to one chain in one batch are both applied, each on the version the one before left."""
    async with medium.opened() as (store, fence):
        first = start("a", 1, alarm_ns=7)
        second = ChainWrite(
            key("a"),
            ChainPut(1, run_id(1), b"chain 2"),
            (RunPut(run_id(1), 1, b"core 2", 9, True),),
            (part(1, 1, b"x", b"1"), part(1, 1, b"y", b"1")),
            (event(1, 2),),
        )
        third = ChainWrite(
            key("a"),
            ChainPut(2, run_id(1), b"chain 3"),
            (RunPut(run_id(1), 2, b"core 3", 1, False),),
            (part(1, 1, b"x", None), part(1, 1, b"y", b"2")),
            (event(1, 3, 5),),
        )
        await store.commit(fence, [first, second, third])
        chain, run = await loaded(store, "a")
        assert (chain.version, chain.core, run.version, run.core, run.alarm_ns) == (3, b"chain 3", 3, b"core 3", 9)
        assert run.parts == [(1, b"y", b"2")]
        assert bodies(await store.read_history(run_id(1), 1, 5, 1000)) == b"<1><2><3>"
        await store.commit(fence, [step("a", 1, 3, b"core 4"), step("a", 1, 4, b"core 5")])
        assert (await loaded(store, "a"))[1].version == 5


async def test_versions_that_do_not_follow_each_other_in_a_batch_fail(medium: Medium) -> None:
    """The second write of a batch must expect what the first leaves, not what was stored."""
    async with medium.opened() as (store, fence):
        await store.commit(fence, [start("a", 1)])
        with pytest.raises(CommitFailed):
            await store.commit(fence, [step("a", 1, 1, b"x"), step("a", 1, 1, b"y")])
        chains = [ChainWrite(key("a"), ChainPut(expected, run_id(1), b"x")) for expected in (1, 3)]
        with pytest.raises(CommitFailed):
            await store.commit(fence, chains)
        chain, run = await loaded(store, "a")
        assert (chain.version, run.version, run.core) == (1, 1, b"core")


async def test_alarm_column_is_left_alone_unless_it_changed(medium: Medium) -> None:
    """A store with an indexed alarm leaves it alone when `alarm_changed` is false; None takes the run out of `due`."""
    async with medium.opened() as (store, fence):
        await store.commit(fence, [start("a", 1, alarm_ns=7)])
        await store.commit(fence, [ChainWrite(key("a"), None, (RunPut(run_id(1), 1, b"x", 5, False),))])
        assert [due.alarm_ns for due in await store.due(fence, 0, 100, 10)] == [7]
        assert (await loaded(store, "a"))[1].alarm_ns == 7
        await store.commit(fence, [ChainWrite(key("a"), None, (RunPut(run_id(1), 2, b"x", None, True),))])
        assert await store.due(fence, 0, 100, 10) == []
        assert (await loaded(store, "a"))[1].alarm_ns is None


async def test_parts_are_inserted_replaced_and_deleted(medium: Medium) -> None:
    """Inserted or replaced, or with body None deleted; deleting what is not there is fine.

    Empty keys and bodies count.
    """
    async with medium.opened() as (store, fence):
        first = start("a", 1)
        parts = (part(1, 2, b"b", b"2b"), part(1, 2, b"", b""), part(1, 1, b"z", b"1z"), part(1, KEYED, b"k", b"keyed"))
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, parts)])
        assert (await loaded(store, "a"))[1].parts == [(1, b"z", b"1z"), (2, b"", b""), (2, b"b", b"2b")]
        changes = (part(1, 2, b"b", b"new"), part(1, 1, b"z", None), part(1, 9, b"absent", None))
        await store.commit(fence, [ChainWrite(key("a"), parts=changes)])
        assert (await loaded(store, "a"))[1].parts == [(2, b"", b""), (2, b"b", b"new")]


async def test_reclaim_removes_a_run_whole_and_leaves_the_rest(medium: Medium) -> None:
    """The run row, its parts, its visibility record and the fragments of the named branches.

    The chain row on demand.
    """
    async with medium.opened() as (store, fence):
        for number, name in ((1, "a"), (2, "b")):
            first = start(name, number, alarm_ns=number)
            parts = (part(number, 1, b"p", b"v"), part(number, KEYED, b"k", b"v"))
            await store.commit(
                fence,
                [ChainWrite(first.key, first.chain, first.runs, parts, first.fragments, (record(name, number),))],
            )
        await store.commit(fence, [ChainWrite(key("a"), reclaim=(Reclaim(run_id(1), (run_id(1),)),))])
        found = await store.load(key("a").digest, None)
        assert found is not None
        assert found[1] is None
        assert await store.load_parts(run_id(1), KEYED, [b"k"]) == {}
        assert await store.read_history(run_id(1), 1, 10, 1000) == []
        await store.commit(fence, [ChainWrite(key("a"), drop_chain=True)])
        assert await missing(store, "a")
        assert [due.run_id for due in await store.due(fence, 0, 100, 10)] == [run_id(2)]
        assert (await loaded(store, "b"))[1].parts == [(1, b"p", b"v")]
        assert bodies(await store.read_history(run_id(2), 1, 10, 1000)) == b"<1>"
        assert (await store.list_visibility("namespace", Kind.WORKFLOW, None, 10, b"")).records == [record("b", 2)]


async def test_a_long_history_goes_piece_by_piece_while_its_run_stays(medium: Medium) -> None:
    """A reclaim that is not whole deletes fragments only, the oldest first."""
    async with medium.opened() as (store, fence):
        many = 2 * FRAGMENTS_RECLAIMED_MAX + 3
        first = start("a", 1, alarm_ns=7)
        fragments = tuple(event(1, number, body=b"x") for number in range(1, many + 1))
        shown = (record("a", 1),)
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, (), fragments, shown)])
        piece = ChainWrite(key("a"), reclaim=(Reclaim(run_id(1), (run_id(1),), whole=False),))
        await store.commit(fence, [piece])
        await store.commit(fence, [piece])
        left = await store.read_history(run_id(1), 1, many + 1, 10_000)
        assert [fragment.first_event_id for fragment in left] == [many - 2, many - 1, many]
        assert (await loaded(store, "a"))[1].version == 1
        assert [due.run_id for due in await store.due(fence, 0, 100, 10)] == [run_id(1)]
        assert (await store.list_visibility("namespace", Kind.WORKFLOW, None, 10, b"")).records == [record("a", 1)]


async def test_reclaim_deletes_a_bounded_number_of_fragments_oldest_first(medium: Medium) -> None:
    """Work is bounded; what is left over is the end of the history."""
    async with medium.opened() as (store, fence):
        many = FRAGMENTS_RECLAIMED_MAX + 3
        first = start("a", 1)
        fragments = tuple(event(1, number, body=b"x") for number in range(1, many + 1))
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, (), fragments)])
        await store.commit(fence, [ChainWrite(key("a"), reclaim=(Reclaim(run_id(1), (run_id(1),)),), drop_chain=True)])
        left = await store.read_history(run_id(1), 1, many + 1, 10_000)
        assert [fragment.first_event_id for fragment in left] == [many - 2, many - 1, many]


async def test_a_chain_dropped_and_made_anew_in_one_batch_is_the_new_one(medium: Medium) -> None:
    """Writes take effect in the order given, deletions too."""
    async with medium.opened() as (store, fence):
        await store.commit(fence, [start("a", 1, alarm_ns=1)])
        drop = ChainWrite(key("a"), reclaim=(Reclaim(run_id(1), (run_id(1),)),), drop_chain=True)
        await store.commit(fence, [step("a", 1, 1, b"last"), drop, start("a", 2, alarm_ns=2), step("a", 2, 1, b"new")])
        chain, run = await loaded(store, "a")
        assert (chain.version, chain.current_run_id, run.version, run.core) == (1, run_id(2), 2, b"new")
        assert [due.run_id for due in await store.due(fence, 0, 10, 10)] == [run_id(2)]
        again = ChainWrite(key("a"), reclaim=(Reclaim(run_id(2), (run_id(2),)),), drop_chain=True)
        await store.commit(fence, [again, start("a", 2, alarm_ns=3)])
        assert (await loaded(store, "a"))[1].alarm_ns == 3


async def test_a_dropped_chain_takes_its_own_parts_along(medium: Medium) -> None:
    """Request ids of a chain's runs are kept under the chain's digest: nothing of them stays, in one batch or two."""
    async with medium.opened() as (store, fence):
        digest = key("a").digest
        remembered = PartPut(digest, KEYED, b"request", run_id(1))
        drop = ChainWrite(key("a"), reclaim=(Reclaim(run_id(1), (run_id(1),)),), drop_chain=True)
        for batches in (1, 2):
            first = start("a", 1)
            writes = [ChainWrite(first.key, first.chain, first.runs, (remembered,), first.fragments), drop]
            for batch in [writes] if batches == 1 else [[write] for write in writes]:
                await store.commit(fence, batch)
            assert await store.load_parts(digest, KEYED, [b"request"]) == {}
            assert await missing(store, "a")
        again = start("a", 2)
        await store.commit(fence, [ChainWrite(again.key, again.chain, again.runs, (remembered,), again.fragments)])
        assert await store.load_parts(digest, KEYED, [b"request"]) == {b"request": run_id(1)}


async def test_a_stale_visibility_record_does_not_replace_a_newer_one(medium: Medium) -> None:
    """Of two records of a run the one with the higher version stays (semantics 15.1)."""
    async with medium.opened() as (store, fence):
        first = start("a", 1)
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, visibility=(record("a", 1, 3),))])
        await store.commit(fence, [ChainWrite(key("a"), visibility=(record("a", 1, 2, status=2, close_time=9_000),))])
        (shown,) = (await store.list_visibility("namespace", Kind.WORKFLOW, None, 10, b"")).records
        assert (shown.version, shown.status) == (3, 1)
        await store.commit(fence, [ChainWrite(key("a"), visibility=(record("a", 1, 4, status=2, close_time=9_000),))])
        (shown,) = (await store.list_visibility("namespace", Kind.WORKFLOW, None, 10, b"")).records
        assert shown == record("a", 1, 4, status=2, close_time=9_000)


async def test_an_empty_batch_checks_the_fence_only(medium: Medium) -> None:
    """No writes are a valid batch."""
    async with medium.opened() as (store, fence):
        await store.commit(fence, [])


async def test_a_slot_outside_the_fence_is_a_fault_of_ours(medium: Medium) -> None:
    """Each slot is asserted to lie inside the fence, and a batch to hold no more than its bound; nothing is written."""
    async with medium.opened() as (store, fence):
        slot = key("a").slot
        narrow = Fence(fence.epoch, slot + 1, fence.last_slot)
        with pytest.raises(AssertionError):
            await store.commit(narrow, [start("a", 1)])
        assert await missing(store, "a")
        with pytest.raises(AssertionError):
            await store.commit(fence, [start(f"w{number}", number) for number in range(BATCH_WRITES_MAX + 1)])
        await store.commit(fence, [start(f"w{number}", number) for number in range(BATCH_WRITES_MAX)])


async def test_bodies_of_any_size_and_bytes_come_back_unchanged(medium: Medium) -> None:
    """A store knows rows and bytes: nothing is decoded, trimmed or limited below a few megabytes."""
    async with medium.opened() as (store, fence):
        body = bytes(range(256)) * 8192
        big = ChainWrite(
            key("a"),
            ChainPut(0, run_id(1), body),
            (RunPut(run_id(1), 0, body, -5, True),),
            (part(1, 1, bytes(range(256)), body),),
            (Fragment(run_id(1), 1, 2, body),),
        )
        await store.commit(fence, [big])
        chain, run = await loaded(store, "a")
        assert (chain.core, run.core, run.alarm_ns) == (body, body, -5)
        assert run.parts == [(1, bytes(range(256)), body)]
        assert bodies(await store.read_history(run_id(1), 1, 2, 1)) == body
