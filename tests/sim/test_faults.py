"""Seeded runs of everything while the store fails, answers late, loses and lies, and servers are killed.

A failure names its seed: `simulate(seed, plan)` of `scenario.py` repeats it exactly.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perdure.clock import MILLISECOND
from perdure.ids import ChainKey
from perdure.machines.pieces import Pieces
from perdure.machines.workflow import alarm, completion, machine
from perdure.machines.workflow.chain import ChainState
from perdure.store.faulty import Faults
from tests.sim.audit import Violation
from tests.sim.scenario import SMALL_CACHE, Plan, simulate, swarm
from tests.sim.world import LYING, SYNCED

SEEDS = range(int(os.environ.get("PERDURE_SIM_FROM", "0")), int(os.environ.get("PERDURE_SIM_TO", "20")))
"""Long runs: PERDURE_SIM_TO=10000."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_failing_store_breaks_no_promise(seed: int) -> None:
    """Definite and ambiguous failures, batches that arrive late, reads that fail, slow answers."""
    world = simulate(seed, Plan(swarm(0.05)))
    assert {"fail", "read_error"} <= set(world.injected), "the seed injected nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_very_slow_and_bad_store_breaks_no_promise(seed: int) -> None:
    """Half of all commits go wrong, at up to 0.2 s each way."""
    world = simulate(seed, Plan(swarm(0.12, latency_ms=200), workflows=6))
    assert world.injected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cache_that_holds_nothing_breaks_no_promise(seed: int) -> None:
    """Every chain at rest is evicted, so each step reads the store, which fails."""
    world = simulate(seed, Plan(swarm(0.05), cache_bytes_max=SMALL_CACHE))
    assert "read_error" in world.injected


@pytest.mark.parametrize("seed", SEEDS)
def test_reads_that_fail_lose_no_alarm(seed: int) -> None:
    """Nearly every third read fails, and nothing is cached."""
    reads = Faults(read_error=0.3, latency_max_ns=50 * MILLISECOND)
    world = simulate(seed, Plan(reads, cache_bytes_max=SMALL_CACHE, workflows=6))
    assert "read_error" in world.injected


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_instant_nothing_acknowledged_is_lost(seed: int) -> None:
    """The process dies with the machine: what was not synced is gone, too."""
    world = simulate(seed, Plan(swarm(0.02), crashes=True, machine=True, disk=SYNCED))
    assert world.crashes >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_killed_process_had_sent_may_still_arrive(seed: int) -> None:
    """Only the process dies: its last batch may land behind its successor's first read, and must be fenced out."""
    world = simulate(seed, Plan(swarm(0.04), crashes=True, cache_bytes_max=SMALL_CACHE))
    assert world.crashes


@pytest.mark.parametrize("seed", range(6))
def test_a_step_in_pieces_breaks_no_promise(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every completion and every alarm is made in pieces of one command, on chains whose drafts get lost."""
    begun: list[object] = []
    pieces = machine.pieces

    def counted(key: ChainKey, state: ChainState, *rest: Any) -> Pieces[machine.Transition]:
        begun.append(key)
        return pieces(key, state, *rest)

    monkeypatch.setattr(machine, "is_long", lambda _state, fact, _now: type(fact) in machine.LONG_HANDLERS)
    monkeypatch.setattr(machine, "pieces", counted)
    monkeypatch.setattr(alarm, "PIECE", 1)
    monkeypatch.setattr(completion, "PIECE", 1)
    world = simulate(seed, Plan(swarm(0.08, latency_ms=200), cache_bytes_max=SMALL_CACHE, crashes=seed % 2 == 1))
    assert world.injected
    assert len(begun) > 50


@pytest.mark.parametrize("seed", range(10))
def test_torn_history_is_never_seen(seed: int) -> None:
    """A store that stores history first leaves fragments of failed batches behind."""
    world = simulate(seed, Plan(swarm(0.05), crashes=True, cache_bytes_max=SMALL_CACHE, history_first=True))
    assert world.crashes
    assert "fail" in world.injected


def test_a_store_that_acknowledges_before_it_is_durable_is_found_out() -> None:
    """The planted bug: acknowledged, synced two seconds later, and the machine stops in between."""
    plan = Plan(swarm(0.02), crashes=True, machine=True, disk=LYING)
    found = []
    for seed in range(12):
        try:
            simulate(seed, plan)
        except Violation as violation:
            found.append(str(violation))
    assert len(found) >= 6, found


def test_the_same_seed_gives_the_same_run() -> None:
    """Every answer at its instant, to the byte; another seed gives another run."""
    plan = Plan(swarm(0.05), crashes=True)
    traces = [simulate(seed, plan).trace for seed in (7, 7, 8)]
    assert traces[0] == traces[1] != traces[2]


TRACE = "from tests.sim.scenario import *; print(simulate(7, Plan(swarm(0.05), crashes=True)).trace)"


@pytest.mark.slow
def test_the_order_of_sets_decides_nothing() -> None:
    """Other hashes of strings, the same run."""
    traces = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", TRACE], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        traces.add(done.stdout)
    assert len(traces) == 1
