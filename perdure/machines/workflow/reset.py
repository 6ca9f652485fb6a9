"""ResetWorkflowExecution: a new run from an earlier point of a run's history (semantics 7.4, D14).

Nothing is copied: the new run names the branches of the old one up to the point, and a branch of its own (DESIGN
1.11). Its state is `apply` folded over those events. What came after the point and is not excluded is recorded again.
Children that were pending at the point are the new run's: it is known to them by the run that asked for them
(`minted_ids.writer`).
"""

from __future__ import annotations

from typing import Any

from immutables import Map

from perdure.api import enums, failures, history
from perdure.api.splice import split_events
from perdure.api.times import timestamp_ns
from perdure.clock import SECOND
from perdure.errors import InvalidArgument
from perdure.machines.workflow import (
    activity_task,
    close,
    external_payloads,
    internal_callbacks,
    options,
    overrides,
    request_ids,
    workflow_task,
)
from perdure.machines.workflow import apply as recorded
from perdure.machines.workflow.chain import Chain, ChainState
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import CONTINUED_AS_NEW, Execution
from perdure.machines.workflow.info_changes import reset_from
from perdure.machines.workflow.minted_ids import reset_remembered_as, writer
from perdure.machines.workflow.operator_inputs import Reset
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.target import find

_EVERY_KIND = frozenset([number for number in enums.ResetReapplyExcludeType.values() if number])
RESETTER_IDENTITY = "history-resetter"
NO_POLL = "emptyUuid"
"""The request id of a task's start that no poller made."""
SUCCESSORS_MAX = 1_000
"""Runs whose events a reset follows at most."""


def wanted(state: ChainState, verb: Reset) -> tuple[str, bool] | None:
    """The next that the step would miss: (run id, whether its history rather than its state); None when it can run."""
    chain = state.chain
    assert chain is not None, "asked of a chain only"
    if chain.current_run_id and chain.current_run_id not in state.runs:
        return chain.current_run_id, False
    run = state.runs.get(verb.run_id or chain.current_run_id)
    if run is None or not 1 < verb.finish_event_id < run.next_event_id:
        return None
    for _ in range(SUCCESSORS_MAX):
        if run is None or run.operations.reclaimed:
            return None
        if run.info.run_id not in state.histories:
            return run.info.run_id, True
        following = run.new_run_id
        if verb.excluded >= _EVERY_KIND or run.status != CONTINUED_AS_NEW or not following:
            return None
        if following not in state.runs and following not in state.histories:
            return following, False
        run = state.runs.get(following)
    return None


def reset(step: Step, verb: Reset) -> str:
    """Make the new run; terminate the current one if it is open. The same request again is told what it made."""
    known_as = reset_remembered_as(verb.request_id)
    made = step.state.start_requests.get(known_as, "")
    if made:
        return made
    base = find(step, verb.run_id)
    if not 1 < verb.finish_event_id < base.next_event_id:
        raise InvalidArgument("Workflow task finish ID must be > 1 && <= workflow last event ID.")
    for operation in verb.operations:
        if operation.options.HasField("versioning_override"):
            overrides.check(operation.options.versioning_override, base.info.task_queue)
    current = step.state.current
    if current is not None and current.info.create_request_id == verb.request_id:
        return current.info.run_id
    env = step.env.at(max(base.last_update_time, current.last_update_time if current is not None else 0))
    run_id = env.run_id()
    events = _events(step.state.histories[base.info.run_id])
    rebuilt = Execution(reset_from(base.info, run_id, env.now))
    draft = step.create(rebuilt, env)
    kept = events[: verb.finish_event_id - 1]
    _rebuild(draft, base, kept)
    _fail_task(draft, base, verb)
    _begin_activities(draft, _started_activities(kept), verb.reason)
    terminated = _terminate(step, current, base, draft, verb.reason)
    _reapply(step, draft, base, events[verb.finish_event_id - 1 :], terminated, verb)
    _change_options(draft, verb)
    workflow_task.schedule_if_needed(step, draft)
    _take_requests_over(step, current, draft)
    _enter_chain(step, draft)
    changed = step.edit(base)
    operations = changed.execution.operations.copy()
    operations.reset_run_id = run_id
    changed.execution.operations = operations
    changed.stored = True
    step.start_requests.append((known_as, run_id))
    return run_id


