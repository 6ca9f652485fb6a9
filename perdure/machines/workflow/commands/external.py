"""SIGNAL_EXTERNAL_ and REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION (semantics 4.7). Sending them is owed henceforth."""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import common, enums, history
from perdure.ids import uuid_bytes
from perdure.machines.workflow.commands.batch import Batch, CommandRejected

SignalAsked = commands.SignalExternalWorkflowExecutionCommandAttributes
CancelAsked = commands.RequestCancelExternalWorkflowExecutionCommandAttributes

_BAD_SIGNAL = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES
_BAD_CANCEL = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES
_TOO_MANY_SIGNALS = enums.WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED
_TOO_MANY_CANCELS = enums.WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED
_SIGNAL = "SignalExternalWorkflowExecutionCommand"
_CANCEL = "RequestCancelExternalWorkflowExecutionCommand"


def signal_external(batch: Batch, command: commands.Command) -> None:
    """Signal another workflow, or this run's child only."""
    if not command.HasField("signal_external_workflow_execution_command_attributes"):
        raise CommandRejected(_BAD_SIGNAL, f"SignalExternalWorkflowExecutionCommandAttributes is not set on {_SIGNAL}.")
    asked = command.signal_external_workflow_execution_command_attributes
    namespace_id = batch.namespace_id(_BAD_SIGNAL, asked.namespace)
    if not asked.HasField("execution"):
        raise CommandRejected(_BAD_SIGNAL, f"Execution is not set on {_SIGNAL}.")
    _check_signal(asked, batch.env.limits.id_length)
    pending = len(batch.execution.external_signals)
    limit = batch.env.limits.pending_signals
    if 0 < limit <= pending:
        raise CommandRejected(_TOO_MANY_SIGNALS, _too_many("pending signals to external workflows", pending, limit))
    if asked.input.ByteSize() > batch.env.limits.blob_size:
        text = "SignalExternalWorkflowExecutionCommandAttributes.Input exceeds size limit."
        raise CommandRejected(_BAD_SIGNAL, text, terminate=True)
    attributes = history.SignalExternalWorkflowExecutionInitiatedEventAttributes(
        workflow_task_completed_event_id=batch.completed_event_id,
        namespace=asked.namespace,
        namespace_id=namespace_id,
        workflow_execution=asked.execution,
        signal_name=asked.signal_name,
        control=asked.control,
        child_workflow_only=asked.child_workflow_only,
    )
    if asked.HasField("input"):
        attributes.input.CopyFrom(asked.input)
    if asked.HasField("header"):
        attributes.header.CopyFrom(asked.header)
    batch.record(enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, attributes, command)


def _check_signal(asked: SignalAsked, bytes_max: int) -> None:
    target = asked.execution
    namespace = asked.namespace
    named = f"SignalName={asked.signal_name}"
    if not target.workflow_id:
        raise CommandRejected(
            _BAD_SIGNAL, f"WorkflowId is not set on {_SIGNAL}. Namespace={namespace} RunId={target.run_id} {named}"
        )
    size = len(namespace.encode())
    if size > bytes_max:
        raise CommandRejected(
            _BAD_SIGNAL,
            f"Namespace on {_SIGNAL} exceeds length limit. WorkflowId={target.workflow_id} Namespace={namespace} "
            f"Length={size} Limit={bytes_max} RunId={target.run_id} {named}",
        )
    size = len(target.workflow_id.encode())
    if size > bytes_max:
        raise CommandRejected(
            _BAD_SIGNAL,
            f"WorkflowId on {_SIGNAL} exceeds length limit. WorkflowId={target.workflow_id} Length={size} "
            f"Limit={bytes_max} Namespace={namespace} RunId={target.run_id} {named}",
        )
    if target.run_id and uuid_bytes(target.run_id) is None:
        raise CommandRejected(
            _BAD_SIGNAL,
            f"Invalid RunId set on {_SIGNAL}. WorkflowId={target.workflow_id} Namespace={namespace} "
            f"RunId={target.run_id} {named}",
        )
    if not asked.signal_name:
        raise CommandRejected(
            _BAD_SIGNAL,
            f"SignalName is not set on {_SIGNAL}. WorkflowId={target.workflow_id} Namespace={namespace} "
            f"RunId={target.run_id}",
        )


def request_cancel_external(batch: Batch, command: commands.Command) -> None:
    """Ask another workflow to cancel, or this run's child only, but not one that this very batch starts."""
    if not command.HasField("request_cancel_external_workflow_execution_command_attributes"):
        raise CommandRejected(
            _BAD_CANCEL, f"RequestCancelExternalWorkflowExecutionCommandAttributes is not set on {_CANCEL}."
        )
    asked = command.request_cancel_external_workflow_execution_command_attributes
    namespace_id = batch.namespace_id(_BAD_CANCEL, asked.namespace)
    _check_cancel(batch, asked)
    pending = len(batch.execution.external_cancels)
    limit = batch.env.limits.pending_cancels
    if 0 < limit <= pending:
        text = _too_many("pending requests to cancel external workflows", pending, limit)
        raise CommandRejected(_TOO_MANY_CANCELS, text)
    attributes = history.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(
        workflow_task_completed_event_id=batch.completed_event_id,
        namespace=asked.namespace,
        namespace_id=namespace_id,
        workflow_execution=common.WorkflowExecution(workflow_id=asked.workflow_id, run_id=asked.run_id),
        control=asked.control,
        child_workflow_only=asked.child_workflow_only,
        reason=asked.reason,
    )
    batch.record(enums.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, attributes, command)


def _check_cancel(batch: Batch, asked: CancelAsked) -> None:
    bytes_max = batch.env.limits.id_length
    namespace = asked.namespace
    if not asked.workflow_id:
        raise CommandRejected(
            _BAD_CANCEL, f"WorkflowId is not set on {_CANCEL}. Namespace={namespace} RunId={asked.run_id}"
        )
    size = len(namespace.encode())
    if size > bytes_max:
        raise CommandRejected(
            _BAD_CANCEL,
            f"Namespace on {_CANCEL} exceeds length limit. WorkflowId={asked.workflow_id} RunId={asked.run_id} "
            f"Namespace={namespace} Length={size} Limit={bytes_max}",
        )
    size = len(asked.workflow_id.encode())
    if size > bytes_max:
        raise CommandRejected(
            _BAD_CANCEL,
            f"WorkflowId on {_CANCEL} exceeds length limit. WorkflowId={asked.workflow_id} Length={size} "
            f"Limit={bytes_max} RunId={asked.run_id} Namespace={namespace}",
        )
    where = f"WorkflowId={asked.workflow_id} RunId={asked.run_id} Namespace={namespace}"
    if asked.run_id and uuid_bytes(asked.run_id) is None:
        raise CommandRejected(_BAD_CANCEL, f"Invalid RunId set on {_CANCEL}. {where}")
    if asked.workflow_id in batch.started_children:
        raise CommandRejected(
            _BAD_CANCEL, f"Start and RequestCancel for child workflow is not allowed in same workflow task. {where}"
        )


def _too_many(what: str, pending: int, limit: int) -> str:
    return f"the number of {what}, {pending}, has reached the per-workflow limit of {limit}"
