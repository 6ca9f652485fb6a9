"""The SQL side of visibility: the statements of writes and counts for SQLite and PostgreSQL, and PostgreSQL's lists.

Pure: functions return text and parameters, stores run them inside their own transactions. One row a run, written with
one statement that is the same text for every record (stores batch it with `executemany`). Custom attributes are keys
of a JSON column: any number of them, and registering one changes no table. SQLite finds them by `entries`, PostgreSQL
by an inverted index. `visibility_count` holds how many records there are by kind, division, type and status, in
pieces: owners that write at once do not wait for each other's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from perdure.visibility import token as page_token
from perdure.visibility.attributes import DIVISION, KEYWORD, Value, index_key, indexed
from perdure.visibility.conditions import Condition
from perdure.visibility.entries import list_key
from perdure.visibility.plan import is_counted
from perdure.visibility.predicates import Dialect, Writer, stored_values, workflow_hash
from perdure.visibility.record import OPEN_CLOSE_KEY, VisibilityRecord, close_key, run_key
from perdure.visibility.schema import columns

PAGE_SIZE_MAX: Final = 1000
"""Records in one page; also what an unset page size means (semantics 15.4)."""

REMEMBERED_BYTES_MAX: Final = 256
"""The longest search attributes whose columns are kept in memory, for the next record that has the same."""

Statement = tuple[str, tuple[object, ...]]

_WRITTEN: Final = {dialect: tuple(columns(dialect)) for dialect in Dialect}
READ: Final = (
    "namespace_id",
    "run_id",
    "workflow_id",
    "workflow_type",
    "status",
    "start_key",
    "execution_time",
    "close_key",
    "task_queue",
    "history_length",
    "history_size_bytes",
    "execution_duration",
    "state_transition_count",
    "parent_workflow_id",
    "parent_run_id",
    "root_workflow_id",
    "root_run_id",
    "memo",
    "search_attributes",
    "version",
    "kind",
)
"""The columns of a list, as `decode_row` takes them."""
GROUP_COLUMNS: Final = {"ExecutionStatus": "status", DIVISION: "division"}
_DIVISION_KEY: Final = index_key(DIVISION, KEYWORD)


def _upsert_text(dialect: Dialect) -> str:
    written = _WRITTEN[dialect]
    holes = [dialect.placeholder(number + 1) for number in range(len(written))]
    if dialect is Dialect.POSTGRESQL:
        holes[written.index("attributes")] += "::jsonb"
    sets = ", ".join([f"{name} = excluded.{name}" for name in written if name != "run_key"])
    return (
        f"INSERT INTO visibility ({', '.join(written)}) VALUES ({', '.join(holes)})"
        f" ON CONFLICT (run_key) DO UPDATE SET {sets} WHERE visibility.version <= excluded.version"
    )


_UPSERT: Final = {dialect: _upsert_text(dialect) for dialect in Dialect}


def upsert(dialect: Dialect, record: VisibilityRecord) -> Statement:
    """Write a record whole; a record older than the stored one (`version`) changes nothing. Idempotent.

    The parameters are in the order of `schema.columns`.
    """
    return _UPSERT[dialect], sqlite_row(record) if dialect is Dialect.SQLITE else postgresql_row(record)


def sqlite_row(record: VisibilityRecord) -> tuple[object, ...]:
    """A record as the values of `schema.columns`."""
    division, values = _shown(record)
    return _row(record, division, values, list_key(record.namespace_id, record.kind, division))


def postgresql_row(record: VisibilityRecord) -> tuple[object, ...]:
    """A record as the values of `schema.columns`."""
    division, values = _shown(record)
    return _row(record, division, values, workflow_hash(record.workflow_id))


def _row(record: VisibilityRecord, division: str | None, values: str | None, own: int) -> tuple[object, ...]:
    closed = record.close_time is not None
    return (
        record.key,
        record.namespace_id,
        close_key(record),
        -record.start_time,
        record.status,
        division,
        record.workflow_type,
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
        values,
        record.memo,
        record.search_attributes,
        record.kind,
        own,
    )


def _shown(record: VisibilityRecord) -> tuple[str | None, str | None]:
    """What the columns `division` and `attributes` hold for a record."""
    attributes = record.search_attributes
    if not attributes:
        return None, None
    return _decoded(attributes) if len(attributes) > REMEMBERED_BYTES_MAX else _remembered(attributes)


def _decoded(search_attributes: bytes) -> tuple[str | None, str | None]:
    values = indexed(search_attributes)
    return _division_in(values), stored_values(values)


_remembered = lru_cache(4096)(_decoded)
"""Many runs have the same attributes: the build of their worker, and nothing else."""


def _division_in(values: Mapping[str, Value]) -> str | None:
    found = values.get(_DIVISION_KEY)
    return None if found is None else str(found)


def insert() -> str:
    """SQLite: the statement that writes a record unless its run has one, with the parameters of `upsert`."""
    written = _WRITTEN[Dialect.SQLITE]
    holes = ", ".join("?" * len(written))
    return f"INSERT INTO visibility ({', '.join(written)}) VALUES ({holes}) ON CONFLICT (run_key) DO NOTHING"


def update(names: frozenset[str]) -> tuple[str, tuple[int, ...]]:
    """SQLite: the statement that writes some columns of a record over its row, and the places of its parameters among
    those of `upsert`; the last is the run key.

    An index is rewritten when one of its columns is set, whether or not it changes.
    """
    written = _WRITTEN[Dialect.SQLITE]
    places = [place for place, name in enumerate(written) if name in names]
    text = f"UPDATE visibility SET {', '.join([f'{written[place]} = ?' for place in places])} WHERE run_key = ?"
    return text, (*places, written.index("run_key"))


def division_of(record: VisibilityRecord) -> str | None:
    """The record's TemporalNamespaceDivision."""
    return _division_in(record.values())


