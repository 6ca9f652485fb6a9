"""A load on any server of the Temporal API, over our own gRPC client; prints one JSON line of figures.

It speaks raw gRPC and not an SDK, and builds most requests once, so that the client's cost stays small and equal for
every server. Scenarios:

    oneact   start a workflow, one activity, complete (about eight RPCs); throughput and time from start to result
    seqact   the same with three activities, one after the other
    start    StartWorkflowExecution only
    signal1  signals to one running workflow
    signaln  signals spread over many running workflows
    update   updates of many running workflows, from the request to the worker's outcome
    list     ListWorkflowExecutions and CountWorkflowExecutions over what is stored

    python bench/driver.py --addr 127.0.0.1:7233 --pid SERVER_PID --scenario oneact --n 500 --warm 100 --c 20

Closed loop: `--c` clients, each waits for its answer. With `--rate` an open loop: that many operations per second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any as Anything
from typing import Final, TypeVar, final

from perdure.api import Any as Packed
from perdure.api import Message, enums, method_table, protocol
from perdure.api import update as updates
from perdure.api import workflowservice as rpc
from perdure.transport.client import Channel, RpcError

Reply = TypeVar("Reply", bound=Message)
Operation = Callable[[int], Awaitable[None]]

NAMESPACE: Final = "default"
PAYLOADS: Final[Anything] = {"payloads": [{"metadata": {"encoding": b"json/plain"}, "data": b'"' + b"x" * 128 + b'"'}]}
SEQUENTIAL_ACTIVITIES: Final = 3
POLL_S: Final = 70.0
CALL_S: Final = 60.0
SIGNALS_PER_WORKFLOW: Final = 5
UPDATES_PER_WORKFLOW: Final = 50
LIST_REPEATS: Final = 20
LIST_PAUSE_S: Final = 0.25
"""Keeps below the reference's limit of ten visibility calls a second."""

_PATHS: Final = {method.request: path for path, method in method_table().items() if "temporal.api" in path}


def message(**fields: Anything) -> Anything:
    """A nested message by its fields: protobuf takes a dict where its types ask for the message."""
    return fields


