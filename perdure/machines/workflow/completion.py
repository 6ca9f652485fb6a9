"""RespondWorkflowTaskCompleted: the worker's commands take effect together or not at all (semantics 3.5)."""

from __future__ import annotations

from collections.abc import Callable

from perdure.api import command as commands
from perdure.api import enums, failure, failures, history, workflowservice
from perdure.api.names import short_name
from perdure.api.times import duration_ns
from perdure.errors import FailedPrecondition, InvalidArgument, NotFound, ServiceError
from perdure.machines.deadlines import ACTIVITY
from perdure.machines.pieces import PIECE, Pieces, whole
from perdure.machines.workflow import activity_task, close, queries, update_messages, updates, workflow_task
from perdure.machines.workflow.activity_inputs import ActivityDelivery
from perdure.machines.workflow.builds import inherited_stamp
from perdure.machines.workflow.commands import (
    activity,
    attributes,
    child,
    closing,
    continue_as_new,
    external,
    nexus,
    protocol_message,
    timer,
)
from perdure.machines.workflow.commands.batch import Batch, CommandRejected
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.target import find, find_running
from perdure.machines.workflow.task_inputs import (
    WorkflowTaskCompleted,
    WorkflowTaskCompletion,
    WorkflowTaskDelivery,
    WorkflowTaskFailed,
)

Request = workflowservice.RespondWorkflowTaskCompletedRequest

DROPPED_EVENTS_MAX = 10
"""Events that a worker may have been shown with a speculative task that is dropped, if it can take that back."""

INLINE_REQUEST_ID = "request-from-RespondWorkflowTaskCompleted"
"""The request id of a task that is returned with the answer."""

HANDLERS: dict[int, Callable[[Batch, commands.Command], None]] = {
    enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: activity.schedule_activity,
    enums.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: activity.request_cancel_activity,
    enums.COMMAND_TYPE_START_TIMER: timer.start_timer,
    enums.COMMAND_TYPE_CANCEL_TIMER: timer.cancel_timer,
    enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: closing.complete_workflow,
    enums.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: closing.fail_workflow,
    enums.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: closing.cancel_workflow,
    enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: continue_as_new.continue_as_new,
    enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: child.start_child,
    enums.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: external.signal_external,
    enums.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: external.request_cancel_external,
    enums.COMMAND_TYPE_RECORD_MARKER: attributes.record_marker,
    enums.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: attributes.upsert_search_attributes,
    enums.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: attributes.modify_properties,
    enums.COMMAND_TYPE_PROTOCOL_MESSAGE: protocol_message.protocol_message,
    enums.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION: nexus.schedule_nexus_operation,
    enums.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION: nexus.request_cancel_nexus_operation,
}
"""One verb, one handler. A command that is not here is none: the whole call is refused and names it."""

CLOSING = frozenset(
    (
        enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        enums.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
        enums.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
        enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
    )
)


def completed(step: Step, report: WorkflowTaskCompleted) -> WorkflowTaskCompletion | ServiceError:
    """Apply the commands, schedule what must follow, and answer; an error as outcome means that the task was failed
    instead.
    """
    return whole(completing(step, report))


def completing(step: Step, report: WorkflowTaskCompleted) -> Pieces[WorkflowTaskCompletion | ServiceError]:
    """`completed`, with a stop behind every so many commands."""
    execution = find(step, report.run_id)
    task = workflow_task.matching_task(execution, report.token)
    request = report.request
    if execution.paused and request.force_create_new_workflow_task:
        raise FailedPrecondition("Workflow is paused and force create new workflow task is not allowed.")
    _check_versioning(execution, request)
    if request.intermediate_page or request.page_number > 0:
        # A part is not the answer; none of it is kept for the rest to come.
        raise FailedPrecondition(
            f"workflow task completion pagination is disabled for this namespace {step.env.namespace.name}"
        )
    check_sequence(request)
    draft = step.edit(execution)
    if _heartbeat_expired(draft, task, request):
        return _end_heartbeat(step, draft)
    results = dict(request.query_results.items())
    dropped = _droppable(draft.execution, task, request)
    _complete_task(draft, task, request, dropped)
    queries.answer(step, draft, results)
    completed_event_id = 0 if dropped else draft.execution.next_event_id - 1
    batch = Batch(step, draft, completed_event_id, request, report.search_attributes, report.named_ids)
    try:
        if request.binary_checksum in step.env.namespace.bad_binaries:
            text = f"binary {request.binary_checksum} is marked as bad deployment"
            raise CommandRejected(enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_BINARY, text)
        for index, command in enumerate(request.commands):
            if index and not index % PIECE:
                yield
            batch.index = index
            HANDLERS[command.command_type](batch, command)
        protocol_message.remaining_messages(batch)
    except CommandRejected as rejected:
        return _reject(step, draft, task, request, rejected)
    if draft.execution.running and not request.force_create_new_workflow_task:
        updates.reject_unprocessed(step, draft)
    activities = _start_eager_activities(batch)
    next_task = _schedule_next(batch, task)
    size = sum([len(fragment) for fragment in draft.events])
    if size > draft.env.limits.transaction_size:
        return _refuse_transaction(step, draft, size)
    queries.release(step, draft)
    reset_event_id = draft.execution.last_completed_started_event_id if dropped else 0
    return WorkflowTaskCompletion(next_task, activities, reset_event_id)


