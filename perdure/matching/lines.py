"""The loaded lines of all queues: one for each queue, and one for each version of it that workers or tasks name.

Who goes where is `version_routing`'s decision; here it is looked up. The lines of one queue share its rate limit. A
task is known by its key in whichever line it was put, also when routes have changed since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import final

from perdure.clock import SECOND, Clock
from perdure.machines import version_routing
from perdure.machines.partition import Partition
from perdure.machines.queue_data import EMPTY, QueueData
from perdure.machines.task_queue import (
    DispatchConfig,
    QueryTask,
    QueueKey,
    QueueParts,
    Settings,
    Task,
    TaskKey,
)
from perdure.machines.token_bucket import effective

COUNT_EVERY_NS = SECOND
"""How often the tasks of all lines are counted: with 10^5 queues a count takes some milliseconds."""


@final
class Line:
    """A loaded line: the machine, its namespace's clock, and the timer of its rate limit.

    `normal_name` is the queue beside a sticky one, as its worker named it last.
    """

    __slots__ = ("clock", "key", "normal_name", "partition", "timer", "timer_ns")

    def __init__(self, key: QueueKey, partition: Partition, clock: Clock) -> None:
        self.key = key
        self.partition = partition
        self.clock = clock
        self.normal_name = ""
        self.timer: asyncio.TimerHandle | None = None
        self.timer_ns = 0


@final
class Lines:
    """All lines of one process. `clock_of` and `fair` are asked when a queue is loaded."""

    __slots__ = (
        "_clock_of",
        "_configs",
        "_counted",
        "_counted_ns",
        "_fair",
        "_settings",
        "_versioned",
        "_versions",
        "loaded",
    )

    def __init__(
        self, settings: Settings, clock_of: Callable[[str], Clock], fair: Callable[[QueueKey], bool] | None
    ) -> None:
        self.loaded: dict[QueueParts, Line] = {}
        self._versions: dict[QueueParts, list[QueueParts]] = {}
        self._configs: dict[QueueParts, DispatchConfig] = {}
        self._versioned: dict[tuple[str, str], QueueData] = {}
        self._settings = settings
        self._clock_of = clock_of
        self._fair = fair
        self._counted = 0
        self._counted_ns = -COUNT_EVERY_NS

    # Routes

    def of_task(self, task: Task) -> QueueKey:
        """The line in which a task waits."""
        return self._of(task.queue, task.build_id, task.run_id)

    def of_query(self, queue: QueueKey, query: QueryTask) -> QueueKey:
        """The line in which a query waits."""
        return self._of(queue, query.build_id, query.run_id)

    def _of(self, queue: QueueKey, build_id: str | None, run_id: str) -> QueueKey:
        if queue.sticky or build_id == "" or (build_id is None and not self._versioned):
            return queue
        data = self._versioned.get((queue.namespace_id, queue.name), EMPTY)
        return queue.line(version_routing.line_of_task(data, build_id, run_id))

    def of_poll(self, queue: QueueKey, build_id: str, normal_name: str) -> QueueKey:
        """The line that a poll asks; `normal_name` is the queue beside a sticky one.

        Raises NewerBuildExists for a worker whose build id has been replaced.
        """
        if not build_id:
            return queue
        data = self._versioned.get((queue.namespace_id, normal_name if queue.sticky else queue.name), EMPTY)
        version = version_routing.line_of_poll(data, build_id)
        return queue if queue.sticky else queue.line(version)

    def outdated(self, task: Task, normal_name: str) -> bool:
        """Whether a sticky queue's worker must not have a run's task any more: its build id has been replaced."""
        if not task.build_id:
            return False
        data = self._versioned.get((task.queue.namespace_id, normal_name))
        return data is not None and version_routing.line_of_task(data, task.build_id, task.run_id) != task.build_id

    def version_data(self, namespace_id: str, name: str, data: QueueData) -> bool:
        """Build ids of a queue were told; True when routes may have changed."""
        before = self._versioned.pop((namespace_id, name), EMPTY)
        if version_routing.versioned(data):
            self._versioned[namespace_id, name] = data
        return version_routing.versioned(before) or version_routing.versioned(data)

    # Lines

    def load(self, key: QueueKey, now_ns: int) -> Line:
        """Make a line that is not loaded; the queue's own is loaded first, since its limit is everybody's."""
        main = None
        if key.version:
            queue = key.main()
            main = self.loaded.get(queue.parts) or self.load(queue, now_ns)
            self._versions.setdefault(queue.parts, []).append(key.parts)
        partition = Partition(
            key,
            self._settings,
            now_ns,
            self._fair is not None and self._fair(key),
            None if main is None else main.partition.bucket,
        )
        line = Line(key, partition, self._clock_of(key.namespace_id))
        config = self._configs.get(key.main().parts)
        if config is not None:
            partition.configured(config, now_ns, line.clock.now_ns())
        self.loaded[key.parts] = line
        return line

    def of_queue(self, parts: QueueParts) -> Iterator[Line]:
        """The loaded lines of a queue, its own first."""
        main = self.loaded.get(parts)
        if main is not None:
            yield main
        for version in self._versions.get(parts, ()):
            yield self.loaded[version]

    def holder(self, key: TaskKey) -> Line | None:
        """The line that has a task, queued or handed out; the queue's own when none has."""
        main = self.loaded.get(key[4])
        if key[4] not in self._versions:
            return main
        for line in self.of_queue(key[4]):
            if key in line.partition.queued or key in line.partition.handed:
                return line
        return main

    def drop(self, line: Line) -> None:
        """Forget a line; one that others of its queue depend on stays."""
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
        if not line.key.version:
            if line.key.parts not in self._versions:
                del self.loaded[line.key.parts]
            return
        del self.loaded[line.key.parts]
        main = line.key.main().parts
        self._versions[main].remove(line.key.parts)
        if not self._versions[main]:
            del self._versions[main]

    def queued(self, now_ns: int) -> int:
        """About how many tasks wait in all lines together: counted anew once a second at most."""
        if now_ns >= self._counted_ns + COUNT_EVERY_NS:
            self._counted_ns = now_ns
            self._counted = sum([len(line.partition.queued) for line in self.loaded.values()])
        return self._counted

    # Configurations

    def configure(self, queue: QueueKey, config: DispatchConfig | None) -> bool:
        """Remember what a queue is told for when it is loaded; False when nothing was said before or now."""
        known = self._configs.pop(queue.parts, None) is not None
        if config is not None:
            self._configs[queue.parts] = config
        return known or config is not None

    def configured_rate(self, queue: QueueKey) -> float | None:
        """The configured rate of a queue, loaded or not."""
        config = self._configs.get(queue.parts)
        return None if config is None else effective(config.rate)