def _change_options(draft: RunDraft, verb: Reset) -> None:
    """The operations that come with the reset; no caller is named in their events."""
    for operation in verb.operations:
        after = options.change(draft.execution, operation)
        if after != options.options_of(draft.execution):
            options.record(draft, after, "")


# -- the rebuilt run ---------------------------------------------------------------------------------------------------


def _events(body: bytes) -> list[history.HistoryEvent]:
    return [history.HistoryEvent.FromString(body[start:end]) for start, end in split_events(body)]


def _rebuild(draft: RunDraft, base: Execution, events: list[history.HistoryEvent]) -> None:
    """Fold the events before the point; the new run's own first event is the one after them."""
    execution = draft.execution
    for event in events:
        if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            started = event.workflow_execution_started_event_attributes
            for key, payload in started.memo.fields.items():
                if not recorded.says_nothing(payload.data):
                    draft.put_memo(key, payload.SerializeToString())
            for name, payload in started.search_attributes.indexed_fields.items():
                draft.put_search_attribute(name, payload.SerializeToString())
        recorded.apply(draft, event)
        _remember_signal(draft, event)
        _follow_task(execution, event)
        body = history.History(events=[event]).SerializeToString()
        execution.history_size += len(body)
        external_payloads.note(execution, event, body)
    execution.next_event_id = len(events) + 1
    draft.first_event_id = execution.next_event_id
    execution.branches = (*_prefix(base.branches, len(events)), execution.branches[-1])
    operations = execution.operations.copy()
    operations.reset_time = draft.env.now
    operations.original_start_time = base.operations.original_start_time or base.info.start_time
    execution.operations = operations


def _remember_signal(draft: RunDraft, event: history.HistoryEvent) -> None:
    """A signal that is asked for again is known, whichever run recorded it first."""
    if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        request_id = event.workflow_execution_signaled_event_attributes.request_id
        if request_id:
            draft.remember_signal(request_id)


def _prefix(branches: tuple[tuple[bytes, int], ...], last_event_id: int) -> tuple[tuple[bytes, int], ...]:
    kept: list[tuple[bytes, int]] = []
    for branch, last in branches:
        if last and last < last_event_id:
            kept.append((branch, last))
            continue
        kept.append((branch, last_event_id))
        break
    return tuple(kept)


def _follow_task(execution: Execution, event: history.HistoryEvent) -> None:
    """The pending workflow task as events alone tell of it."""
    match event.event_type:
        case enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            scheduled = event.workflow_task_scheduled_event_attributes
            when = timestamp_ns(event.event_time)
            timeout = scheduled.start_to_close_timeout.seconds * SECOND
            execution.task = WorkflowTask(
                event.event_id, scheduled.attempt, execution.info.task_queue, False, when, when, timeout
            )
        case enums.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            if execution.task is not None:
                task = execution.task.copy()
                task.started_event_id = event.event_id
                task.started_time = timestamp_ns(event.event_time)
                execution.task = task
        case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            execution.task = None
            execution.task_attempt = 1
        case enums.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            execution.task = None
            forced = (
                event.workflow_task_failed_event_attributes.cause == enums.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
            )
            execution.task_attempt = 1 if forced else execution.task_attempt + 1
        case enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            execution.task = None
            timed_out = event.workflow_task_timed_out_event_attributes
            execution.task_attempt += timed_out.timeout_type == enums.TIMEOUT_TYPE_START_TO_CLOSE
        case _:
            pass


def _fail_task(draft: RunDraft, base: Execution, verb: Reset) -> None:
    """The task that was pending at the point ends with the reset, and the next one is a first attempt."""
    execution = draft.execution
    if execution.task is None and execution.task_attempt > 1:
        # A failed task leads to another, which history does not show until it is over.
        execution.task_attempt = 1
        workflow_task.schedule(draft)
    if execution.task is None:
        raise InvalidArgument(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: "
            f"{verb.finish_event_id}"
        )
    task = execution.task
    if not task.started_event_id:
        task = task.copy()
        task.attempt = 1
        execution.task = task
        task = workflow_task.start(draft, NO_POLL, workflow_task.SERVER_IDENTITY)
    attributes = history.WorkflowTaskFailedEventAttributes(
        scheduled_event_id=task.scheduled_event_id,
        started_event_id=task.started_event_id,
        cause=enums.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
        failure=failures.reset_workflow_failure(verb.reason),
        identity=workflow_task.SERVER_IDENTITY,
        base_run_id=base.info.run_id,
        new_run_id=execution.info.run_id,
    )
    draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_FAILED, attributes)
    execution.task = None
    execution.task_attempt = 1


