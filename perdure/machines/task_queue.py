"""What passes between a task queue and those who use it: queue keys, tasks, polls, matches, descriptions.

Machines build `Task` values (a run owes the offer of what it has not dispatched, DESIGN 1.9), the frontend builds
`PollRequest` and `QueryTask`, and `perdure.machines.partition` decides with them. Plain values only: nothing here may
know a clock, a future or a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeAlias, final

from perdure.clock import SECOND
from perdure.ids import ChainKey

WORKFLOW = 1
"""enums.TASK_QUEUE_TYPE_WORKFLOW"""
ACTIVITY = 2
"""enums.TASK_QUEUE_TYPE_ACTIVITY"""
NEXUS = 3
"""enums.TASK_QUEUE_TYPE_NEXUS"""

PRIORITY_MOST_URGENT = 1
PRIORITY_DEFAULT = 3
PRIORITY_LEAST_URGENT = 5

QueueParts: TypeAlias = tuple[str, str, int, bool, str]
"""(namespace id, name, type, sticky, version): what a queue is compared and hashed by, in C."""

TaskKey: TypeAlias = tuple[str, int, int, int, QueueParts]
"""(run id, scheduled event id, attempt, stamp, queue): the identity of one obligation to dispatch."""


class Offered(IntEnum):
    """What became of an offer."""

    MATCHED = 1
    QUEUED = 2
    STICKY_UNAVAILABLE = 3


class PollState(IntEnum):
    """Where a poll is in its life; the last two are final."""

    WAITING = 1
    RESERVED = 2
    MATCHED = 3
    GONE = 4


@final
class QueueKey:
    """The identity of a task queue: one namespace, name and type (`WORKFLOW`, `ACTIVITY`, `NEXUS`), sticky or not.

    Matching keeps a line for each `version` of a queue (`version_routing`); tasks and polls name the queue itself, "".
    """

    __slots__ = ("name", "namespace_id", "parts", "sticky", "type", "version")

    def __init__(self, namespace_id: str, name: str, type: int, sticky: bool = False, version: str = "") -> None:
        self.namespace_id = namespace_id
        self.name = name
        self.type = type
        self.sticky = sticky
        self.version = version
        self.parts: QueueParts = (namespace_id, name, type, sticky, version)

    def main(self) -> QueueKey:
        """The queue whose line this is."""
        return QueueKey(self.namespace_id, self.name, self.type, self.sticky) if self.version else self

    def line(self, version: str) -> QueueKey:
        """The queue's line of a version."""
        return QueueKey(self.namespace_id, self.name, self.type, self.sticky, version) if version else self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QueueKey) and other.parts == self.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return f"QueueKey({self.namespace_id!r}, {self.name!r}, {self.type}, {self.sticky})"


@final
class Task:
    """A workflow task or activity attempt that is owed to a worker.

    `priority` is effective: 1 to 5, 3 when none was given. `created_ns` is when it became due, `expires_ns` its
    schedule-to-start limit or None; both are times of the namespace's clock. Tasks of one `fairness_key` share their
    part of the queue, where fairness is on; `fairness_weight` is how large it is beside others, 1 when nobody says.
    `build_id` is the version of worker that the task is for: None for the queue's default, "" for unversioned ones.
    """

    __slots__ = (
        "attempt",
        "build_id",
        "chain",
        "created_ns",
        "expires_ns",
        "fairness_key",
        "fairness_weight",
        "key",
        "priority",
        "queue",
        "run_id",
        "scheduled_event_id",
        "stamp",
    )

    def __init__(
        self,
        queue: QueueKey,
        chain: ChainKey,
        run_id: str,
        scheduled_event_id: int,
        attempt: int,
        stamp: int,
        priority: int,
        created_ns: int,
        expires_ns: int | None = None,
        fairness_key: str = "",
        fairness_weight: float = 1.0,
        build_id: str | None = None,
    ) -> None:
        assert PRIORITY_MOST_URGENT <= priority <= PRIORITY_LEAST_URGENT
        self.queue = queue
        self.chain = chain
        self.run_id = run_id
        self.scheduled_event_id = scheduled_event_id
        self.attempt = attempt
        self.stamp = stamp
        self.priority = priority
        self.created_ns = created_ns
        self.expires_ns = expires_ns
        self.fairness_key = fairness_key
        self.fairness_weight = fairness_weight
        self.build_id = build_id
        self.key: TaskKey = (run_id, scheduled_event_id, attempt, stamp, queue.parts)

    def __repr__(self) -> str:
        return f"Task({self.run_id!r}, {self.scheduled_event_id}, attempt={self.attempt}, stamp={self.stamp})"


@final
class QueryTask:
    """A query on its way to a worker; never stored, gone with its caller. `payload` is the frontend's own business.

    `build_id` and `run_id` choose the version of worker, as for tasks.
    """

    __slots__ = ("build_id", "payload", "priority", "run_id", "task_id")

    def __init__(
        self,
        task_id: str,
        payload: object,
        priority: int = PRIORITY_DEFAULT,
        build_id: str | None = None,
        run_id: str = "",
    ) -> None:
        assert PRIORITY_MOST_URGENT <= priority <= PRIORITY_LEAST_URGENT
        self.task_id = task_id
        self.payload = payload
        self.priority = priority
        self.build_id = build_id
        self.run_id = run_id


