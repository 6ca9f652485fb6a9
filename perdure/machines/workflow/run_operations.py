"""What operators did to a run as a whole (its deletion, resets of and to it) or to an activity of it (its pause).

Plain values that hang on an `Execution` or `Activity`, never changed once made. Most runs have nothing of it.
"""

from __future__ import annotations

from typing import Any, final


@final
class Pause:
    """By whom and why an activity or a run was paused (semantics 5.7, 7.6); `time` in ns since the epoch.

    `rule_id` names the workflow rule that paused an activity; identity and reason are its maker's then.
    """

    __slots__ = ("identity", "reason", "request_id", "rule_id", "time")

    def __init__(self, time: int, identity: str, reason: str, request_id: str, rule_id: str = "") -> None:
        self.time = time
        self.identity = identity
        self.reason = reason
        self.request_id = request_id
        self.rule_id = rule_id


@final
class RunOperations:
    """`deleting`: the run is to be removed. `reclaimed` > 0: its history is going, nobody may see it any more.

    `reset_run_id` is the run that was made from this one by a reset, `reset_time` (ns since the epoch) when this run
    was made by one, `original_start_time` when the first of them began. `pause` is recorded state: it stays when a
    paused run closes. `archiving`: what the closed run owes to the archive (`env.ARCHIVES_*`).
    """

    __slots__ = ("archiving", "deleting", "original_start_time", "pause", "reclaimed", "reset_run_id", "reset_time")

    def __init__(
        self,
        deleting: bool = False,
        reclaimed: int = 0,
        reset_run_id: str = "",
        reset_time: int = 0,
        original_start_time: int = 0,
        pause: Pause | None = None,
        archiving: int = 0,
    ) -> None:
        self.deleting = deleting
        self.reclaimed = reclaimed
        self.reset_run_id = reset_run_id
        self.reset_time = reset_time
        self.original_start_time = original_start_time
        self.pause = pause
        self.archiving = archiving

    def copy(self) -> RunOperations:
        """A copy to change before it replaces this one."""
        return RunOperations(
            self.deleting,
            self.reclaimed,
            self.reset_run_id,
            self.reset_time,
            self.original_start_time,
            self.pause,
            self.archiving,
        )


NOTHING = RunOperations()
"""What nearly every run has."""


def encode_pause(pause: Pause | None) -> object | None:
    """The stored form of a pause."""
    return None if pause is None else (pause.time, pause.identity, pause.reason, pause.request_id, pause.rule_id)


def decode_pause(stored: Any) -> Pause | None:
    """A pause from its stored form."""
    return None if stored is None else Pause(*stored)


def encode(operations: RunOperations) -> object | None:
    """The stored form, None for nothing."""
    if operations is NOTHING:
        return None
    return (
        operations.deleting,
        operations.reclaimed,
        operations.reset_run_id,
        operations.reset_time,
        operations.original_start_time,
        encode_pause(operations.pause),
        operations.archiving,
    )


def decode(stored: Any) -> RunOperations:
    """The value of a stored section."""
    operations = RunOperations(*stored[:5])
    # Stored before runs could be paused, it ends here.
    operations.pause = decode_pause(stored[5]) if len(stored) > 5 else None
    operations.archiving = stored[6] if len(stored) > 6 else 0
    return operations
