"""Filters over every search attribute, run as list and as count over one small set of executions (semantics 15.3).

Left out is what the reference's SQLite store does differently from its other stores: it keeps times to the millisecond,
compares the words of a KeywordList without their case, and has no column for BatcherNamespace.
"""

from __future__ import annotations

import re
from typing import Any as Anything

from temporalio.api.command.v1 import Command
from temporalio.api.workflowservice import v1 as rpc

from ..family import kid_queue, start_kid
from ..script import NAMESPACE, Script
from ..values import attributes, cancel_workflow, complete_workflow, continue_as_new, fail_workflow, seconds
from ..wire import RpcFailed

SETTABLE = {
    "TemporalChangeVersion": '["c-1","c-2"]',
    "BinaryChecksums": '["sum"]',
    "BuildIds": '["unversioned","b1"]',
    "BatcherNamespace": '"ns"',
    "BatcherUser": '"ann"',
    "TemporalScheduledStartTime": '"2024-05-06T07:08:09Z"',
    "TemporalScheduledById": '"sched"',
    "TemporalSchedulePaused": "true",
    "TemporalPauseInfo": '["Workflow:w"]',
    "TemporalReportedProblems": '["category=WorkflowTaskFailed","cause=X"]',
}
"""Predefined attributes that a caller may set, on execution `pre`."""

CUSTOM = {
    "DiffKeyword": '"apple"',
    "DiffText": '"The quick-brown Fox, 42"',
    "DiffInt": "7",
    "DiffDouble": "-1.5",
    "DiffBool": "false",
    "DiffDatetime": '"2024-01-02T03:04:05.006Z"',
    "DiffKeywordList": '["x y","Zed"]',
}
"""One value of every type, on execution `all`."""


def _executions(s: Script, base: str) -> str:
    """Starts and closes them; returns the condition that finds them and no others."""

    def begin(label: str, close: Command | None = None, **fields: Anything) -> None:
        s.workflow_id = f"{base}-{label}"
        task = s.begin_quietly(**fields)
        if close is not None:
            s.send(s.complete_request(task, close), rpc.RespondWorkflowTaskCompletedResponse)

    begin("all", search_attributes=attributes(**CUSTOM), workflow_type={"name": "Big Type"})
    values = attributes(DiffKeyword='"Banana"', DiffInt="-3", DiffDouble="2", DiffText='"fox"')
    begin("done", complete_workflow(), search_attributes=values)
    begin("failed", fail_workflow(), search_attributes=attributes(DiffBool="true", DiffKeywordList='["y"]'))
    begin("ended")
    s.terminate()
    begin("canceled", cancel_workflow())
    begin("again", continue_as_new())
    s.poll_quietly()
    begin("late", workflow_run_timeout=seconds(1))
    s.await_close()
    begin("pre", search_attributes=attributes(**SETTABLE))
    begin("div", search_attributes=attributes(TemporalNamespaceDivision='"d1"', DiffInt="7"))
    begin("parent", start_kid(s))
    s.send(s.complete_request(s.poll_quietly()), rpc.RespondWorkflowTaskCompletedResponse)
    task = s.send(s.poll_request(kid_queue(s)), rpc.PollWorkflowTaskQueueResponse, 15)
    assert isinstance(task, rpc.PollWorkflowTaskQueueResponse)
    mine = f"TaskQueue IN ('{s.queue}', '{kid_queue(s).name}')"
    _await(s, mine, 11)
    _await(s, f"{mine} AND TemporalNamespaceDivision = 'd1'", 1)
    _await(s, f"{mine} AND ExecutionStatus = 'Running'", 5)
    return mine


def _await(s: Script, query: str, count: int) -> None:
    """Visibility is eventual: wait until so many executions match."""
    s.eventually(_count(query), rpc.CountWorkflowExecutionsResponse, lambda reply: reply.count == count, record=False)


def _count(query: str) -> rpc.CountWorkflowExecutionsRequest:
    return rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)


