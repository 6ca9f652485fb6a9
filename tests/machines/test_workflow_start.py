"""Starts: first events, id policies, deduplication, SignalWithStart, delays, eager starts (semantics 2)."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.api import common, enums, workflow
from perdure.errors import NotFound, WorkflowExecutionAlreadyStarted
from perdure.machines.env import Limits
from perdure.machines.workflow.execution import CONTINUED_AS_NEW, RUNNING, TERMINATED
from tests.machines.builders import SECOND, T0, complete_workflow
from tests.machines.chronicles import (
    FAIL,
    TERMINATE_EXISTING,
    USE_EXISTING,
    Chronicle,
    busy,
    cancel_workflow,
    continue_as_new,
    fail_workflow,
    idle,
    payload,
)

REJECT = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
FAILED_ONLY = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
ALLOW = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE


def test_a_start_writes_two_events_and_offers_the_first_task() -> None:
    """D1, first half."""
    story = Chronicle()
    outcome = story.begin()

    assert story.history() == ["1 WorkflowExecutionStarted", "2 WorkflowTaskScheduled"]
    assert (outcome.run_id, outcome.first_run_id, outcome.started) == (story.run_id, story.run_id, True)
    assert [(t.queue.name, t.scheduled_event_id, t.attempt) for t in story.offers] == [("queue", 2, 1)]


def test_the_plain_story() -> None:
    """D1."""
    story = idle(complete_workflow())

    assert story.history() == [
        "1 WorkflowExecutionStarted",
        "2 WorkflowTaskScheduled",
        "3 WorkflowTaskStarted(scheduled 2)",
        "4 WorkflowTaskCompleted(scheduled 2, started 3)",
        "5 WorkflowExecutionCompleted(completed 4)",
    ]


def test_timeouts_are_normalised() -> None:
    """An unset run timeout is the execution's, which also caps it; a task timeout has a default and two caps."""
    story = Chronicle()
    story.begin(execution_timeout=60, task_timeout=3600)
    info = story.execution.info
    assert (info.run_timeout, info.task_timeout) == (60 * SECOND, 60 * SECOND)
    assert info.run_expiration == info.execution_expiration == T0 + 60 * SECOND

    other = Chronicle()
    other.begin(task_timeout=3600)
    assert other.execution.info.task_timeout == 120 * SECOND
    assert other.execution.alarm, "the task is owed to matching"


def test_memo_entries_without_data_are_left_out() -> None:
    story = Chronicle()
    memo = common.Memo(fields={"kept": payload('"x"'), "empty": common.Payload()})
    story.begin(memo=memo, search_attributes={"Color": payload('"red"').SerializeToString()})

    assert list(story.execution.memo) == ["kept"]
    assert list(story.execution.search_attributes) == ["Color"]


# -- policies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reuse", [ALLOW, FAILED_ONLY, REJECT])
@pytest.mark.parametrize("conflict", [FAIL, USE_EXISTING, TERMINATE_EXISTING])
def test_while_a_run_is_open_only_the_conflict_policy_counts(reuse: int, conflict: int) -> None:
    story = busy()
    first = story.run_id

    if conflict == FAIL:
        with pytest.raises(WorkflowExecutionAlreadyStarted) as refused:
            story.begin(workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict)
        assert refused.value.message == f"Workflow execution is already running. WorkflowId: wf, RunId: {first}."
        assert (refused.value.start_request_id, refused.value.run_id) == ("request-1", first)
        return
    outcome = story.begin(workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict)

    assert outcome.started == (conflict == TERMINATE_EXISTING)
    assert (outcome.run_id == first) == (conflict == USE_EXISTING)
    assert outcome.status == RUNNING


