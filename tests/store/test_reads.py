"""What the reads of a store promise, for every backend.

Loads, parts by key, history pages, alarms, records, visibility.
"""

from __future__ import annotations

import pytest

from perdure.errors import InvalidArgument
from perdure.ids import Kind
from perdure.store.api import KEYED, ChainPut, ChainWrite, CommitFailed, Fence, RunPut, Store
from perdure.store.limits import KEYS_MAX
from perdure.visibility.resolve import compile_count, compile_list
from tests.store.conftest import Medium
from tests.store.rows import NAMESPACE, bodies, event, key, loaded, missing, part, record, run_id, start


async def test_load_gives_the_current_run_or_the_one_asked_for(medium: Medium) -> None:
    """None means the current run; a chain without such a run gives no run.

    A run of another chain is not this chain's.
    """
    async with medium.opened() as (store, fence):
        assert await missing(store, "a")
        await store.commit(fence, [start("a", 1, body=b"old"), start("b", 3)])
        new = ChainWrite(key("a"), ChainPut(1, run_id(2), b"c"), (RunPut(run_id(2), 0, b"new", None, True),))
        await store.commit(fence, [new])
        assert (await loaded(store, "a"))[1].core == b"new"
        assert (await loaded(store, "a", 1))[1].core == b"old"
        for absent in (3, 9):
            found = await store.load(key("a").digest, run_id(absent))
            assert found is not None
            assert found[0].current_run_id == run_id(2)
            assert found[1] is None


async def test_parts_come_ordered_and_keyed_ones_only_by_key(medium: Medium) -> None:
    """Kinds below KEYED come with the run, ordered by kind and key as bytes; the others are fetched by key."""
    async with medium.opened() as (store, fence):
        first = start("a", 1)
        keys = [b"\xff", b"", b"a", b"\x00", b"aa"]
        parts = [part(1, kind, name, b"%d" % kind + name) for kind in (KEYED - 1, 0, KEYED, 255) for name in keys]
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, tuple(parts))])
        expected = [(kind, name, b"%d" % kind + name) for kind in (0, KEYED - 1) for name in sorted(keys)]
        assert (await loaded(store, "a"))[1].parts == expected
        found = await store.load_parts(run_id(1), 255, [b"a", b"absent", b"", b"a"])
        assert found == {b"a": b"255a", b"": b"255"}
        assert await store.load_parts(run_id(2), 255, [b"a"]) == {}
        assert await store.load_parts(run_id(1), 255, []) == {}


async def test_load_parts_takes_a_thousand_keys_and_no_more(medium: Medium) -> None:
    """The bound is asserted."""
    async with medium.opened() as (store, fence):
        first = start("a", 1)
        parts = tuple(part(1, 200, b"%d" % number, b"v") for number in range(KEYS_MAX))
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, parts)])
        assert len(await store.load_parts(run_id(1), 200, [item.key for item in parts])) == KEYS_MAX
        with pytest.raises(AssertionError):
            await store.load_parts(run_id(1), 200, [b""] * (KEYS_MAX + 1))


async def _with_history(store: Store, fence: Fence) -> None:
    """Fragments [1, 4), [4, 5), [5, 9), [9, 10) of ten bytes each, and another branch beside them."""
    first = start("a", 1)
    fragments = [event(1, begin, end, b"%010d" % begin) for begin, end in ((1, 4), (4, 5), (5, 9), (9, 10))]
    other = event(2, 1, 20, b"other")
    await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, (), (*fragments, other))])


@pytest.mark.parametrize(
    ("first", "following", "bytes_max", "begins"),
    [
        (1, 10, 1000, [1, 4, 5, 9]),
        (1, 100, 1000, [1, 4, 5, 9]),
        (2, 3, 1000, [1]),
        (3, 6, 1000, [1, 4, 5]),
        (4, 5, 1000, [4]),
        (6, 9, 1000, [5]),
        (9, 10, 1000, [9]),
        (10, 20, 1000, []),
        (5, 5, 1000, []),
        (1, 10, 1, [1]),
        (1, 10, 10, [1]),
        (1, 10, 11, [1, 4]),
        (1, 10, 30, [1, 4, 5]),
    ],
)
async def test_history_comes_in_whole_fragments_that_hold_the_range(
    medium: Medium, first: int, following: int, bytes_max: int, begins: list[int]
) -> None:
    """Whole fragments that hold events of the range, in order, up to the one that reaches `bytes_max`."""
    async with medium.opened() as (store, fence):
        await _with_history(store, fence)
        page = await store.read_history(run_id(1), first, following, bytes_max)
        assert [fragment.first_event_id for fragment in page] == begins
        assert all(fragment.branch_id == run_id(1) for fragment in page)
        if bytes_max == 1000:
            page = await store.read_history(run_id(1), first, following, bytes_max, reverse=True)
            assert [fragment.first_event_id for fragment in page] == begins[::-1]


