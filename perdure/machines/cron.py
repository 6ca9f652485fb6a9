"""Cron schedules of workflows: five-field expressions, descriptors, time zones (semantics 10.3).

The rules are those of Go's robfig/cron (`ParseStandard`, `Next`), daylight saving included, since Temporal's chains
follow them to the second. Pure but for the zone tables, which are constants that Python reads from the system or from
the `tzdata` package once per zone. Times are ns since the epoch.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import final

from perdure.api.times import DURATION_MAX_NS
from perdure.clock import SECOND
from perdure.machines.zones import UnknownZone, go_duration, instant_of, local, zone_named

YEARS_AHEAD_MAX = 5
"""A schedule that names no time within so many years names none."""
_STAR = 1 << 63

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NO_NAMES: dict[str, int] = {}
_MONTH_NAMES = {name: number for number, name in enumerate(_MONTHS, 1)}
_DAY_NAMES = {name: number for number, name in enumerate(_DAYS)}

_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, _NO_NAMES),
    (0, 23, _NO_NAMES),
    (1, 31, _NO_NAMES),
    (1, 12, _MONTH_NAMES),
    (0, 6, _DAY_NAMES),
)
"""First value, last value and names of minute, hour, day of month, month, day of week."""

DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class BadSchedule(Exception):
    """The text is no cron schedule."""


@final
class Schedule:
    """A parsed schedule: an interval in ns, or bit sets of minutes, hours, days, months and weekdays in a zone."""

    __slots__ = ("days", "every", "hours", "minutes", "months", "weekdays", "zone")

    def __init__(self, every: int, fields: tuple[int, int, int, int, int], zone: tzinfo) -> None:
        self.every = every
        self.minutes, self.hours, self.days, self.months, self.weekdays = fields
        self.zone = zone


TEXT_CHARS_MAX = 2_000
"""Every minute, hour, day and month written out has 400. Go has no limit, and a long text takes seconds to read."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Schedule:
    """The schedule that a text says. Raises BadSchedule."""
    if len(text) > TEXT_CHARS_MAX:
        raise BadSchedule(f"more than {TEXT_CHARS_MAX} characters")
    zone: tzinfo = UTC
    if text.startswith(("TZ=", "CRON_TZ=")):
        prefix, _, text = text.partition(" ")
        zone = _zone(prefix.partition("=")[2])
        text = text.strip()
    if text.startswith("@every "):
        interval = _duration(text[len("@every ") :])
        return Schedule(max(interval - interval % SECOND, SECOND), (0, 0, 0, 0, 0), zone)
    if text.startswith("@"):
        found = DESCRIPTORS.get(text)
        if found is None:
            raise BadSchedule(f"unrecognized descriptor: {text}")
        text = found
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise BadSchedule(f"expected exactly 5 fields, found {len(parts)}: {text}")
    minutes, hours, days, months, weekdays = [
        _field(part, *bounds) for part, bounds in zip(parts, _FIELDS, strict=True)
    ]
    return Schedule(0, (minutes, hours, days, months, weekdays), zone)


def _zone(name: str) -> tzinfo:
    try:
        return zone_named(name)
    except UnknownZone as error:
        raise BadSchedule(f"provided bad location {name}") from error


def _duration(text: str) -> int:
    found = go_duration(text)
    if found is None:
        raise BadSchedule(f"failed to parse duration @every {text}")
    return found


def _field(text: str, first: int, last: int, names: dict[str, int]) -> int:
    bits = 0
    for part in text.split(","):
        if part:
            bits |= _range(part, first, last, names)
    return bits


def _range(text: str, first: int, last: int, names: dict[str, int]) -> int:
    span, *steps = text.split("/")
    if len(steps) > 1:
        raise BadSchedule(f"too many slashes: {text}")
    bounds = span.split("-")
    star = 0
    if bounds[0] in ("*", "?"):
        start, end, star = first, last, _STAR
    else:
        start = _number(bounds[0], names)
        end = start
        if len(bounds) == 2:
            end = _number(bounds[1], names)
        elif len(bounds) > 2:
            raise BadSchedule(f"too many hyphens: {text}")
    step = 1
    if steps:
        step = _number(steps[0], _NO_NAMES)
        if len(bounds) == 1:
            end = last
        if step > 1:
            star = 0
    if start < first or end > last or start > end or step == 0:
        raise BadSchedule(f"out of range ({first} to {last}): {text}")
    for value in range(start, end + 1, step):
        star |= 1 << value
    return star


