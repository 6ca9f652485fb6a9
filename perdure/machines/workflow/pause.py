"""Pause and unpause of a whole run (semantics 7.6).

A paused run is open: signals, timers, results and timeouts are recorded, but no workflow task is scheduled and no
activity attempt offered. What runs on a worker goes on. A raised stamp makes matching's copies of waiting attempts
stale.
"""

from __future__ import annotations

from perdure.api import enums, history
from perdure.errors import FailedPrecondition
from perdure.machines.deadlines import ACTIVITY
from perdure.machines.workflow import activity_task, pause_info, workflow_task
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.operator_inputs import PauseWorkflow, UnpauseWorkflow
from perdure.machines.workflow.target import find_running


def paused(step: Step, verb: PauseWorkflow) -> None:
    """PauseWorkflowExecution; the same request again is a success without effect."""
    execution = find_running(step, verb.run_id)
    if execution.paused:
        known = execution.operations.pause
        if known is not None and known.request_id and known.request_id == verb.request_id:
            return
        raise FailedPrecondition("workflow is already paused.")
    draft = step.edit(execution)
    attributes = history.WorkflowExecutionPausedEventAttributes(
        identity=verb.identity, reason=verb.reason, request_id=verb.request_id
    )
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED, attributes)
    _drop_waiting_task(draft)
    for pending in list(draft.execution.activities.values()):
        held = pending.copy()
        held.stamp += 1
        held.offered = False
        draft.put_activity(held)
    pause_info.show(draft)


def _drop_waiting_task(draft: RunDraft) -> None:
    """A task that no worker has ends; the unpausing makes a first attempt again."""
    task = draft.execution.task
    if task is None or task.started_event_id:
        return
    if task.speculative:
        # It has left no trace. Its updates wait, and go with the next task.
        draft.execution.task = None
        return
    problems = draft.execution.task_problems
    workflow_task.fail(
        draft,
        enums.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED,
        None,
        workflow_task.SERVER_IDENTITY,
    )
    draft.execution.task_attempt = 1
    draft.execution.task_problems = problems


def unpaused(step: Step, verb: UnpauseWorkflow) -> None:
    """UnpauseWorkflowExecution: waiting attempts are owed again, and the worker gets a task.

    A delay before the first task that is not over is waited for (docs/decisions/011).
    """
    execution = find_running(step, verb.run_id)
    if not execution.paused:
        raise FailedPrecondition("workflow is not paused.")
    draft = step.edit(execution)
    attributes = history.WorkflowExecutionUnpausedEventAttributes(
        identity=verb.identity, reason=verb.reason, request_id=verb.request_id
    )
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED, attributes)
    for pending in list(draft.execution.activities.values()):
        freed = pending.copy()
        freed.stamp += 1
        draft.put_activity(freed)
        due = activity_task.next_deadline(freed, held=False)
        if due is not None:
            draft.deadline(due, ACTIVITY, freed.scheduled_event_id)
    pause_info.show(draft)
    if not workflow_task.in_backoff(draft.execution) or draft.execution.info.execution_time <= draft.env.now:
        workflow_task.schedule_if_needed(step, draft)
