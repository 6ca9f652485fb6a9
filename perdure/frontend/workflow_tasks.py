"""What a workflow worker calls: poll, respond, reset stickiness, shut down (semantics 3, 12.1, 12.4)."""

from __future__ import annotations

import contextlib
from typing import Final

from perdure.api import Message, enums, workflowservice
from perdure.api.splice import length_delimited, with_field
from perdure.config import dynamic as settings
from perdure.errors import HistoryGone, InvalidArgument, NotFound
from perdure.frontend import search_attribute_inputs, validate
from perdure.frontend.command_inputs import named_ids
from perdure.frontend.query import query_task_response
from perdure.frontend.services import Call, Services
from perdure.frontend.task_responses import activity_task_response, workflow_task_response
from perdure.frontend.worker_calls import check_version, poll_of, start_matched
from perdure.frontend.workers import record_heartbeats
from perdure.machines.task_queue import WORKFLOW, Matched, PollRequest, QueueKey, Task
from perdure.machines.workflow.inputs import ResetSticky
from perdure.machines.workflow.task_inputs import (
    WorkflowTaskCompleted,
    WorkflowTaskCompletion,
    WorkflowTaskDelivery,
    WorkflowTaskFailed,
)

_EMPTY_POLL: Final = workflowservice.PollWorkflowTaskQueueResponse().SerializeToString()
_FIELDS: Final = workflowservice.RespondWorkflowTaskCompletedResponse.DESCRIPTOR.fields_by_name
_WORKFLOW_TASK_FIELD: Final = _FIELDS["workflow_task"].number
_ACTIVITY_TASKS_FIELD: Final = _FIELDS["activity_tasks"].number


async def poll_workflow_task_queue(
    services: Services, call: Call, request: workflowservice.PollWorkflowTaskQueueRequest
) -> Message | bytes:
    """A workflow task or a query, or nothing when the wait is over."""
    now_s = services.loop.time()
    ends_at = now_s + call.long_poll_s(now_s)
    limits = services.view(call).limits
    validate.identity(request.identity, limits.id_length)
    check_version(services, call, request, request.worker_version_capabilities, request.task_queue)
    validate.task_queue(request.task_queue, request.HasField("task_queue"), limits.id_length)
    if request.binary_checksum and request.binary_checksum in call.namespace.bad_binaries:
        raise InvalidArgument(f"Binary {request.binary_checksum} already marked as bad deployment.")
    queue = request.task_queue
    validate.partition(queue)
    sticky = queue.kind == enums.TASK_QUEUE_KIND_STICKY
    key = QueueKey(call.namespace.id, queue.name, WORKFLOW, sticky)
    stamp = validate.polled_stamp(request.worker_version_capabilities, request.deployment_options)
    poll = poll_of(request, normal_name=queue.normal_name, worker_version=stamp)
    while True:
        matched = await services.matching.poll(key, poll, ends_at - services.loop.time())
        if matched is None:
            return _EMPTY_POLL
        if matched.query is not None:
            return await query_task_response(services, call.namespace.id, queue.name, matched.query)
        delivery = await _started(services, matched, poll)
        if delivery is not None:
            hint, scaling = matched.backlog_count_hint, matched.scaling
            with contextlib.suppress(HistoryGone):
                return await workflow_task_response(services, call.namespace.id, delivery, hint, scaling)


async def _started(services: Services, matched: Matched, poll: PollRequest) -> WorkflowTaskDelivery | None:
    """The task as started for this poller; None when it is not to be delivered, and the poll goes on."""
    if matched.started is not None:
        assert isinstance(matched.started, WorkflowTaskDelivery)
        return matched.started
    task = matched.task
    assert task is not None
    outcome = await start_matched(services, task, poll)
    return outcome if isinstance(outcome, WorkflowTaskDelivery) else None


async def respond_workflow_task_completed(
    services: Services, call: Call, request: workflowservice.RespondWorkflowTaskCompletedRequest
) -> Message | bytes:
    """Applies a worker's commands; may answer with the next workflow task and with activities (semantics 3.5)."""
    name = call.namespace.name
    validate.identity(request.identity, services.view(call).limits.id_length)
    check_version(services, call, request, request.worker_version_stamp, request.sticky_attributes.worker_task_queue)
    token = call.token
    ids = named_ids(services, call, request)
    found = search_attribute_inputs.of_commands(services, call, request)
    fact = WorkflowTaskCompleted(token, request, found, ids)
    outcome = await services.engine.submit(call.key(token.workflow_id), fact)
    assert isinstance(outcome, WorkflowTaskCompletion)
    answer = workflowservice.RespondWorkflowTaskCompletedResponse(reset_history_event_id=outcome.reset_event_id)
    response = answer.SerializeToString()
    if outcome.workflow_task is not None:
        task = await workflow_task_response(services, call.namespace.id, outcome.workflow_task)
        response = with_field(response, _WORKFLOW_TASK_FIELD, task)
    if outcome.activities:
        tasks = [(await activity_task_response(services, name, one)).SerializeToString() for one in outcome.activities]
        response += b"".join([length_delimited(_ACTIVITY_TASKS_FIELD, one) for one in tasks])
    return response


async def respond_workflow_task_failed(
    services: Services, call: Call, request: workflowservice.RespondWorkflowTaskFailedRequest
) -> Message | bytes:
    """A worker could not process its task; another attempt follows (semantics 3.7)."""
    validate.identity(request.identity, services.view(call).limits.id_length)
    token = call.token
    await services.engine.submit(call.key(token.workflow_id), WorkflowTaskFailed(token, request))
    return workflowservice.RespondWorkflowTaskFailedResponse()


async def reset_sticky_task_queue(
    services: Services, call: Call, request: workflowservice.ResetStickyTaskQueueRequest
) -> Message | bytes:
    """The run's next workflow task goes to its normal queue."""
    validate.execution(request.execution, request.HasField("execution"))
    await services.engine.submit(call.key(request.execution.workflow_id), ResetSticky(request.execution.run_id))
    return workflowservice.ResetStickyTaskQueueResponse()


async def shutdown_worker(
    services: Services, call: Call, request: workflowservice.ShutdownWorkerRequest
) -> Message | bytes:
    """A worker stops: its sticky queue is unloaded and, where that is switched on, its polls end (semantics 12.4)."""
    namespace = call.namespace
    ends_polls = services.config.get(settings.FRONTEND_ENABLE_CANCEL_WORKER_POLLS_ON_SHUTDOWN, namespace.name)
    if ends_polls and request.worker_instance_key:
        services.matching.cancel_polls(namespace.id, request.worker_instance_key, request.identity)
    if request.HasField("worker_heartbeat"):
        record_heartbeats(services, call, [request.worker_heartbeat])
    if request.sticky_task_queue:
        queue = QueueKey(namespace.id, request.sticky_task_queue, WORKFLOW, True)
        for task in services.matching.unload_sticky(queue):
            await _offer_normally(services, task)
    return workflowservice.ShutdownWorkerResponse()


async def _offer_normally(services: Services, task: Task) -> None:
    """A task that waited on a sticky queue whose worker is gone: any worker of the normal queue may have it at once."""
    try:
        execution = await services.snapshot(task.chain, task.run_id)
    except NotFound:
        return
    services.matching.offer(
        Task(
            QueueKey(task.queue.namespace_id, execution.info.task_queue, WORKFLOW),
            task.chain,
            task.run_id,
            task.scheduled_event_id,
            task.attempt,
            task.stamp,
            task.priority,
            task.created_ns,
            task.expires_ns,
            task.fairness_key,
            task.fairness_weight,
            task.build_id,
        )
    )
