"""Texts that take a pattern the square of their length: each is refused, or read, at once.

Every one of them held the server's loop for as long as its sender liked; the sizes here are those of a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from perdure.api import workflowservice as rpc
from perdure.api.text_fields import BadField, set_query
from perdure.errors import InvalidArgument
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
    ids=range(9),
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
