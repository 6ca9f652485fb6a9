"""CONTINUE_AS_NEW_WORKFLOW_EXECUTION: this run closes and the next begins in the same write (semantics 4.5, 10.1)."""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import common, enums, history
from perdure.api.times import BadDuration, checked_duration_ns, duration_of
from perdure.machines import queue_names, retry
from perdure.machines.workflow import callbacks, close, internal_callbacks, runs, workflow_task
from perdure.machines.workflow.builds import inherited_stamp
from perdure.machines.workflow.commands.batch import Batch, CommandRejected
from perdure.machines.workflow.commands.closing import check_nothing_unseen
from perdure.machines.workflow.run_info import RunInfo

Asked = commands.ContinueAsNewWorkflowExecutionCommandAttributes
_CAUSE = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_CONTINUE_AS_NEW_ATTRIBUTES


def continue_as_new(batch: Batch, command: commands.Command) -> None:
    """Record the closing event and make the successor; what the command leaves out is taken from this run."""
    check_nothing_unseen(batch)
    if not command.HasField("continue_as_new_workflow_execution_command_attributes"):
        raise CommandRejected(
            _CAUSE,
            "ContinueAsNewWorkflowExecutionCommandAttributes is not set on ContinueAsNewWorkflowExecutionCommand.",
        )
    asked = command.continue_as_new_workflow_execution_command_attributes
    bad = batch.bad_search_attributes()
    if bad is not None and bad.unmapped:
        batch.search_attributes()
    _check(batch, asked)
    search_attributes = {name: body for name, body in batch.search_attributes().items() if body}
    memo = runs.present_payloads(asked.memo.fields)
    info = _info(batch, asked)
    closing = history.WorkflowExecutionContinuedAsNewEventAttributes(
        new_execution_run_id=info.run_id,
        workflow_type=common.WorkflowType(name=info.workflow_type),
        workflow_run_timeout=duration_of(info.run_timeout or 0),
        workflow_task_timeout=duration_of(info.task_timeout),
        workflow_task_completed_event_id=batch.completed_event_id,
        initiator=asked.initiator,
        inherit_build_id=asked.inherit_build_id,
    )
    if asked.HasField("backoff_start_interval"):
        closing.backoff_start_interval.CopyFrom(duration_of(checked_duration_ns(asked.backoff_start_interval)))
    closing.task_queue.name = info.task_queue
    if asked.task_queue.name:
        closing.task_queue.normal_name = asked.task_queue.normal_name
    closing.task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    started = runs.started_attributes(info)
    started.initiator = asked.initiator or enums.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    if info.execution_time == info.start_time and not asked.HasField("backoff_start_interval"):
        started.ClearField("first_workflow_task_backoff")
    for field in ("input", "header", "last_completion_result"):
        if asked.HasField(field):
            getattr(closing, field).CopyFrom(getattr(asked, field))
            getattr(started, field).CopyFrom(getattr(asked, field))
    if asked.HasField("failure"):
        closing.failure.CopyFrom(asked.failure)
        started.continued_failure.CopyFrom(asked.failure)
    if asked.HasField("retry_policy"):
        started.retry_policy.CopyFrom(retry.policy_message(retry.policy_of(asked.retry_policy)))
    stamp = inherited_stamp(batch.execution.worker_stamp) if asked.inherit_build_id else None
    if stamp is not None:
        started.source_version_stamp.CopyFrom(stamp)
    runs.fill_maps(closing, memo, search_attributes)
    runs.fill_maps(started, memo, search_attributes)
    runs.hand_over_reset_points(batch.draft, started)
    callbacks.take_along(batch.execution, started)
    batch.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, closing, command)
    batch.draft.execution.new_run_id = info.run_id
    close.closed(batch.step, batch.draft, goes_on=True)
    run_id = batch.execution.info.run_id
    links = tuple(runs.start_event(batch.step, run_id).links) if batch.execution.start_linked else ()
    draft = runs.begin(batch.step, batch.env, info, started, memo, search_attributes, links)
    internal_callbacks.hand_over(batch.draft, draft)
    if info.execution_time == info.start_time:
        workflow_task.schedule(draft)


