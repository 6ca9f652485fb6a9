"""One call must not hold the loop for long: what is walked through is bounded, or others have their turn meanwhile.

`bench/pauses.py` looks for calls that do; here stands what it found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure.api import Message, common, crowds, enums
from perdure.api import workflowservice as rpc
from perdure.api.crowds import FIELD_ELEMENTS_MAX
from perdure.cluster.task_queues import TaskQueueRegistry
from perdure.errors import StatusCode
from perdure.machines import version_sets
from perdure.machines.queue_data import EMPTY
from perdure.matching.workers import EXPIRED_AT_ONCE, Worker, WorkerRegistry
from perdure.store.memory import MemoryStore
from perdure.visibility.worker_query import WorkerFields
from tests.frontend.alone import Alone, alone
from tests.service.rpc import message

OLD_VERSIONING: dict[str, object] = {"frontend.workerVersioningDataAPIs": True}


def _beats(count: int) -> rpc.RecordWorkerHeartbeatRequest:
    beats = [message(worker_instance_key=f"k{number:05}", task_queue="q") for number in range(count)]
    return rpc.RecordWorkerHeartbeatRequest(namespace="default", worker_heartbeat=beats)


def _started() -> rpc.StartWorkflowExecutionRequest:
    return rpc.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="w",
        workflow_type=message(name="W"),
        task_queue=message(name="q"),
        request_id="r",
    )


def test_a_caller_of_many_heartbeats_lets_others_have_their_turn() -> None:
    """Ten microseconds each, ten thousand of them."""

    async def scenario(server: Alone) -> None:
        few, many = _beats(10), _beats(10_000)
        assert await server.turns("RecordWorkerHeartbeat", many) >= 10 + await server.turns(
            "RecordWorkerHeartbeat", few
        )
        count = rpc.CountWorkersRequest(namespace="default")
        assert (await server.call("CountWorkers", count)).count == 10_000

    alone(scenario)


def test_a_long_filter_over_many_workers_lets_others_have_their_turn() -> None:
    """Comparisons count: two thousand workers by two hundred conditions. Pages and counts are as without slices."""

    async def scenario(server: Alone) -> None:
        await server.call("RecordWorkerHeartbeat", _beats(2_000))
        query = " OR ".join(["WorkerIdentity = 'nobody'"] * 200 + ["WorkerInstanceKey STARTS_WITH 'k01'"])
        counted = rpc.CountWorkersRequest(namespace="default", query=query)
        assert (await server.call("CountWorkers", counted)).count == 1_000
        assert await server.turns("CountWorkers", counted) >= 100
        listed = rpc.ListWorkersRequest(namespace="default", query=query, page_size=400)
        assert await server.turns("ListWorkers", listed) >= 100
        keys: list[str] = []
        while True:
            page = await server.call("ListWorkers", listed)
            keys += [one.worker_instance_key for one in page.workers]
            listed.next_page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert keys == [f"k{number:05}" for number in range(1_000, 2_000)]

    alone(scenario)


def test_a_page_of_many_workers_is_the_first_in_order() -> None:
    """Those of later pages are let go on the way."""

    async def scenario(server: Alone) -> None:
        await server.call("RecordWorkerHeartbeat", _beats(19_000))
        page = await server.call("ListWorkers", rpc.ListWorkersRequest(namespace="default", page_size=3))
        assert [one.worker_instance_key for one in page.workers] == ["k00000", "k00001", "k00002"]
        assert page.next_page_token

    alone(scenario)


def test_a_fleet_that_falls_silent_is_dropped_bit_by_bit_and_seen_by_nobody() -> None:
    registry = WorkerRegistry(ttl_ns=10)
    for number in range(EXPIRED_AT_ONCE * 3):
        registry.seen("ns", Worker(f"w{number}", b"", WorkerFields({}, {}), False), 0)
    assert registry.all("ns", 10) == []
    assert len(registry) == EXPIRED_AT_ONCE * 2, "one call drops so many and no more"
    assert registry.find("ns", "w2999", 10) is None
    assert len(registry) == EXPIRED_AT_ONCE


async def test_queues_of_a_build_id_are_not_looked_for() -> None:
    """Their index follows every change: it was a walk through all queues, for each build id asked for."""
    store = MemoryStore()
    await store.open()
    registry = TaskQueueRegistry(store, lambda *_: None)
    for queue in ("a", "b"):
        await registry.update("ns", queue, lambda data: version_sets.with_new_default_set(data, "one", 1))
    await registry.update("ns", "b", lambda data: version_sets.with_compatible(data, "two", "one", True, 2))
    assert registry.with_build_id("ns", "one") == ["a", "b"]
    assert registry.with_build_id("ns", "two") == ["b"]
    assert registry.with_build_id("other", "one") == []
    await registry.update("ns", "a", lambda data: EMPTY.evolve(version=data.version))
    assert registry.with_build_id("ns", "one") == ["b"]
    await registry.forget_namespace("ns")
    assert registry.with_build_id("ns", "one") == []
    assert registry._by_build_id == {}


TOO_MANY = FIELD_ELEMENTS_MAX + 1


def _start_with(fill: Callable[[Any], object]) -> Callable[[], tuple[str, Message]]:
    def made() -> tuple[str, Message]:
        request = _started()
        fill(request)
        return "StartWorkflowExecution", request

    return made


def _reachability() -> tuple[str, Message]:
    request = rpc.GetWorkerTaskReachabilityRequest(namespace="default", build_ids=["b"])
    request.task_queues.extend([f"q{number}" for number in range(TOO_MANY)])
    return "GetWorkerTaskReachability", request


@pytest.mark.parametrize(
    ("made", "where"),
    [
        (_reachability, "task_queues"),
        (lambda: ("RecordWorkerHeartbeat", _beats(TOO_MANY)), "worker_heartbeat"),
        (_start_with(lambda start: start.links.extend([common.Link()] * TOO_MANY)), "links"),
        (
            _start_with(lambda start: [start.header.fields[f"k{n}"].SetInParent() for n in range(TOO_MANY)]),
            "header.fields",
        ),
        (
            _start_with(
                lambda start: start.input.payloads.add().metadata.update({f"k{n}": b"" for n in range(TOO_MANY)})
            ),
            "input.payloads.metadata",
        ),
    ],
    ids=["queues", "heartbeats", "links", "header", "metadata of a payload"],
)
def test_a_field_has_so_many_elements_and_no_more(made: Callable[[], tuple[str, Message]], where: str) -> None:
    """Refused before anybody walks through them, with the field's name."""

    async def scenario(server: Alone) -> None:
        name, request = made()
        error = await server.refused(name, request)
        assert error.code is StatusCode.INVALID_ARGUMENT
        assert error.message == f"{where} has {TOO_MANY} elements, the limit is {FIELD_ELEMENTS_MAX}"

    alone(scenario, OLD_VERSIONING)


def test_a_request_has_so_many_parts_and_no_more() -> None:
    """Many fields below their limit are too many together; the count stops where it is clear."""
    request = rpc.RespondWorkflowTaskCompletedRequest()
    for _ in range(40):
        fields = request.commands.add().record_marker_command_attributes.header.fields
        for number in range(3_000):
            fields[f"k{number}"].SetInParent()
    with pytest.raises(crowds.Crowded, match="more than 100000 parts"):
        for _ in crowds.check(request):
            pass


def test_an_honest_large_task_is_far_below() -> None:
    """Two thousand activities, each with input and a header of three."""
    request = rpc.RespondWorkflowTaskCompletedRequest()
    payload = common.Payload(metadata={"encoding": b"json/plain", "type": b"x"}, data=b"1")
    for _ in range(2_000):
        command = request.commands.add(command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
        wanted = command.schedule_activity_task_command_attributes
        wanted.input.payloads.add().CopyFrom(payload)
        for number in range(3):
            wanted.header.fields[f"k{number}"].CopyFrom(payload)
    for _ in crowds.check(request):
        pass
