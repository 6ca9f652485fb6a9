"""StartWorkflowExecution, SignalWithStart: id policies, deduplication, the first run of a chain (semantics 2)."""

from __future__ import annotations

from perdure.api import enums, history, workflowservice
from perdure.api.times import duration_ns
from perdure.errors import ServiceError, Unavailable, WorkflowExecutionAlreadyStarted
from perdure.machines import cron, priorities
from perdure.machines.env import Env
from perdure.machines.retry import policy_of
from perdure.machines.workflow import (
    callbacks,
    close,
    internal_callbacks,
    overrides,
    runs,
    signals,
    updates,
    workflow_task,
)
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import CANCELED, FAILED, RUNNING, TERMINATED, TIMED_OUT, Execution
from perdure.machines.workflow.inputs import Signal
from perdure.machines.workflow.run_info import RunInfo, run_expiration
from perdure.machines.workflow.start_inputs import Start, StartOutcome, UpdateWithStartOutcome
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery
from perdure.machines.workflow.update_inputs import AdmitUpdate, UpdatePending, UpdateRefused, UpdateStatus

Request = workflowservice.StartWorkflowExecutionRequest
_RUNNING = "Workflow execution is already running. WorkflowId: {}, RunId: {}."
_UNSUCCESSFUL = (FAILED, CANCELED, TERMINATED, TIMED_OUT)


def started(step: Step, verb: Start) -> StartOutcome | UpdateWithStartOutcome:
    """Start a run, use the one that is there, or refuse, as the policies say (semantics 2.5, 2.6, 8.3)."""
    if verb.update is not None:
        return _with_update(step, verb, verb.update)
    return _start(step, verb)


def _with_update(step: Step, verb: Start, update: AdmitUpdate) -> UpdateWithStartOutcome:
    """Update-with-start: the update goes to the current run if it may be used, else to a new one that carries it."""
    current = step.state.current
    if current is not None:
        first = step.state.runs.get(step.state.start_requests.get(verb.request.request_id, ""))
        if first is not None and first is not current:
            known = updates.known_status(first, update.update_id)
            if known is not None:
                # The same call again: the run that it made had the update, and another has followed since.
                return UpdateWithStartOutcome(_used(first), known)
        known = updates.known_status(current, update.update_id)
        if known is not None and known.completed_event_id:
            return UpdateWithStartOutcome(_used(current), known)
        request = verb.request
        usable = (
            known is not None
            or request.request_id == current.info.create_request_id
            or request.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
        )
        if current.running and usable:
            return UpdateWithStartOutcome(_used(current), _admit(step, current, update))
    outcome = _start(step, verb)
    draft = step.drafts.get(outcome.run_id)
    if draft is None or draft.before is not None:
        if current is not None and current.running:
            raise _already_started(current, _RUNNING)
        # A start seen before, whose run the update cannot have: nothing of it may be answered as if it were new.
        raise Unavailable("Workflow was not started: StartDeduped")
    return UpdateWithStartOutcome(outcome, _admit(step, draft.execution, update))


def _used(current: Execution) -> StartOutcome:
    """The answer of a start that was not needed; like the reference's, it does not name the first run."""
    return StartOutcome(current.info.run_id, "", False, current.status)


def _admit(step: Step, execution: Execution, update: AdmitUpdate) -> UpdatePending | UpdateStatus:
    try:
        return updates.admit(step, execution, update)
    except ServiceError as error:
        raise UpdateRefused(error) from None


def _start(step: Step, verb: Start) -> StartOutcome:
    request = verb.request
    current = step.state.current
    if current is not None:
        seen = _seen_before(step, current, request)
        if seen is not None and (verb.signal is None or not current.running or _brought(step, seen, verb.signal)):
            # A repeated SignalWithStart says that it started nothing (semantics 2.6).
            seen.started = seen.started and verb.signal is None
            return seen
        if current.running:
            used = _meet_running(step, current, verb)
            if used is not None:
                return used
        else:
            _check_reuse(current, request)
    return _begin(step, verb, current)


def _seen_before(step: Step, current: Execution, request: Request) -> StartOutcome | None:
    """The answer to a start that was made already, whatever has run since."""
    if request.request_id == current.info.create_request_id:
        outcome = StartOutcome(current.info.run_id, current.info.first_run_id, True, current.status)
        outcome.eager = _eager_again(current, request)
        return outcome
    run_id = step.state.start_requests.get(request.request_id, "")
    if not run_id:
        return None
    run = step.state.runs.get(run_id)
    if run is None:
        # Its storage has been reclaimed, and with it what was known of its request.
        return None
    # A request that was only attached to the run did not start it.
    made = request.request_id == run.info.create_request_id
    outcome = StartOutcome(run_id, run.info.first_run_id, made, run.status)
    outcome.attached = not made
    return outcome