def cpu_and_rss(pid: int) -> tuple[float, float]:
    """User and system seconds of a process so far, and its resident MiB; zeros where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return ticks, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def quantile(seconds: list[float], share: float) -> float:
    """In milliseconds; 0 of nothing."""
    ordered = sorted(seconds)
    return round(1000 * ordered[int(share * (len(ordered) - 1))], 3) if ordered else 0.0


@final
class Driver:
    """The clients and workers of one run."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        host, _, port = arguments.addr.rpartition(":")
        self._channels = [Channel(host, int(port)) for _ in range(arguments.conns)]
        self._turn = 0
        self._clients: int = arguments.c
        self._rate: float = arguments.rate
        self._pid: int = arguments.pid
        self._pollers: int = arguments.pollers
        self._queue = f"bench-{uuid.uuid4().hex[:8]}"
        self._updated = arguments.scenario == "update"
        self._activities = SEQUENTIAL_ACTIVITIES if arguments.scenario == "seqact" else 1
        self._workers: list[asyncio.Task[None]] = []
        normal = {"name": self._queue, "kind": enums.TASK_QUEUE_KIND_NORMAL}
        sticky = {
            "name": f"{self._queue}-sticky",
            "kind": enums.TASK_QUEUE_KIND_STICKY,
            "normal_name": self._queue,
        }
        self._normal: Anything = normal
        self._sticky: Anything = sticky
        self._stickiness: Anything = {"worker_task_queue": sticky, "schedule_to_start_timeout": {"seconds": 10}}

    async def call(self, request: Message, reply: type[Reply], timeout_s: float = CALL_S) -> Reply:
        """One RPC; the request's class names it."""
        self._turn = (self._turn + 1) % len(self._channels)
        channel = self._channels[self._turn]
        return reply.FromString(await channel.unary(_PATHS[type(request)], request.SerializeToString(), (), timeout_s))

    async def close(self) -> None:
        """End the workers and the connections."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    # Loops

    async def loop(self, count: int, operation: Operation) -> list[float]:
        """Do an operation `count` times; the seconds each took."""
        taken: list[float] = []

        async def one(number: int) -> None:
            began = time.perf_counter()
            await operation(number)
            taken.append(time.perf_counter() - began)

        if self._rate > 0:
            began = time.perf_counter()
            calls = []
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / self._rate - time.perf_counter()))
                calls.append(asyncio.ensure_future(one(number)))
            await asyncio.gather(*calls)
            return taken
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                await one(number)

        await asyncio.gather(*[client() for _ in range(self._clients)])
        return taken

    async def measure(self, count: int, operation: Operation) -> dict[str, Anything]:
        """The figures of a loop."""
        cpu_before, _ = cpu_and_rss(self._pid)
        began = time.perf_counter()
        taken = await self.loop(count, operation)
        wall = time.perf_counter() - began
        cpu_after, rss = cpu_and_rss(self._pid)
        figures: dict[str, Anything] = {"n": len(taken), "wall_s": round(wall, 2), "per_s": round(len(taken) / wall, 2)}
        for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("max_ms", 1.0)):
            figures[name] = quantile(taken, share)
        if cpu_after > cpu_before:
            figures["server_cpu_s"] = round(cpu_after - cpu_before, 2)
            figures["per_cpu_s"] = round(len(taken) / (cpu_after - cpu_before), 2)
            figures["rss_mb"] = round(rss, 2)
        return figures

    # Clients

    async def start(self, workflow_id: str) -> str:
        """StartWorkflowExecution; the run id."""
        request = rpc.StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=workflow_id,
            request_id=uuid.uuid4().hex,
            identity="driver",
            input=PAYLOADS,
            workflow_type=message(name="Bench"),
            task_queue=self._normal,
            workflow_task_timeout=message(seconds=10),
        )
        return (await self.call(request, rpc.StartWorkflowExecutionResponse)).run_id

    async def start_one(self, _: int) -> None:
        await self.start(uuid.uuid4().hex)

    async def execute(self, _: int) -> None:
        """Start a workflow and wait for its close event, as an SDK's execute_workflow does."""
        workflow_id = uuid.uuid4().hex
        run_id = await self.start(workflow_id)
        request = rpc.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            execution=message(workflow_id=workflow_id, run_id=run_id),
            wait_new_event=True,
            history_event_filter_type=enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        while True:
            reply = await self.call(request, rpc.GetWorkflowExecutionHistoryResponse)
            if reply.history.events:
                closed_by = reply.history.events[-1].event_type
                if closed_by != enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                    raise SystemExit(f"closed by event type {closed_by}")
                return
            request.next_page_token = reply.next_page_token

    async def signals_to(self, workflows: int) -> Operation:
        """An operation that signals so many running workflows in turn."""
        ids = [uuid.uuid4().hex for _ in range(workflows)]
        for first in range(0, workflows, self._clients):
            await asyncio.gather(*[self.start(workflow_id) for workflow_id in ids[first : first + self._clients]])

        async def signal(number: int) -> None:
            request = rpc.SignalWorkflowExecutionRequest(
                namespace=NAMESPACE,
                workflow_execution=message(workflow_id=ids[number % workflows]),
                signal_name="s",
                input=PAYLOADS,
                request_id=uuid.uuid4().hex,
                identity="driver",
            )
            await self.call(request, rpc.SignalWorkflowExecutionResponse)

        return signal

    async def updates_of(self, workflows: int) -> Operation:
        """An operation that updates so many running workflows in turn, and waits for the outcome."""
        ids = [uuid.uuid4().hex for _ in range(workflows)]
        await asyncio.gather(*[self.start(workflow_id) for workflow_id in ids])

        async def update(number: int) -> None:
            request = rpc.UpdateWorkflowExecutionRequest(
                namespace=NAMESPACE,
                workflow_execution=message(workflow_id=ids[number % workflows]),
                wait_policy=message(lifecycle_stage=enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED),
                request=message(
                    meta={"update_id": uuid.uuid4().hex, "identity": "driver"}, input={"name": "u", "args": PAYLOADS}
                ),
            )
            reply = await self.call(request, rpc.UpdateWorkflowExecutionResponse)
            if not reply.outcome.HasField("success"):
                raise SystemExit(f"an update ended with {reply}")

        return update

    async def lists(self) -> dict[str, Anything]:
        """The p50 of a page, a filtered page and a grouped count, one call at a time."""
        page = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, page_size=100)
        query = "WorkflowType = 'Bench' AND ExecutionStatus = 'Completed'"
        filtered = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, page_size=100, query=query)
        count = rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query="GROUP BY ExecutionStatus")
        listed, counted = rpc.ListWorkflowExecutionsResponse, rpc.CountWorkflowExecutionsResponse
        calls: tuple[tuple[str, Message, type[Message]], ...] = (
            ("list_page", page, listed),
            ("list_filter", filtered, listed),
            ("count_group", count, counted),
        )
        figures: dict[str, Anything] = {}
        for name, request, reply in calls:
            taken = []
            for _ in range(LIST_REPEATS):
                began = time.perf_counter()
                await self.call(request, reply)
                taken.append(time.perf_counter() - began)
                await asyncio.sleep(LIST_PAUSE_S)
            figures[f"{name}_p50_ms"] = quantile(taken, 0.5)
        return figures

    # Workers

    def start_workers(self) -> None:
        """Pollers of both kinds; workflow pollers on the normal and on the sticky queue."""
        polls = [self._workflow_worker(queue) for queue in (self._normal, self._sticky) for _ in range(self._pollers)]
        polls += [self._activity_worker() for _ in range(self._pollers)]
        self._workers = [asyncio.ensure_future(poll) for poll in polls]
        for worker in self._workers:
            worker.add_done_callback(_fail_loudly)

    async def _workflow_worker(self, queue: Anything) -> None:
        poll = rpc.PollWorkflowTaskQueueRequest(namespace=NAMESPACE, task_queue=queue, identity="driver")
        while True:
            task = await self.call(poll, rpc.PollWorkflowTaskQueueResponse, POLL_S)
            if not task.task_token:
                continue
            # The number of the last activity travels in its id: partial (sticky) histories do not begin at the start.
            scheduled = 0
            for event in task.history.events:
                if event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    scheduled = int(event.activity_task_scheduled_event_attributes.activity_id)
            commands, answers = ([self._command(scheduled)], []) if not self._updated else _answered(task.messages)
            request = rpc.RespondWorkflowTaskCompletedRequest(
                namespace=NAMESPACE,
                task_token=task.task_token,
                identity="driver",
                sticky_attributes=self._stickiness,
                commands=commands,
                messages=answers,
            )
            await self._respond(request, rpc.RespondWorkflowTaskCompletedResponse)

    def _command(self, scheduled: int) -> Anything:
        if scheduled < self._activities:
            return {
                "command_type": enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
                "schedule_activity_task_command_attributes": {
                    "activity_id": str(scheduled + 1),
                    "activity_type": {"name": "Act"},
                    "task_queue": self._normal,
                    "input": PAYLOADS,
                    "start_to_close_timeout": {"seconds": 60},
                },
            }
        return {
            "command_type": enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
            "complete_workflow_execution_command_attributes": {"result": PAYLOADS},
        }

    async def _activity_worker(self) -> None:
        poll = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=self._normal, identity="driver")
        while True:
            task = await self.call(poll, rpc.PollActivityTaskQueueResponse, POLL_S)
            if task.task_token:
                request = rpc.RespondActivityTaskCompletedRequest(
                    namespace=NAMESPACE, task_token=task.task_token, identity="driver", result=PAYLOADS
                )
                await self._respond(request, rpc.RespondActivityTaskCompletedResponse)

    async def _respond(self, request: Message, reply: type[Message]) -> None:
        """A worker whose answer comes too late goes on, as SDKs do."""
        try:
            await self.call(request, reply)
        except RpcError as error:
            print(f"{type(request).__name__}: {error}", file=sys.stderr)


