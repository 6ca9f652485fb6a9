"""Retry arithmetic and policies, shared by activities and workflow runs (semantics 2.1.3, 5.5). `now` is given."""

from __future__ import annotations

from typing import final

from perdure.api import common, enums, failure
from perdure.api.times import DURATION_MAX_NS, BadDuration, checked_duration_ns, duration_ns, set_duration
from perdure.clock import SECOND

INITIAL_INTERVAL = SECOND
BACKOFF_COEFFICIENT = 2.0
MAXIMUM_INTERVAL_FACTOR = 100
_INT64_MAX = (1 << 63) - 1

_TIMEOUT_PREFIX = "TemporalTimeout:"
_TIMEOUT_NAMES = {
    enums.TIMEOUT_TYPE_START_TO_CLOSE: "StartToClose",
    enums.TIMEOUT_TYPE_HEARTBEAT: "Heartbeat",
}
"""Timeouts that are retried unless a policy lists them."""
_NAMEABLE_TIMEOUTS = frozenset(
    (
        "StartToClose",
        "ScheduleToStart",
        "ScheduleToClose",
        "Heartbeat",
        "TIMEOUT_TYPE_START_TO_CLOSE",
        "TIMEOUT_TYPE_SCHEDULE_TO_START",
        "TIMEOUT_TYPE_SCHEDULE_TO_CLOSE",
        "TIMEOUT_TYPE_HEARTBEAT",
    )
)
"""What may follow `_TIMEOUT_PREFIX` in a policy."""


@final
class RetryPolicy:
    """A retry policy with its defaults filled in (semantics 2.1.3); intervals in ns, attempts 0 = unlimited."""

    __slots__ = (
        "backoff_coefficient",
        "initial_interval",
        "maximum_attempts",
        "maximum_interval",
        "non_retryable_error_types",
    )

    def __init__(
        self,
        initial_interval: int,
        backoff_coefficient: float,
        maximum_interval: int,
        maximum_attempts: int,
        non_retryable_error_types: tuple[str, ...],
    ) -> None:
        self.initial_interval = initial_interval
        self.backoff_coefficient = backoff_coefficient
        self.maximum_interval = maximum_interval
        self.maximum_attempts = maximum_attempts
        self.non_retryable_error_types = non_retryable_error_types


def validate(message: common.RetryPolicy) -> str | None:
    """Why a requested policy is refused, its unset fields read as their defaults, or None (semantics 2.1.3).

    A policy of one attempt is never refused: nothing else in it matters.
    """
    if message.maximum_attempts == 1:
        return None
    try:
        initial = checked_duration_ns(message.initial_interval)
    except BadDuration as bad:
        return f"invalid InitialInterval set on retry policy: {bad}"
    if message.backoff_coefficient and message.backoff_coefficient < 1:
        return "BackoffCoefficient cannot be less than 1 on retry policy."
    try:
        maximum = checked_duration_ns(message.maximum_interval)
    except BadDuration as bad:
        return f"invalid MaximumInterval set on retry policy: {bad}"
    if 0 < maximum < (initial or INITIAL_INTERVAL):
        return "MaximumInterval cannot be less than InitialInterval on retry policy."
    if message.maximum_attempts < 0:
        return "MaximumAttempts cannot be negative on retry policy."
    for entry in message.non_retryable_error_types:
        name = entry.removeprefix(_TIMEOUT_PREFIX)
        if name != entry and name not in _NAMEABLE_TIMEOUTS:
            return f"Invalid timeout type value: {name}."
    return None


