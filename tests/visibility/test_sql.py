"""The SQL of visibility: it means what `evaluate` means, carries no value in its text, and pages without gaps."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.errors import InvalidArgument
from perdure.ids import Kind
from perdure.store.sql import sqlite_visibility
from perdure.visibility import entries, evaluate, listing, plan, resolve, sql
from perdure.visibility.listing import Query
from perdure.visibility.predicates import Dialect
from perdure.visibility.record import VisibilityRecord, order_key, run_key
from perdure.visibility.schema import schema
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
        sqlite_visibility.put(connection.cursor(), {run_key(one.run_id): one}, {})


def listed(
    connection: sqlite3.Connection, where: resolve.Condition | None, page_size: int = 0, token: bytes = b""
) -> tuple[list[VisibilityRecord], bytes]:
    return sqlite_visibility.read_page(connection, NAMESPACE, WORKFLOW, where, page_size, token)


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

    rows = sqlite_visibility.read_count(store(records), NAMESPACE, WORKFLOW, found.where, found.group_by)

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


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_record_has_the_same_statement(dialect: Dialect) -> None:
    """Stores batch writes with executemany, so the text may not depend on the record."""
    plain, one = sql.upsert(dialect, record())
    rich, other = sql.upsert(dialect, record(search_attributes=search_attributes({"CK": "x"}), close_time=14, status=2))

    assert plain == rich
    assert len(one) == len(other)


def test_remove_leaves_nothing_of_a_run() -> None:
    """Neither row nor entries nor counters; removing it again does nothing."""
    rich = search_attributes({"CK": "x", "CL": ["a", "b"], "CI": 4})
    connection = store([record(RUNS[0], search_attributes=rich, parent_workflow_id="p", root_workflow_id="r")])
    assert connection.execute("SELECT count(*) FROM visibility_entry").fetchone() == (8,)
    put(connection, [record(RUNS[1])])
    for _ in range(2):
        sqlite_visibility.remove(connection.cursor(), [run_key(RUNS[0]), run_key(RUNS[3])], {})

    assert [one.run_id for one in listed(connection, None)[0]] == [RUNS[1]]
    assert connection.execute("SELECT count(*) FROM visibility_entry").fetchone() == (2,)
    sqlite_visibility.remove(connection.cursor(), [run_key(RUNS[1])], {})
    for table in ("visibility", "visibility_entry", "visibility_count"):
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == []


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

    filters = [resolve.compile_list(one, custom) for one in texts]
    if dialect is SQLITE:
        lists = (entries.list_key(value, WORKFLOW, None),)
        queries = [Query(value, WORKFLOW, where, lists) for where in filters]
        statements = [listing.page(query, plan.every(lists), 10, None)[0] for query in queries]
        for query in queries:
            statements += [listing.probe(query, way, 10)[0] for way in plan.ways(query.where, lists)]
        connection = store([record()])
        for where in filters:
            assert sqlite_visibility.read_page(connection, value, WORKFLOW, where, 10, b"") == ([], b"")
        assert len(listed(connection, None)[0]) == 1
    else:
        statements = [sql.list_page(value, WORKFLOW, where, 10, b"")[0] for where in filters]

    assert statements[0] == statements[1]
    assert statements[2] == statements[3]
    assert all(value in "?$1" or value not in statement for statement in statements)


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


_BY_INDEX = [
    ("WorkflowId = 'wf'", "visibility_workflow"),
    ("RunId = 'x'", "visibility_run"),
    ("WorkflowId IN ('a', 'b') AND CK = 'x'", "visibility_workflow"),
    ("WorkflowId STARTS_WITH 'a'", "visibility_workflow"),
    ("RootWorkflowId = 'a'", "visibility_workflow"),
    ("CI > 4 AND CT = 'x'", "SEARCH p USING PRIMARY KEY"),
    ("StartTime BETWEEN 4 AND 5", "visibility_started"),
    ("WorkflowId = 'a' OR RunId = 'b' OR CK = 'x'", "visibility_workflow"),
    ("CK STARTS_WITH 'a'", "SEARCH p USING PRIMARY KEY"),
]


@pytest.mark.parametrize(("text", "index"), _BY_INDEX)
def test_few_candidates_are_gathered_by_an_index(text: str, index: str) -> None:
    """A filter on one workflow, run or value must not walk the namespace."""
    query = _query(text)
    (way, *_) = plan.ways(query.where, query.lists)

    plans = _plan(listing.page(query, way, 10, None))

    assert any(index in line for line in plans)
    assert not any("SCAN v" in line for line in plans)


@pytest.mark.parametrize(
    "text", ["", "ExecutionStatus = 'Failed'", "WorkflowType = 'T'", "CK = 'x'", "CL IN ('a', 'b')", "StartTime > 4"]
)
def test_walks_sort_nothing(text: str) -> None:
    """Ranges are read in list order, behind the token, and merged: a page costs what it holds."""
    query = _query(text)
    found = [way for way in plan.ways(query.where, query.lists) if isinstance(way, plan.Arms)]
    way = found[0] if found else plan.every(query.lists)

    for after in (None, order_key(record()), order_key(record(status=2, close_time=20))):
        plans = _plan(listing.page(query, way, 10, after))
        assert not [line for line in plans if line.startswith(("USE TEMP B-TREE", "SCAN v", "SCAN p"))]


def test_counts_stay_in_the_index_or_the_counters() -> None:
    """By type and status nothing is scanned; by another attribute, or by time, no row is read."""
    for text in ("CK = 'x'", "StartTime > 4 AND ExecutionStatus = 'Running'"):
        query = _query(text)
        found = [way for way in plan.ways(query.where, query.lists) if isinstance(way, plan.Arms)]
        plans = _plan(listing.count(query, found[0] if found else plan.every(query.lists), "ExecutionStatus"))
        assert not any(" v " in line for line in plans), plans
    where = resolve.compile_count("WorkflowType STARTS_WITH 'T' AND ExecutionStatus != 2", {}).where
    assert plan.is_counted(where)
    assert not plan.is_counted(resolve.compile_count("CK = 'x'", CUSTOM).where)


def _query(text: str) -> Query:
    return Query(
        NAMESPACE, WORKFLOW, resolve.compile_list(text, CUSTOM), (entries.list_key(NAMESPACE, WORKFLOW, None),)
    )


def _plan(statement: sql.Statement) -> list[str]:
    return [row[3] for row in store([]).execute(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1]).fetchall()]


@pytest.mark.parametrize("asked", [0, -1, 1001])
def test_an_unset_or_too_large_page_size_means_a_thousand(asked: int) -> None:
    """Semantics 15.4."""
    assert sql.list_page(NAMESPACE, WORKFLOW, None, asked, b"")[1][-1] == 1000


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
        sql.list_page(NAMESPACE, WORKFLOW, None, 10, token)
    with pytest.raises(InvalidArgument, match="page token"):
        evaluate.list_page([], NAMESPACE, WORKFLOW, None, 10, token)
