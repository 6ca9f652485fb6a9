"""DeleteNamespace, and what its entity owes the outside (semantics 14.4).

The handler answers once the namespace has its last name; `machines/namespace_deletion.py` sees to the rest. Executions
are removed by the input of DeleteWorkflowExecution, everything else by the runner's own `Discard`.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

from perdure.api import Message, operatorservice
from perdure.api.times import BadDuration, checked_duration_ns
from perdure.cluster.namespaces import SYSTEM_NAMESPACE_ID, Namespace
from perdure.config import dynamic as settings
from perdure.engine.entities import After
from perdure.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NamespaceNotFound,
    NotFound,
    Unavailable,
)
from perdure.frontend.services import Call, Services
from perdure.ids import ChainKey, Kind
from perdure.machines.entity import Discard
from perdure.machines.namespace_deletion import (
    KINDS,
    Begin,
    Deletion,
    Leftover,
    RecordRemoved,
    RemoveRecord,
    Rename,
    Renamed,
    Sweep,
    Swept,
)
from perdure.machines.workflow.operator_inputs import Delete
from perdure.visibility.record import VisibilityRecord

RENAME_S: Final = 10.0
"""How long a caller waits for the new name."""
PAGE_ITEMS_MAX: Final = 100


async def delete_namespace(
    services: Services, _: Call, request: operatorservice.DeleteNamespaceRequest
) -> Message | bytes:
    """Takes a namespace out of use at once; everything in it goes in the background."""
    namespace = _named(services, request)
    _check(services, namespace)
    delay = services.config.get(settings.FRONTEND_DELETE_NAMESPACE_NAMESPACE_DELETE_DELAY)
    if request.HasField("namespace_delete_delay"):
        try:
            delay = checked_duration_ns(request.namespace_delete_delay)
        except BadDuration as bad:
            raise InvalidArgument(f"invalid namespace_delete_delay: {bad}") from None
    key = ChainKey(SYSTEM_NAMESPACE_ID, Kind.NAMESPACE_DELETION, namespace.id)
    await services.engine.submit(key, Begin(delay))
    state = await services.engine.entities.wait(key, _has_new_name, RENAME_S)
    if isinstance(state, Deletion) and not state.new_name:
        raise DeadlineExceeded("the namespace is being deleted and has not got its new name yet")
    # An entity that is gone already has removed an empty namespace.
    renamed = state.new_name if isinstance(state, Deletion) else namespace.name
    return operatorservice.DeleteNamespaceResponse(deleted_namespace=renamed)


def _has_new_name(state: Deletion) -> bool:
    return bool(state.new_name)


def _named(services: Services, request: operatorservice.DeleteNamespaceRequest) -> Namespace:
    if request.namespace and request.namespace_id:
        raise InvalidArgument("only one of namespace or namespace ID must be set")
    if request.namespace_id:
        return services.namespaces.by_id(request.namespace_id)
    return services.namespaces.by_name(request.namespace)


def _check(services: Services, namespace: Namespace) -> None:
    """What may not be deleted, whoever asks."""
    if namespace.id == SYSTEM_NAMESPACE_ID:
        raise FailedPrecondition("unable to delete system namespace")
    if namespace.name in services.config.get(settings.WORKER_PROTECTED_NAMESPACES):
        raise FailedPrecondition(f"namespace {namespace.name} is protected from deletion")
    if services.config.get(settings.FRONTEND_ALLOW_DELETE_OF_ENDPOINT_TARGET):
        return
    endpoint = services.endpoints.of_namespace(namespace.id)
    if endpoint is not None:
        raise FailedPrecondition(f"cannot delete a namespace that is a target of a Nexus endpoint {endpoint.spec.name}")


@final
class NamespaceDeletionWork:
    """Performs the effects of deletions."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    async def perform(self, key: ChainKey, effect: Rename | Sweep | RemoveRecord) -> object | None:
        namespace_id = key.id
        if isinstance(effect, Sweep):
            return await self._sweep(namespace_id, effect)
        if isinstance(effect, Rename):
            return Renamed((await self._services.namespaces.retire(namespace_id)).name)
        for kind in KINDS:
            counts = await self._services.store.count_visibility(namespace_id, kind, None, None)
            if sum([count for _, count in counts]):
                return Leftover()
        await self._services.task_queues.forget_namespace(namespace_id)
        await self._services.namespaces.remove(namespace_id)
        return RecordRemoved()

    async def _sweep(self, namespace_id: str, effect: Sweep) -> object:
        """Remove a page of what lists show of one kind, at the rate that is set."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        page = await self._services.store.list_visibility(
            namespace_id, effect.kind, None, PAGE_ITEMS_MAX, effect.cursor
        )
        outcomes = await asyncio.gather(*[self._remove(record) for record in page.records])
        if not all(outcomes):
            raise Unavailable("not everything of the page could be removed")
        rate = max(1, self._services.config.get(settings.FRONTEND_DELETE_NAMESPACE_RPS))
        wait = begun + len(page.records) / rate - loop.time()
        return After(Swept(effect, len(page.records), page.next_page_token), max(0.0, wait))

    async def _remove(self, record: VisibilityRecord) -> bool:
        """Whether one thing is gone, or will be by its own alarm."""
        key = ChainKey(record.namespace_id, record.kind, record.workflow_id)
        fact = Delete(record.run_id) if record.kind == Kind.WORKFLOW else Discard()
        try:
            await self._services.engine.submit(key, fact)
        except (NotFound, NamespaceNotFound):
            return True
        except Unavailable:
            return False
        return True
