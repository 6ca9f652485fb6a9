"""Start requests that were attached to a run instead of starting one (semantics 2.5.1): what Describe tells of them.

Deduplication is not done here: the chain knows every request id that made or met one of its runs.
"""

from __future__ import annotations

from typing import Any

from perdure.machines.workflow.execution import Execution

ATTACHED_MAX = 25
"""The oldest are no longer shown; they stay known to the chain."""


def attach(execution: Execution, request_id: str, event_id: int) -> None:
    """Note the event of an attached request; 0 while that event waits in the buffer, and again when it has an id."""
    others = tuple([one for one in execution.request_ids if one[0] != request_id])
    execution.request_ids = (*others, (request_id, event_id))[-ATTACHED_MAX:]


def encode(execution: Execution) -> object | None:
    """The run's section of stored state, None when it has none."""
    return execution.request_ids or None


def decode(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.request_ids = tuple([(request_id, event_id) for request_id, event_id in stored])
