"""Batch operations over RPC: every target once, at the rate that is set, over a restart, under their own effects
(semantics 17.1). The comparison with Temporal is in `tests/differential/scenarios/batches.py`.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from perdure.api import enums, workflowservice
from perdure.errors import StatusCode
from perdure.ids import ChainKey, Kind
from perdure.store.memory import MemoryDisk
from tests.frontend.served import Served, served
from tests.service.rpc import message

FAST: dict[str, object] = {"worker.batcherRPS": 1_000_000, "worker.batcherConcurrency": 50}
QUERY = "WorkflowType = 'Batched'"


async def start_workflows(world: Served, count: int, prefix: str = "w", kind: str = "Batched") -> None:
    for number in range(count):
        request = workflowservice.StartWorkflowExecutionRequest(
            namespace="default", workflow_id=f"{prefix}{number}", request_id=f"{prefix}{number}"
        )
        request.workflow_type.name = kind
        request.task_queue.name = "queue"
        await world.call("StartWorkflowExecution", request, workflowservice.StartWorkflowExecutionResponse)


async def complete_a_task(world: Served) -> None:
    poll = workflowservice.PollWorkflowTaskQueueRequest(namespace="default", identity="worker")
    poll.task_queue.name = "queue"
    task = await world.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
    await world.call(
        "RespondWorkflowTaskCompleted",
        workflowservice.RespondWorkflowTaskCompletedRequest(task_token=task.task_token),
        workflowservice.RespondWorkflowTaskCompletedResponse,
    )


async def begin(world: Served, job_id: str, **fields: Any) -> None:
    request = workflowservice.StartBatchOperationRequest(namespace="default", job_id=job_id, reason="because", **fields)
    kind = request.WhichOneof("operation")
    assert kind is not None
    await world.call("StartBatchOperation", request, workflowservice.StartBatchOperationResponse)


async def described(world: Served, job_id: str) -> workflowservice.DescribeBatchOperationResponse:
    return await world.call(
        "DescribeBatchOperation",
        workflowservice.DescribeBatchOperationRequest(namespace="default", job_id=job_id),
        workflowservice.DescribeBatchOperationResponse,
    )


async def finished(world: Served, job_id: str) -> workflowservice.DescribeBatchOperationResponse:
    await world.server.engine.entities.wait(key(world, job_id), lambda job: not job.running, 20.0)
    return await described(world, job_id)


def key(world: Served, job_id: str) -> ChainKey:
    return ChainKey(world.server.namespaces.by_name("default").id, Kind.BATCH, job_id)


async def count(world: Served, query: str) -> int:
    request = workflowservice.CountWorkflowExecutionsRequest(namespace="default", query=query)
    answer = await world.call("CountWorkflowExecutions", request, workflowservice.CountWorkflowExecutionsResponse)
    return answer.count


def operation(name: str, **fields: Any) -> dict[str, Any]:
    request = workflowservice.StartBatchOperationRequest()
    found = getattr(request, name)
    found.SetInParent()
    for key, value in fields.items():
        setattr(found, key, value)
    return {name: found}


async def test_terminate_over_many_pages() -> None:
    """Each page leaves the list while the job goes through it; others are not touched, nor are later starts."""
    async with served(FAST) as world:
        await start_workflows(world, 600)
        await start_workflows(world, 3, "other", "Other")
        await begin(world, "job", visibility_query=QUERY, **operation("termination_operation", identity="me"))
        done = await finished(world, "job")
        assert (done.complete_operation_count, done.failure_operation_count, done.total_operation_count) == (
            600,
            0,
            600,
        )
        assert await count(world, f"{QUERY} AND ExecutionStatus = 'Terminated'") == 600
        assert await count(world, "WorkflowType = 'Other' AND ExecutionStatus = 'Running'") == 3


async def test_delete_of_open_and_closed_counts_each_once() -> None:
    """Deleting an open execution closes it, so that it is found a second time among the closed ones."""
    async with served(FAST) as world:
        await start_workflows(world, 300)
        await start_workflows(world, 300, "closed")
        for number in range(300):
            request = workflowservice.TerminateWorkflowExecutionRequest(namespace="default")
            request.workflow_execution.workflow_id = f"closed{number}"
            await world.call("TerminateWorkflowExecution", request, workflowservice.TerminateWorkflowExecutionResponse)
        await begin(world, "job", visibility_query=QUERY, **operation("deletion_operation"))
        done = await finished(world, "job")
        assert (done.complete_operation_count, done.failure_operation_count) == (600, 0)
        for _ in range(1_000):
            if not await count(world, QUERY):
                break
        assert not await count(world, QUERY)


async def test_reset_by_query_resets_each_once_and_not_what_it_made() -> None:
    """The new runs match the query, and so do the old ones in their new place."""
    async with served(FAST) as world:
        await start_workflows(world, 300)
        for _ in range(300):
            await complete_a_task(world)
        first = operation("reset_operation", reset_type=enums.RESET_TYPE_FIRST_WORKFLOW_TASK)
        await begin(world, "early", visibility_query=QUERY, **first)
        done = await finished(world, "early")
        assert done.failure_operation_count == 0
        assert done.complete_operation_count == 300
        assert await count(world, QUERY) == 600
        assert await count(world, f"{QUERY} AND ExecutionStatus = 'Running'") == 300


@pytest.mark.slow
async def test_signals_go_out_once_over_a_restart() -> None:
    """The server ends in the middle of a job; the next one finishes it, and no workflow has two signals."""
    disk = MemoryDisk()
    async with served({"worker.batcherRPS": 100}, disk=disk) as world:
        await start_workflows(world, 150)
        await begin(world, "job", visibility_query=QUERY, **operation("signal_operation", signal="go"))
        await world.server.engine.entities.wait(key(world, "job"), lambda job: job.succeeded > 0, 10.0)
        assert 0 < (await described(world, "job")).complete_operation_count < 150
    async with served(FAST, disk=disk) as world:
        done = await finished(world, "job")
        assert (done.complete_operation_count, done.failure_operation_count) == (150, 0)
        for number in range(150):
            request = workflowservice.GetWorkflowExecutionHistoryRequest(namespace="default")
            request.execution.workflow_id = f"w{number}"
            history = await world.call(
                "GetWorkflowExecutionHistory", request, workflowservice.GetWorkflowExecutionHistoryResponse
            )
            signals = [
                one for one in history.history.events if one.HasField("workflow_execution_signaled_event_attributes")
            ]
            assert len(signals) == 1


@pytest.mark.parametrize(("configured", "asked", "least_s"), [(40, 0.0, 0.45), (1000, 40.0, 0.45), (40, 1000.0, 0.45)])
async def test_the_lower_of_two_rates_holds(configured: int, asked: float, least_s: float) -> None:
    """Twenty operations at forty a second take half a second, whoever asked for the rate."""
    async with served({"worker.batcherRPS": configured}) as world:
        await start_workflows(world, 20)
        begun = time.monotonic()
        fields = operation("termination_operation")
        await begin(world, "job", visibility_query=QUERY, max_operations_per_second=asked, **fields)
        await finished(world, "job")
        assert time.monotonic() - begun >= least_s


@pytest.mark.slow
async def test_a_stopped_job_leaves_the_rest_alone() -> None:
    async with served({"worker.batcherRPS": 20}) as world:
        await start_workflows(world, 100)
        await begin(world, "job", visibility_query=QUERY, **operation("termination_operation"))
        request = workflowservice.StopBatchOperationRequest(namespace="default", job_id="job", reason="enough")
        await world.call("StopBatchOperation", request, workflowservice.StopBatchOperationResponse)
        assert (await described(world, "job")).state == enums.BATCH_OPERATION_STATE_FAILED
        await world.server.engine.entities.wait(key(world, "job"), lambda job: job.done > 0, 10.0)
        left = await count(world, f"{QUERY} AND ExecutionStatus = 'Running'")
        assert left == 80
        assert (await described(world, "job")).complete_operation_count == 100 - left


async def test_what_is_too_much_or_switched_off_is_refused() -> None:
    """More executions than a request may name, more bytes than a row should have, more jobs at once, no batcher."""
    settings: dict[str, object] = {"worker.batcherRPS": 1, "frontend.MaxConcurrentBatchOperationPerNamespace": 2}
    async with served(settings) as world:
        await start_workflows(world, 1)
        request = workflowservice.StartBatchOperationRequest(namespace="default", job_id="job", reason="because")
        request.signal_operation.signal = "go"
        for number in range(1001):
            request.executions.add(workflow_id=f"w{number}")
        refused = await world.refused("StartBatchOperation", request)
        assert refused.message == "a batch operation may name 1000 executions at most"
        del request.executions[3:]
        request.signal_operation.input.payloads.add(data=b"x" * (2 << 20))
        assert (await world.refused("StartBatchOperation", request)).message == "Blob data size exceeds limit."
        request.signal_operation.ClearField("input")
        for job_id in ("one", "two"):
            request.job_id = job_id
            await world.call("StartBatchOperation", request, workflowservice.StartBatchOperationResponse)
        request.job_id = "three"
        error = await world.refused("StartBatchOperation", request)
        assert (error.code, error.message) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "Max concurrent batch operations is reached",
        )
    async with served({"frontend.enableBatcher": False}) as world:
        listing = workflowservice.ListBatchOperationsRequest(namespace="default")
        assert (await world.refused("ListBatchOperations", listing)).code == StatusCode.PERMISSION_DENIED


async def test_jobs_are_listed_by_pages() -> None:
    """Newest first, each once."""
    async with served(FAST) as world:
        for number in range(5):
            await begin(world, f"job-{number}", visibility_query=QUERY, **operation("cancellation_operation"))
            await finished(world, f"job-{number}")
        listing = workflowservice.ListBatchOperationsRequest(namespace="default", page_size=2)
        seen: list[str] = []
        while True:
            page = await world.call("ListBatchOperations", listing, workflowservice.ListBatchOperationsResponse)
            seen += [one.job_id for one in page.operation_info]
            listing.next_page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert seen == [f"job-{number}" for number in reversed(range(5))]


async def _paused_activity(world: Served) -> None:
    """Complete a workflow task with an activity that is paused then."""
    poll = workflowservice.PollWorkflowTaskQueueRequest(namespace="default", identity="worker")
    poll.task_queue.name = "queue"
    task = await world.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
    done = workflowservice.RespondWorkflowTaskCompletedRequest(task_token=task.task_token)
    command = done.commands.add(command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
    attributes = command.schedule_activity_task_command_attributes
    attributes.activity_id, attributes.activity_type.name, attributes.task_queue.name = "a", "It's", "nobody"
    attributes.start_to_close_timeout.seconds = 60
    await world.call("RespondWorkflowTaskCompleted", done, workflowservice.RespondWorkflowTaskCompletedResponse)
    pause = workflowservice.PauseActivityRequest(namespace="default", id="a", identity="me", request_id="p")
    pause.execution.CopyFrom(task.workflow_execution)
    await world.call("PauseActivity", pause, workflowservice.PauseActivityResponse)


async def _is_paused(world: Served, workflow_id: str) -> bool:
    request = workflowservice.DescribeWorkflowExecutionRequest(namespace="default")
    request.execution.workflow_id = workflow_id
    found = await world.call("DescribeWorkflowExecution", request, workflowservice.DescribeWorkflowExecutionResponse)
    return found.pending_activities[0].paused


async def test_unpausing_a_type_keeps_the_query() -> None:
    """Only executions that the query finds are concerned, and of those only what is paused of the type."""
    async with served(FAST) as world:
        await start_workflows(world, 2)
        for _ in range(2):
            await _paused_activity(world)
        for job_id, kind, count in (("other", "Other", 0), ("job", "It's", 1)):
            request = workflowservice.StartBatchOperationRequest(namespace="default", job_id=job_id, reason="because")
            request.visibility_query = "WorkflowId = 'w1'"
            request.unpause_activities_operation.type = kind
            await world.call("StartBatchOperation", request, workflowservice.StartBatchOperationResponse)
            done = await finished(world, job_id)
            assert (done.complete_operation_count, done.failure_operation_count) == (count, 0)
            assert done.query == "WorkflowId = 'w1'"
        assert [await _is_paused(world, workflow_id) for workflow_id in ("w0", "w1")] == [True, False]


async def test_jobs_that_wait_for_their_rate_hold_nobody_up() -> None:
    """Three hundred jobs of almost no rate, each stopped: what they waited for is over, and the next one runs."""
    async with served(FAST) as world:
        targets = [message(workflow_id="nobody"), message(workflow_id="nobody-else")]
        slow = operation("termination_operation")
        for number in range(300):
            await begin(world, f"slow{number}", executions=targets, max_operations_per_second=1e-30, **slow)
            await world.call(
                "StopBatchOperation",
                workflowservice.StopBatchOperationRequest(namespace="default", job_id=f"slow{number}", reason="r"),
                workflowservice.StopBatchOperationResponse,
            )
        await begin(world, "next", executions=targets, **operation("termination_operation"))
        assert (await finished(world, "next")).complete_operation_count == 2
        await world.server.engine.entities.wait(key(world, "slow299"), lambda job: job.succeeded == 1, 20.0)
        assert (await described(world, "slow299")).complete_operation_count == 1
