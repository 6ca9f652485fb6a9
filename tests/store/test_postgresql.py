"""What is particular to the PostgreSQL store.

Connections that die at the worst time, and one round trip for a commit.
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from perdure.engine.eager import start_now
from perdure.store.api import ChainWrite, CommitFailed, CommitUnknown, FenceLost, Reclaim, StoreError
from perdure.store.postgresql import PostgresStore
from perdure.store.sql.migrations import POSTGRESQL
from tests.store.rows import bodies, event, key, loaded, missing, part, run_id, start, step

pytestmark = pytest.mark.slow

DELAY = """
CREATE FUNCTION perdure_delay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER delay AFTER UPDATE ON run DEFERRABLE INITIALLY DEFERRED
 FOR EACH ROW EXECUTE FUNCTION perdure_delay()
"""
"""Makes the COMMIT of an update of `run` wait for an advisory lock, after all statements were executed."""


async def _pid(store: PostgresStore) -> int:
    assert store._write is not None
    return store._write.get_server_pid()


async def _until_waiting(outsider: asyncpg.Connection[asyncpg.Record], pid: int) -> None:
    """Returns when the session waits for the advisory lock, that is, in its COMMIT."""
    asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = $1"
    while not await outsider.fetchval(asked, pid):
        pass


async def test_a_connection_killed_during_commit_is_never_silent(postgres_database: str) -> None:
    """`CommitUnknown` or `CommitFailed`; the store goes on afterwards, and nothing of the batch is there in part."""
    store = PostgresStore(postgres_database)
    await store.open()
    fence = await store.acquire()
    await store.commit(fence, [start("a", 1)])
    outsider = await asyncpg.connect(postgres_database)
    await outsider.execute(DELAY)
    await outsider.execute("SELECT pg_advisory_lock(1)")
    pid = await _pid(store)
    commit = asyncio.ensure_future(store.commit(fence, [step("a", 1, 1, b"new"), start("b", 2)]))
    await _until_waiting(outsider, pid)
    assert not commit.done()
    await outsider.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises((CommitUnknown, CommitFailed)):
        await commit
    await outsider.execute("SELECT pg_advisory_unlock(1)")
    assert ((await loaded(store, "a"))[1].core == b"new") != await missing(store, "b")
    fence = await store.acquire()
    version = (await loaded(store, "a"))[1].version
    await store.commit(fence, [step("a", 1, version, b"after")])
    assert (await loaded(store, "a"))[1].core == b"after"
    await outsider.close()
    await store.close()


async def test_a_commit_that_waits_is_fenced_out_by_who_came_before(postgres_database: str) -> None:
    """`acquire` waits for the commit in flight, then every later one of the old owner fails: no gap between them."""
    first, second = PostgresStore(postgres_database), PostgresStore(postgres_database)
    await first.open()
    await second.open()
    old = await first.acquire()
    await first.commit(old, [start("a", 1)])
    outsider = await asyncpg.connect(postgres_database)
    await outsider.execute(DELAY)
    await outsider.execute("SELECT pg_advisory_lock(1)")
    commit = asyncio.ensure_future(first.commit(old, [step("a", 1, 1, b"in flight")]))
    await _until_waiting(outsider, await _pid(first))
    taking = asyncio.ensure_future(second.acquire())
    asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"
    while not await outsider.fetchval(asked, await _pid(second)):
        pass
    assert not taking.done()
    await outsider.execute("SELECT pg_advisory_unlock(1)")
    await commit
    new = await taking
    with pytest.raises(FenceLost):
        await first.commit(old, [step("a", 1, 2, b"late")])
    await second.commit(new, [step("a", 1, 2, b"new owner")])
    await outsider.close()
    await first.close()
    await second.close()


async def test_connections_that_died_while_idle_are_replaced(postgres_database: str) -> None:
    """A restart of the server between two commits costs nobody anything: what was not sent cannot be ambiguous."""
    store = PostgresStore(postgres_database)
    await store.open()
    fence = await store.acquire()
    await store.commit(fence, [start("a", 1)])
    await loaded(store, "a")
    outsider = await asyncpg.connect(postgres_database)
    others = "SELECT pid FROM pg_stat_activity WHERE application_name = 'perdure' AND datname = current_database()"
    await outsider.fetch(f"SELECT pg_terminate_backend(pid) FROM ({others}) AS them")
    while await outsider.fetch(others):
        pass
    write = store._write
    assert write is not None
    while not write.is_closed():
        await outsider.fetchval("SELECT 1")  # the loop hears of the ends meanwhile
    await store.commit(fence, [step("a", 1, 1, b"new")])
    assert (await loaded(store, "a"))[1].core == b"new"
    await outsider.close()
    await store.close()


async def test_a_read_may_begin_without_a_task(postgres_database: str) -> None:
    """The engine runs the first step of a load at once, outside any task; asyncpg's timeouts need one."""
    store = PostgresStore(postgres_database)
    await store.open()
    found: list[object] = []

    async def read() -> None:
        found.append(await store.load(key("nobody").digest, None))

    task = start_now(asyncio.get_running_loop(), read())
    assert task is not None
    await task
    assert found == [None]
    await store.close()


