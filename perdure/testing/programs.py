"""Workflows as data: a list of steps, and the pure function from a history to the next commands.

What an SDK does by replaying code, `decide` does by reading events: the same history always gives the same commands,
so a server that shows a worker a wrong history is found out by the result. It must stay a function of its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, final

from perdure.api import command as commands
from perdure.api import common, enums, history
from perdure.api.times import duration_of
from perdure.clock import SECOND


@final
class Do:
    """Run an activity to its end; its result, or "failed: ..." is one of the workflow's results."""

    __slots__ = ("activity_type", "attempts_max", "heartbeat_s", "id", "timeout_s")

    def __init__(
        self, id: str, activity_type: str, timeout_s: float = 10.0, heartbeat_s: float = 0.0, attempts_max: int = 0
    ) -> None:
        self.id = id
        self.activity_type = activity_type
        self.timeout_s = timeout_s
        self.heartbeat_s = heartbeat_s
        self.attempts_max = attempts_max


@final
class Sleep:
    """A durable timer."""

    __slots__ = ("id", "seconds")

    def __init__(self, id: str, seconds: float) -> None:
        self.id = id
        self.seconds = seconds


@final
class AwaitSignals:
    """Go on once so many signals have come in all."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


@final
class AwaitUpdates:
    """Go on once so many updates have been completed in all (`update_answers.py`)."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


@final
class Both:
    """Everything in it at the same time."""

    __slots__ = ("steps",)

    def __init__(self, *steps: Do | Sleep) -> None:
        self.steps = steps


@final
class AwaitCancel:
    """Go on once a cancellation was asked for."""

    __slots__ = ()


@final
class Child:
    """Start a child workflow of a type; passed once it has started. Its id is the parent's with this behind it.

    `attempts_max` above 1: its runs are retried.
    """

    __slots__ = ("attempts_max", "close_policy", "id", "kind")

    def __init__(self, id: str, kind: str, close_policy: int = 0, attempts_max: int = 1) -> None:
        self.id = id
        self.kind = kind
        self.close_policy = close_policy
        self.attempts_max = attempts_max


@final
class Tell:
    """Signal a child as a stranger would; passed once the signal was delivered."""

    __slots__ = ("child", "id")

    def __init__(self, id: str, child: str) -> None:
        self.id = id
        self.child = child


@final
class Stop:
    """Ask a child as a stranger would to cancel itself; passed once the request was delivered."""

    __slots__ = ("child", "id")

    def __init__(self, id: str, child: str) -> None:
        self.id = id
        self.child = child


@final
class AwaitChild:
    """Go on once a child has ended; its result is one of the workflow's results."""

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        self.id = id


Step = Do | Sleep | AwaitSignals | AwaitUpdates | AwaitCancel | Both | Child | Tell | Stop | AwaitChild

ANEW: Final = "anew"
RETRIED: Final = "retried"
CRON: Final = "cron"
"""How one run follows another."""


@final
class Program:
    """What a workflow type does. `runs` above 1: it takes so many. Unless the run before the last is to continue as
    new, it fails (`RETRIED`), or just completes (`CRON`), and whoever started it has seen to what follows.
    """

    __slots__ = ("goes_on", "runs", "steps")

    def __init__(self, *steps: Step, runs: int = 1, goes_on: str = ANEW) -> None:
        self.steps = steps
        self.runs = runs
        self.goes_on = goes_on


def payloads(value: object) -> common.Payloads:
    """A value as JSON."""
    data = json.dumps(value).encode()
    return common.Payloads(payloads=[common.Payload(metadata={"encoding": b"json/plain"}, data=data)])


def value_of(message: common.Payloads) -> Any:
    """The value in `payloads(value)`; None of nothing."""
    return json.loads(message.payloads[0].data) if message.payloads else None


