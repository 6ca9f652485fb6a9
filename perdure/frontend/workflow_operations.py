"""What operators do to whole runs: delete (semantics 7.5)."""

from __future__ import annotations

from perdure.api import Message, workflowservice
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.operator_inputs import Delete


async def delete_workflow_execution(
    services: Services, call: Call, request: workflowservice.DeleteWorkflowExecutionRequest
) -> Message | bytes:
    """Removes a run, an open one after its termination. The removal is owed when this answers, not yet done."""
    target = request.workflow_execution
    validate.execution(target, request.HasField("workflow_execution"))
    await services.engine.submit(call.key(target.workflow_id), Delete(target.run_id))
    return workflowservice.DeleteWorkflowExecutionResponse()
