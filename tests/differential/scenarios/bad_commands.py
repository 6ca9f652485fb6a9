"""Commands the server refuses: each failed workflow task's cause and text (semantics 4, server_inventory 3.3)."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import ActivityType, Memo, Priority
from temporalio.api.taskqueue.v1 import TaskQueue

from ..script import Script
from ..values import (
    attributes,
    cancel_activity,
    cancel_timer,
    command,
    complete_workflow,
    continue_as_new,
    huge,
    memo,
    modify_memo,
    payloads,
    queue,
    record_marker,
    retry_policy,
    schedule_activity,
    seconds,
    start_timer,
    workflow_type,
)

LONG = "x" * 1001


def _each(s: Script, cases: dict[str, list[Command]]) -> None:
    """Complete a fresh workflow's first task with each list of commands."""
    for label, commands in cases.items():
        s.another(label)
        s.complete(s.begin_quietly(), *commands)
        s.history()


def no_attributes(s: Script) -> None:
    """A command without its attributes fails the task with the command's own cause."""
    kinds = (
        "SCHEDULE_ACTIVITY_TASK",
        "REQUEST_CANCEL_ACTIVITY_TASK",
        "START_TIMER",
        "CANCEL_TIMER",
        "COMPLETE_WORKFLOW_EXECUTION",
        "FAIL_WORKFLOW_EXECUTION",
        "CANCEL_WORKFLOW_EXECUTION",
        "CONTINUE_AS_NEW_WORKFLOW_EXECUTION",
        "RECORD_MARKER",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "MODIFY_WORKFLOW_PROPERTIES",
    )
    _each(s, {kind: [command(kind)] for kind in kinds})


def schedule_activity_names(s: Script) -> None:
    """BAD_SCHEDULE_ACTIVITY_ATTRIBUTES: names and queues (4.1)."""
    _each(
        s,
        {
            "no id": [schedule_activity("")],
            "long id": [schedule_activity(LONG)],
            "no type": [schedule_activity(activity_type=None)],
            "empty type": [schedule_activity(activity_type=ActivityType())],
            "long type": [schedule_activity(activity_type=ActivityType(name=LONG))],
            "long queue": [schedule_activity(task_queue=queue(LONG))],
            "reserved queue": [schedule_activity(task_queue=queue("/_sys/x/1"))],
            "no queue": [schedule_activity(task_queue=None)],
            "empty queue": [schedule_activity(task_queue=TaskQueue())],
            "negative priority": [schedule_activity(priority=Priority(priority_key=-1))],
        },
    )


def schedule_activity_times(s: Script) -> None:
    """BAD_SCHEDULE_ACTIVITY_ATTRIBUTES: timeouts and retry policies (4.1)."""
    _each(
        s,
        {
            "no timeout": [schedule_activity(start_to_close_timeout=None)],
            "only schedule to start": [
                schedule_activity(start_to_close_timeout=None, schedule_to_start_timeout=seconds(1))
            ],
            "negative start to close": [schedule_activity(start_to_close_timeout=seconds(-1))],
            "negative schedule to close": [schedule_activity(schedule_to_close_timeout=seconds(-1))],
            "negative schedule to start": [schedule_activity(schedule_to_start_timeout=seconds(-1))],
            "negative heartbeat": [schedule_activity(heartbeat_timeout=seconds(-1))],
            "mixed signs": [schedule_activity(heartbeat_timeout=Duration(seconds=1, nanos=-1))],
            "bad retry policy": [schedule_activity(retry_policy=retry_policy(1, 0.5))],
            "negative attempts": [schedule_activity(retry_policy=retry_policy(1, 1, 0, -1))],
        },
    )


def schedule_activity_duplicate(s: Script) -> None:
    """SCHEDULE_ACTIVITY_DUPLICATE_ID; the batch leaves no trace (4.1)."""
    _each(s, {"twice in one task": [schedule_activity("a"), schedule_activity("a")]})


def schedule_activity_too_big(s: Script) -> None:
    """An input over the blob limit terminates the workflow (4.0)."""
    _each(s, {"input": [schedule_activity(input=huge())]})


def cancel_unknown_activity(s: Script) -> None:
    """BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES (4.2)."""
    _each(
        s,
        {
            "zero": [cancel_activity(0)],
            "negative": [cancel_activity(-5)],
            "unknown": [cancel_activity(77)],
            "not an activity": [start_timer(), cancel_activity(5)],
            "twice": [schedule_activity(), cancel_activity(5), cancel_activity(5)],
        },
    )


def timers(s: Script) -> None:
    """BAD_START_TIMER_ATTRIBUTES, START_TIMER_DUPLICATE_ID, BAD_CANCEL_TIMER_ATTRIBUTES (4.3)."""
    _each(
        s,
        {
            "no id": [start_timer("")],
            "long id": [start_timer(LONG)],
            "negative": [start_timer("t", -1)],
            "duplicate": [start_timer("t"), start_timer("t")],
            "cancel without id": [cancel_timer("")],
            "cancel long id": [cancel_timer(LONG)],
            "cancel unknown": [cancel_timer("never")],
            "cancel twice": [start_timer("t"), cancel_timer("t"), cancel_timer("t")],
        },
    )


def closing(s: Script) -> None:
    """BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES, and results that are too big (4.4)."""
    _each(
        s,
        {
            "fail without failure": [Command(command_type=command("FAIL_WORKFLOW_EXECUTION").command_type)],
            "empty fail attributes": [_empty("FAIL_WORKFLOW_EXECUTION")],
            "huge result": [command("COMPLETE_WORKFLOW_EXECUTION", result=huge())],
            "huge cancel details": [command("CANCEL_WORKFLOW_EXECUTION", details=huge())],
            "empty result": [_empty("COMPLETE_WORKFLOW_EXECUTION")],
            "empty cancel": [_empty("CANCEL_WORKFLOW_EXECUTION")],
        },
    )


