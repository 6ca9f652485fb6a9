"""Starts that are due: into the buffer, and out of it by the overlap policies (semantics 13.5 to 13.7).

Functions here change the step's own copy of the state. Nothing is started here: what is chosen becomes owed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from perdure.clock import SECOND
from perdure.machines.schedule.spec import compiled, next_due
from perdure.machines.schedule.state import (
    ALLOW_ALL,
    BUFFER_ALL,
    BUFFER_ONE,
    CANCEL_OTHER,
    TERMINATE_OTHER,
    Backfill,
    Schedule,
    Starting,
    Stopping,
    Waiting,
)

BUFFER_MAX = 1000
"""Starts that a schedule may have before it, waiting or on their way; more are dropped."""
BACKFILLS_MAX = 1000
BACKFILLED_AT_ONCE = 10
"""Times of backfills that are taken at once, and then again after `BACKFILL_PAUSE`."""
BACKFILL_PAUSE = SECOND
OCCURRENCES_AT_ONCE = 2000
"""Occurrences that one step looks at: a schedule that was away for a year comes back in pieces."""
LOOKS_AT_ONCE = 20_000
"""Looks at calendars and intervals after which a step leaves the rest to the next one: a twentieth of a second."""
GIVE_UP_AFTER = 3600 * SECOND
GIVE_UP_AFTER_MIN = 5 * SECOND
GIVE_UP_MANUAL_AFTER = 60 * SECOND
"""A start that keeps failing is given up after an hour, or when its catch-up window ends; a manual one after a minute.
"""


def take_due(state: Schedule, now: int) -> None:
    """Everything that has become due goes into the buffer, is missed, or lies in a pause."""
    if state.paused or state.exhausted:
        state.processed = max(state.processed, now)
        return
    spec = compiled(state.spec)
    enough = spec.looks + LOOKS_AT_ONCE
    for _ in range(OCCURRENCES_AT_ONCE):
        coming = state.coming(1)
        if not coming or coming[0].actual > now:
            return
        due = coming[0]
        if now - due.actual > state.catchup_window:
            state.missed += 1
        else:
            add(state, due.nominal, due.actual, 0, False)
        state.processed = due.actual
        if spec.looks > enough:
            return


def add(state: Schedule, nominal: int, actual: int, overlap: int, manual: bool) -> None:
    """One more start in the buffer, if there is room."""
    if len(state.waiting) + len(state.starting) >= BUFFER_MAX:
        state.dropped += 1
        return
    state.waiting += (Waiting(state.number(), nominal, actual, overlap, manual),)


def backfill(state: Schedule, now: int) -> None:
    """Some of the times of the backfills, the oldest backfill first; half the buffer is left to the schedule itself."""
    if not state.backfills or now < state.backfill_at:
        return
    room = BACKFILLED_AT_ONCE
    spec = compiled(state.spec)
    enough = spec.looks + LOOKS_AT_ONCE
    while state.backfills and room and len(state.waiting) < BUFFER_MAX // 2 and spec.looks < enough:
        first, *others = state.backfills
        due = next_due(spec, state.seed, first.after)
        if due is None or due.actual > first.end:
            state.backfills = tuple(others)
            continue
        add(state, due.nominal, due.actual, first.overlap, True)
        state.backfills = (Backfill(due.actual, first.end, first.overlap), *others)
        room -= 1
    state.backfill_at = now + BACKFILL_PAUSE


def pace(state: Schedule, now: int) -> None:
    """When the backfills go on by themselves: not while the buffer is full, since then a close comes first."""
    if not state.backfills or len(state.waiting) >= BUFFER_MAX // 2:
        state.backfill_at = 0
    elif not state.backfill_at:
        state.backfill_at = now + BACKFILL_PAUSE


def drain(state: Schedule, now: int) -> None:
    """Apply the overlap policies to the buffer until nothing more can be decided."""
    if not state.action:
        state.waiting = ()
    while state.waiting and _pass(state, now):
        pass


def _pass(state: Schedule, now: int) -> bool:
    """One walk through the buffer, in order. True when a chosen start may not run, so that another walk may help."""
    busy = state.busy
    at_once: list[Waiting] = []
    alone: Waiting | None = None
    kept: list[Waiting] = []
    stop = 0
    for start in state.waiting:
        policy = start.overlap or state.overlap
        if policy == ALLOW_ALL:
            at_once.append(start)
        elif not busy and alone is None:
            alone = start
        elif policy in (CANCEL_OTHER, TERMINATE_OTHER):
            if busy:
                stop = max(stop, policy)
                kept.append(start)
            else:
                alone = start
        elif policy == BUFFER_ALL or (policy == BUFFER_ONE and not kept):
            kept.append(start)
        else:
            state.skipped += 1
    if stop:
        # They would be stopped at once.
        at_once = []
    state.waiting = tuple(kept)
    refused = False
    for start in [*at_once, *([alone] if alone is not None else [])]:
        if start.manual or _use_action(state):
            _begin(state, start, start is alone, now)
        else:
            refused = True
    if stop:
        _stop_running(state, stop == TERMINATE_OTHER)
    return refused


def _use_action(state: Schedule) -> bool:
    """Take one of the remaining actions, if the schedule may act by itself."""
    if state.paused or state.exhausted:
        return False
    if state.limited:
        state.remaining -= 1
        state.token += 1
    return True


def _begin(state: Schedule, start: Waiting, alone: bool, now: int) -> None:
    if start.manual:
        patience = GIVE_UP_MANUAL_AFTER
    else:
        left = start.actual + state.catchup_window - now
        patience = max(GIVE_UP_AFTER_MIN, min(left, GIVE_UP_AFTER))
    workflow_id = state.workflow_id
    if not state.keep_workflow_id:
        workflow_id += "-" + shown(start.nominal)
    state.starting += (
        Starting(
            start.number,
            start.nominal,
            start.actual,
            start.manual,
            alone,
            workflow_id,
            state.generation,
            now + patience,
        ),
    )


def _stop_running(state: Schedule, terminate: bool) -> None:
    """Every workflow that holds others up is asked to go, unless it is being asked already."""
    asked = {(stop.workflow_id, stop.terminate) for stop in state.stopping}
    for workflow in state.running:
        if (workflow.workflow_id, terminate) not in asked:
            state.stopping += (Stopping(state.number(), workflow.workflow_id, workflow.run_id, terminate),)


def shown(nominal: int) -> str:
    """A nominal time as it ends the ids of workflows: RFC 3339, seconds, UTC."""
    return datetime.fromtimestamp(nominal // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
