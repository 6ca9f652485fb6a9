"""Activities from their schedule to their last event, but for timeouts (semantics 5; D2, D16, D18)."""

from __future__ import annotations

import pytest

from perdure.api import common, enums, failure, failures
from perdure.errors import InvalidArgument, NotFound
from perdure.machines.env import Limits
from perdure.machines.workflow import activity_task
from perdure.machines.workflow.activity_inputs import ActivityDelivery, ActivityTarget
from perdure.machines.workflow.inputs import Stale
from tests.machines.builders import (
    SECOND,
    T0,
    Story,
    by_id,
    described,
    payloads,
    request_cancel_activity,
    retry_policy,
    running_execution,
    schedule_activity,
    started_activity,
    started_fact,
    target_of,
)

NOT_FOUND = "invalid activityID or activity already timed out or invoking workflow is completed"


# -- the life of an activity -------------------------------------------------------------------------------------------


def test_an_activity_that_succeeds_leaves_three_events() -> None:
    """The Started event is written with the last one, but has the time of the start (5.2)."""
    story = running_execution(schedule_activity("a"))
    story.wait(1)
    delivery = story.take_activity(request_id="r", identity="w1")
    assert story.told(4) == ["5 ActivityTaskScheduled"]
    story.wait(2)

    story.complete_activity(target_of(delivery), payloads("1"))

    assert story.told(4) == [
        "5 ActivityTaskScheduled",
        "6 ActivityTaskStarted",
        "7 ActivityTaskCompleted",
        "8 WorkflowTaskScheduled",
    ]
    begun = story.event(6)
    assert begun.event_time.seconds * SECOND == T0 + SECOND
    attributes = begun.activity_task_started_event_attributes
    assert (attributes.scheduled_event_id, attributes.identity, attributes.request_id) == (5, "w1", "r")
    assert (attributes.attempt, attributes.HasField("last_failure")) == (1, False)
    ended = story.event(7).activity_task_completed_event_attributes
    assert (ended.scheduled_event_id, ended.started_event_id, ended.identity) == (5, 6, "worker")
    assert ended.result == payloads("1")
    assert not story.execution.activities
    assert not story.execution.activity_ids


def test_failed_attempts_leave_no_events() -> None:
    """D2: two failures, then success; only the last attempt has a Started event, with the last failure in it."""
    story, first = started_activity(retry=retry_policy(1, 2))
    story.wait(1).fail_activity(first)
    assert not story.activity_offers()
    story.wait(1).fail_activity(target_of(story.take_activity()), failures.application_failure("second"))
    story.wait(1.9)
    assert not story.activity_offers()
    delivery = story.wait(0.1).take_activity()

    story.complete_activity(target_of(delivery))

    assert story.told(5) == ["6 ActivityTaskStarted", "7 ActivityTaskCompleted", "8 WorkflowTaskScheduled"]
    attributes = story.event(6).activity_task_started_event_attributes
    assert (attributes.attempt, attributes.last_failure.message) == (3, "second")
    assert delivery.current_attempt_scheduled_time == T0 + 4 * SECOND
    assert delivery.first_scheduled_time == T0


def test_the_last_failure_is_an_event_with_its_retry_state() -> None:
    story, target = started_activity(retry=retry_policy(1, 1, 0, 1))

    story.fail_activity(target)

    assert story.told(5) == ["6 ActivityTaskStarted", "7 ActivityTaskFailed", "8 WorkflowTaskScheduled"]
    attributes = story.event(7).activity_task_failed_event_attributes
    assert attributes.retry_state == enums.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    assert (attributes.scheduled_event_id, attributes.started_event_id) == (5, 6)
    assert attributes.failure == failures.application_failure("boom", "Kind")


def test_a_retry_that_cannot_start_before_schedule_to_close_is_not_made() -> None:
    story = running_execution(schedule_activity("a", schedule_to_close=5, retry=retry_policy(60)))

    story.fail_activity(target_of(story.take_activity()))

    assert story.event(7).activity_task_failed_event_attributes.retry_state == enums.RETRY_STATE_TIMEOUT


