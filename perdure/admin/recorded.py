"""Whether a run's state says what its history says: an auditor that shares no code with the machine.

It reads every event, so it is asked for (`--deep`). Events that wait for their place in history may be known to the
state already; what they are about is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from perdure.api import enums
from perdure.api.history import HistoryEvent
from perdure.machines.workflow.execution import Execution

_STATUS: Final[dict[int, int]] = {
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: enums.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: enums.WORKFLOW_EXECUTION_STATUS_FAILED,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
}

_TIMERS: Final = "timers"
_ACTIVITIES: Final = "activities"

_BEGIN: Final[dict[int, str]] = {
    enums.EVENT_TYPE_TIMER_STARTED: _TIMERS,
    enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: _ACTIVITIES,
}
_END: Final[dict[int, tuple[str, str]]] = {
    enums.EVENT_TYPE_TIMER_FIRED: (_TIMERS, "started_event_id"),
    enums.EVENT_TYPE_TIMER_CANCELED: (_TIMERS, "started_event_id"),
    enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: (_ACTIVITIES, "scheduled_event_id"),
    enums.EVENT_TYPE_ACTIVITY_TASK_FAILED: (_ACTIVITIES, "scheduled_event_id"),
    enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: (_ACTIVITIES, "scheduled_event_id"),
    enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED: (_ACTIVITIES, "scheduled_event_id"),
}


def differences(execution: Execution, events: Iterable[HistoryEvent]) -> list[str]:
    """What the two say differently, in words."""
    pending: dict[str, set[int]] = {_TIMERS: set(), _ACTIVITIES: set()}
    status = 0
    for event in events:
        kind = int(event.event_type)
        if kind in _BEGIN:
            pending[_BEGIN[kind]].add(event.event_id)
        elif kind in _END:
            what, field = _END[kind]
            attributes = getattr(event, event.WhichOneof("attributes") or "")
            pending[what].discard(getattr(attributes, field))
        elif kind in _STATUS:
            status = _STATUS[kind]
    if execution.running:
        return _of_open(execution, pending, status)
    return [] if status == execution.status else [f"ends with status {status} and has status {execution.status}"]


def _of_open(execution: Execution, pending: dict[str, set[int]], status: int) -> list[str]:
    if status:
        return [f"is open and its history ends with status {status}"]
    waiting = {one.link for one in execution.buffered}
    known = {_TIMERS: set(execution.timer_ids), _ACTIVITIES: set(execution.activities)}
    return [
        f"has {what} of events {sorted(known[what] - waiting)}, and its history has {sorted(pending[what] - waiting)}"
        for what in pending
        if known[what] - waiting != pending[what] - waiting
    ]
