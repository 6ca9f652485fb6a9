"""What the simulated clients ask for, and what they were promised: starts, signals, queries, results.

A promise is an acknowledgement; what must follow from it is judged in `judge`, from histories read at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, Protocol, final

from perdure.api import Message, common, enums, history, taskqueue, workflowservice
from perdure.errors import StatusCode
from perdure.testing.programs import (
    CRON,
    RETRIED,
    TASK_QUEUE,
    AwaitCancel,
    AwaitChild,
    AwaitSignals,
    AwaitUpdates,
    Both,
    Child,
    Do,
    Program,
    Sleep,
    Stop,
    Tell,
    payloads,
    value_of,
)
from perdure.testing.update_answers import LATER, NOW
from perdure.testing.worker import Activity, ActivityFailed, ActivityLost, Attempt
from perdure.transport.client import RpcError
from tests.sim.audit import Violation, audit_chain, audit_signals, audit_updates, signals_of

NAMESPACE: Final = "default"
RESULT_S: Final = 30.0
"""Deadline of one long poll for a result."""

PROGRAMS: Final = {
    "line": Program(Do("a", "echo"), Do("b", "flaky"), Do("c", "echo")),
    "fan": Program(Both(*[Do(f"f{n}", "echo") for n in range(5)], Sleep("t", 3.0), Do("flaky", "flaky"))),
    "beat": Program(Do("slow", "slow", timeout_s=60.0, heartbeat_s=3.0), Sleep("after", 2.0)),
    "lost": Program(Do("silent", "silent", timeout_s=4.0)),
    "listen": Program(Sleep("nap", 1.0), AwaitSignals(4), Do("x", "echo")),
    "again": Program(Do("a", "echo"), Sleep("s", 1.0), runs=3),
    "doomed": Program(Do("bad", "bad", attempts_max=2)),
    "quick": Program(Do("a", "echo"), Both(Do("b", "echo"), Do("c", "echo")), Do("d", "echo")),
    "family": Program(Child("kid", "hearing"), Tell("hello", "kid"), Do("a", "echo"), AwaitChild("kid")),
    "hearing": Program(AwaitSignals(1), Do("b", "echo")),
    "agree": Program(Do("a", "echo"), AwaitUpdates(4), Do("b", "echo")),
    "month": Program(Sleep("month", 30 * 86_400.0)),
    "stubborn": Program(Do("a", "echo"), runs=3, goes_on=RETRIED),
    "patron": Program(Child("kid", "stubborn", attempts_max=5), Do("a", "echo"), AwaitChild("kid")),
    "clockwork": Program(Do("a", "echo"), runs=3, goes_on=CRON),
    "pair": Program(Do("a", "echo"), runs=2),
    "court": Program(Do("a", "echo"), AwaitUpdates(2), Do("b", "echo")),
    "door": Program(AwaitSignals(4), Do("a", "echo")),
    "crowd": Program(Both(*[Do(f"c{n}", "echo") for n in range(4)]), AwaitSignals(12), Do("b", "echo")),
    "diary": Program(Do("a", "echo"), AwaitSignals(3), Do("b", "echo")),
    "toil": Program(Do("toil", "guarded"), Do("b", "echo")),
    "caller": Program(Tell("hello", "callee"), Stop("enough", "callee"), Do("a", "echo")),
    "callee": Program(AwaitSignals(1), Do("b", "echo"), AwaitCancel()),
    "leaver": Program(
        Child("dropped", "hearing", enums.PARENT_CLOSE_POLICY_TERMINATE),
        Child("asked", "callable", enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL),
        Child("free", "quick", enums.PARENT_CLOSE_POLICY_ABANDON),
    ),
    "callable": Program(AwaitCancel()),
}
SIGNALS: Final = {"listen": 4}
"""Signals that a workflow of a type gets."""


@final
class Guard:
    """What the clients say to the activity `guarded`, and what they hear of it."""

    def __init__(self) -> None:
        self.begun: dict[str, list[float]] = {}
        """Times at which attempts of it began to run, by workflow."""
        self.open: set[str] = set()
        """Workflows whose next attempt is to succeed."""


def activities(guard: Guard | None = None) -> dict[str, Activity]:
    """Activity types by name. Each completion has a result of its own, so one counted twice would show."""
    executions = 0
    watch = guard if guard is not None else Guard()

    async def echo(attempt: Attempt) -> object:
        nonlocal executions
        executions += 1
        return f"{attempt.task.activity_id}#{executions}"

    async def flaky(attempt: Attempt) -> object:
        if attempt.attempt < 3:
            raise ActivityFailed(f"attempt {attempt.attempt}")
        return await echo(attempt)

    async def bad(attempt: Attempt) -> object:
        raise ActivityFailed(f"attempt {attempt.attempt}")

    async def slow(attempt: Attempt) -> object:
        for beat in range((attempt.details or 0) + 1, 9):
            await asyncio.sleep(1.0)
            await attempt.heartbeat(beat)
        return await echo(attempt)

    async def silent(attempt: Attempt) -> object:
        if attempt.attempt < 2:
            raise ActivityLost
        return await echo(attempt)

    async def guarded(attempt: Attempt) -> object:
        name = attempt.task.workflow_execution.workflow_id
        watch.begun.setdefault(name, []).append(asyncio.get_running_loop().time())
        if name not in watch.open:
            raise ActivityFailed("not yet")
        return await echo(attempt)

    return {"echo": echo, "flaky": flaky, "bad": bad, "slow": slow, "silent": silent, "guarded": guarded}


UPDATES: Final = {"agree": (NOW, LATER, NOW, LATER)}
"""Updates that a workflow of a type gets, by name."""


class Place(Protocol):
    """Where a story is told: a simulated world, or a real server."""

    random: Random

    async def sure(self, method: str, request: Message, timeout_s: float = ...) -> Any:
        """The answer, asked for as often as it takes."""
        ...


def _as_it_is(_: workflowservice.StartWorkflowExecutionRequest) -> None:
    """A start as it comes."""


@final
class Story:
    """One workflow from a client's side."""

    def __init__(self, world: Place, workflow_id: str, kind: str) -> None:
        self.world = world
        self.workflow_id = workflow_id
        self.kind = kind
        self.run_id = ""
        """Known once the start was acknowledged."""
        self.acknowledged: list[str] = []
        self.outcomes: dict[str, object] = {}
        """Of updates, by id, as their callers were told."""
        self.result: dict[str, object] = {}
        self.histories: list[list[history.HistoryEvent]] = []
        """Of all runs, first to last."""
        self.done = False
        self._second_signal = asyncio.Event()

    async def tell(self) -> None:
        """Start, signal, wait for the result, read what happened. Raises Violation."""
        await self.start()
        tasks = [self.signal(f"{self.workflow_id}/{number}") for number in range(SIGNALS.get(self.kind, 0))]
        tasks += [
            self._update(f"{self.workflow_id}/{number}", name) for number, name in enumerate(UPDATES.get(self.kind, ()))
        ]
        if self.kind == "listen":
            tasks.append(self._query())
        try:
            await asyncio.gather(self.finish(), *tasks)
            for update_id in self.outcomes:
                await self._ask_again(update_id)
        except RpcError as error:
            raise Violation(f"B1: {self.workflow_id} was acknowledged, and now: {error}") from error
        self.done = True

    async def start(self, change: Callable[[workflowservice.StartWorkflowExecutionRequest], None] = _as_it_is) -> None:
        """Start until it is acknowledged."""
        request = workflowservice.StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            workflow_type=common.WorkflowType(name=self.kind),
            task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
            request_id=f"start {self.workflow_id}",
        )
        change(request)
        answer = await self.world.sure("StartWorkflowExecution", request)
        self.run_id = answer.run_id

    async def signal(self, name: str) -> None:
        """Send a signal within some seconds."""
        await asyncio.sleep(self.world.random.uniform(0.0, 8.0))
        request = workflowservice.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=common.WorkflowExecution(workflow_id=self.workflow_id, run_id=self.run_id),
            signal_name="news",
            input=payloads(name),
            request_id=name,
        )
        await self.world.sure("SignalWorkflowExecution", request)
        self.acknowledged.append(name)
        if len(self.acknowledged) == 2:
            self._second_signal.set()

    async def _update(self, update_id: str, name: str) -> None:
        """Ask until the outcome is told. What no worker has accepted may be forgotten, so it is sent again."""
        await asyncio.sleep(self.world.random.uniform(0.0, 8.0))
        request = workflowservice.UpdateWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=common.WorkflowExecution(workflow_id=self.workflow_id, run_id=self.run_id),
        )
        request.wait_policy.lifecycle_stage = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        request.request.meta.update_id = update_id
        request.request.input.name = name
        while update_id not in self.outcomes:
            try:
                answer = await self.world.sure("UpdateWorkflowExecution", request)
            except RpcError as error:
                # The run's task has failed several times; it is not the time for updates.
                if error.code != StatusCode.FAILED_PRECONDITION:
                    raise
                await asyncio.sleep(1.0)
                continue
            if answer.HasField("outcome"):
                self.outcomes[update_id] = value_of(answer.outcome.success)

    async def _ask_again(self, update_id: str) -> None:
        """B12: whoever asks later is told the same, also of a closed run."""
        request = workflowservice.PollWorkflowExecutionUpdateRequest(namespace=NAMESPACE)
        request.update_ref.workflow_execution.workflow_id = self.workflow_id
        request.update_ref.workflow_execution.run_id = self.run_id
        request.update_ref.update_id = update_id
        request.wait_policy.lifecycle_stage = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        told = await self.world.sure("PollWorkflowExecutionUpdate", request)
        if value_of(told.outcome.success) != self.outcomes[update_id]:
            raise Violation(f"B12: {update_id} was {self.outcomes[update_id]}, and later {told.outcome}")

    async def _query(self) -> None:
        """B13: a query asked after a signal was acknowledged sees it."""
        await self._second_signal.wait()
        told = list(self.acknowledged)
        request = workflowservice.QueryWorkflowRequest(
            namespace=NAMESPACE, execution=common.WorkflowExecution(workflow_id=self.workflow_id)
        )
        request.query.query_type = "seen"
        try:
            answer = await self.world.sure("QueryWorkflow", request)
        except RpcError as error:
            if error.code != StatusCode.FAILED_PRECONDITION:
                raise
            return
        seen = value_of(answer.query_result)
        if not set(told) <= set(seen):
            raise Violation(f"B13: a query saw {seen} after {told} were acknowledged")

    async def finish(self) -> None:
        """Wait for the last run's close."""
        run_id = self.run_id
        while run_id:
            run_id = await self.closed(run_id)

    async def closed(self, run_id: str) -> str:
        """Wait for a run's close, read its history; the run it continued as, "" when there is none."""
        request = workflowservice.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            execution=common.WorkflowExecution(workflow_id=self.workflow_id, run_id=run_id),
            wait_new_event=True,
            history_event_filter_type=enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        while True:
            page = await self.world.sure("GetWorkflowExecutionHistory", request, RESULT_S)
            if page.history.events:
                break
            request.next_page_token = page.next_page_token
        events = await self.events(run_id)
        self.histories.append(events)
        close = events[-1]
        if close.SerializeToString(deterministic=True) != page.history.events[0].SerializeToString(deterministic=True):
            raise Violation(
                f"B25: the close filter shows {page.history.events[0]}, the whole history ends with {close}"
            )
        following: str = getattr(getattr(close, str(close.WhichOneof("attributes"))), "new_execution_run_id", "")
        if following:
            return following
        self.result = value_of(close.workflow_execution_completed_event_attributes.result) or {}
        return ""

    async def events(self, run_id: str) -> list[history.HistoryEvent]:
        """The whole history of a run as it is now, in small pages."""
        request = workflowservice.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            execution=common.WorkflowExecution(workflow_id=self.workflow_id, run_id=run_id),
            maximum_page_size=3,
        )
        events: list[history.HistoryEvent] = []
        while True:
            page = await self.world.sure("GetWorkflowExecutionHistory", request)
            events.extend(page.history.events)
            request.next_page_token = page.next_page_token
            if not page.next_page_token:
                return events

    def judge(self) -> list[str]:
        """Every promise of this story was kept; the results of its activities. Raises Violation."""
        program = PROGRAMS[self.kind]
        if len(self.histories) != program.runs:
            raise Violation(f"B21: {self.workflow_id} ran {len(self.histories)} times, not {program.runs}")
        found = audit_chain(self.histories)
        close = self.histories[-1][-1].event_type
        if close != enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            raise Violation(f"{self.workflow_id} ended with {enums.EventType.Name(close)}")
        audit_signals([name for events in self.histories for name in signals_of(events)], self.acknowledged)
        if self.result.get("signals") != signals_of(self.histories[-1]):
            raise Violation(f"B20: {self.workflow_id} did not see all its signals")
        if self.result.get("run") != program.runs:
            raise Violation(f"B21: {self.workflow_id} has the result of run {self.result.get('run')}")
        if self.kind == "family":
            _judge_family(self)
        audit_updates(self.histories[0], self.outcomes, len(UPDATES.get(self.kind, ())))
        return found


class Told(Protocol):
    """A story that was told from beginning to end."""

    def judge(self) -> list[str]:
        """The results of its activities. Raises Violation."""
        ...


def judge(stories: Sequence[Told]) -> None:
    """Every promise was kept. Raises Violation."""
    results = [result for story in stories for result in story.judge()]
    if len(set(results)) != len(results):
        raise Violation("B17: one activity result was recorded twice")


def _judge_family(story: Story) -> None:
    """B21: one child, told of once; the signal to it arrived once."""
    kinds = [event.event_type for event in story.histories[0]]
    for kind in (
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
        enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
        enums.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
    ):
        if kinds.count(kind) != 1:
            raise Violation(f"B21: {kinds.count(kind)} times {enums.EventType.Name(kind)} in {story.workflow_id}")
    outcomes = story.result["activities"]
    assert isinstance(outcomes, dict)
    if outcomes["kid"]["signals"] != ["hello"]:
        raise Violation(f"B21: the child of {story.workflow_id} heard {outcomes['kid']['signals']}")
