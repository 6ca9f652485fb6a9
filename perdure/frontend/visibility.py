"""List, count and scan of executions, and the registry of search attributes (semantics 14.3, 15).

Filters are compiled by `perdure.visibility`; what cannot be executed is refused there. Stores execute them.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.api import Message, common, enums, operatorservice, workflow, workflowservice
from perdure.api.times import timestamp_ns
from perdure.cluster.namespaces import Namespace
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument
from perdure.frontend import validate
from perdure.frontend.interceptors import NAMESPACE_NOT_SET
from perdure.frontend.services import Call, Services
from perdure.ids import Kind
from perdure.visibility import attributes
from perdure.visibility.info import execution_info
from perdure.visibility.resolve import STATUS_NAMES, compile_count, compile_list
from perdure.visibility.syntax import quoted

ATTRIBUTES_MAX: Final = 1_000
"""Custom search attributes of one namespace: every description of it names them all."""


async def list_workflow_executions(
    services: Services, call: Call, request: workflowservice.ListWorkflowExecutionsRequest
) -> Message | bytes:
    """Executions that a filter holds for, open ones first."""
    shown, token = await _list(services, call, request.query, request.page_size, request.next_page_token)
    return workflowservice.ListWorkflowExecutionsResponse(executions=shown, next_page_token=token)


async def scan_workflow_executions(
    services: Services, call: Call, request: workflowservice.ScanWorkflowExecutionsRequest
) -> Message | bytes:
    """The same as list."""
    shown, token = await _list(services, call, request.query, request.page_size, request.next_page_token)
    return workflowservice.ScanWorkflowExecutionsResponse(executions=shown, next_page_token=token)


async def _list(
    services: Services, call: Call, query: str, asked: int, token: bytes
) -> tuple[list[workflow.WorkflowExecutionInfo], bytes]:
    namespace = call.namespace
    size = page_size(services, call, asked)
    where = compile_list(query, namespace.search_attributes)
    page = await services.store.list_visibility(namespace.id, Kind.WORKFLOW, where, size, token)
    shown = [execution_info(one, namespace.search_attributes) for one in page.records]
    return shown, page.next_page_token


def page_size(services: Services, call: Call, asked: int) -> int:
    """How many entries a page of a list has: as many as asked for, within the namespace's limit."""
    largest = services.config.get(settings.FRONTEND_VISIBILITY_MAX_PAGE_SIZE, call.namespace.name)
    return asked if 0 < asked <= largest else largest


async def count_workflow_executions(
    services: Services, call: Call, request: workflowservice.CountWorkflowExecutionsRequest
) -> Message | bytes:
    """How many executions a filter holds for, by group if it says GROUP BY."""
    namespace = call.namespace
    found = compile_count(request.query, namespace.search_attributes)
    counts = await services.store.count_visibility(namespace.id, Kind.WORKFLOW, found.where, found.group_by)
    response = workflowservice.CountWorkflowExecutionsResponse(count=sum([count for _, count in counts]))
    if found.group_by is not None:
        for value, count in counts:
            group = response.groups.add(count=count)
            group.group_values.append(group_value(value))
    return response


def group_value(value: object) -> common.Payload:
    """The value that a group of a count stands for."""
    text = STATUS_NAMES.get(value, str(value)) if isinstance(value, int) else str(value or "")
    return attributes.encode(text, attributes.KEYWORD)


async def list_open_workflow_executions(
    services: Services, call: Call, request: workflowservice.ListOpenWorkflowExecutionsRequest
) -> Message | bytes:
    """Open executions by start time and one filter (semantics 15.5)."""
    terms = ["ExecutionStatus = 'Running'", *_window("StartTime", request.start_time_filter), *_one_of(request)]
    shown, token = await _list(services, call, " AND ".join(terms), request.maximum_page_size, request.next_page_token)
    return workflowservice.ListOpenWorkflowExecutionsResponse(executions=shown, next_page_token=token)


async def list_closed_workflow_executions(
    services: Services, call: Call, request: workflowservice.ListClosedWorkflowExecutionsRequest
) -> Message | bytes:
    """Closed executions by close time and one filter (semantics 15.5)."""
    terms = ["ExecutionStatus != 'Running'", *_window("CloseTime", request.start_time_filter), *_one_of(request)]
    if request.HasField("status_filter"):
        status = request.status_filter.status
        if status in (enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED, enums.WORKFLOW_EXECUTION_STATUS_RUNNING):
            raise InvalidArgument("StatusFilter must be specified and must be not Running.")
        terms.append(f"ExecutionStatus = '{STATUS_NAMES.get(status, str(int(status)))}'")
    shown, token = await _list(services, call, " AND ".join(terms), request.maximum_page_size, request.next_page_token)
    return workflowservice.ListClosedWorkflowExecutionsResponse(executions=shown, next_page_token=token)


