"""Namespaces: who may use the cluster's entities under which name and with which limits (semantics 14.1).

All of them are in memory, loaded once at start; every change is stored before it is visible. A record's key in the
store is its name, so two processes cannot register one name twice. The registry knows no message of the API: the
frontend's `namespaces.py` judges requests and shows namespaces.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple, final

import msgspec

from perdure.clock import DAY
from perdure.cluster.rules import compiled_all
from perdure.config import dynamic as settings
from perdure.config.dynamic import DynamicConfig
from perdure.config.values import Setting
from perdure.errors import NamespaceAlreadyExists, NamespaceNotFound, Unavailable
from perdure.ids import IdSource
from perdure.machines.env import Limits, NamespaceView
from perdure.store.api import CommitFailed, Store

REGISTERED: Final = 1
"""States are `enums.NamespaceState` numbers."""
DEPRECATED: Final = 2
DELETED: Final = 3

SYSTEM_NAMESPACE: Final = "temporal-system"
SYSTEM_NAMESPACE_ID: Final = "32049b68-7872-4094-8e63-d0dd59896a83"
SYSTEM_RETENTION: Final = 7 * DAY
DEFAULT_RETENTION: Final = DAY

ENABLED: Final = "enabled"
_PAUSED: Final = "paused"
_TABLE: Final = "namespace"
_RETIRED: Final = "-deleted-"
_RETIRED_CHARS: Final = 5
"""Characters of its id in the name of a deleted namespace."""


@final
class BadBinary:
    """A binary checksum whose workflow tasks are failed; `create_time` in ns since the epoch."""

    __slots__ = ("create_time", "operator", "reason")

    def __init__(self, reason: str, operator: str, create_time: int) -> None:
        self.reason = reason
        self.operator = operator
        self.create_time = create_time


class ArchivalConfig(NamedTuple):
    """Whether something of closed workflows is archived, and where: a URI once set stays."""

    enabled: bool = False
    uri: str = ""


NO_ARCHIVAL: Final = ArchivalConfig()


@final
class Namespace:
    """One namespace as stored. Never changed once made: `evolve` makes the next one.

    `retention` is ns. `search_attributes` maps custom names to `enums.IndexedValueType` numbers, `rules` ids of
    workflow rules to serialized ones. `version` is the row's.
    """

    __slots__ = (
        "bad_binaries",
        "config_version",
        "data",
        "description",
        "history_archival",
        "id",
        "name",
        "owner_email",
        "retention",
        "rules",
        "search_attributes",
        "state",
        "version",
        "visibility_archival",
    )

    def __init__(
        self,
        id: str,
        name: str,
        state: int = REGISTERED,
        description: str = "",
        owner_email: str = "",
        data: dict[str, str] | None = None,
        retention: int = DEFAULT_RETENTION,
        search_attributes: dict[str, int] | None = None,
        bad_binaries: dict[str, BadBinary] | None = None,
        config_version: int = 0,
        version: int = 0,
        rules: dict[str, bytes] | None = None,
        history_archival: ArchivalConfig = NO_ARCHIVAL,
        visibility_archival: ArchivalConfig = NO_ARCHIVAL,
    ) -> None:
        self.id = id
        self.name = name
        self.state = state
        self.description = description
        self.owner_email = owner_email
        self.data = data or {}
        self.retention = retention
        self.search_attributes = search_attributes or {}
        self.bad_binaries = bad_binaries or {}
        self.config_version = config_version
        self.rules = rules or {}
        self.version = version
        self.history_archival = history_archival
        self.visibility_archival = visibility_archival

    def evolve(self, **changes: Any) -> Namespace:
        """The namespace with some fields replaced."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields.update(changes)
        return Namespace(**fields)


