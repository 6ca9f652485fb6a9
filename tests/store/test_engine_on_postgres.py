"""The production engine and committer on PostgreSQL while connections are killed in the middle of a COMMIT.

Here the ambiguity is a real one: the server process that was to commit is gone, and so is its answer. What must hold is
what the simulation holds the engine to: nothing acknowledged is lost, nothing happens twice, and it goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, final

import asyncpg
import pytest

from perdure.api import Message
from perdure.app import Server
from perdure.clock import WallClock
from perdure.config.dynamic import DynamicConfig
from perdure.errors import StatusCode
from perdure.ids import SystemIds
from perdure.store.postgresql import PostgresStore
from perdure.testing.in_process import CALL_S, InProcessClient
from perdure.testing.worker import Activity, Worker
from perdure.transport.client import RpcError
from tests.sim.load import PROGRAMS, Story, activities, judge
from tests.store.test_postgresql import DELAY

pytestmark = pytest.mark.slow

KILLS: Final = 5
STORIES: Final = 30
PASSING: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED})

WAITING: Final = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
"""The sessions that are in a COMMIT."""


@final
class Live:
    """A server on a real loop and a real store, and a client of it that asks until it is answered."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.random = random.Random(1)
        self.client = InProcessClient(server.frontend.dispatch)
        self.refused = 0

    async def sure(self, method: str, request: Message, timeout_s: float = CALL_S) -> Any:
        while True:
            try:
                return await self.client.call(method, request, timeout_s)
            except RpcError as error:
                if error.code not in PASSING:
                    raise
                self.refused += 1


@asynccontextmanager
async def _live(dsn: str, scripts: dict[str, Activity]) -> AsyncIterator[Live]:
    server = Server(PostgresStore(dsn), WallClock(), SystemIds(), DynamicConfig())
    await server.open()
    live = Live(server)
    work = asyncio.create_task(Worker(live.client, "w", PROGRAMS, scripts).run())
    try:
        yield live
    finally:
        work.cancel()
        await asyncio.wait([work])
        await server.close()


async def _kill_a_commit(outsider: asyncpg.Connection[asyncpg.Record]) -> None:
    """Hold the next COMMIT of an update, and kill the session that is in it."""
    await outsider.execute("SELECT pg_advisory_lock(1)")
    while not (waiting := await outsider.fetch(WAITING)):
        pass
    for row in waiting:
        await outsider.execute("SELECT pg_terminate_backend($1)", row["pid"])
    await outsider.execute("SELECT pg_advisory_unlock(1)")


async def test_connections_killed_during_commit_lose_nothing_and_repeat_nothing(postgres_database: str) -> None:
    """Workflows run on through it; every one closes with its result, histories are dense, no result is there twice."""
    async with _live(postgres_database, activities()) as live:
        outsider = await asyncpg.connect(postgres_database)
        await outsider.execute(DELAY)
        epoch = live.server.engine.committer.fence.epoch
        telling = []
        for kill in range(KILLS):
            stories = [Story(live, f"quick-{kill}-{number}", "quick") for number in range(STORIES // KILLS)]
            telling += [(story, asyncio.create_task(story.tell())) for story in stories]
            await _kill_a_commit(outsider)
        async with asyncio.timeout(40):
            await asyncio.gather(*[task for _, task in telling])
        judge([story for story, _ in telling])
        assert live.server.engine.committer.fence.epoch >= epoch + KILLS, "each ambiguous commit takes a new epoch"
        await outsider.close()


async def test_what_was_acknowledged_is_there_for_the_next_server(postgres_database: str) -> None:
    """A second server takes over from one that was not closed: it goes on with the runs where they stand."""
    scripts = activities()
    async with _live(postgres_database, scripts) as first:
        stories = [Story(first, f"quick-{number}", "quick") for number in range(10)]
        await asyncio.gather(*[story.start() for story in stories])
        async with _live(postgres_database, scripts) as second:
            for story in stories:
                story.world = second
            async with asyncio.timeout(40):
                await asyncio.gather(*[story.finish() for story in stories])
            judge(stories)
