"""One server on a file for all tests of this folder; after each test it must still serve, and have logged no fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from perdure.api import workflowservice as rpc
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc, message, new_id

TEST_S = 30.0
Scenario = Callable[[Rpc], Awaitable[Any]]
Run = Callable[[Scenario], Any]


@pytest.fixture(scope="session")
def victim_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server, for as long as the session."""
    folder = tmp_path_factory.mktemp("victim")
    with ServerProcess(folder / "stderr.log", folder / "state.db") as process:
        yield process


@pytest.fixture
def victim(victim_process: ServerProcess) -> Iterator[ServerProcess]:
    """The server; when the test is over it must start a workflow, and have written no traceback meanwhile."""
    said_before = len(victim_process.errors())
    yield victim_process
    asyncio.run(_serves(victim_process.port))
    said = victim_process.errors()[said_before:]
    assert "Traceback" not in said, said[-3000:]


async def _serves(port: int) -> None:
    async with Rpc(port) as client:
        request = rpc.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=new_id(),
            workflow_type=message(name="W"),
            task_queue=message(name="unattended"),
            request_id=new_id(),
        )
        assert (await client.call(request, rpc.StartWorkflowExecutionResponse)).run_id


@pytest.fixture
def run(victim: ServerProcess) -> Run:
    """Runs `scenario(client)` to its end."""

    async def connected(scenario: Scenario) -> Any:
        async with Rpc(victim.port) as client, asyncio.timeout(TEST_S):
            return await scenario(client)

    return lambda scenario: asyncio.run(connected(scenario))
