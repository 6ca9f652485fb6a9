"""The four timeouts of an activity, their order and what they become (semantics 5.5, 5.6, 6; Appendix F 15)."""

from __future__ import annotations

import pytest

from perdure.api import common, enums, failures, history
from perdure.machines.deadlines import Deadline
from perdure.machines.workflow import alarm
from tests.machines.builders import (
    GRACE_S,
    SECOND,
    T0,
    Story,
    busy_execution,
    payloads,
    request_cancel_activity,
    retry_policy,
    running_execution,
    schedule_activity,
    start_timer,
    target_of,
)

ONCE = retry_policy(1, 1, 0, 1)


def timed_out(story: Story, event_id: int) -> history.ActivityTaskTimedOutEventAttributes:
    event = story.event(event_id)
    assert event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT
    return event.activity_task_timed_out_event_attributes


def heap_size(heap: Deadline | None) -> int:
    return 0 if heap is None else 1 + heap_size(heap.left) + heap_size(heap.right)


def test_an_activity_that_no_worker_takes_times_out_without_a_start() -> None:
    story = running_execution(schedule_activity("a", schedule_to_start=5)).wait(5)

    assert story.told(5) == ["6 ActivityTaskTimedOut", "7 WorkflowTaskScheduled"]
    attributes = timed_out(story, 6)
    assert (attributes.scheduled_event_id, attributes.started_event_id) == (5, 0)
    assert attributes.retry_state == enums.RETRY_STATE_TIMEOUT
    assert attributes.failure == failures.timeout_failure(
        "activity ScheduleToStart timeout", enums.TIMEOUT_TYPE_SCHEDULE_TO_START
    )


def test_an_attempt_that_takes_too_long_is_retried() -> None:
    """A worker's crash leaves no event (Appendix F 15)."""
    story = running_execution(schedule_activity("a", start_to_close=3, retry=retry_policy(1)))
    story.take_activity()

    story.wait(3 + GRACE_S)
    assert story.told(5) == []
    assert story.activity("a").last_attempt_complete_time == 0
    second = story.wait(1).take_activity()
    story.complete_activity(target_of(second))

    attributes = story.event(6).activity_task_started_event_attributes
    assert attributes.attempt == 2
    assert attributes.last_failure == failures.timeout_failure(
        "activity StartToClose timeout", enums.TIMEOUT_TYPE_START_TO_CLOSE
    )


def test_the_last_attempts_timeout_is_an_event() -> None:
    story = running_execution(schedule_activity("a", start_to_close=3, retry=ONCE))
    story.take_activity()

    story.wait(3 + GRACE_S)

    assert story.told(5) == ["6 ActivityTaskStarted", "7 ActivityTaskTimedOut", "8 WorkflowTaskScheduled"]
    attributes = timed_out(story, 7)
    assert attributes.started_event_id == 6
    assert attributes.failure.message == "activity StartToClose timeout"
    assert attributes.retry_state == enums.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED


def test_a_timeout_that_the_policy_lists_is_not_retried() -> None:
    policy = retry_policy(1, 1, 0, 0, "TemporalTimeout:StartToClose")
    story = running_execution(schedule_activity("a", start_to_close=3, retry=policy))
    story.take_activity()

    assert timed_out(story.wait(3 + GRACE_S), 7).retry_state == enums.RETRY_STATE_NON_RETRYABLE_FAILURE


def test_an_answer_that_was_in_time_by_the_workers_clock_is_in_time() -> None:
    """The task and the answer travel, and the worker cannot know how long (decision 008)."""
    story = running_execution(schedule_activity("a", start_to_close=3, retry=ONCE))
    target = target_of(story.take_activity())

    story.wait(3 + GRACE_S / 2).complete_activity(target)

    assert story.told(5) == ["6 ActivityTaskStarted", "7 ActivityTaskCompleted", "8 WorkflowTaskScheduled"]


def test_heartbeats_put_off_the_heartbeat_timeout() -> None:
    """It strikes one interval after the last sign of life and carries the last details."""
    story = running_execution(schedule_activity("a", heartbeat=2, retry=ONCE))
    target = target_of(story.take_activity())
    for _ in range(3):
        story.wait(1.5).heartbeat(target, payloads("alive"))

    story.wait(2)
    assert story.told(5) == []
    story.wait(GRACE_S)

    attributes = timed_out(story, 7)
    assert attributes.failure == failures.timeout_failure(
        "activity Heartbeat timeout", enums.TIMEOUT_TYPE_HEARTBEAT, payloads("alive")
    )


def test_a_heartbeat_of_an_earlier_attempt_does_not_shorten_the_next() -> None:
    story = running_execution(schedule_activity("a", heartbeat=2, retry=retry_policy(10)))
    story.heartbeat(target_of(story.take_activity()))
    story.wait(12 + GRACE_S).take_activity()

    story.wait(1.9)

    assert story.activity("a").started_time == T0 + int((12 + GRACE_S) * SECOND)


def test_a_heartbeat_costs_no_entry_of_the_deadline_queue() -> None:
    """Moving a deadline away leaves an early entry: ten thousand heartbeats, one entry (DESIGN 1.4)."""
    story = running_execution(schedule_activity("a", heartbeat=60))
    target = target_of(story.take_activity())
    size = heap_size(story.execution.deadlines)

    for _ in range(100):
        story.sleep(0.01).heartbeat(target)

    assert heap_size(story.execution.deadlines) == size


def test_many_attempts_do_not_pile_up_deadlines() -> None:
    """What an attempt leaves behind is dropped when it surfaces, not multiplied."""
    story = running_execution(schedule_activity("a", start_to_close=10, retry=retry_policy(1)))
    sizes: list[int] = []
    for _ in range(200):
        target = target_of(story.take_activity())
        story.wait(1).fail_activity(target)
        story.wait(1)
        sizes.append(heap_size(story.execution.deadlines))

    assert max(sizes) <= 20


