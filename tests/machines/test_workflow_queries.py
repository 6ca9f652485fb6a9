"""Queries on the machine: rejected, direct, buffered, answered, let go (semantics 8.1; Appendix F 9)."""

from __future__ import annotations

import pytest

from perdure.api import enums, query
from perdure.errors import QueryFailed, ResourceExhausted, WorkflowNotReady
from perdure.machines.env import Limits
from perdure.machines.workflow.execution import COMPLETED, TERMINATED
from perdure.machines.workflow.query_inputs import (
    QueryAbandoned,
    QueryAnswered,
    QueryBuffered,
    QueryDirect,
    QueryRejected,
)
from perdure.machines.workflow.task_inputs import WorkflowTaskCompletion
from tests.machines.builders import complete_workflow, start_timer
from tests.machines.chronicles import Chronicle, answered, busy, idle

NOT_OPEN = enums.QUERY_REJECT_CONDITION_NOT_OPEN
NOT_CLEAN = enums.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY
NONE = enums.QUERY_REJECT_CONDITION_NONE


def outcomes(story: Chronicle) -> list[tuple[int, str]]:
    """(waiter, kind of answer) of everything answered so far."""
    return [(answer.waiter, type(answer.outcome).__name__) for answer in story.answers]


@pytest.mark.parametrize(
    ("condition", "ending", "rejected"),
    [
        (NONE, "completed", False),
        (NOT_OPEN, "completed", True),
        (NOT_OPEN, "open", False),
        (NOT_CLEAN, "completed", False),
        (NOT_CLEAN, "terminated", True),
        (NOT_CLEAN, "open", False),
    ],
)
def test_the_caller_may_not_want_an_answer_from_such_a_run(condition: int, ending: str, rejected: bool) -> None:
    story = idle()
    status = 0
    if ending == "completed":
        story.signal().turn(complete_workflow())
        status = COMPLETED
    elif ending == "terminated":
        story.terminate()
        status = TERMINATED

    outcome = story.ask("q", reject=condition)

    if rejected:
        assert isinstance(outcome, QueryRejected)
        assert outcome.status == status
    else:
        assert isinstance(outcome, QueryDirect)


def test_an_idle_run_is_asked_directly() -> None:
    story = idle()

    assert isinstance(story.ask("q"), QueryDirect)
    assert not story.stored


def test_a_busy_run_is_asked_through_its_next_task() -> None:
    """Nothing of it is stored (DESIGN 1.5)."""
    story = busy()
    assert isinstance(story.ask("q", waiter=7), QueryBuffered)
    assert not story.stored
    story.complete(start_timer("t", 60), force_create_new_workflow_task=True)
    delivery = story.take()
    assert [name for name, _ in delivery.queries] == ["q"]

    story.complete(query_results={"q": answered('"42"')})

    assert outcomes(story) == [(7, "QueryAnswered")]
    answer = story.answers[0].outcome
    assert isinstance(answer, QueryAnswered)
    assert answer.result is not None
    assert b'"42"' in answer.result
    assert not story.execution.queries


def test_an_answer_may_be_nothing() -> None:
    """The caller is answered all the same; the reference lets it wait until its deadline (decision 011)."""
    story = busy()
    story.ask("q", waiter=7)
    story.complete(start_timer("t", 60), force_create_new_workflow_task=True)
    story.take()

    story.complete(query_results={"q": query.WorkflowQueryResult(result_type=enums.QUERY_RESULT_TYPE_ANSWERED)})

    answer = story.answers[0].outcome
    assert isinstance(answer, QueryAnswered)
    assert answer.result is None


def test_an_answered_query_does_not_go_out_again_with_the_inline_task() -> None:
    story = busy()
    story.ask("first", waiter=1)
    story.complete(force_create_new_workflow_task=True)
    assert [name for name, _ in story.take().queries] == ["first"]

    outcome = story.respond(
        force_create_new_workflow_task=True,
        return_new_workflow_task=True,
        query_results={"first": answered('"1"')},
    )

    assert isinstance(outcome, WorkflowTaskCompletion)
    assert outcome.workflow_task is not None
    assert outcome.workflow_task.queries == ()
    assert outcomes(story) == [(1, "QueryAnswered")]


