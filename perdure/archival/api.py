"""What a provider of archives does. Its docstrings are law.

A provider keeps two things under a URI that a namespace names: histories, by namespace, workflow and run, and records,
by namespace and close time. Keeping the same thing again replaces it, so a crash repeats a call at worst. What is kept
is durable when the call returns. Providers are called from the event loop and must not block it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final

from perdure.api import workflow


class ArchiveError(Exception):
    """The archive cannot be written or read now; the text is for the log and the caller."""


class BadUri(ValueError):
    """No provider takes this URI; the text says why."""


@final
class ArchivedRun:
    """Which run something belongs to."""

    __slots__ = ("namespace_id", "run_id", "workflow_id")

    def __init__(self, namespace_id: str, workflow_id: str, run_id: str) -> None:
        self.namespace_id = namespace_id
        self.workflow_id = workflow_id
        self.run_id = run_id


@final
class Window:
    """Close times from `earliest` to `latest`, both included, ns since the epoch."""

    __slots__ = ("earliest", "latest")

    def __init__(self, earliest: int, latest: int) -> None:
        self.earliest = earliest
        self.latest = latest


Place = tuple[int, str]
"""Where a list stands: close time (ns) and run id of the last record given out."""

Matches = Callable[[workflow.WorkflowExecutionInfo], bool]


class Provider(Protocol):
    """One kind of archive. Every method but `check` raises `ArchiveError`, and `BadUri` as `check` does."""

    def check(self, uri: str) -> None:
        """Raises `BadUri` when nothing could be kept there."""
        ...

    async def keep_history(self, uri: str, run: ArchivedRun, body: bytes) -> None:
        """Keeps a run's whole history, a serialized `History`."""
        ...

    async def history(self, uri: str, run: ArchivedRun) -> bytes | None:
        """A run's whole history, None when none is kept."""
        ...

    async def keep_record(self, uri: str, run: ArchivedRun, info: workflow.WorkflowExecutionInfo) -> None:
        """Keeps the record of a closed run, as lists show it."""
        ...

    async def records(
        self, uri: str, namespace_id: str, matches: Matches, window: Window, limit: int, after: Place | None
    ) -> list[workflow.WorkflowExecutionInfo]:
        """At most `limit` records of a namespace that match, last closed first, then by falling run id, from `after`
        on.
        """
        ...
