"""A completion callback of a run: a plain value, and its stored form (semantics 11.4).

It exists so that `execution.py` can hold callbacks without knowing what is done with them (`callbacks.py`). Few of them
live in a section of the core (sections.py), many in rows of their own (codec.py). Nothing here may decide anything.
"""

from __future__ import annotations

from typing import Any, final

STANDBY = 1
"""States are `enums.CallbackState` numbers. The run is open, or another run has taken the callback along."""
SCHEDULED = 2
"""An invocation is owed."""
BACKING_OFF = 3
"""An invocation will be owed at `next_attempt_time`."""
FAILED = 4
SUCCEEDED = 5


@final
class Callback:
    """One callback; replaced, never changed. Times are ns since the epoch, 0 for none.

    Recorded: `spec` is the serialized `temporal.api.common.v1.Callback`.
    One that waits for an update names it by `update_id`; all others wait for the close. `origin` is the type of the
    event that brought it with its `request_id`; the first event of the run needs neither, and has 0 and "".

    Unrecorded: what became of it; `attempt` counts invocations that have ended. `number` counts the run's callbacks
    from 1, in the order in which it heard of them, which is not that of history where events had to wait.
    """

    __slots__ = (
        "attempt",
        "event_id",
        "last_attempt_time",
        "last_failure",
        "next_attempt_time",
        "number",
        "origin",
        "registration_time",
        "rejection",
        "request_id",
        "spec",
        "state",
        "update_id",
    )

    def __init__(
        self,
        number: int,
        spec: bytes,
        request_id: str,
        registration_time: int,
        state: int = STANDBY,
        attempt: int = 0,
        last_attempt_time: int = 0,
        last_failure: bytes = b"",
        next_attempt_time: int = 0,
        update_id: str = "",
        origin: int = 0,
        event_id: int = 0,
        rejection: bytes = b"",
    ) -> None:
        self.number = number
        self.spec = spec
        self.request_id = request_id
        self.registration_time = registration_time
        self.state = state
        self.attempt = attempt
        self.last_attempt_time = last_attempt_time
        self.last_failure = last_failure
        """Serialized `Failure` of the last invocation, b"" when it succeeded."""
        self.next_attempt_time = next_attempt_time
        self.update_id = update_id
        self.origin = origin
        self.event_id = event_id
        """The event with the update's outcome; 0: the run's closing event tells what is to be told."""
        self.rejection = rejection
        """Serialized `Failure` of an update that was rejected, of which no event tells."""

    def scheduled(self) -> Callback:
        """The same callback, its next invocation owed."""
        other = callback_of(callback_tuple(self))
        other.state = SCHEDULED
        other.next_attempt_time = 0
        return other

    def settled(self, event_id: int, rejection: bytes) -> Callback:
        """The same callback, its first invocation owed: what it waited for has come."""
        other = self.scheduled()
        other.event_id = event_id
        other.rejection = rejection
        return other

    def attempted(self, state: int, now: int, failure: bytes, next_attempt_time: int) -> Callback:
        """The same callback after an invocation."""
        other = callback_of(callback_tuple(self))
        other.state = state
        other.attempt += 1
        other.last_attempt_time = now
        other.last_failure = failure
        other.next_attempt_time = next_attempt_time
        return other


def callback_tuple(callback: Callback) -> tuple[object, ...]:
    """The stored form."""
    return (
        callback.number,
        callback.spec,
        callback.request_id,
        callback.registration_time,
        callback.state,
        callback.attempt,
        callback.last_attempt_time,
        callback.last_failure,
        callback.next_attempt_time,
        callback.update_id,
        callback.origin,
        callback.event_id,
        callback.rejection,
    )


def callback_of(f: Any) -> Callback:
    """The way back."""
    return Callback(*f)
