"""The registry of Nexus endpoints outlives the process, also one that dies in the middle of a renaming."""

from __future__ import annotations

import pytest

from perdure.cluster.endpoints import Endpoint, EndpointRegistry, EndpointSpec
from perdure.errors import AlreadyExists, FailedPrecondition, NotFound
from perdure.store.api import StoreError
from perdure.store.memory import MemoryDisk, MemoryStore


async def _registry(disk: MemoryDisk) -> EndpointRegistry:
    store = MemoryStore(disk)
    await store.open()
    registry = EndpointRegistry(store)
    await registry.load()
    return registry


def _shown(endpoint: Endpoint | None) -> object:
    assert endpoint is not None
    spec = tuple([getattr(endpoint.spec, name) for name in EndpointSpec.__slots__])
    return (endpoint.id, endpoint.version, endpoint.created, endpoint.modified, spec)


async def test_endpoints_are_there_after_a_restart() -> None:
    disk = MemoryDisk()
    registry = await _registry(disk)
    await registry.create("2", EndpointSpec("worker", b"d", "namespace", "queue"), 5)
    await registry.create("1", EndpointSpec("outside", url="http://x"), 6)
    await registry.update("2", 1, EndpointSpec("worker", b"e", "namespace", "other"), 7)
    again = await _registry(disk)
    assert [one.id for one in again.page("", 10)] == ["1", "2"]
    for name in ("worker", "outside"):
        assert _shown(again.by_name(name)) == _shown(registry.by_name(name))
    assert again.of_namespace("namespace") is again.by_id("2")


async def test_names_are_taken_once_and_free_again() -> None:
    disk = MemoryDisk()
    registry = await _registry(disk)
    elsewhere = await _registry(disk)
    await registry.create("1", EndpointSpec("a", url="http://x"), 1)
    with pytest.raises(AlreadyExists):
        await registry.create("2", EndpointSpec("a", url="http://x"), 1)
    with pytest.raises(AlreadyExists):
        await elsewhere.create("2", EndpointSpec("a", url="http://x"), 1)
    await registry.create("3", EndpointSpec("b", url="http://x"), 1)
    with pytest.raises(AlreadyExists):
        await registry.update("3", 1, EndpointSpec("a", url="http://x"), 2)
    await registry.update("3", 1, EndpointSpec("c", url="http://x"), 2)
    await registry.create("4", EndpointSpec("b", url="http://x"), 3)
    with pytest.raises(FailedPrecondition):
        await registry.update("3", 1, EndpointSpec("d", url="http://x"), 2)
    await registry.delete("3")
    with pytest.raises(NotFound):
        await registry.delete("3")
    await registry.create("5", EndpointSpec("c", url="http://x"), 3)
    assert [one.id for one in (await _registry(disk)).page("", 10)] == ["1", "4", "5"]


async def test_a_crash_within_a_renaming_leaves_one_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both names are stored when the process dies; the next one keeps the new name and frees the old."""
    disk = MemoryDisk()
    registry = await _registry(disk)
    await registry.create("1", EndpointSpec("old", url="http://x"), 1)
    put = MemoryStore.put_record

    async def dying(store: MemoryStore, table: str, key: str, expected: int, body: bytes | None) -> int:
        if body is None:
            raise StoreError("the process dies here")
        return await put(store, table, key, expected, body)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "put_record", dying)
        with pytest.raises(StoreError):
            await registry.update("1", 1, EndpointSpec("new", url="http://x"), 2)
    again = await _registry(disk)
    assert [(one.id, one.spec.name, one.version) for one in again.page("", 10)] == [("1", "new", 2)]
    assert again.by_name("old") is None
    await again.create("2", EndpointSpec("old", url="http://y"), 3)
