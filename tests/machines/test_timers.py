"""User timers: START_TIMER, CANCEL_TIMER and firing (semantics 4.3, 6, D7)."""

from __future__ import annotations

import pytest

from perdure.api import Duration, enums
from perdure.api import command as commands
from perdure.errors import InvalidArgument
from perdure.machines.env import Limits
from tests.machines.builders import (
    SECOND,
    T0,
    busy_execution,
    cancel_timer,
    complete_workflow,
    running_execution,
    start_timer,
)
from tests.machines.chronicles import idle


def test_a_timer_fires_at_its_time_and_wakes_the_workflow() -> None:
    story = running_execution(start_timer("t", 10)).wait(9.9)
    assert story.told(4) == ["5 TimerStarted"]

    story.wait(1)

    assert story.told(4) == ["5 TimerStarted", "6 TimerFired", "7 WorkflowTaskScheduled"]
    fired = story.event(6).timer_fired_event_attributes
    assert (fired.timer_id, fired.started_event_id) == ("t", 5)
    assert story.event(6).event_time.seconds == (T0 + 10 * SECOND) // SECOND
    assert not story.execution.timers


def test_a_timer_that_takes_the_id_of_one_cancelled_beside_it_outlives_its_owner() -> None:
    """The dev server writes the new timer, deletes by the id, and has lost it when it loads the run again (decision
    011).
    """
    story = idle(start_timer("t", 60)).signal()
    story.turn(cancel_timer("t"), start_timer("t", 5)).crash()
    story.wait(6)
    assert story.history(after=9) == [
        "10 TimerCanceled(t, started 5, completed 9)",
        "11 TimerStarted(t, completed 9)",
        "12 TimerFired(t, started 11)",
        "13 WorkflowTaskScheduled",
    ]


def test_a_timer_of_zero_seconds_fires_after_the_task_that_started_it() -> None:
    """It goes the way of every timer (Appendix F 18)."""
    story = running_execution(start_timer("t", 0))
    assert story.told(4) == ["5 TimerStarted"]

    story.wait(0)

    assert story.told(5) == ["6 TimerFired", "7 WorkflowTaskScheduled"]


def test_timers_fire_in_the_order_of_their_deadlines_and_wake_the_workflow_once() -> None:
    """Whoever looks late finds them in order: by deadline, then by the order in which they were started."""
    story = running_execution(start_timer("late", 3), start_timer("b", 2), start_timer("a", 2), start_timer("far", 99))

    story.sleep(5).ring()

    assert story.told(8) == ["9 TimerFired", "10 TimerFired", "11 TimerFired", "12 WorkflowTaskScheduled"]
    assert [story.event(n).timer_fired_event_attributes.timer_id for n in (9, 10, 11)] == ["b", "a", "late"]
    assert list(story.execution.timers) == ["far"]


def test_starting_and_cancelling_in_one_batch_leaves_two_events_and_no_timer() -> None:
    story = running_execution(start_timer("t", 10), cancel_timer("t")).wait(60)

    assert story.told(4) == ["5 TimerStarted", "6 TimerCanceled"]
    cancelled = story.event(6).timer_canceled_event_attributes
    assert (cancelled.timer_id, cancelled.started_event_id, cancelled.identity) == ("t", 5, "worker")
    assert cancelled.workflow_task_completed_event_id == 4


def test_a_timer_id_may_be_used_again_after_it_was_cancelled() -> None:
    story = running_execution(start_timer("t", 10), cancel_timer("t"), start_timer("t", 20)).wait(15)
    assert story.told(6) == ["7 TimerStarted"]

    assert story.wait(5).told(7) == ["8 TimerFired", "9 WorkflowTaskScheduled"]


def test_a_firing_waits_in_the_buffer_while_a_workflow_task_runs() -> None:
    story = busy_execution(start_timer("t", 1)).wait(1)
    assert story.told(8) == []

    story.complete()

    assert story.told(8) == ["9 WorkflowTaskCompleted", "10 TimerFired", "11 WorkflowTaskScheduled"]


def test_a_buffered_firing_is_taken_back_by_a_cancel_and_the_workflow_may_then_complete() -> None:
    """D7, Appendix F 3: what the worker never saw did not happen."""
    story = busy_execution(start_timer("t", 1)).wait(1)

    story.complete(cancel_timer("t"), complete_workflow())

    assert story.told(8) == ["9 WorkflowTaskCompleted", "10 TimerCanceled", "11 WorkflowExecutionCompleted"]
    assert story.event(10).timer_canceled_event_attributes.started_event_id == 5


