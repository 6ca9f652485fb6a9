"""The life of a workflow task: scheduled, started, failed, timed out (semantics 3). Completion has a file of its own.

A task with attempt > 1 is *transient*: it has ids but no events until it completes. A *speculative* one, made for
updates alone, has no events either, and no stored form: it ends without a trace or becomes normal (semantics 3.6).
Nobody is called here: a scheduled task is an obligation that the end of the step turns into an offer to matching.
"""

from __future__ import annotations

from perdure.api import common, enums, history, taskqueue
from perdure.api import failure as failures
from perdure.api.names import short_name
from perdure.api.splice import event_fragment
from perdure.api.times import set_duration, timestamp_of
from perdure.clock import SECOND
from perdure.errors import NotFound
from perdure.machines.env import Limits
from perdure.machines.json_payloads import keyword_list
from perdure.machines.pauses import pause
from perdure.machines.workflow import update_messages
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import ResetSticky, Stale
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.queries import deliver_queries
from perdure.machines.workflow.target import find_running
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery, WorkflowTaskStarted
from perdure.machines.workflow.task_token import TaskToken

SERVER_IDENTITY = "history-service"
TASK_NOT_FOUND = "Workflow task not found."
BACKOFF_FROM_ATTEMPT = 4
"""From this attempt on the start-to-close timeout grows: that is the pause between retries (semantics 3.2)."""
BACKOFF_INITIAL = 5 * SECOND
SPECULATIVE_SCHEDULE_TO_START = 5 * SECOND
"""How long a speculative task waits on a normal queue, ns: nobody but this process knows of it (semantics 3.2)."""
PROBLEMS_REPORTED_FROM = 5
"""So many failures in a row set TemporalReportedProblems (semantics 3.7)."""
REPORTED_PROBLEMS = "TemporalReportedProblems"
NO_FAULT = (
    enums.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
    enums.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED,
)
"""Causes of which no worker is guilty."""
BEGINS_ANEW = (
    enums.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
    enums.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
)
"""Causes after which the next task is a first attempt (semantics 3.7)."""


def schedule_if_needed(step: Step, draft: RunDraft) -> None:
    """Schedule a normal workflow task unless one is pending or the run is closed (semantics 3.2) or paused, or is a
    child that its parent has not recorded yet.
    """
    execution = draft.execution
    if execution.running and not execution.paused and execution.task is None and not execution.awaits_parent:
        schedule(draft)


def in_backoff(execution: Execution) -> bool:
    """Whether the run still waits for its first workflow task (start delay, cron, retry)."""
    return not execution.task_ever_scheduled and execution.info.execution_time > execution.info.start_time


def schedule(draft: RunDraft, original_scheduled_time: int = 0) -> WorkflowTask:
    """Make a workflow task pending; `original_scheduled_time` is inherited by heartbeats, 0 for now."""
    execution = draft.execution
    assert execution.running and execution.task is None, "one workflow task at a time"
    if draft.has_buffered:
        execution.task_attempt = 1
        draft.flush()
    attempt = execution.task_attempt
    sticky = bool(execution.sticky_queue)
    timeout = task_timeout(execution.info.task_timeout, attempt, draft.env.limits)
    event_id = execution.next_event_id
    if attempt == 1:
        draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, _scheduled(execution, timeout, attempt))
    draft.stored = True
    execution.task = WorkflowTask(
        event_id,
        attempt,
        execution.sticky_queue or execution.info.task_queue,
        sticky,
        draft.env.now,
        original_scheduled_time or draft.env.now,
        timeout,
        schedule_to_start=execution.sticky_timeout if sticky else 0,
    )
    return execution.task


def schedule_speculative(draft: RunDraft) -> WorkflowTask:
    """Make a workflow task pending that only carries updates: nothing is recorded or stored (semantics 3.2)."""
    execution = draft.execution
    assert execution.running and execution.task is None, "one workflow task at a time"
    if execution.task_attempt > 1 or draft.has_buffered:
        return schedule(draft)
    sticky = bool(execution.sticky_queue)
    execution.task = WorkflowTask(
        execution.next_event_id,
        1,
        execution.sticky_queue or execution.info.task_queue,
        sticky,
        draft.env.now,
        draft.env.now,
        execution.info.task_timeout,
        schedule_to_start=execution.sticky_timeout if sticky else SPECULATIVE_SCHEDULE_TO_START,
        speculative=True,
    )
    return execution.task


