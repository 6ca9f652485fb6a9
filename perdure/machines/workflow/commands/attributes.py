"""Commands that only annotate the run: markers, search attributes, memo (semantics 4.8, 4.9)."""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import common, enums, history
from perdure.machines.workflow.commands.batch import Batch, CommandRejected


def record_marker(batch: Batch, command: commands.Command) -> None:
    """RECORD_MARKER: an event without state."""
    cause = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES
    if not command.HasField("record_marker_command_attributes"):
        raise CommandRejected(cause, "RecordMarkerCommandAttributes is not set on RecordMarkerCommand.")
    asked = command.record_marker_command_attributes
    if not asked.marker_name:
        raise CommandRejected(cause, "MarkerName is not set on RecordMarkerCommand.")
    size = len(asked.marker_name.encode())
    limit = batch.env.limits.id_length
    if size > limit:
        raise CommandRejected(
            cause,
            "MarkerName on RecordMarkerCommand exceeds length limit. "
            f"MarkerName={asked.marker_name} Length={size} Limit={limit}",
        )
    if sum(details.ByteSize() for details in asked.details.values()) > batch.env.limits.blob_size:
        raise CommandRejected(cause, "RecordMarkerCommandAttributes.Details exceeds size limit.", terminate=True)
    attributes = history.MarkerRecordedEventAttributes(
        marker_name=asked.marker_name, workflow_task_completed_event_id=batch.completed_event_id
    )
    for name, details in asked.details.items():
        attributes.details[name].CopyFrom(details)
    if asked.HasField("header"):
        attributes.header.CopyFrom(asked.header)
    if asked.HasField("failure"):
        attributes.failure.CopyFrom(asked.failure)
    batch.record(enums.EVENT_TYPE_MARKER_RECORDED, attributes, command)


def upsert_search_attributes(batch: Batch, command: commands.Command) -> None:
    """UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: validated by the frontend against the namespace's attributes."""
    cause = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES
    if not command.HasField("upsert_workflow_search_attributes_command_attributes"):
        raise CommandRejected(
            cause,
            "UpsertWorkflowSearchAttributesCommandAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
        )
    asked = command.upsert_workflow_search_attributes_command_attributes
    if not asked.HasField("search_attributes"):
        raise CommandRejected(cause, "SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand.")
    if not asked.search_attributes.indexed_fields:
        raise CommandRejected(cause, "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.")
    attributes = history.UpsertWorkflowSearchAttributesEventAttributes(
        workflow_task_completed_event_id=batch.completed_event_id
    )
    validated = batch.search_attributes()
    for name, payload in asked.search_attributes.indexed_fields.items():
        body = validated.get(name, b"")
        if body:
            attributes.search_attributes.indexed_fields[name].MergeFromString(body)
        else:
            attributes.search_attributes.indexed_fields[name].CopyFrom(payload)
    _check_total(batch, validated)
    batch.record(enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, attributes, command)


def _check_total(batch: Batch, upserted: dict[str, bytes]) -> None:
    """All search attributes of the run together, with those that the server itself has set."""
    total = common.SearchAttributes()
    for name, body in batch.execution.search_attributes.items():
        if name not in upserted:
            total.indexed_fields[name].MergeFromString(body)
    for name, body in upserted.items():
        if body:
            total.indexed_fields[name].MergeFromString(body)
    size, size_max = total.ByteSize(), batch.env.limits.search_attributes_size
    if size > size_max:
        raise CommandRejected(
            enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES,
            f"total size of search attributes {size} exceeds size limit {size_max}",
            terminate=True,
        )


def modify_properties(batch: Batch, command: commands.Command) -> None:
    """MODIFY_WORKFLOW_PROPERTIES: merges the memo; a payload without data removes its key."""
    cause = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES
    if not command.HasField("modify_workflow_properties_command_attributes"):
        raise CommandRejected(
            cause, "ModifyWorkflowPropertiesCommandAttributes is not set on ModifyWorkflowPropertiesCommand."
        )
    asked = command.modify_workflow_properties_command_attributes
    if not asked.HasField("upserted_memo"):
        raise CommandRejected(cause, "UpsertedMemo is not set on ModifyWorkflowPropertiesCommand.")
    if not asked.upserted_memo.fields:
        raise CommandRejected(cause, "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.")
    if sum(len(key) + len(payload.data) for key, payload in asked.upserted_memo.fields.items()) > (
        batch.env.limits.blob_size
    ):
        raise CommandRejected(cause, "ModifyWorkflowPropertiesCommandAttributes exceeds size limit.", terminate=True)
    size = asked.upserted_memo.ByteSize()
    for key, body in batch.execution.memo.items():
        if key not in asked.upserted_memo.fields:
            size += len(key) + len(body)
    if size > batch.env.limits.memo_size:
        raise CommandRejected(
            cause, "ModifyWorkflowPropertiesCommandAttributes. Memo exceeds size limit.", terminate=True
        )
    attributes = history.WorkflowPropertiesModifiedEventAttributes(
        upserted_memo=asked.upserted_memo, workflow_task_completed_event_id=batch.completed_event_id
    )
    batch.record(enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED, attributes, command)
