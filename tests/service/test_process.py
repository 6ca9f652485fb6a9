"""How the server starts and ends as a process: files, signals, a second server, the time to the first answer."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.testing import WorkflowEnvironment

from perdure.api import workflowservice as rpc
from tests.service import workflows
from tests.service.processes import PERDURE, DidNotStart, ServerProcess, free_port
from tests.service.rpc import Rpc, message, new_id

ROOT = Path(__file__).parents[2]
FIRST_ANSWER_MAX_S = 5.0
"""How long SDKs wait for a server that they started."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_zero(tmp_path: Path, number: signal.Signals) -> None:
    """Also while a client's long poll waits, which is answered at once, and without a word on standard error."""
    server = ServerProcess(tmp_path / "log", tmp_path / "state.db")

    async def poll_and_stop() -> int:
        async with Rpc(server.port) as client:
            request = rpc.PollWorkflowTaskQueueRequest(namespace="default", task_queue=message(name="q"))
            poll = asyncio.ensure_future(client.call(request, rpc.PollWorkflowTaskQueueResponse, 60.0))
            await client.call(rpc.GetSystemInfoRequest(), rpc.GetSystemInfoResponse)
            status = await asyncio.to_thread(server.stop, number)
            assert (await poll) == rpc.PollWorkflowTaskQueueResponse()
            return status

    with server:
        assert asyncio.run(poll_and_stop()) == 0
        assert server.errors() == ""


def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path) -> None:
    """Before it serves anything, with the file's name; the first one is not disturbed."""
    database = tmp_path / "state.db"
    with ServerProcess(tmp_path / "first.log", database) as first:
        second = ServerProcess(tmp_path / "second.log", database)
        with pytest.raises(DidNotStart) as raised:
            second.start()
        assert "state.db" in str(raised.value)
        assert "Traceback" not in str(raised.value)
        assert first.stop() == 0
    with ServerProcess(tmp_path / "third.log", database) as third:
        assert third.stop() == 0


def test_state_is_in_the_file_only_if_there_is_one(tmp_path: Path) -> None:
    """With a file a killed server's workflows are there again, without one nothing is."""

    async def start_in(port: int, workflow_id: str) -> None:
        async with Rpc(port) as client:
            request = rpc.StartWorkflowExecutionRequest(
                namespace="default",
                workflow_id=workflow_id,
                workflow_type=message(name="W"),
                task_queue=message(name="q"),
                request_id=new_id(),
            )
            await client.call(request, rpc.StartWorkflowExecutionResponse)

    async def count_in(port: int) -> int:
        async with Rpc(port) as client:
            request = rpc.ListWorkflowExecutionsRequest(namespace="default")
            return len((await client.call(request, rpc.ListWorkflowExecutionsResponse)).executions)

    found = []
    for database in (tmp_path / "state.db", None):
        server = ServerProcess(tmp_path / "log", database)
        with server:
            asyncio.run(start_in(server.port, "w"))
            server.kill()
            server.start()
            found.append(asyncio.run(count_in(server.port)))
    assert found == [1, 0]


def test_the_first_answer_comes_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the spawn to an answered GetSystemInfo, on a file that exists; printed, and never beyond what SDKs wait."""
    server = ServerProcess(tmp_path / "log", tmp_path / "state.db")
    with server:
        server.stop()

    async def ask() -> None:
        async with Rpc(server.port) as client:
            await client.call(rpc.GetSystemInfoRequest(), rpc.GetSystemInfoResponse)

    seconds = []
    for _ in range(3):
        began = time.monotonic()
        with server:
            asyncio.run(ask())
            seconds.append(time.monotonic() - began)
            server.stop()
    with capsys.disabled():
        print(f"\nwarm start to the first answer: {min(seconds):.2f} s (best of {len(seconds)})")
    assert min(seconds) < FIRST_ANSWER_MAX_S


def test_start_local_with_every_option(tmp_path: Path) -> None:
    """`WorkflowEnvironment.start_local` starts our executable with all that it can pass, and stops it."""
    shade = SearchAttributeKey.for_keyword("Shade")

    async def scenario() -> None:
        environment = await WorkflowEnvironment.start_local(
            namespace="somewhere",
            ip="127.0.0.1",
            port=free_port(),
            ui=False,
            search_attributes=[shade],
            dev_server_existing_path=str(PERDURE),
            dev_server_database_filename=str(tmp_path / "state.db"),
            dev_server_log_format="pretty",
            dev_server_log_level="warn",
            dev_server_extra_args=["--dynamic-config-value", "some.unknownKey=1", "--namespace", "other"],
            dev_server_startup_timeout=timedelta(seconds=20),
        )
        async with environment:
            assert environment.client.namespace == "somewhere"
            handle = await environment.client.start_workflow(
                workflows.Switch.run,
                args=[1, 1],
                id=new_id(),
                task_queue="q",
                search_attributes=TypedSearchAttributes([SearchAttributePair(shade, "dark")]),
            )
            assert (await environment.client.count_workflows("Shade = 'dark'")).count == 1
            await handle.terminate()
        assert (tmp_path / "state.db").exists()
        with pytest.raises(RuntimeError):
            await Client.connect(environment.client.service_client.config.target_host)

    asyncio.run(scenario())


@pytest.mark.slow
def test_hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first example of the documentation runs to its result.

    In this process: the SDK's threads can abort an interpreter that ends right after a worker, which says nothing of
    the server.
    """
    with ServerProcess(tmp_path / "log", tmp_path / "state.db") as server:
        monkeypatch.syspath_prepend(ROOT / "examples" / "hello")
        result = asyncio.run(importlib.import_module("hello").main(server.target))
        told = capsys.readouterr().out
        assert result == "Hello, Ada! Your name has 3 letters."
        assert f"result: {result}" in told
        assert "stage at the end: done" in told
        assert server.errors() == ""


@pytest.mark.slow
def test_quickstart(tmp_path: Path) -> None:
    """The page's own program, saved and started as the page says; only the port differs."""
    page = (ROOT / "docs" / "quickstart.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    assert "localhost:7233" in code
    with ServerProcess(tmp_path / "log", tmp_path / "state.db") as server:
        (tmp_path / "hello.py").write_text(code.replace("localhost:7233", server.target))
        ran = subprocess.run(
            [sys.executable, "hello.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.stdout == "Hello, world!\n", ran.stderr


def test_unknown_dynamic_configuration_warns_and_is_accepted(tmp_path: Path) -> None:
    """Suites pass misspelt keys."""
    idle = ("--dynamic-config-value", "matching.RPS=5")
    with ServerProcess(tmp_path / "log", flags=("--dynamic-config-value", "no.suchKey=true", *idle)) as server:
        assert server.stop() == 0
        assert "no.suchKey" in server.errors()
        assert "matching.RPS has no effect in this version" in server.errors()
    assert os.path.getsize(tmp_path / "log") < 4096
