"""Lists and counts as the CLI and the Web UI ask for them, over many stored executions (docs/visibility.md).

    python bench/visibility.py [--n 1000000] [--reference 10000]

Perdure's executions are written into a database file through its store, then a server is started on the file. With
`--reference` Temporal's dev server is given so many by RPC (about a hundred a second), on a file too. Printed are p50
and p99 in milliseconds of each shape, over gRPC, one call after the other; a page has 100 executions.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import grpc  # type: ignore[import-untyped]
from servers import Server
from temporalio.api.common.v1 import Payload, SearchAttributes, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, AddSearchAttributesResponse
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from perdure.api import common
from perdure.ids import ChainKey, uuid7
from perdure.store.api import ChainWrite
from perdure.store.sqlite import SqliteStore
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord

PORTS: Final = {"perdure": 17433, "temporal": 17533}
FLAGS: Final = ("--dynamic-config-value", "frontend.namespaceRPS.visibility=100000")
"""Both dev servers allow ten lists a second."""
CALLS: Final = 50
CUSTOMERS: Final = 10_000
DAY_S: Final = 86_400
TYPES: Final = ("Order",) * 90 + ("Payment",) * 9 + ("Report",)
STEM: Final = "order"

SHAPES: Final = (
    "",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus = 'Failed'",
    "ExecutionStatus IN ('Terminated', 'TimedOut')",
    "WorkflowType = 'Report'",
    "WorkflowType = 'Order' AND ExecutionStatus = 'Terminated'",
    "WorkflowType STARTS_WITH 'Rep'",
    "WorkflowId = 'order-77'",
    "WorkflowId STARTS_WITH 'order-77'",
    "StartTime > '{recent}'",
    "StartTime BETWEEN '{early}' AND '{later}'",
    "CustomerId = 'c-77'",
    "CustomerId = 'c-77' AND ExecutionStatus = 'Running'",
    "TemporalReportedProblems IN ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')",
    "ParentWorkflowId = 'order-77'",
    "RootWorkflowId = 'order-77'",
)
"""Filters; each is listed, and counted by status. Times are those of the executions."""


def _typed(value: Any, kind: int) -> common.Payload:
    return attributes.encode(value, kind)


def _records(namespace_id: str, n: int) -> Iterator[VisibilityRecord]:
    """A second apart: most completed, some failed, a hundredth open."""
    draw = random.Random(1)
    first = time.time_ns() - n * 10**9
    for number in range(n):
        start = first + number * 10**9
        is_open = number >= n * 0.99 or number % 1000 == 0
        chance = draw.random()
        status = 1 if is_open else 2 if chance < 0.95 else 3 if chance < 0.99 else 5 if chance < 0.999 else 7
        close = None if is_open else start + int(draw.expovariate(1 / 600) * 10**9)
        fields = {"CustomerId": _typed(f"c-{draw.randrange(CUSTOMERS)}", attributes.KEYWORD)}
        if is_open and number % 20 == 0:
            problems = ["category=WorkflowTaskFailed", "cause=WorkflowTaskFailedCauseUnhandledCommand"]
            fields["TemporalReportedProblems"] = _typed(problems, attributes.KEYWORD_LIST)
        name = f"{STEM}-{number}"
        run_id = uuid7(start, draw.getrandbits(80))
        yield VisibilityRecord(
            namespace_id,
            run_id,
            name,
            TYPES[number % 100],
            status,
            start,
            start,
            close,
            "queue",
            root_workflow_id=name,
            root_run_id=run_id,
            search_attributes=common.SearchAttributes(indexed_fields=fields).SerializeToString(),
        )


async def fill(database: Path, namespace_id: str, n: int) -> float:
    """Write `n` records into a store; the seconds it took."""
    store = SqliteStore(str(database), {"synchronous": "off"})
    await store.open()
    fence = await store.acquire()
    began = time.monotonic()
    batch: list[ChainWrite] = []
    for record in _records(namespace_id, n):
        batch.append(ChainWrite(ChainKey(namespace_id, 1, record.workflow_id), visibility=(record,)))
        if len(batch) == 128:
            await store.commit(fence, batch)
            batch = []
    await store.commit(fence, batch)
    await store.close()
    return time.monotonic() - began


class Client:
    """Raw RPCs to one server."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)

    def call(self, request: Any, reply: Any, service: str = "workflowservice.v1.WorkflowService") -> Any:
        """One RPC; its method is named by the request."""
        path = f"/temporal.api.{service}/{type(request).__name__.removesuffix('Request')}"
        ask = self._channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        return reply.FromString(ask(request.SerializeToString(), timeout=120))

    def add_attribute(self) -> None:
        kinds = {"CustomerId": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD}
        request = AddSearchAttributesRequest(namespace="default", search_attributes=kinds)
        self.call(request, AddSearchAttributesResponse, "operatorservice.v1.OperatorService")

    def close(self) -> None:
        self._channel.close()


