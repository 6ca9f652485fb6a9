"""What the engine owes when a write or a read went wrong, one rule at a time; each was broken once.

The faults are certain here, not drawn: `World.suffer` decides from when on every commit or read fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from perdure.api import command as commands
from perdure.api import common, enums, history, taskqueue, workflowservice
from perdure.api.times import duration_of
from perdure.clock import MILLISECOND, SECOND
from perdure.errors import StatusCode
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.testing.programs import TASK_QUEUE, Both, Do, Program, Sleep, payloads
from perdure.testing.update_answers import NOW
from perdure.testing.worker import Activity, Attempt, Worker
from perdure.transport.client import RpcError
from tests.sim.scenario import SMALL_CACHE
from tests.sim.world import World, quiet

NAMESPACE = "default"
HOUR_S = 3600.0


def _run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(24 * HOUR_S):
            await scenario()

    quiet()
    virtual_time.run(1, bounded())


async def _world(cache_bytes_max: int = 1 << 28, faults: Faults | None = None) -> World:
    world = World(faults, cache_bytes_max)
    await world.boot()
    return world


async def _start(world: World, workflow_id: str, kind: str = "t", request_id: str = "") -> str:
    request = workflowservice.StartWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_id=workflow_id,
        workflow_type=common.WorkflowType(name=kind),
        task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
        request_id=request_id or f"start {workflow_id}",
    )
    run_id: str = (await world.once("StartWorkflowExecution", request)).run_id
    return run_id


async def _signal(world: World, workflow_id: str) -> None:
    request = workflowservice.SignalWorkflowExecutionRequest(
        namespace=NAMESPACE, workflow_execution=common.WorkflowExecution(workflow_id=workflow_id), signal_name="s"
    )
    await world.once("SignalWorkflowExecution", request)


async def _task(world: World) -> workflowservice.PollWorkflowTaskQueueResponse:
    request = workflowservice.PollWorkflowTaskQueueRequest(
        namespace=NAMESPACE, task_queue=taskqueue.TaskQueue(name=TASK_QUEUE)
    )
    task = await world.once("PollWorkflowTaskQueue", request, 30.0)
    assert isinstance(task, workflowservice.PollWorkflowTaskQueueResponse)
    assert task.task_token, "there was no task"
    return task


async def _complete(world: World, task: workflowservice.PollWorkflowTaskQueueResponse, *wanted: object) -> None:
    request = workflowservice.RespondWorkflowTaskCompletedRequest(namespace=NAMESPACE, task_token=task.task_token)
    for attributes in wanted:
        command = request.commands.add()
        if isinstance(attributes, commands.StartTimerCommandAttributes):
            command.command_type = enums.COMMAND_TYPE_START_TIMER
            command.start_timer_command_attributes.CopyFrom(attributes)
        elif isinstance(attributes, commands.CancelTimerCommandAttributes):
            command.command_type = enums.COMMAND_TYPE_CANCEL_TIMER
            command.cancel_timer_command_attributes.CopyFrom(attributes)
        elif isinstance(attributes, commands.ScheduleActivityTaskCommandAttributes):
            command.command_type = enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK
            command.schedule_activity_task_command_attributes.CopyFrom(attributes)
        else:
            assert isinstance(attributes, commands.CompleteWorkflowExecutionCommandAttributes)
            command.command_type = enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
            command.complete_workflow_execution_command_attributes.CopyFrom(attributes)
    await world.once("RespondWorkflowTaskCompleted", request)


def _timer(seconds: float) -> commands.StartTimerCommandAttributes:
    return commands.StartTimerCommandAttributes(
        timer_id="t", start_to_fire_timeout=duration_of(round(seconds * SECOND))
    )


async def _history(world: World, workflow_id: str, wait: bool = False) -> list[history.HistoryEvent]:
    request = workflowservice.GetWorkflowExecutionHistoryRequest(
        namespace=NAMESPACE, execution=common.WorkflowExecution(workflow_id=workflow_id), wait_new_event=wait
    )
    if wait:
        request.history_event_filter_type = enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
    page = await world.once("GetWorkflowExecutionHistory", request, 60.0)
    assert wait or not page.next_page_token, "more is promised than there is"
    return list(page.history.events)


async def _types(world: World, workflow_id: str) -> list[str]:
    found = await _history(world, workflow_id)
    return [enums.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in found]


async def _lost(call: Awaitable[object]) -> StatusCode:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value.code


async def _busy_worker(world: World, programs: dict[str, Program], scripts: dict[str, Activity]) -> asyncio.Task[None]:
    return asyncio.create_task(Worker(world.client, "w", programs, scripts, sticky=False).run())


def test_an_alarm_whose_chain_could_not_be_read_rings_again() -> None:
    """Evicted, and the store fails at the very second at which the timer is due."""

    async def scenario() -> None:
        world = await _world(SMALL_CACHE)
        await _start(world, "a")
        await _complete(world, await _task(world), _timer(60.0))
        await asyncio.sleep(55.0)
        world.suffer(Faults(read_error=1.0))
        await asyncio.sleep(10.0)
        world.heal()
        await asyncio.sleep(5.0)
        assert "TIMER_FIRED" in await _types(world, "a")

    _run(scenario)


def test_an_alarm_whose_write_failed_rings_again() -> None:
    """The timer's event could not be stored at first."""

    async def scenario() -> None:
        world = await _world()
        await _start(world, "a")
        await _complete(world, await _task(world), _timer(60.0))
        await asyncio.sleep(55.0)
        world.suffer(Faults(fail=0.5, unknown_lost=0.5))
        await asyncio.sleep(10.0)
        world.heal()
        await asyncio.sleep(5.0)
        assert (await _types(world, "a")).count("TIMER_FIRED") == 1

    _run(scenario)


