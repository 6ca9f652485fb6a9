"""List and count (semantics 15)."""

from __future__ import annotations

import re
from typing import Any as Anything

from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import attributes, complete_workflow, continue_as_new, fail_workflow, memo, modify_memo, seconds, upsert
from ..wire import RpcFailed


def _list_request(query: str, **fields: Anything) -> rpc.ListWorkflowExecutionsRequest:
    return rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=query, **fields)


def _list(s: Script, query: str) -> None:
    s.section(query)
    s.call(_list_request(query), rpc.ListWorkflowExecutionsResponse)


def _count(s: Script, query: str) -> None:
    s.section(query)
    request = rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)
    s.call(request, rpc.CountWorkflowExecutionsResponse)


def _await_count(s: Script, query: str, count: int) -> None:
    """Visibility is eventual: wait until so many executions match."""
    request = rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)
    s.eventually(request, rpc.CountWorkflowExecutionsResponse, lambda reply: reply.count == count, record=False)


def open_and_closed(s: Script) -> None:
    """A record while its run is open, after an upsert, and closed (15.2)."""
    task = s.begin_quietly(memo=memo(m="1"), search_attributes=attributes(DiffInt="1", DiffKeywordList='["a","b"]'))
    mine = f"WorkflowId = '{s.workflow_id}'"
    _await_count(s, mine, 1)
    _list(s, mine)
    s.complete(task, upsert(DiffInt="2", DiffText='"brown fox"'), modify_memo(m="2", n="3"))
    _await_count(s, f"{mine} AND DiffInt = 2", 1)
    _list(s, mine)
    s.terminate()
    _await_count(s, f"{mine} AND ExecutionStatus = 'Terminated'", 1)
    _list(s, mine)


def delayed(s: Script) -> None:
    """F23: a delayed run is running, with its execution time ahead."""
    s.start(workflow_start_delay=seconds(3600))
    mine = f"WorkflowId = '{s.workflow_id}'"
    _await_count(s, mine, 1)
    _list(s, f"{mine} AND ExecutionStatus = 'Running'")


def filters(s: Script) -> None:
    """Filters over every attribute type, on one set of executions (15.3)."""
    common = f"TaskQueue = '{s.queue}'"
    values: tuple[dict[str, str], ...] = (
        {"DiffKeyword": '"apple"', "DiffInt": "1", "DiffDouble": "0.5", "DiffBool": "true"},
        {"DiffKeyword": '"banana"', "DiffInt": "20", "DiffText": '"quick brown fox"', "DiffKeywordList": '["x","y"]'},
        {"DiffKeyword": '"cherry"', "DiffDatetime": '"2024-05-06T07:08:09Z"', "DiffKeywordList": '["y","z"]'},
        {},
    )
    base = s.workflow_id
    for number, given in enumerate(values):
        s.workflow_id = f"{base}-{number}"
        s.begin_quietly(search_attributes=attributes(**given), workflow_type={"name": f"Type{number % 2}"})
    _await_count(s, common, len(values))
    for condition in FILTERS:
        _ids(s, common, condition.replace("$ID", base))


