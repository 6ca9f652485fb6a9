"""Queries (semantics 8.1)."""

from __future__ import annotations

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import QueryRejectCondition, QueryResultType
from temporalio.api.query.v1 import WorkflowQuery, WorkflowQueryResult
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..update_values import admitted, complete_with, done
from ..values import complete_workflow, fail_workflow, failure, huge, payloads, seconds, start_timer
from ..wire import RpcFailed

ANSWERED = QueryResultType.QUERY_RESULT_TYPE_ANSWERED
FAILED = QueryResultType.QUERY_RESULT_TYPE_FAILED
NOT_OPEN = QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_OPEN
NOT_CLEAN = QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY


def direct(s: Script) -> None:
    """F10: a query on an idle run goes straight to the queue: full history, no started event, started_event_id 0."""
    s.complete(s.begin(), start_timer())
    query = s.query()
    task = s.poll()
    s.answer_query(task, completed_type=ANSWERED, query_result=payloads('"answer"'))
    query.join()
    s.history()


def answered_with_nothing(s: Script) -> None:
    """No result and an empty one are told apart."""
    s.complete(s.begin_quietly(), start_timer())
    results: tuple[dict[str, Payloads], ...] = ({}, {"query_result": Payloads()})
    for result in results:
        query = s.query()
        s.answer_query(s.poll_quietly(), completed_type=ANSWERED, **result)
        query.join()


def direct_sticky(s: Script) -> None:
    """A query on a sticky run goes to the sticky queue, with an empty history."""
    s.complete(s.begin(), sticky_attributes=s.sticky())
    pending = []
    task = s.poll_sticky(lambda: pending.append(s.query()))
    s.answer_query(task, completed_type=ANSWERED, query_result=payloads('"answer"'))
    pending[0].join()


def direct_sticky_without_poller(s: Script) -> None:
    """A sticky run whose worker is gone is queried through the normal queue."""
    s.complete(s.begin(), sticky_attributes=s.sticky(1))
    query = s.query()
    s.answer_query(s.poll(), completed_type=ANSWERED, query_result=payloads('"answer"'))
    query.join()


def failed(s: Script) -> None:
    """A failed query is INVALID_ARGUMENT with the worker's message and failure."""
    s.complete(s.begin(), start_timer())
    query = s.query("unknown")
    s.answer_query(s.poll(), completed_type=FAILED, error_message="no such query", failure=failure("inner"))
    query.join()
    query = s.query("empty")
    s.answer_query(s.poll(), completed_type=FAILED)
    query.join()


def of_closed_run(s: Script) -> None:
    """A closed run answers queries unless the reject condition forbids (8.1)."""
    s.complete(s.begin(), complete_workflow())
    s.await_close()
    query = s.query()
    s.answer_query(s.poll(), completed_type=ANSWERED, query_result=payloads('"late"'))
    query.join()
    s.query(query_reject_condition=NOT_OPEN).join()
    query = s.query(query_reject_condition=NOT_CLEAN)
    s.answer_query(s.poll(), completed_type=ANSWERED, query_result=payloads('"clean"'))
    query.join()


def rejected(s: Script) -> None:
    """NOT_COMPLETED_CLEANLY rejects failed and terminated runs."""
    s.complete(s.begin_quietly(), fail_workflow())
    s.await_close()
    s.query(query_reject_condition=NOT_CLEAN).join()
    s.query(query_reject_condition=NOT_OPEN).join()
    s.another("terminated")
    s.complete(s.begin_quietly())
    s.terminate()
    s.query(query_reject_condition=NOT_CLEAN).join()


def closed_before_first_task(s: Script) -> None:
    """A run that closed without any workflow task cannot be queried (8.1)."""
    s.start()
    s.terminate()
    s.query().join()


def while_task_fails(s: Script) -> None:
    """From the third attempt on, queries are refused (8.1)."""
    task = s.begin_quietly()
    for _ in range(3):
        s.fail_task(task)
        task = s.poll_quietly()
    s.query().join()


def buffered(s: Script) -> None:
    """F9: with a task scheduled, the query comes along with it and is answered in its completion."""
    s.start()
    query = s.query()
    task = _poll_with_queries(s)
    s.fact("queries", sorted(query.query_type for query in task.queries.values()))
    results = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads('"inline"')) for key in task.queries}
    s.complete(task, start_timer(), query_results=results)
    query.join()
    s.history()


def _poll_with_queries(s: Script) -> rpc.PollWorkflowTaskQueueResponse:
    """Give the query, sent by another thread, time to be buffered before the task is polled."""
    s.another_run_waits()
    return s.poll()


def second_buffered(s: Script) -> None:
    """F9: while one query is buffered a second is refused with BUSY_WORKFLOW."""
    s.start()
    query = s.query()
    s.another_run_waits()
    s.call(s.query_request("second"), rpc.QueryWorkflowResponse)
    task = s.poll()
    results = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads("1")) for key in task.queries}
    s.complete(task, query_results=results)
    query.join()


def buffered_failed(s: Script) -> None:
    """A buffered query may fail."""
    s.start()
    query = s.query()
    task = _poll_with_queries(s)
    results = {
        key: WorkflowQueryResult(result_type=FAILED, error_message="cannot", failure=failure("why"))
        for key in task.queries
    }
    s.complete(task, query_results=results)
    query.join()


