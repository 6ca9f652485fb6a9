"""One story on one server: what the script holds, what it has seen, and how it waits until nothing is under way.

The rule that keeps two servers comparable: a step begins only when everything the steps before it set going has come
to rest, and whatever cannot be seen resting is given time by :meth:`Story.calm`.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any as Anything

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    CallbackState,
    ParentClosePolicy,
    PendingActivityState,
    PendingWorkflowTaskState,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice import v1 as rpc

from .. import values
from ..receiver import Receiver
from ..script import NAMESPACE, Pending, Script
from ..update_values import poll_request
from ..wire import RpcFailed
from .plan import Plan
from .view import Child, View, view_of

Described = rpc.DescribeWorkflowExecutionResponse
Task = rpc.PollWorkflowTaskQueueResponse

REST_SECONDS = 4.0
"""How long a story waits for something to come to rest before it goes on and says so."""
SHORT_SECONDS = 0.2
"""Length of timers and timeouts that a story waits out."""
BRIEF_SECONDS = 2.0
"""The longest timeout of a run that a story waits out."""
PROBLEMS_MAX = 2
"""Failed tasks in a row. After five the reference writes a search attribute; terminations and resets count, too."""
POLL_SECONDS = 4.0
"""Deadline of a poll; a task should be there already."""
BRIEF_POLL_SECONDS = 2.2
"""Deadline of a poll that should bring nothing. A shorter one is refused."""
WAIT_SECONDS = 15.0
"""Deadline of updates and queries, which others must answer."""
STICKY_REST_SECONDS = 4.0
"""How long a sticky queue may be without a poll. After ten both servers give it up, each by its own clock (3.9)."""
FIRST_BACKOFF_MAX = 3.0
"""A longer backoff of a run's first task is not waited for."""

ABANDON = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
TERMINATE = ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
REQUEST_CANCEL = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL
CALLBACK_ENDS = (CallbackState.CALLBACK_STATE_SUCCEEDED, CallbackState.CALLBACK_STATE_FAILED)
RUNNING = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
PAUSED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED


@dataclass
class Ask:
    """An update or a query under way.

    `is_accepted` once a worker has taken the update; `is_answered` once one has sent an answer to the query. `starts`
    if the request is to start a run where there is none. `is_huge` if no worker can take the update up.
    """

    pending: Pending[Anything]
    update_id: str = ""
    stage: int = 0
    is_accepted: bool = False
    is_answered: bool = False
    starts: bool = False
    is_huge: bool = False


