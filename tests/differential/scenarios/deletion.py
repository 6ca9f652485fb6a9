"""DeleteWorkflowExecution (semantics 7.5)."""

from __future__ import annotations

from temporalio.api.workflowservice import v1 as rpc

from .. import operations
from ..script import NAMESPACE, Script
from ..values import complete_workflow


def closed_run(s: Script) -> None:
    """A closed run goes, with its history; its id is free again."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    operations.delete(s)
    operations.await_gone(s)
    s.history()
    s.signal()
    operations.await_gone(s, "")
    s.begin_quietly()
    s.history()


def open_run(s: Script) -> None:
    """An open run is terminated and goes."""
    s.begin_quietly()
    operations.delete(s, workflow_execution=s.execution(""))
    operations.await_gone(s)
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
    operations.await_gone(s)
    s.describe(execution=s.execution(""))
    s.describe(execution=s.execution(older))
    s.signal(workflow_execution=s.execution(""))


def start_of_a_deleted_run(s: Script) -> None:
    """A start that made a run which was deleted since is a new one: here it meets the run that came after."""
    s.complete(s.begin_quietly(request_id=f"first-{s.nonce}"), complete_workflow())
    s.await_close()
    older = s.run_id
    s.begin_quietly()
    operations.delete(s, workflow_execution=s.execution(older))
    operations.await_gone(s, older)
    s.start(request_id=f"first-{s.nonce}")
    s.signal_with_start(request_id=f"first-{s.nonce}")


def reset_after_the_newest_run_is_gone(s: Script) -> None:
    """An older run can still be reset, and its workflow has a current run again."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    older = s.run_id
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    operations.delete(s)
    operations.await_gone(s)
    s.run_id = older
    s.reset(4)
    s.history()
    s.describe(execution=s.execution(""))
    s.signal(workflow_execution=s.execution(""))
    s.complete(s.poll(), complete_workflow())
    s.history()
