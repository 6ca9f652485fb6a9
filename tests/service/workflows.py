"""The workflows and activities of this folder's tests, written as a user of the SDK writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

SOON = timedelta(seconds=20)
ONCE = RetryPolicy(maximum_attempts=1)
QUICKLY = RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=5)


@activity.defn
async def double(number: int) -> int:
    return 2 * number


@activity.defn
async def fail_until(attempt: int) -> int:
    """Fails before this attempt; the attempt it succeeded in."""
    now = activity.info().attempt
    if now < attempt:
        raise ApplicationError(f"attempt {now} fails")
    return now


@activity.defn
async def resume_from_heartbeat() -> list[int]:
    """Heartbeats, fails, and returns what the next attempt finds of it."""
    if activity.info().attempt == 1:
        activity.heartbeat(41, 42)
        raise ApplicationError("lost its worker")
    return list(activity.info().heartbeat_details)


@activity.defn
async def heartbeat_until_cancelled() -> str:
    """Runs until the server tells it, in the answer to a heartbeat, that it is cancelled."""
    try:
        while True:
            activity.heartbeat()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "cancelled"


@activity.defn
async def never_ends() -> None:
    """Neither heartbeats nor returns."""
    await asyncio.Event().wait()


@workflow.defn
class Retries:
    """Activities that fail first, with and without heartbeat details."""

    @workflow.run
    async def run(self) -> list[int | list[int]]:
        attempts = await workflow.execute_activity(fail_until, 3, start_to_close_timeout=SOON, retry_policy=QUICKLY)
        details = await workflow.execute_activity(
            resume_from_heartbeat, start_to_close_timeout=SOON, heartbeat_timeout=SOON, retry_policy=QUICKLY
        )
        return [attempts, details]


@workflow.defn
class Switch:
    """Waits for a signal, then for a timer; answers queries in between."""

    def __init__(self) -> None:
        self._values: list[str] = []
        self._stage = "waiting"

    @workflow.run
    async def run(self, signals: int, sleep_ms: int) -> list[str]:
        await workflow.wait_condition(lambda: len(self._values) >= signals)
        self._stage = "sleeping"
        await workflow.sleep(timedelta(milliseconds=sleep_ms))
        self._stage = "done"
        return self._values

    @workflow.signal
    def put(self, value: str) -> None:
        self._values.append(value)

    @workflow.query
    def stage(self) -> str:
        return self._stage


@workflow.defn
class Countdown:
    """Continues as new until nothing is left."""

    @workflow.run
    async def run(self, left: int, runs: list[str]) -> list[str]:
        runs = [*runs, workflow.info().run_id]
        if left:
            workflow.continue_as_new(args=[left - 1, runs])
        return runs


@workflow.defn
class TimesOut:
    """An activity that must run into the timeout asked for."""

    @workflow.run
    async def run(self, kind: str) -> str:
        short = timedelta(milliseconds=300)
        limits: dict[str, Any] = {
            "start_to_close": {"start_to_close_timeout": short},
            "heartbeat": {"start_to_close_timeout": SOON, "heartbeat_timeout": short},
            "schedule_to_close": {"schedule_to_close_timeout": short},
            "schedule_to_start": {"start_to_close_timeout": SOON, "schedule_to_start_timeout": short},
        }[kind]
        queue = "nobody-polls-here" if kind == "schedule_to_start" else workflow.info().task_queue
        await workflow.execute_activity(never_ends, task_queue=queue, retry_policy=ONCE, **limits)
        return "not reached"


@workflow.defn
class Cancelled:
    """Waits for an activity that ends by cancellation, and cleans up after itself."""

    @workflow.run
    async def run(self) -> str:
        try:
            return await workflow.execute_activity(
                heartbeat_until_cancelled,
                start_to_close_timeout=SOON,
                heartbeat_timeout=timedelta(seconds=1),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        finally:
            await workflow.execute_activity(double, 1, start_to_close_timeout=SOON)


@workflow.defn
class SucceedsAtThird:
    """Fails in its first two attempts."""

    @workflow.run
    async def run(self) -> int:
        attempt = workflow.info().attempt
        if attempt < 3:
            raise ApplicationError(f"attempt {attempt} fails")
        return attempt


@workflow.defn
class Doubles:
    """Some activities, one after the other."""

    @workflow.run
    async def run(self, number: int, times: int) -> int:
        for _ in range(times):
            number = await workflow.execute_activity(double, number, start_to_close_timeout=SOON)
        return number


WORKFLOWS: list[type] = [Retries, Switch, Countdown, TimesOut, Cancelled, SucceedsAtThird, Doubles]
ACTIVITIES: list[Callable[..., Any]] = [
    double,
    fail_until,
    resume_from_heartbeat,
    heartbeat_until_cancelled,
    never_ends,
]
