"""What a user of the SDK relies on, through the SDK's own client and worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio import exceptions
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    CancelledError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.service import workflows
from tests.service.conftest import Run
from tests.service.rpc import new_id


def worker(client: Client, queue: str, **options: Any) -> Worker:
    """A worker with all of the folder's workflows and activities; the sandbox is not what is tested."""
    options.setdefault("workflow_runner", UnsandboxedWorkflowRunner())
    return Worker(client, task_queue=queue, workflows=workflows.WORKFLOWS, activities=workflows.ACTIVITIES, **options)


async def events_of(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """The types of a run's events, in the protos' names without their prefix."""
    history = await handle.fetch_history()
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]


def test_activities_are_retried_and_find_their_heartbeat(run: Run) -> None:
    """Only the last attempt is in the history; details of the last heartbeat reach the next attempt."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(workflows.Retries.run, id=new_id(), task_queue=queue)
            assert await handle.result() == [3, [41, 42]]
        events = await events_of(handle)
        assert events.count("ACTIVITY_TASK_STARTED") == events.count("ACTIVITY_TASK_COMPLETED") == 2
        assert "ACTIVITY_TASK_FAILED" not in events

    run(scenario)


def test_signals_queries_and_timers(run: Run) -> None:
    """Signals arrive in order, a query sees what they did, the timer fires."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(workflows.Switch.run, args=[2, 50], id=new_id(), task_queue=queue)
            assert await handle.query(workflows.Switch.stage) == "waiting"
            await handle.signal(workflows.Switch.put, "a")
            await handle.signal(workflows.Switch.put, "b")
            assert await handle.result() == ["a", "b"]
            assert await handle.query(workflows.Switch.stage) == "done"
        assert "TIMER_FIRED" in await events_of(handle)

    run(scenario)


def test_signal_with_start(run: Run) -> None:
    """Starts the workflow when there is none, signals it when there is."""

    async def scenario(client: Client) -> None:
        queue, workflow_id = new_id("q"), new_id()
        async with worker(client, queue):
            for value in ("a", "b"):
                handle = await client.start_workflow(
                    workflows.Switch.run,
                    args=[2, 1],
                    id=workflow_id,
                    task_queue=queue,
                    start_signal="put",
                    start_signal_args=[value],
                )
            assert await handle.result() == ["a", "b"]

    run(scenario)


def test_continue_as_new(run: Run) -> None:
    """The chain of runs has one result, and each run its own id."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(workflows.Countdown.run, args=[3, []], id=new_id(), task_queue=queue)
            runs = await handle.result()
        assert len(set(runs)) == 4
        assert runs[0] == handle.first_execution_run_id
        first = client.get_workflow_handle(handle.id, run_id=runs[0])
        assert (await first.describe()).status == WorkflowExecutionStatus.CONTINUED_AS_NEW

    run(scenario)


@pytest.mark.parametrize("kind", ["start_to_close", "heartbeat", "schedule_to_close", "schedule_to_start"])
def test_activity_timeouts(run: Run, kind: str) -> None:
    """Each of the four timeouts ends the activity with its own type."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue, graceful_shutdown_timeout=timedelta(0)):
            with pytest.raises(WorkflowFailureError) as raised:
                await client.execute_workflow(workflows.TimesOut.run, kind, id=new_id(), task_queue=queue)
        failed = raised.value.cause
        assert isinstance(failed, ActivityError)
        assert isinstance(failed.cause, exceptions.TimeoutError)
        assert failed.cause.type is not None
        assert failed.cause.type.name.lower() == kind

    run(scenario)


def test_cancellation_reaches_the_activity(run: Run) -> None:
    """The heartbeat's answer carries it; the workflow still cleans up and closes as it likes."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue, default_heartbeat_throttle_interval=timedelta(milliseconds=50)):
            handle = await client.start_workflow(workflows.Cancelled.run, id=new_id(), task_queue=queue)
            async for event in handle.fetch_history_events(wait_new_event=True):
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    break
            await handle.cancel()
            assert await handle.result() == "cancelled"
        assert (await events_of(handle)).count("ACTIVITY_TASK_CANCEL_REQUESTED") == 1

    run(scenario)


def test_cancel_and_terminate(run: Run) -> None:
    """A cancelled workflow closes as CANCELED, a terminated one without being asked."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            outcomes = []
            for verb in ("cancel", "terminate"):
                handle = await client.start_workflow(workflows.Switch.run, args=[1, 1], id=new_id(), task_queue=queue)
                await getattr(handle, verb)()
                with pytest.raises(WorkflowFailureError) as raised:
                    await handle.result()
                outcomes.append((type(raised.value.cause), (await handle.describe()).status))
        assert outcomes == [
            (CancelledError, WorkflowExecutionStatus.CANCELED),
            (TerminatedError, WorkflowExecutionStatus.TERMINATED),
        ]

    run(scenario)


