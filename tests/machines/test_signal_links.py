"""Where signals stand in history, by request id: kept only where the namespace wants it, at a flat cost a signal."""

from __future__ import annotations

from perdure.api import history
from perdure.machines.env import Limits
from perdure.machines.workflow.inputs import Signal
from tests.machines.chronicles import Chronicle


def linked() -> Chronicle:
    limits = Limits()
    limits.signal_backlinks = True
    story = Chronicle(limits)
    story.begin()
    return story.turn()


def signal(story: Chronicle, request_id: str) -> None:
    attributes = history.WorkflowExecutionSignaledEventAttributes(signal_name="go", request_id=request_id)
    story.apply(Signal("", attributes, request_id))


def test_a_signal_is_found_once_it_has_an_event_id() -> None:
    story = linked()
    signal(story, "a")
    signal(story, "")
    story.take()
    signal(story, "b")
    assert dict(story.execution.signal_events.items()) == {"a": 5, "b": 0}
    story.complete()
    story.crash()
    assert dict(story.execution.signal_events.items()) == {"a": 5, "b": 10}


def test_many_are_rows_of_their_own() -> None:
    """One more signal writes one more row for each of the two things that are kept of it."""
    story = linked()
    for number in range(30):
        signal(story, f"r{number}")
    assert story.shelf.rows_written == 2
    story.crash()
    assert len(story.execution.signal_events) == 30
    assert story.execution.signal_events["r29"] == 35


def test_nothing_is_kept_where_nobody_wants_it() -> None:
    story = Chronicle()
    story.begin()
    signal(story, "a")
    assert not story.execution.signal_events
