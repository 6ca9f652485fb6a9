"""SCHEDULE_ACTIVITY_TASK and REQUEST_CANCEL_ACTIVITY_TASK (semantics 4.1, 4.2; D6, Appendix F 3, 35)."""

from __future__ import annotations

import pytest

from perdure.api import command as commands
from perdure.api import common, enums
from perdure.errors import InvalidArgument
from perdure.machines.env import Limits
from tests.machines.builders import (
    T0,
    Story,
    busy_execution,
    complete_workflow,
    payloads,
    request_cancel_activity,
    retry_policy,
    running_execution,
    schedule_activity,
    start_timer,
    started_activity,
    target_of,
)

CANCEL = commands.Command(command_type=enums.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK)


# -- schedule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "run_timeout", "expected"),
    [
        (schedule_activity(start_to_close=10), 0, (0, 0, 10, 0)),
        (schedule_activity(start_to_close=10), 100, (100, 100, 10, 0)),
        (schedule_activity(start_to_close=None, schedule_to_close=20), 0, (20, 20, 20, 0)),
        (schedule_activity(start_to_close=50, schedule_to_close=20, schedule_to_start=30), 0, (20, 20, 20, 0)),
        (schedule_activity(start_to_close=5, schedule_to_close=20, schedule_to_start=7), 0, (20, 7, 5, 0)),
        (schedule_activity(start_to_close=500, schedule_to_close=900), 100, (100, 100, 100, 0)),
        (schedule_activity(start_to_close=10, schedule_to_start=900), 100, (100, 100, 10, 0)),
        (schedule_activity(start_to_close=10, heartbeat=60), 0, (0, 0, 10, 10)),
        (schedule_activity(start_to_close=10, heartbeat=3), 0, (0, 0, 10, 3)),
    ],
)
def test_timeouts_are_completed_and_capped(
    command: commands.Command, run_timeout: int, expected: tuple[int, int, int, int]
) -> None:
    """4.1: missing timeouts follow from those given, and none outlives the run. All four are set in the event."""
    story = running_execution(command, run_timeout=run_timeout)

    attributes = story.event(5).activity_task_scheduled_event_attributes
    assert (
        attributes.schedule_to_close_timeout.seconds,
        attributes.schedule_to_start_timeout.seconds,
        attributes.start_to_close_timeout.seconds,
        attributes.heartbeat_timeout.seconds,
    ) == expected
    assert attributes.HasField("heartbeat_timeout")


def test_the_scheduled_event_shows_the_retry_policy_with_its_defaults() -> None:
    story = running_execution(schedule_activity("a", arguments=payloads("1")))

    attributes = story.event(5).activity_task_scheduled_event_attributes
    assert attributes.retry_policy == retry_policy(1, 2, 100)
    assert attributes.task_queue.kind == enums.TASK_QUEUE_KIND_NORMAL
    assert attributes.workflow_task_completed_event_id == 4
    assert attributes.input == payloads("1")