def table(s: Script) -> None:
    """Which executions a filter finds, how many it counts and of which statuses, or how it is refused (15.3)."""
    base = s.workflow_id
    mine = _executions(s, base)
    for condition in CONDITIONS:
        term = condition.replace("$ID", base)
        s.section(condition)
        request = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=f"{mine} AND ({term})")
        found = s.send(request, rpc.ListWorkflowExecutionsResponse)
        if isinstance(found, RpcFailed):
            s.record(request, rpc.ListWorkflowExecutionsResponse, _plain(found))
            continue
        labels = [info.execution.workflow_id.removeprefix(base) or "kid" for info in found.executions]
        s.fact("found", sorted(label if label.startswith("-") else "kid" for label in labels))
        counted = s.send(_count(f"{mine} AND ({term}) GROUP BY ExecutionStatus"), rpc.CountWorkflowExecutionsResponse)
        assert isinstance(counted, rpc.CountWorkflowExecutionsResponse), (
            f"{condition}: listed, but not counted: {counted}"
        )
        groups = sorted((group.group_values[0].data.decode(), group.count) for group in counted.groups)
        s.fact("counted", (counted.count, groups))


def _plain(failed: RpcFailed) -> RpcFailed:
    """Where the reference's SQL parser stopped and what it calls its nodes is no behaviour to copy."""
    message = re.sub(r"syntax error at position.*", "syntax error", failed.message)
    return RpcFailed(failed.code, re.sub(r"\*sqlparser\.\w+", "<node>", message), failed.status)


