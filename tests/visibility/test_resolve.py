"""What names and values mean, and the words of every refusal: checked against server 1.32 where not said otherwise."""

from __future__ import annotations

import pytest

from perdure.errors import InvalidArgument
from perdure.visibility import attributes, conditions, resolve
from perdure.visibility.evaluate import matches
from tests.visibility.samples import CUSTOM, RUNS, record, search_attributes

VALUES: dict[str, attributes.Value] = {
    "CK": "abc",
    "CT": "Hello big-World foo",
    "CI": 5,
    "CD": 1.5,
    "CB": True,
    "CDT": "2024-01-01T00:00:00Z",
    "CL": ["a", "b"],
}
SEARCH = search_attributes(VALUES)
CLOSED = {"status": 5, "close_time": 1_700_000_000_000_000_000, "execution_duration": 10_000_000, "history_length": 5}
RECORDS = {
    "open+": record(RUNS[0], workflow_id="open+", workflow_type="T1", search_attributes=SEARCH),
    "open": record(RUNS[1], workflow_id="open", workflow_type="T2"),
    "closed+": record(RUNS[2], workflow_id="closed+", workflow_type="T1", search_attributes=SEARCH, **CLOSED),
    "closed": record(RUNS[3], workflow_id="closed", workflow_type="T2", **CLOSED),
}
ALL = "open+ open closed+ closed"
WITH = "open+ closed+"
WITHOUT = "open closed"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ALL),
        ("CloseTime > '2020-01-01T00:00:00Z'", "closed+ closed"),
        ("CloseTime < '2020-01-01T00:00:00Z'", ""),
        ("NOT CloseTime > '2020-01-01T00:00:00Z'", ""),
        ("CloseTime IS NULL", "open+ open"),
        ("CK != 'x'", WITH),
        ("NOT CK = 'x'", WITH),
        ("CK NOT IN ('x')", WITH),
        ("CK = 'ABC'", ""),
        ("CL != 'x'", ALL),
        ("CL != 'a'", WITHOUT),
        ("NOT CL = 'a'", WITHOUT),
        ("CL IN ('a', 'zz')", WITH),
        ("CL NOT IN ('zz')", ALL),
        ("CL IS NULL", WITHOUT),
        ("CT = 'hello'", WITH),
        ("CT = 'big-world'", WITH),
        ("CT = 'nope foo'", WITH),
        ("CT = 'wor'", ""),
        ("CT = '-'", ""),
        ("CT != 'hello'", WITHOUT),
        ("CT != 'nope'", ALL),
        ("CI = 5.0", WITH),
        ("CI > 4.5", WITH),
        ("CI < 1e30", WITH),
        ("CI > 1e30", ""),
        ("CI != 4.5", WITH),
        ("CI in (5, 6.5)", WITH),
        ("CI not between 6 and 9", WITH),
        ("CI = +5", WITH),
        ("CD > 1", WITH),
        ("CB != true", ""),
        ("CB > false", WITH),
        ("CDT = '2024-01-01T02:00:00+02:00'", WITH),
        ("CDT = 1704067200000000000", WITH),
        ("ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_RUNNING'", "open+ open"),
        ("ExecutionStatus > 'Running'", "closed+ closed"),
        ("ExecutionStatus BETWEEN 1 AND 2", "open+ open"),
        ("ExecutionStatus IN ('Running', 4)", "open+ open"),
        ("ExecutionStatus = 'Unspecified'", ""),
        ("ExecutionDuration < '1d'", "closed+ closed"),
        ("ExecutionDuration < '10:00:00'", "closed+ closed"),
        ("HistoryLength >= 0", "closed+ closed"),
        ("WorkflowId STARTS_WITH 'open'", "open+ open"),
        ("WorkflowId NOT STARTS_WITH 'open'", "closed+ closed"),
        ("WorkflowId > 'o'", "open+ open"),
        ("ParentWorkflowId IS NULL", ALL),
        ("ParentWorkflowId != 'x'", ""),
        ("ScheduleId = 'open'", "open"),
        ("TemporalScheduleId = 'open'", "open"),
        ("TemporalWorkflowId = 'open'", "open"),
        ("ScheduledById IS NULL", ALL),
        ("SchedulePaused = true", ""),
        ("NOT (WorkflowId = 'open' OR CK IS NULL) AND NOT ExecutionStatus = 'Running'", "closed+"),
        ("WorkflowType IN ('T1') AND NOT (CK IS NULL)", WITH),
    ],
)
def test_matches(text: str, found: str) -> None:
    """Answers of the real server for the same four runs (its SQLite store's slips with times and case left out)."""
    where = resolve.compile_list(text, CUSTOM)

    assert " ".join(name for name, one in RECORDS.items() if matches(where, one)) == found


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("foo = 1", "invalid search attribute: foo"),
        ("workflowid = 'x'", "invalid search attribute: workflowid"),
        ("Memo = 'x'", "invalid search attribute: Memo"),
        ("WorkflowId", "invalid expression: incomplete expression"),
        ("'a' = 'a'", "invalid expression: must be a column name but was *sqlparser.SQLVal"),
        ("f(x) = 1", "invalid expression: must be a column name but was *sqlparser.FuncExpr"),
        ("1", "operation is not supported: expression of type *sqlparser.SQLVal"),
        ("true", "operation is not supported: expression of type sqlparser.BoolVal"),
        ("NULL", "operation is not supported: expression of type *sqlparser.NullVal"),
        ("f(x)", "operation is not supported: function expression"),
        ("!(CI = 5)", "operation is not supported: expression of type *sqlparser.UnaryExpr"),
        ("exists (select 1 from x)", "operation is not supported: expression of type *sqlparser.ExistsExpr"),
        ("WorkflowId = f(x)", "operation is not supported: nested func"),
        ("WorkflowId = NULL", "invalid expression: unexpected value type *sqlparser.NullVal"),
        ("WorkflowId = 1 + 1", "invalid expression: unexpected value type *sqlparser.BinaryExpr"),
        ("WorkflowId = ('a')", "invalid expression: unexpected value type *sqlparser.ParenExpr"),
        ("WorkflowId = ('a', 'b')", "invalid expression: unexpected value type sqlparser.ValTuple"),
        ("CI in ::foo", "invalid expression: unexpected value type sqlparser.ListArg"),
        (
            "WorkflowId in (abc)",
            (
                "operation is not supported: column name on the right side of comparison expression"
                ' (did you forget to quote "abc"?)'
            ),
        ),
        ("CI > 0x10", 'invalid expression: unable to parse value "0x10"'),
        ("CI = ?", 'invalid expression: unable to parse value ":v1"'),
        ("CI = 1e999", 'invalid expression: unable to parse value "1e999"'),
        (
            "CI = '5'",
            'invalid expression: invalid value type for search attribute CI of type Int: "5" (type: string)',
        ),
        ("CI = true", "invalid expression: invalid value type for search attribute CI of type Int: true (type: bool)"),
        ("CB = 1", "invalid expression: invalid value type for search attribute CB of type Bool: 1 (type: int64)"),
        (
            "CDT = 1.5",
            "invalid expression: invalid value type for search attribute CDT of type Datetime: 1.5 (type: float64)",
        ),
        ("CDT = '2024-01-01'", "invalid expression: unable to parse datetime '2024-01-01'"),
        ("CDT > 'x' OR Foo = 1", "invalid expression: unable to parse datetime 'x'"),
        ("ExecutionStatus = 'running'", "invalid expression: invalid ExecutionStatus value 'running'"),
        ("ExecutionStatus = 99", "invalid expression: invalid ExecutionStatus value 99"),
        (
            "ExecutionStatus = 1.5",
            "invalid expression: unexpected value type float64 for search attribute ExecutionStatus",
        ),
        ("ExecutionStatus STARTS_WITH 'Run'", "invalid expression: invalid ExecutionStatus value 'Run'"),
        (
            "ExecutionStatus STARTS_WITH 'Running'",
            'invalid expression: right-hand side of "starts_with" operator must be a literal string (got: Running)',
        ),
        (
            "ExecutionDuration < '10:99:00'",
            "invalid expression: invalid duration value for search attribute ExecutionDuration: 10:99:00",
        ),
        (
            "WorkflowId like 'a%'",
            "operation is not supported: operator 'LIKE' not supported for Keyword type search attribute 'WorkflowId'",
        ),
        (
            "WorkflowId <=> 'a'",
            "operation is not supported: operator '<=>' not supported for Keyword type search attribute 'WorkflowId'",
        ),
        (
            "CL > 'a'",
            "operation is not supported: operator '>' not supported for KeywordList type search attribute 'CL'",
        ),
        ("CT in ('a')", "operation is not supported: operator 'IN' not supported for Text type search attribute 'CT'"),
        (
            "CI STARTS_WITH 5",
            "operation is not supported: operator 'STARTS_WITH' not supported for Int type search attribute 'CI'",
        ),
        (
            "CL BETWEEN 'a' and 'b'",
            "invalid expression: cannot do range condition on search attribute 'CL' of type KeywordList",
        ),
        ("CB BETWEEN 1 AND 2", "invalid expression: cannot do range condition on search attribute 'CB' of type Bool"),
        ("CT = '  '", "invalid expression: no tokens found filtering on Text type search attribute CT"),
        ("WorkflowId is true", "invalid expression: 'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'"),
        ("CK = 'a\\0b'", "invalid expression: NUL character in value of search attribute CK of type Keyword"),
    ],
)
def test_refuses(text: str, detail: str) -> None:
    """Every filter that cannot be executed is INVALID_ARGUMENT; none is answered in part."""
    with pytest.raises(InvalidArgument) as raised:
        resolve.compile_list(text, CUSTOM)

    assert raised.value.message == f"invalid query: {detail}"


