"""Namespaces and the cluster's identity outlive the process; RPCs about namespaces follow semantics 14.2."""

from __future__ import annotations

import asyncio

import pytest

from perdure.api import Duration, common, taskqueue, workflowservice
from perdure.cluster.identity import load_identity
from perdure.cluster.namespaces import SYSTEM_NAMESPACE, BadBinary, Namespace, NamespaceRegistry
from perdure.config.dynamic import DynamicConfig
from perdure.errors import NamespaceAlreadyExists, NamespaceNotFound, StatusCode, Unavailable
from perdure.ids import SeededIds
from perdure.store.memory import MemoryDisk, MemoryStore
from tests.frontend.served import Served, detail_name, served

DAY_S = 86_400


async def _registry(disk: MemoryDisk, config: dict[str, object] | None = None) -> NamespaceRegistry:
    store = MemoryStore(disk)
    await store.open()
    registry = NamespaceRegistry(store, DynamicConfig(config), SeededIds(7))
    await registry.load()
    return registry


def _shown(namespace: Namespace) -> dict[str, object]:
    fields = {name: getattr(namespace, name) for name in Namespace.__slots__ if name != "bad_binaries"}
    return fields | {key: (bad.reason, bad.operator) for key, bad in namespace.bad_binaries.items()}


async def test_namespaces_are_there_after_a_restart() -> None:
    """Every field of a namespace comes back, and the system's own exists from the first start."""
    disk = MemoryDisk()
    registry = await _registry(disk)
    created = await registry.create(
        Namespace(
            "id", "mine", description="d", owner_email="o", data={"a": "b"}, retention=5, search_attributes={"C": 2}
        )
    )
    changed = created.evolve(bad_binaries={"sum": BadBinary("r", "o", 3)}, config_version=1)
    updated = await registry.update(created, changed)
    again = await _registry(disk)
    assert _shown(again.by_name("mine")) == _shown(updated)
    assert again.by_id("id").name == "mine"
    assert [one.name for one in again.all()] == ["mine", SYSTEM_NAMESPACE]


async def test_names_are_taken_once() -> None:
    """A second namespace of a name is refused, also when the first was made by another process."""
    disk = MemoryDisk()
    registry = await _registry(disk)
    elsewhere = await _registry(disk)
    await registry.create(Namespace("1", "mine"))
    with pytest.raises(NamespaceAlreadyExists, match='Namespace "mine" already exists'):
        await registry.create(Namespace("2", "mine"))
    with pytest.raises(NamespaceAlreadyExists):
        await elsewhere.create(Namespace("3", "mine"))


async def test_lost_race_is_told() -> None:
    """An update of what somebody else has changed meanwhile is refused, not merged."""
    registry = await _registry(MemoryDisk())
    before = await registry.create(Namespace("1", "mine"))
    await registry.update(before, before.evolve(description="first"))
    with pytest.raises(Unavailable):
        await registry.update(before, before.evolve(description="second"))
    assert registry.by_name("mine").description == "first"


async def test_ensure_adds_search_attributes_to_what_is_there() -> None:
    """Start-up flags create namespaces and register attributes; existing ones keep their type."""
    registry = await _registry(MemoryDisk())
    made = await registry.ensure("mine", {"A": 2})
    assert (await registry.ensure("mine", {"A": 3, "B": 1})).search_attributes == {"A": 2, "B": 1}
    assert (await registry.ensure("mine")).id == made.id


async def test_views_have_limits_of_the_configuration() -> None:
    """A view is the same object until something changes; unknown ids have none."""
    registry = await _registry(MemoryDisk(), {"limit.blobSize.error": 7, "history.MaxBufferedQueryCount": 9})
    namespace = await registry.ensure("mine")
    view = registry.view(namespace.id)
    assert view is not None
    assert (view.limits.blob_size, view.limits.buffered_queries) == (7, 9)
    assert registry.view(namespace.id) is view
    changed = await registry.update(namespace, namespace.evolve(retention=5))
    renewed = registry.view(changed.id)
    assert renewed is not None
    assert renewed.retention == 5
    assert registry.view("nothing") is None
    with pytest.raises(NamespaceNotFound):
        registry.by_id("nothing")


async def test_identity_is_made_once() -> None:
    """Two processes on one store, and every later one, have one id and one token key."""
    disk = MemoryDisk()
    stores = [MemoryStore(disk), MemoryStore(disk)]
    for store in stores:
        await store.open()
    one, two = await asyncio.gather(load_identity(stores[0], SeededIds(1)), load_identity(stores[1], SeededIds(2)))
    assert (one.cluster_id, one.token_key) == (two.cluster_id, two.token_key)
    assert len(one.token_key) == 32


