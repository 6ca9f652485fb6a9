"""Signals, cancel requests, terminations, timeouts of runs, retention (semantics 7, 10.4, 11; D9)."""

from __future__ import annotations

import pytest

from perdure.api import common, history
from perdure.errors import InvalidArgument, NotFound
from perdure.machines.env import Limits
from perdure.machines.workflow.execution import CANCELED, RUNNING, TERMINATED, TIMED_OUT
from perdure.machines.workflow.inputs import AlarmRang, Signal, Terminate
from perdure.machines.workflow.needs import needs
from tests.machines.builders import SECOND, T0, complete_workflow, retry_policy, schedule_activity, start_timer
from tests.machines.chronicles import Chronicle, busy, cancel_workflow, idle

DAY = 86_400


# -- signals -----------------------------------------------------------------------------------------------------------


def test_a_signal_wakes_the_workflow_once() -> None:
    story = idle().signal("a").signal("b")

    assert story.history(after=4) == [
        "5 WorkflowExecutionSignaled(a)",
        "6 WorkflowTaskScheduled",
        "7 WorkflowExecutionSignaled(b)",
    ]
    delivery = story.take()
    assert delivery.started_event_id == 8, "the signal stands between the two events of the task"
    story.complete()
    assert story.history(after=7) == [
        "8 WorkflowTaskStarted(scheduled 6)",
        "9 WorkflowTaskCompleted(scheduled 6, started 8)",
    ]


def test_a_signal_s_attributes_and_links_are_kept() -> None:
    attributes = history.WorkflowExecutionSignaledEventAttributes(signal_name="go", identity="me", request_id="r")
    link = common.Link(workflow_event=common.Link.WorkflowEvent(workflow_id="other"))
    story = idle()
    story.apply(Signal(story.run_id, attributes, "r", (link,)))

    assert story.events[4].workflow_execution_signaled_event_attributes == attributes
    assert list(story.events[4].links) == [link]


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("others", [0, 40])
def test_a_repeated_signal_changes_nothing(others: int, crashed: bool) -> None:
    """Few ids live in the core, many in rows that are fetched by key: the same rule."""
    story = idle()
    for number in range(others):
        story.signal(request_id=f"other {number}")
    story.signal("first", request_id="r")
    count = story.execution.signal_count
    if crashed:
        story.crash()

    story.signal("again", request_id="r")

    assert not story.stored
    assert story.execution.signal_count == count


@pytest.mark.parametrize("crashed", [False, True])
def test_the_store_is_asked_for_a_signal_only_after_a_load(crashed: bool) -> None:
    """A run that has been in memory since it began knows all its signals, however many there are."""
    story = idle()
    for number in range(40):
        story.signal(request_id=f"other {number}")
    if crashed:
        story.crash()

    signal = Signal(story.run_id, history.WorkflowExecutionSignaledEventAttributes(signal_name="go"), "new")
    asked = needs(story.state, signal, story.now)

    assert (asked.signal_id if asked is not None else "") == ("new" if crashed else "")


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("others", [0, 40])
def test_a_signal_is_not_refused_for_a_close_that_came_after_it(others: int, crashed: bool) -> None:
    """Its caller did not hear the answer and asks again: the signal is in the history."""
    story = idle()
    for number in range(others):
        story.signal(request_id=f"other {number}")
    story.signal("first", request_id="r")
    story.terminate()
    if crashed:
        story.crash()

    story.signal("again", request_id="r")

    assert not story.stored
    with pytest.raises(NotFound, match="workflow execution already completed"):
        story.signal("new", request_id="s")


def test_signals_without_a_request_id_are_all_different() -> None:
    assert idle().signal().signal().execution.signal_count == 2


def test_a_run_takes_so_many_signals() -> None:
    """Semantics 7.1; the ones it has seen still succeed."""
    limits = Limits()
    limits.signals = 2
    story = idle(limits=limits).signal(request_id="r").signal()

    with pytest.raises(InvalidArgument, match="exceeded workflow execution limit for signal events"):
        story.signal()
    story.signal(request_id="r")


def test_a_closed_run_takes_no_signal_but_says_so() -> None:
    story = idle(complete_workflow())
    with pytest.raises(NotFound, match="workflow execution already completed"):
        story.signal()
    with pytest.raises(NotFound, match="workflow execution already completed"):
        story.terminate()


def test_a_signal_to_another_run_is_not_found() -> None:
    with pytest.raises(NotFound):
        idle().signal(run_id="5f0f7f9e-0000-7000-8000-000000000000")


# -- cancel ------------------------------------------------------------------------------------------------------------


