"""`perdure admin stats`: its flags; `admin.py` does it."""

from __future__ import annotations

from typing import Final

from perdure.cli import admin
from perdure.cli.flags import Parsed

DESCRIPTION: Final = "Count what a store holds."
ARGUMENTS: Final = ("STORE",)
REQUIRED: Final = ()
FLAGS: Final = ()


def run(parsed: Parsed) -> int:
    """The exit status."""
    return admin.run(parsed, admin.stats)
