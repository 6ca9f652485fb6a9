"""Updates of a run: admitted, sent to a worker, accepted, and how each of them ends (semantics 8.2).

Before its acceptance an update is volatile: a crash takes it, its caller is told to come again. Afterwards it is a fold
of history, its outcome an event that is found by the update's id. Callers get their answers as effects, so after the
commit that makes them true. What a worker's messages do stands in `commands/protocol_message.py`.
"""

from __future__ import annotations

from typing import Final

from perdure.api import common, enums, failures, history, update
from perdure.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    WorkflowNotReady,
)
from perdure.machines.env import Limits
from perdure.machines.workflow import callbacks, workflow_task
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import Answer, Effect
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.pending_task import FAILING_FROM_ATTEMPT
from perdure.machines.workflow.pending_update import ACCEPTED, ADMITTED, SENT, PendingUpdate, UpdateWaiter
from perdure.machines.workflow.target import ALREADY_COMPLETED, find
from perdure.machines.workflow.update_inputs import (
    AdmitUpdate,
    PollUpdate,
    UpdateAbandoned,
    UpdateLost,
    UpdatePending,
    UpdateStatus,
)

STAGE_ADMITTED: Final = int(enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED)
STAGE_ACCEPTED: Final = int(enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED)
STAGE_COMPLETED: Final = int(enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED)
_AWAITED: Final = (STAGE_ACCEPTED, STAGE_COMPLETED)
"""Who names another stage, also one that does not exist, is told at once how far the update has come."""

ABORTED_BY_CLOSE = "workflow update was aborted by closing workflow"
CLOSING = "workflow operation can not be applied because workflow is closing"


# -- what clients ask ----------------------------------------------------------------------------------------------


def admitted(step: Step, ask: AdmitUpdate) -> UpdatePending | UpdateStatus:
    """UpdateWorkflowExecution, in the order of the checks of semantics 8.2."""
    execution = find(step, ask.run_id)
    if ask.first_run_id and ask.first_run_id != execution.info.first_run_id:
        raise NotFound("workflow execution not found")
    return admit(step, execution, ask)


def admit(step: Step, execution: Execution, ask: AdmitUpdate) -> UpdatePending | UpdateStatus:
    """Attach to the update if it is known, else admit it and see to a workflow task that carries it."""
    if not execution.running:
        known = known_status(execution, ask.update_id)
        if known is None:
            raise NotFound(ALREADY_COMPLETED)
        return known
    if execution.paused:
        raise FailedPrecondition("Workflow is paused. Cannot update the workflow.")
    if execution.task_attempt >= FAILING_FROM_ATTEMPT:
        raise WorkflowNotReady("Unable to perform workflow execution update due to Workflow Task in failed state.")
    task = execution.task
    if execution.close_attempted and task is not None and task.started_event_id:
        raise ResourceExhausted(CLOSING, enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW)
    if ask.callbacks and not ask.request_id:
        raise InvalidArgument("invalid *update.Request: request_id is required when completion_callbacks are set")
    if execution.completed_updates.get(ask.update_id, 0):
        # Its callers are told by the answer.
        return _attach(step, execution, ask.update_id, ask.stage, ask.waiter)
    pending = find_pending(execution, ask.update_id)
    if pending is not None:
        if ask.callbacks:
            execution = _attach_callbacks(step, execution, pending, ask)
        return _attach(step, execution, ask.update_id, ask.stage, ask.waiter)
    limits = step.env.limits
    check_in_flight(execution, limits)
    check_total(execution, limits)
    if limits.updates_in_flight_size and in_flight_size(execution) + len(ask.request) >= limits.updates_in_flight_size:
        raise ResourceExhausted(
            "limit on total payload size of in-flight updates has been reached "
            f"({limits.updates_in_flight_size} bytes)",
            enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
        )
    callbacks.check_room_of_update(execution, limits, ask.update_id, len(ask.callbacks))
    draft = step.edit(execution)
    waits = ask.stage in _AWAITED
    waiters = (UpdateWaiter(ask.waiter, ask.stage),) if waits else ()
    draft.put_update(PendingUpdate(ask.update_id, ADMITTED, ask.request, waiters=waiters))
    if draft.execution.task is None and not draft.execution.awaits_parent:
        workflow_task.schedule_speculative(draft)
    return UpdatePending(execution.info.run_id) if waits else UpdateStatus(execution.info.run_id, STAGE_ADMITTED)


