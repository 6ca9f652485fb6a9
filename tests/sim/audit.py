"""Judges a history as a client sees it: dense, lawful, closed once (B6, B10, B12, B14, B17, B19 of reliability.md).

It knows nothing of the server and believes nothing of the load: what it is given is bytes off the wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from perdure.api import enums, history
from perdure.testing.programs import value_of

CLOSES: Final = frozenset(
    {
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)


class Violation(AssertionError):
    """The server has broken a promise."""


def shown(events: Sequence[history.HistoryEvent]) -> str:
    """A history in one line, for a message."""
    start = _ns(events[0])
    names = [
        f"{e.event_id} {enums.EventType.Name(e.event_type).removeprefix('EVENT_TYPE_')} {(_ns(e) - start) / 1e9:.3f}"
        for e in events
    ]
    return ", ".join(names)


def _must(holds: bool, law: str) -> None:
    if not holds:
        raise Violation(law)


def audit_closed(events: Sequence[history.HistoryEvent]) -> None:
    """A whole history of a closed run obeys the laws. Raises Violation."""
    _must(bool(events), "B1: an acknowledged run has no history")
    _must([event.event_id for event in events] == list(range(1, len(events) + 1)), "B6: event ids are not dense")
    _must(events[0].event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, "B1: the first event is not the start")
    closes = [event.event_id for event in events if event.event_type in CLOSES]
    _must(closes == [len(events)], f"B6: close events at {closes} of {len(events)}")
    # What was buffered during a workflow task, and the start of an activity, keep the time at which they happened.
    _must(min(_ns(event) for event in events) == _ns(events[0]), "B6: an event before the start")
    try:
        audit_workflow_tasks(events)
        audit_activities(events)
        audit_timers(events)
    except Violation as violation:
        raise Violation(f"{violation} in {shown(events)}") from None


def audit_workflow_tasks(events: Sequence[history.HistoryEvent]) -> None:
    """B14: scheduled, started, ended; one at a time, with right references."""
    scheduled = started = 0
    for event in events:
        kind = event.event_type
        if kind == enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            _must(scheduled == 0, f"B14: event {event.event_id} schedules a second workflow task")
            scheduled = event.event_id
        elif kind == enums.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            named = event.workflow_task_started_event_attributes.scheduled_event_id
            _must(named == scheduled and not started, f"B14: event {event.event_id} starts {named}, not {scheduled}")
            started = event.event_id
        elif kind == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            done = event.workflow_task_completed_event_attributes
            named_both = (done.scheduled_event_id, done.started_event_id)
            _must(named_both == (scheduled, started) and started > 0, f"B14: event {event.event_id} ends no task")
            scheduled = started = 0
        elif kind in (enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, enums.EVENT_TYPE_WORKFLOW_TASK_FAILED):
            _must(scheduled > 0, f"B14: event {event.event_id} ends no task")
            scheduled = started = 0


def audit_activities(events: Sequence[history.HistoryEvent]) -> None:
    """B17: one end for each activity, preceded by the start that it names."""
    scheduled: dict[int, str] = {}
    starts: dict[int, int] = {}
    ends: Counter[int] = Counter()
    for event in events:
        kind = event.event_type
        if kind == enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            named = event.activity_task_started_event_attributes.scheduled_event_id
            _must(named in scheduled and named not in starts, f"B17: event {event.event_id} starts {named} again")
            starts[named] = event.event_id
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes
            _must(starts.get(done.scheduled_event_id) == done.started_event_id, "B17: completed without its start")
            ends[done.scheduled_event_id] += 1
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            ends[event.activity_task_failed_event_attributes.scheduled_event_id] += 1
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            ends[event.activity_task_timed_out_event_attributes.scheduled_event_id] += 1
    _must(all(count == 1 for count in ends.values()), "B17: an activity has two results")
    _must(set(ends) <= set(scheduled), "B17: a result of no activity")
    repeated = [activity_id for activity_id, count in Counter(scheduled.values()).items() if count > 1]
    _must(not repeated, f"B15: commands were applied twice: {repeated}")


def audit_timers(events: Sequence[history.HistoryEvent]) -> None:
    """B19: each timer fires at most once, and never early."""
    due: dict[int, int] = {}
    fired: set[int] = set()
    for event in events:
        if event.event_type == enums.EVENT_TYPE_TIMER_STARTED:
            timeout = event.timer_started_event_attributes.start_to_fire_timeout
            due[event.event_id] = _ns(event) + timeout.seconds * 10**9 + timeout.nanos
        elif event.event_type == enums.EVENT_TYPE_TIMER_FIRED:
            started = event.timer_fired_event_attributes.started_event_id
            _must(started in due and started not in fired, f"B19: event {event.event_id} fires {started} again")
            _must(_ns(event) >= due[started], f"B19: timer {started} fired early")
            fired.add(started)


def signals_of(events: Sequence[history.HistoryEvent]) -> list[str]:
    """The signals of a run, in order."""
    return [
        value_of(event.workflow_execution_signaled_event_attributes.input)
        for event in events
        if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]


def audit_signals(found: Sequence[str], acknowledged: Sequence[str], unknown: Sequence[str] = ()) -> None:
    """B10: an acknowledged signal is there once, one of unknown outcome at most once, no other at all."""
    counts = Counter(found)
    for name in acknowledged:
        _must(counts[name] == 1, f"B10: signal {name} is there {counts[name]} times")
    for name in unknown:
        _must(counts[name] <= 1, f"B10: signal {name} is there {counts[name]} times")
    strays = set(counts) - set(acknowledged) - set(unknown)
    _must(not strays, f"B10: signals that nobody sent: {sorted(strays)}")


def audit_updates(events: Sequence[history.HistoryEvent], outcomes: Mapping[str, object], count: int) -> None:
    """B12: each update is accepted once, then completed once, with the outcome that its caller was told."""
    _must(len(outcomes) == count, f"B12: {count} updates, and {len(outcomes)} outcomes")
    accepted: list[str] = []
    recorded: dict[str, object] = {}
    for event in events:
        if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            taken = event.workflow_execution_update_accepted_event_attributes
            accepted.append(taken.accepted_request.meta.update_id)
        elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            done = event.workflow_execution_update_completed_event_attributes
            update_id = done.meta.update_id
            _must(update_id in accepted and update_id not in recorded, f"B12: {update_id} is completed out of turn")
            recorded[update_id] = value_of(done.outcome.success)
    _must(sorted(accepted) == sorted(outcomes), f"B12: accepted {accepted}")
    _must(recorded == outcomes, f"B12: recorded {recorded}, told {dict(outcomes)}")


def _ns(event: history.HistoryEvent) -> int:
    return event.event_time.seconds * 10**9 + event.event_time.nanos


def results_of(events: Sequence[history.HistoryEvent]) -> list[str]:
    """The results of all completed activities."""
    return [
        value_of(event.activity_task_completed_event_attributes.result)
        for event in events
        if event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    ]


def audit_chain(runs: Sequence[Sequence[history.HistoryEvent]]) -> list[str]:
    """B21: whole histories of runs that follow each other, each closed, each naming the one before and the first; the
    results of their activities. Raises Violation.
    """
    results: list[str] = []
    first = before = ""
    for number, events in enumerate(runs, 1):
        audit_closed(events)
        started = events[0].workflow_execution_started_event_attributes
        own = started.original_execution_run_id
        first = first or own
        _must(started.first_execution_run_id == first, f"B21: run {number} names another first run")
        _must(started.continued_execution_run_id == before, f"B21: run {number} names another run before it")
        close = events[-1]
        following = getattr(getattr(close, str(close.WhichOneof("attributes"))), "new_execution_run_id", "")
        _must(bool(following) == (number < len(runs)), f"B21: run {number} of {len(runs)} is followed by {following!r}")
        before = own
        results += results_of(events)
    return results
