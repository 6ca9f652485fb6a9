"""Schedules: their RPCs, what is shown of them, and what they start (semantics 13).

Nominal times are fixed ones in the past: the ids of workflows, which end with them, are then the same on both servers.
Schedules that must act by themselves have an interval of a second, and their transcripts state what does not depend on
the second at which a server began.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any as Anything

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.enums.v1 import ScheduleOverlapPolicy, WorkflowExecutionStatus
from temporalio.api.schedule.v1 import (
    BackfillRequest,
    CalendarSpec,
    IntervalSpec,
    Range,
    Schedule,
    SchedulePatch,
    ScheduleSpec,
    StructuredCalendarSpec,
    TriggerImmediatelyRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script, filled
from ..values import attributes, complete_workflow, fail_workflow, failure, memo, payloads, seconds, workflow_type
from ..wire import RpcFailed

SKIP = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_SKIP
BUFFER_ONE = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE
BUFFER_ALL = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
CANCEL_OTHER = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER
TERMINATE_OTHER = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER
ALLOW_ALL = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
TIMEOUT = 20.0
"""Deadline of RPCs that the reference answers by way of a workflow of its own."""


def _stamp(text: str) -> Timestamp:
    found = Timestamp()
    found.FromJsonString(text)
    return found


NOON = _stamp("2024-05-01T12:00:00Z")


def _at(minute: int) -> Timestamp:
    """So many minutes after noon of a day in 2024."""
    return Timestamp(seconds=NOON.seconds + 60 * minute)


class _Plan:
    """The schedule of a script, and its RPCs."""

    def __init__(self, s: Script, name: str = "") -> None:
        self.s = s
        self.id = f"sched{name}-{s.nonce}"
        self.workflow_id = f"job{name}-{s.nonce}"

    def definition(self, **spec: Anything) -> Schedule:
        """A schedule that acts seldom: yearly, unless a spec is given."""
        found = Schedule(spec=ScheduleSpec(**(spec or {"cron_string": ["0 0 1 1 *"]})))
        start = found.action.start_workflow
        start.workflow_id = self.workflow_id
        start.workflow_type.CopyFrom(workflow_type("Wf"))
        start.task_queue.CopyFrom(TaskQueue(name=self.s.queue))
        return found

    def create_request(self, wanted: Schedule | None = None, **fields: Anything) -> rpc.CreateScheduleRequest:
        return filled(
            rpc.CreateScheduleRequest,
            fields,
            namespace=NAMESPACE,
            schedule_id=self.id,
            schedule=wanted or self.definition(),
            request_id=self.s.new_request_id(),
            identity="planner",
        )

    def create(self, wanted: Schedule | None = None, **fields: Anything) -> rpc.CreateScheduleResponse:
        return self.s.call(self.create_request(wanted, **fields), rpc.CreateScheduleResponse)

    def created(self, wanted: Schedule | None = None, **fields: Anything) -> None:
        """Create without recording, and wait until it answers."""
        outcome = self.s.send(self.create_request(wanted, **fields), rpc.CreateScheduleResponse)
        if isinstance(outcome, RpcFailed):
            self.s.record(rpc.CreateScheduleRequest(), rpc.CreateScheduleResponse, outcome)
            raise self.s.stop("the schedule was not created")
        self.read()

    def describe_request(self) -> rpc.DescribeScheduleRequest:
        return rpc.DescribeScheduleRequest(namespace=NAMESPACE, schedule_id=self.id)

    def read(self) -> rpc.DescribeScheduleResponse:
        """Describe without recording."""
        outcome = self.s.send(self.describe_request(), rpc.DescribeScheduleResponse, TIMEOUT)
        if isinstance(outcome, RpcFailed):
            self.s.record(self.describe_request(), rpc.DescribeScheduleResponse, outcome)
            raise self.s.stop("the schedule cannot be described")
        return outcome

    def describe(self) -> rpc.DescribeScheduleResponse:
        return self.s.call(self.describe_request(), rpc.DescribeScheduleResponse, TIMEOUT)

    def until(self, what: Callable[[rpc.DescribeScheduleResponse], bool]) -> rpc.DescribeScheduleResponse:
        """Describe until it shows something; not recorded."""
        return self.s.eventually(self.describe_request(), rpc.DescribeScheduleResponse, what, record=False)

    def update(self, wanted: Schedule | None = None, **fields: Anything) -> None:
        request = filled(
            rpc.UpdateScheduleRequest,
            fields,
            namespace=NAMESPACE,
            schedule_id=self.id,
            schedule=wanted or self.definition(),
            request_id=self.s.new_request_id(),
        )
        self.s.call(request, rpc.UpdateScheduleResponse)

    def patch(self, **patch: Anything) -> None:
        request = rpc.PatchScheduleRequest(
            namespace=NAMESPACE,
            schedule_id=self.id,
            patch=SchedulePatch(**patch),
            request_id=self.s.new_request_id(),
        )
        self.s.call(request, rpc.PatchScheduleResponse)

    def trigger(self, minute: int, overlap: Anything = 0) -> None:
        self.patch(trigger_immediately=TriggerImmediatelyRequest(overlap_policy=overlap, scheduled_time=_at(minute)))

    def backfill(self, first: int, last: int, overlap: Anything = 0) -> None:
        self.patch(
            backfill_request=[BackfillRequest(start_time=_at(first), end_time=_at(last), overlap_policy=overlap)]
        )

    def delete(self) -> None:
        self.s.call(rpc.DeleteScheduleRequest(namespace=NAMESPACE, schedule_id=self.id), rpc.DeleteScheduleResponse)

    def matching(self, first: Timestamp | None, last: Timestamp | None) -> list[str]:
        request = rpc.ListScheduleMatchingTimesRequest(namespace=NAMESPACE, schedule_id=self.id)
        if first is not None:
            request.start_time.CopyFrom(first)
        if last is not None:
            request.end_time.CopyFrom(last)
        reply = self.s.call(request, rpc.ListScheduleMatchingTimesResponse, TIMEOUT)
        return [time.ToJsonString() for time in reply.start_time]

    def started(self, count: int) -> rpc.DescribeScheduleResponse:
        """Wait until so many actions were taken, and state their workflows."""
        found = self.until(lambda reply: reply.info.action_count >= count)
        self.s.fact("started", [one.start_workflow_result.workflow_id for one in found.info.recent_actions])
        return found

    def counters(self) -> None:
        info = self.read().info
        self.s.fact(
            "actions, missed, skipped, dropped, buffered",
            (
                info.action_count,
                info.missed_catchup_window,
                info.overlap_skipped,
                info.buffer_dropped,
                info.buffer_size,
            ),
        )
        self.s.fact("running", [one.workflow_id for one in info.running_workflows])

    def token(self) -> None:
        self.s.fact("conflict token", int.from_bytes(self.read().conflict_token, "big"))

    def workflow(self, minute: int) -> None:
        """Turn to the workflow that was started for a minute."""
        self.s.workflow_id = f"{self.workflow_id}-{_at(minute).ToJsonString()}"
        self.s.run_id = ""

    def finish(self, *commands: Anything) -> None:
        """Take the next workflow task and complete the workflow."""
        self.s.complete(self.s.poll(), *(commands or (complete_workflow(),)))


# -- creating ----------------------------------------------------------------------------------------------------------


def create_and_describe(s: Script) -> None:
    """A new schedule shows its canonical spec, its defaults and its first token."""
    plan = _Plan(s)
    plan.create()
    plan.describe()


def create_in_full(s: Script) -> None:
    """Everything a schedule may say comes back: policies, state, memo, search attributes, action."""
    plan = _Plan(s)
    schedule = plan.definition(
        calendar=[CalendarSpec(hour="9-17", day_of_week="mon-fri", comment="work")],
        interval=[IntervalSpec(interval=seconds(3600), phase=seconds(60))],
        structured_calendar=[
            StructuredCalendarSpec(
                second=[Range()],
                minute=[Range(start=5)],
                hour=[Range(start=1, end=3, step=2)],
                day_of_month=[Range(start=1, end=31)],
                month=[Range(start=1, end=12)],
                day_of_week=[Range(start=0, end=6)],
            )
        ],
        exclude_calendar=[CalendarSpec(month="12", day_of_month="25", hour="*", minute="*", second="*")],
        start_time=_stamp("2024-01-01T00:00:00Z"),
        end_time=_stamp("2098-01-01T00:00:00Z"),
        jitter=seconds(5),
        timezone_name="America/New_York",
    )
    start = schedule.action.start_workflow
    start.input.CopyFrom(payloads("1"))
    start.memo.CopyFrom(memo(a="1"))
    start.search_attributes.CopyFrom(attributes(DiffInt="5"))
    start.workflow_run_timeout.CopyFrom(seconds(60))
    schedule.policies.overlap_policy = BUFFER_ONE
    schedule.policies.catchup_window.CopyFrom(seconds(1))
    schedule.policies.pause_on_failure = True
    schedule.state.notes = "by hand"
    schedule.state.paused = True
    schedule.state.limited_actions = True
    schedule.state.remaining_actions = 7
    plan.create(schedule, memo=memo(who="me"), search_attributes=attributes(DiffKeyword='"k"'))
    reply = plan.read()
    del reply.info.future_action_times[:]
    s.record(plan.describe_request(), rpc.DescribeScheduleResponse, reply)


def create_twice(s: Script) -> None:
    """The same request id is the same creation; another one meets a schedule that is there."""
    plan = _Plan(s)
    request = plan.create_request()
    s.call(request, rpc.CreateScheduleResponse)
    s.call(request, rpc.CreateScheduleResponse)
    plan.create()
    plan.delete()
    plan.create()


def create_errors(s: Script) -> None:
    """What a creation must say, and may not."""
    plan = _Plan(s)
    s.section("ids")
    plan.create(request_id="")
    plan.create(request_id="r" * 1001)
    plan.create(schedule_id="s" * 1001)
    s.section("action")
    for change in _bad_actions():
        schedule = plan.definition()
        change(schedule.action.start_workflow)
        plan.create(schedule)
    s.section("spec")
    for spec in BAD_SPECS:
        plan.create(plan.definition(**spec))
    s.section("search attributes")
    plan.create(search_attributes=attributes(NoSuchAttribute="1"))
    plan.create(search_attributes=attributes(DiffInt='"x"'))


def _bad_actions() -> list[Callable[[Anything], None]]:
    def no_type(start: Anything) -> None:
        start.ClearField("workflow_type")

    def long_type(start: Anything) -> None:
        start.workflow_type.name = "t" * 1001

    def no_queue(start: Anything) -> None:
        start.ClearField("task_queue")

    def internal_queue(start: Anything) -> None:
        start.task_queue.name = "temporal-sys-per-ns-tq"

    def long_id(start: Anything) -> None:
        start.workflow_id = "w" * 985

    def with_cron(start: Anything) -> None:
        start.cron_schedule = "* * * * *"

    def with_policy(start: Anything) -> None:
        start.workflow_id_reuse_policy = 3

    def bad_timeout(start: Anything) -> None:
        start.workflow_run_timeout.CopyFrom(seconds(-1))

    def bad_attribute(start: Anything) -> None:
        start.search_attributes.CopyFrom(attributes(NoSuchAttribute="1"))

    return [
        no_type,
        long_type,
        no_queue,
        internal_queue,
        long_id,
        with_cron,
        with_policy,
        bad_timeout,
        bad_attribute,
    ]


BAD_SPECS: tuple[dict[str, Anything], ...] = (
    {"cron_string": ["x"]},
    {"cron_string": ["60 * * * *"]},
    {"calendar": [CalendarSpec(hour="25", minute="x")]},
    {"structured_calendar": [StructuredCalendarSpec(hour=[Range(start=99)])]},
    {"interval": [IntervalSpec(interval=seconds(0.5))]},
    {"interval": [IntervalSpec(interval=seconds(5), phase=seconds(5))]},
    {"timezone_name": "Nowhere/City"},
    {"cron_string": ["CRON_TZ=Asia/Tokyo 0 0 * * *"], "timezone_name": "Asia/Seoul"},
)


def create_without_schedule(s: Script) -> None:
    """A schedule that says nothing never acts."""
    plan = _Plan(s)
    plan.create(schedule=None)
    plan.describe()


def create_paused_by_patch(s: Script) -> None:
    """An initial patch is done at once."""
    plan = _Plan(s)
    trigger = TriggerImmediatelyRequest(scheduled_time=_at(7))
    plan.created(initial_patch=SchedulePatch(pause="from the start", trigger_immediately=trigger))
    found = plan.started(1)
    s.fact("state", (found.schedule.state.paused, found.schedule.state.notes))
    plan.token()


def not_found(s: Script) -> None:
    """Nothing can be done with a schedule that is not there; the code is compared, the words are not."""
    plan = _Plan(s)
    requests: tuple[tuple[Anything, Anything], ...] = (
        (plan.describe_request(), rpc.DescribeScheduleResponse),
        (
            rpc.UpdateScheduleRequest(namespace=NAMESPACE, schedule_id=plan.id, schedule=plan.definition()),
            rpc.UpdateScheduleResponse,
        ),
        (
            rpc.PatchScheduleRequest(namespace=NAMESPACE, schedule_id=plan.id, patch=SchedulePatch(pause="x")),
            rpc.PatchScheduleResponse,
        ),
        (rpc.DeleteScheduleRequest(namespace=NAMESPACE, schedule_id=plan.id), rpc.DeleteScheduleResponse),
        (
            rpc.ListScheduleMatchingTimesRequest(
                namespace=NAMESPACE, schedule_id=plan.id, start_time=_at(0), end_time=_at(1)
            ),
            rpc.ListScheduleMatchingTimesResponse,
        ),
    )
    for deleted in (False, True):
        if deleted:
            plan.created()
            plan.delete()
        for request, reply in requests:
            outcome = s.send(request, reply, TIMEOUT)
            if not isinstance(outcome, RpcFailed):
                s.fact("OK", type(request).__name__)
                continue
            details = [detail.type_url for detail in outcome.status.details] if outcome.status else []
            s.fact(f"{type(request).__name__}, deleted {deleted}", (outcome.code, details, outcome.message))


# -- updating ----------------------------------------------------------------------------------------------------------


def update_replaces_everything(s: Script) -> None:
    """What an update leaves out gets its default; the token rises; the update time is set."""
    plan = _Plan(s)
    schedule = plan.definition()
    schedule.policies.overlap_policy = BUFFER_ALL
    schedule.state.notes = "first"
    plan.created(schedule, memo=memo(a="1"), search_attributes=attributes(DiffInt="1"))
    plan.update(plan.definition(interval=[IntervalSpec(interval=seconds(86400 * 30))]))
    plan.until(lambda reply: reply.info.HasField("update_time"))
    plan.describe()


def update_errors(s: Script) -> None:
    """The checks of a creation hold for an update."""
    plan = _Plan(s)
    plan.created()
    plan.update(request_id="r" * 1001)
    plan.update(schedule=None)
    for change in _bad_actions():
        schedule = plan.definition()
        change(schedule.action.start_workflow)
        plan.update(schedule)
    for spec in BAD_SPECS:
        plan.update(plan.definition(**spec))
    plan.update(search_attributes=attributes(NoSuchAttribute="1"))
    plan.token()


def update_with_the_token(s: Script) -> None:
    """An update with the current token is done; without one too."""
    plan = _Plan(s)
    plan.created()
    plan.update(conflict_token=plan.read().conflict_token)
    plan.until(lambda reply: reply.conflict_token[-1] == 2)
    plan.update()
    plan.until(lambda reply: reply.conflict_token[-1] == 3)
    plan.token()


def update_with_an_old_token(s: Script) -> None:
    """An update with another token changes nothing (we say so, the reference does not: only the state is compared)."""
    plan = _Plan(s)
    plan.created()
    request = rpc.UpdateScheduleRequest(
        namespace=NAMESPACE,
        schedule_id=plan.id,
        schedule=plan.definition(),
        conflict_token=(9).to_bytes(8, "big"),
        request_id="old",
    )
    request.schedule.state.notes = "never"
    s.send(request, rpc.UpdateScheduleResponse)
    plan.patch(pause="later")
    plan.until(lambda reply: reply.schedule.state.notes == "later")
    plan.token()


def update_search_attributes(s: Script) -> None:
    """Search attributes are replaced whole, cleared by an empty set, left alone when none are named."""
    plan = _Plan(s)
    plan.created(search_attributes=attributes(DiffInt="1", DiffKeyword='"a"'))

    def shown() -> dict[str, bytes]:
        return {name: value.data for name, value in plan.read().search_attributes.indexed_fields.items()}

    for wanted in (None, attributes(DiffKeyword='"b"'), SearchAttributes()):
        before = plan.read().conflict_token
        plan.update(search_attributes=wanted)
        plan.until(lambda reply, before=before: reply.conflict_token != before)  # type: ignore[misc]
        s.fact("attributes", shown())


def update_resets_the_times(s: Script) -> None:
    """Times before the update are not caught up with."""
    plan = _Plan(s)
    plan.created(plan.definition(interval=[IntervalSpec(interval=seconds(86400 * 365))]))
    schedule = plan.definition(cron_string=["0 0 1 1 *"])
    plan.update(schedule)
    found = plan.until(lambda reply: reply.info.HasField("update_time"))
    s.fact("future", [time.ToJsonString() for time in found.info.future_action_times])
    plan.counters()


# -- patching ----------------------------------------------------------------------------------------------------------


def pause_and_unpause(s: Script) -> None:
    """Notes follow, the token rises, and future times stay."""
    plan = _Plan(s)
    plan.created()
    plan.patch(pause="lunch")
    found = plan.until(lambda reply: reply.schedule.state.paused)
    s.fact("state", (found.schedule.state.notes, len(found.info.future_action_times)))
    plan.token()
    plan.patch(unpause="back")
    found = plan.until(lambda reply: not reply.schedule.state.paused)
    s.fact("state", (found.schedule.state.notes, found.info.HasField("update_time")))
    plan.token()


def patch_errors(s: Script) -> None:
    """A patch must be there, and its notes have a length."""
    plan = _Plan(s)
    plan.created()
    s.call(rpc.PatchScheduleRequest(namespace=NAMESPACE, schedule_id=plan.id), rpc.PatchScheduleResponse)
    plan.patch(pause="p" * 1001)
    plan.patch(unpause="u" * 1001)
    request = rpc.PatchScheduleRequest(
        namespace=NAMESPACE, schedule_id=plan.id, patch=SchedulePatch(pause="x"), request_id="r" * 1001
    )
    s.call(request, rpc.PatchScheduleResponse)
    plan.patch()
    plan.token()


def trigger(s: Script) -> None:
    """A trigger starts the action's workflow under the given time; the history tells where it comes from."""
    plan = _Plan(s)
    schedule = plan.definition()
    start = schedule.action.start_workflow
    start.input.CopyFrom(payloads("1"))
    start.memo.CopyFrom(memo(a="1"))
    start.search_attributes.CopyFrom(attributes(DiffInt="5"))
    start.workflow_execution_timeout.CopyFrom(seconds(600))
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    plan.workflow(1)
    plan.finish()
    s.closed_history()
    s.describe()


