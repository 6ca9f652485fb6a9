"""What operators do to whole runs: delete, options, reset (semantics 7.4, 7.5, 7.7)."""

from __future__ import annotations

from typing import Any

from perdure.api import Message, workflow, workflowservice
from perdure.errors import InvalidArgument
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.operator_inputs import Delete, UpdateOptions


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
    for path in paths:
        if not _known(options.DESCRIPTOR, path):
            raise InvalidArgument(
                f'error parsing UpdateMask: proto: invalid path "{path}" for message "{options.DESCRIPTOR.full_name}"'
            )
    validate.priority(options.priority)
    if target.run_id and not validate.is_uuid(target.run_id):
        raise InvalidArgument("RunId is not valid UUID.")
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
