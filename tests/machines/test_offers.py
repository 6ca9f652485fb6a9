"""What a close withdraws from matching: everything that was offered and has not started."""

from __future__ import annotations

from perdure.machines.workflow.effects import WithdrawTask
from tests.machines.builders import schedule_activity
from tests.machines.chronicles import Chronicle, idle


def withdrawn(story: Chronicle) -> list[int]:
    """Scheduled event ids of the tasks that the last step withdrew."""
    assert story.last is not None
    return [effect.task.scheduled_event_id for effect in story.last.effects if isinstance(effect, WithdrawTask)]


def test_a_close_withdraws_the_task_that_nobody_took() -> None:
    """Otherwise it would lie in matching until a poller met it."""
    story = Chronicle()
    story.begin()
    story.terminate()
    assert withdrawn(story) == [2]


def test_a_close_withdraws_activities_that_did_not_start() -> None:
    """A started one is not matching's any more."""
    story = idle(schedule_activity("a"), schedule_activity("b"))
    story.terminate()
    assert withdrawn(story) == [5, 6]


def test_a_step_that_does_not_close_withdraws_nothing() -> None:
    """A signal leaves what is offered alone."""
    story = Chronicle()
    story.begin()
    story.signal()
    assert withdrawn(story) == []