def _refuse_transaction(step: Step, draft: RunDraft, size: int) -> ServiceError:
    """What the task would write is too much for one write: the run ends here (semantics 0.1)."""
    message = f"transaction size of {size} bytes exceeds limit of {draft.env.limits.transaction_size} bytes"
    fresh = step.discard(draft)
    close.terminate_by_server(step, fresh, failures.TRANSACTION_SIZE_EXCEEDS_LIMIT, message)
    return InvalidArgument(message)


def failed(step: Step, report: WorkflowTaskFailed) -> None:
    """RespondWorkflowTaskFailed: the worker could not do it; try again at once, unless it never can (semantics 3.7)."""
    execution = find_running(step, report.run_id)
    workflow_task.matching_task(execution, report.token)
    draft = step.edit(execution)
    request = report.request
    if request.cause == enums.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE:
        close.terminate_by_server(step, draft, workflow_task.cause_name(request.cause))
        return
    reason: failure.Failure | None = None
    if request.HasField("failure"):
        limits = draft.env.limits
        reason = failures.replace_oversized(
            request.failure, limits.blob_size, limits.blob_size_warn, non_retryable=True
        )
    stamp = workflow_task.version_shown(request.worker_version) if request.HasField("worker_version") else None
    workflow_task.fail(draft, request.cause, reason, request.identity, request.binary_checksum, stamp)
    workflow_task.schedule_if_needed(step, draft)


def check_sequence(request: Request) -> None:
    """A closing command comes last and every command is known; otherwise nothing of the call is done."""
    last = len(request.commands) - 1
    for index, command in enumerate(request.commands):
        kind = command.command_type
        if kind not in HANDLERS:
            raise InvalidArgument(f"unknown command type: {short_name(enums.CommandType, kind)}")
        if index != last and kind in CLOSING:
            name = short_name(enums.CommandType, kind)
            names = ", ".join(short_name(enums.CommandType, each.command_type) for each in request.commands)
            raise InvalidArgument(f"invalid command sequence: [{names}], command {name} must be the last command.")


def _heartbeat_expired(draft: RunDraft, task: WorkflowTask, request: Request) -> bool:
    if not request.force_create_new_workflow_task or request.commands or request.messages:
        return False
    return draft.env.now > task.original_scheduled_time + draft.env.limits.task_heartbeat_timeout


def _end_heartbeat(step: Step, draft: RunDraft) -> ServiceError:
    """Local activities may keep a task alive for so long only (semantics 3.5.2)."""
    workflow_task.time_out(draft, enums.TIMEOUT_TYPE_START_TO_CLOSE)
    workflow_task.clear_sticky(draft.execution)
    workflow_task.schedule_if_needed(step, draft)
    return NotFound("workflow task heartbeat timeout")


def _droppable(execution: Execution, task: WorkflowTask, request: Request) -> bool:
    """Whether a speculative task brought nothing but rejections, so that it leaves no trace (semantics 3.5.3)."""
    if not task.speculative or request.commands or request.force_create_new_workflow_task:
        return False
    shown = 2 + (DROPPED_EVENTS_MAX if request.capabilities.discard_speculative_workflow_task_with_events else 0)
    if execution.next_event_id > execution.last_completed_started_event_id + shown:
        return False
    return all(protocol_message.is_rejection(message) for message in request.messages)


def _complete_task(draft: RunDraft, task: WorkflowTask, request: Request, dropped: bool) -> None:
    """Record the completion, unless it is dropped; the task's fields are cleared and the attempt starts over."""
    execution = draft.execution
    execution.task = None
    execution.task_attempt = 1
    execution.close_attempted = False
    if not dropped:
        written = workflow_task.write_events(draft, task, request.identity, _stamp(request))
        _record_completion(draft, written, request)
    sticky = request.sticky_attributes
    if sticky.worker_task_queue.name:
        execution.sticky_queue = sticky.worker_task_queue.name
        execution.sticky_timeout = duration_ns(sticky.schedule_to_start_timeout)
    else:
        workflow_task.clear_sticky(execution)


def _check_versioning(execution: Execution, request: Request) -> None:
    """A behaviour needs a version that has it; a run whose tasks are chosen by build id a worker that names one."""
    if request.versioning_behavior and not request.HasField("deployment") and not _of_a_version(request):
        raise InvalidArgument(
            "versioning behavior cannot be specified without deployment options being set with versioned mode"
        )
    if not execution.worker_stamp or request.worker_version_stamp.use_versioning:
        return
    if not _of_a_version(request) and inherited_stamp(execution.worker_stamp) is not None:
        raise InvalidArgument("Workflow using versioning must continue to use versioning.")


