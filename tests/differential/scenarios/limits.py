"""Limits of a run, made small (semantics 0.1, Appendix E; server_inventory 4.17)."""

from __future__ import annotations

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.workflowservice import v1 as rpc

from ..family import start_kid
from ..script import NAMESPACE, Script
from ..update_values import complete_with, done, idle, update
from ..values import (
    attributes,
    cancel_activity,
    command,
    continue_as_new,
    execution,
    fail_workflow,
    failure,
    memo,
    modify_memo,
    record_marker,
    start_timer,
    upsert,
)

SETTINGS = (
    "limit.blobSize.error=2000",
    "limit.blobSize.warn=1000",
    "limit.memoSize.error=1000",
    "limit.memoSize.warn=500",
    "limit.historyCount.error=40",
    "limit.historyCount.warn=30",
    "limit.historyCount.suggestContinueAsNew=20",
    "limit.historySize.error=20000",
    "limit.historySize.warn=15000",
    "limit.historySize.suggestContinueAsNew=9000",
    "limit.numPendingActivities.error=3",
    "limit.numPendingChildExecutions.error=3",
    "limit.numPendingSignals.error=3",
    "limit.numPendingCancelRequests.error=3",
    "limit.mutableStateActivityFailureSize.error=300",
    "limit.mutableStateActivityFailureSize.warn=200",
    "system.transactionSizeLimit=15000",
    "limit.maxIDLength=100",
    "history.maximumSignalsPerExecution=8",
    "history.maximumBufferedEventsBatch=4",
    "history.maxTotalUpdates=4",
    "history.maxInFlightUpdates=2",
    "frontend.searchAttributesNumberOfKeysLimit=3",
    "frontend.searchAttributesSizeOfValueLimit=40",
    "frontend.searchAttributesTotalSizeLimit=100",
)


def _bytes(count: int) -> Payloads:
    return Payloads(payloads=[Payload(data=b"x" * count)])


def suggestions(s: Script) -> None:
    """From twenty events on, continue-as-new is suggested, with the reason; so it is for a large history."""
    task = s.begin_quietly()
    for _ in range(5):
        s.complete(task, record_marker(), record_marker())
        s.signal()
        task = s.poll_quietly()
        started = task.history.events[-1].workflow_task_started_event_attributes
        s.fact("suggested", started.suggest_continue_as_new)
        s.fact("reasons", list(started.suggest_continue_as_new_reasons))
        s.fact("a size", started.history_size_bytes > 0)
    s.another("size")
    task = s.begin_quietly(input=_bytes(1900))
    for _ in range(5):
        s.complete(task, record_marker(details={"d": _bytes(1900)}))
        s.signal()
        task = s.poll_quietly()
        started = task.history.events[-1].workflow_task_started_event_attributes
        s.fact("reasons", list(started.suggest_continue_as_new_reasons))


def too_many_events(s: Script) -> None:
    """Signals and commands beyond the limit of events terminate the run."""
    task = s.begin_quietly()
    s.complete(task, *[record_marker()] * 34)
    s.signal("39")
    s.signal("41")
    s.signal("42")
    s.closed_history()
    s.describe()


def too_many_by_a_poll(s: Script) -> None:
    """The start of a task is the event too many: its run is terminated, and who polled gets no task, not an error."""
    for first in (False, True):
        s.another("who waits already" if first else "who comes later")
        s.complete(s.begin_quietly(), *[record_marker()] * 34)
        polled = s.background(s.poll_request(), rpc.PollWorkflowTaskQueueResponse, 2.5) if first else None
        if first:
            s.another_run_waits()
        s.signal()
        polled = polled or s.background(s.poll_request(), rpc.PollWorkflowTaskQueueResponse, 2.5)
        polled.join()
        s.history()


def too_many_commands(s: Script) -> None:
    """One batch beyond the limit of events."""
    s.complete(s.begin_quietly(), *[record_marker()] * 50)
    s.closed_history()
    s.describe()