def test_results_are_buffered_while_a_workflow_task_runs_and_come_last() -> None:
    """D18: completions are flushed behind everything else, each group in its order."""
    story = running_execution(schedule_activity("a"), schedule_activity("b")).signal()
    a = target_of(story.take_activity())
    b = target_of(story.take_activity())
    story.take()
    story.complete_activity(a).signal("again").complete_activity(b)
    assert story.told(9) == []
    assert not story.execution.activities

    story.complete()

    assert story.told(10) == [
        "11 ActivityTaskStarted",
        "12 WorkflowExecutionSignaled",
        "13 ActivityTaskStarted",
        "14 ActivityTaskCompleted",
        "15 ActivityTaskCompleted",
        "16 WorkflowTaskScheduled",
    ]
    assert story.event(14).activity_task_completed_event_attributes.started_event_id == 11
    assert story.event(15).activity_task_completed_event_attributes.started_event_id == 13


# -- dispatch ----------------------------------------------------------------------------------------------------------


def test_an_attempt_is_offered_when_its_command_is_stored() -> None:
    story = running_execution(schedule_activity("a", queue="other", schedule_to_start=9))

    (task,) = story.activity_offers()
    assert (task.queue.name, task.scheduled_event_id, task.attempt) == ("other", 5, 1)
    assert (task.created_ns, task.expires_ns) == (T0, T0 + 9 * SECOND)


@pytest.mark.parametrize(("own", "expected"), [(0, 2), (4, 4), (99, 5)])
def test_an_activity_inherits_the_workflows_priority_unless_it_has_its_own(own: int, expected: int) -> None:
    priority = common.Priority(priority_key=own, fairness_key="k")
    story = Story().start(priority_key=2).turn(schedule_activity("a", priority=priority))

    assert story.activity_offers()[0].priority == expected
    merged = common.Priority.FromString(story.take_activity().priority)
    assert (merged.priority_key, merged.fairness_key) == (own or 2, "k")


def test_the_start_of_an_attempt_is_idempotent_by_request_id() -> None:
    """Matching may ask twice; a second poller with the same task gets nothing."""
    story = running_execution(schedule_activity("a"))
    (task,) = story.activity_offers()

    first = story.expect(ActivityDelivery, started_fact(task, "r"))
    again = story.expect(ActivityDelivery, started_fact(task, "r"))

    assert (again.started_time, again.token.attempt) == (first.started_time, 1)
    assert not story.stored
    story.expect(Stale, started_fact(task, "other"))


def test_an_offer_of_an_attempt_that_is_over_is_stale() -> None:
    """A task from before a failure must not start the attempt that still waits in backoff."""
    story = running_execution(schedule_activity("a", retry=retry_policy(60)))
    (task,) = story.activity_offers()
    story.fail_activity(target_of(story.take_activity()))

    story.expect(Stale, started_fact(task, "r"))


def test_an_offer_of_a_closed_run_is_stale() -> None:
    story = running_execution(schedule_activity("a"))
    (task,) = story.activity_offers()
    story.terminate()

    story.expect(Stale, started_fact(task, "r"))


def test_the_delivery_is_what_a_worker_needs() -> None:
    story = running_execution(schedule_activity("a", retry=retry_policy(1, 1, 0, 5)))

    delivery = story.wait(2).take_activity()

    token = delivery.token
    assert (token.workflow_id, token.run_id, token.scheduled_event_id) == ("wf", story.run_id, 5)
    assert (token.activity_id, token.attempt) == ("a", 1)
    assert (delivery.workflow_type, delivery.attempt, delivery.started_time) == ("Wf", 1, T0 + 2 * SECOND)
    assert delivery.heartbeat_details == b""


def test_an_owner_that_has_just_loaded_the_run_offers_all_that_waits() -> None:
    """`offered` is lost with the process; a running attempt and one in backoff are not offered."""
    batch = [schedule_activity(name, retry=retry_policy(60)) for name in "abc"]
    story = running_execution(*batch)
    story.fail_activity(target_of(story.take_activity()))
    story.take_activity()
    story.offers.clear()
    execution = story.execution
    for scheduled_event_id, pending in execution.activities.items():
        forgotten = pending.copy()
        forgotten.offered = False
        execution.activities = execution.activities.set(scheduled_event_id, forgotten)

    story.ring()

    assert [task.scheduled_event_id for task in story.activity_offers()] == [7]
    assert not story.stored
    story.wait(60)
    assert [(task.scheduled_event_id, task.attempt) for task in story.activity_offers()] == [(7, 1), (5, 2)]


