"""Commands that close the run: complete, fail, cancel (semantics 4.4). Continue-as-new has a file of its own."""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import enums, history
from perdure.machines.workflow import close
from perdure.machines.workflow.commands.batch import Batch, CommandRejected


def check_nothing_unseen(batch: Batch) -> None:
    """A run does not close over events that its worker has not seen: the next task delivers them."""
    if batch.has_buffered:
        raise CommandRejected(enums.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND, "UnhandledCommand")


def complete_workflow(batch: Batch, command: commands.Command) -> None:
    """COMPLETE_WORKFLOW_EXECUTION."""
    check_nothing_unseen(batch)
    if not command.HasField("complete_workflow_execution_command_attributes"):
        raise CommandRejected(
            enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES,
            "CompleteWorkflowExecutionCommandAttributes is not set on CompleteWorkflowExecutionCommand.",
        )
    asked = command.complete_workflow_execution_command_attributes
    if asked.result.ByteSize() > batch.env.limits.blob_size:
        raise CommandRejected(
            enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES,
            "CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit.",
            terminate=True,
        )
    attributes = history.WorkflowExecutionCompletedEventAttributes(
        workflow_task_completed_event_id=batch.completed_event_id
    )
    if asked.HasField("result"):
        attributes.result.CopyFrom(asked.result)
    attributes.new_execution_run_id = close.complete_run(batch.step, batch.draft, attributes)
    batch.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, attributes, command)
    close.closed(batch.step, batch.draft)


def fail_workflow(batch: Batch, command: commands.Command) -> None:
    """FAIL_WORKFLOW_EXECUTION: may be retried by policy."""
    check_nothing_unseen(batch)
    asked = command.fail_workflow_execution_command_attributes
    cause = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES
    if not command.HasField("fail_workflow_execution_command_attributes"):
        raise CommandRejected(
            cause, "FailWorkflowExecutionCommandAttributes is not set on FailWorkflowExecutionCommand."
        )
    if not asked.HasField("failure"):
        raise CommandRejected(cause, "Failure is not set on FailWorkflowExecutionCommand.")
    if asked.failure.ByteSize() > batch.env.limits.blob_size:
        raise CommandRejected(
            cause, "FailWorkflowExecutionCommandAttributes.Failure exceeds size limit.", terminate=True
        )
    attributes = close.failed_run(batch.step, batch.draft, asked.failure, batch.completed_event_id)
    batch.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, attributes, command)
    close.closed(batch.step, batch.draft, goes_on=attributes.retry_state == enums.RETRY_STATE_IN_PROGRESS)


def cancel_workflow(batch: Batch, command: commands.Command) -> None:
    """CANCEL_WORKFLOW_EXECUTION: final, whether or not anybody asked for it."""
    check_nothing_unseen(batch)
    if not command.HasField("cancel_workflow_execution_command_attributes"):
        raise CommandRejected(
            enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES,
            "CancelWorkflowExecutionCommandAttributes is not set on CancelWorkflowExecutionCommand.",
        )
    asked = command.cancel_workflow_execution_command_attributes
    attributes = history.WorkflowExecutionCanceledEventAttributes(
        workflow_task_completed_event_id=batch.completed_event_id
    )
    if asked.HasField("details"):
        attributes.details.CopyFrom(asked.details)
    batch.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, attributes, command)
    close.closed(batch.step, batch.draft)
