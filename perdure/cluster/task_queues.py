"""What users have said of task queues: limits, weights, version sets and rules, by namespace and queue name.

All of it is in memory, loaded once at start; every change is stored before it is visible. A record's key in the store
is the namespace's id and the queue's name. The registry knows no message of the API and no partition: who must hear of
a change is told by `changed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from perdure.errors import ResourceExhausted, Unavailable
from perdure.machines.queue_data import EMPTY, QueueData, decoded, encoded
from perdure.store.api import CommitFailed, Store

QUEUES_MAX: Final = 100_000
"""Queues that may have data in one cluster: all of it is in memory. The next one is refused."""

_TABLE: Final = "task_queue"
_PERSISTENCE_STORAGE_LIMIT: Final = 7
"""enums.RESOURCE_EXHAUSTED_CAUSE_PERSISTENCE_STORAGE_LIMIT"""


@final
class TaskQueueRegistry:
    """The data of all task queues of one cluster, as this process knows it. All calls on one event loop."""

    __slots__ = ("_by_build_id", "_changed", "_queues", "_store", "_writing")

    def __init__(self, store: Store, changed: Callable[[str, str, QueueData], None]) -> None:
        """`changed(namespace id, queue name, data)` is called for everything loaded and every change stored."""
        self._store = store
        self._changed = changed
        self._queues: dict[str, dict[str, QueueData]] = {}
        self._by_build_id: dict[tuple[str, str], dict[str, None]] = {}
        """Names of queues by namespace and a build id of their version sets: to look for them would be to walk through
        all queues."""
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read the data of all queues."""
        for record in await self._store.list_records(_TABLE):
            namespace_id, _, name = record.key.partition("/")
            self._remember(namespace_id, name, decoded(record.body, record.version))

    def find(self, namespace_id: str, name: str) -> QueueData:
        """A queue's data, `EMPTY` when nobody has said anything of it."""
        return self._queues.get(namespace_id, {}).get(name, EMPTY)

    def with_build_id(self, namespace_id: str, build_id: str) -> list[str]:
        """The names of the queues that have a build id in a version set."""
        return list(self._by_build_id.get((namespace_id, build_id), ()))

    async def update(self, namespace_id: str, name: str, change: Callable[[QueueData], QueueData]) -> QueueData:
        """Store what `change` makes of a queue's data, and return it; what `change` raises passes through.

        When it returns its argument nothing is stored. Raises Unavailable when another process was faster.
        """
        async with self._writing:
            before = self.find(namespace_id, name)
            after = change(before)
            if after is before:
                return before
            if before is EMPTY and sum([len(queues) for queues in self._queues.values()]) >= QUEUES_MAX:
                raise ResourceExhausted("too many task queues have a configuration", _PERSISTENCE_STORAGE_LIMIT)
            try:
                version = await self._store.put_record(_TABLE, f"{namespace_id}/{name}", before.version, encoded(after))
            except CommitFailed:
                raise Unavailable("the task queue was changed by another call, please retry") from None
            return self._remember(namespace_id, name, after.evolve(version=version))

    async def forget_namespace(self, namespace_id: str) -> None:
        """A namespace is being deleted: the data of its queues goes with it. May be repeated."""
        async with self._writing:
            for name, data in list(self._queues.get(namespace_id, {}).items()):
                await self._store.put_record(_TABLE, f"{namespace_id}/{name}", data.version, None)
                del self._queues[namespace_id][name]
                self._index(namespace_id, name, data, EMPTY)
                self._changed(namespace_id, name, EMPTY)
            self._queues.pop(namespace_id, None)

    def _remember(self, namespace_id: str, name: str, data: QueueData) -> QueueData:
        self._index(namespace_id, name, self.find(namespace_id, name), data)
        self._queues.setdefault(namespace_id, {})[name] = data
        self._changed(namespace_id, name, data)
        return data

    def _index(self, namespace_id: str, name: str, before: QueueData, after: QueueData) -> None:
        """Keep `_by_build_id` true when a queue's data changes."""
        old, new = [{build_id for one in data.version_sets for build_id in one.names()} for data in (before, after)]
        for build_id in old - new:
            names = self._by_build_id[namespace_id, build_id]
            del names[name]
            if not names:
                del self._by_build_id[namespace_id, build_id]
        for build_id in new - old:
            self._by_build_id.setdefault((namespace_id, build_id), {})[name] = None