FILTERS = (
    "DiffKeyword = 'apple'",
    "DiffKeyword != 'apple'",
    "DiffKeyword <> 'apple'",
    "DiffKeyword > 'apple'",
    "DiffKeyword BETWEEN 'apple' AND 'banana'",
    "DiffKeyword NOT BETWEEN 'apple' AND 'banana'",
    "DiffKeyword IN ('apple', 'cherry')",
    "DiffKeyword NOT IN ('apple', 'cherry')",
    "DiffKeyword IS NULL",
    "DiffKeyword IS NOT NULL",
    "DiffKeyword STARTS_WITH 'ba'",
    "DiffKeyword NOT STARTS_WITH 'ba'",
    "DiffInt = 1",
    "DiffInt >= 2",
    "DiffInt < 20",
    "DiffInt IN (1, 20)",
    "DiffInt BETWEEN 1 AND 19",
    "DiffDouble > 0.25",
    "DiffDouble = 0.5",
    "DiffBool = true",
    "DiffBool != true",
    "DiffBool = false",
    "DiffText = 'fox'",
    "DiffText = 'FOX lazy'",
    "DiffText != 'fox'",
    "DiffKeywordList = 'y'",
    "DiffKeywordList != 'x'",
    "DiffKeywordList IN ('x', 'z')",
    "DiffKeywordList NOT IN ('x', 'z')",
    "DiffKeywordList IS NULL",
    "DiffDatetime > '2024-01-01T00:00:00Z'",
    "DiffDatetime < '2024-05-06T09:00:00+01:00'",
    "DiffDatetime BETWEEN '2024-01-01T00:00:00Z' AND '2025-01-01T00:00:00Z'",
    "WorkflowType = 'Type0'",
    "WorkflowType = 'Type0' AND DiffInt = 1",
    "WorkflowType = 'Type0' OR DiffInt = 20",
    "NOT WorkflowType = 'Type0'",
    "NOT (WorkflowType = 'Type0' OR DiffInt = 20)",
    "(DiffInt = 1 OR DiffInt = 20) AND WorkflowType = 'Type1'",
    "DiffInt = 1 OR DiffInt = 20 AND WorkflowType = 'Type0'",
    "`DiffInt` = 1",
    'DiffKeyword = "apple"',
    "diffint is null or DiffInt = 1",
    "WorkflowId = '$ID-1'",
    "WorkflowId STARTS_WITH '$ID'",
    "WorkflowId IN ('$ID-0', '$ID-3')",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus = 1",
    "ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_RUNNING'",
    "ExecutionStatus != 'Running'",
    "ExecutionStatus IN ('Completed', 'Running')",
    "CloseTime IS NULL",
    "CloseTime IS NOT NULL",
    "CloseTime > '2020-01-01T00:00:00Z'",
    "StartTime > '2020-01-01T00:00:00Z'",
    "StartTime > 1577836800000000000",
    "StartTime < '2020-01-01T00:00:00Z'",
    "ExecutionTime > '2020-01-01T00:00:00Z'",
    "ExecutionDuration > 0",
    "ExecutionDuration > '1h30m'",
    "ExecutionDuration < '00:01:00'",
    "HistoryLength > 0",
    "ParentWorkflowId IS NULL",
    "RootWorkflowId = '$ID-2'",
    "BuildIds IS NULL",
    "TemporalNamespaceDivision IS NULL",
    "TemporalChangeVersion = 'v'",
    "ScheduledById = 'x'",
)
"""Conditions that both servers must execute alike."""

BAD_FILTERS = (
    "NoSuchAttribute = 1",
    "diffint = 1",
    "DiffInt =",
    "DiffInt = 'text'",
    "DiffInt = 1 AND",
    "DiffInt",
    "1 = DiffInt",
    "1",
    "DiffInt = 1 LIMIT 5",
    "DiffInt = 1 ORDER BY StartTime",
    "ORDER BY StartTime",
    "DiffKeyword LIKE 'a%'",
    "DiffKeyword = apple",
    "DiffKeyword = 3",
    "DiffBool = 'yes'",
    "DiffBool > true",
    "DiffDatetime = 'yesterday'",
    "DiffDatetime = '2024-05-06'",
    "DiffDouble = 'x'",
    "DiffText > 'a'",
    "DiffText = ''",
    "DiffText IN ('a', 'b')",
    "DiffText STARTS_WITH 'a'",
    "DiffKeywordList > 'a'",
    "DiffKeywordList BETWEEN 'a' AND 'b'",
    "DiffKeywordList STARTS_WITH 'a'",
    "DiffInt STARTS_WITH 'a'",
    "DiffKeyword STARTS_WITH 3",
    "ExecutionStatus = 'Sleeping'",
    "ExecutionStatus = 99",
    "ExecutionStatus > 'Running'",
    "ExecutionDuration > 'long'",
    "DiffInt IN 1",
    "DiffInt IN ()",
    "DiffInt BETWEEN 1",
    "DiffInt + 1 = 2",
    "DiffInt = 1 + 1",
    "upper(DiffKeyword) = 'A'",
    "DiffInt = DiffInt",
    "DiffInt = NULL",
    "DiffInt IS 3",
    "DiffInt == 1",
    "'DiffInt' = 1",
    "DiffKeyword = 'unclosed",
    "(DiffInt = 1",
    "DiffInt = 1)",
    "DiffInt = 1; DROP TABLE x",
    "select * from x",
    "DiffInt IN (SELECT 1)",
    "WorkflowId = 'a' WorkflowId = 'b'",
    "NamespaceId = 'x'",
    "Memo = 'x'",
    "DiffInt & 1",
    "DiffInt = -1 AND",
    "NOT",
    "AND",
    "()",
    "DiffInt = 99999999999999999999",
    "DiffInt = 1.5",
    "DiffInt = true",
    "DiffKeyword REGEXP 'a'",
    "DiffKeyword IS TRUE",
    "CASE WHEN 1 THEN 2 END",
    "DiffInt = ?",
    "DiffInt = :v1",
)
"""Conditions that are refused, or surprisingly are not: the texts are compared either way."""


def _ids(s: Script, common: str, condition: str) -> None:
    """Record which executions match, by the last part of their ids."""
    query = f"{common} AND ({condition})"
    outcome = s.send(_list_request(query), rpc.ListWorkflowExecutionsResponse)
    if isinstance(outcome, rpc.ListWorkflowExecutionsResponse):
        ids = sorted(info.execution.workflow_id.rpartition("-")[2] for info in outcome.executions)
        s.fact(condition, ids)
    else:
        s.section(condition)
        s.record(_list_request(query), rpc.ListWorkflowExecutionsResponse, outcome)


