"""QueryWorkflow and RespondQueryTaskCompleted (semantics 8.1).

The run decides, in its step, whether a query is refused, rides on its next workflow task, or goes to a worker
directly. The direct way is here: the sticky queue first, then the normal one. Nothing of a query is ever stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, final

from perdure.api import Message, common, enums, query, workflowservice
from perdure.api.splice import with_field
from perdure.clock import SECOND
from perdure.config import dynamic as settings
from perdure.errors import BLOB_EXCEEDS_LIMIT, InvalidArgument, NotFound, QueryFailed, ServiceError
from perdure.frontend import validate
from perdure.frontend.histories import PAGE_FRAGMENTS_MAX, read_page
from perdure.frontend.services import Call, Services
from perdure.frontend.sizes import check_payloads
from perdure.frontend.task_responses import POLL_HISTORY_FIELD
from perdure.frontend.tokens import HistoryToken, QueryToken
from perdure.ids import ChainKey
from perdure.machines.priorities import priority_key
from perdure.machines.task_queue import WORKFLOW, QueryTask, QueueKey
from perdure.machines.workflow.builds import build_id_of
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import ResetSticky
from perdure.machines.workflow.query_inputs import (
    Query,
    QueryAbandoned,
    QueryAnswered,
    QueryBuffered,
    QueryDirect,
    QueryRejected,
)
from perdure.matching.errors import QueryTimedOut, StickyUnavailable

QUERY_S_MAX: Final = 30.0
"""How long a query waits for its answer, whatever deadline its caller has: the reference's limit of an inner call. The
CLI's queries have none, and a person waits for the word that no worker is there."""


@final
class DirectQuery:
    """What a direct query carries through matching: the run as it was, and the serialized `WorkflowQuery`."""

    __slots__ = ("body", "state", "sticky")

    def __init__(self, state: Execution, body: bytes, sticky: bool) -> None:
        self.state = state
        self.body = body
        self.sticky = sticky


async def query_workflow(
    services: Services, call: Call, request: workflowservice.QueryWorkflowRequest
) -> Message | bytes:
    """A worker's answer about the state of a run, after everything that was acknowledged before."""
    if services.config.get(settings.SYSTEM_DISALLOW_QUERY, call.namespace.name):
        raise InvalidArgument("Namespace is not allowed to query, please contact temporal team to re-enable queries.")
    target = request.execution
    validate.execution(target, request.HasField("execution"))
    if not request.HasField("query"):
        raise InvalidArgument("WorkflowQuery is not set on request.")
    if not request.query.query_type:
        raise InvalidArgument("QueryType is not set on request.")
    check_payloads(services, call, request.query.query_args)
    now_s = services.loop.time()
    remaining = call.remaining_s(now_s)
    wait_s = QUERY_S_MAX if remaining is None else min(remaining, QUERY_S_MAX)
    asked = _Asked(services, call.key(target.workflow_id), request, now_s + wait_s)
    outcome = await asked.ask(target.run_id, wait_s)
    response = workflowservice.QueryWorkflowResponse()
    if isinstance(outcome, QueryRejected):
        response.query_rejected.status = outcome.status  # type: ignore[assignment]  # wire numbers are plain ints
    else:
        assert isinstance(outcome, QueryAnswered)
        if outcome.result is not None:
            response.query_result.SetInParent()
            response.query_result.MergeFromString(outcome.result)
    return response


