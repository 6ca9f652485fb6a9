"""Instructions that one-activity workflows cost, counted by cachegrind: a figure that a noisy machine does not move.

    python bench/instructions.py [--workflows 100] [--tree CHECKOUT]

The server, a client and a worker share a process (`Frontend.dispatch`, no sockets, SQLite on a file with
`synchronous=normal`), so the client's protobuf work is in the figure, the same for every tree. What is counted is the
difference between a run of so many workflows and a run of one. `--tree` measures another checkout with a virtual
environment of its own. Takes half a minute and needs valgrind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve()
NAMESPACE: Final = "default"


async def load(workflows: int, database: str) -> None:
    """So many workflows, one after the other, each to its result."""
    from perdure.api import enums, taskqueue, workflowservice
    from perdure.app import GC_THRESHOLDS, Server
    from perdure.clock import WallClock
    from perdure.config.dynamic import DynamicConfig
    from perdure.ids import SystemIds
    from perdure.store.sqlite import SqliteStore
    from perdure.testing.in_process import InProcessClient
    from perdure.testing.programs import TASK_QUEUE, Do, Program
    from perdure.testing.worker import Attempt, Worker

    async def echo(_: Attempt) -> object:
        return "done"

    store = SqliteStore(database, {"synchronous": "normal"})
    server = Server(store, WallClock(), SystemIds(), DynamicConfig({}))
    await server.open()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    client = InProcessClient()
    client.connect(server.frontend.dispatch)
    worker = asyncio.create_task(Worker(client, "w", {"one": Program(Do("a", "echo"))}, {"echo": echo}).run())
    for number in range(workflows):
        start = workflowservice.StartWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_id=f"wf-{number}", request_id=f"r-{number}"
        )
        start.workflow_type.name = "one"
        start.task_queue.CopyFrom(taskqueue.TaskQueue(name=TASK_QUEUE))
        started = await client.call("StartWorkflowExecution", start, 600.0)
        close = workflowservice.GetWorkflowExecutionHistoryRequest(namespace=NAMESPACE, wait_new_event=True)
        close.execution.workflow_id = start.workflow_id
        close.execution.run_id = started.run_id
        close.history_event_filter_type = enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
        while True:
            reply = await client.call("GetWorkflowExecutionHistory", close, 600.0)
            if reply.history.events:
                assert reply.history.events[-1].event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
                break
            close.next_page_token = reply.next_page_token
    worker.cancel()
    await server.close()


def cachegrind(*options: str) -> list[str]:
    """What a command that is to be counted begins with."""
    return ["valgrind", "--tool=cachegrind", "--cache-sim=no", *options]


def references(report: str) -> int:
    """The instructions that cachegrind reports."""
    found = re.search(r"I\s+refs:\s+([\d,]+)", report)
    if found is None:
        raise SystemExit(report)
    return int(found[1].replace(",", ""))


def counted(command: list[str], folder: Path) -> tuple[int, str]:
    """Instructions of a whole process, and what it printed."""
    hashes = {**os.environ, "PYTHONHASHSEED": "0"}  # else the figure moves by a percent with every run
    valgrind = cachegrind(f"--cachegrind-out-file={folder / 'out'}")
    done = subprocess.run(valgrind + command, capture_output=True, text=True, check=False, env=hashes)
    if done.returncode:
        raise SystemExit(done.stderr)
    return references(done.stderr), done.stdout


def python_of(tree: Path) -> str:
    """The interpreter that measures a checkout: its own, but this one for this tree."""
    return sys.executable if tree == HERE.parents[1] else str(tree / ".venv" / "bin" / "python")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workflows", type=int, default=100)
    parser.add_argument("--tree", type=Path, default=HERE.parents[1], help="a checkout with its own .venv")
    parser.add_argument("--load", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        asyncio.run(load(arguments.load, arguments.database))
        return
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:

        def run(workflows: int) -> int:
            database = f"{folder}/db-{workflows}"
            load = [python_of(arguments.tree), str(HERE), "--load", str(workflows), "--database", database]
            return counted(load, Path(folder))[0]

        many = run(arguments.workflows + 1)
        one = run(1)
    print(f"{(many - one) / arguments.workflows / 1e6:.2f} million instructions a workflow")


if __name__ == "__main__":
    main()