def test_a_cancel_request_is_an_event_and_asks_only_once() -> None:
    story = idle().request_cancel(reason="enough").request_cancel()

    assert story.history(after=4) == [
        "5 WorkflowExecutionCancelRequested(enough)",
        "6 WorkflowTaskScheduled",
    ]
    assert story.execution.cancel_requested
    story.turn(cancel_workflow())
    assert story.history(after=8) == ["9 WorkflowExecutionCanceled(completed 8)"]
    assert story.execution.status == CANCELED
    story.request_cancel()
    assert not story.stored, "a closed run is a success without effect"


def test_a_first_run_id_must_be_the_chain_s() -> None:
    story = idle()
    with pytest.raises(NotFound, match="workflow execution not found"):
        story.request_cancel(first_run_id="another")
    with pytest.raises(NotFound, match="workflow execution not found"):
        story.apply(Terminate("", "another", history.WorkflowExecutionTerminatedEventAttributes()))
    story.request_cancel(first_run_id=story.run_id)
    assert story.execution.cancel_requested


# -- terminate ---------------------------------------------------------------------------------------------------------


def test_terminating_ends_a_running_task_and_keeps_what_was_buffered() -> None:
    """D9."""
    story = busy()
    story.signal()
    story.crash()
    story.terminate()

    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowExecutionTerminated(enough)",
    ]
    assert story.execution.status == TERMINATED


def test_terminating_leaves_a_task_that_nobody_took() -> None:
    story = Chronicle()
    story.begin()
    story.terminate()

    assert story.history(after=2) == ["3 WorkflowExecutionTerminated(enough)"]


def test_terminating_during_a_transient_attempt_writes_no_failure() -> None:
    story = busy()
    story.fail_task()
    story.take()
    story.signal()
    story.terminate()

    assert story.history(after=4) == ["5 WorkflowExecutionSignaled(go)", "6 WorkflowExecutionTerminated(enough)"]


# -- timeouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashed", [False, True])
def test_a_run_times_out(crashed: bool) -> None:
    story = idle(start_timer("t", 99), run_timeout=30)
    if crashed:
        story.crash()
    story.wait(29)
    assert story.execution.status == RUNNING
    story.wait(1)

    assert story.history(after=5) == ["6 WorkflowExecutionTimedOut(RetryPolicyNotSet)"]
    assert (story.execution.status, story.execution.close_time) == (TIMED_OUT, T0 + 30 * SECOND)


def test_a_run_that_times_out_during_a_task_ends_it_first() -> None:
    """Semantics 10.4."""
    story = Chronicle()
    story.begin(run_timeout=30, task_timeout=30)
    story.wait(25)
    story.take()
    story.signal().wait(5)

    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowExecutionTimedOut(RetryPolicyNotSet)",
    ]


def test_the_execution_s_timeout_is_final() -> None:
    story = idle(execution_timeout=30, retry=retry_policy(1))
    story.wait(30)

    assert story.history(after=4) == ["5 WorkflowExecutionTimedOut(Timeout)"]
    assert len(story.runs) == 1


# -- after the end -----------------------------------------------------------------------------------------------------


def test_a_closed_run_is_reclaimed_after_the_retention_of_its_namespace() -> None:
    story = idle(start_timer("t", 5), schedule_activity("a"))
    story.signal().turn(complete_workflow())
    story.wait(DAY - 1)
    assert story.execution.alarm == story.execution.close_time + DAY * SECOND
    before = len(story.events)
    story.ring()
    assert not story.stored
    story.crash().sleep(1)

    story.apply(AlarmRang(story.run_id))

    assert story.last is not None
    assert [delta.reclaim for delta in story.last.deltas] == [True]
    assert len(story.events) == before, "its timers and activities are forgotten"


def test_a_closed_run_owes_nothing_else() -> None:
    story = idle(start_timer("t", 5), schedule_activity("a"))
    story.signal().turn(complete_workflow())
    story.offers.clear()
    story.wait(60)

    assert story.offers == []
    assert story.history()[-1].startswith("11 WorkflowExecutionCompleted")


def test_what_a_closed_run_still_had_pending_can_be_seen() -> None:
    """Describe shows it, from memory and from the store."""
    story = idle(schedule_activity("a"))
    story.terminate()
    assert list(story.execution.activity_ids) == ["a"]

    assert list(story.shelf.load(story.run_id).activity_ids) == ["a"]


def test_closing_tells_visibility() -> None:
    story = idle()
    story.terminate()

    assert story.last is not None
    (delta,) = story.last.deltas
    assert delta.visibility
    assert delta.execution.status == TERMINATED
