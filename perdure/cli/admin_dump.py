"""`perdure admin dump`: its flags; `admin.py` does it."""

from __future__ import annotations

from typing import Final

from perdure.cli import admin
from perdure.cli.flags import Flag, Kind, Parsed

DESCRIPTION: Final = "Print the stored state of an entity as JSON. The form follows the code and may change."
ARGUMENTS: Final = ("STORE",)
REQUIRED: Final = ("id",)
FLAGS: Final = (
    admin.NAMESPACE,
    Flag("kind", Kind.TEXT, "Kind of the entity.", default="workflow", choices=("workflow", "schedule", "batch")),
    Flag("id", Kind.TEXT, "Id of the workflow, schedule or batch job."),
)


def run(parsed: Parsed) -> int:
    """The exit status."""
    return admin.run(parsed, admin.dump)
