"""Operators pause, unpause, reset and retune pending activities; no event tells of it (semantics 5.7)."""

from __future__ import annotations

import pytest

from perdure.api import activity as activities
from perdure.api import enums, failures
from perdure.api.times import duration_of
from perdure.errors import FailedPrecondition, InvalidArgument, NotFound
from perdure.machines.workflow import codec
from perdure.machines.workflow.inputs import Stale
from perdure.machines.workflow.operator_inputs import (
    ActivitySelection,
    PauseActivity,
    ResetActivity,
    UnpauseActivity,
    UpdateActivityOptions,
)
from tests.machines.builders import (
    GRACE_S,
    SECOND,
    Story,
    described,
    payloads,
    retry_policy,
    running_execution,
    schedule_activity,
    started_activity,
    started_fact,
    target_of,
)

A = ActivitySelection(activity_id="a")
PAUSE_INFO = "TemporalPauseInfo"


def pause(story: Story, selection: ActivitySelection = A, request_id: str = "p") -> None:
    story.apply(PauseActivity("", selection, "operator", "why", request_id))


def unpause(story: Story, attempts: bool = False, heartbeat: bool = False, jitter: int = 0) -> None:
    story.apply(UnpauseActivity("", A, attempts, heartbeat, jitter))


def reset(story: Story, heartbeat: bool = False, keep_paused: bool = False, restore: bool = False) -> None:
    story.apply(ResetActivity("", A, heartbeat, keep_paused, restore, 0))


def update(story: Story, options: activities.ActivityOptions, *paths: str) -> activities.ActivityOptions:
    outcome = story.apply(UpdateActivityOptions("", A, options, paths, False))
    assert isinstance(outcome, activities.ActivityOptions)
    return outcome


def test_a_paused_activity_is_neither_started_nor_timed_out() -> None:
    """The task in matching has gone stale; deadlines sleep until the unpausing, which offers the attempt anew."""
    story = running_execution(schedule_activity("a", schedule_to_start=5))
    task = story.activity_offers()[0]
    story.offers.clear()
    pause(story)

    assert isinstance(story.apply(started_fact(task, "r")), Stale)
    story.wait(60)
    assert story.told(4) == ["5 ActivityTaskScheduled"]
    assert described(story, "a").state == enums.PENDING_ACTIVITY_STATE_PAUSED
    assert described(story, "a").pause_info.manual.reason == "why"

    unpause(story)
    assert [one.stamp for one in story.activity_offers()] == [2]
    story.wait(4)
    assert story.told(5) == []
    story.wait(1)
    assert story.told(5)[0] == "6 ActivityTaskTimedOut"


def test_a_running_attempt_hears_of_the_pause_and_its_failure_waits() -> None:
    story, target = started_activity(retry=retry_policy(1, 1, 0, 1), heartbeat=30)
    pause(story)
    assert story.heartbeat(target).activity_paused
    assert described(story, "a").state == enums.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED

    story.fail_activity(target)
    story.wait(100)
    assert story.activity("a").attempt == 2
    assert not story.activity_offers()

    unpause(story)
    delivery = story.take_activity()
    assert delivery.attempt == 2
    story.fail_activity(target_of(delivery))
    assert story.told(5)[:2] == ["6 ActivityTaskStarted", "7 ActivityTaskFailed"]


def test_a_non_retryable_failure_ends_a_paused_activity() -> None:
    story, target = started_activity(retry=retry_policy(1))
    pause(story)
    story.fail_activity(target, failures.application_failure("no", "Kind", non_retryable=True))
    assert story.told(5)[:2] == ["6 ActivityTaskStarted", "7 ActivityTaskFailed"]


def test_pausing_again_needs_the_same_request_id() -> None:
    story = running_execution(schedule_activity("a"))
    pause(story, request_id="p")
    pause(story, request_id="p")
    with pytest.raises(FailedPrecondition, match="activity is already paused"):
        pause(story, request_id="q")


def test_the_search_attribute_names_the_paused_types() -> None:
    story = running_execution(schedule_activity("a"), schedule_activity("b"))
    pause(story, ActivitySelection(activity_type="Act"))
    assert b'["property:activityType=Act"]' in story.execution.search_attributes[PAUSE_INFO]
    story.apply(UnpauseActivity("", ActivitySelection(everything=True), False, False, 0))
    assert PAUSE_INFO not in story.execution.search_attributes


def test_the_search_attribute_changes_with_a_pause_only() -> None:
    """As in the reference: the end of a paused activity leaves it, and so does a verb that unpauses nothing."""
    story, target = started_activity()
    pause(story)
    story.complete_activity(target)
    story.turn(schedule_activity("b"))
    story.apply(UnpauseActivity("", ActivitySelection(everything=True), False, False, 0))
    assert PAUSE_INFO in story.execution.search_attributes
    pause(story, ActivitySelection(activity_id="b"))
    story.apply(UnpauseActivity("", ActivitySelection(everything=True), False, False, 0))
    assert PAUSE_INFO not in story.execution.search_attributes


def test_unpausing_may_count_anew_and_forget_heartbeats() -> None:
    story, target = started_activity(retry=retry_policy(3600))
    story.heartbeat(target, payloads("1"))
    story.fail_activity(target)
    pause(story)
    unpause(story, attempts=True, heartbeat=True)
    delivery = story.take_activity()
    assert (delivery.attempt, delivery.heartbeat_details) == (1, b"")