def _answered(requests: Iterable[protocol.Message]) -> tuple[list[Anything], list[protocol.Message]]:
    """The commands and messages that accept and complete every update of a workflow task; none to begin with."""
    answers = []
    for asked in requests:
        update_id = asked.protocol_instance_id
        accepted = updates.Acceptance(
            accepted_request_message_id=asked.id, accepted_request_sequencing_event_id=asked.event_id
        )
        accepted.accepted_request.MergeFromString(asked.body.value)
        answers.append(_message(update_id, "accept", accepted))
        done = updates.Response(meta=message(update_id=update_id), outcome=message(success=PAYLOADS))
        answers.append(_message(update_id, "complete", done))
    places = [
        {
            "command_type": enums.COMMAND_TYPE_PROTOCOL_MESSAGE,
            "protocol_message_command_attributes": {"message_id": answer.id},
        }
        for answer in answers
    ]
    return places, answers


def _message(update_id: str, kind: str, body: Message) -> protocol.Message:
    packed = Packed(type_url="type.googleapis.com/" + body.DESCRIPTOR.full_name, value=body.SerializeToString())
    return protocol.Message(id=f"{update_id}/{kind}", protocol_instance_id=update_id, body=packed)


def _fail_loudly(worker: asyncio.Task[None]) -> None:
    """A poll that fails ends the run: its figures would mean nothing."""
    if not worker.cancelled() and (error := worker.exception()) is not None:
        print(f"a worker failed: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


async def run(arguments: argparse.Namespace) -> dict[str, Anything]:
    """One scenario, warmed up and measured."""
    driver = Driver(arguments)
    try:
        match arguments.scenario:
            case "list":
                return await driver.lists()
            case "oneact" | "seqact":
                driver.start_workers()
                operation: Operation = driver.execute
            case "start":
                operation = driver.start_one
            case "update":
                driver.start_workers()
                operation = await driver.updates_of((arguments.n + arguments.warm) // UPDATES_PER_WORKFLOW + 1)
            case "signal1":
                operation = await driver.signals_to(1)
            case _:
                operation = await driver.signals_to(arguments.n // SIGNALS_PER_WORKFLOW + 1)
        await driver.loop(arguments.warm, operation)
        return await driver.measure(arguments.n, operation)
    finally:
        await driver.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--addr", default="127.0.0.1:7233", help="server address")
    parser.add_argument("--pid", type=int, default=0, help="server process: its CPU seconds and RSS are reported")
    scenarios = ("oneact", "seqact", "start", "signal1", "signaln", "update", "list")
    parser.add_argument("--scenario", choices=scenarios, default="oneact")
    parser.add_argument("--n", type=int, default=1000, help="operations that are measured")
    parser.add_argument("--warm", type=int, default=100, help="operations before them")
    parser.add_argument("--c", type=int, default=50, help="concurrent clients of the closed loop")
    parser.add_argument("--rate", type=float, default=0.0, help="open loop: operations per second")
    parser.add_argument("--conns", type=int, default=4, help="connections")
    parser.add_argument("--pollers", type=int, default=8, help="pollers per queue")
    arguments = parser.parse_args()
    import uvloop

    figures = uvloop.run(run(arguments))
    print(json.dumps({**figures, "scenario": arguments.scenario, "c": arguments.c}))


if __name__ == "__main__":
    main()
