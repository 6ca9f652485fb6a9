"""A reset on the pure machine: state rebuilt from history, signals taken over, timeouts anew (semantics 7.4, F20)."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.api import enums, history, workflow, workflowservice
from perdure.errors import InvalidArgument
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.execution import TERMINATED
from perdure.machines.workflow.operator_inputs import Reset
from perdure.machines.workflow.task_inputs import WorkflowTaskFailed
from perdure.machines.workflow.update_inputs import AdmitUpdate
from perdure.machines.workflow.updates import STAGE_ACCEPTED
from tests.machines.builders import (
    SECOND,
    Story,
    complete_workflow,
    event_type,
    running_execution,
    schedule_activity,
    start_timer,
    target_of,
)
from tests.machines.chronicles import Chronicle, idle, update_request
from tests.machines.update_messages import accept, respond


def reset(story: Story, finish: int, *excluded: int) -> str:
    """Reset the current run, with its history as the engine would have read it."""
    body = history.History(events=story.events).SerializeToString()
    state = story.state
    known = state.histories.set(story.run_id, body)
    story.state = ChainState(state.chain, state.runs, state.start_requests, state.start_events, known)
    story.offers.clear()
    outcome = story.apply(Reset("", finish, "why", "reset", frozenset(excluded)))
    assert isinstance(outcome, str)
    return outcome


def test_an_open_run_is_terminated_and_its_past_shared() -> None:
    story = running_execution(start_timer("t", 60), schedule_activity("a")).signal()
    base = story.execution
    run_id = reset(story, 4)

    new = story.state.runs[run_id]
    old = story.state.runs[base.info.run_id]
    assert (old.status, old.operations.reset_run_id) == (TERMINATED, run_id)
    assert new.branches[0] == (base.branches[0][0], 3)
    assert story.state.chain is not None
    assert dict(story.state.chain.shared_branches.items()) == {base.branches[0][0]: 2}
    assert (story.state.chain.current_run_id, story.state.chain.run_count) == (run_id, 2)
    assert not new.timers, "it began after the point"
    assert not new.activities, "it began after the point"


def test_what_was_pending_at_the_point_is_pending_again() -> None:
    story = running_execution(start_timer("t", 60), schedule_activity("a")).signal()
    story.turn()
    story.wait(30)
    reset(story, 10)
    execution = story.execution
    assert execution.timers["t"].expiry == story.now + 30 * SECOND
    assert story.activity("a").scheduled_time == story.now
    assert len(story.activity_offers()) == 1
    story.wait(30)
    assert not story.execution.timers


def test_an_activity_whose_start_stands_before_the_point_fails_with_the_reset() -> None:
    """Its end was written together with its start and lies behind: a second start is what no worker can follow."""
    story = running_execution(schedule_activity("a"), schedule_activity("b"))
    a, b = target_of(story.take_activity()), target_of(story.take_activity())
    story.complete_activity(a).complete_activity(b).turn()
    story.wait(1)
    assert story.told(8)[:3] == ["9 WorkflowTaskScheduled", "10 ActivityTaskStarted", "11 ActivityTaskCompleted"]
    reset(story, 11)
    assert story.told(10)[-4:] == [
        "11 WorkflowTaskStarted",
        "12 WorkflowTaskFailed",
        "13 ActivityTaskFailed",
        "14 WorkflowTaskScheduled",
    ]
    failed = story.events[-2].activity_task_failed_event_attributes
    assert (failed.scheduled_event_id, failed.started_event_id) == (6, 10)
    assert failed.retry_state == enums.RETRY_STATE_NON_RETRYABLE_FAILURE
    assert failed.failure.HasField("reset_workflow_failure_info")
    assert not story.execution.activities
    assert not story.activity_offers()


def test_signals_after_the_point_are_recorded_again_unless_excluded() -> None:
    for excluded, count in (((), 2), ((enums.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,), 0)):
        story = running_execution().signal().turn().signal()
        reset(story, 4, *excluded)
        assert story.execution.signal_count == count


def test_timeouts_start_over() -> None:
    story = Story().start(run_timeout=100)
    story.turn()
    story.wait(60)
    reset(story, 4)
    assert story.execution.info.run_expiration == story.now + 100 * SECOND


@pytest.mark.parametrize("finish", [0, 1, 7])
def test_a_point_must_lie_in_the_history(finish: int) -> None:
    story = running_execution(complete_workflow())
    with pytest.raises(InvalidArgument, match="Workflow task finish ID"):
        reset(story, finish)


def test_a_point_must_end_a_workflow_task() -> None:
    story = running_execution(start_timer("t", 1), complete_workflow())
    with pytest.raises(InvalidArgument, match="Can only reset workflow to event ID in range"):
        reset(story, 6)


def test_updates_after_the_point_are_admitted_by_an_event_unless_excluded() -> None:
    """Semantics 8.2: no message repeats the request, and the acceptance leaves it out."""
    for excluded in ((), (enums.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,)):
        story = running_execution()
        story.apply(AdmitUpdate("", "", "u", update_request("u"), STAGE_ACCEPTED, 1))
        story.take()
        story.complete(messages=[accept()])
        reset(story, 4, *excluded)
        assert [one.update_id for one in story.execution.updates] == ([] if excluded else ["u"])
        assert story.take().messages == ()
        if not excluded:
            story.complete(messages=[accept(), respond()])
            assert [event_type(event) for event in story.events[-2:]] == [
                "WorkflowExecutionUpdateAccepted",
                "WorkflowExecutionUpdateCompleted",
            ]
            attributes = story.events[-2].workflow_execution_update_accepted_event_attributes
            assert not attributes.HasField("accepted_request")


def test_a_failed_task_leads_to_another_that_the_reset_ends() -> None:
    """No event tells of the second attempt before it is over, yet it was pending at the point."""
    story = Story().start()
    delivery = story.take()
    report = workflowservice.RespondWorkflowTaskFailedRequest(
        cause=enums.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
    )
    story.apply(WorkflowTaskFailed(delivery.token, report))
    story.signal()
    reset(story, 5)
    names = ["WorkflowTaskScheduled", "WorkflowTaskStarted", "WorkflowTaskFailed", "WorkflowExecutionSignaled"]
    assert [(event.event_id, event_type(event)) for event in story.events[-5:]] == [
        *enumerate(names, 5),
        (9, "WorkflowTaskScheduled"),
    ]


def test_the_start_of_another_run_that_a_reset_ends_stays_known() -> None:
    """It made that run: asked for again, it is told so, and begins no second one."""
    story = idle(complete_workflow(), request_id="first")
    story.begin(request_id="second")
    first, second = story.runs
    story.apply(Reset(first, 4, "why", "reset", frozenset()))
    again = story.begin(request_id="second", workflow_id_conflict_policy=enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
    assert (again.run_id, again.started, len(story.runs)) == (second, True, 3)


def test_a_start_that_met_the_run_before_its_reset_goes_on_with_the_new_one() -> None:
    story = idle()
    attached: dict[str, Any] = {
        "request_id": "met",
        "workflow_id_conflict_policy": enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        "on_conflict_options": workflow.OnConflictOptions(attach_request_id=True),
    }
    assert story.begin(**attached).run_id == story.run_id
    made = story.apply(Reset(story.run_id, 4, "why", "reset", frozenset()))
    again = story.begin(**attached)
    assert (again.run_id, again.started) == (made, False)


def test_a_point_need_not_be_the_end_of_what_was_written_at_once() -> None:
    """Scheduled and Started of an eager start are one write; a task is pending between them (decision 011)."""
    story = Chronicle()
    story.begin(request_eager_execution=True)
    story.apply(Reset("", 3, "why", "reset", frozenset()))
    assert [line.partition("(")[0] for line in story.history()[2:]] == [
        "3 WorkflowTaskStarted",
        "4 WorkflowTaskFailed",
        "5 WorkflowTaskScheduled",
    ]
