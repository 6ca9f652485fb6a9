"""StartWorkflowExecution and SignalWithStartWorkflowExecution (semantics 2)."""

from __future__ import annotations

from typing import Final

from perdure.api import Message, enums, workflowservice
from perdure.api.splice import with_field
from perdure.frontend import links
from perdure.frontend.services import Call, Services
from perdure.frontend.start_inputs import prepare_signal_with_start, prepare_start
from perdure.frontend.task_responses import workflow_task_response
from perdure.machines.workflow.start_inputs import StartOutcome

_EAGER_FIELD: Final = workflowservice.StartWorkflowExecutionResponse.DESCRIPTOR.fields_by_name[
    "eager_workflow_task"
].number


async def start_workflow_execution(
    services: Services, call: Call, request: workflowservice.StartWorkflowExecutionRequest
) -> Message | bytes:
    """Starts a run, or uses the one that the id policies allow.

    May hand its first workflow task back (semantics 2.4).
    """
    fact = prepare_start(services, call, request)
    outcome = await services.engine.submit(call.key(request.workflow_id), fact)
    assert isinstance(outcome, StartOutcome)
    name = call.namespace.name
    response = workflowservice.StartWorkflowExecutionResponse()
    if outcome.attached:
        links.to_request(
            response.link,
            name,
            request.workflow_id,
            outcome.run_id,
            request.request_id,
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        )
    else:
        links.to_started(response.link, name, request.workflow_id, outcome.run_id)
    response.run_id = outcome.run_id
    response.first_execution_run_id = outcome.first_run_id
    response.started = outcome.started
    response.status = outcome.status  # type: ignore[assignment]  # wire numbers are plain ints here
    if outcome.eager is None:
        return response
    task = await workflow_task_response(services, call.namespace.id, outcome.eager)
    return with_field(response.SerializeToString(), _EAGER_FIELD, task)


async def signal_with_start_workflow_execution(
    services: Services, call: Call, request: workflowservice.SignalWithStartWorkflowExecutionRequest
) -> Message | bytes:
    """Signals the running workflow, or starts it with the signal as its second event (semantics 2.6)."""
    fact = prepare_signal_with_start(services, call, request)
    outcome = await services.engine.submit(call.key(request.workflow_id), fact)
    assert isinstance(outcome, StartOutcome)
    response = workflowservice.SignalWithStartWorkflowExecutionResponse()
    response.run_id = outcome.run_id
    response.first_execution_run_id = outcome.first_run_id
    response.started = outcome.started
    links.to_request(
        response.signal_link,
        call.namespace.name,
        request.workflow_id,
        outcome.run_id,
        request.request_id,
        enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    )
    return response
