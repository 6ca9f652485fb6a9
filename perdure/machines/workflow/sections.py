"""Stored state that most runs do not have: each feature keeps its own section of the core, absent when it is empty.

A section is a number (stored, never reused), what a run has of it as plain values that msgpack knows, and the way back.
A run that never used a feature pays nothing for it: neither bytes nor time.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, compress
from operator import attrgetter
from typing import Any, final

from perdure.machines.persistent import map_of
from perdure.machines.workflow import (
    external_payloads,
    internal_callbacks,
    kin_rows,
    overrides,
    request_ids,
    run_operations,
    signal_events,
)
from perdure.machines.workflow.callback import callback_of, callback_tuple
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.parts import CALLBACKS_SPILLED, COMPLETED_UPDATES_SPILLED
from perdure.machines.workflow.pending_update import ACCEPTED, ADMITTED, PendingUpdate
from perdure.machines.workflow.reset_points import ResetPoint


@final
class Section:
    """One feature's part of a run's core; `encode` gives None when the run has nothing of it."""

    __slots__ = ("attributes", "decode", "encode", "number")

    def __init__(
        self,
        number: int,
        encode: Callable[[Execution], object | None],
        decode: Callable[[Execution, Any], None],
        *attributes: str,
    ) -> None:
        self.number = number
        self.encode = encode
        self.decode = decode
        self.attributes = attributes
        """What it is made of: while all of these are empty, so is the section. Without any it is always asked."""


def _encode_reset_points(execution: Execution) -> object | None:
    """Points as tuples, the run's own id left out."""
    own = execution.info.run_id
    return [
        (
            point.binary_checksum,
            point.build_id,
            "" if point.run_id == own else point.run_id,
            point.completed_event_id,
            point.create_time,
            point.expire_time,
            point.resettable,
        )
        for point in execution.reset_points
    ] or None


def _decode_reset_points(execution: Execution, stored: Any) -> None:
    """The way back."""
    own = execution.info.run_id
    execution.reset_points = tuple([ResetPoint(f[0], f[1], f[2] or own, *f[3:]) for f in stored])


def _encode_updates(execution: Execution) -> object | None:
    """(How many have completed, those under way that history knows, the completed ones while they are few)."""
    pending = [(u.update_id, u.accepted_event_id, u.admitted_event) for u in execution.updates if u.recorded]
    if not pending and not execution.update_count:
        return None
    spilled = execution.parts_spilled & COMPLETED_UPDATES_SPILLED
    completed = {} if spilled else {key: found for key, found in execution.completed_updates.items() if found}
    return (execution.update_count, pending, completed)


def _decode_updates(execution: Execution, stored: Any) -> None:
    """Restore them; nobody waits for any."""
    execution.update_count = stored[0]
    execution.updates = tuple(
        [PendingUpdate(key, ACCEPTED if event_id else ADMITTED, b"", event_id, by) for key, event_id, by in stored[1]]
    )
    execution.completed_updates = map_of(stored[2])


def _encode_callbacks(execution: Execution) -> object | None:
    """Nothing while they live in rows."""
    if not execution.callbacks or execution.parts_spilled & CALLBACKS_SPILLED:
        return None
    return [callback_tuple(callback) for callback in execution.callbacks.values()]


def _decode_callbacks(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.callbacks = map_of({f[0]: callback_of(f) for f in stored})


def _encode_start_linked(execution: Execution) -> object | None:
    return execution.start_linked or None


def _decode_start_linked(execution: Execution, stored: Any) -> None:
    execution.start_linked = bool(stored)


def _encode_deployment(execution: Execution) -> object | None:
    return execution.worker_deployment or None


def _decode_deployment(execution: Execution, stored: Any) -> None:
    execution.worker_deployment = str(stored)


def _encode_operations(execution: Execution) -> object | None:
    return run_operations.encode(execution.operations)


def _decode_operations(execution: Execution, stored: Any) -> None:
    execution.operations = run_operations.decode(stored)


SECTIONS: tuple[Section, ...] = (
    Section(1, _encode_reset_points, _decode_reset_points, "reset_points"),
    Section(2, request_ids.encode, request_ids.decode, "request_ids"),
    Section(3, _encode_start_linked, _decode_start_linked, "start_linked"),
    Section(4, overrides.encode, overrides.decode),
    Section(5, external_payloads.encode, external_payloads.decode, "external_payload_count"),
    Section(6, _encode_deployment, _decode_deployment, "worker_deployment"),
    Section(8, _encode_updates, _decode_updates, "updates", "update_count"),
    Section(20, kin_rows.encode_children, kin_rows.decode_children, "children"),
    Section(21, kin_rows.encode_external_signals, kin_rows.decode_external_signals, "external_signals"),
    Section(22, kin_rows.encode_external_cancels, kin_rows.decode_external_cancels, "external_cancels"),
    Section(23, kin_rows.encode_kin, kin_rows.decode_kin, "awaits_parent", "report_answered"),
    Section(30, _encode_operations, _decode_operations, "operations"),
    Section(40, internal_callbacks.encode, internal_callbacks.decode, "internal_callbacks"),
    Section(41, _encode_callbacks, _decode_callbacks, "callbacks"),
    Section(42, signal_events.encode, signal_events.decode, "signal_events"),
)
"""Every section there is. Numbers taken: 1 to 6, 8, 20 to 23, 30, 40 to 42."""


_ATTRIBUTES: tuple[tuple[str, Section], ...] = tuple([(name, one) for one in SECTIONS for name in one.attributes])
_values: Callable[[Execution], tuple[object, ...]] = attrgetter(*[name for name, _ in _ATTRIBUTES])
_ALWAYS: tuple[Section, ...] = tuple([section for section in SECTIONS if not section.attributes])
_SECTION_OF: tuple[Section, ...] = tuple([section for _, section in _ATTRIBUTES])


def encode_sections(execution: Execution) -> dict[int, object]:
    """The sections that this run has. Most runs have few, so only those with something in them are asked."""
    found: dict[int, object] = {}
    for section in chain(_ALWAYS, compress(_SECTION_OF, _values(execution))):
        stored = section.encode(execution)
        if stored is not None:
            found[section.number] = stored
    return found


def decode_sections(execution: Execution, stored: dict[int, Any]) -> None:
    """Restore the sections of a stored run. An unknown number is from a later version: refuse rather than lose it."""
    known = {section.number: section for section in SECTIONS}
    for number, value in stored.items():
        known[number].decode(execution, value)
