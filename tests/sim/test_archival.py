"""Archives and retention under crashes and an archive that fails: late perhaps, lost never (DESIGN 1.10)."""

from __future__ import annotations

import asyncio
import random
from typing import final

import pytest

from perdure.api import common, enums, taskqueue, workflow, workflowservice
from perdure.api.times import duration_of
from perdure.app import Server
from perdure.archival.api import ArchivedRun, ArchiveError, Matches, Place, Window
from perdure.clock import SECOND
from perdure.errors import StatusCode
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.transport.client import RpcError
from tests.sim.world import World, quiet

RUNS = 12
SETTINGS = {
    "system.historyArchivalState": "enabled",
    "system.visibilityArchivalState": "enabled",
    "system.namespaceMinRetentionLocal": "1s",
}


@final
class MemoryProvider:
    """An archive that outlives the server's process, and fails while it is told to."""

    def __init__(self, seed: int) -> None:
        self.histories: dict[tuple[str, str], bytes] = {}
        self.infos: dict[tuple[str, str], workflow.WorkflowExecutionInfo] = {}
        self.failing = True
        self._random = random.Random(seed)

    def check(self, uri: str) -> None:
        assert uri == "test:archive"

    async def _work(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 2))
        if self.failing and self._random.random() < 0.6:
            raise ArchiveError("not now")

    async def keep_history(self, uri: str, run: ArchivedRun, body: bytes) -> None:
        await self._work()
        self.histories[run.workflow_id, run.run_id] = body

    async def history(self, uri: str, run: ArchivedRun) -> bytes | None:
        return self.histories.get((run.workflow_id, run.run_id))

    async def keep_record(self, uri: str, run: ArchivedRun, info: workflow.WorkflowExecutionInfo) -> None:
        await self._work()
        self.infos[run.workflow_id, run.run_id] = info

    async def records(
        self, uri: str, namespace_id: str, matches: Matches, window: Window, limit: int, after: Place | None
    ) -> list[workflow.WorkflowExecutionInfo]:
        return [info for info in self.infos.values() if matches(info)][:limit]


async def _world(archive: MemoryProvider) -> World:
    """A server with a namespace that archives and forgets its closed runs after five seconds."""

    def prepare(server: Server) -> None:
        server.archive = archive  # type: ignore[assignment]  # the one of the simulation
        server.engine.archiving.provider = archive

    faults = Faults(fail=0.05, unknown_applied=0.05, unknown_lost=0.05, latency_max_ns=SECOND // 50)
    world = World(faults, settings=SETTINGS, prepare=prepare)
    await world.boot()
    register = workflowservice.RegisterNamespaceRequest(
        namespace="arch",
        workflow_execution_retention_period=duration_of(5 * SECOND),
        history_archival_state=enums.ARCHIVAL_STATE_ENABLED,
        history_archival_uri="test:archive",
        visibility_archival_state=enums.ARCHIVAL_STATE_ENABLED,
        visibility_archival_uri="test:archive",
    )
    await world.sure("RegisterNamespace", register)
    return world


async def _run_and_end(world: World, name: str) -> str:
    """Starts a workflow and terminates it; its run id."""
    request = workflowservice.StartWorkflowExecutionRequest(
        namespace="arch",
        workflow_id=name,
        workflow_type=common.WorkflowType(name="T"),
        task_queue=taskqueue.TaskQueue(name="q"),
        request_id=name,
    )
    run_id: str = (await world.sure("StartWorkflowExecution", request)).run_id
    end = workflowservice.TerminateWorkflowExecutionRequest(
        namespace="arch", workflow_execution=common.WorkflowExecution(workflow_id=name)
    )
    try:
        await world.sure("TerminateWorkflowExecution", end)
    except RpcError as error:
        # An earlier attempt had its effect, and its answer was lost.
        if error.code != StatusCode.NOT_FOUND:
            raise
    return run_id


async def _archived_events(world: World, name: str, run_id: str) -> list[int]:
    asked = workflowservice.GetWorkflowExecutionHistoryRequest(
        namespace="arch", execution=common.WorkflowExecution(workflow_id=name, run_id=run_id), maximum_page_size=2
    )
    seen: list[int] = []
    while True:
        page = await world.once("GetWorkflowExecutionHistory", asked)
        assert page.archived
        seen += [event.event_id for event in page.history.events]
        asked.next_page_token = page.next_page_token
        if not asked.next_page_token:
            return seen


async def _scenario(seed: int) -> None:
    archive = MemoryProvider(seed)
    world = await _world(archive)
    calm = asyncio.Event()
    crashing = asyncio.create_task(world.crash_now_and_then(1.0, 6.0, False, calm))
    started: dict[str, str] = {}
    for number in range(RUNS):
        started[f"w{number}"] = await _run_and_end(world, f"w{number}")
        await asyncio.sleep(1.0)
    calm.set()
    await crashing
    archive.failing = False
    world.heal()
    await asyncio.sleep(200.0)

    assert set(archive.histories) == set(archive.infos) == set(started.items())
    listed = workflowservice.ListWorkflowExecutionsRequest(namespace="arch")
    assert not (await world.once("ListWorkflowExecutions", listed)).executions
    for name, run_id in started.items():
        assert await _archived_events(world, name, run_id) == [1, 2, 3]
    query = workflowservice.ListArchivedWorkflowExecutionsRequest(namespace="arch", query="WorkflowId = 'w3'")
    (info,) = (await world.once("ListArchivedWorkflowExecutions", query)).executions
    assert info.status == enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
    await world.close()


@pytest.mark.parametrize("seed", range(3))
def test_every_closed_run_is_archived_before_it_goes(seed: int) -> None:
    """Crashes, failing commits and a failing archive: in the end each run is in the archive, and in no list."""
    quiet()
    virtual_time.run(seed, _scenario(seed))
