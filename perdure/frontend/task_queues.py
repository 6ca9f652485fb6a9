"""DescribeTaskQueue and ListTaskQueuePartitions (semantics 12.4).

A queue has one partition here, its root; names of others are understood and show nothing. What the reference derives
from numbers of stored tasks is absent, since no task is stored: read and ack levels are 0, as in its own newer matcher.
"""

from __future__ import annotations

from typing import Final

from perdure.api import Message, Timestamp, enums, taskqueue, workflowservice
from perdure.api.times import duration_of, timestamp_of
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument
from perdure.frontend import validate
from perdure.frontend.build_ids import exists
from perdure.frontend.services import Call, Services
from perdure.frontend.task_queue_config import config_message
from perdure.machines import version_rules
from perdure.machines.queue_data import QueueData
from perdure.machines.queue_names import RESERVED_PREFIX
from perdure.machines.task_queue import (
    ACTIVITY,
    PRIORITY_DEFAULT,
    WORKFLOW,
    BacklogDescription,
    PollerDescription,
    QueueDescription,
    QueueKey,
)
from perdure.machines.token_bucket import UNLIMITED_RATE
from perdure.machines.workflow.reset_points import UNVERSIONED
from perdure.visibility.syntax import quoted

TASK_ID_BLOCK_END: Final = 100_000
"""The first block of task numbers, which every queue of the reference leases when it is loaded."""

UNVERSIONED_VERSION: Final = "__unversioned__"
_NEVER: Final = Timestamp(seconds=-62_135_596_800)
"""The zero time of the reference's language, for an update that has not been."""

_TYPES: Final = (WORKFLOW, ACTIVITY)
BUILD_IDS_MAX: Final = 1_000
"""Build ids of one DescribeTaskQueue; each costs a look at every type."""


async def describe_task_queue(
    services: Services, call: Call, request: workflowservice.DescribeTaskQueueRequest
) -> Message | bytes:
    """Pollers, backlog and rates of a queue, now."""
    limit = services.view(call).limits.id_length
    enhanced = request.api_mode == enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
    queue = request.task_queue
    validate.task_queue(queue, request.HasField("task_queue"), limit, root_only=enhanced)
    build_ids_max = services.config.get(settings.REACHABILITY_QUERY_BUILD_ID_LIMIT)
    if request.report_task_reachability and len(request.versions.build_ids) > build_ids_max:
        raise InvalidArgument(
            f"Too many build ids queried at once with ReportTaskReachability==true, limit: {build_ids_max}"
        )
    if len(request.versions.build_ids) > BUILD_IDS_MAX:
        raise InvalidArgument(f"Too many build ids queried at once, limit: {BUILD_IDS_MAX}")
    sticky = queue.kind == enums.TASK_QUEUE_KIND_STICKY
    if enhanced:
        if sticky:
            raise InvalidArgument(
                "Enhanced DescribeTaskQueue is not valid for a sticky queue, "
                "use api_mode=UNSPECIFIED or a normal queue."
            )
        if queue.normal_name:
            raise InvalidArgument("Task Queue Partition invalid, use a different Task Queue or Task Queue Type")
        return await _enhanced(services, call, request)
    validate.partition(queue)
    namespace_id = call.namespace.id
    kind = int(request.task_queue_type) or WORKFLOW
    found = services.matching.describe(QueueKey(namespace_id, queue.name, kind, sticky))
    response = workflowservice.DescribeTaskQueueResponse()
    response.pollers.extend([_poller(one) for one in found.pollers])
    if not sticky:
        response.versioning_info.current_version = UNVERSIONED_VERSION
        response.versioning_info.update_time.CopyFrom(_NEVER)
    if request.include_task_queue_status:
        status = response.task_queue_status
        status.backlog_count_hint = found.backlog_count
        status.rate_per_second = UNLIMITED_RATE if found.rate_limit is None else found.rate_limit
        status.task_id_block.start_id = 1
        status.task_id_block.end_id = TASK_ID_BLOCK_END
    if request.report_stats:
        if sticky or queue.name.startswith(RESERVED_PREFIX):
            raise InvalidArgument("DescribeTaskQueue stats are only supported for the root partition")
        response.stats.CopyFrom(_stats(found))
        for level in (BacklogDescription(PRIORITY_DEFAULT, 0, 0), *found.backlog):
            response.stats_by_priority_key[level.priority].CopyFrom(_level_stats(level, found.rate_limiting))
    if request.report_config and not sticky:
        config = services.task_queues.find(namespace_id, queue.name).configs.get(kind)
        if config is not None:
            response.config.CopyFrom(config_message(config))
    _tell_rate_limit(response, found)
    return response


def _tell_rate_limit(response: workflowservice.DescribeTaskQueueResponse, found: QueueDescription) -> None:
    """The limit that holds, and who has set it. Where nobody has, it is the system's, which nobody reaches."""
    limit = response.effective_rate_limit
    if found.rate_limit is None:
        limit.requests_per_second = UNLIMITED_RATE
        limit.rate_limit_source = enums.RATE_LIMIT_SOURCE_SYSTEM
        return
    limit.requests_per_second = found.rate_limit
    by_api = found.rate_limit_by_api
    limit.rate_limit_source = enums.RATE_LIMIT_SOURCE_API if by_api else enums.RATE_LIMIT_SOURCE_WORKER


