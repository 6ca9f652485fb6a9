"""Queries of a run: rejected, answered through the next workflow task, or sent directly (semantics 8.1).

All of it is volatile: a query changes no stored state, and losing the process loses the waiting callers with it.
"""

from __future__ import annotations

from perdure.api import enums, query
from perdure.errors import BLOB_EXCEEDS_LIMIT, InvalidArgument, QueryFailed, ResourceExhausted, WorkflowNotReady
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import Answer
from perdure.machines.workflow.execution import COMPLETED, RUNNING, BufferedQuery, Execution
from perdure.machines.workflow.pending_task import FAILING_FROM_ATTEMPT
from perdure.machines.workflow.query_inputs import (
    Query,
    QueryAbandoned,
    QueryAnswered,
    QueryBuffered,
    QueryDirect,
    QueryRejected,
)
from perdure.machines.workflow.target import find


def asked(step: Step, ask: Query) -> QueryRejected | QueryDirect | QueryBuffered:
    """QueryWorkflow, in the order of the checks of semantics 8.1."""
    execution = find(step, ask.run_id)
    if rejected(execution, ask.reject_condition):
        return QueryRejected(execution.status)
    if execution.paused:
        return QueryRejected(execution.status)
    completed_any = execution.last_completed_started_event_id > 0
    if not execution.running and not completed_any:
        raise WorkflowNotReady("Workflow execution closed before WorkflowTaskStarted event")
    task = execution.task
    unscheduled = task is None and not execution.task_ever_scheduled
    if execution.running and unscheduled and ask.deadline < execution.info.execution_time:
        raise WorkflowNotReady("Workflow task is not scheduled yet.")
    if execution.task_attempt >= FAILING_FROM_ATTEMPT:
        raise WorkflowNotReady("Unable to query workflow due to Workflow Task in failed state.")
    if completed_any and (not execution.running or task is None):
        return QueryDirect(execution)
    draft = step.edit(execution)
    if len(draft.execution.queries) >= draft.env.limits.buffered_queries:
        raise ResourceExhausted(
            "consistent query buffer is full, this may be caused by too many queries and workflow not able to "
            "process query fast enough",
            enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
        )
    waiting = BufferedQuery(ask.query_id, ask.body, ask.waiter)
    draft.execution.queries = (*draft.execution.queries, waiting)
    return QueryBuffered(execution.info.run_id)


def rejected(execution: Execution, condition: int) -> bool:
    """Whether the caller does not want an answer from a run in this status."""
    if condition == enums.QUERY_REJECT_CONDITION_NOT_OPEN:
        return execution.status != RUNNING
    if condition == enums.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY:
        return execution.status not in (RUNNING, COMPLETED)
    return False


def abandoned(step: Step, fact: QueryAbandoned) -> None:
    """The caller has gone: its place in the buffer is free again."""
    draft = step.edit(find(step, fact.run_id))
    draft.execution.queries = tuple(q for q in draft.execution.queries if q.query_id != fact.query_id)


def deliver_queries(execution: Execution) -> None:
    """All buffered queries go out with the task that starts."""
    if execution.queries:
        execution.queries = tuple(BufferedQuery(q.query_id, q.body, q.waiter, True) for q in execution.queries)


def answer(step: Step, draft: RunDraft, results: dict[str, query.WorkflowQueryResult]) -> None:
    """Pass on the worker's answers; what is neither an answer nor a failure is none.

    This comes before anything that sends or releases what is still unanswered.
    """
    execution = draft.execution
    if not execution.queries:
        return
    left: list[BufferedQuery] = []
    for waiting in execution.queries:
        result = results.get(waiting.query_id)
        if result is not None and result.result_type:
            step.effects.append(Answer(waiting.waiter, outcome_of(result, draft.env.limits.blob_size)))
        else:
            left.append(waiting)
    execution.queries = tuple(left)


def release(step: Step, draft: RunDraft) -> None:
    """After a completion that no workflow task follows, unanswered queries go direct."""
    execution = draft.execution
    if execution.queries and execution.task is None:
        step.effects.extend(Answer(waiting.waiter, QueryDirect(execution)) for waiting in execution.queries)
        execution.queries = ()


def outcome_of(result: query.WorkflowQueryResult, size_max: int) -> QueryAnswered | InvalidArgument | QueryFailed:
    """One answer as the caller gets it; for an answer above `size_max` bytes an error takes its place."""
    if result.answer.ByteSize() > size_max:
        return InvalidArgument(BLOB_EXCEEDS_LIMIT)
    if result.result_type == enums.QUERY_RESULT_TYPE_ANSWERED:
        return QueryAnswered(result.answer.SerializeToString() if result.HasField("answer") else None)
    return QueryFailed(result.error_message, result.failure.SerializeToString() if result.HasField("failure") else b"")
