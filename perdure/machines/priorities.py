"""Task priorities: what a request may ask for, and how a workflow's and an activity's own combine (semantics 4.1, 5.1).

Priorities travel inside as serialized `Priority` messages, b"" for none.
"""

from __future__ import annotations

from typing import Final

from perdure.api import common
from perdure.machines.task_queue import PRIORITY_DEFAULT, PRIORITY_LEAST_URGENT

FAIRNESS_KEY_BYTES_MAX = 64


def invalid(priority: common.Priority) -> str | None:
    """Why a request's priority is refused, or None."""
    if priority.priority_key < 0:
        return "priority key can't be negative"
    if len(priority.fairness_key.encode()) > FAIRNESS_KEY_BYTES_MAX:
        return "fairness key length exceeds limit"
    if priority.fairness_weight < 0:
        return "must be greater than zero"
    return None


_NOTHING_SAID: Final = b"\x08\x00"
"""A priority of which every field is unset, written so that it is told from none: its key is 0."""


def stored(priority: common.Priority) -> bytes:
    """A priority that somebody has named, as runs and activities keep it; b"" is kept for none."""
    return priority.SerializeToString() or _NOTHING_SAID


def merged(base: bytes, override: bytes) -> bytes:
    """The workflow's priority with each field that the activity sets itself replaced."""
    if not base or not override:
        return override or base
    first = common.Priority.FromString(base)
    second = common.Priority.FromString(override)
    both = common.Priority(
        priority_key=second.priority_key or first.priority_key,
        fairness_key=second.fairness_key or first.fairness_key,
        fairness_weight=second.fairness_weight or first.fairness_weight,
    )
    return stored(both)


def priority_key(*serialized: bytes) -> int:
    """The effective key of merged priorities, later ones winning: 1 (most urgent) to 5, 3 when nobody says."""
    return effective(*serialized)[0]


def effective(*serialized: bytes) -> tuple[int, str, float]:
    """Priority key, fairness key and weight of merged priorities, later ones winning field by field."""
    key = 0
    fairness_key = ""
    weight = 0.0
    for body in serialized:
        if body:
            priority = common.Priority.FromString(body)
            key = priority.priority_key or key
            fairness_key = priority.fairness_key or fairness_key
            weight = priority.fairness_weight or weight
    key = PRIORITY_DEFAULT if key <= 0 else min(key, PRIORITY_LEAST_URGENT)
    return key, fairness_key, weight if weight > 0 else 1.0