async def _enhanced(
    services: Services, call: Call, request: workflowservice.DescribeTaskQueueRequest
) -> workflowservice.DescribeTaskQueueResponse:
    """The deprecated mode: by build id and by type. Unless the caller chooses, of the queue's default build id."""
    name = request.task_queue.name
    namespace_id = call.namespace.id
    data = services.task_queues.find(namespace_id, name)
    kinds = [int(kind) for kind in dict.fromkeys(request.task_queue_types)] or list(_TYPES)
    if not set(kinds) <= set(enums.TaskQueueType.values()):
        raise InvalidArgument("invalid task queue type")
    described = {kind: services.matching.describe(QueueKey(namespace_id, name, kind)) for kind in kinds}
    response = workflowservice.DescribeTaskQueueResponse()
    for build_id in _build_ids(request, data, described):
        version = response.versions_info[build_id]
        for kind in described:
            info = version.types_info[kind]
            line = services.matching.describe_version(QueueKey(namespace_id, name, kind), build_id)
            if request.report_pollers:
                info.pollers.extend([_poller(one) for one in line.pollers])
            if request.report_stats:
                info.stats.CopyFrom(_stats(line))
        if request.report_task_reachability:
            reached = await _reachability(services, call, data, name, build_id)
            version.task_reachability = reached  # type: ignore[assignment]  # wire numbers are plain ints here
    return response


def _build_ids(
    request: workflowservice.DescribeTaskQueueRequest, data: QueueData, described: dict[int, QueueDescription]
) -> list[str]:
    if not request.HasField("versions"):
        return [version_rules.default_target(data)]
    chosen = list(request.versions.build_ids)
    if any(not build_id for build_id in chosen):
        chosen.append("")
    if request.versions.unversioned:
        chosen.append("")
    if request.versions.all_active:
        chosen.extend([one.request.build_id for found in described.values() for one in found.pollers])
    return list(dict.fromkeys(chosen))


async def _reachability(services: Services, call: Call, data: QueueData, queue: str, build_id: str) -> int:
    """Whether workflows may still come to a build id: new ones by the rules, open ones, or queries to closed ones."""
    if build_id in [rule.source for rule in data.redirect_rules]:
        return int(enums.BUILD_ID_TASK_REACHABILITY_UNREACHABLE)
    reaching = version_rules.upstream(data, build_id)
    if version_rules.assigns_any(data, reaching):
        return int(enums.BUILD_ID_TASK_REACHABILITY_REACHABLE)
    where = f"TaskQueue = {quoted(queue)} AND "
    if await exists(services, call, where + _of_builds(reaching, "assigned") + " AND ExecutionStatus = 'Running'"):
        return int(enums.BUILD_ID_TASK_REACHABILITY_REACHABLE)
    if await exists(services, call, where + _of_builds(reaching, "versioned") + " AND ExecutionStatus != 'Running'"):
        return int(enums.BUILD_ID_TASK_REACHABILITY_CLOSED_WORKFLOWS_ONLY)
    return int(enums.BUILD_ID_TASK_REACHABILITY_UNREACHABLE)


def _of_builds(build_ids: list[str], prefix: str) -> str:
    values = [quoted(f"{prefix}:{one}" if one else UNVERSIONED) for one in build_ids]
    condition = f"BuildIds IN ({', '.join(values)})"
    return condition if "" not in build_ids else f"(BuildIds IS NULL OR {condition})"


def _poller(seen: PollerDescription) -> taskqueue.PollerInfo:
    poll = seen.request
    info = taskqueue.PollerInfo(
        last_access_time=timestamp_of(seen.last_access_ns),
        identity=poll.identity,
        rate_per_second=UNLIMITED_RATE if poll.max_tasks_per_second is None else poll.max_tasks_per_second,
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
        rate_limiting_active=found.rate_limiting,
    )


def _level_stats(level: BacklogDescription, rate_limiting: bool) -> taskqueue.TaskQueueStats:
    return taskqueue.TaskQueueStats(
        approximate_backlog_count=level.count,
        approximate_backlog_age=duration_of(level.age_ns),
        tasks_add_rate=level.add_rate,
        tasks_dispatch_rate=level.dispatch_rate,
        rate_limiting_active=rate_limiting,
    )


async def list_task_queue_partitions(
    services: Services, call: Call, request: workflowservice.ListTaskQueuePartitionsRequest
) -> Message | bytes:
    """The root partition of each type, held by this process."""
    limit = services.view(call).limits.id_length
    validate.task_queue(request.task_queue, request.HasField("task_queue"), limit)
    validate.partition(request.task_queue)
    root = taskqueue.TaskQueuePartitionMetadata(key=request.task_queue.name, owner_host_name="localhost")
    return workflowservice.ListTaskQueuePartitionsResponse(
        activity_task_queue_partitions=[root], workflow_task_queue_partitions=[root]
    )
