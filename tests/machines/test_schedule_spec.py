"""What a schedule's spec says, and which times it names (semantics 13.3, 13.4).

Three judges: answers recorded from the real server (`schedule_cases.py`), a slow oracle that tries every second by the
documented rules, and a few cases written out.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.schedule.v1 import ScheduleSpec as WireSpec

from perdure.api.schedule import CalendarSpec, IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec
from perdure.api.times import duration_of, timestamp_of
from perdure.clock import SECOND
from perdure.machines.schedule.fingerprint import fingerprint32
from perdure.machines.schedule.spec import Spec, canonical, compiled, next_due, tidy
from perdure.machines.schedule.text import BadSpec

from .schedule_cases import RECORDED, Json

SEED = "0" * 36 + "-schedule"
TIMES_MAX = 1000
"""So many times the server lists at most."""


def recorded() -> list[Json]:
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


def ours(spec: object) -> ScheduleSpec:
    """A spec of the recorded JSON, in our own messages."""
    return ScheduleSpec.FromString(ParseDict(spec, WireSpec()).SerializeToString())  # type: ignore[arg-type]


def spec_of(given: ScheduleSpec) -> Spec:
    return compiled(canonical(given).SerializeToString(deterministic=True))


def times(spec: Spec, seed: str, after: int, last: int, most: int = TIMES_MAX) -> list[int]:
    """The actual times in (after, last], ns."""
    found: list[int] = []
    while len(found) < most:
        due = next_due(spec, seed, after)
        if due is None or due.actual > last:
            break
        after = due.actual
        found.append(after)
    return found


@pytest.mark.parametrize("case", recorded(), ids=lambda case: json.dumps(case["spec"])[:60])
def test_the_real_server_says_the_same(case: Json) -> None:
    if "error" in case:
        with pytest.raises(BadSpec) as caught:
            canonical(ours(case["spec"]))
        assert f"Invalid schedule spec: {caught.value}" == case["error"]
        return
    form = canonical(ours(case["spec"]))
    spec = compiled(form.SerializeToString(deterministic=True))
    assert canonical(form) == form
    tidy(form)
    assert MessageToDict(WireSpec.FromString(form.SerializeToString())) == case["canonical"]

    start, last = case["from"], case["to"]
    assert isinstance(start, int)
    assert isinstance(last, int)
    found = [time // 1_000_000 for time in times(spec, str(case["seed"]), start * SECOND, last * SECOND)]

    then = case["then"]
    assert isinstance(then, list)
    assert found[:1] == case["first"]
    assert [later - earlier for earlier, later in pairwise(found)][: len(then)] == then
    assert (len(found), found[-1:]) == (case["count"], case["last"])


# -- the oracle --------------------------------------------------------------------------------------------------------

HONEST_ZONES = ("UTC", "America/New_York", "America/Denver", "Asia/Tokyo", "America/Vancouver")
"""Zones in which the reference follows its own documentation; see `test_east_of_greenwich`."""
MINUTE = 60


@st.composite
def calendars(draw: st.DrawFn) -> StructuredCalendarSpec:
    def field(first: int, last: int, whole: float = 0.5) -> list[Range]:
        if draw(st.floats(0, 1)) < whole:
            return [Range(start=first, end=last)]
        low = draw(st.integers(first, last))
        high = draw(st.sampled_from([0, draw(st.integers(low, last))]))
        return [Range(start=low, end=high, step=draw(st.sampled_from([0, 1, 2, 3, 7])))]

    return StructuredCalendarSpec(
        second=[Range(start=0)],
        minute=field(0, 59, 0.1),
        hour=field(0, 23),
        day_of_month=field(1, 31, 0.8),
        month=field(1, 12, 0.8),
        day_of_week=field(0, 6, 0.7),
        year=draw(st.sampled_from([[], [], [Range(start=2024, end=2026)]])),
    )


def says(calendar: StructuredCalendarSpec, moment: datetime) -> bool:
    """The documented rule: every field of the local time is in one of the field's ranges."""

    def has(ranges: list[Range], value: int) -> bool:
        return any(value in range(each.start, max(each.end, each.start) + 1, each.step or 1) for each in ranges)

    return (
        has(list(calendar.second), moment.second)
        and has(list(calendar.minute), moment.minute)
        and has(list(calendar.hour), moment.hour)
        and has(list(calendar.day_of_month), moment.day)
        and has(list(calendar.month), moment.month)
        and has(list(calendar.day_of_week), moment.isoweekday() % 7)
        and (not calendar.year or has(list(calendar.year), moment.year))
    )


def oracle(spec: ScheduleSpec, first: int, last: int) -> list[int]:
    """Every minute of (first, last] that the rules name, seconds since the epoch. Intervals are whole minutes."""
    zone = ZoneInfo(spec.timezone_name)
    found = []
    for instant in range(first - first % MINUTE, last + 1, MINUTE):
        moment = datetime.fromtimestamp(instant, zone)
        named = any(says(calendar, moment) for calendar in spec.structured_calendar) or any(
            (instant - each.phase.seconds) % each.interval.seconds == 0 for each in spec.interval
        )
        if named and instant > first and not any(says(each, moment) for each in spec.exclude_structured_calendar):
            found.append(instant)
    return found


