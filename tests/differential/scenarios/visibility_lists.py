"""Groups, the older lists, and search attributes that come, go and change their type (semantics 14.3, 15)."""

from __future__ import annotations

from typing import Any as Anything

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import IndexedValueType, WorkflowExecutionStatus
from temporalio.api.filter.v1 import StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter
from temporalio.api.operatorservice import v1 as operator
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import attributes, complete_workflow, seconds, upsert

GROUPED = (
    "ExecutionStatus",
    "`ExecutionStatus`",
    "executionstatus",
    "TemporalNamespaceDivision",
    "NamespaceDivision",
    "TemporalLowCardinalityKeyword01",
    "WorkflowId",
    "WorkflowType",
    "RunId",
    "TaskQueue",
    "StartTime",
    "CloseTime",
    "HistoryLength",
    "ParentWorkflowId",
    "RootWorkflowId",
    "BuildIds",
    "TemporalChangeVersion",
    "TemporalScheduledById",
    "TemporalSchedulePaused",
    "TemporalReportedProblems",
    "DiffKeyword",
    "DiffInt",
    "DiffText",
    "NoSuch",
    "1",
    "upper(WorkflowType)",
    "'ExecutionStatus'",
)
"""What stands behind GROUP BY."""


def _await_count(s: Script, query: str, count: int, namespace: str = NAMESPACE) -> None:
    request = rpc.CountWorkflowExecutionsRequest(namespace=namespace, query=query)
    s.eventually(request, rpc.CountWorkflowExecutionsResponse, lambda reply: reply.count == count, record=False)


def grouped(s: Script) -> None:
    """Which attributes a count may be grouped by, and what the groups are called (15.3)."""
    base = s.workflow_id
    s.workflow_id = f"{base}-plain"
    s.begin_quietly()
    s.workflow_id = f"{base}-divided"
    s.begin_quietly(search_attributes=attributes(TemporalNamespaceDivision='"d1"'))
    mine = f"TaskQueue = '{s.queue}'"
    _await_count(s, mine, 1)
    _await_count(s, f"{mine} AND TemporalNamespaceDivision = 'd1'", 1)
    for name in GROUPED:
        s.section(name)
        request = rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=f"{mine} GROUP BY {name}")
        s.call(request, rpc.CountWorkflowExecutionsResponse)
    for query in (f"GROUP BY ExecutionStatus AND {mine}", f"{mine} GROUP BY ExecutionStatus LIMIT 1", "GROUP BY"):
        s.section(query)
        s.call(
            rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=query), rpc.CountWorkflowExecutionsResponse
        )
    listed = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=f"{mine} GROUP BY ExecutionStatus")
    s.call(listed, rpc.ListWorkflowExecutionsResponse)
    s.call(
        rpc.ScanWorkflowExecutionsRequest(namespace=NAMESPACE, query=f"{mine} GROUP BY ExecutionStatus"),
        rpc.ScanWorkflowExecutionsResponse,
    )


def scanned(s: Script) -> None:
    """Scan answers as list does, page by page."""
    base = s.workflow_id
    for number in range(3):
        s.workflow_id = f"{base}-{number}"
        s.begin_quietly()
    mine = f"TaskQueue = '{s.queue}'"
    _await_count(s, mine, 3)
    request = rpc.ScanWorkflowExecutionsRequest(namespace=NAMESPACE, query=mine, page_size=2)
    for _ in range(2):
        reply = s.send(request, rpc.ScanWorkflowExecutionsResponse)
        assert isinstance(reply, rpc.ScanWorkflowExecutionsResponse)
        s.fact("page", [info.execution.workflow_id.rpartition("-")[2] for info in reply.executions])
        s.fact("more", bool(reply.next_page_token))
        request.next_page_token = reply.next_page_token
    s.call(
        rpc.ScanWorkflowExecutionsRequest(namespace=NAMESPACE, query="Nothing = 1"), rpc.ScanWorkflowExecutionsResponse
    )


