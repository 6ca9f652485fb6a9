"""How long one request can hold the loop: every RPC gets the largest request of each kind that is legal on the wire.

    python -m bench.pauses [--only NAME] [--above MS] [--why]

For each RPC there is a valid request; then each repeated field in it, however deep, is filled to the size of a message
(4 MiB) or to the number of elements that is taken, with empty elements, and with copies of its own element under names
of their own, and each text is made as long. Shown is the longest time that one turn of the loop took while the call
ran, beside the time that its parsing took, which is the price of the payload, and what was answered. The server is in
the same process, on a file.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from perdure.api import Method, command, common, enums, method_table, schedule, worker, workflowservice
from perdure.app import GC_THRESHOLDS, Server
from perdure.clock import WallClock
from perdure.config.dynamic import DynamicConfig
from perdure.ids import SystemIds
from perdure.store.sqlite import SqliteStore
from perdure.testing.in_process import InProcessClient
from perdure.transport.client import RpcError

rpc: Final[Any] = workflowservice
"""Requests are made from plain values here."""
MESSAGE_BYTES: Final = 4_100_000
DEPTH_MAX: Final = 5
TEXT: Final = 9
"""protobuf's number for strings and bytes in Python."""
COUNT_MAX: Final = 20_000
"""Elements of a field: as many as are taken (`frontend.crowds`)."""
CALL_S: Final = 5.0
NAMESPACE: Final = "default"
CONFIG: Final[dict[str, object]] = {
    "frontend.workerVersioningDataAPIs": True,
    "frontend.workerVersioningRuleAPIs": True,
    "frontend.workerVersioningWorkflowAPIs": True,
    "frontend.workflowRulesAPIsEnabled": True,
    "frontend.WorkflowPauseEnabled": True,
    "callback.allowedAddresses": [{"Pattern": "*", "AllowInsecure": True}],
}


