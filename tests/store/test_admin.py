"""`perdure admin` on a store that a real server has filled: it finds everything in order, says what runs wait for,
exports what a replayer replays, and notices each way in which a store can be wrong.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from immutables import Map
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from perdure.admin.check import check
from perdure.api import command as commands
from perdure.api import enums, workflowservice
from perdure.app import Server
from perdure.cli import main
from perdure.clock import WallClock
from perdure.config.dynamic import DynamicConfig
from perdure.ids import SystemIds
from perdure.machines.workflow import codec
from perdure.store.api import Store
from perdure.store.inspect import inspect
from perdure.store.postgresql import PostgresStore
from perdure.store.sqlite import SqliteStore
from perdure.testing.in_process import InProcessClient


@workflow.defn(name="Waits")
class Waits:
    """What the exported history is replayed with."""

    @workflow.run
    async def run(self) -> None:
        minute = timedelta(seconds=60)
        act = workflow.execute_activity("act", activity_id="act", start_to_close_timeout=minute)
        await asyncio.gather(workflow.sleep(3600), act)


def _start(workflow_id: str) -> workflowservice.StartWorkflowExecutionRequest:
    request = workflowservice.StartWorkflowExecutionRequest(
        namespace="default", workflow_id=workflow_id, request_id=workflow_id
    )
    request.workflow_type.name = "Waits"
    request.task_queue.name = workflow_id
    return request


def _timer(seconds: int) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_START_TIMER)
    command.start_timer_command_attributes.timer_id = "timer"
    command.start_timer_command_attributes.start_to_fire_timeout.seconds = seconds
    return command


def _activity() -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
    attributes = command.schedule_activity_task_command_attributes
    attributes.activity_id = "act"
    attributes.activity_type.name = "act"
    attributes.task_queue.name = "activities"
    attributes.start_to_close_timeout.seconds = 60
    return command


async def _fill(store: Store) -> None:
    """Open, waiting, closed and signalled workflows, and a batch job."""
    server = Server(store, WallClock(), SystemIds(), DynamicConfig())
    await server.open()
    client = InProcessClient(server.frontend.dispatch)
    for workflow_id in ("idle", "waits", "closed", "batched"):
        await client.call("StartWorkflowExecution", _start(workflow_id))
    poll = workflowservice.PollWorkflowTaskQueueRequest(namespace="default", identity="worker")
    poll.task_queue.name = "waits"
    task = await client.call("PollWorkflowTaskQueue", poll)
    done = workflowservice.RespondWorkflowTaskCompletedRequest(
        task_token=task.task_token, commands=[_timer(3600), _activity()]
    )
    await client.call("RespondWorkflowTaskCompleted", done)
    end = workflowservice.TerminateWorkflowExecutionRequest(namespace="default", reason="enough")
    end.workflow_execution.workflow_id = "closed"
    await client.call("TerminateWorkflowExecution", end)
    job = workflowservice.StartBatchOperationRequest(namespace="default", job_id="job", reason="why")
    job.executions.add(workflow_id="batched")
    job.signal_operation.signal = "go"
    await client.call("StartBatchOperation", job)
    await server.close()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    asyncio.run(_fill(SqliteStore(str(path))))
    return path


def _said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["admin", *words]) == status
    captured = capsys.readouterr()
    return captured.out or captured.err


def test_a_store_in_order(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong, and everything is counted."""
    found = json.loads(_said(capsys, "check", str(filled), "-o", "json"))
    assert found["problems"] == []
    assert (found["runs"], found["entities"], found["chains"]) == (4, 1, 5)
    counted = json.loads(_said(capsys, "stats", str(filled), "--output", "json"))
    assert counted["rows"]["run"] == 5
    assert {(one["kind"], one["status"], one["count"]) for one in counted["entities"]} >= {
        ("workflow", "running", 3),
        ("workflow", "terminated", 1),
    }
    assert "no problem" in _said(capsys, "check", str(filled), "--deep")