def _number(text: str, names: dict[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if not re.fullmatch(r"\+?[0-9]{1,18}", text):
        raise BadSchedule(f"failed to parse int from {text}")
    return int(text)


# -- the next time -----------------------------------------------------------------------------------------------------


def next_time(schedule: Schedule, after: int) -> int | None:
    """The first time later than `after` (both ns since the epoch, whole seconds out), None when there is none."""
    if schedule.every:
        return after + schedule.every - after % SECOND
    start = after // SECOND + 1
    found = _search(schedule, start)
    return None if found is None else found * SECOND


def _search(schedule: Schedule, start: int) -> int | None:
    """Seconds since the epoch of the first match from `start` on: month, day, hour and minute in turn."""
    zone = schedule.zone
    instant = start
    floored = False
    last_year = local(instant, zone).year + YEARS_AHEAD_MAX
    while True:
        moment = local(instant, zone)
        if moment.year > last_year:
            return None
        if not schedule.months >> moment.month & 1:
            instant = instant_of(moment.year, moment.month + 1, 1, 0, 0, 0, zone)
            floored = True
            continue
        if not _day_matches(schedule, moment):
            instant = _next_day(moment, floored, zone)
            floored = True
            continue
        if not schedule.hours >> moment.hour & 1:
            if not floored:
                instant = instant_of(moment.year, moment.month, moment.day, moment.hour, 0, 0, zone)
                floored = True
            instant += 3600
            continue
        if not schedule.minutes >> moment.minute & 1:
            instant = instant - instant % 60 + 60
            floored = True
            continue
        if moment.second:
            instant += 60 - moment.second
            continue
        return instant


def _day_matches(schedule: Schedule, moment: datetime) -> bool:
    """Day of month and day of week: both must fit if one is a star, else one is enough."""
    day = bool(schedule.days >> moment.day & 1)
    weekday = bool(schedule.weekdays >> (moment.isoweekday() % 7) & 1)
    if schedule.days & _STAR or schedule.weekdays & _STAR:
        return day and weekday
    return day or weekday


def _next_day(moment: datetime, floored: bool, zone: tzinfo) -> int:
    """The start of the next day; where a change of the clock moves midnight, the reference's way of getting back."""
    hour = moment.hour if floored else 0
    instant = instant_of(moment.year, moment.month, moment.day + 1, hour, 0, 0, zone)
    hour = local(instant, zone).hour
    if hour > 12:
        return instant + (24 - hour) * 3600
    return instant - hour * 3600


_CATCH_UP = 24 * 3600 * SECOND
"""How far before now the times that have passed are walked through. A run may have taken years."""


def _first_from(schedule: Schedule, scheduled: int, now: int) -> int | None:
    """The first time from `now` on of those that follow `scheduled`."""
    if schedule.every:
        first = scheduled + schedule.every - scheduled % SECOND
        missed = max(0, -(-(now - first) // schedule.every))
        return first + missed * schedule.every
    following = next_time(schedule, max(scheduled, now - _CATCH_UP))
    while following is not None and following < now:
        following = next_time(schedule, following)
    return following


def backoff(schedule: Schedule, scheduled: int, now: int) -> int | None:
    """ns from `now` until the next run of a chain whose last one was due at `scheduled`, in whole seconds, rounded up.

    None when the schedule names no further time: the chain ends (semantics 10.3). At most `DURATION_MAX_NS`, so that
    what waits so long has a time that can be stored: Go takes `@every` of up to 292 years.
    """
    following = scheduled if now < scheduled else _first_from(schedule, scheduled, now)
    if following is None:
        return None
    return min(-(-(following - now) // SECOND) * SECOND, DURATION_MAX_NS)