@settings(max_examples=25, deadline=None)
@given(
    wanted=st.lists(calendars(), max_size=2),
    excluded=st.lists(calendars(), max_size=1),
    intervals=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 400)), max_size=1),
    zone=st.sampled_from(HONEST_ZONES),
    day=st.sampled_from(["2024-03-09", "2024-11-02", "2025-03-08", "2025-11-01", "2024-02-28", "2024-12-30"]),
    offset=st.integers(0, 86_400),
)
def test_the_oracle_says_the_same(
    wanted: list[StructuredCalendarSpec],
    excluded: list[StructuredCalendarSpec],
    intervals: list[tuple[int, int]],
    zone: str,
    day: str,
    offset: int,
) -> None:
    spec = ScheduleSpec(
        structured_calendar=wanted,
        exclude_structured_calendar=excluded,
        interval=[
            IntervalSpec(
                interval=duration_of(length * MINUTE * SECOND), phase=duration_of(phase % length * MINUTE * SECOND)
            )
            for length, phase in intervals
        ],
        timezone_name=zone,
    )
    first = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) + offset
    last = first + 2 * 86_400

    found = times(spec_of(spec), SEED, first * SECOND, last * SECOND, 10_000)

    assert [time // SECOND for time in found] == oracle(spec, first, last)


# -- written out -------------------------------------------------------------------------------------------------------


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def shown(found: list[int]) -> list[str]:
    return [datetime.fromtimestamp(time // SECOND, UTC).strftime("%d %H:%M") for time in found]


def test_east_of_greenwich() -> None:
    """The real server counts Berlin's repeated hour once too early; so do we (seen on server 1.32)."""

    def night(cron: str) -> list[str]:
        spec = spec_of(ScheduleSpec(cron_string=[cron], timezone_name="Europe/Berlin"))
        return shown(times(spec, SEED, unix("2025-10-25T12:00"), unix("2025-10-26T12:00")))

    assert night("30 1 * * *") == ["25 23:30", "26 00:30"]
    assert night("30 2 * * *") == ["26 01:30"]


def test_a_time_that_the_clock_skips_never_comes() -> None:
    spec = spec_of(ScheduleSpec(cron_string=["30 2 * * *"], timezone_name="America/New_York"))
    assert shown(times(spec, SEED, unix("2025-03-08T00:00"), unix("2025-03-10T12:00"))) == ["08 07:30", "10 06:30"]


def test_a_daily_schedule_through_a_year_of_summer_and_winter_time() -> None:
    spec = spec_of(ScheduleSpec(cron_string=["0 9 * * *"], timezone_name="America/New_York"))
    zone = ZoneInfo("America/New_York")

    found = times(spec, SEED, unix("2025-01-01T00:00"), unix("2026-01-01T00:00"))

    local = [datetime.fromtimestamp(time // SECOND, zone) for time in found]
    assert [moment.hour for moment in local] == [9] * 365
    assert len({moment.date() for moment in local}) == 365


def test_start_and_end_are_inclusive() -> None:
    spec = spec_of(
        ScheduleSpec(
            interval=[IntervalSpec(interval=duration_of(60 * SECOND))],
            start_time=timestamp_of(unix("2025-01-01T00:01")),
            end_time=timestamp_of(unix("2025-01-01T00:03")),
        )
    )
    assert shown(times(spec, SEED, 0, unix("2026-01-01T00:00"))) == ["01 00:01", "01 00:02", "01 00:03"]


def test_jitter_never_passes_the_next_time() -> None:
    spec = spec_of(
        ScheduleSpec(
            interval=[IntervalSpec(interval=duration_of(60 * SECOND))],
            jitter=duration_of(timedelta(days=9) // timedelta(microseconds=1) * 1000),
        )
    )
    after = unix("2025-01-01T00:00")
    for _ in range(500):
        due = next_due(spec, SEED, after)
        assert due is not None
        assert 0 <= due.actual - due.nominal < 60 * SECOND
        after = due.actual


@pytest.mark.parametrize("hours", ["*", "0-11"])
def test_all_that_is_excluded_costs_a_bounded_search(hours: str) -> None:
    """Each second excluded by one of two calendars: no shortcut applies, and the search still ends."""
    spec = spec_of(
        ScheduleSpec(
            calendar=[CalendarSpec(second="*", minute="*", hour="*")],
            exclude_calendar=[
                CalendarSpec(second="*/2", minute="*", hour="*"),
                CalendarSpec(second="1/2", minute="*", hour=hours),
            ],
        )
    )
    found = next_due(spec, SEED, unix("2025-01-01T00:00"))
    assert found is None


def test_a_long_exclusion_is_stepped_over() -> None:
    """Every second, but not in the year 2025."""
    spec = spec_of(
        ScheduleSpec(
            calendar=[CalendarSpec(second="*", minute="*", hour="*")],
            exclude_calendar=[CalendarSpec(second="*", minute="*", hour="*", year="2025")],
        )
    )
    found = next_due(spec, SEED, unix("2025-01-01T00:00"))
    assert found is not None
    assert found.nominal == unix("2026-01-01T00:00")


@pytest.mark.parametrize("far", [-(2**62), -(10**19), 10**19, 253_402_300_799 * SECOND])
def test_times_beyond_the_calendar_are_harmless(far: int) -> None:
    spec = spec_of(ScheduleSpec(cron_string=["0 9 * * *", "@every 1h"], timezone_name="America/New_York"))
    early = ScheduleSpec(cron_string=["0 9 * * *"], start_time=timestamp_of(-62_135_596_800 * SECOND))
    found = next_due(spec, SEED, far)
    assert (found is None) == (far > 0)
    assert next_due(spec_of(early), SEED, far) is None or far < 0


def test_a_spec_has_an_end() -> None:
    many = ScheduleSpec(cron_string=["0 0 30 2 *"] * 200)
    assert next_due(spec_of(many), SEED, unix("2025-01-01T00:00")) is None
    with pytest.raises(BadSpec, match="more than 200"):
        canonical(ScheduleSpec(cron_string=["0 0 * * *"] * 201))


def test_what_a_calendar_remembers_depends_on_nothing_else() -> None:
    """Times asked for in any order are those of a fresh calendar."""
    body = canonical(ScheduleSpec(cron_string=["*/7 3,9 * * *"])).SerializeToString()
    spec = compiled(body)
    moments = [unix("2025-01-01T00:00") + step * 7919 * SECOND for step in range(200)]
    random.Random(3).shuffle(moments)
    for moment in moments:
        compiled.cache_clear()
        assert next_due(spec, SEED, moment) == next_due(compiled(body), SEED, moment)


def test_fingerprint_needs_a_long_key() -> None:
    with pytest.raises(AssertionError):
        fingerprint32(b"short")


LONG = "1" * 30_000


@pytest.mark.parametrize(
    "spec",
    [
        ScheduleSpec(cron_string=["0 0 * * *"] * 100_000),
        ScheduleSpec(cron_string=["1," * 20_000 + "1 * * * *"]),
        ScheduleSpec(cron_string=[f"@every {LONG}!"]),
        ScheduleSpec(cron_string=["@every " + "1" * 6_000 + "!"]),
        ScheduleSpec(cron_string=["@every " + "1" * 6_000 + "h"]),
        ScheduleSpec(cron_string=["@every 99999999999999999999999999h"]),
        ScheduleSpec(calendar=[CalendarSpec(second=LONG)]),
        ScheduleSpec(structured_calendar=[StructuredCalendarSpec(year=[Range(start=2000, end=2100)] * 30_000)]),
    ],
    ids=range(8),
)
def test_what_takes_long_to_read_is_refused_at_once(spec: ScheduleSpec) -> None:
    """Some of these took seconds, one more than the test had patience for."""
    with pytest.raises(BadSpec):
        canonical(spec)


def test_searches_count_what_they_cost() -> None:
    """So that a step that has much to catch up with leaves some to the next one."""
    rare = ScheduleSpec(
        interval=[IntervalSpec(interval=duration_of(SECOND))],
        exclude_structured_calendar=[
            StructuredCalendarSpec(
                second=[Range(start=0, end=59)],
                minute=[Range(start=0, end=59)],
                hour=[Range(start=0, end=22)],
                day_of_month=[Range(start=1, end=31)],
                month=[Range(start=1, end=12)],
                day_of_week=[Range(start=0, end=6)],
            )
        ],
    )
    spec = spec_of(rare)
    before = spec.looks
    assert next_due(spec, SEED, unix("2025-01-01T00:00")) is not None
    assert 0 < spec.looks - before < 1_000


def test_exclusions_may_be_any_numbers() -> None:
    """They are unchecked. A range from the least int32 took all memory, and one in negative steps likewise."""
    low, high = -(2**31), 2**31 - 1
    for odd in (Range(start=low), Range(start=high, step=-1), Range(start=low, end=high, step=low)):
        given = ScheduleSpec(
            interval=[IntervalSpec(interval=duration_of(60 * SECOND))],
            exclude_structured_calendar=[StructuredCalendarSpec(second=[odd], year=[odd])],
        )
        assert next_due(spec_of(given), SEED, unix("2025-01-01T00:00")) is not None
    every_third = Range(start=-4, end=59, step=3)
    calendar = StructuredCalendarSpec(
        second=[Range(start=0, end=59)],
        minute=[every_third],
        hour=[Range(start=0, end=23)],
        day_of_month=[Range(start=1, end=31)],
        month=[Range(start=1, end=12)],
        day_of_week=[Range(start=0, end=6)],
    )
    given = ScheduleSpec(
        interval=[IntervalSpec(interval=duration_of(60 * SECOND))], exclude_structured_calendar=[calendar]
    )
    due = next_due(spec_of(given), SEED, unix("2025-01-01T00:01"))
    assert due is not None
    assert due.nominal == unix("2025-01-01T00:03")
