"""From what a run owes to calls, from a call to the receiver's input, from its outcome to the sender's (DESIGN 1.10).

Pure. The engine only carries: it loads the event that a call names, submits what `request` says, and brings back what
`answer` makes of the outcome. Every retry is derived from the state anew, so a call that has become pointless dies out.
"""

from __future__ import annotations

from typing import Any, assert_never

from perdure.api import enums, history, workflowservice
from perdure.errors import PASSING, NamespaceNotFound, NotFound, ServiceError, WorkflowExecutionAlreadyStarted
from perdure.ids import ChainKey, Kind
from perdure.machines import priorities
from perdure.machines.closing_report import ExecutionClosed
from perdure.machines.persistent import EMPTY
from perdure.machines.workflow import external, internal_callbacks, minted_ids, overrides, runs, workflow_task
from perdure.machines.workflow.builds import inherited_stamp
from perdure.machines.workflow.calls import (
    ApplyClosePolicy,
    ArchiveRun,
    Call,
    InvokeCallback,
    ReachExternal,
    ReportClose,
    ReportToParent,
    ScheduleChildFirstTask,
    Sender,
    StartChild,
)
from perdure.machines.workflow.child import Child, Parent
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import Archive, Invoke, Send
from perdure.machines.workflow.exchange import (
    ChildClosed,
    ChildFirstTaskScheduled,
    ChildStarted,
    ChildStartFailed,
    ClosePolicyApplied,
    InternalCallbackAnswered,
    ParentAnswered,
    ParentClosed,
    ScheduleFirstTask,
)
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.owed import (
    ABANDON,
    ARCHIVE,
    INTERNAL_CALLBACK,
    REPORT,
)
from perdure.machines.workflow.parts import PART_CALLBACK, PART_CHILD, PART_EXTERNAL_CANCEL, PART_EXTERNAL_SIGNAL
from perdure.machines.workflow.start_fields import take_over
from perdure.machines.workflow.start_inputs import Start, StartOutcome

MANY_CHILDREN = 10
"""With so many children the reference leaves close policies to a workflow of its own, whose name is then their author's
(`history.parentClosePolicyThreshold`).
"""
MANY_CHILDREN_IDENTITY = "temporal-sys-parent-close-policy-workflow"


# -- what is owed ------------------------------------------------------------------------------------------------------


def send(step: Step, draft: RunDraft) -> None:
    """Send everything that is owed and not under way. The marks are volatile."""
    execution = draft.execution
    if not execution.unsent:
        return
    for item in sorted(execution.unsent):
        if item[0] == PART_CALLBACK:
            step.effects.append(Invoke(invocation_of(step.key, execution, item)))
        elif item == ARCHIVE:
            sender = Sender(step.key, execution.info.run_id, item, execution.branches)
            step.effects.append(Archive(ArchiveRun(sender, execution)))
        else:
            step.effects.append(Send(call_of(step.key, execution, item)))
    execution.unsent = EMPTY


def invocation_of(chain: ChainKey, execution: Execution, item: tuple[int, int]) -> InvokeCallback:
    """The invocation that is owed of a callback."""
    info = execution.info
    callback = execution.callbacks[item[1]]
    sender = Sender(chain, info.run_id, item, execution.branches)
    return InvokeCallback(
        sender,
        0 if callback.rejection else callback.event_id or execution.next_event_id - 1,
        info.namespace,
        callback.spec,
        callback.request_id,
        callback.origin,
        callback.update_id,
        callback.rejection,
        callback.attempt,
        info.start_time,
    )


def call_of(chain: ChainKey, execution: Execution, item: tuple[int, int]) -> Call:
    """The call that is owed about an item of `execution.calls`."""
    info = execution.info
    sender = Sender(chain, info.run_id, item, execution.branches)
    kind, event_id = item
    if item == REPORT:
        parent = info.parent
        assert parent is not None, "only a child reports"
        target = ChainKey(parent.namespace_id, Kind.WORKFLOW, parent.workflow_id)
        return ReportToParent(sender, target, execution.next_event_id - 1, parent, info.first_run_id)
    if kind == PART_CHILD:
        return _about_child(sender, execution, execution.children[event_id])
    if kind == INTERNAL_CALLBACK:
        callback = execution.internal_callbacks[event_id]
        return ReportClose(sender, callback.target, callback.token, execution.next_event_id - 1, info.first_run_id)
    assert kind in (PART_EXTERNAL_SIGNAL, PART_EXTERNAL_CANCEL), f"no item of kind {kind} owes a call"
    return ReachExternal(sender, event_id, info.namespace)


def _about_child(sender: Sender, execution: Execution, child: Child) -> Call:
    info = execution.info
    target = ChainKey(child.namespace_id, Kind.WORKFLOW, child.workflow_id)
    if not execution.running and (child.close_policy != ABANDON or not child.started_event_id):
        policy: int = child.close_policy
        if not child.started_event_id:
            policy = enums.PARENT_CLOSE_POLICY_TERMINATE
        many = len(execution.children) >= MANY_CHILDREN
        identity = MANY_CHILDREN_IDENTITY if many else workflow_task.SERVER_IDENTITY
        return ApplyClosePolicy(sender, target, policy, child.started_run_id, _as_parent(execution, child), identity)
    if child.started_event_id:
        return ScheduleChildFirstTask(sender, target, child.started_run_id)
    return StartChild(
        sender,
        target,
        child.initiated_event_id,
        _as_parent(execution, child),
        info.root_workflow_id,
        info.root_run_id,
        info.priority,
        execution.worker_stamp,
    )


