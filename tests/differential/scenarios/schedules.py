"""Schedules: creating, updating, describing, listing, and their times (semantics 13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any as Anything

from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.schedule.v1 import (
    CalendarSpec,
    IntervalSpec,
    Range,
    SchedulePatch,
    StructuredCalendarSpec,
    TriggerImmediatelyRequest,
)
from temporalio.api.workflowservice import v1 as rpc

from ..plans import BUFFER_ALL, BUFFER_ONE, Plan, at, stamp
from ..script import NAMESPACE, Script
from ..values import attributes, memo, payloads, seconds
from ..wire import RpcFailed

# -- creating ----------------------------------------------------------------------------------------------------------


def create_and_describe(s: Script) -> None:
    """A new schedule shows its canonical spec, its defaults and its first token."""
    plan = Plan(s)
    plan.create()
    plan.describe()


def create_in_full(s: Script) -> None:
    """Everything a schedule may say comes back: policies, state, memo, search attributes, action."""
    plan = Plan(s)
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
        start_time=stamp("2024-01-01T00:00:00Z"),
        end_time=stamp("2098-01-01T00:00:00Z"),
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
    plan = Plan(s)
    request = plan.create_request()
    s.call(request, rpc.CreateScheduleResponse)
    s.call(request, rpc.CreateScheduleResponse)
    plan.create()
    plan.delete()
    plan.create()


def create_errors(s: Script) -> None:
    """What a creation must say, and may not."""
    plan = Plan(s)
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
    plan = Plan(s)
    plan.create(schedule=None)
    plan.describe()


def create_paused_by_patch(s: Script) -> None:
    """An initial patch is done at once."""
    plan = Plan(s)
    trigger = TriggerImmediatelyRequest(scheduled_time=at(7))
    plan.created(initial_patch=SchedulePatch(pause="from the start", trigger_immediately=trigger))
    found = plan.started(1)
    s.fact("state", (found.schedule.state.paused, found.schedule.state.notes))
    plan.token()


def not_found(s: Script) -> None:
    """Nothing can be done with a schedule that is not there; the code is compared, the words are not."""
    plan = Plan(s)
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
                namespace=NAMESPACE, schedule_id=plan.id, start_time=at(0), end_time=at(1)
            ),
            rpc.ListScheduleMatchingTimesResponse,
        ),
    )
    for deleted in (False, True):
        if deleted:
            plan.created()
            plan.delete()
            # The reference still answers times of a deleted schedule.
            requests = requests[:-1]
        for request, reply in requests:
            outcome = s.send(request, reply)
            assert isinstance(outcome, RpcFailed)
            details = [detail.type_url for detail in outcome.status.details] if outcome.status else []
            s.fact(f"{type(request).__name__}, deleted {deleted}", (outcome.code, details))


# -- updating ----------------------------------------------------------------------------------------------------------


def update_replaces_everything(s: Script) -> None:
    """What an update leaves out gets its default; the token rises; the update time is set."""
    plan = Plan(s)
    schedule = plan.definition()
    schedule.policies.overlap_policy = BUFFER_ALL
    schedule.state.notes = "first"
    plan.created(schedule, memo=memo(a="1"), search_attributes=attributes(DiffInt="1"))
    plan.update(plan.definition(interval=[IntervalSpec(interval=seconds(86400 * 30))]))
    plan.until(lambda reply: reply.info.HasField("update_time"))
    plan.describe()


def update_errors(s: Script) -> None:
    """The checks of a creation hold for an update."""
    plan = Plan(s)
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
    plan = Plan(s)
    plan.created()
    plan.update(conflict_token=plan.read().conflict_token)
    plan.until(lambda reply: reply.conflict_token[-1] == 2)
    plan.update()
    plan.until(lambda reply: reply.conflict_token[-1] == 3)
    plan.token()


def update_with_an_old_token(s: Script) -> None:
    """An update with another token changes nothing (we say so, the reference does not: only the state is compared)."""
    plan = Plan(s)
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
    plan = Plan(s)
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
    plan = Plan(s)
    plan.created(plan.definition(interval=[IntervalSpec(interval=seconds(86400 * 365))]))
    schedule = plan.definition(cron_string=["0 0 1 1 *"])
    plan.update(schedule)
    found = plan.until(lambda reply: reply.info.HasField("update_time"))
    s.fact("future", [time.ToJsonString() for time in found.info.future_action_times])
    plan.counters()


# -- times -------------------------------------------------------------------------------------------------------------


def matching_times(s: Script) -> None:
    """Times of a range; the start is exclusive, the end inclusive, and a thousand are enough."""
    plan = Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"]))
    s.fact("times", plan.matching(at(0), at(30)))
    s.fact("none", plan.matching(at(30), at(0)))
    request = rpc.ListScheduleMatchingTimesRequest(
        namespace=NAMESPACE, schedule_id=plan.id, start_time=at(0), end_time=at(100_000)
    )
    many = s.send(request, rpc.ListScheduleMatchingTimesResponse)
    assert not isinstance(many, RpcFailed)
    s.fact("many", len(many.start_time))


def matching_times_errors(s: Script) -> None:
    """Both ends must be named. The reference's answer is that of a failed query, detail and all: it is not compared."""
    plan = Plan(s)
    plan.created()
    for first, last in ((None, at(1)), (at(1), None), (None, None)):
        request = rpc.ListScheduleMatchingTimesRequest(
            namespace=NAMESPACE, schedule_id=plan.id, start_time=first, end_time=last
        )
        outcome = s.send(request, rpc.ListScheduleMatchingTimesResponse)
        assert isinstance(outcome, RpcFailed)
        s.fact("refused", (outcome.code, outcome.message))


# -- lists -------------------------------------------------------------------------------------------------------------


def _listed(s: Script, query: str, count: int) -> rpc.ListSchedulesResponse:
    request = rpc.ListSchedulesRequest(namespace=NAMESPACE, query=query, maximum_page_size=100)
    return s.eventually(request, rpc.ListSchedulesResponse, lambda reply: len(reply.schedules) == count, record=False)


def list_entry(s: Script) -> None:
    """What a list shows of a schedule."""
    plan = Plan(s)
    schedule = plan.definition()
    schedule.state.notes = "n"
    plan.created(schedule, memo=memo(a="1"), search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
    reply = _listed(s, f"DiffKeyword = '{s.nonce}'", 1)
    s.record(rpc.ListSchedulesRequest(), rpc.ListSchedulesResponse, reply)


def list_filters(s: Script) -> None:
    """Filters on custom attributes, on the pause, on the id."""
    mine = f"DiffKeyword = '{s.nonce}'"
    for name, paused, number in (("a", False, "1"), ("b", True, "2"), ("c", True, "3")):
        plan = Plan(s, name)
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
    ):
        s.section(query)
        s.call(rpc.ListSchedulesRequest(namespace=NAMESPACE, query=query), rpc.ListSchedulesResponse)


def list_pages(s: Script) -> None:
    """Pages hold what they are asked to hold, newest first."""
    for name in "abc":
        Plan(s, name).created(search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
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
        Plan(s, name).created(search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
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
    plan = Plan(s)
    plan.created(search_attributes=attributes(DiffKeyword=f'"{s.nonce}"'))
    plan.trigger(1)
    plan.started(1)
    plan.delete()
    _listed(s, f"DiffKeyword = '{s.nonce}'", 0)
    plan.workflow(1)
    execution = s.send(
        rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution()),
        rpc.DescribeWorkflowExecutionResponse,
    )
    assert not isinstance(execution, RpcFailed)
    s.fact("status", WorkflowExecutionStatus.Name(execution.workflow_execution_info.status))
