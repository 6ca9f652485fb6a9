"""What the CLI's table drives: a workflow that signals, queries and updates reach, and activities that nobody runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

QUEUE = "cli"
NOBODY = "nobody"
"""A queue without workers."""


@workflow.defn
class Ledger:
    """Adds up what signals and updates bring; ends when told to."""

    def __init__(self) -> None:
        self.total = 0
        self.closed = False

    @workflow.run
    async def run(self, first: int) -> int:
        self.total = first
        await workflow.wait_condition(lambda: self.closed)
        return self.total

    @workflow.signal
    def add(self, amount: int) -> None:
        """Adds."""
        self.total += amount

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.query
    def balance(self) -> int:
        return self.total

    @workflow.update
    async def put(self, amount: int) -> int:
        self.total += amount
        return self.total


@workflow.defn
class Errand:
    """Two activities for which there is no worker: an operator ends them."""

    @workflow.run
    async def run(self) -> list[str]:
        started = [
            workflow.start_activity(
                "errand",
                activity_id=name,
                task_queue=NOBODY,
                start_to_close_timeout=timedelta(hours=1),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
            for name in ("one", "two")
        ]
        found = await asyncio.gather(*started, return_exceptions=True)
        return [one if isinstance(one, str) else "failed" for one in found]


@workflow.defn
class Double:
    """Ends at once."""

    @workflow.run
    async def run(self, number: int) -> int:
        return 2 * number


WORKFLOWS = [Ledger, Errand, Double]