def trigger_paused_and_exhausted(s: Script) -> None:
    """A trigger asks neither for a pause nor for remaining actions, and costs none."""
    plan = _Plan(s)
    schedule = plan.definition()
    schedule.state.paused = True
    schedule.state.limited_actions = True
    plan.created(schedule)
    plan.trigger(1)
    found = plan.started(1)
    s.fact("remaining", found.schedule.state.remaining_actions)
    plan.token()


def trigger_without_action(s: Script) -> None:
    """Without an action there is nothing to start."""
    plan = _Plan(s)
    plan.created(Schedule(spec=ScheduleSpec(cron_string=["0 0 1 1 *"])))
    plan.trigger(1)
    plan.patch(pause="after")
    plan.until(lambda reply: reply.schedule.state.paused)
    plan.counters()


def trigger_twice_the_same_time(s: Script) -> None:
    """Two triggers of one time name one workflow id: the second may start once the first has ended."""
    plan = _Plan(s)
    plan.created()
    plan.trigger(1)
    plan.started(1)
    plan.trigger(1, ALLOW_ALL)
    plan.patch(pause="after")
    plan.until(lambda reply: reply.schedule.state.paused)
    plan.counters()
    plan.finish()
    plan.trigger(1, ALLOW_ALL)
    plan.started(2)