def test_schedule_to_close_strikes_a_waiting_activity() -> None:
    """What is reported is that no time is left for a retry, whatever was going on."""
    story = running_execution(schedule_activity("a", schedule_to_close=9, schedule_to_start=9)).wait(9)

    attributes = timed_out(story, 6)
    assert attributes.retry_state == enums.RETRY_STATE_TIMEOUT
    assert attributes.started_event_id == 0


def test_schedule_to_close_counts_from_the_first_schedule() -> None:
    """It covers all attempts and the pauses between them, and brings the last failure as its cause."""
    story = running_execution(schedule_activity("a", schedule_to_close=20, start_to_close=19, retry=retry_policy(10)))
    story.wait(1).fail_activity(target_of(story.take_activity()))
    story.wait(10).take_activity()

    story.wait(8.9)
    assert story.told(5) == []
    story.wait(0.1)

    failure = timed_out(story, 7).failure
    assert failure.message == failures.RETRY_OUTLIVES_ACTIVITY
    assert failure.timeout_failure_info.timeout_type == enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
    assert failure.cause.message == "boom"


def test_a_timeout_too_late_for_another_attempt_is_reported_as_schedule_to_close() -> None:
    story = running_execution(schedule_activity("a", schedule_to_close=10, start_to_close=3, retry=retry_policy(60)))
    story.take_activity()

    attributes = timed_out(story.wait(3 + GRACE_S), 7)

    assert attributes.retry_state == enums.RETRY_STATE_TIMEOUT
    assert attributes.failure.message == failures.RETRY_OUTLIVES_ACTIVITY


def test_schedule_to_start_of_a_retry_counts_from_its_own_schedule() -> None:
    story = running_execution(schedule_activity("a", schedule_to_start=5, retry=retry_policy(60)))
    story.fail_activity(target_of(story.take_activity()))

    story.wait(64)
    assert story.told(5) == []
    story.wait(1)

    assert timed_out(story, 6).failure.cause.message == "boom"


def test_a_timeout_after_a_cancel_request_is_not_retried() -> None:
    story = running_execution(schedule_activity("a", start_to_close=3))
    story.take_activity()
    story.signal().turn(request_cancel_activity(5))

    attributes = timed_out(story.wait(3 + GRACE_S), 12)

    assert attributes.retry_state == enums.RETRY_STATE_CANCEL_REQUESTED
    assert attributes.failure.message == "activity StartToClose timeout"


def test_a_timeout_is_buffered_while_a_workflow_task_runs() -> None:
    story = busy_execution(schedule_activity("a", schedule_to_start=2)).wait(2)
    assert story.told(8) == []

    story.complete()

    assert story.told(9) == ["10 ActivityTaskTimedOut", "11 WorkflowTaskScheduled"]


def test_timeouts_that_fell_due_together_come_in_the_order_of_their_deadlines() -> None:
    """Whoever looks late finds them in order: deadline, then event id; timers among them."""
    story = running_execution(
        schedule_activity("late", schedule_to_start=4),
        schedule_activity("b", schedule_to_start=2),
        schedule_activity("a", schedule_to_start=2),
        start_timer("t", 3),
    )

    story.sleep(9).ring()

    assert story.told(8) == [
        "9 TimerFired",
        "10 ActivityTaskTimedOut",
        "11 ActivityTaskTimedOut",
        "12 ActivityTaskTimedOut",
        "13 WorkflowTaskScheduled",
    ]
    assert [timed_out(story, n).scheduled_event_id for n in (10, 11, 12)] == [6, 7, 5]


def test_an_early_entry_does_not_jump_the_queue() -> None:
    """The entry of "first" surfaces first, but a heartbeat has put its deadline behind that of "second"."""
    story = running_execution(
        schedule_activity("first", heartbeat=2, retry=ONCE),
        schedule_activity("second", start_to_close=3, retry=ONCE),
        start_timer("ahead", 1.9),
    )
    target = target_of(story.take_activity())
    story.take_activity()
    story.sleep(1.5).heartbeat(target)

    story.sleep(9).ring()
    story.wait(0)

    order = [
        event.activity_task_timed_out_event_attributes.scheduled_event_id
        for event in story.events
        if event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT
    ]
    assert order == [6, 5]


@pytest.mark.parametrize("timeouts", [{"start_to_close": 5.0}, {"start_to_close": 9.0, "heartbeat": 5.0}])
def test_the_alarm_is_the_earliest_timeout(timeouts: dict[str, float]) -> None:
    story = running_execution(schedule_activity("a", retry=ONCE, **timeouts))  # type: ignore[arg-type]  # seconds
    assert alarm.volatile_alarm(story.execution) == alarm.NEVER

    story.wait(1).take_activity()

    assert alarm.volatile_alarm(story.execution) == T0 + int((6 + GRACE_S) * SECOND)


def test_a_closed_run_has_no_activity_timeouts() -> None:
    story = running_execution(schedule_activity("a", schedule_to_start=5)).terminate()

    story.wait(10)

    assert story.told(5) == ["6 WorkflowExecutionTerminated"]


def test_the_details_of_a_heartbeat_survive_the_timeout_of_its_attempt() -> None:
    """Appendix F 15."""
    story = running_execution(schedule_activity("a", start_to_close=3, retry=retry_policy(1)))
    story.heartbeat(target_of(story.take_activity()), payloads("half way"))

    delivery = story.wait(4 + GRACE_S).take_activity()

    assert common.Payloads.FromString(delivery.heartbeat_details) == payloads("half way")
