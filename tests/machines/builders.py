"""A workflow chain told step by step on the pure machine, for the tests of workflows, activities and timers.

A `Story` applies inputs at the time it stands at, keeps every event with its id, and delivers what steps offered:
it plays matching, worker and clock in the plainest way. It decides nothing that the machine decides.
"""

from __future__ import annotations

from typing import TypeVar

from immutables import Map

from perdure.api import command as commands
from perdure.api import common, enums, failure, failures, history, taskqueue, workflow, workflowservice
from perdure.api.names import short_name
from perdure.api.splice import split_events
from perdure.api.times import duration_of
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.machines.env import Env, Limits, NamespaceView
from perdure.machines.task_queue import WORKFLOW, Task
from perdure.machines.workflow import activity_info, activity_task, alarm, machine
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
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.effects import Answer, OfferTask
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import AlarmRang, Input, Signal, Terminate
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.rule import Rule
from perdure.machines.workflow.start_inputs import Start
from perdure.machines.workflow.task_inputs import (
    WorkflowTaskCompleted,
    WorkflowTaskCompletion,
    WorkflowTaskDelivery,
    WorkflowTaskStarted,
)
from perdure.machines.workflow.task_token import TaskToken

T = TypeVar("T")

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
GRACE_S = activity_task.TRAVEL_GRACE / SECOND
"""How much later than its number says a start-to-close or heartbeat timeout strikes."""
"""When every story begins, ns since the epoch."""
QUEUE = "queue"


def env_at(now: int, limits: Limits | None = None, ids: SeededIds | None = None, rules: tuple[Rule, ...] = ()) -> Env:
    """The world at `now`: default limits, seeded ids, one namespace."""
    namespace = NamespaceView("namespace-id", "default", 86_400 * SECOND, {}, limits or Limits(), rules)
    return Env(now, ids or SeededIds(1), namespace)


