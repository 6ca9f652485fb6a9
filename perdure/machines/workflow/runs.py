"""Making runs: the first of a chain, and those that continue it (semantics 2.2, 2.3, 10.1, 10.2)."""

from __future__ import annotations

from collections.abc import Mapping

from perdure.api import common, enums, failure, history, sdk
from perdure.api.times import set_duration, timestamp_of
from perdure.machines import priorities
from perdure.machines.env import Env, Limits
from perdure.machines.retry import policy_of
from perdure.machines.workflow import callbacks, internal_callbacks, reset_points
from perdure.machines.workflow.apply import says_nothing
from perdure.machines.workflow.chain import Chain
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.run_info import RunInfo, run_expiration

Started = history.WorkflowExecutionStartedEventAttributes
ContinuedAsNew = history.WorkflowExecutionContinuedAsNewEventAttributes


def run_timeout(requested: int | None, execution_timeout: int | None) -> int | None:
    """The run timeout in ns after normalisation: unset means the execution timeout, which also caps it (semantics
    2.1).
    """
    if not execution_timeout:
        return requested
    return min(requested, execution_timeout) if requested else execution_timeout


def workflow_task_timeout(requested: int, timeout_of_run: int | None, limits: Limits) -> int:
    """The workflow task timeout in ns after normalisation."""
    timeout = min(requested or limits.default_workflow_task_timeout, limits.workflow_task_timeout_max)
    return min(timeout, timeout_of_run) if timeout_of_run else timeout


def begin(
    step: Step,
    env: Env,
    info: RunInfo,
    started: Started,
    memo: dict[str, bytes],
    search_attributes: dict[str, bytes],
    links: tuple[common.Link, ...] = (),
    user_metadata: sdk.UserMetadata | None = None,
) -> RunDraft:
    """A new run that becomes the chain's current one, with its first event recorded. The caller decides about its
    first task.
    """
    execution = Execution(info)
    draft = step.create(execution, env)
    _supersede(step)
    old = step.chain
    if old is None or not old.run_count:
        step.chain = Chain(info.namespace_id, info.workflow_id, info.run_id, 0)
    else:
        step.chain = Chain(
            info.namespace_id, info.workflow_id, info.run_id, old.version, old.run_count + 1, old.shared_branches
        )
    draft.record(
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        started,
        links=links,
        user_metadata=user_metadata,
        time=info.start_time,
    )
    for key, payload in memo.items():
        draft.put_memo(key, payload)
    for name, payload in search_attributes.items():
        draft.put_search_attribute(name, payload)
    return draft


def _supersede(step: Step) -> None:
    """The start request id of the run that was current moves into the chain's keyed parts, if a client chose it."""
    if step.chain is None:
        return
    current = step.state.runs.get(step.chain.current_run_id)
    if current is not None and not current.info.continued_run_id:
        step.start_requests.append((current.info.create_request_id, current.info.run_id))


def started_attributes(info: RunInfo) -> Started:
    """The fields of the Started event that follow from the run's info."""
    attributes = Started()
    attributes.workflow_type.name = info.workflow_type
    if info.execution_timeout is not None:
        set_duration(attributes.workflow_execution_timeout, info.execution_timeout)
    if info.run_timeout is not None:
        set_duration(attributes.workflow_run_timeout, info.run_timeout)
    set_duration(attributes.workflow_task_timeout, info.task_timeout)
    attributes.original_execution_run_id = info.original_run_id
    attributes.first_execution_run_id = info.first_run_id
    attributes.continued_execution_run_id = info.continued_run_id
    attributes.attempt = info.attempt
    attributes.cron_schedule = info.cron_schedule
    set_duration(attributes.first_workflow_task_backoff, info.execution_time - info.start_time)
    attributes.workflow_id = info.workflow_id
    attributes.task_queue.name = info.task_queue
    attributes.task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    if info.execution_expiration:
        attributes.workflow_execution_expiration_time.CopyFrom(timestamp_of(info.execution_expiration))
    if info.priority:
        attributes.priority.MergeFromString(info.priority)
    parent = info.parent
    if parent is not None:
        attributes.parent_workflow_namespace = parent.namespace
        attributes.parent_workflow_namespace_id = parent.namespace_id
        attributes.parent_workflow_execution.workflow_id = parent.workflow_id
        attributes.parent_workflow_execution.run_id = parent.run_id
        attributes.parent_initiated_event_id = parent.initiated_event_id
        attributes.root_workflow_execution.workflow_id = info.root_workflow_id
        attributes.root_workflow_execution.run_id = info.root_run_id
    return attributes


def successor_info(
    previous: RunInfo,
    env: Env,
    backoff: int,
    attempt: int,
    retry: common.RetryPolicy | None,
    workflow_type: str,
    task_queue: str,
    timeout_of_run: int | None,
    timeout_of_task: int,
    priority: bytes,
    cron_schedule: str = "",
) -> RunInfo:
    """The info of the run that continues a chain; the execution's deadline is absolute and not prolonged."""
    run_id = env.run_id()
    execution_time = env.now + backoff
    return RunInfo(
        namespace_id=previous.namespace_id,
        namespace=previous.namespace,
        workflow_id=previous.workflow_id,
        run_id=run_id,
        first_run_id=previous.first_run_id,
        original_run_id=run_id,
        continued_run_id=previous.run_id,
        create_request_id=env.request_id(),
        workflow_type=workflow_type,
        task_queue=task_queue,
        start_time=env.now,
        execution_time=execution_time,
        execution_timeout=previous.execution_timeout,
        run_timeout=timeout_of_run,
        task_timeout=timeout_of_task,
        execution_expiration=previous.execution_expiration,
        run_expiration=run_expiration(execution_time, timeout_of_run, previous.execution_expiration),
        attempt=attempt,
        retry=policy_of(retry) if retry is not None else None,
        cron_schedule=cron_schedule,
        root_workflow_id=previous.root_workflow_id,
        root_run_id=run_id if previous.root_run_id == previous.run_id else previous.root_run_id,
        user_metadata=b"",
        priority=priority,
        parent=previous.parent,
    )