def _attach_callbacks(step: Step, execution: Execution, pending: PendingUpdate, ask: AdmitUpdate) -> Execution:
    """A further caller's callbacks: into history if the update is there, else with its acceptance. Returns the draft's
    run, which knows them.
    """
    draft = step.edit(execution)
    if any(request_id == ask.request_id for request_id, _ in pending.attached):
        return draft.execution
    if any(request_id == ask.request_id for request_id, _, _ in execution.request_ids):
        return draft.execution
    count = len(ask.callbacks) + sum([len(bodies) for _, bodies in pending.attached])
    callbacks.check_room_of_update(execution, step.env.limits, ask.update_id, count)
    if pending.state == ACCEPTED:
        record_callbacks(draft, ask.update_id, ask.request_id, ask.callbacks)
    else:
        draft.put_update(pending.with_attached(ask.request_id, ask.callbacks))
    return draft.execution


def record_callbacks(draft: RunDraft, update_id: str, request_id: str, bodies: tuple[bytes, ...]) -> None:
    """An event that names a further caller's request and serialized callbacks."""
    attributes = history.WorkflowExecutionOptionsUpdatedEventAttributes()
    added = attributes.workflow_update_options.add(update_id=update_id, attached_request_id=request_id)
    added.attached_completion_callbacks.extend([common.Callback.FromString(body) for body in bodies])
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED, attributes)


def polled(step: Step, ask: PollUpdate) -> UpdatePending | UpdateStatus:
    """PollWorkflowExecutionUpdate."""
    execution = find(step, ask.run_id)
    if find_pending(execution, ask.update_id) is None and not execution.completed_updates.get(ask.update_id, 0):
        raise NotFound(f'update "{ask.update_id}" not found')
    return _attach(step, execution, ask.update_id, ask.stage, ask.waiter)


def abandoned(step: Step, fact: UpdateAbandoned) -> UpdateStatus:
    """A caller has gone or will wait no longer; the update itself goes on."""
    execution = find(step, fact.run_id)
    pending = find_pending(execution, fact.update_id)
    if pending is not None and any(waiter.number == fact.waiter for waiter in pending.waiters):
        left = tuple([waiter for waiter in pending.waiters if waiter.number != fact.waiter])
        step.edit(execution).put_update(pending.awaited_by(left))
    found = known_status(execution, fact.update_id)
    if found is None:
        raise NotFound(f'update "{fact.update_id}" not found')
    return found


def find_pending(execution: Execution, update_id: str) -> PendingUpdate | None:
    """The update that is on its way, if it is known."""
    for pending in execution.updates:
        if pending.update_id == update_id:
            return pending
    return None


def known_status(execution: Execution, update_id: str) -> UpdateStatus | None:
    """How far an update has come, None when the run does not know it."""
    run_id = execution.info.run_id
    event_id = execution.completed_updates.get(update_id, 0)
    if event_id:
        return UpdateStatus(run_id, STAGE_COMPLETED, b"", event_id, execution.branches)
    pending = find_pending(execution, update_id)
    if pending is None:
        return None
    if pending.state != ACCEPTED:
        return UpdateStatus(run_id, STAGE_ADMITTED)
    if not execution.running:
        return UpdateStatus(run_id, STAGE_COMPLETED, _outcome_of_closed())
    return UpdateStatus(run_id, STAGE_ACCEPTED)


def _attach(step: Step, execution: Execution, update_id: str, stage: int, waiter: int) -> UpdatePending | UpdateStatus:
    """The status, if it will do; else the caller joins those who wait."""
    status = known_status(execution, update_id)
    assert status is not None, "the caller has found the update"
    if status.stage >= stage or stage not in _AWAITED:
        return status
    pending = find_pending(execution, update_id)
    assert pending is not None, "an update without an outcome is on its way"
    waiters = (*pending.waiters, UpdateWaiter(waiter, stage))
    step.edit(execution).put_update(pending.awaited_by(waiters))
    return UpdatePending(execution.info.run_id)


# -- limits --------------------------------------------------------------------------------------------------------


def in_flight_size(execution: Execution) -> int:
    """Bytes of all updates that are on their way."""
    return sum([pending.size for pending in execution.updates])


def check_in_flight(execution: Execution, limits: Limits) -> None:
    """Raises ResourceExhausted when too many updates are on their way."""
    if limits.updates_in_flight and len(execution.updates) >= limits.updates_in_flight:
        raise ResourceExhausted(
            f"limit on number of concurrent in-flight updates has been reached ({limits.updates_in_flight})",
            enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
        )


def check_total(execution: Execution, limits: Limits) -> None:
    """Raises FailedPrecondition when the run has had its updates."""
    if limits.updates_total and len(execution.updates) + execution.update_count >= limits.updates_total:
        raise FailedPrecondition(
            "The limit on the total number of distinct updates in this workflow has been reached "
            f"({limits.updates_total}). Make sure any duplicate updates share an Update ID so the server can "
            "deduplicate them, and consider rejecting updates that you aren't going to process. You can also "
            "Continue-as-New to avoid this; we recommend you check Continue-as-New Suggested in your Workflow."
        )