def test_jitter_spreads_the_unpausing() -> None:
    story = running_execution(schedule_activity("a"))
    pause(story)
    story.offers.clear()
    unpause(story, jitter=1000 * SECOND)
    assert not story.activity_offers()
    story.wait(1000)
    assert len(story.activity_offers()) == 1


def test_a_reset_starts_a_waiting_retry_over_at_once() -> None:
    story, target = started_activity(retry=retry_policy(3600))
    story.heartbeat(target, payloads("1"))
    story.fail_activity(target)
    reset(story, heartbeat=True)
    delivery = story.take_activity()
    assert (delivery.attempt, delivery.heartbeat_details) == (1, b"")


def test_a_reset_is_told_to_a_running_first_attempt_and_drops_heartbeats_after_it() -> None:
    story, target = started_activity(retry=retry_policy(1))
    reset(story, heartbeat=True)
    assert story.heartbeat(target, payloads("1")).activity_reset
    story.fail_activity(target)
    story.wait(1)
    delivery = story.take_activity()
    assert (delivery.attempt, delivery.heartbeat_details) == (2, b"")
    assert not story.heartbeat(target_of(delivery)).activity_reset


def test_the_token_of_a_later_attempt_does_not_outlive_a_reset() -> None:
    story, target = started_activity(retry=retry_policy(1))
    story.fail_activity(target)
    story.wait(1)
    second = target_of(story.take_activity())
    reset(story)
    with pytest.raises(NotFound):
        story.complete_activity(second)


def test_a_reset_unpauses_unless_told_otherwise() -> None:
    story = running_execution(schedule_activity("a"))
    pause(story)
    reset(story, keep_paused=True)
    assert story.activity("a").pause is not None
    story.offers.clear()
    reset(story)
    assert story.activity("a").pause is None
    assert story.take_activity().attempt == 1


def test_new_options_leave_the_time_of_an_attempt_that_follows_a_timeout() -> None:
    """Nobody knows when the last attempt ended; counted from nothing, the next would be decades late."""
    story = running_execution(schedule_activity("a", schedule_to_start=50, start_to_close=3, retry=retry_policy(10)))
    story.take_activity()
    story.wait(3 + GRACE_S)
    due = story.execution.activities[5].scheduled_time
    update(story, activities.ActivityOptions(heartbeat_timeout=duration_of(SECOND)), "heartbeat_timeout")

    assert story.execution.activities[5].scheduled_time == due > story.now
    assert story.wait(10).take_activity().attempt == 2


def test_new_options_replace_what_the_mask_names_and_can_be_taken_back() -> None:
    """Unknown paths are ignored; timeouts are normalised as a command's."""
    story = running_execution(schedule_activity("a", start_to_close=30, retry=retry_policy(1, 2)))
    options = activities.ActivityOptions(
        heartbeat_timeout=duration_of(90 * SECOND), start_to_close_timeout=duration_of(60 * SECOND)
    )
    options.retry_policy.maximum_attempts = 7
    options.task_queue.name = "other"
    shown = update(story, options, "heartbeatTimeout", "task_queue.name", "retry_policy.maximum_attempts", "nonsense")
    assert shown.heartbeat_timeout == duration_of(30 * SECOND)
    changed = story.activity("a")
    assert (changed.task_queue, changed.retry.maximum_attempts, changed.start_to_close) == ("other", 7, 30 * SECOND)
    assert [task.queue.name for task in story.activity_offers()] == ["queue", "other"]

    story.apply(UpdateActivityOptions("", A, None, None, True))
    restored = story.activity("a")
    assert (restored.task_queue, restored.retry.maximum_attempts, restored.heartbeat_timeout) == ("queue", 0, 0)


def test_a_shorter_interval_brings_a_waiting_retry_forward() -> None:
    story, target = started_activity(retry=retry_policy(3600))
    story.fail_activity(target)
    options = activities.ActivityOptions()
    options.retry_policy.initial_interval.seconds = 2
    update(story, options, "retry_policy.initial_interval")
    story.wait(1.9)
    assert not story.activity_offers()
    story.wait(0.1)
    assert story.take_activity().attempt == 2


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (("task_queue.name",), "TaskQueue is not provided"),
        (("retry_policy",), "RetryPolicy is not provided"),
        (("priority.fairness_key",), "Priority is not provided"),
        (("start_to_close_timeout",), "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set"),
    ],
)
def test_bad_options_are_refused(paths: tuple[str, ...], text: str) -> None:
    story = running_execution(schedule_activity("a"))
    with pytest.raises(InvalidArgument, match=text):
        update(story, activities.ActivityOptions(), *paths)


def test_what_operators_did_is_stored() -> None:
    """A pause, a reset and the original options survive the process."""
    story, _ = started_activity()
    options = activities.ActivityOptions(heartbeat_timeout=duration_of(SECOND))
    update(story, options, "heartbeat_timeout")
    reset(story, heartbeat=True)
    pause(story)
    execution = story.execution
    loaded = codec.decode_run(codec.encode_run(execution), execution.version, execution.alarm, [])
    stored = loaded.activities[5]
    assert stored.pause is not None
    assert (stored.pause.identity, stored.pause.reason, stored.pause.request_id) == ("operator", "why", "p")
    assert stored.activity_reset
    assert stored.reset_heartbeats
    assert stored.original_options == story.activity("a").original_options != b""
    assert loaded.owed is None
    assert loaded.deadlines is None
