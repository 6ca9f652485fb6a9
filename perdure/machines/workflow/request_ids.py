"""Requests that a run knows beside the one that started it, of starts and updates: what Describe tells (2.5.1).

Deduplication is not done here: the chain knows every request id that made or met one of its runs.
"""

from __future__ import annotations

from typing import Any

from perdure.api import enums
from perdure.machines.workflow.execution import Execution

_OPTIONS_UPDATED = int(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
"""What runs stored before there were requests of updates."""
ATTACHED_MAX = 25
"""The oldest are no longer shown; they stay known to the chain."""


def attach(execution: Execution, request_id: str, event_id: int, event_type: int) -> None:
    """Note the event of an attached request; 0 while that event waits in the buffer, and again when it has an id."""
    others = tuple([one for one in execution.request_ids if one[0] != request_id])
    execution.request_ids = (*others, (request_id, event_id, event_type))[-ATTACHED_MAX:]


def of_starts(execution: Execution) -> list[str]:
    """The request ids of starts that met this run."""
    return [request_id for request_id, _, event_type in execution.request_ids if event_type == _OPTIONS_UPDATED]


def of_chain(execution: Execution) -> list[str]:
    """The request ids that the chain forgets with this run: those of starts that made it or met it.

    A run that a reset made has the request of the run before it, and takes it over.
    """
    met = of_starts(execution)
    if not execution.operations.reset_run_id:
        met.append(execution.info.create_request_id)
    return met


def encode(execution: Execution) -> object | None:
    """The run's section of stored state, None when it has none."""
    return execution.request_ids or None


def decode(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.request_ids = tuple([(f[0], f[1], f[2] if len(f) > 2 else _OPTIONS_UPDATED) for f in stored])
