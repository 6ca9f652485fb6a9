"""Runs the task-queue partitions of this process: their futures, timers and time (semantics 12, DESIGN 1.7 and 1.9).

Everything is in memory and on one event loop. A backlog is durable because the runs are: each owes the offer of what
it has not dispatched, and after a restart or a change of owner the engine offers all of it again, in the order of
scheduled time (docs/decisions/003). So this module must never write to a store, nor judge whether a task is stale:
the start does that.

What the callers owe:

* **Every match with a task and without `started` is closed by exactly one call**: `settle` after a definite answer of
  the start (ok, stale, gone), `give_back` after any other, also when the handler is cancelled (`try`/`finally`).
  Until then offers of that key change nothing.
* **Every reservation is closed by exactly one call**: `deliver` after the commit, `release` when it failed.
* Who cannot start a task for a reason that will last (the owner is changing) waits before it polls again after
  `give_back`: the task stands first in line and would come back at once.
* When a run closes while it has offered, undispatched tasks, `forget` frees their memory; nothing else depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import final

from perdure.api import enums
from perdure.clock import SECOND, Clock
from perdure.errors import ResourceExhausted, Unavailable
from perdure.machines.queue_data import QueueData
from perdure.machines.task_queue import (
    ACTIVITY,
    NEXUS,
    WORKFLOW,
    DispatchConfig,
    Matched,
    Offered,
    Poll,
    PollRequest,
    PollState,
    QueryTask,
    QueueDescription,
    QueueKey,
    Settings,
    Task,
    TaskKey,
)
from perdure.matching.descriptions import merged
from perdure.matching.errors import NoRecentPoller, QueryTimedOut, StickyUnavailable
from perdure.matching.lines import Line, Lines
from perdure.matching.waiting import Asked, Waiter, waiter_of
from perdure.matching.workers import WorkerRegistry

QUEUE_IDLE_NS = 300 * SECOND
"""A queue that holds nothing is unloaded after this long (`matching.maxTaskQueueIdleTime`)."""

NO_POLLER_MARGIN_S = 1.0
"""So long before its deadline a query with no worker in sight gives up, so that the better error still arrives."""

RESERVED_GRACE_S = 0.5
"""How long a reserved poll outlives its time while the commit runs; polls end 1 s before the worker's deadline."""

SHUT_DOWN_WORKER_NS = 30 * SECOND
"""Polls that a worker had on the way when it shut down are answered empty for this long."""

SHUT_DOWN_WORKERS_MAX = 10_000
"""Workers that are remembered for that; the oldest is forgotten for a new one."""

QUERIES_WAITING_MAX = 1_000
"""Queries that may wait for a worker of one queue; the next one is refused."""


@final
class Reservation:
    """A poll kept for a task that is being committed; closed by exactly one of `deliver` and `release`."""

    __slots__ = ("_matching", "_poll", "_queue", "identity", "request", "worker_version")

    def __init__(self, matching: Matching, queue: Line, poll: Poll) -> None:
        self._matching = matching
        self._queue: Line | None = queue
        self._poll = poll
        self.request = poll.request
        self.identity = poll.request.identity
        self.worker_version = poll.request.worker_version

    def deliver(self, task: Task, started: object) -> bool:
        """Hand out the committed start. False when the poll has gone: the engine does what a lost delivery needs."""
        return self._matching._deliver(self._close(), self._poll, task, started)

    def release(self) -> None:
        """The commit failed: the poll returns to its place in the line."""
        self._matching._release(self._close(), self._poll)

    def _close(self) -> Line:
        queue = self._queue
        assert queue is not None, "a reservation is closed once"
        self._queue = None
        return queue


