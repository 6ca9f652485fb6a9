"""Namespaces (semantics 14.1, 14.2)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.namespace.v1 import (
    BadBinaries,
    BadBinaryInfo,
    NamespaceConfig,
    NamespaceFilter,
    UpdateNamespaceInfo,
)
from temporalio.api.replication.v1 import ClusterReplicationConfig, NamespaceReplicationConfig
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import seconds

DAY = 24 * 3600.0


def _register(s: Script, **fields: Anything) -> str:
    """Register a namespace of this script's own and return its name."""
    name = f"ns-{s.nonce}"
    given: dict[str, Anything] = {"namespace": name, "workflow_execution_retention_period": seconds(DAY)} | fields
    present = {key: value for key, value in given.items() if value is not None}
    s.call(rpc.RegisterNamespaceRequest(**present), rpc.RegisterNamespaceResponse)
    return name


def _describe(s: Script, **fields: Anything) -> rpc.DescribeNamespaceResponse:
    return s.call(rpc.DescribeNamespaceRequest(**fields), rpc.DescribeNamespaceResponse)


def default(s: Script) -> None:
    """The namespace that is always there."""
    _describe(s, namespace="default")


def registered(s: Script) -> None:
    """A registered namespace as described by name and by id."""
    name = _register(s, description="text", owner_email="a@b", data={"k": "v"})
    described = _describe(s, namespace=name)
    _describe(s, id=described.namespace_info.id)
    _describe(s, namespace=name, id=described.namespace_info.id)
    _register(s)


def registered_is_usable(s: Script) -> None:
    """A workflow may start in a new namespace."""
    name = _register(s)
    request = s.start_request(namespace=name)
    s.eventually(request, rpc.StartWorkflowExecutionResponse, lambda reply: bool(reply.run_id))
    s.poll(namespace=name)


def refused(s: Script) -> None:
    """Registrations that are refused, with their texts."""
    cases: dict[str, dict[str, Anything]] = {
        "no name": {"namespace": None},
        "long name": {"namespace": "x" * 1001},
        "no retention": {"workflow_execution_retention_period": None},
        "zero retention": {"workflow_execution_retention_period": seconds(0)},
        "short retention": {"workflow_execution_retention_period": seconds(60)},
        "negative retention": {"workflow_execution_retention_period": seconds(-DAY)},
        "global": {"is_global_namespace": True},
        "other cluster": {"active_cluster_name": "elsewhere"},
        "other clusters": {"clusters": [ClusterReplicationConfig(cluster_name="elsewhere")]},
        "exists": {"namespace": "default"},
        "system": {"namespace": "temporal-system"},
    }
    for label, fields in cases.items():
        s.section(label)
        _register(s, **fields)


def unknown(s: Script) -> None:
    """An unknown namespace by name and by id."""
    _describe(s, namespace="no-such-namespace")
    _describe(s, id="01234567-89ab-cdef-0123-456789abcdef")


def updated(s: Script) -> None:
    """Updates merge data, and change description, owner and retention."""
    name = _register(s, description="old", data={"a": "1", "b": "2"})
    info = UpdateNamespaceInfo(description="new", owner_email="me", data={"b": "3", "c": "4"})
    config = NamespaceConfig(workflow_execution_retention_ttl=seconds(3 * DAY))
    _update(s, namespace=name, update_info=info, config=config)
    _describe(s, namespace=name)
    _update(s, namespace=name, update_info=UpdateNamespaceInfo())
    _update(s, namespace=name)


def _update(s: Script, **fields: Anything) -> None:
    s.call(rpc.UpdateNamespaceRequest(**fields), rpc.UpdateNamespaceResponse)


def update_refused(s: Script) -> None:
    """Updates that are refused."""
    name = _register(s)
    _update(s, namespace="no-such-namespace", update_info=UpdateNamespaceInfo(description="x"))
    short = NamespaceConfig(workflow_execution_retention_ttl=seconds(60))
    _update(s, namespace=name, config=short)
    _update(s, namespace=name, config=NamespaceConfig(workflow_execution_retention_ttl=seconds(0)))
    _update(s, namespace=name, delete_bad_binary="unknown")
    _update(s, namespace=name, update_info=UpdateNamespaceInfo(state=NamespaceState.NAMESPACE_STATE_REGISTERED))
    _update(s, namespace=name, promote_namespace=True)