def _as_parent(execution: Execution, child: Child) -> Parent:
    """The parent as the child knows it: the run that asked for it, also when a reset has put another in its place."""
    info = execution.info
    run_id = minted_ids.writer(execution.branches, child.initiated_event_id)
    return Parent(info.namespace_id, info.namespace, info.workflow_id, run_id, child.initiated_event_id)


# -- what is sent ------------------------------------------------------------------------------------------------------


def request(call: Call, event: history.HistoryEvent | None) -> tuple[ChainKey, Input | ExecutionClosed] | Input:
    """Whom to tell what; an input alone is the sender's answer, found without asking. `event` is the one it names."""
    if isinstance(call, StartChild):
        return _start(call, _named(event))
    if isinstance(call, ScheduleChildFirstTask):
        return call.target, ScheduleFirstTask(call.child_run_id)
    if isinstance(call, ReachExternal):
        return external.request(call, _named(event))
    if isinstance(call, ReportToParent):
        parent = call.parent
        sender = call.sender
        return call.target, ChildClosed(
            parent.run_id, parent.initiated_event_id, sender.chain.id, sender.run_id, call.first_run_id, _named(event)
        )
    if isinstance(call, ApplyClosePolicy):
        return call.target, ParentClosed(call.parent, call.child_first_run_id, call.policy, call.identity)
    if isinstance(call, ReportClose):
        return call.target, internal_callbacks.report(call, _named(event))
    assert_never(call)


def _named(event: history.HistoryEvent | None) -> history.HistoryEvent:
    assert event is not None, "the call names an event"
    return event


def _start(call: StartChild, event: history.HistoryEvent) -> tuple[ChainKey, Input] | Input:
    """The start of a child: what the initiated event says, and nothing else (semantics 9.1)."""
    asked: Any = event.start_child_workflow_execution_initiated_event_attributes
    if asked.HasField("versioning_override") and overrides.named_version(asked.versioning_override) is not None:
        # No queue has a version (overrides.py).
        cause = enums.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_INVALID_VERSIONING_OVERRIDE
        return ChildStartFailed(call.sender.run_id, call.event_id, cause, asked.control)
    start: Any = workflowservice.StartWorkflowExecutionRequest(
        namespace=asked.namespace,
        workflow_id=asked.workflow_id,
        request_id=minted_ids.child_start(call.parent.run_id, call.event_id),
        workflow_id_reuse_policy=asked.workflow_id_reuse_policy,
        workflow_id_conflict_policy=enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
        cron_schedule=asked.cron_schedule,
    )
    take_over(start, asked)
    if asked.workflow_id_reuse_policy == enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
        start.workflow_id_reuse_policy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
        start.workflow_id_conflict_policy = enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    if event.HasField("user_metadata"):
        start.user_metadata.CopyFrom(event.user_metadata)
    own = priorities.stored(asked.priority) if asked.HasField("priority") else b""
    priority = priorities.merged(call.priority, own)
    if priority or asked.HasField("priority"):
        start.priority.MergeFromString(priority)
    found = runs.present_payloads(asked.search_attributes.indexed_fields)
    root = (call.root_workflow_id, call.root_run_id)
    stamp = inherited_stamp(call.worker_stamp) if asked.inherit_build_id else None
    return call.target, Start(start, found, 0, parent=call.parent, root=root, source_stamp=stamp)


def settled(call: Call, event: history.HistoryEvent | None) -> tuple[ChainKey, Input] | None:
    """Whom to tell that the answer is recorded. Nothing depends on it."""
    return external.settled(call, _named(event)) if isinstance(call, ReachExternal) else None


# -- what comes back ---------------------------------------------------------------------------------------------------


def answer(call: Call, event: history.HistoryEvent | None, outcome: object) -> Input | None:
    """The sender's input for the receiver's outcome, a value or a `ServiceError`; None when it settles nothing."""
    if isinstance(outcome, PASSING):
        return None
    run_id = call.sender.run_id
    _, event_id = call.sender.item
    if isinstance(call, StartChild):
        return _start_answer(call, _named(event), outcome)
    if isinstance(call, ReachExternal):
        return external.answer(call, _named(event), outcome)
    if isinstance(outcome, ServiceError) and not isinstance(outcome, NotFound | NamespaceNotFound):
        return None
    if isinstance(call, ScheduleChildFirstTask):
        return ChildFirstTaskScheduled(run_id, event_id)
    if isinstance(call, ReportToParent):
        return ParentAnswered(run_id)
    if isinstance(call, ApplyClosePolicy):
        return ClosePolicyApplied(run_id, event_id)
    if isinstance(call, ReportClose):
        return InternalCallbackAnswered(run_id, event_id)
    assert_never(call)


def _start_answer(call: StartChild, event: history.HistoryEvent, outcome: object) -> Input | None:
    run_id = call.sender.run_id
    asked = event.start_child_workflow_execution_initiated_event_attributes
    if isinstance(outcome, StartOutcome):
        header = asked.header if asked.HasField("header") else None
        return ChildStarted(run_id, call.event_id, outcome.run_id, header)
    if isinstance(outcome, WorkflowExecutionAlreadyStarted):
        cause: int = enums.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
        return ChildStartFailed(run_id, call.event_id, cause, asked.control)
    if isinstance(outcome, NamespaceNotFound):
        cause = enums.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND
        return ChildStartFailed(run_id, call.event_id, cause, asked.control)
    return None
