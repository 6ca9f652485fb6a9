"""DeleteWorkflowExecution removes a run, all of its history and, with the last run, its chain (semantics 7.5, F22)."""

from __future__ import annotations

from perdure.api import common, enums, history, taskqueue, workflow, workflowservice
from perdure.ids import ChainKey, Kind
from perdure.machines.workflow.inputs import Signal
from perdure.store.memory import MemoryStore
from tests.frontend.served import Served, served, until

LONG = 4_200
"""More signals, and so more fragments, than one write may remove."""


async def _start(server: Served, request_id: str = "", conflict: int = 3, attach: bool = False) -> str:
    """Without a conflict policy of its own it terminates the run that is there."""
    answer = await server.call(
        "StartWorkflowExecution",
        workflowservice.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id="w",
            workflow_type=common.WorkflowType(name="Wf"),
            task_queue=taskqueue.TaskQueue(name="q"),
            request_id=request_id or server.server.ids.request_id(),
            workflow_id_conflict_policy=conflict,  # type: ignore[arg-type]  # plain numbers
            on_conflict_options=workflow.OnConflictOptions(attach_request_id=True) if attach else None,
        ),
        workflowservice.StartWorkflowExecutionResponse,
    )
    return answer.run_id


async def _delete(server: Served, run_id: str = "") -> None:
    request = workflowservice.DeleteWorkflowExecutionRequest(
        namespace="default", workflow_execution=common.WorkflowExecution(workflow_id="w", run_id=run_id)
    )
    await server.call("DeleteWorkflowExecution", request, workflowservice.DeleteWorkflowExecutionResponse)


async def _described(server: Served, run_id: str = "") -> str:
    request = workflowservice.DescribeWorkflowExecutionRequest(
        namespace="default", execution=common.WorkflowExecution(workflow_id="w", run_id=run_id)
    )
    error = await server.refused("DescribeWorkflowExecution", request)
    return error.message


def _rows(server: Served) -> tuple[int, int, int, int]:
    store = server.server.store
    assert isinstance(store, MemoryStore)
    state = store._state()  # the rows themselves
    fragments = sum(len(branch) for branch in state.fragments.values())
    return len(state.chains), len(state.runs), fragments, len(state.visibility)


async def test_an_open_run_is_terminated_and_removed_whole() -> None:
    async with served() as server:
        empty = _rows(server)
        await _start(server)
        await _delete(server)
        await until(lambda: _rows(server) == empty)
        assert await _described(server) == "workflow not found for ID: w"
        await _start(server)


async def test_older_runs_outlive_the_current_one() -> None:
    """By workflow id there is nothing any more; by run id there is, until the last run goes and the chain with it."""
    async with served() as server:
        empty = _rows(server)
        old = await _start(server)
        current = await _start(server)
        await _delete(server, current)
        await until(lambda: _rows(server)[1] == empty[1] + 1)
        assert await _described(server) == "workflow not found for ID: w"
        request = workflowservice.DescribeWorkflowExecutionRequest(
            namespace="default", execution=common.WorkflowExecution(workflow_id="w", run_id=old)
        )
        await server.call("DescribeWorkflowExecution", request, workflowservice.DescribeWorkflowExecutionResponse)
        newest = await _start(server)
        await _delete(server, old)
        await _delete(server, newest)
        await until(lambda: _rows(server) == empty)


async def test_a_long_history_goes_in_several_writes() -> None:
    async with served() as server:
        empty = _rows(server)
        await _start(server)
        namespace = server.server.namespaces.by_name("default")
        assert namespace is not None
        key = ChainKey(namespace.id, Kind.WORKFLOW, "w")
        attributes = history.WorkflowExecutionSignaledEventAttributes(signal_name="s")
        for _ in range(LONG):
            await server.server.engine.submit(key, Signal("", attributes, ""))
        assert _rows(server)[2] > LONG
        await _delete(server)
        await until(lambda: _rows(server) == empty)


def _parts(store: MemoryStore) -> int:
    return sum(len(parts) for parts in store._state().parts.values())


async def test_a_chain_forgets_the_requests_of_a_run_with_the_run() -> None:
    """A workflow id that is used for ever would else gather them, and a start would be told of a run that is gone."""
    async with served() as server:
        store = server.server.store
        assert isinstance(store, MemoryStore)
        first = await _start(server, "made")
        assert first == await _start(server, "met", enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, attach=True)
        second = await _start(server, "second")
        before = _parts(store)
        assert await _start(server, "made") == first
        assert await _start(server, "met") == first
        runs = _rows(server)[1]
        await _delete(server, first)
        await until(lambda: _rows(server)[1] == runs - 1)
        assert _parts(store) == before - 2
        third = await _start(server, "made")
        assert len({first, second, third}) == 3
