"""Small programs for a real SDK worker, one for each thing that workflows do.

Each waits for one thing before it does the next, so that its history is the same wherever it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError
from temporalio.workflow import ActivityCancellationType, ParentClosePolicy

KEYWORD: Final = SearchAttributeKey.for_keyword("DiffKeyword")
NUMBER: Final = SearchAttributeKey.for_int("DiffInt")
APART_S: Final = 0.3
"""Between two things that would race: longer than a workflow task takes."""
APART: Final = timedelta(seconds=APART_S)
SOON: Final = timedelta(seconds=20)
INSTANT: Final = RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1.0, maximum_attempts=3)


@activity.defn
async def double(number: int) -> int:
    return 2 * number


@activity.defn
async def third_time(word: str) -> str:
    """Fails twice, with its progress; the third attempt succeeds."""
    activity.heartbeat(word, activity.info().attempt)
    if activity.info().attempt < 3:
        raise ApplicationError("not yet", "detail", type="NotYet")
    return word


@activity.defn
async def never(word: str) -> str:
    raise ApplicationError(word, type="Never", non_retryable=True)


@activity.defn
async def until_cancelled() -> str:
    try:
        while True:
            activity.heartbeat("alive")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        activity.heartbeat("last")
        raise


@activity.defn
async def silent_once(word: str) -> str:
    """Its first attempt says nothing for too long; the second one knows what the first had said."""
    if activity.info().attempt == 1:
        activity.heartbeat(word)
        await asyncio.sleep(5)
    return f"{word} {activity.info().heartbeat_details}"


@activity.defn
async def elsewhere(word: str) -> str:
    """Completed by somebody else, by its id."""
    activity.raise_complete_async()


@activity.defn
async def third_time_local(word: str) -> str:
    if activity.info().attempt < 3:
        raise ApplicationError("not yet", type="NotYet")
    return word


@workflow.defn
class Activities:
    @workflow.run
    async def run(self) -> list[Any]:
        found: list[Any] = [
            await workflow.execute_activity(double, 1, start_to_close_timeout=SOON, summary="doubled"),
            await workflow.execute_activity(
                third_time, "x", start_to_close_timeout=SOON, heartbeat_timeout=SOON, retry_policy=INSTANT
            ),
        ]
        try:
            await workflow.execute_activity(never, "no", schedule_to_close_timeout=SOON)
        except ActivityError as error:
            found.append(type(error).__name__)
        return found


@workflow.defn
class Local:
    @workflow.run
    async def run(self) -> int:
        if workflow.patched("newer"):
            await workflow.sleep(0.05, summary="a nap")
        return await workflow.execute_local_activity(double, 4, start_to_close_timeout=SOON)


@workflow.defn
class Harder:
    """A heartbeat that stays away, an attempt that ends elsewhere, retries on the worker."""

    @workflow.run
    async def run(self) -> list[str]:
        return [
            await workflow.execute_activity(
                silent_once, "x", start_to_close_timeout=SOON, heartbeat_timeout=APART, retry_policy=INSTANT
            ),
            await workflow.execute_activity(elsewhere, "y", activity_id="elsewhere", start_to_close_timeout=SOON),
            await workflow.execute_local_activity(
                third_time_local, "z", start_to_close_timeout=SOON, retry_policy=INSTANT
            ),
        ]


@workflow.defn
class CancelsChild:
    """Cancels a child, and says so."""

    @workflow.run
    async def run(self) -> str:
        child = await workflow.start_child_workflow(Child.run, "wait", id=f"{workflow.info().workflow_id}-a")
        await workflow.sleep(2 * APART_S)
        child.cancel()
        try:
            await child
        except ChildWorkflowError as error:
            return f"{type(error.cause).__name__}"
        return "not cancelled"


@workflow.defn
class Cancels:
    """Cancels an activity and a timer of its own."""

    @workflow.run
    async def run(self) -> str:
        handle = workflow.start_activity(
            until_cancelled,
            start_to_close_timeout=SOON,
            heartbeat_timeout=SOON,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        timer = asyncio.create_task(workflow.sleep(3600))
        await workflow.sleep(0.3)
        timer.cancel()
        handle.cancel()
        try:
            await handle
        except ActivityError as error:
            return type(error).__name__
        return "not cancelled"


@workflow.defn
class Talks:
    """Signals, queries and updates."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: "end" in self.heard)
        return self.heard

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)

    @workflow.query
    def said(self) -> list[str]:
        return self.heard

    @workflow.update
    async def ask(self, word: str) -> int:
        self.heard.append(word)
        await workflow.sleep(0.02)
        return len(self.heard)

    @ask.validator
    def check(self, word: str) -> None:
        if not word:
            raise ValueError("say something")