class Meter:
    """The longest callback of the loop since the last reading."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        handles: Any = asyncio.Handle
        run = handles._run

        def timed(handle: asyncio.Handle) -> None:
            begun = time.perf_counter()
            run(handle)
            self.longest_s = max(self.longest_s, time.perf_counter() - begun)

        handles._run = timed


def _payloads() -> Any:
    return {"payloads": [{"metadata": {"encoding": b"json/plain"}, "data": b'"x"'}]}


def _execution(workflow_id: str) -> Any:
    return {"workflow_id": workflow_id}


def _start(workflow_id: str) -> Any:
    return rpc.StartWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_id=workflow_id,
        workflow_type={"name": "W"},
        task_queue={"name": workflow_id},
        request_id=workflow_id,
        input=_payloads(),
        memo={"fields": {"k": {"data": b"x"}}},
        header={"fields": {"k": {"data": b"x"}}},
        search_attributes={"indexed_fields": {"Color": {"metadata": {"encoding": b"json/plain"}, "data": b'"red"'}}},
        retry_policy={"non_retryable_error_types": ["a"], "maximum_attempts": 3},
        links=[{"workflow_event": {"namespace": "n", "workflow_id": "w", "run_id": "r"}}],
        completion_callbacks=[{"nexus": {"url": "http://127.0.0.1:9/", "header": {"k": "v"}}}],
    )


def _schedule() -> Any:
    return {
        "spec": {
            "interval": [{"interval": {"seconds": 3600}}],
            "cron_string": ["0 0 * * *"],
            "calendar": [{"hour": "1"}],
            "structured_calendar": [{"hour": [{"start": 1, "end": 2}], "minute": [{"start": 1}]}],
            "exclude_structured_calendar": [{"hour": [{"start": 1, "end": 2}], "minute": [{"start": 1}]}],
        },
        "state": {"paused": True},
        "action": {
            "start_workflow": {
                "workflow_id": "job",
                "workflow_type": {"name": "J"},
                "task_queue": {"name": "nobody"},
                "input": _payloads(),
                "memo": {"fields": {"k": {"data": b"x"}}},
            }
        },
    }


def _beat() -> Any:
    return {"worker_instance_key": "k", "task_queue": "q", "status": 1, "plugins": [{"name": "p", "version": "1"}]}


MARKER: Final = {
    "command_type": enums.COMMAND_TYPE_RECORD_MARKER,
    "record_marker_command_attributes": {"marker_name": "m", "details": {"k": _payloads()}},
}
TIMER: Final = {
    "command_type": enums.COMMAND_TYPE_START_TIMER,
    "start_timer_command_attributes": {"timer_id": "t", "start_to_fire_timeout": {"seconds": 3600}},
}
ACTIVITY: Final = {
    "command_type": enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
    "schedule_activity_task_command_attributes": {
        "activity_id": "a",
        "activity_type": {"name": "A"},
        "task_queue": {"name": "nobody"},
        "start_to_close_timeout": {"seconds": 60},
    },
}


class World:
    """A server, what stands on it, and fresh things for requests that use them up."""

    def __init__(self, client: InProcessClient) -> None:
        self.client = client
        self._number = 0

    def name(self) -> str:
        """A new one."""
        self._number += 1
        return f"n{self._number}"

    async def prepare(self) -> None:
        """What some requests ask about."""
        call = self.client.call
        await call("StartWorkflowExecution", _start("w"))
        for number in range(200):
            await call("StartWorkflowExecution", _start(f"w{number}"))
        for first in range(0, 100_000, 10_000):
            beats = rpc.RecordWorkerHeartbeatRequest(namespace=NAMESPACE)
            for number in range(first, first + 10_000):
                beats.worker_heartbeat.add(worker_instance_key=f"k{number}", task_queue="q", worker_identity="i")
            await call("RecordWorkerHeartbeat", beats, 60.0)
        await call(
            "CreateSchedule",
            rpc.CreateScheduleRequest(
                namespace=NAMESPACE, schedule_id="s", schedule=_schedule(), request_id="s", identity="i"
            ),
        )

    async def run(self) -> str:
        """A workflow that runs; its id is its queue's name too."""
        name = self.name()
        await self.client.call("StartWorkflowExecution", _start(name))
        return name

    async def task(self) -> Any:
        """A workflow task."""
        poll = rpc.PollWorkflowTaskQueueRequest(namespace=NAMESPACE, task_queue={"name": await self.run()})
        return await self.client.call("PollWorkflowTaskQueue", poll)

    async def activity(self) -> Any:
        """An activity task."""
        task = await self.task()
        queue = self.name()
        wanted = rpc.RespondWorkflowTaskCompletedRequest(
            namespace=NAMESPACE, task_token=task.task_token, commands=[ACTIVITY]
        )
        wanted.commands[0].schedule_activity_task_command_attributes.task_queue.name = queue
        await self.client.call("RespondWorkflowTaskCompleted", wanted)
        poll = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue={"name": queue})
        return await self.client.call("PollActivityTaskQueue", poll)


def _special(name: str, request: Any, world: World) -> Any:
    """What a request needs beside what its fields' names say; the request, or another."""
    if name == "CreateSchedule":
        request.schedule_id = world.name()
    elif name == "RegisterNamespace":
        request.namespace = world.name()
        request.workflow_execution_retention_period.seconds = 86_400 * 3
    elif name == "UpdateTaskQueueConfig":
        request.task_queue_type = 1
    elif name == "RecordWorkerHeartbeat":
        request.worker_heartbeat.add().CopyFrom(_made("WorkerHeartbeat", _beat()))
    elif name == "StartBatchOperation":
        request.termination_operation.SetInParent()
        request.executions.add(workflow_id="w")
    elif name == "GetWorkerTaskReachability":
        request.build_ids.append("")
        request.task_queues.append("q")
    elif name == "QueryWorkflow":
        request.query.query_type = "q"
    elif name == "UpdateWorkflowExecution":
        request.request.meta.update_id = "u"
        request.request.input.name = "n"
    elif name == "ResetWorkflowExecution":
        request.workflow_task_finish_event_id = 3
    elif name == "RespondWorkflowTaskCompleted":
        request.commands.add().CopyFrom(_made("Command", TIMER))
        request.query_results["k"].answer.CopyFrom(_made("Payloads", _payloads()))
    elif name == "DescribeTaskQueue":
        request.api_mode = enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
        request.report_stats = True
        request.versions.build_ids.append("b")
    elif name == "ListScheduleMatchingTimes":
        request.end_time.seconds = 4_000_000_000
    elif name == "CreateWorkflowRule":
        request.spec.id = world.name()
        request.spec.activity_start.predicate = "ActivityType = 'x'"
        request.spec.actions.add().activity_pause.SetInParent()
    elif name == "CreateNexusEndpoint":
        request.spec.name = world.name()
        request.spec.target.worker.namespace, request.spec.target.worker.task_queue = NAMESPACE, "q"
    return request


