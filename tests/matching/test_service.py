"""Polls, reservations, queries and timers of matching, in virtual time (semantics 12, 8.1; DESIGN 1.7, 1.9)."""

from __future__ import annotations

import asyncio

import pytest

from perdure.errors import Unavailable
from perdure.machines.task_queue import WORKFLOW, DispatchConfig, Offered, PollRequest, QueryTask, QueueKey, Task
from perdure.matching.errors import StickyUnavailable
from perdure.matching.service import Matching
from tests.matching.virtual import LoopClock, passed
from tests.matching.world import ACTIVITIES, NORMAL, STICKY, WORKER, event_of, made, polling, task, virtual


@virtual
async def test_a_waiting_poll_gets_the_offer() -> None:
    matching = made()
    poll = await polling(matching)

    assert matching.offer(task(1)) == Offered.MATCHED
    assert matching.offer(task(1)) == Offered.MATCHED
    assert matching.offer(task(2)) == Offered.QUEUED
    assert event_of(await poll) == 1


@virtual
async def test_a_poll_takes_from_the_backlog_at_once_and_says_how_much_is_left() -> None:
    matching = made()
    for n in range(3):
        assert matching.offer(task(n)) == Offered.QUEUED

    matched = await matching.poll(NORMAL, WORKER, 0)

    assert matched is not None
    assert (event_of(matched), matched.backlog_count_hint, matched.started) == (0, 2, None)


@virtual
async def test_a_poll_times_out_empty_at_its_time() -> None:
    """Semantics 12.1."""
    loop = asyncio.get_running_loop()
    matching = made()
    start = loop.time()

    assert await matching.poll(NORMAL, WORKER, 60) is None
    assert loop.time() == start + 60
    assert matching.offer(task(1)) == Offered.QUEUED
    assert await matching.poll(STICKY, WORKER, 0) is None


@virtual
async def test_a_cancelled_poll_consumes_nothing() -> None:
    """Inventory 4.18: no task goes to a dead call."""
    matching = made()
    poll = await polling(matching)
    poll.cancel()
    await asyncio.sleep(0)

    assert matching.offer(task(1)) == Offered.QUEUED
    assert event_of(await matching.poll(NORMAL, WORKER, 0)) == 1


@virtual
async def test_an_offer_passes_over_a_poll_cancelled_in_the_same_turn() -> None:
    matching = made()
    first = await polling(matching)
    second = await polling(matching)
    first.cancel()

    assert matching.offer(task(1)) == Offered.MATCHED
    assert event_of(await second) == 1
    assert first.cancelled() or first.cancelling()


@virtual
async def test_a_task_whose_poll_is_cancelled_before_it_woke_goes_to_the_next() -> None:
    matching = made()
    first = await polling(matching)
    second = await polling(matching)
    assert matching.offer(task(1)) == Offered.MATCHED
    first.cancel()

    assert event_of(await second) == 1
    assert first.cancelled()


@virtual
async def test_a_connection_with_thousands_of_polls_may_break_at_once() -> None:
    matching = made()
    gone = [asyncio.create_task(matching.poll(NORMAL, WORKER, 60)) for _ in range(3_000)]
    await asyncio.sleep(0)
    for poll in gone:
        poll.cancel()

    assert matching.offer(task(1)) == Offered.QUEUED
    await asyncio.gather(*gone, return_exceptions=True)
    assert event_of(await matching.poll(NORMAL, WORKER, 0)) == 1


@virtual
async def test_a_task_given_back_is_first_in_line() -> None:
    matching = made()
    for n in range(3):
        matching.offer(task(n))
    assert event_of(await matching.poll(NORMAL, WORKER, 0)) == 0
    assert event_of(await matching.poll(NORMAL, WORKER, 0)) == 1

    assert matching.give_back(task(0)) == Offered.QUEUED

    assert [event_of(await matching.poll(NORMAL, WORKER, 0)) for _ in range(3)] == [0, 2, None]


@virtual
async def test_a_task_of_an_unloaded_queue_can_be_given_back() -> None:
    matching = made()
    assert matching.give_back(task(1)) == Offered.QUEUED
    assert matching.give_back(task(1, STICKY)) == Offered.STICKY_UNAVAILABLE


