"""From a call on the wire to a handler and back: the table of routes, and the one place where calls end.

A route is a row: path, request type, interceptors, handler. The first step of a handler runs at once, inside the
transport's read; only one that has to wait becomes a task, so a batch of requests that arrived together is submitted
together. Every call ends in exactly one of: a response, a wire error, nothing (its caller is gone).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from perdure.api import Message, Method, crowds, enums, method_table
from perdure.config import dynamic as settings
from perdure.engine.eager import start_now
from perdure.errors import (
    Internal,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    StatusCode,
    Unavailable,
    Unimplemented,
)
from perdure.frontend import (
    activity_operations,
    activity_tasks,
    archival,
    batches,
    build_ids,
    clusters,
    health,
    history,
    namespace_deletion,
    namespaces,
    nexus_endpoints,
    nexus_tasks,
    query,
    reflection,
    rules,
    schedules,
    start,
    system,
    task_queue_config,
    task_queues,
    update_with_start,
    updates,
    versioning_rules,
    visibility,
    workers,
    workflow,
    workflow_operations,
    workflow_tasks,
)
from perdure.frontend.interceptors import Interceptor, Leave, interceptors
from perdure.frontend.services import Call, Services
from perdure.frontend.status import WireError, masked, wire_error
from perdure.store.api import StoreError

if TYPE_CHECKING:
    from perdure.transport.calls import ServerCall

log = logging.getLogger(__name__)

Handler = Callable[[Services, Call, Any], Awaitable[Message | bytes]]
"""Answers a unary call with a message or with one that is serialized already."""

StreamHandler = Callable[[Services, Call, Any], Awaitable[None]]
"""Answers a streaming call with `call.wire.send`; the call is finished when it returns."""

_WORKFLOW: Final = "/temporal.api.workflowservice.v1.WorkflowService/"
_OPERATOR: Final = "/temporal.api.operatorservice.v1.OperatorService/"
_HEALTH: Final = "/grpc.health.v1.Health/"
_REFLECTION: Final = "/grpc.reflection.v1.ServerReflection/"
_REFLECTION_ALPHA: Final = "/grpc.reflection.v1alpha.ServerReflection/"
_SERVED: Final = (_WORKFLOW, _OPERATOR, _HEALTH, _REFLECTION, _REFLECTION_ALPHA)

HANDLERS: Final[dict[str, Handler]] = {
    _HEALTH + "Check": health.check,
    _WORKFLOW + "GetSystemInfo": system.get_system_info,
    _WORKFLOW + "GetClusterInfo": system.get_cluster_info,
    _WORKFLOW + "RegisterNamespace": namespaces.register_namespace,
    _WORKFLOW + "DescribeNamespace": namespaces.describe_namespace,
    _WORKFLOW + "ListNamespaces": namespaces.list_namespaces,
    _WORKFLOW + "UpdateNamespace": namespaces.update_namespace,
    _WORKFLOW + "DeprecateNamespace": namespaces.deprecate_namespace,
    _WORKFLOW + "StartWorkflowExecution": start.start_workflow_execution,
    _WORKFLOW + "SignalWithStartWorkflowExecution": start.signal_with_start_workflow_execution,
    _WORKFLOW + "SignalWorkflowExecution": workflow.signal_workflow_execution,
    _WORKFLOW + "RequestCancelWorkflowExecution": workflow.request_cancel_workflow_execution,
    _WORKFLOW + "TerminateWorkflowExecution": workflow.terminate_workflow_execution,
    _WORKFLOW + "DescribeWorkflowExecution": workflow.describe_workflow_execution,
    _WORKFLOW + "PollWorkflowTaskQueue": workflow_tasks.poll_workflow_task_queue,
    _WORKFLOW + "RespondWorkflowTaskCompleted": workflow_tasks.respond_workflow_task_completed,
    _WORKFLOW + "RespondWorkflowTaskFailed": workflow_tasks.respond_workflow_task_failed,
    _WORKFLOW + "ResetStickyTaskQueue": workflow_tasks.reset_sticky_task_queue,
    _WORKFLOW + "ShutdownWorker": workflow_tasks.shutdown_worker,
    _WORKFLOW + "PollActivityTaskQueue": activity_tasks.poll_activity_task_queue,
    _WORKFLOW + "PollNexusTaskQueue": nexus_tasks.poll_nexus_task_queue,
    _WORKFLOW + "RespondNexusTaskCompleted": nexus_tasks.respond_nexus_task_completed,
    _WORKFLOW + "RespondNexusTaskFailed": nexus_tasks.respond_nexus_task_failed,
    _WORKFLOW + "RecordActivityTaskHeartbeat": activity_tasks.record_activity_task_heartbeat,
    _WORKFLOW + "RecordActivityTaskHeartbeatById": activity_tasks.record_activity_task_heartbeat_by_id,
    _WORKFLOW + "RespondActivityTaskCompleted": activity_tasks.respond_activity_task_completed,
    _WORKFLOW + "RespondActivityTaskCompletedById": activity_tasks.respond_activity_task_completed_by_id,
    _WORKFLOW + "RespondActivityTaskFailed": activity_tasks.respond_activity_task_failed,
    _WORKFLOW + "RespondActivityTaskFailedById": activity_tasks.respond_activity_task_failed_by_id,
    _WORKFLOW + "RespondActivityTaskCanceled": activity_tasks.respond_activity_task_canceled,
    _WORKFLOW + "RespondActivityTaskCanceledById": activity_tasks.respond_activity_task_canceled_by_id,
    _WORKFLOW + "DeleteWorkflowExecution": workflow_operations.delete_workflow_execution,
    _WORKFLOW + "UpdateWorkflowExecutionOptions": workflow_operations.update_workflow_execution_options,
    _WORKFLOW + "PauseWorkflowExecution": workflow_operations.pause_workflow_execution,
    _WORKFLOW + "UnpauseWorkflowExecution": workflow_operations.unpause_workflow_execution,
    _WORKFLOW + "ResetWorkflowExecution": workflow_operations.reset_workflow_execution,
    _WORKFLOW + "PauseActivity": activity_operations.pause_activity,
    _WORKFLOW + "UnpauseActivity": activity_operations.unpause_activity,
    _WORKFLOW + "ResetActivity": activity_operations.reset_activity,
    _WORKFLOW + "UpdateActivityOptions": activity_operations.update_activity_options,
    _WORKFLOW + "PauseActivityExecution": activity_operations.pause_activity_execution,
    _WORKFLOW + "UnpauseActivityExecution": activity_operations.unpause_activity_execution,
    _WORKFLOW + "ResetActivityExecution": activity_operations.reset_activity_execution,
    _WORKFLOW + "UpdateActivityExecutionOptions": activity_operations.update_activity_execution_options,
    _WORKFLOW + "GetWorkflowExecutionHistory": history.get_workflow_execution_history,
    _WORKFLOW + "GetWorkflowExecutionHistoryReverse": history.get_workflow_execution_history_reverse,
    _WORKFLOW + "QueryWorkflow": query.query_workflow,
    _WORKFLOW + "RespondQueryTaskCompleted": query.respond_query_task_completed,
    _WORKFLOW + "UpdateWorkflowExecution": updates.update_workflow_execution,
    _WORKFLOW + "PollWorkflowExecutionUpdate": updates.poll_workflow_execution_update,
    _WORKFLOW + "ExecuteMultiOperation": update_with_start.execute_multi_operation,
    _WORKFLOW + "ListWorkflowExecutions": visibility.list_workflow_executions,
    _WORKFLOW + "ScanWorkflowExecutions": visibility.scan_workflow_executions,
    _WORKFLOW + "CountWorkflowExecutions": visibility.count_workflow_executions,
    _WORKFLOW + "ListOpenWorkflowExecutions": visibility.list_open_workflow_executions,
    _WORKFLOW + "ListClosedWorkflowExecutions": visibility.list_closed_workflow_executions,
    _WORKFLOW + "ListArchivedWorkflowExecutions": archival.list_archived_workflow_executions,
    _WORKFLOW + "GetSearchAttributes": visibility.get_search_attributes,
    _WORKFLOW + "CreateSchedule": schedules.create_schedule,
    _WORKFLOW + "DescribeSchedule": schedules.describe_schedule,
    _WORKFLOW + "UpdateSchedule": schedules.update_schedule,
    _WORKFLOW + "PatchSchedule": schedules.patch_schedule,
    _WORKFLOW + "DeleteSchedule": schedules.delete_schedule,
    _WORKFLOW + "ListSchedules": schedules.list_schedules,
    _WORKFLOW + "CountSchedules": schedules.count_schedules,
    _WORKFLOW + "ListScheduleMatchingTimes": schedules.list_schedule_matching_times,
    _WORKFLOW + "DescribeTaskQueue": task_queues.describe_task_queue,
    _WORKFLOW + "ListTaskQueuePartitions": task_queues.list_task_queue_partitions,
    _WORKFLOW + "StartBatchOperation": batches.start_batch_operation,
    _WORKFLOW + "StopBatchOperation": batches.stop_batch_operation,
    _WORKFLOW + "DescribeBatchOperation": batches.describe_batch_operation,
    _WORKFLOW + "ListBatchOperations": batches.list_batch_operations,
    _WORKFLOW + "CreateWorkflowRule": rules.create_workflow_rule,
    _WORKFLOW + "DescribeWorkflowRule": rules.describe_workflow_rule,
    _WORKFLOW + "DeleteWorkflowRule": rules.delete_workflow_rule,
    _WORKFLOW + "ListWorkflowRules": rules.list_workflow_rules,
    _WORKFLOW + "TriggerWorkflowRule": rules.trigger_workflow_rule,
    _OPERATOR + "DeleteNamespace": namespace_deletion.delete_namespace,
    _OPERATOR + "ListClusters": clusters.list_clusters,
    _OPERATOR + "AddOrUpdateRemoteCluster": clusters.add_or_update_remote_cluster,
    _OPERATOR + "RemoveRemoteCluster": clusters.remove_remote_cluster,
    _OPERATOR + "CreateNexusEndpoint": nexus_endpoints.create_nexus_endpoint,
    _OPERATOR + "GetNexusEndpoint": nexus_endpoints.get_nexus_endpoint,
    _OPERATOR + "UpdateNexusEndpoint": nexus_endpoints.update_nexus_endpoint,
    _OPERATOR + "DeleteNexusEndpoint": nexus_endpoints.delete_nexus_endpoint,
    _OPERATOR + "ListNexusEndpoints": nexus_endpoints.list_nexus_endpoints,
    _WORKFLOW + "RecordWorkerHeartbeat": workers.record_worker_heartbeat,
    _WORKFLOW + "ListWorkers": workers.list_workers,
    _WORKFLOW + "CountWorkers": workers.count_workers,
    _WORKFLOW + "DescribeWorker": workers.describe_worker,
    _WORKFLOW + "FetchWorkerConfig": workers.fetch_worker_config,
    _WORKFLOW + "UpdateWorkerConfig": workers.update_worker_config,
    _WORKFLOW + "UpdateTaskQueueConfig": task_queue_config.update_task_queue_config,
    _WORKFLOW + "UpdateWorkerBuildIdCompatibility": build_ids.update_worker_build_id_compatibility,
    _WORKFLOW + "GetWorkerBuildIdCompatibility": build_ids.get_worker_build_id_compatibility,
    _WORKFLOW + "GetWorkerTaskReachability": build_ids.get_worker_task_reachability,
    _WORKFLOW + "UpdateWorkerVersioningRules": versioning_rules.update_worker_versioning_rules,
    _WORKFLOW + "GetWorkerVersioningRules": versioning_rules.get_worker_versioning_rules,
    _OPERATOR + "AddSearchAttributes": visibility.add_search_attributes,
    _OPERATOR + "RemoveSearchAttributes": visibility.remove_search_attributes,
    _OPERATOR + "ListSearchAttributes": visibility.list_search_attributes,
}
"""Every unary RPC that is built, by path."""

STREAM_HANDLERS: Final[dict[str, StreamHandler]] = {
    _HEALTH + "Watch": health.watch,
    _REFLECTION + "ServerReflectionInfo": reflection.reflect,
    _REFLECTION_ALPHA + "ServerReflectionInfo": reflection.reflect,
}
"""RPCs that answer with a stream."""

LARGE_BYTES_MAX: Final = 256 << 20
"""Of all large requests in progress together: what they say is held, some of it twice, until it is stored."""

REQUEST_STREAMS: Final = frozenset([path for path in STREAM_HANDLERS if method_table()[path].client_streaming])
"""Paths whose requests are streams: the transport must know them."""


@final
class _Route:
    """What the dispatcher knows of one path."""

    __slots__ = ("handler", "interceptors", "method", "parse", "stream_handler")

    def __init__(self, method: Method, interceptors: tuple[Interceptor, ...]) -> None:
        self.method = method
        self.parse: Callable[[bytes], Any] = method.request.FromString
        self.handler: Handler = HANDLERS.get(method.path, _unimplemented)
        self.stream_handler: StreamHandler | None = STREAM_HANDLERS.get(method.path)
        built = method.path in HANDLERS or self.stream_handler is not None
        self.interceptors = tuple([one for one in interceptors if one.applies(method)]) if built else ()


async def _unimplemented(_: Services, call: Call, __: Any) -> Message | bytes:
    raise Unimplemented(f"method {call.method.name} not implemented")


@final
class Frontend:
    """Answers calls. `dispatch` is what a `GrpcServer` is given, together with `REQUEST_STREAMS`."""

    def __init__(self, services: Services) -> None:
        self.services = services
        entries = interceptors(services)
        self._routes = {
            path: _Route(method, entries) for path, method in method_table().items() if path.startswith(_SERVED)
        }
        self._tasks: set[asyncio.Task[None]] = set()
        self._large_bytes = 0

    def dispatch(self, wire: ServerCall) -> None:
        """Answer a call, now or later. Never raises."""
        route = self._routes.get(wire.path)
        if route is None:
            wire.fail(int(StatusCode.UNIMPLEMENTED), self._unknown(wire.path))
            return
        call = Call(route.method, wire)
        task = start_now(self.services.loop, self._run(route, call))
        if task is None:
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        wire.on_cancel(lambda: _cancel(task))

    async def close(self) -> None:
        """Cancel what still runs: for after the transport's drain."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    @property
    def running(self) -> int:
        """How many calls wait for something."""
        return len(self._tasks)

    def _admitted(self, size: int) -> Leave:
        """Take a large request in. Raises ResourceExhausted when those in progress hold too much."""
        if self._large_bytes + size > LARGE_BYTES_MAX:
            raise ResourceExhausted(
                f"requests of more than {LARGE_BYTES_MAX} bytes are in progress",
                enums.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED,
                enums.RESOURCE_EXHAUSTED_SCOPE_SYSTEM,
            )
        self._large_bytes += size
        return partial(self._left, size)

    def _left(self, size: int) -> None:
        self._large_bytes -= size

    def _unknown(self, path: str) -> str:
        service, _, method = path.removeprefix("/").rpartition("/")
        if any(one.startswith(f"/{service}/") for one in self._routes):
            return f"unknown method {method} for service {service}"
        return f"unknown service {service}"

    def _masks(self, call: Call) -> bool:
        name = call.namespace.name if call.has_namespace else ""
        return self.services.config.get(settings.FRONTEND_MASK_INTERNAL_ERROR_DETAILS, name)

    async def _run(self, route: _Route, call: Call) -> None:
        """One call from bytes to answer. Only cancellation passes through."""
        wire = call.wire
        leaves: list[Leave] | None = None
        try:
            if len(wire.message) > crowds.SMALL_BYTES:
                leaves = [self._admitted(len(wire.message))]
            request = _parsed(route, wire)
            if leaves is not None:
                await _counted(request)
            for interceptor in route.interceptors:
                leave = interceptor.enter(call, request)
                if leave is not None:
                    leaves = [leave] if leaves is None else [*leaves, leave]
            if route.stream_handler is not None:
                await route.stream_handler(self.services, call, request)
                wire.finish()
                return
            response = await route.handler(self.services, call, request)
            wire.respond(response if isinstance(response, bytes) else response.SerializeToString())
        except _Malformed as malformed:
            wire.fail(int(StatusCode.INTERNAL), str(malformed))
        except StoreError as error:
            log.warning("%s: the store failed: %s", wire.path, error)
            _fail(wire, wire_error(Unavailable("the store cannot be reached now")))
        except Internal as fault:
            _fail(wire, masked(fault, wire.path) if self._masks(call) else wire_error(fault))
        except ServiceError as error:
            _fail(wire, wire_error(error))
        except Exception as fault:  # noqa: BLE001 - a fault of ours fails this one call, masked and logged
            _fail(wire, masked(fault, wire.path))
        finally:
            for leave in leaves or ():
                leave()


class _Malformed(Exception):
    """The request is no message of its type; answered as grpc-go does."""


def _parsed(route: _Route, wire: ServerCall) -> Any:
    if route.stream_handler is not None and route.method.client_streaming:
        return None
    try:
        request = route.parse(wire.message)
    except Exception as error:
        raise _Malformed(f"grpc: error unmarshalling request: {error}") from error
    return request


async def _counted(request: Any) -> None:
    """Refuse a request with too many elements before anybody walks through it."""
    try:
        for _ in crowds.check(request):
            await asyncio.sleep(0)
    except crowds.Crowded as crowded:
        raise InvalidArgument(str(crowded)) from None


def _fail(wire: ServerCall, error: WireError) -> None:
    wire.fail(error.code, error.message, error.details, error.trailing)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