@final
class Matching:
    """All task queues of one process. Not thread-safe: every call is made on `loop`.

    `clock_of` names a namespace's clock where namespaces have their own; it decides about expiry only. `lost(task,
    started)` is called for a delivery that reached nobody although `deliver` said True; without it such a task waits
    for its timeout, as after a broken connection. `fair` tells which queues share themselves among fairness keys; asked
    when a queue is loaded.
    """

    def __init__(
        self,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        settings: Settings | None = None,
        clock_of: Callable[[str], Clock] | None = None,
        lost: Callable[[Task, object], None] | None = None,
        fair: Callable[[QueueKey], bool] | None = None,
        idle_ns: int = QUEUE_IDLE_NS,
    ) -> None:
        self._clock = clock
        self._loop = loop
        self._lost = lost
        self._idle_ns = idle_ns
        self._lines = Lines(settings or Settings(), clock_of or self._one_clock, fair)
        self._asked: dict[str, Asked] = {}
        self._shut_down: dict[tuple[str, str], int] = {}
        self.workers = WorkerRegistry()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closed = False

    # Tasks

    def offer(self, task: Task) -> Offered:
        """Hand a task to a waiting poll, or queue it; idempotent by key, never blocks.

        A sticky queue without a poller refuses: the caller offers the task on the normal queue (semantics 3.9).
        """
        if self._closed:
            return Offered.QUEUED
        now_ns = self._now_ns()
        if task.queue.sticky and not self._sticky_takes(task, now_ns):
            return Offered.STICKY_UNAVAILABLE
        line = self._lines.holder(task.key)
        if line is None or (task.key not in line.partition.queued and task.key not in line.partition.handed):
            line = self._line(self._lines.of_task(task), now_ns)
        polls = line.partition.offered(task, now_ns, line.clock.now_ns())
        if polls or line.partition.limited:
            self._hand(line, polls)
        return Offered.MATCHED if task.key in line.partition.handed else Offered.QUEUED

    def give_back(self, task: Task) -> Offered:
        """The start of a matched task had no definite answer: the task returns to its place, or as for `offer`."""
        if self._closed:
            return Offered.QUEUED
        now_ns = self._now_ns()
        line = self._lines.holder(task.key)
        if line is None:
            return self.offer(task)
        partition = line.partition
        if task.queue.sticky and not self._sticky_takes(task, now_ns):
            partition.settled(task.key, True, now_ns, 0)
            return Offered.STICKY_UNAVAILABLE
        if line.key.parts != self._lines.of_task(task).parts:
            self.settle(task, False)
            return self.offer(task)
        self._hand(line, partition.given_back(task, now_ns, line.clock.now_ns()))
        return Offered.MATCHED if task.key in partition.handed else Offered.QUEUED

    def settle(self, task: Task, started: bool) -> None:
        """The start of a matched task had a definite answer; `started` False: it was stale, its rate token is free."""
        line = self._lines.holder(task.key)
        if line is not None:
            polls = line.partition.settled(task.key, started, self._now_ns(), line.clock.now_ns())
            if polls or line.partition.limited:
                self._hand(line, polls)

    def forget(self, key: TaskKey) -> None:
        """Drop a queued task that is known to be stale; unknown keys are ignored."""
        line = self._lines.holder(key)
        if line is not None:
            line.partition.forgotten(key, line.clock.now_ns())

    def reserve(self, task: Task) -> Reservation | None:
        """Take a waiting poll for a task that is about to be committed, if that task would be its next one."""
        loaded = self._lines.loaded.get(self._lines.of_task(task).parts)
        if loaded is None or self._closed:
            return None
        now_ns = self._now_ns()
        while True:
            poll = loaded.partition.reserved(task.priority, now_ns)
            if poll is None:
                return None
            if not waiter_of(poll).future.done():
                return Reservation(self, loaded, poll)
            # Its client is gone; the poll's own coroutine has not run since.
            self._gone(loaded, poll, alive=False)
            self._hand(loaded, loaded.partition.released(poll, now_ns, loaded.clock.now_ns()))

    def _deliver(self, queue: Line, poll: Poll, task: Task, started: object) -> bool:
        """The commit behind a `Reservation` succeeded; see there."""
        now_ns = self._now_ns()
        waiter = waiter_of(poll)
        if waiter.future.done() and poll.state == PollState.RESERVED:
            self._gone(queue, poll, alive=False)
        if not queue.partition.delivered(poll, task, started, now_ns):
            return False
        waiter.end(poll.matched)
        return True

    def _release(self, queue: Line, poll: Poll) -> None:
        """The commit behind a `Reservation` failed."""
        now_ns = self._now_ns()
        waiter = waiter_of(poll)
        ended = waiter.overtime or waiter.future.done() or self._closed
        if ended and poll.state == PollState.RESERVED:
            self._gone(queue, poll, alive=waiter.overtime)
            waiter.end(None)
        self._hand(queue, queue.partition.released(poll, now_ns, queue.clock.now_ns()))

    # Polls

    async def poll(self, queue: QueueKey, request: PollRequest, timeout_s: float) -> Matched | None:
        """Wait for work of a queue; None when the time ran out, the worker shut down or the server does, or when the
        worker had better ask again because the queue's versions have changed.

        Raises NewerBuildExists when the worker's build id has been replaced by another. Cancelling the caller (its
        client is gone) consumes nothing.
        """
        now_ns = self._now_ns()
        if self._closed or (self._shut_down and self._is_shut_down(queue.namespace_id, request, now_ns)):
            return None
        loaded = self._line(self._lines.of_poll(queue, request.build_id, request.normal_name), now_ns)
        loaded.normal_name = request.normal_name
        poll = Poll(request)
        polls = loaded.partition.polled(poll, now_ns, loaded.clock.now_ns())
        if polls or loaded.partition.limited:
            self._hand(loaded, polls)
        if poll.matched is not None:
            return poll.matched
        if timeout_s <= 0:
            self._gone(loaded, poll, alive=True)
            return None
        future: asyncio.Future[Matched | None] = self._loop.create_future()
        waiter = Waiter(future)
        poll.waiter = waiter
        waiter.timer = self._loop.call_later(timeout_s, self._time_out, loaded, poll)
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon(loaded, poll)
            raise
        finally:
            waiter.timer.cancel()

    def cancel_polls(self, namespace_id: str, worker_instance_key: str, identity: str = "") -> int:
        """End all polls of one worker with an empty answer, and those it still has on the way; how many ended.

        `identity`, when given, is no longer shown among the pollers of the queues where it was waiting.
        """
        if not worker_instance_key:
            return 0
        now_ns = self._now_ns()
        if len(self._shut_down) >= SHUT_DOWN_WORKERS_MAX:
            self._shut_down.pop(next(iter(self._shut_down)))
        self._shut_down[(namespace_id, worker_instance_key)] = now_ns + SHUT_DOWN_WORKER_NS
        self._arm_idle()
        count = 0
        for queue in self._lines.loaded.values():
            if queue.key.namespace_id != namespace_id:
                continue
            for poll in list(queue.partition.waiting.values()):
                if poll.request.worker_instance_key == worker_instance_key:
                    self._gone(queue, poll, alive=False)
                    waiter_of(poll).end(None)
                    count += 1
            if identity:
                queue.partition.poller_forgotten(identity)
        return count

    def unload_sticky(self, queue: QueueKey) -> list[Task]:
        """End a sticky queue: offers are refused at once. Returns what was queued, to be offered on the normal one."""
        assert queue.sticky
        loaded = self._lines.loaded.get(queue.parts)
        if loaded is None:
            return []
        tasks, polls, queries = loaded.partition.emptied()
        for poll in polls:
            waiter_of(poll).end(None)
        for query in queries:
            self._asked[query.task_id].fail(StickyUnavailable())
        return tasks

    # Queries

    async def query(self, queue: QueueKey, query: QueryTask, timeout_s: float) -> object:
        """Have a worker answer a query; returns what `answer_query` was given.

        Raises `StickyUnavailable`, `NoRecentPoller`, `QueryTimedOut`, `ResourceExhausted` when too many wait already,
        and `Unavailable` when the server shuts down.
        """
        now_ns = self._now_ns()
        if self._closed:
            raise Unavailable("the server is shutting down")
        key = self._lines.of_query(queue, query)
        if queue.sticky:
            sticky = self._lines.loaded.get(key.parts)
            if sticky is None or not sticky.partition.sticky_available(now_ns):
                raise StickyUnavailable
        loaded = self._line(key, now_ns)
        if loaded.partition.queries_waiting >= QUERIES_WAITING_MAX:
            cause = enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT
            raise ResourceExhausted("too many queries wait for a worker of this task queue", cause)
        assert query.task_id not in self._asked
        asked = Asked(query, loaded, self._loop.create_future())
        self._asked[query.task_id] = asked
        ends_at = self._loop.time() + timeout_s
        early_s = timeout_s - NO_POLLER_MARGIN_S
        asked.timer = self._loop.call_later(early_s if early_s > 0 else timeout_s, self._query_late, asked, ends_at)
        self._hand(loaded, loaded.partition.queried(query, now_ns, loaded.clock.now_ns()))
        try:
            return await asked.future
        finally:
            asked.timer.cancel()
            del self._asked[query.task_id]
            asked.queue.partition.query_left(query)

    def answer_query(self, task_id: str, outcome: object) -> bool:
        """A worker answered; False when nobody waits for this query any more (NotFound for the worker)."""
        asked = self._asked.get(task_id)
        if asked is None or asked.future.done():
            return False
        asked.future.set_result(outcome)
        return True

    # Around

    def queue_changed(self, namespace_id: str, name: str, data: QueueData) -> None:
        """What is stored of a queue was loaded or has changed."""
        rerouted = self._lines.version_data(namespace_id, name, data)
        for kind in (WORKFLOW, ACTIVITY, NEXUS):
            queue = QueueKey(namespace_id, name, kind)
            config = data.configs.get(kind)
            if self._lines.configure(queue, None if config is None else config.dispatch()):
                self._configured(queue, DispatchConfig() if config is None else config.dispatch())
            if rerouted:
                self._reroute(queue)

    def configure(self, queue: QueueKey, config: DispatchConfig) -> None:
        """What UpdateTaskQueueConfig says of a queue holds from now on, loaded or not (semantics 12.3)."""
        self._lines.configure(queue, config)
        self._configured(queue, config)

    def describe(self, queue: QueueKey) -> QueueDescription:
        """Pollers, backlog and rates of a queue; an empty description when it is not loaded, which it stays."""
        lines = [self._described(line) for line in self._lines.of_queue(queue.parts)]
        if len(lines) == 1:
            return lines[0]
        limit = self._lines.configured_rate(queue)
        return merged(lines) if lines else QueueDescription(rate_limit=limit, rate_limit_by_api=limit is not None)

    def describe_version(self, queue: QueueKey, version: str) -> QueueDescription:
        """The same of the one line that polls of a build id ask; "" is the unversioned workers'."""
        line = self._lines.loaded.get(queue.line(version).parts)
        return QueueDescription() if line is None else self._described(line)

    def is_full(self, tasks_max: int) -> bool:
        """Whether about `tasks_max` tasks wait or more: the frontend takes no new workflows then."""
        return self._lines.queued(self._now_ns()) >= tasks_max

    @property
    def queues_loaded(self) -> int:
        """How many queues are in memory."""
        return len(self._lines.loaded)

    def close(self) -> None:
        """End all polls empty and all queries UNAVAILABLE; nothing is matched afterwards."""
        self._closed = True
        for queue in self._lines.loaded.values():
            _, polls, _ = queue.partition.emptied()
            for poll in polls:
                waiter_of(poll).end(None)
            if queue.timer is not None:
                queue.timer.cancel()
        for asked in self._asked.values():
            asked.fail(Unavailable("the server is shutting down"))
        self._lines.loaded.clear()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    # Inside

    def _now_ns(self) -> int:
        return round(self._loop.time() * SECOND)

    def _one_clock(self, _: str) -> Clock:
        return self._clock

    def _line(self, key: QueueKey, now_ns: int) -> Line:
        line = self._lines.loaded.get(key.parts)
        if line is None:
            line = self._lines.load(key, now_ns)
            self._arm_idle()
        return line

    def _sticky_takes(self, task: Task, now_ns: int) -> bool:
        """Whether a sticky queue may have a task: its worker is there, and its build id still the one to ask."""
        line = self._lines.loaded.get(task.queue.parts)
        if line is None or not line.partition.sticky_available(now_ns):
            return False
        return not self._lines.outdated(task, line.normal_name)

    def _configured(self, queue: QueueKey, config: DispatchConfig) -> None:
        now_ns = self._now_ns()
        for line in self._lines.of_queue(queue.parts):
            self._hand(line, line.partition.configured(config, now_ns, line.clock.now_ns()))

    def _described(self, line: Line) -> QueueDescription:
        return line.partition.describe(self._now_ns(), line.clock.now_ns())

    def _reroute(self, queue: QueueKey) -> None:
        """Versions of a queue have changed: what waits goes where it belongs now, and versioned workers ask again."""
        now_ns = self._now_ns()
        lines = list(self._lines.of_queue(queue.parts))
        tasks = [task for line in lines for task in line.partition.drawn()]
        for task in sorted(tasks, key=_due_of):
            self.offer(task)
        for line in lines:
            for poll in list(line.partition.waiting.values()) if line.key.version else ():
                self._gone(line, poll, alive=True)
                waiter_of(poll).end(None)
        for asked in list(self._asked.values()):
            target = self._lines.of_query(queue, asked.query)
            moves = asked.queue in lines and asked.queue.key.parts != target.parts
            if moves and asked.queue.partition.query_left(asked.query):
                asked.queue = self._line(target, now_ns)
                again = asked.queue.partition.queried(asked.query, now_ns, asked.queue.clock.now_ns())
                self._hand(asked.queue, again)

    def _hand(self, queue: Line, polls: Sequence[Poll]) -> None:
        """Wake the polls that got something; what a vanished one got goes to the next. Then set the rate timer."""
        while polls:
            again: list[Poll] = []
            for poll in polls:
                waiter = poll.waiter
                if waiter is None:
                    continue  # It is being made in `poll`, which looks at it next.
                assert isinstance(waiter, Waiter)
                if waiter.future.done():
                    # Its client is gone, and with a connection a thousand may go at once: hence no recursion.
                    again.extend(self._taken_back(queue, poll))
                else:
                    waiter.end(poll.matched)
            polls = again
        if queue.partition.limited:
            self._arm(queue)

    def _taken_back(self, queue: Line, poll: Poll) -> Sequence[Poll]:
        """Take back what a poll got that nobody awaits any more; returns the polls that have it now."""
        matched = poll.matched
        poll.matched = None
        if matched is None:
            return ()
        if matched.query is not None:
            asked = self._asked.get(matched.query.task_id)
            if asked is None or asked.future.done():
                return ()
            return queue.partition.queried(matched.query, self._now_ns(), queue.clock.now_ns(), returned=True)
        assert matched.task is not None
        if matched.started is None:
            return queue.partition.given_back(matched.task, self._now_ns(), queue.clock.now_ns())
        if self._lost is not None:
            self._lost(matched.task, matched.started)
        return ()

    def _abandon(self, queue: Line, poll: Poll) -> None:
        """The coroutine of a poll was cancelled, at whatever point of the poll's life."""
        if poll.state == PollState.WAITING or poll.state == PollState.RESERVED:
            self._gone(queue, poll, alive=False)
        elif poll.state == PollState.MATCHED:
            self._hand(queue, self._taken_back(queue, poll))

    def _gone(self, queue: Line, poll: Poll, alive: bool) -> None:
        queue.partition.left(poll, self._now_ns(), queue.clock.now_ns(), alive)

    def _time_out(self, queue: Line, poll: Poll) -> None:
        waiter = waiter_of(poll)
        if poll.state == PollState.RESERVED and not waiter.overtime:
            waiter.overtime = True
            waiter.timer = self._loop.call_later(RESERVED_GRACE_S, self._time_out, queue, poll)
            return
        self._gone(queue, poll, alive=True)
        waiter.end(None)

    def _query_late(self, asked: Asked, ends_at: float) -> None:
        now_ns = self._now_ns()
        waits = asked.queue.partition.query_waits(asked.query)
        if waits and not asked.queue.partition.query_worker_seen(now_ns):
            asked.fail(NoRecentPoller())
        elif self._loop.time() >= ends_at:
            asked.fail(QueryTimedOut())
        else:
            asked.timer = self._loop.call_at(ends_at, self._query_late, asked, ends_at)

    def _arm(self, queue: Line) -> None:
        """Keep one timer at the moment when the rate limit lets the next task go."""
        wake_ns = queue.partition.wake_ns
        if queue.timer is not None:
            if wake_ns == queue.timer_ns:
                return
            queue.timer.cancel()
            queue.timer = None
        if wake_ns is not None:
            queue.timer_ns = wake_ns
            queue.timer = self._loop.call_at(wake_ns / SECOND, self._wake, queue)

    def _wake(self, queue: Line) -> None:
        queue.timer = None
        # The loop may be early by its resolution, and float seconds by a nanosecond: the token is there by definition.
        now_ns = max(self._now_ns(), queue.timer_ns)
        self._hand(queue, queue.partition.woken(now_ns, queue.clock.now_ns()))

    def _is_shut_down(self, namespace_id: str, request: PollRequest, now_ns: int) -> bool:
        until_ns = self._shut_down.get((namespace_id, request.worker_instance_key))
        return until_ns is not None and until_ns > now_ns

    def _arm_idle(self) -> None:
        if self._idle_timer is None and not self._closed:
            self._idle_timer = self._loop.call_later(self._idle_ns / SECOND, self._unload_idle)

    def _unload_idle(self) -> None:
        """Forget what nobody has touched. Runs once an idle time, and only while something is loaded."""
        self._idle_timer = None
        now_ns = self._now_ns()
        for line in sorted(self._lines.loaded.values(), key=_version_of, reverse=True):
            line.partition.trim(line.clock.now_ns())
            since_ns = line.partition.idle_since_ns()
            if since_ns is not None and now_ns - since_ns >= self._idle_ns:
                self._lines.drop(line)
        self._shut_down = {key: until_ns for key, until_ns in self._shut_down.items() if until_ns > now_ns}
        if self._lines.loaded or self._shut_down:
            self._arm_idle()


def _due_of(task: Task) -> int:
    return task.created_ns


def _version_of(line: Line) -> str:
    return line.key.version
