"""Typed calls over our own gRPC client: the cheapest way for a test or a load to speak to a server.

A request's class names its RPC. Nothing is retried and nothing hidden: what a call raises is what the wire said.
"""

from __future__ import annotations

import asyncio
import uuid
from types import TracebackType
from typing import Any as Anything
from typing import Final, TypeVar, final

from perdure.api import Message, method_table, workflowservice
from perdure.transport.client import Channel, RpcError

Reply = TypeVar("Reply", bound=Message)

RPC_S: Final = 10.0
"""Deadline of a call that should be answered at once."""

METADATA: Final = (("client-name", "temporal-python"), ("client-version", "1.35.0"))
"""What an SDK sends."""

_PATHS: Final = {method.request: path for path, method in method_table().items() if "temporal.api" in path}


@final
class Rpc:
    """Calls to one server over `channels` connections, taken in turn. An async context manager."""

    def __init__(self, port: int, channels: int = 1, host: str = "127.0.0.1") -> None:
        self._channels = [Channel(host, port) for _ in range(channels)]
        self._turn = 0

    async def call(self, request: Message, reply: type[Reply], timeout_s: float = RPC_S) -> Reply:
        """The answer to one request. Raises RpcError."""
        return reply.FromString(await self.raw(_PATHS[type(request)], request.SerializeToString(), timeout_s))

    async def raw(self, path: str, message: bytes, timeout_s: float = RPC_S) -> bytes:
        """Any bytes to any path. Raises RpcError."""
        self._turn = (self._turn + 1) % len(self._channels)
        return await self._channels[self._turn].unary(path, message, METADATA, timeout_s)

    async def close(self) -> None:
        """Close the connections; calls in flight fail with UNAVAILABLE."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> Rpc:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def message(**fields: Anything) -> Anything:
    """A nested message by its fields: protobuf takes a dict where its types ask for the message."""
    return fields


def start_of(workflow_id: str, queue: str, namespace: str = "default") -> workflowservice.StartWorkflowExecutionRequest:
    """The start of a workflow of type W; its id is the request's, too, so that it may be asked for again."""
    return workflowservice.StartWorkflowExecutionRequest(
        namespace=namespace,
        workflow_id=workflow_id,
        workflow_type=message(name="W"),
        task_queue=message(name=queue),
        request_id=workflow_id,
    )


def new_id(prefix: str = "") -> str:
    """An id that nobody else has."""
    return f"{prefix}{uuid.uuid4().hex}"


async def refusal(call: Anything) -> RpcError:
    """The error that an awaitable call must end with."""
    try:
        answer = await call
    except RpcError as error:
        return error
    raise AssertionError(f"answered {answer!r} where an error was due")


async def gather_bounded(calls: Anything, at_once: int) -> None:
    """Run many coroutines, `at_once` at a time."""
    limit = asyncio.Semaphore(at_once)

    async def one(call: Anything) -> None:
        async with limit:
            await call

    await asyncio.gather(*[one(call) for call in calls])