@virtual
async def test_a_settled_task_may_be_offered_anew() -> None:
    matching = made()
    matching.offer(task(1))
    await matching.poll(NORMAL, WORKER, 0)
    assert matching.offer(task(1)) == Offered.MATCHED
    assert matching.describe(NORMAL).backlog_count == 0
    matching.settle(task(1), started=True)

    assert matching.offer(task(1)) == Offered.QUEUED


@virtual
async def test_an_expired_task_is_never_handed_out() -> None:
    matching = made()
    now_ns = round(asyncio.get_running_loop().time() * 1_000_000_000)
    matching.offer(task(1, expires_ns=now_ns + 1_000_000_000))
    matching.offer(task(2))
    await passed(1)

    assert event_of(await matching.poll(NORMAL, WORKER, 0)) == 2


@virtual
async def test_a_namespace_has_its_own_clock() -> None:
    """DESIGN 1.12: where time is skipped, tasks expire in that time."""

    class Skipped:
        def now_ns(self) -> int:
            return 10**30

    loop = asyncio.get_running_loop()
    matching = Matching(LoopClock(loop), loop, clock_of=lambda name: Skipped() if name == "skip" else LoopClock(loop))
    skipped = QueueKey("skip", "q", WORKFLOW)
    matching.offer(task(1, skipped, expires_ns=10**29))
    matching.offer(task(1, NORMAL, expires_ns=10**29))

    assert await matching.poll(skipped, WORKER, 0) is None
    assert event_of(await matching.poll(NORMAL, WORKER, 0)) == 1


@virtual
async def test_a_reserved_poll_gets_the_start_after_the_commit() -> None:
    """DESIGN 1.7."""
    matching = made()
    assert matching.reserve(task(99)) is None
    poll = await polling(matching)
    reservation = matching.reserve(task(99))
    assert reservation is not None
    assert (reservation.identity, reservation.request) == ("w1", WORKER)
    assert matching.reserve(task(99)) is None
    await passed(1)
    assert not poll.done()

    assert reservation.deliver(task(1), "outcome")
    matched = await poll
    assert matched is not None
    assert matched.task is not None
    assert (matched.task.scheduled_event_id, matched.started) == (1, "outcome")


@virtual
async def test_a_released_poll_waits_on_and_keeps_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    matching = made()
    start = loop.time()
    poll = await polling(matching, timeout_s=10)
    reservation = matching.reserve(task(99))
    assert reservation is not None
    await passed(5)
    reservation.release()

    assert await poll is None
    assert loop.time() == start + 10


@virtual
async def test_a_reservation_is_closed_once() -> None:
    matching = made()
    await polling(matching)
    reservation = matching.reserve(task(99))
    assert reservation is not None
    reservation.release()

    with pytest.raises(AssertionError):
        reservation.deliver(task(1), "outcome")


@virtual
async def test_a_commit_may_finish_shortly_after_the_time_of_the_reserved_poll() -> None:
    matching = made()
    polls = [await polling(matching, timeout_s=1), await polling(matching, timeout_s=1)]
    delivered, released = matching.reserve(task(99)), matching.reserve(task(99))
    assert delivered is not None
    assert released is not None
    await passed(1.4)
    assert not polls[0].done()

    assert delivered.deliver(task(1), "outcome")
    released.release()
    assert event_of(await polls[0]) == 1
    assert await polls[1] is None
    assert matching.offer(task(2)) == Offered.QUEUED


@virtual
async def test_a_commit_that_takes_too_long_finds_the_poll_gone() -> None:
    matching = made()
    poll = await polling(matching, timeout_s=1)
    reservation = matching.reserve(task(99))
    assert reservation is not None

    assert await poll is None
    assert not reservation.deliver(task(1), "outcome")


@virtual
async def test_a_reserved_poll_whose_client_left_is_gone() -> None:
    matching = made()
    for settle_first in (True, False):
        poll = await polling(matching)
        reservation = matching.reserve(task(99))
        assert reservation is not None
        poll.cancel()
        if settle_first:
            await asyncio.sleep(0)
        assert not reservation.deliver(task(1), "outcome")
    poll = await polling(matching)
    reservation = matching.reserve(task(99))
    assert reservation is not None
    poll.cancel()
    reservation.release()
    assert matching.offer(task(2)) == Offered.QUEUED


