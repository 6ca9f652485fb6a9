"""Time-zone files as strangers send them: what would hang, kill or mislead the reader is refused before it reads."""

from __future__ import annotations

import random
import struct
import zoneinfo
from importlib import resources
from pathlib import Path

import pytest

from perdure.machines import zones
from perdure.machines.zone_files import readable
from perdure.machines.zones import UnknownZone, offset_at, zone_named, zone_of_data

MOMENTS = (-62_000_000_000, 0, 946_684_800, 1_710_000_000, 1_720_000_000, 4_133_980_799)


def file_of(name: str) -> bytes:
    for folder in zoneinfo.TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()


def made(types: list[tuple[int, int, int]], times: dict[int, int], footer: bytes = b"\n\n") -> bytes:
    """A file of version 2 with (offset, summer time, name) types, and the type from each time on."""
    counts = (0, 0, 0, len(times), len(types), 4)
    empty = struct.pack(">4sc15x6l", b"TZif", b"2", *[0] * 6)
    body = struct.pack(f">{len(times)}q", *times) + bytes(times.values())
    body += b"".join(struct.pack(">lBB", *one) for one in types) + b"ABC\0"
    return empty + struct.pack(">4sc15x6l", b"TZif", b"2", *counts) + body + footer


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Asia/Tokyo", "Africa/Casablanca"])
def test_files_of_the_database_are_what_their_names_are(name: str) -> None:
    zone = zone_of_data(file_of(name))
    for moment in (1_600_000_000, 1_710_000_000, 1_720_000_000, 4_100_000_000):
        assert offset_at(moment, zone) == offset_at(moment, zone_named(name))


SOUND = [(0, 0, 0), (3600, 1, 0)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"TZif",
        b"x" * 200,
        file_of("Europe/Berlin")[:-1],
        file_of("Europe/Berlin")[:500],
        made(SOUND, {0: 2}),
        made([], {}),
        made([(86_400, 0, 0)], {}),
        made([(-(2**31), 0, 0)], {}),
        made([(0, 0, 4)], {}),
        made(SOUND, {0: 1}, b"\nABC-24\n"),
        made(SOUND, {0: 1}, b"\n" + b"A" * 300 + b"\n"),
        made(SOUND, {0: 1}, b""),
        made(SOUND, {0: 1}) + bytes(70_000),
    ],
    ids=range(14),
)
def test_what_is_no_whole_file_is_refused(data: bytes) -> None:
    with pytest.raises(UnknownZone):
        zone_of_data(data)


def test_a_file_that_ends_in_summer_time_is_read() -> None:
    """Python's reader looks for the type after the last one, and outside of its memory."""
    zone = zone_of_data(made([(0, 1, 0), (3600, 1, 0), (0, 0, 0)], {0: 0, 1_000: 1}))
    assert offset_at(2_000, zone) == 3600


def test_damaged_files_are_refused_or_harmless(seed: int) -> None:
    dice = random.Random(seed)
    whole = [file_of("Europe/Berlin"), file_of("Asia/Tokyo")]
    read = 0
    for _ in range(1_500):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.choice((1, 2, 5))):
            place = dice.randrange(len(data)) if dice.random() < 0.6 else dice.randrange(-40, 0)
            data[place] = dice.choice((0, 1, 255, ord("9"), ord(","), dice.randrange(256)))
        try:
            zone = zone_of_data(bytes(data))
        except UnknownZone:
            continue
        read += 1
        for moment in MOMENTS:
            assert abs(offset_at(moment, zone)) < 86_400
    assert read > 50, "some damage must get past the first look"


@pytest.mark.parametrize("text", ["9" * 5_000 + "h", "9999999999h", "1" * 300 + "s"])
def test_durations_beyond_int64_are_none(text: str) -> None:
    assert zones.go_duration(text) is None


def test_summer_time_is_not_marked() -> None:
    plain = readable(made([(0, 1, 0), (3600, 9, 0)], {0: 1}))
    assert plain == made([(0, 0, 0), (3600, 0, 0)], {0: 1})
