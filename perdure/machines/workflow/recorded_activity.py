"""The pending activity that an ACTIVITY_TASK_SCHEDULED event says there is. Decides nothing."""

from __future__ import annotations

from perdure.api import history
from perdure.api.times import duration_ns, timestamp_ns
from perdure.machines import priorities
from perdure.machines.retry import policy_of
from perdure.machines.workflow.pending_activity import Activity


def activity_of(event: history.HistoryEvent) -> Activity:
    """Attempt 1 of the activity, scheduled at the event's time."""
    attributes = event.activity_task_scheduled_event_attributes
    activity = Activity(
        event.event_id,
        attributes.activity_id,
        attributes.activity_type.name,
        attributes.task_queue.name,
        timestamp_ns(event.event_time),
        duration_ns(attributes.schedule_to_close_timeout),
        duration_ns(attributes.schedule_to_start_timeout),
        duration_ns(attributes.start_to_close_timeout),
        duration_ns(attributes.heartbeat_timeout),
        policy_of(attributes.retry_policy),
        priorities.stored(attributes.priority) if attributes.HasField("priority") else b"",
    )
    activity.own_build = attributes.use_workflow_build_id
    return activity
