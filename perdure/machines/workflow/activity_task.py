"""The life of an activity attempt: offered, started, heartbeating, ended, retried, timed out (semantics 5).

An attempt leaves no event before the activity's last one; until then everything is unrecorded state. Nobody is called
here: an offer is an effect, a waiting attempt is an obligation (`draft.owe`), a timeout is an entry of the heap.

For every pending activity the heap holds an entry no later than `next_deadline`. One early or stale costs one look.
"""

from __future__ import annotations

from perdure.api import common, enums, failure, failures, history
from perdure.errors import InvalidArgument, NotFound
from perdure.ids import ChainKey
from perdure.machines import priorities, retry
from perdure.machines.deadlines import ACTIVITY, pop, push
from perdure.machines.priorities import effective
from perdure.machines.task_queue import ACTIVITY as ACTIVITY_QUEUE
from perdure.machines.task_queue import QueueKey, Task
from perdure.machines.workflow import rules, workflow_task
from perdure.machines.workflow.activity_inputs import (
    ActivityDelivery,
    ActivityHeartbeat,
    ActivityTarget,
    ActivityTaskCanceled,
    ActivityTaskCompleted,
    ActivityTaskFailed,
    ActivityTaskStarted,
    HeartbeatOutcome,
)
from perdure.machines.workflow.builds import build_id_of
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import OfferTask
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Stale
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.target import find_running
from perdure.machines.workflow.task_token import TaskToken

ACTIVITY_NOT_FOUND = "invalid activityID or activity already timed out or invoking workflow is completed"
CANCEL_NOT_REQUESTED = "unable to mark activity as canceled without activity being request canceled first"
FAILURE_KIND_MISSING = "Failure must have ApplicationFailureInfo."


# -- deadlines and offers ----------------------------------------------------------------------------------------------


TRAVEL_GRACE = 200_000_000
"""A worker measures its attempt from when the task reaches it, and its answer travels: what it sends in time by its own
clock must not be too late here. Start-to-close and heartbeat timeouts strike this much later, ns (decision 008).
"""


def next_deadline(pending: Activity, held: bool) -> int | None:
    """When `due` must look at this activity next (ns since the epoch): to offer it, else for its earliest timeout.

    A paused activity is neither offered nor timed out (semantics 5.7), one of a paused run (`held`) is not offered.
    """
    if pending.pause is not None:
        return None
    timeout = _next_timeout(pending)
    if pending.started_time or pending.offered or held:
        return timeout[0] if timeout is not None else None
    return min(pending.scheduled_time, timeout[0]) if timeout is not None else pending.scheduled_time


