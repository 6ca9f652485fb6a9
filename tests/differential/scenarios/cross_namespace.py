"""Commands about workflows in another namespace, where the server allows them (semantics 4.0, 9)."""

from __future__ import annotations

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import ParentClosePolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..family import kid_id, kid_queue, start_kid
from ..script import POLL_SECONDS, Script
from ..values import attributes, command, complete_workflow, continue_as_new, execution, fail_workflow, seconds

SETTINGS = ("system.enableCrossNamespaceCommands=true",)


def _abroad(s: Script) -> str:
    """A namespace of this script's own with a workflow "target" in it, unrecorded."""
    name = f"ns-{s.nonce}"
    wanted = rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=seconds(86400))
    s.send(wanted, rpc.RegisterNamespaceResponse)
    request = s.start_request(namespace=name, workflow_id="target", task_queue=TaskQueue(name="target"))
    s.eventually(request, rpc.StartWorkflowExecutionResponse, lambda reply: bool(reply.run_id), record=False)
    # The reference's other services hear of a namespace a little after its frontend.
    s.another_run_waits()
    return name


def _kid_task(s: Script, namespace: str) -> rpc.PollWorkflowTaskQueueResponse:
    request = s.poll_request(kid_queue(s), namespace=namespace)
    task = s.call(request, rpc.PollWorkflowTaskQueueResponse, POLL_SECONDS)
    if not task.task_token:
        raise s.stop("no workflow task came")
    return task


def _with_kid(s: Script, namespace: str, **fields: object) -> rpc.PollWorkflowTaskQueueResponse:
    """A parent that has heard of its child's start; the child's first task."""
    s.complete(s.begin_quietly(), start_kid(s, namespace=namespace, **fields))
    s.complete(s.poll())
    return _kid_task(s, namespace)


def child(s: Script) -> None:
    """Started, described on both sides, continued as new, and heard of."""
    there = _abroad(s)
    task = _with_kid(s, there)
    s.describe()
    s.describe(namespace=there, execution=execution(kid_id(s)))
    s.another_run_waits()
    s.complete(task, continue_as_new(), namespace=there)
    s.complete(_kid_task(s, there), complete_workflow('"from abroad"'), namespace=there)
    s.complete(s.poll(), complete_workflow())


def failed_child(s: Script) -> None:
    """The failure crosses the border, too."""
    there = _abroad(s)
    s.complete(_with_kid(s, there), fail_workflow(), namespace=there)
    s.poll()


def close_policies(s: Script) -> None:
    """Each policy, when the parent is terminated."""
    there = _abroad(s)
    for name in ("TERMINATE", "ABANDON", "REQUEST_CANCEL"):
        s.another(name)
        _with_kid(s, there, parent_close_policy=ParentClosePolicy.Value(f"PARENT_CLOSE_POLICY_{name}"))
        s.terminate()
        s.another_run_waits()
        s.describe(namespace=there, execution=execution(kid_id(s)))
        s.history(namespace=there, execution=execution(kid_id(s)))


def same_id(s: Script) -> None:
    """A child may bear its parent's id in another namespace."""
    there = _abroad(s)
    s.complete(s.begin_quietly(), start_kid(s, namespace=there, workflow_id=s.workflow_id))
    s.poll()
    _kid_task(s, there)


def attributes_unknown_there(s: Script) -> None:
    """Search attributes are those of the child's namespace."""
    there = _abroad(s)
    s.complete(s.begin_quietly(), start_kid(s, namespace=there, search_attributes=attributes(DiffKeyword='"k"')))
    s.another_run_waits()
    s.history()


def _signal(namespace: str, workflow_id: str) -> Command:
    return command(
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION",
        namespace=namespace,
        execution=execution(workflow_id),
        signal_name="hello",
        control="control",
    )


def _cancel(namespace: str, workflow_id: str) -> Command:
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", namespace=namespace, workflow_id=workflow_id)


def externals(s: Script) -> None:
    """Signals and cancel requests that arrive, that find nobody, and that name no namespace."""
    there = _abroad(s)
    for label, asked in {
        "signal": _signal(there, "target"),
        "cancel": _cancel(there, "target"),
        "signal to nobody": _signal(there, "nobody"),
        "cancel of nobody": _cancel(there, "nobody"),
        "signal to nowhere": _signal("no-such-namespace", "target"),
        "cancel nowhere": _cancel("no-such-namespace", "target"),
        "child nowhere": start_kid(s, namespace="no-such-namespace"),
    }.items():
        s.another(label)
        s.complete(s.begin_quietly(), asked)
        s.another_run_waits()
        s.history()
    s.history(namespace=there, execution=execution("target"))
