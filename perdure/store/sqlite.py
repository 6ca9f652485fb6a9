"""The store in one SQLite file: what `start-dev` and a single server run on.

Division of labour (DESIGN 5, measured): a commit's statements run on the loop in one burst, only COMMIT (the sync) may
run in a thread (decision 004); reads by key run on the loop between two transactions, and during a COMMIT in the thread
on a second connection, which under WAL sees every commit that returned and nothing else; reads that may touch many rows
run in a reader thread and come back as one row. While idle, nothing here touches the file.

Ownership is a lock on `<path>.lock`, held for the life of the process and let go by the operating system however it
ends (DESIGN 1.8).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, final

import msgspec

from perdure.ids import SLOTS
from perdure.store.api import (
    ChainRow,
    ChainWrite,
    CommitFailed,
    CommitUnknown,
    Due,
    Fence,
    FenceLost,
    Fragment,
    Record,
    RunRow,
    StoreError,
    Traits,
    VisibilityPage,
)
from perdure.store.collapse import check_batch, collapse
from perdure.store.file_lock import FileLock
from perdure.store.limits import KEYS_MAX
from perdure.store.sql import sqlite as sql
from perdure.store.sql import sqlite_visibility
from perdure.store.sql.migrations import SQLITE, missing
from perdure.store.sqlite_file import advice, check_owner, check_pragmas
from perdure.store.sync_place import SyncPlace
from perdure.store.thread import CallThread
from perdure.store.wal import Checkpointer
from perdure.visibility.resolve import Condition

PRAGMAS = {"journal_mode": "wal", "synchronous": "full"}
"""What a file is opened with unless the caller overrides it."""

WAL_BYTES_MAX = 16 << 20
"""How much may gather in the log between two checkpoints, in bytes."""

CACHE_KIB = 32 << 10
"""Page cache of the writing connection; the readers get a quarter each."""

ROWS_ON_LOOP = 100
"""Most rows that a read on the loop steps through before it lets others run, or moves to the reader thread."""

_FULL = 2

T = TypeVar("T")

# `sqlite3` asks each parameter that is neither number nor text whether it adapts itself, and the answer no is an
# exception made and dropped: half a microsecond for every id, body and NULL. An adapter is found first; these say
# "as it is", which is what the module does anyway.
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(type(None), {None: None}.get)


@final
class SqliteStore:
    """A store in the file at `path`, or for a short life in memory when it is None.

    `pragmas` override `PRAGMAS` and may set any other (name to value, as SQLite spells them): the caller answers for
    durability then.
    """

    __slots__ = (
        "_checkpointer",
        "_commit_thread",
        "_cursor",
        "_file_lock",
        "_known",
        "_path",
        "_place",
        "_pragmas",
        "_read",
        "_read_thread",
        "_scan",
        "_write",
        "_write_lock",
        "traits",
    )

    def __init__(self, path: str | None, pragmas: Mapping[str, str] | None = None) -> None:
        self.traits = Traits("sqlite", True, True, False)
        self._path = path
        own = pragmas or {}
        # The caller's come first: a page size, for one, must be set before the log is.
        self._pragmas = {**own, **{name: value for name, value in PRAGMAS.items() if name not in own}}
        self._file_lock = FileLock(f"{path}.lock") if path is not None else None
        self._write_lock = asyncio.Lock()
        self._write: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._read: sqlite3.Connection | None = None
        self._scan: sqlite3.Connection | None = None
        self._known: dict[bytes, sqlite_visibility.Row] = {}
        """Rows of visibility as they are stored, or will be if the transaction ends well: this process alone writes."""
        self._commit_thread: CallThread | None = None
        self._place = SyncPlace()
        self._read_thread: CallThread | None = None
        self._checkpointer: Checkpointer | None = None

    # Life

    async def open(self) -> None:
        assert self._write is None, "opened twice"
        if self._file_lock is not None:
            self._file_lock.take()
        try:
            self._open()
        except sqlite3.Error as error:
            await self.close()
            raise StoreError(f"{self._path or ':memory:'}: {error}{advice(error)}") from error
        except StoreError:
            await self.close()
            raise

    def _open(self) -> None:
        self._known.clear()
        self._check()
        self._write = self._connect(CACHE_KIB)
        self._migrate(self._write)
        self._cursor = self._write.cursor()  # one for all writes: making one costs as much as a short statement
        if self._path is None or not _is_wal(self._write):
            # Without a log, readers would block the writer: one connection for all, and no await inside a transaction.
            self._read = self._write
            return
        self._read = self._connect(CACHE_KIB // 4)
        self._scan = self._connect(CACHE_KIB // 4)
        self._read_thread = CallThread("perdure-read")
        if self._write.execute("PRAGMA synchronous").fetchone()[0] >= _FULL:
            self._commit_thread = CallThread("perdure-commit")
        page_bytes = self._write.execute("PRAGMA page_size").fetchone()[0]
        self._write.execute("PRAGMA wal_autocheckpoint = 0")
        self._checkpointer = Checkpointer(
            lambda: self._connect(1024), self._path, page_bytes, WAL_BYTES_MAX, self._write_lock
        )

    def _check(self) -> None:
        """Whether the file and the pragmas are fit for us, before one of them changes anything."""
        with contextlib.closing(sqlite3.connect(self._path or ":memory:", timeout=0)) as connection:
            check_pragmas(connection, self._pragmas)
            check_owner(connection, self._path or ":memory:")

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=0,
            isolation_level=None,
            check_same_thread=False,  # it has one user at a time: the loop, or a thread that the loop waits for
            cached_statements=256,
        )
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA secure_delete = OFF")  # some builds default to zeroing freed pages
        for name, value in self._pragmas.items():
            if self._path is not None or name != "journal_mode":
                connection.execute(f"PRAGMA {name} = {value}")
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"
            )
            applied = connection.execute("SELECT coalesce(max(number), 0) FROM migration").fetchone()[0]
            for migration in missing(SQLITE, applied, self._path or ":memory:"):
                for step in migration.steps:
                    if isinstance(step, str):
                        connection.execute(step)
                    else:
                        step(connection)
                connection.execute(
                    "INSERT INTO migration (number, name) VALUES (?, ?)", (migration.number, migration.name)
                )
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    async def close(self) -> None:
        async with self._write_lock:  # behind the commit in flight
            write, self._write, self._cursor = self._write, None, None
            read, self._read = self._read, None
        if self._commit_thread is not None:
            await self._commit_thread.stop()
        if self._read_thread is not None:
            if self._scan is not None:
                self._scan.interrupt()
            await self._read_thread.stop()
        checkpointer, self._checkpointer = self._checkpointer, None
        if checkpointer is not None:
            await checkpointer.close()
        for connection in (self._scan, read, write):
            if connection is not None:
                connection.close()  # closing one twice is fine
        self._scan = None
        if checkpointer is not None:
            checkpointer.release()
        if self._file_lock is not None:
            self._file_lock.release()

    # Writes

    async def acquire(self) -> Fence:
        def apply(cursor: sqlite3.Cursor) -> int:
            epoch = int(cursor.execute(sql.EPOCH).fetchone()[0]) + 1
            cursor.execute(sql.DISOWN)
            cursor.execute(sql.OWN, (0, SLOTS - 1, epoch))
            return epoch

        return Fence(await self._transact(apply), 0, SLOTS - 1)

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        check_batch(fence, writes)
        segments = collapse(writes)

        def apply(cursor: sqlite3.Cursor) -> None:
            held = cursor.execute(sql.FENCE_HOLDS, (fence.first_slot, fence.last_slot, fence.epoch)).fetchone()
            if held is None:
                raise FenceLost(f"epoch {fence.epoch} was succeeded")
            for segment in segments:
                sql.apply_segment(cursor, segment, self._known)

        await self._transact(apply)
        if self._checkpointer is not None:
            self._checkpointer.after_commit()

    async def put_record(self, table: str, key: str, expected_version: int, body: bytes | None) -> int:
        assert body is not None or expected_version > 0, "deleting what must not exist"

        def apply(cursor: sqlite3.Cursor) -> None:
            row = cursor.execute(sql.RECORD_VERSION, (table, key)).fetchone()
            version = 0 if row is None else int(row[0])
            if version != expected_version:
                raise CommitFailed(f"{table} {key!r}: expected version {expected_version}, found {version}")
            if body is None:
                cursor.execute(sql.DELETE_RECORD, (table, key))
            else:
                cursor.execute(sql.PUT_RECORD, (table, key, version + 1, body))

        await self._transact(apply)
        return expected_version + 1

    async def _transact(self, apply: Callable[[sqlite3.Cursor], T]) -> T:
        """A write transaction: `apply` in one burst on the loop, then COMMIT, perhaps in the thread.

        When it raises before its end, nothing was applied.
        """
        async with self._write_lock:
            connection = self._write
            if connection is None or self._cursor is None:
                raise CommitFailed("the store is not open")
            try:
                self._cursor.execute("BEGIN IMMEDIATE")
                result = apply(self._cursor)
            except sqlite3.Error as error:
                self._roll_back(connection)
                raise CommitFailed(f"{error}{advice(error)}") from error
            except BaseException as error:
                self._roll_back(connection)
                if isinstance(error, StoreError) or not isinstance(error, Exception):
                    raise
                # A fault of ours, in a write that no database takes: what is written with it must not suffer.
                raise CommitFailed(f"{type(error).__name__}: {error}") from error
            try:
                if self._commit_thread is None:
                    connection.commit()
                elif self._place.on_loop:
                    began = time.perf_counter_ns()
                    connection.commit()
                    self._place.synced_on_loop(time.perf_counter_ns() - began)
                else:
                    await self._commit_thread.run(connection.commit)
                    self._place.synced_in_thread()
            except sqlite3.Error as error:
                self._roll_back(connection)
                raise _not_committed(error) from error
            except BaseException:  # cancelled while the thread went on to its end: it may have committed, or not
                self._roll_back(connection)
                raise
            return result

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Ends the transaction, if SQLite has not done so itself, with nothing applied."""
        self._known.clear()
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the first error tells more
                connection.rollback()

    # Reads

    async def load(self, digest: bytes, run_id: bytes | None) -> tuple[ChainRow, RunRow | None] | None:
        with self._reading() as connection:
            chain_row = connection.execute(sql.LOAD_CHAIN, (digest,)).fetchone()
            if chain_row is None:
                return None  # the way of every start of a new workflow: one statement
            if not self._write_lock.locked():
                return _with_run(connection, chain_row, digest, run_id)  # nobody can write before it returns
            connection.execute("BEGIN")  # a commit may end in its thread meanwhile: one snapshot for all
            try:
                chain_row = connection.execute(sql.LOAD_CHAIN, (digest,)).fetchone()
                return None if chain_row is None else _with_run(connection, chain_row, digest, run_id)
            finally:
                connection.execute("COMMIT")

    async def load_parts(self, run_id: bytes, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        assert len(keys) <= KEYS_MAX, f"{len(keys)} keys in one load_parts"
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), ROWS_ON_LOOP):
            if start:
                await asyncio.sleep(0)
            with self._reading() as connection:
                for key in keys[start : start + ROWS_ON_LOOP]:
                    row = connection.execute(sql.LOAD_PART, (run_id, kind, key)).fetchone()
                    if row is not None:
                        found[key] = row[0]
        return found

    async def read_history(
        self, branch_id: bytes, first_event_id: int, next_event_id: int, bytes_max: int, reverse: bool = False
    ) -> list[Fragment]:
        statement = sql.READ_HISTORY_REVERSE if reverse else sql.READ_HISTORY
        page: list[Fragment] = []
        size = 0
        while True:
            with self._reading() as connection:
                cursor = connection.execute(statement, (branch_id, first_event_id, next_event_id, ROWS_ON_LOOP))
                rows = 0
                for first, following, body in cursor:
                    rows += 1
                    page.append(Fragment(branch_id, first, following, body))
                    size += len(body)
                    if size >= bytes_max:
                        cursor.close()
                        return page
            if rows < ROWS_ON_LOOP:
                return page
            if reverse:
                next_event_id = page[-1].first_event_id
            else:
                first_event_id = page[-1].next_event_id
            await asyncio.sleep(0)  # long pages let others run; histories are append-only, so the rest has not moved

    async def due(self, fence: Fence, from_ns: int, to_ns: int, limit: int) -> list[Due]:
        bounds = (from_ns, to_ns, fence.first_slot, fence.last_slot, limit)
        if limit <= ROWS_ON_LOOP or self._scan is None:
            with self._reading() as connection:
                return [Due(*row) for row in connection.execute(sql.DUE, bounds)]

        def read(scan: sqlite3.Connection) -> list[Due]:
            rows = msgspec.json.decode(scan.execute(sql.DUE_AS_ONE_ROW, bounds).fetchone()[0])
            return [Due(when, bytes.fromhex(digest), bytes.fromhex(run_id)) for when, digest, run_id in rows]

        return await self._scanning(read)

    async def list_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
    ) -> VisibilityPage:
        found = await self._scanning(
            lambda scan: sqlite_visibility.read_page(scan, namespace_id, kind, where, page_size, token)
        )
        return VisibilityPage(*found)

    async def count_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
    ) -> list[tuple[object, int]]:
        return await self._scanning(
            lambda scan: sqlite_visibility.read_count(scan, namespace_id, kind, where, group_by)
        )

    async def list_records(self, table: str) -> list[Record]:
        with self._reading() as connection:
            return [Record(*row) for row in connection.execute(sql.LIST_RECORDS, (table,))]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The loop's connection for reads; the body must not await.

        Between two transactions it is the writing one, which knows the pages that it wrote: any other drops its cache
        when the log has grown, and reads again from the file what it asks for.
        """
        connection = self._read if self._write_lock.locked() else self._write
        if connection is None:
            raise StoreError("the store is not open")
        try:
            yield connection
        except sqlite3.Error as error:
            raise StoreError(f"{error}{advice(error)}") from error

    async def _scanning(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """A read of many rows: in the reader thread where there is one."""
        scan = self._scan
        if scan is None or self._read_thread is None:
            with self._reading() as connection:
                return read(connection)
        try:
            return await self._read_thread.run(lambda: read(scan))
        except sqlite3.Error as error:
            raise StoreError(f"{error}{advice(error)}") from error


def _with_run(
    connection: sqlite3.Connection, chain_row: Sequence[Any], digest: bytes, run_id: bytes | None
) -> tuple[ChainRow, RunRow | None]:
    """A chain's row, and that of the run, the current one if `run_id` is None, with its parts."""
    chain = ChainRow(*chain_row)
    wanted = chain.current_run_id if run_id is None else run_id
    run_row = connection.execute(sql.LOAD_RUN, (wanted, digest)).fetchone()
    if run_row is None:
        return chain, None
    version, alarm_ns, core = run_row
    parts = connection.execute(sql.LOAD_RUN_PARTS, (wanted,)).fetchall()
    return chain, RunRow(wanted, version, core, alarm_ns, parts)


def _is_wal(connection: sqlite3.Connection) -> bool:
    mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return mode == "wal"


def _not_committed(error: sqlite3.Error) -> StoreError:
    """What an error of COMMIT means. One of the sync is ambiguous: the log may hold the batch whole, and a crash would
    bring it back.
    """
    busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return (CommitFailed if busy else CommitUnknown)(f"{error}{advice(error)}")