def _window(earliest: int, latest: int) -> StartTimeFilter:
    return StartTimeFilter(earliest_time=Timestamp(seconds=earliest), latest_time=Timestamp(seconds=latest))


def older_lists(s: Script) -> None:
    """ListOpen and ListClosed with each of their filters, and what they refuse (15.5)."""
    base = s.workflow_id
    s.workflow_id = f"{base}-open"
    s.begin_quietly(workflow_type={"name": f"T{s.nonce}"})
    s.workflow_id = f"{base}-closed"
    s.send(
        s.complete_request(s.begin_quietly(workflow_type={"name": f"T{s.nonce}"}), complete_workflow()),
        rpc.RespondWorkflowTaskCompletedResponse,
    )
    _await_count(s, f"TaskQueue = '{s.queue}' AND ExecutionStatus = 'Completed'", 1)
    _await_count(s, f"TaskQueue = '{s.queue}' AND ExecutionStatus = 'Running'", 1)
    ever = _window(1, 4_000_000_000)
    by_id = WorkflowExecutionFilter(workflow_id=f"{base}-open")
    by_type = WorkflowTypeFilter(name=f"T{s.nonce}")
    cases: tuple[dict[str, Anything], ...] = (
        {"execution_filter": by_id, "start_time_filter": ever},
        {"type_filter": by_type, "start_time_filter": ever},
        {"type_filter": by_type},
        {"type_filter": by_type, "start_time_filter": _window(1, 2)},
        {"type_filter": by_type, "start_time_filter": _window(4_000_000_000, 1)},
        {"type_filter": by_type, "start_time_filter": ever, "maximum_page_size": 1},
        {"execution_filter": WorkflowExecutionFilter(workflow_id=f"{base}-closed"), "start_time_filter": ever},
        {"execution_filter": WorkflowExecutionFilter(), "start_time_filter": ever},
        {"type_filter": WorkflowTypeFilter(), "start_time_filter": ever},
        {"execution_filter": WorkflowExecutionFilter(workflow_id="none", run_id="no id"), "start_time_filter": ever},
    )
    for number, given in enumerate(cases):
        s.section(f"case {number}")
        s.call(
            rpc.ListOpenWorkflowExecutionsRequest(namespace=NAMESPACE, **given), rpc.ListOpenWorkflowExecutionsResponse
        )
        s.call(
            rpc.ListClosedWorkflowExecutionsRequest(namespace=NAMESPACE, **given),
            rpc.ListClosedWorkflowExecutionsResponse,
        )
    for name in ("UNSPECIFIED", "RUNNING", "PAUSED", "TIMED_OUT"):
        s.section(name)
        status = StatusFilter(status=WorkflowExecutionStatus.Value(f"WORKFLOW_EXECUTION_STATUS_{name}"))
        request = rpc.ListClosedWorkflowExecutionsRequest(
            namespace=NAMESPACE, status_filter=status, start_time_filter=_window(1, 2)
        )
        s.call(request, rpc.ListClosedWorkflowExecutionsResponse)


def _own_namespace(s: Script) -> str:
    name = f"ns-{s.nonce}"
    s.send(
        rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=seconds(86400)),
        rpc.RegisterNamespaceResponse,
    )
    request = rpc.ListWorkflowExecutionsRequest(namespace=name)
    s.eventually(request, rpc.ListWorkflowExecutionsResponse, lambda _: True, record=False)
    return name


def _add(s: Script, namespace: str, **types: str) -> None:
    wanted = {name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind}") for name, kind in types.items()}
    s.call(
        operator.AddSearchAttributesRequest(namespace=namespace, search_attributes=wanted),
        operator.AddSearchAttributesResponse,
    )


def _remove(s: Script, namespace: str, *names: str) -> None:
    s.call(
        operator.RemoveSearchAttributesRequest(namespace=namespace, search_attributes=names),
        operator.RemoveSearchAttributesResponse,
    )


def _show(s: Script, namespace: str) -> None:
    request = operator.ListSearchAttributesRequest(namespace=namespace)
    reply = s.send(request, operator.ListSearchAttributesResponse)
    assert isinstance(reply, operator.ListSearchAttributesResponse)
    s.fact("custom", sorted(reply.custom_attributes.items()))


