"""A step with thousands of things to do lets others have their turn, and is as whole as any other (decision 021)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.machines.pieces import PIECE
from perdure.machines.workflow import machine
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.transport.client import RpcError
from tests.service.rpc import message, start_of
from tests.sim.world import World, quiet

MANY: Final = 10 * PIECE


def _run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        async with asyncio.timeout(24 * 3600):
            await scenario(world)

    quiet()
    virtual_time.run(1, main())


async def _task(world: World, workflow_id: str) -> Any:
    """The first workflow task of a new run, which is its queue's name too."""
    await world.once("StartWorkflowExecution", start_of(workflow_id, workflow_id))
    return await _next_task(world, workflow_id)


async def _next_task(world: World, queue: str) -> Any:
    poll = rpc.PollWorkflowTaskQueueRequest(namespace="default", task_queue=message(name=queue))
    task = await world.once("PollWorkflowTaskQueue", poll, 60.0)
    assert isinstance(task, rpc.PollWorkflowTaskQueueResponse)
    assert task.task_token
    return task


def _timers(task: Any, seconds: int) -> rpc.RespondWorkflowTaskCompletedRequest:
    completion = rpc.RespondWorkflowTaskCompletedRequest(namespace="default", task_token=task.task_token)
    for number in range(MANY):
        command = completion.commands.add(command_type=enums.COMMAND_TYPE_START_TIMER)
        command.start_timer_command_attributes.timer_id = f"t{number}"
        command.start_timer_command_attributes.start_to_fire_timeout.seconds = seconds
    return completion


def _signal(workflow_id: str) -> rpc.SignalWorkflowExecutionRequest:
    return rpc.SignalWorkflowExecutionRequest(
        namespace="default", workflow_execution=message(workflow_id=workflow_id), signal_name="s", request_id="r"
    )


async def _types(world: World, workflow_id: str) -> list[int]:
    found: list[int] = []
    request = rpc.GetWorkflowExecutionHistoryRequest(namespace="default", execution=message(workflow_id=workflow_id))
    while True:
        page = await world.once("GetWorkflowExecutionHistory", request, 60.0)
        assert isinstance(page, rpc.GetWorkflowExecutionHistoryResponse)
        found += [event.event_type for event in page.history.events]
        if not page.next_page_token:
            return found
        request.next_page_token = page.next_page_token


def test_others_are_answered_between_the_pieces_and_the_chain_waits() -> None:
    """Another run's signal overtakes a completion of many timers; one to the same run comes behind it."""

    async def scenario(world: World) -> None:
        task = await _task(world, "long")
        await _task(world, "other")
        ended: list[str] = []

        async def call(name: str, method: str, request: Any) -> None:
            await world.once(method, request, 60.0)
            ended.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(call("long", "RespondWorkflowTaskCompleted", _timers(task, 3600)))
            group.create_task(call("own signal", "SignalWorkflowExecution", _signal("long")))
            group.create_task(call("other", "SignalWorkflowExecution", _signal("other")))
        assert ended[0] == "other"
        assert await _types(world, "long") == [
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
            enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
            enums.EVENT_TYPE_WORKFLOW_TASK_STARTED,
            enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
            *[enums.EVENT_TYPE_TIMER_STARTED] * MANY,
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
            enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        ]

    _run(scenario)


def test_timers_that_are_due_together_fire_in_one_step() -> None:
    async def scenario(world: World) -> None:
        task = await _task(world, "long")
        await world.once("RespondWorkflowTaskCompleted", _timers(task, 1), 60.0)
        task = await _next_task(world, "long")
        counted = Counter(await _types(world, "long"))
        assert counted[enums.EVENT_TYPE_TIMER_FIRED] == MANY
        assert counted[enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED] == 2
        assert task.started_event_id == 4 + 2 * MANY + 2

    _run(scenario)


def test_a_draft_that_is_lost_meanwhile_takes_the_step_with_it_and_not_its_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The signal before it is being written, and its write fails: the completion is stepped again on what is stored."""
    begun: list[object] = []
    pieces = machine.pieces

    def counted(key: Any, state: Any, *rest: Any) -> Any:
        begun.append(state)
        return pieces(key, state, *rest)

    monkeypatch.setattr(machine, "pieces", counted)

    async def scenario(world: World) -> None:
        task = await _task(world, "long")
        world.suffer(Faults(fail=1.0))
        async with asyncio.TaskGroup() as group:
            lost = group.create_task(_refused(world, _signal("long")))
            long = group.create_task(world.once("RespondWorkflowTaskCompleted", _timers(task, 3600), 60.0))
            await lost
            world.heal()
            await long
        assert len(begun) == 2, "the step was not made again"
        counted = Counter(await _types(world, "long"))
        assert counted[enums.EVENT_TYPE_TIMER_STARTED] == MANY
        assert counted[enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED] == 0

    async def _refused(world: World, request: Any) -> None:
        with pytest.raises(RpcError, match="UNAVAILABLE"):
            await world.once("SignalWorkflowExecution", request)

    _run(scenario)