@dataclass
class Story:
    """One seed on one server.

    `kin`: the story is about children that outlive their parent, of whom a reset may remind it.
    """

    s: Script
    plan: Plan
    draw: random.Random
    sticky: bool = False
    tasks_expire: bool = False
    kin: bool = False
    was_paused: bool = False
    was_reset: bool = False
    touched_in_pause: bool = False
    held: Task | None = None
    old_tasks: list[Task] = field(default_factory=list)
    activities: list[rpc.PollActivityTaskQueueResponse] = field(default_factory=list)
    old_activities: list[rpc.PollActivityTaskQueueResponse] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    kids: dict[str, str] = field(default_factory=dict)
    has_other: bool = False
    receiver: Receiver | None = None
    problems: int = 0
    closing: bool = False
    described: Described = field(default_factory=Described)
    view: View = field(default_factory=View)
    sticky_polled_at: float = 0.0
    _seen: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _deleted: list[str] = field(default_factory=list)
    _watched: str = ""
    _calm_at: float = 0.0

    # What there is

    @property
    def running(self) -> bool:
        return self.described.workflow_execution_info.status in (RUNNING, PAUSED)

    @property
    def is_first_run(self) -> bool:
        """Whether the run that the story began with is still the one in question.

        Perdure remembers request ids of starts as long as any run of the chain is there, and those of signals over a
        reset; the reference forgets them. Both are meant (docs/decisions/010).
        """
        return len(self._seen) <= 1

    @property
    def runs(self) -> list[str]:
        """All runs of the workflow that were current once, the first first."""
        return list(self._seen) or [self.s.run_id]

    @property
    def older_runs(self) -> list[str]:
        """Runs that came before the current one, and are still there."""
        return [run_id for run_id in self._seen if run_id not in (self.s.run_id, *self._deleted)]

    def forget(self, run_id: str) -> None:
        """A run was deleted: nothing of it is used any more."""
        self._deleted.append(run_id)
        self.old_tasks = [task for task in self.old_tasks if task.workflow_execution.run_id != run_id]
        for tasks in (self.activities, self.old_activities):
            tasks[:] = [task for task in tasks if task.workflow_execution.run_id != run_id]

    @property
    def is_paused(self) -> bool:
        return self.described.workflow_execution_info.status == PAUSED

    @property
    def task_waits(self) -> bool:
        """Whether a workflow task waits for a worker."""
        waiting = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
        return self.running and self.described.pending_workflow_task.state == waiting

    @property
    def task_runs(self) -> bool:
        started = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        return self.described.pending_workflow_task.state == started

    @property
    def fragile(self) -> bool:
        """Whether the reference holds something in memory only that an error in any other request makes it forget.

        Its callers ask again by themselves, so nothing is lost, but a task may vanish and come again; and an update
        that a reset took over, and that no worker took up, comes again too. Or it forgets that it refuses signals
        until a batch can close the run. Errors are for other moments.
        """
        waits = any(not ask.is_accepted for ask in self.asks)
        return waits or self.closing or self.view.closing or bool(self.view.offered or self.view.passed_over)

    @property
    def awaits_first_task(self) -> bool:
        """Whether the run has a backoff before its first workflow task, and has none yet."""
        return self.view.backoff > 0 and not self.view.tasks

    def waiting_activities(self) -> list[PendingActivityInfo]:
        """Activities that a poll of their queue should bring."""
        scheduled = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        found = [one for one in self.described.pending_activities if one.state == scheduled and _ahead(one) <= 0]
        return sorted(found, key=lambda one: one.activity_id)

    def child_id(self, number: int) -> str:
        return f"kid-{number}-{self.s.nonce}"

    def child_of(self, workflow_id: str, number: int) -> str:
        """What a child calls a child of its own; "" in the last generation, and for strangers."""
        for name, next_name in (("kid", "grandchild"), ("grandchild", "great")):
            if workflow_id.startswith(name):
                return f"{next_name}-{number}-{self.s.nonce}"
        return ""

    @property
    def other_id(self) -> str:
        return f"other-{self.s.nonce}"

    def queue_of(self, workflow_id: str) -> TaskQueue:
        """Children and strangers poll queues of their own."""
        return TaskQueue(name=f"q-{workflow_id}")

    def reset_points(self) -> list[int]:
        """Ends of workflow tasks of the current run, before which no child was pending that a close would reach."""
        events = self._events(self.s.run_id)
        pasts = {point: view_of(events[: point - 1]) for point in self.view.finishes}
        return [point for point, past in pasts.items() if all(c.policy == ABANDON for c in past.children.values())]

    def calm(self, seconds: float = 0.25) -> None:
        """Something that no answer shows happens within `seconds`: let it."""
        self._calm_at = max(self._calm_at, time.monotonic() + seconds)

    @property
    def careful(self) -> bool:
        """Whether the next completion should succeed.

        A failed one makes the reference forget queries, and updates that the worker has not seen or has just answered.
        Their callers ask again by themselves, but some of them in vain.
        """
        return self.problems >= PROBLEMS_MAX or self.fragile

    # Looking

    def look(self) -> None:
        """Wait for rest, then record what is new: events, the description, answers of updates that are decided."""
        decided = [ask for ask in self.asks if self._is_decided(ask)]
        late = self._come_to_rest()
        if late:
            self.s.fact("did not come to rest", late)
        if self._watched and self._watched != self.s.run_id:
            self.accepted.clear()
            self._record_events(self._watched, self._events(self._watched))
            self._await_children(self.s.execution(self._watched))
        self._watched = self.s.run_id
        self._record_events(self.s.run_id, self._events(self.s.run_id))
        self.described = self.s.describe()
        self._collect(decided)
        if self.view.closed and self.view.next_run_id:
            self.s.fact("the chain goes on", self.view.next_run_id)
            self._await_children(self.s.execution())
            self.s.run_id, self.held = self.view.next_run_id, None
            self.look()
        elif self.view.closed:
            self._await_children(self.s.execution())
            self._turn_to_started_run()

    def _turn_to_started_run(self) -> None:
        """An update that may start a run, and whose run closed before a worker took it, starts another."""
        pause = threading.Event()
        for _ in range(50):
            if not any(ask.starts and not ask.is_accepted and not ask.pending.is_over for ask in self.asks):
                return
            execution = values.execution(self.s.workflow_id)
            run_id = self.describe_quietly(execution).workflow_execution_info.execution.run_id
            if run_id and run_id != self.s.run_id:
                self.s.fact("another run begins", run_id)
                self.s.run_id, self.held = run_id, None
                self.look()
                return
            pause.wait(0.02)

    def describe_quietly(self, execution: WorkflowExecution) -> Described:
        request = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=execution)
        reply = self.s.send(request, Described)
        return Described() if isinstance(reply, RpcFailed) else reply

    def note_completion(self) -> None:
        """Count failed completions in a row: the last answer of the transcript says whether this was one."""
        answer = self.s.transcript[-8:]
        failed = any(line.startswith("  error:") for line in answer)
        self.problems = self.problems + 1 if failed else 0
        # A later attempt fails without an event.
        self.closing = any(line.startswith("  message: UnhandledCommand") for line in answer)

    def runs_now(self, attempt: int) -> bool:
        """Whether this attempt of a workflow task is with a worker as far as the server knows."""
        task = self.describe_quietly(self.s.execution()).pending_workflow_task
        started = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        return task.state == started and task.attempt == attempt

    def await_task_of(self, workflow_id: str) -> None:
        """Wait for the first task of a run that another may have continued in its first second (10.1)."""
        pause = threading.Event()
        for _ in range(100):
            described = self.describe_quietly(values.execution(workflow_id))
            if (
                described.workflow_execution_info.status != RUNNING
                or described.workflow_execution_info.history_length > 1
            ):
                return
            pause.wait(0.02)

    def await_kin(self, workflow_id: str) -> None:
        """Wait until what a worker of a child or a stranger asked for has been done: its calls, its own children."""
        end = time.monotonic() + REST_SECONDS
        pause = threading.Event()
        while time.monotonic() < end:
            described = self.describe_quietly(values.execution(workflow_id))
            view = view_of(self._events_of(described.workflow_execution_info.execution))
            starting = [child for child in described.pending_children if not child.run_id]
            if view.closed or not (starting or view.externals):
                break
            pause.wait(0.02)
        for child in described.pending_children:
            self.await_task_of(child.workflow_id)
        self._await_children(described.workflow_execution_info.execution)

    def _events_of(self, execution: WorkflowExecution) -> list[HistoryEvent]:
        request = self.s.history_request(execution=execution)
        reply = self.s.send(request, rpc.GetWorkflowExecutionHistoryResponse)
        return [] if isinstance(reply, RpcFailed) else list(reply.history.events)

    def _events(self, run_id: str) -> list[HistoryEvent]:
        return self._events_of(self.s.execution(run_id))

    def _record_events(self, run_id: str, events: list[HistoryEvent]) -> None:
        """Record events that were not there the last time this run was looked at."""
        known = self._seen.get(run_id, [])
        now = [(event.event_id, int(event.event_type)) for event in events]
        same = 0
        while same < min(len(known), len(now)) and known[same] == now[same]:
            same += 1
        for gone in known[same:]:
            if gone not in now:
                self.s.transcript.append(f"  gone: event {gone[0]}")
        fresh = rpc.GetWorkflowExecutionHistoryResponse()
        fresh.history.events.extend(events[same:])
        self.s.show(fresh)
        self._seen[run_id] = now

    def _come_to_rest(self) -> str:
        """Wait until nothing is under way. What still was when time ran out, else empty."""
        end = time.monotonic() + REST_SECONDS
        pause = threading.Event()
        pause.wait(max(0.0, self._calm_at - time.monotonic()))
        while True:
            described = self.describe_quietly(self.s.execution())
            view = view_of(self._events(self.s.run_id))
            moving = self._moving(described, view)
            if not moving or time.monotonic() > end:
                self.view = view
                return moving
            pause.wait(0.02)

    def _moving(self, described: Described, view: View) -> str:
        """What a server is still doing for this run by itself, else empty."""
        if self.receiver is not None and view.closed and not (view.next_run_id or view.was_reset):
            return "" if all(one.state in CALLBACK_ENDS for one in described.callbacks) else "callback"
        if view.closed or described.workflow_execution_info.status not in (RUNNING, PAUSED):
            return ""
        if 0 < described.execution_config.workflow_run_timeout.ToTimedelta().total_seconds() <= BRIEF_SECONDS:
            return "run"
        runs = described.pending_workflow_task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        if not view.tasks and view.backoff < FIRST_BACKOFF_MAX:
            return "first task"
        if not runs and view.externals:
            return "external"
        if not all(child.run_id for child in described.pending_children):
            return "child"
        if not runs and any(length <= SHORT_SECONDS for length in view.timers.values()):
            return "timer"
        if any(0 < _ahead(activity) < FIRST_BACKOFF_MAX for activity in described.pending_activities):
            return "backoff"
        if any(_is_short(activity) for activity in described.pending_activities):
            return "activity"
        return ""

    # Children of a run that has closed, and those who wait for answers

    def _await_children(self, execution: WorkflowExecution) -> None:
        """Wait until the close policies of a run's children have been carried out, and those of theirs."""
        view = view_of(self._events_of(execution))
        if view.was_reset or not view.closed:
            return
        end = time.monotonic() + REST_SECONDS
        pause = threading.Event()
        while time.monotonic() < end and any(self._owed(child) for child in view.children.values()):
            pause.wait(0.02)
        for child in view.children.values():
            if child.policy == TERMINATE:
                self._await_children(values.execution(child.workflow_id, child.run_id))

    def _owed(self, child: Child) -> bool:
        if child.policy not in (TERMINATE, REQUEST_CANCEL):
            return False
        found = self.describe_quietly(values.execution(child.workflow_id))
        if found.workflow_execution_info.status not in (RUNNING, PAUSED):
            return False
        return child.policy == TERMINATE or not found.workflow_extended_info.cancel_requested

    def _collect(self, decided: list[Ask]) -> None:
        """Record the answers that are there, in the order in which they were asked for.

        A query that waits when its run closes is forgotten: the reference lets its caller wait in vain.
        """
        for ask in decided:
            if ask.update_id or ask.is_answered or not self.view.closed:
                self._record_answer(ask)
            self.asks.remove(ask)
        if self.view.closed:
            self.asks = [ask for ask in self.asks if ask.update_id]

    def _ask_on(self, ask: Ask) -> bool:
        """Whether a caller had to ask again.

        The reference sends a caller who waits for the outcome away with ACCEPTED whenever it reloads the run; SDKs ask
        again until they have the outcome, and so does this.
        """
        outcome = ask.pending.outcome()
        if isinstance(outcome, RpcFailed) or self._stage_reply(outcome).stage >= ask.stage:
            return False
        wait = {2: "ACCEPTED", 3: "COMPLETED"}[ask.stage]
        request = poll_request(self.s, ask.update_id, wait, update_ref=self._stage_reply(outcome).update_ref)
        ask.pending = self.s.background(request, rpc.PollWorkflowExecutionUpdateResponse, WAIT_SECONDS)
        ask.is_accepted = True
        return True

    def _record_answer(self, ask: Ask) -> None:
        """What a caller gets in the end."""
        outcome = ask.pending.outcome()
        self.s.transcript.append(f"answer: {'update ' + ask.update_id if ask.update_id else 'query'}")
        if isinstance(outcome, RpcFailed):
            self.s.show_error(outcome)
        elif ask.update_id:
            self.s.show(self._stage_reply(outcome).outcome)
        else:
            self.s.show(outcome)

    def _stage_reply(self, reply: Anything) -> Anything:
        """The part of an answer that speaks of the update."""
        if isinstance(reply, rpc.ExecuteMultiOperationResponse):
            return reply.responses[1].update_workflow
        return reply

    def _is_decided(self, ask: Ask) -> bool:
        """Whether an answer is there or about to come. An update that a failed task lost is asked again by the server
        itself, so one that is unknown is given a moment to show up."""
        pause = threading.Event()
        if not ask.update_id:
            for _ in range(25 if ask.is_answered else 0):
                if ask.pending.is_over:
                    break
                pause.wait(0.02)
            ask.is_answered = ask.pending.is_over and ask.is_answered
            return ask.pending.is_over
        # After a reset the server tells of the new run, and the answer about the old one may be on its way.
        patience = 5 if self._watched != self.s.run_id else 0
        for _ in range(50):
            state = self.s.send(
                poll_request(self.s, ask.update_id, "UNSPECIFIED", update_ref=self.update_ref(ask.update_id)),
                rpc.PollWorkflowExecutionUpdateResponse,
            )
            if ask.pending.is_over and not self._ask_on(ask):
                return True
            if not isinstance(state, RpcFailed) and state.update_ref.update_id and state.stage < ask.stage:
                ask.is_accepted = state.stage > 1
                if patience == 0:
                    return False
                patience -= 1
            pause.wait(0.02)
        return False

    def update_ref(self, name: str) -> UpdateRef:
        """An update of whatever run is current."""
        execution = values.execution(self.s.workflow_id)
        return UpdateRef(workflow_execution=execution, update_id=f"{name}-{self.s.nonce}")

    def finish(self) -> None:
        """Close everything, and record the answers and histories that are left."""
        self.s.section("end")
        if self.running:
            self.s.terminate(reason="end")
            self.look()
        for ask in self.asks:
            if ask.update_id:
                self._record_answer(ask)
        for name in ([self.other_id] if self.has_other else []) + sorted(self.kids, key=_generation):
            request = rpc.TerminateWorkflowExecutionRequest(
                namespace=NAMESPACE, workflow_execution=values.execution(name)
            )
            self.s.call(request, rpc.TerminateWorkflowExecutionResponse)
            if name.startswith("g"):
                # Its parent hears of it.
                self.await_kin(name)
                threading.Event().wait(0.25)
            self.s.history(execution=values.execution(name))
            self.s.describe(execution=values.execution(name))
        self.s.history()
        self.s.describe()
        if self.receiver is not None:
            self.receiver.record_rest()


def _generation(workflow_id: str) -> tuple[int, str]:
    """The youngest first."""
    return ("great", "grandchild", "kid").index(workflow_id.partition("-")[0]), workflow_id


def _is_short(activity: PendingActivityInfo) -> bool:
    """Whether an activity is about to time out: before any worker comes, if it is not paused, or with the worker."""
    options = activity.activity_options
    if activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
        return 0 < options.start_to_close_timeout.ToTimedelta().total_seconds() <= SHORT_SECONDS
    soon = 0 < options.schedule_to_start_timeout.ToTimedelta().total_seconds() <= SHORT_SECONDS
    return soon and not activity.paused and not activity.last_started_time.seconds


def _ahead(activity: PendingActivityInfo) -> float:
    """Seconds until the next attempt is offered."""
    return activity.next_attempt_schedule_time.seconds + activity.next_attempt_schedule_time.nanos / 1e9 - time.time()
