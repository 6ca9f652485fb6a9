"""From an event to recorded state: the only writer of what history determines (DESIGN 3, STYLE rule 3).

Folding `apply` over a run's history gives its recorded state again. What history does not show (attempts,
heartbeats, the workflow task's attempt, stickiness) is not written here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perdure.api import common, enums, history, workflow
from perdure.api.times import duration_ns, timestamp_ns
from perdure.machines import priorities
from perdure.machines.deadlines import TIMER
from perdure.machines.json_payloads import keyword, keyword_list
from perdure.machines.workflow import overrides, request_ids, reset_points
from perdure.machines.workflow.callback import Callback
from perdure.machines.workflow.child import Child
from perdure.machines.workflow.execution import (
    CANCELED,
    COMPLETED,
    CONTINUED_AS_NEW,
    FAILED,
    PAUSED,
    RUNNING,
    TERMINATED,
    TIMED_OUT,
    Timer,
)
from perdure.machines.workflow.info_changes import with_priority
from perdure.machines.workflow.parts import PART_EXTERNAL_CANCEL, PART_EXTERNAL_SIGNAL
from perdure.machines.workflow.pending_update import ACCEPTED, ADMITTED, PendingUpdate
from perdure.machines.workflow.recorded_activity import activity_of
from perdure.machines.workflow.run_operations import Pause

if TYPE_CHECKING:
    from perdure.machines.workflow.draft import RunDraft


def apply(draft: RunDraft, event: history.HistoryEvent) -> None:
    """Change the draft's recorded state as the event says; an event type without state is ignored."""
    handler = _HANDLERS.get(event.event_type)
    if handler is not None:
        handler(draft, event)


def link_of(event: history.HistoryEvent) -> int:
    """The earlier event that a buffered event is about: scheduled or timer-started event id, or 0."""
    if event.event_type == enums.EVENT_TYPE_TIMER_FIRED:
        return event.timer_fired_event_attributes.started_event_id
    if event.event_type in _ACTIVITY_CLOSED:
        return _activity_link(event)
    return 0


def _activity_link(event: history.HistoryEvent) -> int:
    match event.event_type:
        case enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            return event.activity_task_completed_event_attributes.scheduled_event_id
        case enums.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            return event.activity_task_failed_event_attributes.scheduled_event_id
        case enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            return event.activity_task_timed_out_event_attributes.scheduled_event_id
        case _:
            return event.activity_task_canceled_event_attributes.scheduled_event_id


def _activity_scheduled(draft: RunDraft, event: history.HistoryEvent) -> None:
    activity = activity_of(event)
    draft.put_activity(activity)
    draft.execution.activity_ids = draft.execution.activity_ids.set(activity.activity_id, activity.scheduled_event_id)
    draft.execution.activity_count += 1


def _activity_closed(draft: RunDraft, event: history.HistoryEvent) -> None:
    activity = draft.execution.activities.get(_activity_link(event))
    if activity is not None:
        draft.drop_activity(activity)