def make_normal(draft: RunDraft) -> None:
    """Something else is stored while a speculative task is pending: it gets its events first (semantics 3.6)."""
    execution = draft.execution
    task = execution.task
    assert task is not None and task.speculative, "only a speculative task is converted"
    assert task.scheduled_event_id == execution.next_event_id, "nothing was recorded since it was scheduled"
    execution.task = _write(draft, task, "")


def _name_queue(field: taskqueue.TaskQueue, execution: Execution) -> None:
    """Where the next workflow task goes."""
    if execution.sticky_queue:
        field.name = execution.sticky_queue
        field.kind = enums.TASK_QUEUE_KIND_STICKY
        field.normal_name = execution.info.task_queue
    else:
        field.name = execution.info.task_queue
        field.kind = enums.TASK_QUEUE_KIND_NORMAL


def task_timeout(default: int, attempt: int, limits: Limits) -> int:
    """Start-to-close timeout of an attempt in ns: growing from the fourth on (semantics 3.2)."""
    if attempt < BACKOFF_FROM_ATTEMPT:
        return default
    return default + pause(attempt - BACKOFF_FROM_ATTEMPT, BACKOFF_INITIAL, limits.task_retry_max_interval)


def started(step: Step, fact: WorkflowTaskStarted) -> WorkflowTaskDelivery | Stale:
    """A poller takes the task (semantics 3.3): judge staleness, record the start."""
    try:
        execution = find_running(step, fact.run_id)
    except NotFound:
        return Stale()
    task = execution.task
    if (
        task is None
        or task.scheduled_event_id != fact.scheduled_event_id
        or task.stamp != fact.stamp
        or task.attempt != fact.attempt
    ):
        return Stale()
    if task.started_event_id:
        return delivery(execution, task, fact.sticky) if task.request_id == fact.request_id else Stale()
    if fact.sticky and execution.sticky_queue != fact.queue:
        return Stale()
    draft = step.edit(execution)
    if task.speculative and not update_messages.to_send(execution, True):
        draft.execution.task = None
        return Stale()
    if not fact.sticky:
        clear_sticky(draft.execution)
    started_task = start(draft, fact.request_id, fact.identity, fact.worker_version)
    return hand_over(draft.execution, started_task, fact.sticky, True)


def hand_over(execution: Execution, task: WorkflowTask, sticky: bool, again: bool) -> WorkflowTaskDelivery:
    """Give a started task to its worker with the queries and updates that wait.

    `again` sends updates that an earlier task took and did not answer as well.
    """
    result = delivery(execution, task, sticky, again)
    deliver_queries(execution)
    update_messages.mark_sent(execution)
    return result


def start(draft: RunDraft, request_id: str, identity: str, worker_version: bytes | None = None) -> WorkflowTask:
    """Record that the pending task starts now.

    The worker's version is shown by a start event that is written here. One that is written later shows what the worker
    names when it answers: nothing of it is kept meanwhile.
    """
    execution = draft.execution
    task = execution.task
    assert task is not None and not task.started_event_id, "only a scheduled task starts"
    task = task.copy()
    if task.attempt > 1 and task.scheduled_event_id != execution.next_event_id:
        task = _become_normal(draft, task)
    limits = draft.env.limits
    reasons: list[int] = []
    size = draft.before.history_size if draft.before is not None else 0
    if size >= limits.history_size_suggest:
        reasons.append(enums.SUGGEST_CONTINUE_AS_NEW_REASON_HISTORY_SIZE_TOO_LARGE)
    if execution.next_event_id >= limits.history_count_suggest:
        reasons.append(enums.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS)
    if update_messages.suggests_continue_as_new(execution, limits):
        reasons.append(enums.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES)
    task.history_size = size
    task.suggest_continue_as_new = bool(reasons)
    task.suggest_reasons = tuple(reasons)
    # Whatever has come since the task was scheduled stands between its two events.
    task.started_event_id = task.scheduled_event_id + 1 if _without_events(task) else execution.next_event_id
    task.started_time = draft.env.now
    task.request_id = request_id
    task.identity = identity
    execution.task = task
    if task.speculative:
        return task
    if task.attempt == 1:
        draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_STARTED, started_attributes(task, identity, worker_version))
    draft.stored = True
    return task


def _become_normal(draft: RunDraft, task: WorkflowTask) -> WorkflowTask:
    """Events arrived since a transient task was scheduled: it gets an event after them and starts over at attempt 1."""
    execution = draft.execution
    execution.task_attempt = 1
    execution.task = None
    normal = schedule(draft, task.original_scheduled_time)
    return normal.copy()


