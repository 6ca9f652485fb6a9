"""A batch job and the deletion of a namespace on a server that is killed again and again, and what is left on its file.

Unlike the simulation this is the real process on a real file; like it, it looks for operations that were lost or
doubled, and for anything that outlives its namespace.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from perdure.admin.check import check
from perdure.api import enums, operatorservice
from perdure.api import workflowservice as rpc
from perdure.store.inspect import inspect
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc, gather_bounded

WORKFLOWS: Final = 300
NAMESPACE: Final = "doomed"
AT_ONCE: Final = 32
UP_S: Final = (0.2, 0.5)
"""How long a server lives."""
KILLS_MAX: Final = 60
RATES: Final = (
    "--dynamic-config-value",
    "worker.batcherRPS=400",
    "--dynamic-config-value",
    "frontend.deleteNamespaceDeleteActivityRPS=400",
)

Done = Callable[[Rpc], Awaitable[bool]]


async def run(folder: Path, seed: int) -> list[str]:
    """What went wrong."""
    dice = random.Random(seed)
    server = ServerProcess(folder / "stderr.log", folder / "state.db", RATES)
    findings: list[str] = []
    with server:
        async with Rpc(server.port, channels=2) as client:
            await _fill(client)
        await _killed_until(server, dice, _job_done)
        async with Rpc(server.port, channels=2) as client:
            findings += await _judge(client)
            request = operatorservice.DeleteNamespaceRequest(namespace=NAMESPACE)
            await client.call(request, operatorservice.DeleteNamespaceResponse, 30.0)
        await _killed_until(server, dice, _namespace_gone)
        server.stop()
    with inspect(str(folder / "state.db")) as store:
        findings += check(store).problems
        rows = store.counts()
    left = {table: rows[table] for table in ("chain", "run", "part", "fragment", "visibility") if rows[table]}
    if left:
        findings.append(f"rows are left: {left}")
    return findings


async def _fill(client: Rpc) -> None:
    register = rpc.RegisterNamespaceRequest(namespace=NAMESPACE)
    register.workflow_execution_retention_period.seconds = 86_400
    await client.call(register, rpc.RegisterNamespaceResponse)

    async def start(number: int) -> None:
        request = rpc.StartWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_id=f"w{number}", request_id=f"w{number}"
        )
        request.workflow_type.name, request.task_queue.name = "Idle", "nobody"
        await client.call(request, rpc.StartWorkflowExecutionResponse, 30.0)

    await gather_bounded([start(number) for number in range(WORKFLOWS)], AT_ONCE)
    job = rpc.StartBatchOperationRequest(namespace=NAMESPACE, job_id="job", reason="why")
    job.visibility_query, job.signal_operation.signal = "WorkflowType = 'Idle'", "go"
    await client.call(job, rpc.StartBatchOperationResponse)


async def _killed_until(server: ServerProcess, dice: random.Random, done: Done) -> None:
    """Let the server live for moments until it has done what it is to do."""
    for _ in range(KILLS_MAX):
        await asyncio.sleep(dice.uniform(*UP_S))
        server.kill()
        await asyncio.to_thread(server.start)
        async with Rpc(server.port) as client:
            if await done(client):
                return
    raise AssertionError(f"it is not done after {KILLS_MAX} kills")


async def _job_done(client: Rpc) -> bool:
    request = rpc.DescribeBatchOperationRequest(namespace=NAMESPACE, job_id="job")
    found = await client.call(request, rpc.DescribeBatchOperationResponse, 30.0)
    return found.state != enums.BATCH_OPERATION_STATE_RUNNING


async def _namespace_gone(client: Rpc) -> bool:
    request = rpc.ListNamespacesRequest()
    request.namespace_filter.include_deleted = True
    found = await client.call(request, rpc.ListNamespacesResponse, 30.0)
    return all(not one.namespace_info.name.startswith(NAMESPACE) for one in found.namespaces)


async def _judge(client: Rpc) -> list[str]:
    """Each workflow has one signal, and the job has counted it once."""
    request = rpc.DescribeBatchOperationRequest(namespace=NAMESPACE, job_id="job")
    job = await client.call(request, rpc.DescribeBatchOperationResponse, 30.0)
    findings = []
    if (job.complete_operation_count, job.failure_operation_count) != (WORKFLOWS, 0):
        findings.append(f"the job says {job.complete_operation_count} done, {job.failure_operation_count} failed")

    async def look(number: int) -> None:
        described = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE)
        described.execution.workflow_id = f"w{number}"
        found = await client.call(described, rpc.DescribeWorkflowExecutionResponse, 30.0)
        events = found.workflow_execution_info.history_length
        if events != 3:
            findings.append(f"workflow w{number} has {events - 2} signals")

    await gather_bounded([look(number) for number in range(WORKFLOWS)], AT_ONCE)
    return findings
