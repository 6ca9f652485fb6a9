"""Cron schedules: what they say, and when their next time is (semantics 10.3).

The tables of `test_next_time` follow the reference library's own rules, daylight saving included.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure.api.times import DURATION_MAX_NS
from perdure.clock import SECOND
from perdure.machines import cron
from perdure.machines.cron import BadSchedule, backoff, next_time, parse


def ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND


NOW = ns("2026-11-02T00:10:30")
YEARS = 10 * 365 * 24 * 3600 * SECOND


@pytest.mark.parametrize(
    ("schedule", "after", "following"),
    [
        ("* * * * *", "2024-01-01T00:00:30", "2024-01-01T00:01:00"),
        ("*/15 * * * *", "2012-07-09T14:45:00", "2012-07-09T15:00:00"),
        ("20-35/15 * * * *", "2012-07-09T14:45:00", "2012-07-09T15:20:00"),
        ("0 */2 * * *", "2012-07-09T23:35:51", "2012-07-10T00:00:00"),
        ("30 8 ? Jan,Jul MON-fri", "2012-07-09T23:35:00", "2012-07-10T08:30:00"),
        ("0 0 */10 * *", "2012-07-09T23:46:00", "2012-07-11T00:00:00"),
        ("0 0 29 2 *", "2012-07-09T23:35:00", "2016-02-29T00:00:00"),
        ("0 0 1,15 * Sun", "2012-07-02T00:00:00", "2012-07-08T00:00:00"),
        ("0 0 * * Sun", "2012-07-15T00:00:00", "2012-07-22T00:00:00"),
        ("@yearly", "2024-01-01T00:00:00", "2025-01-01T00:00:00"),
        ("@monthly", "2024-01-31T12:00:00", "2024-02-01T00:00:00"),
        ("@weekly", "2024-01-01T00:00:00", "2024-01-07T00:00:00"),
        ("@daily", "2024-12-31T23:59:59", "2025-01-01T00:00:00"),
        ("@hourly", "2024-01-01T10:59:59", "2024-01-01T11:00:00"),
        ("@every 1h30m", "2024-01-01T10:00:00", "2024-01-01T11:30:00"),
        ("@every 10ms", "2024-01-01T10:00:00", "2024-01-01T10:00:01"),
        # Daylight saving: a time that the clock skips is skipped, one that comes twice is met once.
        ("TZ=America/New_York 0 0 * * *", "2012-11-04T00:00:00-04:00", "2012-11-05T00:00:00-05:00"),
        ("CRON_TZ=America/New_York 30 2 11 Mar ?", "2012-03-11T00:00:00-05:00", "2013-03-11T02:30:00-04:00"),
        ("TZ=America/New_York 0 * * * ?", "2012-03-11T00:00:00-05:00", "2012-03-11T01:00:00-05:00"),
        ("TZ=America/New_York 0 * * * ?", "2012-03-11T01:00:00-05:00", "2012-03-11T03:00:00-04:00"),
        ("TZ=America/New_York 0 2 * * ?", "2012-03-11T00:00:00-05:00", "2012-03-12T02:00:00-04:00"),
        ("TZ=America/New_York 0 * * * ?", "2012-11-04T01:00:00-04:00", "2012-11-04T01:00:00-05:00"),
        ("TZ=America/New_York 0 3 * * *", "2012-11-04T00:00:00-04:00", "2012-11-04T03:00:00-05:00"),
        ("TZ=America/Sao_Paulo 0 9 10 * ?", "2018-11-03T02:00:00+00:00", "2018-11-10T11:00:00+00:00"),
        ("TZ=Asia/Tokyo 0 9 * * *", "2024-01-01T00:00:00", "2024-01-02T00:00:00"),
    ],
)
def test_next_time(schedule: str, after: str, following: str) -> None:
    assert next_time(parse(schedule), ns(after)) == ns(following)


def test_a_day_that_never_comes() -> None:
    assert next_time(parse("0 0 30 2 *"), ns("2024-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "nonsense",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "*/0 * * * *",
        "1/2/3 * * * *",
        "@never",
        "@every soon",
        "TZ=Nowhere/Land * * * * *",
        "TZ=UTC",
    ],
)
def test_what_is_no_schedule(schedule: str) -> None:
    with pytest.raises(BadSchedule):
        parse(schedule)


def test_the_wait_counts_from_the_last_due_time_and_is_rounded_up() -> None:
    """Times that have passed while the run went on are left out."""
    every = parse("@every 10s")
    due = ns("2024-01-01T00:00:00")
    assert backoff(every, due, due + 1) == 10 * SECOND
    assert backoff(every, due, due + 25 * SECOND) == 5 * SECOND
    assert backoff(every, due, due + 30 * SECOND) == 0
    assert backoff(parse("0 0 30 2 *"), due, due) is None


def test_a_wait_has_a_time_that_can_be_stored() -> None:
    """Go's longest interval ends after the last time that 64 bits of nanoseconds can say."""
    assert backoff(parse("@every 2562047h47m16s"), NOW, NOW) == DURATION_MAX_NS


@pytest.mark.parametrize("schedule", ["@every 7s", "* * * * *", "CRON_TZ=America/New_York */7 1-3 * * *"])
def test_a_run_of_ten_years_is_followed_at_once(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it missed is not walked through: a step may not take minutes."""
    looked_at: list[int] = []
    find = cron.next_time

    def counted(parsed: cron.Schedule, after: int) -> int | None:
        looked_at.append(after)
        return find(parsed, after)

    monkeypatch.setattr(cron, "next_time", counted)
    wait = backoff(parse(schedule), NOW - YEARS, NOW)
    assert wait is not None
    assert 0 <= wait <= 24 * 3600 * SECOND
    assert len(looked_at) <= 24 * 60 + 1


@pytest.mark.parametrize("schedule", ["@every 7s", "*/7 1-3 * * *", "30 2 * * *", "15 */5 * * SUN"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe", "America/Havana"])
def test_the_times_are_those_that_follow_each_other(schedule: str, zone: str) -> None:
    """Also where clocks change between the run's due time and its end."""
    parsed = parse(f"CRON_TZ={zone} {schedule}")
    for now in (NOW, ns("2026-03-10T00:00:01")):
        for hours in (1, 30, 100, 1000):
            due = now - hours * 3600 * SECOND
            following = next_time(parsed, due)
            while following is not None and following < now:
                following = next_time(parsed, following)
            assert following is not None
            assert backoff(parsed, due, now) == -(-(following - now) // SECOND) * SECOND
