"""Signals to a run (semantics 7.1)."""

from __future__ import annotations

from perdure.api import enums
from perdure.errors import InvalidArgument, NotFound, ResourceExhausted
from perdure.machines.workflow import workflow_task
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Signal
from perdure.machines.workflow.minted_ids import remembered_as, writer
from perdure.machines.workflow.origin import Origin
from perdure.machines.workflow.target import ALREADY_COMPLETED, WRONG_PARENT, find


def signaled(step: Step, signal: Signal) -> str:
    """SignalWorkflowExecution; returns the id of the run. A request id seen before is a success without effect, also
    when the run has closed since: the caller asks again about a signal that was taken.
    """
    origin = signal.origin
    if origin is not None:
        taken = step.state.start_requests.get(remembered_as(signal.request_id))
        if taken:
            return taken
    execution = find(step, signal.run_id)
    if origin is None and signal.request_id and execution.signal_ids.get(signal.request_id, False):
        return execution.info.run_id
    if not execution.running:
        raise NotFound(ALREADY_COMPLETED)
    draft = step.edit(execution)
    check(draft)
    if origin is not None:
        check_origin(execution, origin)
        step.start_requests.append((remembered_as(signal.request_id), execution.info.run_id))
    record(draft, signal)
    if not workflow_task.in_backoff(draft.execution):
        workflow_task.schedule_if_needed(step, draft)
    return execution.info.run_id


def check(draft: RunDraft) -> None:
    """Whether the run takes one more signal now."""
    execution = draft.execution
    if execution.signal_count >= draft.env.limits.signals:
        raise InvalidArgument("exceeded workflow execution limit for signal events")
    task = execution.task
    if execution.close_attempted and task is not None and task.started_event_id:
        raise ResourceExhausted(
            "workflow operation can not be applied because workflow is closing",
            enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
        )


def check_origin(execution: Execution, origin: Origin) -> None:
    """What a workflow sends to its child only must not reach anybody else; NotFound if it would."""
    if not origin.child_only:
        return
    parent = execution.info.parent
    if parent is None or parent.workflow_id != origin.workflow_id:
        raise NotFound(WRONG_PARENT)
    asked_for_by = writer(origin.branches, parent.initiated_event_id) if origin.branches else origin.run_id
    if parent.run_id != asked_for_by:
        raise NotFound(WRONG_PARENT)


def record(draft: RunDraft, signal: Signal) -> None:
    """Write the event and remember the request id; what a workflow sends, the chain remembers."""
    if signal.request_id and signal.origin is None:
        draft.remember_signal(signal.request_id)
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, signal.attributes, links=signal.links)
