"""The removal of a run on the pure machine: owed by state, in pieces (semantics 7.5)."""

from __future__ import annotations

import pytest

from perdure.errors import NotFound
from perdure.machines.workflow import alarm, deletion, machine
from perdure.machines.workflow.execution import TERMINATED
from perdure.machines.workflow.inputs import AlarmRang, Snapshot
from perdure.machines.workflow.operator_inputs import Delete
from tests.machines.builders import env_at, event_type, running_execution


def test_an_open_run_is_terminated_and_owes_its_removal() -> None:
    story = running_execution()
    story.apply(Delete(""))
    assert story.execution.status == TERMINATED
    assert event_type(story.events[-1]) == "WorkflowExecutionTerminated"
    assert alarm.durable_alarm(story.execution) <= story.now


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