def _signal_with_start(request: Any, world: World) -> Any:
    fields = {field.name for field in request.DESCRIPTOR.fields}
    for field, value in _start(world.name()).ListFields():
        if field.name in fields and field.name != "completion_callbacks":
            _assign(request, field.name, value)
    request.signal_name = "s"
    return request


TEXTS: Final = {
    "workflow_id": "w",
    "schedule_id": "s",
    "signal_name": "s",
    "reason": "r",
    "worker_instance_key": "k",
    "activity_id": "a",
    "id": "a",
    "task_queue": "quiet",
}


async def _valid(method: Method, world: World) -> Any:
    """A request that the method takes, with an element in each repeated field where that is easy."""
    name = method.name
    request: Any = method.request()
    fields = {field.name: field for field in request.DESCRIPTOR.fields}
    if name == "StartWorkflowExecution":
        return _start(world.name())
    if name == "SignalWithStartWorkflowExecution":
        return _signal_with_start(request, world)
    if "namespace" in fields:
        request.namespace = NAMESPACE
    if name == "ExecuteMultiOperation":
        request.operations.add().start_workflow.CopyFrom(_start(world.name()))
        return request
    if name.startswith("RespondWorkflowTask") or name == "RespondQueryTaskCompleted":
        request.task_token = (await world.task()).task_token
    elif "task_token" in fields and "Nexus" not in name:
        request.task_token = (await world.activity()).task_token
    if "failure" in fields:
        request.failure.application_failure_info.type = "t"
        request.failure.application_failure_info.details.CopyFrom(_made("Payloads", _payloads()))
    for field in ("execution", "workflow_execution"):
        if field in fields:
            getattr(request, field).workflow_id = await world.run()
    for field, value in (*TEXTS.items(), ("job_id", world.name()), ("request_id", world.name())):
        if field in fields and fields[field].cpp_type == TEXT:
            setattr(request, field, value)
    if "task_queue" in fields and fields["task_queue"].message_type is not None:
        request.task_queue.name = "quiet"
    if "schedule" in fields:
        request.schedule.CopyFrom(_made("Schedule", _schedule()))
    return _special(name, request, world)


def _made(name: str, value: Any) -> Any:
    for module in (common, command, schedule, worker):
        if hasattr(module, name):
            return getattr(module, name)(**value)
    raise KeyError(name)


