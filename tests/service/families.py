"""Workflows with children and acquaintances, written as a user of the SDK writes them."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy


@workflow.defn
class Kid:
    """Does what it is told: returns, fails, goes on as new, or waits for a signal or its end."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, order: str) -> str:
        if order == "fail":
            raise ApplicationError("as told", type="Told")
        if order.startswith("again"):
            left = int(order.removeprefix("again"))
            if left:
                workflow.continue_as_new(f"again{left - 1}")
            return f"after {workflow.info().continued_run_id is not None}"
        if order == "wait":
            await workflow.wait_condition(lambda: bool(self.heard))
            return self.heard[0]
        return f"did {order}"

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)


@workflow.defn
class Parent:
    """Starts one child and tells what became of it."""

    @workflow.run
    async def run(self, order: str) -> str:
        child_id = f"{workflow.info().workflow_id}-kid"
        try:
            return await workflow.execute_child_workflow(Kid.run, order, id=child_id)
        except ChildWorkflowError as error:
            return f"{type(error.cause).__name__}: {error.cause}"


@workflow.defn
class Caller:
    """Signals its child, then waits for it."""

    @workflow.run
    async def run(self, word: str) -> str:
        handle = await workflow.start_child_workflow(Kid.run, "wait", id=f"{workflow.info().workflow_id}-kid")
        await handle.signal(Kid.hear, word)
        return await handle


@workflow.defn
class Canceller:
    """Cancels its child and waits until it has ended so."""

    @workflow.run
    async def run(self) -> str:
        handle = await workflow.start_child_workflow(
            Kid.run,
            "wait",
            id=f"{workflow.info().workflow_id}-kid",
            cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        handle.cancel()
        try:
            await handle
        except ChildWorkflowError as error:
            return type(error.cause).__name__
        return "not cancelled"


@workflow.defn
class Leaver:
    """Starts a child, waits for leave, and ends before it."""

    def __init__(self) -> None:
        self.free = False

    @workflow.run
    async def run(self, policy: int, again: bool) -> str:
        await workflow.start_child_workflow(
            Kid.run,
            "wait",
            id=f"{workflow.info().workflow_id}-kid",
            parent_close_policy=ParentClosePolicy(policy),
        )
        await workflow.wait_condition(lambda: self.free)
        if again:
            workflow.continue_as_new(args=[int(ParentClosePolicy.ABANDON), False])
        return "left"

    @workflow.signal
    def leave(self) -> None:
        self.free = True


@workflow.defn
class Stranger:
    """Signals or cancels a workflow that is not its child."""

    @workflow.run
    async def run(self, workflow_id: str, verb: str) -> str:
        handle = workflow.get_external_workflow_handle(workflow_id)
        try:
            if verb == "signal":
                await handle.signal("hear", "from a stranger")
            else:
                await handle.cancel()
        except ApplicationError as error:
            return f"{error.type}: {error}"
        return "done"


@workflow.defn
class Crowd:
    """Many children at once; the sum of what they return."""

    @workflow.run
    async def run(self, count: int) -> int:
        own = workflow.info().workflow_id
        results: list[Any] = await asyncio.gather(
            *[workflow.execute_child_workflow(Kid.run, str(n), id=f"{own}-{n}") for n in range(count)]
        )
        return sum(int(result.removeprefix("did ")) for result in results)


WORKFLOWS = [Kid, Parent, Caller, Canceller, Leaver, Stranger, Crowd]
