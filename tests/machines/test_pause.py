"""Pausing a run on the pure machine (semantics 7.6). What the real server answers is in the differential scenarios;
here is what it does not show: no alarm that rings for ever, nothing offered, and a crash in between.
"""

from __future__ import annotations

from typing import Any

import pytest

from perdure.api import activity as activities
from perdure.api import history
from perdure.api.times import duration_of
from perdure.errors import FailedPrecondition, NotFound
from perdure.machines.task_queue import ACTIVITY, WORKFLOW
from perdure.machines.workflow import alarm
from perdure.machines.workflow.activity_inputs import ActivityTaskFailed
from perdure.machines.workflow.inputs import Stale, Terminate
from perdure.machines.workflow.operator_inputs import (
    ActivitySelection,
    PauseActivity,
    PauseWorkflow,
    ResetActivity,
    UnpauseActivity,
    UnpauseWorkflow,
    UpdateActivityOptions,
)
from perdure.machines.workflow.update_inputs import UpdateStatus
from tests.machines.builders import (
    SECOND,
    by_id,
    complete_workflow,
    payloads,
    retry_policy,
    schedule_activity,
    start_timer,
    started_fact,
    target_of,
)
from tests.machines.chronicles import Chronicle, busy, idle
from tests.machines.update_messages import accept, reject, respond


def pause(story: Chronicle, request_id: str = "p") -> Chronicle:
    story.apply(PauseWorkflow("", "operator", "why", request_id))
    return story


def unpause(story: Chronicle) -> Chronicle:
    story.apply(UnpauseWorkflow("", "operator", "on", "u"))
    return story


def offered(story: Chronicle, kind: int) -> list[Any]:
    """What was offered since the last call."""
    found = [task for task in story.offers if task.queue.type == kind]
    story.offers = [task for task in story.offers if task.queue.type != kind]
    return found


def test_a_waiting_task_ends_and_another_begins_as_a_first_attempt() -> None:
    story = Chronicle()
    story.begin()
    pause(story)
    assert story.history()[1:] == [
        "2 WorkflowTaskScheduled",
        "3 WorkflowTaskFailed(scheduled 2, WorkflowPauseRequestedBeforeTaskStarted)",
        "4 WorkflowExecutionPaused(why)",
    ]
    story.signal()
    assert story.execution.task is None
    unpause(story)
    assert story.history(after=5) == ["6 WorkflowExecutionUnpaused(on)", "7 WorkflowTaskScheduled"]
    assert story.take().attempt == 1


def test_nothing_is_due_but_timeouts_while_paused() -> None:
    story = pause(idle(schedule_activity("a"), start_timer("t", 5)))
    assert alarm.volatile_alarm(story.execution) == story.now + 5 * SECOND
    story.wait(6)
    assert "TimerFired(t" in story.history()[-1]
    assert alarm.volatile_alarm(story.execution) == alarm.NEVER
    loaded = story.shelf.load(story.run_id)
    assert alarm.durable_alarm(loaded) == alarm.NEVER
    assert alarm.volatile_alarm(loaded) == alarm.NEVER


def test_an_offer_from_before_the_pause_is_stale_and_the_unpausing_makes_another() -> None:
    story = idle(schedule_activity("a"))
    before = offered(story, ACTIVITY)
    pause(story)
    assert story.apply(started_fact(before[0], "r1")).__class__ is Stale
    assert offered(story, ACTIVITY) == []
    unpause(story)
    after = offered(story, ACTIVITY)
    assert [task.scheduled_event_id for task in after] == [before[0].scheduled_event_id]
    assert story.apply(started_fact(before[0], "r2")).__class__ is Stale
    assert story.apply(started_fact(after[0], "r3")).__class__ is not Stale


def test_a_paused_run_survives_a_crash_and_offers_after_it_when_unpaused() -> None:
    story = pause(idle(schedule_activity("a"))).crash()
    offered(story, ACTIVITY)
    story.ring()
    assert offered(story, ACTIVITY) == []
    unpause(story)
    assert len(offered(story, ACTIVITY)) == 1


def test_a_retry_that_falls_due_while_paused_waits() -> None:
    story = idle(schedule_activity("a", retry=retry_policy(1)))
    delivery = story.take_activity()
    pause(story)
    story.apply(ActivityTaskFailed(story.run_id, target_of(delivery), None, None, "worker"))
    story.wait(10)
    assert offered(story, ACTIVITY) == []
    unpause(story)
    assert [task.attempt for task in offered(story, ACTIVITY)] == [2]


