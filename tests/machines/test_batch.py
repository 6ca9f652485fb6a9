"""A batch job does every operation, counts each once, and comes to an end, whatever is lost or repeated on the way."""

from __future__ import annotations

import random

import pytest

from perdure.api import enums
from perdure.clock import DAY
from perdure.errors import NotFound, WorkflowExecutionAlreadyStarted
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.machines.batch import (
    COMPLETED,
    FAILED,
    STOPPED,
    BatchMachine,
    FindPage,
    Job,
    PageFound,
    QueryRefused,
    StartJob,
    StopJob,
    Target,
    Work,
    Worked,
)
from perdure.machines.entity import AlarmRang
from perdure.machines.env import Env, Limits, NamespaceView

KEY = ChainKey("namespace", Kind.BATCH, "job")
TYPE: int = enums.BATCH_OPERATION_TYPE_SIGNAL_WORKFLOW
MACHINE = BatchMachine()


def env(now: int = 1) -> Env:
    return Env(now, SeededIds(1), NamespaceView("namespace", "n", DAY, {}, Limits()))


def step(job: Job | None, fact: object, now: int = 1) -> Job:
    after = MACHINE.step(KEY, job, fact, env(now)).after
    assert after is not None
    return after


def started(targets: tuple[Target, ...] = ()) -> Job:
    return step(None, StartJob(TYPE, b"request", "me", "because", targets))


def test_a_job_of_named_targets_works_through_them() -> None:
    """It owes work on what is left of them, and is complete when nothing is."""
    job = started((("a", ""), ("b", ""), ("c", "")))
    assert job.total == 3
    (work,) = MACHINE.owed(job)
    assert isinstance(work, Work)
    assert work.first == 0
    job = step(job, Worked(0, 0, 2, failed=1))
    assert job.running
    assert (job.succeeded, job.failed) == (1, 1)
    job = step(job, Worked(0, 2, 1))
    assert (job.status, job.succeeded, job.failed, job.total) == (COMPLETED, 2, 1, 3)
    assert MACHINE.owed(job) == ()


@pytest.mark.parametrize("seed", range(20))
def test_every_target_is_done_and_counted_once(seed: int) -> None:
    """Facts come twice, late, and from before a crash; the state is stored and read back at every step."""
    dice = random.Random(seed)
    everything = [(f"w{number}", f"r{number}") for number in range(dice.randrange(0, 60))]
    size = dice.randrange(1, 20)
    done: list[Target] = []
    job = started()
    said: list[object] = []
    for _ in range(1000):
        if not job.running:
            break
        (effect,) = MACHINE.owed(job)
        if isinstance(effect, FindPage):
            start = int(job.cursor or b"0")
            page = tuple(everything[start : start + size])
            more = b"%d" % (start + size) if len(page) == size else b""
            fact: object = PageFound(effect.number, page, more, len(everything) if effect.number == 1 else None)
        else:
            count = dice.randrange(1, len(job.page) - effect.first + 1)
            if dice.random() < 0.2:
                continue  # Done, and lost with the process.
            done += job.page[effect.first : effect.first + count]
            fact = Worked(effect.number, effect.first, count)
        said.append(fact)
        for one in (fact, *dice.sample(said, min(3, len(said)))):
            job = MACHINE.decode(MACHINE.encode(step(job, one)))
    assert job.status == COMPLETED
    assert done == everything
    assert (job.succeeded, job.failed, job.total) == (len(everything), 0, len(everything))


def test_a_stopped_job_begins_nothing_and_counts_what_was_under_way() -> None:
    job = started((("a", ""), ("b", "")))
    job = step(job, StopJob(), now=5)
    assert (job.status, job.closed, MACHINE.owed(job)) == (STOPPED, 5, ())
    job = step(job, Worked(0, 0, 1))
    assert (job.succeeded, job.status) == (1, STOPPED)
    with pytest.raises(NotFound):
        step(job, StopJob())


def test_a_query_that_cannot_be_executed_fails_the_job() -> None:
    job = step(started(), QueryRefused())
    assert job.status == FAILED
    assert step(job, PageFound(1, (("a", ""),), b"", 1)) is job


def test_what_is_skipped_does_not_count() -> None:
    job = step(started(), PageFound(1, (("a", ""), ("b", "")), b"", 2))
    job = step(job, Worked(1, 0, 2, failed=0, skipped=1))
    assert (job.succeeded, job.total, job.status) == (1, 1, COMPLETED)


def test_an_id_is_taken_until_the_retention_is_over() -> None:
    job = step(started((("a", ""),)), Worked(0, 0, 1), now=7)
    with pytest.raises(WorkflowExecutionAlreadyStarted, match="already finished"):
        step(job, StartJob(TYPE, b"", "", "", ()))
    assert MACHINE.alarm(job) == 7 + DAY
    assert MACHINE.step(KEY, job, AlarmRang(), env(6 + DAY)).after is job
    assert MACHINE.step(KEY, job, AlarmRang(), env(7 + DAY)).after is None
