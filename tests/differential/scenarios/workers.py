"""Workers by their heartbeats: recorded, listed, counted, described (semantics 12.4)."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.worker.v1 import PluginInfo, WorkerHeartbeat, WorkerHostInfo
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, WORKER, Script

RUNNING = WorkerStatus.WORKER_STATUS_RUNNING
SHUTDOWN = WorkerStatus.WORKER_STATUS_SHUTDOWN


def _beat(s: Script, key: str, status: WorkerStatus.ValueType = RUNNING) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        worker_instance_key=f"{s.nonce}-{key}",
        worker_identity=f"identity-{key}",
        host_info=WorkerHostInfo(host_name="host", worker_grouping_key="group", process_id="12"),
        task_queue=s.queue,
        deployment_version=WorkerDeploymentVersion(deployment_name="dep", build_id=f"b-{key}"),
        sdk_name="temporal-python",
        sdk_version="1.35.0",
        status=status,
        start_time=Timestamp(seconds=1_700_000_000),
        heartbeat_time=Timestamp(seconds=1_700_000_100),
        plugins=[PluginInfo(name="p", version="1")],
        total_sticky_cache_hit=7,
    )


def _record(s: Script, *beats: WorkerHeartbeat) -> None:
    request = rpc.RecordWorkerHeartbeatRequest(namespace=NAMESPACE, identity=WORKER, worker_heartbeat=beats)
    s.call(request, rpc.RecordWorkerHeartbeatResponse)


def _describe(s: Script, key: str) -> None:
    request = rpc.DescribeWorkerRequest(namespace=NAMESPACE, worker_instance_key=f"{s.nonce}-{key}")
    s.call(request, rpc.DescribeWorkerResponse)


def _list(s: Script, query: str) -> None:
    request = rpc.ListWorkersRequest(namespace=NAMESPACE, query=query)
    request.page_size = 100
    s.call(request, rpc.ListWorkersResponse)
    count = rpc.CountWorkersRequest(namespace=NAMESPACE, query=query)
    s.call(count, rpc.CountWorkersResponse)


def come_and_go(s: Script) -> None:
    """A worker is known from its first heartbeat on, and forgotten when it shuts down."""
    _record(s, _beat(s, "a"), _beat(s, "b"))
    _describe(s, "a")
    _list(s, f"TaskQueue = '{s.queue}'")
    changed = _beat(s, "a")
    changed.worker_identity = "renamed"
    changed.current_sticky_cache_size = 3
    _record(s, changed, _beat(s, "c", WorkerStatus.WORKER_STATUS_SHUTTING_DOWN))
    _describe(s, "a")
    _record(s, _beat(s, "b", SHUTDOWN))
    _describe(s, "b")
    _list(s, f"TaskQueue = '{s.queue}'")
    _record(s, _beat(s, "never", SHUTDOWN))
    _record(s)


def queries(s: Script) -> None:
    """What a query may say; what it may not say holds for nobody."""
    without = _beat(s, "d")
    without.ClearField("start_time")
    without.ClearField("deployment_version")
    _record(s, _beat(s, "a"), _beat(s, "b"), _beat(s, "c", WorkerStatus.WORKER_STATUS_SHUTTING_DOWN), without)
    mine = f"TaskQueue = '{s.queue}'"
    for term in (
        f"WorkerInstanceKey = '{s.nonce}-a'",
        "WorkerIdentity = 'identity-b'",
        "WorkerIdentity != 'identity-b'",
        "WorkerIdentity STARTS_WITH 'identity'",
        "WorkerIdentity NOT STARTS_WITH 'identity'",
        "HostName = 'host' AND SdkName = 'temporal-python' AND SdkVersion = '1.35.0'",
        "DeploymentName IS NULL",
        "DeploymentName IS NOT NULL",
        f"BuildId = 'b-a' OR WorkerInstanceKey = '{s.nonce}-c'",
        "(BuildId = 'b-a' OR BuildId = 'b-c') AND WorkerStatus = 'Running'",
        "Status = 'ShuttingDown'",
        "`Status` = 'Running'",
        "StartTime = '2023-11-14T22:13:20Z'",
        "StartTime > '2023-11-14T22:13:20Z'",
        "StartTime BETWEEN '2023-11-14T00:00:00Z' AND '2023-11-15T00:00:00Z'",
        "StartTime NOT BETWEEN '2023-11-14T00:00:00Z' AND '2023-11-15T00:00:00Z'",
        "StartTime IS NULL",
        "HeartbeatTime >= '2023-11-14T22:15:00Z'",
        "StartTime < 'yesterday'",
        "WorkerIdentity > 'a'",
        "WorkerIdentity = ''",
        "WorkerIdentity = 3",
        "Unknown = 'x'",
        "NOT WorkerIdentity = 'x'",
        "WorkerIdentity IN ('identity-a')",
        "WorkerIdentity",
        "total_sticky_cache_hit = 7",
        "WorkerIdentity IS TRUE",
    ):
        s.section(term)
        count = rpc.CountWorkersRequest(namespace=NAMESPACE, query=f"{mine} AND {term}")
        s.call(count, rpc.CountWorkersResponse)
    s.section("an error is met only where it is looked at")
    count = rpc.CountWorkersRequest(namespace=NAMESPACE, query=f"{mine} OR Unknown = 'x'")
    s.call(count, rpc.CountWorkersResponse)
    count = rpc.CountWorkersRequest(namespace=NAMESPACE, query=f"Unknown = 'x' OR {mine}")
    s.call(count, rpc.CountWorkersResponse)


def refused_queries(s: Script) -> None:
    """What is no query at all."""
    for query in ("TaskQueue =", "((", "TaskQueue = 'a' AND"):
        count = rpc.CountWorkersRequest(namespace=NAMESPACE, query=query)
        s.call(count, rpc.CountWorkersResponse)


def pages(s: Script) -> None:
    """In the order of their keys, page by page."""
    _record(s, *[_beat(s, key) for key in "edcba"])
    request = rpc.ListWorkersRequest(namespace=NAMESPACE, query=f"TaskQueue = '{s.queue}'", page_size=2)
    for _ in range(3):
        reply = s.call(request, rpc.ListWorkersResponse)
        request.next_page_token = reply.next_page_token
    request.next_page_token = b"nonsense"
    s.call(request, rpc.ListWorkersResponse)


def by_other_ways(s: Script) -> None:
    """Heartbeats come with Nexus polls, too, and a last one with the good-bye."""
    poll = rpc.PollNexusTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity=WORKER)
    poll.worker_heartbeat.append(_beat(s, "n"))
    s.send(poll, rpc.PollNexusTaskQueueResponse, 2.5)
    _describe(s, "n")
    request = rpc.ShutdownWorkerRequest(namespace=NAMESPACE, sticky_task_queue=s.sticky_queue, identity=WORKER)
    request.worker_heartbeat.CopyFrom(_beat(s, "n", SHUTDOWN))
    s.call(request, rpc.ShutdownWorkerResponse)
    _describe(s, "n")


def configuration(s: Script) -> None:
    """Nobody can be told anything."""
    s.call(rpc.FetchWorkerConfigRequest(namespace=NAMESPACE), rpc.FetchWorkerConfigResponse)
    s.call(rpc.UpdateWorkerConfigRequest(namespace=NAMESPACE), rpc.UpdateWorkerConfigResponse)
