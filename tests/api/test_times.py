"""Conversions between the wire's times and int nanoseconds (semantics 2.1 item 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.api import Duration, Timestamp, times
from perdure.api.common import RetryPolicy
from perdure.api.workflowservice import PollWorkflowTaskQueueResponse

_YEAR_S = 365 * 24 * 3600


@given(st.integers(-(2**62), 2**62))
def test_durations_round_trip(nanoseconds: int) -> None:
    """Nothing is lost, and seconds and nanos agree in sign."""
    duration = times.duration_of(nanoseconds)
    assert times.duration_ns(duration) == nanoseconds
    assert duration.seconds * duration.nanos >= 0


@given(st.integers(-(2**60), 2**63))
def test_timestamps_round_trip(nanoseconds: int) -> None:
    """Nothing is lost, also before the epoch."""
    timestamp = times.timestamp_of(nanoseconds)
    assert times.timestamp_ns(timestamp) == nanoseconds
    assert 0 <= timestamp.nanos < 10**9


def test_far_future_is_held_at_protobufs_last_second() -> None:
    """A timestamp beyond the year 9999 would not be valid on the wire."""
    assert times.timestamp_of(10**21) == Timestamp(seconds=253402300799, nanos=999999999)


def test_a_field_that_is_written_is_present_also_when_it_is_zero() -> None:
    """`set_duration` and `set_timestamp` write what `duration_of` and `timestamp_of` make."""
    task = PollWorkflowTaskQueueResponse()
    policy = RetryPolicy()
    for nanoseconds in (0, 1, 1_500_000_000, 10**18):
        times.set_duration(policy.initial_interval, nanoseconds)
        times.set_timestamp(task.started_time, nanoseconds)
        assert policy.HasField("initial_interval")
        assert task.HasField("started_time")
        assert policy.initial_interval == times.duration_of(nanoseconds)
        assert task.started_time == times.timestamp_of(nanoseconds)


def test_unset_stays_unset() -> None:
    """A time of None or 0 leaves the field unset."""
    assert times.timestamp_or_none(None) is None
    assert times.timestamp_or_none(0) is None
    assert times.timestamp_or_none(1) == Timestamp(nanos=1)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (Duration(seconds=-1), "negative duration"),
        (Duration(nanos=-1), "negative duration"),
        (Duration(seconds=1, nanos=-1), "duration has seconds and nanos with different signs"),
        (Duration(seconds=-1, nanos=1), "duration has seconds and nanos with different signs"),
    ],
)
def test_bad_durations_are_refused_with_the_servers_words(duration: Duration, text: str) -> None:
    """Texts as server 1.32 answers them."""
    with pytest.raises(times.BadDuration) as raised:
        times.checked_duration_ns(duration)
    assert str(raised.value) == text


def test_long_durations_are_cut_to_a_hundred_years() -> None:
    """Server 1.32 stores 100 years for anything longer."""
    hundred_years_ns = 100 * _YEAR_S * 10**9
    assert times.checked_duration_ns(Duration(seconds=120 * _YEAR_S)) == hundred_years_ns
    assert times.checked_duration_ns(Duration(seconds=100 * _YEAR_S)) == hundred_years_ns
    assert times.checked_duration_ns(Duration(seconds=1, nanos=5)) == 1_000_000_005


def test_unchecked_durations_stay_inside_int64() -> None:
    """A wild sender cannot make our integers grow."""
    assert times.duration_ns(Duration(seconds=2**62)) == 2**63 - 1
    assert times.duration_ns(Duration(seconds=-(2**62))) == -(2**63)
