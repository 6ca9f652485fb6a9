"""Stored state that most runs do not have: each feature keeps its own section of the core, absent when it is empty.

A section is a number (stored, never reused), what a run has of it as plain values that msgpack knows, and the way back.
A run that never used a feature pays nothing for it: neither bytes nor time.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, compress
from operator import attrgetter
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
    Section(1, reset_points.encode, reset_points.decode, "reset_points"),
    Section(2, request_ids.encode, request_ids.decode, "request_ids"),
    Section(3, _encode_start_linked, _decode_start_linked, "start_linked"),
    Section(4, overrides.encode, overrides.decode),
    Section(5, external_payloads.encode, external_payloads.decode, "external_payload_count"),
    Section(6, _encode_deployment, _decode_deployment, "worker_deployment"),
    Section(8, pending_update.encode, pending_update.decode, "updates", "update_count"),
    Section(20, kin_rows.encode_children, kin_rows.decode_children, "children"),
    Section(21, kin_rows.encode_external_signals, kin_rows.decode_external_signals, "external_signals"),
    Section(22, kin_rows.encode_external_cancels, kin_rows.decode_external_cancels, "external_cancels"),
    Section(23, kin_rows.encode_kin, kin_rows.decode_kin, "awaits_parent", "report_answered"),
    Section(30, _encode_operations, _decode_operations, "operations"),
    Section(40, internal_callbacks.encode, internal_callbacks.decode, "internal_callbacks"),
    Section(41, callback.encode, callback.decode, "callbacks"),
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