def _parser_details_removed(failed: RpcFailed) -> RpcFailed:
    """Where the reference's SQL parser stopped and what it calls its nodes is no behaviour to copy."""
    message = re.sub(r"syntax error at position.*", "syntax error", failed.message)
    message = re.sub(r"\*sqlparser\.\w+", "<node>", message)
    return RpcFailed(failed.code, message, failed.status)


def refused_filters(s: Script) -> None:
    """Filters that are INVALID_ARGUMENT, with their texts (15.3)."""
    nothing = f"TaskQueue = '{s.queue}'"
    s.begin_quietly()
    _await_count(s, nothing, 1)
    for condition in BAD_FILTERS:
        outcome = s.send(_list_request(condition), rpc.ListWorkflowExecutionsResponse)
        s.section(condition)
        if isinstance(outcome, rpc.ListWorkflowExecutionsResponse):
            s.fact("accepted", True)
        else:
            outcome = _parser_details_removed(outcome)
            s.record(_list_request(condition), rpc.ListWorkflowExecutionsResponse, outcome)


def counted(s: Script) -> None:
    """Counts, and counts by status (15.3)."""
    common = f"TaskQueue = '{s.queue}'"
    base = s.workflow_id
    for number, command in enumerate((complete_workflow(), fail_workflow(), complete_workflow())):
        s.workflow_id = f"{base}-{number}"
        s.complete(s.begin_quietly(), command)
    s.workflow_id = f"{base}-open"
    s.begin_quietly()
    _await_count(s, f"{common} AND ExecutionStatus = 'Running'", 1)
    _await_count(s, f"{common} AND ExecutionStatus != 'Running'", 3)
    _count(s, common)
    request = rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=f"{common} GROUP BY ExecutionStatus")
    reply = s.send(request, rpc.CountWorkflowExecutionsResponse)
    if isinstance(reply, rpc.CountWorkflowExecutionsResponse):
        reply.groups.sort(key=lambda group: group.group_values[0].data)
    s.record(request, rpc.CountWorkflowExecutionsResponse, reply)
    _count(s, f"{common} AND ExecutionStatus = 'Running' GROUP BY ExecutionStatus")
    _count(s, f"{common} GROUP BY WorkflowType")
    _count(s, f"{common} GROUP BY ExecutionStatus, WorkflowType")
    _count(s, f"{common} GROUP BY NoSuch")
    _count(s, "TaskQueue = 'nobody' GROUP BY ExecutionStatus")
    _count(s, f"{common} ORDER BY StartTime")


def paged(s: Script) -> None:
    """Pages are in order of close time, then start time, newest first (15.4)."""
    common = f"TaskQueue = '{s.queue}'"
    base = s.workflow_id
    for number in range(5):
        s.workflow_id = f"{base}-{number}"
        task = s.begin_quietly()
        if number % 2:
            s.complete(task, complete_workflow())
            s.await_close()
    _await_count(s, f"{common} AND ExecutionStatus = 'Completed'", 2)
    _await_count(s, common, 5)
    for size in (1, 2, 5, 0):
        request = _list_request(common, page_size=size)
        pages: list[list[str]] = []
        for _ in range(10):
            reply = s.send(request, rpc.ListWorkflowExecutionsResponse)
            if not isinstance(reply, rpc.ListWorkflowExecutionsResponse):
                s.record(request, rpc.ListWorkflowExecutionsResponse, reply)
                break
            ids = [info.execution.workflow_id.rpartition("-")[2] for info in reply.executions]
            pages.append(ids)
            request.next_page_token = reply.next_page_token
            if not reply.next_page_token:
                break
        s.fact(f"pages of {size}", pages)


def page_errors(s: Script) -> None:
    """Page sizes out of bounds."""
    query = f"TaskQueue = '{s.queue}'"
    for size in (-1, 1_000_000):
        s.call(_list_request(query, page_size=size), rpc.ListWorkflowExecutionsResponse)


def chain_in_list(s: Script) -> None:
    """Each run of a chain has a record."""
    s.complete(s.begin_quietly(), continue_as_new())
    s.await_close()
    mine = f"WorkflowId = '{s.workflow_id}'"
    _await_count(s, f"{mine} AND ExecutionStatus = 'ContinuedAsNew'", 1)
    _await_count(s, f"{mine} AND ExecutionStatus = 'Running'", 1)
    _list(s, f"{mine} AND ExecutionStatus = 'ContinuedAsNew'")
    _list(s, f"{mine} AND ExecutionStatus = 'Running'")