def buffered_unanswered(s: Script) -> None:
    """A buffered query that the completion leaves out goes direct afterwards (3.5.11)."""
    s.start()
    query = s.query()
    s.complete(_poll_with_queries(s), start_timer())
    s.answer_query(s.poll(), completed_type=ANSWERED, query_result=payloads('"then"'))
    query.join()


def buffered_answers_that_are_none(s: Script) -> None:
    """An answer over the blob limit is an error of the server's; a result without a type is no answer."""
    for label, result in (
        ("too big", WorkflowQueryResult(result_type=ANSWERED, answer=huge())),
        ("no type", WorkflowQueryResult(answer=payloads("1"))),
    ):
        s.another(label)
        s.start()
        query = s.query()
        task = _poll_with_queries(s)
        s.complete(task, start_timer(), query_results=dict.fromkeys(task.queries, result))
        if result.result_type == ANSWERED:
            query.join()
            continue
        s.answer_query(s.poll(), completed_type=ANSWERED, query_result=payloads('"then"'))
        query.join()


def answered_too_big(s: Script) -> None:
    """An answer over the blob limit is a failure (8.1): of the worker when it was asked alone, of the request else."""
    s.complete(s.begin_quietly(), start_timer())
    query = s.query()
    s.answer_query(s.poll(), completed_type=ANSWERED, query_result=huge())
    query.join()
    s.another("with a task")
    s.start()
    query = s.query()
    task = _poll_with_queries(s)
    result = WorkflowQueryResult(result_type=ANSWERED, answer=huge())
    s.complete(task, start_timer(), query_results=dict.fromkeys(task.queries, result))
    query.join()


def refused(s: Script) -> None:
    """Bad queries."""
    s.start()
    s.call(s.query_request(query=WorkflowQuery()), rpc.QueryWorkflowResponse)
    s.call(s.query_request(query=None), rpc.QueryWorkflowResponse)
    s.call(s.query_request("x" * 1001), rpc.QueryWorkflowResponse, timeout=3)


def answered_twice(s: Script) -> None:
    """F29: an answer nobody waits for is NOT_FOUND."""
    s.complete(s.begin_quietly(), start_timer())
    query = s.query()
    task = s.poll()
    s.answer_query(task, completed_type=ANSWERED, query_result=payloads("1"))
    query.join()
    s.answer_query(task, completed_type=ANSWERED, query_result=payloads("2"))


def query_token_for_completion(s: Script) -> None:
    """A query task's token completes no workflow task; the text is about what the token holds inside."""
    s.complete(s.begin_quietly(), start_timer())
    query = s.query()
    task = s.poll()
    outcome = s.send(s.complete_request(task), rpc.RespondWorkflowTaskCompletedResponse)
    s.fact("refused", isinstance(outcome, RpcFailed))
    s.answer_query(task, completed_type=ANSWERED, query_result=payloads("1"))
    query.join()


def without_worker(s: Script) -> None:
    """A query that no worker takes ends with its deadline."""
    s.complete(s.begin_quietly(), start_timer())
    s.call(s.query_request(), rpc.QueryWorkflowResponse, timeout=2)


def deadline_before_first_task(s: Script) -> None:
    """A query on a run whose first task lies in the future (8.1)."""
    s.start(workflow_start_delay={"seconds": 3600})
    s.call(s.query_request(), rpc.QueryWorkflowResponse, timeout=2)


def unanswerable_answer(s: Script) -> None:
    """A workflow task's token answers no query."""
    task = s.begin_quietly()
    request = rpc.RespondQueryTaskCompletedRequest(namespace=NAMESPACE, task_token=task.task_token)
    outcome = s.send(request, rpc.RespondQueryTaskCompletedResponse)
    s.fact("refused", isinstance(outcome, RpcFailed))


def answered_by_a_rejected_batch(s: Script) -> None:
    """The answer does not count; the query comes with the next task again."""
    s.start()
    query = s.query()
    task = _poll_with_queries(s)
    results = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads('"bad"')) for key in task.queries}
    s.complete(task, start_timer(""), query_results=results)
    s.another_run_waits()
    task = s.poll_quietly()
    results = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads('"good"')) for key in task.queries}
    s.complete(task, start_timer(), query_results=results)
    query.join()


def in_backoff_with_an_update(s: Script) -> None:
    """Before the first task of a delayed run a query is refused, unless an update has brought a task about."""
    s.start(workflow_start_delay=seconds(3600))
    s.query().join()
    pending = admitted(s)
    query = s.query()
    task = _poll_with_queries(s)
    results = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads('"1"')) for key in task.queries}
    complete_with(s, task, done(task), query_results=results)
    pending.join()
    query.join()
    s.history()


def answered_after_the_deadline(s: Script) -> None:
    """F29: the caller has gone; the worker hears that nobody waits."""
    s.complete(s.begin_quietly(), start_timer())
    query = s.background(s.query_request(), rpc.QueryWorkflowResponse, 2.5)
    task = s.poll()
    query.join()
    s.another_run_waits()
    s.answer_query(task, completed_type=ANSWERED, query_result=payloads('"late"'))