def too_large(s: Script) -> None:
    """Beyond the limit of bytes: it counts what is there before a request, so one may go beyond."""
    marker = record_marker(details={"d": _bytes(1900)})
    task = s.begin_quietly(input=_bytes(1900))
    s.complete(task, *[marker] * 5, force_create_new_workflow_task=True)
    s.complete(s.poll_quietly(), *[marker] * 5)
    s.signal("within")
    s.signal("beyond")
    s.closed_history()
    s.describe()


def too_large_for_what_is_not_written(s: Script) -> None:
    """An update that has written nothing ends no run; a signal then does, and the task leaves no trace."""
    large = [record_marker(details={"d": _bytes(1500)}) for _ in range(8)]
    s.complete(s.begin_quietly(), *large, force_create_new_workflow_task=True)
    s.complete(s.poll_quietly(), *large)
    pending = update(s)
    task = s.poll_quietly()
    s.fact("messages", len(task.messages))
    s.describe()
    s.signal()
    pending.join()
    s.complete(task)
    s.describe()


def too_large_a_batch(s: Script) -> None:
    """One batch beyond what one transaction may write."""
    reply = s.send(
        s.complete_request(s.begin_quietly(), *[record_marker(details={"d": _bytes(1900)})] * 12),
        rpc.RespondWorkflowTaskCompletedResponse,
    )
    s.fact("refused", "transaction size of" in str(reply))
    event = s.await_close()
    s.fact("reason", event.workflow_execution_terminated_event_attributes.reason)
    s.fact("events", event.event_id)


def pending_activities(s: Script) -> None:
    """A fourth pending activity."""
    s.complete(s.begin_quietly(), s.activity("a"), s.activity("b"), s.activity("c"))
    s.signal()
    s.complete(s.poll_quietly(), s.activity("d"))
    s.history()
    s.complete(s.poll_quietly(), cancel_activity(5), s.activity("d"))


def pending_children(s: Script) -> None:
    """A fourth pending child."""
    s.complete(s.begin_quietly(), *[start_kid(s, workflow_id=f"kid-{n}-{s.nonce}") for n in range(4)])
    s.history()


def pending_externals(s: Script) -> None:
    """Four signals, four cancel requests in one batch."""
    for kind, fields in (
        ("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", {"execution": execution("nobody"), "signal_name": "ping"}),
        ("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", {"workflow_id": "nobody"}),
    ):
        s.another(kind)
        s.complete(s.begin_quietly(), *[command(kind, **fields)] * 4)
        s.history()


def signals(s: Script) -> None:
    """A ninth signal."""
    s.complete(s.begin_quietly())
    for number in range(10):
        s.signal(f"{number}")
    s.signal_with_start()


def buffered_events(s: Script) -> None:
    """More events in the buffer than fit: the running task is failed and the events are flushed."""
    for count in (4, 5, 7):
        s.another(f"{count} events")
        task = s.begin_quietly()
        for number in range(count):
            s.signal(f"{number}")
        s.history()
        s.complete(task)
        s.history()
        s.describe()


def updates(s: Script) -> None:
    """The fifth update of a run; a suggestion before that."""
    idle(s)
    for number in range(4):
        pending = update(s, f"u{number}")
        task = s.poll_quietly()
        started = task.history.events[-1].workflow_task_started_event_attributes
        s.fact("reasons", list(started.suggest_continue_as_new_reasons))
        complete_with(s, task, done(task))
        pending.join()
    update(s, "u4").join()


def blobs_of_requests(s: Script) -> None:
    """Every request with a payload beyond the limit."""
    large = _bytes(2001)
    s.start(input=large)
    s.signal_with_start(signal_input=large)
    s.signal_with_start(input=large)
    s.start(memo=memo(m=f'"{"m" * 1000}"'))
    s.start(header={"fields": {"h": Payload(data=b"x" * 2001)}})
    s.start(workflow_id="w" * 101)
    s.another("later")
    s.complete(s.begin_quietly(), s.activity("a"), s.activity("b"), s.activity("c"))
    s.signal(input=large)
    s.signal(name="n" * 101)
    s.signal(header={"fields": {"h": Payload(data=b"x" * 2001)}})
    s.terminate(details=large)
    tasks = s.poll_activities(3)
    s.heartbeat(tasks[0], None, details=large)
    s.complete_activity(tasks[1], result=large)
    s.fail_activity(tasks[2], failure("f" * 2001))
    s.history()
    s.describe()


