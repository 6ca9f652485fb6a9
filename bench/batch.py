"""How long a batch job takes: the termination of ten thousand workflows that a query finds, and a namespace's deletion.

    python -m bench.batch [--workflows 10000] [--rps 1000000] [--concurrency 50] [--folder DIR]

A server of its own on a file, with `synchronous=FULL`; the workflows wait on a queue that nobody polls. `--rps` and
`--concurrency` are `worker.batcherRPS` and `worker.batcherConcurrency`, 50 and 5 unless they are set. While the job
runs, starts of other workflows are timed one after the other: they are what it may hold up. CPU is the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from perdure.api import enums, operatorservice
from perdure.api import workflowservice as rpc
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc, gather_bounded

AT_ONCE: Final = 64
PAUSE_S: Final = 0.02
NAMESPACE: Final = "bench"
QUERY: Final = "WorkflowType = 'Bench'"


def _start(number: int, kind: str) -> rpc.StartWorkflowExecutionRequest:
    request = rpc.StartWorkflowExecutionRequest(
        namespace=NAMESPACE, workflow_id=f"{kind}-{number}", request_id=f"{kind}-{number}"
    )
    request.workflow_type.name = kind
    request.task_queue.name = "nobody"
    return request


async def _fill(client: Rpc, workflows: int) -> None:
    register = rpc.RegisterNamespaceRequest(namespace=NAMESPACE)
    register.workflow_execution_retention_period.seconds = 86_400
    await client.call(register, rpc.RegisterNamespaceResponse)

    async def one(number: int) -> None:
        await client.call(_start(number, "Bench"), rpc.StartWorkflowExecutionResponse, 60.0)

    await gather_bounded([one(number) for number in range(workflows)], AT_ONCE)


async def _terminate(client: Rpc) -> tuple[rpc.DescribeBatchOperationResponse, list[float]]:
    """Run the job to its end; what it says of itself, and how long starts took meanwhile."""
    job = rpc.StartBatchOperationRequest(namespace=NAMESPACE, job_id="job", reason="bench", visibility_query=QUERY)
    job.termination_operation.identity = "bench"
    await client.call(job, rpc.StartBatchOperationResponse)
    describe = rpc.DescribeBatchOperationRequest(namespace=NAMESPACE, job_id="job")
    taken: list[float] = []
    while True:
        found = await client.call(describe, rpc.DescribeBatchOperationResponse, 60.0)
        if found.state != enums.BATCH_OPERATION_STATE_RUNNING:
            return found, taken
        began = time.perf_counter()
        await client.call(_start(len(taken), "Other"), rpc.StartWorkflowExecutionResponse, 60.0)
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)


async def _delete(client: Rpc) -> None:
    """Delete the namespace and wait until its record is gone."""
    described = await client.call(rpc.DescribeNamespaceRequest(namespace=NAMESPACE), rpc.DescribeNamespaceResponse)
    await client.call(
        operatorservice.DeleteNamespaceRequest(namespace=NAMESPACE), operatorservice.DeleteNamespaceResponse
    )
    listing = rpc.ListNamespacesRequest(page_size=100)
    listing.namespace_filter.include_deleted = True
    while True:
        found = await client.call(listing, rpc.ListNamespacesResponse)
        if described.namespace_info.id not in [one.namespace_info.id for one in found.namespaces]:
            return
        await asyncio.sleep(PAUSE_S)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(folder: Path, workflows: int, rps: int, concurrency: int) -> None:
    """Print the figures."""
    flags: list[str] = []
    for setting in (
        f"worker.batcherRPS={rps}",
        f"worker.batcherConcurrency={concurrency}",
        "frontend.deleteNamespaceDeleteActivityRPS=1000000",
    ):
        flags += ["--dynamic-config-value", setting]
    with ServerProcess(folder / "stderr.log", folder / "state.db", flags) as server:
        process = psutil.Process(server.pid)
        async with Rpc(server.port, channels=4) as client:
            await _fill(client, workflows)
            began, cpu = time.monotonic(), _cpu(process)
            done, starts = await _terminate(client)
            took, spent = time.monotonic() - began, _cpu(process) - cpu
            starts.sort()
            print(
                f"batch terminate of {done.complete_operation_count:,}: {took:.1f} s, {workflows / took:,.0f}/s, "
                f"{spent / workflows * 1e6:,.0f} µs of CPU each; {done.failure_operation_count} failed; "
                f"starts meanwhile p50 {starts[len(starts) // 2] * 1e3:.1f} ms, max {starts[-1] * 1e3:.0f} ms"
            )
            began, cpu = time.monotonic(), _cpu(process)
            await _delete(client)
            took, spent = time.monotonic() - began, _cpu(process) - cpu
            print(f"deletion of the namespace: {took:.1f} s, {spent / workflows * 1e6:,.0f} µs of CPU each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workflows", type=int, default=10_000)
    parser.add_argument("--rps", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as temporary:
        folder = arguments.folder or Path(temporary)
        asyncio.run(measure(folder, arguments.workflows, arguments.rps, arguments.concurrency))


if __name__ == "__main__":
    main()
