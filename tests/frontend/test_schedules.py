"""RPCs of schedules where they differ from the reference, or where it says nothing (decision 014)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure.api import common, enums, workflowservice
from perdure.api.schedule import Schedule, SchedulePatch
from perdure.api.times import timestamp_of
from perdure.clock import SECOND
from perdure.errors import StatusCode
from perdure.ids import ChainKey, Kind
from tests.frontend.served import Served, detail_name, served

NOON = 1_714_564_800


def _schedule() -> Schedule:
    """Once a year, by the workflow "job"."""
    schedule = Schedule()
    schedule.spec.cron_string.append("0 0 1 1 *")
    start = schedule.action.start_workflow
    start.workflow_id, start.workflow_type.name, start.task_queue.name = "job", "Job", "queue"
    return schedule


def _create(schedule: Schedule | None = None, schedule_id: str = "plan") -> workflowservice.CreateScheduleRequest:
    return workflowservice.CreateScheduleRequest(
        namespace="default", schedule_id=schedule_id, schedule=schedule or _schedule(), request_id=f"r-{schedule_id}"
    )


async def _describe(server: Served, schedule_id: str = "plan") -> workflowservice.DescribeScheduleResponse:
    request = workflowservice.DescribeScheduleRequest(namespace="default", schedule_id=schedule_id)
    return await server.call("DescribeSchedule", request, workflowservice.DescribeScheduleResponse)


async def _patch(server: Served, request_id: str = "", **patch: Any) -> None:
    request = workflowservice.PatchScheduleRequest(
        namespace="default", schedule_id="plan", patch=SchedulePatch(**patch), request_id=request_id
    )
    await server.call("PatchSchedule", request, workflowservice.PatchScheduleResponse)


def _update(**fields: Any) -> workflowservice.UpdateScheduleRequest:
    return workflowservice.UpdateScheduleRequest(
        namespace="default", schedule_id="plan", schedule=_schedule(), **fields
    )


REQUESTS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("CreateSchedule", _create),
    ("DescribeSchedule", lambda: workflowservice.DescribeScheduleRequest(namespace="default", schedule_id="plan")),
    ("UpdateSchedule", _update),
    (
        "PatchSchedule",
        lambda: workflowservice.PatchScheduleRequest(namespace="default", schedule_id="plan", patch=SchedulePatch()),
    ),
    ("DeleteSchedule", lambda: workflowservice.DeleteScheduleRequest(namespace="default", schedule_id="plan")),
    ("ListSchedules", lambda: workflowservice.ListSchedulesRequest(namespace="default")),
    ("CountSchedules", lambda: workflowservice.CountSchedulesRequest(namespace="default")),
    (
        "ListScheduleMatchingTimes",
        lambda: workflowservice.ListScheduleMatchingTimesRequest(namespace="default", schedule_id="plan"),
    ),
)


async def test_a_namespace_may_have_no_schedules() -> None:
    """`frontend.enableSchedules` off: all of it is refused."""
    async with served({"frontend.enableSchedules": False}) as server:
        for name, request in REQUESTS:
            error = await server.refused(name, request())
            assert (error.code, error.message) == (
                StatusCode.PERMISSION_DENIED,
                "Schedules are disabled on this namespace.",
            )


async def test_an_old_token_is_refused_and_a_memo_is_replaced() -> None:
    async with served() as server:
        await server.call("CreateSchedule", _create(), workflowservice.CreateScheduleResponse)
        error = await server.refused("UpdateSchedule", _update(conflict_token=(7).to_bytes(8, "big")))
        assert (error.code, error.message) == (StatusCode.FAILED_PRECONDITION, "mismatched conflict token")
        memo = common.Memo(fields={"who": common.Payload(data=b"me")})
        request = _update(conflict_token=(1).to_bytes(8, "big"), memo=memo)
        await server.call("UpdateSchedule", request, workflowservice.UpdateScheduleResponse)
        found = await _describe(server)
        assert found.memo == memo
        assert found.conflict_token == (2).to_bytes(8, "big")


async def test_unknown_schedules_have_one_answer() -> None:
    async with served() as server:
        for name, request in REQUESTS:
            if name in ("CreateSchedule", "ListSchedules", "CountSchedules"):
                continue
            error = await server.refused(name, request())
            assert (error.code, error.message) == (StatusCode.NOT_FOUND, "schedule not found")
            assert detail_name(error) == "NotFoundFailure"


async def test_a_trigger_sent_twice_starts_one_workflow() -> None:
    """A client whose answer got lost sends the request again, and its id."""
    async with served() as server:
        await server.call("CreateSchedule", _create(), workflowservice.CreateScheduleResponse)
        trigger = {"overlap_policy": enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}
        for _ in range(2):
            await _patch(server, "once", trigger_immediately=trigger)
        assert (await _describe(server)).info.action_count == 1


async def test_the_original_workflow_id() -> None:
    """Without a time appended, a later action may use the id again once the workflow has ended."""
    schedule = _schedule()
    schedule.policies.keep_original_workflow_id = True
    async with served() as server:
        await server.call("CreateSchedule", _create(schedule), workflowservice.CreateScheduleResponse)
        for count in (1, 2):
            await _patch(server, trigger_immediately={"scheduled_time": timestamp_of((NOON + count) * SECOND)})
            info = (await _describe(server)).info
            assert info.action_count == count
            assert info.running_workflows[0].workflow_id == "job"
            request = workflowservice.TerminateWorkflowExecutionRequest(
                namespace="default", workflow_execution=info.running_workflows[0]
            )
            await server.call("TerminateWorkflowExecution", request, workflowservice.TerminateWorkflowExecutionResponse)
        found = [one.start_workflow_status for one in (await _describe(server)).info.recent_actions]
        assert found[0] == enums.WORKFLOW_EXECUTION_STATUS_TERMINATED


def _bad_retry(schedule: Schedule) -> None:
    schedule.action.start_workflow.retry_policy.backoff_coefficient = 0.5


def _bad_priority(schedule: Schedule) -> None:
    schedule.action.start_workflow.priority.priority_key = -1


def _too_many(schedule: Schedule) -> None:
    schedule.spec.cron_string.extend(["0 0 * * *"] * 1000)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (_bad_retry, "BackoffCoefficient cannot be less than 1 on retry policy."),
        (_bad_priority, "priority key can't be negative"),
        (_too_many, "Invalid schedule spec: more than 200 calendars and intervals"),
    ],
)
async def test_a_schedule_that_could_never_start_anything(spoil: Callable[[Schedule], None], text: str) -> None:
    schedule = _schedule()
    spoil(schedule)
    async with served() as server:
        error = await server.refused("CreateSchedule", _create(schedule))
        assert (error.code, error.message) == (StatusCode.INVALID_ARGUMENT, text)


@pytest.mark.parametrize("seconds", [2**62, -(2**62)])
async def test_times_that_are_none(seconds: int) -> None:
    """A time outside the years 1 to 9999 is refused, or means the far future; it harms nothing."""
    async with served() as server:
        schedule = _schedule()
        schedule.spec.start_time.seconds = schedule.spec.end_time.seconds = seconds
        schedule.spec.jitter.seconds = abs(seconds)
        await server.call("CreateSchedule", _create(schedule), workflowservice.CreateScheduleResponse)
        assert not (await _describe(server)).info.future_action_times
        for patch in (
            {"trigger_immediately": {"scheduled_time": {"seconds": seconds}}},
            {"backfill_request": [{"start_time": {"seconds": seconds}}]},
            {"backfill_request": [{"end_time": {"nanos": -1}}]},
        ):
            request = workflowservice.PatchScheduleRequest(
                namespace="default",
                schedule_id="plan",
                patch=SchedulePatch(**patch),
            )
            error = await server.refused("PatchSchedule", request)
            assert error.code == StatusCode.INVALID_ARGUMENT
        matching = workflowservice.ListScheduleMatchingTimesRequest(namespace="default", schedule_id="plan")
        matching.start_time.seconds, matching.end_time.seconds = -seconds, seconds
        await server.call("ListScheduleMatchingTimes", matching, workflowservice.ListScheduleMatchingTimesResponse)


async def test_schedules_of_another_namespace_are_not_seen() -> None:
    async with served() as server:
        register = workflowservice.RegisterNamespaceRequest(namespace="other")
        register.workflow_execution_retention_period.seconds = 86_400
        await server.call("RegisterNamespace", register, workflowservice.RegisterNamespaceResponse)
        await server.call("CreateSchedule", _create(), workflowservice.CreateScheduleResponse)
        elsewhere = workflowservice.ListSchedulesRequest(namespace="other")
        assert not (await server.call("ListSchedules", elsewhere, workflowservice.ListSchedulesResponse)).schedules
        request = workflowservice.DescribeScheduleRequest(namespace="other", schedule_id="plan")
        assert (await server.refused("DescribeSchedule", request)).code == StatusCode.NOT_FOUND


async def test_schedules_are_no_workflows_to_lists() -> None:
    """Neither kind shows up among the other."""
    async with served() as server:
        await server.call("CreateSchedule", _create(), workflowservice.CreateScheduleResponse)
        count = workflowservice.CountWorkflowExecutionsRequest(namespace="default")
        assert (
            await server.call("CountWorkflowExecutions", count, workflowservice.CountWorkflowExecutionsResponse)
        ).count == 0
        await _patch(server, trigger_immediately={})
        assert (await _describe(server)).info.action_count == 1
        assert (
            await server.call("CountWorkflowExecutions", count, workflowservice.CountWorkflowExecutionsResponse)
        ).count == 1
        schedules = workflowservice.CountSchedulesRequest(namespace="default")
        assert (await server.call("CountSchedules", schedules, workflowservice.CountSchedulesResponse)).count == 1


async def test_a_deleted_workflow_holds_nobody_up() -> None:
    """Somebody deletes the workflow that a schedule waits for: the next one starts."""
    async with served() as server:
        await server.call("CreateSchedule", _create(), workflowservice.CreateScheduleResponse)
        buffered = enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
        for minute in (1, 2):
            time = timestamp_of((NOON + 60 * minute) * SECOND)
            await _patch(server, trigger_immediately={"scheduled_time": time, "overlap_policy": buffered})
        info = (await _describe(server)).info
        assert (info.action_count, info.buffer_size) == (1, 1)
        request = workflowservice.DeleteWorkflowExecutionRequest(
            namespace="default", workflow_execution=info.running_workflows[0]
        )
        await server.call("DeleteWorkflowExecution", request, workflowservice.DeleteWorkflowExecutionResponse)
        key = ChainKey(server.server.namespaces.by_name("default").id, Kind.SCHEDULE, "plan")
        state = await server.server.engine.entities.wait(key, lambda one: one.action_count == 2, 10.0)
        assert state.action_count == 2
