"""Time zones and durations as Go's standard library reads them, which is what Temporal's schedules follow.

Pure but for the zone tables: constants that Python reads from the system or from the `tzdata` package, once per zone.
Instants are whole seconds since the epoch.
"""

from __future__ import annotations

import io
import re
import struct
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from perdure.clock import SECOND
from perdure.machines.zone_files import readable

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_DURATION_CHARS_MAX = 1_000
"""Go has no such limit, and nobody writes a longer one; the pattern takes the square of the digits in a row."""
_INT64_MAX = 2**63 - 1
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


class UnknownZone(Exception):
    """No time zone has this name, or the data are no time zone."""


@lru_cache(maxsize=1024)
def zone_named(name: str) -> tzinfo:
    """The zone of a name of the IANA database; the empty name is UTC, and so is "Local". Raises UnknownZone."""
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise UnknownZone(name) from error


@lru_cache(maxsize=64)
def zone_of_data(data: bytes) -> tzinfo:
    """The zone that a TZif file's bytes describe. Raises UnknownZone."""
    plain = readable(data)
    if plain is None:
        raise UnknownZone("malformed time zone information")
    try:
        return ZoneInfo.from_file(io.BytesIO(plain))
    except (ValueError, struct.error, IndexError, KeyError, OverflowError, EOFError) as error:
        raise UnknownZone("malformed time zone information") from error


def local(instant: int, zone: tzinfo) -> datetime:
    """The wall clock of a zone at an instant."""
    return datetime.fromtimestamp(instant, zone)


def instant_of(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: tzinfo) -> int:
    """Seconds since the epoch of a local time, every field overflowing; in a gap or a fold, as Go's `time.Date`."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    plain = datetime(year, month, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)
    unix = int(plain.timestamp())
    offset = offset_at(unix, zone)
    if offset and offset_at(unix - offset, zone) != offset:
        offset = offset_at(unix - offset, zone)
    return unix - offset


def offset_at(instant: int, zone: tzinfo) -> int:
    """Seconds that a zone is ahead of UTC at an instant."""
    found = local(instant, zone).utcoffset()
    return 0 if found is None else int(found.total_seconds())


def go_duration(text: str) -> int | None:
    """A duration like 1h30m in ns, with a sign or without; None when the text is none, or of more than int64."""
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    if len(body) > _DURATION_CHARS_MAX:
        return None
    position = 0
    total = 0
    while position < len(body):
        match = _DURATION.match(body, position)
        if match is None:
            return None
        number, unit = match.groups()
        whole, _, fraction = number.partition(".")
        scale = _UNITS[unit]
        total += int(whole or "0") * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
        position = match.end()
    return sign * total if body and total <= _INT64_MAX else None