def test_a_retry_that_lies_ahead_is_offered_at_its_time() -> None:
    story = idle(schedule_activity("a", retry=retry_policy(10)))
    delivery = story.take_activity()
    pause(story)
    story.apply(ActivityTaskFailed(story.run_id, target_of(delivery), None, None, "worker"))
    unpause(story.wait(2))
    assert offered(story, ACTIVITY) == []
    story.wait(9)
    assert [task.attempt for task in offered(story, ACTIVITY)] == [2]


def test_what_operators_do_to_an_activity_of_a_paused_run_offers_nothing() -> None:
    """The reference schedules the attempt anew without a look at the run, and a worker gets it."""
    chosen = ActivitySelection(activity_id="a")
    options = activities.ActivityOptions(heartbeat_timeout=duration_of(SECOND))
    for verb in (
        ResetActivity("", chosen, False, False, False, 0),
        UpdateActivityOptions("", chosen, options, ("heartbeat_timeout",), False),
        UnpauseActivity("", chosen, False, False, 0),
    ):
        story = idle(schedule_activity("a"))
        story.apply(PauseActivity("", chosen, "operator", "why", "a"))
        offered(story, ACTIVITY)
        pause(story)
        story.apply(verb)
        story.apply(UnpauseActivity("", chosen, False, False, 0))
        story.wait(1)
        assert offered(story, ACTIVITY) == [], verb
        unpause(story)
        assert len(offered(story, ACTIVITY)) == 1, verb


def test_a_start_delay_passes_while_paused() -> None:
    story = Chronicle()
    story.begin(delay=5)
    pause(story).wait(10)
    assert story.history(after=1) == ["2 WorkflowExecutionPaused(why)"]
    unpause(story)
    assert story.history(after=2) == ["3 WorkflowExecutionUnpaused(on)", "4 WorkflowTaskScheduled"]


def test_a_start_delay_that_is_not_over_is_waited_for_after_the_unpausing() -> None:
    story = Chronicle()
    story.begin(delay=5)
    unpause(pause(story))
    assert story.execution.task is None
    story.wait(6)
    assert story.execution.task is not None


def test_unpausing_does_not_start_a_scheduled_run_before_its_time() -> None:
    """Nor when an update has interrupted the delay in vain. The dev server runs the job at once, and it lets no delayed
    run be paused that no update has interrupted (decision 011).
    """
    story = Chronicle()
    story.begin(delay=3600, cron_schedule="0 * * * *")
    story.update("u")
    story.take()
    story.complete(messages=[reject("u")])
    unpause(pause(story).wait(60))
    story.signal()
    assert story.history(after=1) == [
        "2 WorkflowExecutionPaused(why)",
        "3 WorkflowExecutionUnpaused(on)",
        "4 WorkflowExecutionSignaled(go)",
    ]
    assert alarm.durable_alarm(story.execution) == story.execution.info.execution_time
    story.wait(3539)
    assert story.execution.task is None
    story.wait(1)
    assert story.history(after=4) == ["5 WorkflowTaskScheduled"]


def test_an_update_whose_task_nobody_has_taken_goes_with_the_next_one() -> None:
    story = idle()
    story.update("u")
    waiter = story.last_waiter
    pause(story)
    assert story.history(after=4) == ["5 WorkflowExecutionPaused(why)"]
    with pytest.raises(FailedPrecondition, match="Workflow is paused"):
        story.update("v")
    unpause(story)
    messages = story.take().messages
    assert len(messages) == 1
    story.complete(messages=[accept("u"), respond("u")])
    assert isinstance(story.heard(waiter), UpdateStatus)


def test_a_paused_run_is_ended_by_force_and_by_time() -> None:
    story = pause(idle())
    attributes = history.WorkflowExecutionTerminatedEventAttributes(reason="enough")
    story.apply(Terminate("", "", attributes, ()))
    assert not story.execution.running
    with pytest.raises(NotFound):
        pause(story)
    late = Chronicle()
    late.begin(workflow_run_timeout=duration_of(5 * SECOND))
    pause(late).wait(6)
    assert "WorkflowExecutionTimedOut" in late.history()[-1]


def test_the_same_request_again_changes_nothing() -> None:
    story = pause(idle())
    version = story.execution.version
    pause(story)
    assert story.execution.version == version
    with pytest.raises(FailedPrecondition):
        pause(story, "another")


def test_a_result_by_id_is_taken_while_paused() -> None:
    story = pause(idle(schedule_activity("a")))
    story.complete_activity(by_id("a"), payloads("ok"))
    assert story.history()[-1].startswith("8 ActivityTaskCompleted")
    assert offered(story, WORKFLOW) == []


def test_a_pause_while_a_task_runs_waits_for_its_id_but_holds_at_once() -> None:
    story = pause(busy())
    assert story.execution.paused
    story.rejected(complete_workflow())
    assert story.history(after=4) == ["5 WorkflowExecutionPaused(why)"]
    assert story.execution.task is None
