"""Visibility in SQLite: rows, their index entries and the counters, written together, and lists and counts by them.

Writes run on the loop inside the transaction of a commit, a bounded number of statements a record. Reads run in the
reader thread, and each statement returns one row or few: a thread that steps row by row would wait for the interpreter
at each of them. It begins and ends no transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, final

import msgspec

from perdure.visibility import entries, listing, plan
from perdure.visibility import sql as visibility
from perdure.visibility import token as page_token
from perdure.visibility.conditions import Condition
from perdure.visibility.listing import Query
from perdure.visibility.plan import Arms, Runs, Way
from perdure.visibility.predicates import Dialect
from perdure.visibility.record import VisibilityRecord
from perdure.visibility.schema import columns

_INSERT: Final = visibility.insert()
_STATE: Final = frozenset(
    {
        "close_key",
        "status",
        "history_length",
        "history_size_bytes",
        "execution_duration",
        "state_transition_count",
        "version",
        "attributes",
        "memo",
        "search_attributes",
    }
)
"""Columns that change while a run lives; the others are its identity, and written once unless they change after all."""
_UPDATE, _UPDATED = visibility.update(_STATE)
_MOVE, _MOVED = visibility.update(frozenset(columns(Dialect.SQLITE)) - {"run_key"})
_KEPT: Final = (
    "attributes",
    "version",
    "status",
    "close_key",
    "start_key",
    "list",
    "workflow_type",
    "workflow_id",
    "parent_workflow_id",
    "root_workflow_id",
    "namespace_id",
    "kind",
    "division",
    "run_id",
    "execution_time",
    "task_queue",
    "parent_run_id",
    "root_run_id",
)
"""What entries and counters are made of, and the identity, from the start key on."""
_STATUS: Final = _KEPT.index("status")
_IDENTITY: Final = _KEPT.index("start_key")
_LIST: Final = _KEPT.index("list")
_placed: Final = itemgetter(
    *map(
        _KEPT.index,
        ("list", "workflow_type", "workflow_id", "parent_workflow_id", "root_workflow_id", "attributes"),
    )
)
_counter: Final = itemgetter(*map(_KEPT.index, ("namespace_id", "kind", "division", "workflow_type", "status")))
_STORED: Final = f"SELECT {', '.join(_KEPT)} FROM visibility WHERE run_key = ?"
_kept: Final = itemgetter(*[list(columns(Dialect.SQLITE)).index(name) for name in _KEPT])
_updated: Final = itemgetter(*_UPDATED)
_moved: Final = itemgetter(*_MOVED)
_DELETE: Final = "DELETE FROM visibility WHERE run_key = ?"
_ENTRY: Final = "(attribute, value, status, close_key, start_key, run_key)"
_PUT_ENTRY: Final = f"INSERT INTO visibility_entry {_ENTRY} VALUES (?, ?, ?, ?, ?, ?)"
# One statement on the primary key: it goes down the tree twice, where a deletion and an insertion go three times.
_MOVE_ENTRY: Final = (
    f"UPDATE visibility_entry SET status = ?, close_key = ?, start_key = ? WHERE {_ENTRY} = (?, ?, ?, ?, ?, ?)"
)
_DELETE_ENTRY: Final = f"DELETE FROM visibility_entry WHERE {_ENTRY} = (?, ?, ?, ?, ?, ?)"
_COUNT: Final = """INSERT INTO visibility_count
   (namespace_id, kind, division_key, division, workflow_type, status, piece, n)
   VALUES (?1, ?2, coalesce('=' || ?3, ''), ?3, ?4, ?5, 0, ?6) ON CONFLICT DO UPDATE SET n = n + excluded.n"""
_DROP_COUNT: Final = """DELETE FROM visibility_count WHERE n = 0
   AND (namespace_id, kind, division_key, workflow_type, status) = (?1, ?2, coalesce('=' || ?3, ''), ?4, ?5)"""
_BLOBS: Final = ("memo", "search_attributes")
_LISTED: Final = (*listing.NAMES, "close_key", "start_key")
_DIVISIONS: Final = "SELECT DISTINCT division FROM visibility_count WHERE namespace_id = ? AND kind = ?"
_UNFILLED: Final = "SELECT run_key, {} FROM visibility WHERE run_key > ? ORDER BY run_key LIMIT 1000"
_SET_LIST: Final = "UPDATE visibility SET list = ? WHERE run_key = ?"

KNOWN_MAX: Final = 10_000
"""Rows of open runs that are known without being read; less than half a KiB each."""

Row = tuple[Any, ...]
"""The values of `_KEPT`."""
Entry = tuple[int, entries.EntryValue, int, int, int, bytes]
Counts = dict[tuple[object, ...], int]


def _places(row: Row) -> entries.Places:
    """Where the entries of a row stand."""
    return entries.places(*_placed(row))


def _entries(places: entries.Places, row: Row, key: bytes) -> list[Entry]:
    order = (*row[_STATUS:_LIST], key)
    return [(attribute, value, *order) for attribute, value in places]


@final
class _Changes:
    """What the records of one transaction change in entries and counters."""

    __slots__ = ("counts", "fresh", "moved", "stale")

    def __init__(self) -> None:
        self.fresh: list[Entry] = []
        self.stale: list[Entry] = []
        self.moved: list[tuple[object, ...]] = []
        self.counts: Counts = {}

    def new(self, key: bytes, row: Row) -> None:
        self.fresh += _entries(_places(row), row, key)
        counter = _counter(row)
        self.counts[counter] = self.counts.get(counter, 0) + 1

    def gone(self, key: bytes, row: Row) -> None:
        self.stale += _entries(_places(row), row, key)
        counter = _counter(row)
        self.counts[counter] = self.counts.get(counter, 0) - 1

    def changed(self, key: bytes, before: Row, row: Row) -> None:
        kept = _places(row)
        if before[0] != row[0]:
            after = kept
            places = _places(before)
            kept = places & after
            self.stale += _entries(places - kept, before, key)
            self.fresh += _entries(after - kept, row, key)
        if before[_STATUS:_LIST] != row[_STATUS:_LIST]:
            to = row[_STATUS:_LIST]
            at = (*before[_STATUS:_LIST], key)
            self.moved += [(*to, attribute, value, *at) for attribute, value in kept]
        if before[_STATUS] != row[_STATUS]:
            counts = self.counts
            less, more = _counter(before), _counter(row)
            counts[less] = counts.get(less, 0) - 1
            counts[more] = counts.get(more, 0) + 1

    def write(self, cursor: sqlite3.Cursor) -> None:
        if self.stale:
            cursor.executemany(_DELETE_ENTRY, self.stale)
        if self.moved:
            cursor.executemany(_MOVE_ENTRY, self.moved)
        if self.fresh:
            cursor.executemany(_PUT_ENTRY, self.fresh)
        changed = [(*counter, n) for counter, n in self.counts.items() if n]
        if changed:
            cursor.executemany(_COUNT, changed)


def put(
    cursor: sqlite3.Cursor,
    records: Mapping[bytes, VisibilityRecord],
    known: dict[bytes, Row],
    born: Container[bytes] = (),
) -> None:
    """Writes records by the keys of their runs; one older than what is stored changes nothing.

    `known` are rows as they are stored, by run key, so that what is changed need not be read; it is kept up to date
    here, for open runs, and must be emptied by whoever rolls back. The rows of `born` runs were inserted in this
    transaction, so they hardly have a record yet, and none is looked for.
    """
    updated: list[Row] = []
    changes = _Changes()
    for key, record in records.items():
        parameters = visibility.sqlite_row(record)
        row = _kept(parameters)
        if key in born and cursor.execute(_INSERT, parameters).rowcount:
            changes.new(key, row)
        else:
            before = known.get(key) or cursor.execute(_STORED, (key,)).fetchone()
            if before is None:
                cursor.execute(_INSERT, parameters)
                changes.new(key, row)
            elif before[1] > record.version:
                continue
            else:
                if before[_IDENTITY:] == row[_IDENTITY:]:
                    changes.changed(key, before, row)
                    updated.append(_updated(parameters))
                else:
                    changes.gone(key, before)
                    changes.new(key, row)
                    cursor.execute(_MOVE, _moved(parameters))
        if record.close_time is None and (row[0] is None or len(row[0]) <= entries.REMEMBERED_CHARS_MAX):
            known[key] = row
        else:
            known.pop(key, None)
    while len(known) > KNOWN_MAX:
        del known[next(iter(known))]
    if updated:
        cursor.executemany(_UPDATE, updated)
    changes.write(cursor)


def remove(cursor: sqlite3.Cursor, keys: Iterable[bytes], known: dict[bytes, Row]) -> None:
    """Removes the records of runs; one that has none is passed over."""
    changes = _Changes()
    for key in keys:
        known.pop(key, None)
        before = cursor.execute(_STORED, (key,)).fetchone()
        if before is not None:
            changes.gone(key, before)
            cursor.execute(_DELETE, (key,))
    changes.write(cursor)
    if changes.counts:
        cursor.executemany(_DROP_COUNT, list(changes.counts))


def fill(connection: sqlite3.Connection) -> None:
    """Makes the lists and entries of rows that were written before there were any (a step of migration)."""
    statement = _UNFILLED.format(", ".join(_KEPT))
    last = b""
    while rows := connection.execute(statement, (last,)).fetchall():
        for key, *values in rows:
            values[_LIST] = entries.list_key(*_counter(values)[:3])
            connection.execute(_SET_LIST, (values[_LIST], key))
            connection.executemany(_PUT_ENTRY, _entries(_places(tuple(values)), tuple(values), key))
        last = rows[-1][0]


def read_page(
    connection: sqlite3.Connection,
    namespace_id: str,
    kind: int,
    where: Condition | None,
    page_size: int,
    token: bytes,
) -> tuple[list[VisibilityRecord], bytes]:
    """A page, and the token of the next. Raises InvalidArgument for a token that is not ours."""
    after = page_token.decode(token, namespace_id, kind)
    limit = visibility.page_size_of(page_size)
    query = _query(connection, namespace_id, kind, where)
    text, parameters = listing.page(query, _way(connection, query, plan.GATHERED_MAX), limit, after)
    items = ", ".join([f"hex({name})" if name in _BLOBS else name for name in _LISTED])
    one_row = f"SELECT json_group_array(json_array({items})) FROM ({text})"
    rows: list[dict[str, Any]] = []
    for values in msgspec.json.decode(connection.execute(one_row, parameters).fetchone()[0]):
        row = dict(zip(_LISTED, values, strict=True))
        for name in _BLOBS:
            row[name] = bytes.fromhex(row[name])
        rows.append(row)
    return visibility.page([[row[name] for name in visibility.READ] for row in rows], page_size)


def read_count(
    connection: sqlite3.Connection, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
) -> list[tuple[object, int]]:
    """Counts by value of `group_by`, largest first, or one pair (None, count) without it."""
    if plan.is_counted(where):
        return connection.execute(*visibility.counted(Dialect.SQLITE, namespace_id, kind, where, group_by)).fetchall()
    query = _query(connection, namespace_id, kind, where)
    # A count that entries answer need not fetch much instead.
    cheap = plan.is_in_entries(where, plan.every(query.lists))
    most = plan.GATHERED_MAX if cheap else plan.GATHERED_TO_COUNT_MAX
    return connection.execute(*listing.count(query, _way(connection, query, most), group_by)).fetchall()


def _query(connection: sqlite3.Connection, namespace_id: str, kind: int, where: Condition | None) -> Query:
    divisions = plan.divisions(where)
    if divisions is None:
        divisions = tuple([row[0] for row in connection.execute(_DIVISIONS, (namespace_id, kind))])
    return Query(namespace_id, kind, where, tuple([entries.list_key(namespace_id, kind, one) for one in divisions]))


def _way(connection: sqlite3.Connection, query: Query, most: int) -> Way:
    """The way with the fewest entries; when all have many, one that is in list order and has not every record."""
    found = plan.ways(query.where, query.lists)
    for way in found:
        if isinstance(way, Runs):
            return way
    leaf = plan.type_leaf(query.where)
    if leaf is not None:
        types = _types(connection, query, leaf)
        if len(types) <= plan.TYPES_MAX:
            found.append(plan.of_types(query.lists, types, leaf))
    statuses = len(plan.statuses(query.where))
    best: Way = plan.every(query.lists)
    fewest = most + 1
    for way in found:
        if isinstance(way, Arms) and len(way.arms) * statuses > plan.ARMS_MAX:
            continue
        weight = plan.weight(way)
        n: int = weight * connection.execute(*listing.probe(query, way, most // weight + 1)).fetchone()[0]
        if n < fewest or (n == fewest and isinstance(way, Arms)):
            best, fewest = way, n
    return best


def _types(connection: sqlite3.Connection, query: Query, leaf: Condition) -> list[str]:
    """The types of which a part of a filter holds, up to one more than a walk can merge."""
    text, parameters = visibility.counted_types(query.namespace_id, query.kind, leaf, plan.TYPES_MAX + 1)
    return [row[0] for row in connection.execute(text, parameters)]