@pytest.mark.parametrize("conflict", [FAIL, USE_EXISTING, TERMINATE_EXISTING])
@pytest.mark.parametrize(
    ("ending", "reuse", "text"),
    [
        ("completed", ALLOW, ""),
        ("completed", FAILED_ONLY, "finished successfully"),
        ("completed", REJECT, "already finished."),
        ("failed", ALLOW, ""),
        ("failed", FAILED_ONLY, ""),
        ("failed", REJECT, "already finished."),
        ("canceled", FAILED_ONLY, ""),
        ("terminated", FAILED_ONLY, ""),
        ("timed out", FAILED_ONLY, ""),
        ("timed out", REJECT, "already finished."),
    ],
)
def test_when_the_run_is_closed_only_the_reuse_policy_counts(ending: str, reuse: int, text: str, conflict: int) -> None:
    story = Chronicle()
    story.begin(run_timeout=5)
    match ending:
        case "completed":
            story.turn(complete_workflow())
        case "failed":
            story.turn(fail_workflow())
        case "canceled":
            story.turn(cancel_workflow())
        case "terminated":
            story.terminate()
        case _:
            story.wait(6)
    first = story.run_id

    if text:
        with pytest.raises(WorkflowExecutionAlreadyStarted, match=text):
            story.begin(workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict)
        assert story.run_id == first
    else:
        assert story.begin(workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict).started
        assert story.history("B") == ["1 WorkflowExecutionStarted", "2 WorkflowTaskScheduled"]
        assert story.execution.info.first_run_id == story.run_id


def test_terminating_the_existing_run_takes_one_step() -> None:
    """Both runs change in one transition (DESIGN 1.2); a running task of the old one is failed first."""
    story = busy()
    story.signal()
    story.begin(workflow_id_conflict_policy=TERMINATE_EXISTING)

    assert story.history("A", after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowExecutionTerminated(TerminateIfRunning WorkflowIdReusePolicy)",
    ]
    assert story.history("B") == ["1 WorkflowExecutionStarted", "2 WorkflowTaskScheduled"]
    details = story.shelf.histories[story.runs[0]][5].workflow_execution_terminated_event_attributes.details
    assert details.payloads[0].data.decode() == f'"terminated by new runID: {story.runs[1]}"'
    assert story.last is not None
    assert len(story.last.deltas) == 2


def test_a_new_run_does_not_begin_before_the_old_one_ended() -> None:
    """The chain's clock never runs backwards, even if the machine's does."""
    story = idle()
    story.wait(10).signal()
    story.now -= 5 * SECOND
    story.begin(workflow_id_conflict_policy=TERMINATE_EXISTING)

    assert story.run("A").close_time == story.execution.info.start_time == T0 + 10 * SECOND
    assert story.execution.task is not None
    assert story.execution.task.scheduled_time == T0 + 10 * SECOND


# -- deduplication -----------------------------------------------------------------------------------------------------


def test_a_repeated_start_is_the_same_start() -> None:
    story = idle(request_id="r")
    again = story.begin(request_id="r", workflow_id_reuse_policy=REJECT)

    assert (again.run_id, again.started, again.status) == (story.run_id, True, RUNNING)
    assert not story.stored


def test_a_repeated_start_is_known_after_its_run_closed() -> None:
    """Appendix F 1."""
    story = idle(complete_workflow(), request_id="r")

    assert story.begin(request_id="r").run_id == story.runs[0]
    assert len(story.runs) == 1


@pytest.mark.parametrize("crashed", [False, True])
def test_a_repeated_start_is_known_whatever_has_run_since(crashed: bool) -> None:
    """Start request ids belong to the chain (DESIGN 1.2), in memory and from the store."""
    story = idle(complete_workflow(), request_id="r")
    with pytest.raises(WorkflowExecutionAlreadyStarted):
        story.begin(request_id="absent", workflow_id_reuse_policy=REJECT)
    story.begin(request_id="other")
    story.turn(complete_workflow())
    story.begin(request_id="absent")
    story.turn(complete_workflow())
    story.begin(request_id="last")
    if crashed:
        story.crash()

    assert [story.begin(request_id=r).run_id for r in ("r", "other", "absent", "last")] == story.runs


def test_a_repeated_start_of_a_chain_that_went_on_names_its_first_run() -> None:
    story = idle(continue_as_new(), request_id="r")

    outcome = story.begin(request_id="r")

    assert (outcome.run_id, outcome.started) == (story.runs[0], True)


def test_nothing_is_remembered_of_a_refused_start() -> None:
    """Absent ids must not pile up with the starts of a hot chain."""
    story = idle()
    for number in range(3):
        story.begin(request_id=f"n{number}", workflow_id_conflict_policy=TERMINATE_EXISTING)

    assert dict(story.state.start_requests.items()) == {
        "request-1": story.runs[0],
        "n0": story.runs[1],
        "n1": story.runs[2],
    }


