"""The registry of Nexus endpoints (semantics 16.2.1)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import payload

UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


def _worker(namespace: str = NAMESPACE, task_queue: str = "q") -> EndpointTarget:
    return EndpointTarget(worker=EndpointTarget.Worker(namespace=namespace, task_queue=task_queue))


def _external(url: str) -> EndpointTarget:
    return EndpointTarget(external=EndpointTarget.External(url=url))


def _create(s: Script, spec: EndpointSpec | None) -> rpc.CreateNexusEndpointResponse:
    return s.call(rpc.CreateNexusEndpointRequest(spec=spec), rpc.CreateNexusEndpointResponse)


def _update(s: Script, **fields: Anything) -> rpc.UpdateNexusEndpointResponse:
    """The reference forgets the time of creation at an update; that is not compared."""
    request = rpc.UpdateNexusEndpointRequest(**fields)
    reply = s.send(request, rpc.UpdateNexusEndpointResponse)
    if isinstance(reply, rpc.UpdateNexusEndpointResponse):
        reply.endpoint.ClearField("created_time")
    return s.record(request, rpc.UpdateNexusEndpointResponse, reply)


def _delete(s: Script, endpoint_id: str, version: int) -> None:
    s.call(rpc.DeleteNexusEndpointRequest(id=endpoint_id, version=version), rpc.DeleteNexusEndpointResponse)


def _get(s: Script, endpoint_id: str) -> None:
    s.call(rpc.GetNexusEndpointRequest(id=endpoint_id), rpc.GetNexusEndpointResponse)


def _find(s: Script, name: str) -> None:
    s.call(rpc.ListNexusEndpointsRequest(name=name), rpc.ListNexusEndpointsResponse)


def life(s: Script) -> None:
    """Created, read, found by name, changed, deleted."""
    name = f"endpoint-{s.nonce}"
    made = _create(s, EndpointSpec(name=name, description=payload("text"), target=_worker())).endpoint
    s.fact("url prefix", made.url_prefix)
    _get(s, made.id)
    _find(s, name)
    other = EndpointSpec(name=f"{name}x", target=_external("https://example.com/path"))
    _update(s, id=made.id, version=1, spec=other)
    _find(s, name)
    _delete(s, made.id, 1)
    _get(s, made.id)
    _find(s, f"{name}x")
    _delete(s, made.id, 2)


def conflicts(s: Script) -> None:
    """A name that is taken, a version that is not the current one, ids that are not there."""
    name = f"endpoint-{s.nonce}"
    spec = EndpointSpec(name=name, target=_worker())
    made = _create(s, spec).endpoint
    _create(s, spec)
    _update(s, id=made.id, version=7, spec=spec)
    _update(s, id=made.id, version=0, spec=spec)
    _update(s, id=UNKNOWN, version=1, spec=spec)
    _update(s, id="", version=1, spec=spec)
    _update(s, id="nonsense", version=1, spec=spec)
    _delete(s, UNKNOWN, 1)
    _delete(s, "nonsense", 1)
    _delete(s, "", 0)
    _delete(s, made.id, 0)
    _get(s, "")
    _get(s, "nonsense")
    _get(s, UNKNOWN)
    _delete(s, made.id, 1)


def refused(s: Script) -> None:
    """Specifications that break a rule; all that is wrong is named at once."""
    cases: dict[str, EndpointSpec | None] = {
        "none": None,
        "empty": EndpointSpec(),
        "no target": EndpointSpec(name="ok"),
        "one letter": EndpointSpec(name="a", target=_worker()),
        "bad name": EndpointSpec(name="1 _", target=_worker()),
        "ends with a dash": EndpointSpec(name="ab-", target=_worker()),
        "long name": EndpointSpec(name="a" * 201, target=_worker()),
        "no namespace": EndpointSpec(name="ok", target=_worker(namespace="")),
        "unknown namespace": EndpointSpec(name="ok", target=_worker(namespace="no-such-namespace")),
        "unknown namespace, bad name": EndpointSpec(name="_", target=_worker(namespace="no-such-namespace")),
        "no queue": EndpointSpec(name="ok", target=_worker(task_queue="")),
        "long queue": EndpointSpec(name="ok", target=_worker(task_queue="q" * 1001)),
        "partition": EndpointSpec(name="ok", target=_worker(task_queue="/_sys/q/1")),
        "bad text": EndpointSpec(name="ok", target=_worker(namespace="", task_queue="")),
        "no url": EndpointSpec(name="ok", target=_external("")),
        "long url": EndpointSpec(name="ok", target=_external("http://" + "u" * 4096)),
        "scheme": EndpointSpec(name="ok", target=_external("ftp://example.com")),
        "no scheme": EndpointSpec(name="ok", target=_external("example.com/x")),
        "long description": EndpointSpec(name="ok", target=_worker(), description=payload("d" * 20_001)),
        "everything": EndpointSpec(name="_", target=_external(""), description=payload("d" * 20_001)),
    }
    for label, spec in cases.items():
        s.section(label)
        _create(s, spec)
    s.section("an update is checked in the same way")
    _update(s, id="", version=0, spec=None)


def pages(s: Script) -> None:
    """Page sizes that are refused, and pages that follow each other."""
    s.call(rpc.ListNexusEndpointsRequest(page_size=-1), rpc.ListNexusEndpointsResponse)
    s.call(rpc.ListNexusEndpointsRequest(page_size=1001), rpc.ListNexusEndpointsResponse)
    names = [f"page-{number}-{s.nonce}" for number in range(3)]
    ids = [_create(s, EndpointSpec(name=name, target=_worker())).endpoint.id for name in names]
    request = rpc.ListNexusEndpointsRequest(page_size=1)
    seen: list[str] = []
    for _ in range(100):
        reply = s.send(request, rpc.ListNexusEndpointsResponse)
        if not isinstance(reply, rpc.ListNexusEndpointsResponse):
            s.record(request, rpc.ListNexusEndpointsResponse, reply)
            return
        seen += [one.id for one in reply.endpoints]
        request.next_page_token = reply.next_page_token
        if not reply.next_page_token:
            break
    s.fact("each once, by id", [one for one in seen if one in ids] == sorted(ids))
    for one in ids:
        _delete(s, one, 1)
