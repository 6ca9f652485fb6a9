"""Resets in a family: children go on under the run that a reset makes, each is asked for once, and a start that nobody
has recorded does not live on unheard of (semantics 7.4, 9.1, 9.2, decision 011).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure.api import command as commands
from perdure.machines.workflow.calls import StartChild
from perdure.machines.workflow.execution import TERMINATED
from perdure.machines.workflow.operator_inputs import Reset
from tests.machines.builders import complete_workflow
from tests.machines.chronicles import idle
from tests.machines.families import Family, Relative, cancel_external, signal_external, start_child, with_child
from tests.machines.update_messages import accept, place, respond


def reset(member: Relative, finish: int, run_id: str = "") -> str:
    outcome = member.apply(Reset(run_id, finish, "why", f"reset-{finish}-{len(member.runs)}", frozenset()))
    assert isinstance(outcome, str)
    return outcome


def settled_child() -> tuple[Family, Relative, Relative]:
    """A parent that has heard of its child's start and has had a workflow task for it (events 1 to 9)."""
    family, parent, kid = with_child()
    family.settle()
    parent.turn()
    return family, parent, kid


def test_a_child_that_runs_reports_to_the_new_run() -> None:
    family, parent, kid = settled_child()
    reset(parent, 9)
    family.settle()
    assert kid.execution.running
    assert parent.run("A").status == TERMINATED
    parent.turn()
    kid.turn(complete_workflow())
    family.settle()
    assert parent.kinds("B")[-2:] == ["CHILD_COMPLETED", "TASK_SCHEDULED"]
    assert not parent.execution.children


def test_the_report_follows_any_number_of_resets_and_needs_no_old_run() -> None:
    family, parent, kid = settled_child()
    first = parent.run_id
    for _ in range(3):
        reset(parent, 9)
        family.settle()
    parent.delete(first)
    assert first not in parent.shelf.cores
    kid.turn(complete_workflow())
    family.settle()
    assert parent.kinds()[-1] == "CHILD_COMPLETED"


@pytest.mark.parametrize("ask", [cancel_external, signal_external])
def test_the_new_run_may_still_speak_to_its_child(ask: Callable[..., commands.Command]) -> None:
    """SDKs cancel a child as "child only"; another run of the id may not."""
    family, parent, kid = settled_child()
    reset(parent, 9)
    family.settle()
    parent.turn(ask("kid", child_only=True))
    family.settle()
    assert kid.kinds()[-1] in ("CANCEL_REQUESTED", "SIGNALED")
    assert "FAILED" not in parent.kinds()[-2]
    heard = len(kid.kinds())
    stranger = family.member("stranger")
    stranger.begin()
    stranger.turn(ask("kid", child_only=True))
    family.settle()
    assert len(kid.kinds()) == heard


def test_the_new_runs_close_policy_reaches_the_child() -> None:
    family, parent, kid = settled_child()
    reset(parent, 9)
    family.settle()
    parent.turn(complete_workflow())
    family.settle()
    assert kid.kinds()[-1] == "TERMINATED"
    assert not parent.execution.calls


@pytest.mark.parametrize("arrived", [False, True])
@pytest.mark.parametrize("crash", [False, True])
def test_a_start_that_is_under_way_is_taken_over(arrived: bool, crash: bool) -> None:
    """The point lies between what the worker asked and the answer: one child, whoever asks for it."""
    family = Family()
    parent, kid = family.member("wf"), family.member("kid")
    parent.begin()
    parent.take()
    parent.complete(start_child(), force_create_new_workflow_task=True)
    parent.turn()
    (start,) = parent.calls
    assert isinstance(start, StartChild)
    answer = family.ask(start) if arrived else None
    reset(parent, 8)
    if crash:
        parent.die()
    else:
        family.tell(start, answer)
    family.settle()
    assert len(kid.runs) == 1
    assert kid.kinds() == ["STARTED", "TASK_SCHEDULED"]
    assert "CHILD_STARTED" in parent.kinds("B")
    parent.turn()
    kid.turn(complete_workflow())
    family.settle()
    assert "CHILD_COMPLETED" in parent.kinds("B")


@pytest.mark.parametrize("crash", [False, True])
def test_a_start_from_after_the_point_is_called_off(crash: bool) -> None:
    family, parent, kid = with_child()
    (start,) = parent.calls
    answer = family.ask(start)
    parent.signal()
    reset(parent, 4)
    if crash:
        parent.die()
    else:
        family.tell(start, answer)
    family.settle()
    assert kid.kinds() == ["STARTED", "TERMINATED"]


def test_a_child_that_was_reset_reports_once() -> None:
    family, parent, kid = settled_child()
    kid.turn()
    reset(kid, 4)
    family.settle()
    assert 5 in parent.execution.children, "the end by the reset is nobody's business"
    kid.turn(complete_workflow())
    family.settle()
    assert parent.kinds()[-2:] == ["CHILD_COMPLETED", "TASK_SCHEDULED"]


def test_another_run_of_the_id_does_not_take_the_report() -> None:
    """Only what a reset made of the parent is in its place; a run that a client started is not."""
    family, parent, kid = settled_child()
    parent.terminate()
    parent.calls.clear()
    parent.begin()
    parent.turn(start_child("other"))
    kid.turn(complete_workflow())
    family.settle()
    assert "CHILD_COMPLETED" not in parent.kinds()
    assert not kid.execution.calls


def test_the_same_request_again_is_told_what_it_made() -> None:
    """A client that did not hear the answer asks again, also after the new run has ended: one reset."""
    family, parent, _ = settled_child()
    verb = Reset(parent.run_id, 9, "why", "once", frozenset())
    made = parent.apply(verb)
    parent.turn(complete_workflow())
    family.settle()
    assert parent.apply(verb) == made
    parent.die()
    assert parent.apply(verb) == made
    assert len(parent.runs) == 2


def test_an_update_that_was_taken_over_is_not_lost_to_a_workers_mistake() -> None:
    """Its request stands in history, so the worker knows of it, and may accept it with the next attempt."""
    story = idle()
    story.update("u")
    story.take()
    story.complete(place(accept("u", 5)), messages=[accept("u", 5)])
    story.apply(story.informed(Reset("", 4, "why", "again", frozenset())))
    assert story.history()[-2].endswith("WorkflowExecutionUpdateAdmitted")
    story.take()
    story.rejected(messages=[respond("nobody")])
    story.take()
    answers = [accept("u", 5), respond("u")]
    story.complete(*[place(message) for message in answers], messages=answers)
    assert [line.split()[1].partition("(")[0] for line in story.history()[-2:]] == [
        "WorkflowExecutionUpdateAccepted",
        "WorkflowExecutionUpdateCompleted",
    ]


def test_an_update_that_was_taken_over_and_is_ignored_asks_for_no_task_for_ever() -> None:
    """Nor if the process that sent it has forgotten so: the worker has its request in history."""
    story = idle()
    story.update("u")
    story.take()
    story.complete(place(accept("u", 5)), messages=[accept("u", 5)])
    story.apply(story.informed(Reset("", 4, "why", "again", frozenset())))
    story.take()
    story.crash()
    story.complete()
    assert "WorkflowTaskCompleted" in story.history()[-1]
    assert (story.execution.task, story.execution.updates) == (None, ())
