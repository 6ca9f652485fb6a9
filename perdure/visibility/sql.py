"""The SQL side of visibility: the statements of writes, lists and counts, for SQLite and PostgreSQL.

Pure: functions return text and parameters, stores run them inside their own transactions. One row a run, written with
one statement that is the same text for every record (stores batch it with `executemany`). Custom attributes are keys
of a JSON column: any number of them, and registering one changes no table.

Indexes, because every one in random order halves what a disk can take (DESIGN 5): run ids are time-ordered, the list
order is close to write order, and only `workflow_hash` is random, 8 bytes. The list index also holds status, division
and type, so counts and the usual filters are answered without touching rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from perdure.errors import InvalidArgument
from perdure.visibility import token as page_token
from perdure.visibility.attributes import DIVISION, KEYWORD, index_key
from perdure.visibility.conditions import Condition
from perdure.visibility.predicates import Dialect, Writer, seeks_row, stored_values, workflow_hash
from perdure.visibility.record import OPEN_CLOSE_KEY, VisibilityRecord, close_key, run_key
from perdure.visibility.schema import COLUMNS

__all__ = ["Dialect", "count", "decode_row", "delete", "list_page", "page", "upsert"]

PAGE_SIZE_MAX: Final = 1000
"""Records in one page; also what an unset page size means (semantics 15.4)."""

Statement = tuple[str, tuple[object, ...]]

_WRITTEN: Final = tuple([column[0] for column in COLUMNS])
_READ: Final = (
    "namespace_id, run_id, workflow_id, workflow_type, status, start_key, execution_time, close_key, task_queue,"
    " history_length, history_size_bytes, execution_duration, state_transition_count, parent_workflow_id,"
    " parent_run_id, root_workflow_id, root_run_id, memo, search_attributes, version, kind"
)
_GROUP_COLUMNS: Final = {"ExecutionStatus": "status", DIVISION: "division"}
_DIVISION_KEY: Final = index_key(DIVISION, KEYWORD)


def _upsert_text(dialect: Dialect) -> str:
    holes = [dialect.placeholder(number + 1) for number in range(len(_WRITTEN))]
    if dialect is Dialect.POSTGRESQL:
        holes[_WRITTEN.index("attributes")] += "::jsonb"
    sets = ", ".join([f"{name} = excluded.{name}" for name in _WRITTEN if name != "run_key"])
    return (
        f"INSERT INTO visibility ({', '.join(_WRITTEN)}) VALUES ({', '.join(holes)})"
        f" ON CONFLICT (run_key) DO UPDATE SET {sets} WHERE visibility.version <= excluded.version"
    )


_UPSERT: Final = {dialect: _upsert_text(dialect) for dialect in Dialect}


def upsert(dialect: Dialect, record: VisibilityRecord) -> list[Statement]:
    """Write a record whole; a record older than the stored one (`version`) changes nothing. Idempotent."""
    closed = record.close_time is not None
    values = record.values()
    return [
        (
            _UPSERT[dialect],
            (
                run_key(record.run_id),
                record.namespace_id,
                close_key(record),
                -record.start_time,
                record.status,
                values.get(_DIVISION_KEY),
                record.workflow_type,
                workflow_hash(record.workflow_id),
                record.workflow_id,
                record.run_id,
                record.execution_time,
                record.task_queue,
                record.history_length if closed else None,
                record.history_size_bytes if closed else None,
                record.execution_duration if closed else None,
                record.state_transition_count if closed else None,
                record.parent_workflow_id or None,
                record.parent_run_id or None,
                record.root_workflow_id or None,
                record.root_run_id or None,
                record.version,
                stored_values(values),
                record.memo,
                record.search_attributes,
                record.kind,
            ),
        )
    ]


def delete(dialect: Dialect, run_id: str | bytes) -> Statement:
    """Remove a run's record, given its id as text or as the 16 bytes of the UUID; nothing happens if there is none."""
    key = run_key(run_id) if isinstance(run_id, str) else run_id
    return f"DELETE FROM visibility WHERE run_key = {dialect.placeholder(1)}", (key,)


