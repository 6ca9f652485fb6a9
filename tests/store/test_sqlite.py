"""What is particular to the SQLite store.

Its lock, its migrations, its checkpoints, its thread, and death at any time.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.ids import Kind
from perdure.store.api import ChainWrite, CommitFailed, CommitUnknown, Fence, Reclaim, RunPut, StoreBusy, StoreError
from perdure.store.sql.migrations import SQLITE
from perdure.store.sqlite import SqliteStore
from perdure.store.sync_place import SLOW_MAX, SLOW_NS
from perdure.visibility import attributes, schema
from perdure.visibility import sql as visibility
from perdure.visibility.predicates import Dialect
from perdure.visibility.resolve import compile_list
from tests.store.rows import event, key, loaded, missing, record, run_id, start, step

ROOT = Path(__file__).parents[2]


async def opened(path: Path, pragmas: dict[str, str] | None = None) -> tuple[SqliteStore, Fence]:
    """A store on the file and its fence."""
    store = SqliteStore(str(path), pragmas)
    await store.open()
    return store, await store.acquire()


async def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path) -> None:
    """`StoreBusy` while another holds it, in this process or another; free once it has closed."""
    store, _ = await opened(tmp_path / "p.db")
    with pytest.raises(StoreBusy, match=str(os.getpid())):
        await SqliteStore(str(tmp_path / "p.db")).open()
    program = "import asyncio; from perdure.store.sqlite import SqliteStore; asyncio.run(SqliteStore('p.db').open())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=tmp_path, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await other.communicate()
    assert b"StoreBusy" in complaint
    await store.close()
    store, _ = await opened(tmp_path / "p.db")
    await store.close()


async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A file made by a newer server names both versions; the lock is let go."""
    path = tmp_path / "p.db"
    store, _ = await opened(path)
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO migration (number, name) VALUES (99, 'from the future')")
    connection.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=f"version 99, made by a newer Perdure.*up to {SQLITE[-1].number}"):
            await SqliteStore(str(path)).open()


async def test_a_file_that_is_no_database_and_a_folder_that_is_not_there_are_clear_errors(tmp_path: Path) -> None:
    """`StoreError` that says what to do, not a trace of sqlite3."""
    (tmp_path / "text.db").write_text("this is no database, however long it is made to be" * 100)
    (tmp_path / "folder.db").mkdir()
    for name, advised in (
        ("text.db", "a file of its own"),
        ("folder.db", "is it a folder"),
        ("nowhere/p.db", "No such"),
    ):
        with pytest.raises(StoreError, match=advised):
            await SqliteStore(str(tmp_path / name)).open()


async def test_a_file_syncs_every_commit_unless_told_otherwise(tmp_path: Path) -> None:
    """WAL and synchronous FULL; `pragmas` override both."""
    store, _ = await opened(tmp_path / "p.db")
    assert _pragma(store, "journal_mode") == "wal"
    assert _pragma(store, "synchronous") == 2
    assert _pragma(store, "wal_autocheckpoint") == 0
    await store.close()
    for pragmas in ({"journal_mode": "delete"}, {"synchronous": "off"}, {"journal_mode": "memory", "synchronous": "0"}):
        store, fence = await opened(tmp_path / f"{len(os.listdir(tmp_path))}.db", pragmas)
        assert _pragma(store, "journal_mode") == pragmas.get("journal_mode", "wal")
        await store.commit(fence, [start("a", 1)])
        assert (await loaded(store, "a"))[1].core == b"core"
        assert len((await store.list_visibility("namespace", Kind.WORKFLOW, None, 5, b"")).records) == 0
        await store.close()


async def test_pragmas_reach_a_new_file_and_must_be_pragmas(tmp_path: Path) -> None:
    """Those that only a new file takes are set in time; text that is no name and value is refused."""
    store, _ = await opened(tmp_path / "p.db", {"page_size": "8192", "cache_size": "-100"})
    assert (_pragma(store, "page_size"), _pragma(store, "cache_size")) == (8192, -100)
    await store.close()
    for name, value in (("synchronous", "off; DROP TABLE run"), ("a b", "1"), ("x", ""), ("synchronus", "full")):
        with pytest.raises(StoreError, match="not a pragma"):
            await SqliteStore(str(tmp_path / "p.db"), {name: value}).open()


