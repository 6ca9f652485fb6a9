"""What a closed run owes to the archive, on the pure machine: owed by the close, discharged by the answer."""

from __future__ import annotations

from perdure.api import history
from perdure.machines.env import ARCHIVES_HISTORY, ARCHIVES_RECORD, Env, Limits, NamespaceView
from perdure.machines.workflow import alarm, codec, machine, owed
from perdure.machines.workflow.effects import Archive
from perdure.machines.workflow.exchange import CallUndelivered, RunArchived
from perdure.machines.workflow.inputs import AlarmRang, Input, Terminate
from perdure.machines.workflow.machine import Transition
from perdure.machines.workflow.operator_inputs import Delete
from perdure.machines.workflow.owed import ARCHIVE
from tests.machines.builders import SECOND, Story, running_execution

RETENTION = 10 * SECOND


def _apply(story: Story, fact: Input, record: str = "file:///r") -> Transition:
    """A step in a namespace that archives histories, and records to `record`."""
    namespace = NamespaceView("namespace-id", "default", RETENTION, {}, Limits(), (), "file:///h", record)
    transition = machine.step(story.key, story.state, fact, Env(story.now, story.ids, namespace))
    story.state = transition.state
    return transition


def _close(story: Story, record: str = "file:///r") -> Transition:
    attributes = history.WorkflowExecutionTerminatedEventAttributes(reason="over")
    return _apply(story, Terminate("", "", attributes), record)


def _archives(transition: Transition) -> int:
    return sum(isinstance(effect, Archive) for effect in transition.effects)


def test_a_close_owes_what_the_namespace_archives() -> None:
    """Sent by the same step; a namespace that archives nothing costs nothing."""
    story = running_execution()
    closing = _close(story)
    assert _archives(closing) == 1
    assert story.execution.operations.archiving == ARCHIVES_HISTORY | ARCHIVES_RECORD
    other = running_execution()
    _close(other, record="")
    assert other.execution.operations.archiving == ARCHIVES_HISTORY
    plain = running_execution()
    plain.apply(Terminate("", "", history.WorkflowExecutionTerminatedEventAttributes()))
    assert not plain.execution.operations.archiving
    assert ARCHIVE not in plain.execution.calls


def test_retention_waits_for_the_archive() -> None:
    """However long it takes: the run goes only when the answer is recorded."""
    story = running_execution()
    _close(story)
    story.now += 100 * RETENTION
    assert not _apply(story, AlarmRang(story.run_id)).deltas[0].reclaim
    assert alarm.durable_alarm(story.execution) <= story.execution.close_time
    _apply(story, RunArchived(story.run_id))
    assert alarm.durable_alarm(story.execution) == story.execution.close_time + RETENTION
    assert _apply(story, AlarmRang(story.run_id)).deltas[0].reclaim


def test_a_failure_is_sent_again_and_an_answer_twice_changes_nothing() -> None:
    story = running_execution()
    _close(story)
    assert _archives(_apply(story, CallUndelivered(story.run_id, ARCHIVE))) == 1
    assert _apply(story, RunArchived(story.run_id)).stored
    assert not _apply(story, RunArchived(story.run_id)).stored
    assert _archives(_apply(story, CallUndelivered(story.run_id, ARCHIVE))) == 0


def test_a_new_owner_finds_what_is_owed() -> None:
    """The stored form says it."""
    story = running_execution()
    _close(story)
    stored = story.execution
    again = codec.decode_run(codec.encode_run(stored), stored.version, stored.alarm, [])
    assert ARCHIVE in owed.derive(again)
    _apply(story, RunArchived(story.run_id))
    stored = story.execution
    assert ARCHIVE not in owed.derive(codec.decode_run(codec.encode_run(stored), stored.version, stored.alarm, []))


def test_deletion_by_request_gives_the_archive_up() -> None:
    """Who deletes a run wants nothing of it kept, closed before or by the deletion."""
    for closed_before in (True, False):
        story = running_execution()
        if closed_before:
            _close(story)
        _apply(story, Delete(""))
        assert ARCHIVE not in story.execution.calls
        assert not story.execution.operations.archiving
        assert _apply(story, AlarmRang(story.run_id)).deltas[0].reclaim
