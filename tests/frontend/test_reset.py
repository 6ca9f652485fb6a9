"""ResetWorkflowExecution copies no history: runs share branches, and a branch goes with the last of them (7.4, D14)."""

from __future__ import annotations

import asyncio

from perdure.api import command as commands
from perdure.api import common, enums, history, taskqueue, workflowservice
from perdure.store.memory import MemoryStore
from tests.frontend.served import Served, served, until

COMPLETE = commands.Command(
    command_type=enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    complete_workflow_execution_command_attributes=commands.CompleteWorkflowExecutionCommandAttributes(),
)


def _execution(run_id: str = "") -> common.WorkflowExecution:
    return common.WorkflowExecution(workflow_id="w", run_id=run_id)


async def _turn(server: Served, *wanted: commands.Command) -> None:
    """Poll a workflow task and complete it."""
    queue = taskqueue.TaskQueue(name="q")
    poll = workflowservice.PollWorkflowTaskQueueRequest(namespace="default", task_queue=queue, identity="worker")
    task = await server.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
    done = workflowservice.RespondWorkflowTaskCompletedRequest(
        namespace="default", task_token=task.task_token, identity="worker", commands=wanted
    )
    await server.call("RespondWorkflowTaskCompleted", done, workflowservice.RespondWorkflowTaskCompletedResponse)


async def _completed(server: Served) -> str:
    """A run with a signal in the middle of its nine events."""
    start = workflowservice.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="w",
        workflow_type=common.WorkflowType(name="Wf"),
        task_queue=taskqueue.TaskQueue(name="q"),
        request_id="start",
    )
    answer = await server.call("StartWorkflowExecution", start, workflowservice.StartWorkflowExecutionResponse)
    await _turn(server)
    signal = workflowservice.SignalWorkflowExecutionRequest(
        namespace="default", workflow_execution=_execution(), signal_name="go", request_id="s"
    )
    await server.call("SignalWorkflowExecution", signal, workflowservice.SignalWorkflowExecutionResponse)
    await _turn(server, COMPLETE)
    return answer.run_id


async def _reset(server: Served, finish: int, request_id: str, run_id: str = "") -> str:
    request = workflowservice.ResetWorkflowExecutionRequest(
        namespace="default",
        workflow_execution=_execution(run_id),
        reason="why",
        request_id=request_id,
        workflow_task_finish_event_id=finish,
    )
    answer = await server.call("ResetWorkflowExecution", request, workflowservice.ResetWorkflowExecutionResponse)
    return answer.run_id


async def _told(server: Served, run_id: str) -> list[str]:
    request = workflowservice.GetWorkflowExecutionHistoryRequest(namespace="default", execution=_execution(run_id))
    answer = await server.call(
        "GetWorkflowExecutionHistory", request, workflowservice.GetWorkflowExecutionHistoryResponse
    )
    events: list[history.HistoryEvent] = list(answer.history.events)
    assert [event.event_id for event in events] == list(range(1, len(events) + 1))
    return [enums.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events]


async def _delete(server: Served, run_id: str) -> None:
    request = workflowservice.DeleteWorkflowExecutionRequest(namespace="default", workflow_execution=_execution(run_id))
    await server.call("DeleteWorkflowExecution", request, workflowservice.DeleteWorkflowExecutionResponse)


def _counts(server: Served) -> tuple[int, int, int]:
    store = server.server.store
    assert isinstance(store, MemoryStore)
    state = store._state()
    fragments = [fragment for branch in state.fragments.values() for fragment in branch]
    return len(state.chains), len(state.runs), len(fragments)


AFTER_RESET = [
    "WORKFLOW_EXECUTION_STARTED",
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_FAILED",
    "WORKFLOW_EXECUTION_SIGNALED",
    "WORKFLOW_TASK_SCHEDULED",
]


async def test_a_reset_shares_what_was_before_its_point() -> None:
    async with served() as server:
        base = await _completed(server)
        before = _counts(server)
        run_id = await _reset(server, 4, "r")
        assert await _told(server, run_id) == AFTER_RESET
        assert len(await _told(server, base)) == 9
        assert _counts(server) == (before[0], before[1] + 1, before[2] + 1)


async def test_a_run_made_by_a_reset_can_be_reset_again() -> None:
    async with served() as server:
        await _completed(server)
        await _reset(server, 4, "r1")
        await _turn(server, COMPLETE)
        third = await _reset(server, 8, "r2")
        assert await _told(server, third) == [
            *AFTER_RESET,
            "WORKFLOW_TASK_STARTED",
            "WORKFLOW_TASK_FAILED",
            "WORKFLOW_TASK_SCHEDULED",
        ]


async def test_shared_history_goes_with_the_last_run_that_names_it() -> None:
    async with served() as server:
        empty = _counts(server)
        base = await _completed(server)
        run_id = await _reset(server, 4, "r")
        await _delete(server, base)
        await until(lambda: _counts(server)[1] == empty[1] + 1)
        assert await _told(server, run_id) == AFTER_RESET
        await _delete(server, run_id)
        await until(lambda: _counts(server) == empty)


async def test_a_reset_that_comes_with_others_sees_what_they_did() -> None:
    """Signals under way are committed before the history is read, and go over to the new run."""
    async with served() as server:
        await _completed(server)
        await _reset(server, 4, "r1")
        signals = [
            workflowservice.SignalWorkflowExecutionRequest(
                namespace="default", workflow_execution=_execution(), signal_name="more", request_id=f"m{number}"
            )
            for number in range(5)
        ]
        calls = [
            server.call("SignalWorkflowExecution", one, workflowservice.SignalWorkflowExecutionResponse)
            for one in signals
        ]
        results = await asyncio.gather(*calls, _reset(server, 4, "r2"))
        run_id = results[-1]
        assert isinstance(run_id, str)
        assert (await _told(server, run_id)).count("WORKFLOW_EXECUTION_SIGNALED") == 6
