"""Calendars and cron strings as text, turned into structured calendars (semantics 13.3).

The texts of errors are the reference's: callers see them behind "Invalid schedule spec: ".
"""

from __future__ import annotations

import re
from typing import Final

from perdure.api.schedule import CalendarSpec, IntervalSpec, Range, StructuredCalendarSpec
from perdure.api.times import duration_of
from perdure.machines.cron import DESCRIPTORS
from perdure.machines.schedule.calendar import YEAR_MAX, YEAR_MIN
from perdure.machines.zones import go_duration

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_SUNDAY_TOO = 7
"""Sunday's other number."""

_CRON_FIELDS = {
    5: ("minute", "hour", "day_of_month", "month", "day_of_week"),
    6: ("minute", "hour", "day_of_month", "month", "day_of_week", "year"),
    7: ("second", "minute", "hour", "day_of_month", "month", "day_of_week", "year"),
}
_DAYS_UNIT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)d")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DURATION_CHARS_MAX = 100
"""What is longer is no duration that anybody means, and finding out why it is none would take long."""


class BadSpec(Exception):
    """A schedule's spec breaks a rule; the text is for the caller."""


class _Field:
    """A field of a calendar: what errors call it, what stands for an empty text, its bounds and its names."""

    __slots__ = ("default", "first", "last", "name", "names", "prefix_min")

    def __init__(
        self, name: str, default: str, bounds: tuple[int, int], names: dict[str, int] | None = None, prefix_min: int = 0
    ) -> None:
        self.name = name
        self.default = default
        self.first, self.last = bounds
        self.names = names or {}
        self.prefix_min = prefix_min


_FIELDS: dict[str, _Field] = {
    "second": _Field("Second", "0", (0, 59)),
    "minute": _Field("Minute", "0", (0, 59)),
    "hour": _Field("Hour", "0", (0, 23)),
    "day_of_week": _Field("DayOfWeek", "*", (0, 7), {name: number for number, name in enumerate(_DAYS)}, 2),
    "day_of_month": _Field("DayOfMonth", "*", (1, 31)),
    "month": _Field("Month", "*", (1, 12), {name: number for number, name in enumerate(_MONTHS, 1)}, 3),
    "year": _Field("Year", "*", (YEAR_MIN, YEAR_MAX)),
}
"""In the order in which errors name them."""


def structured_of(calendar: CalendarSpec) -> StructuredCalendarSpec:
    """A calendar of texts as one of ranges. Raises BadSpec with all that is wrong."""
    structured = StructuredCalendarSpec(comment=calendar.comment)
    wrong: list[str] = []
    for name, field in _FIELDS.items():
        try:
            getattr(structured, name).extend(_ranges(getattr(calendar, name), field))
        except BadSpec as error:
            wrong.append(str(error))
    if wrong:
        raise BadSpec(", ".join(wrong))
    return structured


def cron_of(text: str) -> tuple[StructuredCalendarSpec | IntervalSpec, str]:
    """What a cron string says, and the name of its time zone ("" for none). Raises BadSpec."""
    text = text.strip()
    zone = ""
    if text.startswith(("TZ=", "CRON_TZ=")):
        prefix, blank, text = text.partition(" ")
        if not blank:
            raise BadSpec("CronString has time zone but missing fields")
        zone = prefix.partition("=")[2]
    text, _, comment = text.partition("#")
    text = text.strip()
    if text.startswith("@every"):
        # Its zone is of no use, and the reference forgets it.
        return _interval_of(text), ""
    parts = DESCRIPTORS.get(text, text).split()
    names = _CRON_FIELDS.get(len(parts))
    if names is None:
        raise BadSpec("CronString does not have 5-7 fields")
    calendar = CalendarSpec(comment=comment.strip(), **dict(zip(names, parts, strict=True)))
    return structured_of(calendar), zone


def _interval_of(text: str) -> IntervalSpec:
    """`@every 14h/3h`: an interval and perhaps a phase."""
    _, blank, rest = text.partition(" ")
    if not blank:
        raise BadSpec("CronString does not have interval after @every")
    interval, _, phase = rest.partition("/")
    spec = IntervalSpec(interval=duration_of(_duration(interval)))
    if phase:
        spec.phase.CopyFrom(duration_of(_duration(phase)))
    return spec


