"""Seeded runs of what operators, strangers, parents and schedules do, while everything goes wrong.

Each run tells every story of `operators.py` and `kin.py` once, so each is told under every fault. A failure names its
seed: `simulate(seed, plan)` repeats it exactly.
"""

from __future__ import annotations

import pytest

from tests.sim.scenario import DEEDS, SMALL_CACHE, Plan, simulate, swarm
from tests.sim.test_faults import SEEDS
from tests.sim.world import SYNCED

SEEDS_HERE = SEEDS if len(SEEDS) > 20 else SEEDS[:8]
ALL = len(DEEDS)


def test_a_healthy_server_keeps_every_promise() -> None:
    """What these stories demand is kept when nothing goes wrong."""
    simulate(1, Plan(workflows=0, deeds=2 * ALL))


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_a_failing_store(seed: int) -> None:
    """Definite and ambiguous failures, batches that arrive late, reads that fail, slow answers."""
    world = simulate(seed, Plan(swarm(0.05), workflows=2, deeds=ALL))
    assert {"fail", "read_error"} <= set(world.injected), "the seed injected nothing"


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_a_very_slow_and_bad_store(seed: int) -> None:
    """Half of all commits go wrong, at up to 0.2 s each way: many steps of a chain wait for one."""
    world = simulate(seed, Plan(swarm(0.12, latency_ms=200), workflows=2, deeds=ALL))
    assert world.injected


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_a_process_that_dies_and_a_cache_that_holds_nothing(seed: int) -> None:
    """What a killed process had sent may still arrive, and each step reads the store."""
    world = simulate(seed, Plan(swarm(0.04), crashes=True, cache_bytes_max=SMALL_CACHE, workflows=2, deeds=ALL))
    assert world.crashes


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_a_machine_that_dies(seed: int) -> None:
    """What was not synced is gone with it."""
    world = simulate(seed, Plan(swarm(0.02), crashes=True, machine=True, disk=SYNCED, workflows=2, deeds=ALL))
    assert world.crashes


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_answers_that_are_lost_and_requests_that_come_twice(seed: int) -> None:
    """Of clients and of workers, a tenth of each."""
    world = simulate(seed, Plan(swarm(0.02), network=0.1, workflows=2, deeds=ALL))
    assert min(world.network.counts.values()) > 0


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_a_living_process_that_was_succeeded(seed: int) -> None:
    """It goes on until it finds out, and may even take its place back."""
    world = simulate(seed, Plan(swarm(0.03), successions=True, workflows=2, deeds=ALL))
    assert world.successions > 1


@pytest.mark.parametrize("seed", SEEDS_HERE)
def test_a_clock_that_jumps(seed: int) -> None:
    """By up to five minutes to and fro, while machines die and answers are lost."""
    plan = Plan(swarm(0.02), clock_s=300.0, network=0.03, crashes=True, machine=True, disk=SYNCED, deeds=ALL)
    plan.workflows = 2
    simulate(seed, plan)
