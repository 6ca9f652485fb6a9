"""What an execution waits for, in words: from its stored state alone, so a worker that is missing shows as a task that
nobody takes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from perdure.api import enums
from perdure.clock import SECOND
from perdure.machines.workflow import deletion, workflow_task
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.pending_activity import Activity


def explain(execution: Execution, now_ns: int) -> list[str]:
    """One line for each thing; the first says what the run is."""
    info = execution.info
    head = f"Run {info.run_id} of workflow {info.workflow_id!r} ({info.workflow_type}) is {_status(execution)}"
    if not execution.running:
        lines = [f"{head}: closed {_when(execution.close_time, now_ns)}."]
        if execution.calls:
            lines.append(f"It still owes {_many(len(execution.calls), 'call')} to others, and stays until then.")
        removal = f"It is removed {_when(deletion.due(execution), now_ns)}."
        lines.append("It is being removed." if execution.operations.deleting else removal)
        if execution.new_run_id:
            lines.append(f"Run {execution.new_run_id} follows it.")
        return lines
    lines = [f"{head}, since {_when(info.start_time, now_ns)}."]
    if execution.operations.pause is not None:
        pause = execution.operations.pause
        lines.append(
            f"It was paused {_when(pause.time, now_ns)} by {pause.identity or 'somebody'}"
            f"{': ' + pause.reason if pause.reason else ''}. Nothing of it is handed out until it is unpaused."
        )
    lines += _task(execution, now_ns)
    lines += [_activity(execution.activities[event_id], now_ns) for event_id in sorted(execution.activities)]
    for timer in sorted(execution.timers.values(), key=lambda one: one.expiry):
        lines.append(f"Timer {timer.timer_id!r} (event {timer.started_event_id}) fires {_when(timer.expiry, now_ns)}.")
    lines += _others(execution)
    if info.run_expiration:
        lines.append(f"The run times out {_when(info.run_expiration, now_ns)}.")
    if len(lines) == 1:
        lines.append("It waits for a signal, an update, or a request to cancel: nothing is pending.")
    return lines


def _task(execution: Execution, now: int) -> list[str]:
    info = execution.info
    task = execution.task
    if task is None:
        if execution.awaits_parent:
            return ["It is a child whose parent has not recorded its start yet: it gets no workflow task before that."]
        if workflow_task.in_backoff(execution) and info.execution_time > now:
            cause = f"cron schedule {info.cron_schedule!r}" if info.cron_schedule else "retry or start delay"
            return [f"Its first workflow task waits for its {cause} until {_when(info.execution_time, now)}."]
        return []
    attempt = f", attempt {task.attempt}" if task.attempt > 1 else ""
    if task.started_event_id:
        since = _when(task.started_time, now)
        until = _when(task.started_time + task.timeout, now)
        return [f"A workflow task{attempt} is with worker {task.identity!r} since {since}; it times out {until}."]
    kind = "sticky queue" if task.sticky else "queue"
    waits = f"A workflow task{attempt} waits on {kind} {task.queue!r} since {_when(task.scheduled_time, now)}"
    lines = [f"{waits}: no worker has taken it. Is one polling that queue?"]
    if execution.task_problems:
        lines.append(f"Its last {_many(execution.task_problems, 'workflow task')} failed or timed out.")
    return lines


def _activity(pending: Activity, now: int) -> str:
    name = f"Activity {pending.activity_id!r} ({pending.activity_type}, attempt {pending.attempt})"
    if pending.pause is not None:
        by = f"rule {pending.pause.rule_id!r}" if pending.pause.rule_id else pending.pause.identity or "somebody"
        reason = f": {pending.pause.reason}" if pending.pause.reason else ""
        return f"{name} was paused {_when(pending.pause.time, now)} by {by}{reason}."
    if pending.started_time:
        text = f"{name} is with worker {pending.identity!r} since {_when(pending.started_time, now)}"
        if pending.heartbeat_timeout:
            last = max(pending.heartbeat_time, pending.started_time)
            text += f"; its last sign of life was {_when(last, now)}"
        asked = "; it was asked to cancel" if pending.cancel_requested else ""
        return f"{text}{asked}."
    if pending.scheduled_time > now:
        return f"{name} is retried {_when(pending.scheduled_time, now)}."
    since = _when(pending.scheduled_time, now)
    return f"{name} waits on queue {pending.task_queue!r} since {since}: no worker has taken it."


def _others(execution: Execution) -> list[str]:
    lines = []
    for child in sorted(execution.children.values(), key=lambda one: one.initiated_event_id):
        state = "has to end" if child.started_event_id else "has to be started"
        lines.append(f"Child {child.workflow_id!r} ({child.workflow_type}) {state}.")
    for pending, what in ((execution.external_signals, "signal"), (execution.external_cancels, "cancel request")):
        if pending:
            lines.append(f"{_many(len(pending), what)} to other workflows on the way.")
    if execution.updates:
        lines.append(f"{_many(len(execution.updates), 'update')} accepted and not completed.")
    if execution.buffered:
        lines.append(f"{_many(len(execution.buffered), 'event')} waiting for the end of the workflow task.")
    if execution.cancel_requested:
        lines.append("It was asked to cancel, and has not closed.")
    return lines


def _status(execution: Execution) -> str:
    name = enums.WorkflowExecutionStatus.Name(execution.status)  # type: ignore[arg-type]  # wire numbers are plain ints
    return str(name).removeprefix("WORKFLOW_EXECUTION_STATUS_").replace("_", " ").lower()


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _when(when_ns: int, now_ns: int) -> str:
    """A time with its distance from now."""
    shown = datetime.fromtimestamp(when_ns // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    seconds = abs(when_ns - now_ns) // SECOND
    distance = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
    return f"{shown} ({'in ' + distance if when_ns > now_ns else distance + ' ago'})"
