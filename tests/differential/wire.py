"""Raw RPCs over grpcio, synchronous and simple.

Exists so that scenarios see exactly what a server puts on the wire: a message or an error with its details. It must not
retry, time out silently or hide anything, because that is what the tests compare.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any as Anything
from typing import TypeVar, cast

import google.rpc.status_pb2 as status_pb2
import grpc  # type: ignore[import-untyped]
import temporalio.api.errordetails.v1  # noqa: F401  (registers the detail messages in the default pool)
from google.protobuf.message import Message
from temporalio.api.operatorservice.v1 import service_pb2 as operator_pb2
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_pb2

Reply = TypeVar("Reply", bound=Message)

METADATA = (("client-name", "temporal-python"), ("client-version", "1.35.0"))
"""What an SDK sends; the history RPCs show transient workflow tasks to such clients only (semantics 3.10)."""


DEADLINE_SLACK = 0.05
"""Seconds before a caller's deadline from which on a cancelled RPC is one whose deadline passed."""


@dataclass(frozen=True)
class RpcFailed(Exception):
    """A gRPC error as the wire carries it: code name, message, and the decoded google.rpc.Status details."""

    code: str
    message: str
    status: status_pb2.Status | None


def method_path(request: Message) -> str:
    """The gRPC path of the RPC that takes this request: the message's name without "Request"."""
    name = type(request).__name__.removesuffix("Request")
    for module, service in ((workflow_pb2, "WorkflowService"), (operator_pb2, "OperatorService")):
        descriptor = module.DESCRIPTOR.services_by_name[service]
        if name in descriptor.methods_by_name:
            return f"/{descriptor.full_name}/{name}"
    raise LookupError(f"no RPC takes {type(request).__name__}")


class Connection:
    """One channel to one server, shared by all scenarios."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._channel = grpc.insecure_channel(
            target,
            options=[("grpc.enable_retries", 0), ("grpc.max_receive_message_length", 64 * 1024 * 1024)],
        )

    def call(self, request: Message, reply_type: type[Reply], timeout: float) -> Reply:
        """Send one request; the answer, or :class:`RpcFailed`. `timeout` is the RPC's deadline in seconds."""
        raw = self.call_bytes(method_path(request), request.SerializeToString(), timeout)
        return reply_type.FromString(raw)

    def call_bytes(self, path: str, request: bytes, timeout: float) -> bytes:
        """Send raw bytes to any path, which need not exist."""
        method = self._channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        began = time.monotonic()
        try:
            return cast(bytes, method(request, timeout=timeout, metadata=METADATA))
        except grpc.RpcError as error:
            raise failure_of(error, is_late=time.monotonic() - began > timeout - DEADLINE_SLACK) from None

    def hang_up(self, request: Message, after: float) -> None:
        """Send a request and go away before it is answered."""
        method = self._channel.unary_unary(method_path(request), request_serializer=None, response_deserializer=None)
        call = method.future(request.SerializeToString(), timeout=60.0, metadata=METADATA)
        time.sleep(after)
        call.cancel()

    def close(self) -> None:
        self._channel.close()


def failure_of(error: Anything, is_late: bool = False) -> RpcFailed:
    """Read code, message and details out of grpcio's exception.

    At the deadline both ends give up: the client says DEADLINE_EXCEEDED unless the server's reset, which reads as
    CANCELLED, is there first. Which of them won says nothing of the server, so it is the former for both.
    """
    status: status_pb2.Status | None = None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
    code = error.code().name
    return RpcFailed("DEADLINE_EXCEEDED" if is_late and code == "CANCELLED" else code, error.details() or "", status)