def policy_of(message: common.RetryPolicy) -> RetryPolicy:
    """The policy with unset fields filled in: 1 s, 2.0, 100 x initial, unlimited attempts. Intervals are cut like all
    durations of requests, unless there is only one attempt.
    """
    initial = duration_ns(message.initial_interval) or INITIAL_INTERVAL
    maximum = duration_ns(message.maximum_interval) or initial * MAXIMUM_INTERVAL_FACTOR
    if message.maximum_attempts != 1:
        initial = min(initial, DURATION_MAX_NS)
        maximum = min(maximum, DURATION_MAX_NS)
    return RetryPolicy(
        initial,
        message.backoff_coefficient or BACKOFF_COEFFICIENT,
        maximum,
        message.maximum_attempts,
        tuple(message.non_retryable_error_types),
    )


def policy_message(policy: RetryPolicy) -> common.RetryPolicy:
    """The policy as the API shows it."""
    shown = common.RetryPolicy()
    show_policy(shown, policy)
    return shown


def show_policy(field: common.RetryPolicy, policy: RetryPolicy) -> None:
    """Write the policy as the API shows it into a field of a message."""
    if policy.initial_interval:
        set_duration(field.initial_interval, policy.initial_interval)
    field.backoff_coefficient = policy.backoff_coefficient
    if policy.maximum_interval:
        set_duration(field.maximum_interval, policy.maximum_interval)
    field.maximum_attempts = policy.maximum_attempts
    field.non_retryable_error_types.extend(policy.non_retryable_error_types)


def next_interval(
    policy: RetryPolicy,
    attempt: int,
    now: int,
    expiration: int,
    reason: failure.Failure | None,
    delay_capped: bool = False,
) -> tuple[int, int]:
    """(interval in ns, `enums.RetryState`) after `attempt` (1-based) failed with `reason`.

    The interval counts only if IN_PROGRESS. `expiration` is ns since the epoch, 0 for none. Follows semantics 5.5
    after its checks for cancellation and pause.

    A `next_retry_delay` replaces the policy's interval. For an activity it replaces the maximum too, so that a delay of
    0 ends the retries (seen on server 1.32); for a workflow it stays under the maximum (`delay_capped`).
    """
    if reason is not None and not retryable(reason, policy.non_retryable_error_types):
        return 0, enums.RETRY_STATE_NON_RETRYABLE_FAILURE
    if policy.maximum_attempts > 0 and attempt >= policy.maximum_attempts:
        return 0, enums.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    maximum = policy.maximum_interval
    interval = backoff(policy, attempt)
    if reason is not None and reason.application_failure_info.HasField("next_retry_delay"):
        interval = duration_ns(reason.application_failure_info.next_retry_delay)
        maximum = maximum if delay_capped else interval
    if maximum == 0 and interval <= 0:
        return 0, enums.RETRY_STATE_TIMEOUT
    if maximum != 0 and (interval <= 0 or interval > maximum):
        interval = maximum
    if expiration and now + interval > expiration:
        return 0, enums.RETRY_STATE_TIMEOUT
    return interval, enums.RETRY_STATE_IN_PROGRESS


def backoff(policy: RetryPolicy, attempt: int) -> int:
    """initial x coefficient^(attempt - 1) in ns, held between 0 and int64's last value."""
    try:
        interval = policy.initial_interval * policy.backoff_coefficient ** (attempt - 1)
    except OverflowError:
        return _INT64_MAX
    if interval >= _INT64_MAX:
        return _INT64_MAX
    return int(interval) if interval > 0 else 0


def retryable(reason: failure.Failure, non_retryable_types: tuple[str, ...]) -> bool:
    """Whether the outermost failure permits another attempt."""
    match reason.WhichOneof("failure_info"):
        case "terminated_failure_info" | "canceled_failure_info":
            return False
        case "timeout_failure_info":
            name = _TIMEOUT_NAMES.get(reason.timeout_failure_info.timeout_type)
            return name is not None and _TIMEOUT_PREFIX + name not in non_retryable_types
        case "server_failure_info":
            return not reason.server_failure_info.non_retryable
        case "application_failure_info":
            info = reason.application_failure_info
            return not info.non_retryable and info.type not in non_retryable_types
        case _:
            return True
