"""Where in history each signal of a run stands, by the request id that its sender knows (`enableCHASMSignalBacklinks`).

A link to a signal names its request id, for the signal may wait for its event id; Describe resolves it. Few of them
live in a section of the core (sections.py), many in rows of their own (codec.py). Deduplication is not done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.machines.persistent import map_of
from perdure.machines.workflow.parts import SIGNAL_EVENTS_SPILLED

if TYPE_CHECKING:
    from perdure.machines.workflow.execution import Execution


def encode(execution: Execution) -> object | None:
    """The run's section of stored state, None when it has none or they live in rows."""
    if not execution.signal_events or execution.parts_spilled & SIGNAL_EVENTS_SPILLED:
        return None
    return dict(execution.signal_events.items())


def decode(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.signal_events = map_of(stored)