@final
class NamespaceRegistry:
    """The namespaces of one cluster, as this process knows them. All calls on one event loop."""

    __slots__ = ("_by_id", "_by_name", "_config", "_ids", "_store", "_views", "_writing")

    def __init__(self, store: Store, config: DynamicConfig, ids: IdSource) -> None:
        self._store = store
        self._config = config
        self._ids = ids
        self._by_name: dict[str, Namespace] = {}
        self._by_id: dict[str, Namespace] = {}
        self._views: dict[str, NamespaceView] = {}
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read all namespaces, and create the system's own if it is missing."""
        found = [_decoded(record.body, record.version) for record in await self._store.list_records(_TABLE)]
        found.sort(key=lambda one: len(one.name))
        last = {one.id: one for one in found}
        for one in found:
            if one is not last[one.id]:
                # The process died while it gave the namespace its last name, which is the longer one.
                await self._put(one, None)
        for one in last.values():
            self._remember(one)
        if SYSTEM_NAMESPACE not in self._by_name:
            await self.create(
                Namespace(
                    SYSTEM_NAMESPACE_ID,
                    SYSTEM_NAMESPACE,
                    description="Temporal internal system namespace",
                    owner_email="temporal-core@temporal.io",
                    retention=SYSTEM_RETENTION,
                )
            )

    async def ensure(self, name: str, search_attributes: dict[str, int] | None = None) -> Namespace:
        """The namespace of that name, created with the dev server's defaults if it is missing; attributes are added."""
        found = self._by_name.get(name)
        if found is None:
            fresh = Namespace(self._ids.request_id(), name, search_attributes=dict(search_attributes or {}))
            return await self.create(fresh)
        missing = {key: kind for key, kind in (search_attributes or {}).items() if key not in found.search_attributes}
        if not missing:
            return found
        return await self.update(found, found.evolve(search_attributes={**found.search_attributes, **missing}))

    def find(self, name: str) -> Namespace | None:
        """The namespace of that name, in any state."""
        return self._by_name.get(name)

    def by_name(self, name: str) -> Namespace:
        """The namespace of that name; raises NamespaceNotFound."""
        found = self._by_name.get(name)
        if found is None:
            raise NamespaceNotFound(name)
        return found

    def by_id(self, namespace_id: str) -> Namespace:
        """The namespace of that id; raises NamespaceNotFound."""
        found = self._by_id.get(namespace_id)
        if found is None:
            raise NamespaceNotFound(namespace_id)
        return found

    def all(self) -> list[Namespace]:
        """Every namespace, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    async def create(self, fresh: Namespace) -> Namespace:
        """Store a new namespace; raises NamespaceAlreadyExists for a name in use, whatever its state."""
        async with self._writing:
            taken = NamespaceAlreadyExists(f'Namespace "{fresh.name}" already exists')
            if fresh.name in self._by_name:
                raise taken
            try:
                version = await self._store.put_record(_TABLE, fresh.name, 0, _encoded(fresh))
            except CommitFailed:
                raise taken from None
            return self._remember(fresh.evolve(version=version))

    async def update(self, before: Namespace, after: Namespace) -> Namespace:
        """Replace a namespace that is still as `before`; raises Unavailable when someone was faster."""
        assert before.name == after.name and before.id == after.id, "an update keeps name and id"
        async with self._writing:
            version = await self._put(before, _encoded(after))
            return self._remember(after.evolve(version=version))

    async def retire(self, namespace_id: str) -> Namespace:
        """The namespace under its last name, deleted: nobody can use it, and its old name is free. Idempotent."""
        async with self._writing:
            before = self.by_id(namespace_id)
            if before.state == DELETED and f"{_RETIRED}{before.id[:_RETIRED_CHARS]}" in before.name:
                return before
            name = self._last_name(before)
            fresh = before.evolve(name=name, state=DELETED, version=0)
            # The new name first: a crash in between leaves both, and `load` keeps the deleted one.
            after = fresh.evolve(version=await self._put(fresh, _encoded(fresh)))
            del self._by_name[before.name]
            self._remember(after)
            await self._put(before, None)
            return after

    def _last_name(self, namespace: Namespace) -> str:
        """What a deleted namespace is called: by its name and as much of its id as no other has."""
        for length in range(_RETIRED_CHARS, len(namespace.id) + 1):
            name = f"{namespace.name}{_RETIRED}{namespace.id[:length]}"
            if name not in self._by_name:
                return name
        raise NamespaceAlreadyExists(f'Namespace "{namespace.name}{_RETIRED}{namespace.id}" already exists')

    async def remove(self, namespace_id: str) -> None:
        """The end of a namespace's record; what belonged to it must be gone. Idempotent."""
        async with self._writing:
            found = self._by_id.get(namespace_id)
            if found is None:
                return
            await self._put(found, None)
            del self._by_name[found.name]
            del self._by_id[namespace_id]
            self._views.pop(namespace_id, None)

    async def _put(self, namespace: Namespace, body: bytes | None) -> int:
        try:
            return await self._store.put_record(_TABLE, namespace.name, namespace.version, body)
        except CommitFailed:
            raise Unavailable("the namespace was changed by another call, please retry") from None

    def view(self, namespace_id: str) -> NamespaceView | None:
        """What machines may know of a namespace, None when it is gone.

        The same object until it or the configuration changes.
        """
        found = self._views.get(namespace_id)
        if found is None:
            namespace = self._by_id.get(namespace_id)
            if namespace is None:
                return None
            found = NamespaceView(
                namespace.id,
                namespace.name,
                namespace.retention,
                namespace.search_attributes,
                _limits(self._config, namespace.name),
                compiled_all(namespace.rules),
                self._archive(namespace.history_archival, settings.SYSTEM_HISTORY_ARCHIVAL_STATE),
                self._archive(namespace.visibility_archival, settings.SYSTEM_VISIBILITY_ARCHIVAL_STATE),
                _PAUSED in (self.history_archival_state(), self.visibility_archival_state()),
                frozenset(namespace.bad_binaries),
            )
            self._views[namespace_id] = found
        return found

    def history_archival_state(self) -> str:
        """What the cluster says of archives of histories: `enabled`, `paused`, or anything else for disabled."""
        return self._config.get(settings.SYSTEM_HISTORY_ARCHIVAL_STATE)

    def visibility_archival_state(self) -> str:
        """The same of records."""
        return self._config.get(settings.SYSTEM_VISIBILITY_ARCHIVAL_STATE)

    def _archive(self, config: ArchivalConfig, state: Setting[str]) -> str:
        """Where a namespace archives; "" for nowhere."""
        return config.uri if config.enabled and self._config.get(state) in (ENABLED, _PAUSED) else ""

    def config_changed(self) -> None:
        """The dynamic configuration has new values: views take their limits from it again."""
        self._views.clear()

    def _remember(self, namespace: Namespace) -> Namespace:
        self._by_name[namespace.name] = namespace
        self._by_id[namespace.id] = namespace
        self._views.pop(namespace.id, None)
        return namespace