@workflow.defn
class Child:
    @workflow.run
    async def run(self, order: str) -> str:
        await workflow.sleep(APART_S)
        if order == "fail":
            raise ApplicationError("as told", type="Told")
        if order == "wait":
            await workflow.wait_condition(lambda: False)
        return order

    @workflow.signal
    def hear(self, word: str) -> None:
        pass


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> list[str]:
        own = workflow.info().workflow_id
        found = [
            await workflow.execute_child_workflow(
                Child.run, "well", id=f"{own}-a", memo={"of": "parent"}, static_summary="first"
            )
        ]
        try:
            await workflow.execute_child_workflow(Child.run, "fail", id=f"{own}-b")
        except ChildWorkflowError as error:
            found.append(type(error.cause).__name__)
        waiting = await workflow.start_child_workflow(
            Child.run, "wait", id=f"{own}-c", parent_close_policy=ParentClosePolicy.REQUEST_CANCEL
        )
        await workflow.sleep(2 * APART_S)
        await waiting.signal(Child.hear, "hello")
        await workflow.sleep(APART_S)
        return found


@workflow.defn
class External:
    """Signals and cancels another workflow."""

    @workflow.run
    async def run(self, other: str) -> None:
        handle = workflow.get_external_workflow_handle(other)
        await handle.signal(Child.hear, "from outside")
        await workflow.sleep(APART_S)
        await handle.cancel()


@workflow.defn
class Again:
    @workflow.run
    async def run(self, left: int) -> int:
        if left:
            workflow.continue_as_new(left - 1, memo={"left": left})
        return left


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("wrong", {"why": 1}, type="Wrong") from ValueError("deep")


@workflow.defn
class Stumbles:
    """Its first workflow task fails, by a bug that is gone the next time."""

    stumbled: ClassVar[set[str]] = set()

    @workflow.run
    async def run(self) -> str:
        run_id = workflow.info().run_id
        if run_id not in self.stumbled:
            self.stumbled.add(run_id)
            raise RuntimeError("a bug")
        return "up again"


@workflow.defn
class Attributes:
    """Search attributes, memo, side effects."""

    @workflow.run
    async def run(self) -> str:
        workflow.upsert_search_attributes([KEYWORD.value_set("set"), NUMBER.value_set(3)])
        workflow.upsert_memo({"new": [1, 2], "old": None})
        workflow.set_current_details("nearly done")
        workflow.random().random()
        workflow.uuid4()
        await workflow.sleep(0.02)
        workflow.upsert_search_attributes([NUMBER.value_unset()])
        return "attributed"


@workflow.defn
class TimesOut:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_activity(
                double,
                1,
                task_queue="nobody",
                schedule_to_start_timeout=timedelta(milliseconds=200),
                start_to_close_timeout=SOON,
            )
        except ActivityError as error:
            return f"{type(error).__name__}: {error.__cause__}"
        return "done"


WORKFLOWS: Final[list[type]] = [
    Activities,
    Again,
    Attributes,
    Cancels,
    CancelsChild,
    Child,
    External,
    Fails,
    Harder,
    Local,
    Parent,
    Stumbles,
    Talks,
    TimesOut,
]
ACTIVITIES: Final[list[Callable[..., Any]]] = [
    double,
    elsewhere,
    never,
    silent_once,
    third_time,
    third_time_local,
    until_cancelled,
]
