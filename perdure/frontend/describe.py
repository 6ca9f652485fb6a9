"""A run's state as DescribeWorkflowExecution shows it (semantics 11.5). Pure: state in, message out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from perdure.api import common, enums, workflow, workflowservice
from perdure.api.times import duration_of, timestamp_of, timestamp_or_none
from perdure.clock import SECOND
from perdure.machines.workflow import invocations, overrides, reset_points
from perdure.machines.workflow.activity_info import pending_info
from perdure.machines.workflow.callback import SCHEDULED, Callback
from perdure.machines.workflow.execution import Execution

_GO_ZERO_TIME: Final = -62_135_596_800 * SECOND
"""Year 1: what the reference shows for a run that does not expire, and clients take for "none"."""


def describe(
    execution: Execution, now: int, blocked: Callable[[str, str], bool]
) -> workflowservice.DescribeWorkflowExecutionResponse:
    """The whole response; `now` in ns tells a backoff from a wait for a worker, `blocked` says of a namespace id and a
    destination whether callbacks wait for its circuit breaker.
    """
    response = workflowservice.DescribeWorkflowExecutionResponse()
    _config(execution, response)
    _info(execution, response)
    _extended(execution, response)
    for pending in execution.activities.values():
        response.pending_activities.append(pending_info(pending, now))
    response.pending_activities.sort(key=lambda one: one.activity_id)
    for child in sorted(execution.children.values(), key=lambda one: one.initiated_event_id):
        pending_child = response.pending_children.add(
            workflow_id=child.workflow_id,
            run_id=child.started_run_id,
            workflow_type_name=child.workflow_type,
            initiated_id=child.initiated_event_id,
        )
        pending_child.parent_close_policy = child.close_policy  # type: ignore[assignment]  # wire numbers
    for callback in sorted(execution.callbacks.values(), key=lambda one: one.number):
        response.callbacks.append(_callback(execution, callback, blocked))
    task = execution.task
    if task is not None:
        shown = response.pending_workflow_task
        started = bool(task.started_event_id)
        shown.state = (
            enums.PENDING_WORKFLOW_TASK_STATE_STARTED if started else enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
        )
        shown.scheduled_time.CopyFrom(timestamp_of(task.scheduled_time))
        shown.original_scheduled_time.CopyFrom(timestamp_of(task.original_scheduled_time))
        if started:
            shown.started_time.CopyFrom(timestamp_of(task.started_time))
        shown.attempt = task.attempt
    return response


def _callback(execution: Execution, callback: Callback, blocked: Callable[[str, str], bool]) -> workflow.CallbackInfo:
    """What is shown of a completion callback."""
    spec = common.Callback.FromString(callback.spec)
    shown = workflow.CallbackInfo(
        callback=spec,
        registration_time=timestamp_of(callback.registration_time),
        attempt=callback.attempt,
        last_attempt_complete_time=timestamp_or_none(callback.last_attempt_time),
        next_attempt_schedule_time=timestamp_or_none(callback.next_attempt_time),
    )
    if callback.update_id:
        shown.trigger.update_workflow_execution_completed.update_id = callback.update_id
    else:
        shown.trigger.workflow_closed.SetInParent()
    shown.state = callback.state  # type: ignore[assignment]  # wire numbers are plain ints here
    if callback.last_failure:
        shown.last_attempt_failure.MergeFromString(callback.last_failure)
    if callback.state == SCHEDULED and blocked(execution.info.namespace_id, invocations.destination(spec)):
        shown.state = enums.CALLBACK_STATE_BLOCKED
        shown.blocked_reason = "The circuit breaker is open."
    return shown


def _config(execution: Execution, response: workflowservice.DescribeWorkflowExecutionResponse) -> None:
    info = execution.info
    config = response.execution_config
    config.task_queue.name = info.task_queue
    config.task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    if info.execution_timeout is not None:
        config.workflow_execution_timeout.CopyFrom(duration_of(info.execution_timeout))
    if info.run_timeout is not None:
        config.workflow_run_timeout.CopyFrom(duration_of(info.run_timeout))
    config.default_workflow_task_timeout.CopyFrom(duration_of(info.task_timeout))
    if info.user_metadata:
        config.user_metadata.MergeFromString(info.user_metadata)


def _info(execution: Execution, response: workflowservice.DescribeWorkflowExecutionResponse) -> None:
    info = execution.info
    shown = response.workflow_execution_info
    shown.execution.workflow_id = info.workflow_id
    shown.execution.run_id = info.run_id
    shown.type.name = info.workflow_type
    shown.start_time.CopyFrom(timestamp_of(info.start_time))
    shown.execution_time.CopyFrom(timestamp_of(info.execution_time))
    shown.status = execution.status  # type: ignore[assignment]  # wire numbers are plain ints here
    shown.history_length = execution.next_event_id - 1
    shown.history_size_bytes = execution.history_size
    shown.state_transition_count = execution.transition_count
    shown.task_queue = info.task_queue
    shown.first_run_id = info.first_run_id
    if info.parent is not None:
        shown.parent_namespace_id = info.parent.namespace_id
        shown.parent_execution.workflow_id = info.parent.workflow_id
        shown.parent_execution.run_id = info.parent.run_id
    shown.root_execution.workflow_id = info.root_workflow_id
    shown.root_execution.run_id = info.root_run_id
    shown.memo.SetInParent()
    for key, payload in sorted(execution.memo.items()):
        shown.memo.fields[key].MergeFromString(payload)
    shown.search_attributes.SetInParent()
    for name, payload in sorted(execution.search_attributes.items()):
        shown.search_attributes.indexed_fields[name].MergeFromString(payload)
    shown.auto_reset_points.SetInParent()
    for point in execution.reset_points:
        shown.auto_reset_points.points.append(reset_points.message(point))
    if execution.worker_stamp is not None:
        shown.most_recent_worker_version_stamp.SetInParent()
        shown.most_recent_worker_version_stamp.MergeFromString(execution.worker_stamp)
    shown.worker_deployment_name = execution.worker_deployment
    shown.external_payload_count = execution.external_payload_count
    shown.external_payload_size_bytes = execution.external_payload_bytes
    if execution.override is not None:
        shown.versioning_info.SetInParent()
        if execution.override:
            shown.versioning_info.versioning_override.CopyFrom(overrides.shown(execution.override))
    if info.priority:
        shown.priority.MergeFromString(info.priority)
    if execution.close_time:
        shown.close_time.CopyFrom(timestamp_of(execution.close_time))
        shown.execution_duration.CopyFrom(duration_of(max(0, execution.close_time - info.execution_time)))


def _extended(execution: Execution, response: workflowservice.DescribeWorkflowExecutionResponse) -> None:
    info = execution.info
    extended = response.workflow_extended_info
    if info.execution_expiration:
        extended.execution_expiration_time.CopyFrom(timestamp_of(info.execution_expiration))
    extended.run_expiration_time.CopyFrom(timestamp_of(info.run_expiration or _GO_ZERO_TIME))
    operations = execution.operations
    extended.original_start_time.CopyFrom(timestamp_of(operations.original_start_time or info.start_time))
    extended.reset_run_id = operations.reset_run_id
    if operations.reset_time:
        extended.last_reset_time.CopyFrom(timestamp_of(operations.reset_time))
    if operations.pause is not None:
        extended.pause_info.identity = operations.pause.identity
        extended.pause_info.paused_time.CopyFrom(timestamp_of(operations.pause.time))
        extended.pause_info.reason = operations.pause.reason
    extended.cancel_requested = execution.cancel_requested
    for request_id, event_id, event_type in execution.request_ids:
        attached = extended.request_id_infos[request_id]
        attached.event_type = event_type  # type: ignore[assignment]  # wire numbers are plain ints here
        attached.event_id = event_id
        attached.buffered = not event_id
    request = extended.request_id_infos[info.create_request_id]
    request.event_type = enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    # A start with a signal is found under the signal's event: both have the one request id.
    request.event_id = 2 if execution.signal_ids.get(info.create_request_id, False) else 1
    _signals(execution, extended)


def _signals(execution: Execution, extended: workflow.WorkflowExecutionExtendedInfo) -> None:
    """Where links to signals lead to, if the namespace keeps that."""
    for request_id, event_id in execution.signal_events.items():
        shown = extended.request_id_infos[request_id]
        shown.event_type = enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        shown.event_id = event_id
        shown.buffered = not event_id