def backfill(s: Script) -> None:
    """A backfill takes all times of a range, both ends included, in a pause as well."""
    plan = _Plan(s)
    schedule = plan.definition(cron_string=["0/10 * * * *"])
    schedule.state.paused = True
    plan.created(schedule)
    plan.backfill(0, 30, ALLOW_ALL)
    plan.started(4)
    plan.counters()


def backfill_with_skip(s: Script) -> None:
    """Under SKIP only the first time of a backfill starts something."""
    plan = _Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"], end_time=_stamp("2024-06-01T00:00:00Z")))
    plan.backfill(0, 30)
    plan.started(1)
    plan.counters()


def backfill_into_the_buffer(s: Script) -> None:
    """Under BUFFER_ALL the times wait for one another."""
    plan = _Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"], end_time=_stamp("2024-06-01T00:00:00Z")))
    plan.backfill(0, 20, BUFFER_ALL)
    plan.started(1)
    plan.counters()
    plan.finish()
    plan.started(2)
    plan.counters()
    plan.finish()
    plan.started(3)
    plan.counters()


def backfill_of_nothing(s: Script) -> None:
    """Ranges that hold no time, or end before they begin."""
    plan = _Plan(s)
    plan.created(plan.definition(cron_string=["0 0 1 1 *"]))
    plan.backfill(0, 30, ALLOW_ALL)
    plan.backfill(30, 0, ALLOW_ALL)
    plan.patch(pause="after")
    plan.until(lambda reply: reply.schedule.state.paused)
    plan.counters()


