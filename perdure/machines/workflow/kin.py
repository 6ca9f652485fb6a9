"""What a run does when other chains ask or answer: children, parents, external signals (semantics 9).

Every handler bears repetition: a request that was met is met again without effect, an answer that nobody waits for is
ignored.
"""

from __future__ import annotations

from perdure.api import common, enums, history
from perdure.errors import NotFound, Unavailable
from perdure.machines.workflow import close, update_messages, workflow_task
from perdure.machines.workflow.child import Child, Parent
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.exchange import (
    CallUndelivered,
    ChildClosed,
    ChildFirstTaskScheduled,
    ChildStarted,
    ChildStartFailed,
    ClosePolicyApplied,
    ExternalAnswered,
    ParentAnswered,
    ParentClosed,
    RequestSettled,
    ScheduleFirstTask,
)
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import RequestCancel
from perdure.machines.workflow.minted_ids import external, remembered_as, writer
from perdure.machines.workflow.origin import Origin
from perdure.machines.workflow.owed import REPORT
from perdure.machines.workflow.parts import PART_CHILD
from perdure.machines.workflow.target import ALREADY_COMPLETED, WRONG_PARENT, find, find_running

CHILD_NOT_FOUND = "Pending child execution not found."
CLOSE_POLICY_REASON = "by parent close policy"

# -- a child is asked --------------------------------------------------------------------------------------------------


def first_task(step: Step, asked: ScheduleFirstTask) -> None:
    """The parent knows of the child, so it may run; a backoff of its own is still waited for, unless an update came."""
    execution = find_running(step, asked.run_id)
    if not execution.awaits_parent:
        return
    draft = step.edit(execution)
    _release(step, draft)


def _release(step: Step, draft: RunDraft) -> None:
    draft.execution.awaits_parent = False
    draft.stored = True
    if not workflow_task.in_backoff(draft.execution) or update_messages.to_send(draft.execution, False):
        workflow_task.schedule_if_needed(step, draft)


def parent_closed(step: Step, told: ParentClosed) -> None:
    """The close policy reaches whichever run of the child's chain is current (semantics 9.4).

    A child whose start the parent never recorded is terminated whatever the policy: nobody would ever let it run.
    """
    execution = find(step, "")
    info = execution.info
    if told.child_first_run_id and info.first_run_id != told.child_first_run_id:
        raise NotFound("workflow execution not found")
    if not execution.running:
        raise NotFound(ALREADY_COMPLETED)
    if not _is_parent(told.parent, info.parent):
        raise NotFound(WRONG_PARENT)
    if told.policy == enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL:
        _cancel_by_policy(step, execution, told)
        return
    attributes = history.WorkflowExecutionTerminatedEventAttributes(reason=CLOSE_POLICY_REASON, identity=told.identity)
    close.terminate(step, step.edit(execution), attributes)


def _is_parent(told: Parent, own: Parent | None) -> bool:
    return (
        own is not None
        and own.workflow_id == told.workflow_id
        and own.run_id == told.run_id
        and own.initiated_event_id == told.initiated_event_id
    )


def _cancel_by_policy(step: Step, execution: Execution, told: ParentClosed) -> None:
    parent = told.parent
    attributes = history.WorkflowExecutionCancelRequestedEventAttributes(
        identity=told.identity,
        external_workflow_execution=common.WorkflowExecution(workflow_id=parent.workflow_id, run_id=parent.run_id),
    )
    if execution.awaits_parent:
        draft = step.edit(execution)
        draft.execution.awaits_parent = False
        draft.stored = True
    request_id = external(parent.run_id, parent.initiated_event_id)
    origin = Origin(parent.workflow_id, parent.run_id, True)
    close.cancel_requested(step, RequestCancel("", "", attributes, request_id, origin=origin))


def request_settled(step: Step, told: RequestSettled) -> None:
    """What the chain remembers of a request is of no use any more. Costs no write: the next one takes it along."""
    current = step.state.current
    name = remembered_as(told.request_id)
    if current is not None and name not in current.forgotten:
        draft = step.edit(current)
        draft.execution.forgotten = (*draft.execution.forgotten, name)


# -- a parent hears of its children ------------------------------------------------------------------------------------


def child_started(step: Step, answer: ChildStarted) -> None:
    """Record that the child has started; from here on it may get its first task."""
    execution = find(step, answer.run_id)
    child = execution.children.get(answer.initiated_event_id)
    if child is None or child.started_event_id or child.settled:
        return
    draft = step.edit(execution)
    if execution.running:
        attributes = history.ChildWorkflowExecutionStartedEventAttributes(
            namespace=child.namespace,
            namespace_id=child.namespace_id,
            initiated_event_id=child.initiated_event_id,
            workflow_execution=common.WorkflowExecution(workflow_id=child.workflow_id, run_id=answer.child_run_id),
            workflow_type=common.WorkflowType(name=child.workflow_type),
        )
        if answer.header is not None:
            attributes.header.CopyFrom(answer.header)
        draft.record(enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, attributes)
        workflow_task.schedule_if_needed(step, draft)
    elif not child.started_run_id:
        # Too late for history: remembered only so that the close policy finds the child.
        child = child.copy()
        child.started_run_id = answer.child_run_id
        draft.put_child(child)
    draft.call_returned((PART_CHILD, answer.initiated_event_id))


def child_start_failed(step: Step, answer: ChildStartFailed) -> None:
    """Record that the child could not be started (semantics 9.1)."""
    execution = find(step, answer.run_id)
    child = execution.children.get(answer.initiated_event_id)
    if child is None or child.started_event_id or child.settled:
        return
    draft = step.edit(execution)
    if not execution.running:
        _settle(draft, child)
        return
    attributes = history.StartChildWorkflowExecutionFailedEventAttributes(
        namespace=child.namespace,
        namespace_id=child.namespace_id,
        workflow_id=child.workflow_id,
        workflow_type=common.WorkflowType(name=child.workflow_type),
        cause=answer.cause,  # type: ignore[arg-type]  # plain numbers
        control=answer.control,
        initiated_event_id=child.initiated_event_id,
    )
    draft.record(enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, attributes)
    workflow_task.schedule_if_needed(step, draft)


