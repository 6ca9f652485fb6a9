"""SCHEDULE_ and REQUEST_CANCEL_NEXUS_OPERATION (semantics 4.11): what can be said of them before operations are built.

A workflow task with one fails and tells why, in its history and to its worker. Refusing the whole call would leave the
task to its timeout, again and again, and nobody would see the reason.
"""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import enums
from perdure.machines.workflow.commands.batch import Batch, CommandRejected

_BAD_SCHEDULE = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_NEXUS_OPERATION_ATTRIBUTES
_BAD_CANCEL = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_NEXUS_OPERATION_ATTRIBUTES


def schedule_nexus_operation(batch: Batch, command: commands.Command) -> None:
    """Refused: for its endpoint if that does not exist, else because nothing could carry the operation."""
    if not command.HasField("schedule_nexus_operation_command_attributes"):
        raise CommandRejected(_BAD_SCHEDULE, "empty ScheduleNexusOperationCommandAttributes")
    asked = command.schedule_nexus_operation_command_attributes
    if not batch.endpoint_id():
        raise CommandRejected(_BAD_SCHEDULE, f'endpoint "{asked.endpoint}" not found')
    raise CommandRejected(
        enums.WORKFLOW_TASK_FAILED_CAUSE_FEATURE_DISABLED, "Nexus operations of workflows are not built yet"
    )


def request_cancel_nexus_operation(batch: Batch, command: commands.Command) -> None:
    """Refused: a run has no operations."""
    if not command.HasField("request_cancel_nexus_operation_command_attributes"):
        raise CommandRejected(_BAD_CANCEL, "empty CancelNexusOperationCommandAttributes")
    asked = command.request_cancel_nexus_operation_command_attributes
    raise CommandRejected(
        _BAD_CANCEL,
        "requested cancelation for a non-existing or already completed operation with scheduled event ID of "
        f"{asked.scheduled_event_id}",
    )
