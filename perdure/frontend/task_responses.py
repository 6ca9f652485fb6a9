"""What a poller is given with a task: the machine's delivery as a message, with the history or the event that it needs.

Both also travel inside other answers: with a start, and with the completion of a workflow task.
"""

from __future__ import annotations

from typing import Final

from perdure.api import enums, workflowservice
from perdure.api.splice import with_field
from perdure.api.times import set_timestamp
from perdure.frontend.histories import PAGE_FRAGMENTS_MAX, read_event, read_page
from perdure.frontend.services import Services
from perdure.frontend.tokens import HistoryToken
from perdure.machines.retry import show_policy
from perdure.machines.workflow.activity_inputs import ActivityDelivery
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery

_NORMAL: Final = enums.TASK_QUEUE_KIND_NORMAL
POLL_HISTORY_FIELD: Final = workflowservice.PollWorkflowTaskQueueResponse.DESCRIPTOR.fields_by_name["history"].number


async def workflow_task_response(
    services: Services,
    namespace_id: str,
    delivery: WorkflowTaskDelivery,
    backlog_count_hint: int = 0,
    scaling: int = 0,
) -> bytes:
    """A serialized PollWorkflowTaskQueueResponse for a started workflow task (semantics 3.4).

    History that does not fit the first page is fetched with `next_page_token`; the synthetic events of a transient
    task come last.
    """
    token = delivery.token
    response = workflowservice.PollWorkflowTaskQueueResponse()
    response.task_token = services.tokens.workflow_task(token)
    response.workflow_execution.workflow_id = token.workflow_id
    response.workflow_execution.run_id = token.run_id
    response.workflow_type.name = delivery.workflow_type
    response.previous_started_event_id = delivery.previous_started_event_id
    response.started_event_id = delivery.started_event_id
    response.attempt = delivery.attempt
    response.backlog_count_hint = backlog_count_hint
    set_timestamp(response.scheduled_time, delivery.scheduled_time)
    set_timestamp(response.started_time, delivery.started_time)
    response.workflow_execution_task_queue.name = delivery.task_queue
    response.workflow_execution_task_queue.kind = _NORMAL
    if scaling:
        response.poller_scaling_decision.poll_request_delta_suggestion = scaling
    for query_id, body in delivery.queries:
        response.queries[query_id].MergeFromString(body)
    for message in delivery.messages:
        response.messages.add().MergeFromString(message)
    first = delivery.first_event_id
    body = b""
    if first < delivery.next_event_id:
        page = await read_page(services, delivery.branches, first, delivery.next_event_id, PAGE_FRAGMENTS_MAX)
        body = page.body
        first = page.next_event_id
    if first < delivery.next_event_id:
        rest = HistoryToken(token.run_id, first, delivery.next_event_id, False, delivery.branches, delivery.transient)
        response.next_page_token = services.tokens.history_page(namespace_id, token.workflow_id, rest)
    else:
        body += delivery.transient
    return with_field(response.SerializeToString(), POLL_HISTORY_FIELD, body)


async def activity_task_response(
    services: Services, namespace: str, delivery: ActivityDelivery
) -> workflowservice.PollActivityTaskQueueResponse:
    """A PollActivityTaskQueueResponse for a started attempt (semantics 5.2)."""
    token = delivery.token
    event = await read_event(services, delivery.branches, token.scheduled_event_id)
    scheduled = event.activity_task_scheduled_event_attributes
    response = workflowservice.PollActivityTaskQueueResponse()
    response.task_token = services.tokens.activity_task(token)
    response.workflow_namespace = namespace
    response.workflow_type.name = delivery.workflow_type
    response.workflow_execution.workflow_id = token.workflow_id
    response.workflow_execution.run_id = token.run_id
    response.activity_type.CopyFrom(scheduled.activity_type)
    response.activity_id = token.activity_id
    set_timestamp(response.scheduled_time, delivery.first_scheduled_time)
    set_timestamp(response.current_attempt_scheduled_time, delivery.current_attempt_scheduled_time)
    set_timestamp(response.started_time, delivery.started_time)
    response.attempt = delivery.attempt
    if scheduled.HasField("header"):
        response.header.CopyFrom(scheduled.header)
    if scheduled.HasField("input"):
        response.input.CopyFrom(scheduled.input)
    for name in ("schedule_to_close_timeout", "start_to_close_timeout", "heartbeat_timeout"):
        if scheduled.HasField(name):
            getattr(response, name).CopyFrom(getattr(scheduled, name))
    if delivery.heartbeat_details:
        response.heartbeat_details.MergeFromString(delivery.heartbeat_details)
    if delivery.priority:
        response.priority.MergeFromString(delivery.priority)
    show_policy(response.retry_policy, delivery.retry)
    return response