def test_an_inline_task_takes_the_buffered_query_with_it() -> None:
    story = busy()
    story.ask("q")
    outcome = story.complete(force_create_new_workflow_task=True, return_new_workflow_task=True)

    assert outcome.workflow_task is not None
    assert [name for name, _ in outcome.workflow_task.queries] == ["q"]


def test_a_query_that_no_task_follows_goes_direct() -> None:
    story = busy()
    story.ask("q", waiter=3)
    story.complete()

    assert outcomes(story) == [(3, "QueryDirect")]


def test_an_answer_in_the_last_completion_is_passed_on() -> None:
    limits = Limits()
    limits.buffered_queries = 2
    story = busy(limits)
    story.ask("q", waiter=3)
    story.ask("left", waiter=4)
    story.complete(complete_workflow(), query_results={"q": answered('"1"')})

    assert outcomes(story) == [(3, "QueryAnswered"), (4, "QueryDirect")]


def test_an_answer_of_a_rejected_batch_does_not_count() -> None:
    """It tells of a state that never was; the next task brings the query again."""
    story = busy()
    story.ask("q", waiter=3)
    story.rejected(start_timer("", 1), query_results={"q": answered('"1"')})
    assert outcomes(story) == []

    assert [name for name, _ in story.take().queries] == ["q"]
    story.complete(query_results={"q": answered('"2"')})
    assert outcomes(story) == [(3, "QueryAnswered")]


def test_a_failed_answer_is_an_error() -> None:
    story = busy()
    story.ask("q")
    failed = query.WorkflowQueryResult(result_type=enums.QUERY_RESULT_TYPE_FAILED, error_message="no such query")
    story.complete(query_results={"q": failed})

    answer = story.answers[0].outcome
    assert isinstance(answer, QueryFailed)
    assert answer.message == "no such query"


def test_an_oversized_answer_is_an_error() -> None:
    limits = Limits()
    limits.blob_size = 10
    story = busy(limits)
    story.ask("q")
    story.complete(query_results={"q": answered('"a long answer"')})

    assert outcomes(story) == [(1, "InvalidArgument")]


def test_the_second_buffered_query_is_told_to_come_back() -> None:
    story = busy()
    story.ask("q")
    with pytest.raises(ResourceExhausted, match="consistent query buffer is full") as refused:
        story.ask("r")
    assert refused.value.cause == enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW

    story.apply(QueryAbandoned("", "q"))
    assert isinstance(story.ask("r"), QueryBuffered)


def test_a_run_closed_before_its_first_task_was_completed_cannot_answer() -> None:
    story = Chronicle()
    story.begin()
    story.ask("waiting", waiter=2)
    story.terminate()
    assert outcomes(story) == [(2, "WorkflowNotReady")]

    with pytest.raises(WorkflowNotReady, match="Workflow execution closed before WorkflowTaskStarted event"):
        story.ask("q")


def test_a_delayed_run_cannot_answer_before_its_first_task() -> None:
    story = Chronicle()
    story.begin(delay=60)
    with pytest.raises(WorkflowNotReady, match=r"Workflow task is not scheduled yet."):
        story.ask("q", deadline=30)

    assert isinstance(story.ask("q", deadline=90), QueryBuffered)


def test_a_run_whose_task_keeps_failing_cannot_answer() -> None:
    story = busy()
    story.fail_task()
    story.take()
    story.fail_task()

    with pytest.raises(WorkflowNotReady, match=r"Unable to query workflow due to Workflow Task in failed state."):
        story.ask("q")


def test_a_failed_task_leaves_the_query_for_the_next() -> None:
    story = busy()
    story.ask("q")
    story.fail_task()

    assert [name for name, _ in story.take().queries] == ["q"]


def test_a_crash_forgets_buffered_queries() -> None:
    story = busy()
    story.ask("q")

    assert story.crash().execution.queries == ()


def test_a_query_waits_for_the_task_that_an_update_asked_for() -> None:
    """In the backoff of a run's first task an update has a task already, though no history knows it."""
    story = Chronicle()
    story.begin(delay=3600)
    with pytest.raises(WorkflowNotReady, match="not scheduled yet"):
        story.ask("early")
    story.update()

    assert isinstance(story.ask("q"), QueryBuffered)
