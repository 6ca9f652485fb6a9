"""What schedules cost: how many firings a second, and what a hundred thousand idle ones do to an idle server.

    python -m bench.schedules [--idle 100000] [--firing 100] [--seconds 20] [--folder DIR]

A server of its own on a file, with `synchronous=FULL`. Idle schedules fire once a year; firing ones once a second with
ALLOW_ALL, into a queue that nobody polls, so a firing is the schedule's steps and a start. CPU is the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.api.schedule import Schedule
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc, gather_bounded

AT_ONCE: Final = 64
IDLE_S: Final = 20.0


def _schedule(cron: str, number: int) -> Schedule:
    schedule = Schedule()
    schedule.spec.cron_string.append(cron)
    schedule.policies.overlap_policy = enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
    start = schedule.action.start_workflow
    start.workflow_id, start.workflow_type.name, start.task_queue.name = f"job-{number}", "Job", "nobody"
    return schedule


async def _create(client: Rpc, name: str, cron: str, count: int) -> None:
    async def one(number: int) -> None:
        request = rpc.CreateScheduleRequest(
            namespace="default",
            schedule_id=f"{name}-{number}",
            schedule=_schedule(cron, number),
            request_id=f"{name}-{number}",
        )
        await client.call(request, rpc.CreateScheduleResponse, 60.0)

    await gather_bounded([one(number) for number in range(count)], AT_ONCE)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(folder: Path, idle: int, firing: int, seconds: float) -> None:
    """Print the figures."""
    flags = ("--dynamic-config-value", "worker.schedulerNamespaceStartWorkflowRPS=1000000.0")
    server = ServerProcess(folder / "stderr.log", folder / "state.db", flags)
    server.start()
    try:
        process = psutil.Process(server.pid)
        async with Rpc(server.port, channels=4) as client:
            began, cpu = time.monotonic(), _cpu(process)
            await _create(client, "idle", "0 0 1 1 *", idle)
            took, spent = time.monotonic() - began, _cpu(process) - cpu
        print(f"create: {idle / took:,.0f}/s, {spent / idle * 1e6:,.0f} µs of CPU each")
        await _rest(process, f"{idle:,} idle schedules, just made", seconds)
        server.stop()
        print(f"restart: {server.start():.2f} s")
        process = psutil.Process(server.pid)
        await _rest(process, f"{idle:,} idle schedules, after a restart", seconds)
        await _fire(server, process, firing, seconds)
    finally:
        server.kill()


async def _rest(process: psutil.Process, what: str, seconds: float) -> None:
    await asyncio.sleep(2.0)
    cpu = _cpu(process)
    await asyncio.sleep(seconds)
    used = (_cpu(process) - cpu) / seconds
    print(f"{what}: {used:.2%} of a core, {process.memory_info().rss >> 20} MiB resident")


async def _fire(server: ServerProcess, process: psutil.Process, firing: int, seconds: float) -> None:
    async with Rpc(server.port, channels=4) as client:
        await _create(client, "firing", "* * * * * * *", firing)
        count = rpc.CountWorkflowExecutionsRequest(namespace="default")
        before = (await client.call(count, rpc.CountWorkflowExecutionsResponse)).count
        began, cpu = time.monotonic(), _cpu(process)
        await asyncio.sleep(seconds)
        after = (await client.call(count, rpc.CountWorkflowExecutionsResponse)).count
        took, spent = time.monotonic() - began, _cpu(process) - cpu
        fired = max(1, after - before)
        late = []
        for number in range(firing):
            request = rpc.DescribeScheduleRequest(namespace="default", schedule_id=f"firing-{number}")
            info = (await client.call(request, rpc.DescribeScheduleResponse, 60.0)).info
            late += [
                one.actual_time.seconds - one.schedule_time.seconds + (one.actual_time.nanos / 1e9)
                for one in info.recent_actions
            ]
    late.sort()
    print(
        f"{firing} schedules a second: {fired / took:,.0f} firings/s, {spent / fired * 1e3:.2f} ms of CPU each, "
        f"{spent / took:.0%} of a core; late p50 {late[len(late) // 2] * 1e3:.0f} ms, max {late[-1] * 1e3:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--idle", type=int, default=100_000)
    parser.add_argument("--firing", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=IDLE_S, help="of each measurement")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as temporary:
        folder = arguments.folder or Path(temporary)
        asyncio.run(measure(folder, arguments.idle, arguments.firing, arguments.seconds))


if __name__ == "__main__":
    main()
