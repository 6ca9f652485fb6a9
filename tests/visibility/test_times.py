"""Times and durations as Go parses them."""

from __future__ import annotations

import pytest

from perdure.visibility.times import parse_duration, parse_rfc3339

HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T23:59:59.5-00:00", -500_000_000),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("9999-12-31T23:59:59Z", 2**63 - 1),
        ("0001-01-01T00:00:00Z", -(2**63)),
        ("2024-01-01", None),
        ("2024-02-30T00:00:00Z", None),
        ("2024-01-01T24:00:00Z", None),
        ("2024-01-01T00:60:00Z", None),
        ("2024-01-01T00:00:00", None),
        ("2024-01-01T00:00:00+99:00", None),
        ("2024-01-01t00:00:00z", None),
        ("2024-01-01T00:00:00Z ", None),
        ("", None),
    ],
)
def test_rfc3339(text: str, expected: int | None) -> None:
    """RFC3339 with any fraction; held inside int64 nanoseconds."""
    assert parse_rfc3339(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("-5", -5),
        ("1h", HOUR),
        ("1h30m", HOUR * 3 // 2),
        ("-1.5h", -HOUR * 3 // 2),
        ("1.5d2h", 38 * HOUR),
        ("300ms1us2ns", 300_001_002),
        ("10:00:00", 10 * HOUR),
        ("10:99:00", None),
        ("00:00:60", None),
        ("1w", None),
        ("h", None),
        ("", None),
        ("1h x", None),
        ("99999999999999999999", None),
        ("99999999h", None),
        ("9" * 300 + "h", None),
    ],
)
def test_duration(text: str, expected: int | None) -> None:
    """Nanoseconds, Go's units and days, or HH:MM:SS; beyond int64 is none."""
    assert parse_duration(text) == expected
