"""The whole server over a real connection: routing, interceptors, and the ways a call can end."""

from __future__ import annotations

import asyncio

import grpc.aio  # type: ignore[import-untyped]
import pytest

from perdure.api import Duration, Message, enums, health, method_table, operatorservice, taskqueue, workflowservice
from perdure.errors import StatusCode
from perdure.frontend.service import HANDLERS, STREAM_HANDLERS
from perdure.frontend.tokens import Tokens
from perdure.machines.workflow.task_token import TaskToken
from tests.frontend.served import OPERATOR_SERVICE, WORKFLOW_SERVICE, Served, detail_name, failure_of, served, until

NEVER = 3600


def _poll(queue: str = "q") -> workflowservice.PollWorkflowTaskQueueRequest:
    return workflowservice.PollWorkflowTaskQueueRequest(
        namespace="default", task_queue=taskqueue.TaskQueue(name=queue), identity="worker"
    )


def _start(workflow_id: str = "wf", namespace: str = "default") -> workflowservice.StartWorkflowExecutionRequest:
    request = workflowservice.StartWorkflowExecutionRequest(
        namespace=namespace, workflow_id=workflow_id, task_queue=taskqueue.TaskQueue(name="q")
    )
    request.workflow_type.name = "Wf"
    return request


async def _register(server: Served, name: str) -> None:
    request = workflowservice.RegisterNamespaceRequest(
        namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
    )
    await server.call("RegisterNamespace", request, workflowservice.RegisterNamespaceResponse)


async def test_every_rpc_is_built_or_answers_unimplemented_with_its_name() -> None:
    """No method of the two services is unknown, and what is not built says so."""
    async with served() as server:
        unbuilt = [path for path in method_table() if path not in HANDLERS and path not in STREAM_HANDLERS]
        for path in unbuilt:
            if not path.startswith((WORKFLOW_SERVICE, OPERATOR_SERVICE)):
                continue
            error = await failure_of(server.raw(path))
            name = path.rpartition("/")[2]
            assert (error.code, error.message) == (StatusCode.UNIMPLEMENTED, f"method {name} not implemented")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            WORKFLOW_SERVICE + "Nothing",
            "unknown method Nothing for service temporal.api.workflowservice.v1.WorkflowService",
        ),
        ("/temporal.api.testservice.v1.TestService/Sleep", "unknown service temporal.api.testservice.v1.TestService"),
        ("/nothing/at/all", "unknown service nothing/at"),
    ],
)
async def test_unknown_methods(path: str, text: str) -> None:
    """Unknown services and methods are UNIMPLEMENTED in grpc-go's words; the test service is not served."""
    async with served() as server:
        error = await failure_of(server.raw(path))
        assert (error.code, error.message) == (StatusCode.UNIMPLEMENTED, text)


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"], ids=["no protobuf", "no UTF-8"])
async def test_malformed_requests(message: bytes) -> None:
    """What is no message, or has text that is not UTF-8, is answered as grpc-go does; the server serves on."""
    async with served() as server:
        error = await failure_of(server.raw(WORKFLOW_SERVICE + "DescribeNamespace", message))
        assert error.code == StatusCode.INTERNAL
        assert error.message.startswith("grpc: error unmarshalling request")
        await server.raw(WORKFLOW_SERVICE + "GetSystemInfo")