def _started_activities(events: list[history.HistoryEvent]) -> dict[int, history.HistoryEvent]:
    """The events that say so, by the activity's scheduled event."""
    return {
        event.activity_task_started_event_attributes.scheduled_event_id: event
        for event in events
        if event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_STARTED
    }


def _begin_activities(draft: RunDraft, started: dict[int, history.HistoryEvent], reason: str) -> None:
    """Activities that were pending at the point start over at attempt 1.

    Not those whose start stands before the point, and their end, written with it, behind: a second start would make a
    history that no worker can follow.
    """
    for pending in list(draft.execution.activities.values()):
        begun = started.get(pending.scheduled_event_id)
        if begun is not None:
            attributes = history.ActivityTaskFailedEventAttributes(
                failure=failures.reset_workflow_failure(reason),
                scheduled_event_id=pending.scheduled_event_id,
                started_event_id=begun.event_id,
                identity=begun.activity_task_started_event_attributes.identity,
                retry_state=enums.RETRY_STATE_NON_RETRYABLE_FAILURE,
            )
            draft.record(enums.EVENT_TYPE_ACTIVITY_TASK_FAILED, attributes)
            continue
        again = pending.copy()
        again.first_scheduled_time = draft.env.now
        again.scheduled_time = draft.env.now
        if again.schedule_to_close:
            again.retry_expiration = draft.env.now + again.schedule_to_close
        draft.put_activity(again)
        activity_task.await_start(draft, again)


# -- the runs around it ------------------------------------------------------------------------------------------------


def _terminate(
    step: Step, current: Execution | None, base: Execution, successor: RunDraft, reason: str
) -> RunDraft | None:
    """End the current run if it is open; neither its parent nor its children hear of it.

    Nor does an entity that wants to know how this chain of runs ends: the new run continues it. Its completion
    callbacks wait for ever if the new run has the same ones again, but are triggered if another run was reset.
    """
    if current is None or not current.running:
        return None
    draft = step.edit(current)
    if current.info.first_run_id == successor.execution.info.first_run_id:
        internal_callbacks.hand_over(draft, successor)
    draft.execution.report_answered = True
    close.end_task_by_force(draft)
    attributes = history.WorkflowExecutionTerminatedEventAttributes(reason=reason, identity=RESETTER_IDENTITY)
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, attributes)
    _leave_children(draft, successor)
    close.closed(step, draft, begins_again=current.info.run_id == base.info.run_id)
    return draft


def _leave_children(draft: RunDraft, successor: RunDraft) -> None:
    """Children that run go on, and so does the start of one that the new run has taken over. Any other start that is
    on its way is called off by the close: nobody would ever let that child run.
    """
    for child in list(draft.execution.children.values()):
        mine = writer(draft.execution.branches, child.initiated_event_id)
        taken = child.initiated_event_id in successor.execution.children
        if child.started_event_id or (taken and mine == writer(successor.execution.branches, child.initiated_event_id)):
            left = child.copy()
            left.settled = True
            draft.put_child(left)


def _enter_chain(step: Step, draft: RunDraft) -> None:
    """The new run becomes current; the branches it shares are counted."""
    old = step.chain
    assert old is not None, "the base run has a chain"
    shared: Map[bytes, int] = old.shared_branches
    for branch, _ in draft.execution.branches[:-1]:
        shared = shared.set(branch, shared.get(branch, 1) + 1)
    step.chain = Chain(
        old.namespace_id, old.workflow_id, draft.execution.info.run_id, old.version, old.run_count + 1, shared
    )