@final
class _Asked:
    """One query on its way. `ends_at` is loop time."""

    __slots__ = ("_body", "_ends_at", "_key", "_query_id", "_reject", "_services")

    def __init__(
        self, services: Services, key: ChainKey, request: workflowservice.QueryWorkflowRequest, ends_at: float
    ) -> None:
        self._services = services
        self._key = key
        self._query_id = services.ids.request_id()
        self._body = request.query.SerializeToString()
        self._reject = int(request.query_reject_condition) or enums.QUERY_REJECT_CONDITION_NONE
        self._ends_at = ends_at

    async def ask(self, run_id: str, wait_s: float) -> object:
        """`QueryRejected` or `QueryAnswered`; raises what the query or its dispatch fails with."""
        services = self._services
        waiter, answer = services.engine.waiters.new()
        deadline = services.clock.now_ns() + int(wait_s * SECOND)
        try:
            outcome = await services.engine.submit(
                self._key, Query(run_id, self._query_id, self._body, self._reject, waiter, deadline)
            )
            if isinstance(outcome, QueryBuffered):
                outcome = await self._buffered(outcome.run_id, answer)
        finally:
            answer.cancel()
        if isinstance(outcome, QueryDirect):
            state = outcome.state
            assert isinstance(state, Execution)
            return await self._direct(state)
        return outcome

    async def _buffered(self, run_id: str, answer: asyncio.Future[object]) -> object:
        """What the worker that gets the next workflow task says.

        Who leaves early gives the place in the run's buffer back.
        """
        try:
            await asyncio.wait((answer,), timeout=self._ends_at - self._services.loop.time())
            if answer.done():
                return answer.result()
            raise QueryTimedOut
        finally:
            if not answer.done():
                with contextlib.suppress(NotFound):
                    await self._services.engine.submit(self._key, QueryAbandoned(run_id, self._query_id))

    async def _direct(self, state: Execution) -> object:
        services = self._services
        if state.sticky_queue and services.config.get(settings.SYSTEM_ENABLE_STICKY_QUERY, state.info.namespace):
            timeout_s = min(state.sticky_timeout / SECOND, self._ends_at - services.loop.time())
            try:
                return await self._dispatch(state, True, timeout_s)
            except (StickyUnavailable, QueryTimedOut):
                if state.running:
                    await self._leave_sticky(state.info.run_id)
        return await self._dispatch(state, False, self._ends_at - services.loop.time())

    async def _dispatch(self, state: Execution, sticky: bool, timeout_s: float) -> object:
        if timeout_s <= 0:
            raise QueryTimedOut
        services = self._services
        info = state.info
        name = state.sticky_queue if sticky else info.task_queue
        task = QueryTask(
            services.ids.request_id(),
            DirectQuery(state, self._body, sticky),
            priority_key(info.priority),
            build_id_of(state),
            info.run_id,
        )
        outcome = await services.matching.query(QueueKey(info.namespace_id, name, WORKFLOW, sticky), task, timeout_s)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    async def _leave_sticky(self, run_id: str) -> None:
        try:
            await self._services.engine.submit(self._key, ResetSticky(run_id))
        except NotFound:
            return


async def query_task_response(services: Services, namespace_id: str, queue: str, task: QueryTask) -> bytes:
    """A serialized PollWorkflowTaskQueueResponse that asks a worker a query; no workflow task is started."""
    asked = task.payload
    assert isinstance(asked, DirectQuery)
    state = asked.state
    info = state.info
    response = workflowservice.PollWorkflowTaskQueueResponse(
        task_token=services.tokens.query_task(QueryToken(namespace_id, queue, task.task_id)),
        workflow_execution=common.WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
        workflow_type=common.WorkflowType(name=info.workflow_type),
        previous_started_event_id=state.last_completed_started_event_id,
        attempt=1,
        query=query.WorkflowQuery.FromString(asked.body),
    )
    response.workflow_execution_task_queue.name = info.task_queue
    response.workflow_execution_task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    body = b""
    if not asked.sticky:
        page = await read_page(services, state.branches, 1, state.next_event_id, PAGE_FRAGMENTS_MAX)
        body = page.body
        if page.next_event_id < state.next_event_id:
            rest = HistoryToken(info.run_id, page.next_event_id, state.next_event_id, False, state.branches)
            response.next_page_token = services.tokens.history_page(namespace_id, info.workflow_id, rest)
    return with_field(response.SerializeToString(), POLL_HISTORY_FIELD, body)


async def respond_query_task_completed(
    services: Services, call: Call, request: workflowservice.RespondQueryTaskCompletedRequest
) -> Message | bytes:
    """A worker's answer to a directly dispatched query; NotFound when nobody waits for it any more."""
    token = call.query_token
    assert token is not None, "an interceptor has opened the token"
    limit = services.view(call).limits.blob_size
    outcome: QueryAnswered | QueryFailed
    if call.may_exceed(limit) and request.query_result.ByteSize() > limit:
        outcome = QueryFailed(BLOB_EXCEEDS_LIMIT)
    elif request.completed_type == enums.QUERY_RESULT_TYPE_ANSWERED:
        named = request.HasField("query_result")
        outcome = QueryAnswered(request.query_result.SerializeToString() if named else None)
    elif request.completed_type == enums.QUERY_RESULT_TYPE_FAILED:
        failure = request.failure.SerializeToString() if request.HasField("failure") else b""
        outcome = QueryFailed(request.error_message, failure)
    else:
        raise InvalidArgument("Query completion type is not set on request.")
    if not services.matching.answer_query(token.task_id, outcome):
        raise NotFound("query task not found, or already expired")
    return workflowservice.RespondQueryTaskCompletedResponse()
