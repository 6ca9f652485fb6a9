"""GetSystemInfo and GetClusterInfo: what this server is and can do (semantics 17.2, server_inventory 2.1).

A capability is advertised when it works, and not before: SDKs change behaviour on each of them.
"""

from __future__ import annotations

from perdure.api import Message, workflowservice
from perdure.frontend.services import Call, Services
from perdure.frontend.versions import SERVER_VERSION, SUPPORTED_CLIENTS

CLUSTER_NAME = "active"
FAILOVER_VERSION_INCREMENT = 10
INITIAL_FAILOVER_VERSION = 1
HISTORY_SHARDS = 1
"""What a single-process server shows for clients that print it; slots are ours alone."""


async def get_system_info(services: Services, _: Call, __: workflowservice.GetSystemInfoRequest) -> Message | bytes:
    """The first call of every SDK."""
    capabilities = workflowservice.GetSystemInfoResponse.Capabilities(
        signal_and_query_header=True,
        internal_error_differentiation=True,
        activity_failure_include_heartbeat=True,
        supports_schedules=True,
        encoded_failure_attributes=True,
        build_id_based_versioning=True,
        upsert_memo=True,
        eager_workflow_start=True,
        sdk_metadata=True,
        count_group_by_execution_status=True,
    )
    return workflowservice.GetSystemInfoResponse(server_version=SERVER_VERSION, capabilities=capabilities)


async def get_cluster_info(services: Services, _: Call, __: workflowservice.GetClusterInfoRequest) -> Message | bytes:
    """Versions and names that the CLI and the Web UI print."""
    store = services.store.traits.name
    response = workflowservice.GetClusterInfoResponse(
        supported_clients=SUPPORTED_CLIENTS,
        server_version=SERVER_VERSION,
        cluster_id=services.identity.cluster_id,
        cluster_name=CLUSTER_NAME,
        history_shard_count=HISTORY_SHARDS,
        persistence_store=store,
        visibility_store=store,
        initial_failover_version=INITIAL_FAILOVER_VERSION,
        failover_version_increment=FAILOVER_VERSION_INCREMENT,
    )
    response.version_info.current.version = SERVER_VERSION
    return response
