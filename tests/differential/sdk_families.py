"""Programs for a real SDK worker about children: every way to cancel one, ends of every kind, children that go on.

Each waits for one thing before it does the next, as in `sdk_programs.py`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

APART_S: Final = 0.3
"""Between two things that would race: longer than a workflow task takes."""


@workflow.defn
class Kid:
    """Does what it is told, and hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, order: str, left: int = 0) -> list[str]:
        if order == "last":
            # Runs of a chain begin a second apart: so long that nothing is made up for.
            await workflow.sleep(4 * APART_S)
        elif order != "wait":
            await workflow.sleep(APART_S)
        if order == "fail":
            raise ApplicationError("as told", type="Told")
        if order == "last" and left:
            workflow.continue_as_new(args=[order, left - 1])
        if order == "wait":
            await workflow.wait_condition(lambda: bool(self.heard))
        if order == "tidy":
            try:
                await workflow.wait_condition(lambda: False)
            except asyncio.CancelledError:
                await workflow.sleep(2 * APART_S)
                raise
        return self.heard

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)


@workflow.defn
class LetsGo:
    """Cancels a child in one of the ways there are."""

    @workflow.run
    async def run(self, way: int) -> str:
        child = await workflow.start_child_workflow(
            Kid.run,
            "tidy",
            id=f"{workflow.info().workflow_id}-a",
            cancellation_type=ChildWorkflowCancellationType(way),
            parent_close_policy=ParentClosePolicy.ABANDON,
        )
        await workflow.sleep(2 * APART_S)
        child.cancel()
        try:
            await child
        except ChildWorkflowError as error:
            # A workflow that is over sends nothing any more.
            await workflow.sleep(APART_S)
            return type(error.cause).__name__
        return "not cancelled"


@workflow.defn
class Ends:
    """Children that fail and are tried again, that run out of time, that go on as new, that cannot start."""

    @workflow.run
    async def run(self) -> list[str]:
        own = workflow.info().workflow_id
        found: list[str] = []
        twice = RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1.0, maximum_attempts=2)
        cases: dict[str, dict[str, Any]] = {
            "a": {"args": ["fail"], "retry_policy": twice},
            "b": {"args": ["wait"], "run_timeout": timedelta(seconds=1)},
            "c": {"args": ["wait"], "execution_timeout": timedelta(seconds=1), "retry_policy": twice},
            "d": {"args": ["last", 2]},
        }
        for letter, fields in cases.items():
            try:
                found.append(str(await workflow.execute_child_workflow(Kid.run, id=f"{own}-{letter}", **fields)))
            except ChildWorkflowError as error:
                found.append(f"{type(error.cause).__name__} {error.retry_state}")
        try:
            await workflow.execute_child_workflow(Kid.run, "last", id=own)
        except WorkflowAlreadyStartedError as error:
            found.append(type(error).__name__)
        return found


@workflow.defn
class Heir:
    """Leaves a child behind when it continues, and finds it again from outside."""

    @workflow.run
    async def run(self, child: str = "") -> str:
        if not child:
            handle = await workflow.start_child_workflow(
                Kid.run, "wait", id=f"{workflow.info().workflow_id}-a", parent_close_policy=ParentClosePolicy.ABANDON
            )
            await workflow.sleep(4 * APART_S)
            workflow.continue_as_new(handle.id)
        await workflow.get_external_workflow_handle(child).signal(Kid.hear, "from the next run")
        return "signalled"


WORKFLOWS: Final = (Kid, LetsGo, Ends, Heir)