def started_attributes(
    task: WorkflowTask, identity: str, worker_version: bytes | None = None
) -> history.WorkflowTaskStartedEventAttributes:
    """The Started event of a task."""
    attributes = history.WorkflowTaskStartedEventAttributes()
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.identity = identity
    attributes.request_id = task.request_id
    attributes.history_size_bytes = task.history_size
    if task.suggest_continue_as_new:
        attributes.suggest_continue_as_new = True
        attributes.suggest_continue_as_new_reasons.extend(task.suggest_reasons)  # type: ignore[arg-type]
    if worker_version is not None:
        attributes.worker_version.SetInParent()
        attributes.worker_version.MergeFromString(worker_version)
    return attributes


def version_shown(named: common.WorkerVersionStamp) -> bytes | None:
    """The version that a worker names, as start events show it; None where tasks are chosen by it."""
    return None if named.use_versioning else named.SerializeToString()


def scheduled_attributes(execution: Execution, task: WorkflowTask) -> history.WorkflowTaskScheduledEventAttributes:
    """The Scheduled event of a task that got none when it was scheduled; a transient one is never sticky."""
    return _scheduled(execution, task.timeout, task.attempt)


def _scheduled(execution: Execution, timeout: int, attempt: int) -> history.WorkflowTaskScheduledEventAttributes:
    attributes = history.WorkflowTaskScheduledEventAttributes()
    _name_queue(attributes.task_queue, execution)
    set_duration(attributes.start_to_close_timeout, timeout)
    attributes.attempt = attempt
    return attributes


def transient_events(execution: Execution, for_worker: bool = False) -> bytes:
    """The synthetic events of a pending task without events as a `History` fragment, b"" when there are none.

    Only the worker that has the task is shown its own identity (semantics 3.4).
    """
    task = execution.task
    if task is None or not _without_events(task) or task.scheduled_event_id != execution.next_event_id:
        return b""
    scheduled = history.HistoryEvent(
        event_id=task.scheduled_event_id,
        event_time=timestamp_of(task.scheduled_time),
        event_type=enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        workflow_task_scheduled_event_attributes=scheduled_attributes(execution, task),
    )
    fragment = event_fragment(scheduled.SerializeToString())
    if not task.started_event_id:
        return fragment
    attributes = started_attributes(task, task.identity if for_worker else "")
    started_event = history.HistoryEvent(
        event_id=task.started_event_id,
        event_time=timestamp_of(task.started_time),
        event_type=enums.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        workflow_task_started_event_attributes=attributes,
    )
    return fragment + event_fragment(started_event.SerializeToString())


def _without_events(task: WorkflowTask) -> bool:
    return task.speculative or task.attempt > 1


def delivery(execution: Execution, task: WorkflowTask, sticky: bool, again: bool = True) -> WorkflowTaskDelivery:
    """What the poller receives (semantics 3.4)."""
    info = execution.info
    token = TaskToken(
        info.namespace_id,
        info.workflow_id,
        info.run_id,
        task.scheduled_event_id,
        task.started_event_id,
        task.started_time,
        task.attempt,
    )
    previous = execution.last_completed_started_event_id
    return WorkflowTaskDelivery(
        token,
        info.workflow_type,
        info.task_queue,
        previous,
        task.started_event_id,
        task.attempt,
        task.scheduled_time,
        task.started_time,
        sticky,
        execution.branches,
        previous + 1 if sticky else 1,
        execution.next_event_id,
        transient_events(execution, for_worker=True),
        tuple((query.query_id, query.body) for query in execution.queries),
        update_messages.messages(execution, again, task.started_event_id),
    )


def clear_sticky(execution: Execution) -> None:
    """The next task goes to the normal queue."""
    execution.sticky_queue = ""
    execution.sticky_timeout = 0


def reset_sticky(step: Step, verb: ResetSticky) -> None:
    """ResetStickyTaskQueue: no event, so that a speculative task stays one."""
    draft = step.edit(find_running(step, verb.run_id))
    clear_sticky(draft.execution)
    draft.stored = True
    draft.stays_speculative = True


def matching_task(execution: Execution, token: TaskToken) -> WorkflowTask:
    """The started task that a worker's token names; NotFound when it is not the current attempt (semantics 3.5.1)."""
    task = execution.task
    if (
        not execution.running
        or task is None
        or not task.started_event_id
        or task.scheduled_event_id != token.scheduled_event_id
        or task.attempt != token.attempt
        or (token.started_event_id and task.started_event_id != token.started_event_id)
        or (token.started_time and task.started_time != token.started_time)
    ):
        raise NotFound(TASK_NOT_FOUND)
    return task


