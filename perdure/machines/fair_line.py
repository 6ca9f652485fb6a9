"""The tasks that wait at one priority, by fairness key: whose turn it is, and who must pause (semantics 12.2, 12.3).

Two rules meet here, each of which may be on without the other. *Fairness*: every task gets a pass when it joins, one
stride (1 / weight) behind the last task of its key but never before what was served last, and tasks leave in the order
of passes; so keys share the queue in proportion to their weights, and a key that was silent gains nothing by it.
Without fairness all passes are 0 and the order is that of arrival. *Limits of keys*: a key that has used up its rate
is passed over until it may go again; others are not held up by it.

A queue with neither has plain lines and never comes here. Reads no clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import Final, final

from perdure.machines.task_queue import Task
from perdure.machines.token_bucket import NEVER, TokenBucket

WEIGHT_MIN: Final = 0.001
WEIGHT_MAX: Final = 1_000.0
"""A smaller and a larger weight count as this much."""

KEYS_LIMITED_MAX: Final = 2_000
"""Keys of one queue whose use of their rate is remembered; the one not used for longest is forgotten."""

KEYS_REMEMBERED_MAX: Final = 10_000
"""Keys of one level whose last pass is remembered although nothing of theirs waits."""

_ANY_TIME: Final = -(1 << 62)


@final
class KeyLimits:
    """The rate of each fairness key of a queue, scaled by the key's weight, and the weights that operators set."""

    __slots__ = ("_buckets", "_rate", "_weights", "limited")

    def __init__(
        self,
        rate: float | None = None,
        weights: Mapping[str, float] | None = None,
        before: KeyLimits | None = None,
    ) -> None:
        """`before` held until now: what keys have used of the same rate stays used."""
        self.limited = rate is not None
        self._rate = rate
        self._weights = weights or {}
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        if before is not None and before._rate == rate:
            self._buckets = before._buckets

    def weight(self, task: Task) -> float:
        """What a task weighs: an operator's word first, then the task's own."""
        weight = self._weights.get(task.fairness_key, task.fairness_weight)
        return min(max(weight, WEIGHT_MIN), WEIGHT_MAX) if weight > 0 else 1.0

    def ready_ns(self, task: Task) -> int:
        """When the task's key may go (monotonic)."""
        bucket = self._buckets.get(task.fairness_key)
        if bucket is not None:
            return bucket.ready_ns
        return NEVER if self.limited and not self._rate else _ANY_TIME

    def take(self, task: Task, now_ns: int) -> None:
        """A task goes: its key has used one token."""
        if not self.limited:
            return
        assert self._rate is not None
        rate = self._rate * self.weight(task)
        bucket = self._buckets.pop(task.fairness_key, None)
        if bucket is None:
            if len(self._buckets) >= KEYS_LIMITED_MAX:
                self._buckets.popitem(last=False)
            bucket = TokenBucket()
        if bucket.rate != rate:
            bucket.limit(rate, now_ns)
        bucket.take(now_ns)
        self._buckets[task.fairness_key] = bucket


@final
class _Key:
    """What waits of one key, with its passes and arrivals."""

    __slots__ = ("last_pass", "name", "tasks")

    def __init__(self, name: str) -> None:
        self.name = name
        self.last_pass = 0.0
        self.tasks: deque[tuple[float, int, Task]] = deque()


@final
class FairLine:
    """The line of one priority. Every key with waiting tasks is in exactly one of `_heads` and `_paused`."""

    __slots__ = ("_arrivals", "_count", "_fair", "_heads", "_keys", "_limits", "_paused", "_served")

    def __init__(self, fair: bool, limits: KeyLimits) -> None:
        self._fair = fair
        self._limits = limits
        self._keys: dict[str, _Key] = {}
        self._heads: list[tuple[float, int, str]] = []
        self._paused: list[tuple[int, int, str]] = []
        self._arrivals = 0
        self._count = 0
        self._served = 0.0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Task]:
        """All tasks, in the order in which they would leave if no key had to pause."""
        entries = [(served, arrival, task) for key in self._keys.values() for served, arrival, task in key.tasks]
        return iter([entry[2] for entry in sorted(entries, key=_place_of)])

    def oldest_ns(self) -> int:
        """When the task that waits longest became due; there is one."""
        return min([key.tasks[0][2].created_ns for key in self._keys.values() if key.tasks])

    def append(self, task: Task) -> None:
        """A task joins."""
        key = self._keys.get(task.fairness_key)
        if key is None:
            if len(self._keys) >= KEYS_REMEMBERED_MAX:
                self._forget_silent()
            key = _Key(task.fairness_key)
            self._keys[task.fairness_key] = key
        if self._fair:
            key.last_pass = max(self._served, key.last_pass + 1.0 / self._limits.weight(task))
        self._arrivals += 1
        self._count += 1
        key.tasks.append((key.last_pass, self._arrivals, task))
        if len(key.tasks) == 1:
            heappush(self._heads, (key.last_pass, self._arrivals, key.name))

    def pop(self, now_ns: int) -> Task | None:
        """The next task whose key may go now, or None when all must pause. Who takes it up tells the limits."""
        paused = self._paused
        while paused and paused[0][0] <= now_ns:
            self._queue(self._keys[heappop(paused)[2]])
        while self._heads:
            served, arrival, name = heappop(self._heads)
            key = self._keys[name]
            task = key.tasks[0][2]
            if self._limits.limited:
                ready_ns = self._limits.ready_ns(task)
                if ready_ns > now_ns:
                    heappush(paused, (ready_ns, arrival, name))
                    continue
            key.tasks.popleft()
            self._count -= 1
            self._served = max(self._served, served)
            if key.tasks:
                self._queue(key)
            elif not self._fair:
                del self._keys[name]
            return task
        return None

    @property
    def ready_ns(self) -> int:
        """When the first of the keys that pause may go; any time when one need not pause (monotonic)."""
        if self._heads:
            return _ANY_TIME
        return self._paused[0][0] if self._paused else NEVER

    def _queue(self, key: _Key) -> None:
        heappush(self._heads, (key.tasks[0][0], key.tasks[0][1], key.name))

    def _forget_silent(self) -> None:
        """Keys that have been served as far as all others lose nothing by being forgotten."""
        self._keys = {name: key for name, key in self._keys.items() if key.tasks or key.last_pass > self._served}


def _place_of(entry: tuple[float, int, Task]) -> tuple[float, int]:
    return entry[:2]
