"""What operators do to runs, seen through the SDK: pause, reset with children, options (semantics 7.4 - 7.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.workflow.v1 import PostResetOperation, WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as rpc
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.service.processes import ServerProcess
from tests.service.rpc import new_id

pytestmark = pytest.mark.slow

NAMESPACE = "default"
TEST_S = 40.0
HELD_S = 0.4
"""How long a paused run is watched: what must not happen would happen in a hundredth of that."""


@activity.defn
async def add_one(number: int) -> int:
    return number + 1


@workflow.defn
class Counter:
    """Adds one for each signal, by an activity, and ends after two."""

    def __init__(self) -> None:
        self.signals = 0
        self.done = 0

    @workflow.signal
    def go(self) -> None:
        self.signals += 1

    @workflow.query
    def state(self) -> int:
        return self.done

    @workflow.update
    async def add(self) -> int:
        self.signals += 1
        return self.signals

    def _beyond(self, number: int) -> Callable[[], bool]:
        return lambda: self.signals > number

    @workflow.run
    async def run(self, with_kid: bool = False) -> str:
        told = ""
        if with_kid:
            own = workflow.info().workflow_id
            told = await workflow.execute_child_workflow(Kid.run, id=f"{own}-kid")
        for number in range(2):
            await workflow.wait_condition(self._beyond(number))
            self.done = await workflow.execute_activity(
                add_one, self.done, start_to_close_timeout=timedelta(seconds=10)
            )
        return f"{told}{self.done}"


@workflow.defn
class Kid:
    """Ends when it is told to."""

    def __init__(self) -> None:
        self.over = False

    @workflow.signal
    def end(self) -> None:
        self.over = True

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.over)
        return "kid, "


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on which runs may be paused."""
    log: Path = tmp_path_factory.mktemp("operators") / "stderr.log"
    with ServerProcess(log, flags=("--dynamic-config-value", "frontend.WorkflowPauseEnabled=true")) as process:
        yield process.target
    assert "Traceback" not in process.errors(), process.errors()[-4000:]


def played(target: str, scenario: Callable[[Client, str], Awaitable[None]]) -> None:
    """Runs a scenario with a worker."""

    async def connected() -> None:
        client = await Client.connect(target)
        queue = new_id("q")
        async with asyncio.timeout(TEST_S):
            async with Worker(
                client,
                task_queue=queue,
                workflows=[Counter, Kid],
                activities=[add_one],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                await scenario(client, queue)

    asyncio.run(connected())


async def _pause(client: Client, workflow_id: str) -> None:
    await client.workflow_service.pause_workflow_execution(
        rpc.PauseWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_id=workflow_id, reason="look", request_id=new_id()
        )
    )


async def _unpause(client: Client, workflow_id: str) -> None:
    await client.workflow_service.unpause_workflow_execution(
        rpc.UnpauseWorkflowExecutionRequest(namespace=NAMESPACE, workflow_id=workflow_id, request_id=new_id())
    )


async def _reset(client: Client, workflow_id: str, finish: int, *operations: PostResetOperation) -> str:
    reply = await client.workflow_service.reset_workflow_execution(
        rpc.ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            reason="again",
            request_id=new_id(),
            workflow_task_finish_event_id=finish,
            post_reset_operations=operations,
        )
    )
    return reply.run_id


def test_a_paused_workflow_stands_still_and_goes_on(target: str) -> None:
    """Signals are kept, the result is waited for, queries and updates are refused; then everything happens."""

    async def scenario(client: Client, queue: str) -> None:
        handle = await client.start_workflow(Counter.run, id=new_id(), task_queue=queue)
        assert await handle.query(Counter.state) == 0
        await _pause(client, handle.id)
        await handle.signal(Counter.go)
        await handle.signal(Counter.go)
        result = asyncio.create_task(handle.result())
        done, _ = await asyncio.wait([result], timeout=HELD_S)
        assert not done
        # The SDK knows no such status yet, so it is asked without it.
        query = rpc.QueryWorkflowRequest(namespace=NAMESPACE, execution=WorkflowExecution(workflow_id=handle.id))
        query.query.query_type = "state"
        rejected = (await client.workflow_service.query_workflow(query)).query_rejected
        assert rejected.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
        with pytest.raises(RPCError, match="Workflow is paused"):
            await handle.execute_update(Counter.add)
        await _unpause(client, handle.id)
        assert await result == "2"

    played(target, scenario)


def test_a_reset_takes_the_running_child_along(target: str) -> None:
    async def scenario(client: Client, queue: str) -> None:
        handle = await client.start_workflow(Counter.run, True, id=new_id(), task_queue=queue)
        kid = client.get_workflow_handle(f"{handle.id}-kid")
        await handle.signal(Counter.go)
        await handle.signal(Counter.go)
        run_id = await _reset(client, handle.id, await _task_after_the_childs_start(handle))
        await kid.signal(Kid.end)
        assert await client.get_workflow_handle(handle.id, run_id=run_id).result() == "kid, 2"

    played(target, scenario)


async def _task_after_the_childs_start(handle: WorkflowHandle[Any, Any]) -> int:
    """Follows the history until the worker has been told of its child's start; the id of the event that says so."""
    started = False
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            started = True
        elif started and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return event.event_id
    raise AssertionError("the run ended without a child")


def test_options_come_with_a_reset(target: str) -> None:
    async def scenario(client: Client, queue: str) -> None:
        handle = await client.start_workflow(Counter.run, id=new_id(), task_queue=queue)
        await handle.signal(Counter.go)
        await handle.signal(Counter.go)
        assert await handle.result() == "2"
        operation = PostResetOperation()
        operation.update_workflow_options.update_mask.paths.append("priority")
        options = WorkflowExecutionOptions(priority=Priority(priority_key=2))
        operation.update_workflow_options.workflow_execution_options.CopyFrom(options)
        run_id = await _reset(client, handle.id, 4, operation)
        new = client.get_workflow_handle(handle.id, run_id=run_id)
        assert await new.result() == "2"
        description = await new.describe()
        assert description.raw_description.workflow_execution_info.priority.priority_key == 2

    played(target, scenario)
