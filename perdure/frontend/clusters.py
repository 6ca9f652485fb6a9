"""ListClusters, AddOrUpdateRemoteCluster and RemoveRemoteCluster of a cluster that is alone (server_inventory 1.16).

There is no replication here, so no other cluster can be connected: a request to do so is refused, never accepted and
forgotten.
"""

from __future__ import annotations

from perdure.api import Message, operatorservice
from perdure.errors import FailedPrecondition, NotFound, Unimplemented
from perdure.frontend.services import Call, Services
from perdure.frontend.system import CLUSTER_NAME, HISTORY_SHARDS, INITIAL_FAILOVER_VERSION


async def list_clusters(services: Services, call: Call, _: operatorservice.ListClustersRequest) -> Message | bytes:
    """The one cluster there is; its address is the one under which this caller reached it."""
    only = operatorservice.ClusterMetadata(
        cluster_name=CLUSTER_NAME,
        cluster_id=services.identity.cluster_id,
        address=call.wire.authority,
        initial_failover_version=INITIAL_FAILOVER_VERSION,
        history_shard_count=HISTORY_SHARDS,
        is_connection_enabled=True,
    )
    return operatorservice.ListClustersResponse(clusters=[only])


async def add_or_update_remote_cluster(
    _: Services, __: Call, request: operatorservice.AddOrUpdateRemoteClusterRequest
) -> Message | bytes:
    """Refused: see above."""
    raise Unimplemented(f"Unable connect to remote cluster {request.frontend_address}: replication is not implemented")


async def remove_remote_cluster(
    _: Services, __: Call, request: operatorservice.RemoveRemoteClusterRequest
) -> Message | bytes:
    """No other cluster is known, and the current one stays."""
    if request.cluster_name == CLUSTER_NAME:
        raise FailedPrecondition("Cannot delete current cluster metadata.")
    raise NotFound("The cluster to be deleted cannot be found in clusters cache.")
