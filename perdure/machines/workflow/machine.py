"""The workflow machine's door: `step` takes a chain and an input, and gives what changes, what is answered and what
is owed.

Pure: the same state, input and env give the same transition. Nothing of a transition may be shown, cached as truth
or acted upon before it is stored (DESIGN 1.6). A `ServiceError` raised by `step` means that nothing changed; one
returned as the outcome means that the state changed and the caller gets the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from immutables import Map

from perdure.api import enums, failures
from perdure.errors import InvalidArgument, Unavailable
from perdure.ids import ChainKey
from perdure.machines.deadlines import more_due
from perdure.machines.env import Env
from perdure.machines.pieces import PIECE, Pieces
from perdure.machines.workflow import (
    activity_operations,
    activity_task,
    alarm,
    archive,
    callbacks,
    close,
    codec,
    completion,
    deletion,
    internal_callbacks,
    kin,
    offers,
    options,
    outbound,
    pause,
    queries,
    reset,
    signals,
    start,
    updates,
    weight,
    workflow_task,
)
from perdure.machines.workflow.activity_inputs import (
    ActivityDelivery,
    ActivityHeartbeat,
    ActivityTaskCanceled,
    ActivityTaskCompleted,
    ActivityTaskFailed,
    ActivityTaskStarted,
)
from perdure.machines.workflow.chain import Chain, ChainState
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import Answer, Effect
from perdure.machines.workflow.exchange import (
    CallbackInvoked,
    CallUndelivered,
    ChildClosed,
    ChildFirstTaskScheduled,
    ChildStarted,
    ChildStartFailed,
    ClosePolicyApplied,
    ExternalAnswered,
    InternalCallbackAnswered,
    ParentAnswered,
    ParentClosed,
    RequestSettled,
    RunArchived,
    ScheduleFirstTask,
)
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import (
    AlarmRang,
    Input,
    RequestCancel,
    ResetSticky,
    Signal,
    Snapshot,
    Stale,
    Terminate,
)
from perdure.machines.workflow.operator_inputs import (
    Delete,
    PauseActivity,
    PauseWorkflow,
    Reset,
    ResetActivity,
    UnpauseActivity,
    UnpauseWorkflow,
    UpdateActivityOptions,
    UpdateOptions,
)
from perdure.machines.workflow.query_inputs import Query, QueryAbandoned
from perdure.machines.workflow.start_inputs import Start
from perdure.machines.workflow.target import find
from perdure.machines.workflow.task_inputs import (
    WorkflowTaskCompleted,
    WorkflowTaskDelivery,
    WorkflowTaskFailed,
    WorkflowTaskStarted,
)
from perdure.machines.workflow.update_inputs import AdmitUpdate, PollUpdate, UpdateAbandoned


def _snapshot(step: Step, read: Snapshot) -> Execution:
    return find(step, read.run_id)


HANDLERS: dict[type[Input], Callable[[Step, Any], object]] = {
    Start: start.started,
    Signal: signals.signaled,
    RequestCancel: close.cancel_requested,
    Terminate: close.terminated,
    AlarmRang: alarm.rang,
    Snapshot: _snapshot,
    ResetSticky: workflow_task.reset_sticky,
    WorkflowTaskStarted: workflow_task.started,
    WorkflowTaskCompleted: completion.completed,
    WorkflowTaskFailed: completion.failed,
    ActivityTaskStarted: activity_task.started,
    ActivityTaskCompleted: activity_task.completed,
    ActivityTaskFailed: activity_task.failed,
    ActivityTaskCanceled: activity_task.canceled,
    ActivityHeartbeat: activity_task.heartbeat,
    PauseActivity: activity_operations.paused,
    UnpauseActivity: activity_operations.unpaused,
    ResetActivity: activity_operations.reset,
    Delete: deletion.deleted,
    PauseWorkflow: pause.paused,
    UnpauseWorkflow: pause.unpaused,
    Reset: reset.reset,
    UpdateOptions: options.updated,
    UpdateActivityOptions: activity_operations.options_updated,
    Query: queries.asked,
    QueryAbandoned: queries.abandoned,
    ScheduleFirstTask: kin.first_task,
    ParentClosed: kin.parent_closed,
    RequestSettled: kin.request_settled,
    ChildClosed: kin.child_closed,
    ChildStarted: kin.child_started,
    ChildStartFailed: kin.child_start_failed,
    ChildFirstTaskScheduled: kin.first_task_scheduled,
    ClosePolicyApplied: kin.close_policy_applied,
    ExternalAnswered: kin.external_answered,
    ParentAnswered: kin.parent_answered,
    InternalCallbackAnswered: internal_callbacks.answered,
    RunArchived: archive.archived,
    CallbackInvoked: callbacks.invoked,
    CallUndelivered: kin.undelivered,
    AdmitUpdate: updates.admitted,
    PollUpdate: updates.polled,
    UpdateAbandoned: updates.abandoned,
}
"""Every input and the one function that handles it."""

LONG_HANDLERS: dict[type[Input], Callable[[Step, Any], Pieces[object]]] = {
    AlarmRang: alarm.ringing,
    WorkflowTaskCompleted: completion.completing,
}
"""The same handlers in pieces, of inputs that may have thousands of things to do."""


@final
class RunDelta:
    """What a step changed in one run. `events` are `History` fragments from `first_event_id` on; `expected_version` 0
    makes the run.
    """

    __slots__ = (
        "alarm_changed",
        "events",
        "execution",
        "expected_version",
        "first_event_id",
        "reclaim",
        "reclaimed_branches",
        "rows",
        "stored",
        "visibility",
    )

    def __init__(self, draft: RunDraft, alarm_changed: bool, rows: list[codec.Row]) -> None:
        self.execution = draft.execution
        self.expected_version: int = draft.before.version if draft.before is not None else 0
        self.events = draft.events
        self.first_event_id = draft.first_event_id
        self.alarm_changed = alarm_changed
        self.rows = rows
        self.visibility = draft.visibility
        self.reclaim = draft.reclaim
        self.reclaimed_branches = draft.reclaimed_branches
        self.stored = draft.stored


@final
class Transition:
    """The result of one step. `chain` is the chain row after it, given when it must be written."""

    __slots__ = ("chain", "deltas", "effects", "outcome", "start_requests", "state")

    def __init__(
        self,
        state: ChainState,
        outcome: object,
        chain: Chain | None,
        deltas: list[RunDelta],
        effects: list[Effect],
        start_requests: list[tuple[str, str]],
    ) -> None:
        self.state = state
        self.outcome = outcome
        self.chain = chain
        self.deltas = deltas
        self.effects = effects
        self.start_requests = start_requests

    @property
    def stored(self) -> bool:
        """Whether anything must be written."""
        for delta in self.deltas:
            if delta.stored:
                return True
        return self.chain is not None


def forgotten(state: ChainState) -> list[Effect]:
    """What everybody who waits for this chain is told when its process loses it (DESIGN 1.5)."""
    effects: list[Effect] = []
    for execution in state.runs.values():
        for query in execution.queries:
            effects.append(Answer(query.waiter, Unavailable("buffered query cleared, please retry")))
        effects.extend(updates.forgotten(execution))
    return effects


def pinned(execution: Execution) -> bool:
    """Whether the run has volatile state that a caller counts on."""
    task = execution.task
    return bool(execution.queries) or (task is not None and task.speculative) or updates.holds_volatile(execution)


def step(key: ChainKey, state: ChainState, fact: Input, env: Env) -> Transition:
    """One step. `env.now` is raised to each run's last time, so an entity's clock never runs backwards."""
    current = Step(env, state, key)
    handler = HANDLERS[type(fact)]
    return _finish(current, handler(current, fact))


def pieces(key: ChainKey, state: ChainState, fact: Input, env: Env) -> Pieces[Transition]:
    """The same step in pieces, for an input that `is_long`."""
    current = Step(env, state, key)
    handler = LONG_HANDLERS[type(fact)]
    outcome = yield from handler(current, fact)
    yield
    return _finish(current, outcome)


def is_long(state: ChainState, fact: Input, now: int) -> bool:
    """Whether a step of this input would hold its process up."""
    if isinstance(fact, WorkflowTaskCompleted):
        return len(fact.request.commands) > PIECE
    if isinstance(fact, AlarmRang):
        execution = state.runs.get(fact.run_id)
        return execution is not None and more_due(execution.deadlines, now, PIECE)
    return False


def _finish(current: Step, outcome: object) -> Transition:
    """Close every draft: events get their ids, offers are made, alarms are derived."""
    if not current.drafts:
        # Nothing was edited or made: a read, a refusal, an answer to waiters.
        return Transition(current.state, outcome, None, [], current.effects, current.start_requests)
    for draft in list(current.drafts.values()):
        problem = _over_limit(draft) if draft.stored else ""
        if problem:
            refused = _terminate_over_limit(current, draft, problem)
            # Who polled did nothing wrong: there is no task for him, and he goes on polling.
            polled = isinstance(outcome, WorkflowTaskDelivery | ActivityDelivery)
            outcome = Stale() if polled else refused
            break
    deltas: list[RunDelta] = []
    for draft in current.drafts.values():
        updates.settle(current, draft)
        _settle_speculative(draft)
        if draft.stored and draft.execution.confirmed:
            draft.confirm_first_tasks()
        if draft.stored and draft.execution.forgotten:
            current.start_requests += [(name, "") for name in draft.execution.forgotten]
            draft.execution.forgotten = ()
        _settle_events(current, draft)
        offers.make(current, draft)
        outbound.send(current, draft)
        draft.queue_deadlines()
        alarm.settle(draft.execution)
        alarm_changed = _close_stored(draft) if draft.stored else False
        rows = codec.settle_parts(draft.execution, draft.touched) if draft.stored else []
        deltas.append(RunDelta(draft, alarm_changed, rows))
    chain = current.chain
    changed = chain is not None and chain is not current.state.chain
    if changed:
        assert chain is not None
        chain = Chain(
            chain.namespace_id,
            chain.workflow_id,
            chain.current_run_id,
            chain.version + 1,
            chain.run_count,
            chain.shared_branches,
        )
    runs = current.state.runs
    for delta in deltas:
        runs = runs.set(delta.execution.info.run_id, delta.execution)
    state = ChainState(chain, runs, _known_requests(current, deltas), current.state.start_events)
    return Transition(state, outcome, chain if changed else None, deltas, current.effects, current.start_requests)


def _known_requests(current: Step, deltas: list[RunDelta]) -> Map[str, str]:
    """Start request ids after the step: the store must not be asked for what may still be in flight."""
    known = current.state.start_requests
    for delta in deltas:
        made_by = delta.execution.info.create_request_id
        if not delta.expected_version and made_by in known:
            known = known.delete(made_by)
    for request_id, run_id in current.start_requests:
        known = known.set(request_id, run_id)
    return known


def _settle_speculative(draft: RunDraft) -> None:
    """A speculative workflow task is never stored: a step that stores anything else makes it normal (semantics 3.6)."""
    execution = draft.execution
    task = execution.task
    if task is not None and task.speculative and draft.stored and not draft.stays_speculative:
        workflow_task.make_normal(draft)


def _settle_events(current: Step, draft: RunDraft) -> None:
    """Buffered events get their ids now, unless a workflow task is running: then they wait for it (semantics 0.1,
    0.3).
    """
    execution = draft.execution
    task = execution.task
    if execution.running and task is not None and task.started_event_id and draft.pending:
        limits = draft.env.limits
        count = len(execution.buffered) + len(draft.pending)
        size = sum(len(entry.body) for entry in execution.buffered) + sum(e.ByteSize() for e in draft.pending)
        if count <= limits.buffered_events and size <= limits.buffered_events_size:
            draft.store_buffer()
            return
        workflow_task.fail(
            draft, enums.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, None, workflow_task.SERVER_IDENTITY
        )
        draft.flush()
        workflow_task.schedule_if_needed(current, draft)
    if not (execution.running and execution.task is not None and execution.task.started_event_id):
        draft.flush()


def _close_stored(draft: RunDraft) -> bool:
    """The book-keeping of a stored step; says whether the alarm column must be written."""
    execution = draft.execution
    execution.version += 1
    if not draft.realarm:
        execution.transition_count += 1
        execution.last_update_time = draft.env.now
    due = alarm.durable_alarm(execution)
    stored = execution.alarm
    wanted = 0 if due >= alarm.NEVER else due
    if draft.before is not None and not draft.realarm:
        if wanted == stored or (stored and stored <= due and due - stored <= alarm.ALARM_SLACK):
            return False
        if stored and not wanted and execution.running:
            # Nothing is due at all: an early alarm costs one look after a restart, moving it an index write now.
            return False
    execution.alarm = wanted
    return True


def _over_limit(draft: RunDraft) -> str:
    """Why this run must be terminated, "" when it need not be (semantics 0.1).

    Bytes are counted before the step, events after it, as the reference does; a step that stores nothing is no matter.
    """
    execution = draft.execution
    limits = draft.env.limits
    if not execution.running or draft.before is None:
        return ""
    if draft.before.history_size > limits.history_size:
        return failures.HISTORY_SIZE_EXCEEDS_LIMIT
    if execution.next_event_id - 1 > limits.history_count:
        return failures.HISTORY_COUNT_EXCEEDS_LIMIT
    task = execution.task
    waiting = sum([event.ByteSize() for event in draft.pending]) if task is not None and task.started_event_id else 0
    if weight.exceeds(execution, waiting, limits.mutable_state_size):
        return failures.MUTABLE_STATE_SIZE_EXCEEDS_LIMIT
    return ""


def _terminate_over_limit(current: Step, draft: RunDraft, reason: str) -> InvalidArgument:
    fresh = current.discard(draft)
    task = fresh.execution.task
    if task is not None and task.speculative:
        # Its events, which nobody has stored, would be more of what is too much already.
        fresh.execution.task = None
    close.terminate_by_server(current, fresh, reason)
    return InvalidArgument(reason)