async def test_capabilities_are_what_is_built() -> None:
    """Nothing is advertised that does not work."""
    async with served() as server:
        info = await server.call(
            "GetSystemInfo", workflowservice.GetSystemInfoRequest(), workflowservice.GetSystemInfoResponse
        )
        assert {field.name for field, value in info.capabilities.ListFields() if value} == {
            "signal_and_query_header",
            "internal_error_differentiation",
            "activity_failure_include_heartbeat",
            "supports_schedules",
            "encoded_failure_attributes",
            "build_id_based_versioning",
            "upsert_memo",
            "eager_workflow_start",
            "sdk_metadata",
            "count_group_by_execution_status",
        }
        for switch in (False, True):
            key = "frontend.enableCancelWorkerPollsOnShutdown"
            async with served({key: switch}) as other:
                shown = await other.call(
                    "DescribeNamespace",
                    workflowservice.DescribeNamespaceRequest(namespace="default"),
                    workflowservice.DescribeNamespaceResponse,
                )
                assert shown.namespace_info.capabilities.worker_poll_complete_on_shutdown is switch
                assert shown.namespace_info.capabilities.sync_update
                assert shown.namespace_info.capabilities.async_update
                assert not shown.namespace_info.capabilities.workflow_update_callbacks


async def test_unknown_namespace() -> None:
    """NOT_FOUND with the name in the detail; an empty one is INVALID_ARGUMENT."""
    async with served() as server:
        error = await server.refused("StartWorkflowExecution", _start(namespace="nowhere"))
        assert (error.code, error.message) == (StatusCode.NOT_FOUND, "Namespace nowhere is not found.")
        assert detail_name(error) == "NamespaceNotFoundFailure"
        error = await server.refused("StartWorkflowExecution", _start(namespace=""))
        assert error.code == StatusCode.INVALID_ARGUMENT
        error = await server.refused("StartWorkflowExecution", _start(namespace="n" * 1001))
        assert error.message == "Namespace length exceeds limit."


async def test_deprecated_namespace_takes_no_starts_but_reads() -> None:
    """States allowed by method (14.2)."""
    async with served() as server:
        await _register(server, "old")
        await server.call(
            "DeprecateNamespace",
            workflowservice.DeprecateNamespaceRequest(namespace="old"),
            workflowservice.DeprecateNamespaceResponse,
        )
        error = await server.refused("StartWorkflowExecution", _start(namespace="old"))
        assert error.code == StatusCode.FAILED_PRECONDITION
        assert error.message == "Namespace has invalid state: Deprecated. Must be Registered."
        assert detail_name(error) == "NamespaceInvalidStateFailure"
        listed = await server.call(
            "ListWorkflowExecutions",
            workflowservice.ListWorkflowExecutionsRequest(namespace="old"),
            workflowservice.ListWorkflowExecutionsResponse,
        )
        assert not listed.executions


def _token(server: Served, namespace: str, key: bytes | None = None) -> bytes:
    namespace_id = server.server.namespaces.by_name(namespace).id
    token = TaskToken(namespace_id, "wf", "run", 2, 3, 1, 1)
    tokens = Tokens(key) if key is not None else server.server.frontend.services.tokens
    return tokens.workflow_task(token)


async def test_task_tokens_decide_the_namespace() -> None:
    """Missing, forged and foreign tokens each have their error (14.2); a token alone is enough."""
    async with served(namespaces=("default", "other")) as server:
        request = workflowservice.RespondWorkflowTaskFailedRequest(namespace="default")
        error = await server.refused("RespondWorkflowTaskFailed", request)
        assert (error.code, error.message) == (StatusCode.INVALID_ARGUMENT, "Task token not set on request.")
        for forged in (b"garbage", _token(server, "default", b"x" * 32)):
            request.task_token = forged
            error = await server.refused("RespondWorkflowTaskFailed", request)
            assert (error.code, error.message) == (StatusCode.INVALID_ARGUMENT, "Error deserializing task token.")
        request.task_token = _token(server, "other")
        error = await server.refused("RespondWorkflowTaskFailed", request)
        assert error.message == "Operation requested with a token from a different namespace."
        request.namespace = ""
        error = await server.refused("RespondWorkflowTaskFailed", request)
        assert error.code == StatusCode.NOT_FOUND


