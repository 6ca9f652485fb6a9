"""What operators do to pending activities of workflows: two generations of RPCs, one set of inputs (semantics 5.7).

The newer generation (`*ActivityExecution`) also addresses standalone activities, when it names no workflow; those are
another entity and not served here.
"""

from __future__ import annotations

from typing import Any

from perdure.api import Message, workflowservice
from perdure.api.activity import ActivityOptions
from perdure.api.times import BadDuration, checked_duration_ns
from perdure.errors import InvalidArgument, Unimplemented
from perdure.frontend import activity_options, validate
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.operator_inputs import (
    ActivitySelection,
    PauseActivity,
    ResetActivity,
    UnpauseActivity,
    UpdateActivityOptions,
)

_EVERYTHING = ("unpause_all", "match_all")


def _selection(request: Any) -> ActivitySelection:
    """Which activities an older request is about; also checks what all of them need."""
    if not request.execution.workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    kind = request.WhichOneof("activity")
    if kind is None:
        raise InvalidArgument("Either Activity.Id or Activity.Type should be set on request.")
    validate.run_id(request.execution.run_id)
    if kind == "id":
        return ActivitySelection(activity_id=request.id)
    if kind == "type":
        return ActivitySelection(activity_type=request.type)
    assert kind in _EVERYTHING
    return ActivitySelection(everything=True)


def _jitter(request: Any) -> int:
    """Up to how many ns an attempt may be put off. The reference refuses a bad one in its newer requests only."""
    if not request.HasField("jitter"):
        return 0
    try:
        return checked_duration_ns(request.jitter)
    except BadDuration as bad:
        raise InvalidArgument(f"invalid jitter: {bad}") from None


async def _submit(services: Services, call: Call, workflow_id: str, fact: Input) -> object:
    return await services.engine.submit(call.key(workflow_id), fact)


def _update(run_id: str, selection: ActivitySelection, request: Any) -> UpdateActivityOptions:
    return UpdateActivityOptions(
        run_id,
        selection,
        request.activity_options if request.HasField("activity_options") else None,
        tuple(request.update_mask.paths) if request.HasField("update_mask") else None,
        request.restore_original,
    )


async def pause_activity(
    services: Services, call: Call, request: workflowservice.PauseActivityRequest
) -> Message | bytes:
    """Hold back the attempts of some activities."""
    selection = _selection(request)
    fact = PauseActivity(request.execution.run_id, selection, request.identity, request.reason, request.request_id)
    await _submit(services, call, request.execution.workflow_id, fact)
    return workflowservice.PauseActivityResponse()


async def unpause_activity(
    services: Services, call: Call, request: workflowservice.UnpauseActivityRequest
) -> Message | bytes:
    """Let them go on."""
    selection = _selection(request)
    fact = UnpauseActivity(
        request.execution.run_id,
        selection,
        request.reset_attempts,
        request.reset_heartbeat,
        _jitter(request),
    )
    await _submit(services, call, request.execution.workflow_id, fact)
    return workflowservice.UnpauseActivityResponse()


async def reset_activity(
    services: Services, call: Call, request: workflowservice.ResetActivityRequest
) -> Message | bytes:
    """Begin with attempt 1 again."""
    selection = _selection(request)
    fact = ResetActivity(
        request.execution.run_id,
        selection,
        request.reset_heartbeat,
        request.keep_paused,
        request.restore_original_options,
        _jitter(request),
    )
    await _submit(services, call, request.execution.workflow_id, fact)
    return workflowservice.ResetActivityResponse()


async def update_activity_options(
    services: Services, call: Call, request: workflowservice.UpdateActivityOptionsRequest
) -> Message | bytes:
    """Other timeouts, queue, retry policy or priority from now on."""
    selection = _selection(request)
    validate.priority(request.activity_options.priority)
    fact = _update(request.execution.run_id, selection, request)
    options = await _submit(services, call, request.execution.workflow_id, fact)
    assert isinstance(options, ActivityOptions)
    return workflowservice.UpdateActivityOptionsResponse(activity_options=options)


# -- the newer generation ----------------------------------------------------------------------------------------------


def _one(services: Services, call: Call, request: Any) -> ActivitySelection:
    """The activity that a newer request names, and what all of them check."""
    if not request.workflow_id:
        raise Unimplemented("Standalone activity operator commands are not enabled")
    limit = services.view(call).limits.id_length
    for name, value in (("request ID", request.request_id), ("activity ID", request.activity_id)):
        if name == "activity ID" and not value:
            raise InvalidArgument("activity ID is required")
        _short(name, value, limit)
    _short("identity", request.identity, limit)
    if request.run_id and not validate.is_uuid(request.run_id):
        raise InvalidArgument("invalid run id: must be a valid UUID")
    return ActivitySelection(activity_id=request.activity_id)


def _short(name: str, value: str, limit: int) -> None:
    if validate.too_long(value, limit):
        raise InvalidArgument(f"{name} exceeds length limit. Length={len(value.encode())} Limit={limit}")


async def pause_activity_execution(
    services: Services, call: Call, request: workflowservice.PauseActivityExecutionRequest
) -> Message | bytes:
    """PauseActivity of one activity."""
    selection = _one(services, call, request)
    if len(request.reason.encode()) > services.view(call).limits.blob_size:
        raise InvalidArgument("reason exceeds length limit")
    request_id = request.request_id or services.ids.request_id()
    fact = PauseActivity(request.run_id, selection, request.identity, request.reason, request_id)
    await _submit(services, call, request.workflow_id, fact)
    return workflowservice.PauseActivityExecutionResponse()


async def unpause_activity_execution(
    services: Services, call: Call, request: workflowservice.UnpauseActivityExecutionRequest
) -> Message | bytes:
    """UnpauseActivity of one activity."""
    selection = _one(services, call, request)
    fact = UnpauseActivity(request.run_id, selection, False, False, _jitter(request))
    await _submit(services, call, request.workflow_id, fact)
    return workflowservice.UnpauseActivityExecutionResponse()


async def reset_activity_execution(
    services: Services, call: Call, request: workflowservice.ResetActivityExecutionRequest
) -> Message | bytes:
    """ResetActivity of one activity."""
    selection = _one(services, call, request)
    fact = ResetActivity(
        request.run_id,
        selection,
        request.reset_heartbeat,
        request.keep_paused,
        request.restore_original_options,
        _jitter(request),
    )
    await _submit(services, call, request.workflow_id, fact)
    return workflowservice.ResetActivityExecutionResponse()


async def update_activity_execution_options(
    services: Services, call: Call, request: workflowservice.UpdateActivityExecutionOptionsRequest
) -> Message | bytes:
    """UpdateActivityOptions of one activity."""
    selection = _one(services, call, request)
    activity_options.check(request, services.view(call).limits.id_length)
    options = await _submit(services, call, request.workflow_id, _update(request.run_id, selection, request))
    assert isinstance(options, ActivityOptions)
    return workflowservice.UpdateActivityExecutionOptionsResponse(activity_options=options)
