"""Reading histories (semantics 3.10)."""

from __future__ import annotations

from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import command, complete_workflow, execution, fail_workflow, record_marker, retry_policy, seconds

CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


def _long_history(s: Script, closed: bool) -> None:
    """A run with four completed workflow tasks."""
    s.complete(s.begin_quietly(), record_marker("0"))
    for number in range(1, 4):
        s.signal(str(number))
        last = closed and number == 3
        s.complete(s.poll_quietly(), record_marker(str(number)), *([complete_workflow()] if last else []))
    if closed:
        s.await_close()


def _pages(s: Script, request: rpc.GetWorkflowExecutionHistoryRequest) -> None:
    """Follow the pages; their bounds are the server's business, their concatenation is not."""
    ids: list[int] = []
    for _ in range(50):
        reply = s.send(request, rpc.GetWorkflowExecutionHistoryResponse)
        if not isinstance(reply, rpc.GetWorkflowExecutionHistoryResponse):
            s.record(request, rpc.GetWorkflowExecutionHistoryResponse, reply)
            return
        ids += [event.event_id for event in reply.history.events]
        request.next_page_token = reply.next_page_token
        if not reply.next_page_token:
            break
    s.fact("event ids over all pages", ids)


def page_by_page(s: Script) -> None:
    """Pages of any size give all events once, in order."""
    _long_history(s, closed=True)
    for size in (1, 2, 3, 1000):
        s.section(f"page size {size}")
        _pages(s, s.history_request(maximum_page_size=size))


def first_page(s: Script) -> None:
    """A page holds so many batches: a transaction's events, cut behind a task's start (0.3)."""
    _long_history(s, closed=True)
    for size in (1, 2, 4):
        events = s.history(maximum_page_size=size)
        s.fact(f"events on a page of {size}", len(events))


def reverse(s: Script) -> None:
    """GetWorkflowExecutionHistoryReverse gives the newest first."""
    _long_history(s, closed=True)
    request = rpc.GetWorkflowExecutionHistoryReverseRequest(namespace=NAMESPACE, execution=s.execution())
    s.call(request, rpc.GetWorkflowExecutionHistoryReverseResponse)
    request.maximum_page_size = 3
    ids: list[int] = []
    for _ in range(50):
        reply = s.send(request, rpc.GetWorkflowExecutionHistoryReverseResponse)
        if not isinstance(reply, rpc.GetWorkflowExecutionHistoryReverseResponse):
            break
        ids += [event.event_id for event in reply.history.events]
        request.next_page_token = reply.next_page_token
        if not reply.next_page_token:
            break
    s.fact("event ids over all pages", ids)


def pages_before_a_transient_task(s: Script) -> None:
    """The last page of several goes on to what is there by then: a second attempt that waits or runs, a close."""
    s.fail_task(s.begin_quietly())
    request = s.history_request(maximum_page_size=1)
    _pages(s, request)
    request.next_page_token = b""
    first = s.send(request, rpc.GetWorkflowExecutionHistoryResponse)
    assert isinstance(first, rpc.GetWorkflowExecutionHistoryResponse)
    s.poll()
    request.next_page_token = first.next_page_token
    _pages(s, request)
    s.signal()
    s.terminate()
    request.next_page_token = first.next_page_token
    _pages(s, request)
    request.wait_new_event = True
    request.next_page_token = first.next_page_token
    _pages(s, request)


def reverse_open(s: Script) -> None:
    """The reverse history of an open run shows no transient task."""
    s.fail_task(s.begin_quietly())
    s.poll_quietly()
    request = rpc.GetWorkflowExecutionHistoryReverseRequest(namespace=NAMESPACE, execution=s.execution())
    s.call(request, rpc.GetWorkflowExecutionHistoryReverseResponse)


def close_filter(s: Script) -> None:
    """F26: the close filter gives nothing on an open run and the last event on a closed one."""
    s.start()
    s.history(history_event_filter_type=CLOSE)
    s.terminate()
    s.history(history_event_filter_type=CLOSE)
    s.history(history_event_filter_type=CLOSE, wait_new_event=True)


def close_filter_waits(s: Script) -> None:
    """The close filter with wait blocks until the run closes."""
    s.start()
    request = s.history_request(history_event_filter_type=CLOSE, wait_new_event=True)
    waiting = s.background(request, rpc.GetWorkflowExecutionHistoryResponse)
    s.signal()
    s.terminate()
    waiting.join()


def wait_until_deadline(s: Script) -> None:
    """A wait that nothing ends answers an empty page with a token before its deadline."""
    s.start()
    request = s.history_request(wait_new_event=True)
    first = s.call(request, rpc.GetWorkflowExecutionHistoryResponse)
    request.next_page_token = first.next_page_token
    second = s.call(request, rpc.GetWorkflowExecutionHistoryResponse, timeout=3)
    s.fact("goes on with a token", bool(second.next_page_token))
    s.signal()
    request.next_page_token = second.next_page_token
    s.call(request, rpc.GetWorkflowExecutionHistoryResponse)


def wait_on_closed(s: Script) -> None:
    """A wait on a closed run ends with its last event and no token."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.history(wait_new_event=True)


def token_of_other_run(s: Script) -> None:
    """A page token belongs to its run."""
    _long_history(s, closed=False)
    reply = s.send(s.history_request(maximum_page_size=1), rpc.GetWorkflowExecutionHistoryResponse)
    token = b"" if not isinstance(reply, rpc.GetWorkflowExecutionHistoryResponse) else reply.next_page_token
    s.another("other run")
    s.start()
    s.history(next_page_token=token)
    s.history(next_page_token=b"garbage")
    s.history(next_page_token=b"\xff\x00\xff")


def token_outlives_current_run(s: Script) -> None:
    """Without a run id a page token stays with the run it began on."""
    s.complete(s.begin_quietly(), record_marker())
    request = s.history_request(execution=execution(s.workflow_id), maximum_page_size=1)
    reply = s.call(request, rpc.GetWorkflowExecutionHistoryResponse)
    first = s.run_id
    s.terminate()
    s.start()
    request.next_page_token = reply.next_page_token
    reply = s.call(request, rpc.GetWorkflowExecutionHistoryResponse)
    s.fact("runs differ", first != s.run_id)


def current_run_by_default(s: Script) -> None:
    """Without a run id the current run's history is read."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.start()
    s.history(execution=execution(s.workflow_id))


def page_size_bounds(s: Script) -> None:
    """Page sizes below zero and far above the limit."""
    s.start()
    s.history(maximum_page_size=-1)
    s.history(maximum_page_size=1_000_000)


def close_event_of_a_run_that_goes_on(s: Script) -> None:
    """To a client that does not follow retries and cron itself, the last event is a continuation that tells the end."""
    retried = retry_policy(0.1, 1, 0, 2)
    nothing = command("COMPLETE_WORKFLOW_EXECUTION")
    nothing.complete_workflow_execution_command_attributes.SetInParent()
    for label, fields, end in (
        ("failed", {"retry_policy": retried}, fail_workflow()),
        ("completed", {"cron_schedule": "@every 1s"}, complete_workflow()),
        ("completed with nothing", {"cron_schedule": "@every 1s"}, nothing),
        ("timed out", {"retry_policy": retried, "workflow_run_timeout": seconds(1)}, None),
    ):
        s.another(label)
        task = s.begin_quietly(**fields)
        if end is not None:
            s.complete(task, end)
        s.history(wait_new_event=True, history_event_filter_type=CLOSE)
        s.terminate(workflow_execution=s.execution(""))
