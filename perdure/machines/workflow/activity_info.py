"""What clients are shown of a pending activity (semantics 5.7). Decides nothing."""

from __future__ import annotations

from perdure.api import activity as activities
from perdure.api import common, enums, taskqueue, workflow
from perdure.api.times import duration_of, timestamp_of, timestamp_or_none
from perdure.machines import retry
from perdure.machines.workflow.pending_activity import Activity


def options_of(pending: Activity) -> activities.ActivityOptions:
    """The activity's options as they are."""
    options = activities.ActivityOptions(
        task_queue=taskqueue.TaskQueue(name=pending.task_queue),
        schedule_to_close_timeout=duration_of(pending.schedule_to_close),
        schedule_to_start_timeout=duration_of(pending.schedule_to_start),
        start_to_close_timeout=duration_of(pending.start_to_close),
        heartbeat_timeout=duration_of(pending.heartbeat_timeout),
        retry_policy=retry.policy_message(pending.retry),
    )
    if pending.priority:
        options.priority.MergeFromString(pending.priority)
    return options


def _options_shown(pending: Activity) -> activities.ActivityOptions:
    """The same as Describe has them."""
    options = options_of(pending)
    options.task_queue.normal_name = pending.task_queue
    del options.retry_policy.non_retryable_error_types[:]
    return options


def pending_info(pending: Activity, now: int) -> workflow.PendingActivityInfo:
    """What DescribeWorkflowExecution shows of a pending activity ."""
    state = enums.PENDING_ACTIVITY_STATE_SCHEDULED
    if pending.cancel_requested:
        state = enums.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
    elif pending.started_time:
        state = enums.PENDING_ACTIVITY_STATE_STARTED
    if pending.pause is not None and not pending.cancel_requested:
        state = (
            enums.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED
            if pending.started_time
            else enums.PENDING_ACTIVITY_STATE_PAUSED
        )
    info = workflow.PendingActivityInfo(
        activity_id=pending.activity_id,
        activity_type=common.ActivityType(name=pending.activity_type),
        state=state,
        last_started_time=timestamp_or_none(pending.started_time),
        attempt=pending.attempt,
        maximum_attempts=pending.retry.maximum_attempts,
        scheduled_time=timestamp_of(pending.scheduled_time),
        expiration_time=timestamp_or_none(pending.retry_expiration),
        last_worker_identity=pending.identity or pending.last_worker_identity,
        last_attempt_complete_time=timestamp_or_none(pending.last_attempt_complete_time),
        activity_options=_options_shown(pending),
        paused=pending.pause is not None,
    )
    if pending.pause is not None:
        info.pause_info.pause_time.CopyFrom(timestamp_of(pending.pause.time))
        rule = info.pause_info.rule if pending.pause.rule_id else None
        paused_by = rule or info.pause_info.manual
        paused_by.identity = pending.pause.identity
        paused_by.reason = pending.pause.reason
        if rule is not None:
            rule.rule_id = pending.pause.rule_id
    if pending.priority:
        info.priority.MergeFromString(pending.priority)
    if pending.last_failure:
        info.last_failure.MergeFromString(pending.last_failure)
    if pending.heartbeat_time:
        info.last_heartbeat_time.CopyFrom(timestamp_of(pending.heartbeat_time))
        if pending.heartbeat_details:
            info.heartbeat_details.MergeFromString(pending.heartbeat_details)
    if state == enums.PENDING_ACTIVITY_STATE_SCHEDULED and now < pending.scheduled_time:
        info.next_attempt_schedule_time.CopyFrom(timestamp_of(pending.scheduled_time))
        if pending.last_attempt_complete_time:
            interval = pending.scheduled_time - pending.last_attempt_complete_time
            info.current_retry_interval.CopyFrom(duration_of(interval))
    return info
