"""Children and external workflows through the SDK (semantics 9): what parents hear, and what becomes of children."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError, TerminatedError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import ParentClosePolicy

from tests.service import families
from tests.service.conftest import Run
from tests.service.processes import ServerProcess
from tests.service.rpc import new_id
from tests.service.test_sdk import events_of

SOON_S = 10.0


def worker(client: Client, queue: str) -> Worker:
    """A worker with the family's workflows."""
    return Worker(client, task_queue=queue, workflows=families.WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner())


async def there(client: Client, workflow_id: str) -> WorkflowHandle[Any, Any]:
    """A workflow that another one starts, once it is there."""
    handle = client.get_workflow_handle(workflow_id)
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                await handle.describe()
                return handle
            except RPCError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("sums", "did sums"),
        ("fail", "ApplicationError: Told: as told"),
        ("again2", "after True"),
    ],
)
def test_a_parent_hears_of_its_childs_end(run: Run, order: str, told: str) -> None:
    """A result, a failure, and the result of the last run of a chain."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            assert await client.execute_workflow(families.Parent.run, order, id=new_id(), task_queue=queue) == told

    run(scenario)


def test_a_terminated_child(run: Run) -> None:
    """Terminated by a client: the parent hears of it."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(families.Parent.run, "wait", id=new_id(), task_queue=queue)
            kid = await there(client, f"{handle.id}-kid")
            description = await kid.describe()
            assert description.parent_id == handle.id
            assert description.root_id == handle.id
            await kid.terminate()
            assert (await handle.result()).startswith("TerminatedError")

    run(scenario)


def test_a_child_is_signalled_and_cancelled_by_its_parent(run: Run) -> None:
    """Both reach it, and the parent hears what came of it."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            assert await client.execute_workflow(families.Caller.run, "hi", id=new_id(), task_queue=queue) == "hi"
            told = await client.execute_workflow(families.Canceller.run, id=new_id(), task_queue=queue)
            assert told == "CancelledError"

    run(scenario)


@pytest.mark.parametrize("policy", [ParentClosePolicy.TERMINATE, ParentClosePolicy.REQUEST_CANCEL])
@pytest.mark.parametrize("again", [False, True])
def test_a_parent_takes_its_child_along(run: Run, policy: ParentClosePolicy, again: bool) -> None:
    """Terminate and request-cancel, at the parent's end and at its continue-as-new."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(
                families.Leaver.run, args=[int(policy), again], id=new_id(), task_queue=queue
            )
            kid = await there(client, f"{handle.id}-kid")
            first_run_id = (await kid.describe()).run_id
            await handle.signal(families.Leaver.leave)
            with pytest.raises(WorkflowFailureError) as failure:
                await client.get_workflow_handle(kid.id, run_id=first_run_id).result()
            wanted = TerminatedError if policy == ParentClosePolicy.TERMINATE else CancelledError
            assert isinstance(failure.value.cause, wanted)
            if again:
                await handle.terminate()

    run(scenario)


def test_an_abandoned_child_lives_on(run: Run) -> None:
    """Its parent ends; the child waits for its signal as before."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            abandon = int(ParentClosePolicy.ABANDON)
            handle = await client.start_workflow(
                families.Leaver.run, args=[abandon, False], id=new_id(), task_queue=queue
            )
            kid = await there(client, f"{handle.id}-kid")
            await handle.signal(families.Leaver.leave)
            assert await handle.result() == "left"
            assert (await kid.describe()).status == WorkflowExecutionStatus.RUNNING
            await kid.signal(families.Kid.hear, "still here")
            assert await kid.result() == "still here"

    run(scenario)


def test_strangers(run: Run) -> None:
    """A signal and a cancel request to a workflow that is no child, and to one that is not there."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            kid = await client.start_workflow(families.Kid.run, "wait", id=new_id(), task_queue=queue)
            ask = families.Stranger.run
            assert await client.execute_workflow(ask, args=[kid.id, "signal"], id=new_id(), task_queue=queue) == "done"
            assert await kid.result() == "from a stranger"
            other = await client.start_workflow(families.Kid.run, "wait", id=new_id(), task_queue=queue)
            assert (
                await client.execute_workflow(ask, args=[other.id, "cancel"], id=new_id(), task_queue=queue) == "done"
            )
            with pytest.raises(WorkflowFailureError):
                await other.result()
            told = await client.execute_workflow(ask, args=["nobody", "signal"], id=new_id(), task_queue=queue)
            assert "not found" in told

    run(scenario)


def test_children_survive_a_killed_server(tmp_path: Path) -> None:
    """The server is killed again and again while forty children start, run and report: each does so once."""

    async def scenario(process: ServerProcess) -> None:
        client = await Client.connect(process.target)
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(families.Crowd.run, 40, id=new_id(), task_queue=queue)
            for _ in range(3):
                await asyncio.sleep(0.15)
                await asyncio.to_thread(process.kill)
                await asyncio.to_thread(process.start)
            async with asyncio.timeout(60):
                assert await handle.result() == sum(range(40))
            kinds = await events_of(handle)
        assert kinds.count("CHILD_WORKFLOW_EXECUTION_STARTED") == 40
        assert kinds.count("CHILD_WORKFLOW_EXECUTION_COMPLETED") == 40

    with ServerProcess(tmp_path / "stderr.log", flags=("--db-filename", str(tmp_path / "t.db"))) as process:
        asyncio.run(scenario(process))
        assert "Traceback" not in process.errors(), process.errors()[-4000:]
