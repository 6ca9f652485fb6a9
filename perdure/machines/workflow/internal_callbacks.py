"""Internal callbacks of a chain of runs: entities that are told how it ends (closing_report.py).

Exactly one run has them, the newest of its chain of runs: whoever makes the next run hands them over. A run that closes
and still has them owes the reports (owed.py), so none is given twice or forgotten by a run that was only an episode.
"""

from __future__ import annotations

from typing import Any

from perdure.api import enums, history
from perdure.api.times import timestamp_ns
from perdure.ids import ChainKey
from perdure.machines.closing_report import ExecutionClosed, InternalCallback
from perdure.machines.persistent import EMPTY, map_of
from perdure.machines.workflow.calls import ReportClose
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.exchange import InternalCallbackAnswered
from perdure.machines.workflow.execution import CANCELED, COMPLETED, FAILED, TERMINATED, TIMED_OUT, Execution
from perdure.machines.workflow.owed import INTERNAL_CALLBACK
from perdure.machines.workflow.target import find


def attach(draft: RunDraft, callbacks: tuple[InternalCallback, ...]) -> None:
    """The callbacks of the start that makes this run."""
    draft.execution.internal_callbacks = map_of(dict(enumerate(callbacks, 1)))


def hand_over(ended: RunDraft, successor: RunDraft) -> None:
    """The run that continues the chain takes the callbacks along; the one that ends here owes nothing of them."""
    successor.execution.internal_callbacks = ended.execution.internal_callbacks
    ended.execution.internal_callbacks = EMPTY


def report(call: ReportClose, closing: history.HistoryEvent) -> ExecutionClosed:
    """What the entity is told: the run's closing event, and whose it is."""
    result = failure = b""
    match closing.event_type:
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            status = COMPLETED
            result = closing.workflow_execution_completed_event_attributes.result.SerializeToString()
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            status = FAILED
            failure = closing.workflow_execution_failed_event_attributes.failure.SerializeToString()
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
            status = CANCELED
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            status = TIMED_OUT
        case _:
            assert closing.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, "the last run of a chain"
            status = TERMINATED
    sender = call.sender
    close_time = timestamp_ns(closing.event_time)
    return ExecutionClosed(
        call.token, sender.chain.id, sender.run_id, call.first_run_id, status, result, failure, close_time
    )


def answered(step: Step, answer: InternalCallbackAnswered) -> None:
    """The entity knows; from now on only retention holds the run."""
    execution = find(step, answer.run_id)
    item = (INTERNAL_CALLBACK, answer.number)
    if item not in execution.calls:
        return
    draft = step.edit(execution)
    draft.execution.internal_callbacks = execution.internal_callbacks.delete(answer.number)
    draft.stored = True
    draft.owe_call(item, False)


def encode(execution: Execution) -> object | None:
    """The run's section of stored state, None when it has none."""
    if not execution.internal_callbacks:
        return None
    return [
        (number, one.target.namespace_id, int(one.target.kind), one.target.id, one.token)
        for number, one in execution.internal_callbacks.items()
    ]


def decode(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.internal_callbacks = map_of({f[0]: InternalCallback(ChainKey(f[1], f[2], f[3]), f[4]) for f in stored})