def failures_of_activities(s: Script) -> None:
    """A failure that is retried is kept in part; so is one beyond the limit, of which more is left."""
    s.complete(s.begin_quietly(), s.activity("a"))
    s.fail_activity(s.poll_activity(), failure("f" * 1000))
    s.describe()
    s.another("beyond the limit")
    s.complete(s.begin_quietly(), s.activity("a"))
    s.fail_activity(s.poll_activity(), failure("f" * 2001))
    s.history()
    s.another("of a workflow task")
    s.fail_task(s.begin_quietly(), failure=failure("f" * 2001))
    s.history()


def blobs_of_commands(s: Script) -> None:
    """Every command with a payload beyond the limit: the run is terminated or its task failed."""
    large = _bytes(2001)
    for label, made in (
        ("activity", s.activity("a", input=large)),
        ("marker", record_marker(details={"d": large})),
        ("child", start_kid(s, input=large)),
        ("child's memo", start_kid(s, memo=memo(m=f'"{"m" * 1000}"'))),
        (
            "signal",
            command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", execution=execution("x"), signal_name="s", input=large),
        ),
        ("complete", command("COMPLETE_WORKFLOW_EXECUTION", result=large)),
        ("fail", fail_workflow(failure("f" * 2001))),
        ("cancel", command("CANCEL_WORKFLOW_EXECUTION", details=large)),
        ("continue", continue_as_new(input=large)),
        ("continue's memo", continue_as_new(memo=memo(m=f'"{"m" * 1000}"'))),
        ("memo", modify_memo(m=f'"{"m" * 1000}"')),
        ("attribute", upsert(DiffKeyword=f'"{"k" * 60}"')),
        ("timer", start_timer("t" * 101)),
        ("activity's id", s.activity("a" * 101)),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), made)
        s.history()


def memo_grows(s: Script) -> None:
    """A memo that grows beyond the limit by pieces that are within it."""
    task = s.begin_quietly(memo=memo(a=f'"{"m" * 600}"'))
    s.complete(task, modify_memo(b=f'"{"m" * 600}"'))
    s.history()
    s.describe()


def search_attributes(s: Script) -> None:
    """Too many, too large; at the start and later. (Texts about all together tell the length of the reference's own
    column names.)
    """
    many = {"DiffKeyword": '"k"', "DiffInt": "1", "DiffBool": "true", "DiffDouble": "1.5"}
    large = {"DiffKeyword": f'"{"k" * 60}"'}
    for label, texts in (("many", many), ("large", large)):
        s.another(label)
        s.start(search_attributes=attributes(**texts))
        s.complete(s.begin_quietly(), upsert(**texts))
        s.history()


def search_attributes_together(s: Script) -> None:
    """Too large together with those that the run has: terminated."""
    task = s.begin_quietly(search_attributes=attributes(DiffKeyword=f'"{"k" * 36}"'))
    request = s.complete_request(task, upsert(DiffText=f'"{"t" * 36}"', DiffBool="true"))
    reply = s.send(request, rpc.RespondWorkflowTaskCompletedResponse)
    s.fact("refused", "total size of search attributes" in str(reply))
    s.await_close()
    s.describe()


def namespace(s: Script) -> None:
    """Workers read the limits before they begin."""
    reply = s.send(rpc.DescribeNamespaceRequest(namespace=NAMESPACE), rpc.DescribeNamespaceResponse)
    assert isinstance(reply, rpc.DescribeNamespaceResponse)
    limits = reply.namespace_info.limits
    s.fact("blob", limits.blob_size_limit_error)
    s.fact("memo", limits.memo_size_limit_error)
