"""Updates through the SDK (semantics 8.2, 8.3): stages, rejections, update-with-start, and a server that is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.service.conftest import Run
from tests.service.counters import Counter
from tests.service.processes import ServerProcess
from tests.service.rpc import new_id
from tests.service.test_sdk import events_of

ACCEPTED = WorkflowUpdateStage.ACCEPTED


def worker(client: Client, queue: str, **options: Any) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Counter], workflow_runner=UnsandboxedWorkflowRunner(), **options)


async def started(client: Client, queue: str) -> WorkflowHandle[Counter, int]:
    """A counter that has begun to wait."""
    handle = await client.start_workflow(Counter.run, 0, id=new_id(), task_queue=queue)
    assert await handle.query(Counter.total) == 0
    return handle


@pytest.mark.parametrize("cached", [1000, 0])
def test_updates_one_after_the_other(run: Run, cached: int) -> None:
    """With a sticky cache and without; a query sees each; the history has two events for each."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue, max_cached_workflows=cached):
            handle = await started(client, queue)
            for number in range(1, 6):
                await handle.execute_update(Counter.add, 1)
                assert await handle.query(Counter.total) == number
            await handle.signal(Counter.order, "end")
            assert await handle.result() == 5
        events = await events_of(handle)
        assert events.count("WORKFLOW_EXECUTION_UPDATE_ACCEPTED") == 5
        assert events.count("WORKFLOW_EXECUTION_UPDATE_COMPLETED") == 5

    run(scenario)


def test_a_rejected_update_leaves_no_trace(run: Run) -> None:
    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await started(client, queue)
            before = await events_of(handle)
            for _ in range(3):
                with pytest.raises(WorkflowUpdateFailedError) as raised:
                    await handle.execute_update(Counter.add, -1)
                assert isinstance(raised.value.cause, ApplicationError)
            assert await events_of(handle) == before
            assert await handle.execute_update(Counter.add, 1) == 1

    run(scenario)


def test_many_at_once_and_by_one_id(run: Run) -> None:
    """Ten callers of ten updates, and three of one: that one happens once."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await started(client, queue)
            totals = await asyncio.gather(*[handle.execute_update(Counter.add, 1) for _ in range(10)])
            assert sorted(totals) == list(range(1, 11))
            same = [handle.execute_update(Counter.add, 5, id="same") for _ in range(3)]
            assert await asyncio.gather(*same) == [15, 15, 15]
            assert await handle.get_update_handle("same").result() == 15

    run(scenario)


def test_accepted_and_completed_later(run: Run) -> None:
    """The result is polled for; a run that ends first fails the update."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await started(client, queue)
            first: Any = await handle.start_update(Counter.add_when_released, 2, wait_for_stage=ACCEPTED)
            await handle.signal(Counter.release)
            assert await first.result() == 2
            other = await started(client, queue)
            late: Any = await other.start_update(Counter.add_when_released, 2, wait_for_stage=ACCEPTED)
            await other.signal(Counter.order, "leave")
            with pytest.raises(WorkflowUpdateFailedError) as raised:
                await late.result()
            assert isinstance(raised.value.cause, ApplicationError)
            assert raised.value.cause.type == "AcceptedUpdateCompletedWorkflow"

    run(scenario)


def test_an_update_waits_for_a_worker(run: Run) -> None:
    """Sent before any worker is there."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        handle = await client.start_workflow(Counter.run, 0, id=new_id(), task_queue=queue)
        update = asyncio.create_task(handle.execute_update(Counter.add, 1))
        async with worker(client, queue):
            assert await update == 1

    run(scenario)


def test_continue_as_new_between_updates(run: Run) -> None:
    """The caller of a workflow id always reaches the run that is open."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            first = await started(client, queue)
            handle = client.get_workflow_handle(first.id)
            for round_number in range(1, 4):
                assert await handle.execute_update(Counter.add, 1) == round_number
                await handle.signal(Counter.order, "again")
            assert await handle.execute_update(Counter.add, 1) == 4

    run(scenario)


def test_update_with_start(run: Run) -> None:
    """A new run, the same run, and a run that must not be used."""

    async def scenario(client: Client) -> None:
        queue, workflow_id = new_id("q"), new_id()

        async def add(policy: WorkflowIDConflictPolicy) -> int:
            start = WithStartWorkflowOperation(
                Counter.run, 10, id=workflow_id, task_queue=queue, id_conflict_policy=policy
            )
            return await client.execute_update_with_start_workflow(Counter.add, 1, start_workflow_operation=start)

        async with worker(client, queue):
            assert await add(WorkflowIDConflictPolicy.USE_EXISTING) == 11
            assert await add(WorkflowIDConflictPolicy.USE_EXISTING) == 12
            with pytest.raises(WorkflowAlreadyStartedError):
                await add(WorkflowIDConflictPolicy.FAIL)

    run(scenario)


def test_a_killed_server_keeps_what_was_accepted(tmp_path: Path) -> None:
    """G16: accepted and completed updates outlive the server, by id; an admitted one may be sent again."""
    server = ServerProcess(tmp_path / "log", tmp_path / "state.db")
    queue = new_id("q")

    async def before() -> str:
        client = await Client.connect(server.target)
        async with worker(client, queue):
            handle = await started(client, queue)
            assert await handle.execute_update(Counter.add, 1, id="done") == 1
            await handle.start_update(Counter.add_when_released, 2, id="open", wait_for_stage=ACCEPTED)
        unseen = asyncio.create_task(handle.execute_update(Counter.add, 4, id="unseen", rpc_timeout=None))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(unseen), 0.2)
        await asyncio.to_thread(server.kill)
        unseen.cancel()
        return handle.id

    async def after(workflow_id: str) -> None:
        client = await Client.connect(server.target)
        handle = client.get_workflow_handle(workflow_id)
        assert await handle.get_update_handle("done").result() == 1
        with pytest.raises(RPCError) as raised:
            await handle.get_update_handle("unseen").result()
        assert raised.value.status == RPCStatusCode.NOT_FOUND
        async with worker(client, queue):
            assert await handle.execute_update(Counter.add, 4, id="unseen") == 5
            assert await handle.execute_update(Counter.add, 100, id="done") == 1
            await handle.signal(Counter.release)
            assert await handle.get_update_handle("open").result() == 7

    with server:
        workflow_id = asyncio.run(before())
        server.start()
        asyncio.run(after(workflow_id))
