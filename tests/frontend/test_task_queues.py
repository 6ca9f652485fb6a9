"""What a queue is told outlives the process, holds while it runs, and goes with its namespace (semantics 12.3)."""

from __future__ import annotations

from typing import Any

from perdure.api import common, enums, taskqueue, workflowservice
from perdure.app import Server
from perdure.clock import WallClock
from perdure.config.dynamic import DynamicConfig
from perdure.errors import StatusCode
from perdure.ids import SeededIds
from perdure.machines.queue_data import EMPTY
from perdure.machines.task_queue import ACTIVITY, QueueKey
from perdure.store.memory import MemoryStore
from tests.frontend.served import Served, served, until

VERSIONS: dict[str, object] = {"frontend.workerVersioningDataAPIs": True, "frontend.workerVersioningRuleAPIs": True}


async def _limit(server: Served, per_second: float | None, **fields: Any) -> taskqueue.TaskQueueConfig:
    request = workflowservice.UpdateTaskQueueConfigRequest(
        namespace="default", task_queue="q", identity="me", task_queue_type=enums.TASK_QUEUE_TYPE_ACTIVITY, **fields
    )
    request.update_queue_rate_limit.reason = "why"
    if per_second is not None:
        request.update_queue_rate_limit.rate_limit.requests_per_second = per_second
    answer = await server.call("UpdateTaskQueueConfig", request, workflowservice.UpdateTaskQueueConfigResponse)
    return answer.config


async def _described(server: Served) -> workflowservice.DescribeTaskQueueResponse:
    request = workflowservice.DescribeTaskQueueRequest(
        namespace="default",
        task_queue=taskqueue.TaskQueue(name="q"),
        task_queue_type=enums.TASK_QUEUE_TYPE_ACTIVITY,
        report_config=True,
    )
    return await server.call("DescribeTaskQueue", request, workflowservice.DescribeTaskQueueResponse)


async def test_a_limit_outlives_the_process() -> None:
    async with served(VERSIONS) as server:
        config = await _limit(server, 2.5, set_fairness_weight_overrides={"k": 4.0})
        build = workflowservice.UpdateWorkerBuildIdCompatibilityRequest(
            namespace="default", task_queue="q", add_new_build_id_in_new_default_set="1.0"
        )
        await server.call(
            "UpdateWorkerBuildIdCompatibility", build, workflowservice.UpdateWorkerBuildIdCompatibilityResponse
        )
        namespace_id = server.server.namespaces.by_name("default").id
        store = server.server.store
        assert isinstance(store, MemoryStore)
        disk = store.disk

    again = Server(MemoryStore(disk), WallClock(), SeededIds(2), DynamicConfig(VERSIONS))
    await again.open()
    try:
        limit = again.matching.describe(QueueKey(namespace_id, "q", ACTIVITY))
        assert (limit.rate_limit, limit.rate_limit_by_api) == (2.5, True)
        data = again.task_queues.find(namespace_id, "q")
        assert data.configs[ACTIVITY].weights == {"k": 4.0}
        assert [one.names() for one in data.version_sets] == [["1.0"]]
        assert config.queue_rate_limit.metadata.reason == "why"

        await again.task_queues.forget_namespace(namespace_id)
        assert again.task_queues.find(namespace_id, "q") is EMPTY
        assert again.matching.describe(QueueKey(namespace_id, "q", ACTIVITY)).rate_limit is None
        assert await again.store.list_records("task_queue") == []
    finally:
        await again.close()


async def test_a_limit_is_shown_while_it_holds() -> None:
    async with served() as server:
        await _limit(server, 0)
        stopped = await _described(server)
        assert stopped.effective_rate_limit.requests_per_second == 0
        assert stopped.effective_rate_limit.rate_limit_source == 1
        assert stopped.config.queue_rate_limit.HasField("rate_limit")

        await _limit(server, None)
        free = await _described(server)
        assert free.effective_rate_limit.rate_limit_source == enums.RATE_LIMIT_SOURCE_SYSTEM
        assert not free.config.queue_rate_limit.HasField("rate_limit")
        assert free.config.queue_rate_limit.metadata.update_identity == "me"


async def test_a_limit_that_is_no_number_or_of_no_queue_is_refused() -> None:
    async with served() as server:
        for fields in ({"task_queue": "q", "task_queue_type": 0}, {"task_queue": "", "task_queue_type": 2}):
            request = workflowservice.UpdateTaskQueueConfigRequest(namespace="default", **fields)  # type: ignore[arg-type]  # a table of fields
            assert (await server.refused("UpdateTaskQueueConfig", request)).code == 3
        request = workflowservice.UpdateTaskQueueConfigRequest(
            namespace="default",
            task_queue="q",
            task_queue_type=enums.TASK_QUEUE_TYPE_ACTIVITY,
        )
        request.update_queue_rate_limit.rate_limit.requests_per_second = float("nan")
        assert (await server.refused("UpdateTaskQueueConfig", request)).code == 3


async def test_old_versioning_is_off_unless_it_is_switched_on() -> None:
    async with served() as server:
        refusals = [
            await server.refused(name, request)
            for name, request in (
                (
                    "GetWorkerBuildIdCompatibility",
                    workflowservice.GetWorkerBuildIdCompatibilityRequest(namespace="default", task_queue="q"),
                ),
                (
                    "GetWorkerVersioningRules",
                    workflowservice.GetWorkerVersioningRulesRequest(namespace="default", task_queue="q"),
                ),
                (
                    "GetWorkerTaskReachability",
                    workflowservice.GetWorkerTaskReachabilityRequest(namespace="default", build_ids=["x"]),
                ),
            )
        ]
        assert [int(error.code) for error in refusals] == [7, 7, 7]


async def test_no_workflow_starts_while_too_much_waits() -> None:
    """The backlog is in memory, so it has a limit: docs/decisions/013."""

    def start(workflow_id: str) -> workflowservice.StartWorkflowExecutionRequest:
        return workflowservice.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=workflow_id,
            workflow_type=common.WorkflowType(name="Wf"),
            task_queue=taskqueue.TaskQueue(name="q"),
            request_id=workflow_id,
        )

    async with served({"matching.maxBacklogTasks": 1}) as server:
        await server.call("StartWorkflowExecution", start("a"), workflowservice.StartWorkflowExecutionResponse)
        await until(lambda: server.server.matching._lines.queued(1 << 62) == 1)
        refused = await server.refused("StartWorkflowExecution", start("b"))
        assert refused.code == StatusCode.RESOURCE_EXHAUSTED
        assert "tasks wait for workers" in refused.message