def _assign(message: Any, name: str, value: Any) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        getattr(message, name).MergeFrom(value)
    elif field.message_type is not None:
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def _places(message: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The messages within a message, as deep as is of interest, each once on a path; unset ones too."""
    yield path, message
    if len(path) >= DEPTH_MAX:
        return
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None or field.name in path or field.name == "cause":
            continue
        if field.message_type.full_name.startswith("google.protobuf"):
            continue
        if field.is_repeated:
            if not field.message_type.GetOptions().map_entry and len(getattr(message, field.name)):
                yield from _places(getattr(message, field.name)[0], (*path, field.name))
            continue
        yield from _places(getattr(message, field.name), (*path, field.name))


def _at(message: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        message = getattr(message, name)
        if not hasattr(message, "DESCRIPTOR"):
            message = message[0]
    return message


def _named(message: Any, number: int) -> bool:
    """Give the first text in a message a name of its own; False when there is none."""
    for field, value in message.ListFields():
        if field.is_repeated:
            continue
        if field.message_type is None and field.cpp_type == TEXT:
            setattr(message, field.name, f"k{number}" if isinstance(value, str) else b"k%d" % number)
            return True
        if field.message_type is not None and _named(value, number):
            return True
    return False


def _swollen(message: Any, field: Any, full: bool) -> bool:
    """Fill a repeated field; False when there is nothing new to try."""
    values = getattr(message, field.name)
    room = MESSAGE_BYTES - 60_000
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if full:
            return False
        # Not in the order in which this process's tables hold them: read back so, they would take the square.
        count = min(room // 14, COUNT_MAX)
        holder = type(message)()
        held = getattr(holder, field.name)
        for number in sorted(range(count), key=lambda one: one * 2_654_435_761 % 4_294_967_296):
            if entry.fields_by_name["value"].message_type is not None:
                held[f"k{number}"].SetInParent()
            elif entry.fields_by_name["key"].cpp_type == TEXT:
                held[f"k{number}"] = held.GetEntryClass()(key="k").value
            else:
                held[number] = held.GetEntryClass()().value
        values.update(held) if entry.fields_by_name["value"].message_type is None else values.MergeFrom(held)
        return True
    if entry is not None:
        if full and not len(values):
            return False
        one = type(values.add()).FromString(values[0].SerializeToString()) if full else values.add()
        del values[:]
        size = max(2, one.ByteSize() + 4 + (4 if full else 0))
        for number in range(min(room // size, COUNT_MAX)):
            added = values.add()
            if full:
                added.CopyFrom(one)
                _named(added, number)
        return True
    if full:
        return False
    if field.cpp_type == TEXT:
        text = field.type == field.TYPE_STRING
        values.extend([f"k{number}" if text else b"k%d" % number for number in range(min(room // 9, COUNT_MAX))])
    else:
        values.extend([1 + number % 2 for number in range(min(room // 2, COUNT_MAX))])
    return True


LONG_TEXTS: Final = ("x", "(", "a = 1 AND ", "1,", "é")


async def attacks(method: Method, world: World) -> AsyncIterator[tuple[str, bytes]]:
    """Requests that take the method as long as a message may."""
    plain = await _valid(method, world)
    yield "plain", plain.SerializeToString()
    for path, inner in list(_places(plain)):
        for field in inner.DESCRIPTOR.fields:
            label = ".".join([*path, field.name])
            if field.is_repeated:
                for full in (False, True):
                    request = await _valid(method, world)
                    place = _at(request, path)
                    if path:
                        place.SetInParent()
                    if _swollen(place, field, full) and request.ByteSize() <= 4 << 20:
                        yield f"{label}{'+' if full else ''}", request.SerializeToString()
            elif field.cpp_type == TEXT and len(path) < 2 and field.name not in ("namespace", "task_token"):
                for text in LONG_TEXTS if "query" in field.name else LONG_TEXTS[:1]:
                    request = await _valid(method, world)
                    value = (text * (MESSAGE_BYTES // len(text.encode())))[: MESSAGE_BYTES - 60_000 - len(text)]
                    if field.type != field.TYPE_STRING:
                        setattr(_at(request, path), field.name, value.encode()[: MESSAGE_BYTES - 60_000])
                    else:
                        setattr(_at(request, path), field.name, value[: (MESSAGE_BYTES - 60_000) // len(text.encode())])
                    yield f"{label}={text[:6]}", request.SerializeToString()


async def hand_made(world: World) -> AsyncIterator[tuple[str, str, bytes]]:
    """What the general rule does not think of: method, label, request."""
    for label, wanted in (("markers", MARKER), ("timers", TIMER), ("activities", ACTIVITY)):
        request = rpc.RespondWorkflowTaskCompletedRequest(
            namespace=NAMESPACE, task_token=(await world.task()).task_token, commands=[wanted]
        )
        _swollen(request, request.DESCRIPTOR.fields_by_name["commands"], True)
        yield "RespondWorkflowTaskCompleted", label, request.SerializeToString()
    for operation in ("cancellation_operation", "signal_operation", "reset_operation", "deletion_operation"):
        request = rpc.StartBatchOperationRequest(namespace=NAMESPACE, job_id=world.name(), reason="r")
        getattr(request, operation).SetInParent()
        request.visibility_query = "WorkflowId IN (" + ",".join([f"'{n}'" for n in range(300_000)]) + ")"
        yield "StartBatchOperation", operation, request.SerializeToString()
    clauses = {
        "in": "WorkflowId IN (" + ",".join([f"'{number}'" for number in range(300_000)]) + ")",
        "or": " OR ".join(["WorkflowId = 'x'"] * 150_000),
        "deep": "(" * 900_000 + "WorkflowId = 'x'" + ")" * 900_000,
        "not": "NOT " * 900_000 + "WorkflowId = 'x'",
        "text": "WorkflowId = '" + "\\'" * 1_900_000 + "'",
        "number": "HistoryLength = " + "1" * 4_000_000,
        "prefix": "WorkflowId STARTS_WITH '" + "a" * 3_900_000 + "'",
        "time": "StartTime = '" + "2" * 3_900_000 + "'",
        "duration": "ExecutionDuration = '" + "1h" * 1_900_000 + "'",
        "order": "ORDER BY " + ",".join(["WorkflowId"] * 300_000),
        "group": "GROUP BY " + ",".join(["WorkflowType"] * 300_000),
    }
    for method in ("ListWorkflowExecutions", "CountWorkflowExecutions", "ListSchedules", "CountSchedules"):
        for label, query in clauses.items():
            request = getattr(rpc, method + "Request")(namespace=NAMESPACE, query=query)
            yield method, label, request.SerializeToString()
    for method in ("ListWorkers", "CountWorkers"):
        for label, query in {
            "or": " OR ".join(["WorkerIdentity = 'x'"] * 150_000),
            "deep": "(" * 900_000 + "WorkerIdentity = 'x'" + ")" * 900_000,
            "some": " OR ".join(["WorkerIdentity = 'x'"] * 20),
            "none": "",
        }.items():
            yield method, label, getattr(rpc, method + "Request")(namespace=NAMESPACE, query=query).SerializeToString()
    yield (
        "CreateSchedule",
        "never",
        rpc.CreateScheduleRequest(
            namespace=NAMESPACE,
            schedule_id=world.name(),
            schedule={**_schedule(), "spec": {"cron_string": ["0 0 30 2 *"] * 100}},
        ).SerializeToString(),
    )
    patch = rpc.PatchScheduleRequest(namespace=NAMESPACE, schedule_id="s")
    for _ in range(150_000):
        one = patch.patch.backfill_request.add()
        one.start_time.seconds, one.end_time.seconds = 1, 4_000_000_000
    yield "PatchSchedule", "backfills", patch.SerializeToString()


async def measure(only: str, above_ms: float, why: bool) -> None:
    """Print what holds the loop longer than `above_ms`."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        server = Server(
            SqliteStore(str(Path(folder) / "state.db"), {}), WallClock(), SystemIds(), DynamicConfig(CONFIG)
        )
        await server.open((NAMESPACE,), {"Color": "Keyword"})
        client = InProcessClient(server.frontend.dispatch)
        world = World(client)
        await world.prepare()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        meter = Meter()
        try:
            by_name = {method.name: method for method in method_table().values() if "temporal.api" in method.path}
            async for name, label, request in hand_made(world):
                if only in f"{name} {label}":
                    await _attack(client, meter, by_name[name], label, request, above_ms, why)
            for method in by_name.values():
                if only not in method.name or "testservice" in method.path or method.server_streaming:
                    continue
                if method.name in ("DeleteNamespace", "DeprecateNamespace"):
                    continue
                async for label, request in attacks(method, world):
                    await _attack(client, meter, method, label, request, above_ms, why)
        finally:
            await server.close()