@pytest.mark.parametrize("name", ["synchronous", "journal_mode"])
async def test_a_misspelt_word_does_not_give_durability_up(tmp_path: Path, name: str) -> None:
    """SQLite reads `synchronous=ful` as NORMAL and says nothing."""
    with pytest.raises(StoreError, match=f"pragma {name} has no value 'ful'"):
        await SqliteStore(str(tmp_path / "p.db"), {name: "ful"}).open()


@pytest.mark.parametrize("table", ["orders", "migration"])
async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, table: str) -> None:
    """Not a byte of it changes, and the complaint says what to do."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"another program .it has a table '{table}'.; give the server a file of its"):
        await SqliteStore(str(path)).open()
    assert path.read_bytes() == before


def sync_in_thread(store: SqliteStore) -> None:
    """Makes the store believe that its disk is slow, so that the next COMMITs go to the thread."""
    for _ in range(SLOW_MAX):
        store._place.synced_on_loop(SLOW_NS)
    assert not store._place.on_loop


def _pragma(store: SqliteStore, name: str) -> object:
    connection = store._write
    assert connection is not None
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_reads_during_a_commit_see_all_of_it_or_nothing(tmp_path: Path) -> None:
    """The sync runs in a thread and reads go on meanwhile, on what was committed."""
    store, fence = await opened(tmp_path / "p.db")
    await store.commit(fence, [start("a", 1)])
    sync_in_thread(store)
    commit = asyncio.ensure_future(store.commit(fence, [step("a", 1, 1, b"new"), start("b", 2)]))
    seen = set()
    while not commit.done():
        await asyncio.sleep(0)
        new = (await loaded(store, "a"))[1].version == 2
        seen.add(new)
        assert not (new and await missing(store, "b"))
    await commit
    assert (await loaded(store, "a"))[1].core == b"new"
    assert False in seen
    await store.close()


async def test_a_cancelled_commit_ends_before_the_next_begins(tmp_path: Path) -> None:
    """Cancelling the waiter does not leave a transaction open behind its back."""
    store, fence = await opened(tmp_path / "p.db")
    sync_in_thread(store)
    commit = asyncio.ensure_future(store.commit(fence, [start("a", 1)]))
    await asyncio.sleep(0)
    commit.cancel()
    await asyncio.gather(commit, return_exceptions=True)
    assert commit.cancelled()
    assert not await missing(store, "a")
    await store.commit(fence, [step("a", 1, 1, b"next")])
    await store.close()


async def test_close_waits_for_the_commit_in_flight(tmp_path: Path) -> None:
    """`close` finishes it, and what comes after is refused."""
    store, fence = await opened(tmp_path / "p.db")
    sync_in_thread(store)
    commit = asyncio.ensure_future(store.commit(fence, [start("a", 1)]))
    await asyncio.sleep(0)
    await store.close()
    await commit
    with pytest.raises(CommitFailed):
        await store.commit(fence, [start("b", 2)])
    store, _ = await opened(tmp_path / "p.db")
    assert not await missing(store, "a")
    await store.close()


@pytest.mark.parametrize("threaded", [False, True])
async def test_an_error_of_the_sync_is_ambiguous_and_the_store_goes_on(tmp_path: Path, threaded: bool) -> None:
    """An I/O error at COMMIT gives `CommitUnknown`; a busy file, which SQLite names before writing, `CommitFailed`."""
    store, fence = await opened(tmp_path / "p.db")
    if threaded:
        sync_in_thread(store)
    outsider = sqlite3.connect(tmp_path / "p.db", isolation_level=None)
    outsider.execute("BEGIN IMMEDIATE")
    with pytest.raises(CommitFailed, match="locked"):
        await store.commit(fence, [start("a", 1)])
    outsider.execute("ROLLBACK")
    outsider.close()
    await store.commit(fence, [start("a", 1)])
    assert store._write is not None
    # Deferred foreign keys make COMMIT itself fail, with the transaction still open.
    store._write.execute("PRAGMA foreign_keys = ON")
    store._write.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    store._write.execute("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    store._write.execute("CREATE TRIGGER orphan AFTER UPDATE ON run BEGIN INSERT INTO child VALUES (1); END")
    with pytest.raises(CommitUnknown):
        await store.commit(fence, [step("a", 1, 1, b"x")])
    assert (await loaded(store, "a"))[1].core == b"core"
    store._write.execute("DROP TRIGGER orphan")
    fence = await store.acquire()
    await store.commit(fence, [step("a", 1, 1, b"y")])
    await store.close()


async def test_a_write_that_no_database_takes_definitely_failed(tmp_path: Path) -> None:
    """Were its outcome "unknown", it would cost every write beside it its draft, and the owner its epoch."""
    store, fence = await opened(tmp_path / "p.db")
    good, bad = start("a", 1), start("b", 2)
    poisoned = ChainWrite(bad.key, bad.chain, (RunPut(run_id(2), 0, b"core", 1 << 63, True),))

    with pytest.raises(CommitFailed, match="OverflowError"):
        await store.commit(fence, [good, poisoned])

    assert await missing(store, "a")
    await store.commit(fence, [good])
    await store.close()


@pytest.mark.parametrize("failure", ["later segment", "commit", "cancelled"])
async def test_what_was_not_committed_is_not_taken_for_what_is_stored(tmp_path: Path, failure: str) -> None:
    """The store knows the rows of open runs without reading them: a transaction that ends badly leaves no trace there,
    and the entries of the record that follows take the place of those that are stored.
    """
    store, fence = await opened(tmp_path / "p.db")
    first = start("a", 1)
    opening = record("a", 1, 1, keywords={"CK": "x"})
    await store.commit(fence, [ChainWrite(first.key, first.chain, first.runs, (), first.fragments, (opening,))])
    shown = ChainWrite(key("a"), visibility=(record("a", 1, 2, keywords={"CK": "y"}, workflow_type="Other"),))
    if failure == "later segment":
        again = step("a", 2, 7, b"a version that is not there, after its deletion")
        batch = [shown, ChainWrite(key("a"), reclaim=(Reclaim(run_id(2), ()),)), again]
        with pytest.raises(CommitFailed):
            await store.commit(fence, batch)
    else:
        assert store._write is not None
        store._write.execute("PRAGMA foreign_keys = ON")
        store._write.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        store._write.execute("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        store._write.execute("CREATE TRIGGER orphan AFTER UPDATE ON visibility BEGIN INSERT INTO child VALUES (1); END")
        if failure == "cancelled":
            sync_in_thread(store)
        writing = asyncio.create_task(store.commit(fence, [shown]))
        await asyncio.sleep(0)
        if failure == "cancelled":
            writing.cancel()
        with pytest.raises(CommitUnknown if failure == "commit" else asyncio.CancelledError):
            await writing
        store._write.execute("DROP TRIGGER orphan")
        fence = await store.acquire()

    await store.commit(fence, [ChainWrite(key("a"), visibility=(record("a", 1, 2, 2, 9_000, keywords={"CK": "x"}),))])

    for text, n in (("CK = 'x'", 1), ("CK = 'y'", 0), ("WorkflowType = 'Order'", 1), ("WorkflowType = 'Other'", 0)):
        where = compile_list(text, {"CK": attributes.KEYWORD})
        assert len((await store.list_visibility("namespace", Kind.WORKFLOW, where, 5, b"")).records) == n, text
    assert await store.count_visibility("namespace", Kind.WORKFLOW, None, "ExecutionStatus") == [(2, 1)]
    assert store._write is not None
    assert store._write.execute("SELECT count(*) FROM visibility_entry").fetchone() == (3,)
    await store.close()


async def test_the_log_stays_within_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints begin when the bound is passed, and under steady writes the log begins anew instead of growing."""
    monkeypatch.setattr("perdure.store.sqlite.WAL_BYTES_MAX", 200_000)
    store, fence = await opened(tmp_path / "p.db", {"synchronous": "off"})
    checkpointer = store._checkpointer
    assert checkpointer is not None
    await store.commit(fence, [start("a", 1)])
    largest = 0
    for number in range(1, 400):
        await store.commit(fence, [step("a", 1, number, b"x" * 20_000)])
        if number % 20 == 0 and checkpointer._task is not None:
            await asyncio.wait((checkpointer._task,))  # so that their number does not depend on the machine
        largest = max(largest, checkpointer.log_frames())
    assert checkpointer.runs > 3
    assert largest * 4096 < 400 * 20_000 / 2
    await store.close()
    assert not (tmp_path / "p.db-wal").exists()


