"""A completion callback of a real server: delivered to a real socket, also by the server that comes after a kill -9."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Callback, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import CallbackState
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import CallbackInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from tests.service.processes import ServerProcess
from tests.service.rpc import new_id

NAMESPACE = "default"
SOON_S = 15.0
FLAGS = ("--dynamic-config-value", 'callback.allowedAddresses=[{"Pattern":"127.0.0.1:*","AllowInsecure":true}]')


class Receiver:
    """Takes requests on a socket and answers them all with one status, or with none at all while it is `deaf`."""

    def __init__(self) -> None:
        self.deaf = False
        self.status = 200
        self.bodies: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/done"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                self._news.set()
                if not self.deaf:
                    writer.write(f"HTTP/1.1 {self.status} So\r\ncontent-length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def await_requests(self, count: int) -> None:
        async with asyncio.timeout(SOON_S):
            while len(self.bodies) < count:
                self._news.clear()
                await self._news.wait()


async def _closed(client: Client, workflow_id: str, url: str) -> None:
    start = StartWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_id=workflow_id,
        workflow_type=WorkflowType(name="t"),
        task_queue=TaskQueue(name="q"),
        request_id=workflow_id,
        completion_callbacks=[Callback(nexus=Callback.Nexus(url=url))],
    )
    await client.workflow_service.start_workflow_execution(start)
    execution = WorkflowExecution(workflow_id=workflow_id)
    await client.workflow_service.terminate_workflow_execution(
        TerminateWorkflowExecutionRequest(namespace=NAMESPACE, workflow_execution=execution)
    )


async def _shown(client: Client, workflow_id: str, state: CallbackState.ValueType) -> CallbackInfo:
    """The workflow's callback once it is in that state."""
    request = DescribeWorkflowExecutionRequest(
        namespace=NAMESPACE, execution=WorkflowExecution(workflow_id=workflow_id)
    )
    async with asyncio.timeout(SOON_S):
        while True:
            (shown,) = (await client.workflow_service.describe_workflow_execution(request)).callbacks
            if shown.state == state:
                return shown
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_a_killed_server_delivers_after_its_restart(tmp_path: Path) -> None:
    """It dies while a request is under way, and again while the next attempt is awaited."""

    async def scenario() -> None:
        server = ServerProcess(tmp_path / "log", tmp_path / "db.sqlite", FLAGS)
        workflow_id = new_id()
        async with Receiver() as receiver:
            receiver.deaf = True
            with server:
                client = await Client.connect(server.target)
                await _closed(client, workflow_id, receiver.url)
                await receiver.await_requests(1)
                server.kill()
            receiver.deaf = False
            receiver.status = 503
            with server:
                client = await Client.connect(server.target)
                await receiver.await_requests(2)
                shown = await _shown(client, workflow_id, CallbackState.CALLBACK_STATE_BACKING_OFF)
                assert shown.last_attempt_failure.message == "handler error (UNAVAILABLE)"
                server.kill()
            receiver.status = 200
            with server:
                client = await Client.connect(server.target)
                await receiver.await_requests(3)
                shown = await _shown(client, workflow_id, CallbackState.CALLBACK_STATE_SUCCEEDED)
                assert shown.attempt == 2, "the attempt that died with its server does not count"
                assert server.stop() == 0
            assert len(set(receiver.bodies)) == 1
            assert json.loads(receiver.bodies[0])["message"] == "operation terminated"
            assert "Traceback" not in server.errors()

    asyncio.run(scenario())


def test_no_callback_leaves_a_server_that_was_not_told_where_to(server: ServerProcess) -> None:
    """The default of the dev server: nowhere."""

    async def scenario() -> None:
        client = await Client.connect(server.target)
        with pytest.raises(RPCError, match="url does not match any configured callback address"):
            await _closed(client, new_id(), "http://127.0.0.1:1/x")

    asyncio.run(scenario())
