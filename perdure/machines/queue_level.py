"""One priority of a task queue: the tasks and queries that wait at it, in line. What may go when is the partition's."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, final

from perdure.machines.fair_line import FairLine
from perdure.machines.rate_meter import RateMeter
from perdure.machines.task_queue import QueryTask, Task
from perdure.machines.token_bucket import NEVER

LONG_AGO_NS: Final = -(1 << 62)
"""Before any time of the monotonic clock."""


@final
class Level:
    """What waits at one priority. Tasks in `returned` were handed out before, so all of them precede the others.

    The others are in `keyed` where fairness keys matter, in `fresh` where they do not; the other one is empty.
    """

    __slots__ = ("fresh", "keyed", "meter", "priority", "queries", "query_turn", "returned")

    def __init__(self, priority: int, meter: RateMeter, keyed: FairLine | None) -> None:
        self.priority = priority
        self.meter = meter
        self.keyed = keyed
        self.fresh: deque[Task] = deque()
        self.returned: list[tuple[int, Task]] = []
        self.queries: OrderedDict[str, QueryTask] = OrderedDict()
        self.query_turn = True

    def append(self, task: Task) -> None:
        """A task joins the end of the line, or of its key's."""
        if self.keyed is None:
            self.fresh.append(task)
        else:
            self.keyed.append(task)

    def count(self) -> int:
        """Tasks in the line, the dead among them."""
        return len(self.returned) + len(self.fresh if self.keyed is None else self.keyed)

    def in_line(self) -> list[Task]:
        """All tasks that were never handed out, in order."""
        return list(self.fresh if self.keyed is None else self.keyed)

    def oldest_ns(self) -> int:
        """When the task that waits longest became due; there is one."""
        if self.returned:
            return self.returned[0][1].created_ns
        return self.fresh[0].created_ns if self.keyed is None else self.keyed.oldest_ns()

    def ready_ns(self) -> int:
        """When its tasks may go as far as their keys are concerned (monotonic); `NEVER` when none waits for that."""
        if self.returned or self.keyed is None:
            return LONG_AGO_NS if self.returned else NEVER
        return self.keyed.ready_ns

    def lay(self, tasks: list[Task], keyed: FairLine | None) -> None:
        """Lay the line of what was never handed out anew, by keys or not."""
        self.fresh.clear()
        self.keyed = keyed
        for task in tasks:
            self.append(task)