def test_a_start_that_comes_again_is_known_whatever_has_run_since() -> None:
    """Decision 011: a request id is of the chain, so a caller who heard no answer starts nothing twice."""
    story = busy(request_id="mine")
    first = story.run_id
    story.complete(continue_as_new())
    again = story.begin(request_id="mine", workflow_id_conflict_policy=FAIL)

    assert (again.run_id, again.started, len(story.runs)) == (first, True, 2)


# -- on conflict -------------------------------------------------------------------------------------------------------


def test_an_attached_request_id_is_an_event_without_a_task_and_is_known_afterwards() -> None:
    story = idle()
    options = workflow.OnConflictOptions(attach_request_id=True)
    fields: dict[str, Any] = {
        "workflow_id_conflict_policy": USE_EXISTING,
        "on_conflict_options": options,
        "request_id": "extra",
    }
    first = story.begin(**fields)
    again = story.begin(**fields)

    assert story.history(after=4) == ["5 WorkflowExecutionOptionsUpdated(attached extra)"]
    assert story.events[4].worker_may_ignore
    assert [first.started, again.started] == [False, False]
    assert first.run_id == again.run_id == story.run_id


@pytest.mark.parametrize("crashed", [False, True])
def test_an_attached_request_id_is_known_as_such_when_another_run_has_followed(crashed: bool) -> None:
    """It did not start the run that it met, and a caller who is told so looks for an event that is not there."""
    story = idle()
    options = workflow.OnConflictOptions(attach_request_id=True)
    story.begin(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id="extra")
    story.signal().turn(continue_as_new())
    if crashed:
        story.crash()
    again = story.begin(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id="extra")

    assert (again.run_id, again.first_run_id) == (story.runs[0], story.runs[0])
    assert (again.started, again.attached, again.status) == (False, True, CONTINUED_AS_NEW)
    assert len(story.history()) == 1, "the next run is left alone"


# -- SignalWithStart ---------------------------------------------------------------------------------------------------


def test_signal_with_start_starts_with_the_signal() -> None:
    """D12."""
    story = Chronicle()
    outcome = story.signal_with_start("hello")

    assert outcome.started
    assert story.history() == [
        "1 WorkflowExecutionStarted",
        "2 WorkflowExecutionSignaled(hello)",
        "3 WorkflowTaskScheduled",
    ]


def test_signal_with_start_signals_an_open_run() -> None:
    story = idle()
    outcome = story.signal_with_start("hello", request_id="s")
    again = story.signal_with_start("hello", request_id="s")

    assert [outcome.started, again.started] == [False, False]
    assert story.history(after=4) == ["5 WorkflowExecutionSignaled(hello)", "6 WorkflowTaskScheduled"]


def test_a_repeated_signal_with_start_is_one_signal() -> None:
    """Appendix F 2: also the one that started the run."""
    story = Chronicle()
    first = story.signal_with_start("hello", request_id="s")
    again = story.signal_with_start("hello", request_id="s")
    story.signal("hello", request_id="s")

    assert [first.started, again.started] == [True, False]
    assert story.execution.signal_count == 1
    story.turn(complete_workflow())
    assert not story.signal_with_start("hello", request_id="s").started
    assert len(story.runs) == 1


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize("others", [0, 40])
def test_a_repeated_signal_with_start_is_known_whatever_has_run_since(crashed: bool, others: int) -> None:
    """Guarantee 6: what it started and signalled has continued as new; the next run is not signalled. (Many signal ids
    are rows of their own.)
    """
    story = Chronicle()
    story.signal_with_start("hello", request_id="s")
    for number in range(others):
        story.signal("other", request_id=f"s{number}")
    story.turn(continue_as_new())
    if crashed:
        story.crash()
    again = story.signal_with_start("hello", request_id="s")

    assert (again.run_id, again.started) == (story.runs[0], False)
    assert story.execution.signal_count == 0
    assert len(story.runs) == 2


@pytest.mark.parametrize("policy", [TERMINATE_EXISTING, FAIL])
def test_a_repeated_signal_with_start_neither_ends_its_own_run_nor_fails_over_it(policy: Any) -> None:
    story = Chronicle()
    for _ in range(2):
        outcome = story.signal_with_start("hello", request_id="s", workflow_id_conflict_policy=policy)
    assert (outcome.run_id, outcome.started) == (story.runs[0], False)
    assert (len(story.runs), story.execution.signal_count) == (1, 1)