def test_custom_names_come_first_but_never_hide_system_ones() -> None:
    """ScheduleId and names with the prefix stripped give way to a custom attribute; WorkflowId does not."""
    custom = {"ScheduleId": attributes.INT, "WorkflowId": attributes.INT, "SchedulePaused": attributes.KEYWORD}

    schedule = resolve.compile_list("ScheduleId = 5 AND NamespaceDivision IS NULL", custom)
    paused = resolve.compile_list("SchedulePaused = 'x' AND NamespaceDivision IS NULL", custom)

    assert isinstance(schedule, conditions.And)
    first = schedule.parts[0]
    assert isinstance(first, conditions.Compare)
    assert (first.attribute.name, first.value) == ("ScheduleId", 5)
    assert isinstance(paused, conditions.And)
    assert isinstance(paused.parts[0], conditions.Compare)
    with pytest.raises(InvalidArgument):
        resolve.compile_list("WorkflowId = 5", custom)


def test_divisions_are_hidden_unless_named() -> None:
    """Semantics 15.3: system records show only in queries that name TemporalNamespaceDivision, or under a division."""
    plain = record(RUNS[0])
    inside = record(RUNS[1], search_attributes=search_attributes({"TemporalNamespaceDivision": "TemporalScheduler"}))

    def seen(text: str, division: str | None = None) -> list[bool]:
        where = resolve.compile_list(text, CUSTOM, division)
        return [matches(where, one) for one in (plain, inside)]

    assert seen("") == [True, False]
    assert seen("WorkflowId = 'wf' OR TemporalNamespaceDivision = 'none'") == [True, True]
    assert seen("NamespaceDivision IS NOT NULL") == [False, True]
    assert seen("", "TemporalScheduler") == [False, True]
    assert seen("WorkflowId = 'wf' OR 1.5 < HistoryLength OR CI = 1"[:17], "other") == [False, False]


@pytest.mark.parametrize(
    ("text", "group"),
    [("GROUP BY ExecutionStatus", "ExecutionStatus"), ("GROUP BY NamespaceDivision", "TemporalNamespaceDivision")],
)
def test_count_groups(text: str, group: str) -> None:
    """The name comes back resolved; grouping by division counts all of them."""
    found = resolve.compile_count(text, CUSTOM)

    assert found.group_by == group


@pytest.mark.parametrize("name", ["WorkflowType", "CK"])
def test_count_does_not_group_by_others(name: str) -> None:
    """Only attributes with few values can be grouped by."""
    with pytest.raises(InvalidArgument) as raised:
        resolve.compile_count(f"GROUP BY {name}", CUSTOM)

    expected = f"operation is not supported: 'GROUP BY' clause is not supported for search attribute {name}"
    assert raised.value.message == f"invalid query: {expected}"


def test_an_attribute_of_another_type_is_another_attribute() -> None:
    """After an attribute was removed and added with a new type, old values are invisible, not errors."""
    old = record(search_attributes=search_attributes({"CI": 5}))

    assert not matches(resolve.compile_list("CI = 'x' OR CI != 'x' OR CI IS NOT NULL", {"CI": attributes.KEYWORD}), old)
