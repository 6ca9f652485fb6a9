"""The RPCs of the Nexus endpoint registry (semantics 16.2.1).

Judges requests and shows endpoints; `cluster.endpoints` stores them. What is wrong with a specification is collected
and told at once, as the reference does.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import urlsplit

from perdure.api import Message, nexus, operatorservice
from perdure.api.times import timestamp_of
from perdure.cluster.endpoints import Endpoint, EndpointSpec
from perdure.config import dynamic as settings
from perdure.errors import FailedPrecondition, InvalidArgument, NotFound
from perdure.frontend import validate
from perdure.frontend.services import Call, Services

_NAME_PATTERN: Final = r"^[a-zA-Z][a-zA-Z0-9\-]*[a-zA-Z0-9]$"
_NAME: Final = re.compile(_NAME_PATTERN.removesuffix("$") + r"\Z")


async def create_nexus_endpoint(
    services: Services, _: Call, request: operatorservice.CreateNexusEndpointRequest
) -> Message | bytes:
    """A new name for a target."""
    spec = _checked(services, request.spec)
    made = await services.endpoints.create(services.ids.request_id(), spec, services.clock.now_ns())
    return operatorservice.CreateNexusEndpointResponse(endpoint=_shown(services, made))


async def update_nexus_endpoint(
    services: Services, _: Call, request: operatorservice.UpdateNexusEndpointRequest
) -> Message | bytes:
    """Replaces what is said of an endpoint, if it still has the version that the caller saw."""
    spec = _checked(services, request.spec)
    changed = await services.endpoints.update(request.id, request.version, spec, services.clock.now_ns())
    return operatorservice.UpdateNexusEndpointResponse(endpoint=_shown(services, changed))


async def delete_nexus_endpoint(
    services: Services, _: Call, request: operatorservice.DeleteNexusEndpointRequest
) -> Message | bytes:
    """Removes an endpoint. A version must be given, but as in the reference it is not compared."""
    issues = _id_issues(request.id)
    if request.version <= 0:
        issues.append("endpoint version is non-positive")
    _refuse(issues)
    await services.endpoints.delete(request.id)
    return operatorservice.DeleteNexusEndpointResponse()


async def get_nexus_endpoint(
    services: Services, _: Call, request: operatorservice.GetNexusEndpointRequest
) -> Message | bytes:
    """One endpoint by id."""
    _refuse(_id_issues(request.id))
    found = services.endpoints.by_id(request.id)
    if found is None:
        raise NotFound(f"Nexus endpoint with ID `{request.id}` not found")
    return operatorservice.GetNexusEndpointResponse(endpoint=_shown(services, found))


async def list_nexus_endpoints(
    services: Services, _: Call, request: operatorservice.ListNexusEndpointsRequest
) -> Message | bytes:
    """Endpoints by id, a page at a time; or the one of a name."""
    if request.name:
        found = services.endpoints.by_name(request.name)
        named = [] if found is None else [_shown(services, found)]
        return operatorservice.ListNexusEndpointsResponse(endpoints=named)
    size_max = services.config.get(settings.LIMIT_ENDPOINT_LIST_MAX_PAGE_SIZE)
    if request.page_size < 0:
        raise InvalidArgument("page_size is negative")
    if request.page_size > size_max:
        raise InvalidArgument(f"page_size exceeds limit of {size_max}")
    size = request.page_size or services.config.get(settings.LIMIT_ENDPOINT_LIST_DEFAULT_PAGE_SIZE)
    start = services.tokens.open_endpoint_page(request.next_page_token) if request.next_page_token else ""
    page = services.endpoints.page(start, size + 1)
    response = operatorservice.ListNexusEndpointsResponse(endpoints=[_shown(services, one) for one in page[:size]])
    if len(page) > size:
        response.next_page_token = services.tokens.endpoint_page(page[size].id)
    return response


def _checked(services: Services, spec: nexus.EndpointSpec) -> EndpointSpec:
    """The specification in our own terms; raises with all that is wrong with it."""
    get = services.config.get
    issues = _name_issues(spec.name, get(settings.LIMIT_ENDPOINT_NAME_MAX_LENGTH))
    kind = spec.target.WhichOneof("variant")
    checked = EndpointSpec(spec.name)
    if kind is None:
        issues.append("empty target variant")
        _refuse(issues)
    elif kind == "worker":
        issues += _worker_issues(services, spec.target.worker)
        target = services.namespaces.find(spec.target.worker.namespace)
        checked.namespace_id = target.id if target is not None else ""
        checked.task_queue = spec.target.worker.task_queue
    else:
        checked.url = spec.target.external.url
        issues += _url_issues(checked.url, get(settings.LIMIT_ENDPOINT_EXTERNAL_URLMAX_LENGTH))
    size_max = get(settings.LIMIT_ENDPOINT_DESCRIPTION_MAX_SIZE)
    if spec.HasField("description"):
        checked.description = spec.description.SerializeToString()
    if len(checked.description) > size_max:
        issues.append(f"description size exceeds limit of {size_max}")
    _refuse(issues)
    return checked


def _refuse(issues: list[str]) -> None:
    if issues:
        raise InvalidArgument(", ".join(issues))


def _name_issues(name: str, limit: int) -> list[str]:
    if not name:
        return ["endpoint name not set"]
    issues = []
    if validate.too_long(name, limit):
        issues.append(f"endpoint name exceeds length limit of {limit}")
    if not _NAME.match(name):
        issues.append(f"endpoint name must match the regex: {json.dumps(_NAME_PATTERN)}")
    return issues


def _worker_issues(services: Services, worker: nexus.EndpointTarget.Worker) -> list[str]:
    issues = []
    if not worker.namespace:
        issues.append("target namespace not set")
    elif services.namespaces.find(worker.namespace) is None:
        raise FailedPrecondition(
            f"could not verify namespace referenced by target exists: Namespace {worker.namespace} is not found."
        )
    if not worker.task_queue:
        issues.append('invalid target task queue: "taskQueue is not set"')
        return issues
    try:
        validate.queue_name(worker.task_queue, services.config.get(settings.MAX_ID_LENGTH), True)
    except InvalidArgument as bad:
        issues.append(f"invalid target task queue: {json.dumps(bad.message)}")
    return issues


def _url_issues(url: str, limit: int) -> list[str]:
    if not url:
        return ["empty target URL"]
    if validate.too_long(url, limit):
        return [f"target URL length exceeds limit of {limit}"]
    try:
        scheme = urlsplit(url).scheme
    except ValueError as bad:
        return [f"invalid target URL: {bad}"]
    if scheme not in ("http", "https"):
        return [f"invalid target URL scheme: {json.dumps(scheme)}, expected http or https"]
    return []


def _id_issues(endpoint_id: str) -> list[str]:
    if not endpoint_id:
        return ["endpoint ID not set"]
    if not validate.is_uuid(endpoint_id):
        return [f'malformed endpoint ID: "invalid UUID length: {len(endpoint_id.encode())}"']
    return []


def _shown(services: Services, endpoint: Endpoint) -> nexus.Endpoint:
    spec = endpoint.spec
    shown = nexus.Endpoint(
        id=endpoint.id,
        version=endpoint.version,
        created_time=timestamp_of(endpoint.created),
        url_prefix=f"/nexus/endpoints/{endpoint.id}/services",
    )
    shown.spec.name = spec.name
    if spec.description:
        shown.spec.description.MergeFromString(spec.description)
    if spec.url:
        shown.spec.target.external.url = spec.url
    else:
        shown.spec.target.worker.namespace = services.namespaces.by_id(spec.namespace_id).name
        shown.spec.target.worker.task_queue = spec.task_queue
    if endpoint.modified:
        shown.last_modified_time.CopyFrom(timestamp_of(endpoint.modified))
    return shown
