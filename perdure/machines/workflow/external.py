"""Signals and cancel requests to other workflows: what the receiver gets, what the sender records (semantics 9.3).

Both go the same way; a row of `_KINDS` says in what they differ. `commands/external.py` checks what a worker asks and
records it; `outbound.py` says when it is owed. Pure, and without a view of any state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from perdure.api import common, enums, history
from perdure.errors import InvalidArgument, NamespaceNotFound, NotFound, ServiceError
from perdure.ids import ChainKey, Kind
from perdure.machines.workflow import minted_ids, workflow_task
from perdure.machines.workflow.calls import ReachExternal, Sender
from perdure.machines.workflow.exchange import ExternalAnswered, RequestSettled
from perdure.machines.workflow.inputs import RequestCancel, Signal
from perdure.machines.workflow.origin import Origin
from perdure.machines.workflow.parts import PART_EXTERNAL_CANCEL, PART_EXTERNAL_SIGNAL

Fact = Signal | RequestCancel
"""What the receiver gets."""


@final
class _Kind:
    """One of the two; `asked` is the name of the initiated event's attributes, which say what is wanted."""

    __slots__ = ("asked", "causes", "done", "done_type", "fact", "failed", "failed_type", "has_control")

    def __init__(
        self,
        asked: str,
        fact: Callable[[ReachExternal, Any, str, Origin], Fact],
        done: Any,
        done_type: int,
        failed: Any,
        failed_type: int,
        has_control: bool,
        causes: dict[type[ServiceError], int],
    ) -> None:
        self.asked = asked
        self.fact = fact
        self.done = done
        self.done_type = done_type
        self.failed = failed
        self.failed_type = failed_type
        self.has_control = has_control
        """Whether both answers repeat what the worker gave to recognise them by."""
        self.causes = causes
        """Definite refusals, the narrower first."""


def _by(sender: Sender) -> common.WorkflowExecution:
    return common.WorkflowExecution(workflow_id=sender.chain.id, run_id=sender.run_id)


def _signal(call: ReachExternal, asked: Any, request_id: str, origin: Origin) -> Signal:
    attributes = history.WorkflowExecutionSignaledEventAttributes(
        signal_name=asked.signal_name,
        identity=workflow_task.SERVER_IDENTITY,
        external_workflow_execution=_by(call.sender),
        request_id=request_id,
    )
    if asked.HasField("input"):
        attributes.input.CopyFrom(asked.input)
    if asked.HasField("header"):
        attributes.header.CopyFrom(asked.header)
    return Signal(asked.workflow_execution.run_id, attributes, request_id, origin=origin)


def _cancel(call: ReachExternal, asked: Any, request_id: str, origin: Origin) -> RequestCancel:
    attributes = history.WorkflowExecutionCancelRequestedEventAttributes(
        cause=asked.reason,
        external_initiated_event_id=call.event_id,
        external_workflow_execution=_by(call.sender),
        identity=workflow_task.SERVER_IDENTITY,
    )
    return RequestCancel(asked.workflow_execution.run_id, "", attributes, request_id, origin=origin)


_KINDS: dict[int, _Kind] = {
    PART_EXTERNAL_SIGNAL: _Kind(
        "signal_external_workflow_execution_initiated_event_attributes",
        _signal,
        history.ExternalWorkflowExecutionSignaledEventAttributes,
        enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
        history.SignalExternalWorkflowExecutionFailedEventAttributes,
        enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
        True,
        {
            NamespaceNotFound: enums.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND,
            NotFound: enums.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND,
            InvalidArgument: enums.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED,
        },
    ),
    PART_EXTERNAL_CANCEL: _Kind(
        "request_cancel_external_workflow_execution_initiated_event_attributes",
        _cancel,
        history.ExternalWorkflowExecutionCancelRequestedEventAttributes,
        enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
        history.RequestCancelExternalWorkflowExecutionFailedEventAttributes,
        enums.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
        False,
        {
            NamespaceNotFound: enums.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND,
            NotFound: enums.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND,
        },
    ),
}
"""By the part kind of the call's item."""


def request(call: ReachExternal, event: history.HistoryEvent) -> tuple[ChainKey, Fact] | ExternalAnswered:
    """Whom to tell what. A workflow cannot reach itself in this way: it is told that there is no such workflow."""
    sender = call.sender
    kind = _KINDS[sender.item[0]]
    asked = getattr(event, kind.asked)
    target = ChainKey(asked.namespace_id, Kind.WORKFLOW, asked.workflow_execution.workflow_id)
    if target == sender.chain:
        return _answered(call, kind, asked, kind.causes[NotFound])
    request_id = minted_ids.external(sender.run_id, call.event_id)
    origin = Origin(sender.chain.id, sender.run_id, asked.child_workflow_only, sender.branches)
    return target, kind.fact(call, asked, request_id, origin)


def settled(call: ReachExternal, event: history.HistoryEvent) -> tuple[ChainKey, RequestSettled] | None:
    """Whom to tell that the answer is recorded, so that it need not know the request again. Nothing depends on it."""
    asked = request(call, event)
    if isinstance(asked, ExternalAnswered):
        return None
    target, fact = asked
    return target, RequestSettled(fact.request_id)


def answer(call: ReachExternal, event: history.HistoryEvent, outcome: object) -> ExternalAnswered | None:
    """The sender's input for the receiver's outcome, None when it settles nothing."""
    kind = _KINDS[call.sender.item[0]]
    cause: int | None = None
    if isinstance(outcome, ServiceError):
        cause = next((number for refused, number in kind.causes.items() if isinstance(outcome, refused)), None)
        if cause is None:
            return None
    return _answered(call, kind, getattr(event, kind.asked), cause)


def _answered(call: ReachExternal, kind: _Kind, asked: Any, cause: int | None) -> ExternalAnswered:
    """The event that says what became of it; `cause` is a number of the kind's own, None when it arrived."""
    attributes = kind.done() if cause is None else kind.failed(cause=cause)
    attributes.initiated_event_id = call.event_id
    attributes.namespace = asked.namespace or call.namespace
    attributes.namespace_id = asked.namespace_id
    attributes.workflow_execution.CopyFrom(asked.workflow_execution)
    if kind.has_control:
        attributes.control = asked.control
    event_type = kind.done_type if cause is None else kind.failed_type
    return ExternalAnswered(call.sender.run_id, call.sender.item, event_type, attributes)
