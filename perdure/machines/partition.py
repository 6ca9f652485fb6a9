"""One task-queue partition as a pure machine: tasks and polls in, matches out (semantics 12, inventory 4.21).

A run owes the offer of its undispatched tasks (DESIGN 1.9), so a partition is a cache of obligations: it may forget
everything and be told again. What it decides is who gets what and when: lower priority key first, first come first
served within a key, a query by turns with the tasks of its own priority, never more tasks a second than the limit of
the queue allows. The rules it keeps:

* a key is queued once or handed out once, never both; offering it again meanwhile changes nothing;
* while a poll waits and the rate limit has a token, nothing else waits: every input drains the line;
* a task given back stands where it stood, ahead of everything that was queued behind it.

The machine reads no clock. `now_ns` is monotonic (rate limit, windows), `wall_ns` is the namespace's time of day
(expiry, what DescribeTaskQueue shows). It must not know futures, timers or messages: `perdure.matching` has those, and
finds its own object again in `Poll.waiter`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import final

from perdure.clock import SECOND
from perdure.machines.fair_line import FairLine, KeyLimits
from perdure.machines.poller_history import PollerHistory
from perdure.machines.queue_level import LONG_AGO_NS, Level
from perdure.machines.rate_meter import BUCKET_NS, WINDOW_NS, RateMeter
from perdure.machines.task_queue import (
    ACTIVITY,
    BacklogDescription,
    DispatchConfig,
    Matched,
    Poll,
    PollState,
    QueryTask,
    QueueDescription,
    QueueKey,
    Settings,
    Task,
    TaskKey,
)
from perdure.machines.token_bucket import NEVER, TokenBucket, effective

_SWEEP_MIN = 1024
"""A backlog is not searched for the dead before it holds this many: below it, they are cheap to keep."""

_TRIM_MAX = 10_000
"""Tasks of a level that one trimming looks at."""

_IDLE_POLL_NS = SECOND
"""A poll that waited so long shows that its worker has more of them than it needs."""
_BACKLOG_OLD_NS = 200_000_000
"""A backlog whose oldest task waits longer wants more polls."""
_ADVICE_EVERY_NS = SECOND // 10
"""How often one worker may be advised to poll more."""


@final
class Partition:
    """The state of one partition. Methods named in the past tense are inputs; those that match return the polls that
    got something, each with `matched` set. Keys are in `queued` from offer to hand-out, in `handed` until settled."""

    __slots__ = (
        "_advice_ns",
        "_api_rate",
        "_dead",
        "_fair",
        "_hand_outs",
        "_keys",
        "_levels",
        "_loaded_ns",
        "_pollers",
        "_polls",
        "_queries",
        "_roll_ns",
        "_settings",
        "_sweep_at",
        "_worker_rate",
        "bucket",
        "handed",
        "queue",
        "queued",
        "reserved_count",
        "seen_ns",
        "touched_ns",
        "waiting",
    )

    def __init__(
        self, queue: QueueKey, settings: Settings, now_ns: int, fair: bool = False, bucket: TokenBucket | None = None
    ) -> None:
        """`bucket` is shared by the lines of one queue."""
        self.queue = queue
        self.waiting: OrderedDict[int, Poll] = OrderedDict()
        self.queued: set[TaskKey] = set()
        self.handed: dict[TaskKey, int] = {}
        self.bucket = bucket or TokenBucket()
        self.reserved_count = 0
        self.seen_ns = LONG_AGO_NS
        self.touched_ns = now_ns
        self._settings = settings
        self._levels: list[Level] = []
        self._pollers = PollerHistory(settings.pollers_max)
        self._polls = 0
        self._hand_outs = 0
        self._queries = 0
        self._dead = 0
        self._sweep_at = _SWEEP_MIN
        self._api_rate: float | None = None
        self._worker_rate: float | None = None
        self._fair = fair
        self._keys = KeyLimits()
        self._loaded_ns = now_ns
        self._roll_ns = now_ns + BUCKET_NS
        self._advice_ns = LONG_AGO_NS

    # Tasks

    def offered(self, task: Task, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """A task is owed. A key that is queued or handed out already changes nothing."""
        key = task.key
        if key in self.queued or key in self.handed:
            return ()
        self._touch(now_ns)
        level = self._level(task.priority)
        level.meter.added += 1
        waiting = self.waiting
        expired = task.expires_ns is not None and task.expires_ns <= wall_ns
        if waiting and not self.queued and not self._queries and not self.limited and not expired:
            # The common case by far: somebody waits and nobody is ahead.
            self._hand_outs += 1
            self.handed[key] = self._hand_outs
            level.meter.dispatched += 1
            return (self._match(waiting.popitem(last=False)[1], Matched(task, None, None, 0), now_ns),)
        self.queued.add(key)
        level.append(task)
        if waiting:
            return self._drain(now_ns, wall_ns)
        if len(self.queued) >= self._sweep_at:
            self.sweep(wall_ns)
        return ()

    def given_back(self, task: Task, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """The start of a handed-out task had no definite answer: it stands again where it stood."""
        seq = self.handed.pop(task.key, 0)
        if seq == 0:
            return self.offered(task, now_ns, wall_ns)
        self._touch(now_ns)
        self.bucket.refund()
        self.queued.add(task.key)
        heappush(self._level(task.priority).returned, (seq, task))
        return self._drain(now_ns, wall_ns)

    def settled(self, key: TaskKey, started: bool, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """The start of a handed-out task had a definite answer; one that did not start gives its token back."""
        if self.handed.pop(key, 0) == 0 or started or not self.bucket.limited:
            return ()
        self.bucket.refund()
        return self._drain(now_ns, wall_ns)

    def forgotten(self, key: TaskKey, wall_ns: int) -> None:
        """A queued task is known to be stale. Its place is freed when it surfaces, or when half the line is dead."""
        if key in self.queued:
            self.queued.remove(key)
            self._dead += 1
            if self._dead >= _SWEEP_MIN and self._dead > len(self.queued):
                self.sweep(wall_ns)

    def trim(self, wall_ns: int) -> None:
        """Drop what is dead or expired at the front of the line, a bounded number at a time.

        Enough for unloading: a line that could be dropped whole is all front.
        """
        for level in self._levels:
            if level.keyed is not None:
                self.sweep(wall_ns)
                return
            for _ in range(_TRIM_MAX):
                if not level.fresh:
                    break
                task = level.fresh[0]
                if task.key not in self.queued:
                    self._dead -= 1
                elif task.expires_ns is not None and task.expires_ns <= wall_ns:
                    self.queued.remove(task.key)
                else:
                    break
                level.fresh.popleft()

    def sweep(self, wall_ns: int) -> None:
        """Drop what is dead or expired anywhere in the line; costs the length of the line, so callers amortize it."""
        queued: set[TaskKey] = set()
        for level in self._levels:
            level.lay([task for task in level.in_line() if self._alive(task, queued, wall_ns)], self._keyed())
            # A filtered heap need not be a heap, but a sorted list is one.
            level.returned = sorted(
                [entry for entry in level.returned if self._alive(entry[1], queued, wall_ns)], key=_seq_of
            )
        self.queued = queued
        self._dead = 0
        self._sweep_at = max(_SWEEP_MIN, 2 * len(queued))

    # Queries

    def queried(self, query: QueryTask, now_ns: int, wall_ns: int, returned: bool = False) -> Sequence[Poll]:
        """A query wants a worker; `returned` when it had one that went away, so that it goes first."""
        self._touch(now_ns)
        level = self._level(query.priority)
        level.queries[query.task_id] = query
        self._queries += 1
        if returned:
            level.queries.move_to_end(query.task_id, last=False)
            level.query_turn = True
        return self._drain(now_ns, wall_ns)

    def query_left(self, query: QueryTask) -> bool:
        """The caller of a query is gone; True when the query was still waiting for a worker."""
        for level in self._levels:
            if level.priority == query.priority and level.queries.pop(query.task_id, None) is not None:
                self._queries -= 1
                return True
        return False

    def query_waits(self, query: QueryTask) -> bool:
        """True while no worker has taken the query."""
        return any(query.task_id in level.queries for level in self._levels)

    @property
    def queries_waiting(self) -> int:
        """How many queries wait for a worker."""
        return self._queries

    # Polls

    def polled(self, poll: Poll, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """A worker asks for work and joins the end of the line."""
        self._touch(now_ns)
        self.seen_ns = now_ns
        request = poll.request
        self._pollers.seen(request, now_ns, wall_ns)
        if self.queue.type == ACTIVITY and request.max_tasks_per_second != self._worker_rate:
            self._worker_rate = request.max_tasks_per_second
            self._limit(now_ns)
        self._polls += 1
        poll.seq = self._polls
        poll.since_ns = now_ns
        self.waiting[poll.seq] = poll
        if self.queued or self._queries:
            return self._drain(now_ns, wall_ns)
        return ()

    def left(self, poll: Poll, now_ns: int, wall_ns: int, alive: bool) -> None:
        """A poll ended without work; `alive` when its time ran out, so that the worker counts as seen just now."""
        if poll.state == PollState.WAITING:
            del self.waiting[poll.seq]
        else:
            assert poll.state == PollState.RESERVED
        poll.state = PollState.GONE
        if alive:
            self.seen_ns = now_ns
            self._pollers.seen(poll.request, now_ns, wall_ns)

    def reserved(self, priority: int, now_ns: int) -> Poll | None:
        """Take a waiting poll out of the line for a task that is about to be committed, if that task would be next.

        A token of the rate limit goes with it; `released` gives both back.
        """
        if not self.waiting or self.bucket.ready_ns > now_ns or self._keys.limited:
            return None
        if (self.queued or self._queries) and self._most_urgent() <= priority:
            return None
        self._touch(now_ns)
        poll = self.waiting.popitem(last=False)[1]
        poll.state = PollState.RESERVED
        self.reserved_count += 1
        if self.bucket.limited:
            self.bucket.take(now_ns)
        return poll

    def delivered(self, poll: Poll, task: Task, started: object, now_ns: int) -> bool:
        """The commit behind a reservation succeeded; False when the poll has gone meanwhile."""
        self.reserved_count -= 1
        self._touch(now_ns)
        meter = self._level(task.priority).meter
        meter.added += 1
        if poll.state != PollState.RESERVED:
            return False
        meter.dispatched += 1
        self._match(poll, Matched(task, None, started, len(self.queued)), now_ns)
        return True

    def released(self, poll: Poll, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """The commit behind a reservation failed: the poll rejoins the line where it stood."""
        self.reserved_count -= 1
        self._touch(now_ns)
        self.bucket.refund()
        if poll.state == PollState.RESERVED:
            poll.state = PollState.WAITING
            self._rejoin(poll)
        return self._drain(now_ns, wall_ns)

    def drawn(self) -> list[Task]:
        """Take all queued tasks out, in order: they will wait elsewhere. Polls and queries stay."""
        tasks: list[Task] = []
        for level in self._levels:
            tasks.extend([entry[1] for entry in sorted(level.returned, key=_seq_of) if entry[1].key in self.queued])
            tasks.extend([task for task in level.in_line() if task.key in self.queued])
            level.returned = []
            level.lay([], self._keyed())
        self.queued.clear()
        self._dead = 0
        return tasks

    def emptied(self) -> tuple[list[Task], list[Poll], list[QueryTask]]:
        """Take everything that waits out, and act as if no worker had ever been seen."""
        tasks = self.drawn()
        queries = [query for level in self._levels for query in level.queries.values()]
        polls = list(self.waiting.values())
        for poll in polls:
            poll.state = PollState.GONE
        self.waiting.clear()
        self._levels.clear()
        self._pollers.clear()
        self._queries = 0
        self.seen_ns = LONG_AGO_NS
        return tasks, polls, queries

    # Time and limits

    def configured(self, config: DispatchConfig, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """UpdateTaskQueueConfig was called: its rate overrides the workers', its weights what tasks say."""
        assert not self.queue.sticky
        self._api_rate = config.rate
        self._keys = KeyLimits(config.key_rate, config.weights, self._keys)
        for level in self._levels:
            level.lay(level.in_line(), self._keyed())
        self._limit(now_ns)
        return self._drain(now_ns, wall_ns)

    def woken(self, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """The time that `wake_ns` named has come."""
        return self._drain(now_ns, wall_ns)

    @property
    def limited(self) -> bool:
        """Whether time alone may make a match: see `wake_ns`."""
        return self.bucket.limited or self._keys.limited

    @property
    def wake_ns(self) -> int | None:
        """When time alone will make a match (monotonic), or None. Changes with every input."""
        if not (self.waiting and self.queued and self.limited):
            return None
        ready_ns = self.bucket.ready_ns
        if self._keys.limited:
            ready_ns = max(ready_ns, min([level.ready_ns() for level in self._levels], default=NEVER))
        return ready_ns if ready_ns < NEVER else None

    def seen_within(self, window_ns: int, now_ns: int) -> bool:
        """True when a poll waits, or one was seen in the window."""
        return bool(self.waiting) or self.reserved_count > 0 or now_ns - self.seen_ns <= window_ns

    def sticky_available(self, now_ns: int) -> bool:
        """False when a sticky queue must refuse (semantics 12.1)."""
        return self.seen_within(self._settings.sticky_window_ns, now_ns)

    def query_worker_seen(self, now_ns: int) -> bool:
        """False when a query that ran out of time should say that there is no worker (semantics 8.1)."""
        return self.seen_within(self._settings.query_window_ns, now_ns)

    def idle_since_ns(self) -> int | None:
        """Since when nothing at all is held (monotonic), or None while something is."""
        if self.waiting or self.queued or self.handed or self._queries or self.reserved_count:
            return None
        return max(self.touched_ns, self.seen_ns)

    def describe(self, now_ns: int, wall_ns: int) -> QueueDescription:
        """What DescribeTaskQueue shows."""
        self._touch(now_ns)
        for poll in self.waiting.values():
            self._pollers.seen(poll.request, now_ns, wall_ns)
        return QueueDescription(
            self._pollers.since(now_ns - self._settings.poller_history_ns),
            tuple([self._describe_level(level, now_ns, wall_ns) for level in self._levels]),
            self.bucket.rate,
            effective(self._api_rate) is not None,
            self.bucket.held_within(WINDOW_NS, now_ns),
        )

    def poller_forgotten(self, identity: str) -> None:
        """A worker said good-bye: it is no longer shown."""
        self._pollers.forgotten(identity)

    # Inside

    def _drain(self, now_ns: int, wall_ns: int) -> Sequence[Poll]:
        """Match until the polls, the work or the tokens run out."""
        waiting = self.waiting
        if not waiting:
            return ()
        bucket = self.bucket
        polls: list[Poll] = []
        while waiting and (self.queued or self._queries):
            matched = self._next(bucket.ready_ns <= now_ns, now_ns, wall_ns)
            if matched is None:
                break
            if matched.task is not None:
                if bucket.limited:
                    bucket.take(now_ns)
                matched.scaling = self._advice(now_ns, wall_ns)
            polls.append(self._match(waiting.popitem(last=False)[1], matched, now_ns))
        if waiting and self.queued and self.limited:
            bucket.held_ns = now_ns
        return polls

    def _next(self, token: bool, now_ns: int, wall_ns: int) -> Matched | None:
        """Take the most urgent piece of work, or None when there is none that may go; tasks need a token."""
        for level in self._levels:
            if token and not (level.queries and level.query_turn):
                task = self._take(level, now_ns, wall_ns)
                if task is not None:
                    level.query_turn = True
                    return Matched(task, None, None, len(self.queued))
            if level.queries:
                query = level.queries.popitem(last=False)[1]
                self._queries -= 1
                level.query_turn = False
                return Matched(None, query, None, len(self.queued))
        return None

    def _take(self, level: Level, now_ns: int, wall_ns: int) -> Task | None:
        """The first live task of a level that may go, handed out; the dead and expired before it are dropped."""
        queued = self.queued
        while True:
            seq = self._hand_outs + 1
            if level.returned:
                seq, task = heappop(level.returned)
            elif level.keyed is not None:
                popped = level.keyed.pop(now_ns)
                if popped is None:
                    return None
                task = popped
            elif level.fresh:
                task = level.fresh.popleft()
            else:
                return None
            if task.key not in queued:
                self._dead -= 1
                continue
            queued.remove(task.key)
            if task.expires_ns is not None and task.expires_ns <= wall_ns:
                continue
            self._hand_outs += 1
            self.handed[task.key] = seq
            level.meter.dispatched += 1
            self._keys.take(task, now_ns)
            return task

    def _match(self, poll: Poll, matched: Matched, now_ns: int) -> Poll:
        poll.state = PollState.MATCHED
        poll.matched = matched
        self.seen_ns = now_ns
        if matched.scaling == 0 and now_ns - poll.since_ns >= _IDLE_POLL_NS:
            matched.scaling = -1
        return poll

    def _advice(self, now_ns: int, wall_ns: int) -> int:
        """1 when more polls at a time would shorten the backlog (inventory 4.21); so many times a second for each
        worker at most, that the crowd of them does not overshoot.
        """
        if not self.queued or self.bucket.held_within(WINDOW_NS, now_ns) or now_ns < self._advice_ns:
            return 0
        self._advice_ns = now_ns + _ADVICE_EVERY_NS // max(1, len(self._pollers))
        oldest_ns = min([level.oldest_ns() for level in self._levels if level.count()])
        return 1 if wall_ns - oldest_ns > _BACKLOG_OLD_NS else 0

    def _keyed(self) -> FairLine | None:
        """A line for a level, where fairness keys matter by the rules that hold now."""
        return FairLine(self._fair, self._keys) if self._fair or self._keys.limited else None

    def _alive(self, task: Task, kept: set[TaskKey], wall_ns: int) -> bool:
        """True for the one live, unexpired entry of each key, which is then remembered in `kept`."""
        expired = task.expires_ns is not None and task.expires_ns <= wall_ns
        if expired or task.key not in self.queued or task.key in kept:
            return False
        kept.add(task.key)
        return True

    def _rejoin(self, poll: Poll) -> None:
        """Put a poll back before all later ones; only polls that rejoined before it can be ahead."""
        waiting = self.waiting
        line = [poll]
        while waiting:
            seq, first = waiting.popitem(last=False)
            if seq > poll.seq:
                line.append(first)
                break
            line.insert(-1, first)
        for one in reversed(line):
            waiting[one.seq] = one
            waiting.move_to_end(one.seq, last=False)

    def _level(self, priority: int) -> Level:
        place = 0
        for level in self._levels:
            if level.priority == priority:
                return level
            if level.priority > priority:
                break
            place += 1
        meter = RateMeter(self._loaded_ns)
        meter.roll(self.touched_ns)
        made = Level(priority, meter, self._keyed())
        self._levels.insert(place, made)
        return made

    def _most_urgent(self) -> int:
        return min(level.priority for level in self._levels if level.count() or level.queries)

    def _limit(self, now_ns: int) -> None:
        rate = self._worker_rate if self._api_rate is None else self._api_rate
        if effective(rate) != self.bucket.rate:
            self.bucket.limit(rate, now_ns)

    def _touch(self, now_ns: int) -> None:
        """Remember that something happened, and close the rate buckets whose time is over."""
        self.touched_ns = now_ns
        if now_ns >= self._roll_ns:
            self._roll_ns += ((now_ns - self._roll_ns) // BUCKET_NS + 1) * BUCKET_NS
            for level in self._levels:
                level.meter.roll(now_ns)

    def _describe_level(self, level: Level, now_ns: int, wall_ns: int) -> BacklogDescription:
        count = level.count()
        if len(self._levels) == 1:
            count = len(self.queued)
        age_ns = max(0, wall_ns - level.oldest_ns()) if level.count() else 0
        return BacklogDescription(level.priority, count, age_ns, *level.meter.rates(now_ns))


def _seq_of(entry: tuple[int, Task]) -> int:
    return entry[0]