def _check(batch: Batch, asked: Asked) -> None:
    limits = batch.env.limits
    name = asked.workflow_type.name or batch.execution.info.workflow_type
    size = len(name.encode())
    if size > limits.id_length:
        raise CommandRejected(
            _CAUSE,
            "WorkflowType on ContinueAsNewWorkflowExecutionCommand exceeds length limit. "
            f"WorkflowType={name} Length={size} Limit={limits.id_length}",
        )
    own_queue = batch.execution.info.task_queue
    about = f"WorkflowType={name} TaskQueue={queue_names.described(asked.task_queue, own_queue)}"
    if asked.task_queue.name:
        bad = queue_names.invalid_queue(asked.task_queue, limits.id_length, own_queue)
        if bad is not None:
            raise CommandRejected(
                _CAUSE,
                f"error validating ContinueAsNewWorkflowExecutionCommand TaskQueue: {bad}. {about}",
            )
    for field, duration in (
        ("WorkflowRunTimeout", asked.workflow_run_timeout),
        ("WorkflowTaskTimeout", asked.workflow_task_timeout),
        ("BackoffStartInterval", asked.backoff_start_interval),
    ):
        try:
            checked_duration_ns(duration)
        except BadDuration as bad_duration:
            raise CommandRejected(
                _CAUSE,
                f"Invalid {field} on ContinueAsNewWorkflowExecutionCommand: {bad_duration}. {about}",
            ) from bad_duration
    problem = retry.validate(asked.retry_policy) if asked.HasField("retry_policy") else None
    if problem is not None:
        raise CommandRejected(
            _CAUSE,
            f"invalid WorkflowRetryPolicy on ContinueAsNewWorkflowExecutionCommand: {problem}. {about}",
        )
    wrong = batch.bad_search_attributes()
    if wrong is not None and not wrong.too_large:
        raise CommandRejected(
            enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES,
            f"invalid SearchAttributes on ContinueAsNewWorkflowExecutionCommand: {wrong.message}. {about}",
        )
    if asked.inherit_build_id and asked.task_queue.name and asked.task_queue.name != own_queue:
        raise CommandRejected(_CAUSE, "ContinueAsNew with UseCompatibleVersion cannot run on different task queue.")
    if asked.input.ByteSize() > limits.blob_size:
        raise CommandRejected(
            _CAUSE, "ContinueAsNewWorkflowExecutionCommandAttributes. Input exceeds size limit.", terminate=True
        )
    if asked.memo.ByteSize() > limits.memo_size:
        raise CommandRejected(
            _CAUSE, "ContinueAsNewWorkflowExecutionCommandAttributes. Memo exceeds size limit.", terminate=True
        )
    if wrong is not None:
        raise CommandRejected(_CAUSE, wrong.message, terminate=True)


def _info(batch: Batch, asked: Asked) -> RunInfo:
    previous = batch.execution.info
    wanted = checked_duration_ns(asked.workflow_run_timeout) or previous.run_timeout or 0
    timeout_of_run = runs.run_timeout(wanted, previous.execution_timeout)
    timeout_of_task = checked_duration_ns(asked.workflow_task_timeout) or previous.task_timeout
    backoff = runs.minimum_backoff(batch.execution, batch.env, checked_duration_ns(asked.backoff_start_interval))
    attempt = previous.attempt + 1 if asked.initiator == enums.CONTINUE_AS_NEW_INITIATOR_RETRY else 1
    return runs.successor_info(
        previous,
        batch.env,
        backoff,
        attempt,
        asked.retry_policy if asked.HasField("retry_policy") else None,
        asked.workflow_type.name or previous.workflow_type,
        asked.task_queue.name or previous.task_queue,
        timeout_of_run,
        runs.workflow_task_timeout(timeout_of_task, timeout_of_run, batch.env.limits),
        previous.priority,
        asked.cron_schedule,
    )