def test_what_executions_wait_for(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A task without a worker, a timer, an activity on a queue, a close."""
    idle = _said(capsys, "explain", str(filled), "-w", "idle")
    assert "A workflow task waits on queue 'idle'" in idle
    assert "no worker has taken it" in idle
    waits = _said(capsys, "explain", str(filled), "--workflow-id", "waits")
    assert "Activity 'act' (act, attempt 1) waits on queue 'activities'" in waits
    assert "Timer 'timer' (event 5) fires" in waits
    assert "is terminated: closed" in _said(capsys, "explain", str(filled), "-w", "closed")


def test_an_exported_history_is_replayed(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The SDK reads the file and its workflow does the same again."""
    text = _said(capsys, "export-history", str(filled), "-w", "waits")
    kinds = [event["eventType"] for event in json.loads(text)["events"]]
    assert kinds[0] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
    replayer = Replayer(workflows=[Waits], workflow_runner=UnsandboxedWorkflowRunner())
    asyncio.run(replayer.replay_workflow(WorkflowHistory.from_json("waits", text)))


def test_dumps_are_json(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Workflows with their runs, and entities of one row."""
    dumped = json.loads(_said(capsys, "dump", str(filled), "--id", "waits"))
    assert dumped["runs"][0]["state"]["timers"]["timer"]["timer_id"] == "timer"
    job = json.loads(_said(capsys, "dump", str(filled), "--kind", "batch", "--id", "job"))
    assert (job["kind"], job["state"]["reason"]) == ("BATCH", "why")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("explain", "STORE", "-w", "none"), "the store has no workflow 'none'"),
        (("explain", "STORE", "-w", "idle", "-n", "elsewhere"), "no namespace 'elsewhere'"),
        (("explain", "STORE", "-w", "idle", "-r", "01a21e4f-ce88-7ac0-ad41-985c75dec956"), "the store has no run"),
        (("explain", "STORE"), 'required flag(s) "workflow-id" not set'),
        (("check", "/nowhere/at/all.db"), "no store file at /nowhere/at/all.db"),
        (("check",), "STORE is missing"),
        (("check", "STORE", "more"), 'unknown command "more"'),
        (("dump", "STORE", "--id", "none", "--kind", "batch"), "the store has no batch 'none'"),
    ],
)
def test_mistakes_are_told(filled: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], text: str) -> None:
    assert text in _said(capsys, *[str(filled) if word == "STORE" else word for word in words], status=1)


def _change(text: str) -> Callable[[sqlite3.Connection], Any]:
    return lambda connection: connection.execute(text)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_change("DELETE FROM fragment WHERE first_event_id = 1 AND id = 1"), "misses events 1 to"),
        (_change("UPDATE fragment SET body = x'00' WHERE id = 1"), "cannot be read"),
        (_change("UPDATE fragment SET next_event_id = next_event_id + 1 WHERE id = 1"), "events in the place of"),
        (_change("DELETE FROM visibility WHERE workflow_id = 'idle'"), "has no visibility record"),
        (_change("UPDATE visibility SET status = 2 WHERE workflow_id = 'idle'"), "is listed with 2"),
        (_change("DELETE FROM visibility_entry"), "are not in the index"),
        (_change("UPDATE visibility_entry SET run_key = x'00'"), "lead nowhere"),
        (_change("UPDATE visibility_count SET n = n + 1"), "counts 4 executions"),
        (_change("UPDATE run SET alarm_ns = NULL WHERE alarm_ns IS NOT NULL"), "has its alarm at None"),
        (_change("UPDATE run SET core = x'93010203' WHERE id = 1"), "cannot be read"),
        (_change(f"UPDATE run SET core = x'{'91' * 2000}'"), "cannot be read"),
        (_change("UPDATE chain SET core = x'c1' WHERE id = 1"), "cannot be read"),
        (_change("UPDATE record SET body = x'' WHERE tab = 'namespace'"), "namespace default cannot be read"),
        (_change("UPDATE visibility SET workflow_type = x'c1' WHERE workflow_id = 'idle'"), "counts"),
        (_change("DELETE FROM run WHERE id = 1"), "has a current run"),
        (_change("DELETE FROM chain WHERE id = 1"), "belongs to no chain"),
        (_change("UPDATE chain SET slot = (slot + 1) % 4096 WHERE id = 1"), "is in slot"),
        (_change("DELETE FROM record WHERE key = 'default'"), "which is not there"),
        (_change("INSERT INTO part VALUES (x'00', 1, x'00', x'00')"), "1 parts belong to no run"),
        (_change("INSERT INTO fragment VALUES (999, x'aa', 1, 2, x'00')"), "is named by no run"),
    ],
)
def test_damage_is_noticed(filled: Path, damage: Callable[[sqlite3.Connection], Any], text: str) -> None:
    """Each kind of damage is told in words."""
    connection = sqlite3.connect(filled)
    damage(connection)
    connection.commit()
    connection.close()
    with inspect(str(filled)) as store:
        problems = check(store).problems
    assert any(text in problem for problem in problems), problems


@pytest.mark.parametrize("core", ["93010203", "c1", "91" * 2000])
def test_what_cannot_be_read_is_told_without_a_traceback(
    filled: Path, capsys: pytest.CaptureFixture[str], core: str
) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(f"UPDATE run SET core = x'{core}'")
    connection.commit()
    connection.close()
    for command in ("explain", "export-history"):
        assert "cannot be read" in _said(capsys, command, str(filled), "-w", "idle", status=1)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("first_event_id > 3", "misses events"),
        ("workflow_id = 'waits'", "has timers of events [], and its history has [5]"),
    ],
)
def test_states_are_compared_with_histories(filled: Path, rows: str, text: str) -> None:
    """A state that forgot what its history says, and a history that is not whole."""
    connection = sqlite3.connect(filled)
    if "event" in rows:
        connection.execute(f"DELETE FROM fragment WHERE {rows}")
    else:
        (run_key,) = connection.execute(f"SELECT run_key FROM visibility WHERE {rows}").fetchone()
        core, parts = connection.execute("SELECT core, version FROM run WHERE run_id = ?", (run_key,)).fetchone()
        execution = codec.decode_run(core, parts, 0, [])
        execution.timers, execution.timer_ids = Map(), Map()
        connection.execute("UPDATE run SET core = ? WHERE run_id = ?", (codec.encode_run(execution), run_key))
    connection.commit()
    connection.close()
    with inspect(str(filled)) as store:
        problems = check(store, deep=True).problems
    assert any(text in problem for problem in problems), problems


def test_a_running_server_is_not_disturbed(tmp_path: Path) -> None:
    """Reading takes no lock that the server wants, and changes nothing."""
    path = tmp_path / "store.db"
    store = SqliteStore(str(path))

    async def scenario() -> None:
        server = Server(store, WallClock(), SystemIds(), DynamicConfig())
        await server.open()
        client = InProcessClient(server.frontend.dispatch)
        await client.call("StartWorkflowExecution", _start("one"))
        with inspect(str(path)) as inspection:
            assert check(inspection).problems == []
            await client.call("StartWorkflowExecution", _start("two"))
            assert check(inspection).runs == 1, "what is read is one snapshot"
        await server.close()

    asyncio.run(scenario())


def test_without_the_driver_of_postgresql_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not among what every user needs."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    said = _said(capsys, "check", "postgresql://127.0.0.1:1/x", status=1)
    assert "pip install 'perdure[postgresql]'" in said


@pytest.mark.slow
def test_a_database_of_postgresql(postgres_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same over a DSN."""
    asyncio.run(_fill(PostgresStore(postgres_database)))
    assert json.loads(_said(capsys, "check", postgres_database, "-o", "json"))["problems"] == []
    assert "Timer 'timer'" in _said(capsys, "explain", postgres_database, "-w", "waits")
    assert json.loads(_said(capsys, "export-history", postgres_database, "-w", "waits"))["events"]
    assert json.loads(_said(capsys, "dump", postgres_database, "--kind", "batch", "--id", "job"))["kind"] == "BATCH"
    assert "no namespace" in _said(capsys, "dump", postgres_database, "--id", "x", "-n", "none", status=1)
    assert "PostgreSQL" in _said(capsys, "check", postgres_database + "nowhere", status=1)
