"""What a run is made of as plain tuples that are stored, and the way back: its info, its workflow task, an activity.

Positions are never reused; a tuple that was written by an earlier version is shorter. Times are ns, messages inside are
serialized bytes. What becomes of the tuples is codec.py's.
"""

from __future__ import annotations

from typing import Any

from perdure.ids import uuid_bytes, uuid_text
from perdure.machines.retry import RetryPolicy
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.run_info import RunInfo
from perdure.machines.workflow.run_operations import decode_pause, encode_pause


def _raw(run_id: str) -> bytes | str:
    """A UUID as its 16 bytes; anything else (it cannot be one of ours) as it is."""
    raw = uuid_bytes(run_id)
    return raw if raw is not None and run_id == run_id.lower() else run_id


def _text(value: bytes | str) -> str:
    return uuid_text(value) if isinstance(value, bytes) else value


def _retry_tuple(retry: RetryPolicy) -> tuple[object, ...]:
    return (
        retry.initial_interval,
        retry.backoff_coefficient,
        retry.maximum_interval,
        retry.maximum_attempts,
        retry.non_retryable_error_types,
    )


def _retry_of(f: Any) -> RetryPolicy:
    return RetryPolicy(f[0], float(f[1]), f[2], f[3], tuple(f[4]))


def info_tuple(info: RunInfo) -> tuple[object, ...]:
    own = _raw(info.run_id)
    return (
        info.namespace_id,
        info.namespace,
        info.workflow_id,
        own,
        _raw(info.first_run_id) if info.first_run_id != info.run_id else own,
        _raw(info.original_run_id) if info.original_run_id != info.run_id else own,
        _raw(info.continued_run_id),
        _raw(info.create_request_id),
        info.workflow_type,
        info.task_queue,
        info.start_time,
        info.execution_time,
        info.execution_timeout,
        info.run_timeout,
        info.task_timeout,
        info.execution_expiration,
        info.run_expiration,
        info.attempt,
        None if info.retry is None else _retry_tuple(info.retry),
        info.cron_schedule,
        info.root_workflow_id,
        _raw(info.root_run_id) if info.root_run_id != info.run_id else own,
        info.user_metadata,
        info.priority,
        None if info.parent is None else _parent_tuple(info.parent),
    )


def _parent_tuple(parent: Parent) -> tuple[object, ...]:
    return (
        parent.namespace_id,
        parent.namespace,
        parent.workflow_id,
        _raw(parent.run_id),
        parent.initiated_event_id,
    )


def info_of(f: Any) -> RunInfo:
    retry = None if f[18] is None else _retry_of(f[18])
    # Cores from before there were children end earlier.
    p = f[24] if len(f) > 24 else None
    parent = None if p is None else Parent(p[0], p[1], p[2], _text(p[3]), p[4])
    return RunInfo(
        f[0], f[1], f[2], _text(f[3]), _text(f[4]), _text(f[5]), _text(f[6]), _text(f[7]), f[8], f[9], f[10], f[11],
        f[12], f[13], f[14], f[15], f[16], f[17], retry, f[19], f[20], _text(f[21]), f[22], f[23],
        parent,
    )  # fmt: skip


def task_tuple(task: WorkflowTask) -> tuple[object, ...]:
    return (
        task.scheduled_event_id,
        task.attempt,
        task.queue,
        task.sticky,
        task.scheduled_time,
        task.original_scheduled_time,
        task.timeout,
        task.stamp,
        task.started_event_id,
        task.started_time,
        task.request_id,
        task.identity,
        task.history_size,
        task.suggest_continue_as_new,
        task.suggest_reasons,
        task.schedule_to_start,
    )


def task_of(f: Any) -> WorkflowTask:
    return WorkflowTask(*(*f[:14], tuple(f[14]), *f[15:16]))


def activity_tuple(a: Activity) -> tuple[object, ...]:
    return (
        a.scheduled_event_id,
        a.activity_id,
        a.activity_type,
        a.task_queue,
        a.scheduled_time,
        a.schedule_to_close,
        a.schedule_to_start,
        a.start_to_close,
        a.heartbeat_timeout,
        _retry_tuple(a.retry),
        a.priority,
        a.first_scheduled_time,
        a.retry_expiration,
        a.attempt,
        a.stamp,
        a.started_time,
        a.request_id,
        a.identity,
        a.last_failure,
        a.last_worker_identity,
        a.last_attempt_complete_time,
        a.heartbeat_details,
        a.heartbeat_time,
        a.cancel_requested,
        a.cancel_request_event_id,
        _operated_tuple(a),
        a.own_build,
    )


def _operated_tuple(a: Activity) -> tuple[object, ...] | None:
    """What operators did to an activity; None for the many that are left alone."""
    if a.pause is None and not a.activity_reset and not a.reset_heartbeats and not a.original_options:
        return None
    return (encode_pause(a.pause), a.activity_reset, a.reset_heartbeats, a.original_options)


def _operated(activity: Activity, f: Any) -> None:
    activity.pause = decode_pause(f[0])
    activity.activity_reset, activity.reset_heartbeats, activity.original_options = f[1:4]


def activity_of(f: Any) -> Activity:
    activity = Activity(*(*f[:9], _retry_of(f[9]), f[10]))
    (
        activity.first_scheduled_time,
        activity.retry_expiration,
        activity.attempt,
        activity.stamp,
        activity.started_time,
        activity.request_id,
        activity.identity,
        activity.last_failure,
        activity.last_worker_identity,
        activity.last_attempt_complete_time,
        activity.heartbeat_details,
        activity.heartbeat_time,
        activity.cancel_requested,
        activity.cancel_request_event_id,
    ) = f[11:25]
    if len(f) > 25 and f[25] is not None:
        _operated(activity, f[25])
    if len(f) > 26:
        activity.own_build = f[26]
    return activity
