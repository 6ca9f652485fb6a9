"""The query language of archived lists."""

from __future__ import annotations

import pytest

from perdure.api import common, workflow
from perdure.api.times import timestamp_of
from perdure.archival.query import compile_query
from perdure.errors import InvalidArgument

INFO = workflow.WorkflowExecutionInfo(
    execution=common.WorkflowExecution(workflow_id="w", run_id="r"),
    type=common.WorkflowType(name="T"),
    close_time=timestamp_of(1_704_067_200_000_000_000),
)
INFO.status = 3  # type: ignore[assignment]  # wire numbers are plain ints here


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("WorkflowId = 'w'", True),
        ('(WorkflowId = "w") AND RunId = "r" AND WorkflowType = "T"', True),
        ("WorkflowId = 'x'", False),
        ("WorkflowId = 'w' AND WorkflowId = 'x'", False),
        ("WorkflowId = 'x' AND WorkflowId = 'w'", False),
        ("ExecutionStatus = 'Failed'", True),
        ("ExecutionStatus = 'failed'", True),
        ("ExecutionStatus = 3", True),
        ("ExecutionStatus = 'ContinuedAsNew'", False),
        ("ExecutionStatus = 'continued_as_new'", False),
        ("CloseTime = '2024-01-01T00:00:00Z'", True),
        ("CloseTime > '2024-01-01T00:00:00Z'", False),
        ("CloseTime >= '2024-01-01T00:00:00Z' AND CloseTime < '2024-01-01T00:00:00.000000001Z'", True),
        ("CloseTime <= 1704067199999999999", False),
    ],
)
def test_matches(text: str, expected: bool) -> None:
    assert compile_query(text).matches(INFO) is expected


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("WorkflowId > 'w'", "only operation = is support for WorkflowId"),
        ("WorkflowId = 3", "value 3 is not a string value"),
        ("StartTime > 3", "unknown filter name: StartTime"),
        ("ExecutionStatus = 'Running'", "unknown workflow close status: running"),
        ("ExecutionStatus = 1", "unknown workflow close status: 1"),
        ("CloseTime != 3", "operator != is not supported for close time"),
        ("CloseTime > 'soon'", "unable to parse close time 'soon'"),
        ("WorkflowId = 'w' OR RunId = 'r'", 'only comparison and "and" expression is supported'),
        ("NOT WorkflowId = 'w'", 'only comparison and "and" expression is supported'),
        ("GROUP BY ExecutionStatus", 'only comparison and "and" expression is supported'),
        ("WorkflowId = RunId", "invalid value of WorkflowId: it must be a string or a number"),
        ("'a' = 'b'", "invalid filter name: an attribute must stand on the left side"),
    ],
)
def test_refuses(text: str, detail: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        compile_query(text)
    assert raised.value.message == detail