def test_workflow_retry(run: Run) -> None:
    """Each attempt is a run of its own; the result is the last one's."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        policy = RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=3)
        async with worker(client, queue):
            handle = await client.start_workflow(
                workflows.SucceedsAtThird.run, id=new_id(), task_queue=queue, retry_policy=policy
            )
            assert await handle.result() == 3

    run(scenario)


def test_workflow_timeouts(run: Run) -> None:
    """A run timeout closes a workflow that nobody works on."""

    async def scenario(client: Client) -> None:
        handle = await client.start_workflow(
            workflows.Switch.run,
            args=[1, 1],
            id=new_id(),
            task_queue=new_id("q"),
            run_timeout=timedelta(milliseconds=300),
        )
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
        assert isinstance(raised.value.cause, exceptions.TimeoutError)

    run(scenario)


def test_a_second_start_of_a_running_id_is_refused(run: Run) -> None:
    """The error names the run that is in the way."""

    async def scenario(client: Client) -> None:
        queue, workflow_id = new_id("q"), new_id()
        first = await client.start_workflow(workflows.Switch.run, args=[1, 1], id=workflow_id, task_queue=queue)
        with pytest.raises(WorkflowAlreadyStartedError) as raised:
            await client.start_workflow(workflows.Switch.run, args=[1, 1], id=workflow_id, task_queue=queue)
        assert raised.value.run_id == first.result_run_id
        await first.terminate()

    run(scenario)


def test_the_sticky_cache_is_used_and_can_be_lost(run: Run) -> None:
    """Later tasks go to the worker's own queue; a worker that keeps nothing replays the whole history."""

    async def scenario(client: Client) -> None:
        results = {}
        for cached in (100, 0):
            queue = new_id("q")
            async with worker(client, queue, max_cached_workflows=cached):
                handle = await client.start_workflow(workflows.Doubles.run, args=[1, 3], id=new_id(), task_queue=queue)
                assert await handle.result() == 8
            history = await handle.fetch_history()
            scheduled = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
            results[cached] = [
                event.workflow_task_scheduled_event_attributes.task_queue.kind
                for event in history.events
                if event.event_type == scheduled
            ]
        normal, sticky = TaskQueueKind.TASK_QUEUE_KIND_NORMAL, TaskQueueKind.TASK_QUEUE_KIND_STICKY
        assert results == {100: [normal, sticky, sticky, sticky], 0: [normal] * 4}

    run(scenario)


def test_a_worker_takes_over_from_another(run: Run) -> None:
    """The second worker has nothing but the history, and goes on where the first one stopped."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(workflows.Switch.run, args=[2, 1], id=new_id(), task_queue=queue)
            await handle.signal(workflows.Switch.put, "to the first")
            assert await handle.query(workflows.Switch.stage) == "waiting"
        await handle.signal(workflows.Switch.put, "to nobody")
        async with worker(client, queue):
            assert await handle.result() == ["to the first", "to nobody"]

    run(scenario)


def test_eager_start(run: Run) -> None:
    """A worker in the same process gets the first task with the answer to the start."""

    async def scenario(client: Client) -> None:
        queue = new_id("q")
        async with worker(client, queue):
            handle = await client.start_workflow(
                workflows.Doubles.run, args=[1, 1], id=new_id(), task_queue=queue, request_eager_start=True
            )
            assert await handle.result() == 2
        history = await handle.fetch_history()
        started = history.events[0].workflow_execution_started_event_attributes
        assert handle.__getattribute__("__temporal_eagerly_started")
        assert started.eager_execution_accepted

    run(scenario)


def test_search_attributes_and_listing(run: Run) -> None:
    """What a start brought is found by a filter at once."""

    async def scenario(client: Client) -> None:
        from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

        colour = SearchAttributeKey.for_keyword("Colour")
        value = new_id("c")
        handle = await client.start_workflow(
            workflows.Switch.run,
            args=[1, 1],
            id=new_id(),
            task_queue=new_id("q"),
            memo={"why": "a test"},
            search_attributes=TypedSearchAttributes([SearchAttributePair(colour, value)]),
        )
        found = [execution async for execution in client.list_workflows(f"Colour = '{value}'")]
        assert [execution.id for execution in found] == [handle.id]
        assert await found[0].memo() == {"why": "a test"}
        assert (await client.count_workflows(f"Colour = '{value}' AND ExecutionStatus = 'Running'")).count == 1
        await handle.terminate()

    run(scenario)
