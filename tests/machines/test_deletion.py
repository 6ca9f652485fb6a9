"""The removal of a run on the pure machine: owed by state, in pieces (semantics 7.5)."""

from __future__ import annotations

import pytest

from perdure.api import workflow
from perdure.errors import NotFound
from perdure.machines.workflow import alarm, deletion, machine
from perdure.machines.workflow.execution import TERMINATED
from perdure.machines.workflow.inputs import AlarmRang, Snapshot
from perdure.machines.workflow.operator_inputs import Delete, Reset
from tests.machines.builders import env_at, event_type, running_execution, start_timer
from tests.machines.chronicles import TERMINATE_EXISTING, USE_EXISTING, Chronicle, idle


def test_an_open_run_is_terminated_and_owes_its_removal() -> None:
    story = running_execution()
    story.apply(Delete(""))
    assert story.execution.status == TERMINATED
    assert event_type(story.events[-1]) == "WorkflowExecutionTerminated"
    assert alarm.durable_alarm(story.execution) <= story.now


@pytest.mark.parametrize("crash", [False, True])
def test_a_deleted_run_takes_the_request_ids_of_its_starts_along(crash: bool) -> None:
    """A start that is asked for again is not answered with a run that is gone, remembered by its owner or not."""
    story = Chronicle()
    story.begin(request_id="first")
    gone = story.run_id
    used = story.begin(
        request_id="attached",
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=workflow.OnConflictOptions(attach_request_id=True),
    )
    assert used.run_id == gone
    story.begin(request_id="second", workflow_id_conflict_policy=TERMINATE_EXISTING)
    newest = story.run_id
    assert story.begin(request_id="first").run_id == gone
    assert story.begin(request_id="attached").run_id == gone
    story.delete(gone)
    if crash:
        story.crash()
    for name in ("first", "attached"):
        assert story.begin(request_id=name, workflow_id_conflict_policy=USE_EXISTING).run_id == newest


def test_branches_of_history_stay_as_long_as_a_run_names_them() -> None:
    """A run that a reset made outlives the one it was made of; the shelf's audit looks at every branch."""
    story = idle(start_timer("t", 60))
    first = story.run_id
    story.apply(Reset(first, 4, "why", "reset", frozenset()))
    story.delete(first)
    assert story.crash().history()[:3] == [
        "1 WorkflowExecutionStarted",
        "2 WorkflowTaskScheduled",
        "3 WorkflowTaskStarted(scheduled 2)",
    ]
    story.delete()
    assert not story.shelf.cores
    assert not story.shelf.histories
    story.begin()


def test_a_long_history_goes_in_bounded_pieces() -> None:
    """Nobody sees the run once its history is going; the last piece takes the rows and the chain."""
    story = running_execution()
    story.apply(Delete(""))
    longer = story.execution.fork()
    longer.next_event_id = 2 * deletion.FRAGMENTS_PER_STEP + 2
    run_id = longer.info.run_id
    state = type(story.state)(
        story.state.chain, story.state.runs.set(run_id, longer), story.state.start_requests, story.state.start_events
    )
    pieces: list[tuple[bool, int]] = []
    while True:
        transition = machine.step(story.key, state, AlarmRang(run_id), env_at(story.now))
        state = transition.state
        delta = transition.deltas[0]
        pieces.append((delta.reclaim, len(delta.reclaimed_branches)))
        if delta.reclaim:
            break
        with pytest.raises(NotFound):
            machine.step(story.key, state, Snapshot(run_id), env_at(story.now))
    assert pieces == [(False, 1), (False, 1), (True, 1)]
    assert state.chain is not None
    assert (state.chain.run_count, state.chain.current_run_id) == (0, "")
