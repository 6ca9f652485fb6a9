"""Closing a run: by its worker, by force, or by time (semantics 4.4, 7.3, 10.4, 11)."""

from __future__ import annotations

from perdure.api import common, enums, failure, failures, history
from perdure.errors import NotFound, WorkflowNotReady
from perdure.machines import cron, json_payloads
from perdure.machines.retry import next_interval
from perdure.machines.workflow import archive, callbacks, workflow_task
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import Answer
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import RequestCancel, Terminate
from perdure.machines.workflow.minted_ids import remembered_as
from perdure.machines.workflow.query_inputs import QueryDirect
from perdure.machines.workflow.runs import continue_chain, next_cron_run
from perdure.machines.workflow.signals import check_origin
from perdure.machines.workflow.target import ALREADY_COMPLETED, find


def terminated(step: Step, verb: Terminate) -> None:
    """TerminateWorkflowExecution (semantics 7.3)."""
    execution = find_in_chain(step, verb.run_id, verb.first_run_id)
    if not execution.running:
        raise NotFound(ALREADY_COMPLETED)
    terminate(step, step.edit(execution), verb.attributes, verb.links)


def terminate(
    step: Step,
    draft: RunDraft,
    attributes: history.WorkflowExecutionTerminatedEventAttributes,
    links: tuple[common.Link, ...] = (),
) -> None:
    """Close an open run by force."""
    end_task_by_force(draft)
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, attributes, links=links)
    closed(step, draft)


def terminate_by_server(step: Step, draft: RunDraft, reason: str, details: str = "") -> None:
    """Close an open run by force for a reason of the server's own."""
    attributes = history.WorkflowExecutionTerminatedEventAttributes(
        reason=reason,
        details=common.Payloads(payloads=[json_payloads.text(details)]) if details else None,
        identity=workflow_task.SERVER_IDENTITY,
    )
    terminate(step, draft, attributes)


def cancel_requested(step: Step, verb: RequestCancel) -> None:
    """RequestCancelWorkflowExecution (semantics 7.2): a second request, or one to a closed run, is a success without
    effect.
    """
    origin = verb.origin
    if origin is not None and step.state.start_requests.get(remembered_as(verb.request_id)):
        return
    execution = find_in_chain(step, verb.run_id, verb.first_run_id)
    if not execution.running:
        return
    if origin is not None:
        check_origin(execution, origin)
    if execution.cancel_requested:
        return
    if origin is not None:
        step.start_requests.append((remembered_as(verb.request_id), execution.info.run_id))
    draft = step.edit(execution)
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, verb.attributes, links=verb.links)
    draft.execution.cancel_request_id = verb.request_id
    workflow_task.schedule_if_needed(step, draft)


def find_in_chain(step: Step, run_id: str, first_run_id: str) -> Execution:
    """The run; with a first run id given, the current run, which must belong to that chain of runs if it is open."""
    if not first_run_id:
        return find(step, run_id)
    execution = find(step, "")
    if execution.running and execution.info.first_run_id != first_run_id:
        raise NotFound("workflow execution not found")
    return execution


def end_task_by_force(draft: RunDraft) -> None:
    """A running workflow task ends without its worker; what was buffered gets its ids first."""
    task = draft.execution.task
    if task is not None and task.started_event_id:
        workflow_task.fail(
            draft, enums.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, None, workflow_task.SERVER_IDENTITY
        )
        draft.flush()


