"""Random lives of a chain: whatever is thrown at the machine, every step passes the audit (`tests.machines.audit`).

The tale is a list of small numbers, so that hypothesis can shorten it. What a number means depends on what is
possible at that point; what the machine refuses must leave everything as it was.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from perdure.api import activity as activities
from perdure.api import command as commands
from perdure.api import enums, failures, protocol, taskqueue, workflow
from perdure.api import history as api_history
from perdure.api.times import duration_of
from perdure.errors import (
    InvalidArgument,
    NotFound,
    ServiceError,
    Unavailable,
    WorkflowExecutionAlreadyStarted,
)
from perdure.machines import task_queue
from perdure.machines.env import Limits
from perdure.machines.task_queue import Task
from perdure.machines.workflow import alarm, outbound
from perdure.machines.workflow.activity_inputs import (
    ActivityHeartbeat,
    ActivityTarget,
    ActivityTaskCanceled,
    ActivityTaskCompleted,
    ActivityTaskFailed,
    ActivityTaskStarted,
)
from perdure.machines.workflow.calls import StartChild
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.commands.protocol_message import is_rejection
from perdure.machines.workflow.exchange import CallUndelivered, ChildClosed, ParentClosed, ScheduleFirstTask
from perdure.machines.workflow.operator_inputs import (
    ActivitySelection,
    PauseActivity,
    PauseWorkflow,
    Reset,
    ResetActivity,
    UnpauseActivity,
    UnpauseWorkflow,
    UpdateActivityOptions,
    UpdateOptions,
)
from perdure.machines.workflow.pending_update import ACCEPTED
from perdure.machines.workflow.start_inputs import StartOutcome
from perdure.machines.workflow.task_inputs import WorkflowTaskCompletion, WorkflowTaskDelivery
from perdure.machines.workflow.update_inputs import UpdatePending
from perdure.machines.workflow.updates import STAGE_ACCEPTED, STAGE_COMPLETED
from tests.machines.audit import frozen
from tests.machines.builders import (
    SECOND,
    cancel_timer,
    complete_workflow,
    payloads,
    request_cancel_activity,
    retry_policy,
    schedule_activity,
    start_timer,
)
from tests.machines.chronicles import (
    FAIL,
    TERMINATE_EXISTING,
    USE_EXISTING,
    Chronicle,
    answered,
    cancel_workflow,
    continue_as_new,
    fail_workflow,
    modify_memo,
    record_marker,
    upsert_search_attributes,
)
from tests.machines.families import cancel_external, signal_external, start_child
from tests.machines.update_messages import accept, place, reject, respond

CHILD_RUN = "00000000-0000-7000-8000-000000000001"
PARENT = Parent("namespace-id", "default", "parent", "00000000-0000-7000-8000-000000000002", 5)
DELAYS = (0, 0.5, 1, 2, 3, 6, 12, 30, 1, 2, 3, 6, 12, 100, 700)
Call = tuple[int, int, int]


def small_limits() -> Limits:
    """Limits that a short tale can reach."""
    limits = Limits()
    limits.buffered_events = 18
    limits.signals = 60
    limits.pending_activities = 30
    limits.history_count = 200
    limits.history_count_suggest = 60
    limits.blob_size = 400
    limits.memo_size = 2000
    limits.buffered_queries = 2
    limits.updates_in_flight = 4
    limits.updates_total = 25
    return limits


TASK_ENDS = (
    enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    enums.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    enums.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
)
TUNABLE = (
    "heartbeat_timeout",
    "start_to_close_timeout",
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "retry_policy",
    "retry_policy.maximum_attempts",
    "retry_policy.initial_interval",
    "priority",
    "task_queue.name",
)
"""Paths of activity options, in the order in which a tale takes some that follow each other."""


def tuned(number: int) -> activities.ActivityOptions:
    """New options of an activity; 0 takes a timeout away."""
    options = activities.ActivityOptions(
        task_queue=taskqueue.TaskQueue(name="elsewhere"), retry_policy=retry_policy(1 + number % 3, 2, 0, number % 4)
    )
    options.heartbeat_timeout.CopyFrom(duration_of(number % 3 * 4 * SECOND))
    options.start_to_close_timeout.CopyFrom(duration_of((1 + number % 3) * 6 * SECOND))
    options.schedule_to_close_timeout.CopyFrom(duration_of(number % 3 * 25 * SECOND))
    options.schedule_to_start_timeout.CopyFrom(duration_of(number % 4 * 9 * SECOND))
    options.priority.priority_key = 1 + number % 5
    return options


class Tale(Chronicle):
    """Turns numbers into inputs. What cannot be done now is skipped."""

    def __init__(self) -> None:
        super().__init__(small_limits())
        self.asked = 0
        self.waiting: set[int] = set()
        """Callers of updates that have not left."""

    def play(self, call: Call) -> None:
        """One thing happens."""
        verb, a, b = call
        action = _VERBS[verb % len(_VERBS)]
        # An input that is refused changes nothing: `audited_step` sees to that.
        with contextlib.suppress(ServiceError):
            action(self, a, b)
        if self.state.current is None:
            # The newest run was deleted.
            self.token = None
            self.begin(request_id=f"after deletion {self.request_ids}")
        self.check_callers()

    def check_callers(self) -> None:
        """Whoever calls for an update still waits or was told, once."""
        still = {w.number for run in self.state.runs.values() for u in run.updates for w in u.waiters}
        for waiter in self.waiting:
            assert (waiter in still) != (self.heard(waiter) is not None), f"caller {waiter}"

    # -- clients ---------------------------------------------------------------------------------------------------

    def client_start(self, a: int, b: int) -> None:
        fields: dict[str, Any] = {
            "workflow_id_conflict_policy": TERMINATE_EXISTING if b % 11 == 0 else (FAIL, USE_EXISTING)[a % 2],
            "workflow_id_reuse_policy": 1 + b % 3,
            "request_id": f"r{b % 5}",
            "request_eager_execution": a % 5 == 0,
        }
        if b % 4 == 1:
            fields["parent"] = PARENT
        if a % 2:
            fields["retry"] = retry_policy(2, 1, 0, 3)
        if b % 3 == 0:
            fields["run_timeout"] = 300
        if b % 7 == 0:
            fields["execution_timeout"] = 900
        delay = 7 if a % 4 == 3 else 0
        if a % 6 == 5 and "parent" not in fields:
            self.signal_with_start(delay=delay, **fields)
        else:
            outcome = self.begin(delay=delay, **fields)
            if outcome.eager is not None:
                self.token = outcome.eager.token

    def client_signals(self, a: int, b: int) -> None:
        for number in range(19 if a % 13 == 0 else 1):
            self.signal("s", request_id=f"id{(b + number) % 60}" if b % 4 else "")

    def client_cancels(self, a: int, b: int) -> None:
        self.request_cancel()

    def client_terminates(self, a: int, b: int) -> None:
        if a % 8 == 0:
            self.terminate()

    def client_asks(self, a: int, b: int) -> None:
        self.asked += 1
        self.ask(f"q{self.asked}", reject=a % 4)

    def client_updates(self, a: int, b: int) -> None:
        for number in range(1 + a % 3):
            outcome = self.update(f"u{(b + number) % 30}", (STAGE_ACCEPTED, STAGE_COMPLETED)[a % 2])
            if isinstance(outcome, UpdatePending):
                self.waiting.add(self.last_waiter)

    def client_polls_update(self, a: int, b: int) -> None:
        if isinstance(self.poll_update(f"u{b % 30}", a % 4), UpdatePending):
            self.waiting.add(self.last_waiter)

    def client_leaves_update(self, a: int, b: int) -> None:
        updates = self.execution.updates
        if updates and updates[a % len(updates)].waiters:
            chosen = updates[a % len(updates)]
            self.waiting.discard(chosen.waiters[0].number)
            self.abandon_update(chosen.waiters[0].number, chosen.update_id)

    def client_starts_or_updates(self, a: int, b: int) -> None:
        policy = (FAIL, USE_EXISTING, TERMINATE_EXISTING)[a % 3 if b % 5 == 0 else 1]
        outcome = self.update_with_start(f"u{b % 30}", workflow_id_conflict_policy=policy)
        if isinstance(outcome.update, UpdatePending):
            self.waiting.add(self.last_waiter)

    # -- operators -------------------------------------------------------------------------------------------------

    def operator_pauses(self, a: int, b: int) -> None:
        if a % 3 == 0:
            self.apply(PauseWorkflow("", "operator", f"why{b % 3}", f"pause{b}"))
        else:
            self.apply(UnpauseWorkflow("", "operator", "", f"unpause{b}"))

    def operator_holds_activities(self, a: int, b: int) -> None:
        pending = sorted(self.execution.activities.values(), key=lambda each: each.scheduled_event_id)
        if not pending:
            return
        chosen = ActivitySelection(activity_id=pending[a % len(pending)].activity_id)
        if b % 4 == 0:
            chosen = ActivitySelection(everything=True)
        match a % 4:
            case 0:
                self.apply(PauseActivity("", chosen, "operator", "why", f"hold{b}"))
            case 1:
                self.apply(UnpauseActivity("", chosen, b % 2 == 0, b % 3 == 0, (b % 5) * SECOND))
            case _:
                self.apply(ResetActivity("", chosen, b % 2 == 0, b % 3 == 0, b % 5 == 0, (b % 7) * SECOND))

    def operator_tunes_activities(self, a: int, b: int) -> None:
        pending = sorted(self.execution.activities.values(), key=lambda each: each.scheduled_event_id)
        if not pending:
            return
        chosen = ActivitySelection(activity_id=pending[a % len(pending)].activity_id)
        if b % 4 == 0:
            chosen = ActivitySelection(activity_type="Act")
        if b % 5 == 0:
            self.apply(UpdateActivityOptions("", chosen, None, None, True))
            return
        self.apply(UpdateActivityOptions("", chosen, tuned(a), (TUNABLE * 2)[b % 9 : b % 9 + 1 + a % 3], False))

    def operator_deletes(self, a: int, b: int) -> None:
        """A run of the chain goes."""
        left = sorted(self.shelf.cores)
        chosen = left[b % len(left)] if a % 2 else self.run_id
        if a % 5 == 0 or len(left) > 6:
            self.delete(chosen)

    def operator_changes_options(self, a: int, b: int) -> None:
        options = workflow.WorkflowExecutionOptions()
        options.priority.priority_key = a % 4
        options.priority.fairness_key = f"tenant{b % 3}"
        if b % 2:
            options.versioning_override.auto_upgrade = True
        paths = ("versioning_override", "priority", "priority.fairness_key")[a % 3 : 2 + b % 2]
        self.apply(UpdateOptions("", options, paths, "operator"))

    def operator_resets(self, a: int, b: int) -> None:
        """To the end of a workflow task, or to any event; of the newest run, or of an older one."""
        if b % 3 or len(self.shelf.cores) > 6:
            return
        left = sorted(self.shelf.cores)
        chosen = left[a % len(left)] if b % 2 else self.run_id
        events = self.shelf.histories[chosen]
        points = [e.event_id for e in events if e.event_type in TASK_ENDS]
        finish = points[a % len(points)] if points and a % 4 else a
        options = workflow.WorkflowExecutionOptions()
        options.priority.priority_key = 1 + a % 4
        operations = (UpdateOptions("", options, ("priority",), "operator"),)
        self.meet(chosen)
        self.asked += 1
        excluded = frozenset(enums.ResetReapplyExcludeType.values()[: b % 4])
        reset = Reset(chosen, finish, "why", f"reset{self.asked}", excluded, operations if b % 5 == 0 else ())
        self.apply(self.informed(reset))
        self.token = None

    def client_resets_stickiness(self, a: int, b: int) -> None:
        self.reset_sticky()

    # -- other chains ----------------------------------------------------------------------------------------------

    def others_answer(self, a: int, b: int) -> None:
        """A call comes back, with any outcome; now and then it came back before."""
        if not self.calls:
            return
        call = self.calls[a % len(self.calls)]
        if b % 6:
            self.calls.remove(call)
        outcomes: tuple[object, ...] = (None, NotFound("gone"), Unavailable("later"), InvalidArgument("too many"))
        if isinstance(call, StartChild):
            taken = WorkflowExecutionAlreadyStarted("taken", "r", CHILD_RUN, CHILD_RUN)
            outcomes = (StartOutcome(CHILD_RUN, CHILD_RUN, True, 1), StartOutcome(CHILD_RUN, CHILD_RUN, True, 1), taken)
        events = self.shelf.histories.get(call.sender.run_id)
        if events is None:
            # The sender was deleted: a call that was given twice came back to nobody.
            return
        event = events[call.event_id - 1] if call.event_id else None
        told = outbound.answer(call, event, outcomes[b % len(outcomes)])
        self.apply(told or CallUndelivered(call.sender.run_id, call.sender.item))

    def child_ends(self, a: int, b: int) -> None:
        children = sorted(self.execution.children.values(), key=lambda each: each.initiated_event_id)
        if children:
            child = children[a % len(children)]
            end = api_history.HistoryEvent(event_type=enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED)
            first = child.started_run_id or CHILD_RUN
            self.apply(ChildClosed(self.run_id, child.initiated_event_id, child.workflow_id, first, first, end))

    def parent_speaks(self, a: int, b: int) -> None:
        if a % 5:
            self.apply(ScheduleFirstTask(self.run_id))
        else:
            self.apply(ParentClosed(PARENT, "", 1 + b % 2 * 2, "parent"))

    # -- time ------------------------------------------------------------------------------------------------------

    def time_passes(self, a: int, b: int) -> None:
        until = self.now + int(DELAYS[a % len(DELAYS)] * SECOND)
        for _ in range(500):
            due = alarm.volatile_alarm(self.execution)
            if due > until:
                break
            self.now = max(self.now, due)
            self.ring()
            if self.state.current is None or not self.execution.running:
                break
        else:
            raise AssertionError("the alarm never comes to rest")
        self.now = until

    def nobody_looks(self, a: int, b: int) -> None:
        self.now += int(DELAYS[a % len(DELAYS)] * SECOND)
        self.ring()

    def clock_goes_back(self, a: int, b: int) -> None:
        self.now -= SECOND

    def owner_dies(self, a: int, b: int) -> None:
        self.crash()
        self.waiting.clear()

    # -- workers ---------------------------------------------------------------------------------------------------

    def worker_polls(self, a: int, b: int) -> None:
        if any(task.queue.type == task_queue.WORKFLOW for task in self.offers):
            fact = self.started_fact(f"poll{b}")
            if a % 5 == 0:
                fact.sticky = False
            outcome = self.apply(fact)
            if isinstance(outcome, WorkflowTaskDelivery):
                self.token = outcome.token

    def worker_turns(self, a: int, b: int) -> None:
        self.worker_polls(a, b)
        self.worker_completes(a, b)

    def worker_makes_a_crowd(self, a: int, b: int) -> None:
        """So many of one kind that they get rows of their own; the next crowd undoes the one before."""
        self.worker_polls(1, b)
        if self.token is None:
            return
        execution = self.execution
        crowd = range(18)
        match a % 4:
            case 0:
                wanted = [cancel_timer(timer_id) for timer_id in execution.timers]
                wanted = wanted or [start_timer(f"c{execution.timer_count + n}", 5 + n) for n in crowd]
            case 1:
                live = [i for i, each in execution.activities.items() if not each.cancel_requested]
                wanted = [request_cancel_activity(i) for i in live]
                wanted = wanted or [schedule_activity(f"c{execution.activity_count + n}") for n in crowd]
            case 2:
                wanted = [start_child(f"c{len(execution.children) + n}") for n in crowd] if b % 3 == 0 else []
                wanted += [upsert_search_attributes(**{f"S{n}": "null" if b % 2 else '"x"' for n in crowd})]
            case _:
                wanted = [modify_memo(**{f"m{n}": "" if b % 2 else '"x"' for n in crowd})]
        self.respond(*wanted)

    def worker_completes(self, a: int, b: int) -> None:
        if self.token is None:
            return
        wanted = [self._command(a + n * 5, b + n) for n in range(1 + b % 4)]
        messages = self._messages(a, b)
        if messages and b % 3 == 0:
            wanted = []
        wanted += [place(message) for message in messages if a % 2 and not is_rejection(message)]
        results = {q.query_id: answered('"x"') for q in self.execution.queries if b % 2}
        before = self.execution
        outcome = self.respond(
            *[command for command in wanted if command is not None],
            messages=messages,
            sticky=5 if a % 3 else None,
            query_results=results,
            force_create_new_workflow_task=b % 5 == 0,
            return_new_workflow_task=a % 2 == 0,
        )
        if isinstance(outcome, InvalidArgument):
            after = self.state.runs[before.info.run_id]
            for field in (
                "activities",
                "timers",
                "memo",
                "activity_count",
                "timer_count",
                "signal_ids",
                "completed_updates",
            ):
                kept = frozen(getattr(after, field)) == frozen(getattr(before, field))
                assert kept, f"a rejected batch left a trace in {field}"
        else:
            assert isinstance(outcome, WorkflowTaskCompletion | ServiceError)
        if isinstance(outcome, WorkflowTaskCompletion):
            for query_id in results:
                assert query_id not in [q.query_id for q in self.execution.queries]

    def worker_fails(self, a: int, b: int) -> None:
        if self.token is not None:
            causes = (2, enums.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, 999, 0)
            self.fail_task(causes[a % 4])

    def worker_works(self, a: int, b: int) -> None:
        offers = [task for task in self.offers if task.queue.type != task_queue.WORKFLOW]
        if offers:
            task: Task = offers[a % len(offers)]
            if b % 4:
                self.offers.remove(task)
            self.apply(
                ActivityTaskStarted(task.run_id, task.scheduled_event_id, task.attempt, task.stamp, f"p{b}", "worker")
            )

    def activity_reports(self, a: int, b: int) -> None:
        pending = sorted(self.execution.activities.values(), key=lambda each: each.scheduled_event_id)
        if not pending:
            return
        chosen = pending[a % len(pending)]
        target = ActivityTarget("", chosen.scheduled_event_id, chosen.attempt)
        if b % 7 == 0:
            target = ActivityTarget(chosen.activity_id)
        run_id = self.run_id
        match b % 5:
            case 0:
                self.apply(ActivityTaskCompleted(run_id, target, payloads('"x"'), "worker"))
            case 1:
                self.apply(ActivityTaskFailed(run_id, target, failures.application_failure("no", "T"), None, "w"))
            case 2:
                self.apply(ActivityTaskCanceled(run_id, target, None, "worker"))
            case 3:
                self.apply(ActivityHeartbeat(run_id, target, payloads('"' + "x" * (a * 3) + '"'), "worker"))
            case _:
                self.apply(ActivityTaskFailed(run_id, target, failures.application_failure("n", "T", True), None, "w"))

    def _messages(self, a: int, b: int) -> list[protocol.Message]:
        """What the worker says of the updates: most are answered, some in ways that are wrong."""
        found: list[protocol.Message] = []
        for number, pending in enumerate(self.execution.updates):
            known = pending.state == ACCEPTED
            match (a + b + number) % 7:
                case 0 | 1 if not known:
                    found.append(reject(pending.update_id))
                case 2 if not known:
                    found.append(accept(pending.update_id))
                case 3 | 4 | 5:
                    found += [respond(pending.update_id)] if known else [accept(pending.update_id)]
                    found += [] if known else [respond(pending.update_id)]
        if b % 23 == 0:
            found.append(respond(f"u{a % 30}"))
        return found

    def _command(self, kind: int, b: int) -> commands.Command | None:
        match kind % 18:
            case 0 | 1 | 2:
                return schedule_activity(
                    f"a{self.execution.activity_count % 40}",
                    schedule_to_close=40 if kind % 2 else None,
                    start_to_close=20,
                    schedule_to_start=15 if b % 3 == 0 else None,
                    heartbeat=5 if b % 2 else None,
                    retry=retry_policy(1, 2, 0, b % 4),
                    eager=b % 5 == 0,
                )
            case 3 | 4:
                return start_timer(f"t{self.execution.timer_count % 30}", DELAYS[b % 7])
            case 5:
                timers = sorted(self.execution.timers)
                return cancel_timer(timers[b % len(timers)]) if timers else None
            case 6:
                ids = sorted(i for i, each in self.execution.activities.items() if not each.cancel_requested)
                return request_cancel_activity(ids[b % len(ids)]) if ids else None
            case 7:
                return upsert_search_attributes(**{f"S{b % 20}": ("null", '"x"', "[]")[b % 3]})
            case 8:
                return modify_memo(**{f"m{b % 20}": ("", '"' + "x" * (b % 60) + '"')[bool(b % 4)]})
            case 9:
                return record_marker(f"m{b}")
            case 10:
                return (complete_workflow(), cancel_workflow(), continue_as_new(), None, None, None)[b % 6]
            case 11:
                return fail_workflow() if b % 4 == 0 else None
            case 14 | 17:
                policy = (1, 2, 3)[b % 3]
                return start_child(f"kid{b}", parent_close_policy=policy)
            case 15:
                return signal_external(("other", "wf")[b % 7 == 0])
            case 16:
                return cancel_external(("other", f"kid{b}")[b % 2])
            case 12:
                return (cancel_timer("absent"), request_cancel_activity(3), None, None, None, None)[b % 6]
            case _:
                return None


_VERBS = (
    *(Tale.worker_turns,) * 8,
    *(Tale.worker_polls, Tale.worker_completes) * 3,
    *(Tale.worker_makes_a_crowd,) * 2,
    *(Tale.worker_works, Tale.activity_reports, Tale.activity_reports) * 3,
    *(Tale.client_signals,) * 3,
    *(Tale.time_passes,) * 3,
    *(Tale.others_answer,) * 5,
    Tale.child_ends,
    Tale.parent_speaks,
    Tale.nobody_looks,
    Tale.worker_fails,
    Tale.client_asks,
    *(Tale.client_updates,) * 3,
    Tale.client_polls_update,
    Tale.client_leaves_update,
    Tale.client_starts_or_updates,
    Tale.client_start,
    Tale.client_cancels,
    Tale.client_terminates,
    Tale.client_resets_stickiness,
    Tale.clock_goes_back,
    Tale.operator_pauses,
    Tale.operator_pauses,
    Tale.operator_holds_activities,
    Tale.operator_tunes_activities,
    Tale.operator_deletes,
    Tale.operator_changes_options,
    Tale.operator_resets,
    Tale.owner_dies,
)

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""Without the explanation of failures, which traces every line."""
CALLS = st.tuples(st.integers(0, len(_VERBS) - 1), st.integers(0, 40), st.integers(0, 40))


@settings(max_examples=40, deadline=None, derandomize=True, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(start=st.tuples(st.integers(0, 40), st.integers(0, 40)), calls=st.lists(CALLS, min_size=20, max_size=70))
def test_every_life_passes_the_audit(start: tuple[int, int], calls: list[Call]) -> None:
    """Dense ids, fold of history, stored form, alarms, purity: see `audited_step`."""
    tale = Tale()
    tale.client_start(*start)
    for call in calls:
        tale.play(call)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=150, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(start=st.tuples(st.integers(0, 40), st.integers(0, 40)), calls=st.lists(CALLS, min_size=40, max_size=200))
def test_many_long_lives_pass_the_audit(start: tuple[int, int], calls: list[Call]) -> None:
    """The same, longer and from fresh seeds; hypothesis prints what fails."""
    test_every_life_passes_the_audit.hypothesis.inner_test(start, calls)  # type: ignore[attr-defined]