def two_backfills(s: Script) -> None:
    """One patch may carry several ranges."""
    plan = _Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"], end_time=_stamp("2024-06-01T00:00:00Z")))
    plan.patch(
        backfill_request=[
            BackfillRequest(start_time=_at(60), end_time=_at(70), overlap_policy=ALLOW_ALL),
            BackfillRequest(start_time=_at(0), end_time=_at(10), overlap_policy=ALLOW_ALL),
        ]
    )
    plan.started(4)


# -- overlap -----------------------------------------------------------------------------------------------------------


def _running_one(s: Script, overlap: Anything) -> _Plan:
    plan = _Plan(s)
    schedule = plan.definition()
    schedule.policies.overlap_policy = overlap
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    return plan


def _three_more(plan: _Plan) -> None:
    for minute in (2, 3, 4):
        plan.trigger(minute)
    plan.patch(pause="after")
    plan.until(lambda reply: reply.schedule.state.paused)


def overlap_skip(s: Script) -> None:
    """SKIP: while one runs, others are dropped and counted."""
    plan = _running_one(s, SKIP)
    _three_more(plan)
    plan.counters()
    plan.finish()
    plan.trigger(5)
    plan.started(2)


def overlap_buffer_one(s: Script) -> None:
    """BUFFER_ONE: one waits, the others are dropped."""
    plan = _running_one(s, BUFFER_ONE)
    _three_more(plan)
    plan.counters()
    plan.finish()
    plan.started(2)
    plan.counters()


