"""History goes out in pages of whole batches, waits when asked, and ends where it should (semantics 3.10)."""

from __future__ import annotations

import asyncio

from perdure.api import common, enums, taskqueue, workflowservice
from perdure.frontend import histories
from tests.frontend.served import Served, served

HistoryRequest = workflowservice.GetWorkflowExecutionHistoryRequest
HistoryResponse = workflowservice.GetWorkflowExecutionHistoryResponse


async def _started(server: Served, signals: int = 0, size: int = 0) -> str:
    request = workflowservice.StartWorkflowExecutionRequest(
        namespace="default", workflow_id="wf", task_queue=taskqueue.TaskQueue(name="q")
    )
    request.workflow_type.name = "Wf"
    started = await server.call("StartWorkflowExecution", request, workflowservice.StartWorkflowExecutionResponse)
    for number in range(signals):
        signal = workflowservice.SignalWorkflowExecutionRequest(
            namespace="default", workflow_execution=common.WorkflowExecution(workflow_id="wf"), signal_name=str(number)
        )
        if size:
            signal.input.payloads.add(data=b"x" * size)
        await server.call("SignalWorkflowExecution", signal, workflowservice.SignalWorkflowExecutionResponse)
    return started.run_id


def _request(token: bytes = b"", size: int = 0, wait: bool = False, closes: bool = False) -> HistoryRequest:
    request = HistoryRequest(
        namespace="default",
        execution=common.WorkflowExecution(workflow_id="wf"),
        next_page_token=token,
        maximum_page_size=size,
        wait_new_event=wait,
    )
    if closes:
        request.history_event_filter_type = enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
    return request


async def _get(server: Served, request: HistoryRequest) -> HistoryResponse:
    return await server.call("GetWorkflowExecutionHistory", request, HistoryResponse)


def _ids(response: HistoryResponse) -> list[int]:
    return [event.event_id for event in response.history.events]


async def _terminate(server: Served) -> None:
    request = workflowservice.TerminateWorkflowExecutionRequest(
        namespace="default", workflow_execution=common.WorkflowExecution(workflow_id="wf")
    )
    await server.call("TerminateWorkflowExecution", request, workflowservice.TerminateWorkflowExecutionResponse)


async def test_pages_join_to_the_whole() -> None:
    """Page by page every event comes once, in order, and the last page has no token."""
    async with served() as server:
        await _started(server, signals=5)
        seen: list[int] = []
        page = await _get(server, _request(size=1))
        pages = 1
        while page.next_page_token:
            seen += _ids(page)
            page = await _get(server, _request(page.next_page_token, size=1))
            pages += 1
        seen += _ids(page)
        assert seen == list(range(1, 8))
        assert pages > 1


async def test_reverse_pages_join_to_the_whole() -> None:
    """Newest first, the same events."""
    async with served() as server:
        await _started(server, signals=5)
        seen: list[int] = []
        token = b""
        while True:
            request = workflowservice.GetWorkflowExecutionHistoryReverseRequest(
                namespace="default",
                execution=common.WorkflowExecution(workflow_id="wf"),
                next_page_token=token,
                maximum_page_size=2,
            )
            page = await server.call(
                "GetWorkflowExecutionHistoryReverse",
                request,
                workflowservice.GetWorkflowExecutionHistoryReverseResponse,
            )
            seen += [event.event_id for event in page.history.events]
            token = page.next_page_token
            if not token:
                break
        assert seen == list(range(7, 0, -1))


async def test_wait_returns_with_the_next_event() -> None:
    """All events were read: the next call waits and brings what is new (4.19)."""
    async with served() as server:
        await _started(server)
        first = await _get(server, _request(wait=True))
        assert _ids(first) == [1, 2]
        waiting = asyncio.create_task(_get(server, _request(first.next_page_token, wait=True)))
        await _terminate(server)
        last = await waiting
        assert _ids(last) == [3]
        end = await _get(server, _request(last.next_page_token, wait=True)) if last.next_page_token else last
        assert not end.next_page_token


async def test_close_filter_waits_for_the_close() -> None:
    """Nothing and no token without waiting; with it, the last event alone once the run is closed."""
    async with served() as server:
        await _started(server)
        answer = await _get(server, _request(closes=True))
        assert (_ids(answer), answer.next_page_token) == ([], b"")
        waiting = asyncio.create_task(_get(server, _request(wait=True, closes=True)))
        await _terminate(server)
        answer = await waiting
        assert [event.event_type for event in answer.history.events] == [enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED]
        assert not answer.next_page_token


async def test_long_history_of_a_task_comes_in_pages() -> None:
    """A poll's first page is bounded in bytes; its token fetches the rest, up to the task's own Started event."""
    async with served() as server:
        await _started(server, signals=4, size=histories.PAGE_BYTES_MAX // 2)
        poll = workflowservice.PollWorkflowTaskQueueRequest(
            namespace="default", task_queue=taskqueue.TaskQueue(name="q")
        )
        task = await server.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
        seen = [event.event_id for event in task.history.events]
        assert task.next_page_token
        assert task.ByteSize() < 2 * histories.PAGE_BYTES_MAX
        token = task.next_page_token
        while token:
            page = await _get(server, _request(token))
            seen += _ids(page)
            token = page.next_page_token
        assert seen == list(range(1, 8))