def test_a_lost_draft_does_not_take_an_alarm_with_it() -> None:
    """A commit sets the alarm of the newest draft; that draft, which cancels the timer, is lost: the timer fires."""

    async def scenario() -> None:
        world = await _world(faults=Faults(latency_min_ns=100 * MILLISECOND, latency_max_ns=100 * MILLISECOND))
        await _start(world, "a")
        await _complete(world, await _task(world), _timer(30.0))
        await _signal(world, "a")
        task = await _task(world)
        world.behind_the_next_commit(lambda: world.suffer(Faults(fail=1.0)))
        signal = asyncio.create_task(_signal(world, "a"))
        await asyncio.sleep(0.05)
        cancel = commands.CancelTimerCommandAttributes(timer_id="t")
        assert await _lost(_complete(world, task, cancel)) == StatusCode.UNAVAILABLE
        world.heal()
        await signal
        await asyncio.sleep(45.0)
        found = await _types(world, "a")
        assert "WORKFLOW_TASK_TIMED_OUT" in found, "the workflow task that was started must time out"
        assert "TIMER_FIRED" in found

    _run(scenario)


def test_a_deadline_beyond_the_horizon_is_kept_when_its_stored_alarm_is_not() -> None:
    """A stored alarm may be early (an offer that is owed); the horizon moves past it, and must not forget the rest."""

    async def scenario() -> None:
        world = await _world()
        await _start(world, "far")
        await _complete(world, await _task(world), _timer(0.5 * HOUR_S))
        world.kill()
        await world.boot()  # the horizon is now the far timer
        await _start(world, "a")
        nobody = commands.ScheduleActivityTaskCommandAttributes(
            activity_id="x",
            activity_type=common.ActivityType(name="x"),
            schedule_to_close_timeout=duration_of(3600 * SECOND),
        )
        nobody.task_queue.name = "nobody"
        await _complete(world, await _task(world), nobody)
        await asyncio.sleep(1.1 * HOUR_S)
        assert "ACTIVITY_TASK_TIMED_OUT" in await _types(world, "a")

    _run(scenario)


def test_a_horizon_that_could_not_be_read_is_read_again() -> None:
    """The store fails for two minutes just when the horizon is reached; no alarm is skipped."""

    async def scenario() -> None:
        world = await _world(SMALL_CACHE)
        for number in range(5):
            await _start(world, f"far {number}")
            await _complete(world, await _task(world), _timer(0.5 * HOUR_S + number * 20.0))
        world.kill()
        await world.boot()
        await asyncio.sleep(0.5 * HOUR_S - 60.0)
        world.suffer(Faults(read_error=1.0))
        await asyncio.sleep(120.0)
        world.heal()
        await asyncio.sleep(90.0)
        for number in range(5):
            assert "TIMER_FIRED" in await _types(world, f"far {number}")

    _run(scenario)


def test_what_was_looked_up_does_not_bring_a_lost_draft_back() -> None:
    """A look-up for a start is on its way when the draft before it is lost: history must be what is stored."""

    async def scenario() -> None:
        slow = Faults(latency_min_ns=100 * MILLISECOND, latency_max_ns=100 * MILLISECOND)
        world = await _world(faults=slow)
        await _start(world, "a")
        slow_and_failing = Faults(fail=1.0, latency_min_ns=100 * MILLISECOND, latency_max_ns=100 * MILLISECOND)
        world.suffer(slow_and_failing)
        signal = asyncio.create_task(_lost(_signal(world, "a")))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(_lost(_start(world, "a", request_id="another")))
        assert await signal == StatusCode.UNAVAILABLE
        assert await second == StatusCode.ALREADY_EXISTS
        world.suffer(slow)
        assert await _types(world, "a") == ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"]

    _run(scenario)


