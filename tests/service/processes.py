"""Starts `perdure server start-dev` in a process of its own and ends it in every way a user or a fault can.

It waits for the banner, which is printed once the server answers, so nobody polls. It must not know what the tests or
benchmarks that use it are about, and it signals no process but its own.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, final

START_S: Final = 30.0
"""How long a server may take to print its banner on a busy machine."""
STOP_S: Final = 20.0
"""How long a server may take to end after SIGINT or SIGTERM."""

PERDURE: Final = Path(os.environ.get("PERDURE_PROGRAM") or Path(sys.executable).with_name("perdure"))
"""The server under test; PERDURE_PROGRAM names another build of it, for instance a compiled one."""
TEMPORAL: Final = Path(sys.executable).with_name("temporal")
"""Temporal's own CLI and dev server, which the development environment brings."""


class DidNotStart(Exception):
    """The server ended, or said nothing for START_S; the text is what it wrote to standard error."""


def free_port() -> int:
    """A TCP port that was free a moment ago, found as the SDKs find one."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def child_environment() -> dict[str, str]:
    """Ours, with byte code cached as on a user's machine and without settings meant for Temporal's CLI."""
    dropped = ("TEMPORAL_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


@final
class ServerProcess:
    """One server on one port and, if given, one file; it may be started again after it ended. A context manager."""

    def __init__(
        self,
        log: Path,
        database: Path | None = None,
        flags: Sequence[str] = (),
        prefix: Sequence[str] = (),
        headless: bool = True,
    ) -> None:
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        self.banner: list[str] = []
        self._log = log
        self._errors_from = 0
        self._spawned_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        command = [*prefix, str(PERDURE), "server", "start-dev", "--port", str(self.port), *flags]
        command += ["--headless"] if headless else []
        self._command = command if database is None else [*command, "--db-filename", str(database)]

    @property
    def pid(self) -> int:
        """Of the running server (of the program in `prefix`, if there is one)."""
        assert self._process is not None, "the server was never started"
        return self._process.pid

    def start(self) -> float:
        """Start it and wait for its banner; the seconds that took. Raises DidNotStart."""
        self.spawn()
        return self.await_banner()

    def spawn(self) -> None:
        """Start it and do not wait."""
        with self._log.open("ab") as errors:
            self._errors_from = errors.tell()
            self._spawned_at = time.monotonic()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_environment(),
            )

    def await_banner(self) -> float:
        """Wait for the banner of a server that was spawned; the seconds since. Raises DidNotStart."""
        output = self._process.stdout if self._process is not None else None
        assert output is not None, "spawn comes first"
        printed = b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(output, selectors.EVENT_READ)
            while not (b"Persistence:" in printed and printed.endswith(b"\n")):
                ready = waiting.select(self._spawned_at + START_S - time.monotonic())
                if not ready or not (more := os.read(output.fileno(), 4096)):
                    self.kill()
                    raise DidNotStart(self._log.read_bytes()[self._errors_from :].decode(errors="replace"))
                printed += more
        self.banner = printed.decode().splitlines()
        return time.monotonic() - self._spawned_at

    def kill(self) -> None:
        """SIGKILL, as a fault would; returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end; its exit status. Raises subprocess.TimeoutExpired after STOP_S."""
        assert self._process is not None, "the server was never started"
        self._process.send_signal(number)
        status = self._process.wait(STOP_S)
        self._reap()
        return status

    def errors(self) -> str:
        """All that it has written to standard error so far, over all starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