def _spoiled(**fields: object) -> commands.Command:
    command = schedule_activity("a")
    attributes = command.schedule_activity_task_command_attributes
    for name, value in fields.items():
        if value is None:
            attributes.ClearField(name)  # type: ignore[arg-type]  # names of fields
        else:
            getattr(attributes, name).CopyFrom(value)
    return command


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (
            [commands.Command(command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)],
            (
                "BadScheduleActivityAttributes: ScheduleActivityTaskCommandAttributes is not set on "
                "ScheduleActivityTaskCommand."
            ),
        ),
        ([_spoiled(task_queue=None)], "BadScheduleActivityAttributes: taskQueue is not set"),
        ([schedule_activity(queue="")], "BadScheduleActivityAttributes: missing task queue name"),
        ([schedule_activity(queue="xxxxxxxxx")], "BadScheduleActivityAttributes: taskQueue length exceeds limit"),
        (
            [schedule_activity(queue="/_sys/x")],
            "BadScheduleActivityAttributes: task queue name cannot start with reserved prefix /_sys/",
        ),
        ([schedule_activity("")], "BadScheduleActivityAttributes: activityId is not set"),
        ([_spoiled(activity_type=None)], "BadScheduleActivityAttributes: activityType is not set"),
        (
            [schedule_activity("xxxxxxxxx")],
            "BadScheduleActivityAttributes: activityId exceeds length limit. Length=9 Limit=8",
        ),
        (
            [_spoiled(activity_type=common.ActivityType(name="ü" * 5))],
            "BadScheduleActivityAttributes: activityType exceeds length limit. Length=10 Limit=8",
        ),
        (
            [schedule_activity(retry=retry_policy(1, 0.5))],
            "BadScheduleActivityAttributes: BackoffCoefficient cannot be less than 1 on retry policy.",
        ),
        (
            [schedule_activity(priority=common.Priority(priority_key=-1))],
            "BadScheduleActivityAttributes: invalid priorities: priority key can't be negative",
        ),
        (
            [schedule_activity(priority=common.Priority(fairness_key="x" * 65))],
            "BadScheduleActivityAttributes: invalid priorities: fairness key length exceeds limit",
        ),
        (
            [schedule_activity(start_to_close=None, schedule_to_start=1)],
            (
                "BadScheduleActivityAttributes: a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on "
                "the activity. ActivityId=a ActivityType=Act"
            ),
        ),
        (
            [schedule_activity(schedule_to_close=-1)],
            "BadScheduleActivityAttributes: invalid ScheduleToCloseTimeout: negative duration",
        ),
        (
            [schedule_activity(heartbeat=-1)],
            "BadScheduleActivityAttributes: invalid HeartbeatTimeout: negative duration",
        ),
        (
            [schedule_activity("a"), schedule_activity("a")],
            (
                "ScheduleActivityDuplicateId: invalid history builder state for action: "
                "add-activitytask-scheduled-event, ActivityID: a"
            ),
        ),
        (
            [schedule_activity(str(n)) for n in range(4)],
            (
                "PendingActivitiesLimitExceeded: the number of pending activities, 3, has reached the per-workflow "
                "limit of 3"
            ),
        ),
        (
            [CANCEL],
            (
                "BadRequestCancelActivityAttributes: RequestCancelActivityTaskCommandAttributes is not set on "
                "RequestCancelActivityTaskCommand."
            ),
        ),
        (
            [request_cancel_activity(-1)],
            "BadRequestCancelActivityAttributes: ScheduledEventId is not set on RequestCancelActivityTaskCommand.",
        ),
        (
            [start_timer("t", 1), request_cancel_activity(9)],
            (
                "BadRequestCancelActivityAttributes: invalid history builder state for action: "
                "add-activitytask-cancel-requested-event, ScheduledEventID: 9"
            ),
        ),
    ],
)
def test_bad_activity_commands(batch: list[commands.Command], text: str) -> None:
    """The texts are Temporal's; neighbours in the batch leave no trace and offer nothing."""
    limits = Limits()
    limits.id_length = 8
    limits.pending_activities = 3
    story = running_execution(limits=limits).signal()
    story.take()

    with pytest.raises(InvalidArgument) as refused:
        story.complete(*batch)

    assert refused.value.message == text
    assert story.told(7) == ["8 WorkflowTaskFailed"]
    assert not story.execution.activities
    assert not story.activity_offers()


def test_an_input_over_the_limit_terminates_the_workflow() -> None:
    limits = Limits()
    limits.blob_size = 100
    story = running_execution(limits=limits).signal()
    story.take()

    with pytest.raises(InvalidArgument, match="Input exceeds size limit"):
        story.complete(schedule_activity(arguments=payloads("x" * 101)))

    assert story.told(7) == ["8 WorkflowTaskFailed", "9 WorkflowExecutionTerminated"]


# -- eager execution ---------------------------------------------------------------------------------------------------


def test_an_eager_activity_is_delivered_with_the_completion_and_not_offered() -> None:
    story = Story().start()
    story.take()

    completion = story.complete(schedule_activity("a", eager=True), schedule_activity("b"))

    (delivery,) = completion.activities
    assert (delivery.token.activity_id, delivery.attempt, delivery.started_time) == ("a", 1, T0)
    assert [task.scheduled_event_id for task in story.activity_offers()] == [6]
    story.complete_activity(target_of(delivery))
    assert story.told(6) == ["7 ActivityTaskStarted", "8 ActivityTaskCompleted", "9 WorkflowTaskScheduled"]


def test_an_eager_activity_is_not_delivered_when_the_same_batch_cancels_it_or_closes_the_run() -> None:
    """Appendix F 35."""
    story = Story().start()
    story.take()
    assert story.complete(schedule_activity("a", eager=True), request_cancel_activity(5)).activities == ()

    story = Story().start()
    story.take()
    assert story.complete(schedule_activity("a", eager=True), complete_workflow()).activities == ()


