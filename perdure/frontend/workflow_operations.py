"""What operators do to whole runs: delete, pause, options, reset (semantics 7.4 - 7.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.api import Message, enums, workflow, workflowservice
from perdure.config import dynamic as settings
from perdure.errors import Internal, InvalidArgument, Unimplemented
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.operator_inputs import Delete, PauseWorkflow, Reset, UnpauseWorkflow, UpdateOptions

TIME_SKIPPING_OFF = "The Time-Skipping feature is not enabled for namespace."


async def delete_workflow_execution(
    services: Services, call: Call, request: workflowservice.DeleteWorkflowExecutionRequest
) -> Message | bytes:
    """Removes a run, an open one after its termination. The removal is owed when this answers, not yet done."""
    target = request.workflow_execution
    validate.execution(target, request.HasField("workflow_execution"))
    await services.engine.submit(call.key(target.workflow_id), Delete(target.run_id))
    return workflowservice.DeleteWorkflowExecutionResponse()


async def update_workflow_execution_options(
    services: Services, call: Call, request: workflowservice.UpdateWorkflowExecutionOptionsRequest
) -> Message | bytes:
    """Changes what the mask names of an open run's options; no change leaves no event."""
    target = request.workflow_execution
    if not target.workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    if not request.HasField("update_mask"):
        raise InvalidArgument("UpdateMask is required")
    if not request.HasField("workflow_execution_options"):
        raise InvalidArgument("WorkflowExecutionOptions is required")
    paths = tuple(request.update_mask.paths)
    options = request.workflow_execution_options
    bad = _unknown_path(options.DESCRIPTOR, paths)
    if bad is not None:
        raise InvalidArgument(f"error parsing UpdateMask: {bad}")
    validate.priority(options.priority)
    if options.HasField("time_skipping_config"):
        raise Unimplemented(TIME_SKIPPING_OFF)
    validate.run_id(target.run_id)
    outcome = await services.engine.submit(
        call.key(target.workflow_id), UpdateOptions(target.run_id, options, paths, request.identity)
    )
    assert isinstance(outcome, workflow.WorkflowExecutionOptions)
    return workflowservice.UpdateWorkflowExecutionOptionsResponse(workflow_execution_options=outcome)


def _known(descriptor: Any, path: str) -> bool:
    """Whether a field mask's path leads to a field of the message."""
    first, _, rest = path.partition(".")
    field = descriptor.fields_by_name.get(first)
    if field is None:
        return False
    if "." not in path:
        return True
    return field.message_type is not None and not field.is_repeated and _known(field.message_type, rest)


async def reset_workflow_execution(
    services: Services, call: Call, request: workflowservice.ResetWorkflowExecutionRequest
) -> Message | bytes:
    """Goes back to an earlier point of a run's history, in a new run."""
    if not request.request_id:
        raise InvalidArgument("RequestId is not set on request.")
    if validate.too_long(request.request_id, services.view(call).limits.id_length):
        raise InvalidArgument("RequestId length exceeds limit.")
    target = request.workflow_execution
    validate.execution(target, request.HasField("workflow_execution"))
    if request.reset_reapply_type not in enums.ResetReapplyType.values():
        raise Internal(f"unknown reset reapply type: {request.reset_reapply_type}")
    excluded = set(request.reset_reapply_exclude_types)
    if request.reset_reapply_type == enums.RESET_REAPPLY_TYPE_NONE:
        excluded |= {enums.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL, enums.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE}
    elif request.reset_reapply_type == enums.RESET_REAPPLY_TYPE_SIGNAL:
        excluded.add(enums.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE)
    fact = Reset(
        target.run_id,
        request.workflow_task_finish_event_id,
        request.reason,
        request.request_id,
        frozenset(excluded),
        tuple([_operation(target.run_id, operation) for operation in request.post_reset_operations]),
    )
    run_id = await services.engine.submit(call.key(target.workflow_id), fact)
    assert isinstance(run_id, str)
    return workflowservice.ResetWorkflowExecutionResponse(run_id=run_id)


def _operation(run_id: str, operation: workflow.PostResetOperation) -> UpdateOptions:
    """What is done to the new run with its reset: options only, as in the reference."""
    kind = operation.WhichOneof("variant")
    if kind != "update_workflow_options":
        shown = "<nil>" if kind is None else "*workflow.PostResetOperation_SignalWorkflow_"
        raise InvalidArgument(f"unsupported post reset operation: {shown}")
    asked = operation.update_workflow_options
    if not asked.HasField("update_mask"):
        raise InvalidArgument("UpdateMask is required")
    options = asked.workflow_execution_options
    bad = _unknown_path(options.DESCRIPTOR, asked.update_mask.paths)
    if bad is not None:
        raise InvalidArgument(f"error applying update_options: {bad}")
    validate.priority(options.priority)
    if options.HasField("time_skipping_config"):
        raise Unimplemented(TIME_SKIPPING_OFF)
    return UpdateOptions(run_id, options, tuple(asked.update_mask.paths), "")


def _unknown_path(descriptor: Any, paths: Sequence[str]) -> str | None:
    for path in paths:
        if not _known(descriptor, path):
            return f'proto: invalid path "{path}" for message "{descriptor.full_name}"'
    return None


async def pause_workflow_execution(
    services: Services, call: Call, request: workflowservice.PauseWorkflowExecutionRequest
) -> Message | bytes:
    """Holds back all tasks of an open run, where the namespace allows it."""
    if not services.config.get(settings.FRONTEND_WORKFLOW_PAUSE_ENABLED, call.namespace.name):
        raise Unimplemented(f"workflow pause is not enabled for namespace: {call.namespace.name}")
    _check_pause(services, call, request)
    fact = PauseWorkflow(request.run_id, request.identity, request.reason, request.request_id)
    await services.engine.submit(call.key(request.workflow_id), fact)
    return workflowservice.PauseWorkflowExecutionResponse()


async def unpause_workflow_execution(
    services: Services, call: Call, request: workflowservice.UnpauseWorkflowExecutionRequest
) -> Message | bytes:
    """Lets a paused run go on; always possible, so that switching the feature off strands nothing."""
    _check_pause(services, call, request)
    fact = UnpauseWorkflow(request.run_id, request.identity, request.reason, request.request_id)
    await services.engine.submit(call.key(request.workflow_id), fact)
    return workflowservice.UnpauseWorkflowExecutionResponse()


def _check_pause(
    services: Services,
    call: Call,
    request: workflowservice.PauseWorkflowExecutionRequest | workflowservice.UnpauseWorkflowExecutionRequest,
) -> None:
    limit = services.view(call).limits.id_length
    for name, value in (
        ("reason", request.reason),
        ("request id", request.request_id),
        ("identity", request.identity),
    ):
        if validate.too_long(value, limit):
            raise InvalidArgument(f"{name} is too long.")
    if not request.workflow_id:
        raise InvalidArgument("Can't load workflow execution.  WorkflowId not set.")
    validate.run_id(request.run_id)
