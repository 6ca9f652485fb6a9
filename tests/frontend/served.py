"""A whole server on a memory store, in this process, behind a real listener and called by our own client.

Nothing stands in for anything. It must not know what a test asserts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, final

from perdure.api import Message, Status, method_table
from perdure.app import Server
from perdure.clock import WallClock
from perdure.config.dynamic import DynamicConfig
from perdure.frontend.service import REQUEST_STREAMS
from perdure.ids import SeededIds
from perdure.store.memory import MemoryDisk, MemoryStore
from perdure.transport.client import Channel, RpcError
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer

WORKFLOW_SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
OPERATOR_SERVICE = "/temporal.api.operatorservice.v1.OperatorService/"
TIMEOUT_S = 10.0
TURNS_MAX = 100_000

M = TypeVar("M", bound=Message)


@final
class Served:
    """A running server and a connection to it."""

    def __init__(self, server: Server, channel: Channel, port: int) -> None:
        self.server = server
        self.channel = channel
        self.port = port

    async def raw(
        self,
        path: str,
        message: bytes = b"",
        metadata: Sequence[tuple[str, str | bytes]] = (),
        timeout_s: float | None = TIMEOUT_S,
    ) -> bytes:
        """Any call as bytes; raises `RpcError`."""
        return await self.channel.unary(path, message, metadata, timeout_s)

    async def call(
        self,
        name: str,
        request: Message,
        response: type[M],
        metadata: Sequence[tuple[str, str | bytes]] = (),
        timeout_s: float | None = TIMEOUT_S,
    ) -> M:
        """A call of the workflow service, or of the operator service if it has that name; raises `RpcError`."""
        path = WORKFLOW_SERVICE + name
        if path not in method_table():
            path = OPERATOR_SERVICE + name
        return response.FromString(await self.raw(path, request.SerializeToString(), metadata, timeout_s))

    async def refused(
        self,
        name: str,
        request: Message,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        timeout_s: float | None = TIMEOUT_S,
    ) -> RpcError:
        """The error that a call of the workflow service ends with."""
        return await failure_of(self.raw(WORKFLOW_SERVICE + name, request.SerializeToString(), metadata, timeout_s))


async def failure_of(call: Coroutine[Any, Any, object]) -> RpcError:
    """The error of a call that must fail."""
    try:
        answer = await call
    except RpcError as error:
        return error
    raise AssertionError(f"the call succeeded with {answer!r}")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; it must come without time passing."""
    for _ in range(TURNS_MAX):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition does not come true")


def detail_name(error: RpcError) -> str:
    """The name of the detail message of an error, "" without one."""
    if not error.details:
        return ""
    status = Status.FromString(error.details)
    assert status.code == int(error.code)
    assert status.message == error.message
    return status.details[0].type_url.rpartition(".")[2]


@asynccontextmanager
async def served(
    config: dict[str, object] | None = None,
    namespaces: tuple[str, ...] = ("default",),
    disk: MemoryDisk | None = None,
) -> AsyncIterator[Served]:
    """A server with these dynamic-config values and namespaces, on a disk that outlives it if one is given."""
    server = Server(MemoryStore(disk), WallClock(), SeededIds(1), DynamicConfig(config))
    await server.open(namespaces, {"Color": "Keyword"})
    listener = GrpcServer(server.frontend.dispatch, ServerOptions(), REQUEST_STREAMS)
    port = await listener.start("127.0.0.1", 0)
    channel = Channel("127.0.0.1", port)
    try:
        yield Served(server, channel, port)
    finally:
        await channel.close()
        await listener.stop(0)
        await server.close()
