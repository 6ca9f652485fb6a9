"""The lines of one queue, by version of worker: routes, and what a change of routes does to those who wait (12.6)."""

from __future__ import annotations

import asyncio

import pytest

from perdure.errors import NewerBuildExists, StatusCode
from perdure.machines import version_rules, version_sets
from perdure.machines.queue_data import EMPTY, QueueData, RateLimit, TypeConfig
from perdure.machines.task_queue import ACTIVITY, Offered, PollRequest, QueryTask, QueueKey, Task
from perdure.matching.service import Matching
from tests.matching.virtual import passed
from tests.matching.world import ACTIVITIES, CHAIN, NORMAL, STICKY, event_of, made, polling, virtual

NOW = 1_000


def worker(build_id: str = "", normal_name: str = "") -> PollRequest:
    return PollRequest(f"w{build_id}", "key", build_id=build_id, normal_name=normal_name)


def task(event_id: int, build_id: str | None, queue: QueueKey = NORMAL) -> Task:
    return Task(queue, CHAIN, "run", event_id, 1, 0, 3, event_id, build_id=build_id)


def sets(*build_ids: str) -> QueueData:
    data = EMPTY
    for build_id in build_ids:
        data = version_sets.with_new_default_set(data, build_id, NOW)
    return data


def told(matching: Matching, data: QueueData) -> None:
    matching.queue_changed("ns", "q", data)


@virtual
async def test_a_task_waits_for_a_worker_of_its_own_set() -> None:
    matching = made()
    told(matching, version_sets.with_compatible(sets("1", "2"), "1.1", "1", False, NOW))
    for event_id, build_id in ((1, "1"), (2, None), (3, ""), (4, "2")):
        assert matching.offer(task(event_id, build_id)) == Offered.QUEUED

    assert event_of(await matching.poll(NORMAL, worker("1.1"), 0)) == 1
    assert event_of(await matching.poll(NORMAL, worker("1.1"), 0)) is None
    assert event_of(await matching.poll(NORMAL, worker(), 0)) == 3
    assert [event_of(await matching.poll(NORMAL, worker("2"), 0)) for _ in range(3)] == [2, 4, None]


@virtual
async def test_a_replaced_build_id_is_told_so() -> None:
    matching = made()
    told(matching, version_sets.with_compatible(sets("1"), "1.1", "1", False, NOW))

    with pytest.raises(NewerBuildExists) as raised:
        await matching.poll(NORMAL, worker("1"), 60)
    assert (raised.value.code, raised.value.default_build_id) == (StatusCode.OUT_OF_RANGE, "1.1")

    told(matching, version_rules.with_redirect(EMPTY, "3", "4", 10, 10, NOW))
    with pytest.raises(NewerBuildExists):
        await matching.poll(NORMAL, worker("3"), 60)


@virtual
async def test_an_unknown_build_id_meets_tasks_of_exactly_that() -> None:
    matching = made()
    assert matching.offer(task(1, "odd")) == Offered.QUEUED

    assert event_of(await matching.poll(NORMAL, worker(), 0)) is None
    assert event_of(await matching.poll(NORMAL, worker("other"), 0)) is None
    assert event_of(await matching.poll(NORMAL, worker("odd"), 0)) == 1


@virtual
async def test_what_waits_follows_a_change_of_routes() -> None:
    """A queued task changes its line, a waiting versioned poll ends so that it asks again, an unversioned one stays."""
    matching = made()
    matching.offer(task(1, None))
    told(matching, sets("1"))
    assert event_of(await matching.poll(NORMAL, worker(), 0)) is None
    assert matching.offer(task(1, None)) == Offered.QUEUED, "known in its new line"
    plain, versioned = await polling(matching, request=worker()), await polling(matching, request=worker("9"))

    told(matching, sets("1", "2"))
    await asyncio.sleep(0)

    assert await versioned is None
    assert not plain.done()
    assert event_of(await matching.poll(NORMAL, worker("2"), 0)) == 1
    matching.offer(task(2, ""))
    assert event_of(await plain) == 2


@virtual
async def test_a_handed_out_task_is_settled_and_given_back_across_a_change() -> None:
    matching = made()
    for event_id in (1, 2):
        matching.offer(task(event_id, None))
        assert event_of(await matching.poll(NORMAL, worker(), 0)) == event_id
    told(matching, sets("1"))

    assert matching.offer(task(1, None)) == Offered.MATCHED, "still handed out"
    matching.settle(task(1, None), True)
    assert matching.give_back(task(2, None)) == Offered.QUEUED
    assert event_of(await matching.poll(NORMAL, worker(), 0)) is None
    assert event_of(await matching.poll(NORMAL, worker("1"), 0)) == 2


@virtual
async def test_a_reservation_is_made_in_the_task_s_own_line() -> None:
    matching = made()
    told(matching, sets("1"))
    poll = await polling(matching, request=worker())

    assert matching.reserve(task(1, None)) is None
    reservation = matching.reserve(task(1, ""))
    assert reservation is not None
    reservation.release()
    assert not poll.done()
    matching.close()


@virtual
async def test_a_sticky_worker_whose_build_was_replaced_gets_no_more_tasks() -> None:
    matching = made()
    await matching.poll(STICKY, worker("1", "q"), 0)
    assert matching.offer(task(1, "1", STICKY)) == Offered.QUEUED

    told(matching, version_sets.with_compatible(sets("1"), "1.1", "1", False, NOW))

    assert matching.offer(task(2, "1", STICKY)) == Offered.STICKY_UNAVAILABLE
    with pytest.raises(NewerBuildExists):
        await matching.poll(STICKY, worker("1", "q"), 0)


@virtual
async def test_a_query_changes_its_line_too() -> None:
    matching = made()
    query = asyncio.create_task(matching.query(NORMAL, QueryTask("q1", "payload", 3, None, "run"), 10))
    await asyncio.sleep(0)
    told(matching, sets("1"))

    assert await matching.poll(NORMAL, worker(), 0) is None
    matched = await matching.poll(NORMAL, worker("1"), 0)
    assert matched is not None
    assert matched.query is not None
    assert matching.answer_query("q1", 42)
    assert await query == 42


@virtual
async def test_the_lines_of_a_queue_share_its_limit() -> None:
    matching = made()
    limit = TypeConfig(RateLimit(2.0, "", "", 0))
    told(matching, sets("1").evolve(configs={ACTIVITY: limit}))
    for event_id in range(4):
        matching.offer(task(event_id, "" if event_id % 2 else "1", ACTIVITIES))

    polls = [await polling(matching, ACTIVITIES, request=worker("1" if n % 2 else "")) for n in range(4)]
    await asyncio.sleep(0)
    assert sum(poll.done() for poll in polls) == 2
    await passed(1.01)
    assert all(poll.done() for poll in polls)


@virtual
async def test_a_description_is_the_sum_of_the_lines() -> None:
    matching = made()
    told(matching, sets("1"))
    matching.offer(task(1, None))
    matching.offer(task(2, ""))
    await matching.poll(NORMAL, worker("2"), 0)

    found = matching.describe(NORMAL)
    assert (found.backlog_count, [poller.request.identity for poller in found.pollers]) == (2, ["w2"])
    assert matching.describe_version(NORMAL, "1").backlog_count == 1
    assert matching.describe_version(NORMAL, "7").backlog_count == 0


@virtual
async def test_idle_lines_are_forgotten_one_by_one() -> None:
    matching = made()
    told(matching, sets("1"))
    await matching.poll(NORMAL, worker("1"), 0)
    assert matching.queues_loaded == 2
    await passed(1_000)
    assert matching.queues_loaded == 0
