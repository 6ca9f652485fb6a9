"""Clusters as a single one shows them (server_inventory 1.16)."""

from __future__ import annotations

from temporalio.api.operatorservice import v1 as rpc

from ..script import Script


def listed(s: Script) -> None:
    """The one cluster there is."""
    request = rpc.ListClustersRequest()
    reply = s.send(request, rpc.ListClustersResponse)
    assert isinstance(reply, rpc.ListClustersResponse)
    for one in reply.clusters:
        s.fact("has an address", bool(one.address))
        s.fact("has an id", bool(one.cluster_id))
        one.ClearField("address")
        one.ClearField("cluster_id")
        one.ClearField("http_address")
        one.ClearField("history_shard_count")
    s.record(request, rpc.ListClustersResponse, reply)


def removed(s: Script) -> None:
    """None is removed: there is no other."""
    for name in ("", "elsewhere"):
        s.call(rpc.RemoveRemoteClusterRequest(cluster_name=name), rpc.RemoveRemoteClusterResponse)
