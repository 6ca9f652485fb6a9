"""The registry of Nexus endpoints: names under which callers of the whole cluster reach a target (semantics 16.2.1).

All of them are in memory, loaded once at start; every change is stored before it is visible. A record's key in the
store is its name, so two processes cannot register one name twice. The registry knows no message of the API: the
frontend's `nexus_endpoints.py` judges requests and shows endpoints.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import Any, Final, final

import msgspec

from perdure.errors import AlreadyExists, FailedPrecondition, NotFound, Unavailable
from perdure.store.api import CommitFailed, Store

_TABLE: Final = "nexus-endpoint"


@final
class EndpointSpec:
    """What a user says of an endpoint. The target is a queue of a namespace, or a URL.

    `description` is a serialized `Payload`, b"" when there is none.
    """

    __slots__ = ("description", "name", "namespace_id", "task_queue", "url")

    def __init__(
        self, name: str, description: bytes = b"", namespace_id: str = "", task_queue: str = "", url: str = ""
    ) -> None:
        self.name = name
        self.description = description
        self.namespace_id = namespace_id
        self.task_queue = task_queue
        self.url = url


@final
class Endpoint:
    """One endpoint as stored; never changed once made. Times are ns since the epoch, `modified` 0 before any update.

    `version` is what users see and compare, `row_version` the store's.
    """

    __slots__ = ("created", "id", "modified", "row_version", "spec", "version")

    def __init__(
        self, id: str, spec: EndpointSpec, version: int, created: int, modified: int = 0, row_version: int = 0
    ) -> None:
        self.id = id
        self.spec = spec
        self.version = version
        self.created = created
        self.modified = modified
        self.row_version = row_version


@final
class EndpointRegistry:
    """The endpoints of one cluster, as this process knows them. All calls on one event loop."""

    __slots__ = ("_by_id", "_by_name", "_order", "_store", "_writing")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_id: dict[str, Endpoint] = {}
        self._by_name: dict[str, Endpoint] = {}
        self._order: list[str] = []
        """Ids, sorted: the order of a list."""
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read all endpoints. Of an endpoint that was being renamed when its process died, the new name is kept."""
        latest: dict[str, Endpoint] = {}
        for record in await self._store.list_records(_TABLE):
            found = _decoded(record.body, record.version)
            known = latest.get(found.id)
            if known is None or known.version < found.version:
                latest[found.id], found = found, known or found
            if found is not latest[found.id]:
                await self._put(found.spec.name, found.row_version, None)
        for endpoint in latest.values():
            self._remember(endpoint)

    def by_id(self, endpoint_id: str) -> Endpoint | None:
        return self._by_id.get(endpoint_id)

    def by_name(self, name: str) -> Endpoint | None:
        return self._by_name.get(name)

    def page(self, from_id: str, size: int) -> list[Endpoint]:
        """At most `size` endpoints by id, from `from_id` on."""
        start = bisect_left(self._order, from_id)
        return [self._by_id[one] for one in self._order[start : start + size]]

    def of_namespace(self, namespace_id: str) -> Endpoint | None:
        """The first endpoint whose target is a queue of this namespace."""
        return next((one for one in self.page("", len(self._order)) if one.spec.namespace_id == namespace_id), None)

    async def create(self, endpoint_id: str, spec: EndpointSpec, now_ns: int) -> Endpoint:
        """Store a new endpoint; raises AlreadyExists for a name in use."""
        async with self._writing:
            if spec.name in self._by_name:
                raise _taken(spec.name)
            return await self._insert(Endpoint(endpoint_id, spec, 1, now_ns))

    async def update(self, endpoint_id: str, version: int, spec: EndpointSpec, now_ns: int) -> Endpoint:
        """Replace what is said of an endpoint that is still at `version`; its name may change to a free one."""
        async with self._writing:
            before = self._by_id.get(endpoint_id)
            if before is None:
                raise NotFound(f"error updating Nexus endpoint. endpoint ID {endpoint_id} not found")
            if before.version != version:
                raise FailedPrecondition(
                    f"nexus endpoint version mismatch. received: {version} expected {before.version}"
                )
            after = Endpoint(before.id, spec, before.version + 1, before.created, now_ns, before.row_version)
            if spec.name == before.spec.name:
                after.row_version = await self._put(after.spec.name, before.row_version, _encoded(after))
                return self._remember(after)
            if spec.name in self._by_name:
                raise _taken(spec.name)
            # The new name first: a crash in between leaves both names, and `load` keeps the later version only.
            stored = await self._insert(after)
            del self._by_name[before.spec.name]
            await self._put(before.spec.name, before.row_version, None)
            return stored

    async def delete(self, endpoint_id: str) -> None:
        """Remove an endpoint; raises NotFound."""
        async with self._writing:
            found = self._by_id.get(endpoint_id)
            if found is None:
                raise NotFound(f"error deleting nexus endpoint with ID: {endpoint_id}")
            await self._put(found.spec.name, found.row_version, None)
            del self._by_id[found.id]
            del self._by_name[found.spec.name]
            self._order.remove(found.id)

    async def _insert(self, fresh: Endpoint) -> Endpoint:
        try:
            fresh.row_version = await self._store.put_record(_TABLE, fresh.spec.name, 0, _encoded(fresh))
        except CommitFailed:
            raise _taken(fresh.spec.name) from None
        return self._remember(fresh)

    async def _put(self, name: str, expected: int, body: bytes | None) -> int:
        try:
            return await self._store.put_record(_TABLE, name, expected, body)
        except CommitFailed:
            raise Unavailable("the endpoint was changed by another call, please retry") from None

    def _remember(self, endpoint: Endpoint) -> Endpoint:
        if endpoint.id not in self._by_id:
            self._order.insert(bisect_left(self._order, endpoint.id), endpoint.id)
        self._by_id[endpoint.id] = endpoint
        self._by_name[endpoint.spec.name] = endpoint
        return endpoint


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"error creating Nexus endpoint. Endpoint with name {name} already registered")


def _encoded(endpoint: Endpoint) -> bytes:
    spec = endpoint.spec
    return msgspec.msgpack.encode(
        {
            "id": endpoint.id,
            "version": endpoint.version,
            "created": endpoint.created,
            "modified": endpoint.modified,
            "spec": {name: getattr(spec, name) for name in EndpointSpec.__slots__},
        }
    )


def _decoded(body: bytes, row_version: int) -> Endpoint:
    """Names of fields are never reused; a field that this version does not know is ignored."""
    fields: dict[str, Any] = msgspec.msgpack.decode(body)
    spec = {name: value for name, value in fields["spec"].items() if name in EndpointSpec.__slots__}
    return Endpoint(
        fields["id"], EndpointSpec(**spec), fields["version"], fields["created"], fields["modified"], row_version
    )