def _encoded(namespace: Namespace) -> bytes:
    return msgspec.msgpack.encode(
        {
            "id": namespace.id,
            "name": namespace.name,
            "state": namespace.state,
            "description": namespace.description,
            "owner_email": namespace.owner_email,
            "data": namespace.data,
            "retention": namespace.retention,
            "search_attributes": namespace.search_attributes,
            "bad_binaries": {
                checksum: (bad.reason, bad.operator, bad.create_time)
                for checksum, bad in namespace.bad_binaries.items()
            },
            "config_version": namespace.config_version,
            "rules": namespace.rules,
            "history_archival": namespace.history_archival,
            "visibility_archival": namespace.visibility_archival,
        }
    )


def _decoded(body: bytes, version: int) -> Namespace:
    """Names of fields are never reused; a field that this version does not know is ignored."""
    fields: dict[str, Any] = msgspec.msgpack.decode(body)
    known = {name: fields[name] for name in Namespace.__slots__ if name in fields}
    known["bad_binaries"] = {checksum: BadBinary(*bad) for checksum, bad in fields["bad_binaries"].items()}
    for name in ("history_archival", "visibility_archival"):
        if name in known:
            known[name] = ArchivalConfig(*known[name])
    return Namespace(**known, version=version)


def _limits(config: DynamicConfig, namespace: str) -> Limits:
    """A namespace's limits from the dynamic configuration (semantics Appendix E)."""
    limits = Limits()
    get = config.get
    limits.id_length = get(settings.MAX_ID_LENGTH)
    limits.blob_size = get(settings.BLOB_SIZE_LIMIT_ERROR, namespace)
    limits.blob_size_warn = min(get(settings.BLOB_SIZE_LIMIT_WARN, namespace), limits.blob_size)
    limits.memo_size = get(settings.MEMO_SIZE_LIMIT_ERROR, namespace)
    limits.activity_failure_size = get(settings.ACTIVITY_FAILURE_SIZE_LIMIT_ERROR, namespace)
    limits.history_size = get(settings.HISTORY_SIZE_LIMIT_ERROR, namespace)
    limits.history_count = get(settings.HISTORY_COUNT_LIMIT_ERROR, namespace)
    limits.history_size_suggest = get(settings.HISTORY_SIZE_SUGGEST_CONTINUE_AS_NEW, namespace)
    limits.history_count_suggest = get(settings.HISTORY_COUNT_SUGGEST_CONTINUE_AS_NEW, namespace)
    limits.mutable_state_size = get(settings.MUTABLE_STATE_SIZE_LIMIT_ERROR)
    limits.pending_activities = get(settings.PENDING_ACTIVITIES_LIMIT_ERROR, namespace)
    limits.pending_children = get(settings.PENDING_CHILD_EXECUTIONS_LIMIT_ERROR, namespace)
    limits.pending_signals = get(settings.PENDING_SIGNALS_LIMIT_ERROR, namespace)
    limits.pending_cancels = get(settings.PENDING_CANCEL_REQUESTS_LIMIT_ERROR, namespace)
    limits.cross_namespace_commands = get(settings.SYSTEM_ENABLE_CROSS_NAMESPACE_COMMANDS)
    limits.buffered_events = get(settings.HISTORY_MAXIMUM_BUFFERED_EVENTS_BATCH)
    limits.buffered_events_size = get(settings.HISTORY_MAXIMUM_BUFFERED_EVENTS_SIZE_IN_BYTES)
    newer = get(settings.HISTORY_ENABLE_CHASM_CALLBACKS, namespace)
    callbacks_max = settings.CALLBACK_MAX_PER_EXECUTION if newer else settings.SYSTEM_MAX_CALLBACKS_PER_WORKFLOW
    limits.callbacks = get(callbacks_max, namespace)
    limits.update_callbacks = newer and get(settings.HISTORY_ENABLE_UPDATE_CALLBACKS, namespace)
    limits.callbacks_per_update = get(settings.SYSTEM_MAX_CALLBACKS_PER_UPDATE_ID, namespace)
    limits.callbacks_beside_updates = get(settings.SYSTEM_MAX_CALLBACKS_PER_WORKFLOW, namespace)
    limits.callback_retry_initial = get(settings.CALLBACK_RETRY_POLICY_INITIAL_INTERVAL)
    limits.callback_retry_maximum = get(settings.CALLBACK_RETRY_POLICY_MAX_INTERVAL)
    limits.buffered_queries = get(settings.HISTORY_MAX_BUFFERED_QUERY_COUNT)
    limits.search_attribute_value_size = get(settings.SEARCH_ATTRIBUTES_SIZE_OF_VALUE_LIMIT, namespace)
    limits.search_attributes_size = get(settings.SEARCH_ATTRIBUTES_TOTAL_SIZE_LIMIT, namespace)
    limits.transaction_size = get(settings.SYSTEM_TRANSACTION_SIZE_LIMIT)
    limits.signal_backlinks = get(settings.HISTORY_ENABLE_CHASM_SIGNAL_BACKLINKS, namespace)
    limits.signals = get(settings.HISTORY_MAXIMUM_SIGNALS_PER_EXECUTION, namespace)
    limits.updates_in_flight = get(settings.HISTORY_MAX_IN_FLIGHT_UPDATES, namespace)
    limits.updates_in_flight_size = get(settings.HISTORY_MAX_IN_FLIGHT_UPDATE_PAYLOADS, namespace)
    limits.updates_total = get(settings.HISTORY_MAX_TOTAL_UPDATES, namespace)
    limits.updates_suggest = get(settings.HISTORY_MAX_TOTAL_UPDATES_SUGGEST_CONTINUE_AS_NEW_THRESHOLD, namespace)
    limits.default_workflow_task_timeout = get(settings.HISTORY_DEFAULT_WORKFLOW_TASK_TIMEOUT, namespace)
    limits.task_heartbeat_timeout = get(settings.HISTORY_WORKFLOW_TASK_HEARTBEAT_TIMEOUT, namespace)
    limits.task_retry_max_interval = get(settings.HISTORY_WORKFLOW_TASK_RETRY_MAX_INTERVAL)
    limits.eager_activities = get(settings.SYSTEM_ENABLE_ACTIVITY_EAGER_EXECUTION, namespace)
    limits.eager_workflow_start = get(settings.SYSTEM_ENABLE_EAGER_WORKFLOW_START, namespace)
    return limits
