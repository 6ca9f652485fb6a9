"""A step costs what it changes, not what the workflow holds (DESIGN idea 4): shown, not said.

    python bench/flat_cost.py [--signals 9700] [--activities 2000]

Two measures, each on a workflow with nothing behind it and on one that has grown: signals to a workflow that has
received thousands (10,000 are allowed), and heartbeats of one among thousands of pending activities; hot, after the
workflow was evicted from the cache, and after a restart on the same file. One call at a time; medians in milliseconds.
The first call after an eviction or restart is shown beside it: that one loads the workflow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from driver import message

from perdure.api import enums, method_table
from perdure.api import workflowservice as rpc
from perdure.transport.client import Channel, RpcError

PORT: Final = 17433
CACHE_BYTES: Final = 4 << 20
"""Small, so that a few other workflows push the measured one out."""
EVICTING: Final = 3000
SAMPLE: Final = 100
AT_ONCE: Final = 50
NAMESPACE: Final = "default"
PAYLOADS: Final[Any] = {"payloads": [{"metadata": {"encoding": b"binary/plain"}, "data": b"x" * 128}]}
_PATHS: Final = {method.request: path for path, method in method_table().items() if "temporal.api" in path}

Step = Callable[[], Awaitable[object]]


def serve(port: int, database: str) -> None:
    """The server, with a small cache; in a process of its own."""
    from perdure import app
    from perdure.config.devserver import DevServerOptions, with_dev_defaults

    app.CACHE_BYTES = CACHE_BYTES
    options = DevServerOptions(port=port, db_filename=database, headless=True, dynamic_config=with_dev_defaults({}))
    raise SystemExit(app.run_dev_server(options))


class Bench:
    """One server that can be restarted, and a client of it."""

    def __init__(self, database: Path) -> None:
        self._command = [sys.executable, str(Path(__file__).resolve()), "--serve", str(database)]
        self._channel = Channel("127.0.0.1", PORT)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=environment)  # noqa: ASYNC220
        for _ in range(200):
            with contextlib.suppress(RpcError):
                await self.call(rpc.GetSystemInfoRequest(), rpc.GetSystemInfoResponse)
                return
            await asyncio.sleep(0.1)
        raise SystemExit("the server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    async def restart(self) -> None:
        self.stop()
        await self.start()

    async def call(self, request: Any, reply: Any) -> Any:
        path = _PATHS[type(request)]
        return reply.FromString(await self._channel.unary(path, request.SerializeToString(), (), 60.0))

    async def begin(self, queue: str) -> str:
        """A new workflow; its id."""
        workflow_id = uuid.uuid4().hex
        request = rpc.StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=workflow_id,
            workflow_type=message(name="Flat"),
            task_queue=message(name=queue),
            request_id=uuid.uuid4().hex,
            input=PAYLOADS,
        )
        await self.call(request, rpc.StartWorkflowExecutionResponse)
        return workflow_id

    async def evict(self) -> None:
        """Push everything out of the cache by starting other workflows."""
        for _ in range(EVICTING // AT_ONCE):
            await asyncio.gather(*[self.begin("others") for _ in range(AT_ONCE)])

    async def signal(self, workflow_id: str) -> None:
        request = rpc.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=message(workflow_id=workflow_id),
            signal_name="s",
            input=PAYLOADS,
            request_id=uuid.uuid4().hex,
        )
        await self.call(request, rpc.SignalWorkflowExecutionResponse)

    async def activities(self, count: int) -> list[bytes]:
        """A workflow with so many started activities; their task tokens."""
        queue = uuid.uuid4().hex
        await self.begin(queue)
        poll = rpc.PollWorkflowTaskQueueRequest(namespace=NAMESPACE, task_queue=message(name=queue))
        task = await self.call(poll, rpc.PollWorkflowTaskQueueResponse)
        schedule = enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK
        commands: list[Any] = [
            message(command_type=schedule, schedule_activity_task_command_attributes=_activity(number, queue))
            for number in range(count)
        ]
        done = rpc.RespondWorkflowTaskCompletedRequest(
            namespace=NAMESPACE, task_token=task.task_token, commands=commands
        )
        await self.call(done, rpc.RespondWorkflowTaskCompletedResponse)
        tokens: list[bytes] = []
        while len(tokens) < count:
            poll_one = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=message(name=queue))
            polls = [self.call(poll_one, rpc.PollActivityTaskQueueResponse) for _ in range(min(8, count - len(tokens)))]
            tokens += [reply.task_token for reply in await asyncio.gather(*polls) if reply.task_token]
        return tokens

    async def heartbeat(self, token: bytes) -> None:
        request = rpc.RecordActivityTaskHeartbeatRequest(namespace=NAMESPACE, task_token=token, details=PAYLOADS)
        await self.call(request, rpc.RecordActivityTaskHeartbeatResponse)


def _activity(number: int, queue: str) -> Any:
    return message(
        activity_id=str(number),
        activity_type=message(name="Act"),
        task_queue=message(name=queue),
        start_to_close_timeout=message(seconds=3600),
        heartbeat_timeout=message(seconds=3600),
    )


async def timed(step: Step, times: int) -> list[float]:
    """Milliseconds of each of so many calls, one after the other."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await step()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


async def compare(bench: Bench, name: str, small: Step, grown: Step) -> None:
    """A block of the table: small and grown, hot, evicted and restarted."""
    for state, prepare in (("hot", None), ("after eviction", bench.evict), ("after a restart", bench.restart)):
        cells = []
        for step in (small, grown):
            if prepare is not None:
                await prepare()
            first, *rest = await timed(step, SAMPLE)
            cells.append((first, statistics.median(rest)))
        (first_small, small_ms), (first_grown, grown_ms) = cells
        print(
            f"{name:<34} {state:<16} {small_ms:8.2f} {grown_ms:8.2f} {grown_ms / small_ms:7.2f}x"
            f"   first {first_small:7.2f} {first_grown:7.2f}",
            flush=True,
        )


async def run(folder: Path, signals: int, activities: int) -> None:
    """Both measures."""
    bench = Bench(folder / "flat.db")
    try:
        await bench.start()
        print(f"{'median ms of one call':<34} {'':<16} {'small':>8} {'grown':>8} {'ratio':>8}")
        few, many = await bench.begin("nobody"), await bench.begin("nobody")
        for _ in range(signals // AT_ONCE):
            await asyncio.gather(*[bench.signal(many) for _ in range(AT_ONCE)])
        await compare(
            bench, f"signal, the first | after {signals:,}", lambda: bench.signal(few), lambda: bench.signal(many)
        )
        alone, among = await bench.activities(1), await bench.activities(activities)
        name = f"heartbeat, alone | among {activities:,}"
        await compare(bench, name, lambda: bench.heartbeat(alone[0]), lambda: bench.heartbeat(among[activities // 2]))
    finally:
        bench.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--signals", type=int, default=9_700)
    parser.add_argument("--activities", type=int, default=2_000)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(PORT, arguments.serve)
    with tempfile.TemporaryDirectory(prefix="perdure-flat-") as folder:
        asyncio.run(run(Path(folder), arguments.signals, arguments.activities))


if __name__ == "__main__":
    main()
