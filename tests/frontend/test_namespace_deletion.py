"""DeleteNamespace over RPC: nothing of a namespace is left, nothing of another is touched, and a crash only delays it
(semantics 14.4).
"""

from __future__ import annotations

import pytest

from perdure.api import Duration, enums, operatorservice, workflowservice
from perdure.cluster.namespaces import DELETED, DEPRECATED, REGISTERED, SYSTEM_NAMESPACE_ID, NamespaceRegistry
from perdure.config.dynamic import DynamicConfig
from perdure.errors import StatusCode
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.store.api import StoreError
from perdure.store.memory import MemoryDisk, MemoryStore
from tests.frontend.served import Served, failure_of, served


async def register(world: Served, name: str) -> str:
    request = workflowservice.RegisterNamespaceRequest(
        namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
    )
    await world.call("RegisterNamespace", request, workflowservice.RegisterNamespaceResponse)
    return world.server.namespaces.by_name(name).id


async def start(world: Served, namespace: str, count: int) -> None:
    for number in range(count):
        request = workflowservice.StartWorkflowExecutionRequest(
            namespace=namespace, workflow_id=f"w{number}", request_id=f"w{number}"
        )
        request.workflow_type.name = "Type"
        request.task_queue.name = "queue"
        await world.call("StartWorkflowExecution", request, workflowservice.StartWorkflowExecutionResponse)


def _every_second() -> workflowservice.CreateScheduleRequest:
    """A schedule that goes on starting workflows until it is gone."""
    request = workflowservice.CreateScheduleRequest(namespace="mine", schedule_id="plan", request_id="plan")
    request.schedule.spec.interval.add().interval.seconds = 1
    request.schedule.policies.overlap_policy = enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
    action = request.schedule.action.start_workflow
    action.workflow_id, action.workflow_type.name, action.task_queue.name = "planned", "Type", "queue"
    return request


async def delete(world: Served, name: str, **fields: int) -> str:
    request = operatorservice.DeleteNamespaceRequest(namespace=name)
    if "delay_s" in fields:
        request.namespace_delete_delay.seconds = fields["delay_s"]
    answer = await world.call("DeleteNamespace", request, operatorservice.DeleteNamespaceResponse)
    return answer.deleted_namespace


async def gone(world: Served, namespace_id: str) -> None:
    """Wait for the end of a deletion."""
    key = ChainKey(SYSTEM_NAMESPACE_ID, Kind.NAMESPACE_DELETION, namespace_id)
    assert await world.server.engine.entities.wait(key, lambda _: False, 20.0) is None


@pytest.mark.slow
async def test_everything_of_a_namespace_goes_and_its_name_is_free() -> None:
    """Open and closed executions, a batch job, a schedule, a queue's limit and the record.

    A namespace of the same name that is made meanwhile stays.
    """
    disk = MemoryDisk()
    async with served({}, disk=disk) as world:
        namespace_id = await register(world, "mine")
        await start(world, "mine", 250)
        await start(world, "default", 3)
        for number in range(20):
            request = workflowservice.TerminateWorkflowExecutionRequest(namespace="mine")
            request.workflow_execution.workflow_id = f"w{number}"
            await world.call("TerminateWorkflowExecution", request, workflowservice.TerminateWorkflowExecutionResponse)
        job = workflowservice.StartBatchOperationRequest(namespace="mine", job_id="job", reason="r")
        job.visibility_query = "WorkflowType = 'Type'"
        job.signal_operation.signal = "go"
        await world.call("StartBatchOperation", job, workflowservice.StartBatchOperationResponse)
        await world.call("CreateSchedule", _every_second(), workflowservice.CreateScheduleResponse)
        limit = workflowservice.UpdateTaskQueueConfigRequest(namespace="mine", task_queue="queue")
        limit.task_queue_type = enums.TASK_QUEUE_TYPE_ACTIVITY
        limit.update_queue_rate_limit.rate_limit.requests_per_second = 5
        await world.call("UpdateTaskQueueConfig", limit, workflowservice.UpdateTaskQueueConfigResponse)
        assert await delete(world, "mine") == f"mine-deleted-{namespace_id[:5]}"
        fresh_id = await register(world, "mine")
        await start(world, "mine", 2)
        await gone(world, namespace_id)
        store = world.server.store
        for kind in (Kind.WORKFLOW, Kind.BATCH, Kind.SCHEDULE):
            assert (await store.list_visibility(namespace_id, kind, None, 10, b"")).records == []
        assert await store.list_records("task_queue") == []
        describe = workflowservice.DescribeNamespaceRequest(id=namespace_id)
        assert (await world.refused("DescribeNamespace", describe)).code == StatusCode.NOT_FOUND
        for name, count in (("mine", 2), ("default", 3)):
            found = await world.call(
                "CountWorkflowExecutions",
                workflowservice.CountWorkflowExecutionsRequest(namespace=name),
                workflowservice.CountWorkflowExecutionsResponse,
            )
            assert found.count == count
        assert world.server.namespaces.by_name("mine").id == fresh_id


