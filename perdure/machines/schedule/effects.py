"""What a schedule owes to the outside: starts, cancel requests, terminations. Their keys repeat while they are owed.

They carry the state they follow from; who performs them builds the requests.
"""

from __future__ import annotations

import hashlib
from typing import final

from perdure.api import common
from perdure.api.schedule import ScheduleAction
from perdure.clock import SECOND
from perdure.ids import uuid4
from perdure.machines.schedule.state import Schedule, Starting, Stopping

OWED_MAX = 50
"""So many starts of one schedule are owed at once; the others follow."""
CANCEL_REASON = "cancelled by schedule overlap policy"
TERMINATE_REASON = "terminated by schedule overlap policy"


@final
class StartWorkflow:
    """Start the action's workflow, once for a `request_id`, and report its end under `token`."""

    __slots__ = ("_state", "start")

    def __init__(self, state: Schedule, start: Starting) -> None:
        self._state = state
        self.start = start

    @property
    def key(self) -> tuple[str, str, int]:
        return ("start", self._state.incarnation, self.start.number)

    @property
    def incarnation(self) -> str:
        """Of the schedule."""
        return self._state.incarnation

    @property
    def request_id(self) -> str:
        """Of the start: the same at every attempt."""
        return _request_id(self._state, self.start.number)

    @property
    def token(self) -> str:
        """What the report of the workflow's end names."""
        return f"{self._state.incarnation}-{self.start.number}"

    @property
    def action(self) -> ScheduleAction:
        """What to start."""
        return ScheduleAction.FromString(self._state.action_of(self.start.generation))

    @property
    def unique(self) -> bool:
        """Whether a workflow of this id may exist only once: an occurrence of the schedule itself, under its own id."""
        return not self.start.manual and not self._state.keep_workflow_id

    @property
    def nominal_second(self) -> int:
        """The whole second that the workflow's search attribute names, ns."""
        return self.start.nominal // SECOND * SECOND

    @property
    def last_result(self) -> common.Payloads | None:
        """The result that the workflow is given; none where workflows may overlap."""
        body = self._state.result if self.start.alone else b""
        return common.Payloads.FromString(body) if body else None

    @property
    def last_failure(self) -> bytes:
        """The failure that the workflow is given, serialized, or b""."""
        return self._state.failure if self.start.alone else b""


@final
class StopWorkflow:
    """Ask a workflow to cancel, or terminate it."""

    __slots__ = ("_state", "stop")

    def __init__(self, state: Schedule, stop: Stopping) -> None:
        self._state = state
        self.stop = stop

    @property
    def key(self) -> tuple[str, str, int]:
        return ("stop", self._state.incarnation, self.stop.number)

    @property
    def incarnation(self) -> str:
        """Of the schedule."""
        return self._state.incarnation

    @property
    def request_id(self) -> str:
        """Of the cancel request: the same at every attempt."""
        return _request_id(self._state, self.stop.number)

    @property
    def reason(self) -> str:
        """What the workflow's history says."""
        return TERMINATE_REASON if self.stop.terminate else CANCEL_REASON


def _request_id(state: Schedule, number: int) -> str:
    """A UUID that follows from the schedule's life and a number of it."""
    digest = hashlib.blake2b(f"{state.incarnation}\0{number}".encode(), digest_size=16).digest()
    return uuid4(int.from_bytes(digest, "big"))


def owed(state: Schedule) -> list[StartWorkflow | StopWorkflow]:
    """All that the state owes now, at most `OWED_MAX` starts."""
    if not state.starting and not state.stopping:
        return []
    return [
        *[StartWorkflow(state, start) for start in state.starting[:OWED_MAX]],
        *[StopWorkflow(state, stop) for stop in state.stopping],
    ]
