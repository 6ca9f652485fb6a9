"""Judges a family of histories by the invariants between chains (reliability B2, B10, B12, B21); knows no server.

Each finding is one line that names the invariant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, final

from perdure.api import enums
from perdure.api import history as api
from tests.crash.checker import Events, attributes_of, check_history

CHILD_ENDED: Final = enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED


class Reset(NamedTuple):
    """A reset that was acknowledged: of which run, to the event before `point`, and the run ids it was answered."""

    base_run_id: str
    run_ids: set[str]
    point: int


@final
class Family:
    """What was acknowledged of one workflow with all its kin."""

    __slots__ = ("first_run_id", "reset", "updates", "workflow_id")

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        self.first_run_id = ""
        self.updates: dict[str, tuple[str, str]] = {}
        """Update id to the run that the answer named, and the result."""
        self.reset: Reset | None = None


def judge(family: Family, runs: Mapping[str, Events], kid: Events) -> list[str]:
    """What is wrong with the runs of a workflow (run id to history, in order of the chain, the reset's run last) and
    its child.
    """
    findings = [f"{run_id}: {finding}" for run_id, events in runs.items() for finding in check_history(events)]
    findings += [f"kid: {finding}" for finding in check_history(kid)]
    findings += _chain(family, runs)
    findings += _child(family, runs[family.first_run_id], kid)
    findings += _updates(family, runs)
    if family.reset is not None:
        findings += _reset(family.reset, runs)
    return findings


def _of(events: Events, kind: int) -> list[api.HistoryEvent]:
    return [event for event in events if event.event_type == kind]


def _chain(family: Family, runs: Mapping[str, Events]) -> Iterator[str]:
    """B21: each successor names the run before it and the first one."""
    before = ""
    for run_id, events in runs.items():
        started = events[0].workflow_execution_started_event_attributes
        if started.first_execution_run_id != family.first_run_id:
            yield f"B21 run {run_id} names {started.first_execution_run_id} as the first of its chain"
        if family.reset is not None and run_id in family.reset.run_ids:
            continue
        if started.continued_execution_run_id != before:
            yield f"B21 run {run_id} continues {started.continued_execution_run_id!r}, not {before!r}"
        before = run_id


def _child(family: Family, parent: Events, kid: Events) -> Iterator[str]:
    """B21: one start, one signal and one end between a parent and its child, each seen on both sides."""
    initiated = _of(parent, enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED)
    if len(initiated) != 1:
        yield f"B21 the child was asked for {len(initiated)} times"
        return
    for kind in (
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
        enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
        CHILD_ENDED,
    ):
        found = _of(parent, kind)
        if len(found) != 1:
            yield f"B21 the parent saw {enums.EventType.Name(kind)} {len(found)} times"
    begun = kid[0].workflow_execution_started_event_attributes
    if begun.parent_workflow_execution.run_id != family.first_run_id:
        yield f"B21 the child names {begun.parent_workflow_execution.run_id} as its parent"
    if begun.parent_initiated_event_id != initiated[0].event_id:
        yield f"B21 the child names event {begun.parent_initiated_event_id} of its parent"
    for started in _of(parent, enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED):
        run_id = attributes_of(started).workflow_execution.run_id
        if run_id != begun.original_execution_run_id:
            yield f"B21 the parent knows {run_id} as its child"
    signals = _of(kid, enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    if len(signals) != 1:
        yield f"B10, B21 the child got {len(signals)} signals"
    closing = kid[-1]
    results = [attributes_of(event).result for event in _of(parent, CHILD_ENDED)]
    if results and closing.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        if results[0] != attributes_of(closing).result:
            yield "B21 the parent got another result than the child gave"
    else:
        yield "B21 the child's end did not reach its parent"


def _updates(family: Family, runs: Mapping[str, Events]) -> Iterator[str]:
    """B12: an acknowledged update has one acceptance and one completion in the run that was named, and no run has
    more; its outcome is the one that was told.
    """
    accepted = {run_id: _accepted(events) for run_id, events in runs.items()}
    completed = {run_id: _completed(events) for run_id, events in runs.items()}
    for found in (accepted, completed):
        for run_id, pairs in found.items():
            ids = [update_id for update_id, _ in pairs]
            if len(set(ids)) != len(ids):
                yield f"B12 run {run_id} has an update twice: {ids}"
    for update_id, (run_id, text) in family.updates.items():
        if update_id not in dict(accepted.get(run_id, [])):
            yield f"B12 update {update_id} was told to be accepted by run {run_id}, and is not"
        if dict(completed.get(run_id, [])).get(update_id) != text:
            yield f"B12 update {update_id} was told to end with {text} in run {run_id}, and did not"


def _accepted(events: Events) -> list[tuple[str, int]]:
    kind = enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return [(attributes_of(event).protocol_instance_id, event.event_id) for event in _of(events, kind)]


def _completed(events: Events) -> list[tuple[str, str]]:
    kind = enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
    return [
        (attributes_of(event).meta.update_id, attributes_of(event).outcome.success.payloads[0].data.decode())
        for event in _of(events, kind)
    ]


def _reset(reset: Reset, runs: Mapping[str, Events]) -> Iterator[str]:
    """B21: one new run with the exact past of the base run, then the failed task that tells of the reset."""
    if len(reset.run_ids) != 1:
        yield f"B3 one reset was answered with several runs: {reset.run_ids}"
    for run_id in reset.run_ids:
        events, base = runs[run_id], runs[reset.base_run_id]
        if _bytes(events[: reset.point - 1]) != _bytes(base[: reset.point - 1]):
            yield f"B21 run {run_id} has another past than run {reset.base_run_id}"
        failed = events[reset.point - 1].workflow_task_failed_event_attributes
        if (failed.base_run_id, failed.new_run_id) != (reset.base_run_id, run_id):
            yield f"B21 event {reset.point} of run {run_id} does not tell of the reset"
        if events[-1].event_type != enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            yield f"B1 run {run_id} did not end"


def _bytes(events: Sequence[api.HistoryEvent]) -> list[bytes]:
    return [event.SerializeToString(deterministic=True) for event in events]
