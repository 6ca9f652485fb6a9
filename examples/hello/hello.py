"""A workflow, its activities, a worker and a client against a running server, with the unmodified Temporal SDK.

python examples/hello/hello.py [HOST:PORT]
"""

from __future__ import annotations

import asyncio
import logging
import sys
import uuid
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

TASK_QUEUE = "hello"


@activity.defn
async def find_greeting(language: str) -> str:
    """Fails twice: the retry policy makes that invisible to the workflow."""
    attempt = activity.info().attempt
    if attempt < 3:
        print(f"  activity: attempt {attempt} fails")
        raise RuntimeError(f"the dictionary is not there (attempt {attempt})")
    print(f"  activity: attempt {attempt} succeeds")
    return {"en": "Hello", "de": "Guten Tag"}.get(language, "Hello")


@activity.defn
async def count_letters(text: str) -> int:
    """Heartbeats its progress: after a crash the next attempt would go on from there."""
    for position in range(len(text)):
        activity.heartbeat(position)
        await asyncio.sleep(0.02)
    return len(text)


@workflow.defn
class Greeting:
    """Greets whoever a signal names, after a durable timer."""

    def __init__(self) -> None:
        self._name = ""
        self._stage = "started"

    @workflow.run
    async def run(self, language: str) -> str:
        self._stage = "looking for a greeting"
        greeting = await workflow.execute_activity(
            find_greeting,
            language,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=5),
        )
        self._stage = "waiting for a name"
        await workflow.wait_condition(lambda: bool(self._name))
        self._stage = "sleeping"
        await workflow.sleep(timedelta(seconds=1))
        letters = await workflow.execute_activity(
            count_letters,
            self._name,
            start_to_close_timeout=timedelta(seconds=10),
            heartbeat_timeout=timedelta(seconds=2),
        )
        self._stage = "done"
        return f"{greeting}, {self._name}! Your name has {letters} letters."

    @workflow.signal
    def name(self, name: str) -> None:
        """Who is to be greeted."""
        self._name = name

    @workflow.query
    def stage(self) -> str:
        """What the workflow is doing."""
        return self._stage


async def main(target: str) -> str:
    """Run the workflow once; returns its result."""
    client = await Client.connect(target)
    async with Worker(client, task_queue=TASK_QUEUE, workflows=[Greeting], activities=[find_greeting, count_letters]):
        handle = await client.start_workflow(Greeting.run, "en", id=f"hello-{uuid.uuid4()}", task_queue=TASK_QUEUE)
        print(f"started {handle.id}")
        while (stage := await handle.query(Greeting.stage)) != "waiting for a name":
            print(f"  query: {stage}")
            await asyncio.sleep(0.2)
        await handle.signal(Greeting.name, "Ada")
        print("  signal sent")
        result = await handle.result()
        print(f"result: {result}")
        print(f"stage at the end: {await handle.query(Greeting.stage)}")
        return result


if __name__ == "__main__":
    # The SDK logs each failed attempt with its traceback; here failing is part of the example.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:7233"))
