"""A real SDK worker leaves the same behind on both servers: whole histories, descriptions, list entries.

The scenarios speak RPCs and send what they choose; this sends what an SDK sends. Each program runs once on each server,
all at the same time, and is compared when it is over.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any as Anything
from typing import Final

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice import v1 as rpc
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import ChildWorkflowCancellationType

from . import sdk_families as families
from . import sdk_programs as programs
from .normalise import Normaliser
from .runner import Run, differences
from .script import NAMESPACE
from .servers import PERDURE, REAL, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WORKER: Final = "sdk-worker"
PROGRAM_S: Final = 40.0
LISTED_S: Final = 10.0
REPEATS: Final = 3
"""How often a program that differs is run again alone before it counts."""


_STICKY = re.compile(rf"{WORKER}-[0-9a-f]{{32}}")
_CLOCKED = re.compile(r'"(?:complete_time|original_schedule_time)":\{[^}]*\}')


class SdkNormaliser(Normaliser):
    """Beside what every transcript leaves out: what an SDK makes up anew in each run.

    Names of sticky queues, times in its markers, the order of its flags; how long a run waits for its turn, which
    counts from a clock reading; and whether a task came with the answer to the last one or by a poll, which the request
    id of its start tells and the moment decides.
    """

    def text(self, text: str) -> str:
        return super().text(_CLOCKED.sub('"<time>"', _STICKY.sub("<sticky>", text)))

    def _field(self, field: FieldDescriptor, value: Anything) -> Iterator[str]:
        if field.name == "first_workflow_task_backoff":
            yield f"{field.name}: <backoff>"
        elif field.name == "request_id":
            yield f"{field.name}: <request>"
        elif field.name in ("core_used_flags", "lang_used_flags"):
            yield f"{field.name}: {sorted(value)}"
        else:
            yield from super()._field(field, value)


class Story:
    """One program on one server: starts its workflows with ids of its own, and tells what became of them."""

    def __init__(self, client: Client, name: str, nonce: str) -> None:
        self.client = client
        self.name = name
        self.nonce = nonce
        self.id = f"{name}-{nonce}"
        self.queue = f"q-{nonce}"
        self.facts: list[str] = []
        self.others: list[str] = []
        """Workflows beside the main one that are compared, too."""

    async def start(self, kind: Anything, *args: Anything, **fields: Anything) -> WorkflowHandle[Anything, Anything]:
        given: dict[str, Anything] = {"id": self.id, "task_queue": self.queue, "task_timeout": timedelta(seconds=10)}
        handle: WorkflowHandle[Anything, Anything] = await self.client.start_workflow(
            kind, args=args, **(given | fields)
        )
        return handle

    async def result(self, handle: WorkflowHandle[Anything, Anything]) -> None:
        try:
            self.facts.append(f"result: {await handle.result()}")
        except WorkflowFailureError as failed:
            self.facts.append(f"failure: {type(failed.cause).__name__}: {failed.cause}")

    async def settled(self, handle: WorkflowHandle[Anything, Anything]) -> None:
        """Wait until the workflow's first task is over, so that what follows comes after it."""
        completed = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == completed:
                return

    async def transcript(self) -> Run:
        """What can be seen of each run of each workflow, as lines."""
        normaliser = SdkNormaliser(self.nonce)
        lines = list(self.facts)
        for workflow_id in [self.id, *self.others]:
            run_id = ""
            for number in itertools.count(1):
                lines.append(f"run {number} of {workflow_id.replace(self.nonce, '<run>')}")
                history = await self._history(workflow_id, run_id or await self._first_run(workflow_id))
                described, listed = await self._seen(workflow_id, run_id or await self._first_run(workflow_id))
                for message in (history, described, listed):
                    lines += normaliser.lines(message)
                run_id = successor(history)
                if not run_id:
                    break
        return Run(self.name, tuple(lines))

    async def _first_run(self, workflow_id: str) -> str:
        description = await self.client.get_workflow_handle(workflow_id).describe()
        return description.raw_description.workflow_execution_info.first_run_id

    async def _history(self, workflow_id: str, run_id: str) -> rpc.GetWorkflowExecutionHistoryResponse:
        request = rpc.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE, execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        )
        return await self.client.workflow_service.get_workflow_execution_history(request)

    async def _seen(self, workflow_id: str, run_id: str) -> tuple[Message, Message]:
        """The description, and the list's entry once the list tells the same status."""
        service = self.client.workflow_service
        execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        described = await service.describe_workflow_execution(
            rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=execution)
        )
        status = described.workflow_execution_info.status
        request = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=f"RunId = '{run_id}'")
        async with asyncio.timeout(LISTED_S):
            while True:
                listed = await service.list_workflow_executions(request)
                if listed.executions and listed.executions[0].status == status:
                    return described, listed
                await asyncio.sleep(0.05)


