"""RegisterNamespace, DescribeNamespace, ListNamespaces, UpdateNamespace, DeprecateNamespace (semantics 14).

Judges requests and shows namespaces; `cluster.namespaces` stores them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from perdure.api import Message, enums, namespace, replication, workflowservice
from perdure.api.times import BadDuration, checked_duration_ns, duration_of, timestamp_of
from perdure.cluster.namespaces import DELETED, DEPRECATED, REGISTERED, BadBinary, Namespace
from perdure.config import dynamic as settings
from perdure.errors import BLOB_EXCEEDS_LIMIT, InvalidArgument
from perdure.frontend import archival
from perdure.frontend.services import Call, Services
from perdure.frontend.system import CLUSTER_NAME

PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1000
COMPLETION_SIZE_LIMIT: Final = 40 * 1024 * 1024
"""Bytes of one completion in pages, as the reference shows it; pages are not built, and not among the capabilities."""

_NEXT_STATES: Final = {REGISTERED: (DEPRECATED, DELETED), DEPRECATED: (DELETED,)}
"""Legal changes of state; all others are refused."""


async def register_namespace(
    services: Services, _: Call, request: workflowservice.RegisterNamespaceRequest
) -> Message | bytes:
    """Creates a namespace; it may be used as soon as this has answered."""
    if request.is_global_namespace:
        raise InvalidArgument("Cannot register global namespace when not enabled")
    retention = _retention(services, request, "workflow_execution_retention_period")
    if services.namespaces.find(request.namespace) is None:
        _check_clusters(request.active_cluster_name, [one.cluster_name for one in request.clusters])
    if request.ByteSize() > services.config.get(settings.BLOB_SIZE_LIMIT_ERROR, request.namespace):
        raise _too_large()
    fresh = Namespace(
        services.ids.request_id(),
        request.namespace,
        description=request.description,
        owner_email=request.owner_email,
        data=dict(request.data),
        retention=retention,
    )
    await services.namespaces.create(archival.changed(services, fresh, request))
    return workflowservice.RegisterNamespaceResponse()


def _retention(services: Services, message: object, field: str) -> int:
    invalid = InvalidArgument("A valid retention period is not set on request.")
    duration = getattr(message, field)
    if not message.HasField(field):  # type: ignore[attr-defined]
        raise invalid
    try:
        retention = checked_duration_ns(duration)
    except BadDuration:
        raise invalid from None
    if retention < services.config.get(settings.SYSTEM_NAMESPACE_MIN_RETENTION_LOCAL):
        raise invalid
    return retention


def _check_clusters(active: str, clusters: list[str]) -> None:
    for name in [active, *clusters]:
        if name and name != CLUSTER_NAME:
            raise InvalidArgument(f"Invalid cluster name: {name}")
    if active and active != CLUSTER_NAME:
        raise InvalidArgument("Invalid local namespace active cluster")
    if len(clusters) > 1:
        raise InvalidArgument("Invalid local namespace clusters")


async def describe_namespace(
    services: Services, _: Call, request: workflowservice.DescribeNamespaceRequest
) -> Message | bytes:
    """One namespace by name or id, in any state."""
    if request.namespace and request.id:
        raise InvalidArgument("GetNamespace operation failed.  Both ID and Name specified in request.")
    if request.id:
        found = services.namespaces.by_id(request.id)
    else:
        found = services.namespaces.by_name(request.namespace)
    return description(services, found)


async def list_namespaces(
    services: Services, _: Call, request: workflowservice.ListNamespacesRequest
) -> Message | bytes:
    """Namespaces by name; deleted ones only when asked for."""
    after = services.tokens.open_namespace_page(request.next_page_token) if request.next_page_token else ""
    size = request.page_size if 0 < request.page_size <= PAGE_SIZE_MAX else PAGE_SIZE_DEFAULT
    wanted = [
        one
        for one in services.namespaces.all()
        if one.name > after and (one.state != DELETED or request.namespace_filter.include_deleted)
    ]
    response = workflowservice.ListNamespacesResponse()
    for one in wanted[:size]:
        response.namespaces.append(description(services, one))
    if len(wanted) > size:
        response.next_page_token = services.tokens.namespace_page(wanted[size - 1].name)
    return response


async def update_namespace(
    services: Services, call: Call, request: workflowservice.UpdateNamespaceRequest
) -> Message | bytes:
    """Changes what the request sets; nothing set changes nothing."""
    before = call.namespace
    after = _changed_config(services, request, _changed_info(request, before))
    if request.promote_namespace:
        raise InvalidArgument(
            "global namespace is not enabled on this cluster, cannot update global namespace "
            f"or promote local namespace: {request.namespace}"
        )
    _check_clusters(
        request.replication_config.active_cluster_name,
        [one.cluster_name for one in request.replication_config.clusters],
    )
    if after is not before:
        _check_size(services, after)
        after = await services.namespaces.update(before, after.evolve(config_version=before.config_version + 1))
    shown = description(services, after)
    return workflowservice.UpdateNamespaceResponse(
        namespace_info=shown.namespace_info, config=shown.config, replication_config=shown.replication_config
    )


def _check_size(services: Services, after: Namespace) -> None:
    """A namespace that no client could read any more, since its description is too large, would be lost."""
    if description(services, after).ByteSize() > services.config.get(settings.BLOB_SIZE_LIMIT_ERROR, after.name):
        raise _too_large()


def _too_large() -> InvalidArgument:
    return InvalidArgument(BLOB_EXCEEDS_LIMIT)


def _changed_info(request: workflowservice.UpdateNamespaceRequest, now: Namespace) -> Namespace:
    info = request.update_info
    if info.description:
        now = now.evolve(description=info.description)
    if info.owner_email:
        now = now.evolve(owner_email=info.owner_email)
    if info.data:
        now = now.evolve(data={**now.data, **info.data})
    if info.state and info.state != now.state:
        if info.state not in _NEXT_STATES.get(now.state, ()):
            raise InvalidArgument("Invalid namespace state update.")
        now = now.evolve(state=int(info.state))
    return now


def _changed_config(services: Services, request: workflowservice.UpdateNamespaceRequest, now: Namespace) -> Namespace:
    config = request.config
    if config.HasField("workflow_execution_retention_ttl"):
        now = now.evolve(retention=_retention(services, config, "workflow_execution_retention_ttl"))
    if config.HasField("bad_binaries"):
        created = services.clock.now_ns()
        bad = dict(now.bad_binaries)
        for checksum, one in config.bad_binaries.binaries.items():
            bad[checksum] = BadBinary(one.reason, one.operator, created)
        limit = services.config.get(settings.FRONTEND_MAX_BAD_BINARIES, now.name)
        if len(bad) > limit:
            raise InvalidArgument(f"Total resetBinaries cannot exceed the max limit: {limit}")
        now = now.evolve(bad_binaries=bad)
    if config.custom_search_attribute_aliases:
        now = now.evolve(search_attributes=_without_aliases(config.custom_search_attribute_aliases, now))
    if request.HasField("config"):
        now = archival.changed(services, now, config)
    if request.delete_bad_binary:
        bad = dict(now.bad_binaries)
        if bad.pop(request.delete_bad_binary, None) is None:
            raise InvalidArgument(f"Bad binary checksum {request.delete_bad_binary} doesn't exists.")
        now = now.evolve(bad_binaries=bad)
    return now


def _without_aliases(aliases: Mapping[str, str], now: Namespace) -> dict[str, int]:
    """A field whose alias is emptied goes, one that has its alias stays; names are fields here, so none is renamed."""
    left = dict(now.search_attributes)
    for field, alias in aliases.items():
        if not alias:
            left.pop(field, None)
        elif alias not in left:
            raise InvalidArgument("Custom search attributes are registered with AddSearchAttributes.")
    return left


async def deprecate_namespace(
    services: Services, call: Call, _: workflowservice.DeprecateNamespaceRequest
) -> Message | bytes:
    """No new executions from now on; those there are go on."""
    before = call.namespace
    await services.namespaces.update(before, before.evolve(state=DEPRECATED, config_version=before.config_version + 1))
    return workflowservice.DeprecateNamespaceResponse()


def description(services: Services, found: Namespace) -> workflowservice.DescribeNamespaceResponse:
    """A namespace as Describe and List show it; capabilities are those that work (server_inventory 2.2)."""
    get = services.config.get
    name = found.name
    view = services.namespaces.view(found.id)
    assert view is not None, "a namespace of the registry has a view"
    limits = view.limits
    info = namespace.NamespaceInfo(
        name=name, description=found.description, owner_email=found.owner_email, data=found.data, id=found.id
    )
    info.supports_schedules = get(settings.FRONTEND_ENABLE_SCHEDULES, name)
    info.state = found.state  # type: ignore[assignment]  # wire numbers are plain ints here
    info.capabilities.eager_workflow_start = limits.eager_workflow_start
    info.capabilities.workflow_pause = get(settings.FRONTEND_WORKFLOW_PAUSE_ENABLED, name)
    info.capabilities.sync_update = get(settings.FRONTEND_ENABLE_UPDATE_WORKFLOW_EXECUTION, name)
    info.capabilities.async_update = get(settings.FRONTEND_ENABLE_UPDATE_WORKFLOW_EXECUTION_ASYNC_ACCEPTED, name)
    info.capabilities.workflow_update_callbacks = limits.update_callbacks
    info.capabilities.worker_poll_complete_on_shutdown = get(
        settings.FRONTEND_ENABLE_CANCEL_WORKER_POLLS_ON_SHUTDOWN, name
    )
    info.capabilities.poller_autoscaling = True
    info.capabilities.worker_heartbeats = get(settings.FRONTEND_WORKER_HEARTBEATS_ENABLED, name)
    info.capabilities.reported_problems_search_attribute = (
        get(settings.SYSTEM_WORKFLOW_TASK_PROBLEMS_TO_TRIGGER_SEARCH_ATTRIBUTE, name) > 0
    )
    info.limits.blob_size_limit_error = limits.blob_size
    info.limits.memo_size_limit_error = limits.memo_size
    info.limits.workflow_task_completion_size_limit_error = COMPLETION_SIZE_LIMIT
    config = namespace.NamespaceConfig(
        workflow_execution_retention_ttl=duration_of(found.retention),
        custom_search_attribute_aliases={key: key for key in found.search_attributes},
    )
    archival.show(config, found)
    config.bad_binaries.SetInParent()
    for checksum, bad in found.bad_binaries.items():
        config.bad_binaries.binaries[checksum].CopyFrom(
            namespace.BadBinaryInfo(reason=bad.reason, operator=bad.operator, create_time=timestamp_of(bad.create_time))
        )
    return workflowservice.DescribeNamespaceResponse(
        namespace_info=info,
        config=config,
        replication_config=replication.NamespaceReplicationConfig(
            active_cluster_name=CLUSTER_NAME,
            clusters=[replication.ClusterReplicationConfig(cluster_name=CLUSTER_NAME)],
            state=enums.REPLICATION_STATE_NORMAL,
        ),
    )