def _of_a_version(request: Request) -> bool:
    return request.deployment_options.worker_versioning_mode == enums.WORKER_VERSIONING_MODE_VERSIONED


def _stamp(request: Request) -> bytes | None:
    """What the worker names of its build, for start events that are written with its answer."""
    if not request.HasField("worker_version_stamp"):
        return None
    return workflow_task.version_shown(request.worker_version_stamp)


def _record_completion(draft: RunDraft, written: WorkflowTask, request: Request) -> None:
    completed_attributes = history.WorkflowTaskCompletedEventAttributes()
    completed_attributes.scheduled_event_id = written.scheduled_event_id
    completed_attributes.started_event_id = written.started_event_id
    completed_attributes.identity = request.identity
    completed_attributes.binary_checksum = request.binary_checksum
    completed_attributes.versioning_behavior = request.versioning_behavior
    completed_attributes.worker_deployment_name = request.deployment_options.deployment_name
    if request.HasField("worker_version_stamp"):
        completed_attributes.worker_version.CopyFrom(request.worker_version_stamp)
    if request.HasField("sdk_metadata"):
        completed_attributes.sdk_metadata.CopyFrom(request.sdk_metadata)
    if request.HasField("metering_metadata"):
        completed_attributes.metering_metadata.CopyFrom(request.metering_metadata)
    draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, completed_attributes)
    workflow_task.problems_over(draft)


def _reject(
    step: Step, draft: RunDraft, task: WorkflowTask, request: Request, rejected: CommandRejected
) -> ServiceError:
    """The worker's fault: the batch leaves no trace, the task fails, and is tried again (semantics 3.5.8)."""
    short = workflow_task.cause_name(rejected.cause)
    message = rejected.message if rejected.message == short else f"{short}: {rejected.message}"
    fresh = step.discard(draft)
    updates.task_failed(step, fresh)
    if task.attempt > 1 and rejected.cause != enums.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND:
        return InvalidArgument(message)
    # Queries go out again with the next task: what the worker answered is the state of a batch that never was.
    reason = failure.Failure(message=message, server_failure_info=failure.ServerFailureInfo())
    workflow_task.fail(fresh, rejected.cause, reason, request.identity, request.binary_checksum)
    if rejected.terminate:
        fresh.flush()
        close.terminate_by_server(step, fresh, message)
    else:
        workflow_task.schedule_if_needed(step, fresh)
    return InvalidArgument(message)


def _start_eager_activities(batch: Batch) -> tuple[ActivityDelivery, ...]:
    """Activities that the worker takes with the answer, unless the batch cancelled them or closed the run."""
    started: list[ActivityDelivery] = []
    if not batch.execution.running or batch.execution.paused:
        return ()
    for scheduled_event_id in batch.eager:
        pending = batch.execution.activities.get(scheduled_event_id)
        if pending is None or pending.cancel_requested:
            continue
        identity = batch.request.identity
        started.append(activity_task.start_attempt(batch.draft, pending, batch.env.request_id(), identity))
        # It was never offered, so no entry stands for its timeouts from the start yet.
        due = activity_task.next_deadline(batch.execution.activities[scheduled_event_id], held=False)
        if due is not None:
            batch.draft.deadline(due, ACTIVITY, scheduled_event_id)
    return tuple(started)


def _schedule_next(batch: Batch, task: WorkflowTask) -> WorkflowTaskDelivery | None:
    """The next task, if one is needed; started at once when the worker wants it with the answer."""
    draft = batch.draft
    execution = draft.execution
    request = batch.request
    if not execution.running or execution.paused:
        return None
    heeded = len(execution.buffered) + len(draft.pending) > batch.unheeded
    if not (request.force_create_new_workflow_task or batch.force_task or heeded):
        return _carry_updates(draft, request)
    heartbeat = request.force_create_new_workflow_task and not request.commands and not request.messages
    workflow_task.schedule(draft, task.original_scheduled_time if heartbeat else 0)
    if not request.return_new_workflow_task:
        return None
    return _start_inline(draft, request)


def _carry_updates(draft: RunDraft, request: Request) -> WorkflowTaskDelivery | None:
    """Nothing but updates asks for another task: it is speculative if the worker takes it at once."""
    if not update_messages.to_send(draft.execution, True):
        return None
    if not request.return_new_workflow_task:
        workflow_task.schedule(draft)
        return None
    draft.stays_speculative = workflow_task.schedule_speculative(draft).speculative
    return _start_inline(draft, request)


def _start_inline(draft: RunDraft, request: Request) -> WorkflowTaskDelivery:
    started = workflow_task.start(draft, INLINE_REQUEST_ID, request.identity, _stamp(request))
    again = not request.force_create_new_workflow_task
    # The worker has the run at hand, whatever queue the task stands on: it gets what is new.
    return workflow_task.hand_over(draft.execution, started, True, again)
