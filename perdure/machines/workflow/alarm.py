"""When a run needs the server's attention, and what happens then (DESIGN 1.3, semantics 6).

There are no timer tasks: what is due is a function of the state. The *durable* alarm counts every offer that is
still owed, so that a new owner finds it; the *volatile* alarm leaves out what this process has offered already.
"""

from __future__ import annotations

from perdure.api import enums, history
from perdure.clock import MINUTE
from perdure.machines.deadlines import ACTIVITY, CALLBACK, pop, push
from perdure.machines.pieces import PIECE, Pieces, whole
from perdure.machines.workflow import activity_task, callbacks, close, deletion, workflow_task
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import AlarmRang
from perdure.machines.workflow.owed import due_since
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.target import find

NEVER = (1 << 63) - 1
"""Later than any time."""
ALARM_SLACK = MINUTE
"""A stored alarm may be early by this much before a write moves it: hot runs leave their indexed column alone (DESIGN
1.3).
"""


def rang(step: Step, alarm: AlarmRang) -> None:
    """Do everything that is due."""
    whole(ringing(step, alarm))


def ringing(step: Step, alarm: AlarmRang) -> Pieces[None]:
    """`rang`, with a stop behind every so many deadlines."""
    execution = find(step, alarm.run_id, going=True)
    draft = step.edit(execution)
    now = draft.env.now
    if not execution.running:
        callbacks.wake(draft)
        if not draft.execution.calls and now >= deletion.due(execution):
            # Callbacks that wait for another attempt are given up with the run.
            deletion.reclaim(step, draft)
        return
    if execution.info.run_expiration and now >= execution.info.run_expiration:
        close.time_out_run(step, draft)
        return
    if execution.task is None and workflow_task.in_backoff(execution) and now >= execution.info.execution_time:
        workflow_task.schedule_if_needed(step, draft)
    _task_timeouts(step, draft, now)
    if (yield from _due(step, draft, now)):
        workflow_task.schedule_if_needed(step, draft)
    activity_task.offer_owed(step, draft)
    pending = draft.execution.task
    speculative = pending is not None and pending.speculative
    if not draft.stored and not speculative and draft.execution.alarm and draft.execution.alarm <= now:
        # Loaded by an alarm that was early: move it, or every restart would look at this run again.
        draft.queue_deadlines()
        settle(draft.execution)
        if durable_alarm(draft.execution) > now:
            draft.stored = draft.realarm = True


def _task_timeouts(step: Step, draft: RunDraft, now: int) -> None:
    task = draft.execution.task
    if task is None:
        return
    if task.started_event_id:
        if now >= task.started_time + task.timeout:
            workflow_task.time_out(draft, enums.TIMEOUT_TYPE_START_TO_CLOSE)
            workflow_task.schedule_if_needed(step, draft)
    elif task.schedule_to_start and now >= task.scheduled_time + task.schedule_to_start:
        workflow_task.time_out(draft, enums.TIMEOUT_TYPE_SCHEDULE_TO_START)
        workflow_task.schedule_if_needed(step, draft)


def _due(step: Step, draft: RunDraft, now: int) -> Pieces[bool]:
    """Fire timers and activity timeouts in the order of their deadlines; True when the worker must hear of it."""
    execution = draft.execution
    recorded = False
    done = 0
    while execution.deadlines is not None and execution.deadlines.when <= now:
        done += 1
        if not done % PIECE:
            yield
        entry = execution.deadlines
        execution.deadlines = pop(entry)
        if entry.kind == ACTIVITY:
            recorded = activity_task.due(step, draft, entry.key) or recorded
        elif entry.kind == CALLBACK:
            callbacks.due(draft, entry.key, entry.when)
        else:
            recorded = _fire(draft, entry.key) or recorded
        draft.queue_deadlines()
    return recorded


def _fire(draft: RunDraft, started_event_id: int) -> bool:
    """A user timer has come; False when it was cancelled meanwhile."""
    timer_id = draft.execution.timer_ids.get(started_event_id)
    if timer_id is None:
        return False
    attributes = history.TimerFiredEventAttributes(timer_id=timer_id, started_event_id=started_event_id)
    draft.record(enums.EVENT_TYPE_TIMER_FIRED, attributes)
    return True


def settle(execution: Execution) -> None:
    """Drop entries at the head of the queues that are no longer true, so that the head is the next real deadline."""
    while execution.owed is not None:
        activity = execution.activities.get(execution.owed.key)
        if activity is not None and activity_task.still_owed(activity, execution.owed.when):
            break
        execution.owed = pop(execution.owed)
    while execution.deadlines is not None:
        entry = execution.deadlines
        if entry.kind == ACTIVITY:
            pending = execution.activities.get(entry.key)
            due = activity_task.next_deadline(pending, execution.paused) if pending is not None else None
            if due is not None and due <= entry.when:
                break
            execution.deadlines = pop(entry)
            if due is not None:
                execution.deadlines = push(execution.deadlines, due, ACTIVITY, entry.key)
        elif entry.kind == CALLBACK:
            callback = execution.callbacks.get(entry.key)
            if callback is not None and callbacks.awaits(callback, entry.when):
                break
            execution.deadlines = pop(entry)
        elif entry.key in execution.timer_ids:
            break
        else:
            execution.deadlines = pop(entry)


def volatile_alarm(execution: Execution) -> int:
    """When this process must look at the run again, ns since the epoch; `NEVER` if not. Call after `settle`."""
    calls = due_since(execution) if execution.unsent else NEVER
    if not execution.running:
        # With calls under way, their answers come without an alarm.
        return min(calls if execution.calls else deletion.due(execution), _next_attempt(execution))
    return min(_common(execution, execution.task), _task_alarm(execution.task, False), calls)


def durable_alarm(execution: Execution) -> int:
    """When an owner that knows nothing of this process must look at the run; never later than what is owed."""
    calls = due_since(execution) if execution.calls else NEVER
    if not execution.running:
        return min(calls if execution.calls else deletion.due(execution), _next_attempt(execution))
    owed = execution.owed.when if execution.owed is not None and not execution.paused else NEVER
    task = execution.task
    if task is not None and task.speculative:
        # Such an owner finds no task at all.
        task = None
    return min(_common(execution, task), _task_alarm(task, True), owed, calls)


def _next_attempt(execution: Execution) -> int:
    """When the next completion callback of a closed run is tried again, which is all that it has deadlines for."""
    return execution.deadlines.when if execution.deadlines is not None else NEVER


def _common(execution: Execution, task: WorkflowTask | None) -> int:
    alarm = execution.deadlines.when if execution.deadlines is not None else NEVER
    if execution.info.run_expiration:
        alarm = min(alarm, execution.info.run_expiration)
    waits = task is None and not execution.awaits_parent and not execution.paused
    if waits and workflow_task.in_backoff(execution):
        alarm = min(alarm, execution.info.execution_time)
    return alarm


def _task_alarm(task: WorkflowTask | None, durable: bool) -> int:
    if task is None:
        return NEVER
    if task.started_event_id:
        return task.started_time + task.timeout
    if durable or not task.offered:
        return task.scheduled_time
    return task.scheduled_time + task.schedule_to_start if task.schedule_to_start else NEVER
