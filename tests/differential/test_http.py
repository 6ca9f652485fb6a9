"""The HTTP/JSON API answers as the real server's does: statuses and bodies of a table of requests."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .http_table import STARTS, TABLES, Row
from .servers import PERDURE, REAL, START_SECONDS, Program, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

VOLATILE = frozenset(
    {
        *("runId", "firstExecutionRunId", "originalExecutionRunId", "firstRunId", "requestId", "startRequestId"),
        *("eventTime", "startTime", "executionTime", "closeTime", "scheduledTime", "originalScheduledTime"),
        *("attemptStartTime", "originalStartTime", "executionDuration", "taskId", "nextPageToken", "historySizeBytes"),
        *("stateTransitionCount", "workflowTaskRequestId"),
    }
)
"""What differs between any two servers, and what other scenarios compare."""
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
POSITION = re.compile(r"\((?:syntax error )?line \d+:\d+\): ")


@pytest.fixture(scope="session")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The HTTP addresses of a real server and of ours."""
    folder = tmp_path_factory.mktemp("http")

    def server(program: Program) -> Server:
        return Server(program, folder / f"{program.name}.log")

    with server(REAL) as real, server(PERDURE) as ours:
        yield {"temporal": real.http_target, "perdure": ours.http_target}


def answers(target: str, rows: tuple[Row, ...], run: str) -> list[tuple[str, int, Any]]:
    """Send the rows one after the other; request, status and normalised body of each."""
    found = []
    names = {"{ns}": "default", "{q}": f"q-{run}", "{run}": ""}
    answer: Any
    for row in rows:
        connection = http.client.HTTPConnection(target, timeout=30)
        path, body = row.path, row.body
        for name, value in names.items():
            path = path.replace(name, value)
            body = None if body is None else body.replace(name, value)
        for workflow in ("w-", "b-", "b/"):
            path = path.replace(f"/workflows/{workflow}", f"/workflows/{run}-{workflow}")
        connection.request(row.verb, path, None if body is None else body.encode(), row.headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        answer = json.loads(text) if text else None
        if isinstance(answer, dict) and isinstance(answer.get("runId"), str):
            names["{run}"] = answer["runId"]
        found.append((f"{row.verb} {row.path} {row.body or ''}", response.status, normalised(answer, row)))
    return found


def normalised(value: Any, row: Row) -> Any:
    """The body without what differs between any two servers."""
    if not row.message:
        return value.get("code")
    value = json.loads(IDS.sub("<id>", json.dumps(settled(value))))
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        value["message"] = POSITION.sub("", value["message"])
    return value


def settled(value: Any) -> Any:
    """Without volatile fields."""
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items() if key not in VOLATILE}
    return [settled(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("table", TABLES)
def test_same_answers(table: str, ports: dict[str, str]) -> None:
    """Row by row."""
    rows = TABLES[table]
    expected, got = (answers(ports[name], rows, table) for name in ("temporal", "perdure"))
    wrong = [
        f"{request}\n  temporal: {status} {json.dumps(body)}\n  perdure:  {own_status} {json.dumps(own)}"
        for (request, status, body), (_, own_status, own) in zip(expected, got, strict=True)
        if (status, body) != (own_status, own)
    ]
    assert not wrong, "\n".join(wrong)


def test_same_additions_on_the_uis_port(tmp_path: Path) -> None:
    """Settings and health as from the Web UI's own server, and a whole history as one list.

    The events' form differs: that server writes Go's structs (`event_id`), we write proto JSON, which replayers read.
    """
    found = []
    for program in (REAL, PERDURE):
        with Server(program, tmp_path / f"{program.name}.log", with_ui=True) as server:
            assert answers(server.http_target, (STARTS[0],), "ui")[0][1] == 200
            # The reference's UI server dials its frontend when it is first asked, and fails until it has it.
            run = _run_of(server.ui_target)
            history = f"/api/v1/namespaces/default/workflows/ui-w-1/run/{run}/history.json"
            rows = (Row("GET", "/api/v1/settings"), Row("GET", "/healthz"), Row("GET", history))
            settings, health, events = [answer[1:] for answer in answers(server.ui_target, rows, "ui")]
            found.append((settings, health, events[0], len(events[1])))
    assert found[0] == found[1]


def _run_of(target: str) -> str:
    """The run id, once the server answers."""
    end = time.monotonic() + START_SECONDS
    while True:
        connection = http.client.HTTPConnection(target, timeout=30)
        connection.request("GET", "/api/v1/namespaces/default/workflows/ui-w-1")
        described = json.loads(connection.getresponse().read())
        connection.close()
        if "workflowExecutionInfo" in described:
            return str(described["workflowExecutionInfo"]["execution"]["runId"])
        assert time.monotonic() < end, described
        time.sleep(0.05)
