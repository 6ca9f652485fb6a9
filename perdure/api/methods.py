"""The RPCs of the services as a table, and what reflection and the HTTP gateway read from the descriptors.

It knows names and classes only: which handler answers a method is the frontend's table.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from perdure.api.pool import FILES, POOL, message_class

WORKFLOW_SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
WORKFLOW_PATH = f"/{WORKFLOW_SERVICE}/"
"""What the paths of its RPCs begin with."""
OPERATOR_SERVICE = "temporal.api.operatorservice.v1.OperatorService"
SERVICES = (
    WORKFLOW_SERVICE,
    OPERATOR_SERVICE,
    "temporal.api.testservice.v1.TestService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
_HTTP_VERBS = ("get", "put", "post", "delete", "patch")


class Method(NamedTuple):
    """One RPC. `path` is what HTTP/2 carries in `:path`, for instance `/grpc.health.v1.Health/Check`."""

    path: str
    service: str
    name: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool


class HttpRule(NamedTuple):
    """One HTTP binding of an RPC (`google.api.http`); `body` is "*", a field's name, or "" for none."""

    method: str
    verb: str
    template: str
    body: str
    response_body: str


def service_names() -> tuple[str, ...]:
    """Full names of the services whose descriptors are held."""
    return SERVICES


@cache
def method_table() -> dict[str, Method]:
    """Every RPC by its path. Do not change the returned dict: it is shared."""
    table = {}
    for descriptor in _methods():
        path = _path(descriptor)
        service = descriptor.containing_service
        table[path] = Method(
            path=path,
            service=service.full_name,
            name=descriptor.name,
            request=GetMessageClass(descriptor.input_type),
            response=GetMessageClass(descriptor.output_type),
            client_streaming=descriptor.client_streaming,
            server_streaming=descriptor.server_streaming,
        )
    return table


@cache
def http_rules() -> tuple[HttpRule, ...]:
    """All HTTP bindings, additional ones included, in the order of the descriptors."""
    options_class = message_class("google.protobuf.MethodOptions")
    http = POOL.FindExtensionByName("google.api.http")
    rules = []
    for descriptor in _methods():
        # GetOptions() answers with the default pool's class, where our pool's extension is an unknown field.
        options: Any = options_class.FromString(descriptor.GetOptions().SerializeToString())
        if options.HasExtension(http):
            rule = options.Extensions[http]
            for binding in (rule, *rule.additional_bindings):
                rules.append(_http_rule(_path(descriptor), binding))
    return tuple(rules)


def file_with_symbol(symbol: str) -> FileDescriptor | None:
    """The file that defines a service, method, message, field, enum or enum value, or None."""
    for find in (POOL.FindFileContainingSymbol, _file_of_method):
        try:
            return find(symbol)
        except KeyError:
            continue
    return None


def file_named(name: str) -> FileDescriptor | None:
    """The file of that name (`temporal/api/common/v1/message.proto`), or None."""
    return FILES.get(name)


def file_with_imports(file: FileDescriptor) -> list[bytes]:
    """Serialized `FileDescriptorProto`s of a file and of all it imports, the file first."""
    found: dict[str, bytes] = {}
    pending = [file]
    while pending:
        current = pending.pop()
        if current.name not in found:
            found[current.name] = current.serialized_pb
            pending.extend(current.dependencies)
    return list(found.values())


def _methods() -> list[MethodDescriptor]:
    return [method for name in SERVICES for method in POOL.FindServiceByName(name).methods]


def _file_of_method(name: str) -> FileDescriptor:
    """protobuf's C pool does not count methods as symbols, reflection clients do."""
    return POOL.FindMethodByName(name).containing_service.file


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _http_rule(path: str, rule: Any) -> HttpRule:
    verb = rule.WhichOneof("pattern")
    if verb not in _HTTP_VERBS:
        return HttpRule(path, rule.custom.kind, rule.custom.path, rule.body, rule.response_body)
    return HttpRule(path, verb.upper(), getattr(rule, verb), rule.body, rule.response_body)
