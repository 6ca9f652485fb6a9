"""UpdateWorkflowExecutionOptions (semantics 7.7)."""

from __future__ import annotations

from typing import Any

from temporalio.api.common.v1 import Priority
from temporalio.api.workflowservice import v1 as rpc

from .. import operations
from ..script import NAMESPACE, Script
from ..values import complete_workflow


def _update(s: Script, *paths: str, priority: Priority | None = None, **fields: Any) -> None:
    operations.change_options(s, *paths, options={"priority": priority}, **fields)


def priority(s: Script) -> None:
    """Whole or in parts; what does not change anything writes nothing."""
    s.start(priority=Priority(priority_key=4, fairness_key="f"))
    _update(s, "priority.priority_key", priority=Priority(priority_key=2, fairness_key="ignored"))
    _update(s, "priority.priority_key", priority=Priority(priority_key=2))
    _update(s, "priority.fairness_key", "priority.fairness_weight", priority=Priority(fairness_weight=3))
    s.describe()
    task = s.poll()
    _update(s, "priority", priority=Priority(priority_key=5))
    s.history()
    s.complete(task)
    s.history()
    _update(s, "priority")
    s.describe()
    s.history()


def no_change(s: Script) -> None:
    """An empty mask, an unset override that is not set."""
    s.start()
    _update(s)
    _update(s, "versioning_override")
    _update(s, "priority")
    s.history()


def refused(s: Script) -> None:
    """No workflow, no mask, no options, a closed run, nobody."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.call(rpc.UpdateWorkflowExecutionOptionsRequest(namespace=NAMESPACE), rpc.UpdateWorkflowExecutionOptionsResponse)
    _update(s, update_mask=None)
    _update(s, "priority", workflow_execution_options=None)
    _update(s, "priority", priority=Priority(priority_key=-1))
    _update(s, "priority", priority=Priority(priority_key=1))
    s.another("open")
    s.begin_quietly()
    _update(s, "versioning_override.deployment")
    _update(s, "versioning_override.pinned")
    s.run_id = "x"
    _update(s, "priority")
    s.run_id = "b4b4a2f6-0f0e-4b3a-9d80-3a8d4e2f5c6d"
    _update(s, "priority")