async def test_reversed_history_stops_at_the_bytes_too(medium: Medium) -> None:
    """Descending: the last fragments, up to the one that reaches the bound; a missing branch has none."""
    async with medium.opened() as (store, fence):
        await _with_history(store, fence)
        page = await store.read_history(run_id(1), 1, 9, 11, reverse=True)
        assert [(fragment.first_event_id, fragment.next_event_id) for fragment in page] == [(5, 9), (4, 5)]
        assert await store.read_history(run_id(7), 1, 9, 11) == []


async def test_long_histories_come_whole_in_both_directions(medium: Medium) -> None:
    """A page of many fragments crosses every bound that a store has inside."""
    async with medium.opened() as (store, fence):
        first = start("a", 1)
        fragments = tuple(event(1, number) for number in range(1, 351))
        await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, (), fragments)])
        whole = b"".join(b"<%d>" % number for number in range(1, 351))
        assert bodies(await store.read_history(run_id(1), 1, 351, 10**6)) == whole
        reverse = await store.read_history(run_id(1), 1, 351, 10**6, reverse=True)
        assert bodies(reverse[::-1]) == whole
        size = len(b"".join(b"<%d>" % number for number in range(1, 251)))
        assert len(await store.read_history(run_id(1), 1, 351, size)) == 250
        assert len(await store.read_history(run_id(1), 1, 351, size + 1)) == 251


