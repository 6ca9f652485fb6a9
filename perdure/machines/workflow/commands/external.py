"""SIGNAL_EXTERNAL_ and REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION (semantics 4.7). Sending them is owed henceforth."""

from __future__ import annotations

from typing import final

from perdure.api import command as commands
from perdure.api import common, enums, history
from perdure.ids import uuid_bytes
from perdure.machines.workflow.commands.batch import Batch, CommandRejected


@final
class _Kind:
    """What the texts of one of the two commands say, and in which order they name the facts."""

    __slots__ = ("bad", "command", "order", "order_without_id", "pending", "too_many")

    def __init__(
        self, command: str, bad: int, too_many: int, pending: str, order: tuple[str, ...], without_id: tuple[str, ...]
    ) -> None:
        self.command = command
        self.bad = bad
        self.too_many = too_many
        self.pending = pending
        self.order = order
        self.order_without_id = without_id


_SIGNAL = _Kind(
    "SignalExternalWorkflowExecutionCommand",
    enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES,
    enums.WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED,
    "pending signals to external workflows",
    ("WorkflowId", "Namespace", "RunId", "SignalName"),
    ("Namespace", "RunId", "SignalName"),
)
_CANCEL = _Kind(
    "RequestCancelExternalWorkflowExecutionCommand",
    enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES,
    enums.WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED,
    "pending requests to cancel external workflows",
    ("WorkflowId", "RunId", "Namespace"),
    ("Namespace", "RunId"),
)

Facts = dict[str, str]
"""What a command names, by the words of the texts."""


def _rejected(kind: _Kind, text: str, terminate: bool = False) -> CommandRejected:
    return CommandRejected(kind.bad, text, terminate=terminate)


def _told(facts: Facts, order: tuple[str, ...], measured: str = "", length: str = "") -> str:
    """The facts in order; the length of one of them stands behind it."""
    return " ".join([f"{name}={facts[name]}" + (f" {length}" if name == measured else "") for name in order])


def _check_names(kind: _Kind, facts: Facts, bytes_max: int) -> None:
    """The target: named, of bearable length, with a run id that can be one."""
    if not facts["WorkflowId"]:
        raise _rejected(kind, f"WorkflowId is not set on {kind.command}. {_told(facts, kind.order_without_id)}")
    for name in ("Namespace", "WorkflowId"):
        size = len(facts[name].encode())
        if size > bytes_max:
            told = _told(facts, kind.order, name, f"Length={size} Limit={bytes_max}")
            raise _rejected(kind, f"{name} on {kind.command} exceeds length limit. {told}")
    if facts["RunId"] and uuid_bytes(facts["RunId"]) is None:
        raise _rejected(kind, f"Invalid RunId set on {kind.command}. {_told(facts, kind.order)}")


def _check_pending(kind: _Kind, pending: int, limit: int) -> None:
    if 0 < limit <= pending:
        raise CommandRejected(
            kind.too_many, f"the number of {kind.pending}, {pending}, has reached the per-workflow limit of {limit}"
        )


def signal_external(batch: Batch, command: commands.Command) -> None:
    """Signal another workflow, or this run's child only."""
    if not command.HasField("signal_external_workflow_execution_command_attributes"):
        raise _rejected(_SIGNAL, f"SignalExternalWorkflowExecutionCommandAttributes is not set on {_SIGNAL.command}.")
    asked = command.signal_external_workflow_execution_command_attributes
    namespace_id = batch.namespace_id(_SIGNAL.bad, asked.namespace)
    if not asked.HasField("execution"):
        raise _rejected(_SIGNAL, f"Execution is not set on {_SIGNAL.command}.")
    facts = {
        "WorkflowId": asked.execution.workflow_id,
        "Namespace": asked.namespace,
        "RunId": asked.execution.run_id,
        "SignalName": asked.signal_name,
    }
    _check_names(_SIGNAL, facts, batch.env.limits.id_length)
    if not asked.signal_name:
        told = _told(facts, _SIGNAL.order[:-1])
        raise _rejected(_SIGNAL, f"SignalName is not set on {_SIGNAL.command}. {told}")
    _check_pending(_SIGNAL, len(batch.execution.external_signals), batch.env.limits.pending_signals)
    if asked.input.ByteSize() > batch.env.limits.blob_size:
        text = "SignalExternalWorkflowExecutionCommandAttributes.Input exceeds size limit."
        raise _rejected(_SIGNAL, text, terminate=True)
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


def request_cancel_external(batch: Batch, command: commands.Command) -> None:
    """Ask another workflow to cancel, or this run's child only, but not one that this very batch starts."""
    if not command.HasField("request_cancel_external_workflow_execution_command_attributes"):
        raise _rejected(
            _CANCEL, f"RequestCancelExternalWorkflowExecutionCommandAttributes is not set on {_CANCEL.command}."
        )
    asked = command.request_cancel_external_workflow_execution_command_attributes
    namespace_id = batch.namespace_id(_CANCEL.bad, asked.namespace)
    facts = {"WorkflowId": asked.workflow_id, "Namespace": asked.namespace, "RunId": asked.run_id}
    _check_names(_CANCEL, facts, batch.env.limits.id_length)
    if asked.workflow_id in batch.started_children:
        told = _told(facts, _CANCEL.order)
        text = f"Start and RequestCancel for child workflow is not allowed in same workflow task. {told}"
        raise _rejected(_CANCEL, text)
    _check_pending(_CANCEL, len(batch.execution.external_cancels), batch.env.limits.pending_cancels)
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
