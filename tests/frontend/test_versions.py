"""Clients outside the supported range are refused, and those that want another server (server_inventory 2.3)."""

from __future__ import annotations

import pytest

from perdure.errors import ClientVersionNotSupported, InvalidArgument, ServerVersionNotSupported
from perdure.frontend.versions import BadVersion, check_versions, in_range, parse_version


@pytest.mark.parametrize(
    ("version", "ranges", "inside"),
    [
        ("1.0.0", ">=1.0.0 <2.0.0", True),
        ("2.0.0", ">=1.0.0 <2.0.0", False),
        ("2.0.0-rc.1", "<2.0.0", True),
        ("3.1.0", "<2.0.0 || >=3.0.0", True),
        ("1.2.3", "!=1.2.3", False),
        ("1.2.3", "1.2.3", True),
    ],
)
def test_ranges(version: str, ranges: str, inside: bool) -> None:
    """Comparators are joined by blanks (and) and by || (or)."""
    assert in_range(parse_version(version), ranges) is inside


def test_pre_releases_come_before_their_release() -> None:
    """Numbers compare as numbers, and before words."""
    ordered = ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0"]
    assert sorted(ordered, key=parse_version) == ordered


@pytest.mark.parametrize("text", ["", "1", "1.2", "v1.2.3", "1.2.x", ">"])
def test_what_is_no_version(text: str) -> None:
    """Three numbers are wanted."""
    with pytest.raises(BadVersion):
        parse_version(text)


def test_known_clients_are_checked() -> None:
    """A Go SDK 2 is too new; clients that are not listed may be of any version."""
    check_versions("temporal-go", "1.30.0", "", "1.32.0")
    check_versions("temporal-python", "any", "", "1.32.0")
    with pytest.raises(ClientVersionNotSupported):
        check_versions("temporal-go", "2.0.0", "", "1.32.0")
    with pytest.raises(InvalidArgument):
        check_versions("temporal-go", "newest", "", "1.32.0")


def test_servers_may_be_refused() -> None:
    """A client that wants another server is told so."""
    check_versions("x", "1.0.0", ">=1.0.0 <2.0.0", "1.32.0")
    with pytest.raises(ServerVersionNotSupported):
        check_versions("x", "1.0.0", "<1.0.0", "1.32.0")
    with pytest.raises(InvalidArgument):
        check_versions("x", "1.0.0", "some", "1.32.0")
