"""A workflow with a cron schedule: the chain of its runs on the pure machine (semantics 10.3, D13)."""

from __future__ import annotations

from perdure.api import common, enums
from perdure.api import history as api_history
from perdure.machines import cron
from tests.machines.builders import SECOND, T0, complete_workflow, payloads, retry_policy
from tests.machines.chronicles import Chronicle, continue_as_new, fail_workflow
from tests.machines.families import Family, start_child

EVERY = "@every 10s"


def begun(**fields: object) -> Chronicle:
    """A chain whose first run waits for its schedule."""
    wait = cron.backoff(cron.parse(EVERY), T0, T0)
    assert wait is not None
    story = Chronicle()
    story.begin(delay=wait / SECOND, cron_schedule=EVERY, **fields)  # type: ignore[arg-type]  # fields of the request
    return story


def first_event(story: Chronicle) -> api_history.WorkflowExecutionStartedEventAttributes:
    return story.event(1).workflow_execution_started_event_attributes


def result(text: str) -> common.Payloads:
    return payloads(text)


def test_the_first_run_waits_for_its_time() -> None:
    story = begun()
    assert first_event(story).initiator == enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
    assert story.told() == ["1 WorkflowExecutionStarted"]
    story.wait(10)
    assert story.told()[1:] == ["2 WorkflowTaskScheduled"]


def test_the_result_goes_to_the_next_run_and_outlives_failures() -> None:
    story = begun()
    story.wait(10)
    done = complete_workflow()
    done.complete_workflow_execution_command_attributes.result.CopyFrom(result("1"))
    story.turn(done)
    second = first_event(story)
    assert (second.attempt, second.cron_schedule) == (1, EVERY)
    assert second.last_completion_result == result("1")
    assert second.first_workflow_task_backoff.seconds == 10

    story.wait(10)
    story.turn(fail_workflow())
    third = first_event(story)
    assert third.last_completion_result == result("1")
    assert third.continued_failure.message == "boom"
    story.wait(10)
    story.turn(complete_workflow())
    fourth = first_event(story)
    assert not fourth.HasField("continued_failure")
    assert not fourth.HasField("last_completion_result") or not fourth.last_completion_result.payloads


def test_the_retry_policy_comes_before_the_schedule() -> None:
    story = begun(retry=retry_policy(1, 1, 0, 2))
    story.wait(10)
    story.turn(fail_workflow())
    assert first_event(story).initiator == enums.CONTINUE_AS_NEW_INITIATOR_RETRY
    assert first_event(story).cron_schedule == EVERY
    story.wait(1)
    story.turn(fail_workflow())
    assert first_event(story).initiator == enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
    assert first_event(story).attempt == 1


def test_a_run_that_times_out_is_followed_and_termination_ends_the_chain() -> None:
    story = begun(run_timeout=5)
    story.wait(15)
    assert story.told() == ["1 WorkflowExecutionStarted"]
    assert story.execution.info.continued_run_id
    story.terminate()
    assert not story.execution.new_run_id


def test_a_command_may_name_a_schedule_that_is_none_and_the_chain_ends_there() -> None:
    story = Chronicle()
    story.begin()
    story.wait(2)
    story.turn(continue_as_new(cron_schedule="nonsense"))
    assert first_event(story).cron_schedule == "nonsense"
    story.turn(complete_workflow())
    assert story.told()[-1].endswith("WorkflowExecutionCompleted")
    assert story.execution.new_run_id == ""


def test_a_childs_schedule_counts_from_its_start() -> None:
    family = Family()
    parent, kid = family.member("wf"), family.member("kid")
    parent.begin()
    parent.turn(start_child(cron_schedule=EVERY))
    family.now += 3 * SECOND
    family.settle()
    info = kid.execution.info
    assert info.execution_time - info.start_time == 10 * SECOND
    assert kid.kinds() == ["STARTED"]
