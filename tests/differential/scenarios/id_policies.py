"""Every pair of reuse and conflict policy, against an open run and against each end of one (semantics 2.5)."""

from __future__ import annotations

from collections.abc import Callable

from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import cancel_workflow, complete_workflow, fail_workflow


def _pairs(s: Script, before: Callable[[Script], None]) -> None:
    """Start after `before`, under each pair."""
    for reuse in WorkflowIdReusePolicy.values():
        for conflict in WorkflowIdConflictPolicy.values():
            names = WorkflowIdReusePolicy.Name(reuse), WorkflowIdConflictPolicy.Name(conflict)
            s.another(" ".join(name.rpartition("POLICY_")[2] for name in names))
            before(s)
            s.start(workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict)


def _open(s: Script) -> None:
    s.send(s.start_request(), rpc.StartWorkflowExecutionResponse)


def on_open_run(s: Script) -> None:
    """Conflict policies count."""
    _pairs(s, _open)


def on_completed_run(s: Script) -> None:
    """Reuse policies count."""
    _pairs(s, lambda script: _close(script, "complete"))


def on_failed_run(s: Script) -> None:
    """A failed run may be followed under ALLOW_DUPLICATE_FAILED_ONLY."""
    _pairs(s, lambda script: _close(script, "fail"))


def on_other_ends(s: Script) -> None:
    """So may one that was cancelled or terminated."""
    for end in ("cancel", "terminate"):
        for reuse in WorkflowIdReusePolicy.values():
            s.another(f"{end} {WorkflowIdReusePolicy.Name(reuse)}")
            _close(s, end)
            s.start(workflow_id_reuse_policy=reuse)


def _close(s: Script, end: str) -> None:
    task = s.begin_quietly()
    if end == "terminate":
        s.terminate()
        return
    command = {"complete": complete_workflow(), "fail": fail_workflow(), "cancel": cancel_workflow()}[end]
    s.send(s.complete_request(task, command), rpc.RespondWorkflowTaskCompletedResponse)
