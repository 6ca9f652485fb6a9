"""Texts that take a pattern the square of their length: each is refused, or read, at once.

Every one of them held the server's loop for as long as its sender liked; the sizes here are those of a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress

import pytest

from perdure.api import workflowservice as rpc
from perdure.api.text_fields import BadField, set_query
from perdure.config.values import AllowedAddress
from perdure.errors import InvalidArgument
from perdure.frontend.callback_checks import check_address
from perdure.machines.cron import BadSchedule
from perdure.machines.cron import parse as cron
from perdure.machines.zones import go_duration
from perdure.visibility.times import parse_duration

DIGITS = "1" * 40_000
ENOUGH_S = 1.0


def _query(key: str, value: str) -> None:
    set_query(rpc.StartWorkflowExecutionRequest(), [(key, value)], [])


@pytest.mark.parametrize(
    "read",
    [
        lambda: check_address(f"http://x.{'a' * 900}c/", (AllowedAddress("*.a*a*a*a*a*b", True),)),
        lambda: go_duration(DIGITS + "!"),
        lambda: parse_duration(DIGITS + "!"),
        lambda: cron(f"@every {DIGITS}!"),
        lambda: cron("1," * 400_000 + "1 * * * *"),
        lambda: cron(" " * 1_000_000 + "* * * * *"),
        lambda: _query("[" * 60_000, ""),
        lambda: _query("[" * 60_000 + "]" * 60_000, ""),
        lambda: _query("workflowRunTimeout", DIGITS),
        lambda: _query("workflowRunTimeout", DIGITS + "!"),
    ],
    ids=range(10),
)
def test_no_text_takes_long(read: Callable[[], object]) -> None:
    begun = time.perf_counter()
    with suppress(BadField, BadSchedule, InvalidArgument):
        assert read() is None
    assert time.perf_counter() - begun < ENOUGH_S


def test_keys_of_maps_are_read_as_before() -> None:
    """The last bracket begins the key."""
    named = rpc.RegisterNamespaceRequest()
    set_query(named, [("data[k]", "v"), ("data[]", "w")], [])
    assert dict(named.data) == {"k": "v", "": "w"}


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
    [
        ("*", "a.b:1", True),
        ("a.b", "a.b", True),
        ("a.b", "a.bc", False),
        ("*.b", "x.b", True),
        ("*.b", "x.b:1", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "abc", True),
        ("a*bc*c", "abc", False),
        ("*aa*", "aa", True),
        ("*a*a", "ba", False),
        ("a**b", "ab", True),
    ],
)
def test_stars_stand_for_any_text(pattern: str, host: str, fits: bool) -> None:
    with nullcontext() if fits else pytest.raises(InvalidArgument):
        check_address(f"http://{host}/", (AllowedAddress(pattern, True),))