def test_a_start_with_the_same_request_id_does_not_swallow_the_signal() -> None:
    story = idle(request_id="same")
    story.signal_with_start("hello", request_id="same")

    assert story.execution.signal_count == 1


def test_signal_with_start_may_terminate_the_open_run() -> None:
    story = busy()
    story.signal_with_start("hello", workflow_id_conflict_policy=TERMINATE_EXISTING)

    assert story.run("A").status == TERMINATED
    assert story.history("B")[1] == "2 WorkflowExecutionSignaled(hello)"


def test_signal_with_start_does_not_wait_for_a_start_delay() -> None:
    """Semantics 2.6: an existing run's backoff is skipped."""
    story = Chronicle()
    story.begin(delay=60)
    story.signal_with_start("hello")

    assert story.history() == [
        "1 WorkflowExecutionStarted",
        "2 WorkflowExecutionSignaled(hello)",
        "3 WorkflowTaskScheduled",
    ]
    story.turn()
    story.wait(120)
    assert len(story.events) == 5, "the delay that was skipped does nothing later"


# -- delay -------------------------------------------------------------------------------------------------------------


def test_a_delayed_start_schedules_its_task_when_the_delay_is_over() -> None:
    story = Chronicle()
    story.begin(delay=60, run_timeout=10)
    info = story.execution.info
    assert (info.execution_time, info.run_expiration) == (T0 + 60 * SECOND, T0 + 70 * SECOND)
    story.signal("early").wait(59)
    assert story.history() == ["1 WorkflowExecutionStarted", "2 WorkflowExecutionSignaled(early)"]

    story.wait(1)

    assert story.history(after=2) == ["3 WorkflowTaskScheduled"]
    assert story.event(3).event_time.seconds == T0 // SECOND + 60


def test_a_delayed_signal_with_start_waits() -> None:
    story = Chronicle()
    story.signal_with_start("hello", delay=60)
    assert story.history() == ["1 WorkflowExecutionStarted", "2 WorkflowExecutionSignaled(hello)"]

    story.crash().wait(60)

    assert story.history(after=2) == ["3 WorkflowTaskScheduled"]


def test_a_cancel_request_does_not_wait_for_the_delay() -> None:
    """Semantics 7.2."""
    story = Chronicle()
    story.begin(delay=60)
    story.request_cancel()

    assert story.history(after=1) == ["2 WorkflowExecutionCancelRequested", "3 WorkflowTaskScheduled"]


# -- eager -------------------------------------------------------------------------------------------------------------


def test_an_eager_start_carries_its_first_task() -> None:
    story = Chronicle()
    outcome = story.begin(request_id="r", request_eager_execution=True)

    assert story.history() == [
        "1 WorkflowExecutionStarted",
        "2 WorkflowTaskScheduled",
        "3 WorkflowTaskStarted(scheduled 2)",
    ]
    assert story.events[0].workflow_execution_started_event_attributes.eager_execution_accepted
    started = story.events[2].workflow_task_started_event_attributes
    assert (started.request_id, started.identity) == ("r", "starter")
    assert outcome.eager is not None
    assert (outcome.eager.started_event_id, outcome.eager.attempt, outcome.eager.next_event_id) == (3, 1, 4)
    assert story.offers == []


def test_a_repeated_eager_start_gets_its_task_again_while_it_runs() -> None:
    """Appendix F 1."""
    story = Chronicle()
    first = story.begin(request_id="r", request_eager_execution=True)
    again = story.begin(request_id="r", request_eager_execution=True)
    assert first.eager is not None
    assert again.eager is not None
    assert again.eager.token.started_time == first.eager.token.started_time

    story.token = again.eager.token
    story.complete()
    assert story.begin(request_id="r", request_eager_execution=True).eager is None


@pytest.mark.parametrize("switched_off", [False, True])
def test_eager_execution_is_declined_when_delayed_or_switched_off(switched_off: bool) -> None:
    limits = Limits()
    limits.eager_workflow_start = not switched_off
    story = Chronicle(limits)
    outcome = story.begin(delay=0 if switched_off else 5, request_eager_execution=True)

    assert outcome.eager is None
    assert not story.events[0].workflow_execution_started_event_attributes.eager_execution_accepted


def test_an_unknown_workflow_is_not_found() -> None:
    """Appendix F 37."""
    with pytest.raises(NotFound, match="workflow not found for ID: wf"):
        Chronicle().signal()
