"""The store in PostgreSQL (asyncpg; the extra `postgresql`): one connection for commits, a small pool for reads.

A commit is one statement and so one round trip, which begins and ends its own transaction. What an error says about it:
one that leaves the connection usable was raised before the transaction ended, and nothing was applied; one that takes
the connection with it is ambiguous, since the server ends the transaction before it answers. The connection is then
replaced before the next use.

It must not retry a commit: only the committer above knows what its batch means. While idle, nothing here touches the
database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, final

import asyncpg

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
from perdure.store.collapse import Segment, check_batch, collapse
from perdure.store.limits import KEYS_MAX
from perdure.store.settle import to_the_end
from perdure.store.sql import postgresql as sql
from perdure.store.sql.migrations import POSTGRESQL, missing
from perdure.visibility import sql as visibility
from perdure.visibility.conditions import Condition

READERS_MAX = 4
"""Most connections of the pool for reads."""

CALL_SECONDS_MAX = 30.0
"""How long one statement may take before it is given up; a commit given up is ambiguous."""

FRAGMENTS_A_CALL = 100
"""Most fragments that one statement of `read_history` brings."""

_SESSION = {
    "application_name": "perdure",
    # `acquire` and the fence rely on statements that see what was committed while they waited for a lock.
    "default_transaction_isolation": "read committed",
    # A connection whose owner is gone must not keep the fence's row locked.
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
    # Statements are prepared while tables are small; the plans must be those for large ones.
    "enable_seqscan": "off",
}
_COMMIT_SESSION = {**_SESSION, "enable_hashjoin": "off", "enable_mergejoin": "off"}

_MIGRATION_LOCK = 0x50657264
"""The advisory lock under which one server at a time migrates."""

_LOST = (ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)
_GONE = (OSError, asyncpg.InterfaceError, asyncpg.PostgresError, TimeoutError)


@final
class PostgresStore:
    """A store in the database that `dsn` names (`postgresql://user@host/database`)."""

    __slots__ = ("_dsn", "_open", "_pool", "_write", "_write_lock", "traits")

    def __init__(self, dsn: str) -> None:
        self.traits = Traits("postgresql", True, True, False)
        self._dsn = dsn
        self._open = False
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._write: asyncpg.Connection[asyncpg.Record] | None = None
        self._write_lock = asyncio.Lock()

    # Life

    async def open(self) -> None:
        assert not self._open, "opened twice"
        self._open = True
        try:
            connection = await self._writer()
            await self._migrate(connection)
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=0,  # else the pool reconnects on its own, and a failing server would be tried for ever
                max_size=READERS_MAX,
                max_inactive_connection_lifetime=0,
                command_timeout=CALL_SECONDS_MAX,
                server_settings=_SESSION,
            )
        except _GONE as error:
            await self.close()
            raise StoreError(f"PostgreSQL: {error}") from error
        except StoreError:
            await self.close()
            raise

    async def _migrate(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL)"
            )
            applied = await connection.fetchval("SELECT coalesce(max(number), 0) FROM migration")
            for migration in missing(POSTGRESQL, applied, "the database"):
                for step in migration.steps:
                    assert isinstance(step, str), "a step of SQLite"
                    await connection.execute(step)
                await connection.execute(
                    "INSERT INTO migration (number, name) VALUES ($1, $2)", migration.number, migration.name
                )

    async def close(self) -> None:
        self._open = False
        async with self._write_lock:  # behind the commit in flight
            write, self._write = self._write, None
        pool, self._pool = self._pool, None
        if write is not None and not write.is_closed():
            await _closed(write.close(timeout=5))
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), 5)
            except _GONE:
                pool.terminate()

    async def _writer(self) -> asyncpg.Connection[asyncpg.Record]:
        """The connection for commits, a new one when the last is gone. Nothing is in flight on it."""
        if not self._open:
            raise CommitFailed("the store is not open")
        if self._write is None or self._write.is_closed():
            connection = await asyncpg.connect(
                self._dsn, timeout=10, command_timeout=CALL_SECONDS_MAX, server_settings=_COMMIT_SESSION
            )
            if await connection.fetchval("SHOW synchronous_commit") == "off":
                await connection.execute("SET synchronous_commit = on")  # "durable when this returns"
            self._write = connection
        return self._write

    # Writes

    async def acquire(self) -> Fence:
        async def take(connection: asyncpg.Connection[asyncpg.Record]) -> Fence:
            async with connection.transaction():
                await connection.execute(sql.LOCK_OWNERSHIP)
                epoch: int = await connection.fetchval(sql.OWN)
                await connection.execute(sql.INSERT_OWNER, 0, SLOTS - 1, epoch)
            return Fence(epoch, 0, SLOTS - 1)

        async with self._writing() as connection:
            return await to_the_end(asyncio.ensure_future(take(connection)))

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        check_batch(fence, writes)
        segments = collapse(writes)
        async with self._writing() as connection:
            await to_the_end(asyncio.ensure_future(_apply(connection, fence, segments)))

    async def put_record(self, table: str, key: str, expected_version: int, body: bytes | None) -> int:
        assert body is not None or expected_version > 0, "deleting what must not exist"
        async with self._writing() as connection:
            if body is None:
                call = connection.fetchval(sql.DELETE_RECORD, table, key, expected_version)
            else:
                statement = sql.UPDATE_RECORD if expected_version else sql.INSERT_RECORD
                call = connection.fetchval(statement, table, key, expected_version, body)
            version: int | None = await to_the_end(asyncio.ensure_future(call))
            if version is None:
                raise CommitFailed(f"{table} {key!r} is not at version {expected_version}")
            return version

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """The commit connection for one transaction, and its errors as the port's."""
        async with self._write_lock:
            try:
                connection = await self._writer()
            except _GONE as error:
                raise CommitFailed(f"no connection: {error}") from error
            try:
                yield connection
            except _GONE as error:
                if _is_definite(connection, error):
                    raise CommitFailed(str(error)) from error
                connection.terminate()
                raise CommitUnknown(str(error) or type(error).__name__) from error

    # Reads

    async def load(self, digest: bytes, run_id: bytes | None) -> tuple[ChainRow, RunRow | None] | None:
        row = await self._row(sql.LOAD, digest, run_id)
        if row is None:
            return None
        version, current_run_id, core, found, run_version, alarm_ns, run_core, kinds, keys, bodies = row
        chain = ChainRow(version, current_run_id, core)
        if found is None:
            return chain, None
        parts = list(zip(kinds, keys, bodies, strict=True)) if kinds else []
        return chain, RunRow(found, run_version, run_core, alarm_ns, parts)

    async def load_parts(self, run_id: bytes, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        assert len(keys) <= KEYS_MAX, f"{len(keys)} keys in one load_parts"
        return dict([tuple(row) for row in await self._rows(sql.LOAD_PARTS, run_id, kind, keys)])

    async def read_history(
        self, branch_id: bytes, first_event_id: int, next_event_id: int, bytes_max: int, reverse: bool = False
    ) -> list[Fragment]:
        statement = sql.READ_HISTORY_REVERSE if reverse else sql.READ_HISTORY
        page: list[Fragment] = []
        size = 0
        while True:
            rows = await self._rows(
                statement, branch_id, first_event_id, next_event_id, FRAGMENTS_A_CALL, max(bytes_max - size, 1)
            )
            for first, following, body in rows:
                page.append(Fragment(branch_id, first, following, body))
                size += len(body)
            if size >= bytes_max or len(rows) < FRAGMENTS_A_CALL:
                return page
            if reverse:
                next_event_id = page[-1].first_event_id
            else:
                first_event_id = page[-1].next_event_id

    async def due(self, fence: Fence, from_ns: int, to_ns: int, limit: int) -> list[Due]:
        rows = await self._rows(sql.DUE, from_ns, to_ns, fence.first_slot, fence.last_slot, limit)
        return [Due(*row) for row in rows]

    async def list_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
    ) -> VisibilityPage:
        text, parameters = visibility.list_page(namespace_id, kind, where, page_size, token)
        return VisibilityPage(*visibility.page(await self._rows(text, *parameters), page_size))

    async def count_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
    ) -> list[tuple[object, int]]:
        text, parameters = visibility.count(namespace_id, kind, where, group_by)
        return [(value, count) for value, count in await self._rows(text, *parameters)]

    async def list_records(self, table: str) -> list[Record]:
        return [Record(*row) for row in await self._rows(sql.LIST_RECORDS, table)]

    async def _rows(self, text: str, *parameters: object) -> list[Any]:
        rows: list[Any] = await self._reading("fetch", text, parameters)
        return rows

    async def _row(self, text: str, *parameters: object) -> Any:
        return await self._reading("fetchrow", text, parameters)

    async def _reading(self, method: str, text: str, parameters: Sequence[object]) -> Any:
        """A read on any connection of the pool; once more for each of them that turns out to be gone."""
        if asyncio.current_task() is None:
            # The first step of a coroutine may run without a task (engine/eager.py), and asyncpg's timeouts need one.
            await asyncio.sleep(0)
        for attempt in range(READERS_MAX + 1):
            if self._pool is None:
                raise StoreError("the store is not open")
            try:
                return await getattr(self._pool, method)(text, *parameters)
            except _LOST as error:
                if attempt == READERS_MAX:
                    raise StoreError(f"PostgreSQL: {error}") from error
            except _GONE as error:
                raise StoreError(f"PostgreSQL: {error}") from error
        raise AssertionError("unreachable")


