"""The rules of a task-queue partition (semantics 12), on the pure machine; times are made up."""

from __future__ import annotations

from perdure.machines.partition import Partition
from perdure.machines.task_queue import DispatchConfig, Poll, PollState, QueryTask, QueueKey, Settings, Task
from tests.machines.queues import ACTIVITIES, SECOND, WORKFLOWS, partition, task, worker


def got(poll: Poll) -> int | str | None:
    """What a poll has: an event id, a query's id, or None."""
    if poll.matched is None:
        return None
    if poll.matched.query is not None:
        return poll.matched.query.task_id
    assert poll.matched.task is not None
    return poll.matched.task.scheduled_event_id


def started(poll: Poll) -> object | None:
    return None if poll.matched is None else poll.matched.started


def ask(line: Partition, now_ns: int = 0, wall_ns: int = 0, rate: float | None = None) -> int | str | None:
    poll = worker(rate=rate)
    line.polled(poll, now_ns, wall_ns)
    return got(poll)


def offer(line: Partition, *tasks: Task, now_ns: int = 0) -> list[Poll]:
    return [poll for one in tasks for poll in line.offered(one, now_ns, 0)]


def test_first_come_first_served_within_a_priority_and_the_lower_key_first() -> None:
    """Semantics 12.2."""
    line = partition()
    offer(line, task(1), task(2, priority=5), task(3), task(4, priority=1), task(5, priority=1))

    assert [ask(line) for _ in range(6)] == [4, 5, 1, 3, 2, None]


def test_the_poll_that_waits_longest_gets_the_task() -> None:
    line = partition()
    first, second = worker("a"), worker("b")
    line.polled(first, 0, 0)
    line.polled(second, 0, 0)

    assert line.offered(task(1), 1, 1) == (first,)
    assert (got(first), got(second)) == (1, None)


def test_a_key_is_offered_once_while_it_is_queued_or_handed_out() -> None:
    """A re-offer after a restart must not run an attempt twice at the same time."""
    line = partition()
    offer(line, task(1), task(1))
    assert ask(line) == 1
    offer(line, task(1))
    assert ask(line) is None

    line.settled(task(1).key, True, 0, 0)
    line.waiting.clear()
    offer(line, task(1), task(1, attempt=2))

    assert [ask(line), ask(line), ask(line)] == [1, 1, None]