def closed(step: Step, draft: RunDraft, goes_on: bool = False, begins_again: bool = False) -> None:
    """After the closing event: what no longer matters is forgotten, and waiting queries are let go (semantics 11.1).

    `goes_on`: continue-as-new or a retry has made the run that inherits the completion callbacks; `begins_again`: a
    reset of this very run has made one that inherits those of updates as well.
    """
    execution = draft.execution
    assert not execution.running, "a closing event was recorded"
    draft.confirm_first_tasks()
    if not begins_again:
        callbacks.run_closed(draft, goes_on)
    archive.owe(draft)
    draft.close_calls()
    execution.awaits_parent = False
    task = execution.task
    if task is not None and (task.started_event_id or task.speculative):
        execution.task = None
    # A task that was only scheduled stays to be seen in Describe; nothing will start it any more.
    draft.drop_deadlines()
    callbacks.await_attempts(draft)
    execution.owed = None
    workflow_task.clear_sticky(execution)
    execution.retention = draft.env.namespace.retention
    for query in execution.queries:
        outcome: object = QueryDirect(execution)
        if not execution.last_completed_started_event_id:
            outcome = WorkflowNotReady("Workflow execution closed before WorkflowTaskStarted event")
        step.effects.append(Answer(query.waiter, outcome))
    execution.queries = ()


def failed_run(
    step: Step, draft: RunDraft, reason: failure.Failure, completed_event_id: int
) -> history.WorkflowExecutionFailedEventAttributes:
    """The event of a run that its worker fails: retried by policy in a new run, or final (semantics 4.4, 10.2); not
    yet closed.
    """
    state, new_run_id = _retry(step, draft, reason)
    new_run_id = new_run_id or _next_by_schedule(step, draft, reason, None)
    draft.execution.new_run_id = new_run_id
    return history.WorkflowExecutionFailedEventAttributes(
        failure=reason,
        retry_state=state,  # type: ignore[arg-type]  # plain numbers
        workflow_task_completed_event_id=completed_event_id,
        new_execution_run_id=new_run_id,
    )


def complete_run(step: Step, draft: RunDraft, attributes: history.WorkflowExecutionCompletedEventAttributes) -> str:
    """The id of the run that a cron schedule makes after this one, "" without a schedule; not yet closed."""
    result = attributes.result if attributes.HasField("result") else None
    draft.execution.new_run_id = _next_by_schedule(step, draft, None, result)
    return draft.execution.new_run_id


def _next_by_schedule(
    step: Step, draft: RunDraft, reason: failure.Failure | None, result: common.Payloads | None
) -> str:
    """Begin the chain's next run if it has a schedule that names another time (semantics 10.3)."""
    info = draft.execution.info
    if not info.cron_schedule:
        return ""
    try:
        schedule = cron.parse(info.cron_schedule)
    except cron.BadSchedule:
        # A continue-as-new command may name anything; nothing is due by that.
        return ""
    wait = cron.backoff(schedule, info.execution_time, draft.env.now)
    return "" if wait is None else next_cron_run(step, draft, wait, reason, result)


def time_out_run(step: Step, draft: RunDraft) -> None:
    """The run timeout has passed (semantics 10.4)."""
    end_task_by_force(draft)
    info = draft.execution.info
    if info.execution_expiration and info.execution_expiration <= draft.env.now:
        state: int = enums.RETRY_STATE_TIMEOUT
        new_run_id = ""
    else:
        reason = failures.timeout_failure(failures.WORKFLOW_TIMEOUT, enums.TIMEOUT_TYPE_START_TO_CLOSE)
        state, new_run_id = _retry(step, draft, reason)
        new_run_id = new_run_id or _next_by_schedule(step, draft, reason, None)
    attributes = history.WorkflowExecutionTimedOutEventAttributes(
        retry_state=state,  # type: ignore[arg-type]  # plain numbers
        new_execution_run_id=new_run_id,
    )
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, attributes)
    draft.execution.new_run_id = new_run_id
    closed(step, draft, goes_on=state == enums.RETRY_STATE_IN_PROGRESS)


def _retry(step: Step, draft: RunDraft, reason: failure.Failure) -> tuple[int, str]:
    """(`enums.RetryState`, id of the run made to try again or "")."""
    info = draft.execution.info
    if info.retry is None:
        return enums.RETRY_STATE_RETRY_POLICY_NOT_SET, ""
    interval, state = next_interval(
        info.retry, info.attempt, draft.env.now, info.execution_expiration, reason, delay_capped=True
    )
    if state != enums.RETRY_STATE_IN_PROGRESS:
        return state, ""
    return state, continue_chain(step, draft, interval, reason)