# -- reports -----------------------------------------------------------------------------------------------------------


def test_reports_by_id_equal_reports_by_token() -> None:
    """D16."""
    story, _ = started_activity()

    story.complete_activity(by_id("a"), payloads("1"))

    assert story.told(5) == ["6 ActivityTaskStarted", "7 ActivityTaskCompleted", "8 WorkflowTaskScheduled"]


def test_an_activity_that_nobody_started_may_be_completed_by_id_only() -> None:
    """Its Started event is made up for the caller, without a request id (5.3)."""
    story = running_execution(schedule_activity("a"))
    for report in (story.heartbeat, story.fail_activity, story.cancel_activity):
        with pytest.raises(NotFound, match=NOT_FOUND):
            report(by_id("a"))
    with pytest.raises(NotFound, match=NOT_FOUND):
        story.complete_activity(ActivityTarget("a", 5, 1))

    story.wait(1).complete_activity(by_id("a"))

    attributes = story.event(6).activity_task_started_event_attributes
    assert (attributes.request_id, attributes.identity, attributes.attempt) == ("", "worker", 1)
    assert story.event(6).event_time.seconds * SECOND == T0 + SECOND
    assert story.event(7).activity_task_completed_event_attributes.started_event_id == 6


def test_an_unknown_activity_id_is_named_in_the_answer() -> None:
    story = running_execution()

    with pytest.raises(NotFound, match="cannot find pending activity with ActivityID x, check workflow execution his"):
        story.complete_activity(by_id("x"))
    with pytest.raises(InvalidArgument, match="activityID cannot be empty"):
        story.complete_activity(by_id(""))


def test_the_token_of_an_earlier_attempt_is_refused() -> None:
    story, first = started_activity(retry=retry_policy(1))
    story.fail_activity(first)
    story.wait(1).take_activity()

    for report in (story.complete_activity, story.fail_activity, story.cancel_activity, story.heartbeat):
        with pytest.raises(NotFound, match=NOT_FOUND):
            report(first)


def test_reports_to_a_closed_workflow_are_refused() -> None:
    """Appendix F 16."""
    story, target = started_activity()
    story.terminate()

    for report in (story.complete_activity, story.fail_activity, story.cancel_activity, story.heartbeat):
        with pytest.raises(NotFound, match="workflow execution already completed"):
            report(target)


def test_a_failure_by_token_must_be_an_application_failure() -> None:
    """By id any kind will do."""
    story, target = started_activity()
    odd = failure.Failure(message="m")

    with pytest.raises(InvalidArgument, match="Failure must have ApplicationFailureInfo"):
        story.fail_activity(target, odd)

    story.fail_activity(by_id("a"), odd)
    assert failure.Failure.FromString(story.activity("a").last_failure) == odd


# -- heartbeats --------------------------------------------------------------------------------------------------------


def test_heartbeat_details_reach_the_next_attempt() -> None:
    """The last ones count, also when they are none (5.4)."""
    story, target = started_activity(retry=retry_policy(1), heartbeat=30)
    story.heartbeat(target, payloads("one"))
    story.heartbeat(target, payloads("two"))
    assert story.stored
    assert story.told(5) == []
    story.fail_activity(target)
    second = story.wait(1).take_activity()
    assert common.Payloads.FromString(second.heartbeat_details) == payloads("two")

    story.heartbeat(target_of(second))
    story.fail_activity(target_of(second))

    assert story.wait(1).take_activity().heartbeat_details == b""


def test_a_failure_may_bring_the_last_details_with_it() -> None:
    story, target = started_activity(retry=retry_policy(1))

    story.fail_activity(target, heartbeat_details=payloads("last"))

    assert common.Payloads.FromString(story.wait(1).take_activity().heartbeat_details) == payloads("last")


# -- sizes -------------------------------------------------------------------------------------------------------------