CONDITIONS = (
    # Custom attributes: values of each type, at their edges.
    "DiffKeyword = 'APPLE'",
    "DiffKeyword < 'apple'",
    "DiffKeyword <= 'apple'",
    "DiffKeyword >= ''",
    "DiffKeyword STARTS_WITH ''",
    "DiffKeyword STARTS_WITH 'apple'",
    "DiffKeyword STARTS_WITH 'apple '",
    "DiffKeyword starts_with 'B'",
    "not DiffKeyword starts_with 'B'",
    "DiffKeyword IN ('apple')",
    "DiffKeyword IN ('')",
    "DiffKeyword NOT IN ('apple', 'Banana')",
    "DiffKeyword NOT BETWEEN 'A' AND 'C'",
    "DiffKeyword = ''",
    "DiffKeyword = 'a''b'",
    "DiffKeyword = 'a\\'b'",
    "DiffKeyword = 'apple' AND DiffKeyword != 'x'",
    "DiffText = 'the'",
    "DiffText = 'quick'",
    "DiffText = 'quick-brown'",
    "DiffText = 'quick brown'",
    "DiffText = 'lazy fox'",
    "DiffText = '42'",
    "DiffText = 'fo'",
    "DiffText != 'fox'",
    "NOT DiffText = 'fox'",
    "DiffText IS NULL",
    "DiffText IS NOT NULL",
    "DiffText = '   '",
    "DiffText BETWEEN 'a' AND 'b'",
    "DiffText < 'x'",
    "DiffText NOT IN ('fox')",
    "DiffInt = -3",
    "DiffInt != 7",
    "DiffInt > -4",
    "DiffInt NOT IN (7)",
    "DiffInt NOT BETWEEN 0 AND 10",
    "DiffInt IS NULL",
    "DiffInt = 7.0",
    "DiffInt = '7'",
    "DiffInt > 6.5",
    "DiffInt IN (7, 7.5)",
    "DiffInt = 9223372036854775807",
    "DiffInt = 0x7",
    "DiffDouble = -1.5",
    "DiffDouble < 0",
    "DiffDouble = 2",
    "DiffDouble >= 2.0",
    "DiffDouble IN (2, -1.5)",
    "DiffDouble BETWEEN -2 AND 2.5",
    "DiffDouble IS NOT NULL",
    "DiffDouble = '2'",
    "DiffDouble = 1e400",
    "DiffBool = false",
    "DiffBool != false",
    "DiffBool IN (true, false)",
    "DiffBool IS NULL",
    "DiffBool = 'true'",
    "DiffBool = 1",
    "DiffBool BETWEEN true AND false",
    "DiffDatetime = '2024-01-02T03:04:05.006Z'",
    "DiffDatetime = '2024-01-02T03:04:05Z'",
    "DiffDatetime > '2024-01-02T03:04:04.999Z'",
    "DiffDatetime IN ('2024-01-02T04:04:05.006+01:00')",
    "DiffDatetime IS NULL",
    "DiffDatetime = 1704164645006000000",
    "DiffDatetime = 1.5",
    "DiffDatetime > '2024-01-02'",
    "DiffDatetime > '2024-01-02 03:04:05'",
    "DiffDatetime STARTS_WITH '2024'",
    "DiffKeywordList = 'x y'",
    "DiffKeywordList = 'x'",
    "DiffKeywordList IN ('y', 'Zed')",
    "DiffKeywordList NOT IN ('y')",
    "DiffKeywordList != 'Zed'",
    "NOT DiffKeywordList = 'Zed'",
    "NOT DiffKeywordList IN ('Zed', 'y')",
    "DiffKeywordList IS NOT NULL",
    "DiffKeywordList = 3",
    "DiffKeywordList < 'x'",
    "DiffKeywordList NOT BETWEEN 'a' AND 'b'",
    # The execution itself.
    "WorkflowId = '$ID-all'",
    "WorkflowId != '$ID-all'",
    "WorkflowId STARTS_WITH '$ID-a'",
    "WorkflowId NOT STARTS_WITH '$ID-a'",
    "WorkflowId > '$ID-e'",
    "WorkflowId IN ('$ID-all', '$ID-pre', 'kid-$ID-parent')",
    "WorkflowId = 3",
    "RunId = 'none'",
    "RunId STARTS_WITH 'zz'",
    "RunId IS NULL",
    "WorkflowType = 'Big Type'",
    "WorkflowType = 'big type'",
    "WorkflowType STARTS_WITH 'Big'",
    "WorkflowType NOT IN ('Wf', 'Kid')",
    "WorkflowType > 'K'",
    "TaskQueue STARTS_WITH 'kid'",
    "TaskQueue IS NULL",
    "ExecutionStatus = 'Completed'",
    "ExecutionStatus = 'Failed' OR ExecutionStatus = 'Terminated'",
    "ExecutionStatus IN ('Canceled', 'ContinuedAsNew', 'TimedOut')",
    "ExecutionStatus NOT IN ('Running', 'Completed')",
    "ExecutionStatus = 'completed'",
    "ExecutionStatus = 'Cancelled'",
    "ExecutionStatus = 'Paused'",
    "ExecutionStatus = ''",
    "ExecutionStatus = 0",
    "ExecutionStatus = 2",
    "ExecutionStatus IN (2, 'Failed')",
    "ExecutionStatus = 2.0",
    "ExecutionStatus IS NULL",
    "ExecutionStatus IS NOT NULL",
    "ExecutionStatus STARTS_WITH 'Run'",
    "ExecutionStatus BETWEEN 'Completed' AND 'Failed'",
    "ExecutionStatus BETWEEN 2 AND 3",
    "ExecutionStatus >= 2",
    "StartTime >= '2024-01-01T00:00:00Z' AND StartTime <= '2099-01-01T00:00:00Z'",
    "StartTime BETWEEN '2020-01-01T00:00:00Z' AND '2021-01-01T00:00:00Z'",
    "StartTime NOT BETWEEN '2020-01-01T00:00:00Z' AND '2021-01-01T00:00:00Z'",
    "StartTime IS NULL",
    "StartTime > 'now'",
    "StartTime > true",
    "CloseTime > '2024-01-01T00:00:00Z'",
    "CloseTime < '2099-01-01T00:00:00Z'",
    "CloseTime >= '2099-01-01T00:00:00Z'",
    "CloseTime != 5",
    "CloseTime IN (5, 6)",
    "CloseTime IS NULL AND WorkflowType = 'Wf'",
    "NOT CloseTime IS NULL",
    "ExecutionTime IS NOT NULL",
    "ExecutionTime BETWEEN 0 AND 9223372036854775807",
    "ExecutionDuration >= 0",
    "ExecutionDuration >= '900ms'",
    "ExecutionDuration < '1d'",
    "ExecutionDuration BETWEEN '0s' AND '1h'",
    "ExecutionDuration = '1x'",
    "ExecutionDuration > 1.5",
    "ExecutionDuration IS NULL",
    "HistoryLength = 5",
    "HistoryLength >= 4 AND HistoryLength <= 6",
    "HistoryLength IS NULL",
    "HistoryLength = '5'",
    "StateTransitionCount > 0",
    "StateTransitionCount IS NULL",
    "HistorySizeBytes > 10",
    "ParentWorkflowId = '$ID-parent'",
    "ParentWorkflowId IS NOT NULL",
    "ParentWorkflowId STARTS_WITH '$ID'",
    "ParentRunId IS NOT NULL",
    "RootWorkflowId = '$ID-parent'",
    "RootWorkflowId = 'kid-$ID-parent'",
    "RootWorkflowId IS NULL",
    "RootRunId IS NOT NULL",
    # What is predefined.
    "TemporalChangeVersion = 'c-2'",
    "TemporalChangeVersion IN ('c-1', 'c-2')",
    "ChangeVersion = 'c-1'",
    "BinaryChecksums = 'sum'",
    "BuildIds = 'b1'",
    "BuildIds IS NULL",
    "BuildIds IN ('unversioned')",
    "BatcherUser STARTS_WITH 'a'",
    "TemporalBatcherUser = 'ann'",
    "TemporalScheduledStartTime > '2024-01-01T00:00:00Z'",
    "TemporalScheduledById = 'sched'",
    "ScheduledById IS NOT NULL",
    "ScheduleId = '$ID-all'",
    "TemporalSchedulePaused = true",
    "SchedulePaused = false",
    "TemporalPauseInfo = 'Workflow:w'",
    "PauseInfo IS NOT NULL",
    "TemporalReportedProblems = 'category=WorkflowTaskFailed'",
    "TemporalReportedProblems IN ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')",
    "ReportedProblems != 'cause=X'",
    "TemporalNamespaceDivision = 'd1'",
    "TemporalNamespaceDivision IS NULL",
    "TemporalNamespaceDivision IS NOT NULL",
    "TemporalNamespaceDivision IS NOT NULL OR DiffInt = 7",
    "NamespaceDivision = 'd1' AND DiffInt = 7",
    "TemporalNamespaceDivision != 'd2'",
    "TemporalWorkerDeployment IS NULL",
    "TemporalWorkerDeploymentVersion = 'v'",
    "TemporalWorkflowVersioningBehavior = 'Pinned'",
    "TemporalUsedWorkerDeploymentVersions = 'v'",
    "TemporalExternalPayloadCount >= 0",
    "ExternalPayloadSizeBytes IS NULL",
    # How conditions are put together.
    "WorkflowType = 'Wf' AND NOT (ExecutionStatus = 'Running' OR DiffInt IS NOT NULL)",
    "NOT NOT DiffInt = 7",
    "NOT (NOT (DiffInt = 7 AND DiffBool = false))",
    "((((DiffInt = 7))))",
    "DiffInt = 7 OR DiffInt = -3 AND ExecutionStatus = 'Running'",
    "DiffInt = 7 && DiffBool = false",
    "DiffInt = 7 || DiffBool = true",
    "DiffInt = 7 XOR DiffBool = true",
    "DiffInt <=> 7",
    "DiffInt = (7)",
    "(DiffInt) = 7",
    "DiffInt IN (7) /* a comment */",
    "DiffKeyword = 'x' COLLATE utf8",
    "EXISTS (SELECT 1)",
    "DiffInt IS TRUE",
    "true",
    "DiffBool",
    "NULL",
    "WorkflowId = WorkflowId",
    "`WorkflowId` = '$ID-all'",
    "workflowid = '$ID-all'",
    "default.WorkflowId = 'x'",
    "CustomKeywordField = 'x'",
    "DiffInt = 7 GROUP BY ExecutionStatus",
    "MemoEncoding = 'x'",
    "VisibilityTaskKey = 'x'",
)
"""Conditions over the executions; `$ID` is the stem of their ids."""
