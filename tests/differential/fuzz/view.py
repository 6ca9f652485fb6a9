"""What a worker knows of a run: a fold of the events that the server shows.

Exists so that commands can be meant (cancel that timer) or meant wrongly (cancel one that is gone). It never judges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import EventType, ParentClosePolicy, TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue

CHILD_ENDS = ("COMPLETED", "FAILED", "CANCELED", "TIMED_OUT", "TERMINATED")


@dataclass
class Child:
    """A child that was asked for: its id, its close policy, and its run once that is known."""

    workflow_id: str
    policy: ParentClosePolicy.ValueType
    run_id: str = ""


@dataclass
class View:
    """Recorded things of one run, by the ids with which commands name them.

    Of the updates that a reset took over, `offered` go with the next workflow task, `passed_over` were not taken up.
    `closing`: a batch that would have closed the run came too early.
    """

    timers: dict[str, float] = field(default_factory=dict)
    timer_starts: dict[str, int] = field(default_factory=dict)
    activities: dict[int, str] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    externals: set[int] = field(default_factory=set)
    task_queue: TaskQueue = field(default_factory=TaskQueue)
    finishes: list[int] = field(default_factory=list)
    backoff: float = 0.0
    tasks: int = 0
    last_id: int = 0
    offered: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    closing: bool = False
    closed: bool = False
    was_reset: bool = False
    next_run_id: str = ""

    @property
    def sticky(self) -> bool:
        """Whether the newest workflow task is on a sticky queue."""
        return self.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY


def view_of(events: Iterable[HistoryEvent]) -> View:
    """The fold."""
    view = View()
    for event in events:
        view.last_id = event.event_id
        _see(view, EventType.Name(event.event_type).removeprefix("EVENT_TYPE_"), event)
    return view


def _see(view: View, kind: str, event: HistoryEvent) -> None:
    match kind:
        case "WORKFLOW_EXECUTION_STARTED":
            begun = event.workflow_execution_started_event_attributes
            view.backoff = begun.first_workflow_task_backoff.ToTimedelta().total_seconds()
        case "WORKFLOW_TASK_SCHEDULED":
            view.task_queue = event.workflow_task_scheduled_event_attributes.task_queue
            view.tasks += 1
        case "WORKFLOW_TASK_COMPLETED" | "WORKFLOW_TASK_FAILED" | "WORKFLOW_TASK_TIMED_OUT":
            view.finishes.append(event.event_id)
            failed = event.workflow_task_failed_event_attributes
            view.closing = failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
            if kind == "WORKFLOW_TASK_COMPLETED":
                view.passed_over += view.offered
                view.offered.clear()
        case "WORKFLOW_EXECUTION_UPDATE_ADMITTED":
            view.offered.append(event.workflow_execution_update_admitted_event_attributes.request.meta.update_id)
        case "WORKFLOW_EXECUTION_UPDATE_ACCEPTED":
            update_id = event.workflow_execution_update_accepted_event_attributes.protocol_instance_id
            if update_id in view.passed_over:
                view.passed_over.remove(update_id)
        case "TIMER_STARTED":
            timer = event.timer_started_event_attributes
            view.timers[timer.timer_id] = timer.start_to_fire_timeout.ToTimedelta().total_seconds()
            view.timer_starts[timer.timer_id] = event.event_id
        case "TIMER_FIRED":
            fired = event.timer_fired_event_attributes
            # A timer whose firing is still buffered has left its id to the next one, whose start comes first then.
            if view.timer_starts[fired.timer_id] == fired.started_event_id:
                view.timers.pop(fired.timer_id, None)
        case "TIMER_CANCELED":
            view.timers.pop(event.timer_canceled_event_attributes.timer_id, None)
        case _:
            _see_others(view, kind, event)


def _see_others(view: View, kind: str, event: HistoryEvent) -> None:
    if kind == "ACTIVITY_TASK_SCHEDULED":
        view.activities[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
    elif kind.startswith("ACTIVITY_TASK_") and kind.removeprefix("ACTIVITY_TASK_") in CHILD_ENDS:
        view.activities.pop(getattr(event, f"{kind.lower()}_event_attributes").scheduled_event_id, None)
    elif kind == "START_CHILD_WORKFLOW_EXECUTION_INITIATED":
        asked = event.start_child_workflow_execution_initiated_event_attributes
        view.children[event.event_id] = Child(asked.workflow_id, asked.parent_close_policy)
    elif kind == "CHILD_WORKFLOW_EXECUTION_STARTED":
        started = event.child_workflow_execution_started_event_attributes
        view.children[started.initiated_event_id].run_id = started.workflow_execution.run_id
    elif kind == "START_CHILD_WORKFLOW_EXECUTION_FAILED" or kind.startswith("CHILD_WORKFLOW_EXECUTION_"):
        view.children.pop(getattr(event, f"{kind.lower()}_event_attributes").initiated_event_id, None)
    elif kind.endswith("_EXTERNAL_WORKFLOW_EXECUTION_INITIATED"):
        view.externals.add(event.event_id)
    elif "EXTERNAL_WORKFLOW_EXECUTION" in kind:
        view.externals.discard(getattr(event, f"{kind.lower()}_event_attributes").initiated_event_id)
    elif kind.startswith("WORKFLOW_EXECUTION_"):
        _see_close(view, kind.removeprefix("WORKFLOW_EXECUTION_"), event)


def _see_close(view: View, kind: str, event: HistoryEvent) -> None:
    if kind not in (*CHILD_ENDS, "CONTINUED_AS_NEW"):
        return
    view.closed = True
    ended = getattr(event, f"workflow_execution_{kind.lower()}_event_attributes")
    view.next_run_id = getattr(ended, "new_execution_run_id", "")
    view.was_reset = getattr(ended, "identity", "") == "history-resetter"
