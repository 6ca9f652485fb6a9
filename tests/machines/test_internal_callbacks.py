"""Entities hear how the chain of runs that they started ends: once, by the last run, whatever lies between."""

from __future__ import annotations

from collections import Counter

import pytest
from immutables import Map

from perdure.api import command as commands
from perdure.api import common, enums, failure
from perdure.errors import NotFound
from perdure.machines.closing_report import InternalCallback
from perdure.machines.workflow import alarm
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.execution import COMPLETED, FAILED, TERMINATED, TIMED_OUT
from perdure.machines.workflow.owed import INTERNAL_CALLBACK
from perdure.machines.workflow.start_inputs import Start
from tests.machines.builders import SECOND, complete_workflow, retry_policy, running_execution
from tests.machines.chronicles import TERMINATE_EXISTING, continue_as_new, fail_workflow
from tests.machines.families import Family, Relative, entity_key
from tests.machines.test_exchange_faults import Rough
from tests.machines.test_reset import reset


def start(family: Family, *tokens: str, **fields: object) -> Relative:
    """A workflow that the entity "plan" has started, which wants to hear of it under these tokens."""
    workflow = family.member("wf")
    callbacks = tuple([InternalCallback(entity_key("plan"), token) for token in tokens])
    workflow.apply(Start(workflow.start_request(**fields), {}, 0, callbacks=callbacks))
    return workflow


def completed(data: bytes) -> commands.Command:
    command = complete_workflow()
    command.complete_workflow_execution_command_attributes.result.payloads.add(data=data)
    return command


def test_the_entity_hears_of_the_end_with_its_result() -> None:
    family = Family()
    plan = family.entity("plan")
    workflow = start(family, "one", "two")
    assert not workflow.calls
    workflow.turn(completed(b"done"))
    family.settle()
    told = {fact.token: fact for fact in plan.told}
    assert set(told) == {"one", "two"}
    report = told["one"]
    assert (report.workflow_id, report.run_id, report.first_run_id) == ("wf", workflow.run_id, workflow.run_id)
    assert (report.status, report.close_time) == (COMPLETED, workflow.execution.close_time)
    assert common.Payloads.FromString(report.result).payloads[0].data == b"done"
    assert not workflow.execution.calls
    assert not workflow.execution.internal_callbacks
    assert len(plan.told) == 2


def test_a_failure_comes_with_the_report() -> None:
    family = Family()
    plan = family.entity("plan")
    start(family, "one").turn(fail_workflow())
    family.settle()
    (report,) = plan.told
    assert (report.status, report.result) == (FAILED, b"")
    assert failure.Failure.FromString(report.failure).message == "boom"


@pytest.mark.parametrize("cron", ["", "* * * * *"])
def test_episodes_of_a_chain_of_runs_are_not_its_end(cron: str) -> None:
    """Continue-as-new, a retry, and the schedule's next run each take the callback along."""
    family = Family()
    plan = family.entity("plan")
    workflow = start(family, "one", cron_schedule=cron, retry_policy=retry_policy(1, attempts=2))
    first = workflow.run_id
    if not cron:
        family.now += 2 * SECOND
        workflow.turn(continue_as_new(retry_policy=retry_policy(1, attempts=2)))
    for _ in range(2 if cron else 1):
        workflow.turn(fail_workflow())
        family.settle()
        assert not plan.told
        family.now += 90 * SECOND
        workflow.ring()
    workflow.turn(fail_workflow())
    family.settle()
    if cron:
        assert not plan.told
        workflow.terminate()
        family.settle()
    (report,) = plan.told
    assert (report.run_id, report.first_run_id) == (workflow.run_id, first)
    assert report.status == (TERMINATED if cron else FAILED)
    assert report.run_id != first
    assert not any(run.internal_callbacks or run.calls for run in workflow.state.runs.values())


def test_a_run_that_times_out_reports() -> None:
    family = Family()
    plan = family.entity("plan")
    workflow = start(family, "one", run_timeout=10)
    family.now += 11 * SECOND
    workflow.ring()
    family.settle()
    assert plan.statuses() == [("one", TIMED_OUT)]


def test_a_start_that_ends_the_run_before_it_does_not_continue_it() -> None:
    family = Family()
    plan = family.entity("plan")
    start(family, "one")
    start(family, "two", workflow_id_conflict_policy=TERMINATE_EXISTING)
    family.settle()
    assert plan.statuses() == [("one", TERMINATED)]


def test_a_reset_continues_the_chain_of_runs() -> None:
    """The run that a reset ends does not report; the one that it makes will."""
    story = running_execution()
    execution = story.execution.fork()
    execution.internal_callbacks = Map({1: InternalCallback(entity_key("plan"), "one")})
    state = story.state
    runs = state.runs.set(story.run_id, execution)
    story.state = ChainState(state.chain, runs, state.start_requests, state.start_events)
    old = story.run_id
    reset(story, 4)
    assert not story.state.runs[old].calls
    assert not story.state.runs[old].internal_callbacks
    story.turn(complete_workflow())
    assert list(story.execution.calls) == [(INTERNAL_CALLBACK, 1)]


def test_an_entity_that_is_gone_discharges_the_run() -> None:
    family = Family()
    workflow = start(family, "one").turn(complete_workflow())
    family.settle()
    assert not workflow.execution.calls


def test_an_entity_out_of_reach_is_told_later_and_holds_the_run() -> None:
    """What is owed outlives the owner, and retention waits for it."""
    family = Family()
    plan = family.entity("plan")
    plan.reachable = False
    workflow = start(family, "one")
    workflow.turn(complete_workflow())
    for _ in range(5):
        family.carry(workflow.calls[0])
    family.now += 10 * 86_400 * SECOND
    workflow.die()
    assert workflow.state.chain is not None, "not reclaimed, its retention over"
    assert workflow.calls, "the new owner sends it again"
    plan.reachable = True
    family.settle()
    assert plan.statuses() == [("one", COMPLETED)]
    assert alarm.durable_alarm(workflow.execution) <= family.now, "now it may go"
    workflow.ring()
    with pytest.raises(NotFound):
        workflow.signal()


@pytest.mark.parametrize("seed", range(40))
def test_every_end_is_reported_under_faults(seed: int) -> None:
    """Lost, repeated and late calls and answers, owners that die, and a chain of runs that goes on meanwhile."""
    family = Rough(seed)
    plan = family.entity("plan")
    workflow = start(family, "one", "two")
    if seed % 2:
        family.now += 2 * SECOND
        workflow.turn(continue_as_new())
        workflow.die()
        workflow.ring()
    for _ in range(family.random.randrange(4)):
        family.mishap()
    if any(task.run_id == workflow.run_id for task in workflow.offers):
        workflow.turn(complete_workflow())
    else:
        workflow.terminate()
    for _ in range(family.random.randrange(30)):
        plan.reachable = family.random.random() < 0.5
        family.mishap()
        family.now += family.random.randrange(SECOND)
    plan.reachable = True
    family.settle()
    assert Counter(token for token, _ in plan.statuses()) == {"one": 1, "two": 1}
    assert {fact.run_id for fact in plan.told} == {workflow.run_id}
    assert not any(run.calls or run.internal_callbacks for run in workflow.state.runs.values())
    assert enums.WORKFLOW_EXECUTION_STATUS_RUNNING not in {status for _, status in plan.statuses()}
