"""A schedule as describing and listing show it (semantics 13.8, 13.9): from state to messages. Pure.

Lists read visibility records only, so what they show of a schedule rides in the memo of its record, under a name that
users do not see.
"""

from __future__ import annotations

from functools import lru_cache

from perdure.api import common
from perdure.api.schedule import Schedule as Definition
from perdure.api.schedule import (
    ScheduleAction,
    ScheduleActionResult,
    ScheduleInfo,
    ScheduleListEntry,
    ScheduleListInfo,
    ScheduleSpec,
)
from perdure.api.times import duration_of, timestamp_of
from perdure.machines import json_payloads
from perdure.machines.schedule.spec import tidy
from perdure.machines.schedule.state import Schedule, Taken

HIDDEN_TYPE = "temporal-sys-scheduler-workflow"
INFO = "ScheduleInfo"
PAUSED = "TemporalSchedulePaused"
FUTURE_MAX = 10
FUTURE_LISTED = 5
RECENT_LISTED = 5
SPECS_LISTED = 10
"""Calendars, exclusions and intervals that a list shows of one schedule."""


def definition(state: Schedule) -> Definition:
    """What the user defined, with the defaults of policies filled in."""
    found = Definition()
    found.spec.MergeFromString(state.spec)
    found.spec.SetInParent()
    tidy(found.spec)
    found.action.CopyFrom(ScheduleAction.FromString(state.action))
    policies = found.policies
    policies.overlap_policy = state.overlap  # type: ignore[assignment]  # wire numbers are plain ints here
    policies.catchup_window.CopyFrom(duration_of(state.catchup_window))
    policies.pause_on_failure = state.pause_on_failure
    policies.keep_original_workflow_id = state.keep_workflow_id
    found.state.SetInParent()
    found.state.notes = state.notes
    found.state.paused = state.paused
    found.state.limited_actions = state.limited
    found.state.remaining_actions = state.remaining
    return found


def info(state: Schedule, now: int) -> ScheduleInfo:
    """What has happened and what will."""
    found = ScheduleInfo(
        action_count=state.action_count,
        missed_catchup_window=state.missed,
        overlap_skipped=state.skipped,
        buffer_dropped=state.dropped,
        buffer_size=len(state.waiting),
        recent_actions=[_taken(one) for one in state.recent],
        future_action_times=[timestamp_of(time) for time in _future(state, now, FUTURE_MAX)],
        create_time=timestamp_of(state.created),
    )
    for running in state.running:
        found.running_workflows.add(workflow_id=running.workflow_id, run_id=running.run_id)
    if state.updated:
        found.update_time.CopyFrom(timestamp_of(state.updated))
    return found


def _taken(one: Taken) -> ScheduleActionResult:
    found = ScheduleActionResult(
        schedule_time=timestamp_of(one.scheduled),
        actual_time=timestamp_of(one.taken),
        start_workflow_result=common.WorkflowExecution(workflow_id=one.workflow_id, run_id=one.run_id),
    )
    found.start_workflow_status = one.status  # type: ignore[assignment]  # wire numbers are plain ints here
    return found


def _future(state: Schedule, now: int, most: int) -> list[int]:
    """Actual times to come; as many as there are actions left. A pause does not hide them."""
    if state.limited:
        most = min(most, max(state.remaining, 0))
    if state.paused and now > state.processed:
        # A pause lets time go by unseen.
        state = state.copy()
        state.processed = now
    return [due.actual for due in state.coming(most)] if most else []


def listed_memo(state: Schedule) -> bytes:
    """The memo of the schedule's record: the user's, and what lists show."""
    memo = common.Memo.FromString(state.memo)
    memo.fields[INFO].data = _list_info(state).SerializeToString()
    return memo.SerializeToString()


def listed_attributes(state: Schedule) -> bytes:
    """The search attributes of the schedule's record: the user's, and whether it is paused."""
    found = common.SearchAttributes.FromString(state.search_attributes)
    found.indexed_fields[PAUSED].CopyFrom(json_payloads.attribute("Bool", state.paused))
    return found.SerializeToString()


def _list_info(state: Schedule) -> ScheduleListInfo:
    found = ScheduleListInfo(
        notes=state.notes,
        paused=state.paused,
        recent_actions=[_taken(one) for one in state.recent[-RECENT_LISTED:]],
        future_action_times=[timestamp_of(time) for time in _future(state, 0, FUTURE_LISTED)],
    )
    if state.workflow_type:
        found.workflow_type.name = state.workflow_type
    found.spec.MergeFromString(_listed_spec(state.spec))
    found.spec.SetInParent()
    return found


@lru_cache(maxsize=4096)
def _listed_spec(body: bytes) -> bytes:
    """A spec as lists show it: without what is large."""
    spec = ScheduleSpec.FromString(body)
    spec.ClearField("timezone_data")
    for many in (spec.structured_calendar, spec.exclude_structured_calendar, spec.interval):
        del many[SPECS_LISTED:]
    tidy(spec)
    return spec.SerializeToString()


def entry(schedule_id: str, memo: bytes, search_attributes: bytes) -> ScheduleListEntry:
    """A record as lists show it."""
    found = ScheduleListEntry(schedule_id=schedule_id)
    kept = common.Memo.FromString(memo)
    found.info.MergeFromString(kept.fields[INFO].data)
    del kept.fields[INFO]
    if kept.fields:
        found.memo.CopyFrom(kept)
    attributes = common.SearchAttributes.FromString(search_attributes)
    attributes.indexed_fields.pop(PAUSED, None)
    if attributes.indexed_fields:
        found.search_attributes.CopyFrom(attributes)
    return found
