"""What the Web UI shows in these tests: a worker and workflows in every state, as a process of its own.

`python -m tests.ui.world HOST:PORT ARCHIVE` prints "ready" when everything is there, and works until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.api.enums.v1 import ArchivalState
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker

QUEUE = "ui-queue"
CITY = SearchAttributeKey.for_keyword("City")
AMOUNT = SearchAttributeKey.for_int("Amount")
ONCE = RetryPolicy(maximum_attempts=1)


@activity.defn
async def charge(amount: int) -> str:
    """Succeeds."""
    return f"charged {amount}"


@activity.defn
async def broken(reason: str) -> None:
    """Fails for ever."""
    raise ApplicationError(reason, {"detail": "in the failure"}, type="Broken")


@workflow.defn
class Order:
    """Runs an activity, a timer and a child, then waits for a signal; can be asked and updated."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._done = False

    @workflow.run
    async def run(self, amount: int) -> dict[str, Any]:
        """Until `finish`."""
        charged = await workflow.execute_activity(charge, amount, start_to_close_timeout=timedelta(seconds=10))
        await workflow.sleep(0.05)
        await workflow.execute_child_workflow(Receipt.run, charged, id=f"{workflow.info().workflow_id}-receipt")
        await workflow.wait_condition(lambda: self._done)
        return {"charged": charged, "notes": self._notes}

    @workflow.query
    def notes(self) -> list[str]:
        """What was noted."""
        return self._notes

    @workflow.signal
    def note(self, text: str) -> None:
        """Remember something."""
        self._notes.append(text)

    @workflow.signal
    def finish(self) -> None:
        """Come to an end."""
        self._done = True

    @workflow.update
    async def rename(self, name: str) -> str:
        """Answers at once."""
        self._notes.append(name)
        return f"now {name}"


@workflow.defn
class Receipt:
    """A child."""

    @workflow.run
    async def run(self, text: str) -> str:
        """At once."""
        return text.upper()


@workflow.defn
class Stuck:
    """Its activity fails again and again."""

    @workflow.run
    async def run(self) -> None:
        """Never."""
        await workflow.execute_activity(
            broken,
            "no stock",
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(initial_interval=timedelta(minutes=5)),
        )


@workflow.defn
class Failing:
    """Fails with a cause."""

    @workflow.run
    async def run(self) -> None:
        """At once."""
        await workflow.execute_activity(
            broken, "no money", start_to_close_timeout=timedelta(seconds=10), retry_policy=ONCE
        )


def _has_failed(described: WorkflowExecutionDescription) -> bool:
    """Whether its activity has failed once."""
    return described.raw_description.pending_activities[0].HasField("last_failure")


async def populate(client: Client) -> None:
    """Workflows in every state."""
    attributes = TypedSearchAttributes([SearchAttributePair(CITY, "Paris"), SearchAttributePair(AMOUNT, 7)])

    async def start(run: Any, workflow_id: str, *args: Any, **more: Any) -> WorkflowHandle[Any, Any]:
        return await client.start_workflow(run, *args, id=workflow_id, task_queue=QUEUE, **more)

    to_reset = await start(Order.run, "order-to-reset", 3)
    await to_reset.signal(Order.finish)
    await to_reset.result()
    done = await start(Order.run, "order-done", 7, search_attributes=attributes, memo={"who": "me"})
    await done.signal(Order.note, "a note")
    await done.execute_update(Order.rename, "blue")
    await done.signal(Order.finish)
    await done.result()
    running = await start(Order.run, "order-running", 8, static_summary="The running one", static_details="More")
    await running.signal(Order.note, "still here")
    await start(Order.run, "order-to-signal", 9)
    await start(Order.run, "order-to-cancel", 9)
    await start(Order.run, "order-to-terminate", 9)
    stuck = await start(Stuck.run, "stuck")
    cancelled = await start(Order.run, "order-cancelled", 1)
    await cancelled.cancel()
    terminated = await start(Order.run, "order-terminated", 1)
    await terminated.terminate("enough")
    failed = await start(Failing.run, "failing")
    timed_out = await start(Order.run, "order-timed-out", 1, execution_timeout=timedelta(seconds=1))
    for handle in (cancelled, terminated, failed, timed_out):
        try:
            await handle.result()
        except WorkflowFailureError:
            continue
    while not _has_failed(await stuck.describe()):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.05)
    for at in range(5):
        await start(Order.run, f"batch-{at}", at)


async def archive(client: Client, folder: str) -> None:
    """A namespace that keeps what it deletes, and a workflow that it will delete soon."""
    request = RegisterNamespaceRequest(
        namespace="archived",
        history_archival_state=ArchivalState.ARCHIVAL_STATE_ENABLED,
        history_archival_uri=f"file://{folder}/history",
        visibility_archival_state=ArchivalState.ARCHIVAL_STATE_ENABLED,
        visibility_archival_uri=f"file://{folder}/visibility",
    )
    request.workflow_execution_retention_period.FromSeconds(1)
    await client.workflow_service.register_namespace(request)
    there = await Client.connect(client.service_client.config.target_host, namespace="archived")
    handle = await there.start_workflow("Gone", id="long-gone", task_queue="none")
    await handle.terminate("over")


async def main(target: str, folder: str) -> None:
    """Until killed."""
    runtime = Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval=timedelta(seconds=1))
    client = await Client.connect(target, runtime=runtime)
    async with Worker(
        client, task_queue=QUEUE, workflows=[Order, Receipt, Stuck, Failing], activities=[charge, broken]
    ):
        await archive(client, folder)
        await populate(client)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
