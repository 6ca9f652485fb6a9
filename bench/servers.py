"""The two servers that are compared, started alike: as processes of their own, each on a database file of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, final

import grpc  # type: ignore[import-untyped]

HERE: Final = Path(__file__).resolve().parent
BINARIES: Final = Path(sys.executable).parent
PROGRAMS: Final = {
    "perdure": os.environ.get("PERDURE_PROGRAM") or str(BINARIES / "perdure"),
    "temporal": str(BINARIES / "temporal"),
}
READY_S: Final = 30.0
STOP_S: Final = 30.0
DRIVE_S: Final = 600.0
OURS_ALONE: Final = frozenset({"update"})
"""Scenarios of `driver.py` that the Go driver of our measurements lacks."""


@final
class Server:
    """One running server, durable unless `database` is None. `stop` it in the end."""

    def __init__(
        self,
        kind: str,
        port: int,
        database: Path | None,
        flags: Sequence[str] = (),
        program: Sequence[str] = (),
    ) -> None:
        """`program` is another than the usual one of this kind."""
        self.kind = kind
        self.target = f"127.0.0.1:{port}"
        command = [
            *(program or (PROGRAMS[kind],)),
            "server",
            "start-dev",
            "--headless",
            "--port",
            str(port),
            "--log-level",
            "error",
        ]
        command += flags
        if database is not None:
            command += ["--db-filename", str(database)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def _await_ready(self) -> None:
        with grpc.insecure_channel(self.target) as channel:
            path = "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo"
            ask = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
            end = time.monotonic() + READY_S
            while True:
                if self._process.poll() is not None:
                    raise SystemExit(f"{self.kind} ended with status {self._process.returncode}")
                try:
                    ask(b"", timeout=READY_S, wait_for_ready=True)
                    return
                except grpc.RpcError as error:
                    if time.monotonic() > end:
                        raise SystemExit(f"{self.kind} does not answer: {error}") from None

    def stop(self) -> None:
        """SIGTERM, then wait."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def drive(server: Server, scenario: str, **options: float) -> dict[str, Any]:
    """The figures of one run of the driver; `options` are its flags.

    PERDURE_BENCH_DRIVER names another driver with the same flags and output, for instance one in Go; scenarios that
    only ours knows are left to ours.
    """
    other = os.environ.get("PERDURE_BENCH_DRIVER") if scenario not in OURS_ALONE else None
    command = [other] if other else [sys.executable, str(HERE / "driver.py")]
    command += ["--addr", server.target, "--pid", str(server.pid), "--scenario", scenario]
    for name, value in options.items():
        command += [f"--{name}", f"{value:g}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=DRIVE_S, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the driver failed on {server.kind}, scenario {scenario}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
