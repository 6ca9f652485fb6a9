"""ExecuteMultiOperation: start a workflow and update it, or update the one that runs (semantics 8.3).

Both operations are one input of one step. If one of them fails, both have; the error tells which one it was.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.api import Message, workflowservice
from perdure.config import dynamic as settings
from perdure.errors import (
    Aborted,
    InvalidArgument,
    MultiOperationAborted,
    MultiOperationFailed,
    NotFound,
    PermissionDenied,
    ServiceError,
)
from perdure.frontend import links
from perdure.frontend.services import Call, Services
from perdure.frontend.start_inputs import prepare_start
from perdure.frontend.updates import Wait, admit_input, check_update, update_response
from perdure.machines.workflow.start_inputs import Start, StartOutcome, UpdateWithStartOutcome
from perdure.machines.workflow.update_inputs import AdmitUpdate, UpdateLost, UpdateRefused, UpdateStatus
from perdure.machines.workflow.updates import ABORTED_BY_CLOSE

StartRequest = workflowservice.StartWorkflowExecutionRequest
UpdateRequest = workflowservice.UpdateWorkflowExecutionRequest

NOT_EXECUTED: Final = "Update-with-Start could not be executed."
_ABORTED: Final = "Operation was aborted."


async def execute_multi_operation(
    services: Services, call: Call, request: workflowservice.ExecuteMultiOperationRequest
) -> Message | bytes:
    """Exactly [Start, Update] of one workflow id; waits for the update as UpdateWorkflowExecution does."""
    if not services.config.get(settings.FRONTEND_ENABLE_EXECUTE_MULTI_OPERATION, call.namespace.name):
        raise PermissionDenied("ExecuteMultiOperation API is disabled on this namespace.")
    operations = request.operations
    if (
        len(operations) != 2
        or not operations[0].HasField("start_workflow")
        or not operations[1].HasField("update_workflow")
    ):
        raise InvalidArgument("Operations have to be exactly [Start, Update].")
    update = operations[1].update_workflow
    start = _checked(services, call, operations[0].start_workflow, update)
    try:
        outcome, status = await _execute(services, call, start, update)
    except _UpdateOnlyAborted:
        # The run that was there closed under the update: now there may be none, and the start applies.
        try:
            outcome, status = await _execute(services, call, start, update)
        except _UpdateOnlyAborted as again:
            raise _update_failed(Aborted(again.message)) from None
    response = workflowservice.ExecuteMultiOperationResponse()
    started = response.responses.add().start_workflow
    started.run_id = outcome.run_id
    started.first_execution_run_id = outcome.first_run_id
    started.started = outcome.started
    started.status = outcome.status  # type: ignore[assignment]  # wire numbers are plain ints here
    # An update that was completed before comes with the bare facts.
    linked = outcome.started or not status.completed_event_id
    if linked:
        links.to_started(started.link, call.namespace.name, start.request.workflow_id, outcome.run_id)
    updated = await update_response(services, call, update, status, linked)
    response.responses.add().update_workflow.CopyFrom(updated)
    return response


class _UpdateOnlyAborted(NotFound):
    """The update was applied to a run that was there, and that closed before it took it."""


async def _execute(
    services: Services, call: Call, start: Start, update: UpdateRequest
) -> tuple[StartOutcome, UpdateStatus]:
    key = call.key(start.request.workflow_id)
    wait = Wait(services, call, key, update.request.meta.update_id)
    while True:
        waiter, answer = services.engine.waiters.new()
        ask = admit_input(update, "", "", update.request.SerializeToString(), waiter)
        try:
            outcome = await _submitted(services, call, start, ask)
            try:
                found = await wait.until_answered(outcome.update, waiter, answer)
            except ServiceError as error:
                if outcome.start.started:
                    raise MultiOperationFailed(NOT_EXECUTED, (None, error)) from None
                if isinstance(error, NotFound) and error.message == ABORTED_BY_CLOSE:
                    raise _UpdateOnlyAborted(error.message) from None
                raise _update_failed(error) from None
        finally:
            answer.cancel()
        if isinstance(found, UpdateStatus):
            return outcome.start, found
        _expect_time(wait, found, outcome.start)


def _expect_time(wait: Wait, lost: UpdateLost, start: StartOutcome) -> None:
    if wait.over:
        raise MultiOperationFailed(
            NOT_EXECUTED, (None if start.started else MultiOperationAborted(_ABORTED), lost.error)
        )


async def _submitted(services: Services, call: Call, start: Start, ask: AdmitUpdate) -> UpdateWithStartOutcome:
    fact = Start(start.request, start.search_attributes, start.first_backoff, update=ask)
    try:
        outcome = await services.engine.submit(call.key(start.request.workflow_id), fact)
    except UpdateRefused as refused:
        raise _update_failed(refused.error) from None
    except ServiceError as error:
        raise MultiOperationFailed(NOT_EXECUTED, (error, MultiOperationAborted(_ABORTED))) from None
    assert isinstance(outcome, UpdateWithStartOutcome)
    return outcome


def _update_failed(error: ServiceError) -> MultiOperationFailed:
    return MultiOperationFailed(NOT_EXECUTED, (MultiOperationAborted(_ABORTED), error))


def _checked(services: Services, call: Call, start: StartRequest, update: UpdateRequest) -> Start:
    """Both requests, each with what is wrong with it; a request that is right is aborted by the other's fault."""
    statuses: list[ServiceError | None] = [None, None]
    prepared: Start | None = None
    try:
        prepared = _checked_start(services, call, start)
    except ServiceError as error:
        statuses[0] = error
    try:
        _check_update(services, call, update)
    except ServiceError as error:
        statuses[1] = error
    if statuses == [None, None] and update.workflow_execution.workflow_id != start.workflow_id:
        statuses[1] = InvalidArgument("WorkflowId is not consistent with previous operation(s).")
    if statuses != [None, None]:
        aborted = MultiOperationAborted(_ABORTED)
        raise MultiOperationFailed(NOT_EXECUTED, tuple([aborted if one is None else one for one in statuses]))
    assert prepared is not None, "a start without a fault is prepared"
    return prepared


def _check_namespace(call: Call, request: Any) -> None:
    if request.namespace and request.namespace != call.namespace.name:
        raise InvalidArgument("Operation namespace did not match request's namespace.")


def _checked_start(services: Services, call: Call, request: StartRequest) -> Start:
    _check_namespace(call, request)
    prepared = prepare_start(services, call, request)
    if request.cron_schedule:
        raise InvalidArgument("CronSchedule is not allowed.")
    if request.request_eager_execution:
        raise InvalidArgument("RequestEagerExecution is not supported.")
    if prepared.first_backoff:
        raise InvalidArgument("WorkflowStartDelay is not supported.")
    return prepared


def _check_update(services: Services, call: Call, request: UpdateRequest) -> None:
    _check_namespace(call, request)
    check_update(services, call, request)
    if request.first_execution_run_id:
        raise InvalidArgument("FirstExecutionRunId is not allowed.")
    if request.workflow_execution.run_id:
        raise InvalidArgument("RunId is not allowed.")