def successor(history: rpc.GetWorkflowExecutionHistoryResponse) -> str:
    """The run after this one, "" when this is the last."""
    last = history.history.events[-1]
    kind = last.WhichOneof("attributes")
    assert kind is not None
    found: str = getattr(getattr(last, kind), "new_execution_run_id", "")
    return found


async def activities(s: Story) -> None:
    await s.result(await s.start(programs.Activities.run))


async def local(s: Story) -> None:
    await s.result(await s.start(programs.Local.run))


async def cancels(s: Story) -> None:
    await s.result(await s.start(programs.Cancels.run))


async def talks(s: Story) -> None:
    """Signal, queries and updates, each awaited before the next."""
    handle = await s.start(programs.Talks.run, start_signal="hear", start_signal_args=["first"])
    s.facts.append(f"query: {await handle.query('said')}")
    s.facts.append(f"update: {await handle.execute_update('ask', 'one', id='one')}")
    with suppress(WorkflowUpdateFailedError):
        await handle.execute_update("ask", "", id="bad")
    s.facts.append(f"update: {await handle.execute_update('ask', 'two', id='two')}")
    await handle.signal("hear", "end")
    await s.result(handle)
    s.facts.append(f"query: {await handle.query('said')}")


async def children(s: Story) -> None:
    s.others = [f"{s.id}-{letter}" for letter in "abc"]
    await s.result(await s.start(programs.Parent.run))
    await s.result(s.client.get_workflow_handle(f"{s.id}-c"))


async def external(s: Story) -> None:
    s.others = [f"{s.id}-other"]
    other = await s.start(programs.Child.run, "wait", id=s.others[0])
    await s.settled(other)
    await s.result(await s.start(programs.External.run, other.id))
    await s.result(other)


async def again(s: Story) -> None:
    await s.result(await s.start(programs.Again.run, 2, run_timeout=timedelta(seconds=50), memo={"first": True}))


async def fails(s: Story) -> None:
    await s.result(await s.start(programs.Fails.run))


async def retries(s: Story) -> None:
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=200), backoff_coefficient=1.0, maximum_attempts=2)
    await s.result(await s.start(programs.Fails.run, retry_policy=policy))


async def cron(s: Story) -> None:
    """Waits for its first time; then it is ended."""
    handle = await s.start(programs.Again.run, 0, cron_schedule="0 0 1 1 *")
    await handle.terminate("enough", "detail")
    await s.result(handle)


async def delayed(s: Story) -> None:
    await s.result(await s.start(programs.Again.run, 0, start_delay=timedelta(milliseconds=300)))


async def stumbles(s: Story) -> None:
    await s.result(await s.start(programs.Stumbles.run))


async def attributes(s: Story) -> None:
    """All that a start can say of itself beside its input."""
    pair = SearchAttributePair(programs.KEYWORD, "started")
    handle = await s.start(
        programs.Attributes.run,
        memo={"old": 1, "kept": "x"},
        search_attributes=TypedSearchAttributes([pair]),
        static_summary="a summary",
        static_details="some details",
        priority=Priority(priority_key=2, fairness_key="f", fairness_weight=2.0),
        execution_timeout=timedelta(hours=1),
        run_timeout=timedelta(minutes=30),
    )
    await s.result(handle)


async def cancelled(s: Story) -> None:
    handle = await s.start(programs.Child.run, "wait")
    await s.settled(handle)
    await handle.cancel()
    await s.result(handle)


async def times_out(s: Story) -> None:
    await s.result(await s.start(programs.TimesOut.run))


async def unfinished(s: Story) -> None:
    """A run that still waits, for a description of one."""
    await s.settled(await s.start(programs.Child.run, "wait"))


async def harder(s: Story) -> None:
    handle = await s.start(programs.Harder.run)
    outside = s.client.get_async_activity_handle(workflow_id=s.id, run_id=None, activity_id="elsewhere")
    while True:
        try:
            await outside.heartbeat("from outside")
            break
        except RPCError:
            await asyncio.sleep(0.02)
    await outside.complete("done elsewhere")
    await s.result(handle)


async def cancels_child(s: Story) -> None:
    s.others = [f"{s.id}-a"]
    await s.result(await s.start(programs.CancelsChild.run))


async def lets_go(s: Story) -> None:
    """A child that is cancelled in each of the ways that SDKs have; it tidies up first."""
    for way in ChildWorkflowCancellationType:
        main = f"{s.id}-{way.name.lower()}" if way else s.id
        handle = await s.start(families.LetsGo.run, int(way), id=main)
        await s.result(handle)
        child = s.client.get_workflow_handle(f"{main}-a")
        if way == ChildWorkflowCancellationType.ABANDON:
            await child.terminate("enough")
        await s.result(child)
        s.others += [main, child.id] if way else [child.id]


