"""UpdateWorkflowExecution and PollWorkflowExecutionUpdate (semantics 8.2).

The run decides about updates; here callers wait for what becomes of theirs. Who leaves, or has waited long enough, is
taken off the list; the update goes on without him.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Final, final

from perdure.api import Message, enums, workflowservice
from perdure.clock import SECOND
from perdure.config import dynamic as settings
from perdure.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServiceError,
)
from perdure.frontend import callback_checks, links, validate
from perdure.frontend.histories import read_event
from perdure.frontend.services import Call, Services
from perdure.ids import ChainKey
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.update_inputs import (
    AdmitUpdate,
    PollUpdate,
    UpdateAbandoned,
    UpdateLost,
    UpdatePending,
    UpdateStatus,
)

Request = workflowservice.UpdateWorkflowExecutionRequest
Response = workflowservice.UpdateWorkflowExecutionResponse

_ADMITTED: Final = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
_ACCEPTED: Final = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
_COMPLETED: Final = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED


async def update_workflow_execution(services: Services, call: Call, request: Request) -> Message | bytes:
    """Sends an update to an open run and waits until it is accepted or completed, 20 s at most."""
    check_update(services, call, request)
    target = request.workflow_execution
    body = request.request.SerializeToString()
    update_id = request.request.meta.update_id
    wait = Wait(services, call, call.key(target.workflow_id), update_id)
    status = await wait.ask(
        lambda waiter: admit_input(request, target.run_id, request.first_execution_run_id, body, waiter)
    )
    return await update_response(services, call, request, status)


async def poll_workflow_execution_update(
    services: Services, call: Call, request: workflowservice.PollWorkflowExecutionUpdateRequest
) -> Message | bytes:
    """How far an update has come, at once or when it has reached a stage."""
    if not request.HasField("update_ref"):
        raise InvalidArgument("UpdateRef is not set on request.")
    _check_enabled(services, call)
    target = request.update_ref.workflow_execution
    if not target.workflow_id:
        raise InvalidArgument("Can't load workflow execution.  WorkflowId not set.")
    validate.run_id(target.run_id)
    update_id = request.update_ref.update_id
    stage = int(request.wait_policy.lifecycle_stage)
    wait = Wait(services, call, call.key(target.workflow_id), update_id)
    status = await wait.ask(lambda waiter: PollUpdate(target.run_id, update_id, stage, waiter))
    response = workflowservice.PollWorkflowExecutionUpdateResponse()
    response.stage = status.stage  # type: ignore[assignment]  # wire numbers are plain ints here
    response.update_ref.update_id = update_id
    response.update_ref.workflow_execution.workflow_id = target.workflow_id
    response.update_ref.workflow_execution.run_id = status.run_id
    await _tell_outcome(services, status, response)
    return response


def check_update(services: Services, call: Call, request: Request) -> None:
    """Raises what is wrong with a request; fills in the update id and the stage."""
    validate.execution(request.workflow_execution, request.HasField("workflow_execution"))
    asked = request.request
    if not asked.HasField("meta"):
        raise InvalidArgument("Update meta is not set on request.")
    if validate.too_long(asked.meta.update_id, services.view(call).limits.id_length):
        raise InvalidArgument("UpdateId length exceeds limit.")
    if not asked.meta.update_id:
        asked.meta.update_id = services.ids.request_id()
    if not asked.HasField("input"):
        raise InvalidArgument("Update input is not set on request.")
    if not asked.input.name:
        raise InvalidArgument("Update name is not set on request.")
    _check_enabled(services, call)
    policy = request.wait_policy
    if policy.lifecycle_stage == enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_UNSPECIFIED:
        policy.lifecycle_stage = _COMPLETED
    if policy.lifecycle_stage == _ADMITTED:
        raise PermissionDenied(
            "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported."
        )
    if policy.lifecycle_stage == _ACCEPTED and not services.config.get(
        settings.FRONTEND_ENABLE_UPDATE_WORKFLOW_EXECUTION_ASYNC_ACCEPTED, call.namespace.name
    ):
        raise PermissionDenied(
            "UpdateWorkflowExecution issued asynchronously and waiting on update accepted is disabled on this "
            "namespace."
        )
    callback_checks.check(services, call, asked.completion_callbacks)
    theirs = [link for callback in asked.completion_callbacks for link in callback.links]
    links.check(services, call, [*asked.links, *theirs])


def admit_input(request: Request, run_id: str, first_run_id: str, body: bytes, waiter: int) -> AdmitUpdate:
    """The machine's input for a request whose inner request is serialized in `body`."""
    asked = request.request
    return AdmitUpdate(
        run_id,
        first_run_id,
        asked.meta.update_id,
        body,
        int(request.wait_policy.lifecycle_stage),
        waiter,
        asked.request_id,
        tuple([callback.SerializeToString(deterministic=True) for callback in asked.completion_callbacks]),
    )


