"""The SQL of visibility: it means what `evaluate` means, carries no value in its text, and pages without gaps."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.errors import InvalidArgument
from perdure.ids import Kind
from perdure.visibility import evaluate, resolve, sql
from perdure.visibility import token as page_token
from perdure.visibility.record import VisibilityRecord
from perdure.visibility.schema import schema
from perdure.visibility.sql import Dialect
from tests.visibility.samples import CUSTOM, NAMESPACE, RUNS, filters, many_records, record, search_attributes

SQLITE = Dialect.SQLITE
WORKFLOW = Kind.WORKFLOW
OTHER = "6f1c1c5e-0000-4000-8000-000000000002"


def store(records: list[VisibilityRecord]) -> sqlite3.Connection:
    """A database that holds the records."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in schema(SQLITE):
        connection.execute(statement)
    put(connection, records)
    return connection


def put(connection: sqlite3.Connection, records: list[VisibilityRecord]) -> None:
    for one in records:
        for statement, parameters in sql.upsert(SQLITE, one):
            connection.execute(statement, parameters)


def listed(
    connection: sqlite3.Connection, where: resolve.Condition | None, page_size: int = 0, token: bytes = b""
) -> tuple[list[VisibilityRecord], bytes]:
    statement, parameters = sql.list_page(SQLITE, NAMESPACE, WORKFLOW, where, page_size, token)
    return sql.page(connection.execute(statement, parameters).fetchall(), page_size)


@settings(max_examples=150, deadline=None)
@given(many_records(), filters())
def test_sql_selects_what_the_evaluator_selects(records: list[VisibilityRecord], text: str) -> None:
    """Same records, same filter: same page, same order, whole records back."""
    where = resolve.compile_list(text, CUSTOM)

    found, token = listed(store(records), where)

    expected, _ = evaluate.list_page(records, NAMESPACE, WORKFLOW, where, sql.PAGE_SIZE_MAX, b"")
    assert found == expected
    assert token == b""


@settings(max_examples=50, deadline=None)
@given(many_records(), filters(), st.sampled_from(["", "ExecutionStatus", "TemporalNamespaceDivision"]))
def test_sql_counts_what_the_evaluator_counts(records: list[VisibilityRecord], text: str, group: str) -> None:
    """Counts and groups agree, largest group first."""
    found = resolve.compile_count(f"{text} GROUP BY {group}" if group else text, CUSTOM)

    statement, parameters = sql.count(SQLITE, NAMESPACE, WORKFLOW, found.where, found.group_by)
    rows = store(records).execute(statement, parameters).fetchall()

    expected = evaluate.count(records, NAMESPACE, WORKFLOW, found.where, found.group_by)
    assert sorted(rows, key=repr) == sorted(expected, key=repr)
    assert [row[1] for row in rows] == sorted([row[1] for row in rows], reverse=True)


@settings(max_examples=50, deadline=None)
@given(many_records(), st.integers(1, 4))
def test_pages_have_no_gap_and_no_repeat(records: list[VisibilityRecord], page_size: int) -> None:
    """Tokens walk the whole list in order; only a full page has one, so the last page may be empty."""
    connection = store(records)
    everything, _ = listed(connection, None)
    walked: list[VisibilityRecord] = []
    token = b""
    while True:
        found, token = listed(connection, None, page_size, token)
        walked += found
        assert bool(token) == (len(found) == page_size)
        if not token:
            break

    assert walked == everything
    assert len(walked) == len(records)


def test_a_run_that_starts_between_pages_moves_nothing() -> None:
    """The token is a place in the order, not a count: newer runs come before it and are not seen."""
    connection = store([record(RUNS[number], start_time=100 - number) for number in range(4)])
    first, token = listed(connection, None, 2)
    put(connection, [record(RUNS[9], start_time=1000)])

    second, _ = listed(connection, None, 2, token)

    assert [one.run_id for one in first + second] == RUNS[:4]


