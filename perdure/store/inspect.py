"""A store's rows as they are, read only: for `perdure admin`, which neither owns a store nor may change it.

One set of statements for both databases: a SQLite file is opened read-only, a PostgreSQL database in a read-only
transaction, and what is read is one snapshot. No lock is taken, so a server that runs is not disturbed; what it writes
meanwhile is not seen. It knows rows and bytes; what they mean is `perdure.admin`'s business.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, final

from perdure.store.api import KEYED, Record, StoreError
from perdure.store.sql.migrations import POSTGRESQL, SQLITE

PAGE_ROWS: Final = 500
"""Rows fetched at once where a table is walked."""

_FIRST: Final = b""


class StoredChain(NamedTuple):
    """A row of `chain`."""

    digest: bytes
    slot: int
    version: int
    current_run_id: bytes
    core: bytes


class StoredRun(NamedTuple):
    """A row of `run`."""

    run_id: bytes
    digest: bytes
    slot: int
    version: int
    alarm_ns: int | None
    core: bytes


class StoredFragment(NamedTuple):
    """A row of `fragment`."""

    first_event_id: int
    next_event_id: int
    body: bytes


class StoredVisibility(NamedTuple):
    """What is checked of a row of `visibility`."""

    namespace_id: str
    kind: int
    workflow_id: str
    status: int


Counter = tuple[str, int, str, str, int]
"""What a counter counts: namespace id, kind, division, type, status."""

Ask = Callable[[str, Sequence[object]], list[Any]]


@final
class Inspection:
    """An open store; a context manager. Methods raise `StoreError`."""

    def __init__(self, ask: Ask, close: Callable[[], None], name: str, newest: int, has_entries: bool) -> None:
        self._ask = ask
        self._close = close
        self.name = name
        self._newest = newest
        self._has_entries = has_entries

    def __enter__(self) -> Inspection:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def schema(self) -> int:
        """The number of the last migration that was applied. Raises StoreError when it is not ours."""
        applied = int(self._ask("SELECT coalesce(max(number), 0) FROM migration", ())[0][0])
        if applied != self._newest:
            raise StoreError(f"{self.name} has schema version {applied}; this version of Perdure knows {self._newest}")
        return applied

    def counts(self) -> dict[str, int]:
        """Rows by table."""
        tables = ("chain", "run", "part", "fragment", "visibility", "record")
        return {table: int(self._ask(f"SELECT count(*) FROM {table}", ())[0][0]) for table in tables}

    def history_bytes(self) -> int:
        """What all histories take."""
        return int(self._ask("SELECT coalesce(sum(length(body)), 0) FROM fragment", ())[0][0])

    def statuses(self) -> list[tuple[str, int, int, int]]:
        """(namespace id, kind, status, count) of everything that lists show."""
        rows = self._ask(
            "SELECT namespace_id, kind, status, count(*) FROM visibility GROUP BY namespace_id, kind, status", ()
        )
        return sorted([(str(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in rows])

    def records(self, table: str) -> list[Record]:
        """A registry's entries, by key."""
        rows = self._ask("SELECT key, version, body FROM record WHERE tab = ? ORDER BY key", (table,))
        return [Record(row[0], int(row[1]), bytes(row[2])) for row in rows]

    def epochs(self) -> list[tuple[int, int, int]]:
        """(first slot, last slot, epoch) of the owners."""
        return [tuple(row) for row in self._ask("SELECT first_slot, last_slot, epoch FROM ownership", ())]

    def chains(self) -> Iterator[StoredChain]:
        """All chains, by digest."""
        text = "SELECT digest, slot, version, current_run_id, core FROM chain WHERE digest > ? ORDER BY digest LIMIT ?"
        after = _FIRST
        while rows := self._ask(text, (after, PAGE_ROWS)):
            for row in rows:
                yield StoredChain(bytes(row[0]), row[1], row[2], bytes(row[3]), bytes(row[4]))
            after = bytes(rows[-1][0])

    def runs(self) -> Iterator[StoredRun]:
        """All runs, by id."""
        after = _FIRST
        while rows := self._ask(f"{_RUN} WHERE run_id > ? ORDER BY run_id LIMIT ?", (after, PAGE_ROWS)):
            yield from [_run(row) for row in rows]
            after = bytes(rows[-1][0])

    def chain(self, digest: bytes) -> StoredChain | None:
        """One chain."""
        rows = self._ask("SELECT digest, slot, version, current_run_id, core FROM chain WHERE digest = ?", (digest,))
        return StoredChain(bytes(rows[0][0]), *rows[0][1:3], *map(bytes, rows[0][3:5])) if rows else None

    def run(self, run_id: bytes) -> StoredRun | None:
        """One run."""
        rows = self._ask(f"{_RUN} WHERE run_id = ?", (run_id,))
        return _run(rows[0]) if rows else None

    def runs_of(self, digest: bytes) -> list[StoredRun]:
        """The runs of a chain, by id. Walks the table: there is no index for it."""
        return [_run(row) for row in self._ask(f"{_RUN} WHERE digest = ? ORDER BY run_id", (digest,))]

    def parts(self, run_id: bytes) -> list[tuple[int, bytes, bytes]]:
        """The parts that come with a run."""
        text = "SELECT kind, key, body FROM part WHERE run_id = ? AND kind < ? ORDER BY kind, key"
        return [(int(row[0]), bytes(row[1]), bytes(row[2])) for row in self._ask(text, (run_id, KEYED))]

    def history(self, branch_id: bytes) -> Iterator[StoredFragment]:
        """A branch, in order."""
        text = (
            "SELECT first_event_id, next_event_id, body FROM fragment WHERE branch_id = ? AND first_event_id > ?"
            " ORDER BY first_event_id LIMIT ?"
        )
        after = -1
        while rows := self._ask(text, (branch_id, after, PAGE_ROWS)):
            for row in rows:
                yield StoredFragment(int(row[0]), int(row[1]), bytes(row[2]))
            after = int(rows[-1][0])

    def branches(self) -> Iterator[bytes]:
        """The ids of all branches that have fragments."""
        text = "SELECT DISTINCT branch_id FROM fragment WHERE branch_id > ? ORDER BY branch_id LIMIT ?"
        after = _FIRST
        while rows := self._ask(text, (after, PAGE_ROWS)):
            yield from [bytes(row[0]) for row in rows]
            after = bytes(rows[-1][0])

    def visibility(self, run_id: bytes) -> StoredVisibility | None:
        """What lists show of a run."""
        text = "SELECT namespace_id, kind, workflow_id, status FROM visibility WHERE run_key = ?"
        rows = self._ask(text, (run_id,))
        return StoredVisibility(rows[0][0], int(rows[0][1]), rows[0][2], int(rows[0][3])) if rows else None

    def counters(self) -> tuple[dict[Counter, int], dict[Counter, int]]:
        """What is counted of visibility records, and what there is."""
        counted = self._ask(f"SELECT {_COUNTED}, sum(n) FROM visibility_count GROUP BY 1, 2, 3, 4, 5", ())
        text = (
            f"SELECT {_COUNTED.replace('division_key', _DIVISION_KEY)}, count(*) FROM visibility GROUP BY 1, 2, 3, 4, 5"
        )
        there = self._ask(text, ())
        return _by_counter(counted), _by_counter(there)

    def index_faults(self) -> tuple[int, int]:
        """Entries of SQLite's own index that lead nowhere, and visibility records that have none."""
        if not self._has_entries:
            return 0, 0
        stray = """SELECT count(*) FROM visibility_entry AS entry
            WHERE NOT EXISTS (SELECT 1 FROM visibility WHERE visibility.run_key = entry.run_key)"""
        bare = """SELECT count(*) FROM visibility
            WHERE run_key NOT IN (SELECT run_key FROM visibility_entry)"""
        return int(self._ask(stray, ())[0][0]), int(self._ask(bare, ())[0][0])

    def unseen(self) -> list[bytes]:
        """Keys of visibility records that have no run."""
        text = (
            "SELECT run_key FROM visibility WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.run_id = visibility.run_key)"
        )
        return [bytes(row[0]) for row in self._ask(text, ())]

    def stray_parts(self) -> int:
        """How many parts belong to no run and no chain."""
        text = (
            "SELECT count(*) FROM part WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.run_id = part.run_id)"
            " AND NOT EXISTS (SELECT 1 FROM chain WHERE chain.digest = part.run_id)"
        )
        return int(self._ask(text, ())[0][0])


