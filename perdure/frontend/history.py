"""GetWorkflowExecutionHistory, with long poll and close filter, and its reverse (semantics 3.10, inventory 4.19)."""

from __future__ import annotations

import contextlib
from typing import Final

from perdure.api import Message, enums, failures, history, workflowservice
from perdure.api.splice import with_field
from perdure.clock import SECOND
from perdure.config import dynamic as settings
from perdure.errors import NotFound
from perdure.frontend import archival, validate
from perdure.frontend.histories import PAGE_FRAGMENTS_MAX, read_page, read_page_reverse
from perdure.frontend.services import POLL_TAIL_S, Call, Services
from perdure.frontend.tokens import HistoryToken
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.workflow_task import transient_events

_HISTORY_FIELD: Final = workflowservice.GetWorkflowExecutionHistoryResponse.DESCRIPTOR.fields_by_name["history"].number
_REVERSE_FIELD: Final = workflowservice.GetWorkflowExecutionHistoryReverseResponse.DESCRIPTOR.fields_by_name[
    "history"
].number

_NEVER: Final = 1 << 62
"""Waiting for events from here on is waiting for the close."""

_TOOLS: Final = frozenset({"temporal-cli", "temporal-ui"})
"""Clients that are not shown events without a place in history yet."""

FOLLOWS_NEXT_RUN_ID: Final = "follows-next-run-id"
"""The feature of clients that follow `new_execution_run_id` themselves (server_inventory 2.3)."""


async def get_workflow_execution_history(
    services: Services, call: Call, request: workflowservice.GetWorkflowExecutionHistoryRequest
) -> Message | bytes:
    """A page of a run's events; with `wait_new_event` it waits for more once all were read."""
    validate.execution(request.execution, request.HasField("execution"))
    size = _page_size(services, call, request.maximum_page_size)
    read = _Reading(services, call, request)
    try:
        await read.locate()
    except NotFound:
        if not archival.may_hold(services, call, request):
            raise
        return await archival.archived_history(services, call, request, size)
    if read.archived:
        return await archival.archived_history(services, call, request, size)
    if request.history_event_filter_type == enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT:
        return await read.close_event()
    return await read.events(size)


def _page_size(services: Services, call: Call, asked: int) -> int:
    if asked <= 0:
        asked = services.config.get(settings.FRONTEND_HISTORY_MAX_PAGE_SIZE, call.namespace.name)
    return min(asked, PAGE_FRAGMENTS_MAX)


