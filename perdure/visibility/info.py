"""A visibility record as the API shows it: in lists, and in the archive. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from perdure.api import common, workflow
from perdure.api.times import duration_of, timestamp_of
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord


def execution_info(record: VisibilityRecord, custom: Mapping[str, int] | None) -> workflow.WorkflowExecutionInfo:
    """A record as lists show it (semantics 15.2): of its own attributes, those registered with the type they have.

    `custom` None shows what is written.
    """
    info = workflow.WorkflowExecutionInfo(
        execution=common.WorkflowExecution(workflow_id=record.workflow_id, run_id=record.run_id),
        type=common.WorkflowType(name=record.workflow_type),
        start_time=timestamp_of(record.start_time),
        execution_time=timestamp_of(record.execution_time),
        task_queue=record.task_queue,
    )
    info.status = record.status  # type: ignore[assignment]  # wire numbers are plain ints here
    if record.close_time is not None:
        info.close_time.CopyFrom(timestamp_of(record.close_time))
        info.execution_duration.CopyFrom(duration_of(record.execution_duration))
        info.history_length = record.history_length
        info.history_size_bytes = record.history_size_bytes
        info.state_transition_count = record.state_transition_count
    if record.parent_workflow_id:
        info.parent_execution.workflow_id = record.parent_workflow_id
        info.parent_execution.run_id = record.parent_run_id
    if record.root_workflow_id:
        info.root_execution.workflow_id = record.root_workflow_id
        info.root_execution.run_id = record.root_run_id
    info.memo.MergeFromString(record.memo)
    info.memo.SetInParent()
    info.search_attributes.MergeFromString(record.search_attributes)
    info.search_attributes.SetInParent()
    if custom is not None:
        fields = info.search_attributes.indexed_fields
        for name in [name for name, payload in fields.items() if not attributes.is_registered(name, payload, custom)]:
            del fields[name]
    return info
