"""A query that no worker answers ends by itself, after as long as on Temporal's server (30 s, measured there)."""

from __future__ import annotations

import asyncio

import pytest

from perdure.api import common, query, taskqueue, workflowservice
from perdure.errors import StatusCode
from perdure.testing import virtual_time
from perdure.transport.client import RpcError
from tests.sim.world import World, quiet

QUERY_S = 30.0
PATIENCE_S = 3_600.0


def test_a_query_without_a_worker_ends() -> None:
    """However patient the caller is."""

    async def scenario() -> None:
        world = World(None)
        await world.boot()
        start = workflowservice.StartWorkflowExecutionRequest(namespace="default", workflow_id="w", request_id="r")
        start.workflow_type.name = "t"
        start.task_queue.CopyFrom(taskqueue.TaskQueue(name="nobody"))
        await world.once("StartWorkflowExecution", start)
        loop = asyncio.get_running_loop()
        began = loop.time()
        request = workflowservice.QueryWorkflowRequest(
            namespace="default",
            execution=common.WorkflowExecution(workflow_id="w"),
            query=query.WorkflowQuery(query_type="stage"),
        )
        with pytest.raises(RpcError, match="query timed out before a worker could process it") as refused:
            await world.once("QueryWorkflow", request, PATIENCE_S)
        assert refused.value.code == StatusCode.DEADLINE_EXCEEDED
        assert QUERY_S <= loop.time() - began < QUERY_S + 1.0
        await world.close()

    quiet()
    virtual_time.run(1, scenario())