def attributes_come_and_go(s: Script) -> None:
    """An attribute registered, used, removed and registered again with another type: old values are not seen."""
    namespace = _own_namespace(s)
    _add(s, namespace, Color="KEYWORD", Size="INT")
    _show(s, namespace)
    start = s.start_request(namespace=namespace, search_attributes=attributes(Color='"red"', Size="3"))
    s.eventually(start, rpc.StartWorkflowExecutionResponse, lambda reply: bool(reply.run_id), record=False)
    _await_count(s, "Color = 'red'", 1, namespace)

    def shown(query: str) -> None:
        s.section(query)
        s.call(rpc.ListWorkflowExecutionsRequest(namespace=namespace, query=query), rpc.ListWorkflowExecutionsResponse)

    shown("Size >= 3")
    _add(s, namespace, Color="INT")
    _show(s, namespace)
    _remove(s, namespace, "Color", "NoSuch")
    _show(s, namespace)
    s.eventually(
        rpc.ListWorkflowExecutionsRequest(namespace=namespace, query="Size = 3"),
        rpc.ListWorkflowExecutionsResponse,
        lambda reply: "Color" not in reply.executions[0].search_attributes.indexed_fields,
    )
    shown("Color = 'red'")
    _add(s, namespace, Color="INT")
    _show(s, namespace)
    shown("Color = 'red'")
    shown("Color = 5")
    s.send(s.signal_request(namespace=namespace), rpc.SignalWorkflowExecutionResponse)
    task = s.send(s.poll_request(namespace=namespace), rpc.PollWorkflowTaskQueueResponse, 15)
    assert isinstance(task, rpc.PollWorkflowTaskQueueResponse), task
    s.send(s.complete_request(task, upsert(Color="5"), namespace=namespace), rpc.RespondWorkflowTaskCompletedResponse)
    _await_count(s, "Color = 5", 1, namespace)
    shown("Color > 4")


def attributes_refused(s: Script) -> None:
    """Registrations and removals that are refused."""
    namespace = _own_namespace(s)
    for name in ("WorkflowId", "TemporalMine", "BuildIds", "Memo", "NamespaceId", "VisibilityTaskKey", "Temporal"):
        s.section(name)
        _add(s, namespace, **{name: "KEYWORD"})
        _remove(s, namespace, name)
    for given in ({}, {"": IndexedValueType.INDEXED_VALUE_TYPE_INT}, {"X": 0}, {"X": 99}):
        s.section(str(given))
        s.call(
            operator.AddSearchAttributesRequest(namespace=namespace, search_attributes=given),  # type: ignore[arg-type]
            operator.AddSearchAttributesResponse,
        )
    s.call(operator.RemoveSearchAttributesRequest(namespace=namespace), operator.RemoveSearchAttributesResponse)
    s.call(
        operator.AddSearchAttributesRequest(
            namespace="no-such-namespace", search_attributes={"X": IndexedValueType.INDEXED_VALUE_TYPE_INT}
        ),
        operator.AddSearchAttributesResponse,
    )
    s.call(operator.ListSearchAttributesRequest(namespace="nowhere"), operator.ListSearchAttributesResponse)


def archived_list(s: Script) -> None:
    """Nothing is archived unless the cluster says so."""
    request = rpc.ListArchivedWorkflowExecutionsRequest(namespace=NAMESPACE, query="WorkflowType = 'x'")
    s.call(request, rpc.ListArchivedWorkflowExecutionsResponse)
    s.call(rpc.ListArchivedWorkflowExecutionsRequest(namespace=NAMESPACE), rpc.ListArchivedWorkflowExecutionsResponse)
    s.call(
        rpc.ListArchivedWorkflowExecutionsRequest(namespace=NAMESPACE, page_size=100_000, query="WorkflowType = 'x'"),
        rpc.ListArchivedWorkflowExecutionsResponse,
    )