async def test_an_idle_store_touches_nothing(tmp_path: Path) -> None:
    """No task, no timer and no read while nobody asks: opening leaves no work behind."""
    store, fence = await opened(tmp_path / "p.db")
    await store.commit(fence, [start("a", 1)])
    statements: list[str] = []
    for connection in (store._write, store._read, store._scan):
        assert connection is not None
        connection.set_trace_callback(statements.append)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for _ in range(100):
        await asyncio.sleep(0)
    assert statements == []
    await store.close()


_VICTIM = """
import asyncio, sys
from perdure.store.sqlite import SqliteStore
from tests.store.rows import start
async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    fence = await store.acquire()
    first = int(sys.argv[2])
    for base in range(first, first + 100_000, 3):
        await store.commit(fence, [start(f"w{n}", n) for n in range(base, base + 3)])
        print(base, flush=True)
asyncio.run(main())
"""


@pytest.mark.slow
def test_a_killed_process_loses_nothing_it_had_reported(tmp_path: Path) -> None:
    """SIGKILL at any time: every batch reported is there whole, no batch is there in part, and the lock is free."""
    path = tmp_path / "p.db"
    reported: list[int] = []
    for life in range(3):
        first = life * 1_000_000 + 3
        with subprocess.Popen(
            [sys.executable, "-c", _VICTIM, path, str(first)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as victim:
            assert victim.stdout is not None
            for line in victim.stdout:
                reported.append(int(line))
                if len(reported) % 40 == 7 * life:
                    break
            victim.kill()
            reported += [int(line) for line in victim.stdout if line.endswith("\n")]
    assert len(reported) > 50

    async def check() -> None:
        store, fence = await opened(path)
        assert fence.epoch == 4
        for base in reported:
            for number in range(base, base + 3):
                assert (await loaded(store, f"w{number}"))[1].core == b"core"
                page = await store.read_history(event(number, 1).branch_id, 1, 2, 10)
                assert [fragment.body for fragment in page] == [b"<1>"]
        for base in (max(number for number in reported if number < life * 1_000_000) + 3 for life in (1, 2, 3)):
            there = {await missing(store, f"w{number}") for number in range(base, base + 3)}
            assert len(there) == 1, "a batch was torn"
        await store.close()

    asyncio.run(check())


def test_keys_are_what_they_were() -> None:
    """Digests and slots are on disk for ever: a change of their arithmetic would lose every chain."""
    assert (key("a").digest.hex(), key("a").slot) == ("bff16c6d53d8d448f19ef798b5ea34a1", 3071)


async def test_a_file_of_an_earlier_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its rows stay; what later steps add has the value that was meant before."""
    path = tmp_path / "p.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT")
    for migration in SQLITE[:2]:
        for statement in migration.steps:
            assert isinstance(statement, str)
            connection.execute(statement)
        connection.execute("INSERT INTO migration (number, name) VALUES (?, ?)", (migration.number, migration.name))
    shown = [record(f"w{number}", number) for number in range(1500)]
    columns = [name for name in schema.columns(Dialect.SQLITE) if name not in ("kind", "list")]
    for one in shown:
        values = dict(zip(schema.columns(Dialect.SQLITE), visibility.upsert(Dialect.SQLITE, one)[1], strict=True))
        connection.execute(
            f"INSERT INTO visibility (workflow_hash, {', '.join(columns)}) VALUES (0{', ?' * len(columns)})",
            [values[name] for name in columns],
        )
    connection.commit()
    connection.close()

    store, _ = await opened(path)

    assert (await store.list_visibility("namespace", Kind.WORKFLOW, None, 5, b"")).records == shown[:-6:-1]
    named = compile_list("WorkflowId = 'w7' AND WorkflowType = 'Order'", {})
    assert (await store.list_visibility("namespace", Kind.WORKFLOW, named, 5, b"")).records == [shown[7]]
    assert await store.count_visibility("namespace", Kind.WORKFLOW, None, "ExecutionStatus") == [(1, 1500)]
    await store.close()