def _next_timeout(pending: Activity) -> tuple[int, int] | None:
    """(deadline, `enums.TimeoutType`) of the timeout that strikes first; equal deadlines go by type (semantics 5.6)."""
    first: tuple[int, int] | None = None
    if pending.schedule_to_close:
        first = (pending.first_scheduled_time + pending.schedule_to_close, enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
    if not pending.started_time:
        if pending.schedule_to_start:
            waiting = (pending.scheduled_time + pending.schedule_to_start, enums.TIMEOUT_TYPE_SCHEDULE_TO_START)
            first = waiting if first is None else min(first, waiting)
        return first
    if pending.start_to_close:
        running = (pending.started_time + pending.start_to_close + TRAVEL_GRACE, enums.TIMEOUT_TYPE_START_TO_CLOSE)
        # An attempt may start in the write that schedules it, which the reference cannot: there it starts later, so
        # that of two deadlines equal here schedule-to-close strikes first.
        first = running if first is None or running[0] < first[0] else first
    if pending.heartbeat_timeout:
        last_sign = max(pending.started_time, pending.heartbeat_time)
        silent = (last_sign + pending.heartbeat_timeout + TRAVEL_GRACE, enums.TIMEOUT_TYPE_HEARTBEAT)
        first = silent if first is None else min(first, silent)
    return first


def await_start(draft: RunDraft, pending: Activity) -> None:
    """Owe an attempt that has just been scheduled. The caller offers it; its timeouts run from now."""
    draft.owe(pending.scheduled_time, pending.scheduled_event_id)
    timeout = _next_timeout(pending)
    if timeout is not None:
        draft.deadline(timeout[0], ACTIVITY, pending.scheduled_event_id)


def offer(step: Step, draft: RunDraft, pending: Activity) -> None:
    """Ask for the attempt to be offered to matching after the commit. The mark is volatile: alone it costs no write."""
    step.effects.append(OfferTask(task_of(step.key, draft.execution, pending)))
    marked = pending.copy()
    marked.offered = True
    execution = draft.execution
    execution.activities = execution.activities.set(marked.scheduled_event_id, marked)


def task_of(key: ChainKey, execution: Execution, pending: Activity) -> Task:
    """The attempt as matching knows it."""
    info = execution.info
    expires = pending.scheduled_time + pending.schedule_to_start if pending.schedule_to_start else None
    urgency, fairness_key, fairness_weight = effective(info.priority, pending.priority)
    return Task(
        queue=QueueKey(info.namespace_id, pending.task_queue, ACTIVITY_QUEUE, False),
        chain=key,
        run_id=info.run_id,
        scheduled_event_id=pending.scheduled_event_id,
        attempt=pending.attempt,
        stamp=pending.stamp,
        priority=urgency,
        created_ns=pending.scheduled_time,
        expires_ns=expires,
        fairness_key=fairness_key,
        fairness_weight=fairness_weight,
        build_id=build_id_of(execution) if pending.own_build else None,
    )


def offer_owed(step: Step, draft: RunDraft) -> None:
    """Offer every attempt that is due and not offered: its owner has just loaded the run (DESIGN 1.9).

    Looks at the due end of `owed` only, and rids it of entries whose attempt has started or been superseded.
    """
    execution = draft.execution
    if not execution.running or execution.paused:
        return
    heap = execution.owed
    kept: list[tuple[int, int]] = []
    while heap is not None and heap.when <= draft.env.now:
        pending = execution.activities.get(heap.key)
        if pending is not None and still_owed(pending, heap.when):
            kept.append((heap.when, heap.key))
            if not pending.offered:
                offer(step, draft, pending)
        heap = pop(heap)
    for when, key in kept:
        heap = push(heap, when, 0, key)
    execution.owed = heap


def still_owed(pending: Activity, when: int) -> bool:
    """Whether an entry of `owed` at `when` still speaks of this activity's current attempt."""
    return not pending.started_time and pending.pause is None and pending.scheduled_time == when


def due(step: Step, draft: RunDraft, scheduled_event_id: int) -> bool:
    """An entry for this activity has surfaced and been taken off `execution.deadlines`: do what is due now.

    Fires its earliest timeout, or offers the attempt whose time has come. A timeout that another entry precedes goes
    back into the heap, so that all fire in the order (deadline, event id, type) of semantics 5.6. What must be looked
    at again is in the heap afterwards, so the caller pops until the head lies in the future. True when an event was
    recorded: the caller then schedules one workflow task for all.
    """
    execution = draft.execution
    now = draft.env.now
    heap = execution.deadlines
    while heap is not None and heap.key == scheduled_event_id and heap.kind == ACTIVITY and heap.when <= now:
        heap = pop(heap)
    execution.deadlines = heap
    pending = execution.activities.get(scheduled_event_id)
    if pending is None or pending.pause is not None or not execution.running:
        return False
    recorded = False
    timeout = _next_timeout(pending)
    if timeout is not None and timeout[0] <= now:
        if heap is not None and (heap.when, heap.kind, heap.key) < (timeout[0], ACTIVITY, scheduled_event_id):
            draft.deadline(timeout[0], ACTIVITY, scheduled_event_id)
            return False
        recorded = _time_out(draft, pending, timeout[1])
    elif to_offer(execution, pending, now) and not (pending.attempt > 1 and rules.paused_at_start(draft, pending)):
        offer(step, draft, pending)
    after = execution.activities.get(scheduled_event_id)
    following = next_deadline(after, execution.paused) if after is not None else None
    if following is not None:
        draft.deadline(following, ACTIVITY, scheduled_event_id)
    return recorded


def to_offer(execution: Execution, pending: Activity, now: int) -> bool:
    """Whether the attempt is to be offered to matching now, and was not yet."""
    waits = not pending.started_time and not pending.offered and pending.pause is None
    return waits and not execution.paused and pending.scheduled_time <= now


def replace(draft: RunDraft, old: Activity, new: Activity) -> None:
    """Store the changed activity; a deadline that came nearer gets an entry, one that moved away has an early one."""
    draft.put_activity(new)
    held = draft.execution.paused
    before = next_deadline(old, held)
    after = next_deadline(new, held)
    if after is not None and (before is None or after < before):
        draft.deadline(after, ACTIVITY, new.scheduled_event_id)


# -- start -------------------------------------------------------------------------------------------------------------


def started(step: Step, fact: ActivityTaskStarted) -> ActivityDelivery | Stale:
    """A poller takes the attempt (semantics 5.2). The same request id again gets the same answer."""
    try:
        execution = find_running(step, fact.run_id)
    except NotFound:
        return Stale()
    pending = execution.activities.get(fact.scheduled_event_id)
    if pending is None or pending.attempt != fact.attempt or pending.stamp != fact.stamp:
        return Stale()
    priority = priorities.merged(execution.info.priority, pending.priority)
    if pending.started_time:
        return _delivery(execution, pending, priority) if pending.request_id == fact.request_id else Stale()
    draft = step.edit(execution)
    if pending.attempt == 1 and rules.paused_at_start(draft, pending):
        return Stale()
    delivery = start_attempt(draft, pending, fact.request_id, fact.identity)
    delivery.priority = priority
    return delivery


def start_attempt(draft: RunDraft, pending: Activity, request_id: str, identity: str) -> ActivityDelivery:
    """Start the waiting attempt now; no event (semantics 5.2). Also how an eager activity starts."""
    assert not pending.started_time, "only a waiting attempt starts"
    running = pending.copy()
    running.started_time = draft.env.now
    running.request_id = request_id
    running.identity = identity
    running.offered = True
    replace(draft, pending, running)
    return _delivery(draft.execution, running, running.priority)


def _delivery(execution: Execution, pending: Activity, priority: bytes) -> ActivityDelivery:
    info = execution.info
    token = TaskToken(
        info.namespace_id,
        info.workflow_id,
        info.run_id,
        pending.scheduled_event_id,
        0,
        0,
        pending.attempt,
        pending.activity_id,
    )
    return ActivityDelivery(
        token,
        info.workflow_type,
        execution.branches,
        pending.attempt,
        pending.first_scheduled_time,
        pending.scheduled_time,
        pending.started_time,
        pending.heartbeat_details,
        priority,
        pending.retry,
    )


# -- what workers report -----------------------------------------------------------------------------------------------


def completed(step: Step, report: ActivityTaskCompleted) -> None:
    """RespondActivityTaskCompleted (semantics 5.3). By id, an attempt that nobody has started may be completed too."""
    limits = step.env.limits
    if report.result is not None and report.result.ByteSize() > limits.blob_size:
        reason = failures.server_failure(failures.COMPLETE_RESULT_EXCEEDS_LIMIT, non_retryable=True)
        _fail(step, report.run_id, report.target, reason, None, report.identity)
        return
    execution = find_running(step, report.run_id)
    pending = _pending(execution, report.target)
    if not pending.started_time and report.target.scheduled_event_id:
        raise NotFound(ACTIVITY_NOT_FOUND)
    draft = step.edit(execution)
    if not pending.started_time:
        pending = pending.copy()
        pending.started_time = draft.env.now
        pending.identity = report.identity
    _record_started(draft, pending, report.worker_version)
    draft.record(
        enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        history.ActivityTaskCompletedEventAttributes(
            result=report.result,
            scheduled_event_id=pending.scheduled_event_id,
            identity=report.identity,
        ),
    )
    workflow_task.schedule_if_needed(step, draft)


def failed(step: Step, report: ActivityTaskFailed) -> tuple[failure.Failure, ...]:
    """RespondActivityTaskFailed (semantics 5.3): retry, or record the end. Returns `failures` of the answer."""
    reason = report.failure
    if reason is not None and report.target.scheduled_event_id and not reason.HasField("application_failure_info"):
        raise InvalidArgument(FAILURE_KIND_MISSING)
    size_max = step.env.limits.blob_size
    complaints: list[failure.Failure] = []
    details = report.heartbeat_details
    if details is not None and details.ByteSize() > size_max:
        complaints.append(failures.server_failure(failures.HEARTBEAT_DETAILS_EXCEED_LIMIT, non_retryable=True))
        details = None
    if reason is not None and reason.ByteSize() > size_max:
        kept = step.env.limits.blob_size_warn
        reason = failures.replace_oversized(reason, size_max, kept, non_retryable=True)
        complaints.append(reason)
    _fail(step, report.run_id, report.target, reason, details, report.identity, report.worker_version)
    return tuple(complaints)


def canceled(step: Step, report: ActivityTaskCanceled) -> None:
    """RespondActivityTaskCanceled (semantics 5.3); only after the workflow asked for it."""
    if report.details is not None and report.details.ByteSize() > step.env.limits.blob_size:
        reason = failures.server_failure(failures.CANCEL_DETAILS_EXCEED_LIMIT, non_retryable=True)
        _fail(step, report.run_id, report.target, reason, None, report.identity)
        return
    execution = find_running(step, report.run_id)
    pending = _running(execution, report.target)
    if not pending.cancel_requested:
        raise InvalidArgument(CANCEL_NOT_REQUESTED)
    draft = step.edit(execution)
    _record_started(draft, pending)
    draft.record(
        enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        history.ActivityTaskCanceledEventAttributes(
            details=report.details,
            latest_cancel_requested_event_id=pending.cancel_request_event_id,
            scheduled_event_id=pending.scheduled_event_id,
            identity=report.identity,
        ),
    )
    workflow_task.schedule_if_needed(step, draft)


def heartbeat(step: Step, report: ActivityHeartbeat) -> HeartbeatOutcome:
    """RecordActivityTaskHeartbeat (semantics 5.4): keeps the details, even none, and the time. No event."""
    if report.details is not None and report.details.ByteSize() > step.env.limits.blob_size:
        reason = failures.server_failure(failures.HEARTBEAT_DETAILS_EXCEED_LIMIT, non_retryable=True)
        _fail(step, report.run_id, report.target, reason, None, report.identity)
        return HeartbeatOutcome(cancel_requested=True)
    execution = find_running(step, report.run_id)
    pending = _running(execution, report.target)
    draft = step.edit(execution)
    alive = pending.copy()
    _note_progress(draft, alive, report.details, report.identity)
    replace(draft, pending, alive)
    return HeartbeatOutcome(alive.cancel_requested, alive.pause is not None, alive.activity_reset)


def _pending(execution: Execution, target: ActivityTarget) -> Activity:
    """The pending activity that a report names: by token, whose attempt must be the current one, or by activity id."""
    if not target.scheduled_event_id:
        if not target.activity_id:
            raise InvalidArgument("activityID cannot be empty")
        scheduled_event_id = execution.activity_ids.get(target.activity_id)
        if scheduled_event_id is None:
            raise NotFound(
                f"cannot find pending activity with ActivityID {target.activity_id}, "
                "check workflow execution history for more details"
            )
        return execution.activities[scheduled_event_id]
    pending = execution.activities.get(target.scheduled_event_id)
    if pending is None or pending.attempt != target.attempt:
        raise NotFound(ACTIVITY_NOT_FOUND)
    return pending


def _running(execution: Execution, target: ActivityTarget) -> Activity:
    """The same, and its attempt must have started."""
    pending = _pending(execution, target)
    if not pending.started_time:
        raise NotFound(ACTIVITY_NOT_FOUND)
    return pending


def _note_progress(draft: RunDraft, changed: Activity, details: common.Payloads | None, identity: str) -> None:
    changed.heartbeat_details = details.SerializeToString() if details is not None else b""
    changed.heartbeat_time = draft.env.now
    if identity:
        changed.last_worker_identity = identity


# -- ends and retries --------------------------------------------------------------------------------------------------


def _fail(
    step: Step,
    run_id: str,
    target: ActivityTarget,
    reason: failure.Failure | None,
    details: common.Payloads | None,
    identity: str,
    worker_version: common.WorkerVersionStamp | None = None,
) -> None:
    execution = find_running(step, run_id)
    pending = _running(execution, target)
    draft = step.edit(execution)
    changed = pending.copy()
    if details is not None:
        _note_progress(draft, changed, details, identity)
    changed.last_attempt_complete_time = draft.env.now
    interval, state = _retry_state(draft, changed, reason)
    if state == enums.RETRY_STATE_IN_PROGRESS:
        _retry(draft, changed, interval, reason)
        replace(draft, pending, changed)
        rules.show_pause(draft, pending, changed)
        return
    _record_started(draft, changed, worker_version)
    draft.record(
        enums.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        history.ActivityTaskFailedEventAttributes(
            failure=reason,
            scheduled_event_id=pending.scheduled_event_id,
            identity=identity,
            retry_state=state,  # type: ignore[arg-type]  # plain numbers
        ),
    )
    workflow_task.schedule_if_needed(step, draft)


def _time_out(draft: RunDraft, pending: Activity, timeout_type: int) -> bool:
    """Retry, or record the timeout; True when an event was recorded (semantics 5.6)."""
    reason = _timeout_failure(failures.activity_timeout_message(timeout_type), timeout_type)
    changed = pending.copy()
    interval, state = _retry_state(draft, changed, reason)
    if state == enums.RETRY_STATE_IN_PROGRESS:
        _retry(draft, changed, interval, reason)
        draft.put_activity(changed)
        rules.show_pause(draft, pending, changed)
        return False
    if state == enums.RETRY_STATE_TIMEOUT and timeout_type != enums.TIMEOUT_TYPE_SCHEDULE_TO_START:
        reason = _timeout_failure(failures.RETRY_OUTLIVES_ACTIVITY, enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
    if pending.heartbeat_details:
        reason.timeout_failure_info.last_heartbeat_details.MergeFromString(pending.heartbeat_details)
    if pending.last_failure:
        reason.cause.MergeFromString(pending.last_failure)
    _record_started(draft, pending)
    draft.record(
        enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
        history.ActivityTaskTimedOutEventAttributes(
            failure=reason,
            scheduled_event_id=pending.scheduled_event_id,
            retry_state=state,  # type: ignore[arg-type]  # plain numbers
        ),
    )
    return True


def _timeout_failure(message: str, timeout_type: int) -> failure.Failure:
    return failures.timeout_failure(message, timeout_type)  # type: ignore[arg-type]  # plain numbers


def _retry_state(draft: RunDraft, pending: Activity, reason: failure.Failure | None) -> tuple[int, int]:
    """(interval in ns, `enums.RetryState`): is the attempt that ended with `reason` followed by another (5.5)?

    `pending` is a copy: a workflow rule may pause it here.
    """
    if pending.cancel_requested:
        return 0, enums.RETRY_STATE_CANCEL_REQUESTED
    if reason is not None and reason.timeout_failure_info.timeout_type in (
        enums.TIMEOUT_TYPE_SCHEDULE_TO_START,
        enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
    ):
        return 0, enums.RETRY_STATE_TIMEOUT
    again = reason is None or retry.retryable(reason, pending.retry.non_retryable_error_types)
    if again and pending.pause is None:
        pending.pause = rules.pause_of(draft.env, draft.execution, pending)
    if pending.pause is not None:
        return 0, enums.RETRY_STATE_IN_PROGRESS if again else enums.RETRY_STATE_NON_RETRYABLE_FAILURE
    return retry.next_interval(pending.retry, pending.attempt, draft.env.now, pending.retry_expiration, reason)


def _retry(draft: RunDraft, changed: Activity, interval: int, reason: failure.Failure | None) -> None:
    """Turn a copy of the ended attempt into the next one, which waits to start after `interval` ns."""
    changed.attempt += 1
    changed.last_failure = b""
    if reason is not None:
        size_max = draft.env.limits.activity_failure_size
        kept = failures.replace_oversized(reason, size_max, size_max, non_retryable=False)
        changed.last_failure = kept.SerializeToString()
    if changed.pause is None:
        await_again(draft, changed, draft.env.now + interval)
        return
    # It waits for its unpausing, which schedules it.
    changed.started_time = 0
    changed.request_id = ""
    changed.offered = False


def await_again(draft: RunDraft, changed: Activity, when: int) -> None:
    """Turn a copy into an attempt that waits to start at `when` (ns since the epoch), and owe it."""
    changed.scheduled_time = when
    changed.started_time = 0
    changed.request_id = ""
    changed.last_worker_identity = changed.identity
    changed.offered = False
    if changed.reset_heartbeats:
        changed.heartbeat_details = b""
        changed.heartbeat_time = 0
    changed.activity_reset = False
    changed.reset_heartbeats = False
    draft.owe(when, changed.scheduled_event_id)


def _record_started(
    draft: RunDraft, pending: Activity, worker_version: common.WorkerVersionStamp | None = None
) -> None:
    """The deferred Started event of the last attempt, with the attempt's own time; nothing if it never started.

    The worker's version is the one that it names as it reports the end: who times out has named none.
    """
    if not pending.started_time:
        return
    attributes = history.ActivityTaskStartedEventAttributes()
    attributes.scheduled_event_id = pending.scheduled_event_id
    attributes.identity = pending.identity
    attributes.request_id = pending.request_id
    attributes.attempt = pending.attempt
    if pending.last_failure:
        attributes.last_failure.MergeFromString(pending.last_failure)
    if worker_version is not None:
        attributes.worker_version.CopyFrom(worker_version)
    draft.record(enums.EVENT_TYPE_ACTIVITY_TASK_STARTED, attributes, time=pending.started_time)
