"""Our classes speak the same bytes as the SDK's and come without it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import temporalio.api.enums.v1
import temporalio.api.history.v1
import temporalio.api.operatorservice.v1.service_pb2 as sdk_operator
import temporalio.api.workflowservice.v1.service_pb2 as sdk_workflow
from google.protobuf.message import Message as SdkMessage
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import perdure.api
from perdure.api import (
    Any,
    Duration,
    Status,
    Timestamp,
    common,
    enums,
    errordetails,
    health,
    history,
    http_rules,
    message_class,
    method_table,
    methods,
    reflection_v1alpha,
    workflowservice,
)

_MEMORY_MB_MAX = 25


def _api_modules() -> list[str]:
    folder = Path(perdure.api.__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def test_every_module_of_the_package_imports() -> None:
    """Each `perdure.api.<x>` finds its package in the descriptor file."""
    for name in _api_modules():
        importlib.import_module(f"perdure.api.{name}")


def test_importing_the_api_loads_neither_the_sdk_nor_grpc_and_stays_small() -> None:
    """A server pays a few megabytes for its messages (DESIGN section 2); counted in a fresh interpreter."""
    script = (
        "import resource, sys\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from perdure.api import common, enums, history, workflowservice\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print((after - before) // 1024, *[m for m in sys.modules if m.split('.')[0] in ('temporalio', 'grpc')])\n"
    )
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env).stdout
    megabytes, *foreign = printed.split()
    assert foreign == []
    assert int(megabytes) < _MEMORY_MB_MAX


def test_messages_cross_to_the_sdk_by_bytes() -> None:
    """The same bytes mean the same thing in both pools, well-known types included."""
    ours = history.HistoryEvent(
        event_id=7,
        event_time=Timestamp(seconds=3, nanos=4),
        event_type=enums.EVENT_TYPE_TIMER_FIRED,
        timer_fired_event_attributes=history.TimerFiredEventAttributes(timer_id="t", started_event_id=5),
    )
    theirs = temporalio.api.history.v1.HistoryEvent.FromString(ours.SerializeToString())
    assert theirs.event_time.ToNanoseconds() == 3_000_000_004
    assert theirs.timer_fired_event_attributes.timer_id == "t"
    assert history.HistoryEvent.FromString(theirs.SerializeToString()) == ours


def test_enums_are_plain_ints_with_names() -> None:
    """Constants compare with ints of any origin, wrappers translate."""
    assert type(enums.EVENT_TYPE_TIMER_FIRED) is int
    assert enums.EventType.Name(enums.EVENT_TYPE_TIMER_FIRED) == "EVENT_TYPE_TIMER_FIRED"
    assert enums.EventType.Value("EVENT_TYPE_TIMER_FIRED") == temporalio.api.enums.v1.EventType.EVENT_TYPE_TIMER_FIRED


def test_status_carries_error_details_of_the_same_pool() -> None:
    """Any packs and unpacks between our own classes."""
    packed = Any()
    packed.Pack(errordetails.NamespaceNotFoundFailure(namespace="n"))
    status = Status.FromString(Status(code=5, message="m", details=[packed]).SerializeToString())
    unpacked = errordetails.NamespaceNotFoundFailure()
    assert status.details[0].type_url == "type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure"
    assert status.details[0].Unpack(unpacked)
    assert unpacked.namespace == "n"


def test_method_table_holds_every_rpc_of_the_sdk() -> None:
    """Paths, classes and streaming flags come from the descriptors."""
    table = method_table()
    for service in (
        sdk_workflow.DESCRIPTOR.services_by_name["WorkflowService"],
        sdk_operator.DESCRIPTOR.services_by_name["OperatorService"],
    ):
        for rpc in service.methods:
            method = table[f"/{service.full_name}/{rpc.name}"]
            assert method.request.DESCRIPTOR.full_name == rpc.input_type.full_name
            assert method.response.DESCRIPTOR.full_name == rpc.output_type.full_name
            assert (method.client_streaming, method.server_streaming) == (False, False)
    start = table["/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"]
    assert start.request is workflowservice.StartWorkflowExecutionRequest
    watch = table["/grpc.health.v1.Health/Watch"]
    assert (watch.client_streaming, watch.server_streaming) == (False, True)
    info = table["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
    assert (info.client_streaming, info.server_streaming) == (True, True)
    assert table["/temporal.api.testservice.v1.TestService/GetCurrentTime"].request.DESCRIPTOR.name == "Empty"


def test_http_rules_include_additional_bindings() -> None:
    """Temporal publishes each HTTP path twice: for its UI and for the HTTP API."""
    name = "/temporal.api.workflowservice.v1.WorkflowService/DescribeNamespace"
    found = {(rule.verb, rule.template) for rule in http_rules() if rule.method == name}
    assert found == {("GET", "/cluster/namespaces/{namespace}"), ("GET", "/api/v1/namespaces/{namespace}")}


def _assert_same_fields(ours: type[SdkMessage], theirs: type[SdkMessage]) -> None:
    def shape(message: type[SdkMessage]) -> list[tuple[str, int, int, bool]]:
        return [(f.name, f.number, f.type, f.is_repeated) for f in message.DESCRIPTOR.fields]

    assert shape(ours) == shape(theirs)


def test_hand_made_health_and_reflection_files_match_the_published_ones() -> None:
    """Every message of the two gRPC packages has the same fields as grpcio's."""
    for name, theirs in health_pb2.DESCRIPTOR.message_types_by_name.items():
        _assert_same_fields(message_class(f"grpc.health.v1.{name}"), getattr(health_pb2, theirs.name))
    for name in reflection_pb2.DESCRIPTOR.message_types_by_name:
        for version in ("v1", "v1alpha"):
            ours = message_class(f"grpc.reflection.{version}.{name}")
            _assert_same_fields(ours, getattr(reflection_pb2, name))
    assert health.HealthCheckResponse.SERVING == 1
    listed = health.HealthListResponse(
        statuses={"a": health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)}
    )
    assert health_pb2.HealthListResponse.FromString(listed.SerializeToString()).statuses["a"].status == 1
    asked = reflection_v1alpha.ServerReflectionRequest(list_services="*")
    assert asked.WhichOneof("message_request") == "list_services"


