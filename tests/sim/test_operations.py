"""Batch jobs and deletions of namespaces while the store fails and machines are lost: every execution is reached, each
once, and of a deleted namespace nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import pytest

from perdure.api import enums, history, operatorservice, workflowservice
from perdure.errors import NamespaceNotFound
from perdure.ids import Kind
from perdure.testing import virtual_time
from perdure.transport.client import RpcError
from tests.sim.scenario import swarm
from tests.sim.world import SYNCED, World, quiet

WORKFLOWS: Final = 90
SETTINGS: Final[dict[str, object]] = {"worker.batcherRPS": 30, "frontend.deleteNamespaceDeleteActivityRPS": 60}
DELETE_NAMESPACE: Final = "/temporal.api.operatorservice.v1.OperatorService/DeleteNamespace"
CALM_S: Final = 120.0


async def _prepare(world: World, namespace: str) -> str:
    """A namespace with idle workflows; its id."""
    await world.boot()
    register = workflowservice.RegisterNamespaceRequest(namespace=namespace)
    register.workflow_execution_retention_period.seconds = 86_400
    await world.sure("RegisterNamespace", register)
    for number in range(WORKFLOWS):
        request = workflowservice.StartWorkflowExecutionRequest(
            namespace=namespace, workflow_id=f"w{number}", request_id=f"w{number}"
        )
        request.workflow_type.name = "Idle"
        request.task_queue.name = "nobody"
        await world.sure("StartWorkflowExecution", request)
    return world.server.namespaces.by_name(namespace).id


async def _trouble(world: World) -> tuple[asyncio.Event, asyncio.Task[None]]:
    """From here on things go wrong, until the event is set."""
    world.suffer(swarm(0.05))
    calm = asyncio.Event()
    return calm, asyncio.create_task(world.crash_now_and_then(0.3, 2.0, True, calm))


async def _signals(world: World, namespace: str) -> list[int]:
    """How many signals each workflow has."""
    found = []
    for number in range(WORKFLOWS):
        request = workflowservice.GetWorkflowExecutionHistoryRequest(namespace=namespace)
        request.execution.workflow_id = f"w{number}"
        answer = await world.sure("GetWorkflowExecutionHistory", request)
        events: history.History = answer.history
        kinds = [event.event_type for event in events.events]
        found.append(kinds.count(enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_job_reaches_each_execution_once(seed: int) -> None:
    """Signals do not repeat although chunks of work do, and the counts are exact."""
    quiet()

    async def scenario() -> None:
        world = World(disk=SYNCED, settings=SETTINGS)
        await _prepare(world, "mine")
        job = workflowservice.StartBatchOperationRequest(namespace="mine", job_id="job", reason="why")
        job.visibility_query = "WorkflowType = 'Idle'"
        job.signal_operation.signal = "go"
        await world.sure("StartBatchOperation", job)
        calm, crashes = await _trouble(world)
        await asyncio.sleep(8.0)
        calm.set()
        await crashes
        world.heal()
        await asyncio.sleep(CALM_S)
        describe = workflowservice.DescribeBatchOperationRequest(namespace="mine", job_id="job")
        done = await world.sure("DescribeBatchOperation", describe)
        assert done.state == enums.BATCH_OPERATION_STATE_COMPLETED, done
        assert (done.complete_operation_count, done.failure_operation_count) == (WORKFLOWS, 0)
        assert await _signals(world, "mine") == [1] * WORKFLOWS
        assert world.crashes, "nothing went wrong: the test says nothing"
        await world.close()

    virtual_time.run(seed, scenario())


@pytest.mark.parametrize("seed", range(6))
def test_of_a_deleted_namespace_nothing_is_left(seed: int) -> None:
    """Whenever the machine dies: neither an execution nor a record, under the old name or the new one."""
    quiet()

    async def scenario() -> None:
        world = World(disk=SYNCED, settings=SETTINGS)
        namespace_id = await _prepare(world, "mine")
        calm, crashes = await _trouble(world)
        request = operatorservice.DeleteNamespaceRequest(namespace="mine")
        # It may be deleted already, and the answer lost.
        with contextlib.suppress(RpcError):
            await world.sure(DELETE_NAMESPACE, request)
        await asyncio.sleep(4.0)
        calm.set()
        await crashes
        world.heal()
        await asyncio.sleep(CALM_S)
        server = world.server
        for kind in (Kind.WORKFLOW, Kind.BATCH, Kind.SCHEDULE):
            assert (await server.store.list_visibility(namespace_id, kind, None, 10, b"")).records == []
        left = world.disk.state
        assert (left.chains, left.runs, left.parts, left.fragments, left.visibility) == ({}, {}, {}, {}, {})
        with pytest.raises(NamespaceNotFound):
            server.namespaces.by_id(namespace_id)
        assert [one.name for one in server.namespaces.all()] == ["default", "temporal-system"]
        assert [one.key for one in await server.store.list_records("namespace")] == ["default", "temporal-system"]
        assert world.crashes, "nothing went wrong: the test says nothing"
        await world.close()

    virtual_time.run(seed, scenario())
