"""What the tests of matching share: queues, tasks, polls, and a decorator that runs a test in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from perdure.ids import ChainKey
from perdure.machines.task_queue import ACTIVITY, WORKFLOW, Matched, PollRequest, QueueKey, Task
from perdure.matching.service import Matching
from tests.matching.virtual import LoopClock, run

CHAIN = ChainKey("ns", 1, "w")
NORMAL = QueueKey("ns", "q", WORKFLOW)
STICKY = QueueKey("ns", "q-sticky", WORKFLOW, True)
ACTIVITIES = QueueKey("ns", "q", ACTIVITY)
WORKER = PollRequest("w1", "key-1")


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def call() -> None:
        run(test())

    return call


def task(event_id: int, queue: QueueKey = NORMAL, priority: int = 3, expires_ns: int | None = None) -> Task:
    return Task(queue, CHAIN, "run", event_id, 1, 0, priority, 0, expires_ns)


def made(lost: list[tuple[Task, object]] | None = None) -> Matching:
    loop = asyncio.get_running_loop()
    return Matching(LoopClock(loop), loop, lost=None if lost is None else lambda one, what: lost.append((one, what)))


async def polling(
    matching: Matching, queue: QueueKey = NORMAL, timeout_s: float = 60.0, request: PollRequest = WORKER
) -> asyncio.Task[Matched | None]:
    """A poll that waits in line when this returns."""
    poll = asyncio.create_task(matching.poll(queue, request, timeout_s))
    await asyncio.sleep(0)
    return poll


def event_of(matched: Matched | None) -> int | None:
    return None if matched is None or matched.task is None else matched.task.scheduled_event_id
