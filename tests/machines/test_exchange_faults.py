"""Calls between chains under every fault that a carrier knows: lost, repeated, late, and owners that die in between.

Whatever the order, once the faults end everything that was asked has happened exactly once (DESIGN 1.10).
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter

import pytest

from perdure.errors import ServiceError
from perdure.machines.workflow.calls import Call
from perdure.machines.workflow.inputs import Input
from tests.machines.builders import SECOND, complete_workflow
from tests.machines.chronicles import continue_as_new
from tests.machines.families import ABANDON, Family, cancel_external, signal_external, start_child


class Rough(Family):
    """A family whose carrier loses, repeats and delays, as a seed says."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.old_calls: list[Call] = []
        self.old_answers: list[tuple[Call, Input]] = []

    def mishap(self) -> None:
        """One thing happens to what is under way."""
        choice = self.random.random()
        under_way = self.calls()
        if choice < 0.15:
            victim = self.random.choice(sorted(self.relatives))
            self.relatives[victim].die()
        elif choice < 0.25 and self.old_calls:
            self.ask(self.random.choice(self.old_calls))
        elif choice < 0.35 and self.old_answers:
            call, answer = self.random.choice(self.old_answers)
            with contextlib.suppress(ServiceError):
                self.member(call.sender.chain.id).apply(answer)
        elif under_way:
            self._carry_badly(self.random.choice(under_way))

    def _carry_badly(self, call: Call) -> None:
        choice = self.random.random()
        if choice < 0.2:
            self.tell(call, None)
            return
        answer = self.ask(call)
        self.old_calls.append(call)
        if choice < 0.4:
            self.tell(call, None)
            return
        if answer is not None:
            self.old_answers.append((call, answer))
        self.tell(call, answer)


@pytest.mark.parametrize("seed", range(60))
def test_everything_happens_exactly_once(seed: int) -> None:
    """Two children, one abandoned, signals and a cancel request to a third chain that goes on as new meanwhile."""
    family = Rough(seed)
    rough = family.random
    other = family.member("other")
    other.begin()
    parent = family.member("wf")
    parent.begin()
    parent.turn(
        start_child("kid"),
        start_child("left", parent_close_policy=ABANDON),
        signal_external(),
        signal_external(),
        cancel_external(),
    )
    kid, left = family.member("kid"), family.member("left")
    moved = False
    for _ in range(rough.randrange(5, 60)):
        family.mishap()
        family.now += rough.randrange(0, SECOND)
        if not moved and rough.random() < 0.1:
            # The receiver goes on in a new run.
            moved = True
            family.now += 2 * SECOND
            if any(task.run_id == other.run_id for task in other.offers):
                other.turn(continue_as_new())
    family.settle()
    told = Counter(parent.kinds())
    assert told["CHILD_STARTED"] == 2
    assert told["EXTERNAL_SIGNALED"] == 2
    assert told["EXTERNAL_CANCEL_REQUESTED"] == 1
    taken = Counter(kind for history in other.shelf.histories.values() for kind in map(_kind, history))
    assert taken["SIGNALED"] == 2
    assert taken["CANCEL_REQUESTED"] == 1
    assert len(kid.runs) == len(left.runs) == 1
    for child in (kid, left):
        assert Counter(child.kinds())["TASK_SCHEDULED"] == 1, "the first task, once"

    kid.die()
    kid.ring()
    kid.turn(complete_workflow())
    for _ in range(rough.randrange(0, 20)):
        family.mishap()
    family.settle()
    assert Counter(parent.kinds())["CHILD_COMPLETED"] == 1
    parent.terminate()
    for _ in range(rough.randrange(0, 20)):
        family.mishap()
    family.settle()
    assert left.execution.running
    left.terminate()
    family.settle()
    assert not any(relative.execution.calls for relative in family.relatives.values())


@pytest.mark.parametrize("seed", range(40))
def test_a_parent_that_closes_at_any_time_leaves_no_orphan(seed: int) -> None:
    """The parent is terminated while its children start: each is terminated too, or never was."""
    family = Rough(seed)
    parent = family.member("wf")
    parent.begin()
    parent.turn(*[start_child(f"kid{n}") for n in range(3)])
    for _ in range(family.random.randrange(0, 12)):
        family.mishap()
    parent.terminate()
    for _ in range(family.random.randrange(0, 12)):
        family.mishap()
    family.settle()
    for n in range(3):
        kid = family.member(f"kid{n}")
        assert kid.state.chain is None or kid.kinds()[-1] == "TERMINATED"
    assert not parent.execution.calls


def _kind(event: object) -> str:
    from tests.machines.families import name_of

    return name_of(event)  # type: ignore[arg-type]  # a history event
