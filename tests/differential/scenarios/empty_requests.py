"""What each RPC says to an empty request, and to one with a namespace only."""

from __future__ import annotations

from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script

PAIRS: tuple[tuple[type[Message], type[Message]], ...] = (
    (rpc.StartWorkflowExecutionRequest, rpc.StartWorkflowExecutionResponse),
    (rpc.SignalWithStartWorkflowExecutionRequest, rpc.SignalWithStartWorkflowExecutionResponse),
    (rpc.SignalWorkflowExecutionRequest, rpc.SignalWorkflowExecutionResponse),
    (rpc.RequestCancelWorkflowExecutionRequest, rpc.RequestCancelWorkflowExecutionResponse),
    (rpc.TerminateWorkflowExecutionRequest, rpc.TerminateWorkflowExecutionResponse),
    (rpc.DescribeWorkflowExecutionRequest, rpc.DescribeWorkflowExecutionResponse),
    (rpc.QueryWorkflowRequest, rpc.QueryWorkflowResponse),
    (rpc.GetWorkflowExecutionHistoryRequest, rpc.GetWorkflowExecutionHistoryResponse),
    (rpc.GetWorkflowExecutionHistoryReverseRequest, rpc.GetWorkflowExecutionHistoryReverseResponse),
    (rpc.ResetStickyTaskQueueRequest, rpc.ResetStickyTaskQueueResponse),
    (rpc.DescribeTaskQueueRequest, rpc.DescribeTaskQueueResponse),
    (rpc.ShutdownWorkerRequest, rpc.ShutdownWorkerResponse),
    (rpc.PollWorkflowTaskQueueRequest, rpc.PollWorkflowTaskQueueResponse),
    (rpc.PollActivityTaskQueueRequest, rpc.PollActivityTaskQueueResponse),
    (rpc.RespondWorkflowTaskCompletedRequest, rpc.RespondWorkflowTaskCompletedResponse),
    (rpc.RespondWorkflowTaskFailedRequest, rpc.RespondWorkflowTaskFailedResponse),
    (rpc.RespondQueryTaskCompletedRequest, rpc.RespondQueryTaskCompletedResponse),
    (rpc.RespondActivityTaskCompletedRequest, rpc.RespondActivityTaskCompletedResponse),
    (rpc.RespondActivityTaskFailedRequest, rpc.RespondActivityTaskFailedResponse),
    (rpc.RespondActivityTaskCanceledRequest, rpc.RespondActivityTaskCanceledResponse),
    (rpc.RecordActivityTaskHeartbeatRequest, rpc.RecordActivityTaskHeartbeatResponse),
    (rpc.RespondActivityTaskCompletedByIdRequest, rpc.RespondActivityTaskCompletedByIdResponse),
    (rpc.RespondActivityTaskFailedByIdRequest, rpc.RespondActivityTaskFailedByIdResponse),
    (rpc.RespondActivityTaskCanceledByIdRequest, rpc.RespondActivityTaskCanceledByIdResponse),
    (rpc.RecordActivityTaskHeartbeatByIdRequest, rpc.RecordActivityTaskHeartbeatByIdResponse),
    (rpc.DescribeNamespaceRequest, rpc.DescribeNamespaceResponse),
    (rpc.UpdateNamespaceRequest, rpc.UpdateNamespaceResponse),
    (rpc.RegisterNamespaceRequest, rpc.RegisterNamespaceResponse),
)
"""The RPCs in scope that act on something named in the request."""

NAMED = tuple(pair for pair in PAIRS if "Namespace" not in pair[0].DESCRIPTOR.name)
EXECUTION_FIELDS = ("workflow_execution", "execution")


def nothing_set(s: Script) -> None:
    """Without a namespace the namespace is missed first, before anything else."""
    for request, reply in PAIRS:
        s.call(request(), reply)


def namespace_only(s: Script) -> None:
    """The first complaint about each request's own fields."""
    for request, reply in NAMED:
        s.call(request(namespace=NAMESPACE), reply)


def unknown_namespace(s: Script) -> None:
    """An unknown namespace is NOT_FOUND with NamespaceNotFoundFailure on every RPC."""
    for request, reply in NAMED:
        s.call(request(namespace="no-such-namespace"), reply)


def empty_execution(s: Script) -> None:
    """An execution without a workflow id."""
    _each_execution(s, WorkflowExecution())


def malformed_run_id(s: Script) -> None:
    """A run id that is no UUID is INVALID_ARGUMENT (F37)."""
    _each_execution(s, WorkflowExecution(workflow_id="some", run_id="no-uuid"))


def unknown_workflow(s: Script) -> None:
    """An unknown workflow id is NOT_FOUND with its id in the text (F37)."""
    _each_execution(s, WorkflowExecution(workflow_id=f"unknown-{s.nonce}"))


def unknown_run(s: Script) -> None:
    """An unknown run of a known workflow is NOT_FOUND."""
    s.start()
    other = "01234567-89ab-cdef-0123-456789abcdef"
    _each_execution(s, WorkflowExecution(workflow_id=s.workflow_id, run_id=other))


def long_workflow_id(s: Script) -> None:
    """A workflow id over the length limit, where it is only looked up."""
    _each_execution(s, WorkflowExecution(workflow_id="x" * 1001))


def _each_execution(s: Script, execution: WorkflowExecution) -> None:
    """Send this execution to every RPC that takes one, with what else the RPC demands."""
    for request, reply in NAMED:
        names = [name for name in EXECUTION_FIELDS if name in request.DESCRIPTOR.fields_by_name]
        if not names:
            continue
        message = request(namespace=NAMESPACE, **{names[0]: execution})
        if isinstance(message, rpc.SignalWorkflowExecutionRequest):
            message.signal_name = "go"
        if isinstance(message, rpc.QueryWorkflowRequest):
            message.query.query_type = "state"
        s.call(message, reply)


def bad_task_tokens(s: Script) -> None:
    """Task tokens that are no tokens."""
    for request, reply in NAMED:
        if "task_token" in request.DESCRIPTOR.fields_by_name:
            for token in (b"garbage", b"\xff\xff\xff\xff", b"\x00"):
                s.call(request(namespace=NAMESPACE, task_token=token), reply)
