"""Durations and timestamps of the wire as int nanoseconds, and back.

Everything inside counts nanoseconds; these are the only conversions. Two kinds of entrance: `duration_ns` and
`timestamp_ns` take what any sender wrote and never fail, `checked_duration_ns` is for requests and enforces the rules
that the frontend answers with INVALID_ARGUMENT (semantics 2.1 item 6).
"""

from __future__ import annotations

from perdure.api import Duration, Timestamp

_NS = 1_000_000_000
DURATION_MAX_NS = 100 * 365 * 24 * 3600 * _NS
"""Longer durations of requests are cut to this: 100 years of 365 days (seen on server 1.32)."""
INT64_MAX = 2**63 - 1
_SECONDS_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that a Timestamp may hold."""


class BadDuration(ValueError):
    """A duration breaks a rule of requests; the text is meant for the caller, who adds the field's name."""


def duration_ns(duration: Duration) -> int:
    """Nanoseconds of a duration, held inside int64 (an unset one is 0); signs are not judged."""
    total = duration.seconds * _NS + duration.nanos
    return max(-INT64_MAX - 1, min(INT64_MAX, total))


def checked_duration_ns(duration: Duration) -> int:
    """Nanoseconds of a duration in a request, at most `DURATION_MAX_NS`.

    Raises BadDuration if it is negative or its seconds and nanos differ in sign.
    """
    seconds = duration.seconds
    nanos = duration.nanos
    if (seconds > 0 > nanos) or (seconds < 0 < nanos):
        raise BadDuration("duration has seconds and nanos with different signs")
    total = seconds * _NS + nanos
    if total < 0:
        raise BadDuration("negative duration")
    return min(total, DURATION_MAX_NS)


def duration_of(nanoseconds: int) -> Duration:
    """A Duration; seconds and nanos get the same sign, as protobuf demands."""
    if nanoseconds >= 0:
        seconds, nanos = divmod(nanoseconds, _NS)
    else:
        seconds, nanos = divmod(-nanoseconds, _NS)
        seconds, nanos = -seconds, -nanos
    return Duration(seconds=seconds, nanos=nanos)


def set_duration(field: Duration, nanoseconds: int) -> None:
    """Write a duration that is not negative into a field of a message, which is present afterwards.

    In events and answers, of which every workflow has many, this costs a third of a `duration_of` that is copied.
    """
    field.seconds, field.nanos = divmod(nanoseconds, _NS)


def timestamp_ns(timestamp: Timestamp) -> int:
    """Nanoseconds since the epoch; an unset timestamp is 0."""
    return timestamp.seconds * _NS + timestamp.nanos


def timestamp_of(nanoseconds: int) -> Timestamp:
    """A Timestamp, held at protobuf's last second (year 9999); nanos are never negative."""
    seconds, nanos = divmod(nanoseconds, _NS)
    if seconds > _SECONDS_MAX:
        return Timestamp(seconds=_SECONDS_MAX, nanos=_NS - 1)
    return Timestamp(seconds=seconds, nanos=nanos)


def set_timestamp(field: Timestamp, nanoseconds: int) -> None:
    """Write a time of ours into a field of a message; like `set_duration`."""
    field.seconds, field.nanos = divmod(nanoseconds, _NS)


def timestamp_or_none(nanoseconds: int | None) -> Timestamp | None:
    """A Timestamp, or None for None and for 0, which inside means "not set"."""
    return timestamp_of(nanoseconds) if nanoseconds else None
