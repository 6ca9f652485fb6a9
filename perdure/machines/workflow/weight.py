"""What a run holds, in bytes: roughly, and at a flat cost per step (DESIGN 1.4).

`Execution.held_bytes` counts what varies from item to item (details of heartbeats, failures, memo, search attributes,
buffered events); `draft.py` keeps it in step with every change. The rest is items times a size:
one for what they take in memory (measured with tracemalloc on loaded runs), one for what the reference would count of
them against `limit.mutableStateSize.error`.
"""

from __future__ import annotations

from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.pending_activity import Activity

ACTIVITY_MEMORY, ACTIVITY_STATE = 1_000, 350
TIMER_MEMORY, TIMER_STATE = 380, 80
CHILD_MEMORY, CHILD_STATE = 540, 300
ID_MEMORY, ID_STATE = 150, 50
"""Of an entry that is little more than its key: a signal's id, a completed update, an external call, an attribute."""
CALLBACK_ENTRIES = 6
"""A completion callback is as much as so many of those."""
FEW_BYTES = 4_096
"""Less is not worth measuring at every step."""


def of_activity(activity: Activity) -> int:
    """What varies of a pending activity."""
    return (
        len(activity.last_failure)
        + len(activity.heartbeat_details)
        + len(activity.priority)
        + len(activity.original_options)
    )


def held(execution: Execution) -> int:
    """`held_bytes` from the whole state: after a load."""
    return (
        sum([of_activity(one) for one in execution.activities.values()])
        + sum([len(key) + len(body) for key, body in execution.memo.items()])
        + sum([len(name) + len(body) for name, body in execution.search_attributes.items()])
        + sum([len(entry.body) for entry in execution.buffered])
    )


def memory(execution: Execution) -> int:
    """What it takes in memory beyond what every run takes. Few small entries (see `codec.INLINE_ENTRIES_MAX`) are not
    looked for.
    """
    found = (
        execution.held_bytes
        + ACTIVITY_MEMORY * len(execution.activities)
        + TIMER_MEMORY * len(execution.timers)
        + CHILD_MEMORY * len(execution.children)
    )
    return found + ID_MEMORY * _entries(execution) if execution.parts_spilled or execution.callbacks else found


def exceeds(execution: Execution, waiting: int, bytes_max: int) -> bool:
    """Whether the run's state, with `waiting` bytes of events that are about to join the buffer, is over the limit.

    A run with few small items is not measured: it cannot be over `FEW_BYTES` by much.
    """
    held = execution.held_bytes + waiting
    if held <= FEW_BYTES and not execution.parts_spilled:
        return False
    return (
        held
        + ACTIVITY_STATE * len(execution.activities)
        + TIMER_STATE * len(execution.timers)
        + CHILD_STATE * len(execution.children)
        + ID_STATE * _entries(execution)
        # Those on their way are few, and volatile, so they are looked at each time.
        + sum([update.size for update in execution.updates])
    ) > bytes_max


def _entries(execution: Execution) -> int:
    return (
        len(execution.signal_ids)
        + len(execution.completed_updates)
        + len(execution.external_signals)
        + len(execution.external_cancels)
        + len(execution.memo)
        + len(execution.search_attributes)
        + len(execution.buffered)
        + CALLBACK_ENTRIES * len(execution.callbacks)
    )
