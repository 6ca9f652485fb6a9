"""Kills the server with SIGKILL while schedules fire each second, and then counts: no start lost, none doubled.

    python -m tests.crash.schedules [--kills 30] [--seed N]

Exit status 1 and the findings if an occurrence started no workflow, or more than one, or its end was not heard.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Final

from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.api.schedule import Schedule
from perdure.api.times import duration_of, timestamp_ns
from perdure.clock import SECOND
from tests.crash.program import main
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc

UP_S_MAX: Final = 1.5
"""A server lives for a random time below this before it is killed."""
OVERLAPS: Final = (enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL, enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL)
SCHEDULES: Final = 6
REST_S: Final = 60.0
"""How long what is buffered may take once nothing is killed any more."""


def _schedule(number: int, actions: int) -> Schedule:
    """Once a second, so many times; its workflows have no worker and time out after a second."""
    schedule = Schedule()
    schedule.spec.interval.add().interval.CopyFrom(duration_of(SECOND))
    schedule.policies.overlap_policy = OVERLAPS[number % len(OVERLAPS)]
    schedule.state.limited_actions = True
    schedule.state.remaining_actions = actions
    start = schedule.action.start_workflow
    start.workflow_id, start.workflow_type.name, start.task_queue.name = f"job{number}", "Job", "nobody"
    start.workflow_run_timeout.CopyFrom(duration_of(SECOND))
    return schedule


async def run(folder: Path, kills: int, seed: int) -> list[str]:
    """Fire, kill and restart, then the findings."""
    dice = random.Random(seed)
    server = ServerProcess(folder / "stderr.log", folder / "state.db")
    server.start()
    actions = kills // 2 + 2
    try:
        async with Rpc(server.port) as client:
            for number in range(SCHEDULES):
                name = f"plan{number}"
                request = rpc.CreateScheduleRequest(
                    namespace="default", schedule_id=name, schedule=_schedule(number, actions), request_id=name
                )
                await client.call(request, rpc.CreateScheduleResponse)
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(0.0, UP_S_MAX))
            server.kill()
            await asyncio.to_thread(server.start)
        findings: list[str] = []
        async with Rpc(server.port) as client:
            for number in range(SCHEDULES):
                findings += await _judge(client, number, actions)
        if "Traceback" in server.errors():
            findings.append("the server wrote a traceback: " + server.errors()[-2000:])
        return findings
    finally:
        server.kill()


async def _judge(client: Rpc, number: int, actions: int) -> list[str]:
    """What is wrong with one schedule once it has come to rest."""
    request = rpc.DescribeScheduleRequest(namespace="default", schedule_id=f"plan{number}")
    timed_out = enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
    async with asyncio.timeout(REST_S):
        while True:
            info = (await client.call(request, rpc.DescribeScheduleResponse)).info
            statuses = {one.start_workflow_status for one in info.recent_actions}
            if info.action_count >= actions and statuses == {timed_out} and not info.buffer_size:
                break
            await asyncio.sleep(0.2)
    query = f"TemporalScheduledById = 'plan{number}'"
    listed = await client.call(
        rpc.ListWorkflowExecutionsRequest(namespace="default", query=query, page_size=1000),
        rpc.ListWorkflowExecutionsResponse,
    )
    ids = [one.execution.workflow_id.removeprefix(f"job{number}-") for one in listed.executions]
    seconds = Counter([int(datetime.fromisoformat(text).timestamp()) for text in ids])
    created = timestamp_ns(info.create_time) // SECOND
    findings = []
    if sorted(seconds) != [created + 1 + after for after in range(actions)]:
        findings.append(f"plan{number}: started {sorted(seconds)}, created at {created}, {actions} actions")
    findings += [f"plan{number}: {count} workflows for {second}" for second, count in seconds.items() if count > 1]
    if info.action_count != actions or info.running_workflows or info.missed_catchup_window:
        findings.append(f"plan{number}: {info.action_count} actions of {actions}: {info}")
    return findings


if __name__ == "__main__":
    sys.exit(main(run, f"{SCHEDULES} schedules", __doc__))