@virtual
async def test_no_poll_is_reserved_whose_client_has_just_left() -> None:
    matching = made()
    first = await polling(matching, request=PollRequest("gone"))
    await polling(matching)
    first.cancel()

    reservation = matching.reserve(task(99))

    assert reservation is not None
    assert reservation.identity == "w1"


@virtual
async def test_a_started_task_lost_in_the_last_moment_is_reported() -> None:
    lost: list[tuple[Task, object]] = []
    matching = made(lost)
    poll = await polling(matching)
    reservation = matching.reserve(task(99))
    assert reservation is not None
    one = task(1)
    assert reservation.deliver(one, "outcome")
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)

    assert lost == [(one, "outcome")]


@virtual
async def test_a_sticky_queue_refuses_without_a_poller_for_ten_seconds() -> None:
    """Semantics 3.9, 12.1."""
    matching = made()
    assert matching.offer(task(1, STICKY)) == Offered.STICKY_UNAVAILABLE
    assert matching.queues_loaded == 0
    assert await matching.poll(STICKY, WORKER, 5) is None
    await passed(10)
    assert matching.offer(task(1, STICKY)) == Offered.QUEUED
    await passed(0.001)
    assert matching.offer(task(2, STICKY)) == Offered.STICKY_UNAVAILABLE
    await polling(matching, STICKY)
    await passed(50)
    await polling(matching, STICKY)
    assert matching.offer(task(2, STICKY)) == Offered.MATCHED


@virtual
async def test_a_task_given_back_to_a_deserted_sticky_queue_is_refused() -> None:
    matching = made()
    poll = await polling(matching, STICKY)
    matching.offer(task(1, STICKY))
    await poll
    await passed(11)

    assert matching.give_back(task(1, STICKY)) == Offered.STICKY_UNAVAILABLE
    await matching.poll(STICKY, WORKER, 0)
    assert matching.offer(task(1, STICKY)) == Offered.QUEUED


@virtual
async def test_unloading_a_sticky_queue_returns_its_tasks_and_refuses_at_once() -> None:
    """ShutdownWorker: the next workflow task goes to the normal queue (semantics 12.4)."""
    matching = made()
    assert matching.unload_sticky(STICKY) == []
    await matching.poll(STICKY, WORKER, 0)
    one = task(1, STICKY)
    matching.offer(one)
    query = asyncio.create_task(matching.query(STICKY, QueryTask("q1", None), 5))
    await asyncio.sleep(0)

    assert matching.unload_sticky(STICKY) == [one]
    assert matching.offer(task(2, STICKY)) == Offered.STICKY_UNAVAILABLE
    with pytest.raises(StickyUnavailable):
        await query


@virtual
async def test_unloading_a_sticky_queue_ends_its_polls() -> None:
    matching = made()
    poll = await polling(matching, STICKY)
    matching.unload_sticky(STICKY)

    assert await poll is None


@virtual
async def test_shutting_down_a_worker_ends_its_polls_and_those_on_the_way() -> None:
    """Inventory 4.18."""
    matching = made()
    mine = [await polling(matching), await polling(matching, ACTIVITIES)]
    other = await polling(matching, request=PollRequest("w2", "key-2"))

    assert matching.cancel_polls("other", "key-1") == 0
    assert matching.cancel_polls("ns", "") == 0
    assert matching.cancel_polls("ns", "key-1", identity="w1") == 2
    assert [await poll for poll in mine] == [None, None]
    assert [one.request.identity for one in matching.describe(NORMAL).pollers] == ["w2"]
    matching.offer(task(1))
    matching.offer(task(2))
    assert event_of(await other) == 1
    assert await matching.poll(NORMAL, WORKER, 60) is None
    await passed(30)
    assert event_of(await matching.poll(NORMAL, WORKER, 60)) == 2


@virtual
async def test_activities_leave_at_exact_times_under_a_rate_limit() -> None:
    """Semantics 12.3: one timer, no polling of a limiter."""
    loop = asyncio.get_running_loop()
    matching = made()
    times: list[float] = []

    async def work() -> None:
        while len(times) < 12:
            matched = await matching.poll(ACTIVITIES, PollRequest("w1", max_tasks_per_second=3.0), 60)
            assert matched is not None
            assert matched.task is not None
            times.append(loop.time())
            matching.settle(matched.task, started=True)

    start = loop.time()
    for n in range(12):
        matching.offer(task(n, ACTIVITIES))
    await work()

    interval = 333_333_333 / 1_000_000_000
    assert [at - start for at in times] == pytest.approx([0, 0] + [n * interval for n in range(10)])