def _activity_cancel_requested(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.activity_task_cancel_requested_event_attributes
    activity = draft.execution.activities.get(attributes.scheduled_event_id)
    if activity is not None:
        activity = activity.copy()
        activity.cancel_requested = True
        activity.cancel_request_event_id = event.event_id
        draft.put_activity(activity)


def _timer_started(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.timer_started_event_attributes
    expiry = timestamp_ns(event.event_time) + duration_ns(attributes.start_to_fire_timeout)
    draft.put_timer(Timer(attributes.timer_id, event.event_id, expiry))
    draft.deadline(expiry, TIMER, event.event_id)
    draft.execution.timer_count += 1


def _timer_fired(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.timer_fired_event_attributes
    _drop_timer(draft, attributes.timer_id, attributes.started_event_id)


def _timer_canceled(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.timer_canceled_event_attributes
    _drop_timer(draft, attributes.timer_id, attributes.started_event_id)


def _drop_timer(draft: RunDraft, timer_id: str, started_event_id: int) -> None:
    """Forget this timer, but not a later one that has taken its id while the firing waited in the buffer."""
    timer = draft.execution.timers.get(timer_id)
    if timer is not None and timer.started_event_id == started_event_id:
        draft.drop_timer(timer_id)


def _child_initiated(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.start_child_workflow_execution_initiated_event_attributes
    draft.put_child(
        Child(
            event.event_id,
            attributes.namespace_id,
            attributes.namespace,
            attributes.workflow_id,
            attributes.workflow_type.name,
            attributes.parent_close_policy,
        )
    )


def _child_start_failed(draft: RunDraft, event: history.HistoryEvent) -> None:
    _drop_child(draft, event.start_child_workflow_execution_failed_event_attributes.initiated_event_id)


def _child_started(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.child_workflow_execution_started_event_attributes
    child = draft.execution.children.get(attributes.initiated_event_id)
    if child is not None:
        child = child.copy()
        child.started_event_id = event.event_id
        child.started_run_id = attributes.workflow_execution.run_id
        draft.put_child(child)


def _child_closed(field: str) -> Callable[[RunDraft, history.HistoryEvent], None]:
    def close(draft: RunDraft, event: history.HistoryEvent) -> None:
        _drop_child(draft, getattr(event, field).initiated_event_id)

    return close


def _drop_child(draft: RunDraft, initiated_event_id: int) -> None:
    if initiated_event_id in draft.execution.children:
        draft.drop_child(initiated_event_id)


def _external_initiated(kind: int) -> Callable[[RunDraft, history.HistoryEvent], None]:
    def add(draft: RunDraft, event: history.HistoryEvent) -> None:
        draft.put_external(kind, event.event_id)

    return add


def _external_answered(kind: int, field: str) -> Callable[[RunDraft, history.HistoryEvent], None]:
    def drop(draft: RunDraft, event: history.HistoryEvent) -> None:
        execution = draft.execution
        pending = execution.external_signals if kind == PART_EXTERNAL_SIGNAL else execution.external_cancels
        initiated_event_id = getattr(event, field).initiated_event_id
        if initiated_event_id in pending:
            draft.drop_external(kind, initiated_event_id)

    return drop


def _signaled(draft: RunDraft, event: history.HistoryEvent) -> None:
    draft.execution.signal_count += 1
    request_id = event.workflow_execution_signaled_event_attributes.request_id
    if request_id and draft.env.limits.signal_backlinks:
        draft.put_signal_event(request_id, max(0, event.event_id))


def _cancel_requested(draft: RunDraft, event: history.HistoryEvent) -> None:
    draft.execution.cancel_requested = True


def _search_attributes_upserted(draft: RunDraft, event: history.HistoryEvent) -> None:
    fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    for name, payload in fields.items():
        draft.put_search_attribute(name, None if says_nothing(payload.data) else payload.SerializeToString())


def _properties_modified(draft: RunDraft, event: history.HistoryEvent) -> None:
    for key, payload in event.workflow_properties_modified_event_attributes.upserted_memo.fields.items():
        draft.put_memo(key, None if says_nothing(payload.data) else payload.SerializeToString())


def says_nothing(data: bytes) -> bool:
    """A memo's or search attribute's "remove me": no data, JSON null, or an empty list (semantics 14.3)."""
    return data in (b"", b"null", b"[]")


def _task_scheduled(draft: RunDraft, event: history.HistoryEvent) -> None:
    draft.execution.task_ever_scheduled = True


def _task_completed(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.workflow_task_completed_event_attributes
    execution = draft.execution
    execution.last_completed_started_event_id = attributes.started_event_id
    stamp = attributes.worker_version if attributes.HasField("worker_version") else None
    execution.worker_stamp = stamp.SerializeToString() if stamp is not None else None
    build_id = stamp.build_id if stamp is not None else ""
    checksum = attributes.binary_checksum
    added = not reset_points.known(execution.reset_points, checksum, build_id)
    if added:
        now = timestamp_ns(event.event_time)
        free = not (execution.children or execution.external_signals or execution.external_cancels)
        point = reset_points.ResetPoint(checksum, build_id, execution.info.run_id, event.event_id, now, 0, free)
        execution.reset_points = (*execution.reset_points, point)[-reset_points.RESET_POINTS_MAX :]
    _note_build(draft, stamp)
    _note_deployment(draft, attributes.worker_deployment_name)
    if added and checksum:
        found = keyword_list(reset_points.checksums(execution.reset_points))
        draft.put_search_attribute(reset_points.BINARY_CHECKSUMS, found)


def _note_build(draft: RunDraft, stamp: common.WorkerVersionStamp | None) -> None:
    held = draft.execution.search_attributes.get(reset_points.BUILD_IDS)
    noted = reset_points.build_ids_noted(
        held,
        reset_points.mark_of(stamp) if stamp is not None else None,
        stamp is not None and stamp.use_versioning,
        bool(draft.execution.override),
        draft.env.limits.search_attribute_value_size,
    )
    if noted != held:
        draft.put_search_attribute(reset_points.BUILD_IDS, noted)


def _note_deployment(draft: RunDraft, name: str) -> None:
    """The name that the worker of the newest completion goes by; an earlier run's attribute came along, or is gone."""
    execution = draft.execution
    execution.worker_deployment = name
    if name or reset_points.DEPLOYMENT in execution.search_attributes:
        wanted = keyword(name) if name else None
        if wanted != execution.search_attributes.get(reset_points.DEPLOYMENT):
            draft.put_search_attribute(reset_points.DEPLOYMENT, wanted)


def _started(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_started_event_attributes
    draft.execution.reset_points = reset_points.inherited(attributes, timestamp_ns(event.event_time))
    draft.execution.start_linked = bool(event.links)
    if attributes.HasField("source_version_stamp"):
        draft.execution.worker_stamp = attributes.source_version_stamp.SerializeToString()
        _note_build(draft, attributes.source_version_stamp)
    if attributes.HasField("versioning_override"):
        _set_override(draft, attributes.versioning_override)
    _add_callbacks(draft, event, attributes.completion_callbacks, "", 0)


def _paused(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_paused_event_attributes
    pause = Pause(timestamp_ns(event.event_time), attributes.identity, attributes.reason, attributes.request_id)
    _set_pause(draft, pause, PAUSED)


def _unpaused(draft: RunDraft, event: history.HistoryEvent) -> None:
    _set_pause(draft, None, RUNNING)


def _set_pause(draft: RunDraft, pause: Pause | None, status: int) -> None:
    operations = draft.execution.operations.copy()
    operations.pause = pause
    draft.execution.operations = operations
    draft.execution.status = status
    draft.visibility = True


def _add_callbacks(
    draft: RunDraft,
    event: history.HistoryEvent,
    specs: Sequence[common.Callback],
    request_id: str,
    origin: int,
    update_id: str = "",
) -> None:
    """The callbacks that an event brings, unless they are there: one request brings its own once."""
    if not specs:
        return
    known = draft.execution.callbacks
    if any(one.request_id == request_id and one.update_id == update_id for one in known.values()):
        return
    for number, spec in enumerate(specs, len(known) + 1):
        body = spec.SerializeToString(deterministic=True)
        now = timestamp_ns(event.event_time)
        draft.put_callback(Callback(number, body, request_id, now, update_id=update_id, origin=origin))


def _add_update_callbacks(
    draft: RunDraft, event: history.HistoryEvent, update_id: str, request_id: str, specs: Sequence[common.Callback]
) -> None:
    """What a request says of an update beside its input: its own id, and who wants to hear of the outcome."""
    if request_id:
        request_ids.attach(draft.execution, request_id, max(0, event.event_id), event.event_type)
    if draft.env.limits.update_callbacks:
        _add_callbacks(draft, event, specs, request_id, event.event_type, update_id)


def _options_updated(draft: RunDraft, event: history.HistoryEvent) -> None:
    options_numbered(draft, event)
    attributes = event.workflow_execution_options_updated_event_attributes
    if attributes.HasField("priority"):
        draft.execution.info = with_priority(draft.execution.info, priorities.stored(attributes.priority))
    if attributes.HasField("versioning_override"):
        _set_override(draft, attributes.versioning_override)
    elif attributes.unset_versioning_override:
        draft.execution.worker_deployment = ""
        if draft.execution.override:
            draft.execution.override = b""
            draft.put_search_attribute(overrides.BEHAVIOR, None)
            _note_build(draft, None)
            _note_deployment(draft, "")


def options_numbered(draft: RunDraft, event: history.HistoryEvent) -> None:
    """What of new options names its event. Buffered, the event is applied before it has an id; this is done once more
    when it gets one, and nothing else: by then a workflow task may have completed and said something newer.
    """
    request_id = event.workflow_execution_options_updated_event_attributes.attached_request_id
    if request_id:
        request_ids.attach(draft.execution, request_id, max(0, event.event_id), event.event_type)
    attributes = event.workflow_execution_options_updated_event_attributes
    _add_callbacks(draft, event, attributes.attached_completion_callbacks, request_id, event.event_type)
    for of_update in attributes.workflow_update_options:
        _add_update_callbacks(
            draft,
            event,
            of_update.update_id,
            of_update.attached_request_id,
            of_update.attached_completion_callbacks,
        )


def _set_override(draft: RunDraft, override: workflow.VersioningOverride) -> None:
    draft.execution.override = override.SerializeToString()
    draft.put_search_attribute(overrides.BEHAVIOR, overrides.behavior_payload())
    _note_build(draft, None)
    _note_deployment(draft, draft.execution.worker_deployment)


def _closed(status: int) -> Callable[[RunDraft, history.HistoryEvent], None]:
    def close(draft: RunDraft, event: history.HistoryEvent) -> None:
        draft.execution.status = status
        draft.execution.close_time = timestamp_ns(event.event_time)
        draft.visibility = True

    return close


def _update_admitted(draft: RunDraft, event: history.HistoryEvent) -> None:
    request = event.workflow_execution_update_admitted_event_attributes.request
    update_id = request.meta.update_id
    draft.put_update(PendingUpdate(update_id, ADMITTED, b"", admitted_event=True))
    _add_update_callbacks(draft, event, update_id, request.request_id, request.completion_callbacks)


def _update_accepted(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_update_accepted_event_attributes
    update_id = attributes.protocol_instance_id
    request = attributes.accepted_request
    _add_update_callbacks(draft, event, update_id, request.request_id, request.completion_callbacks)
    for update in draft.execution.updates:
        if update.update_id == update_id:
            draft.put_update(update.accepted(event.event_id))
            return
    draft.put_update(PendingUpdate(update_id, ACCEPTED, b"", event.event_id))


def _update_completed(draft: RunDraft, event: history.HistoryEvent) -> None:
    update_id = event.workflow_execution_update_completed_event_attributes.meta.update_id
    draft.complete_update(update_id, event.event_id)


_ACTIVITY_CLOSED = (
    enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    enums.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
)

_HANDLERS: dict[int, Callable[[RunDraft, history.HistoryEvent], None]] = {
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: _started,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: _options_updated,
    enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: _task_scheduled,
    enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: _task_completed,
    enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: _activity_scheduled,
    enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: _activity_cancel_requested,
    enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: _activity_closed,
    enums.EVENT_TYPE_ACTIVITY_TASK_FAILED: _activity_closed,
    enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: _activity_closed,
    enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED: _activity_closed,
    enums.EVENT_TYPE_TIMER_STARTED: _timer_started,
    enums.EVENT_TYPE_TIMER_FIRED: _timer_fired,
    enums.EVENT_TYPE_TIMER_CANCELED: _timer_canceled,
    enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: _child_initiated,
    enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: _child_start_failed,
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: _child_started,
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: _child_closed(
        "child_workflow_execution_completed_event_attributes"
    ),
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: _child_closed("child_workflow_execution_failed_event_attributes"),
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: _child_closed(
        "child_workflow_execution_canceled_event_attributes"
    ),
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: _child_closed(
        "child_workflow_execution_timed_out_event_attributes"
    ),
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: _child_closed(
        "child_workflow_execution_terminated_event_attributes"
    ),
    enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _external_initiated(PART_EXTERNAL_SIGNAL),
    enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: _external_answered(
        PART_EXTERNAL_SIGNAL, "external_workflow_execution_signaled_event_attributes"
    ),
    enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _external_answered(
        PART_EXTERNAL_SIGNAL, "signal_external_workflow_execution_failed_event_attributes"
    ),
    enums.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _external_initiated(PART_EXTERNAL_CANCEL),
    enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _external_answered(
        PART_EXTERNAL_CANCEL, "external_workflow_execution_cancel_requested_event_attributes"
    ),
    enums.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _external_answered(
        PART_EXTERNAL_CANCEL, "request_cancel_external_workflow_execution_failed_event_attributes"
    ),
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: _signaled,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _cancel_requested,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED: _paused,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED: _unpaused,
    enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: _search_attributes_upserted,
    enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: _properties_modified,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: _update_admitted,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: _update_accepted,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: _update_completed,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: _closed(COMPLETED),
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: _closed(FAILED),
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: _closed(CANCELED),
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: _closed(TERMINATED),
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: _closed(CONTINUED_AS_NEW),
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: _closed(TIMED_OUT),
}
