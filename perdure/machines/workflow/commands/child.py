"""START_CHILD_WORKFLOW_EXECUTION (semantics 4.6). The child is not started here: the run owes its start from now on."""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import enums, history
from perdure.api.times import BadDuration, checked_duration_ns, duration_of
from perdure.errors import InvalidArgument
from perdure.machines import cron, priorities, queue_names, retry
from perdure.machines.workflow import overrides, runs
from perdure.machines.workflow.commands.batch import Batch, CommandRejected

Asked = commands.StartChildWorkflowExecutionCommandAttributes

_BAD = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES
_TOO_MANY = enums.WORKFLOW_TASK_FAILED_CAUSE_PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED
_COMMAND = "StartChildWorkflowExecutionCommand"


def start_child(batch: Batch, command: commands.Command) -> None:
    """One event, one pending child, one owed start."""
    if not command.HasField("start_child_workflow_execution_command_attributes"):
        raise CommandRejected(_BAD, f"StartChildWorkflowExecutionCommandAttributes is not set on {_COMMAND}.")
    asked = command.start_child_workflow_execution_command_attributes
    namespace_id = batch.namespace_id(_BAD, asked.namespace)
    where = (
        f"WorkflowId={asked.workflow_id} WorkflowType={asked.workflow_type.name} "
        f"Namespace={asked.namespace or batch.execution.info.namespace}"
    )
    wrong = batch.bad_search_attributes()
    if wrong is not None and wrong.unmapped:
        batch.search_attributes()
    _check_names(asked, where, batch.env.limits.id_length)
    _check_values(batch, asked, where)
    _check_sizes(batch, asked)
    batch.record(
        enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, _initiated(batch, asked, namespace_id), command
    )
    batch.started_children.add(asked.workflow_id)


def _check_names(asked: Asked, where: str, bytes_max: int) -> None:
    name = asked.workflow_type.name
    namespace = where.rpartition("Namespace=")[2]
    if not asked.workflow_id:
        raise CommandRejected(
            _BAD, f"Required field WorkflowId is not set on {_COMMAND}. WorkflowType={name} Namespace={namespace}"
        )
    if not name:
        raise CommandRejected(
            _BAD,
            f"Required field WorkflowType is not set on {_COMMAND}. "
            f"WorkflowId={asked.workflow_id} Namespace={namespace}",
        )
    for field, text in (("Namespace", namespace), ("WorkflowId", asked.workflow_id), ("WorkflowType", name)):
        size = len(text.encode())
        if size > bytes_max:
            raise CommandRejected(
                _BAD,
                f"{field} on {_COMMAND} exceeds length limit. {_with_length(asked, field, size, bytes_max, namespace)}",
            )


def _with_length(asked: Asked, field: str, size: int, bytes_max: int, namespace: str) -> str:
    """The facts behind a text about a length, in the order that each field has them."""
    workflow_id = f"WorkflowId={asked.workflow_id}"
    name = f"WorkflowType={asked.workflow_type.name}"
    length = f"Length={size} Limit={bytes_max}"
    if field == "Namespace":
        return f"{workflow_id} {name} Namespace={namespace} {length}"
    if field == "WorkflowId":
        return f"{workflow_id} {length} {name} Namespace={namespace}"
    return f"{workflow_id} {name} {length} Namespace={namespace}"


def _check_values(batch: Batch, asked: Asked, where: str) -> None:
    """Timeouts, retry policy, search attributes, priority, task queue, in the order that decides which text is seen."""
    for field, duration in (
        ("WorkflowExecutionTimeout", asked.workflow_execution_timeout),
        ("WorkflowRunTimeout", asked.workflow_run_timeout),
        ("WorkflowTaskTimeout", asked.workflow_task_timeout),
    ):
        try:
            checked_duration_ns(duration)
        except BadDuration as bad_duration:
            raise CommandRejected(_BAD, f"Invalid {field} on {_COMMAND}: {bad_duration}. {where}") from bad_duration
    bad = retry.validate(asked.retry_policy) if asked.HasField("retry_policy") else None
    if bad is not None:
        raise CommandRejected(_BAD, f"invalid WorkflowRetryPolicy on {_COMMAND}: {bad}. {where}")
    if asked.cron_schedule:
        try:
            cron.parse(asked.cron_schedule)
        except cron.BadSchedule:
            raise CommandRejected(_BAD, f"invalid CronSchedule on {_COMMAND}: invalid CronSchedule.. {where}") from None
    wrong = batch.bad_search_attributes()
    if wrong is not None and not wrong.too_large:
        text = f"invalid SearchAttributes on StartChildWorkflowCommand: {wrong.message}. {where}"
        raise CommandRejected(enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES, text)
    bad = priorities.invalid(asked.priority)
    if bad is not None:
        raise CommandRejected(_BAD, bad)
    if asked.HasField("versioning_override"):
        try:
            overrides.named_version(asked.versioning_override)
        except InvalidArgument as malformed:
            raise CommandRejected(_BAD, malformed.message) from None
    own_queue = batch.execution.info.task_queue
    if asked.task_queue.name:
        bad = queue_names.invalid_queue(asked.task_queue, batch.env.limits.id_length, own_queue)
        if bad is not None:
            queue = queue_names.described(asked.task_queue, own_queue)
            raise CommandRejected(_BAD, f"invalid TaskQueue on {_COMMAND}: {bad}. {where} TaskQueue={queue}")
    if asked.inherit_build_id and asked.task_queue.name and asked.task_queue.name != own_queue:
        raise CommandRejected(
            _BAD, "StartChildWorkflowExecution with UseCompatibleVersion cannot run on different task queue."
        )