def _from_where(writer: Writer, namespace_id: str, kind: int, where: Condition | None) -> str:
    """The namespace and the kind first, at the top; the filter in parentheses of its own beside it."""
    # The unary plus keeps SQLite, which has no statistics here, from walking a namespace to find one run.
    steer = "+" if writer.dialect is Dialect.SQLITE and seeks_row(where) else ""
    text = f"FROM visibility WHERE {steer}namespace_id = {writer.bind(namespace_id)} AND kind = {writer.bind(kind)}"
    return text if where is None else f"{text} AND ({writer.condition(where)})"


def list_page(
    dialect: Dialect, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
) -> Statement:
    """Select one page of a kind in the order of semantics 15.4; `page` makes records and the next token of its rows.

    `page_size` outside 1..1000 means 1000. Raises InvalidArgument for a token that is not ours.
    """
    after = page_token.decode(token, namespace_id, kind)
    writer = Writer(dialect)
    text = _from_where(writer, namespace_id, kind, where)
    if after is not None:
        holes = ", ".join([writer.bind(part) for part in after])
        text += f" AND (close_key, start_key, run_key) > ({holes})"
    limit = writer.bind(page_size_of(page_size))
    order = "close_key, start_key, run_key"
    return f"SELECT {_READ} {text} ORDER BY {order} LIMIT {limit}", tuple(writer.parameters)


def page_size_of(asked: int) -> int:
    """The size that a page really has for the size asked for."""
    return asked if 0 < asked <= PAGE_SIZE_MAX else PAGE_SIZE_MAX


def page(rows: Sequence[Sequence[Any]], page_size: int) -> tuple[list[VisibilityRecord], bytes]:
    """The records of a page's rows, and the token of the next page: b"" if this one was not full."""
    records = [decode_row(row) for row in rows]
    full = bool(records) and len(records) == page_size_of(page_size)
    return records, page_token.encode(records[-1]) if full else b""


def count(dialect: Dialect, namespace_id: str, kind: int, where: Condition | None, group_by: str | None) -> Statement:
    """Count records of a kind: rows of (value, count), largest first, or one row (NULL, count) without `group_by`.

    `group_by` is `ExecutionStatus` (values are numbers) or `TemporalNamespaceDivision` (NULL for none); anything else
    raises InvalidArgument.
    """
    writer = Writer(dialect)
    text = _from_where(writer, namespace_id, kind, where)
    if group_by is None:
        return f"SELECT NULL, COUNT(*) {text}", tuple(writer.parameters)
    column = _GROUP_COLUMNS.get(group_by)
    if column is None:
        raise InvalidArgument(
            "invalid query: operation is not supported: 'GROUP BY' clause is not supported for search attribute "
            + group_by
        )
    return f"SELECT {column}, COUNT(*) {text} GROUP BY {column} ORDER BY 2 DESC, 1", tuple(writer.parameters)


def decode_row(row: Sequence[Any]) -> VisibilityRecord:
    """The record of a row of `list_page`."""
    closed = row[7] != OPEN_CLOSE_KEY
    return VisibilityRecord(
        namespace_id=row[0],
        run_id=row[1],
        workflow_id=row[2],
        workflow_type=row[3],
        status=row[4],
        start_time=-row[5],
        execution_time=row[6],
        close_time=-row[7] if closed else None,
        task_queue=row[8],
        history_length=row[9] or 0,
        history_size_bytes=row[10] or 0,
        execution_duration=row[11] or 0,
        state_transition_count=row[12] or 0,
        parent_workflow_id=row[13] or "",
        parent_run_id=row[14] or "",
        root_workflow_id=row[15] or "",
        root_run_id=row[16] or "",
        memo=bytes(row[17]),
        search_attributes=bytes(row[18]),
        version=row[19],
        kind=row[20],
    )
