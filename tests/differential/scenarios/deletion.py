"""DeleteWorkflowExecution (semantics 7.5)."""

from __future__ import annotations

import threading
import time

from temporalio.api.workflowservice import v1 as rpc

from .. import operations
from ..script import NAMESPACE, Script
from ..values import complete_workflow
from ..wire import RpcFailed

GONE_SECONDS = 60.0
"""How long a server may take to remove a run."""


def _await_gone(s: Script, run_id: str | None = None) -> None:
    """Ask, unrecorded, until the run cannot be described; record the last answer."""
    request = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution(run_id))
    end = time.monotonic() + GONE_SECONDS
    pause = threading.Event()
    while time.monotonic() < end:
        outcome = s.send(request, rpc.DescribeWorkflowExecutionResponse)
        if isinstance(outcome, RpcFailed):
            s.record(request, rpc.DescribeWorkflowExecutionResponse, outcome)
            return
        pause.wait(0.1)
    raise s.stop("the run did not go")


def closed_run(s: Script) -> None:
    """A closed run goes, with its history; its id is free again."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    operations.delete(s)
    _await_gone(s)
    s.history()
    s.signal()
    _await_gone(s, "")
    s.begin_quietly()
    s.history()


def open_run(s: Script) -> None:
    """An open run is terminated and goes."""
    s.begin_quietly()
    operations.delete(s, workflow_execution=s.execution(""))
    _await_gone(s)
    operations.delete(s)


def bad_requests(s: Script) -> None:
    """No workflow, a bad run id, nobody."""
    request = rpc.DeleteWorkflowExecutionRequest(namespace=NAMESPACE)
    s.call(request, rpc.DeleteWorkflowExecutionResponse)
    operations.delete(s)
    operations.delete(s, workflow_execution=s.execution("x"))
    operations.delete(s, workflow_execution=s.execution("b4b4a2f6-0f0e-4b3a-9d80-3a8d4e2f5c6d"))
    s.workflow_id = ""
    operations.delete(s)


def current_run_of_several(s: Script) -> None:
    """F22: when the current run is gone, an older one does not become current."""
    s.complete(s.begin_quietly(), complete_workflow())
    older = s.run_id
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    operations.delete(s)
    _await_gone(s)
    s.describe(execution=s.execution(""))
    s.describe(execution=s.execution(older))
    s.signal(workflow_execution=s.execution(""))