async def _update(
    server: Served, request: workflowservice.UpdateNamespaceRequest
) -> workflowservice.UpdateNamespaceResponse:
    request.namespace = "mine"
    return await server.call("UpdateNamespace", request, workflowservice.UpdateNamespaceResponse)


async def test_registered_namespace_is_described_updated_and_listed() -> None:
    """The life of a namespace through the API (14.2)."""
    async with served() as server:
        register = workflowservice.RegisterNamespaceRequest(namespace="mine", description="d", data={"a": "1"})
        error = await server.refused("RegisterNamespace", register)
        assert error.message == "A valid retention period is not set on request."
        register.workflow_execution_retention_period.seconds = DAY_S
        await server.call("RegisterNamespace", register, workflowservice.RegisterNamespaceResponse)
        error = await server.refused("RegisterNamespace", register)
        assert (error.code, detail_name(error)) == (StatusCode.ALREADY_EXISTS, "NamespaceAlreadyExistsFailure")

        update = workflowservice.UpdateNamespaceRequest()
        update.update_info.data["b"] = "2"
        update.config.workflow_execution_retention_ttl.CopyFrom(Duration(seconds=2 * DAY_S))
        changed = await _update(server, update)
        assert changed.namespace_info.supports_schedules
        assert dict(changed.namespace_info.data) == {"a": "1", "b": "2"}
        assert changed.namespace_info.description == "d"
        assert changed.config.workflow_execution_retention_ttl.seconds == 2 * DAY_S

        listed: list[str] = []
        token = b""
        for _ in range(3):
            request = workflowservice.ListNamespacesRequest(page_size=1, next_page_token=token)
            page = await server.call("ListNamespaces", request, workflowservice.ListNamespacesResponse)
            listed += [one.namespace_info.name for one in page.namespaces]
            token = page.next_page_token
        assert listed == ["default", "mine", SYSTEM_NAMESPACE]
        assert not token


async def test_bad_binaries_are_merged_and_removed() -> None:
    """Checksums add up to a limit; removing an unknown one is an error (14.2)."""
    async with served({"frontend.maxBadBinaries": 2}, ("default", "mine")) as server:
        for checksum in ("one", "two"):
            update = workflowservice.UpdateNamespaceRequest()
            update.config.bad_binaries.binaries[checksum].reason = "bad"
            shown = await _update(server, update)
        assert sorted(shown.config.bad_binaries.binaries) == ["one", "two"]
        update = workflowservice.UpdateNamespaceRequest(namespace="mine")
        update.config.bad_binaries.binaries["three"].reason = "bad"
        error = await server.refused("UpdateNamespace", update)
        assert error.message == "Total resetBinaries cannot exceed the max limit: 2"
        shown = await _update(server, workflowservice.UpdateNamespaceRequest(delete_bad_binary="one"))
        assert list(shown.config.bad_binaries.binaries) == ["two"]
        gone = workflowservice.UpdateNamespaceRequest(namespace="mine", delete_bad_binary="one")
        error = await server.refused("UpdateNamespace", gone)
        assert error.message == "Bad binary checksum one doesn't exists."


async def test_a_bad_binary_gets_no_task_and_its_answer_does_not_count() -> None:
    """A worker that has a task already when its binary is found to be bad fails that task (semantics 3.5.5)."""
    async with served({}, ("default", "mine")) as server:
        queue = taskqueue.TaskQueue(name="q")
        start = workflowservice.StartWorkflowExecutionRequest(
            namespace="mine",
            workflow_id="w",
            workflow_type=common.WorkflowType(name="Wf"),
            task_queue=queue,
            request_id="r",
        )
        await server.call("StartWorkflowExecution", start, workflowservice.StartWorkflowExecutionResponse)
        poll = workflowservice.PollWorkflowTaskQueueRequest(namespace="mine", task_queue=queue, binary_checksum="sum")
        task = await server.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
        update = workflowservice.UpdateNamespaceRequest()
        update.config.bad_binaries.binaries["sum"].reason = "bad"
        await _update(server, update)
        answer = workflowservice.RespondWorkflowTaskCompletedRequest(
            namespace="mine", task_token=task.task_token, binary_checksum="sum"
        )
        error = await server.refused("RespondWorkflowTaskCompleted", answer)
        assert error.message == "BadBinary: binary sum is marked as bad deployment"
        error = await server.refused("PollWorkflowTaskQueue", poll)
        assert error.message == "Binary sum already marked as bad deployment."
        answer.binary_checksum = poll.binary_checksum = "good"
        answer.task_token = (
            await server.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
        ).task_token
        await server.call("RespondWorkflowTaskCompleted", answer, workflowservice.RespondWorkflowTaskCompletedResponse)