def test_reflection_finds_files_by_name_and_symbol() -> None:
    """What a reflection answer needs: the file and everything it imports."""
    file = methods.file_with_symbol("temporal.api.workflowservice.v1.WorkflowService.StartWorkflowExecution")
    assert file is not None
    assert file.name == "temporal/api/workflowservice/v1/service.proto"
    assert methods.file_named(file.name) is file
    serialized = methods.file_with_imports(file)
    assert serialized[0] == file.serialized_pb
    assert len(serialized) == len(set(serialized)) > 30
    assert methods.file_with_symbol("temporal.api.nothing.v1.Nothing") is None
    assert methods.file_named("nothing.proto") is None


def test_descriptor_set_is_one_message_with_every_file() -> None:
    """A tool can be given the whole set, for instance for the HTTP gateway's documentation."""
    files = message_class("google.protobuf.FileDescriptorSet").FromString(perdure.api.file_descriptor_set())
    names = [file.name for file in getattr(files, "file")]  # noqa: B009
    assert len(names) == len(set(names))
    assert "temporal/api/errordetails/v1/message.proto" in names


def test_well_known_types_are_shared_by_all_messages() -> None:
    """A Duration of `perdure.api` fits every field of that type."""
    request = workflowservice.StartWorkflowExecutionRequest(workflow_run_timeout=Duration(seconds=9))
    assert isinstance(request.workflow_run_timeout, Duration)
    assert common.Payload(data=b"x").ByteSize() == 3