def small() -> tuple[Story, ActivityTarget]:
    limits = Limits()
    limits.blob_size = 100
    story = running_execution(schedule_activity("a"), limits=limits)
    return story, target_of(story.take_activity())


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("complete_activity", "Complete result exceeds size limit."),
        ("cancel_activity", "Cancel details exceed size limit."),
        ("heartbeat", "Heartbeat details exceed size limit."),
    ],
)
def test_a_report_that_is_too_big_fails_the_activity_for_good(verb: str, text: str) -> None:
    story, target = small()

    outcome = getattr(story, verb)(target, payloads("x" * 101))

    assert story.told(5) == ["6 ActivityTaskStarted", "7 ActivityTaskFailed", "8 WorkflowTaskScheduled"]
    attributes = story.event(7).activity_task_failed_event_attributes
    assert attributes.failure == failures.server_failure(text, non_retryable=True)
    assert attributes.retry_state == enums.RETRY_STATE_NON_RETRYABLE_FAILURE
    assert verb != "heartbeat" or outcome.cancel_requested


def test_a_failure_that_is_too_big_is_replaced_and_the_worker_is_told() -> None:
    story, target = small()
    huge = failures.application_failure("x" * 200, "Kind")

    complaints = story.fail_activity(target, huge)

    recorded = story.event(7).activity_task_failed_event_attributes.failure
    assert complaints == (recorded,)
    assert recorded.message == "Failure exceeds size limit."
    assert recorded.server_failure_info.non_retryable
    assert recorded.cause.application_failure_info.type == "Kind"


def test_details_that_are_too_big_are_dropped_from_a_failure() -> None:
    story, target = small()

    (complaint,) = story.fail_activity(target, heartbeat_details=payloads("x" * 101))

    assert complaint == failures.server_failure("Heartbeat details exceed size limit.", non_retryable=True)
    assert story.activity("a").attempt == 2
    assert story.activity("a").heartbeat_details == b""


def test_the_failure_kept_between_attempts_is_cut_and_stays_retryable() -> None:
    """4 KiB in state (5.5); the event would have shown all of it."""
    story, target = started_activity()

    story.fail_activity(target, failures.application_failure("x" * 5000))

    kept = failure.Failure.FromString(story.activity("a").last_failure)
    assert kept.message == "Failure exceeds size limit."
    assert not kept.server_failure_info.non_retryable
    assert kept.ByteSize() < 4400


# -- description -------------------------------------------------------------------------------------------------------


def test_a_waiting_activity_is_described() -> None:
    story = running_execution(schedule_activity("a", schedule_to_close=60))

    info = described(story, "a")

    assert (info.activity_id, info.activity_type.name, info.attempt) == ("a", "Act", 1)
    assert info.state == enums.PENDING_ACTIVITY_STATE_SCHEDULED
    assert info.expiration_time.seconds * SECOND == T0 + 60 * SECOND
    assert not info.HasField("last_started_time")
    assert not info.HasField("next_attempt_schedule_time")
    assert info.activity_options.start_to_close_timeout.seconds == 30
    assert info.activity_options.task_queue.name == info.activity_options.task_queue.normal_name == "queue"


def test_an_activity_in_backoff_is_described() -> None:
    story, target = started_activity(retry=retry_policy(10, 1, 0, 7, "Other"))
    story.heartbeat(target, payloads("beat"))
    story.wait(1).fail_activity(target)

    info = described(story, "a")

    assert (info.attempt, info.maximum_attempts, info.last_worker_identity) == (2, 7, "worker")
    assert info.current_retry_interval.seconds == 10
    assert info.next_attempt_schedule_time.seconds * SECOND == T0 + 11 * SECOND
    assert info.last_attempt_complete_time.seconds * SECOND == T0 + SECOND
    assert info.last_failure.message == "boom"
    assert info.heartbeat_details == payloads("beat")
    assert info.last_heartbeat_time.seconds * SECOND == T0
    assert list(info.activity_options.retry_policy.non_retryable_error_types) == []


def test_a_running_activity_is_described() -> None:
    story, _ = started_activity()
    assert described(story, "a").state == enums.PENDING_ACTIVITY_STATE_STARTED
    assert described(story, "a").last_started_time.seconds * SECOND == T0

    story.signal().turn(request_cancel_activity(5))

    assert described(story, "a").state == enums.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED


def test_next_deadline_of_an_activity_that_waits_for_nothing_but_a_worker() -> None:
    story = running_execution(schedule_activity("a"))

    assert activity_task.next_deadline(story.activity("a"), False) is None
