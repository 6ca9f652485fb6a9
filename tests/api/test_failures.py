"""The server's own failures, and how big ones of workers are cut (semantics 3.7, 5.5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.api import common, enums, failures
from perdure.api.failure import Failure


def _deep(levels: int) -> Failure:
    failure = Failure(message="bottom")
    for level in range(levels):
        failure = Failure(message=f"level {level}", cause=failure)
    return failure


def test_small_failures_pass_untouched() -> None:
    """At the limit the very same message goes on."""
    failure = failures.application_failure("m", "T", non_retryable=True)
    assert failures.replace_oversized(failure, failure.ByteSize(), 10, non_retryable=True) is failure


def test_big_failures_become_a_server_failure_around_a_cut_copy() -> None:
    """Type and retryability outlive the cut, details do not; the whole stays near the limit."""
    details = common.Payloads(payloads=[common.Payload(data=b"x" * 5000)])
    failure = failures.application_failure("m" * 9000, "MyType", non_retryable=True, details=details)
    replaced = failures.replace_oversized(failure, 4096, 4096, non_retryable=False)
    assert replaced.message == "Failure exceeds size limit."
    assert replaced.HasField("server_failure_info")
    assert not replaced.server_failure_info.non_retryable
    cut = replaced.cause
    assert cut.application_failure_info.type == "MyType"
    assert cut.application_failure_info.non_retryable
    assert not cut.application_failure_info.HasField("details")
    assert set(cut.message) == {"m"}
    assert 4000 < cut.ByteSize() <= 4096


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200), st.integers(20, 300), st.integers(0, 5))
def test_cut_copies_respect_their_limit(kind: str, message: str, stack: str, size_max: int, depth: int) -> None:
    """Whatever the texts, the copy stays within a few bytes of the limit and holds whole characters."""
    failure = failures.application_failure(message, kind)
    failure.stack_trace = stack
    failure.cause.CopyFrom(_deep(depth))
    cut = failures.truncated(failure, size_max)
    assert cut.ByteSize() <= size_max + 8
    assert message.startswith(cut.message)
    assert kind.startswith(cut.application_failure_info.type)


def test_causes_are_cut_at_a_depth_of_twenty() -> None:
    """A chain without end cannot eat the stack."""
    cut = failures.truncated(_deep(50), 10**6)
    depth = 0
    while cut.HasField("cause"):
        cut = cut.cause
        depth += 1
    assert depth == 20


def test_server_failure_keeps_its_retryability_when_cut() -> None:
    """The flag decides over retries, so it is kept."""
    cut = failures.truncated(failures.server_failure("x" * 100, non_retryable=True), 20)
    assert cut.server_failure_info.non_retryable
    assert len(cut.message) < 20


def test_timeouts_carry_details_and_cause() -> None:
    """An activity's timeout shows its last heartbeat and why the attempt before failed."""
    details = common.Payloads(payloads=[common.Payload(data=b"beat")])
    failure = failures.timeout_failure(
        failures.activity_timeout_message(enums.TIMEOUT_TYPE_HEARTBEAT),
        enums.TIMEOUT_TYPE_HEARTBEAT,
        details,
        Failure(message="before"),
    )
    assert (failure.source, failure.message) == ("Server", "activity Heartbeat timeout")
    assert failure.timeout_failure_info.timeout_type == enums.TIMEOUT_TYPE_HEARTBEAT
    assert failure.timeout_failure_info.last_heartbeat_details == details
    assert failure.cause.message == "before"
    assert not failures.timeout_failure("workflow timeout", enums.TIMEOUT_TYPE_START_TO_CLOSE).HasField("cause")


def test_the_other_constructors_set_their_own_kind() -> None:
    """One test for the one-line ones."""
    assert failures.reset_workflow_failure("r").WhichOneof("failure_info") == "reset_workflow_failure_info"
    delayed = failures.application_failure("m", next_retry_delay_ns=1_500_000_000)
    assert delayed.application_failure_info.next_retry_delay.nanos == 500_000_000
