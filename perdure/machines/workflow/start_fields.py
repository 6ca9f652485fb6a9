"""What a start takes over as it is from what asks for one in other words: an event, a schedule's action, a request."""

from __future__ import annotations

from typing import Any

from perdure.api import workflowservice

_SHARED = (
    "workflow_type",
    "task_queue",
    "input",
    "header",
    "workflow_execution_timeout",
    "workflow_run_timeout",
    "workflow_task_timeout",
    "retry_policy",
    "memo",
    "search_attributes",
    "versioning_override",
)
"""Message fields that everything that asks for a start has."""


def take_over(start: workflowservice.StartWorkflowExecutionRequest, asked: Any, *more: str) -> None:
    """Copy the shared message fields and `more` of them to a start; what is not set stays unset."""
    for name in (*_SHARED, *more):
        if asked.HasField(name):
            getattr(start, name).CopyFrom(getattr(asked, name))
