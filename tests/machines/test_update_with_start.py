"""Update-with-start on the pure machine: one step starts or finds the run, and admits the update (semantics 8.3)."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import ServiceError, WorkflowExecutionAlreadyStarted, WorkflowNotReady
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery
from perdure.machines.workflow.update_inputs import UpdatePending, UpdateRefused, UpdateStatus
from perdure.machines.workflow.updates import STAGE_COMPLETED
from tests.machines.chronicles import (
    FAIL,
    TERMINATE_EXISTING,
    USE_EXISTING,
    Chronicle,
    busy,
    continue_as_new,
    idle,
)
from tests.machines.test_updates import done, stage
from tests.machines.update_messages import requests


def test_update_with_start_of_a_new_run() -> None:
    """Semantics 8.3: one step; the first task is a normal one and carries the update."""
    story = Chronicle()
    answer = story.update_with_start()
    assert answer.start.started
    assert isinstance(answer.update, UpdatePending)
    assert [m.event_id for m in requests(story.take())] == [2]


def test_update_with_start_of_a_running_workflow() -> None:
    """By policy, by request id, or because the update is known there."""
    story = idle()
    answer = story.update_with_start(workflow_id_conflict_policy=USE_EXISTING)
    assert not answer.start.started
    assert isinstance(answer.update, UpdatePending)
    assert not story.stored
    again = story.update_with_start(workflow_id_conflict_policy=FAIL)
    assert isinstance(again.update, UpdatePending)
    same = story.update_with_start("v", workflow_id_conflict_policy=FAIL, request_id="request-1")
    assert not same.start.started
    with pytest.raises(ServiceError, match="already running"):
        story.update_with_start("w", workflow_id_conflict_policy=FAIL)
    story.take()
    done(story, "u", "v")
    late = story.terminate().update_with_start(workflow_id_conflict_policy=FAIL)  # type: ignore[attr-defined]
    assert stage(late.update) == STAGE_COMPLETED
    assert not late.start.started


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("policy", [USE_EXISTING, FAIL, TERMINATE_EXISTING])
@pytest.mark.parametrize("others", [0, 40])
def test_update_with_start_that_comes_again_finds_its_outcome(crashed: bool, policy: Any, others: int) -> None:
    """Guarantee 6: the run that it made has continued as new; the next one is left alone. (Many updates are rows.)"""
    story = Chronicle()
    story.update_with_start(workflow_id_conflict_policy=policy, request_id="s")
    story.take()
    done(story, "u")
    for number in range(others):
        story.update(f"u{number}")
        story.take()
        done(story, f"u{number}")
    story.signal().turn(continue_as_new())
    if crashed:
        story.crash()
    again = story.update_with_start(workflow_id_conflict_policy=policy, request_id="s")
    assert isinstance(again.update, UpdateStatus)
    assert (again.start.run_id, again.start.started, again.update.stage) == (story.runs[0], False, STAGE_COMPLETED)
    assert len(story.runs) == 2
    assert not story.execution.updates


def test_update_with_start_that_comes_again_too_late_is_refused_for_good() -> None:
    """Nobody should ask for ever: the run that it made is over without the update, and another one runs."""
    story = Chronicle()
    story.update_with_start(workflow_id_conflict_policy=FAIL, request_id="s")
    story.terminate()
    story.begin()
    with pytest.raises(WorkflowExecutionAlreadyStarted, match="already running"):
        story.update_with_start(workflow_id_conflict_policy=FAIL, request_id="s")


def test_update_with_start_that_terminates() -> None:
    story = idle()
    answer = story.update_with_start(workflow_id_conflict_policy=TERMINATE_EXISTING)
    assert answer.start.started
    assert len(story.runs) == 2
    assert isinstance(story.take(), WorkflowTaskDelivery)


def test_a_refused_update_starts_nothing() -> None:
    """The whole step is refused; the error says which half it was."""
    story = busy()
    story.fail_task()
    story.take()
    story.fail_task()
    with pytest.raises(UpdateRefused) as caught:
        story.update_with_start(workflow_id_conflict_policy=USE_EXISTING)
    assert isinstance(caught.value.error, WorkflowNotReady)