def listed(s: Script) -> None:
    """A list holds the namespace, as described; system namespaces are there too."""
    name = _register(s)
    request = rpc.ListNamespacesRequest(page_size=1000)
    reply = s.send(request, rpc.ListNamespacesResponse)
    if not isinstance(reply, rpc.ListNamespacesResponse):
        s.record(request, rpc.ListNamespacesResponse, reply)
        return
    names = [one.namespace_info.name for one in reply.namespaces]
    s.fact("fixed names", sorted(one for one in names if not one.startswith("ns-")))
    mine = [one for one in reply.namespaces if one.namespace_info.name == name]
    s.record(request, rpc.ListNamespacesResponse, rpc.ListNamespacesResponse(namespaces=mine))


def listed_by_pages(s: Script) -> None:
    """Pages follow each other by token until nothing is left."""
    request = rpc.ListNamespacesRequest(page_size=1, namespace_filter=NamespaceFilter(include_deleted=True))
    names: list[str] = []
    for _ in range(50):
        reply = s.send(request, rpc.ListNamespacesResponse)
        if not isinstance(reply, rpc.ListNamespacesResponse):
            s.record(request, rpc.ListNamespacesResponse, reply)
            return
        names += [one.namespace_info.name for one in reply.namespaces]
        request.next_page_token = reply.next_page_token
        if not reply.next_page_token:
            break
    s.fact("finds the default", names.count("default"))


def clusters(s: Script) -> None:
    """Clusters, promotion and replication as a single cluster takes them in updates."""
    name = _register(s)
    _update(s, namespace=name, replication_config=NamespaceReplicationConfig(active_cluster_name="active"))
    _update(s, namespace=name, replication_config=NamespaceReplicationConfig(active_cluster_name="elsewhere"))
    elsewhere = [ClusterReplicationConfig(cluster_name="active"), ClusterReplicationConfig(cluster_name="elsewhere")]
    _update(s, namespace=name, replication_config=NamespaceReplicationConfig(clusters=elsewhere))
    here = [ClusterReplicationConfig(cluster_name="active")]
    _update(s, namespace=name, replication_config=NamespaceReplicationConfig(clusters=here))


def bad_binaries(s: Script) -> None:
    """Bad binaries are merged, shown and limited in number."""
    name = _register(s)
    for count in (1, 10, 11):
        binaries = {f"sum-{number}": BadBinaryInfo(reason="r", operator="o") for number in range(count)}
        _update(s, namespace=name, config=NamespaceConfig(bad_binaries=BadBinaries(binaries=binaries)))


def states(s: Script) -> None:
    """From registered to deprecated to deleted, and never back."""
    name = _register(s)
    for state in ("REGISTERED", "DEPRECATED", "REGISTERED", "DEPRECATED", "DELETED"):
        s.section(state)
        number = NamespaceState.Value(f"NAMESPACE_STATE_{state}")
        _update(s, namespace=name, update_info=UpdateNamespaceInfo(state=number, description=state))
    _describe(s, namespace=name)


def odd_names(s: Script) -> None:
    """Names are any text that is short enough; a list's token is not."""
    for name in ("a/b", "ü", " blank ", "UPPER", "upper", "line\nbreak", "n" * 1000, "n" * 1001):
        s.section(name[:20])
        full = f"ns-{s.nonce}-{name}"[-1000:] if len(name) <= 1000 else name
        request = rpc.RegisterNamespaceRequest(namespace=full, workflow_execution_retention_period=seconds(DAY))
        s.call(request, rpc.RegisterNamespaceResponse)
        reply = s.send(rpc.DescribeNamespaceRequest(namespace=full), rpc.DescribeNamespaceResponse)
        s.fact("found", isinstance(reply, rpc.DescribeNamespaceResponse))


def updated_in_parts(s: Script) -> None:
    """What an update leaves out stays; what it gives empty stays, too."""
    name = _register(s, description="text", owner_email="a@b", data={"k": "v"})
    _update(s, namespace=name, update_info=UpdateNamespaceInfo(data={"k": ""}))
    _update(s, namespace=name, update_info=UpdateNamespaceInfo(description="", owner_email=""))
    _update(s, namespace=name, config=NamespaceConfig())
    _update(s, namespace=name, config=NamespaceConfig(workflow_execution_retention_ttl=seconds(3 * DAY)))
    _update(s, namespace=name, config=NamespaceConfig(workflow_execution_retention_ttl=seconds(-1)))
    _update(s, namespace="")