def test_a_task_given_back_stands_where_it_stood() -> None:
    line = partition()
    tasks = [task(n) for n in range(1, 6)]
    offer(line, *tasks)
    assert [ask(line), ask(line), ask(line)] == [1, 2, 3]

    line.given_back(tasks[2], 0, 0)
    line.given_back(tasks[0], 0, 0)
    assert ask(line) == 1
    line.given_back(tasks[1], 0, 0)
    line.given_back(tasks[0], 0, 0)

    assert [ask(line) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_a_task_given_back_goes_to_a_waiting_poll_at_once() -> None:
    line = partition()
    offer(line, task(1))
    assert ask(line) == 1
    waiting = worker()
    line.polled(waiting, 0, 0)

    assert line.given_back(task(1), 0, 0) == [waiting]


def test_a_task_given_back_to_a_partition_that_forgot_it_is_offered_anew() -> None:
    """The queue may have been unloaded in between."""
    line = partition()
    line.given_back(task(1), 0, 0)

    assert ask(line) == 1


def test_queues_are_the_same_by_value() -> None:
    assert QueueKey("ns", "q", 1) == WORKFLOWS
    assert len({QueueKey("ns", "q", 1), WORKFLOWS, ACTIVITIES, QueueKey("ns", "q", 1, True)}) == 3


def test_an_expired_task_is_dropped_when_it_surfaces() -> None:
    """Semantics 12.1: silently; the timer of the run produces the event."""
    line = partition()
    offer(line, task(1, expires_ns=5), task(2, expires_ns=50), task(3))

    assert [ask(line, wall_ns=5) for _ in range(3)] == [2, 3, None]
    assert line.offered(task(4, expires_ns=5), 6, 6) == []
    assert not line.queued
    assert sorted(key[1] for key in line.handed) == [2, 3]


def test_a_forgotten_task_is_dropped_and_may_come_again() -> None:
    line = partition()
    offer(line, task(1), task(2))
    line.forgotten(task(1).key, 0)
    line.forgotten(task(9).key, 0)

    assert line.describe(0, 0).backlog_count == 1
    assert ask(line) == 2
    offer(line, task(1))
    assert ask(line) == 1


def test_a_backlog_of_expired_tasks_does_not_grow_without_bound() -> None:
    """Nobody polls, every task expires, new ones keep coming: memory follows what lives."""
    line = partition()
    largest = 0
    for n in range(20_000):
        line.offered(task(n, expires_ns=n + 100), n, n)
        largest = max(largest, len(line.queued))

    assert largest <= 1_024
    assert line.queued


def test_a_backlog_of_forgotten_tasks_is_thrown_out_when_it_outweighs_the_rest() -> None:
    line = partition()
    offer(line, *[task(n) for n in range(5_000)])
    for n in range(4_990):
        line.forgotten(task(n).key, 0)

    assert sum(len(level.fresh) for level in line._levels) < 2_100
    assert [ask(line) for _ in range(2)] == [4_990, 4_991]


def test_trimming_empties_a_line_that_is_dead_from_front_to_end() -> None:
    line = partition()
    offer(line, task(1), task(2, expires_ns=5), task(3, expires_ns=6))
    line.forgotten(task(1).key, 0)

    line.trim(6)

    assert not line.queued
    assert line.idle_since_ns() == 0


def test_a_query_goes_before_the_tasks_of_its_priority_and_then_takes_turns() -> None:
    """Neither a flood of queries nor a long backlog starves the other; a more urgent task still goes first."""
    line = partition()
    offer(line, task(1), task(2), task(3), task(4, priority=1))
    for name in "abcd":
        line.queried(QueryTask(name, None), 0, 0)

    assert [ask(line) for _ in range(9)] == [4, "a", 1, "b", 2, "c", 3, "d", None]


def test_a_query_takes_a_waiting_poll_and_is_never_a_backlog() -> None:
    line = partition()
    waiting = worker()
    line.polled(waiting, 0, 0)

    assert line.queried(QueryTask("a", None), 0, 0) == [waiting]
    assert got(waiting) == "a"
    assert line.describe(0, 0).backlog_count == 0


def test_a_query_whose_caller_left_is_not_handed_out() -> None:
    line = partition()
    query = QueryTask("a", None)
    line.queried(query, 0, 0)

    assert line.query_waits(query)
    assert line.query_left(query)
    assert not line.query_left(query)
    assert ask(line) is None


def test_a_query_that_lost_its_worker_goes_first_again() -> None:
    line = partition()
    offer(line, task(1))
    for name in "ab":
        line.queried(QueryTask(name, None), 0, 0)
    assert [ask(line), ask(line)] == ["a", 1]

    line.queried(QueryTask("a", None), 0, 0, returned=True)

    assert [ask(line), ask(line)] == ["a", "b"]


def test_a_poll_that_left_gets_nothing() -> None:
    line = partition()
    first, second = worker("a"), worker("b")
    line.polled(first, 0, 0)
    line.polled(second, 0, 0)
    line.left(first, 0, 0, alive=False)

    assert offer(line, task(1)) == [second]
    assert first.state == PollState.GONE


def test_a_reserved_poll_is_out_of_the_line_until_its_task_is_delivered() -> None:
    """DESIGN 1.7: nothing is delivered before the commit."""
    line = partition()
    poll = worker()
    line.polled(poll, 0, 0)

    assert line.reserved(3, 0) is poll
    assert line.reserved(3, 0) is None
    assert offer(line, task(1)) == []
    assert got(poll) is None
    assert line.delivered(poll, task(2), "started", 0)
    assert got(poll) == 2
    assert started(poll) == "started"
    assert task(2).key not in line.handed


def test_released_polls_rejoin_the_line_where_they_stood() -> None:
    line = partition()
    polls = [worker(str(n)) for n in range(5)]
    for poll in polls:
        line.polled(poll, 0, 0)
    taken = [line.reserved(3, 0) for _ in range(4)]
    assert taken == polls[:4]
    for index in (2, 0, 3, 1):
        line.released(polls[index], 0, 0)

    assert offer(line, *[task(n) for n in range(5)]) == polls


def test_a_released_poll_takes_what_came_meanwhile() -> None:
    line = partition()
    poll = worker()
    line.polled(poll, 0, 0)
    assert line.reserved(3, 0) is poll
    offer(line, task(1))

    assert line.released(poll, 0, 0) == [poll]
    assert got(poll) == 1


def test_a_reserved_poll_that_left_is_not_delivered_to() -> None:
    line = partition()
    polls = [worker(), worker()]
    for poll in polls:
        line.polled(poll, 0, 0)
        assert line.reserved(3, 0) is poll
        line.left(poll, 0, 0, alive=False)

    assert not line.delivered(polls[0], task(1), "started", 0)
    assert line.released(polls[1], 0, 0) == ()
    assert offer(line, task(2)) == []
    assert line.reserved_count == 0


def test_no_poll_is_reserved_past_a_task_that_waits_longer() -> None:
    """Only a more urgent task may overtake the backlog that waits for the rate limit."""
    line = partition(ACTIVITIES)
    offer(line, task(1), task(2), task(3))
    assert ask(line, rate=1.0) == 1
    assert ask(line, rate=1.0) is None
    assert line.reserved(3, 0) is None
    assert line.reserved(1, 0) is None
    assert line.reserved(3, SECOND) is None

    assert line.reserved(2, SECOND) is not None
    assert line.wake_ns is None


def test_tasks_leave_at_the_rate_of_the_latest_activity_poll() -> None:
    """Semantics 12.3: a second's worth at once, then one an interval, each at an exact time."""
    line = partition(ACTIVITIES)
    offer(line, *[task(n) for n in range(1, 9)])
    assert [ask(line, rate=2.0) for _ in range(4)] == [1, 2, None, None]

    times = []
    while line.wake_ns is not None:
        times.append(line.wake_ns)
        line.woken(times[-1], 0)

    assert times == [SECOND // 2, SECOND]
    assert line.woken(2 * SECOND, 0) == ()
    assert ask(line, now_ns=2 * SECOND) == 5


def test_a_rate_of_zero_stops_the_queue_until_a_poll_asks_for_more() -> None:
    line = partition(ACTIVITIES)
    offer(line, task(1), task(2))
    assert ask(line, rate=0.0) is None
    stopped, awaited = line.wake_ns, line.reserved(1, 10 * SECOND)
    assert (stopped, awaited) == (None, None)

    assert ask(line, now_ns=10 * SECOND, rate=4.0) is None
    assert line.wake_ns == 10 * SECOND + SECOND // 4
    first = line.woken(10 * SECOND + SECOND // 4, 0)
    assert [got(poll) for poll in first] == [1]


def test_the_configured_limit_overrides_the_workers() -> None:
    line = partition(ACTIVITIES)
    line.configured(DispatchConfig(1.0), 0, 0)
    offer(line, task(1), task(2), task(3))
    assert [ask(line, rate=100.0), ask(line, rate=100.0)] == [1, None]
    assert (line.describe(0, 0).rate_limit, line.describe(0, 0).rate_limit_by_api) == (1.0, True)

    assert [got(poll) for poll in line.configured(DispatchConfig(None), SECOND, 0)] == [2]
    assert (line.describe(0, 0).rate_limit, line.describe(0, 0).rate_limit_by_api) == (100.0, False)


def test_a_workflow_queue_ignores_the_rate_of_a_poll() -> None:
    line = partition()
    offer(line, task(1))

    assert ask(line, rate=0.0) == 1


def test_a_task_that_did_not_start_gives_its_token_back() -> None:
    line = partition(ACTIVITIES)
    offer(line, task(1), task(2), task(3))
    assert [ask(line, rate=1.0), ask(line, rate=1.0)] == [1, None]

    assert [got(poll) for poll in line.settled(task(1).key, False, 0, 0)] == [2]
    assert ask(line, rate=1.0) is None
    assert line.settled(task(2).key, True, 0, 0) == ()


def test_a_released_reservation_gives_its_token_back() -> None:
    line = partition(ACTIVITIES)
    poll = worker(rate=1.0)
    line.polled(poll, 0, 0)
    assert line.reserved(3, 0) is poll
    line.released(poll, 0, 0)

    assert offer(line, task(1)) == [poll]


def test_a_sticky_queue_is_available_while_a_poller_waits_and_ten_seconds_after() -> None:
    line = partition()
    assert not line.sticky_available(0)
    poll = worker()
    line.polled(poll, 0, 0)
    assert line.sticky_available(60 * SECOND)
    line.left(poll, 60 * SECOND, 0, alive=True)
    assert line.sticky_available(70 * SECOND)
    assert not line.sticky_available(70 * SECOND + 1)


def test_a_worker_whose_connection_broke_does_not_count_as_seen_at_that_moment() -> None:
    line = partition()
    poll = worker()
    line.polled(poll, 0, 0)
    line.left(poll, 60 * SECOND, 0, alive=False)

    assert not line.sticky_available(60 * SECOND)


def test_a_worker_that_just_got_a_task_counts_as_seen() -> None:
    line = partition()
    line.polled(worker(), 0, 0)
    line.offered(task(1), 50 * SECOND, 0)

    assert line.sticky_available(60 * SECOND)
    assert line.query_worker_seen(70 * SECOND)
    assert not line.query_worker_seen(70 * SECOND + 1)


def test_emptying_returns_what_waited_in_order_and_forgets_the_workers() -> None:
    line = partition()
    offer(line, *[task(n) for n in range(1, 5)])
    assert ask(line) == 1
    line.given_back(task(1), 0, 0)
    line.forgotten(task(3).key, 0)
    line.queried(QueryTask("a", None), 0, 0)

    tasks, polls, queries = line.emptied()

    assert [one.scheduled_event_id for one in tasks] == [1, 2, 4]
    assert (polls, [query.task_id for query in queries]) == ([], ["a"])
    assert not line.sticky_available(0)
    assert line.describe(0, 0).pollers == ()


def test_describe_shows_pollers_for_five_minutes_and_a_waiting_one_as_seen_now() -> None:
    line = partition()
    gone, here = worker("gone"), worker("here")
    line.polled(gone, 0, 1_000)
    line.polled(here, 0, 1_000)
    line.left(gone, 0, 1_000, alive=False)

    early = line.describe(299 * SECOND, 5_000)
    late = line.describe(300 * SECOND, 6_000)

    assert [(one.request.identity, one.last_access_ns) for one in early.pollers] == [("gone", 1_000), ("here", 5_000)]
    assert [one.request.identity for one in late.pollers] == ["here"]


def test_describe_bounds_the_number_of_identities_it_remembers() -> None:
    line = Partition(WORKFLOWS, Settings(pollers_max=100), 0)
    for n in range(1_000):
        poll = worker(str(n))
        line.polled(poll, n, n)
        line.left(poll, n, n, alive=False)

    names = [one.request.identity for one in line.describe(1_000, 1_000).pollers]
    assert len(names) <= 100
    assert names[-1] == "999"


def test_describe_counts_the_backlog_and_its_age_by_priority() -> None:
    line = partition()
    offer(line, task(1, created_ns=10), task(2, created_ns=20), task(3, created_ns=15, priority=1))

    shown = line.describe(0, 100)

    assert [(one.priority, one.count, one.age_ns) for one in shown.backlog] == [(1, 1, 85), (3, 2, 90)]
    assert (shown.backlog_count, shown.backlog_age_ns) == (3, 90)


def test_rates_cover_half_a_minute() -> None:
    line = partition()
    for n in range(30):
        line.offered(task(n), n * SECOND, 0)
    for n in range(15):
        assert ask(line, now_ns=30 * SECOND) == n
    shown = line.describe(30 * SECOND, 0)
    assert round(shown.add_rate, 1) == 1.0
    assert round(shown.dispatch_rate, 1) == 0.5

    assert line.describe(66 * SECOND, 0).add_rate == 0.0
    assert line.describe(66 * SECOND, 0).dispatch_rate == 0.0


def test_a_partition_is_idle_only_when_it_holds_nothing() -> None:
    line = partition()
    assert line.idle_since_ns() == 0
    line.offered(task(1), 5, 0)
    assert line.idle_since_ns() is None
    assert ask(line, now_ns=7) == 1
    assert line.idle_since_ns() is None
    line.settled(task(1).key, True, 8, 0)
    assert line.idle_since_ns() == 7


def test_a_limit_that_held_a_task_back_is_told_for_half_a_minute_and_asks_for_no_more_polls() -> None:
    """More workers do not help where a limit is what tasks wait for; a limit that nobody meets changes no advice."""
    for rate, limiting, advice in ((1.0, True, 0), (100.0, False, 1)):
        line = partition(ACTIVITIES)
        offer(line, *[task(n, queue=ACTIVITIES) for n in range(4)])
        assert not line.describe(0, 0).rate_limiting
        first, second, later = worker(rate=rate), worker(rate=rate), worker(rate=rate)
        line.polled(first, 0, 0)
        line.polled(second, 0, 0)

        assert line.describe(30 * SECOND, 0).rate_limiting == limiting
        assert not line.describe(31 * SECOND, 0).rate_limiting
        line.woken(SECOND, SECOND)
        line.polled(later, 3 * SECOND, 3 * SECOND)
        assert later.matched is not None
        assert later.matched.scaling == advice