def overlap_buffer_all(s: Script) -> None:
    """BUFFER_ALL: all wait."""
    plan = _running_one(s, BUFFER_ALL)
    _three_more(plan)
    plan.counters()
    for count in (2, 3, 4):
        plan.finish()
        plan.started(count)
    plan.counters()


def overlap_allow_all(s: Script) -> None:
    """ALLOW_ALL: all run, and none holds others up."""
    plan = _running_one(s, ALLOW_ALL)
    _three_more(plan)
    plan.started(4)
    plan.counters()


def overlap_cancel_other(s: Script) -> None:
    """CANCEL_OTHER: the running one is asked to cancel; the last of the waiting ones follows it."""
    plan = _running_one(s, CANCEL_OTHER)
    plan.trigger(2)
    plan.workflow(1)
    s.await_event("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    s.history()
    plan.counters()
    plan.finish()
    plan.started(2)


def overlap_terminate_other(s: Script) -> None:
    """TERMINATE_OTHER: the running one is terminated."""
    plan = _running_one(s, TERMINATE_OTHER)
    plan.trigger(2)
    plan.started(2)
    plan.workflow(1)
    s.closed_history()
    plan.counters()


def overlap_of_the_trigger(s: Script) -> None:
    """A trigger's own policy wins over the schedule's."""
    plan = _running_one(s, SKIP)
    plan.trigger(2, ALLOW_ALL)
    plan.started(2)
    plan.trigger(3, BUFFER_ALL)
    plan.until(lambda reply: reply.info.buffer_size == 1)
    plan.counters()


# -- ends of workflows -------------------------------------------------------------------------------------------------


def results_are_carried(s: Script) -> None:
    """The last result, and the failure of a failed run, go into the next start."""
    plan = _running_one(s, BUFFER_ALL)
    plan.trigger(2)
    plan.trigger(3)
    plan.until(lambda reply: reply.info.buffer_size == 2)
    plan.finish(complete_workflow("7"))
    plan.started(2)
    plan.finish(fail_workflow(failure("broken")))
    plan.started(3)
    plan.workflow(2)
    s.closed_history()
    plan.workflow(3)
    s.history()


def pause_on_failure(s: Script) -> None:
    """A failure pauses the schedule, with a note."""
    plan = _Plan(s)
    schedule = plan.definition()
    schedule.policies.pause_on_failure = True
    schedule.policies.overlap_policy = BUFFER_ALL
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    plan.trigger(2)
    plan.until(lambda reply: reply.info.buffer_size == 1)
    plan.finish(fail_workflow(failure("broken")))
    found = plan.until(lambda reply: reply.schedule.state.paused)
    s.fact("notes", found.schedule.state.notes)
    plan.token()


def statuses_of_actions(s: Script) -> None:
    """Recent actions tell how their workflows ended."""
    plan = _running_one(s, BUFFER_ALL)
    plan.trigger(2)
    plan.trigger(3)
    plan.until(lambda reply: reply.info.buffer_size == 2)
    plan.finish()
    plan.started(2)
    plan.finish(fail_workflow(failure("x")))
    found = plan.started(3)
    names = [WorkflowExecutionStatus.Name(one.start_workflow_status) for one in found.info.recent_actions]
    s.fact("statuses", names)


# -- acting by itself --------------------------------------------------------------------------------------------------


def limited_actions(s: Script) -> None:
    """Two actions and no more; each costs one and raises the token."""
    plan = _Plan(s)
    schedule = plan.definition(interval=[IntervalSpec(interval=seconds(1))])
    schedule.policies.overlap_policy = ALLOW_ALL
    schedule.state.limited_actions = True
    schedule.state.remaining_actions = 2
    plan.created(schedule)
    found = plan.until(lambda reply: reply.info.action_count == 2)
    s.fact("remaining", found.schedule.state.remaining_actions)
    s.fact("future", len(found.info.future_action_times))
    times = [one.schedule_time.seconds for one in found.info.recent_actions]
    s.fact("a second apart", [later - earlier for earlier, later in pairwise(times)])
    plan.token()


def automatic_start(s: Script) -> None:
    """A workflow that the schedule started by itself: its history."""
    plan = _Plan(s)
    schedule = plan.definition(interval=[IntervalSpec(interval=seconds(1))])
    schedule.state.limited_actions = True
    schedule.state.remaining_actions = 1
    plan.created(schedule)
    found = plan.until(lambda reply: reply.info.action_count == 1)
    taken = found.info.recent_actions[0]
    s.fact("id", taken.start_workflow_result.workflow_id.replace(taken.schedule_time.ToJsonString(), "<nominal>"))
    s.workflow_id = taken.start_workflow_result.workflow_id
    started = s.send(s.history_request(), rpc.GetWorkflowExecutionHistoryResponse)
    assert not isinstance(started, RpcFailed)
    event = started.history.events[0].workflow_execution_started_event_attributes
    s.fact("attributes", sorted(event.search_attributes.indexed_fields))
    nominal = event.search_attributes.indexed_fields["TemporalScheduledStartTime"].data
    s.fact("nominal", nominal.decode().replace(taken.schedule_time.ToJsonString(), "<nominal>"))
    s.fact("by", event.search_attributes.indexed_fields["TemporalScheduledById"].data.decode())
    s.fact("identity", event.identity)


def end_of_times(s: Script) -> None:
    """A spec whose end has passed names no future."""
    plan = _Plan(s)
    plan.created(plan.definition(cron_string=["* * * * *"], end_time=_stamp("2024-06-01T00:00:00Z")))
    s.fact("future", len(plan.read().info.future_action_times))


# -- times -------------------------------------------------------------------------------------------------------------


def matching_times(s: Script) -> None:
    """Times of a range; the start is exclusive, the end inclusive, and a thousand are enough."""
    plan = _Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"]))
    s.fact("times", plan.matching(_at(0), _at(30)))
    s.fact("none", plan.matching(_at(30), _at(0)))
    s.fact("many", len(plan.matching(_at(0), _at(100_000))))


def matching_times_errors(s: Script) -> None:
    """Both ends must be named."""
    plan = _Plan(s)
    plan.created()
    for first, last in ((None, _at(1)), (_at(1), None), (None, None)):
        plan.matching(first, last)


# -- lists -------------------------------------------------------------------------------------------------------------


def _listed(s: Script, query: str, count: int) -> rpc.ListSchedulesResponse:
    request = rpc.ListSchedulesRequest(namespace=NAMESPACE, query=query, maximum_page_size=100)
    return s.eventually(request, rpc.ListSchedulesResponse, lambda reply: len(reply.schedules) == count, record=False)


def list_entry(s: Script) -> None:
    """What a list shows of a schedule."""
    plan = _Plan(s)
    schedule = plan.definition()
    schedule.state.notes = "n"
    plan.created(schedule, memo=memo(a="1"), search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
    reply = _listed(s, f"DiffKeyword = '{s.nonce}'", 1)
    s.record(rpc.ListSchedulesRequest(), rpc.ListSchedulesResponse, reply)


def list_filters(s: Script) -> None:
    """Filters on custom attributes, on the pause, on the id."""
    mine = f"DiffKeyword = '{s.nonce}'"
    for name, paused, number in (("a", False, "1"), ("b", True, "2"), ("c", True, "3")):
        plan = _Plan(s, name)
        schedule = plan.definition()
        schedule.state.paused = paused
        plan.created(schedule, search_attributes=attributes(DiffKeyword=f'"{s.nonce}"', DiffInt=number))
    _listed(s, f"{mine} AND TemporalSchedulePaused = true", 2)
    for query, count in (
        (mine, 3),
        (f"{mine} AND TemporalSchedulePaused = true", 2),
        (f"{mine} AND TemporalSchedulePaused = false", 1),
        (f"{mine} AND DiffInt > 1 AND DiffInt < 3", 1),
        (f"{mine} AND (DiffInt = 1 OR DiffInt = 3)", 2),
        (f"ScheduleId = 'scheda-{s.nonce}'", 1),
        (f"ScheduleId IN ('scheda-{s.nonce}', 'schedb-{s.nonce}')", 2),
        (f"{mine} AND ScheduleId STARTS_WITH 'sched'", 3),
        (f"{mine} AND ScheduleId != 'scheda-{s.nonce}'", 2),
    ):
        s.fact(query, [one.schedule_id for one in _listed(s, query, count).schedules])


def list_errors(s: Script) -> None:
    """Filters that lists of schedules do not take."""
    for query in (
        "WorkflowId = 'x'",
        "ExecutionStatus = 'Running'",
        "TemporalNamespaceDivision = 'x'",
        "StartTime > '2024-01-01T00:00:00Z'",
        "NoSuch = 1",
        "DiffInt = 'x'",
        "((",
        "DiffInt = 1 ORDER BY DiffInt",
    ):
        s.section(query)
        s.call(rpc.ListSchedulesRequest(namespace=NAMESPACE, query=query), rpc.ListSchedulesResponse)


def list_pages(s: Script) -> None:
    """Pages hold what they are asked to hold, newest first."""
    for name in "abc":
        _Plan(s, name).created(search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
    mine = f"DiffKeyword = '{s.nonce}'"
    _listed(s, mine, 3)
    token = b""
    for _ in range(3):
        request = rpc.ListSchedulesRequest(namespace=NAMESPACE, query=mine, maximum_page_size=2, next_page_token=token)
        reply = s.send(request, rpc.ListSchedulesResponse)
        assert not isinstance(reply, RpcFailed)
        s.fact("page", ([one.schedule_id for one in reply.schedules], bool(reply.next_page_token)))
        token = reply.next_page_token
        if not token:
            break


def count(s: Script) -> None:
    """Counting takes the same filters."""
    for name in "ab":
        _Plan(s, name).created(search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
    mine = f"DiffKeyword = '{s.nonce}'"
    _listed(s, mine, 2)
    s.call(rpc.CountSchedulesRequest(namespace=NAMESPACE, query=mine), rpc.CountSchedulesResponse)
    s.call(rpc.CountSchedulesRequest(namespace=NAMESPACE, query="WorkflowId = 'x'"), rpc.CountSchedulesResponse)
    s.call(
        rpc.CountSchedulesRequest(namespace=NAMESPACE, query=f"{mine} GROUP BY ExecutionStatus"),
        rpc.CountSchedulesResponse,
    )


def deleting(s: Script) -> None:
    """A deleted schedule leaves lists; what it started runs on."""
    plan = _Plan(s)
    plan.created(search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
    plan.trigger(1)
    plan.started(1)
    plan.delete()
    _listed(s, f"DiffKeyword = '{s.nonce}'", 0)
    plan.workflow(1)
    s.fact(
        "status",
        WorkflowExecutionStatus.Name(
            s.send(
                rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution()),
                rpc.DescribeWorkflowExecutionResponse,
            ).workflow_execution_info.status
        ),
    )  # type: ignore[union-attr]