def start_many(client: Client, n: int) -> None:
    """Start `n` workflows by RPC and terminate a third of them."""

    def one(number: int) -> None:
        customer = Payload(metadata={"encoding": b"json/plain"}, data=f'"c-{number % 1000}"'.encode())
        name = f"{STEM}-{number}"
        start = rpc.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=name,
            workflow_type=WorkflowType(name=TYPES[number % 100]),
            task_queue=TaskQueue(name="queue"),
            request_id=str(uuid.uuid4()),
            search_attributes=SearchAttributes(indexed_fields={"CustomerId": customer}),
        )
        client.call(start, rpc.StartWorkflowExecutionResponse)
        if number % 3 == 0:
            end = rpc.TerminateWorkflowExecutionRequest(
                namespace="default", workflow_execution=WorkflowExecution(workflow_id=name)
            )
            client.call(end, rpc.TerminateWorkflowExecutionResponse)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(n)))


def measure(client: Client, begins: float, ends: float) -> dict[str, tuple[float, float, float, float]]:
    """Of each shape: p50 and p99 of a page, p50 and p99 of the count by status, in ms."""
    width = (ends - begins) / 1000
    moments = {"recent": ends - width, "early": begins + 300 * width, "later": begins + 301 * width}
    texts = {name: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for name, moment in moments.items()}
    found = {}
    for shape in SHAPES:
        query = shape.format(**texts)
        page = rpc.ListWorkflowExecutionsRequest(namespace="default", query=query, page_size=100)
        count = rpc.CountWorkflowExecutionsRequest(namespace="default", query=f"{query} GROUP BY ExecutionStatus")
        found[shape] = (
            *_timed(lambda page=page: client.call(page, rpc.ListWorkflowExecutionsResponse)),
            *_timed(lambda count=count: client.call(count, rpc.CountWorkflowExecutionsResponse)),
        )
    return found


def _timed(call: Any) -> tuple[float, float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times), sorted(times)[int(CALLS * 0.99) - 1]


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="Perdure's executions")
    parser.add_argument("--reference", type=int, default=0, help="the reference's executions, 0 to leave it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        results = {f"perdure, {options.n:,}": _perdure(Path(folder), options.n)}
        if options.reference:
            results[f"temporal, {options.reference:,}"] = _temporal(Path(folder), options.reference)
    for name, figures in results.items():
        print(f"\n{name} executions: ms  {'page p50':>10} {'p99':>8} {'count p50':>10} {'p99':>8}")
        for shape, numbers in figures.items():
            print(f"{shape or '(all)':<95} {numbers[0]:8.1f} {numbers[1]:8.1f} {numbers[2]:8.1f} {numbers[3]:8.1f}")


def _perdure(folder: Path, n: int) -> dict[str, tuple[float, float, float, float]]:
    database = folder / "perdure.db"
    server = Server("perdure", PORTS["perdure"], database, FLAGS)
    client = Client(server.target)
    client.add_attribute()
    described = client.call(rpc.DescribeNamespaceRequest(namespace="default"), rpc.DescribeNamespaceResponse)
    client.close()
    server.stop()
    began = time.time()
    took = asyncio.run(fill(database, described.namespace_info.id, n))
    print(f"perdure: {n:,} records written in {took:.1f} s, {os.path.getsize(database) / 1e6:.0f} MB")
    server = Server("perdure", PORTS["perdure"], database, FLAGS)
    client = Client(server.target)
    try:
        return measure(client, began - n, began)
    finally:
        client.close()
        server.stop()


def _temporal(folder: Path, n: int) -> dict[str, tuple[float, float, float, float]]:
    server = Server("temporal", PORTS["temporal"], folder / "temporal.db", FLAGS)
    client = Client(server.target)
    try:
        client.add_attribute()
        began = time.time()
        start_many(client, n)
        ended = time.time()
        print(f"temporal: {n:,} executions started in {ended - began:.1f} s")
        time.sleep(5.0)  # its visibility follows
        return measure(client, began, ended)
    finally:
        client.close()
        server.stop()


if __name__ == "__main__":
    main()
