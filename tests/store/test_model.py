"""Random batches against the memory store as the model: same outcome and same rows, on every SQL store.

The generator knows little of what is stored, so about half of the batches fail, most of them for a reason nobody
thought of.
"""

from __future__ import annotations

import random

import pytest

from perdure.ids import Kind
from perdure.store.api import (
    KEYED,
    ChainPut,
    ChainWrite,
    CommitFailed,
    Due,
    Fence,
    Reclaim,
    RunPut,
    Store,
)
from perdure.store.memory import MemoryStore
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord
from perdure.visibility.resolve import compile_list
from tests.store.conftest import Medium
from tests.store.rows import NAMESPACE, event, key, part, record, run_id

NAMES = ("a", "b", "c")
RUNS = 6
ROUNDS = {"postgresql": 30}
"""Batches a test, by store; 100 for those not named."""


class Generator:
    """Draws writes over few chains and runs, mostly at the versions it last saw succeed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def batch(self, chains: dict[str, int], runs: dict[int, int], events: dict[int, int]) -> list[ChainWrite]:
        """Up to five writes; versions continue within the batch, or are off by one now and then."""
        return [self._write(chains, runs, events) for _ in range(self._random.randint(1, 5))]

    def _version(self, version: int) -> int:
        return max(0, version + self._random.choice((-1, 1))) if self._random.random() < 0.03 else version

    def _write(self, chains: dict[str, int], runs: dict[int, int], events: dict[int, int]) -> ChainWrite:
        draw = self._random
        name = draw.choice(NAMES)
        own = [number for number in range(RUNS) if number % len(NAMES) == NAMES.index(name) or draw.random() < 0.02]
        numbers = draw.sample(own, draw.randint(0, len(own)))
        chain = None
        if draw.random() < 0.4:
            chain = ChainPut(self._version(chains.get(name, 0)), run_id(draw.randrange(RUNS)), draw.randbytes(3))
            chains[name] = chains.get(name, 0) + 1
        puts = []
        for number in numbers:
            alarm_ns = draw.choice((None, draw.randrange(50)))
            version = self._version(runs.get(number, 0))
            puts.append(RunPut(run_id(number), version, draw.randbytes(3), alarm_ns, draw.random() < 0.5))
            runs[number] = runs.get(number, 0) + 1
        parts = tuple(
            part(
                draw.randrange(RUNS),
                draw.choice((1, 2, KEYED)),
                draw.choice((b"", b"x", b"y")),
                draw.choice((None, b"v", b"w")),
            )
            for _ in range(draw.randint(0, 3))
        )
        fragments = []
        for number in numbers:
            first = max(1, self._version(events.get(number, 1)))
            fragments.append(event(number, first, first + draw.randint(1, 3), draw.randbytes(2)))
            events[number] = max(events.get(number, 1), fragments[-1].next_event_id)
        shown = tuple(self._record(number) for number in numbers)
        reclaim: tuple[Reclaim, ...] = ()
        drop = chain is None and draw.random() < 0.1
        if draw.random() < 0.15:
            gone = draw.randrange(RUNS)
            reclaim = (Reclaim(run_id(gone), (run_id(gone),)),)
            runs.pop(gone, None)
            events.pop(gone, None)
        if drop:
            chains.pop(name, None)
        return ChainWrite(key(name), chain, tuple(puts), parts, tuple(fragments), shown, reclaim, drop)

    def _record(self, number: int) -> VisibilityRecord:
        draw = self._random
        status = draw.choice((1, 2, 3, 8))
        keywords = {"CK": draw.choice("xy")} if draw.random() < 0.5 else {}
        if draw.random() < 0.1:
            keywords["TemporalNamespaceDivision"] = "d"
        closed = None if status in (1, 8) else 10_000 + draw.randrange(3)
        version = draw.randrange(5)
        return record(
            f"w{number}",
            number,
            version,
            status,
            closed,
            workflow_type=draw.choice(("A", "AB", "B")),
            keywords=keywords,
        )


FILTERS = (
    "ExecutionStatus IN ('Running', 'Failed')",
    "WorkflowType = 'B'",
    "WorkflowType STARTS_WITH 'A' AND CK = 'x'",
    "CK != 'x' OR WorkflowId = 'w1'",
    "TemporalNamespaceDivision = 'd'",
    "StartTime > '1970-01-01T00:00:00.000001002Z'",
)


async def _visible(store: Store) -> list[object]:
    """What lists and counts show: every store keeps indexes and counters of its own."""
    rows: list[object] = []
    page = await store.list_visibility(NAMESPACE, Kind.WORKFLOW, None, 1000, b"")
    rows.append(page.records)
    for group in (None, "ExecutionStatus", "TemporalNamespaceDivision"):
        counts = await store.count_visibility(NAMESPACE, Kind.WORKFLOW, None, group)
        rows.append(sorted(counts, key=repr))
    for text in FILTERS:
        where = compile_list(text, {"CK": attributes.KEYWORD})
        rows.append((await store.list_visibility(NAMESPACE, Kind.WORKFLOW, where, 1000, b"")).records)
        counts = await store.count_visibility(NAMESPACE, Kind.WORKFLOW, where, "ExecutionStatus")
        rows.append(sorted(counts, key=repr))
    return rows


async def dump(store: Store, fence: Fence) -> object:
    """Everything that reads can see."""
    rows: list[object] = []
    for name in NAMES:
        for number in (None, *map(run_id, range(RUNS))):
            found = await store.load(key(name).digest, number)
            if found is not None:
                chain, run = found
                rows.append((name, chain.version, chain.current_run_id, chain.core))
                if run is not None:
                    rows.append((run.run_id, run.version, run.core, run.alarm_ns, run.parts))
    for number in map(run_id, range(RUNS)):
        rows.append(sorted((await store.load_parts(number, KEYED, [b"", b"x", b"y"])).items()))
        for fragment in await store.read_history(number, 1, 10**6, 10**6):
            rows.append((number, fragment.first_event_id, fragment.next_event_id, fragment.body))
    rows.append([(due.alarm_ns, due.digest, due.run_id) for due in await _due(store, fence)])
    rows += await _visible(store)
    return rows


async def _due(store: Store, fence: Fence) -> list[Due]:
    found = await store.due(fence, 0, 100, 1000)
    assert [due.alarm_ns for due in found] == sorted(due.alarm_ns for due in found)
    return sorted(found, key=lambda due: (due.alarm_ns, due.run_id))


async def outcome(store: Store, fence: Fence, batch: list[ChainWrite]) -> bool:
    """Whether the batch was applied."""
    try:
        await store.commit(fence, batch)
    except CommitFailed:
        return False
    return True


@pytest.mark.parametrize("round_number", range(3))
async def test_every_store_agrees_with_the_model(medium: Medium, seed: int, round_number: int) -> None:
    """Same outcome and same rows after each of many random batches; members retried alone agree, too."""
    if medium.name in ("memory", "faulty"):
        pytest.skip("this is the model")
    generator = Generator(seed + round_number)
    chains: dict[str, int] = {}
    runs: dict[int, int] = {}
    events: dict[int, int] = {}
    model = MemoryStore()
    await model.open()
    expected_fence = await model.acquire()
    applied = 0
    rounds = ROUNDS.get(medium.name, 100)
    async with medium.opened() as (store, fence):
        for number in range(rounds):
            before = dict(chains), dict(runs), dict(events)
            batch = generator.batch(chains, runs, events)
            expected = await outcome(model, expected_fence, batch)
            assert await outcome(store, fence, batch) == expected, f"round {number}"
            applied += expected
            if not expected:
                chains, runs, events = before
                for write in batch:
                    alone = await outcome(model, expected_fence, [write])
                    assert await outcome(store, fence, [write]) == alone, f"round {number}, alone"
                chains, runs, events = await _versions(model, events)
            assert await dump(store, fence) == await dump(model, expected_fence), f"round {number}"
    assert rounds // 5 < applied < rounds


async def _versions(
    model: MemoryStore, events: dict[int, int]
) -> tuple[dict[str, int], dict[int, int], dict[int, int]]:
    """What the model holds now, for the generator to go on from."""
    state = model.disk.state
    chains = {name: state.chains[key(name).digest].version for name in NAMES if key(name).digest in state.chains}
    runs = {number: state.runs[run_id(number)].version for number in range(RUNS) if run_id(number) in state.runs}
    for number in range(RUNS):
        branch = state.fragments.get(run_id(number), {})
        events[number] = max((fragment.next_event_id for fragment in branch.values()), default=1)
    return chains, runs, events