def write_events(
    draft: RunDraft, task: WorkflowTask, identity: str, worker_version: bytes | None = None
) -> WorkflowTask:
    """Put the events of a transient or speculative task that now completes into history, at the next free ids."""
    return _write(draft, task, identity, worker_version) if _without_events(task) else task


def _write(draft: RunDraft, task: WorkflowTask, identity: str, worker_version: bytes | None = None) -> WorkflowTask:
    """The Scheduled event and, if the task has started, the Started event, with the times at which that was."""
    execution = draft.execution
    written = task.copy()
    written.speculative = False
    written.scheduled_event_id = draft.record(
        enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, scheduled_attributes(execution, task), time=task.scheduled_time
    )
    if task.started_event_id:
        written.started_event_id = written.scheduled_event_id + 1
        attributes = started_attributes(written, identity, worker_version)
        draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_STARTED, attributes, time=task.started_time)
    return written


def fail(
    draft: RunDraft,
    cause: int,
    reason: failures.Failure | None,
    identity: str,
    binary_checksum: str = "",
    worker_version: bytes | None = None,
) -> None:
    """End the pending task as failed. Only the first failure of a streak leaves an event."""
    execution = draft.execution
    task = execution.task
    assert task is not None, "a pending task fails"
    if task.speculative:
        task = _write(draft, task, identity, worker_version)
    if task.attempt == 1:
        attributes = history.WorkflowTaskFailedEventAttributes(
            scheduled_event_id=task.scheduled_event_id,
            started_event_id=task.started_event_id,
            cause=cause,  # type: ignore[arg-type]  # plain numbers
            failure=reason,
            identity=identity,
            binary_checksum=binary_checksum,
        )
        draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_FAILED, attributes)
    _ended_badly(draft, task)
    if cause in BEGINS_ANEW:
        execution.task_attempt = 1
    if cause == enums.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND:
        execution.close_attempted = True
    if cause not in NO_FAULT:
        _report_problem(draft, "WorkflowTaskFailed", "WorkflowTaskFailedCause" + cause_name(cause))


def time_out(draft: RunDraft, timeout_type: int) -> None:
    """End the pending task as timed out (semantics 3.8); the caller schedules the next one."""
    execution = draft.execution
    task = execution.task
    assert task is not None, "a pending task times out"
    if task.speculative:
        task = _write(draft, task, "")
    if task.attempt == 1:
        attributes = history.WorkflowTaskTimedOutEventAttributes(
            scheduled_event_id=task.scheduled_event_id,
            started_event_id=task.started_event_id,
            timeout_type=timeout_type,  # type: ignore[arg-type]  # plain numbers
        )
        draft.record(enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, attributes)
    if timeout_type == enums.TIMEOUT_TYPE_SCHEDULE_TO_START:
        draft.stored = True
        execution.task = None
        clear_sticky(execution)
        return
    _ended_badly(draft, task)
    _report_problem(draft, "WorkflowTaskTimedOut", "WorkflowTaskTimedOutCauseStartToClose")


def _ended_badly(draft: RunDraft, task: WorkflowTask) -> None:
    """The attempt rule: leaving a sticky queue costs no attempt, anything else makes the next task transient."""
    execution = draft.execution
    draft.stored = True
    execution.task = None
    if execution.sticky_queue:
        clear_sticky(execution)
        execution.task_attempt = 1
    else:
        execution.task_attempt = task.attempt + 1
        execution.task_problems += 1
    if task.started_event_id:
        execution.close_attempted = False


def _report_problem(draft: RunDraft, category: str, cause: str) -> None:
    execution = draft.execution
    if execution.task_problems < PROBLEMS_REPORTED_FROM or not execution.running:
        return
    serialized = keyword_list([f"category={category}", f"cause={cause}"])
    if execution.search_attributes.get(REPORTED_PROBLEMS) != serialized:
        draft.put_search_attribute(REPORTED_PROBLEMS, serialized)


def problems_over(draft: RunDraft) -> None:
    """A task succeeded: whatever was reported is no longer true."""
    draft.execution.task_problems = 0
    if REPORTED_PROBLEMS in draft.execution.search_attributes:
        draft.put_search_attribute(REPORTED_PROBLEMS, None)


def cause_name(cause: int) -> str:
    """The short name of a failure cause, "UnhandledCommand"; a number that has none is told as it is."""
    return short_name(enums.WorkflowTaskFailedCause, cause)