async def ends(s: Story) -> None:
    s.others = [f"{s.id}-{letter}" for letter in "abcd"]
    await s.result(await s.start(families.Ends.run))


async def heir(s: Story) -> None:
    s.others = [f"{s.id}-a"]
    await s.result(await s.start(families.Heir.run))
    await s.result(s.client.get_workflow_handle(s.others[0]))


async def eager(s: Story) -> None:
    """The worker of the same client gets the first task with the answer to the start."""
    await s.result(await s.start(programs.Again.run, 0, request_eager_start=True))


async def existing(s: Story) -> None:
    """A second start meets the first run, by policy and by update."""
    handle = await s.start(programs.Talks.run)
    again = await s.start(programs.Talks.run, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
    s.facts.append(f"the same run: {again.result_run_id == handle.result_run_id}")
    start = WithStartWorkflowOperation(
        programs.Talks.run,
        id=s.id,
        task_queue=s.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    told = await s.client.execute_update_with_start_workflow(
        programs.Talks.ask, "with start", id="with", start_workflow_operation=start
    )
    s.facts.append(f"update: {told}")
    await handle.signal("hear", "end")
    await s.result(handle)


async def update_starts(s: Story) -> None:
    """An update that starts its workflow."""
    start = WithStartWorkflowOperation(
        programs.Talks.run,
        id=s.id,
        task_queue=s.queue,
        task_timeout=timedelta(seconds=10),
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    told = await s.client.execute_update_with_start_workflow(
        programs.Talks.ask, "with start", id="with", start_workflow_operation=start
    )
    s.facts.append(f"update: {told}")
    handle = s.client.get_workflow_handle(s.id)
    await handle.signal("hear", "end")
    await s.result(handle)


PROGRAMS: Final[tuple[Callable[[Story], Awaitable[None]], ...]] = (
    activities,
    again,
    attributes,
    cancelled,
    cancels,
    cancels_child,
    children,
    cron,
    delayed,
    eager,
    ends,
    existing,
    external,
    fails,
    harder,
    heir,
    lets_go,
    local,
    retries,
    stumbles,
    talks,
    times_out,
    update_starts,
    unfinished,
)


async def told(target: str, names: Iterable[str]) -> dict[str, Run]:
    """Run these programs on a server at the same time, each with a worker of its own: what each left behind."""
    client = await Client.connect(target, identity="client")
    chosen = [program for program in PROGRAMS if program.__name__ in set(names)]
    runs = await asyncio.gather(*[_one(client, program) for program in chosen])
    return {run.name: run for run in runs}


async def _one(client: Client, program: Callable[[Story], Awaitable[None]]) -> Run:
    story = Story(client, program.__name__, "n" + uuid.uuid4().hex[:12])
    worker = Worker(
        client,
        task_queue=story.queue,
        identity=WORKER,
        workflows=[*programs.WORKFLOWS, *families.WORKFLOWS],
        activities=programs.ACTIVITIES,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        try:
            async with asyncio.timeout(PROGRAM_S):
                await program(story)
                return await story.transcript()
        except TimeoutError:
            return Run(story.name, (f"not over after {PROGRAM_S} s", *story.facts))


NAMES: Final = [program.__name__ for program in PROGRAMS]


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The real server's address, and ours."""
    folder = tmp_path_factory.mktemp("sdk")
    with Server(REAL, folder / "real.log") as real, Server(PERDURE, folder / "perdure.log") as ours:
        yield [real.target, ours.target]


@pytest.fixture(scope="module")
def first(targets: list[str]) -> list[dict[str, Run]]:
    """What all programs left on each, run one server after the other."""
    return [asyncio.run(told(target, NAMES)) for target in targets]


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_leaves_the_same(name: str, targets: list[str], first: list[dict[str, Run]]) -> None:
    """Histories, descriptions and list entries are equal after normalisation.

    A difference counts when it shows again and again without company: what is apart in time comes together on a busy
    machine. A wrong field does not go away.
    """
    difference = differences(first[0][name], first[1][name], "temporal", "perdure")
    for _ in range(REPEATS):
        if not difference:
            break
        expected, got = (asyncio.run(told(target, [name]))[name] for target in targets)
        difference = differences(expected, got, "temporal", "perdure")
    if difference:
        pytest.fail(f"{name}\n{difference}", pytrace=False)


def test_programs_end(first: list[dict[str, Run]]) -> None:
    """Equal transcripts mean something: every program came to its end on both."""
    for runs in first:
        assert not [name for name, run in runs.items() if run.lines[0].startswith("not over")]