def _window(attribute: str, window: Any) -> list[str]:
    earliest = timestamp_ns(window.earliest_time) if window.HasField("earliest_time") else 0
    latest = timestamp_ns(window.latest_time) if window.HasField("latest_time") else 0
    if earliest and latest and earliest > latest:
        raise InvalidArgument("EarliestTime in StartTimeFilter should not be larger than LatestTime.")
    terms = []
    if earliest:
        terms.append(f"{attribute} >= '{_shown(window.earliest_time)}'")
    if latest:
        terms.append(f"{attribute} <= '{_shown(window.latest_time)}'")
    return terms


def _shown(time: Any) -> str:
    """A timestamp as a filter's literal. Raises InvalidArgument for one that protobuf does not allow."""
    try:
        return str(time.ToJsonString())
    except ValueError as wrong:
        raise InvalidArgument(f"Invalid StartTimeFilter: {wrong}") from wrong


def _one_of(request: Any) -> list[str]:
    if request.HasField("execution_filter"):
        return [f"WorkflowId = {quoted(request.execution_filter.workflow_id)}"]
    if request.HasField("type_filter"):
        return [f"WorkflowType = {quoted(request.type_filter.name)}"]
    return []


async def get_search_attributes(
    services: Services, _: Call, __: workflowservice.GetSearchAttributesRequest
) -> Message | bytes:
    """All names and types of the cluster; custom ones belong to namespaces, so none are here."""
    response = workflowservice.GetSearchAttributesResponse()
    for name, kind in {**attributes.SYSTEM, **attributes.PREDEFINED}.items():
        response.keys[name] = kind  # type: ignore[assignment]  # wire numbers are plain ints here
    return response


async def list_search_attributes(
    services: Services, call: Call, _: operatorservice.ListSearchAttributesRequest
) -> Message | bytes:
    """A namespace's custom attributes and those that every namespace has."""
    response = operatorservice.ListSearchAttributesResponse()
    for name, kind in {**attributes.SYSTEM, **attributes.PREDEFINED}.items():
        response.system_attributes[name] = kind  # type: ignore[assignment]  # wire numbers are plain ints here
    if call.has_namespace:
        for name, kind in call.namespace.search_attributes.items():
            response.custom_attributes[name] = kind  # type: ignore[assignment]
    return response


async def add_search_attributes(
    services: Services, call: Call, request: operatorservice.AddSearchAttributesRequest
) -> Message | bytes:
    """Registers custom attributes; one that is there already is skipped, whatever its type."""
    if not request.search_attributes:
        raise InvalidArgument("SearchAttributes are not set on request.")
    for name, kind in request.search_attributes.items():
        if attributes.is_reserved(name):
            raise InvalidArgument(f"Search attribute {name} is reserved by system.")
        if not kind:
            text = "cannot have more than 0 search attribute of type Unspecified."
            raise InvalidArgument(f"Unable to create search attributes: {text}")
        if kind not in attributes.TYPE_NAMES:
            raise InvalidArgument(f"Unknown search attribute type: {kind}.")
        if validate.too_long(name, services.config.get(settings.MAX_ID_LENGTH)):
            raise InvalidArgument("Search attribute name length exceeds limit.")
    before = _namespace(call)
    fresh = {
        name: int(kind) for name, kind in request.search_attributes.items() if name not in before.search_attributes
    }
    if len(before.search_attributes) + len(fresh) > ATTRIBUTES_MAX:
        text = f"cannot have more than {ATTRIBUTES_MAX} search attributes."
        raise InvalidArgument(f"Unable to create search attributes: {text}")
    if fresh:
        await services.namespaces.update(before, before.evolve(search_attributes={**before.search_attributes, **fresh}))
    return operatorservice.AddSearchAttributesResponse()


async def remove_search_attributes(
    services: Services, call: Call, request: operatorservice.RemoveSearchAttributesRequest
) -> Message | bytes:
    """Forgets custom attributes; values of executions stay where they are and are found again with the same type."""
    if not request.search_attributes:
        raise InvalidArgument("SearchAttributes are not set on request.")
    for name in request.search_attributes:
        if name in attributes.SYSTEM or name in attributes.PREDEFINED:
            raise InvalidArgument(f"Unable to remove non-custom search attributes: {name}.")
    before = _namespace(call)
    left = {name: kind for name, kind in before.search_attributes.items() if name not in request.search_attributes}
    if len(left) < len(before.search_attributes):
        await services.namespaces.update(before, before.evolve(search_attributes=left))
    return operatorservice.RemoveSearchAttributesResponse()


def _namespace(call: Call) -> Namespace:
    if not call.has_namespace:
        raise InvalidArgument(NAMESPACE_NOT_SET)
    return call.namespace