class _Reading:
    """One request for history: where it stands and what is known of the run."""

    __slots__ = ("_call", "_execution", "_key", "_request", "_services", "_token")

    def __init__(
        self, services: Services, call: Call, request: workflowservice.GetWorkflowExecutionHistoryRequest
    ) -> None:
        self._services = services
        self._call = call
        self._request = request
        self._key = call.key(request.execution.workflow_id)
        self._execution: Execution | None = None
        """The run as it was during this request, if it was looked at."""
        self._token = HistoryToken("", 1, 1, False, ())

    async def locate(self) -> None:
        """Find out which events are due: from the token, or anew; this is where a long poll waits."""
        request = self._request
        target = request.execution
        closes = request.history_event_filter_type == enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
        if not request.next_page_token:
            if closes and request.wait_new_event:
                run_id = target.run_id or (await self._current("")).info.run_id
                self._at(await self._wait(run_id, _NEVER), 1)
            else:
                self._at(await self._current(target.run_id), 1)
            return
        token = self._services.tokens.open_history_page(
            self._call.namespace.id, target.workflow_id, target.run_id, request.next_page_token
        )
        self._token = token
        if closes:
            execution = (
                await self._wait(token.run_id, _NEVER) if request.wait_new_event else await self._current(token.run_id)
            )
            self._at(execution, 1)
        elif token.first_event_id >= token.next_event_id and request.wait_new_event and token.running:
            self._at(await self._wait(token.run_id, token.next_event_id), token.next_event_id)

    @property
    def archived(self) -> bool:
        """Whether the pages before came from the archive: its runs have no branches."""
        return not self._token.branches

    def _at(self, execution: Execution, first_event_id: int) -> None:
        self._execution = execution
        self._token = HistoryToken(
            execution.info.run_id,
            first_event_id,
            execution.next_event_id,
            execution.running,
            execution.branches,
        )

    async def _current(self, run_id: str) -> Execution:
        return await self._services.snapshot(self._key, run_id)

    async def _wait(self, run_id: str, next_event_id: int) -> Execution:
        """The run once it has more events or is closed, or as it is when the time is up."""
        services = self._services
        name = self._call.namespace.name
        wait_s = services.config.get(settings.HISTORY_LONG_POLL_EXPIRATION_INTERVAL, name) / SECOND
        remaining = self._call.remaining_s(services.loop.time())
        if remaining is not None:
            wait_s = min(wait_s, remaining - POLL_TAIL_S)
        return await services.engine.watchers.wait(self._key, run_id, next_event_id, max(0.0, wait_s))

    async def close_event(self) -> Message | bytes:
        """Nothing until the run is closed, then its last event alone.

        Who does not wait gets the last event of a paused run too: the CLI asks so whenever a run is not "running".
        """
        token = self._token
        paused = self._execution is not None and self._execution.paused
        if token.running and (self._request.wait_new_event or not paused):
            return self._answer(b"", token if self._request.wait_new_event else None)
        page = await read_page(self._services, token.branches, token.next_event_id - 1, token.next_event_id, 1)
        return self._answer(self._for_client(page.body), None)

    def _for_client(self, body: bytes) -> bytes:
        """Clients that do not follow a retried or cron run themselves are told that the run continued as new."""
        if FOLLOWS_NEXT_RUN_ID in self._call.header("supported-features").split(","):
            return body
        event = history.History.FromString(body).events[0]
        kind = event.WhichOneof("attributes") or ""
        new_run_id = getattr(getattr(event, kind, None), "new_execution_run_id", "")
        if not new_run_id or event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
            return body
        shown = history.HistoryEvent()
        shown.CopyFrom(event)
        shown.ClearField(kind)  # type: ignore[arg-type]  # the name is the message's own
        shown.event_type = enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
        continued = shown.workflow_execution_continued_as_new_event_attributes
        continued.new_execution_run_id = new_run_id
        _tell_the_end(event, continued)
        return history.History(events=[shown]).SerializeToString()

    async def events(self, fragments_max: int) -> Message | bytes:
        """The next page of events. The last one of several goes on to where the run has come meanwhile.

        A wait without news answers nothing at all: what a pending task shows was on the page before.
        """
        waits = self._request.wait_new_event
        if self._token.first_event_id >= self._token.next_event_id:
            return self._answer(b"", self._token if self._token.running and waits else None)
        body = await self._page(fragments_max)
        if self._execution is None and self._token.running and self._token.first_event_id >= self._token.next_event_id:
            with contextlib.suppress(NotFound):
                self._at(await self._current(self._token.run_id), self._token.first_event_id)
                body += await self._page(fragments_max)
        token = self._token
        if token.first_event_id < token.next_event_id:
            return self._answer(body, token)
        body += token.transient or self._pending_events()
        return self._answer(body, token if token.running and waits else None)

    async def _page(self, fragments_max: int) -> bytes:
        """The events that come next; the token moves behind them."""
        token = self._token
        if token.first_event_id >= token.next_event_id:
            return b""
        page = await read_page(self._services, token.branches, token.first_event_id, token.next_event_id, fragments_max)
        self._token = HistoryToken(
            token.run_id, page.next_event_id, token.next_event_id, token.running, token.branches, token.transient
        )
        return page.body

    def _pending_events(self) -> bytes:
        """Synthetic events of a pending transient task, which SDKs expect behind the last page of an open run."""
        execution = self._execution
        if execution is None or not execution.running or self._call.header("client-name") in _TOOLS:
            return b""
        return transient_events(execution)

    def _answer(self, body: bytes, rest: HistoryToken | None) -> bytes:
        response = workflowservice.GetWorkflowExecutionHistoryResponse()
        if rest is not None:
            response.next_page_token = self._services.tokens.history_page(
                self._call.namespace.id, self._request.execution.workflow_id, rest
            )
        return with_field(response.SerializeToString(), _HISTORY_FIELD, body)


async def get_workflow_execution_history_reverse(
    services: Services, call: Call, request: workflowservice.GetWorkflowExecutionHistoryReverseRequest
) -> Message | bytes:
    """A page of a run's events, newest first; it never waits."""
    target = request.execution
    validate.execution(target, request.HasField("execution"))
    size = _page_size(services, call, request.maximum_page_size)
    if request.next_page_token:
        token = services.tokens.open_reverse_page(
            call.namespace.id, target.workflow_id, target.run_id, request.next_page_token
        )
    else:
        execution = await services.snapshot(call.key(target.workflow_id), target.run_id)
        token = HistoryToken(execution.info.run_id, 1, execution.next_event_id, False, execution.branches)
    page = await read_page_reverse(services, token.branches, token.next_event_id - 1, size)
    response = workflowservice.GetWorkflowExecutionHistoryReverseResponse()
    if page.next_event_id > 1:
        rest = HistoryToken(token.run_id, 1, page.next_event_id, False, token.branches)
        response.next_page_token = services.tokens.reverse_page(call.namespace.id, target.workflow_id, rest)
    return with_field(response.SerializeToString(), _REVERSE_FIELD, page.body)


def _tell_the_end(event: history.HistoryEvent, shown: history.WorkflowExecutionContinuedAsNewEventAttributes) -> None:
    """What the run ended with, where its closing event is shown as a continuation."""
    if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
        shown.failure.CopyFrom(failures.timeout_failure("workflow timeout", enums.TIMEOUT_TYPE_START_TO_CLOSE))
    elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        shown.failure.CopyFrom(event.workflow_execution_failed_event_attributes.failure)
    elif event.workflow_execution_completed_event_attributes.HasField("result"):
        shown.last_completion_result.CopyFrom(event.workflow_execution_completed_event_attributes.result)