def _brought(step: Step, seen: StartOutcome, signal: Signal) -> bool:
    """Whether the start that is seen again brought this signal; a plain start may have had the same request id."""
    run = step.state.runs.get(seen.run_id)
    return seen.started and run is not None and run.signal_ids.get(signal.request_id, False)


def _eager_again(current: Execution, request: Request) -> WorkflowTaskDelivery | None:
    """A repeated start gets its eager task again as long as that is the first attempt in progress."""
    task = current.task
    if not request.request_eager_execution or task is None or task.started_event_id != 3 or task.attempt != 1:
        return None
    return workflow_task.delivery(current, task, False) if task.request_id == request.request_id else None


def _meet_running(step: Step, current: Execution, verb: Start) -> StartOutcome | None:
    """A run is open: refuse, use it, or terminate it (None: go on and start)."""
    request = verb.request
    policy = request.workflow_id_conflict_policy
    if policy == enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
        return None
    if policy == enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING:
        if verb.signal is not None:
            _signal_existing(step, current, verb)
        elif request.HasField("on_conflict_options"):
            _attach(step, current, request)
        outcome = StartOutcome(current.info.run_id, current.info.first_run_id, False, RUNNING)
        outcome.attached = verb.signal is None and request.on_conflict_options.attach_request_id
        return outcome
    raise _already_started(current, _RUNNING)


def _signal_existing(step: Step, current: Execution, verb: Start) -> None:
    signal = verb.signal
    assert signal is not None
    if signal.request_id and current.signal_ids.get(signal.request_id, False):
        return
    draft = step.edit(current)
    signals.check(draft)
    signals.record(draft, signal)
    workflow_task.schedule_if_needed(step, draft)


def _attach(step: Step, current: Execution, request: Request) -> None:
    """On-conflict options: an event that names the request if they say so, without a workflow task."""
    options = request.on_conflict_options
    attributes = history.WorkflowExecutionOptionsUpdatedEventAttributes()
    if options.attach_request_id:
        attributes.attached_request_id = request.request_id
        step.start_requests.append((request.request_id, current.info.run_id))
    draft = step.edit(current)
    if options.attach_completion_callbacks:
        callbacks.check_room(draft, len(request.completion_callbacks))
        attributes.attached_completion_callbacks.extend(request.completion_callbacks)
    links = tuple(request.links) if options.attach_links else ()
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED, attributes, links=links)


def _check_reuse(current: Execution, request: Request) -> None:
    """The current run is closed: may its id be used again?"""
    policy = request.workflow_id_reuse_policy
    if policy == enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY and current.status not in _UNSUCCESSFUL:
        raise _already_started(
            current,
            "Workflow execution already finished successfully. WorkflowId: {}, RunId: {}. "
            "Workflow Id reuse policy: allow duplicate workflow Id if last run failed.",
        )
    if policy == enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
        raise _already_started(
            current,
            "Workflow execution already finished. WorkflowId: {}, RunId: {}. "
            "Workflow Id reuse policy: reject duplicate workflow Id.",
        )


def _already_started(current: Execution, text: str) -> WorkflowExecutionAlreadyStarted:
    info = current.info
    return WorkflowExecutionAlreadyStarted(
        text.format(info.workflow_id, info.run_id), info.create_request_id, info.run_id, info.first_run_id
    )


def _begin(step: Step, verb: Start, current: Execution | None) -> StartOutcome:
    """A new run becomes the chain's current one."""
    request = verb.request
    env = step.env if current is None else step.env.at(current.last_update_time)
    backoff = _first_backoff(env, verb)
    info = _info(env, verb, env.run_id(), backoff)
    if current is not None and current.running:
        text = f"terminated by new runID: {info.run_id}"
        close.terminate_by_server(step, step.edit(current), "TerminateIfRunning WorkflowIdReusePolicy", text)
    eager = request.request_eager_execution and env.limits.eager_workflow_start and not backoff
    memo = runs.present_payloads(request.memo.fields)
    attributes = _attributes(info, verb, memo, eager)
    metadata = request.user_metadata if request.HasField("user_metadata") else None
    draft = runs.begin(step, env, info, attributes, memo, verb.search_attributes, tuple(request.links), metadata)
    internal_callbacks.attach(draft, verb.callbacks)
    if verb.signal is not None:
        signals.record(draft, verb.signal)
    outcome = StartOutcome(info.run_id, info.first_run_id, True, RUNNING)
    if verb.parent is not None:
        draft.execution.awaits_parent = True
    elif not backoff:
        workflow_task.schedule(draft)
        if eager:
            outcome.eager = _start_eagerly(draft, request)
    return outcome