def _check_enabled(services: Services, call: Call) -> None:
    if not services.config.get(settings.FRONTEND_ENABLE_UPDATE_WORKFLOW_EXECUTION, call.namespace.name):
        raise PermissionDenied("UpdateWorkflowExecution operation is disabled on this namespace.")


@final
class Wait:
    """One caller that waits for an update."""

    __slots__ = ("_ends_at", "_gives_up_at", "_key", "_services", "_update_id")

    def __init__(self, services: Services, call: Call, key: ChainKey, update_id: str) -> None:
        now_s = services.loop.time()
        longest = services.config.get(settings.HISTORY_LONG_POLL_EXPIRATION_INTERVAL, call.namespace.name)
        remaining = call.remaining_s(now_s)
        self._services = services
        self._key = key
        self._update_id = update_id
        self._ends_at = now_s + longest / SECOND
        """When the stage reached by then is the answer (loop time)."""
        self._gives_up_at = math.inf if remaining is None else now_s + remaining
        """When the caller is gone."""

    async def ask(self, ask: Callable[[int], Input]) -> UpdateStatus:
        """Submit what `ask` makes of a waiter's number, and wait. An update that got lost is submitted again."""
        while True:
            waiter, answer = self._services.engine.waiters.new()
            try:
                outcome = await self._services.engine.submit(self._key, ask(waiter))
                found = await self.until_answered(outcome, waiter, answer)
            finally:
                answer.cancel()
            if isinstance(found, UpdateStatus):
                return found
            if self.over:
                raise found.error

    @property
    def over(self) -> bool:
        """Whether the time to wait has passed."""
        return self._services.loop.time() >= self._ends_at

    async def until_answered(
        self, outcome: object, waiter: int, answer: asyncio.Future[object]
    ) -> UpdateStatus | UpdateLost:
        """The status that a step gave at once, or the one that follows it."""
        if isinstance(outcome, UpdateStatus):
            return outcome
        assert isinstance(outcome, UpdatePending)
        try:
            await asyncio.wait((answer,), timeout=min(self._ends_at, self._gives_up_at) - self._services.loop.time())
        finally:
            reached = None if answer.done() else await self._leave(outcome.run_id, waiter)
        if answer.done():
            found = answer.result()
            assert isinstance(found, UpdateStatus | UpdateLost)
            return found
        # Not by a look at the clock: a loop's timer may ring half a millisecond early.
        if self._gives_up_at <= self._ends_at:
            raise DeadlineExceeded("context deadline exceeded")
        if reached is None:
            raise NotFound(f'update "{self._update_id}" not found')
        return reached

    async def _leave(self, run_id: str, waiter: int) -> UpdateStatus | None:
        """Wait no longer; the status is what the update has reached."""
        with contextlib.suppress(ServiceError):
            fact = UpdateAbandoned(run_id, self._update_id, waiter)
            reached = await self._services.engine.submit(self._key, fact)
            assert isinstance(reached, UpdateStatus)
            return reached
        return None


async def outcome_of(services: Services, status: UpdateStatus) -> bytes:
    """The serialized outcome of an update, b"" while it has none."""
    event_id = status.completed_event_id
    if not event_id:
        return status.outcome
    event = await read_event(services, status.branches, event_id)
    return event.workflow_execution_update_completed_event_attributes.outcome.SerializeToString()


async def _tell_outcome(
    services: Services,
    status: UpdateStatus,
    response: Response | workflowservice.PollWorkflowExecutionUpdateResponse,
) -> None:
    """A completed update has an outcome, if only an empty one: clients ask again as long as they see none."""
    outcome = await outcome_of(services, status)
    if outcome or status.stage == _COMPLETED:
        response.outcome.SetInParent()
        response.outcome.MergeFromString(outcome)


async def update_response(
    services: Services, call: Call, request: Request, status: UpdateStatus, linked: bool = True
) -> Response:
    """The answer to UpdateWorkflowExecution; its link leads to the acceptance, or to the run of a rejected update."""
    response = Response()
    workflow_id = request.workflow_execution.workflow_id
    response.update_ref.workflow_execution.workflow_id = workflow_id
    response.update_ref.workflow_execution.run_id = status.run_id
    response.update_ref.update_id = request.request.meta.update_id
    response.stage = status.stage  # type: ignore[assignment]  # wire numbers are plain ints here
    await _tell_outcome(services, status, response)
    if not linked:
        return response
    if status.stage == _COMPLETED and response.outcome.HasField("failure"):
        link = response.link.workflow
        link.namespace = call.namespace.name
        link.workflow_id = workflow_id
        link.run_id = status.run_id
        link.reason = "Update rejected"
    elif status.stage >= _ACCEPTED:
        links.to_request(
            response.link,
            call.namespace.name,
            workflow_id,
            status.run_id,
            request.request.request_id,
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        )
    return response
