"""What an activity worker calls: poll, heartbeat, respond, each also by activity id (semantics 5.2 - 5.4)."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from perdure.api import Message, common, workflowservice
from perdure.api.failure import Failure
from perdure.errors import HistoryGone, InvalidArgument
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.frontend.task_responses import activity_task_response
from perdure.frontend.worker_calls import check_version, poll_of, start_matched
from perdure.ids import ChainKey
from perdure.machines.task_queue import ACTIVITY, QueueKey
from perdure.machines.workflow.activity_inputs import (
    ActivityDelivery,
    ActivityHeartbeat,
    ActivityTarget,
    ActivityTaskCanceled,
    ActivityTaskCompleted,
    ActivityTaskFailed,
    HeartbeatOutcome,
)

_EMPTY_POLL: Final = workflowservice.PollActivityTaskQueueResponse().SerializeToString()


async def poll_activity_task_queue(
    services: Services, call: Call, request: workflowservice.PollActivityTaskQueueRequest
) -> Message | bytes:
    """An activity attempt, or nothing when the wait is over."""
    now_s = services.loop.time()
    ends_at = now_s + call.long_poll_s(now_s)
    limits = services.view(call).limits
    name = call.namespace.name
    validate.task_queue(request.task_queue, request.HasField("task_queue"), limits.id_length)
    validate.identity(request.identity, limits.id_length)
    check_version(services, call, request, request.worker_version_capabilities, request.task_queue)
    validate.partition(request.task_queue)
    metadata = request.task_queue_metadata
    rate = metadata.max_tasks_per_second.value if metadata.HasField("max_tasks_per_second") else None
    key = QueueKey(call.namespace.id, request.task_queue.name, ACTIVITY)
    poll = poll_of(request, rate)
    while True:
        matched = await services.matching.poll(key, poll, ends_at - services.loop.time())
        if matched is None:
            return _EMPTY_POLL
        outcome = matched.started
        if outcome is None:
            task = matched.task
            assert task is not None, "no queries on activity queues"
            outcome = await start_matched(services, task, poll)
        if isinstance(outcome, ActivityDelivery):
            with contextlib.suppress(HistoryGone):
                response = await activity_task_response(services, name, outcome)
                if matched.scaling:
                    response.poller_scaling_decision.poll_request_delta_suggestion = matched.scaling
                return response


_Place = tuple[ChainKey, str, ActivityTarget]
"""The chain, the run id ("" for the current run), and the activity in it."""


def _by_token(services: Services, call: Call, request: Any) -> _Place:
    """Which activity a request with a task token is about."""
    validate.identity(request.identity, services.view(call).limits.id_length)
    token = call.token
    target = ActivityTarget(token.activity_id, token.scheduled_event_id, token.attempt)
    return call.key(token.workflow_id), token.run_id, target


def _by_id(services: Services, call: Call, request: Any) -> _Place:
    """Which activity a request names; an empty run id is the current run."""
    if not request.activity_id:
        raise InvalidArgument("ActivityId is not set on request.")
    if not request.workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    validate.run_id(request.run_id)
    validate.identity(request.identity, services.view(call).limits.id_length)
    return call.key(request.workflow_id), request.run_id, ActivityTarget(request.activity_id)


def _stamp(request: Any) -> common.WorkerVersionStamp | None:
    """What a worker that has the task says of its build."""
    return request.worker_version if request.HasField("worker_version") else None


async def _complete(
    services: Services, place: _Place, request: Any, stamp: common.WorkerVersionStamp | None = None
) -> None:
    key, run_id, target = place
    result = request.result if request.HasField("result") else None
    await services.engine.submit(key, ActivityTaskCompleted(run_id, target, result, request.identity, stamp))


async def respond_activity_task_completed(
    services: Services, call: Call, request: workflowservice.RespondActivityTaskCompletedRequest
) -> Message | bytes:
    """The attempt has a result."""
    await _complete(services, _by_token(services, call, request), request, _stamp(request))
    return workflowservice.RespondActivityTaskCompletedResponse()


async def respond_activity_task_completed_by_id(
    services: Services, call: Call, request: workflowservice.RespondActivityTaskCompletedByIdRequest
) -> Message | bytes:
    """The same by activity id."""
    await _complete(services, _by_id(services, call, request), request)
    return workflowservice.RespondActivityTaskCompletedByIdResponse()


async def _fail(
    services: Services, place: _Place, request: Any, stamp: common.WorkerVersionStamp | None = None
) -> tuple[Failure, ...]:
    key, run_id, target = place
    if request.HasField("failure"):
        validate.activity_failure(request.failure, by_id=not target.scheduled_event_id)
    details = request.last_heartbeat_details if request.HasField("last_heartbeat_details") else None
    failure = request.failure if request.HasField("failure") else None
    fact = ActivityTaskFailed(run_id, target, failure, details, request.identity, stamp)
    outcome = await services.engine.submit(key, fact)
    return outcome if isinstance(outcome, tuple) else ()


async def respond_activity_task_failed(
    services: Services, call: Call, request: workflowservice.RespondActivityTaskFailedRequest
) -> Message | bytes:
    """The attempt failed; whether another follows is the run's business. Answers what was cut down for its size."""
    failures = await _fail(services, _by_token(services, call, request), request, _stamp(request))
    return workflowservice.RespondActivityTaskFailedResponse(failures=failures)


