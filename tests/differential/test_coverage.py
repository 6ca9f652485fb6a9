"""The map of rules to scenarios is true: names exist, and the real server's transcripts show what they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from .conftest import Arena
from .coverage import CAUSES_NOT_SHOWN, FAILURE_CAUSES, ID_POLICIES, MESSAGES, SUBTLE_POINTS, TIMEOUTS
from .runner import collect

ROOT = Path(__file__).parents[2]
SHOWN = [
    *((f"WORKFLOW_TASK_FAILED_CAUSE_{cause}", scenario) for cause, scenario in FAILURE_CAUSES.items()),
    *MESSAGES.items(),
    *TIMEOUTS.items(),
]


def test_every_subtle_point_has_a_scenario_or_a_test() -> None:
    """Forty points, each with names that exist."""
    assert list(SUBTLE_POINTS) == list(range(1, 41))
    known = collect()
    for number, names in SUBTLE_POINTS.items():
        assert names, f"nothing stands for point {number}"
        for name in names:
            assert name in known or _is_test(name), f"point {number}: there is no {name}"
    assert known.keys() >= set(ID_POLICIES)


def test_every_failure_cause_is_shown_or_explained() -> None:
    """All of the enum, each once."""
    names = [name.removeprefix("WORKFLOW_TASK_FAILED_CAUSE_") for name in WorkflowTaskFailedCause.keys()]  # noqa: SIM118
    assert sorted([*FAILURE_CAUSES, *CAUSES_NOT_SHOWN]) == sorted(names)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("text", "scenario"), SHOWN)
def test_the_scenario_shows_it(text: str, scenario: str, real: Arena) -> None:
    """What the map says of a scenario stands in its transcript."""
    assert any(text in line for line in real.result(scenario).lines)


def _is_test(name: str) -> bool:
    file, _, function = name.partition("::")
    path = ROOT / file
    return bool(function) and path.is_file() and f"def {function}(" in path.read_text("utf-8")
