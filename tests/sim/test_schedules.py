"""Schedules through the whole server under virtual time: a year in seconds, and crashes between any two instructions.

What must hold: every occurrence starts one workflow, in one run, whatever fails or dies on the way; every end is heard.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from perdure.api import enums, workflowservice
from perdure.api.schedule import Schedule as Definition
from perdure.api.times import duration_of, timestamp_ns
from perdure.clock import SECOND
from perdure.testing import virtual_time
from tests.sim.scenario import swarm
from tests.sim.world import SYNCED, World, quiet

DAY_S = 86_400
PAGE = 1000


def _definition(spec: Definition, overlap: int, run_timeout_s: int) -> Definition:
    start = spec.action.start_workflow
    start.workflow_id, start.workflow_type.name, start.task_queue.name = "job", "Job", "nobody"
    start.workflow_run_timeout.CopyFrom(duration_of(run_timeout_s * SECOND))
    spec.policies.overlap_policy = overlap  # type: ignore[assignment]  # wire numbers are plain ints here
    return spec


async def _create(world: World, definition: Definition) -> None:
    await world.sure(
        "CreateSchedule",
        workflowservice.CreateScheduleRequest(
            namespace="default", schedule_id="plan", schedule=definition, request_id="created"
        ),
    )


async def _describe(world: World) -> workflowservice.DescribeScheduleResponse:
    request = workflowservice.DescribeScheduleRequest(namespace="default", schedule_id="plan")
    found = await world.sure("DescribeSchedule", request)
    assert isinstance(found, workflowservice.DescribeScheduleResponse)
    return found


async def _started(world: World) -> list[datetime]:
    """Nominal times of all the workflows there are, by their ids, oldest first: one for each run."""
    found: list[datetime] = []
    token = b""
    while True:
        request = workflowservice.ListWorkflowExecutionsRequest(
            namespace="default", query="TemporalScheduledById = 'plan'", page_size=PAGE, next_page_token=token
        )
        page = await world.sure("ListWorkflowExecutions", request)
        for one in page.executions:
            found.append(datetime.fromisoformat(one.execution.workflow_id.removeprefix("job-")))
        token = page.next_page_token
        if not token:
            return sorted(found)


@pytest.mark.slow
def test_a_year_of_a_daily_schedule() -> None:
    """Nine in the morning in New York, summer and winter; every workflow times out, and every end is heard."""

    async def scenario() -> None:
        world = World()
        await world.boot()
        spec = Definition()
        spec.spec.cron_string.append("0 9 * * *")
        spec.spec.timezone_name = "America/New_York"
        await _create(world, _definition(spec, enums.SCHEDULE_OVERLAP_POLICY_SKIP, 3600))
        await asyncio.sleep(365 * DAY_S)
        found = (await _describe(world)).info
        assert (found.action_count, found.overlap_skipped, found.missed_catchup_window) == (365, 0, 0)
        assert {one.start_workflow_status for one in found.recent_actions} == {
            enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
        }
        zone = ZoneInfo("America/New_York")
        taken = [timestamp_ns(one.actual_time) // SECOND for one in found.recent_actions]
        assert {datetime.fromtimestamp(time, zone).hour for time in taken} == {9}
        await world.close()

    virtual_time.run(1, scenario())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("overlap", [enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL, enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL])
def test_every_occurrence_starts_one_workflow_under_faults_and_kills(overlap: int, seed: int) -> None:
    """One a second for half a minute; the store fails, and processes and machines die, the whole time."""
    quiet()

    async def scenario() -> None:
        world = World(swarm(0.05), disk=SYNCED, cache_bytes_max=1 if seed % 2 else 1 << 28)
        await world.boot()
        calm = asyncio.Event()
        crashes = asyncio.create_task(world.crash_now_and_then(0.5, 3.0, True, calm))
        spec = Definition()
        spec.spec.interval.add().interval.CopyFrom(duration_of(SECOND))
        spec.state.limited_actions = True
        spec.state.remaining_actions = 30
        await _create(world, _definition(spec, overlap, 1))
        await asyncio.sleep(40)
        calm.set()
        await crashes
        world.heal()
        await asyncio.sleep(120)
        info = (await _describe(world)).info
        started = await _started(world)
        created = timestamp_ns(info.create_time) // SECOND
        assert [int(moment.replace(tzinfo=UTC).timestamp()) - created for moment in started] == [*range(1, 31)], seed
        assert (info.action_count, info.missed_catchup_window, info.buffer_dropped) == (30, 0, 0), seed
        assert not info.running_workflows, seed
        assert {one.start_workflow_status for one in info.recent_actions} == {
            enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
        }, seed
        await world.close()

    virtual_time.run(seed, scenario())


def test_starts_of_a_namespace_have_a_rate() -> None:
    """A hundred at once: thirty start, the others in the seconds after; none is lost."""

    async def scenario() -> None:
        world = World()
        await world.boot()
        spec = Definition()
        spec.spec.interval.add().interval.CopyFrom(duration_of(3600 * SECOND))
        _definition(spec, enums.SCHEDULE_OVERLAP_POLICY_SKIP, 60)
        for number in range(100):
            spec.action.start_workflow.workflow_id = f"job-{number}"
            request = workflowservice.CreateScheduleRequest(
                namespace="default", schedule_id=f"plan-{number}", schedule=spec, request_id=f"created-{number}"
            )
            await world.sure("CreateSchedule", request)
        until_the_hour = 3600 - world.loop.now_ns() / SECOND % 3600
        await asyncio.sleep(until_the_hour + 0.04)
        count = workflowservice.CountWorkflowExecutionsRequest(namespace="default")
        assert (await world.sure("CountWorkflowExecutions", count)).count in range(30, 35)
        await asyncio.sleep(15)
        assert (await world.sure("CountWorkflowExecutions", count)).count == 100
        await world.close()

    virtual_time.run(2, scenario())