def test_open_runs_come_first_then_the_last_closed() -> None:
    """Order of semantics 15.4: close time falling with open ones first, start time falling, run id rising."""
    records = [
        record(RUNS[1], start_time=5),
        record(RUNS[0], start_time=5),
        record(RUNS[2], start_time=9),
        record(RUNS[3], status=2, start_time=9, close_time=20),
        record(RUNS[4], status=2, start_time=1, close_time=30),
    ]

    found, _ = listed(store(records), None)

    assert [one.run_id for one in found] == [RUNS[2], RUNS[0], RUNS[1], RUNS[4], RUNS[3]]


def test_a_record_is_one_row_and_an_older_version_changes_nothing() -> None:
    """Writes are idempotent by run id, and a stale one loses."""
    connection = store([record(version=2, workflow_type="new"), record(version=1, workflow_type="old")])
    put(connection, [record(version=2, workflow_type="new")])

    found, _ = listed(connection, None)

    assert [one.workflow_type for one in found] == ["new"]


def test_every_record_has_the_same_statement() -> None:
    """Stores batch writes with executemany, so the text may not depend on the record."""
    plain = sql.upsert(SQLITE, record())
    rich = sql.upsert(SQLITE, record(search_attributes=search_attributes({"CK": "x"}), close_time=4, status=2))

    assert len(plain) == len(rich) == 1
    assert plain[0][0] == rich[0][0]
    assert plain[0][0].count("?") == len(plain[0][1])


@pytest.mark.parametrize("by_key", [False, True])
def test_delete_removes_one_run(by_key: bool) -> None:
    """By the run's text or by the 16 bytes of it; deleting again does nothing."""
    connection = store([record(RUNS[0]), record(RUNS[1])])
    run_id: str | bytes = bytes.fromhex(RUNS[0].replace("-", "")) if by_key else RUNS[0]
    for _ in range(2):
        connection.execute(*sql.delete(SQLITE, run_id))

    assert [one.run_id for one in listed(connection, None)[0]] == [RUNS[1]]


@pytest.mark.parametrize(
    "value",
    ["x' OR '1'='1", "x'; DROP TABLE visibility; --", "') OR 1=1 --", "\\' OR 1=1 --", '" OR ""="', "?", "$1", "%s"],
)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_values_never_reach_the_statement(dialect: Dialect, value: str) -> None:
    """Whatever a filter says is a parameter; the text of the statement is the same for every value."""
    custom = {"CK": 2, value: 2}
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    texts = [
        f"WorkflowId = '{quoted}' OR CK = '{quoted}' OR CK STARTS_WITH '{quoted}' OR BuildIds IN ('{quoted}')",
        "WorkflowId = 'a' OR CK = 'a' OR CK STARTS_WITH 'a' OR BuildIds IN ('a')",
        f"`{value}` = 'a' OR `{value}` IS NULL",
        "CK = 'a' OR CK IS NULL",
    ]

    statements = [sql.list_page(dialect, value, WORKFLOW, resolve.compile_list(one, custom), 10, b"") for one in texts]

    assert statements[0][0] == statements[1][0]
    assert statements[2][0] == statements[3][0]
    if dialect is SQLITE:
        connection = store([record()])
        for statement, parameters in statements:
            assert connection.execute(statement, parameters).fetchall() == []
        assert len(listed(connection, None)[0]) == 1


def test_no_filter_reaches_another_namespace() -> None:
    """The namespace stands at the top: an OR of the filter cannot get around it."""
    connection = store([record(RUNS[0]), record(RUNS[1], namespace_id=OTHER)])
    where = resolve.compile_list("WorkflowId = 'wf' OR WorkflowId IS NOT NULL OR RunId IS NULL", CUSTOM)

    assert [one.run_id for one in listed(connection, where)[0]] == [RUNS[0]]