def test_eager_execution_can_be_switched_off_and_is_refused_to_old_versioned_workers() -> None:
    limits = Limits()
    limits.eager_activities = False
    story = Story(limits).start()
    story.take()
    assert story.complete(schedule_activity("a", eager=True)).activities == ()
    assert len(story.activity_offers()) == 1

    story = Story().start()
    story.take()
    stamp = common.WorkerVersionStamp(build_id="1", use_versioning=True)
    assert story.complete(schedule_activity("a", eager=True), worker_version_stamp=stamp).activities == ()


# -- cancellation ------------------------------------------------------------------------------------------------------


def test_an_activity_that_nobody_runs_is_cancelled_at_once() -> None:
    """D6: the workflow hears of it in a task that this forces."""
    story = running_execution(schedule_activity("a")).signal()

    story.turn(request_cancel_activity(5))

    assert story.told(9) == [
        "10 ActivityTaskCancelRequested",
        "11 ActivityTaskCanceled",
        "12 WorkflowTaskScheduled",
    ]
    attributes = story.event(11).activity_task_canceled_event_attributes
    assert (attributes.scheduled_event_id, attributes.started_event_id) == (5, 0)
    assert (attributes.latest_cancel_requested_event_id, attributes.identity) == (10, "worker")
    assert attributes.details == payloads('"ACTIVITY_ID_NOT_STARTED"')


def test_the_cancellation_stands_behind_later_commands() -> None:
    """D6: it is an event of the buffered kind."""
    story = running_execution(schedule_activity("a")).signal()

    story.turn(request_cancel_activity(5), start_timer("t", 9))

    assert story.told(9) == [
        "10 ActivityTaskCancelRequested",
        "11 TimerStarted",
        "12 ActivityTaskCanceled",
        "13 WorkflowTaskScheduled",
    ]


def test_an_activity_in_backoff_is_cancelled_at_once() -> None:
    story, target = started_activity(retry=retry_policy(3600))
    story.fail_activity(target)
    story.signal()

    story.turn(request_cancel_activity(5))

    assert story.told(10) == ["11 ActivityTaskCanceled", "12 WorkflowTaskScheduled"]


def test_a_running_activity_learns_of_its_cancellation_by_heartbeat() -> None:
    story, target = started_activity()
    assert not story.heartbeat(target).cancel_requested
    story.signal().turn(request_cancel_activity(5))
    assert story.told(9) == ["10 ActivityTaskCancelRequested"]

    assert story.heartbeat(target).cancel_requested
    story.cancel_activity(target, payloads("bye"))

    assert story.told(10) == ["11 ActivityTaskStarted", "12 ActivityTaskCanceled", "13 WorkflowTaskScheduled"]
    attributes = story.event(12).activity_task_canceled_event_attributes
    assert (attributes.started_event_id, attributes.latest_cancel_requested_event_id) == (11, 10)
    assert attributes.details == payloads("bye")


def test_a_failure_after_a_cancel_request_is_not_retried() -> None:
    story, target = started_activity()
    story.signal().turn(request_cancel_activity(5))

    story.fail_activity(target)

    attributes = story.event(12).activity_task_failed_event_attributes
    assert attributes.retry_state == enums.RETRY_STATE_CANCEL_REQUESTED


def test_a_worker_cannot_cancel_what_nobody_asked_it_to() -> None:
    story, target = started_activity()

    with pytest.raises(InvalidArgument, match="without activity being request canceled first"):
        story.cancel_activity(target)


def test_a_second_cancel_request_is_refused_while_the_activity_is_pending() -> None:
    story, _ = started_activity()
    story.signal().turn(request_cancel_activity(5))
    story.signal()
    story.take()

    with pytest.raises(InvalidArgument, match="ScheduledEventID: 5"):
        story.complete(request_cancel_activity(5))


def test_cancelling_an_activity_whose_end_is_buffered_is_recorded_and_does_nothing() -> None:
    """Appendix F 3: the worker could not know."""
    story = busy_execution(schedule_activity("a"))
    story.complete_activity(target_of(story.take_activity()))

    story.complete(request_cancel_activity(5))

    assert story.told(9) == [
        "10 ActivityTaskCancelRequested",
        "11 ActivityTaskStarted",
        "12 ActivityTaskCompleted",
        "13 WorkflowTaskScheduled",
    ]


def test_two_cancel_requests_of_an_unstarted_activity_in_one_batch_are_both_recorded() -> None:
    """The first one ends it, so the second finds its end in the buffer."""
    story = running_execution(schedule_activity("a"), request_cancel_activity(5), request_cancel_activity(5))

    assert story.told(5) == [
        "6 ActivityTaskCancelRequested",
        "7 ActivityTaskCancelRequested",
        "8 ActivityTaskCanceled",
        "9 WorkflowTaskScheduled",
    ]