def test_a_start_finds_its_name_when_an_alarm_came_first() -> None:
    """An alarm loads a chain without knowing its name; the start that queues up behind it is a start all the same."""

    async def scenario() -> None:
        slow = Faults(latency_min_ns=SECOND, latency_max_ns=SECOND)
        world = await _world(faults=slow)
        world.suffer(Faults(fail=1.0))
        assert await _lost(_start(world, "a")) == StatusCode.UNAVAILABLE
        world.suffer(slow)
        await asyncio.sleep(1.5)  # the lost run is being looked at
        assert await _start(world, "a")

    _run(scenario)


def test_a_run_is_removed_once_however_often_its_alarm_rings() -> None:
    """The write of the removal is lost, and two alarms look at the run before the next one: what the chain has beside
    it stays.
    """

    async def scenario() -> None:
        slow = Faults(latency_min_ns=50 * MILLISECOND, latency_max_ns=50 * MILLISECOND)
        world = await _world(faults=slow)
        first = await _start(world, "a")
        await _complete(world, await _task(world), _timer(HOUR_S))
        reset = workflowservice.ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=common.WorkflowExecution(workflow_id="a", run_id=first),
            workflow_task_finish_event_id=4,
            request_id="reset",
        )
        second = (await world.once("ResetWorkflowExecution", reset)).run_id
        delete = workflowservice.DeleteWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_execution=common.WorkflowExecution(workflow_id="a", run_id=first)
        )
        world.behind_the_next_commit(lambda: world.suffer(Faults(fail=1.0)))
        await world.once("DeleteWorkflowExecution", delete)
        await asyncio.sleep(0.5)
        world.suffer(slow)
        await asyncio.sleep(5.0)
        describe = workflowservice.DescribeWorkflowExecutionRequest(
            namespace=NAMESPACE, execution=common.WorkflowExecution(workflow_id="a")
        )
        found = await world.once("DescribeWorkflowExecution", describe)
        assert found.workflow_execution_info.execution.run_id == second
        world.check()

    _run(scenario)


def test_a_task_whose_run_is_deleted_on_its_way_to_the_worker_is_no_fault() -> None:
    """Its history is gone when it is read for the poll: the poll goes on, and whoever reads further learns of it."""

    async def scenario() -> None:
        world = await _world(SMALL_CACHE)
        await _start(world, "a")
        execution = common.WorkflowExecution(workflow_id="a")
        asked = workflowservice.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE, execution=execution, maximum_page_size=1
        )
        asked.next_page_token = (await world.once("GetWorkflowExecutionHistory", asked)).next_page_token
        # Between the start of the task and the reading of its history.
        world.behind_the_next_commit(world.disk.state.fragments.clear)
        poll = workflowservice.PollWorkflowTaskQueueRequest(
            namespace=NAMESPACE, task_queue=taskqueue.TaskQueue(name=TASK_QUEUE)
        )
        assert not (await world.once("PollWorkflowTaskQueue", poll, 5.0)).task_token
        assert await _lost(world.once("GetWorkflowExecutionHistory", asked)) == StatusCode.NOT_FOUND

    _run(scenario)


def _asking(world: World, workflow_id: str) -> asyncio.Task[StatusCode | None]:
    """An update whose caller is patient; how it ends."""
    request = workflowservice.UpdateWorkflowExecutionRequest(
        namespace=NAMESPACE, workflow_execution=common.WorkflowExecution(workflow_id=workflow_id)
    )
    request.request.meta.update_id, request.request.input.name = "u", NOW
    request.wait_policy.lifecycle_stage = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED

    async def ask() -> StatusCode | None:
        try:
            await world.once("UpdateWorkflowExecution", request, 60.0)
        except RpcError as error:
            return error.code
        return None

    return asyncio.create_task(ask())


def test_an_update_that_was_forgotten_with_a_lost_draft_is_asked_again() -> None:
    """The draft that held it is lost with another step; a worker that comes later is given it all the same."""

    async def scenario() -> None:
        world = await _world()
        await _start(world, "a")
        await _complete(world, await _task(world), _timer(HOUR_S))
        asked = _asking(world, "a")
        await asyncio.sleep(1.0)
        world.suffer(Faults(fail=1.0))
        assert await _lost(_signal(world, "a")) == StatusCode.UNAVAILABLE
        world.heal()
        work = await _busy_worker(world, {"t": Program(Sleep("t", HOUR_S))}, {})
        async with asyncio.timeout(5.0):
            assert await asked is None
        work.cancel()

    _run(scenario)