@pytest.mark.parametrize("word", ["AND", "OR"])
def test_the_longest_filter_runs(word: str) -> None:
    """As many conditions as the grammar allows stay inside what SQLite takes in depth and parameters."""
    text = f" {word} ".join(["CK != 'x'"] * 996)
    many = "WorkflowId IN (" + ",".join(["'a'"] * 8000) + ")"
    connection = store([record(search_attributes=search_attributes({"CK": "y"}))])

    assert len(listed(connection, resolve.compile_list(text, CUSTOM))[0]) == 1
    assert listed(connection, resolve.compile_list(many, CUSTOM))[0] == []


@pytest.mark.parametrize("text", ["WorkflowId = 'wf'", "RunId = 'x'", "WorkflowId IN ('a', 'b') AND CK = 'x'"])
def test_ids_are_found_by_their_index(text: str) -> None:
    """A filter on one workflow or run must not walk the namespace."""
    statement, parameters = sql.list_page(SQLITE, NAMESPACE, WORKFLOW, resolve.compile_list(text, CUSTOM), 10, b"")

    plan = store([]).execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()

    assert any("visibility_workflow" in row[3] or "visibility_run" in row[3] for row in plan)


@pytest.mark.parametrize("page_size", [10, 1000])
def test_lists_walk_an_index_and_counts_stay_in_it(page_size: int) -> None:
    """A page sorts nothing and starts where the token says; counts by status read the index only."""
    connection = store([])
    token = page_token.encode(record())
    statement, parameters = sql.list_page(SQLITE, NAMESPACE, WORKFLOW, None, page_size, token)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    walked = "(namespace_id=? AND kind=? AND (close_key,start_key,run_key)>(?,?,?))"
    assert [row[3] for row in plan] == [f"SEARCH visibility USING INDEX visibility_page {walked}"]

    found = resolve.compile_count("WorkflowType = 'T' GROUP BY ExecutionStatus", {})
    statement, parameters = sql.count(SQLITE, NAMESPACE, WORKFLOW, found.where, found.group_by)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    assert "COVERING INDEX visibility_page" in plan[0][3]


@pytest.mark.parametrize("asked", [0, -1, 1001])
def test_an_unset_or_too_large_page_size_means_a_thousand(asked: int) -> None:
    """Semantics 15.4."""
    assert sql.list_page(SQLITE, NAMESPACE, WORKFLOW, None, asked, b"")[1][-1] == 1000


@pytest.mark.parametrize(
    "token",
    [
        b"x",
        b"[]",
        b"{}",
        b"\xff",
        b"[1,2,3]",
        b"[" * 200,
        b"[" * 300,
        b'[1,1,1,"' + b"0" * 32 + b'"]',
        b'[2,1,1,"' + b"0" * 32 + b'"]',
        b'[3,1,1,"' + b"0" * 32 + b'","x"]',
        b'[2,true,1,"' + b"0" * 32 + b'","x"]',
        b'[2,1.5,1,"' + b"0" * 32 + b'","x"]',
        b'[2,99999999999999999999,1,"' + b"0" * 32 + b'","x"]',
        b'[2,1,1,"00","x"]',
        b'[2,1,1,"' + b"zz" * 16 + b'","x"]',
        b'[2,1,1,"' + b" 00 " * 8 + b'","x"]',
    ],
)
def test_a_foreign_token_is_an_invalid_argument(token: bytes) -> None:
    """Tokens come from callers: every byte is checked before it reaches a statement."""
    with pytest.raises(InvalidArgument, match="page token"):
        sql.list_page(SQLITE, NAMESPACE, WORKFLOW, None, 10, token)
    with pytest.raises(InvalidArgument, match="page token"):
        evaluate.list_page([], NAMESPACE, WORKFLOW, None, 10, token)


def test_group_by_anything_else_is_refused() -> None:
    """A count that cannot be executed is never answered with another one."""
    with pytest.raises(InvalidArgument):
        sql.count(SQLITE, NAMESPACE, WORKFLOW, None, "WorkflowType")
