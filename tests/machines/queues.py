"""Tasks, polls and partitions with the boring fields filled in, for the tests of task queues."""

from __future__ import annotations

from perdure.ids import ChainKey
from perdure.machines.partition import Partition
from perdure.machines.task_queue import ACTIVITY, WORKFLOW, Poll, PollRequest, QueueKey, Settings, Task

SECOND = 1_000_000_000
CHAIN = ChainKey("ns", 1, "w")
WORKFLOWS = QueueKey("ns", "q", WORKFLOW)
ACTIVITIES = QueueKey("ns", "q", ACTIVITY)


def task(
    event_id: int,
    *,
    priority: int = 3,
    expires_ns: int | None = None,
    created_ns: int = 0,
    attempt: int = 1,
    queue: QueueKey = WORKFLOWS,
) -> Task:
    return Task(queue, CHAIN, "run", event_id, attempt, 0, priority, created_ns, expires_ns)


def worker(identity: str = "w1", rate: float | None = None) -> Poll:
    return Poll(PollRequest(identity, "key", rate))


def partition(queue: QueueKey = WORKFLOWS) -> Partition:
    return Partition(queue, Settings(), 0)
