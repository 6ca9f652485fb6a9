"""What waits in memory has a bound in bytes: for one entity, for all calls, for one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from perdure.api import common, enums
from perdure.api import workflowservice as rpc
from perdure.clock import SECOND
from perdure.engine import committer, mail
from perdure.engine.committer import Committer
from perdure.errors import ResourceExhausted, StatusCode
from perdure.frontend import service
from perdure.ids import ChainKey
from perdure.store.api import ChainPut, ChainWrite, Fragment
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.transport.client import RpcError
from tests.frontend.alone import Alone, alone
from tests.service.rpc import message, new_id
from tests.sim.test_committer import Moody, Note
from tests.sim.world import World

LARGE = 1_900_000
MANY = 14
FIT = mail.WAITING_BYTES_MAX // LARGE + 1
"""So many have room at once: those that wait and the one whose turn it is."""


def _input(size: int = LARGE) -> common.Payloads:
    return common.Payloads(payloads=[common.Payload(data=b"x" * size)])


async def _errors(calls: Sequence[Awaitable[Any]]) -> list[RpcError]:
    answers = await asyncio.gather(*calls, return_exceptions=True)
    errors = [one for one in answers if isinstance(one, BaseException)]
    assert all(isinstance(one, RpcError) for one in errors), errors
    return [one for one in errors if isinstance(one, RpcError)]


def test_large_updates_of_one_schedule_wait_up_to_a_number_of_bytes() -> None:
    """Sixteen MiB wait; the rest is refused with BUSY_WORKFLOW, and has room again afterwards."""

    def update() -> rpc.UpdateScheduleRequest:
        start = message(workflow_id="w", workflow_type=message(name="W"), task_queue=message(name="q"), input=_input())
        schedule = message(spec=message(), action=message(start_workflow=start), state=message(paused=True))
        return rpc.UpdateScheduleRequest(namespace="default", schedule_id="s", schedule=schedule, request_id=new_id())

    async def scenario(server: Alone) -> None:
        created = rpc.CreateScheduleRequest(
            namespace="default", schedule_id="s", schedule=update().schedule, request_id="c"
        )
        await server.call("CreateSchedule", created)
        errors = await _errors([server.call("UpdateSchedule", update()) for _ in range(MANY)])
        assert len(errors) == MANY - FIT
        for error in errors:
            assert error.code is StatusCode.RESOURCE_EXHAUSTED
            assert error.message == "requests of more than 16777216 bytes wait for one schedule"
        assert not await _errors([server.call("UpdateSchedule", update()) for _ in range(FIT)])

    alone(scenario)


def test_large_signals_of_one_cold_workflow_wait_up_to_a_number_of_bytes() -> None:
    """While it is read; small ones and other workflows are not concerned."""

    def signal(workflow_id: str, size: int) -> rpc.SignalWorkflowExecutionRequest:
        return rpc.SignalWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=message(workflow_id=workflow_id),
            signal_name="s",
            input=_input(size),
        )

    async def main() -> None:
        world = World(Faults(latency_min_ns=SECOND // 10, latency_max_ns=SECOND // 10))
        await world.boot()
        for name in ("a", "b"):
            start = rpc.StartWorkflowExecutionRequest(
                namespace="default",
                workflow_id=name,
                workflow_type=message(name="W"),
                task_queue=message(name="q"),
                request_id=name,
            )
            await world.once("StartWorkflowExecution", start)
        world.kill()
        await world.boot()
        calls = [world.once("SignalWorkflowExecution", signal("a", LARGE)) for _ in range(MANY)]
        calls.append(world.once("SignalWorkflowExecution", signal("b", LARGE)))
        calls += [world.once("SignalWorkflowExecution", signal("b", 10)) for _ in range(MANY)]
        errors = await _errors(calls)
        # Its turn is the alarm's that rings after a restart.
        assert len(errors) == MANY - FIT + 1
        assert {error.message for error in errors} == {"requests of more than 16777216 bytes wait for one workflow"}
        assert {error.code for error in errors} == {StatusCode.RESOURCE_EXHAUSTED}
        assert not await _errors([world.once("SignalWorkflowExecution", signal("a", LARGE)) for _ in range(FIT)])
        await world.close()

    virtual_time.run(1, main())


def test_large_requests_in_progress_have_a_bound_together() -> None:
    """Small ones pass; who left makes room."""

    async def scenario(server: Alone) -> None:
        frontend = server.server.frontend
        query = rpc.QueryWorkflowRequest(
            namespace="default", execution=message(workflow_id="w"), query=message(query_type="q")
        )
        leave = frontend._admitted(service.LARGE_BYTES_MAX - 100_000)
        query.query.query_args.CopyFrom(_input(200_000))
        error = await server.refused("QueryWorkflow", query)
        assert error.code is StatusCode.RESOURCE_EXHAUSTED
        assert error.message == "requests of more than 268435456 bytes are in progress"
        query.query.query_args.Clear()
        assert (await server.refused("QueryWorkflow", query)).code is StatusCode.NOT_FOUND
        leave()
        query.query.query_args.CopyFrom(_input(200_000))
        assert (await server.refused("QueryWorkflow", query)).code is StatusCode.NOT_FOUND
        assert frontend._large_bytes == 0

    alone(scenario)


def test_a_batch_of_large_members_is_cut() -> None:
    """Its statements run in one turn of the loop."""

    def heavy(name: str) -> Note:
        member = Note(name)
        fragment = Fragment(name.encode().ljust(16, b"-"), 1, 2, bytes(LARGE))
        key = ChainKey("n", 1, name)
        member.writes = [ChainWrite(key, chain=ChainPut(0, bytes(16), b"core"), fragments=(fragment,))]
        return member

    async def main() -> None:
        store = Moody()
        await store.inner.open()
        writer = Committer(store, lambda: None)  # type: ignore[arg-type]  # the part it uses
        await writer.acquire()
        task = asyncio.create_task(writer.run())
        members = [heavy(f"m{number}") for number in range(12)]
        for member in members:
            writer.enqueue(member)
        await writer.drained()
        task.cancel()
        assert all(member.said == ["committed"] for member in members)
        fit = committer.BATCH_BYTES_MAX // LARGE + 1
        assert store.batches == [fit, fit, 12 - 2 * fit]

    virtual_time.run(1, main())


def test_what_is_refused_says_that_the_workflow_is_busy() -> None:
    """The cause by which clients decide to come back."""
    with pytest.raises(ResourceExhausted) as refused:
        mail.admitted(mail.WAITING_BYTES_MAX, b"x", "workflow")
    assert refused.value.cause == enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
