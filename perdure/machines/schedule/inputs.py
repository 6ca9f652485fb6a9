"""What can happen to a schedule, besides its alarm and the end of a workflow it started.

User verbs are validated by the frontend as far as that needs no state. Messages arrive canonical.
"""

from __future__ import annotations

from typing import final

from perdure.api.schedule import Schedule as Definition
from perdure.api.schedule import SchedulePatch


@final
class Create:
    """CreateSchedule. The outcome is the conflict token (an int)."""

    __slots__ = ("definition", "memo", "patch", "request_id", "search_attributes")

    def __init__(
        self,
        definition: Definition,
        patch: SchedulePatch | None,
        request_id: str,
        memo: bytes,
        search_attributes: bytes,
    ) -> None:
        self.definition = definition
        self.patch = patch
        self.request_id = request_id
        self.memo = memo
        self.search_attributes = search_attributes


@final
class Update:
    """UpdateSchedule: replaces the definition whole. `token` 0 is unconditional; None leaves memo, attributes as they
    are.
    """

    __slots__ = ("definition", "memo", "request_id", "search_attributes", "token")

    def __init__(
        self,
        definition: Definition,
        token: int,
        request_id: str,
        memo: bytes | None = None,
        search_attributes: bytes | None = None,
    ) -> None:
        self.definition = definition
        self.token = token
        self.request_id = request_id
        self.memo = memo
        self.search_attributes = search_attributes


@final
class Patch:
    """PatchSchedule."""

    __slots__ = ("patch", "request_id")

    def __init__(self, patch: SchedulePatch, request_id: str) -> None:
        self.patch = patch
        self.request_id = request_id


@final
class Delete:
    """DeleteSchedule. What it started runs on."""

    __slots__ = ()


@final
class StartAnswered:
    """A start has its definite answer. `run_id` "" : it was refused for good, or given up."""

    __slots__ = ("incarnation", "number", "run_id")

    def __init__(self, incarnation: str, number: int, run_id: str) -> None:
        self.incarnation = incarnation
        self.number = number
        self.run_id = run_id
        """Of the first run in the chain of runs."""


@final
class StopAnswered:
    """A cancel request or a termination has arrived, or never will."""

    __slots__ = ("incarnation", "number")

    def __init__(self, incarnation: str, number: int) -> None:
        self.incarnation = incarnation
        self.number = number
