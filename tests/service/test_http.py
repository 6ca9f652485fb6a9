"""The HTTP ports of a server as a process: named in the banner, answered, ended in good order."""

from __future__ import annotations

import json
import signal
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from .processes import ServerProcess, free_port

pytestmark = pytest.mark.slow

WORKFLOW = "/api/v1/namespaces/default/workflows/w"


def _address(server: ServerProcess, name: str) -> str:
    """What the banner says."""
    (line,) = [line for line in server.banner if line.startswith(f"Perdure {name}:")]
    return line.rpartition(" ")[2]


def _ask(url: str, body: str | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, None if body is None else body.encode(), timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_ports_answer_as_soon_as_they_are_named(tmp_path: Path) -> None:
    """The HTTP API on a port of its own choice, the UI's where it was asked for; nothing is written to stderr."""
    ui_port = free_port()
    with ServerProcess(tmp_path / "log", None, ("--ui-port", str(ui_port)), headless=False) as server:
        assert _address(server, "UI") == f"http://localhost:{ui_port}"
        status, info = _ask(f"http://{_address(server, 'HTTP')}/api/v1/system-info")
        assert (status, info["serverVersion"]) == (200, "1.32.0")
        assert _ask(f"http://localhost:{ui_port}/healthz") == (200, {"status": "OK"})
        assert _ask(f"http://localhost:{ui_port}/api/v1/nope") == (404, {"code": 5, "message": "Not Found"})
        assert server.stop(signal.SIGTERM) == 0
        assert server.errors() == ""


def test_a_long_poll_is_told_that_the_server_stops(tmp_path: Path) -> None:
    """Within the time that calls have to finish; the exit is clean."""
    with ServerProcess(tmp_path / "log") as server:
        url = f"http://{_address(server, 'HTTP')}{WORKFLOW}"
        status, _ = _ask(url, '{"workflowType":{"name":"t"},"taskQueue":{"name":"q"}}')
        assert status == 200
        answers: list[tuple[int, Any]] = []
        poll = threading.Thread(
            target=lambda: answers.append(_ask(url + "/history?waitNewEvent=true&historyEventFilterType=2"))
        )
        poll.start()
        poll.join(0.5)
        assert server.stop() == 0
        poll.join()
        assert answers == [(503, {"code": 14, "message": "the server is stopping"})]
        assert server.errors() == ""
