"""`perdure admin check`: its flags; `admin.py` does it."""

from __future__ import annotations

from typing import Final

from perdure.cli import admin
from perdure.cli.flags import Flag, Kind, Parsed

DESCRIPTION: Final = (
    "Check the integrity of a store: chains, runs, histories, alarms, lists. Exits with 2 when something is wrong."
)
ARGUMENTS: Final = ("STORE",)
REQUIRED: Final = ()
FLAGS: Final = (Flag("deep", Kind.SWITCH, "Read every event, and compare states with histories."),)


def run(parsed: Parsed) -> int:
    """The exit status."""
    return admin.run(parsed, admin.check)