async def test_due_gives_the_earliest_alarms_of_the_window_and_slots(medium: Medium) -> None:
    """Alarms in [from, to) of the fence's slots, earliest first, at most `limit`; times may repeat."""
    async with medium.opened() as (store, fence):
        writes = [start(f"w{number}", number, alarm_ns=number // 2 * 10) for number in range(1, 41)]
        await store.commit(fence, [*writes, start("never", 99)])
        every = await store.due(fence, 0, 10**18, 1000)
        assert [due.alarm_ns for due in every] == [number // 2 * 10 for number in range(1, 41)]
        by_run = {due.run_id: due.digest for due in every}
        assert by_run == {run_id(number): key(f"w{number}").digest for number in range(1, 41)}
        assert [due.alarm_ns for due in await store.due(fence, 50, 70, 1000)] == [50, 50, 60, 60]
        assert [due.alarm_ns for due in await store.due(fence, 50, 70, 3)] == [50, 50, 60]
        assert await store.due(fence, 70, 70, 3) == []
        half = Fence(fence.epoch, 0, 2047)
        rest = Fence(fence.epoch, 2048, 4095)
        split = [await store.due(side, 0, 10**18, limit) for side, limit in ((half, 50), (rest, 1000))]
        assert [len(split[0]) + len(split[1]), {due.digest[0] < 128 for due in split[0]}] == [40, {True}]


async def test_records_are_versioned_and_listed_by_key(medium: Medium) -> None:
    """Creates with 0, replaces with the stored version, deletes with None; anything else is `CommitFailed`."""
    async with medium.opened() as (store, _):
        for name in ("b", "B", "ä", "a"):
            assert await store.put_record("t", name, 0, name.encode()) == 1
        await store.put_record("other", "a", 0, b"")
        assert await store.put_record("t", "a", 1, b"2") == 2
        for expected, body in ((0, b""), (1, b""), (3, b""), (1, None)):
            with pytest.raises(CommitFailed):
                await store.put_record("t", "a", expected, body)
        with pytest.raises(CommitFailed):
            await store.put_record("t", "absent", 1, b"")
        with pytest.raises(CommitFailed):
            await store.put_record("t", "absent", 1, None)
        entries = [(entry.key, entry.version, entry.body) for entry in await store.list_records("t")]
        assert entries == [("B", 1, b"B"), ("a", 2, b"2"), ("b", 1, b"b"), ("ä", 1, "ä".encode())]
        assert await store.put_record("t", "a", 2, None) == 3
        assert [entry.key for entry in await store.list_records("t")] == ["B", "b", "ä"]
        assert await store.put_record("t", "a", 0, b"anew") == 1
        assert await store.list_records("none") == []


async def _with_visibility(store: Store, fence: Fence) -> None:
    """Seven runs: 1 to 4 open, 5 to 7 closed."""
    writes = []
    for number in range(1, 8):
        first = start(f"w{number}", number)
        shown = record(f"w{number}", number, 1, 1 if number < 5 else 2, None if number < 5 else 10_000 + number)
        writes.append(ChainWrite(first.key, first.chain, first.runs, visibility=(shown,)))
    await store.commit(fence, writes)


async def test_lists_page_in_order_and_follow_every_commit(medium: Medium) -> None:
    """Open runs first, newest first, then by close time (semantics 15.4); a list that follows a write sees it."""
    async with medium.opened() as (store, fence):
        await _with_visibility(store, fence)
        names: list[str] = []
        token = b""
        while True:
            page = await store.list_visibility(NAMESPACE, Kind.WORKFLOW, None, 3, token)
            names += [shown.workflow_id for shown in page.records]
            token = page.next_page_token
            if not token:
                break
        assert names == ["w4", "w3", "w2", "w1", "w7", "w6", "w5"]
        assert (await store.list_visibility("elsewhere", Kind.WORKFLOW, None, 3, b"")).records == []
        (shown,) = (
            await store.list_visibility(NAMESPACE, Kind.WORKFLOW, compile_list("WorkflowId = 'w6'", {}), 3, b"")
        ).records
        assert shown == record("w6", 6, 1, 2, 10_006)
        with pytest.raises(InvalidArgument):
            await store.list_visibility(NAMESPACE, Kind.WORKFLOW, None, 3, b"not ours")


async def test_counts_are_grouped_largest_first(medium: Medium) -> None:
    """One pair without a group, else by value of the group."""
    async with medium.opened() as (store, fence):
        await _with_visibility(store, fence)
        assert await store.count_visibility(NAMESPACE, Kind.WORKFLOW, None, None) == [(None, 7)]
        wanted = compile_count("StartTime > 0 GROUP BY ExecutionStatus", {})
        assert await store.count_visibility(NAMESPACE, Kind.WORKFLOW, wanted.where, wanted.group_by) == [(1, 4), (2, 3)]
        assert await store.count_visibility("elsewhere", Kind.WORKFLOW, None, None) == [(None, 0)]
        assert await store.count_visibility("elsewhere", Kind.WORKFLOW, None, "ExecutionStatus") == []


async def test_one_page_holds_a_thousand_records(medium: Medium) -> None:
    """The largest page comes whole, with memo and attributes as the bytes they were."""
    async with medium.opened() as (store, fence):
        for base in range(0, 1024, 128):
            await store.commit(
                fence,
                [
                    ChainWrite(key(f"w{number}"), visibility=(record(f"w{number}", number),))
                    for number in range(base, base + 128)
                ],
            )
        page = await store.list_visibility(NAMESPACE, Kind.WORKFLOW, None, 1000, b"")
        assert [shown.workflow_id for shown in page.records] == [f"w{number}" for number in range(1023, 23, -1)]
        rest = await store.list_visibility(NAMESPACE, Kind.WORKFLOW, None, 1000, page.next_page_token)
        assert (len(rest.records), rest.next_page_token) == (24, b"")


async def test_kinds_are_listed_and_counted_apart(medium: Medium) -> None:
    """A schedule is in no list of workflows, whatever the filter, and a list's token is refused by any other list."""
    async with medium.opened() as (store, fence):
        await _with_visibility(store, fence)
        schedules = [record(f"s{number}", 10 + number, kind=Kind.SCHEDULE) for number in range(3)]
        await store.commit(fence, [ChainWrite(key("schedules"), visibility=tuple(schedules))])
        page = await store.list_visibility(NAMESPACE, Kind.SCHEDULE, None, 2, b"")
        rest = await store.list_visibility(NAMESPACE, Kind.SCHEDULE, None, 2, page.next_page_token)
        assert page.records + rest.records == schedules[::-1]
        assert len((await store.list_visibility(NAMESPACE, Kind.WORKFLOW, None, 100, b"")).records) == 7
        named = compile_list("WorkflowId = 's1' OR WorkflowId = 'w1'", {})
        for kind, name in ((Kind.WORKFLOW, "w1"), (Kind.SCHEDULE, "s1")):
            (shown,) = (await store.list_visibility(NAMESPACE, kind, named, 100, b"")).records
            assert (shown.kind, shown.workflow_id) == (kind, name)
        assert await store.count_visibility(NAMESPACE, Kind.SCHEDULE, None, None) == [(None, 3)]
        assert await store.count_visibility(NAMESPACE, Kind.WORKFLOW, None, "ExecutionStatus") == [(1, 4), (2, 3)]
        assert await store.count_visibility(NAMESPACE, Kind.BATCH, None, None) == [(None, 0)]
        for namespace, other in ((NAMESPACE, Kind.WORKFLOW), ("elsewhere", Kind.SCHEDULE)):
            with pytest.raises(InvalidArgument, match="page token"):
                await store.list_visibility(namespace, other, None, 2, page.next_page_token)
