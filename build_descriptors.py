"""Build hook: write the API's descriptors as one file, so that a running server never imports the SDK.

Importing `temporalio` at run time costs 0.27 s and 35 MB because it loads the Rust core; its descriptors alone cost a
tenth of that (DESIGN section 2). So this runs at build time only (hatchling calls it for wheels and for editable
installs; `python build_descriptors.py` does the same by hand) and must not be imported by the package.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUT = Path("perdure") / "api" / "descriptors.binpb"

# Importing these registers their files, and everything those import, with protobuf's default pool.
REGISTERING_MODULES = (
    "google.rpc.status_pb2",
    "google.rpc.error_details_pb2",
    "temporalio.api.errordetails.v1.message_pb2",
    "temporalio.api.operatorservice.v1.service_pb2",
    "temporalio.api.testservice.v1.service_pb2",
    "temporalio.api.workflowservice.v1.service_pb2",
    "temporalio.api.notificationservice.v1.request_response_pb2",
    "temporalio.api.nexusservices.workerservice.v1.request_response_pb2",
)

ROOT_FILES = (
    "google/protobuf/any.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "temporal/api/errordetails/v1/message.proto",
    "temporal/api/nexusservices/workerservice/v1/request_response.proto",
    "temporal/api/notificationservice/v1/request_response.proto",
    "temporal/api/operatorservice/v1/service.proto",
    "temporal/api/testservice/v1/service.proto",
    "temporal/api/workflowservice/v1/service.proto",
)

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int32": _Field.TYPE_INT32,
    "bool": _Field.TYPE_BOOL,
}


class DescriptorsBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the descriptor file into the source tree before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called once per build target; the file itself is named under `artifacts` in pyproject.toml."""
        write_descriptors(Path(self.root))


def write_descriptors(root: Path) -> Path:
    """Write the set under `root`, only if its bytes changed, so that a time-stamped build stays quiet."""
    path = root / OUTPUT
    data = build_set().SerializeToString(deterministic=True)
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)
    return path


def build_set() -> descriptor_pb2.FileDescriptorSet:
    """All files, each after the ones it imports; that order is what lets a pool load them one by one."""
    for module in REGISTERING_MODULES:
        importlib.import_module(module)
    pool = descriptor_pool.Default()
    ordered: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for name in ROOT_FILES:
        _collect(pool.FindFileByName(name), ordered)
    files = descriptor_pb2.FileDescriptorSet()
    files.file.extend(ordered.values())
    files.file.extend([health_file(), reflection_file("v1alpha"), reflection_file("v1")])
    return files


def _collect(file: Any, ordered: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    if file.name in ordered:
        return
    for dependency in file.dependencies:
        _collect(dependency, ordered)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    ordered[file.name] = proto


def health_file() -> descriptor_pb2.FileDescriptorProto:
    """grpc/health/v1/health.proto, by hand: the gRPC health package is no build requirement of ours."""
    file = descriptor_pb2.FileDescriptorProto(
        name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3"
    )
    _message(file, "HealthCheckRequest", ("service", 1, "string"))
    response = _message(file, "HealthCheckResponse", ("status", 1, "HealthCheckResponse.ServingStatus"))
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        status.value.add(name=name, number=number)
    response.field[0].type = _Field.TYPE_ENUM
    _message(file, "HealthListRequest")
    listed = _message(file, "HealthListResponse", ("statuses", 1, "HealthListResponse.StatusesEntry", "repeated"))
    entry = listed.nested_type.add(name="StatusesEntry")
    _field(file, entry, "key", 1, "string")
    _field(file, entry, "value", 2, "HealthCheckResponse")
    entry.options.map_entry = True
    service = file.service.add(name="Health")
    for name, request, answer, streams in (
        ("Check", "HealthCheckRequest", "HealthCheckResponse", False),
        ("List", "HealthListRequest", "HealthListResponse", False),
        ("Watch", "HealthCheckRequest", "HealthCheckResponse", True),
    ):
        method = service.method.add(name=name, input_type=f".{file.package}.{request}")
        method.output_type = f".{file.package}.{answer}"
        if streams:
            method.server_streaming = True
    return file


def reflection_file(version: str) -> descriptor_pb2.FileDescriptorProto:
    """grpc/reflection/{version}/reflection.proto, by hand; v1 and v1alpha differ in their package only."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"grpc/reflection/{version}/reflection.proto", package=f"grpc.reflection.{version}", syntax="proto3"
    )
    request = _message(file, "ServerReflectionRequest", ("host", 1, "string"))
    request.oneof_decl.add(name="message_request")
    for name, number, kind in (
        ("file_by_filename", 3, "string"),
        ("file_containing_symbol", 4, "string"),
        ("file_containing_extension", 5, "ExtensionRequest"),
        ("all_extension_numbers_of_type", 6, "string"),
        ("list_services", 7, "string"),
    ):
        _field(file, request, name, number, kind).oneof_index = 0
    _message(file, "ExtensionRequest", ("containing_type", 1, "string"), ("extension_number", 2, "int32"))
    response = _message(
        file,
        "ServerReflectionResponse",
        ("valid_host", 1, "string"),
        ("original_request", 2, "ServerReflectionRequest"),
    )
    response.oneof_decl.add(name="message_response")
    for name, number, kind in (
        ("file_descriptor_response", 4, "FileDescriptorResponse"),
        ("all_extension_numbers_response", 5, "ExtensionNumberResponse"),
        ("list_services_response", 6, "ListServiceResponse"),
        ("error_response", 7, "ErrorResponse"),
    ):
        _field(file, response, name, number, kind).oneof_index = 0
    _message(file, "FileDescriptorResponse", ("file_descriptor_proto", 1, "bytes", "repeated"))
    _message(
        file, "ExtensionNumberResponse", ("base_type_name", 1, "string"), ("extension_number", 2, "int32", "repeated")
    )
    _message(file, "ListServiceResponse", ("service", 1, "ServiceResponse", "repeated"))
    _message(file, "ServiceResponse", ("name", 1, "string"))
    _message(file, "ErrorResponse", ("error_code", 1, "int32"), ("error_message", 2, "string"))
    method = file.service.add(name="ServerReflection").method.add(name="ServerReflectionInfo")
    method.input_type = f".{file.package}.ServerReflectionRequest"
    method.output_type = f".{file.package}.ServerReflectionResponse"
    method.client_streaming = method.server_streaming = True
    return file


def _message(
    file: descriptor_pb2.FileDescriptorProto, name: str, *fields: tuple[Any, ...]
) -> descriptor_pb2.DescriptorProto:
    message = file.message_type.add(name=name)
    for field in fields:
        _field(file, message, *field)
    return message


def _field(
    file: descriptor_pb2.FileDescriptorProto,
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: str,
    label: str = "optional",
) -> descriptor_pb2.FieldDescriptorProto:
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if label == "repeated" else _Field.LABEL_OPTIONAL
    scalar = _TYPES.get(kind)
    if scalar is None:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{file.package}.{kind}"
    else:
        field.type = scalar
    return field


if __name__ == "__main__":
    print(write_descriptors(Path(__file__).parent))
