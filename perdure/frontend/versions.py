"""Semantic versions and ranges of them, as clients announce them in headers (server_inventory 2.3). Pure."""

from __future__ import annotations

import re
from typing import Final

from perdure import errors

SERVER_VERSION: Final = "1.32.0"
"""The release of Temporal whose API and behaviour we have: clients compare it, so it is not our own version."""

SUPPORTED_CLIENTS: Final = {
    "temporal-go": "<2.0.0",
    "temporal-java": "<2.0.0",
    "temporal-php": "<2.0.0",
    "temporal-typescript": "<2.0.0",
    "temporal-cli": "<2.0.0",
    "temporal-server": "<2.0.0",
    "temporal-ui": "<3.0.0",
    "Nexus-go-sdk": "<2.0.0",
}
"""Clients that are not listed are not checked."""

_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_COMPARATOR: Final = re.compile(r"(>=|<=|!=|==|=|!|>|<)?(\S+)")

Version = tuple[int, int, int, tuple[int, tuple[tuple[int, int, str], ...]]]
"""Compares as versions do: a pre-release comes before its release."""


class BadVersion(ValueError):
    """The text is no semantic version or no range of them."""


def parse_version(text: str) -> Version:
    """Raises BadVersion."""
    found = _VERSION.fullmatch(text)
    if found is None:
        raise BadVersion(f"invalid version {text!r}")
    major, minor, patch, pre = found.groups()
    if pre is None:
        return int(major), int(minor), int(patch), (1, ())
    parts = tuple([(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")])
    return int(major), int(minor), int(patch), (0, parts)


def in_range(version: Version, ranges: str) -> bool:
    """Whether a version lies in `>=1.0.0 <2.0.0 || >=3.0.0`. Raises BadVersion."""
    found = False
    for alternative in ranges.split("||"):
        comparators = _COMPARATOR.findall(alternative)
        if not comparators:
            raise BadVersion(f"empty range in {ranges!r}")
        holds = True
        for operator, text in comparators:
            if not _holds(version, operator, parse_version(text)):
                holds = False
        found = found or holds
    return found


def _holds(version: Version, operator: str, bound: Version) -> bool:
    if operator == ">=":
        return version >= bound
    if operator == "<=":
        return version <= bound
    if operator == ">":
        return version > bound
    if operator == "<":
        return version < bound
    if operator in ("!", "!="):
        return version != bound
    return version == bound


def check_versions(client_name: str, client_version: str, supported_servers: str, server_version: str) -> None:
    """Raises the errors of server_inventory 2.3; empty headers are not checked."""
    supported = SUPPORTED_CLIENTS.get(client_name)
    if supported is not None and client_version and not _fits(client_version, supported, "client version"):
        raise errors.ClientVersionNotSupported(
            f"Client version {client_version} is not supported. Server supports {client_name} versions: {supported}",
            client_name,
            client_version,
            supported,
        )
    if supported_servers and not _fits(server_version, supported_servers, "supported server versions"):
        raise errors.ServerVersionNotSupported(
            f"Server version {server_version} is not supported. Client supports server versions: {supported_servers}",
            server_version,
            supported_servers,
        )


def _fits(version: str, versions: str, what: str) -> bool:
    try:
        return in_range(parse_version(version), versions)
    except BadVersion as wrong:
        raise errors.InvalidArgument(f"Unable to parse {what}: {wrong}") from None