async def test_long_polls_need_a_deadline() -> None:
    """None is INVALID_ARGUMENT, less than two seconds FAILED_PRECONDITION (server_inventory 1.0)."""
    async with served() as server:
        error = await server.refused("PollWorkflowTaskQueue", _poll(), timeout_s=None)
        assert (error.code, error.message) == (StatusCode.INVALID_ARGUMENT, "Context timeout is not set.")
        error = await server.refused("PollWorkflowTaskQueue", _poll(), timeout_s=1.5)
        assert (error.code, error.message) == (StatusCode.FAILED_PRECONDITION, "Context timeout is too short.")


async def test_poll_of_a_client_that_left_consumes_nothing() -> None:
    """A task that comes after its only poller has gone waits for the next one (12.1, F28)."""
    async with served() as server:
        path = WORKFLOW_SERVICE + "PollWorkflowTaskQueue"
        abandoned = asyncio.create_task(server.raw(path, _poll().SerializeToString(), timeout_s=NEVER))
        await until(lambda: server.server.frontend.running > 0)
        abandoned.cancel()
        await until(lambda: server.server.frontend.running == 0)
        started = await server.call("StartWorkflowExecution", _start(), workflowservice.StartWorkflowExecutionResponse)
        task = await server.call("PollWorkflowTaskQueue", _poll(), workflowservice.PollWorkflowTaskQueueResponse)
        assert task.workflow_execution.run_id == started.run_id
        assert [event.event_id for event in task.history.events] == [1, 2, 3]


async def test_long_polls_are_capped_by_namespace_and_method() -> None:
    """`frontend.namespaceCount` calls of one method wait at once; the next is refused, and places are given back."""
    async with served({"frontend.namespaceCount": 1}) as server:
        path = WORKFLOW_SERVICE + "PollWorkflowTaskQueue"
        waiting = asyncio.create_task(server.raw(path, _poll().SerializeToString(), timeout_s=NEVER))
        await until(lambda: server.server.frontend.running > 0)
        error = await server.refused("PollWorkflowTaskQueue", _poll())
        assert (error.code, detail_name(error)) == (StatusCode.RESOURCE_EXHAUSTED, "ResourceExhaustedFailure")
        assert error.trailing is not None
        assert error.trailing.get("x-resource-exhausted-cause") == "ConcurrentLimit"
        waiting.cancel()
        await until(lambda: server.server.frontend.running == 0)
        await server.call("StartWorkflowExecution", _start(), workflowservice.StartWorkflowExecutionResponse)
        task = await server.call("PollWorkflowTaskQueue", _poll(), workflowservice.PollWorkflowTaskQueueResponse)
        assert task.task_token


async def test_clients_are_checked_by_their_headers() -> None:
    """A client that is too new is refused with its detail (server_inventory 2.3)."""
    async with served() as server:
        request = workflowservice.GetSystemInfoRequest()
        headers = (("client-name", "temporal-go"), ("client-version", "2.0.0"))
        error = await server.refused("GetSystemInfo", request, headers)
        assert (error.code, detail_name(error)) == (
            StatusCode.FAILED_PRECONDITION,
            "ClientVersionNotSupportedFailure",
        )
        headers = (("client-name", "temporal-go"), ("client-version", "1.30.0"))
        await server.call("GetSystemInfo", request, workflowservice.GetSystemInfoResponse, headers)


async def test_server_that_closes_answers_its_polls() -> None:
    """A poll that waits gets an empty answer, not an error."""
    async with served() as server:
        path = WORKFLOW_SERVICE + "PollWorkflowTaskQueue"
        waiting = asyncio.create_task(server.raw(path, _poll().SerializeToString(), timeout_s=NEVER))
        await until(lambda: server.server.frontend.running > 0)
        server.server.matching.close()
        assert await waiting == b""


