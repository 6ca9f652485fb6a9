"""DescribeTaskQueue and ListTaskQueuePartitions (semantics 12.4). A queue has one partition here: its root."""

from __future__ import annotations

from typing import Final

from perdure.api import Message, enums, taskqueue, workflowservice
from perdure.api.times import duration_of, timestamp_of
from perdure.errors import InvalidArgument
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.machines.task_queue import ACTIVITY, WORKFLOW, PollerDescription, QueueDescription, QueueKey

RATE_PER_SECOND_DEFAULT: Final = 100_000.0
"""What a poller that names no limit is shown with."""

_TYPES: Final = (WORKFLOW, ACTIVITY)


async def describe_task_queue(
    services: Services, call: Call, request: workflowservice.DescribeTaskQueueRequest
) -> Message | bytes:
    """Pollers, backlog and rates of a queue, now."""
    limit = services.view(call).limits.id_length
    enhanced = request.api_mode == enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
    queue = request.task_queue
    validate.task_queue(queue, request.HasField("task_queue"), limit, root_only=enhanced)
    sticky = queue.kind == enums.TASK_QUEUE_KIND_STICKY
    namespace_id = call.namespace.id
    if enhanced:
        if sticky:
            raise InvalidArgument(
                "Enhanced DescribeTaskQueue is not valid for a sticky queue, "
                "use api_mode=UNSPECIFIED or a normal queue."
            )
        return _enhanced(services, namespace_id, request)
    kind = int(request.task_queue_type) or WORKFLOW
    found = services.matching.describe(QueueKey(namespace_id, queue.name, kind, sticky))
    response = workflowservice.DescribeTaskQueueResponse()
    response.pollers.extend([_poller(one) for one in found.pollers])
    if request.include_task_queue_status:
        response.task_queue_status.backlog_count_hint = found.backlog_count
        response.task_queue_status.task_id_block.SetInParent()
    if request.report_stats:
        response.stats.CopyFrom(_stats(found))
        for level in found.backlog:
            stats = response.stats_by_priority_key[level.priority]
            stats.approximate_backlog_count = level.count
            stats.approximate_backlog_age.CopyFrom(duration_of(level.age_ns))
    if found.rate_limit is not None:
        response.effective_rate_limit.requests_per_second = found.rate_limit
        response.effective_rate_limit.rate_limit_source = (
            enums.RATE_LIMIT_SOURCE_API if found.rate_limit_by_api else enums.RATE_LIMIT_SOURCE_WORKER
        )
    return response


def _enhanced(
    services: Services, namespace_id: str, request: workflowservice.DescribeTaskQueueRequest
) -> workflowservice.DescribeTaskQueueResponse:
    """The deprecated mode: by version, of which there is one without a name, and by type."""
    response = workflowservice.DescribeTaskQueueResponse()
    version = response.versions_info[""]
    version.task_reachability = enums.BUILD_ID_TASK_REACHABILITY_UNSPECIFIED
    for kind in request.task_queue_types or _TYPES:
        found = services.matching.describe(QueueKey(namespace_id, request.task_queue.name, int(kind)))
        info = version.types_info[int(kind)]
        if request.report_pollers:
            info.pollers.extend([_poller(one) for one in found.pollers])
        if request.report_stats:
            info.stats.CopyFrom(_stats(found))
    return response


def _poller(seen: PollerDescription) -> taskqueue.PollerInfo:
    poll = seen.request
    info = taskqueue.PollerInfo(
        last_access_time=timestamp_of(seen.last_access_ns),
        identity=poll.identity,
        rate_per_second=RATE_PER_SECOND_DEFAULT if poll.max_tasks_per_second is None else poll.max_tasks_per_second,
    )
    if poll.capabilities:
        info.worker_version_capabilities.MergeFromString(poll.capabilities)
    if poll.deployment_options:
        info.deployment_options.MergeFromString(poll.deployment_options)
    return info


def _stats(found: QueueDescription) -> taskqueue.TaskQueueStats:
    return taskqueue.TaskQueueStats(
        approximate_backlog_count=found.backlog_count,
        approximate_backlog_age=duration_of(found.backlog_age_ns),
        tasks_add_rate=found.add_rate,
        tasks_dispatch_rate=found.dispatch_rate,
    )


async def list_task_queue_partitions(
    services: Services, call: Call, request: workflowservice.ListTaskQueuePartitionsRequest
) -> Message | bytes:
    """The root partition of each type, held by this process."""
    limit = services.view(call).limits.id_length
    validate.task_queue(request.task_queue, request.HasField("task_queue"), limit)
    root = taskqueue.TaskQueuePartitionMetadata(key=request.task_queue.name, owner_host_name="localhost")
    return workflowservice.ListTaskQueuePartitionsResponse(
        activity_task_queue_partitions=[root], workflow_task_queue_partitions=[root]
    )