def minimum_backoff(previous: Execution, env: Env, requested: int) -> int:
    """A chain's runs begin at least a second apart, so a tight loop of runs cannot spin (semantics 10.1)."""
    info = previous.info
    # A delayed run that something woke before its time has lived since its start.
    lifetime = env.now - (info.execution_time if info.execution_time <= env.now else info.start_time)
    minimal = env.limits.reuse_minimal_interval
    return requested if lifetime + requested >= minimal else minimal - lifetime


def start_event(step: Step, run_id: str) -> history.HistoryEvent:
    """A run's first event, which the engine has loaded for this step (`needs.py`)."""
    source = step.state.start_events.get(run_id)
    assert source is not None, "the engine loads the start event for a retry (needs.py)"
    return history.HistoryEvent.FromString(source)


def continue_chain(step: Step, draft: RunDraft, interval: int, reason: failure.Failure) -> str:
    """The run that retries a failed one with the input of its start; returns its id (semantics 10.2)."""
    backoff = minimum_backoff(draft.execution, draft.env, interval)
    timed_out = reason.HasField("timeout_failure_info")
    return _begin_again(step, draft, backoff, draft.execution.info.attempt + 1, reason, None, timed_out)


def next_cron_run(
    step: Step, draft: RunDraft, backoff: int, reason: failure.Failure | None, result: common.Payloads | None
) -> str:
    """The chain's next run by its schedule; returns its id. Without a result the last one is carried on (10.3)."""
    return _begin_again(step, draft, backoff, 1, reason, result, result is None and reason is not None)


def _begin_again(
    step: Step,
    draft: RunDraft,
    backoff: int,
    attempt: int,
    reason: failure.Failure | None,
    result: common.Payloads | None,
    carry_result: bool,
) -> str:
    """A run with the input of the one that ends. Attempt 1 is the schedule's, a later one the retry policy's."""
    execution = draft.execution
    previous = execution.info
    event = start_event(step, previous.run_id)
    old = event.workflow_execution_started_event_attributes
    env = draft.env
    info = successor_info(
        previous,
        env,
        backoff,
        attempt,
        old.retry_policy if old.HasField("retry_policy") else None,
        previous.workflow_type,
        previous.task_queue,
        previous.run_timeout,
        previous.task_timeout,
        priorities.stored(old.priority) if old.HasField("priority") else b"",
        previous.cron_schedule,
    )
    attributes = started_attributes(info)
    if old.HasField("input"):
        attributes.input.CopyFrom(old.input)
    if old.HasField("header"):
        attributes.header.CopyFrom(old.header)
    if old.HasField("retry_policy"):
        attributes.retry_policy.CopyFrom(old.retry_policy)
    attributes.initiator = (
        enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE if attempt == 1 else enums.CONTINUE_AS_NEW_INITIATOR_RETRY
    )
    if reason is not None:
        attributes.continued_failure.CopyFrom(reason)
    if result is not None:
        attributes.last_completion_result.CopyFrom(result)
    elif carry_result and old.HasField("last_completion_result"):
        attributes.last_completion_result.CopyFrom(old.last_completion_result)
    # Memo, search attributes and priority start over as the failed run began, whatever was made of them since.
    if old.HasField("memo"):
        attributes.memo.CopyFrom(old.memo)
    if old.HasField("search_attributes"):
        attributes.search_attributes.CopyFrom(old.search_attributes)
    hand_over_reset_points(draft, attributes)
    if attempt > 1:
        callbacks.take_along(execution, attributes)
    memo = present_payloads(old.memo.fields)
    found = present_payloads(old.search_attributes.indexed_fields)
    internal_callbacks.hand_over(draft, begin(step, env, info, attributes, memo, found, tuple(event.links)))
    return info.run_id


def present_payloads(fields: Mapping[str, common.Payload]) -> dict[str, bytes]:
    """Serialized payloads by key, without those that say nothing (semantics 2.3)."""
    return {key: payload.SerializeToString() for key, payload in fields.items() if not says_nothing(payload.data)}


def hand_over_reset_points(draft: RunDraft, started: Started) -> None:
    """Give the next run the reset points of the chain so far; those of this run now expire with it (semantics 1.1)."""
    execution = draft.execution
    expire_time = draft.env.now + draft.env.namespace.retention
    execution.reset_points = tuple(
        [
            point.expiring(expire_time) if point.run_id == execution.info.run_id else point
            for point in execution.reset_points
        ]
    )
    started.prev_auto_reset_points.SetInParent()
    for point in execution.reset_points:
        started.prev_auto_reset_points.points.append(reset_points.message(point))


def fill_maps(
    attributes: Started | ContinuedAsNew, memo: dict[str, bytes], search_attributes: dict[str, bytes]
) -> None:
    """Memo and search attributes as the event shows them."""
    for key, payload in memo.items():
        attributes.memo.fields[key].MergeFromString(payload)
    for name, payload in search_attributes.items():
        attributes.search_attributes.indexed_fields[name].MergeFromString(payload)
