"""Completion callbacks leave the server (engine/callbacks.py), in virtual time, to receivers that fail as told.

The receivers stand behind the port of the outside world; everything on this side of it is the server as it is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from perdure.api import common, enums, taskqueue, workflow, workflowservice
from perdure.api.times import timestamp_ns
from perdure.app import Server
from perdure.clock import SECOND
from perdure.engine import callbacks
from perdure.engine.circuit import FAILURES_MAX, OPEN_S, Circuit
from perdure.machines.workflow.invocations import HttpAnswer, NoAnswer, Outgoing
from perdure.store.faulty import Faults
from perdure.testing import virtual_time
from perdure.transport.client import RpcError
from tests.sim.world import SYNCED, World, quiet

NAMESPACE = "default"
SETTINGS = {"callback.allowedAddresses": [{"Pattern": "*", "AllowInsecure": True}]}
DAY_S = 86_400.0

Behaviour = Callable[[Outgoing], Awaitable[int]]
"""What a receiver answers, after as long as it takes; raises NoAnswer when it does not."""


class Receivers:
    """The outside world: one behaviour per destination."""

    def __init__(self, behaviours: dict[str, Behaviour]) -> None:
        self.behaviours = behaviours
        self.got: list[tuple[str, float]] = []
        """(path, loop time) of every request."""
        self.active: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def post(self, namespace: str, destination: str, request: Outgoing) -> HttpAnswer:
        assert request.headers["nexus-operation-state"]
        self.got.append((request.url.removeprefix(destination), asyncio.get_running_loop().time()))
        self.active[destination] += 1
        self.most[destination] = max(self.most[destination], self.active[destination])
        try:
            return HttpAnswer(await self.behaviours[destination](request), "", "", "", b"")
        finally:
            self.active[destination] -= 1

    async def close(self) -> None:
        pass

    def paths(self) -> list[str]:
        return [path for path, _ in self.got]


async def well(_: Outgoing) -> int:
    await asyncio.sleep(0.01)
    return 200


async def dead(_: Outgoing) -> int:
    raise NoAnswer("connection refused")


async def silent(_: Outgoing) -> int:
    await asyncio.sleep(10.0)
    raise NoAnswer("context deadline exceeded")


def _run(scenario: Callable[[], Awaitable[None]], seed: int = 1) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30 * DAY_S):
            await scenario()

    quiet()
    virtual_time.run(seed, bounded())


async def _world(receivers: Receivers, faults: Faults | None = None) -> World:
    def prepare(server: Server) -> None:
        server.engine.callbacks.outside = receivers

    world = World(faults, disk=SYNCED, settings=SETTINGS, prepare=prepare)
    await world.boot()
    return world


async def _closed(world: World, workflow_id: str, *urls: str) -> None:
    """A workflow with these callbacks that has been terminated."""
    start = workflowservice.StartWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_id=workflow_id,
        workflow_type=common.WorkflowType(name="t"),
        task_queue=taskqueue.TaskQueue(name="q"),
        request_id=workflow_id,
    )
    for url in urls:
        start.completion_callbacks.add().nexus.url = url
    await world.sure("StartWorkflowExecution", start)
    terminate = workflowservice.TerminateWorkflowExecutionRequest(
        namespace=NAMESPACE, workflow_execution=common.WorkflowExecution(workflow_id=workflow_id)
    )
    try:
        await world.sure("TerminateWorkflowExecution", terminate)
    except RpcError as error:
        # The first time it was heard, but the answer was not.
        if "already completed" not in str(error):
            raise


async def _shown(world: World, workflow_id: str) -> list[workflow.CallbackInfo]:
    request = workflowservice.DescribeWorkflowExecutionRequest(
        namespace=NAMESPACE, execution=common.WorkflowExecution(workflow_id=workflow_id)
    )
    reply: workflowservice.DescribeWorkflowExecutionResponse = await world.sure("DescribeWorkflowExecution", request)
    return list(reply.callbacks)


def test_a_destination_that_hangs_holds_up_nobody_else() -> None:
    """It has at most its share of requests under way; others are delivered at once."""

    async def scenario() -> None:
        receivers = Receivers({"http://slow": silent, "http://good": well})
        world = await _world(receivers)
        await _closed(world, "many", *[f"http://slow/{n}" for n in range(200)])
        before = world.loop.time()
        await _closed(world, "one", "http://good/x")
        await asyncio.sleep(1.0)
        assert "/x" in receivers.paths()
        assert dict(receivers.got)["/x"] - before < 0.5
        assert receivers.most["http://slow"] == callbacks.DESTINATION_REQUESTS_MAX
        await world.close()

    _run(scenario)


def test_a_dead_destination_is_left_alone_for_a_while() -> None:
    """After some failures its circuit opens; then one request tries, and its success lets all others go."""

    async def scenario() -> None:
        receivers = Receivers({"http://gone": dead})
        world = await _world(receivers)
        await _closed(world, "w", "http://gone/a")
        await asyncio.sleep(40.0)
        assert len(receivers.got) == FAILURES_MAX + 1
        last = receivers.got[-1][1]
        await _closed(world, "v", *[f"http://gone/{n}" for n in range(50)])
        await asyncio.sleep(1.0)
        (shown, *_) = await _shown(world, "v")
        assert (shown.state, shown.blocked_reason) == (
            enums.CALLBACK_STATE_BLOCKED,
            "The circuit breaker is open.",
        )
        await asyncio.sleep(OPEN_S - 20.0)
        assert receivers.got[-1][1] == last, "nothing was sent meanwhile"
        await asyncio.sleep(10.0)
        assert len([when for _, when in receivers.got if when > last]) == 1, "one request tries"
        receivers.behaviours["http://gone"] = well
        await asyncio.sleep(OPEN_S + 5.0)
        assert {f"/{n}" for n in range(50)} <= set(receivers.paths())
        await asyncio.sleep(600.0)
        states = {one.state for name in ("v", "w") for one in await _shown(world, name)}
        assert states == {enums.CALLBACK_STATE_SUCCEEDED}
        await world.close()

    _run(scenario)


def test_what_was_owed_before_a_crash_is_delivered_after_it() -> None:
    """The server dies while the request is under way, and while the next attempt is awaited."""

    async def scenario() -> None:
        receivers = Receivers({"http://a": silent})
        world = await _world(receivers)
        await _closed(world, "w", "http://a/x")
        await asyncio.sleep(1.0)
        assert receivers.paths() == ["/x"]
        world.kill(machine=True)
        await world.boot()
        await asyncio.sleep(15.0)
        assert receivers.paths() == ["/x", "/x", "/x"], "the attempt that died, its repetition, the next one"
        receivers.behaviours["http://a"] = well
        world.kill()
        await world.boot()
        await asyncio.sleep(60.0)
        (shown,) = await _shown(world, "w")
        assert shown.state == enums.CALLBACK_STATE_SUCCEEDED
        assert not shown.HasField("last_attempt_failure")
        await world.close()

    _run(scenario)


def test_an_attempt_that_fell_due_behind_an_answer_of_unknown_fate_is_made() -> None:
    """The answer was stored, but its bearer was not told, and brings it again: by then the next attempt is owed."""

    async def scenario() -> None:
        receivers = Receivers({"http://a": dead})
        world = await _world(receivers)
        start = workflowservice.StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id="v",
            workflow_type=common.WorkflowType(name="t"),
            task_queue=taskqueue.TaskQueue(name="q"),
            request_id="v",
        )
        start.completion_callbacks.add().nexus.url = "http://a/x"
        await world.sure("StartWorkflowExecution", start)
        terminate = workflowservice.TerminateWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_execution=common.WorkflowExecution(workflow_id="v")
        )
        # The write behind the close is the one of the answer: it is stored, and then nothing can be read for a while.
        blind = Faults(unknown_applied=1.0, read_error=1.0)
        world.behind_the_next_commit(lambda: world.suffer(blind))
        await world.sure("TerminateWorkflowExecution", terminate)
        await asyncio.sleep(4.0)
        world.heal()
        receivers.behaviours["http://a"] = well
        await asyncio.sleep(30.0)
        (shown,) = await _shown(world, "v")
        assert shown.state == enums.CALLBACK_STATE_SUCCEEDED
        assert shown.attempt == 2
        await world.close()

    _run(scenario)


@pytest.mark.parametrize("seed", range(3))
def test_every_callback_arrives_under_faults(seed: int) -> None:
    """Commits that fail, servers that die, receivers that answer as they like: in the end each has heard."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        moody = loop.random

        async def odd(_: Outgoing) -> int:
            await asyncio.sleep(moody.random() * 3)
            if moody.random() < 0.2:
                raise NoAnswer("gone away")
            return moody.choice([200, 200, 500, 503, 429])

        receivers = Receivers({f"http://{n}": odd for n in range(4)})
        faults = Faults(0.05, unknown_applied=0.03, unknown_lost=0.03, read_error=0.05, latency_max_ns=SECOND // 50)
        world = await _world(receivers, faults)
        calm = asyncio.Event()
        crashes = asyncio.create_task(world.crash_now_and_then(0.5, 5.0, True, calm))
        for n in range(20):
            await _closed(world, f"w{n}", *[f"http://{m}/{n}-{m}" for m in range(4)])
        calm.set()
        await crashes
        world.heal()
        for _ in range(200):
            shown = [one for n in range(20) for one in await _shown(world, f"w{n}")]
            if all(one.state == enums.CALLBACK_STATE_SUCCEEDED for one in shown):
                break
            await asyncio.sleep(120.0)
        assert Counter(one.state for one in shown) == {enums.CALLBACK_STATE_SUCCEEDED: 80}
        assert all(timestamp_ns(one.last_attempt_complete_time) for one in shown)
        assert set(receivers.paths()) == {f"/{n}-{m}" for n in range(20) for m in range(4)}
        assert not world.server.engine.callbacks._held
        await world.close()

    _run(scenario, seed)


def test_a_circuit_opens_after_failures_in_a_row_only() -> None:
    circuit = Circuit()
    for _ in range(FAILURES_MAX):
        circuit.ended(False, 0.0)
    circuit.ended(True, 0.0)
    assert circuit.pristine
    for _ in range(FAILURES_MAX + 1):
        assert circuit.admits(1.0)
        circuit.ended(False, 1.0)
    assert not circuit.closed
    assert not circuit.admits(OPEN_S)
    assert circuit.opens_in(11.0) == OPEN_S - 10.0
    circuit.ended(True, 2.0)
    assert not circuit.closed, "an answer from before tells nothing"


def test_an_open_circuit_lets_one_request_try() -> None:
    circuit = Circuit()
    for _ in range(FAILURES_MAX + 1):
        circuit.ended(False, 0.0)
    assert circuit.admits(OPEN_S)
    assert not circuit.admits(OPEN_S), "one at a time"
    circuit.ended(False, OPEN_S + 1.0)
    assert not circuit.admits(2 * OPEN_S)
    assert circuit.admits(2 * OPEN_S + 1.0)
    circuit.abandoned()
    assert circuit.admits(2 * OPEN_S + 1.0), "the one before told nothing"
    circuit.ended(True, 2 * OPEN_S + 2.0)
    assert circuit.pristine