# -- ends ----------------------------------------------------------------------------------------------------------


def answer(step: Step, execution: Execution, pending: PendingUpdate, outcome: bytes) -> None:
    """The update has its outcome: everybody who waits hears it."""
    status = UpdateStatus(execution.info.run_id, STAGE_COMPLETED, outcome)
    step.effects.extend([Answer(waiter.number, status) for waiter in pending.waiters])


def _refuse(step: Step, draft: RunDraft, pending: PendingUpdate, outcome: ServiceError) -> None:
    step.effects.extend([Answer(waiter.number, outcome) for waiter in pending.waiters])
    draft.drop_update(pending.update_id)


def reject_unprocessed(step: Step, draft: RunDraft) -> None:
    """The worker completed its task without a word about updates that it was sent: the server rejects them.

    What history tells of a worker has seen, also if this process has forgotten since that it was sent: otherwise who
    ignores updates would get task after task wherever memory is short.
    """
    for pending in draft.execution.updates:
        if pending.state == SENT or (pending.state == ADMITTED and pending.admitted_event):
            failure = failures.application_failure(
                "Workflow Update is rejected because it wasn't processed by worker. "
                "Probably, Workflow Update is not supported by the worker.",
                "UnprocessedUpdate",
                non_retryable=True,
            )
            failure.source = failures.SOURCE_SERVER
            answer(step, draft.execution, pending, update.Outcome(failure=failure).SerializeToString())
            draft.drop_update(pending.update_id)


def task_failed(step: Step, draft: RunDraft) -> None:
    """The server failed the workflow task: updates that the workflow has seen are not sent again, but for those that
    history tells of, which are not lost to a worker's mistake.
    """
    for pending in draft.execution.updates:
        if pending.state == SENT and pending.recorded:
            draft.put_update(pending.at(ADMITTED))
        elif pending.state == SENT:
            text = "Unable to perform workflow execution update due to unexpected workflow task failure."
            _refuse(step, draft, pending, WorkflowNotReady(text))


def settle(step: Step, draft: RunDraft) -> None:
    """At the end of a step: tell who waited for an acceptance, and everybody when the run has closed."""
    execution = draft.execution
    if not execution.updates:
        return
    if not execution.running:
        _abort(step, draft)
        return
    for pending in execution.updates:
        if pending.state != ACCEPTED or not pending.waiters:
            continue
        left = tuple([waiter for waiter in pending.waiters if waiter.stage > STAGE_ACCEPTED])
        if len(left) < len(pending.waiters):
            status = UpdateStatus(execution.info.run_id, STAGE_ACCEPTED)
            told = [waiter for waiter in pending.waiters if waiter.stage <= STAGE_ACCEPTED]
            step.effects.extend([Answer(waiter.number, status) for waiter in told])
            draft.put_update(pending.awaited_by(left))


def _abort(step: Step, draft: RunDraft) -> None:
    """The run has closed: accepted updates fail, the callers of others are sent away."""
    execution = draft.execution
    for pending in execution.updates:
        if pending.state == ACCEPTED:
            if pending.waiters:
                answer(step, execution, pending, _outcome_of_closed())
                draft.put_update(pending.awaited_by(()))
        elif execution.new_run_id:
            # A caller who comes again finds the next run.
            _refuse(step, draft, pending, ResourceExhausted(CLOSING, enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW))
        else:
            _refuse(step, draft, pending, NotFound(ABORTED_BY_CLOSE))


def _outcome_of_closed() -> bytes:
    return update.Outcome(failure=failures.update_outlived_by_run()).SerializeToString()


def forgotten(execution: Execution) -> list[Effect]:
    """What callers are told when this process loses the run: accepted updates go on without it."""
    effects: list[Effect] = []
    for pending in execution.updates:
        outcome: object = UpdateLost(Unavailable("workflow update was aborted"))
        if pending.state == ACCEPTED:
            outcome = UpdateStatus(execution.info.run_id, STAGE_ACCEPTED)
        effects.extend([Answer(waiter.number, outcome) for waiter in pending.waiters])
    return effects


def holds_volatile(execution: Execution) -> bool:
    """Whether a caller waits, who would be sent away with this process.

    An update that nobody waits for and history does not know may be forgotten when memory is short: its worker's answer
    brings it back, and a caller asks again until it is accepted.
    """
    return any(pending.waiters for pending in execution.updates)
