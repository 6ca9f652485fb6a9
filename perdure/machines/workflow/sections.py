"""Stored state that most runs do not have: each feature keeps its own section of the core, absent when it is empty.

A section is a number (stored, never reused), what a run has of it as plain values that msgpack knows, and the way back.
A run that never used a feature pays nothing for it: neither bytes nor time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from perdure.machines.workflow import (
    callback,
    external_payloads,
    internal_callbacks,
    kin_rows,
    overrides,
    pending_update,
    request_ids,
    reset_points,
    run_operations,
    signal_events,
)
from perdure.machines.workflow.execution import Execution


@final
class Section:
    """One feature's part of a run's core; `encode` gives None when the run has nothing of it."""

    __slots__ = ("decode", "encode", "number")

    def __init__(
        self, number: int, encode: Callable[[Execution], object | None], decode: Callable[[Execution, Any], None]
    ) -> None:
        self.number = number
        self.encode = encode
        self.decode = decode


def _encode_start_linked(execution: Execution) -> object | None:
    return execution.start_linked or None


def _decode_start_linked(execution: Execution, stored: Any) -> None:
    execution.start_linked = bool(stored)


def _encode_operations(execution: Execution) -> object | None:
    return run_operations.encode(execution.operations)


def _decode_operations(execution: Execution, stored: Any) -> None:
    execution.operations = run_operations.decode(stored)


SECTIONS: tuple[Section, ...] = (
    Section(1, reset_points.encode, reset_points.decode),
    Section(2, request_ids.encode, request_ids.decode),
    Section(3, _encode_start_linked, _decode_start_linked),
    Section(4, overrides.encode, overrides.decode),
    Section(5, external_payloads.encode, external_payloads.decode),
    Section(8, pending_update.encode, pending_update.decode),
    Section(20, kin_rows.encode_children, kin_rows.decode_children),
    Section(21, kin_rows.encode_external_signals, kin_rows.decode_external_signals),
    Section(22, kin_rows.encode_external_cancels, kin_rows.decode_external_cancels),
    Section(23, kin_rows.encode_kin, kin_rows.decode_kin),
    Section(30, _encode_operations, _decode_operations),
    Section(40, internal_callbacks.encode, internal_callbacks.decode),
    Section(41, callback.encode, callback.decode),
    Section(42, signal_events.encode, signal_events.decode),
)
"""Every section there is. Numbers taken: 1 to 5, 8, 20 to 23, 30, 40 to 42."""


def encode_sections(execution: Execution) -> dict[int, object]:
    """The sections that this run has."""
    found: dict[int, object] = {}
    for section in SECTIONS:
        value = section.encode(execution)
        if value is not None:
            found[section.number] = value
    return found


def decode_sections(execution: Execution, stored: dict[int, Any]) -> None:
    """Restore the sections of a stored run. An unknown number is from a later version: refuse rather than lose it."""
    known = {section.number: section for section in SECTIONS}
    for number, value in stored.items():
        known[number].decode(execution, value)
