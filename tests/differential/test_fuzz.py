"""A few random stories on both servers, the same ones each time. `make fuzz` tells hundreds of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .fuzz.hunt import Finding, Pair, hunt
from .fuzz.plan import Plan
from .servers import PERDURE, REAL, Server
from .wire import Connection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEEDS = range(1, 21)
"""Known to agree; a seed that stops to is a change of behaviour."""
PARALLEL = 6


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """The real server and Perdure, started for this test."""
    with Server(REAL, tmp_path / "temporal.log") as real, Server(PERDURE, tmp_path / "perdure.log") as ours:
        yield Pair(Connection(real.target), Connection(ours.target))


def test_the_same_stories(pair: Pair) -> None:
    """Answers, events and descriptions of twenty seeds."""
    told: list[int] = []

    def report(seed: int, finding: Finding | None) -> None:
        if finding is not None:
            pytest.fail(f"seed {seed}\n{finding.difference}", pytrace=False)
        told.append(seed)

    hunt(pair, SEEDS, PARALLEL, report)
    assert told == list(SEEDS)


def test_a_story_repeats_itself(pair: Pair) -> None:
    """Two tellings on one server are the same, so that a difference between two is not chance."""
    plan = Plan(3)
    first, second = Pair(pair.ours, pair.ours).tell(plan)
    assert first.lines == second.lines
    assert len(first.lines) > 300, "the story is about something"