def test_an_update_that_waits_outlives_a_cache_that_holds_nothing() -> None:
    """It is volatile, so its chain is not evicted, whatever comes and goes meanwhile."""

    async def scenario() -> None:
        world = await _world(SMALL_CACHE)
        await _start(world, "a")
        await _complete(world, await _task(world), _timer(HOUR_S))
        asked = _asking(world, "a")
        await asyncio.sleep(1.0)
        for number in range(5):
            await _start(world, f"other {number}", "other")
        work = await _busy_worker(world, {"t": Program(Sleep("t", HOUR_S)), "other": Program()}, {})
        async with asyncio.timeout(5.0):
            assert await asked is None
        work.cancel()

    _run(scenario)


def test_a_poller_reserved_for_a_write_that_failed_gets_the_next_task() -> None:
    """It waits on as if nothing had been."""

    async def scenario() -> None:
        world = await _world()
        polling = asyncio.create_task(_task(world))
        await asyncio.sleep(1.0)
        world.suffer(Faults(fail=1.0))
        assert await _lost(_start(world, "a")) == StatusCode.UNAVAILABLE
        world.heal()
        await _start(world, "b")
        async with asyncio.timeout(1.0):
            assert (await polling).workflow_execution.workflow_id == "b"

    _run(scenario)


def test_a_wide_fan_out_to_waiting_pollers_is_written() -> None:
    """More reserved starts than a batch can hold: the rest are offered, nothing stands still."""

    async def scenario() -> None:
        world = await _world()
        count = 150
        program = Program(Both(*[Do(f"f{n}", "one") for n in range(count)]))

        async def one(attempt: Attempt) -> object:
            return attempt.task.activity_id

        work = asyncio.create_task(
            Worker(world.client, "w", {"wide": program}, {"one": one}, sticky=False).run(pollers=count)
        )
        await asyncio.sleep(1.0)
        await _start(world, "a", "wide")
        closed = await _history(world, "a", wait=True)
        assert closed[0].event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
        work.cancel()

    _run(scenario)


def test_a_store_that_cannot_be_read_is_unavailable_and_not_our_fault() -> None:
    """UNAVAILABLE, so that clients ask again; INTERNAL would make them give up."""

    async def scenario() -> None:
        world = await _world(SMALL_CACHE)
        await _start(world, "a")
        world.suffer(Faults(read_error=1.0))
        assert await _lost(_history(world, "a")) == StatusCode.UNAVAILABLE
        listing = workflowservice.ListWorkflowExecutionsRequest(namespace=NAMESPACE)
        assert await _lost(world.once("ListWorkflowExecutions", listing)) == StatusCode.UNAVAILABLE

    _run(scenario)


def test_who_waits_for_history_hears_of_a_write_of_unknown_outcome() -> None:
    """The close was applied though nobody was told so: a long poll ends when the chain was read again."""

    async def scenario() -> None:
        world = await _world()
        await _start(world, "a")
        task = await _task(world)
        waiting = asyncio.create_task(_history(world, "a", wait=True))
        await asyncio.sleep(1.0)
        world.suffer(Faults(unknown_applied=1.0))
        before = world.loop.time()
        done = commands.CompleteWorkflowExecutionCommandAttributes(result=payloads("done"))
        assert await _lost(_complete(world, task, done)) == StatusCode.UNAVAILABLE
        world.heal()
        assert len(await waiting) == 1
        assert world.loop.time() - before < 2.0

    _run(scenario)


def test_who_waits_at_an_owner_that_was_succeeded_is_sent_on() -> None:
    """Another owner has the slots: long polls end UNAVAILABLE with the first write that finds out."""

    async def scenario() -> None:
        world = await _world()
        await _start(world, "a")
        waiting = asyncio.create_task(_lost(_history(world, "a", wait=True)))
        query = workflowservice.QueryWorkflowRequest(
            namespace=NAMESPACE, execution=common.WorkflowExecution(workflow_id="a")
        )
        query.query.query_type = "q"
        task = await _task(world)
        asking = asyncio.create_task(_lost(world.once("QueryWorkflow", query, 60.0)))
        await asyncio.sleep(1.0)
        world.disk.state.epoch += 1
        before = world.loop.time()
        assert await _lost(_complete(world, task, _timer(1.0))) == StatusCode.UNAVAILABLE
        assert await waiting == StatusCode.UNAVAILABLE
        assert await asking == StatusCode.UNAVAILABLE
        assert world.loop.time() - before < 1.0

    _run(scenario)


def test_a_timer_survives_hours_of_small_cache_and_restarts() -> None:
    """The whole life of a timer in the store only."""

    async def scenario() -> None:
        world = await _world(SMALL_CACHE)
        work = await _busy_worker(world, {"t": Program(Sleep("t", 3 * HOUR_S))}, {})
        await _start(world, "a")
        for _ in range(5):
            await asyncio.sleep(0.5 * HOUR_S)
            world.kill()
            await world.boot()
        await asyncio.sleep(0.6 * HOUR_S)
        closed = await _history(world, "a", wait=True)
        assert closed[0].event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
        work.cancel()

    _run(scenario)
