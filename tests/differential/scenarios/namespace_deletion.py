"""DeleteNamespace (semantics 14.4)."""

from __future__ import annotations

import re
from typing import Any as Anything

from temporalio.api.namespace.v1 import NamespaceFilter
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice import v1 as operator
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import seconds
from ..wire import RpcFailed


def _register(s: Script, name: str) -> str:
    """A new namespace; its id."""
    request = rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=seconds(86400))
    s.send(request, rpc.RegisterNamespaceResponse)
    described = s.send(rpc.DescribeNamespaceRequest(namespace=name), rpc.DescribeNamespaceResponse)
    assert not isinstance(described, RpcFailed)
    s.eventually(
        rpc.CountWorkflowExecutionsRequest(namespace=name), rpc.CountWorkflowExecutionsResponse, lambda _: True, False
    )
    return described.namespace_info.id


def _delete(s: Script, known_id: str = "", **fields: Anything) -> str:
    """Delete; the new name is recorded without the part that comes from the id."""
    request = operator.DeleteNamespaceRequest(**fields)
    reply = s.send(request, operator.DeleteNamespaceResponse, 20.0)
    renamed = ""
    if isinstance(reply, operator.DeleteNamespaceResponse):
        renamed = reply.deleted_namespace
        s.fact("named after the id", bool(known_id) and renamed.endswith(f"-deleted-{known_id[:5]}"))
        reply.deleted_namespace = re.sub(r"-deleted-.....$", "-deleted-xxxxx", renamed)
    s.record(request, operator.DeleteNamespaceResponse, reply)
    return renamed


def refused(s: Script) -> None:
    """What may not be deleted."""
    cases: dict[str, dict[str, Anything]] = {
        "nothing": {},
        "unknown name": {"namespace": "no-such-namespace"},
        "system": {"namespace": "temporal-system"},
        "negative delay": {"namespace": "temporal-system", "namespace_delete_delay": seconds(-1)},
    }
    for label, fields in cases.items():
        s.section(label)
        _delete(s, **fields)


def target_of_an_endpoint(s: Script) -> None:
    """A namespace that an endpoint leads to stays until the endpoint is gone."""
    name = f"ns-target-{s.nonce}"
    namespace_id = _register(s, name)
    spec = EndpointSpec(
        name=f"to-{s.nonce}", target=EndpointTarget(worker=EndpointTarget.Worker(namespace=name, task_queue="q"))
    )
    made = s.call(operator.CreateNexusEndpointRequest(spec=spec), operator.CreateNexusEndpointResponse).endpoint
    _delete(s, namespace_id, namespace=name)
    s.call(operator.DeleteNexusEndpointRequest(id=made.id, version=1), operator.DeleteNexusEndpointResponse)


def renamed_at_once(s: Script) -> None:
    """With a delay before its record goes, a deleted namespace is there under its new name; the old one is free."""
    name = f"ns-gone-{s.nonce}"
    namespace_id = _register(s, name)
    s.send(s.start_request(namespace=name), rpc.StartWorkflowExecutionResponse)
    renamed = _delete(s, namespace_id, namespace=name, namespace_delete_delay=seconds(3600))
    s.call(rpc.DescribeNamespaceRequest(namespace=name), rpc.DescribeNamespaceResponse)
    described = s.send(rpc.DescribeNamespaceRequest(id=namespace_id), rpc.DescribeNamespaceResponse)
    assert not isinstance(described, RpcFailed)
    s.fact("name", described.namespace_info.name == renamed)
    s.fact("state", described.namespace_info.state)
    listed = s.send(rpc.ListNamespacesRequest(page_size=1000), rpc.ListNamespacesResponse)
    assert not isinstance(listed, RpcFailed)
    s.fact("listed", [one.namespace_info.name for one in listed.namespaces].count(renamed))
    request = rpc.ListNamespacesRequest(page_size=1000, namespace_filter=NamespaceFilter(include_deleted=True))
    listed = s.send(request, rpc.ListNamespacesResponse)
    assert not isinstance(listed, RpcFailed)
    s.fact("listed when asked for", [one.namespace_info.name for one in listed.namespaces].count(renamed))
    fresh = rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=seconds(86400))
    s.call(fresh, rpc.RegisterNamespaceResponse)
    again = s.send(rpc.DescribeNamespaceRequest(namespace=name), rpc.DescribeNamespaceResponse)
    assert not isinstance(again, RpcFailed)
    s.fact("another namespace", again.namespace_info.id != namespace_id)


def gone_in_the_end(s: Script) -> None:
    """By id, without a delay: the record goes once nothing is left in it."""
    name = f"ns-gone-{s.nonce}"
    namespace_id = _register(s, name)
    for number in range(3):
        request = s.start_request(namespace=name, workflow_id=f"{number}-{s.nonce}")
        s.send(request, rpc.StartWorkflowExecutionResponse)
    _delete(s, namespace_id, namespace_id=namespace_id)
