"""Judges downloaded histories by the black-box invariants of a durable-execution server; knows no server and no load.

`check_history` holds what is true of any run (reliability B6, B14, B15, B17, B19); what only the load can know,
its tags and acknowledgements, is compared in `audit`. Each finding is one line that names the invariant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any as Anything
from typing import Final, final

from perdure.api import enums
from perdure.api import history as api

Events = Sequence[api.HistoryEvent]

CLOSING: Final = frozenset(
    {
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)
TASK_CLOSED: Final = frozenset(
    {
        enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        enums.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)
OF_UPDATES: Final = frozenset(
    {
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
    }
)
"""Made by a completion's messages, where its commands place them; they do not name it."""
ACTIVITY_CLOSED: Final = frozenset(
    {
        enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        enums.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
        enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    }
)


def name_of(kind: int) -> str:
    """An event type as the protos name it, without the prefix."""
    return enums.EventType.Name(kind).removeprefix("EVENT_TYPE_")  # type: ignore[arg-type]


def attributes_of(event: api.HistoryEvent) -> Anything:
    """The attributes of an event, whichever they are."""
    return getattr(event, str(event.WhichOneof("attributes")))


def check_history(events: Events) -> list[str]:
    """What is wrong with the whole history of one run; empty for a lawful one."""
    checks = (_contiguous, _workflow_tasks, _commands, _activities, _timers)
    return [finding for check in checks for finding in check(events)]


def _contiguous(events: Events) -> Iterator[str]:
    """B6: ids 1..n, task ids in order, one start, and nothing after a close.

    Times are not in order: buffered events and starts of retried activities bear the time when they happened.
    """
    if [event.event_id for event in events] != list(range(1, len(events) + 1)):
        yield f"B6 event ids are {[event.event_id for event in events]}"
    if not events or events[0].event_type != enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        yield "B6 the first event is not the start"
    for before, after in pairwise(events):
        if before.event_type in CLOSING:
            yield f"B6 event {after.event_id} follows the close"
        if after.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            yield f"B6 event {after.event_id} starts a run that has started"
        if before.task_id >= after.task_id > 0:
            yield f"B6 task ids fall at event {after.event_id}"


def _workflow_tasks(events: Events) -> Iterator[str]:
    """B14: Scheduled, then TimedOut or Started; Started, then one of Completed, Failed, TimedOut; one at a time."""
    scheduled = started = 0
    for event in events:
        kind, at = event.event_type, f"at event {event.event_id}"
        if kind == enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            if scheduled:
                yield f"B14 a second open workflow task {at}"
            scheduled, started = event.event_id, 0
        elif kind == enums.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            if not scheduled or started or event.workflow_task_started_event_attributes.scheduled_event_id != scheduled:
                yield f"B14 a workflow task starts that was not scheduled {at}"
            started = event.event_id
        elif kind in TASK_CLOSED:
            attributes = attributes_of(event)
            may_be_unstarted = kind == enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
            if not scheduled or not (started or may_be_unstarted) or attributes.scheduled_event_id != scheduled:
                yield f"B14 a workflow task ends that was not started {at}"
            if attributes.started_event_id != started:
                yield f"B14 a wrong started_event_id {at}"
            scheduled = started = 0


def _commands(events: Events) -> Iterator[str]:
    """B15: the events of a completion's commands follow it directly."""
    for index, event in enumerate(events):
        completed = getattr(attributes_of(event), "workflow_task_completed_event_id", 0)
        if not completed:
            continue
        if not 0 < completed < event.event_id:
            yield f"B15 event {event.event_id} names event {completed} as its workflow task"
            continue
        if events[completed - 1].event_type != enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            yield f"B15 event {event.event_id} names event {completed}, which completes no workflow task"
        between = events[completed:index]
        if any(
            getattr(attributes_of(other), "workflow_task_completed_event_id", completed) != completed
            for other in between
            if _is_command(other)
        ):
            yield f"B15 event {event.event_id} stands among another task's commands"
        if not all(_is_command(other) for other in between):
            yield f"B15 event {event.event_id} does not follow its workflow task directly"


def _is_command(event: api.HistoryEvent) -> bool:
    if event.event_type in OF_UPDATES:
        return True
    return getattr(attributes_of(event), "workflow_task_completed_event_id", 0) > 0


def _activities(events: Events) -> Iterator[str]:
    """B17: at most one end for each activity, after its start; a completed run has left none without an end."""
    started: dict[int, int] = {}
    ended: set[int] = set()
    scheduled: set[int] = set()
    for event in events:
        kind, at = event.event_type, f"at event {event.event_id}"
        if kind == enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled.add(event.event_id)
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            activity = event.activity_task_started_event_attributes.scheduled_event_id
            if activity not in scheduled or activity in started:
                yield f"B17 activity {activity} starts out of turn {at}"
            started[activity] = event.event_id
        elif kind in ACTIVITY_CLOSED:
            attributes = attributes_of(event)
            activity = attributes.scheduled_event_id
            if activity not in scheduled or activity in ended:
                yield f"B17 activity {activity} has more than one end {at}"
            if attributes.started_event_id != started.get(activity, 0):
                yield f"B17 a wrong started_event_id {at}"
            if kind == enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED and activity not in started:
                yield f"B17 activity {activity} completes without a start {at}"
            ended.add(activity)