async def _apply(connection: asyncpg.Connection[asyncpg.Record], fence: Fence, segments: list[Segment]) -> None:
    """The segments in one transaction: by itself for one, which is nearly always, and else between BEGIN and COMMIT."""
    if len(segments) == 1:
        await _apply_segment(connection, fence, segments[0])
        return
    await connection.execute("BEGIN")
    try:
        for segment in segments:
            await _apply_segment(connection, fence, segment)
    except (asyncpg.PostgresError, FenceLost):
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _apply_segment(connection: asyncpg.Connection[asyncpg.Record], fence: Fence, segment: Segment) -> None:
    text, arguments = sql.apply_segment(segment)
    held = await connection.fetchval(text, fence.first_slot, fence.last_slot, fence.epoch, *arguments)
    if held != 1:
        raise FenceLost(f"epoch {fence.epoch} was succeeded")


def _is_definite(connection: asyncpg.Connection[asyncpg.Record], error: BaseException) -> bool:
    """Whether nothing can have been applied: the server refused the statement, and the session lives on."""
    return (
        isinstance(error, asyncpg.PostgresError)
        and not isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError)
        and not connection.is_closed()
    )


async def _closed(closing: Awaitable[None]) -> None:
    """Waits for a close; a connection that is gone has closed, too."""
    with contextlib.suppress(*_GONE):
        await closing
