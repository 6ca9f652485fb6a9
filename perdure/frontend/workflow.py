"""Signal, RequestCancel, Terminate and Describe of a workflow execution (semantics 7.1 - 7.3, 11.5)."""

from __future__ import annotations

from perdure.api import Message, enums, history, workflowservice
from perdure.errors import InvalidArgument
from perdure.frontend import links, sizes, validate
from perdure.frontend.describe import describe
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.inputs import RequestCancel, Signal, Terminate

DEFAULT_TERMINATE_REASON = "terminated by user via frontend"
DEFAULT_TERMINATE_IDENTITY = "frontend-service"


async def signal_workflow_execution(
    services: Services, call: Call, request: workflowservice.SignalWorkflowExecutionRequest
) -> Message | bytes:
    """Adds a signal to an open run; a request id seen before is a success without effect."""
    target = request.workflow_execution
    limit = services.view(call).limits.id_length
    validate.execution(target, request.HasField("workflow_execution"))
    if not request.signal_name:
        raise InvalidArgument("SignalName is not set on request.")
    if validate.too_long(request.signal_name, limit):
        raise InvalidArgument("SignalName length exceeds limit.")
    if validate.too_long(request.request_id, limit):
        raise InvalidArgument("RequestId length exceeds limit.")
    links.check(services, call, request.links)
    sizes.check_payloads(services, call, request.input)
    attributes = history.WorkflowExecutionSignaledEventAttributes()
    attributes.signal_name = request.signal_name
    attributes.identity = request.identity
    attributes.request_id = request.request_id
    if request.HasField("input"):
        attributes.input.CopyFrom(request.input)
    if request.HasField("header"):
        attributes.header.CopyFrom(request.header)
    run_id = await services.engine.submit(
        call.key(target.workflow_id), Signal(target.run_id, attributes, request.request_id, tuple(request.links))
    )
    assert isinstance(run_id, str)
    response = workflowservice.SignalWorkflowExecutionResponse()
    links.to_request(
        response.link,
        call.namespace.name,
        target.workflow_id,
        run_id,
        request.request_id,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    )
    return response


async def request_cancel_workflow_execution(
    services: Services, call: Call, request: workflowservice.RequestCancelWorkflowExecutionRequest
) -> Message | bytes:
    """Asks an open run to cancel; asking again, or a closed run, is a success."""
    target = request.workflow_execution
    validate.execution(target, request.HasField("workflow_execution"))
    links.check(services, call, request.links)
    attributes = history.WorkflowExecutionCancelRequestedEventAttributes(
        cause=request.reason, identity=request.identity
    )
    await services.engine.submit(
        call.key(target.workflow_id),
        RequestCancel(
            "" if request.first_execution_run_id else target.run_id,
            request.first_execution_run_id,
            attributes,
            request.request_id,
            tuple(request.links),
        ),
    )
    return workflowservice.RequestCancelWorkflowExecutionResponse()


async def terminate_workflow_execution(
    services: Services, call: Call, request: workflowservice.TerminateWorkflowExecutionRequest
) -> Message | bytes:
    """Closes an open run at once."""
    target = request.workflow_execution
    validate.execution(target, request.HasField("workflow_execution"))
    links.check(services, call, request.links)
    attributes = history.WorkflowExecutionTerminatedEventAttributes(
        reason=request.reason or DEFAULT_TERMINATE_REASON, identity=request.identity or DEFAULT_TERMINATE_IDENTITY
    )
    if request.HasField("details"):
        attributes.details.CopyFrom(request.details)
    await services.engine.submit(
        call.key(target.workflow_id),
        Terminate(
            "" if request.first_execution_run_id else target.run_id,
            request.first_execution_run_id,
            attributes,
            tuple(request.links),
        ),
    )
    return workflowservice.TerminateWorkflowExecutionResponse()


async def describe_workflow_execution(
    services: Services, call: Call, request: workflowservice.DescribeWorkflowExecutionRequest
) -> Message | bytes:
    """The state of a run as it is after everything that was acknowledged."""
    target = request.execution
    validate.execution(target, request.HasField("execution"))
    execution = await services.snapshot(call.key(target.workflow_id), target.run_id)
    return describe(execution, services.clock.now_ns(), services.engine.callbacks.blocked)