def _timers(events: Events) -> Iterator[str]:
    """B19: a timer fires or is cancelled at most once, and never early."""
    open_timers: dict[int, api.HistoryEvent] = {}
    for event in events:
        at = f"at event {event.event_id}"
        if event.event_type == enums.EVENT_TYPE_TIMER_STARTED:
            open_timers[event.event_id] = event
        elif event.event_type in (enums.EVENT_TYPE_TIMER_FIRED, enums.EVENT_TYPE_TIMER_CANCELED):
            started = open_timers.pop(attributes_of(event).started_event_id, None)
            if started is None:
                yield f"B19 a timer ends that was not running {at}"
            elif event.event_type == enums.EVENT_TYPE_TIMER_FIRED:
                wait = _ns(started.timer_started_event_attributes.start_to_fire_timeout)
                if _ns(event.event_time) < _ns(started.event_time) + wait:
                    yield f"B19 a timer fires early {at}"


def _ns(time: Anything) -> int:
    return int(time.seconds) * 1_000_000_000 + int(time.nanos)


@final
class Acknowledged:
    """What the server acknowledged for one workflow, as its clients and workers saw it."""

    __slots__ = ("activity_results", "completions", "run_ids", "signals", "started")

    def __init__(self) -> None:
        self.started = False
        self.run_ids: set[str] = set()
        self.signals: list[str] = []
        """Tags, in the order in which they were acknowledged."""
        self.activity_results: dict[str, str] = {}
        """Activity id to the result that was accepted."""
        self.completions: dict[int, list[int]] = {}
        """Started event id of an acknowledged completion to the event types that its commands make."""


def audit(events: Events, acknowledged: Acknowledged, expected_result: str | None) -> list[str]:
    """Compare one run's history with what was acknowledged (reliability B1, B10, B11, B15, B17)."""
    findings = check_history(events)
    tags = [_text(event.workflow_execution_signaled_event_attributes.input) for event in _of(events, _SIGNALED)]
    if len(set(tags)) != len(tags):
        findings.append(f"B10 a signal came twice: {tags}")
    if [tag for tag in tags if tag in set(acknowledged.signals)] != acknowledged.signals:
        findings.append(f"B10, B11 acknowledged signals {acknowledged.signals}, found {tags}")
    if len(acknowledged.run_ids) > 1:
        findings.append(f"B3 one start was answered with several runs: {acknowledged.run_ids}")
    findings += _results(events, acknowledged.activity_results)
    findings += _completions(events, acknowledged.completions)
    last = events[-1]
    if last.event_type != enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        findings.append(f"B1 the run ends with {name_of(last.event_type)}")
    elif expected_result is not None:
        result = _text(last.workflow_execution_completed_event_attributes.result)
        if result != expected_result:
            findings.append(f"B1 the result is {result}, not {expected_result}")
    return findings


_SIGNALED: Final = enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED


def _of(events: Events, kind: int) -> Iterable[api.HistoryEvent]:
    return (event for event in events if event.event_type == kind)


def _text(payloads: Anything) -> str:
    return b"".join(payload.data for payload in payloads.payloads).decode()


def results_of(events: Events) -> dict[str, list[str]]:
    """Activity id to the results recorded for it."""
    found: dict[str, list[str]] = {}
    for event in _of(events, enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED):
        attributes = event.activity_task_completed_event_attributes
        scheduled = events[attributes.scheduled_event_id - 1].activity_task_scheduled_event_attributes
        found.setdefault(scheduled.activity_id, []).append(_text(attributes.result))
    return found


def _results(events: Events, accepted: Mapping[str, str]) -> Iterator[str]:
    recorded = results_of(events)
    for activity, results in recorded.items():
        if len(results) > 1:
            yield f"B17 activity {activity} has results {results}"
    for activity, result in accepted.items():
        if recorded.get(activity) != [result]:
            yield f"B17 result {result} of activity {activity} was accepted, recorded are {recorded.get(activity)}"


def _completions(events: Events, completions: Mapping[int, list[int]]) -> Iterator[str]:
    completed_at = {
        event.workflow_task_completed_event_attributes.started_event_id: event.event_id
        for event in _of(events, enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    }
    for started, wanted in completions.items():
        at = completed_at.get(started)
        if at is None:
            yield f"B15 the completion of the task started at {started} was acknowledged and is not there"
            continue
        found = [event.event_type for event in events[at : at + len(wanted)]]
        if found != wanted:
            shown = [[name_of(kind) for kind in kinds] for kinds in (wanted, found)]
            yield f"B15 the commands of event {at} should make {shown[0]} and made {shown[1]}"