class Story:
    """One chain. `now` is ns since the epoch and moved by `wait`; `events` is the current run's history so far."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.ids = SeededIds(1)
        self.now = T0
        self.key = ChainKey("namespace-id", Kind.WORKFLOW, "wf")
        self.state = ChainState(None, Map(), Map(), Map())
        self.events: list[history.HistoryEvent] = []
        self.offers: list[Task] = []
        self.answers: list[Answer] = []
        self.rules: tuple[Rule, ...] = ()
        """Workflow rules of the namespace."""
        self.stored = False
        """Whether the last step had anything to store."""
        self.token: TaskToken | None = None
        """The workflow task that the worker has."""

    # -- the machine -----------------------------------------------------------------------------------------------

    def apply(self, fact: Input) -> object:
        """One step; what it offers joins `offers`."""
        transition = machine.step(self.key, self.state, fact, env_at(self.now, self.limits, self.ids, self.rules))
        self.state = transition.state
        self.stored = transition.stored
        for delta in transition.deltas:
            if delta.execution.info.run_id == self.execution.info.run_id:
                if delta.first_event_id == 1:
                    self.events = []
                for fragment in delta.events:
                    for start, end in split_events(fragment):
                        self.events.append(history.HistoryEvent.FromString(fragment[start:end]))
        for effect in transition.effects:
            if isinstance(effect, OfferTask):
                self.offers.append(effect.task)
            elif isinstance(effect, Answer):
                self.answers.append(effect)
        if isinstance(transition.outcome, Exception):
            raise transition.outcome
        return transition.outcome

    def expect(self, kind: type[T], fact: Input) -> T:
        """One step whose outcome must be of this type."""
        outcome = self.apply(fact)
        assert isinstance(outcome, kind), outcome
        return outcome

    def wait(self, seconds: float) -> Story:
        """Time passes, and whatever falls due on the way happens at its own time."""
        until = self.now + int(seconds * SECOND)
        while True:
            due = alarm.volatile_alarm(self.execution)
            if due > until:
                break
            self.now = max(self.now, due)
            self.apply(AlarmRang(self.run_id))
        self.now = until
        return self

    def sleep(self, seconds: float) -> Story:
        """Time passes while nobody looks; the next `ring` finds everything that fell due."""
        self.now += int(seconds * SECOND)
        return self

    def ring(self) -> Story:
        """The alarm rings now."""
        self.apply(AlarmRang(self.run_id))
        return self

    @property
    def execution(self) -> Execution:
        """The current run."""
        current = self.state.current
        assert current is not None
        return current

    @property
    def run_id(self) -> str:
        return self.execution.info.run_id

    def activity(self, activity_id: str) -> Activity:
        """A pending activity."""
        return self.execution.activities[self.execution.activity_ids[activity_id]]

    # -- the client ------------------------------------------------------------------------------------------------

    def start(self, run_timeout: float = 0, priority_key: int = 0) -> Story:
        """Start the workflow."""
        request = workflowservice.StartWorkflowExecutionRequest(
            workflow_id="wf",
            workflow_type=common.WorkflowType(name="Wf"),
            task_queue=taskqueue.TaskQueue(name=QUEUE, kind=enums.TASK_QUEUE_KIND_NORMAL),
            workflow_run_timeout=duration_of(int(run_timeout * SECOND)),
            request_id="start",
        )
        if priority_key:
            request.priority.priority_key = priority_key
        self.apply(Start(request, {}, 0))
        return self

    def signal(self, name: str = "go") -> Story:
        """Signal the workflow."""
        self.apply(Signal("", history.WorkflowExecutionSignaledEventAttributes(signal_name=name), ""))
        return self

    def terminate(self) -> Story:
        """Terminate the workflow."""
        self.apply(Terminate("", "", history.WorkflowExecutionTerminatedEventAttributes(reason="enough")))
        return self

    # -- the worker ------------------------------------------------------------------------------------------------

    def take(self) -> WorkflowTaskDelivery:
        """Poll a workflow task."""
        task = next(task for task in self.offers if task.queue.type == WORKFLOW)
        self.offers.remove(task)
        fact = WorkflowTaskStarted(
            task.run_id,
            task.scheduled_event_id,
            task.attempt,
            task.stamp,
            self.ids.request_id(),
            "worker",
            task.queue.name,
            task.queue.sticky,
        )
        delivery = self.expect(WorkflowTaskDelivery, fact)
        self.token = delivery.token
        return delivery

    def complete(self, *wanted: commands.Command, **fields: object) -> WorkflowTaskCompletion:
        """Complete the workflow task that the worker has, with these commands."""
        assert self.token is not None, "the worker has no workflow task"
        request = workflowservice.RespondWorkflowTaskCompletedRequest(
            commands=wanted,
            identity="worker",
            **fields,  # type: ignore[arg-type]  # fields of the request
        )
        return self.expect(WorkflowTaskCompletion, WorkflowTaskCompleted(self.token, request, {}))

    def turn(self, *wanted: commands.Command) -> Story:
        """Poll a workflow task and complete it."""
        self.take()
        self.complete(*wanted)
        return self

    def take_activity(self, request_id: str = "", identity: str = "worker") -> ActivityDelivery:
        """Poll an activity attempt."""
        task = self.activity_offers()[0]
        self.offers.remove(task)
        return self.expect(ActivityDelivery, started_fact(task, request_id or self.ids.request_id(), identity))

    def activity_offers(self) -> list[Task]:
        """Attempts that matching holds."""
        return [task for task in self.offers if task.queue.type != WORKFLOW]

    def complete_activity(self, target: ActivityTarget, result: common.Payloads | None = None) -> Story:
        self.apply(ActivityTaskCompleted(self.run_id, target, result, "worker"))
        return self

    def fail_activity(
        self,
        target: ActivityTarget,
        reason: failure.Failure | None = None,
        heartbeat_details: common.Payloads | None = None,
    ) -> tuple[failure.Failure, ...]:
        reason = reason or failures.application_failure("boom", "Kind")
        fact = ActivityTaskFailed(self.run_id, target, reason, heartbeat_details, "worker")
        outcome = self.apply(fact)
        assert isinstance(outcome, tuple)
        return outcome

    def cancel_activity(self, target: ActivityTarget, details: common.Payloads | None = None) -> Story:
        self.apply(ActivityTaskCanceled(self.run_id, target, details, "worker"))
        return self

    def heartbeat(self, target: ActivityTarget, details: common.Payloads | None = None) -> HeartbeatOutcome:
        return self.expect(HeartbeatOutcome, ActivityHeartbeat(self.run_id, target, details, "worker"))

    # -- what is told ----------------------------------------------------------------------------------------------

    def told(self, after: int = 0) -> list[str]:
        """The events after an id, one line each: "7 TimerFired"."""
        return [f"{event.event_id} {event_type(event)}" for event in self.events if event.event_id > after]

    def event(self, event_id: int) -> history.HistoryEvent:
        found = self.events[event_id - 1]
        assert found.event_id == event_id, "event ids are dense"
        return found


def running_execution(*wanted: commands.Command, run_timeout: float = 0, limits: Limits | None = None) -> Story:
    """A run whose first workflow task was completed with these commands (events 1 to 4, then theirs)."""
    return Story(limits).start(run_timeout).turn(*wanted)


def busy_execution(*wanted: commands.Command, limits: Limits | None = None) -> Story:
    """The same, with a second workflow task on the worker (a signal woke it), so that events are buffered."""
    story = running_execution(*wanted, limits=limits).signal()
    story.take()
    return story


def started_activity(
    *, retry: common.RetryPolicy | None = None, heartbeat: float | None = None
) -> tuple[Story, ActivityTarget]:
    """An activity "a" (event 5) whose first attempt is on a worker."""
    story = running_execution(schedule_activity("a", retry=retry, heartbeat=heartbeat))
    return story, target_of(story.take_activity())


def event_type(event: history.HistoryEvent) -> str:
    """ "TimerFired" for EVENT_TYPE_TIMER_FIRED."""
    return short_name(enums.EventType, event.event_type)


def started_fact(task: Task, request_id: str, identity: str = "worker") -> ActivityTaskStarted:
    """A poller is about to get this offered attempt."""
    return ActivityTaskStarted(task.run_id, task.scheduled_event_id, task.attempt, task.stamp, request_id, identity)


def target_of(delivery: ActivityDelivery) -> ActivityTarget:
    """What the token of a delivery says."""
    token = delivery.token
    return ActivityTarget(token.activity_id, token.scheduled_event_id, token.attempt)


def by_id(activity_id: str) -> ActivityTarget:
    return ActivityTarget(activity_id)


def payloads(text: str) -> common.Payloads:
    return common.Payloads(payloads=[common.Payload(metadata={"encoding": b"json/plain"}, data=text.encode())])


def schedule_activity(
    activity_id: str = "a",
    *,
    schedule_to_close: float | None = None,
    schedule_to_start: float | None = None,
    start_to_close: float | None = 30,
    heartbeat: float | None = None,
    retry: common.RetryPolicy | None = None,
    priority: common.Priority | None = None,
    eager: bool = False,
    queue: str = QUEUE,
    arguments: common.Payloads | None = None,
) -> commands.Command:
    """SCHEDULE_ACTIVITY_TASK; times in seconds, None leaves a field unset."""

    def seconds(value: float | None) -> object:
        return None if value is None else duration_of(int(value * SECOND))

    attributes = commands.ScheduleActivityTaskCommandAttributes(
        activity_id=activity_id,
        activity_type=common.ActivityType(name="Act"),
        task_queue=taskqueue.TaskQueue(name=queue),
        input=arguments,
        schedule_to_close_timeout=seconds(schedule_to_close),  # type: ignore[arg-type]
        schedule_to_start_timeout=seconds(schedule_to_start),  # type: ignore[arg-type]
        start_to_close_timeout=seconds(start_to_close),  # type: ignore[arg-type]
        heartbeat_timeout=seconds(heartbeat),  # type: ignore[arg-type]
        retry_policy=retry,
        priority=priority,
        request_eager_execution=eager,
    )
    return commands.Command(
        command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, schedule_activity_task_command_attributes=attributes
    )


def retry_policy(
    initial: float = 1, coefficient: float = 1, maximum: float = 0, attempts: int = 0, *non_retryable: str
) -> common.RetryPolicy:
    """A retry policy; intervals in seconds."""
    return common.RetryPolicy(
        initial_interval=duration_of(int(initial * SECOND)),
        backoff_coefficient=coefficient,
        maximum_interval=duration_of(int(maximum * SECOND)),
        maximum_attempts=attempts,
        non_retryable_error_types=non_retryable,
    )


def request_cancel_activity(scheduled_event_id: int) -> commands.Command:
    return commands.Command(
        command_type=enums.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK,
        request_cancel_activity_task_command_attributes=commands.RequestCancelActivityTaskCommandAttributes(
            scheduled_event_id=scheduled_event_id
        ),
    )


def start_timer(timer_id: str, seconds: float) -> commands.Command:
    attributes = commands.StartTimerCommandAttributes(
        timer_id=timer_id, start_to_fire_timeout=duration_of(int(seconds * SECOND))
    )
    return commands.Command(command_type=enums.COMMAND_TYPE_START_TIMER, start_timer_command_attributes=attributes)


def cancel_timer(timer_id: str) -> commands.Command:
    attributes = commands.CancelTimerCommandAttributes(timer_id=timer_id)
    return commands.Command(command_type=enums.COMMAND_TYPE_CANCEL_TIMER, cancel_timer_command_attributes=attributes)


def complete_workflow() -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)
    command.complete_workflow_execution_command_attributes.SetInParent()
    return command


def described(story: Story, activity_id: str) -> workflow.PendingActivityInfo:
    """The activity as Describe shows it."""
    return activity_info.pending_info(story.activity(activity_id), story.now)
