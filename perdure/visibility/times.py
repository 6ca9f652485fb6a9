"""Times and durations as filters and search attributes spell them, to int nanoseconds.

Go's parsers decide what is accepted (semantics 15.3); these answer None for everything else and never raise.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from perdure.clock import SECOND

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_EPOCH: Final = date(1970, 1, 1).toordinal()
_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION: Final = re.compile(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h|d))+)")
_DURATION_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d)")
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 24 * 3600 * SECOND,
}
_CLOCK: Final = re.compile(r"\+?([0-9]+):\+?([0-9]+):\+?([0-9]+)")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


def parse_rfc3339(text: str) -> int | None:
    """Nanoseconds since the epoch, held inside int64 (years 1677 to 2262), or None."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        days = date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH
    except ValueError:
        return None
    offset = 0
    if found[8] != "Z":
        hours, minutes = int(found[8][1:3]), int(found[8][4:6])
        if hours > 24 or minutes > 59:
            return None
        offset = (hours * 3600 + minutes * 60) * (-1 if found[8][0] == "-" else 1)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    fraction = int((found[7] or "0")[:9].ljust(9, "0"))
    return max(_INT64_MIN, min(_INT64_MAX, seconds * SECOND + fraction))


def parse_duration(text: str) -> int | None:
    """Nanoseconds of an integer, a Go duration (days too) or HH:MM:SS; None for anything else, or beyond int64."""
    if _INTEGER.fullmatch(text):
        nanoseconds = int(text) if len(text) <= 20 else _INT64_MAX + 1
    else:
        parsed = _go_duration(text)
        nanoseconds = parsed if parsed is not None else _clock(text)
    return nanoseconds if _INT64_MIN <= nanoseconds <= _INT64_MAX else None


def _go_duration(text: str) -> int | None:
    # The pattern takes the square of the digits in a row.
    found = _DURATION.fullmatch(text) if len(text) <= 200 else None
    if found is None:
        return None
    total = 0
    for amount, unit in _DURATION_PART.findall(found[2]):
        whole, _, fraction = amount.partition(".")
        scale = _UNITS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    return -total if found[1] == "-" else total


def _clock(text: str) -> int:
    """HH:MM:SS, or more than int64 holds if it is none."""
    found = _CLOCK.match(text)
    if found is None or len(text) > 40 or int(found[2]) > 59 or int(found[3]) > 59:
        return _INT64_MAX + 1
    return (int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])) * SECOND