def _settle(draft: RunDraft, child: Child) -> None:
    child = child.copy()
    child.settled = True
    draft.put_child(child)


def first_task_scheduled(step: Step, answer: ChildFirstTaskScheduled) -> None:
    """The child runs. An open parent notes it for its next write; a closed one may have none, and writes it now."""
    execution = find(step, answer.run_id)
    child = execution.children.get(answer.initiated_event_id)
    if child is None or child.first_task_known:
        return
    draft = step.edit(execution)
    item = (PART_CHILD, child.initiated_event_id)
    if execution.running:
        draft.execution.confirmed = draft.execution.confirmed.set(child.initiated_event_id, True)
        if item in draft.execution.unsent:
            # Read anew for this very answer, the run does not know that it asked.
            draft.execution.unsent = draft.execution.unsent.delete(item)
        return
    child = child.copy()
    child.first_task_known = True
    draft.put_child(child)
    draft.call_returned(item)


def child_closed(step: Step, report: ChildClosed) -> None:
    """Record how a child ended (semantics 9.2). Unavailable as long as its start is not recorded: that comes first."""
    execution = _parent_of(step, report)
    child = execution.children.get(report.initiated_event_id)
    if child is None or child.workflow_id != report.child_workflow_id:
        raise NotFound(CHILD_NOT_FOUND)
    if not child.started_event_id:
        raise Unavailable("the start of the child is not recorded yet")
    if child.started_run_id != report.child_first_run_id:
        raise NotFound(CHILD_NOT_FOUND)
    draft = step.edit(execution)
    event_type, attributes = _result(report.close_event)
    attributes.namespace = child.namespace
    attributes.namespace_id = child.namespace_id
    attributes.workflow_execution.workflow_id = child.workflow_id
    attributes.workflow_execution.run_id = report.child_run_id
    attributes.workflow_type.name = child.workflow_type
    attributes.initiated_event_id = child.initiated_event_id
    attributes.started_event_id = child.started_event_id
    draft.record(event_type, attributes)
    workflow_task.schedule_if_needed(step, draft)


def _parent_of(step: Step, report: ChildClosed) -> Execution:
    """The run that asked for the child, or the current one if resets have made it from that run."""
    named = step.state.runs.get(report.run_id)
    if named is not None and named.running:
        return named
    current = find_running(step, "")
    if writer(current.branches, report.initiated_event_id) != report.run_id:
        raise NotFound(ALREADY_COMPLETED)
    return current


_Result = (
    history.ChildWorkflowExecutionCompletedEventAttributes
    | history.ChildWorkflowExecutionFailedEventAttributes
    | history.ChildWorkflowExecutionCanceledEventAttributes
    | history.ChildWorkflowExecutionTimedOutEventAttributes
    | history.ChildWorkflowExecutionTerminatedEventAttributes
)


def _result(closing: history.HistoryEvent) -> tuple[int, _Result]:
    """The parent's event for a child's closing event, with what comes from the child."""
    match closing.event_type:
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            completed = history.ChildWorkflowExecutionCompletedEventAttributes()
            done = closing.workflow_execution_completed_event_attributes
            if done.HasField("result"):
                completed.result.CopyFrom(done.result)
            return enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, completed
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failed = closing.workflow_execution_failed_event_attributes
            return enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, (
                history.ChildWorkflowExecutionFailedEventAttributes(
                    failure=failed.failure, retry_state=failed.retry_state
                )
            )
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
            canceled = history.ChildWorkflowExecutionCanceledEventAttributes()
            ended = closing.workflow_execution_canceled_event_attributes
            if ended.HasField("details"):
                canceled.details.CopyFrom(ended.details)
            return enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, canceled
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            late = closing.workflow_execution_timed_out_event_attributes
            return enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, (
                history.ChildWorkflowExecutionTimedOutEventAttributes(retry_state=late.retry_state)
            )
        case _:
            assert closing.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, "the last run of a chain"
            return (
                enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
                history.ChildWorkflowExecutionTerminatedEventAttributes(),
            )


def close_policy_applied(step: Step, answer: ClosePolicyApplied) -> None:
    """Nothing more is owed about this child."""
    execution = find(step, answer.run_id)
    child = execution.children.get(answer.initiated_event_id)
    if child is not None and not execution.running and not child.settled:
        _settle(step.edit(execution), child)


# -- other answers -----------------------------------------------------------------------------------------------------


def external_answered(step: Step, answer: ExternalAnswered) -> None:
    """Record what became of a signal or cancel request; a closed run has no use for it."""
    execution = find(step, answer.run_id)
    if not execution.running or answer.item not in execution.calls:
        return
    draft = step.edit(execution)
    draft.record(answer.event_type, answer.attributes)
    workflow_task.schedule_if_needed(step, draft)


def parent_answered(step: Step, answer: ParentAnswered) -> None:
    """The report has been taken; from now on only retention holds the run."""
    execution = find(step, answer.run_id)
    if REPORT not in execution.calls:
        return
    draft = step.edit(execution)
    draft.execution.report_answered = True
    draft.stored = True
    draft.owe_call(REPORT, False)


def undelivered(step: Step, told: CallUndelivered) -> None:
    """What is owed about the item now is sent again, whatever it was before."""
    execution = find(step, told.run_id)
    if told.item in execution.calls:
        step.edit(execution).call_returned(told.item)
