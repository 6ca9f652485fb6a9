"""Nothing that was acknowledged is lost, doubled or unlawful after SIGKILL; the full run is `make crash`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash import operations, schedules, stories
from tests.crash.run import run

KILLS = 12
SCHEDULE_KILLS = 8
STORY_KILLS = 8


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Every acknowledged start closes with its result; histories are lawful; signals and results come once."""
    outcome = asyncio.run(run(tmp_path, KILLS, seed))
    with capsys.disabled():
        print(f"\n{outcome}")
    assert outcome.findings == []
    # A busy machine starts few between two kills; none would prove nothing.
    assert outcome.workflows > KILLS // 2


@pytest.mark.slow
def test_schedules_fire_once_for_each_second(tmp_path: Path, seed: int) -> None:
    """No start is lost and none doubled when the server is killed while six schedules fire."""
    assert asyncio.run(schedules.run(tmp_path, SCHEDULE_KILLS, seed)) == []


@pytest.mark.slow
def test_batches_and_deletions_go_on_over_kills(tmp_path: Path, seed: int) -> None:
    """Each execution is signalled and counted once, and of the deleted namespace nothing is on the file."""
    assert asyncio.run(operations.run(tmp_path, seed)) == []


@pytest.mark.slow
def test_operators_and_kin_are_told_the_truth_over_kills(tmp_path: Path, seed: int) -> None:
    """Each story of the simulation once, on a real process and a real file."""
    assert asyncio.run(stories.run(tmp_path, STORY_KILLS, seed)) == []