@final
class PollRequest:
    """What a poll says about its worker; the two byte fields are serialized messages that DescribeTaskQueue shows.

    `build_id` is the worker's where it wants its tasks chosen by it (the old versioning), "" elsewhere; `normal_name`
    is the queue beside a sticky one; `worker_version` is the serialized stamp that start events show, if any.
    `max_tasks_per_second` is None when the worker named none; only polls of activity queues carry one.
    """

    __slots__ = (
        "build_id",
        "capabilities",
        "deployment_options",
        "identity",
        "max_tasks_per_second",
        "normal_name",
        "worker_instance_key",
        "worker_version",
    )

    def __init__(
        self,
        identity: str,
        worker_instance_key: str = "",
        max_tasks_per_second: float | None = None,
        capabilities: bytes = b"",
        deployment_options: bytes = b"",
        build_id: str = "",
        normal_name: str = "",
        worker_version: bytes | None = None,
    ) -> None:
        self.worker_version = worker_version
        self.build_id = build_id
        self.normal_name = normal_name
        self.identity = identity
        self.worker_instance_key = worker_instance_key
        self.max_tasks_per_second = max_tasks_per_second
        self.capabilities = capabilities
        self.deployment_options = deployment_options


@final
class Matched:
    """What a poll got: a task or a query. `started` is the engine's outcome when the start is in the same write.

    `scaling` is what its worker is advised to do: 1 for one more poll at a time, -1 for one less, 0 for nothing.
    """

    __slots__ = ("backlog_count_hint", "query", "scaling", "started", "task")

    def __init__(
        self, task: Task | None, query: QueryTask | None, started: object | None, backlog_count_hint: int
    ) -> None:
        self.task = task
        self.query = query
        self.started = started
        self.backlog_count_hint = backlog_count_hint
        self.scaling = 0


@final
class Poll:
    """One poll in a partition's line, which it joined at `since_ns` (monotonic).

    `matched` is set once the state is MATCHED; `waiter` is the runtime's object.
    """

    __slots__ = ("matched", "request", "seq", "since_ns", "state", "waiter")

    def __init__(self, request: PollRequest) -> None:
        self.request = request
        self.seq = 0
        self.since_ns = 0
        self.state = PollState.WAITING
        self.matched: Matched | None = None
        self.waiter: object | None = None


@final
class Settings:
    """Windows and times to live of a partition, in nanoseconds (dynamic config `matching.*`)."""

    __slots__ = ("poller_history_ns", "pollers_max", "query_window_ns", "sticky_window_ns")

    def __init__(
        self,
        sticky_window_ns: int = 10 * SECOND,
        query_window_ns: int = 20 * SECOND,
        poller_history_ns: int = 300 * SECOND,
        pollers_max: int = 1_000,
    ) -> None:
        self.sticky_window_ns = sticky_window_ns
        self.query_window_ns = query_window_ns
        self.poller_history_ns = poller_history_ns
        self.pollers_max = pollers_max


@final
class DispatchConfig:
    """What UpdateTaskQueueConfig says of a queue: tasks per second of the queue and of each fairness key (None: not
    limited; 0: stopped), and weights of fairness keys that override what tasks say."""

    __slots__ = ("key_rate", "rate", "weights")

    def __init__(
        self, rate: float | None = None, key_rate: float | None = None, weights: Mapping[str, float] | None = None
    ) -> None:
        self.rate = rate
        self.key_rate = key_rate
        self.weights = weights or {}


@final
class PollerDescription:
    """One worker seen by a queue; `last_access_ns` is wall time, and now for a worker whose poll waits."""

    __slots__ = ("last_access_ns", "request")

    def __init__(self, request: PollRequest, last_access_ns: int) -> None:
        self.request = request
        self.last_access_ns = last_access_ns


@final
class BacklogDescription:
    """How many tasks of one priority wait, and since when the oldest does (0 when none); dead ones may be counted.

    Rates are tasks per second over 30 s.
    """

    __slots__ = ("add_rate", "age_ns", "count", "dispatch_rate", "priority")

    def __init__(
        self, priority: int, count: int, age_ns: int, add_rate: float = 0.0, dispatch_rate: float = 0.0
    ) -> None:
        self.priority = priority
        self.count = count
        self.age_ns = age_ns
        self.add_rate = add_rate
        self.dispatch_rate = dispatch_rate


@final
class QueueDescription:
    """A queue as DescribeTaskQueue shows it; rates are tasks per second over 30 s.

    `rate_limit` is None when dispatch is not limited; `rate_limit_by_api` tells a configured limit from a worker's, and
    `rate_limiting` says that it has held a task back within those 30 s.
    """

    __slots__ = (
        "add_rate",
        "backlog",
        "backlog_age_ns",
        "backlog_count",
        "dispatch_rate",
        "pollers",
        "rate_limit",
        "rate_limit_by_api",
        "rate_limiting",
    )

    def __init__(
        self,
        pollers: tuple[PollerDescription, ...] = (),
        backlog: tuple[BacklogDescription, ...] = (),
        rate_limit: float | None = None,
        rate_limit_by_api: bool = False,
        rate_limiting: bool = False,
    ) -> None:
        self.pollers = pollers
        self.backlog = backlog
        self.backlog_count = sum([level.count for level in backlog])
        self.backlog_age_ns = max([level.age_ns for level in backlog], default=0)
        self.add_rate = sum([level.add_rate for level in backlog])
        self.dispatch_rate = sum([level.dispatch_rate for level in backlog])
        self.rate_limit = rate_limit
        self.rate_limit_by_api = rate_limit_by_api
        self.rate_limiting = rate_limiting
