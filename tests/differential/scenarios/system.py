"""The server itself, its task queues, and what it does not have."""

from __future__ import annotations

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import queue
from ..wire import RpcFailed

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService"
WORKFLOW = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


CAPABILITIES = (
    "signal_and_query_header",
    "internal_error_differentiation",
    "activity_failure_include_heartbeat",
    "encoded_failure_attributes",
    "upsert_memo",
    "eager_workflow_start",
    "sdk_metadata",
    "count_group_by_execution_status",
)


def system_info(s: Script) -> None:
    """Capabilities of the scope, which change what SDKs do (17.2)."""
    info = s.call(rpc.GetSystemInfoRequest(), rpc.GetSystemInfoResponse)
    for name in CAPABILITIES:
        s.fact(name, getattr(info.capabilities, name))


def cluster_info(s: Script) -> None:
    """The cluster's name and versions (17.2)."""
    s.call(rpc.GetClusterInfoRequest(), rpc.GetClusterInfoResponse)


def no_such_method(s: Script) -> None:
    """Unknown methods and services are UNIMPLEMENTED."""
    s.call_bytes(f"{SERVICE}/NoSuchMethod", b"")
    s.call_bytes("/no.such.Service/Method", b"")
    s.call_bytes("/grpc.health.v1.Health/NoSuchMethod", b"")


def invalid_protobuf(s: Script) -> None:
    """Bytes that are no message end the RPC with INTERNAL, not the server; the text is the protobuf library's."""
    for name in ("StartWorkflowExecution", "GetSystemInfo", "RespondWorkflowTaskCompleted"):
        try:
            s.connection.call_bytes(f"{SERVICE}/{name}", b"\xff\xff\xff", 5.0)
            s.fact(name, "accepted")
        except RpcFailed as failed:
            s.fact(name, failed.code)
    s.call(rpc.GetSystemInfoRequest(), rpc.GetSystemInfoResponse)


def health(s: Script) -> None:
    """The health service knows the workflow service and the server as a whole."""
    check = "/grpc.health.v1.Health/Check"
    name = SERVICE.removeprefix("/").encode()
    s.call_bytes(check, b"\n" + bytes([len(name)]) + name)
    s.call_bytes(check, b"")
    s.call_bytes(check, b"\n\x04none")


def describe_task_queue(s: Script) -> None:
    """Pollers of a queue (12.4)."""
    name = TaskQueue(name=s.queue)
    request = rpc.DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=name, task_queue_type=WORKFLOW)
    s.call(request, rpc.DescribeTaskQueueResponse)
    s.begin_quietly()
    s.eventually(request, rpc.DescribeTaskQueueResponse, lambda reply: bool(reply.pollers))
    request.task_queue_type = ACTIVITY
    s.call(request, rpc.DescribeTaskQueueResponse)


def describe_task_queue_refused(s: Script) -> None:
    """Bad DescribeTaskQueue requests."""
    for name in ("", "x" * 1001, "/_sys/a/1"):
        request = rpc.DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=queue(name), task_queue_type=WORKFLOW)
        s.call(request, rpc.DescribeTaskQueueResponse)


def shutdown_unknown_worker(s: Script) -> None:
    """ShutdownWorker of a queue nobody has polled succeeds."""
    request = rpc.ShutdownWorkerRequest(namespace=NAMESPACE, sticky_task_queue="never-" + s.nonce, identity="w")
    s.call(request, rpc.ShutdownWorkerResponse)


def sticky_poll_of_unknown_run(s: Script) -> None:
    """A poll of a sticky queue without tasks ends empty."""
    name = queue("sticky-" + s.nonce, TaskQueueKind.TASK_QUEUE_KIND_STICKY, s.queue)
    s.call(s.poll_request(name), rpc.PollWorkflowTaskQueueResponse, timeout=3.0)
