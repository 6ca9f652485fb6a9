"""Retry policies and their arithmetic (semantics 2.1.3, 5.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.api import Duration, common, enums, failure, failures
from perdure.machines import retry
from tests.machines.builders import SECOND, retry_policy

BOOM = failures.application_failure("boom", "Kind")
IN_PROGRESS = enums.RETRY_STATE_IN_PROGRESS


def policy(
    initial: float = 1, coefficient: float = 2, maximum: float = 0, attempts: int = 0, *types: str
) -> retry.RetryPolicy:
    return retry.policy_of(retry_policy(initial, coefficient, maximum, attempts, *types))


def test_unset_fields_get_their_defaults() -> None:
    """1 s, 2.0, a hundred times the initial interval, unlimited attempts."""
    filled = retry.policy_of(common.RetryPolicy())

    assert filled.initial_interval == SECOND
    assert filled.backoff_coefficient == 2.0
    assert filled.maximum_interval == 100 * SECOND
    assert filled.maximum_attempts == 0
    assert retry.policy_of(retry.policy_message(filled)).maximum_interval == filled.maximum_interval


def test_the_default_maximum_follows_the_initial_interval() -> None:
    assert retry.policy_of(retry_policy(3)).maximum_interval == 300 * SECOND


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (common.RetryPolicy(), None),
        (retry_policy(1, 1, 1, 5, "Kind", "TemporalTimeout:Heartbeat", "TemporalTimeout:ScheduleToStart"), None),
        (retry_policy(-1), "invalid InitialInterval set on retry policy: negative duration"),
        (
            common.RetryPolicy(initial_interval=Duration(seconds=1, nanos=-1)),
            "invalid InitialInterval set on retry policy: duration has seconds and nanos with different signs",
        ),
        (retry_policy(1, 0.5), "BackoffCoefficient cannot be less than 1 on retry policy."),
        (retry_policy(1, 1, -1), "invalid MaximumInterval set on retry policy: negative duration"),
        (retry_policy(5, 1, 4), "MaximumInterval cannot be less than InitialInterval on retry policy."),
        (retry_policy(0, 1, 0.5), "MaximumInterval cannot be less than InitialInterval on retry policy."),
        (retry_policy(1, 1, 0, -1), "MaximumAttempts cannot be negative on retry policy."),
        (retry_policy(1, 1, 0, 0, "TemporalTimeout:Lunch"), "Invalid timeout type value: Lunch."),
        (retry_policy(1, 1, 0, 0, "TemporalTimeout:"), "Invalid timeout type value: ."),
    ],
)
def test_validation(message: common.RetryPolicy, problem: str | None) -> None:
    """The first broken rule is named, in Temporal's words."""
    assert retry.validate(message) == problem


def test_a_policy_of_one_attempt_is_never_refused() -> None:
    assert retry.validate(retry_policy(-1, 0.1, -5, 1, "TemporalTimeout:Lunch")) is None


def test_intervals_grow_up_to_the_maximum() -> None:
    growing = policy(1, 2, 5)

    intervals = [retry.next_interval(growing, attempt, 0, 0, BOOM) for attempt in range(1, 6)]

    assert intervals == [(seconds * SECOND, IN_PROGRESS) for seconds in (1, 2, 4, 5, 5)]


def test_attempts_run_out() -> None:
    assert retry.next_interval(policy(1, 1, 0, 3), 2, 0, 0, BOOM)[1] == IN_PROGRESS
    assert retry.next_interval(policy(1, 1, 0, 3), 3, 0, 0, BOOM)[1] == enums.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED


def test_a_retry_may_start_at_the_expiration_but_not_after_it() -> None:
    assert retry.next_interval(policy(1), 1, 100, 100 + SECOND, BOOM) == (SECOND, IN_PROGRESS)
    assert retry.next_interval(policy(1), 1, 100, 99 + SECOND, BOOM)[1] == enums.RETRY_STATE_TIMEOUT


def test_a_delay_that_the_application_asks_for_replaces_interval_and_maximum() -> None:
    """An activity's next_retry_delay is not capped (Appendix F 17) ..."""
    delayed = failures.application_failure("boom", next_retry_delay_ns=600 * SECOND)

    assert retry.next_interval(policy(1, 2, 5), 1, 0, 0, delayed) == (600 * SECOND, IN_PROGRESS)


def test_a_delay_of_a_workflow_stays_under_the_maximum() -> None:
    """... a workflow's is."""
    delayed = failures.application_failure("boom", next_retry_delay_ns=600 * SECOND)

    assert retry.next_interval(policy(1, 2, 5), 1, 0, 0, delayed, delay_capped=True) == (5 * SECOND, IN_PROGRESS)


def test_a_delay_of_zero_ends_an_activitys_retries() -> None:
    """Seen on server 1.32: 0 counts as asked for, and no interval is left."""
    at_once = failures.application_failure("boom", next_retry_delay_ns=0)

    assert retry.next_interval(policy(), 1, 0, 0, at_once)[1] == enums.RETRY_STATE_TIMEOUT


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (BOOM, True),
        (failures.application_failure("boom", "Listed"), False),
        (failures.application_failure("boom", "Kind", non_retryable=True), False),
        (failures.server_failure("s"), True),
        (failures.server_failure("s", non_retryable=True), False),
        (failure.Failure(canceled_failure_info=failure.CanceledFailureInfo()), False),
        (failure.Failure(terminated_failure_info=failure.TerminatedFailureInfo()), False),
        (failures.timeout_failure("t", enums.TIMEOUT_TYPE_START_TO_CLOSE), True),
        (failures.timeout_failure("t", enums.TIMEOUT_TYPE_HEARTBEAT), False),
        (failures.timeout_failure("t", enums.TIMEOUT_TYPE_SCHEDULE_TO_START), False),
        (failures.timeout_failure("t", enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE), False),
        (failure.Failure(message="wrapper", cause=failures.application_failure("b", non_retryable=True)), True),
    ],
)
def test_only_the_outermost_failure_decides_whether_it_is_retryable(reason: failure.Failure, expected: bool) -> None:
    assert retry.retryable(reason, ("Listed", "TemporalTimeout:Heartbeat")) is expected


@given(
    st.integers(0, 2**63 - 1),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(1, 2**31 - 1),
)
def test_no_policy_breaks_the_arithmetic(initial: int, coefficient: float, attempt: int) -> None:
    """Whatever a caller wrote, the backoff is a number of ns that fits int64."""
    odd = retry.RetryPolicy(initial, coefficient, 0, 0, ())

    assert 0 <= retry.backoff(odd, attempt) < 2**63
