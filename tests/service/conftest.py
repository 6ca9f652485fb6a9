"""One server in memory for all tests of this folder, and a way to run a test's coroutine with a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from tests.service.processes import ServerProcess

TEST_S = 40.0
"""A test that waits for something that does not come ends here, with a traceback of what it waited for."""

Scenario = Callable[[Client], Awaitable[Any]]
Run = Callable[[Scenario], Any]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without a file, shared: each test uses ids and task queues of its own."""
    log: Path = tmp_path_factory.mktemp("server") / "stderr.log"
    with ServerProcess(log, flags=("--search-attribute", "Colour=Keyword")) as process:
        yield process
    assert "Traceback" not in process.errors(), process.errors()[-4000:]


@pytest.fixture
def run(server: ServerProcess) -> Run:
    """Runs `scenario(client)` to its end, with a client of the shared server."""

    async def connected(scenario: Scenario) -> Any:
        client = await Client.connect(server.target)
        async with asyncio.timeout(TEST_S):
            return await scenario(client)

    return lambda scenario: asyncio.run(connected(scenario))