_COUNTED: Final = "namespace_id, kind, division_key, workflow_type, status"
_DIVISION_KEY: Final = "coalesce('=' || division, '')"


def _by_counter(rows: list[Any]) -> dict[Counter, int]:
    return {(row[0], int(row[1]), row[2], row[3], int(row[4])): int(row[5]) for row in rows if row[5]}


_RUN: Final = "SELECT run_id, digest, slot, version, alarm_ns, core FROM run"


def _run(row: Sequence[Any]) -> StoredRun:
    return StoredRun(bytes(row[0]), bytes(row[1]), row[2], row[3], row[4], bytes(row[5]))


def inspect(place: str) -> Inspection:
    """Open the SQLite file at `place`, or the PostgreSQL database that a DSN names. Raises StoreError."""
    if place.startswith(("postgresql://", "postgres://")):
        return _inspect_postgresql(place)
    return _inspect_sqlite(place)


def _inspect_sqlite(path: str) -> Inspection:
    if not Path(path).is_file():
        raise StoreError(f"no store file at {path}")
    try:
        connection = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.execute("BEGIN")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error

    def ask(text: str, values: Sequence[object]) -> list[Any]:
        try:
            return connection.execute(text, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    return Inspection(ask, connection.close, path, SQLITE[-1].number, True)


def _inspect_postgresql(dsn: str) -> Inspection:
    try:
        import asyncpg
    except ImportError as missing:
        raise StoreError("reading PostgreSQL needs asyncpg: pip install 'perdure[postgresql]'") from missing

    runner = asyncio.Runner()
    failures = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
    try:
        connection = runner.run(asyncpg.connect(dsn))
        runner.run(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    except failures as error:
        runner.close()
        raise StoreError(f"PostgreSQL: {error}") from error

    def ask(text: str, values: Sequence[object]) -> list[Any]:
        pieces = text.split("?")
        numbered = "".join([f"{piece}${number}" for number, piece in enumerate(pieces[:-1], 1)]) + pieces[-1]
        try:
            return [tuple(row) for row in runner.run(connection.fetch(numbered, *values))]
        except failures as error:
            raise StoreError(f"PostgreSQL: {error}") from error

    def close() -> None:
        runner.run(connection.close())
        runner.close()

    return Inspection(ask, close, "the database", POSTGRESQL[-1].number, False)