def division_key(division: str | None) -> str:
    """The division as a part of a key that is never NULL."""
    return "" if division is None else "=" + division


def delete(dialect: Dialect, run_id: str | bytes) -> Statement:
    """Remove a run's record, given its id as text or as the 16 bytes of the UUID; nothing happens if there is none."""
    key = run_key(run_id) if isinstance(run_id, str) else run_id
    return f"DELETE FROM visibility WHERE run_key = {dialect.placeholder(1)}", (key,)


def _from_where(writer: Writer, table: str, namespace_id: str, kind: int, where: Condition | None) -> str:
    """The namespace and the kind first, at the top; the filter in parentheses of its own beside it."""
    text = f"FROM {table} WHERE namespace_id = {writer.bind(namespace_id)} AND kind = {writer.bind(kind)}"
    return text if where is None else f"{text} AND ({writer.condition(where)})"


def list_page(namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes) -> Statement:
    """PostgreSQL: one page of a kind in the order of semantics 15.4; `page` makes records and the next token of it.

    `page_size` outside 1..1000 means 1000. Raises InvalidArgument for a token that is not ours.
    """
    after = page_token.decode(token, namespace_id, kind)
    writer = Writer(Dialect.POSTGRESQL)
    text = _from_where(writer, "visibility", namespace_id, kind, where)
    if after is not None:
        holes = ", ".join([writer.bind(part) for part in after])
        text += f" AND (close_key, start_key, run_key) > ({holes})"
    limit = writer.bind(page_size_of(page_size))
    order = "close_key, start_key, run_key"
    return f"SELECT {', '.join(READ)} {text} ORDER BY {order} LIMIT {limit}", tuple(writer.parameters)


def page_size_of(asked: int) -> int:
    """The size that a page really has for the size asked for."""
    return asked if 0 < asked <= PAGE_SIZE_MAX else PAGE_SIZE_MAX


def page(rows: Sequence[Sequence[Any]], page_size: int) -> tuple[list[VisibilityRecord], bytes]:
    """The records of a page's rows, and the token of the next page: b"" if this one was not full."""
    records = [decode_row(row) for row in rows]
    full = bool(records) and len(records) == page_size_of(page_size)
    return records, page_token.encode(records[-1]) if full else b""


def count(namespace_id: str, kind: int, where: Condition | None, group_by: str | None) -> Statement:
    """PostgreSQL: rows of (value, count) of a kind, largest first, or one row (NULL, count) without `group_by`.

    `group_by` is `ExecutionStatus` (values are numbers) or `TemporalNamespaceDivision` (NULL for none).
    """
    if is_counted(where):
        return counted(Dialect.POSTGRESQL, namespace_id, kind, where, group_by)
    writer = Writer(Dialect.POSTGRESQL)
    text = _from_where(writer, "visibility", namespace_id, kind, where)
    if group_by is None:
        return f"SELECT NULL, count(*) {text}", tuple(writer.parameters)
    column = GROUP_COLUMNS[group_by]
    return f"SELECT {column}, count(*) {text} GROUP BY 1 ORDER BY 2 DESC, 1", tuple(writer.parameters)


def counted(dialect: Dialect, namespace_id: str, kind: int, where: Condition | None, group_by: str | None) -> Statement:
    """As `count`, from the counters, for a filter that `plan.is_counted` says they can answer."""
    writer = Writer(dialect)
    text = _from_where(writer, "visibility_count", namespace_id, kind, where)
    total = "CAST(coalesce(sum(n), 0) AS bigint)"
    if group_by is None:
        return f"SELECT NULL, {total} {text}", tuple(writer.parameters)
    column = GROUP_COLUMNS[group_by]
    return (
        f"SELECT {column}, {total} {text} GROUP BY 1 HAVING sum(n) > 0 ORDER BY 2 DESC, 1",
        tuple(writer.parameters),
    )


def counted_types(namespace_id: str, kind: int, where: Condition, limit: int) -> Statement:
    """SQLite: the workflow types that there are and that a condition on nothing else holds for."""
    writer = Writer(Dialect.SQLITE)
    text = _from_where(writer, "visibility_count", namespace_id, kind, where)
    return f"SELECT DISTINCT workflow_type {text} LIMIT {writer.bind(limit)}", tuple(writer.parameters)


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
