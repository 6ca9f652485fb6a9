"""A schedule's spec: its canonical form, and the times that it names (semantics 13.3, 13.4).

Pure. Compiled specs are remembered by their bytes, so that an entity keeps bytes only. Times are ns since the epoch;
inside they are whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from functools import lru_cache
from typing import final

from perdure.api.schedule import IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec
from perdure.api.times import duration_ns, timestamp_ns
from perdure.clock import SECOND
from perdure.machines.schedule.calendar import BEYOND, YEAR_MAX, YEAR_MIN, Calendar
from perdure.machines.schedule.fingerprint import fingerprint32
from perdure.machines.schedule.text import BadSpec, cron_of, structured_of
from perdure.machines.zones import UnknownZone, zone_named, zone_of_data

LOOKS_MAX = 50_000
"""So many looks at calendars and intervals for one time, and the search is given up: what is left of the spec is
excluded, and it names no further time. A tenth of a second."""
ENTRIES_MAX = 200
"""Calendars, exclusions and intervals that one spec may have: each may cost a look at a hundred years, a millisecond,
whenever the spec is compiled."""
TEXT_CHARS_MAX = 20_000
"""Characters of all calendars and cron strings of one spec."""
RANGES_MAX = 20_000
"""Ranges in all calendars of one spec."""
COMMENT_BYTES_MAX = 200
_MILLISECOND = 1_000_000
_JITTER_MS_MAX = 2**32 - 1
_YEAR_ONE = 62_135_596_800
"""Seconds from the first day of year 1 to the epoch."""

_BOUNDS: tuple[tuple[str, str, int, int], ...] = (
    ("second", "Second", 0, 59),
    ("minute", "Minute", 0, 59),
    ("hour", "Hour", 0, 23),
    ("day_of_month", "DayOfMonth", 1, 31),
    ("month", "Month", 1, 12),
    ("year", "Year", YEAR_MIN, YEAR_MAX),
    ("day_of_week", "DayOfWeek", 0, 6),
)


@final
class Spec:
    """A compiled spec. Intervals are (interval, phase) in seconds; `start` and `end` in ns, `jitter` in ms.

    `looks` counts what searches for its times have cost, so that whoever makes many of them can stop.
    """

    __slots__ = ("calendars", "end", "excludes", "intervals", "jitter", "looks", "start")

    def __init__(
        self,
        calendars: tuple[Calendar, ...],
        excludes: tuple[Calendar, ...],
        intervals: tuple[tuple[int, int], ...],
        bounds: tuple[int, int | None],
        jitter: int,
    ) -> None:
        self.calendars = calendars
        self.excludes = excludes
        self.intervals = intervals
        self.start, self.end = bounds
        self.jitter = jitter
        self.looks = 0


@final
class Due:
    """A time of a schedule: `nominal` as the spec names it, `actual` with jitter."""

    __slots__ = ("actual", "nominal")

    def __init__(self, nominal: int, actual: int) -> None:
        self.nominal = nominal
        self.actual = actual

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Due) and (other.nominal, other.actual) == (self.nominal, self.actual)

    def __hash__(self) -> int:
        return hash((self.nominal, self.actual))

    def __repr__(self) -> str:
        return f"Due({self.nominal}, {self.actual})"


# -- the canonical form ------------------------------------------------------------------------------------------------


def canonical(given: ScheduleSpec) -> ScheduleSpec:
    """The spec with calendars and cron strings turned into structured calendars and intervals.

    Raises BadSpec. The canonical form of a canonical form is itself.
    """
    _check_size(given)
    spec = ScheduleSpec()
    spec.CopyFrom(given)
    for calendar in given.calendar:
        spec.structured_calendar.append(structured_of(calendar))
    for calendar in given.exclude_calendar:
        spec.exclude_structured_calendar.append(structured_of(calendar))
    _take_cron_strings(spec)
    for field in ("calendar", "exclude_calendar", "cron_string"):
        spec.ClearField(field)
    for structured in spec.structured_calendar:
        _check_calendar(structured)
    for interval in spec.interval:
        _check_interval(interval)
    _zone_of(spec)
    return spec


def _check_size(given: ScheduleSpec) -> None:
    """Before anything is read that the size makes slow."""
    structured = (*given.structured_calendar, *given.exclude_structured_calendar)
    written = (*given.calendar, *given.exclude_calendar)
    entries = len(structured) + len(written) + len(given.interval) + len(given.cron_string)
    if entries > ENTRIES_MAX:
        raise BadSpec(f"more than {ENTRIES_MAX} calendars and intervals")
    if sum(len(getattr(each, field)) for each in structured for field, _, _, _ in _BOUNDS) > RANGES_MAX:
        raise BadSpec(f"more than {RANGES_MAX} ranges")
    if sum(map(len, given.cron_string)) + sum(each.ByteSize() for each in written) > TEXT_CHARS_MAX:
        raise BadSpec(f"calendars of more than {TEXT_CHARS_MAX} characters")


def _take_cron_strings(spec: ScheduleSpec) -> None:
    zones: set[str] = set()
    for text in spec.cron_string:
        found, zone = cron_of(text)
        zones.add(zone)
        if isinstance(found, IntervalSpec):
            spec.interval.append(found)
        else:
            spec.structured_calendar.append(found)
        if len(zones) > 1:
            raise BadSpec("conflicting timezone names")
    for zone in zones - {""}:
        if spec.timezone_name not in ("", zone) or spec.timezone_data:
            raise BadSpec("conflicting timezone names")
        spec.timezone_name = zone


def _check_calendar(calendar: StructuredCalendarSpec) -> None:
    wrong: list[str] = []
    for field, name, first, last in _BOUNDS:
        for each in getattr(calendar, field):
            if not first <= each.start <= last:
                wrong.append(f"{name} Start is not in range [{first}-{last}]")
            if each.end and not each.start <= each.end <= last:
                wrong.append(f"{name} End is before Start or not in range [{first}-{last}]")
            if each.step < 0:
                wrong.append(f"{name} has invalid Step")
    if len(calendar.comment.encode()) > COMMENT_BYTES_MAX:
        wrong.append("comment is too long")
    if wrong:
        raise BadSpec("invalid calendar spec: " + ", ".join(wrong))


def _check_interval(interval: IntervalSpec) -> None:
    length, phase = duration_ns(interval.interval), duration_ns(interval.phase)
    if length < SECOND:
        raise BadSpec("interval is too small")
    if phase < 0:
        raise BadSpec("phase is negative")
    if phase >= length:
        raise BadSpec("phase cannot be greater than Interval")


def _zone_of(spec: ScheduleSpec) -> tzinfo:
    if spec.timezone_data:
        try:
            return zone_of_data(spec.timezone_data)
        except UnknownZone as error:
            raise BadSpec(str(error)) from error
    name = spec.timezone_name
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
        raise BadSpec("time: invalid location name")
    try:
        return zone_named(name)
    except UnknownZone as error:
        raise BadSpec(f"unknown time zone {name}") from error


def tidy(spec: ScheduleSpec) -> None:
    """Write the defaults of ranges out, as describing and listing show them."""
    for calendar in (*spec.structured_calendar, *spec.exclude_structured_calendar):
        for field, _, _, _ in _BOUNDS:
            for each in getattr(calendar, field):
                each.end = max(each.end, each.start)
                each.step = each.step or 1


# -- compiling ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def compiled(body: bytes) -> Spec:
    """The compiled form of a canonical spec's bytes."""
    spec = ScheduleSpec.FromString(body)
    zone = _zone_of(spec)
    return Spec(
        tuple(_calendar(each, zone) for each in spec.structured_calendar),
        tuple(_calendar(each, zone) for each in spec.exclude_structured_calendar),
        tuple(_interval(each) for each in spec.interval),
        (
            timestamp_ns(spec.start_time) if spec.HasField("start_time") else 0,
            timestamp_ns(spec.end_time) if spec.HasField("end_time") else None,
        ),
        min(max(duration_ns(spec.jitter) // _MILLISECOND, 0), _JITTER_MS_MAX),
    )


def _calendar(calendar: StructuredCalendarSpec, zone: tzinfo) -> Calendar:
    seconds, minutes, hours, days, months, years, weekdays = (
        _values(getattr(calendar, field), last) for field, _, _, last in _BOUNDS
    )
    return Calendar(
        (_bits(seconds), _bits(minutes), _bits(hours), _bits(days), _bits(months), _bits(weekdays)),
        years if calendar.year else None,
        zone,
    )


def _values(ranges: Iterable[Range], last: int) -> frozenset[int]:
    """The values from 0 to `last` in the ranges. Those of exclusions are unchecked, as in the reference: they may begin
    anywhere and go in steps of any size.
    """
    found: set[int] = set()
    for each in ranges:
        step = each.step or 1
        if step > 0:
            first = each.start if each.start >= 0 else each.start % step
            found.update(range(first, min(max(each.end, each.start), last) + 1, step))
    return frozenset(found)


def _bits(values: frozenset[int]) -> int:
    return sum(1 << value for value in values)


def _interval(interval: IntervalSpec) -> tuple[int, int]:
    return max(duration_ns(interval.interval) // SECOND, 1), max(duration_ns(interval.phase) // SECOND, 0)


# -- the next time -----------------------------------------------------------------------------------------------------


def next_due(spec: Spec, seed: str, after: int) -> Due | None:
    """The earliest time later than `after`, or None when the spec names none (or excludes too many in a row)."""
    instant = max(after, spec.start - SECOND) // SECOND
    looks_each = len(spec.calendars) + len(spec.intervals) + len(spec.excludes)
    for _ in range(LOOKS_MAX // max(looks_each, 1)):
        spec.looks += looks_each
        nominal = _next_raw(spec, instant)
        if nominal is None or nominal >= BEYOND or (spec.end is not None and nominal * SECOND > spec.end):
            return None
        excluded_until = max(
            (each.matches_until(nominal) for each in spec.excludes if each.matches(nominal)), default=None
        )
        if excluded_until is None:
            return Due(nominal * SECOND, nominal * SECOND + _jitter(spec, seed, nominal))
        instant = excluded_until
    return None


def just_before(spec: Spec, seed: str, after: int, now: int) -> int:
    """The latest time, `after` at least, from which `next_due` still finds all that jitter moves from before `now` to
    after it: the nominal time before `now` may be one, none before that.
    """
    low, high = max(after, now - spec.jitter * _MILLISECOND - SECOND) // SECOND, now // SECOND
    if not spec.jitter or high <= low:
        return max(after, now)

    def has_one(instant: int) -> bool:
        due = next_due(spec, seed, instant * SECOND)
        return due is not None and due.nominal <= now

    if not has_one(low):
        return max(after, low * SECOND)
    enough = spec.looks + LOOKS_MAX
    while high - low > 1 and spec.looks < enough:
        middle = (low + high) // 2
        if has_one(middle):
            low = middle
        else:
            high = middle
    return max(after, low * SECOND)


def _next_raw(spec: Spec, instant: int) -> int | None:
    """The first second later than `instant` of any calendar or interval."""
    found: int | None = None
    for calendar in spec.calendars:
        candidate = calendar.next_after(instant)
        if candidate is not None and (found is None or candidate < found):
            found = candidate
    for length, phase in spec.intervals:
        # Rounded towards zero, as the reference divides; it matters before the epoch only.
        whole = abs(instant - phase) // length
        candidate = ((whole if instant >= phase else -whole) + 1) * length + phase
        if found is None or candidate < found:
            found = candidate
    return found


def _jitter(spec: Spec, seed: str, nominal: int) -> int:
    """ns between 0 and the spec's jitter, never past the next time: a hash of the time and the schedule's seed."""
    if not spec.jitter:
        return 0
    most = spec.jitter
    following = _next_raw(spec, nominal)
    if following is not None:
        most = min(most, (following - nominal) * 1000)
    # A time in Go's binary form: version, seconds since year 1, nanoseconds, and -1 for UTC.
    key = b"\x01" + (nominal + _YEAR_ONE).to_bytes(8, "big") + b"\0\0\0\0\xff\xff" + seed.encode()
    return (fingerprint32(key) * most >> 32) * _MILLISECOND
