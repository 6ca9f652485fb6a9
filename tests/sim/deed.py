"""What the stories of operators and of kin have in common: a workflow, the stage, and asking until it is so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, final

from perdure.api import Message, common, history, workflowservice
from perdure.errors import StatusCode
from perdure.machines.workflow.invocations import HttpAnswer, NoAnswer, Outgoing
from perdure.transport.client import RpcError
from tests.sim.audit import Violation
from tests.sim.load import NAMESPACE, Guard, Place, Story

LOOK_S: Final = 0.5
"""Pause before a client looks again."""


@final
class Outdoors:
    """The world outside, which hears of completions: half of the time badly."""

    def __init__(self, random: Any) -> None:
        self.heard: dict[str, list[bytes]] = {}
        """Bodies by path."""
        self.bad = True
        self._random = random

    async def post(self, namespace: str, destination: str, request: Outgoing) -> HttpAnswer:
        """Take a request, and answer as one likes."""
        self.heard.setdefault(request.url.removeprefix(destination), []).append(request.body)
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        if self.bad and self._random.random() < 0.3:
            raise NoAnswer("gone away")
        return HttpAnswer(self._random.choice((200, 500)) if self.bad else 200, "", "", "", b"")

    async def close(self) -> None:
        """Nothing is held."""


class Stage(Place, Protocol):
    """Where these stories are told: with the world outside, and what is said to activities."""

    guard: Guard
    outdoors: Outdoors
    address: str
    """Of the world outside: scheme and host."""
    alone: bool
    """Whether no process lives on that was succeeded: until leases are built, one may read what it was before."""
    steady: bool
    """Whether times of different workflows can be compared: the clock does not jump."""


async def until(done: Callable[[], Any]) -> Any:
    """What `done` answers once that is something."""
    while True:
        if found := await done():
            return found
        await asyncio.sleep(LOOK_S)


async def perhaps(stage: Stage, method: str, request: Message, *settled: StatusCode) -> Any:
    """The answer; None when the server says that it is done already, for an earlier attempt may have done it."""
    try:
        return await stage.sure(method, request)
    except RpcError as error:
        if error.code not in settled:
            raise
        return None


class Deed:
    """A story around one workflow or chain of runs."""

    kind: str

    def __init__(self, stage: Stage, workflow_id: str) -> None:
        self.stage = stage
        self.workflow_id = workflow_id
        self.story = Story(stage, workflow_id, self.kind)
        self.done = False

    @property
    def histories(self) -> list[list[history.HistoryEvent]]:
        """Of the runs of the workflow, first to last."""
        return self.story.histories

    async def tell(self) -> None:
        """The whole story. Raises Violation."""
        try:
            await self.act()
        except RpcError as error:
            raise Violation(f"B1: {self.workflow_id}: {error}") from error
        self.done = True

    async def act(self) -> None:
        raise NotImplementedError

    def judge(self) -> list[str]:
        """The results of the activities. Raises Violation."""
        return self.story.judge()

    # What several of them do

    def execution(self, run_id: str = "") -> common.WorkflowExecution:
        return common.WorkflowExecution(workflow_id=self.workflow_id, run_id=run_id or self.story.run_id)

    async def sleep(self, most_s: float) -> None:
        await asyncio.sleep(self.stage.random.uniform(0.0, most_s))

    async def describe(self, run_id: str = "") -> workflowservice.DescribeWorkflowExecutionResponse | None:
        """What the server says of a run; None when there is none."""
        request = workflowservice.DescribeWorkflowExecutionRequest(
            namespace=NAMESPACE, execution=self.execution(run_id)
        )
        found = await perhaps(self.stage, "DescribeWorkflowExecution", request, StatusCode.NOT_FOUND)
        assert found is None or isinstance(found, workflowservice.DescribeWorkflowExecutionResponse)
        return found

    async def runs(self) -> list[str]:
        """B2: the runs that the list shows."""
        request = workflowservice.ListWorkflowExecutionsRequest(
            namespace=NAMESPACE, query=f"WorkflowId = '{self.workflow_id}'", page_size=100
        )
        listed = await self.stage.sure("ListWorkflowExecutions", request)
        return [one.execution.run_id for one in listed.executions]

    async def delete(self, run_id: str) -> None:
        """Delete a run, and wait until nobody knows it."""
        request = workflowservice.DeleteWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_execution=self.execution(run_id)
        )
        await perhaps(self.stage, "DeleteWorkflowExecution", request, StatusCode.NOT_FOUND)

        async def gone() -> bool:
            return await self.describe(run_id) is None and run_id not in await self.runs()

        await until(gone)


async def all_runs(deed: Deed, least: int) -> None:
    """B2: a workflow has so many runs in the list, and no other."""
    runs = await deed.runs()
    if len(runs) != least or len(set(runs)) != least:
        raise Violation(f"B2: {deed.workflow_id} should have {least} runs, the list has {runs}")