def _empty(kind: str) -> Command:
    """A command with attributes that are there but empty."""
    built = command(kind)
    getattr(built, f"{kind.lower()}_command_attributes").SetInParent()
    return built


def continue_as_new_attributes(s: Script) -> None:
    """BAD_CONTINUE_AS_NEW_ATTRIBUTES and BAD_SEARCH_ATTRIBUTES (4.5)."""
    _each(
        s,
        {
            "long type": [continue_as_new(workflow_type=workflow_type(LONG))],
            "long queue": [continue_as_new(task_queue=queue(LONG))],
            "negative run timeout": [continue_as_new(workflow_run_timeout=seconds(-1))],
            "negative task timeout": [continue_as_new(workflow_task_timeout=seconds(-1))],
            "negative backoff": [continue_as_new(backoff_start_interval=seconds(-1))],
            "bad retry policy": [continue_as_new(retry_policy=retry_policy(1, 0.5))],
            "bad cron": [continue_as_new(cron_schedule="every day")],
            "undefined attribute": [continue_as_new(search_attributes=attributes(NoSuchAttribute="1"))],
            "huge input": [continue_as_new(input=huge())],
            "huge memo": [continue_as_new(memo=Memo(fields={"m": huge().payloads[0]}))],
        },
    )


def markers(s: Script) -> None:
    """BAD_RECORD_MARKER_ATTRIBUTES (4.8)."""
    _each(
        s,
        {
            "no name": [record_marker("")],
            "long name": [record_marker(LONG)],
            "huge details": [record_marker("m", details={"d": huge()})],
        },
    )


def search_attributes(s: Script) -> None:
    """BAD_SEARCH_ATTRIBUTES (4.9)."""

    def upsert(**texts: str) -> list[Command]:
        return [command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=attributes(**texts))]

    _each(
        s,
        {
            "empty": [_empty("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")],
            "no fields": upsert(),
            "undefined": upsert(NoSuchAttribute="1"),
            "system": upsert(WorkflowType='"x"'),
            "wrong type": upsert(DiffInt='"seven"'),
            "long value": upsert(DiffKeyword='"' + "x" * 2049 + '"'),
        },
    )


def memos(s: Script) -> None:
    """BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES (4.9)."""
    _each(
        s,
        {
            "empty": [_empty("MODIFY_WORKFLOW_PROPERTIES")],
            "no fields": [command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo=memo())],
            "huge": [command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo=Memo(fields={"m": huge().payloads[0]}))],
        },
    )


def nexus_operations(s: Script) -> None:
    """Without an endpoint or an operation of that name the task fails, and says why."""
    endpoint = {"endpoint": f"none-{s.nonce}", "service": "s", "operation": "o"}
    cases = {
        "no endpoint": [start_timer(), command("SCHEDULE_NEXUS_OPERATION", **endpoint)],
        "schedule without attributes": [command("SCHEDULE_NEXUS_OPERATION")],
        "no operation": [command("REQUEST_CANCEL_NEXUS_OPERATION", scheduled_event_id=5)],
        "cancel without attributes": [command("REQUEST_CANCEL_NEXUS_OPERATION")],
    }
    _each(s, cases)


def neighbours_leave_no_trace(s: Script) -> None:
    """One bad command discards its valid neighbours, and the next attempt may send them again (3.5.8)."""
    s.complete(s.begin(), start_timer("good"), record_marker(), cancel_timer("bad"), schedule_activity())
    s.complete(s.poll(), start_timer("good"), schedule_activity())
    s.history()
    s.describe()


def commands_after_refusal(s: Script) -> None:
    """A close before a bad sequence, and a buffered signal with a bad command."""
    task = s.begin()
    s.signal()
    s.complete(task, start_timer(""), complete_workflow())
    s.complete(s.poll(), command("COMPLETE_WORKFLOW_EXECUTION", result=payloads("1")))
    s.closed_history()


def continue_as_new_search_attributes(s: Script) -> None:
    """Bad values are found after everything else of the command, sizes last (4.5)."""
    _each(
        s,
        {
            "value": [continue_as_new(search_attributes=attributes(DiffInt='"text"'))],
            "reserved": [continue_as_new(search_attributes=attributes(RunId='"text"'))],
            "value and undefined": [continue_as_new(search_attributes=attributes(DiffInt='"x"', NoSuch="1"))],
            "value and timeout": [
                continue_as_new(search_attributes=attributes(DiffInt='"x"'), workflow_run_timeout=seconds(-1))
            ],
            "undefined and timeout": [
                continue_as_new(search_attributes=attributes(NoSuch="1"), workflow_run_timeout=seconds(-1))
            ],
            "queue": [
                continue_as_new(task_queue=queue('a"b'), search_attributes=attributes(DiffInt='"text"')),
            ],
            "size": [continue_as_new(search_attributes=attributes(DiffKeyword='"' + "x" * 2049 + '"'))],
        },
    )


def merged_sizes(s: Script) -> None:
    """An upsert's limits are those of the memo and of the search attributes as they become (4.9)."""
    half = '"' + "x" * (1 << 20) + '"'
    s.another("memo")
    s.complete(s.begin_quietly(memo=memo(a=half)), modify_memo(b=half))
    s.another("memo replaced")
    s.complete(s.begin_quietly(memo=memo(a=half)), modify_memo(a='"small"', b=half))