@final
class Told:
    """What a history tells: outcomes of activities by id, timers fired, signals in order, ids already asked for, and
    how many updates were completed.
    """

    def __init__(self, events: Sequence[history.HistoryEvent]) -> None:
        self.outcomes: dict[str, Any] = {}
        self.fired: set[str] = set()
        self.asked: set[str] = set()
        self.signals: list[str] = []
        self.updates = 0
        self.cancelled = False
        self.run = 1
        self.workflow_id = ""
        self._ids: dict[int, str] = {}
        for event in events:
            self._hear(event)

    def _hear(self, event: history.HistoryEvent) -> None:
        kind = event.event_type
        if kind == enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            started = event.workflow_execution_started_event_attributes
            self.run, self.workflow_id = _run_of(started), started.workflow_id
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            self._ids[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
            self.asked.add(self._ids[event.event_id])
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes
            self.outcomes[self._ids[done.scheduled_event_id]] = value_of(done.result)
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            self.outcomes[self._ids[failed.scheduled_event_id]] = f"failed: {failed.failure.message}"
        elif kind == enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            late = event.activity_task_timed_out_event_attributes
            self.outcomes[self._ids[late.scheduled_event_id]] = f"failed: {late.failure.message}"
        elif kind == enums.EVENT_TYPE_TIMER_STARTED:
            self.asked.add(event.timer_started_event_attributes.timer_id)
        elif kind == enums.EVENT_TYPE_TIMER_FIRED:
            self.fired.add(event.timer_fired_event_attributes.timer_id)
        elif kind == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            self.signals.append(value_of(event.workflow_execution_signaled_event_attributes.input))
        else:
            self._hear_of_others(event)

    def _hear_of_others(self, event: history.HistoryEvent) -> None:
        kind = event.event_type
        if kind == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            self.updates += 1
        elif kind == enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            self.cancelled = True
        elif kind == enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes
            self._ids[event.event_id] = child.workflow_id.removeprefix(self.workflow_id + "/")
            self.asked.add(self._ids[event.event_id])
        elif kind == enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            self.fired.add(self._ids[event.child_workflow_execution_started_event_attributes.initiated_event_id])
        elif kind == enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
            ended = event.child_workflow_execution_completed_event_attributes
            self.outcomes[self._ids[ended.initiated_event_id]] = value_of(ended.result)
        elif kind == enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
            told = event.signal_external_workflow_execution_initiated_event_attributes
            self._ids[event.event_id] = told.signal_name
            self.asked.add(told.signal_name)
        elif kind == enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
            self.fired.add(self._ids[event.external_workflow_execution_signaled_event_attributes.initiated_event_id])
        elif kind == enums.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
            asked = event.request_cancel_external_workflow_execution_initiated_event_attributes
            self._ids[event.event_id] = asked.reason
            self.asked.add(asked.reason)
        elif kind == enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            reached = event.external_workflow_execution_cancel_requested_event_attributes
            self.fired.add(self._ids[reached.initiated_event_id])


def _run_of(started: history.WorkflowExecutionStartedEventAttributes) -> int:
    """Which run of its chain this is: as the one before said, or as the server counts attempts."""
    if started.cron_schedule and started.HasField("last_completion_result"):
        return int(value_of(started.last_completion_result)["run"]) + 1
    return int(value_of(started.input) or started.attempt)


def decide(program: Program, events: Sequence[history.HistoryEvent], updated: int = 0) -> list[commands.Command]:
    """The commands of one workflow task that was shown these events, and that completes `updated` updates."""
    told = Told(events)
    told.updates += updated
    found: list[commands.Command] = []
    for step in program.steps:
        if not _passed(step, told, found):
            return found
    if told.run < program.runs and program.goes_on == ANEW:
        found.append(_again(told.run + 1, events[0]))
    elif told.run < program.runs and program.goes_on == RETRIED:
        found.append(_failed(f"run {told.run}"))
    else:
        outcome = {"activities": told.outcomes, "signals": told.signals, "run": told.run}
        done = commands.CompleteWorkflowExecutionCommandAttributes(result=payloads(outcome))
        found.append(
            commands.Command(
                command_type=enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
                complete_workflow_execution_command_attributes=done,
            )
        )
    return found


def _passed(step: Step, told: Told, found: list[commands.Command]) -> bool:
    """Whether the step is over; what it needs for that and has not asked for is asked for."""
    if isinstance(step, Both):
        over = [_passed(each, told, found) for each in step.steps]
        return all(over)
    if isinstance(step, AwaitSignals):
        return len(told.signals) >= step.count
    if isinstance(step, AwaitUpdates):
        return told.updates >= step.count
    if isinstance(step, AwaitCancel):
        return told.cancelled
    if isinstance(step, AwaitChild):
        return step.id in told.outcomes
    if step.id not in told.asked:
        found.append(_asking(step, told))
        return False
    if isinstance(step, Child | Tell | Stop):
        return step.id in told.fired
    return step.id in told.outcomes or step.id in told.fired


def _asking(step: Do | Sleep | Child | Tell | Stop, told: Told) -> commands.Command:
    if isinstance(step, Do):
        return _activity(step)
    if isinstance(step, Sleep):
        return timer(step)
    if isinstance(step, Child):
        child = commands.StartChildWorkflowExecutionCommandAttributes(
            workflow_id=f"{told.workflow_id}/{step.id}", workflow_type=common.WorkflowType(name=step.kind)
        )
        child.task_queue.name = TASK_QUEUE
        child.parent_close_policy = step.close_policy  # type: ignore[assignment]  # plain numbers
        if step.attempts_max > 1:
            child.retry_policy.CopyFrom(_retries(step.attempts_max))
        return commands.Command(
            command_type=enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
            start_child_workflow_execution_command_attributes=child,
        )
    target = common.WorkflowExecution(workflow_id=f"{told.workflow_id}/{step.child}")
    if isinstance(step, Stop):
        stop = commands.RequestCancelExternalWorkflowExecutionCommandAttributes(
            workflow_id=target.workflow_id, reason=step.id
        )
        return commands.Command(
            command_type=enums.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
            request_cancel_external_workflow_execution_command_attributes=stop,
        )
    signal = commands.SignalExternalWorkflowExecutionCommandAttributes(
        execution=target,
        signal_name=step.id,
        input=payloads(step.id),
    )
    return commands.Command(
        command_type=enums.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
        signal_external_workflow_execution_command_attributes=signal,
    )


def _retries(attempts_max: int) -> common.RetryPolicy:
    return common.RetryPolicy(
        initial_interval=duration_of(SECOND), backoff_coefficient=2.0, maximum_attempts=attempts_max
    )


def _activity(step: Do) -> commands.Command:
    attributes = commands.ScheduleActivityTaskCommandAttributes(
        activity_id=step.id,
        activity_type=common.ActivityType(name=step.activity_type),
        input=payloads(step.id),
        start_to_close_timeout=duration_of(round(step.timeout_s * SECOND)),
        heartbeat_timeout=duration_of(round(step.heartbeat_s * SECOND)),
        retry_policy=_retries(step.attempts_max),
    )
    attributes.task_queue.name = TASK_QUEUE
    return commands.Command(
        command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, schedule_activity_task_command_attributes=attributes
    )


def timer(step: Sleep) -> commands.Command:
    """The command that starts a timer."""
    attributes = commands.StartTimerCommandAttributes(
        timer_id=step.id, start_to_fire_timeout=duration_of(round(step.seconds * SECOND))
    )
    return commands.Command(command_type=enums.COMMAND_TYPE_START_TIMER, start_timer_command_attributes=attributes)


def _again(run: int, started: history.HistoryEvent) -> commands.Command:
    before = started.workflow_execution_started_event_attributes
    attributes = commands.ContinueAsNewWorkflowExecutionCommandAttributes(
        workflow_type=before.workflow_type, task_queue=before.task_queue, input=payloads(run)
    )
    return commands.Command(
        command_type=enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
        continue_as_new_workflow_execution_command_attributes=attributes,
    )


def _failed(message: str) -> commands.Command:
    attributes = commands.FailWorkflowExecutionCommandAttributes()
    attributes.failure.message = message
    attributes.failure.application_failure_info.type = "Failed"
    return commands.Command(
        command_type=enums.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, fail_workflow_execution_command_attributes=attributes
    )


TASK_QUEUE: Final = "work"
"""Where all of it runs."""
