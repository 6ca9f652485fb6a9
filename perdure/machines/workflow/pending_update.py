"""A workflow update that is not completed yet, and who waits for it: plain values.

It exists so that `execution.py` can hold updates without knowing what is done with them (`updates.py`). Nothing here
may decide anything.
"""

from __future__ import annotations

from typing import final

ADMITTED = 1
"""Known to the server, not yet given to a worker."""
SENT = 2
"""Given to a worker with a workflow task that has not ended."""
ACCEPTED = 3
"""In history; its outcome is still to come."""


@final
class UpdateWaiter:
    """A caller: `number` is whom an `Answer` effect names, `stage` the lifecycle stage it waits for
    (`enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_*`).
    """

    __slots__ = ("number", "stage")

    def __init__(self, number: int, stage: int) -> None:
        self.number = number
        self.stage = stage


@final
class PendingUpdate:
    """One update of a run (semantics 8.2); replaced, never changed.

    `request` is the serialized `temporal.api.update.v1.Request`, b"" once history has it. `accepted_event_id` is 0
    before the acceptance. `admitted_event` says that an UPDATE_ADMITTED event carries the request (after a reset).
    `attached` are callers of the same update who want to be told over HTTP as well: (request id, their serialized
    callbacks), until the acceptance puts them into history.
    """

    __slots__ = ("accepted_event_id", "admitted_event", "attached", "request", "state", "update_id", "waiters")

    def __init__(
        self,
        update_id: str,
        state: int,
        request: bytes,
        accepted_event_id: int = 0,
        admitted_event: bool = False,
        waiters: tuple[UpdateWaiter, ...] = (),
        attached: tuple[tuple[str, tuple[bytes, ...]], ...] = (),
    ) -> None:
        self.update_id = update_id
        self.state = state
        self.request = request
        self.accepted_event_id = accepted_event_id
        self.admitted_event = admitted_event
        self.waiters = waiters
        self.attached = attached

    @property
    def recorded(self) -> bool:
        """Whether history knows of it, so that it outlives this process."""
        return self.state == ACCEPTED or self.admitted_event

    @property
    def size(self) -> int:
        """Bytes it holds in memory, roughly."""
        attached = sum([len(body) for _, bodies in self.attached for body in bodies])
        return len(self.update_id) + len(self.request) + attached

    def at(self, state: int) -> PendingUpdate:
        """The same update in another state."""
        return PendingUpdate(
            self.update_id,
            state,
            self.request,
            self.accepted_event_id,
            self.admitted_event,
            self.waiters,
            self.attached,
        )

    def accepted(self, event_id: int) -> PendingUpdate:
        """The same update once it is accepted."""
        return PendingUpdate(self.update_id, ACCEPTED, b"", event_id, self.admitted_event, self.waiters)

    def awaited_by(self, waiters: tuple[UpdateWaiter, ...]) -> PendingUpdate:
        """The same update with these callers."""
        return PendingUpdate(
            self.update_id,
            self.state,
            self.request,
            self.accepted_event_id,
            self.admitted_event,
            waiters,
            self.attached,
        )

    def with_attached(self, request_id: str, callbacks: tuple[bytes, ...]) -> PendingUpdate:
        """The same update with one more caller who wants to be told over HTTP."""
        return PendingUpdate(
            self.update_id,
            self.state,
            self.request,
            self.accepted_event_id,
            self.admitted_event,
            self.waiters,
            (*self.attached, (request_id, callbacks)),
        )
