"""What a run holds is counted at a flat cost. That the count is right, the audit checks after every step of a story."""

from __future__ import annotations

from immutables import Map

from perdure.engine.entity import CHAIN_BYTES, RUN_BYTES, Entity
from perdure.errors import InvalidArgument
from perdure.machines.env import Limits
from perdure.machines.workflow import weight
from perdure.machines.workflow.activity_inputs import ActivityHeartbeat
from perdure.machines.workflow.chain import ChainState
from tests.machines.builders import payloads, schedule_activity, start_timer, target_of
from tests.machines.chronicles import idle, modify_memo


def test_a_cached_chain_is_charged_for_what_hangs_on_its_runs() -> None:
    story = idle(*[schedule_activity(f"a{number}") for number in range(50)], modify_memo(note="x" * 10_000))
    entity = Entity(story.key.digest, story.key, story.state)
    assert entity.size > CHAIN_BYTES + RUN_BYTES + 50 * weight.ACTIVITY_MEMORY + 10_000
    entity.tail_bytes = 700
    with_tail = entity.size
    entity.state = ChainState(story.state.chain, Map(), Map(), Map())
    assert (with_tail > entity.size, entity.size) == (True, CHAIN_BYTES + 700)


def test_details_that_go_are_no_longer_charged() -> None:
    story = idle(schedule_activity("a", retry=None), start_timer("t", 60))
    before = weight.memory(story.execution)
    target = target_of(story.take_activity())
    story.heartbeat(target, payloads("x" * 5_000))
    assert weight.memory(story.execution) >= before + 5_000
    story.heartbeat(target, payloads("y"))
    assert weight.memory(story.execution) < before + 1_000
    story.complete_activity(target)
    assert weight.memory(story.execution) < before


def test_a_run_that_holds_too_much_is_ended() -> None:
    """The limit of the state beside the history (`limit.mutableStateSize.error`)."""
    limits = Limits()
    limits.mutable_state_size = 10_000
    story = idle(schedule_activity("a"), limits=limits)
    target = target_of(story.take_activity())
    story.heartbeat(target, payloads("x" * 5_000))
    outcome = story.apply(ActivityHeartbeat(story.run_id, target, payloads("x" * 20_000), "worker"))
    assert isinstance(outcome, InvalidArgument)
    assert outcome.message == "Workflow mutable state size exceeds limit."
    assert story.history()[-1].endswith("WorkflowExecutionTerminated(Workflow mutable state size exceeds limit.)")
