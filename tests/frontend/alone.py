"""A server in virtual time, alone with its caller: how many turns of the loop a call takes can be counted.

Nothing is simulated but time, disk and ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, final

from perdure.api import Message
from perdure.api import workflowservice as rpc
from perdure.app import Server
from perdure.config.dynamic import DynamicConfig
from perdure.ids import SeededIds
from perdure.store.memory import MemoryStore
from perdure.testing import virtual_time
from perdure.testing.in_process import InProcessClient
from perdure.transport.client import RpcError
from tests.service.rpc import message, start_of

T = TypeVar("T")


@final
class Alone:
    """The server and a client of it."""

    def __init__(self, server: Server, loop: virtual_time.VirtualLoop) -> None:
        self.server = server
        self.loop = loop
        self.client = InProcessClient(server.frontend.dispatch)

    async def call(self, name: str, request: Message) -> Any:
        """The answer. Raises RpcError."""
        return await self.client.call(name, request)

    async def refused(self, name: str, request: Message) -> RpcError:
        """The error that a call ends with."""
        try:
            answer = await self.client.call(name, request)
        except RpcError as error:
            return error
        raise AssertionError(f"the call succeeded with {answer!r}")

    async def turns(self, name: str, request: Message) -> int:
        """How often something else could have run while a call was answered."""
        before = self.loop.steps
        await self.client.call(name, request)
        return self.loop.steps - before


def alone(
    scenario: Callable[[Alone], Coroutine[Any, Any, T]],
    config: dict[str, object] | None = None,
    namespaces: tuple[str, ...] = ("default",),
) -> T:
    """Run a scenario against a server of its own."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        server = Server(MemoryStore(), loop, SeededIds(1), DynamicConfig(config))
        await server.open(namespaces, {"Color": "Keyword"})
        try:
            return await scenario(Alone(server, loop))
        finally:
            await server.close()

    return virtual_time.run(1, main())


async def started_task(server: Alone, workflow_id: str) -> Any:
    """A workflow task of a new workflow, whose queue has its name."""
    await server.call("StartWorkflowExecution", start_of(workflow_id, workflow_id))
    poll = rpc.PollWorkflowTaskQueueRequest(namespace="default", task_queue=message(name=workflow_id))
    return await server.call("PollWorkflowTaskQueue", poll)