async def test_shutdown_of_a_worker_ends_its_polls_where_that_is_on() -> None:
    """With the switch on, ShutdownWorker answers the polls of that worker instance (12.4)."""
    async with served({"frontend.enableCancelWorkerPollsOnShutdown": True}) as server:
        poll = _poll()
        poll.worker_instance_key = "one"
        path = WORKFLOW_SERVICE + "PollWorkflowTaskQueue"
        waiting = asyncio.create_task(server.raw(path, poll.SerializeToString(), timeout_s=NEVER))
        await until(lambda: server.server.frontend.running > 0)
        request = workflowservice.ShutdownWorkerRequest(namespace="default", worker_instance_key="one")
        await server.call("ShutdownWorker", request, workflowservice.ShutdownWorkerResponse)
        assert await waiting == b""


async def test_health() -> None:
    """SERVING for the server and its services; others are NOT_FOUND without a detail message."""
    async with served() as server:
        path = "/grpc.health.v1.Health/Check"
        for name in ("", "temporal.api.workflowservice.v1.WorkflowService"):
            request = health.HealthCheckRequest(service=name)
            answer = health.HealthCheckResponse.FromString(await server.raw(path, request.SerializeToString()))
            assert answer.status == health.HealthCheckResponse.SERVING
        error = await failure_of(server.raw(path, health.HealthCheckRequest(service="x").SerializeToString()))
        assert (error.code, error.details) == (StatusCode.NOT_FOUND, b"")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(version: str) -> None:
    """A reflection client finds the services and their files, over one stream."""
    async with served() as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        method = method_table()[path]
        asks: list[Message] = [
            method.request(list_services=""),
            method.request(file_containing_symbol="temporal.api.workflowservice.v1.WorkflowService"),
            method.request(file_by_filename="no/such.proto"),
        ]
        stream = channel.stream_stream(path)(iter([ask.SerializeToString() for ask in asks]))
        services, file, missing = [method.response.FromString(answer) async for answer in stream]
        names = [one.name for one in services.list_services_response.service]  # type: ignore[attr-defined]
        assert "temporal.api.workflowservice.v1.WorkflowService" in names
        assert len(file.file_descriptor_response.file_descriptor_proto) > 50  # type: ignore[attr-defined]
        assert missing.error_response.error_code == int(StatusCode.NOT_FOUND)  # type: ignore[attr-defined]


async def test_search_attributes_are_registered_for_use() -> None:
    """Add, list, use in a start, remove (14.3)."""
    async with served() as server:
        add = operatorservice.AddSearchAttributesRequest(namespace="default")
        add.search_attributes["Size"] = enums.INDEXED_VALUE_TYPE_INT
        await server.call("AddSearchAttributes", add, operatorservice.AddSearchAttributesResponse)
        listing = operatorservice.ListSearchAttributesRequest(namespace="default")
        shown = await server.call("ListSearchAttributes", listing, operatorservice.ListSearchAttributesResponse)
        assert dict(shown.custom_attributes) == {
            "Color": enums.INDEXED_VALUE_TYPE_KEYWORD,
            "Size": enums.INDEXED_VALUE_TYPE_INT,
        }
        start = _start()
        size = start.search_attributes.indexed_fields["Size"]
        size.metadata["encoding"] = b"json/plain"
        size.data = b'"big"'
        error = await server.refused("StartWorkflowExecution", start)
        assert error.code == StatusCode.INVALID_ARGUMENT
        size.data = b"3"
        await server.call("StartWorkflowExecution", start, workflowservice.StartWorkflowExecutionResponse)
        found = await server.call(
            "ListWorkflowExecutions",
            workflowservice.ListWorkflowExecutionsRequest(namespace="default", query="Size = 3"),
            workflowservice.ListWorkflowExecutionsResponse,
        )
        assert [one.execution.workflow_id for one in found.executions] == ["wf"]
        remove = operatorservice.RemoveSearchAttributesRequest(namespace="default", search_attributes=["Size"])
        await server.call("RemoveSearchAttributes", remove, operatorservice.RemoveSearchAttributesResponse)
        shown = await server.call("ListSearchAttributes", listing, operatorservice.ListSearchAttributesResponse)
        assert list(shown.custom_attributes) == ["Color"]
