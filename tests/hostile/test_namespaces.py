"""Namespaces that grow until nobody can read them any more, and callers of one namespace in another."""

from __future__ import annotations

from typing import Any as Anything

from perdure.api import Message, operatorservice
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from tests.hostile.conftest import Run
from tests.service.rpc import Rpc, message, new_id, refusal

DAYS = message(seconds=3 * 86_400)
MEGABYTE = "x" * 1_000_000
ACTION = message(start_workflow=message(workflow_id="w", workflow_type=message(name="W"), task_queue=message(name="q")))


async def _namespace(client: Rpc) -> str:
    name = new_id("n")
    request = rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=DAYS)
    await client.call(request, rpc.RegisterNamespaceResponse)
    return name


async def _refused(client: Rpc, request: Message, reply: type[Message]) -> None:
    error = await refusal(client.call(request, reply))
    assert error.code is StatusCode.INVALID_ARGUMENT, str(error)


def test_a_namespace_stays_readable(run: Run) -> None:
    """What its description says is bounded: a worker reads it before it polls."""

    async def scenario(client: Rpc) -> None:
        name = await _namespace(client)
        for number in range(4):
            update = rpc.UpdateNamespaceRequest(namespace=name, update_info=message(data={f"k{number}": MEGABYTE}))
            call = client.call(update, rpc.UpdateNamespaceResponse)
            if number < 2:
                await call
            else:
                assert (await refusal(call)).code is StatusCode.INVALID_ARGUMENT
        large = rpc.RegisterNamespaceRequest(
            namespace=new_id("n"), workflow_execution_retention_period=DAYS, description=MEGABYTE * 3
        )
        await _refused(client, large, rpc.RegisterNamespaceResponse)
        for names in ([f"a{number}" for number in range(100_000)], ["a" * 1_100]):
            added = operatorservice.AddSearchAttributesRequest(
                namespace=name, search_attributes=message(**dict.fromkeys(names, 2))
            )
            await _refused(client, added, operatorservice.AddSearchAttributesResponse)
        described = rpc.DescribeNamespaceRequest(namespace=name)
        assert (await client.call(described, rpc.DescribeNamespaceResponse)).ByteSize() < 3_000_000

    run(scenario)


def _looks(name: str) -> list[tuple[Message, type[Message]]]:
    """Lists and counts of everything that a namespace may hold."""
    return [
        (rpc.ListSchedulesRequest(namespace=name), rpc.ListSchedulesResponse),
        (rpc.CountSchedulesRequest(namespace=name), rpc.CountSchedulesResponse),
        (rpc.ListBatchOperationsRequest(namespace=name), rpc.ListBatchOperationsResponse),
        (rpc.ListWorkersRequest(namespace=name), rpc.ListWorkersResponse),
        (rpc.CountWorkersRequest(namespace=name), rpc.CountWorkersResponse),
        (rpc.ListWorkflowExecutionsRequest(namespace=name), rpc.ListWorkflowExecutionsResponse),
    ]


def test_another_namespace_sees_nothing(run: Run) -> None:
    """Neither by lists nor by ids nor by page tokens."""

    async def scenario(client: Rpc) -> None:
        owner, other = await _namespace(client), await _namespace(client)
        for number in range(2):
            schedule = message(spec=message(interval=[message(interval=message(seconds=3600))]), action=ACTION)
            created = rpc.CreateScheduleRequest(
                namespace=owner, schedule_id=f"s{number}", request_id=new_id(), schedule=schedule
            )
            await client.call(created, rpc.CreateScheduleResponse)
        beat = message(worker_instance_key="k", task_queue="q", status=1)
        beats = rpc.RecordWorkerHeartbeatRequest(namespace=owner, worker_heartbeat=[beat])
        await client.call(beats, rpc.RecordWorkerHeartbeatResponse)
        batch = rpc.StartBatchOperationRequest(
            namespace=owner,
            job_id="j",
            reason="r",
            executions=[message(workflow_id="none")],
            termination_operation=message(),
        )
        await client.call(batch, rpc.StartBatchOperationResponse)
        for request, reply in _looks(other):
            assert not (await client.call(request, reply)).SerializeToString(), type(request).__name__
        by_id: list[tuple[Message, Anything]] = [
            (rpc.DescribeScheduleRequest(namespace=other, schedule_id="s0"), rpc.DescribeScheduleResponse),
            (rpc.DeleteScheduleRequest(namespace=other, schedule_id="s0"), rpc.DeleteScheduleResponse),
            (rpc.DescribeBatchOperationRequest(namespace=other, job_id="j"), rpc.DescribeBatchOperationResponse),
            (rpc.StopBatchOperationRequest(namespace=other, job_id="j", reason="r"), rpc.StopBatchOperationResponse),
            (rpc.DescribeWorkerRequest(namespace=other, worker_instance_key="k"), rpc.DescribeWorkerResponse),
        ]
        for request, reply in by_id:
            assert (await refusal(client.call(request, reply))).code is StatusCode.NOT_FOUND, type(request).__name__
        listed = rpc.ListSchedulesRequest(namespace=owner, maximum_page_size=1)
        token = (await client.call(listed, rpc.ListSchedulesResponse)).next_page_token
        assert token
        for foreign, reply in (
            (rpc.ListSchedulesRequest(namespace=other, next_page_token=token), rpc.ListSchedulesResponse),
            (rpc.ListBatchOperationsRequest(namespace=owner, next_page_token=token), rpc.ListBatchOperationsResponse),
        ):
            await _refused(client, foreign, reply)

    run(scenario)