@virtual
async def test_a_rate_of_zero_stops_activities_until_it_is_raised() -> None:
    matching = made()
    matching.configure(ACTIVITIES, DispatchConfig(0))
    matching.offer(task(1, ACTIVITIES))
    poll = await polling(matching, ACTIVITIES)
    await passed(30)
    assert not poll.done()
    assert matching.reserve(task(99, ACTIVITIES, 1)) is None

    matching.configure(ACTIVITIES, DispatchConfig(None))
    assert event_of(await poll) == 1


@virtual
async def test_a_faster_rate_holds_at_once_and_not_after_the_old_wait() -> None:
    loop = asyncio.get_running_loop()
    matching = made()
    matching.configure(ACTIVITIES, DispatchConfig(0.01))
    matching.offer(task(1, ACTIVITIES))
    matching.offer(task(2, ACTIVITIES))
    start = loop.time()
    assert event_of(await matching.poll(ACTIVITIES, WORKER, 60)) == 1
    poll = await polling(matching, ACTIVITIES)
    matching.configure(ACTIVITIES, DispatchConfig(2))

    assert event_of(await poll) == 2
    assert loop.time() == start + 0.5


@virtual
async def test_a_configured_limit_outlives_the_unloading_of_its_queue() -> None:
    matching = made()
    matching.configure(ACTIVITIES, DispatchConfig(7))
    assert matching.describe(ACTIVITIES).rate_limit == 7
    matching.offer(task(1, ACTIVITIES))
    assert matching.describe(ACTIVITIES).rate_limit_by_api


@virtual
async def test_idle_queues_are_unloaded_and_then_no_timer_is_left() -> None:
    """A process with nothing to do sleeps: the virtual loop raises when no timer can wake it."""
    matching = made()
    matching.offer(task(1))
    matched = await matching.poll(NORMAL, WORKER, 0)
    assert matched is not None
    assert matched.task is not None
    await matching.poll(ACTIVITIES, WORKER, 0)
    await passed(700)
    assert matching.queues_loaded == 1
    assert matching.describe(ACTIVITIES).pollers == ()
    matching.settle(matched.task, started=True)
    await passed(700)

    assert matching.queues_loaded == 0
    assert matching._idle_timer is None


@virtual
async def test_a_queue_whose_backlog_expired_is_unloaded() -> None:
    matching = made()
    now_ns = round(asyncio.get_running_loop().time() * 1_000_000_000)
    matching.offer(task(1, expires_ns=now_ns + 1))
    matching.offer(task(2))
    matching.forget(task(2).key)
    matching.forget(task(9, ACTIVITIES).key)
    await passed(700)

    assert matching.queues_loaded == 0


@virtual
async def test_closing_ends_everything() -> None:
    matching = made()
    poll = await polling(matching)
    reserved = await polling(matching, ACTIVITIES)
    reservation = matching.reserve(task(99, ACTIVITIES))
    assert reservation is not None
    query = asyncio.create_task(matching.query(QueueKey("ns", "x", WORKFLOW), QueryTask("q1", None), 10))
    await asyncio.sleep(0)
    matching.close()

    assert await poll is None
    with pytest.raises(Unavailable):
        await query
    reservation.release()
    assert await reserved is None
    assert await matching.poll(NORMAL, WORKER, 60) is None
    with pytest.raises(Unavailable):
        await matching.query(NORMAL, QueryTask("q2", None), 10)
    assert matching.offer(task(1)) == Offered.QUEUED
    assert matching.give_back(task(1)) == Offered.QUEUED
    assert matching.reserve(task(99)) is None


@virtual
async def test_thousands_of_waiting_polls_and_tasks_find_each_other_once() -> None:
    matching = made()
    polls = [asyncio.create_task(matching.poll(NORMAL, WORKER, 60)) for _ in range(2_000)]
    await asyncio.sleep(0)
    for n in range(0, 4_000, 2):
        matching.offer(task(n // 2))
    seen = [event_of(matched) for matched in await asyncio.gather(*polls)]

    assert seen == list(range(2_000))
