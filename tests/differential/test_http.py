"""The HTTP/JSON API answers as the real server's does: statuses and bodies of a table of requests."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from .http_table import TABLES, Row
from .servers import PERDURE, REAL, Program, Server

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
