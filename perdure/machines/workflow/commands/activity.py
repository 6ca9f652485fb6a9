"""SCHEDULE_ACTIVITY_TASK and REQUEST_CANCEL_ACTIVITY_TASK (semantics 4.1, 4.2).

Scheduling makes an attempt that is owed to matching; nothing here offers it or starts it. The texts are Temporal's, for
workers log them and operators search for them.
"""

from __future__ import annotations

from perdure.api import Duration, common, enums, history
from perdure.api import command as commands
from perdure.api.times import BadDuration, checked_duration_ns, set_duration
from perdure.machines import json_payloads, priorities, queue_names, retry
from perdure.machines.workflow import activity_task
from perdure.machines.workflow.apply import link_of
from perdure.machines.workflow.commands.batch import Batch, CommandRejected
from perdure.machines.workflow.draft import RunDraft
from perdure.machines.workflow.event_types import FLUSHED_LAST

_BAD_SCHEDULE = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES
_BAD_CANCEL = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES
_DUPLICATE = enums.WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID
_TOO_MANY = enums.WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED

NOT_STARTED_DETAILS = common.Payloads(payloads=[json_payloads.text("ACTIVITY_ID_NOT_STARTED")])
"""Details of an ACTIVITY_TASK_CANCELED that no worker has seen."""

ScheduleActivity = commands.ScheduleActivityTaskCommandAttributes


def schedule_activity(batch: Batch, command: commands.Command) -> None:
    """Schedule an activity: one event, one pending activity at attempt 1, one owed attempt."""
    if not command.HasField("schedule_activity_task_command_attributes"):
        raise CommandRejected(
            _BAD_SCHEDULE, "ScheduleActivityTaskCommandAttributes is not set on ScheduleActivityTaskCommand."
        )
    wanted = command.schedule_activity_task_command_attributes
    execution = batch.execution
    limits = batch.env.limits
    _check_queue(batch, wanted)
    check_names(wanted, limits.id_length)
    timeouts = timeouts_of(wanted, execution.info.run_timeout or 0)
    if wanted.use_workflow_build_id and wanted.task_queue.name != execution.info.task_queue:
        raise CommandRejected(_BAD_SCHEDULE, "Activity with UseCompatibleVersion cannot run on different task queue.")
    if wanted.input.ByteSize() > limits.blob_size:
        text = "ScheduleActivityTaskCommandAttributes.Input exceeds size limit."
        raise CommandRejected(_BAD_SCHEDULE, text, terminate=True)
    pending = len(execution.activities)
    if 0 < limits.pending_activities <= pending:
        raise CommandRejected(
            _TOO_MANY,
            f"the number of pending activities, {pending}, has reached the per-workflow limit of "
            f"{limits.pending_activities}",
        )
    if wanted.activity_id in execution.activity_ids:
        raise CommandRejected(
            _DUPLICATE,
            "invalid history builder state for action: add-activitytask-scheduled-event, "
            f"ActivityID: {wanted.activity_id}",
        )
    attributes = _scheduled_attributes(wanted, timeouts, batch.completed_event_id)
    event_id = batch.record(enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, attributes, command)
    activity_task.await_start(batch.draft, execution.activities[event_id])
    if wanted.request_eager_execution and limits.eager_activities and _may_be_eager(batch, wanted):
        batch.eager.append(event_id)


def _check_queue(batch: Batch, wanted: ScheduleActivity) -> None:
    if not wanted.HasField("task_queue"):
        raise CommandRejected(_BAD_SCHEDULE, "taskQueue is not set")
    own_queue = batch.execution.info.task_queue
    bad = queue_names.invalid_queue(wanted.task_queue, batch.env.limits.id_length, own_queue)
    if bad is not None:
        raise CommandRejected(_BAD_SCHEDULE, bad)


def check_names(wanted: ScheduleActivity, bytes_max: int) -> None:
    """Names, retry policy and priority, in the order that decides which text a worker sees."""
    name = wanted.activity_type.name
    if not wanted.activity_id:
        raise CommandRejected(_BAD_SCHEDULE, "activityId is not set")
    if not name:
        raise CommandRejected(_BAD_SCHEDULE, "activityType is not set")
    bad = retry.validate(wanted.retry_policy)
    if bad is not None:
        raise CommandRejected(_BAD_SCHEDULE, bad)
    for field, text in (("activityId", wanted.activity_id), ("activityType", name)):
        size = len(text.encode())
        if size > bytes_max:
            raise CommandRejected(_BAD_SCHEDULE, f"{field} exceeds length limit. Length={size} Limit={bytes_max}")
    bad = priorities.invalid(wanted.priority)
    if bad is not None:
        raise CommandRejected(_BAD_SCHEDULE, f"invalid priorities: {bad}")