async def test_a_commit_is_one_round_trip(postgres_database: str) -> None:
    """Fence, versions, rows and the end of the transaction: one statement, whatever the batch holds."""
    store = PostgresStore(postgres_database)
    await store.open()
    fence = await store.acquire()
    queries: list[str] = []
    assert store._write is not None
    both = [start("a", 1, alarm_ns=1), start("b", 2), step("a", 1, 1, b"x"), step("b", 2, 1, b"y", 5)]
    await store.commit(fence, both)
    await store.commit(fence, [ChainWrite(key("b"), None, parts=(part(1, 1, b"", b""),))])
    # From here on: the driver asks for the types of a connection's arrays once.
    store._write.add_query_logger(lambda query: queries.append(query.query))
    await store.commit(fence, [start("c", 3), start("d", 4), step("c", 3, 1, b"x"), step("d", 4, 1, b"y", 5)])
    swept = ChainWrite(key("b"), None, reclaim=(Reclaim(run_id(2), (run_id(2),)),))
    await store.commit(fence, [step("a", 1, 2, b"x"), swept])
    assert len(queries) == 2
    swept = ChainWrite(key("a"), None, reclaim=(Reclaim(run_id(1), (run_id(1),)),))
    await store.commit(fence, [step("a", 1, 3, b"x"), swept])
    assert [query.split()[0] for query in queries[2:]] == ["BEGIN", "WITH", "WITH", "COMMIT"]
    await store.close()


async def test_a_newer_database_is_refused(postgres_database: str) -> None:
    """Named with both versions; nothing is changed."""
    store = PostgresStore(postgres_database)
    await store.open()
    await store.close()
    outsider = await asyncpg.connect(postgres_database)
    await outsider.execute("INSERT INTO migration (number, name) VALUES (99, 'from the future')")
    await outsider.close()
    with pytest.raises(StoreError, match=f"version 99, made by a newer Perdure.*up to {POSTGRESQL[-1].number}"):
        await PostgresStore(postgres_database).open()


async def test_two_servers_may_open_an_empty_database_at_once(postgres_database: str) -> None:
    """Migrations run under a lock of their own."""
    stores = [PostgresStore(postgres_database) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))


async def test_an_unreachable_server_is_a_clear_error() -> None:
    """`StoreError` at open; nothing hangs."""
    with pytest.raises(StoreError):
        await PostgresStore("postgresql://perdure@127.0.0.1:1/postgres").open()


async def test_a_commit_on_a_server_that_is_gone_was_not_applied(postgres_database: str) -> None:
    """When no connection can be had, nothing was sent: definite."""
    store = PostgresStore(postgres_database)
    await store.open()
    fence = await store.acquire()
    assert store._write is not None
    store._write.terminate()
    store._dsn = "postgresql://perdure@127.0.0.1:1/postgres"
    with pytest.raises(CommitFailed):
        await store.commit(fence, [start("a", 1)])
    store._dsn = postgres_database
    await store.commit(fence, [start("a", 1)])
    assert bodies(await store.read_history(event(1, 1).branch_id, 1, 2, 10)) == b"<1>"
    await store.close()
