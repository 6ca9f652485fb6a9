"""A step costs what it changes, not what the run holds (DESIGN 1.4). Counted in rows and bytes, never timed."""

from __future__ import annotations

from perdure.api import history
from perdure.machines.env import Limits
from perdure.machines.workflow import codec, machine
from perdure.machines.workflow.activity_inputs import ActivityHeartbeat, ActivityTarget
from perdure.machines.workflow.inputs import Input, Signal
from tests.machines.builders import Story, env_at, payloads, schedule_activity, start_timer

CORE_BYTES_MAX = 1000
"""A core without its collections. Ids, names, counters and one workflow task."""


class Measured(Story):
    """A story that keeps the last transition, so that its rows can be counted."""

    last: machine.Transition

    def apply(self, fact: Input) -> object:
        """One step."""
        before = self.state
        outcome = super().apply(fact)
        self.last = machine.step(self.key, before, fact, env_at(self.now, self.limits, self.ids))
        return outcome

    def rows(self) -> list[codec.Row]:
        """Part rows of the last step."""
        return [row for delta in self.last.deltas for row in delta.rows]

    def core(self) -> int:
        """Bytes of the run's core."""
        return len(codec.encode_run(self.execution))


def signal(story: Measured, number: int) -> None:
    attributes = history.WorkflowExecutionSignaledEventAttributes(signal_name="s")
    story.apply(Signal("", attributes, f"id {number}"))


def test_a_heartbeat_among_two_thousand_activities_writes_one_row() -> None:
    story = Measured()
    story.start()
    story.take()
    story.complete(*[schedule_activity(f"a{number}", heartbeat=30) for number in range(2000)])
    assert len(story.rows()) == 2000
    delivery = story.take_activity()
    assert len(story.rows()) == 1
    core = story.core()
    for _ in range(3):
        story.now += 1_000_000_000
        target = ActivityTarget("", delivery.token.scheduled_event_id, 1)
        story.apply(ActivityHeartbeat(story.run_id, target, payloads('"' + "x" * 100 + '"'), "worker"))
        assert len(story.rows()) == 1
        assert [delta.alarm_changed for delta in story.last.deltas] == [False], "a hot run leaves its index alone"
    assert core == story.core() < CORE_BYTES_MAX


def test_the_ten_thousandth_signal_writes_one_row() -> None:
    story = Measured()
    story.start()
    sizes = set()
    for number in range(10_000):
        if number < 30 or number > 9_990:
            signal(story, number)
            if number >= 20:
                assert len(story.rows()) == 1
                sizes.add(story.core())
        else:
            _quick_signal(story, number)
    assert max(sizes) < CORE_BYTES_MAX
    assert max(sizes) - min(sizes) < 20


def _quick_signal(story: Measured, number: int) -> None:
    attributes = history.WorkflowExecutionSignaledEventAttributes(signal_name="s")
    env = env_at(story.now, story.limits, story.ids)
    story.state = machine.step(story.key, story.state, Signal("", attributes, f"id {number}"), env).state


def test_a_signal_into_a_full_buffer_writes_itself() -> None:
    limits = Limits()
    story = Measured(limits)
    story.start()
    story.take()
    for number in range(99):
        signal(story, number)
        if number >= 20:
            assert len(story.rows()) == 2, "the event and its request id"
            assert story.core() < CORE_BYTES_MAX
    story.complete()
    assert len(story.rows()) == 99
    assert all(body is None for _, _, body in story.rows())


def test_a_collection_that_was_emptied_lives_in_the_core_again() -> None:
    story = Measured()
    story.start()
    story.take()
    story.complete(*[start_timer(f"t{number}", 10) for number in range(20)])
    assert len(story.rows()) == 20
    story.wait(10)
    assert not story.execution.timers
    assert not story.execution.parts_spilled
    story.take()
    story.complete(start_timer("t", 10))
    assert story.rows() == []


def test_a_few_small_things_cost_no_rows() -> None:
    story = Measured()
    story.start()
    story.take()
    story.complete(*[schedule_activity(f"a{number}") for number in range(16)])

    assert story.rows() == []


def test_details_too_large_for_the_core_get_rows() -> None:
    story = Measured()
    story.start()
    story.take()
    story.complete(schedule_activity("a"))
    delivery = story.take_activity()
    target = ActivityTarget("", delivery.token.scheduled_event_id, 1)
    story.apply(ActivityHeartbeat(story.run_id, target, payloads('"' + "x" * 9000 + '"'), "worker"))

    assert len(story.rows()) == 1
    assert story.core() < CORE_BYTES_MAX
