"""What is looked at when a story is over: earlier runs, histories in pages, backwards, by their last event; lists.

All of it rests by then, but lists of the reference come after a while: they are asked for until they say what Describe
says.
"""

from __future__ import annotations

from temporalio.api.enums.v1 import EventType, HistoryEventFilterType, WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice import v1 as rpc

from .. import values
from ..script import NAMESPACE, Script
from ..wire import RpcFailed
from .story import Story

CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
OPEN = (
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
)


def look_back(story: Story) -> None:
    """Everything there is to see of the story's runs."""
    s = story.s
    s.section("looking back")
    kept = [run_id for run_id in story.runs if run_id in (s.run_id, *story.older_runs)]
    for run_id in kept:
        if run_id != s.run_id:
            s.describe(execution=s.execution(run_id))
        s.history(execution=s.execution(run_id), wait_new_event=True, history_event_filter_type=CLOSE)
    _pages(s, 1 + len(kept) % 4)
    _backwards(s)
    _lists(story, set(kept))


def _pages(s: Script, size: int) -> None:
    """The history of the last run, page by page. Where a page ends is the server's own affair: batches stay whole."""
    request = s.history_request(maximum_page_size=size)
    found: list[int] = []
    while True:
        reply = s.send(request, rpc.GetWorkflowExecutionHistoryResponse)
        if isinstance(reply, RpcFailed):
            s.show_error(reply)
            return
        found += [event.event_id for event in reply.history.events]
        if not reply.next_page_token:
            break
        request.next_page_token = reply.next_page_token
    s.fact(f"in pages of {size}", found)


def _backwards(s: Script) -> None:
    request = rpc.GetWorkflowExecutionHistoryReverseRequest(
        namespace=NAMESPACE, execution=s.execution(), maximum_page_size=1000
    )
    reply = s.send(request, rpc.GetWorkflowExecutionHistoryReverseResponse)
    if isinstance(reply, RpcFailed):
        s.show_error(reply)
        return
    s.fact("backwards", [f"{event.event_id} {EventType.Name(event.event_type)}" for event in reply.history.events])


def _lists(story: Story, kept: set[str]) -> None:
    """The runs of this story and of its kin, as a list shows them.

    Not while older runs are being deleted, and not of kin's earlier runs, of which nothing here knows when they rest.
    """
    s = story.s
    latest = {run_id: s.execution(run_id) for run_id in kept}
    for name in sorted(story.kids) + [story.other_id] * story.has_other:
        execution = story.describe_quietly(values.execution(name)).workflow_execution_info.execution
        if execution.run_id:
            latest[execution.run_id] = execution
    lengths = {
        run_id: story.describe_quietly(execution).workflow_execution_info.history_length
        for run_id, execution in latest.items()
    }
    names = sorted({execution.workflow_id for execution in latest.values()})
    query = "WorkflowId IN (" + ", ".join(f"'{name}'" for name in names) + ")"
    request = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)

    def says_so(reply: rpc.ListWorkflowExecutionsResponse) -> bool:
        shown = {one.execution.run_id: one for one in reply.executions}
        return all(
            run_id in shown and shown[run_id].status not in OPEN and shown[run_id].history_length == length
            for run_id, length in lengths.items()
        )

    reply = s.eventually(request, rpc.ListWorkflowExecutionsResponse, says_so, record=False)
    found = sorted((one for one in reply.executions if one.execution.run_id in latest), key=_place)
    s.record(request, rpc.ListWorkflowExecutionsResponse, rpc.ListWorkflowExecutionsResponse(executions=found))


def _place(one: WorkflowExecutionInfo) -> tuple[str, int]:
    return one.execution.workflow_id, one.start_time.ToNanoseconds()
