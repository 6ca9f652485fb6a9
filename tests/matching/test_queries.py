"""How a query finds a worker, or fails to, in virtual time (semantics 8.1, inventory 4.13)."""

from __future__ import annotations

import asyncio

import pytest

from perdure.errors import ResourceExhausted, StatusCode, Unavailable
from perdure.machines.task_queue import QueryTask
from perdure.matching import service
from perdure.matching.errors import NoRecentPoller, QueryTimedOut, StickyUnavailable
from tests.matching.world import NORMAL, STICKY, WORKER, made, polling, virtual


@virtual
async def test_a_query_is_answered_by_the_worker_that_took_it() -> None:
    """Semantics 8.1."""
    matching = made()
    query = asyncio.create_task(matching.query(NORMAL, QueryTask("q1", "payload"), 10))
    await asyncio.sleep(0)
    matched = await matching.poll(NORMAL, WORKER, 60)
    assert matched is not None
    assert matched.query is not None
    assert (matched.query.task_id, matched.query.payload, matched.task) == ("q1", "payload", None)

    assert matching.answer_query("q1", 42)
    assert not matching.answer_query("q1", 43)
    assert await query == 42
    assert not matching.answer_query("q1", 44)


@virtual
async def test_a_query_without_any_worker_fails_early_with_the_better_error() -> None:
    """Inventory 4.13: FAILED_PRECONDITION, a second before the deadline, unless somebody polled in the last 20 s."""
    loop = asyncio.get_running_loop()
    matching = made()
    start = loop.time()

    with pytest.raises(NoRecentPoller) as raised:
        await matching.query(NORMAL, QueryTask("q1", None), 10)

    assert raised.value.code == StatusCode.FAILED_PRECONDITION
    assert raised.value.message == "no poller seen for task queue recently, worker may be down"
    assert loop.time() == start + 9
    assert await matching.poll(NORMAL, WORKER, 0) is None


@virtual
async def test_a_query_that_a_worker_was_seen_for_or_took_times_out_at_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    matching = made()
    await matching.poll(NORMAL, WORKER, 0)
    start = loop.time()
    with pytest.raises(QueryTimedOut) as raised:
        await matching.query(NORMAL, QueryTask("q1", None), 10)
    assert raised.value.code == StatusCode.DEADLINE_EXCEEDED
    assert loop.time() == start + 10

    poll = await polling(matching)
    with pytest.raises(QueryTimedOut):
        await matching.query(NORMAL, QueryTask("q2", None), 40)
    assert poll.done()


@virtual
async def test_a_query_with_less_than_the_margin_left_still_waits_its_time() -> None:
    loop = asyncio.get_running_loop()
    matching = made()
    start = loop.time()
    with pytest.raises(NoRecentPoller):
        await matching.query(NORMAL, QueryTask("q1", None), 0.5)
    assert loop.time() == start + 0.5


@virtual
async def test_a_sticky_query_without_a_poller_is_refused_at_once() -> None:
    matching = made()
    with pytest.raises(StickyUnavailable):
        await matching.query(STICKY, QueryTask("q1", None), 5)
    assert matching.queues_loaded == 0


@virtual
async def test_a_query_whose_worker_left_before_it_woke_goes_to_the_next() -> None:
    matching = made()
    first, second = await polling(matching), await polling(matching)
    query = asyncio.create_task(matching.query(NORMAL, QueryTask("q1", None), 10))
    await asyncio.sleep(0)
    first.cancel()
    matched = await second
    assert matched is not None
    assert matched.query is not None
    matching.answer_query("q1", "yes")

    assert await query == "yes"


@virtual
async def test_a_query_whose_caller_left_is_not_handed_out() -> None:
    matching = made()
    query = asyncio.create_task(matching.query(NORMAL, QueryTask("q1", None), 10))
    await asyncio.sleep(0)
    query.cancel()
    await asyncio.gather(query, return_exceptions=True)

    assert await matching.poll(NORMAL, WORKER, 0) is None


@virtual
async def test_queries_waiting_for_a_worker_are_bounded() -> None:
    matching = made()
    queries = [
        asyncio.create_task(matching.query(NORMAL, QueryTask(str(n), None), 10))
        for n in range(service.QUERIES_WAITING_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted):
        await matching.query(NORMAL, QueryTask("one more", None), 10)
    matching.close()
    results = await asyncio.gather(*queries, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}