async def _attack(
    client: InProcessClient, meter: Meter, method: Method, label: str, request: bytes, above_ms: float, why: bool
) -> None:
    begun = time.perf_counter()
    method.request.FromString(request)
    parsed_ms = (time.perf_counter() - begun) * 1e3
    await asyncio.sleep(0)
    meter.longest_s = 0.0
    profile = cProfile.Profile() if why else None
    begun = time.perf_counter()
    if profile is not None:
        profile.enable()
    try:
        answer = await client.exchange(method.path, request, CALL_S)
        said = f"OK, {sum(map(len, answer)):,} bytes"
    except RpcError as error:
        said = f"{error.code.name}: {error.message[:90]}"
    await asyncio.sleep(0)
    if profile is not None:
        profile.disable()
    took_ms = (time.perf_counter() - begun) * 1e3
    pause_ms = meter.longest_s * 1e3
    if pause_ms >= above_ms or "INTERNAL" in said:
        print(
            f"{pause_ms:7.0f} ms (parse {parsed_ms:4.0f}, call {took_ms:6.0f}) {method.name} {label} "
            f"[{len(request):,}]: {said}",
            flush=True,
        )
        if profile is not None:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(22)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="methods with this in their name")
    parser.add_argument("--above", type=float, default=50.0, help="ms; shorter pauses are not shown")
    parser.add_argument("--why", action="store_true", help="profile each call that is shown")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.only, arguments.above, arguments.why))


if __name__ == "__main__":
    main()
