"""Hunts with many seeds: both servers, the same plan, the difference; and the fewest steps that still show it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..runner import Run, differences
from ..wire import Connection
from .plan import Plan
from .tell import tell, verbs_of

LOST = ("  error: INTERNAL", "  message: workflow operation can not be applied because workflow is closing")
"""The reference is broken; or it refuses something while a run closes, and that error makes it forget that it does."""


@dataclass(frozen=True)
class Finding:
    """A plan that two servers tell differently."""

    plan: Plan
    difference: str
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """The two servers of a hunt."""

    real: Connection
    ours: Connection

    def tell(self, plan: Plan) -> tuple[Run, Run]:
        """The same plan on both, side by side."""
        with ThreadPoolExecutor(2) as pool:
            real, ours = pool.submit(tell, plan, self.real), pool.submit(tell, plan, self.ours)
            return real.result(), ours.result()

    def check(self, plan: Plan) -> Finding | None:
        """Tell a plan on both; a story that differs is told once more, since a busy machine can be late.

        There is nothing to compare with where the reference shows one of :data:`LOST`.
        """
        for _ in range(2):
            real, ours = self.tell(plan)
            difference = differences(real, ours, "temporal", "perdure")
            if not difference or any(line in real.lines for line in LOST):
                return None
        return Finding(plan, difference, verbs_of(real))


def hunt(pair: Pair, seeds: range, parallel: int, report: Callable[[int, Finding | None], None]) -> list[Finding]:
    """Check every seed, `parallel` at a time; `report` hears of each as it is done."""
    found: list[Finding] = []
    with ThreadPoolExecutor(parallel) as pool:
        runs = [(seed, pool.submit(pair.check, Plan(seed))) for seed in seeds]
        for seed, run in runs:
            finding = run.result()
            if finding is not None:
                found.append(finding)
            report(seed, finding)
    return found


def shrink(pair: Pair, finding: Finding) -> Finding:
    """Leave out steps, in halves and then one by one, as long as the two servers still differ."""
    size = max(1, len(finding.plan.steps) // 2)
    while True:
        smaller = _without_some(pair, finding, size)
        if smaller is not None:
            finding = smaller
        elif size == 1:
            return finding
        size = max(1, min(size, len(finding.plan.steps)) // 2)


def _without_some(pair: Pair, finding: Finding, size: int) -> Finding | None:
    steps = finding.plan.steps
    for begin in range(0, len(steps), size):
        kept = steps[:begin] + steps[begin + size :]
        smaller = pair.check(Plan(finding.plan.seed, kept))
        if smaller is not None:
            return smaller
    return None