def _check_sizes(batch: Batch, asked: Asked) -> None:
    limits = batch.env.limits
    if asked.input.ByteSize() > limits.blob_size:
        text = "StartChildWorkflowExecutionCommandAttributes. Input exceeds size limit."
        raise CommandRejected(_BAD, text, terminate=True)
    if asked.memo.ByteSize() > limits.memo_size:
        text = "StartChildWorkflowExecutionCommandAttributes.Memo exceeds size limit."
        raise CommandRejected(_BAD, text, terminate=True)
    wrong = batch.bad_search_attributes()
    if wrong is not None:
        raise CommandRejected(_BAD, wrong.message, terminate=True)
    pending = len(batch.execution.children)
    if 0 < limits.pending_children <= pending:
        raise CommandRejected(
            _TOO_MANY,
            f"the number of pending child workflow executions, {pending}, has reached the per-workflow limit of "
            f"{limits.pending_children}",
        )


def _initiated(
    batch: Batch, asked: Asked, namespace_id: str
) -> history.StartChildWorkflowExecutionInitiatedEventAttributes:
    info = batch.execution.info
    execution_timeout = checked_duration_ns(asked.workflow_execution_timeout)
    run_timeout = runs.run_timeout(checked_duration_ns(asked.workflow_run_timeout), execution_timeout)
    task_timeout = runs.workflow_task_timeout(
        checked_duration_ns(asked.workflow_task_timeout), run_timeout, batch.env.limits
    )
    attributes = history.StartChildWorkflowExecutionInitiatedEventAttributes(
        namespace=asked.namespace or info.namespace,
        namespace_id=namespace_id,
        workflow_id=asked.workflow_id,
        workflow_type=asked.workflow_type,
        workflow_run_timeout=duration_of(run_timeout or 0),
        workflow_task_timeout=duration_of(task_timeout),
        parent_close_policy=asked.parent_close_policy or enums.PARENT_CLOSE_POLICY_TERMINATE,
        control=asked.control,
        workflow_task_completed_event_id=batch.completed_event_id,
        workflow_id_reuse_policy=asked.workflow_id_reuse_policy or enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
        cron_schedule=asked.cron_schedule,
        inherit_build_id=asked.inherit_build_id,
    )
    for name in ("input", "header", "priority"):
        if asked.HasField(name):
            getattr(attributes, name).CopyFrom(getattr(asked, name))
    if asked.HasField("workflow_execution_timeout"):
        attributes.workflow_execution_timeout.CopyFrom(duration_of(execution_timeout))
    if asked.HasField("task_queue"):
        attributes.task_queue.CopyFrom(asked.task_queue)
    if not attributes.task_queue.name:
        attributes.task_queue.name = info.task_queue
    if attributes.task_queue.kind == enums.TASK_QUEUE_KIND_UNSPECIFIED:
        attributes.task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    if asked.HasField("versioning_override"):
        attributes.versioning_override.CopyFrom(overrides.newer_form(asked.versioning_override))
    if asked.HasField("retry_policy"):
        attributes.retry_policy.CopyFrom(retry.policy_message(retry.policy_of(asked.retry_policy)))
    _fill_maps(batch, asked, attributes)
    return attributes


def _fill_maps(
    batch: Batch, asked: Asked, attributes: history.StartChildWorkflowExecutionInitiatedEventAttributes
) -> None:
    """Memo and search attributes, without entries that say nothing."""
    if asked.HasField("memo"):
        for key, body in runs.present_payloads(asked.memo.fields).items():
            attributes.memo.fields[key].MergeFromString(body)
    if asked.HasField("search_attributes"):
        for name, body in batch.search_attributes().items():
            if body:
                attributes.search_attributes.indexed_fields[name].MergeFromString(body)
