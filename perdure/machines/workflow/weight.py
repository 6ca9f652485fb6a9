"""What a run holds, in bytes: roughly, and at a flat cost per step (DESIGN 1.4).

`Execution.held_bytes` counts what varies from item to item (details of heartbeats, failures, memo, search attributes,
buffered events); `draft.py` keeps it in step with every change. The rest is items times a size:
one for what they take in memory (measured with tracemalloc on loaded runs), one for what the reference would count of
them against `limit.mutableStateSize.error`.
"""

from __future__ import annotations

from perdure.machines.workflow.execution import Activity, Execution

ACTIVITY_MEMORY, ACTIVITY_STATE = 1_000, 350
TIMER_MEMORY, TIMER_STATE = 380, 80
CHILD_MEMORY, CHILD_STATE = 540, 300
CALLBACK_MEMORY, CALLBACK_STATE = 900, 400
ID_MEMORY, ID_STATE = 150, 50
"""Of an entry that is little more than its key: a signal's id, a completed update, an external call, an attribute."""


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
    """What it takes in memory beyond what every run takes."""
    return (
        execution.held_bytes
        + ACTIVITY_MEMORY * len(execution.activities)
        + TIMER_MEMORY * len(execution.timers)
        + CHILD_MEMORY * len(execution.children)
        + CALLBACK_MEMORY * len(execution.callbacks)
        + ID_MEMORY * _ids(execution)
        + _of_updates(execution)
    )


def state(execution: Execution) -> int:
    """What it counts as against the limit of a run's state."""
    return (
        execution.held_bytes
        + ACTIVITY_STATE * len(execution.activities)
        + TIMER_STATE * len(execution.timers)
        + CHILD_STATE * len(execution.children)
        + CALLBACK_STATE * len(execution.callbacks)
        + ID_STATE * _ids(execution)
        + _of_updates(execution)
    )


def _of_updates(execution: Execution) -> int:
    """Those on their way: few, and volatile, so they are looked at each time."""
    return sum([update.size for update in execution.updates])


def _ids(execution: Execution) -> int:
    return (
        len(execution.signal_ids)
        + len(execution.completed_updates)
        + len(execution.external_signals)
        + len(execution.external_cancels)
        + len(execution.memo)
        + len(execution.search_attributes)
        + len(execution.buffered)
        + len(execution.updates)
    )