def _duration(text: str) -> int:
    """A duration in which days (24 hours) may be written too, in ns."""
    if len(text) > _DURATION_CHARS_MAX:
        raise BadSpec("time: invalid duration: it is too long")
    found = go_duration(_DAYS_UNIT.sub(lambda match: f"{24 * float(match.group(1)):f}h", text))
    if found is None:
        raise BadSpec(_duration_error(text))
    return found


def _duration_error(text: str) -> str:
    quoted = f'"{text}"'
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
        return f"time: missing unit in duration {quoted}"
    unit = re.match(r"[+-]?(?:[0-9.]+(?:ns|us|µs|μs|ms|s|m|h))*(?:[0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]+)", text)
    if unit is not None:
        return f'time: unknown unit "{unit.group(1)}" in duration {quoted}'
    return f"time: invalid duration {quoted}"


def _ranges(text: str, field: _Field) -> list[Range]:
    text = text.strip() or field.default
    if text == "*" and field.first == YEAR_MIN:
        # Every year is no range at all.
        return []
    found: list[Range] = []
    for part in text.split(","):
        found.extend(_range(part, field))
    return found


def _range(part: str, field: _Field) -> list[Range]:
    """The ranges of one item: `*`, `a`, `a-b`, each with an optional `/step`; two where Sunday is written as 7."""
    span, step = _step(part, field)
    start, end = _bounds(span, step is not None, field)
    pace = step or 1
    ranges: list[Range] = []
    if field.names is _FIELDS["day_of_week"].names and end == _SUNDAY_TOO:
        if (_SUNDAY_TOO - start) % pace == 0 and (pace > 1 or start > 1):
            ranges.append(Range(start=0))
            if start == _SUNDAY_TOO:
                return ranges
        end = _SUNDAY_TOO - 1
    ranges.append(Range(start=start, end=0 if start == end else end, step=0 if pace == 1 else pace))
    return ranges


def _step(part: str, field: _Field) -> tuple[str, int | None]:
    if part.count("/") > 1:
        raise BadSpec(f"{field.name} has too many slashes")
    span, slash, step = part.partition("/")
    if not slash:
        return span, None
    if not step:
        raise BadSpec(f"{field.name} missing step value")
    number = _integer(step)
    if number is None:
        raise BadSpec(f'strconv.Atoi: parsing "{step}": {"value out of range" if _digits(step) else "invalid syntax"}')
    if number < 1:
        raise BadSpec(f"{field.name} has invalid Step")
    return span, min(number, _STEP_MAX)


_STEP_MAX = 2**31 - 1
"""The largest step that a Range holds; beyond every field's bounds anyhow."""


def _bounds(span: str, has_step: bool, field: _Field) -> tuple[int, int]:
    if span == "*":
        return field.first, field.last
    if "-" not in span:
        start = _value(span, field.first, field)
        if start is None:
            raise BadSpec(f"{field.name} is not in range [{field.first}-{field.last}]")
        return start, field.last if has_step else start
    if span.count("-") > 1:
        raise BadSpec(f"{field.name} has too many dashes")
    low, _, high = span.partition("-")
    start = _value(low, field.first, field)
    if start is None:
        raise BadSpec(f"{field.name} Start is not in range [{field.first}-{field.last}]")
    end = _value(high, start, field)
    if end is None:
        raise BadSpec(f"{field.name} End is before Start or not in range [{field.first}-{field.last}]")
    return start, end


def _value(text: str, least: int, field: _Field) -> int | None:
    """A number, or a name by the prefix that the field demands; None when it is neither or out of bounds."""
    number: int | None = None
    if field.names and len(text.encode()) >= field.prefix_min:
        prefix = text.lower()
        number = next((value for name, value in field.names.items() if name.startswith(prefix)), None)
    if number is None:
        number = _integer(text)
    return number if number is not None and least <= number <= field.last else None


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


def _digits(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None