def _start_eagerly(draft: RunDraft, request: Request) -> WorkflowTaskDelivery:
    task = workflow_task.start(draft, request.request_id, request.identity)
    return workflow_task.delivery(draft.execution, task, False)


def _first_backoff(env: Env, verb: Start) -> int:
    """ns until the first workflow task. A child's schedule counts from its start, which only happens here."""
    if verb.parent is None or not verb.request.cron_schedule:
        return verb.first_backoff
    return cron.backoff(cron.parse(verb.request.cron_schedule), env.now, env.now) or 0


def _info(env: Env, verb: Start, run_id: str, backoff: int) -> RunInfo:
    """Derived start values (semantics 2.2)."""
    request = verb.request
    execution_timeout: int | None = None
    if request.HasField("workflow_execution_timeout"):
        execution_timeout = duration_ns(request.workflow_execution_timeout)
    wanted = duration_ns(request.workflow_run_timeout) if request.HasField("workflow_run_timeout") else None
    timeout_of_run = runs.run_timeout(wanted, execution_timeout)
    execution_time = env.now + backoff
    execution_expiration = env.now + execution_timeout if execution_timeout else 0
    return RunInfo(
        namespace_id=env.namespace.id,
        namespace=env.namespace.name,
        workflow_id=request.workflow_id,
        run_id=run_id,
        first_run_id=run_id,
        original_run_id=run_id,
        continued_run_id="",
        create_request_id=request.request_id,
        workflow_type=request.workflow_type.name,
        task_queue=request.task_queue.name,
        start_time=env.now,
        execution_time=execution_time,
        execution_timeout=execution_timeout,
        run_timeout=timeout_of_run,
        task_timeout=runs.workflow_task_timeout(duration_ns(request.workflow_task_timeout), timeout_of_run, env.limits),
        execution_expiration=execution_expiration,
        run_expiration=run_expiration(execution_time, timeout_of_run, execution_expiration),
        attempt=1,
        retry=policy_of(request.retry_policy) if request.HasField("retry_policy") else None,
        cron_schedule=request.cron_schedule,
        root_workflow_id=verb.root[0] or request.workflow_id,
        root_run_id=verb.root[1] or run_id,
        user_metadata=request.user_metadata.SerializeToString() if request.HasField("user_metadata") else b"",
        priority=priorities.stored(request.priority) if request.HasField("priority") else b"",
        parent=verb.parent,
    )


def _attributes(info: RunInfo, verb: Start, memo: dict[str, bytes], eager: bool) -> runs.Started:
    """The Started event of a client's start (semantics 2.3)."""
    request = verb.request
    attributes = runs.started_attributes(info)
    attributes.task_queue.normal_name = request.task_queue.normal_name
    if request.task_queue.kind:
        attributes.task_queue.kind = request.task_queue.kind
    if request.HasField("input"):
        attributes.input.CopyFrom(request.input)
    if request.HasField("header"):
        attributes.header.CopyFrom(request.header)
    if request.HasField("retry_policy"):
        attributes.retry_policy.CopyFrom(request.retry_policy)
    if request.HasField("last_completion_result"):
        attributes.last_completion_result.CopyFrom(request.last_completion_result)
    if request.HasField("continued_failure"):
        attributes.continued_failure.CopyFrom(request.continued_failure)
    runs.fill_maps(attributes, memo, verb.search_attributes)
    if verb.source_stamp is not None:
        attributes.source_version_stamp.CopyFrom(verb.source_stamp)
    if request.HasField("versioning_override"):
        attributes.versioning_override.CopyFrom(overrides.newer_form(request.versioning_override))
    if request.cron_schedule:
        attributes.initiator = enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
    attributes.completion_callbacks.extend(request.completion_callbacks)
    attributes.identity = request.identity
    attributes.eager_execution_accepted = eager
    return attributes
