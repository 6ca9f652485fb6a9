"""Responses that carry history, put together from bytes: the serialized rest, then stored fragments (DESIGN 1.11).

Events are never decoded here, except one by one (`read_event`): an activity poll shows fields of its scheduled event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perdure.api import enums, history, workflowservice
from perdure.api.splice import length_delimited, slice_events, split_entries, with_field
from perdure.api.times import set_timestamp
from perdure.errors import Internal
from perdure.frontend.services import Services
from perdure.frontend.tokens import HistoryToken
from perdure.machines.retry import show_policy
from perdure.machines.workflow.activity_inputs import ActivityDelivery
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery

if TYPE_CHECKING:
    from perdure.store.api import Fragment

PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""A page stops after the fragment with which it reaches this size, so that a message stays small for every client."""

PAGE_FRAGMENTS_MAX: Final = 256
"""Pages count batches of events, as the reference's do (`frontend.historyMaxPageSize`)."""

_NORMAL: Final = enums.TASK_QUEUE_KIND_NORMAL
POLL_HISTORY_FIELD: Final = workflowservice.PollWorkflowTaskQueueResponse.DESCRIPTOR.fields_by_name["history"].number


class Page:
    """Events [first, `next_event_id`) as bytes of a serialized `History`."""

    __slots__ = ("body", "next_event_id")

    def __init__(self, body: bytes, next_event_id: int) -> None:
        self.body = body
        self.next_event_id = next_event_id


async def read_page(
    services: Services, branches: tuple[tuple[bytes, int], ...], first: int, next_event_id: int, fragments_max: int
) -> Page:
    """A page from `first` on: at most `fragments_max` batches and about `PAGE_BYTES_MAX` bytes, at least one batch."""
    fragments = await services.engine.histories.read(branches, first, next_event_id, PAGE_BYTES_MAX)
    bodies: list[bytes] = []
    position = first
    for fragment in fragments[:fragments_max]:
        bodies.append(_cut(fragment, position, next_event_id))
        position = min(fragment.next_event_id, next_event_id)
    if position == first and first < next_event_id:
        raise Internal(f"history is missing from event {first} on")
    return Page(b"".join(bodies), position)


async def read_page_reverse(
    services: Services, branches: tuple[tuple[bytes, int], ...], last: int, fragments_max: int
) -> Page:
    """A page of the events up to `last`, newest first.

    `next_event_id` is the first event of it, where the next page ends.
    """
    fragments = await services.engine.histories.read(branches, 1, last + 1, PAGE_BYTES_MAX, True)
    bodies: list[bytes] = []
    position = last + 1
    for fragment in fragments[:fragments_max]:
        entries = split_entries(_cut(fragment, 1, position))
        entries.reverse()
        bodies.extend(entries)
        position = fragment.first_event_id
    if position == last + 1 and last > 0:
        raise Internal(f"history is missing up to event {last}")
    return Page(b"".join(bodies), position)


def _cut(fragment: Fragment, first: int, next_event_id: int) -> bytes:
    """A fragment's events in [first, next_event_id); nearly always all of them."""
    if fragment.first_event_id >= first and fragment.next_event_id <= next_event_id:
        return fragment.body
    return slice_events(fragment.body, first, next_event_id)


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


async def read_event(
    services: Services, branches: tuple[tuple[bytes, int], ...], event_id: int
) -> history.HistoryEvent:
    """One event, which must exist."""
    return history.HistoryEvent.FromString(await services.engine.histories.event(branches, event_id))


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


def embedded(field_number: int, messages: list[bytes]) -> bytes:
    """Serialized messages as entries of a message field."""
    return b"".join([length_delimited(field_number, message) for message in messages])
