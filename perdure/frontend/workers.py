"""Heartbeats of workers, and what is shown of them: RecordWorkerHeartbeat, List-, Count- and DescribeWorker (12.4).

Reading is always possible; `frontend.WorkerHeartbeatsEnabled` decides whether heartbeats are taken, and whether workers
are asked for them. Remote configuration of workers is refused as the reference refuses it.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import msgspec

from perdure.api import Message, enums, worker, workflowservice
from perdure.api.names import short_name
from perdure.api.times import timestamp_ns
from perdure.clock import SECOND
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument, NotFound, Unimplemented
from perdure.frontend.services import Call, Services
from perdure.frontend.turns import slices
from perdure.machines.queue_names import is_internal
from perdure.matching.workers import Worker
from perdure.visibility.worker_query import WorkerFields, WorkerQuery

PAGE_SIZE_MAX: Final = 1_000
"""Workers of one page, and of a list whose caller names no size: an answer has a limit."""
KEPT_MAX: Final = 8 * PAGE_SIZE_MAX
"""Workers found so far before those of a later page are let go."""
TESTS_AT_ONCE: Final = 4_000
"""Comparisons of a filter, of some microseconds each, in one turn of the loop."""
TEST_BYTES: Final = 16
"""The shortest comparison, in bytes of the filter."""


async def record_worker_heartbeat(
    services: Services, call: Call, request: workflowservice.RecordWorkerHeartbeatRequest
) -> Message | bytes:
    """Some workers of one process are alive."""
    async for beats in slices(request.worker_heartbeat):
        record_heartbeats(services, call, beats)
    return workflowservice.RecordWorkerHeartbeatResponse()


def record_heartbeats(services: Services, call: Call, beats: Iterable[worker.WorkerHeartbeat]) -> None:
    """Take heartbeats, by whatever way they came."""
    if not services.config.get(settings.FRONTEND_WORKER_HEARTBEATS_ENABLED, call.namespace.name):
        return
    registry, namespace_id = services.matching.workers, call.namespace.id
    now_ns = _now_ns(services)
    for beat in beats:
        if beat.status == enums.WORKER_STATUS_SHUTDOWN:
            registry.gone(namespace_id, beat.worker_instance_key)
        else:
            registry.seen(namespace_id, _worker(beat), now_ns)


def _worker(beat: worker.WorkerHeartbeat) -> Worker:
    queue = beat.task_queue
    texts = {
        "WorkerInstanceKey": beat.worker_instance_key,
        "WorkerIdentity": beat.worker_identity,
        "HostName": beat.host_info.host_name,
        "TaskQueue": queue,
        "DeploymentName": beat.deployment_version.deployment_name,
        "BuildId": beat.deployment_version.build_id,
        "SdkName": beat.sdk_name,
        "SdkVersion": beat.sdk_version,
        "WorkerStatus": short_name(enums.WorkerStatus, beat.status),
    }
    times = {
        "StartTime": timestamp_ns(beat.start_time) if beat.HasField("start_time") else None,
        "HeartbeatTime": timestamp_ns(beat.heartbeat_time) if beat.HasField("heartbeat_time") else None,
    }
    return Worker(beat.worker_instance_key, beat.SerializeToString(), WorkerFields(texts, times), is_internal(queue))


async def list_workers(services: Services, call: Call, request: workflowservice.ListWorkersRequest) -> Message | bytes:
    """The workers of a namespace that a filter holds for, in the order of their instance keys."""
    after = _opened(request.next_page_token)
    size = request.page_size if 0 < request.page_size <= PAGE_SIZE_MAX else PAGE_SIZE_MAX
    found: list[Worker] = []
    async for some in _found(services, call, request):
        found += some if after is None else [one for one in some if one.key > after]
        if len(found) > KEPT_MAX:
            found = heapq.nsmallest(size + 1, found, key=_key_of)
    found.sort(key=_key_of)
    response = workflowservice.ListWorkersResponse()
    for one in found[:size]:
        beat = worker.WorkerHeartbeat.FromString(one.body)
        response.workers_info.add().worker_heartbeat.CopyFrom(beat)
        response.workers.append(_listed(beat))
    if len(found) > size:
        response.next_page_token = msgspec.json.encode({"l": found[size - 1].key})
    return response


async def count_workers(
    services: Services, call: Call, request: workflowservice.CountWorkersRequest
) -> Message | bytes:
    """How many workers a filter holds for."""
    count = 0
    async for some in _found(services, call, request):
        count += len(some)
    return workflowservice.CountWorkersResponse(count=count)


async def describe_worker(
    services: Services, call: Call, request: workflowservice.DescribeWorkerRequest
) -> Message | bytes:
    """A worker's last heartbeat."""
    found = services.matching.workers.find(call.namespace.id, request.worker_instance_key, _now_ns(services))
    if found is None:
        raise NotFound(f"Worker {request.worker_instance_key} not found")
    beat = worker.WorkerHeartbeat.FromString(found.body)
    return workflowservice.DescribeWorkerResponse(worker_info=worker.WorkerInfo(worker_heartbeat=beat))


async def fetch_worker_config(_: Services, __: Call, ___: workflowservice.FetchWorkerConfigRequest) -> Message | bytes:
    """Not to be had, on the reference either."""
    raise Unimplemented("FetchWorkerConfig command is not enabled.")


async def update_worker_config(
    _: Services, __: Call, ___: workflowservice.UpdateWorkerConfigRequest
) -> Message | bytes:
    """Not to be had, on the reference either."""
    raise Unimplemented("UpdateWorkerConfig command is not enabled.")


async def _found(services: Services, call: Call, request: Any) -> AsyncIterator[list[Worker]]:
    """The workers that a filter holds for, some at a time; fewer when the filter is long."""
    query = WorkerQuery(request.query)
    size = max(1, TESTS_AT_ONCE // (1 + len(request.query) // TEST_BYTES))
    async for some in slices(services.matching.workers.all(call.namespace.id, _now_ns(services)), size):
        yield [one for one in some if (request.include_system_workers or not one.internal) and query.holds(one.fields)]


def _listed(beat: worker.WorkerHeartbeat) -> worker.WorkerListInfo:
    shown = worker.WorkerListInfo(
        worker_instance_key=beat.worker_instance_key,
        worker_identity=beat.worker_identity,
        task_queue=beat.task_queue,
        sdk_name=beat.sdk_name,
        sdk_version=beat.sdk_version,
        status=beat.status,
        host_name=beat.host_info.host_name,
        worker_grouping_key=beat.host_info.worker_grouping_key,
        process_id=beat.host_info.process_id,
        plugins=beat.plugins,
        drivers=beat.drivers,
    )
    if beat.HasField("deployment_version"):
        shown.deployment_version.CopyFrom(beat.deployment_version)
    if beat.HasField("start_time"):
        shown.start_time.CopyFrom(beat.start_time)
    return shown


def _opened(token: bytes) -> str | None:
    """The key that the page before ended with."""
    if not token:
        return None
    try:
        return msgspec.json.decode(token, type=dict[str, str]).get("l", "")
    except msgspec.DecodeError:
        raise InvalidArgument("invalid next_page_token") from None


def _now_ns(services: Services) -> int:
    return round(services.loop.time() * SECOND)


def _key_of(one: Worker) -> str:
    return one.key
