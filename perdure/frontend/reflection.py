"""gRPC server reflection, versions v1 and v1alpha: their messages differ in package only.

It tells what `perdure.api` holds descriptors of; a client that follows it can build any request.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.api import reflection, reflection_v1alpha
from perdure.api.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE, file_named, file_with_imports, file_with_symbol
from perdure.errors import StatusCode
from perdure.frontend.services import Call, Services

SERVED: Final = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    OPERATOR_SERVICE,
    WORKFLOW_SERVICE,
)
"""Services that are listed; descriptors of others are known but not served."""


async def reflect(_: Services, call: Call, __: Any) -> None:
    """Answers one question after another until the caller ends its stream."""
    alpha = call.method.service.endswith("v1alpha.ServerReflection")
    messages: Any = reflection_v1alpha if alpha else reflection
    question: bytes | None = call.wire.message
    while question:
        request = messages.ServerReflectionRequest.FromString(question)
        call.wire.send(_answer(messages, request).SerializeToString())
        question = await call.wire.receive()


def _answer(messages: Any, request: Any) -> Any:
    response = messages.ServerReflectionResponse(valid_host=request.host, original_request=request)
    kind = request.WhichOneof("message_request")
    if kind == "list_services":
        response.list_services_response.service.extend([messages.ServiceResponse(name=name) for name in SERVED])
        return response
    if kind == "file_by_filename":
        file = file_named(request.file_by_filename)
    elif kind == "file_containing_symbol":
        file = file_with_symbol(request.file_containing_symbol)
    else:
        file = None
    if file is None:
        response.error_response.error_code = int(StatusCode.NOT_FOUND)
        response.error_response.error_message = f"{kind or 'request'} not found"
    else:
        response.file_descriptor_response.file_descriptor_proto.extend(file_with_imports(file))
    return response