def test_taking_a_firing_back_does_not_hide_other_buffered_events() -> None:
    """A signal that came meanwhile still forbids to complete."""
    story = busy_execution(start_timer("t", 1)).wait(1).signal("again")

    with pytest.raises(InvalidArgument, match="UnhandledCommand"):
        story.complete(cancel_timer("t"), complete_workflow())

    assert story.told(8) == [
        "9 WorkflowTaskFailed",
        "10 TimerFired",
        "11 WorkflowExecutionSignaled",
        "12 WorkflowTaskScheduled",
    ]


def test_one_firing_of_several_is_taken_back() -> None:
    story = busy_execution(start_timer("a", 1), start_timer("b", 1)).wait(1)

    story.complete(cancel_timer("b"))

    assert story.told(9) == [
        "10 WorkflowTaskCompleted",
        "11 TimerCanceled",
        "12 TimerFired",
        "13 WorkflowTaskScheduled",
    ]
    assert story.event(12).timer_fired_event_attributes.timer_id == "a"


def _without_duration() -> commands.Command:
    command = start_timer("t", 0)
    command.start_timer_command_attributes.ClearField("start_to_fire_timeout")
    return command


def test_a_timer_without_a_duration_is_a_timer_of_zero_seconds() -> None:
    story = running_execution(_without_duration()).wait(0)

    assert not story.event(5).timer_started_event_attributes.HasField("start_to_fire_timeout")
    assert story.told(5) == ["6 TimerFired", "7 WorkflowTaskScheduled"]


def test_a_duration_of_centuries_is_cut_to_one() -> None:
    command = start_timer("t", 0)
    command.start_timer_command_attributes.start_to_fire_timeout.seconds = 10**12

    story = running_execution(command)

    assert story.event(5).timer_started_event_attributes.start_to_fire_timeout == Duration(seconds=100 * 365 * 86_400)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (
            [commands.Command(command_type=enums.COMMAND_TYPE_START_TIMER)],
            "BadStartTimerAttributes: StartTimerCommandAttributes is not set on StartTimerCommand.",
        ),
        ([start_timer("", 1)], "BadStartTimerAttributes: TimerId is not set on StartTimerCommand."),
        (
            [start_timer("xxxxx", 1)],
            (
                "BadStartTimerAttributes: TimerId on StartTimerCommand exceeds length limit. "
                "TimerId=xxxxx Length=5 Limit=4"
            ),
        ),
        (
            [start_timer("t", -1)],
            (
                "BadStartTimerAttributes: An invalid StartToFireTimeout is set on StartTimerCommand: negative duration."
                " TimerId=t"
            ),
        ),
        (
            [start_timer("t", 1), start_timer("t", 1)],
            "StartTimerDuplicateId: invalid history builder state for action: add-timer-started-event, TimerID: t",
        ),
        (
            [commands.Command(command_type=enums.COMMAND_TYPE_CANCEL_TIMER)],
            "BadCancelTimerAttributes: CancelTimerCommandAttributes is not set on CancelTimerCommand.",
        ),
        ([cancel_timer("")], "BadCancelTimerAttributes: TimerId is not set on CancelTimerCommand."),
        (
            [cancel_timer("xxxxx")],
            (
                "BadCancelTimerAttributes: TimerId on CancelTimerCommand exceeds length limit. "
                "TimerId=xxxxx Length=5 Limit=4"
            ),
        ),
        (
            [start_timer("t", 1), cancel_timer("t"), cancel_timer("t")],
            "BadCancelTimerAttributes: invalid history builder state for action: add-timer-canceled-event, TimerID: t",
        ),
    ],
)
def test_bad_timer_commands(batch: list[commands.Command], text: str) -> None:
    """The texts are Temporal's; neighbours in the batch leave no trace."""
    limits = Limits()
    limits.id_length = 4
    story = running_execution(limits=limits).signal()
    story.take()

    with pytest.raises(InvalidArgument) as refused:
        story.complete(*batch)

    assert refused.value.message == text
    assert story.told(7) == ["8 WorkflowTaskFailed"]
    assert not story.execution.timers
    assert story.execution.deadlines is None
