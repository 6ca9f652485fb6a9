"""What goes by the type of an event alone: which wait in the buffer, in which order they leave it (semantics 0.3)."""

from __future__ import annotations

from perdure.api import enums

BUFFERED_EVENT_ID = -123
"""The id of an event that waits in the buffer (semantics 0.2)."""

ATTRIBUTES_FIELD: dict[int, str] = {
    value: name[len("EVENT_TYPE_") :].lower() + "_event_attributes" for name, value in enums.EventType.items() if value
}
"""The field of `HistoryEvent` that holds the attributes of a type."""

NEVER_BUFFERED = frozenset(
    (
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        enums.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        enums.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
        enums.EVENT_TYPE_TIMER_STARTED,
        enums.EVENT_TYPE_TIMER_CANCELED,
        enums.EVENT_TYPE_MARKER_RECORDED,
        enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
        enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
        enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        enums.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
    )
)
"""Event types that get their id at once (semantics 0.3); all others wait for a flush."""

IGNORED_BY_WORKERS = frozenset(
    (
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
    )
)
"""Event types that tell a worker nothing it must know."""

CHILD_CLOSED = frozenset(
    (
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
    )
)
"""Event types that end a child."""

FLUSHED_LAST = (
    frozenset(
        (
            enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
            enums.EVENT_TYPE_ACTIVITY_TASK_FAILED,
            enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
            enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        )
    )
    | CHILD_CLOSED
)
"""Completion-type events, which a flush puts behind all others."""