def _take_requests_over(step: Step, current: Execution | None, draft: RunDraft) -> None:
    """Starts that were attached to a run before its reset have met the new one, which goes on for them. The start of
    another run that the reset ends stays known.
    """
    run_id = draft.execution.info.run_id
    step.start_requests += [(request_id, run_id) for request_id in request_ids.of_starts(draft.execution)]
    info = None if current is None else current.info
    if info is None or info.continued_run_id or info.create_request_id == draft.execution.info.create_request_id:
        return
    step.start_requests.append((info.create_request_id, info.run_id))


def _reapplies_signals(verb: Reset) -> bool:
    return enums.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL not in verb.excluded


def _reapply(
    step: Step,
    draft: RunDraft,
    base: Execution,
    after: list[history.HistoryEvent],
    terminated: RunDraft | None,
    verb: Reset,
) -> None:
    """Record again what came after the point: in the base run, in runs that continued it, and what waited for an id."""
    if verb.excluded >= _EVERY_KIND:
        return
    run: Execution | None = base
    events = after
    for _ in range(SUCCESSORS_MAX):
        for event in events:
            _reapply_event(draft, event, verb)
        if terminated is not None and run is not None and run.info.run_id == terminated.execution.info.run_id:
            for fragment in terminated.events:
                for event in _events(fragment):
                    _reapply_event(draft, event, verb)
        if run is None or run.status != CONTINUED_AS_NEW or not run.new_run_id:
            return
        body = step.state.histories.get(run.new_run_id, b"")
        run = step.state.runs.get(run.new_run_id)
        events = _events(body)


def _reapply_event(draft: RunDraft, event: history.HistoryEvent, verb: Reset) -> None:
    """One event of another run, if its kind is taken over."""
    links = tuple(event.links)
    if event.event_type in _OF_CHILDREN:
        _reapply_of_child(draft, event)
    elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED and _reapplies_signals(verb):
        signaled = history.WorkflowExecutionSignaledEventAttributes()
        signaled.CopyFrom(event.workflow_execution_signaled_event_attributes)
        # The copy tells what was said, not which workflow said it.
        signaled.ClearField("external_workflow_execution")
        _remember_signal(draft, event)
        draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, signaled, links=links)
    elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
        updated = event.workflow_execution_options_updated_event_attributes
        draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED, updated, links=links)
    elif enums.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE not in verb.excluded:
        _reapply_update(draft, event)


_OF_CHILDREN: dict[int, str] = {
    enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: "start_child_workflow_execution_failed_event_attributes",
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: "child_workflow_execution_started_event_attributes",
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: "child_workflow_execution_completed_event_attributes",
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: "child_workflow_execution_failed_event_attributes",
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: "child_workflow_execution_canceled_event_attributes",
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: "child_workflow_execution_timed_out_event_attributes",
    enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: "child_workflow_execution_terminated_event_attributes",
}
"""What became of children that were asked for before the point is told again, whatever is excluded."""


def _reapply_of_child(draft: RunDraft, event: history.HistoryEvent) -> None:
    attributes = getattr(event, _OF_CHILDREN[event.event_type])
    child = draft.execution.children.get(attributes.initiated_event_id)
    if child is None or child.workflow_id != _child_id(attributes):
        return
    if event.event_type == enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED and child.started_event_id:
        return
    draft.record(event.event_type, attributes)


def _child_id(attributes: Any) -> str:
    """A failed start names the child in a field of its own."""
    if isinstance(attributes, history.StartChildWorkflowExecutionFailedEventAttributes):
        return attributes.workflow_id
    workflow_id: str = attributes.workflow_execution.workflow_id
    return workflow_id


def _reapply_update(draft: RunDraft, event: history.HistoryEvent) -> None:
    """An update that the other run had taken begins anew: an event carries its request to the worker."""
    admitted = history.WorkflowExecutionUpdateAdmittedEventAttributes()
    if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
        admitted.CopyFrom(event.workflow_execution_update_admitted_event_attributes)
    elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
        accepted = event.workflow_execution_update_accepted_event_attributes
        if not accepted.HasField("accepted_request"):
            # The event that admitted it has the request, and was taken over itself.
            return
        admitted.request.CopyFrom(accepted.accepted_request)
        admitted.origin = enums.UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY
    else:
        return
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED, admitted)