def timeouts_of(wanted: ScheduleActivity, run_timeout: int) -> tuple[int, int, int, int]:
    """Schedule-to-close, schedule-to-start, start-to-close, heartbeat in ns after normalisation; 0 = none."""
    to_close = _timeout("ScheduleToCloseTimeout", wanted.schedule_to_close_timeout)
    to_start = _timeout("ScheduleToStartTimeout", wanted.schedule_to_start_timeout)
    running = _timeout("StartToCloseTimeout", wanted.start_to_close_timeout)
    heartbeat = _timeout("HeartbeatTimeout", wanted.heartbeat_timeout)
    if to_close:
        to_start = min(to_start or to_close, to_close)
        running = min(running or to_close, to_close)
    elif running:
        to_close = run_timeout
        to_start = to_start or run_timeout
    else:
        raise CommandRejected(
            _BAD_SCHEDULE,
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. "
            f"ActivityId={wanted.activity_id} ActivityType={wanted.activity_type.name}",
        )
    if run_timeout:
        to_close = min(to_close, run_timeout)
        to_start = min(to_start, run_timeout)
        running = min(running, run_timeout)
        heartbeat = min(heartbeat, run_timeout)
    return to_close, to_start, running, min(heartbeat, running)


def _timeout(name: str, duration: Duration) -> int:
    try:
        return checked_duration_ns(duration)
    except BadDuration as bad:
        raise CommandRejected(_BAD_SCHEDULE, f"invalid {name}: {bad}") from bad


def _scheduled_attributes(
    wanted: ScheduleActivity, timeouts: tuple[int, int, int, int], completed_event_id: int
) -> history.ActivityTaskScheduledEventAttributes:
    attributes = history.ActivityTaskScheduledEventAttributes()
    attributes.activity_id = wanted.activity_id
    attributes.activity_type.CopyFrom(wanted.activity_type)
    attributes.task_queue.CopyFrom(wanted.task_queue)
    if attributes.task_queue.kind == enums.TASK_QUEUE_KIND_UNSPECIFIED:
        attributes.task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    if wanted.HasField("header"):
        attributes.header.CopyFrom(wanted.header)
    if wanted.HasField("input"):
        attributes.input.CopyFrom(wanted.input)
    if wanted.HasField("priority"):
        attributes.priority.CopyFrom(wanted.priority)
    set_duration(attributes.schedule_to_close_timeout, timeouts[0])
    set_duration(attributes.schedule_to_start_timeout, timeouts[1])
    set_duration(attributes.start_to_close_timeout, timeouts[2])
    set_duration(attributes.heartbeat_timeout, timeouts[3])
    attributes.workflow_task_completed_event_id = completed_event_id
    retry.show_policy(attributes.retry_policy, retry.policy_of(wanted.retry_policy))
    attributes.use_workflow_build_id = wanted.use_workflow_build_id
    return attributes


def _may_be_eager(batch: Batch, wanted: ScheduleActivity) -> bool:
    """A versioned worker may take only what is meant for its own version (semantics 4.1, v1/v2 rule)."""
    if wanted.use_workflow_build_id or not batch.execution.worker_stamp:
        return True
    return not common.WorkerVersionStamp.FromString(batch.execution.worker_stamp).use_versioning


def request_cancel_activity(batch: Batch, command: commands.Command) -> None:
    """Ask for an activity's cancellation; one that no worker runs is cancelled at once and the workflow hears of it."""
    if not command.HasField("request_cancel_activity_task_command_attributes"):
        raise CommandRejected(
            _BAD_CANCEL, "RequestCancelActivityTaskCommandAttributes is not set on RequestCancelActivityTaskCommand."
        )
    scheduled_event_id = command.request_cancel_activity_task_command_attributes.scheduled_event_id
    if scheduled_event_id <= 0:
        raise CommandRejected(_BAD_CANCEL, "ScheduledEventId is not set on RequestCancelActivityTaskCommand.")
    activity = batch.execution.activities.get(scheduled_event_id)
    if activity.cancel_requested if activity is not None else not _has_ended(batch.draft, scheduled_event_id):
        raise CommandRejected(
            _BAD_CANCEL,
            "invalid history builder state for action: add-activitytask-cancel-requested-event, "
            f"ScheduledEventID: {scheduled_event_id}",
        )
    attributes = history.ActivityTaskCancelRequestedEventAttributes(
        scheduled_event_id=scheduled_event_id, workflow_task_completed_event_id=batch.completed_event_id
    )
    requested = batch.record(enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, attributes, command)
    if activity is None or activity.started_time:
        return
    batch.draft.record(
        enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        history.ActivityTaskCanceledEventAttributes(
            details=NOT_STARTED_DETAILS,
            latest_cancel_requested_event_id=requested,
            scheduled_event_id=scheduled_event_id,
            identity=batch.request.identity,
        ),
    )
    batch.force_task = True


def _has_ended(draft: RunDraft, scheduled_event_id: int) -> bool:
    """Whether the activity's end waits in the buffer, where the worker could not see it."""
    for entry in draft.execution.buffered:
        if entry.type in FLUSHED_LAST and entry.link == scheduled_event_id:
            return True
    return any(event.event_type in FLUSHED_LAST and link_of(event) == scheduled_event_id for event in draft.pending)
