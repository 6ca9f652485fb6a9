"""The stored form of what a run has to do with other chains: its children, its external signals, its parent.

Few of them live in a section of the core (sections.py), many in rows of their own (codec.py), which the section leaves
out.
"""

from __future__ import annotations

from typing import Any

from perdure.machines.persistent import map_of
from perdure.machines.workflow.child import Child
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.parts import CHILDREN_SPILLED, EXTERNAL_CANCELS_SPILLED, EXTERNAL_SIGNALS_SPILLED


def child_tuple(child: Child) -> tuple[object, ...]:
    """The stored form of a pending child."""
    return (
        child.initiated_event_id,
        child.namespace_id,
        child.namespace,
        child.workflow_id,
        child.workflow_type,
        child.close_policy,
        child.started_event_id,
        child.started_run_id,
        child.first_task_known,
        child.settled,
    )


def child_of(f: Any) -> Child:
    """A pending child from its stored form."""
    return Child(*f)


def encode_children(execution: Execution) -> object | None:
    if not execution.children or execution.parts_spilled & CHILDREN_SPILLED:
        return None
    return [child_tuple(child) for child in execution.children.values()]


def decode_children(execution: Execution, stored: Any) -> None:
    execution.children = map_of({f[0]: child_of(f) for f in stored})


def encode_external_signals(execution: Execution) -> object | None:
    if not execution.external_signals or execution.parts_spilled & EXTERNAL_SIGNALS_SPILLED:
        return None
    return list(execution.external_signals)


def decode_external_signals(execution: Execution, stored: Any) -> None:
    execution.external_signals = map_of(dict.fromkeys(stored, True))


def encode_external_cancels(execution: Execution) -> object | None:
    if not execution.external_cancels or execution.parts_spilled & EXTERNAL_CANCELS_SPILLED:
        return None
    return list(execution.external_cancels)


def decode_external_cancels(execution: Execution, stored: Any) -> None:
    execution.external_cancels = map_of(dict.fromkeys(stored, True))


def encode_kin(execution: Execution) -> object | None:
    if not execution.awaits_parent and not execution.report_answered:
        return None
    return (execution.awaits_parent, execution.report_answered)


def decode_kin(execution: Execution, stored: Any) -> None:
    execution.awaits_parent, execution.report_answered = stored