async def respond_activity_task_failed_by_id(
    services: Services, call: Call, request: workflowservice.RespondActivityTaskFailedByIdRequest
) -> Message | bytes:
    """The same by activity id."""
    failures = await _fail(services, _by_id(services, call, request), request)
    return workflowservice.RespondActivityTaskFailedByIdResponse(failures=failures)


async def _cancel(services: Services, place: _Place, request: Any) -> None:
    key, run_id, target = place
    details = request.details if request.HasField("details") else None
    await services.engine.submit(key, ActivityTaskCanceled(run_id, target, details, request.identity))


async def respond_activity_task_canceled(
    services: Services, call: Call, request: workflowservice.RespondActivityTaskCanceledRequest
) -> Message | bytes:
    """The attempt stopped because cancellation was requested."""
    await _cancel(services, _by_token(services, call, request), request)
    return workflowservice.RespondActivityTaskCanceledResponse()


async def respond_activity_task_canceled_by_id(
    services: Services, call: Call, request: workflowservice.RespondActivityTaskCanceledByIdRequest
) -> Message | bytes:
    """The same by activity id."""
    await _cancel(services, _by_id(services, call, request), request)
    return workflowservice.RespondActivityTaskCanceledByIdResponse()


async def _heartbeat(services: Services, place: _Place, request: Any) -> HeartbeatOutcome:
    key, run_id, target = place
    details = request.details if request.HasField("details") else None
    outcome = await services.engine.submit(key, ActivityHeartbeat(run_id, target, details, request.identity))
    assert isinstance(outcome, HeartbeatOutcome)
    return outcome


async def record_activity_task_heartbeat(
    services: Services, call: Call, request: workflowservice.RecordActivityTaskHeartbeatRequest
) -> Message | bytes:
    """The attempt is alive; its details are kept for the next one."""
    outcome = await _heartbeat(services, _by_token(services, call, request), request)
    return workflowservice.RecordActivityTaskHeartbeatResponse(
        cancel_requested=outcome.cancel_requested,
        activity_paused=outcome.activity_paused,
        activity_reset=outcome.activity_reset,
    )


async def record_activity_task_heartbeat_by_id(
    services: Services, call: Call, request: workflowservice.RecordActivityTaskHeartbeatByIdRequest
) -> Message | bytes:
    """The same by activity id."""
    outcome = await _heartbeat(services, _by_id(services, call, request), request)
    return workflowservice.RecordActivityTaskHeartbeatByIdResponse(
        cancel_requested=outcome.cancel_requested,
        activity_paused=outcome.activity_paused,
        activity_reset=outcome.activity_reset,
    )
