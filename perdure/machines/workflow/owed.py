"""What a run owes to other chains, as a function of its state (DESIGN 1.10). Says that something is owed, not what is
sent: that is `outbound.py`.

An *item* is (part kind, initiated event id). At most one call about an item is owed at a time.
"""

from __future__ import annotations

from immutables import Map

from perdure.api import enums
from perdure.machines.persistent import map_of
from perdure.machines.workflow.callback import SCHEDULED
from perdure.machines.workflow.child import Child
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.parts import PART_CALLBACK, PART_CHILD, PART_EXTERNAL_CANCEL, PART_EXTERNAL_SIGNAL

INTERNAL_CALLBACK = 32
"""The first half of the item of an internal callback; no part has this kind."""

ARCHIVE = (33, 0)
"""The item of a closed run's way into the archive."""

REPORT = (0, 0)
"""The item of a closed run's report to its parent."""

ABANDON = enums.PARENT_CLOSE_POLICY_ABANDON


def owes_child(execution: Execution, child: Child) -> bool:
    """Whether a call about this child is owed.

    Open: its start until that is recorded, then its first task. Closed: the close policy, also for a child whose start
    was never recorded, which must not live on unheard of; an abandoned child still gets its first task.
    """
    if execution.running:
        return not child.first_task_known
    if child.settled:
        return False
    return child.close_policy != ABANDON or not child.started_event_id or not child.first_task_known


def owes_report(execution: Execution) -> bool:
    """Whether this run must tell its parent how its chain ended (semantics 9.2)."""
    info = execution.info
    return (
        not execution.running and info.parent is not None and not execution.new_run_id and not execution.report_answered
    )


def derive(execution: Execution) -> Map[tuple[int, int], bool]:
    """Everything that is owed, from the whole state: after a load, and at the close."""
    found: dict[tuple[int, int], bool] = {}
    for child in execution.children.values():
        if owes_child(execution, child):
            found[(PART_CHILD, child.initiated_event_id)] = True
    for callback in execution.callbacks.values():
        if callback.state == SCHEDULED:
            found[(PART_CALLBACK, callback.number)] = True
    if execution.running:
        for initiated_event_id in execution.external_signals:
            found[(PART_EXTERNAL_SIGNAL, initiated_event_id)] = True
        for initiated_event_id in execution.external_cancels:
            found[(PART_EXTERNAL_CANCEL, initiated_event_id)] = True
    else:
        if owes_report(execution):
            found[REPORT] = True
        if execution.operations.archiving:
            found[ARCHIVE] = True
        if not execution.new_run_id:
            for number in execution.internal_callbacks:
                found[(INTERNAL_CALLBACK, number)] = True
    return map_of(found)


def due_since(execution: Execution) -> int:
    """The time by which an owner that finds calls owed must look at the run: any time past will do, ns."""
    return execution.last_update_time if execution.running else execution.close_time
