"""The rate limit keeps its rate over any window and never raises (semantics 12.3)."""

from __future__ import annotations

from perdure.machines.token_bucket import NEVER, TokenBucket
from tests.machines.queues import SECOND


def test_a_token_bucket_is_no_faster_than_its_rate_over_any_window() -> None:
    bucket = TokenBucket()
    bucket.limit(5.0, 0)
    taken = []
    for now_ns in range(0, 10 * SECOND, SECOND // 50):
        if bucket.ready_ns <= now_ns:
            bucket.take(now_ns)
            taken.append(now_ns)
    assert len(taken) == 5 + 50 - 1
    for start in range(0, 9 * SECOND, SECOND // 2):
        assert len([at for at in taken if start <= at < start + SECOND]) <= 10


def test_a_token_bucket_of_a_strange_rate_never_raises() -> None:
    for rate in (-1.0, 1e-300):
        bucket = TokenBucket()
        bucket.limit(rate, 0)
        assert bucket.ready_ns == NEVER


def test_a_rate_that_is_too_high_or_no_number_limits_nothing() -> None:
    """As in the reference: what is not below the system's limit leaves that one in force."""
    for rate in (float("inf"), float("nan"), 1e9):
        bucket = TokenBucket()
        bucket.limit(rate, 0)
        assert not bucket.limited
        assert bucket.rate is None