@pytest.mark.slow
async def test_a_deletion_goes_on_after_a_restart() -> None:
    """The server ends between two pages; the next one finds the deletion by its alarm."""
    disk = MemoryDisk()
    async with served({"frontend.deleteNamespaceDeleteActivityRPS": 200}, disk=disk) as world:
        namespace_id = await register(world, "mine")
        await start(world, "mine", 250)
        await delete(world, "mine")
    async with served({}, disk=disk) as world:
        await gone(world, namespace_id)
        assert (await world.server.store.list_visibility(namespace_id, Kind.WORKFLOW, None, 1, b"")).records == []
        assert [one.name for one in world.server.namespaces.all()] == ["default", "temporal-system"]


@pytest.mark.slow
async def test_during_the_delay_it_is_there_by_id_and_of_no_use() -> None:
    async with served() as world:
        namespace_id = await register(world, "mine")
        renamed = await delete(world, "mine", delay_s=3600)
        assert await delete(world, renamed, delay_s=3600) == renamed
        shown = await world.call(
            "DescribeNamespace",
            workflowservice.DescribeNamespaceRequest(id=namespace_id),
            workflowservice.DescribeNamespaceResponse,
        )
        assert (shown.namespace_info.name, shown.namespace_info.state) == (renamed, DELETED)
        error = await failure_of(start(world, renamed, 1))
        assert error.code == StatusCode.FAILED_PRECONDITION
        await delete(world, renamed, delay_s=0)
        await gone(world, namespace_id)


async def test_protected_namespaces_stay() -> None:
    async with served({"worker.protectedNamespaces": ["default"]}) as world:
        error = await failure_of(delete(world, "default"))
        assert (error.code, error.message) == (
            StatusCode.FAILED_PRECONDITION,
            "namespace default is protected from deletion",
        )
        request = operatorservice.DeleteNamespaceRequest(namespace_id=SYSTEM_NAMESPACE_ID)
        error = await failure_of(world.call("DeleteNamespace", request, operatorservice.DeleteNamespaceResponse))
        assert error.message == "unable to delete system namespace"


@pytest.mark.parametrize("state", [REGISTERED, DEPRECATED, DELETED])
async def test_a_crash_within_the_renaming_leaves_one_namespace(monkeypatch: pytest.MonkeyPatch, state: int) -> None:
    """Both names are stored when the process dies; the next one keeps the deleted namespace and frees the old name."""
    disk = MemoryDisk()

    async def registry(seed: int) -> NamespaceRegistry:
        store = MemoryStore(disk)
        await store.open()
        found = NamespaceRegistry(store, DynamicConfig(), SeededIds(seed))
        await found.load()
        return found

    before = await registry(1)
    found = await before.ensure("mine")
    namespace_id = (await before.update(found, found.evolve(state=state))).id
    put = MemoryStore.put_record

    async def dying(store: MemoryStore, table: str, key: str, expected: int, body: bytes | None) -> int:
        if body is None:
            raise StoreError("the process dies here")
        return await put(store, table, key, expected, body)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "put_record", dying)
        with pytest.raises(StoreError):
            await before.retire(namespace_id)
    after = await registry(2)
    assert after.find("mine") is None
    assert after.by_id(namespace_id).state == DELETED
    assert (await after.retire(namespace_id)).name == f"mine-deleted-{namespace_id[:5]}"
    assert (await after.ensure("mine")).id != namespace_id
