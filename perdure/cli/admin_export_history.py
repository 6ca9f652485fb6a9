"""`perdure admin export-history`: its flags; `admin.py` does it."""

from __future__ import annotations

from typing import Final

from perdure.cli import admin
from perdure.cli.flags import Parsed

DESCRIPTION: Final = "Print a run's history as JSON, in the form of `temporal workflow show --output json`."
ARGUMENTS: Final = ("STORE",)
REQUIRED: Final = ("workflow-id",)
FLAGS: Final = (admin.NAMESPACE, admin.WORKFLOW, admin.RUN)


def run(parsed: Parsed) -> int:
    """The exit status."""
    return admin.run(parsed, admin.export_history)
