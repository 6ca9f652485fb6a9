"""Bytes that somebody sent as a time-zone file (TZif, RFC 9636), made safe for Python's reader.

That reader was written for files of the system: at one that is cut off it reads on for ever, where it works out how
much of an offset is summer time it reads outside of its arrays and takes the process down, and an offset of more than
a day fails later, at any use of the zone. So everything it relies on is looked at here first, and no type is called
summer time: only offsets are asked for. Pure.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

BYTES_MAX: Final = 64 * 1024
"""The largest file of the IANA database has 4 KB."""
_HEADER: Final = struct.Struct(">4sc15x6l")
_TYPE: Final = struct.Struct(">lBB")
_DAY_S: Final = 86_400
_FOOTER_BYTES_MAX: Final = 200
_FOOTER: Final = re.compile(
    rb"(?:<[A-Za-z0-9+-]+>|[A-Za-z]+)([+-]?[0-9]{1,2})(?::[0-9]{2}){0,2}"
    rb"(?:(?:<[A-Za-z0-9+-]+>|[A-Za-z]+)(?:([+-]?[0-9]{1,2})(?::[0-9]{2}){0,2})?(?:,[^,]*,[^,]*)?)?"
)
_FOOTER_HOURS_MAX: Final = 22
"""Summer time may add an hour, and minutes: a day is never reached."""


class _Block(NamedTuple):
    """Counts of a header, in its order, and where the next part of the file begins."""

    version: bytes
    times: int
    types: int
    characters: int
    start: int
    end: int


def readable(data: bytes) -> bytes | None:
    """The file without its marks of summer time; None when it is not whole, or an offset is longer than a day."""
    first = _block(data, 0, 4)
    if len(data) > BYTES_MAX or first is None:
        return None
    if first.version < b"2":
        return _unmarked(data, first, 4) if _sound(data, first, 4) else None
    second = _block(data, first.end, 8)
    if second is None or not _sound(data, second, 8) or not _sound_footer(data[second.end :]):
        return None
    return _unmarked(data, second, 8)


def _block(data: bytes, at: int, time_bytes: int) -> _Block | None:
    if len(data) < at + _HEADER.size:
        return None
    magic, version, *counts = _HEADER.unpack_from(data, at)
    if magic != b"TZif" or min(counts) < 0:
        return None
    universal, standard, leaps, times, types, characters = counts
    start = at + _HEADER.size
    end = start + times * (time_bytes + 1) + types * _TYPE.size + characters + leaps * (time_bytes + 4)
    end += universal + standard
    return _Block(version, times, types, characters, start, end) if end <= len(data) else None


def _sound(data: bytes, block: _Block, time_bytes: int) -> bool:
    """Indices that point at something, offsets shorter than a day."""
    types_at = block.start + block.times * (time_bytes + 1)
    if not block.types or any(index >= block.types for index in data[types_at - block.times : types_at]):
        return False
    found = [_TYPE.unpack_from(data, types_at + number * _TYPE.size) for number in range(block.types)]
    return all(abs(offset) < _DAY_S and name < block.characters for offset, _, name in found)


def _unmarked(data: bytes, block: _Block, time_bytes: int) -> bytes:
    """The byte behind a type's offset says whether it is summer time."""
    plain = bytearray(data)
    first = block.start + block.times * (time_bytes + 1) + 4
    plain[first : first + block.types * _TYPE.size : _TYPE.size] = bytes(block.types)
    return bytes(plain)


def _sound_footer(footer: bytes) -> bool:
    """A rule for what comes after the last transition, between two ends of lines; it may be empty."""
    if len(footer) > _FOOTER_BYTES_MAX or footer[:1] != b"\n" or footer[1:].find(b"\n") < 0:
        return False
    rule = footer[1:].partition(b"\n")[0]
    match = _FOOTER.fullmatch(rule)
    if match is None:
        return not rule
    return all(abs(int(hours)) <= _FOOTER_HOURS_MAX for hours in match.groups() if hours is not None)
