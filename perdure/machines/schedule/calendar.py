"""When a calendar's local times come (semantics 13.4): bit sets of values for each field, in a time zone.

Resolution is a second. A local time that the clock skips never comes; one that comes twice matches twice. In zones
east of Greenwich the reference counts the repeated hour once too early: a calendar for the hour *before* it matches
again in its first copy. That is copied too, since schedules must keep their times when they move here
(docs/decisions/014).
"""

from __future__ import annotations

import calendar as gregorian
from datetime import datetime, tzinfo
from typing import final

from perdure.machines.zones import instant_of, local

YEAR_MIN = 2000
YEAR_MAX = 2100
"""The years that a calendar may name; none of its times is later."""
BEYOND = 4_133_980_800
"""The first second of 2101, UTC."""
EARLIEST = -62_000_000_000
"""A second of year 5; earlier instants are taken as this one."""

_LEAP_YEAR = 2000
_ALL_SECONDS = _ALL_MINUTES = (1 << 60) - 1
_ALL_HOURS = (1 << 24) - 1
_ALL_WEEKDAYS = (1 << 7) - 1
_DAY_OF_TWO_CLOCKS = 2 * 3600
"""How much a change of the clock may take from a day."""


@final
class Calendar:
    """Bit `n` of a field says that the value n matches. `years` is None for every year."""

    __slots__ = ("_asked", "_found", "days", "hours", "minutes", "months", "seconds", "weekdays", "years", "zone")

    def __init__(self, fields: tuple[int, int, int, int, int, int], years: frozenset[int] | None, zone: tzinfo) -> None:
        self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays = fields
        self.years = years
        self.zone = zone
        self._asked: int | None = None
        self._found: int | None = None
        if not _has_day(self.days, self.months) or not (self.seconds and self.minutes and self.hours and self.weekdays):
            # It names no time at all, and that is known without a look at a hundred years.
            self._asked = EARLIEST

    def matches(self, instant: int) -> bool:
        """Whether an instant, in seconds since the epoch, is one of this calendar's."""
        moment = local(instant, self.zone)
        return bool(
            self.seconds >> moment.second & 1
            and self.minutes >> moment.minute & 1
            and self.hours >> moment.hour & 1
            and self._names_day(moment)
        )

    def matches_until(self, instant: int) -> int:
        """Given that `instant` matches, the last instant for which that is plain without another look."""
        if self.seconds != _ALL_SECONDS:
            return instant
        moment = local(instant, self.zone)
        minute_left = 59 - moment.second
        if self.minutes != _ALL_MINUTES:
            return instant + minute_left
        hour_left = minute_left + (59 - moment.minute) * 60
        if self.hours != _ALL_HOURS:
            return instant + hour_left
        day_left = hour_left + (23 - moment.hour) * 3600
        return instant + max(hour_left, day_left - _DAY_OF_TWO_CLOCKS)

    def next_after(self, instant: int) -> int | None:
        """The first matching instant later than `instant`, or None. The last answer is remembered: of many calendars
        one moves on at a time.
        """
        if instant >= BEYOND:
            return None
        instant = max(instant, EARLIEST)
        if self._asked is None or instant < self._asked or (self._found is not None and instant >= self._found):
            self._found = self._search(instant)
            self._asked = instant
        return self._found

    def _search(self, instant: int) -> int | None:
        moment = local(instant, self.zone)
        year, month, day = moment.year, moment.month, moment.day
        hour, minute, second = moment.hour, moment.minute, moment.second + 1
        # In the second copy of an hour that comes twice, everything is an hour later than it reads.
        later = 3600 if local(instant - 3600, self.zone).hour == hour else 0
        while True:
            if second > 59:
                minute, second = minute + 1, 0
            if minute > 59:
                hour, minute, later = self._next_hour(year, month, day, hour, later)
            if hour > 23:
                day, hour = day + 1, 0
            if month <= 12 and day > gregorian.monthrange(year, month)[1]:
                month, day = month + 1, 1
            if month > 12:
                year, month = year + 1, 1
            if year > YEAR_MAX:
                return None
            if self.years is not None and year not in self.years:
                year, month, day, hour, minute, second, later = year + 1, 1, 1, 0, 0, 0, 0
            elif not self.months >> month & 1:
                month, day, hour, minute, second, later = _next_bit(self.months, month, 13), 1, 0, 0, 0, 0
            elif not self.days >> day & 1:
                day, hour, minute, second, later = _next_bit(self.days, day, 32), 0, 0, 0, 0
            elif not self._weekday(year, month, day, hour, minute, second):
                day, hour, minute, second, later = day + 1, 0, 0, 0, 0
            elif not self.hours >> hour & 1:
                hour, minute, second, later = _next_bit(self.hours, hour, 24), 0, 0, 0
            elif not self.minutes >> minute & 1:
                minute, second = _next_bit(self.minutes, minute, 60), 0
            elif not self.seconds >> second & 1:
                second = _next_bit(self.seconds, second, 60)
            else:
                found = instant_of(year, month, day, hour, minute, second, self.zone)
                if local(found, self.zone).hour == hour:
                    return found + later
                # A time that the clock skips.
                hour, minute, second = hour + 1, 0, 0

    def _next_hour(self, year: int, month: int, day: int, hour: int, later: int) -> tuple[int, int, int]:
        """Hour, minute and lateness after the end of an hour; the same hour again where the clock repeats one."""
        here = instant_of(year, month, day, hour, 0, 0, self.zone)
        following = instant_of(year, month, day, hour + 1, 0, 0, self.zone)
        if not later and following - here > 3600:
            return hour, 0, 3600
        return hour + 1, 0, 0

    def _weekday(self, year: int, month: int, day: int, hour: int, minute: int, second: int) -> bool:
        if self.weekdays == _ALL_WEEKDAYS:
            return True
        moment = local(instant_of(year, month, day, hour, minute, second, self.zone), self.zone)
        return bool(self.weekdays >> moment.isoweekday() % 7 & 1)

    def _names_day(self, moment: datetime) -> bool:
        return bool(
            self.days >> moment.day & 1
            and self.months >> moment.month & 1
            and self.weekdays >> moment.isoweekday() % 7 & 1
            and (self.years is None or moment.year in self.years)
        )


def _has_day(days: int, months: int) -> bool:
    """Whether any of the days is in any of the months, in some year."""
    return any(
        months >> month & 1 and days & ((2 << gregorian.monthrange(_LEAP_YEAR, month)[1]) - 2) for month in range(1, 13)
    )


def _next_bit(bits: int, above: int, none: int) -> int:
    """The lowest set bit from `above` on, or `none`."""
    rest = bits >> above
    return above + (rest & -rest).bit_length() - 1 if rest else none
