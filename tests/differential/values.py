"""Short constructors of the messages that scenarios are full of.

Exists to keep a scenario's lines about the behaviour in question. Nothing here has defaults that a server would
fill in.
"""

from __future__ import annotations

from typing import Any as Anything

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import (
    ActivityType,
    Header,
    Memo,
    Payload,
    Payloads,
    RetryPolicy,
    SearchAttributes,
    WorkflowExecution,
    WorkflowType,
)
from temporalio.api.enums.v1 import CommandType, TaskQueueKind
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue

BLOB_LIMIT = 2 * 1024 * 1024
"""Bytes; `limit.blobSize.error` (Appendix E)."""


def payload(text: str, kind: str = "") -> Payload:
    """A JSON payload; `kind` is the search attribute type in its metadata."""
    metadata = {"encoding": b"json/plain"}
    if kind:
        metadata["type"] = kind.encode()
    return Payload(metadata=metadata, data=text.encode())


def payloads(*texts: str) -> Payloads:
    return Payloads(payloads=[payload(text) for text in texts])


def huge() -> Payloads:
    """One payload over the blob size limit."""
    return Payloads(payloads=[Payload(data=b"x" * (BLOB_LIMIT + 1))])


def memo(**texts: str) -> Memo:
    return Memo(fields={key: payload(text) for key, text in texts.items()})


def header(**texts: str) -> Header:
    return Header(fields={key: payload(text) for key, text in texts.items()})


def attributes(**texts: str) -> SearchAttributes:
    """Search attributes without type metadata: the server adds it."""
    return SearchAttributes(indexed_fields={key: payload(text) for key, text in texts.items()})


def seconds(value: float) -> Duration:
    """A duration; negative values are what validation tests need."""
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))


def queue(
    name: str, kind: TaskQueueKind.ValueType = TaskQueueKind.TASK_QUEUE_KIND_NORMAL, normal: str = ""
) -> TaskQueue:
    return TaskQueue(name=name, kind=kind, normal_name=normal)


def sticky(name: str, schedule_to_start: float = 10.0) -> StickyExecutionAttributes:
    return StickyExecutionAttributes(
        worker_task_queue=queue(name, TaskQueueKind.TASK_QUEUE_KIND_STICKY),
        schedule_to_start_timeout=seconds(schedule_to_start),
    )


def execution(workflow_id: str, run_id: str = "") -> WorkflowExecution:
    return WorkflowExecution(workflow_id=workflow_id, run_id=run_id)


def retry_policy(
    initial: float = 1.0, coefficient: float = 1.0, maximum: float = 0.0, attempts: int = 0, *types: str
) -> RetryPolicy:
    """A retry policy; zero `maximum` leaves the maximum interval unset."""
    policy = RetryPolicy(
        initial_interval=seconds(initial),
        backoff_coefficient=coefficient,
        maximum_attempts=attempts,
        non_retryable_error_types=types,
    )
    if maximum:
        policy.maximum_interval.CopyFrom(seconds(maximum))
    return policy


def failure(message: str = "boom", kind: str = "Kind", non_retryable: bool = False, **fields: Anything) -> Failure:
    """An application failure as an SDK sends it."""
    info = ApplicationFailureInfo(type=kind, non_retryable=non_retryable, **fields)
    return Failure(message=message, source="PythonSDK", application_failure_info=info)


def command(kind: str, **fields: Anything) -> Command:
    """A command by the middle of its enum name: `command("START_TIMER", timer_id="t")`. No fields: no attributes."""
    built = Command(command_type=CommandType.Value(f"COMMAND_TYPE_{kind}"))
    if fields:
        name = f"{kind.lower()}_command_attributes"
        slot = getattr(built, name)
        slot.CopyFrom(type(slot)(**fields))
    return built


def schedule_activity(activity_id: str = "a", **fields: Anything) -> Command:
    """An activity with a start-to-close timeout of 30 s on the queue "activities", unless the fields say otherwise."""
    given: dict[str, Anything] = {
        "activity_type": ActivityType(name="Act"),
        "task_queue": queue("activities"),
        "start_to_close_timeout": seconds(30),
    }
    given |= fields
    present = {key: value for key, value in given.items() if value is not None}
    return command("SCHEDULE_ACTIVITY_TASK", activity_id=activity_id, **present)


def start_timer(timer_id: str = "t", after: float = 3600.0) -> Command:
    return command("START_TIMER", timer_id=timer_id, start_to_fire_timeout=seconds(after))


def cancel_timer(timer_id: str = "t") -> Command:
    return command("CANCEL_TIMER", timer_id=timer_id)


def cancel_activity(scheduled_event_id: int) -> Command:
    return command("REQUEST_CANCEL_ACTIVITY_TASK", scheduled_event_id=scheduled_event_id)


def complete_workflow(result: str = '"done"') -> Command:
    return command("COMPLETE_WORKFLOW_EXECUTION", result=payloads(result))


def fail_workflow(cause: Failure | None = None) -> Command:
    return command("FAIL_WORKFLOW_EXECUTION", failure=cause or failure())


def cancel_workflow(details: str = '"why"') -> Command:
    return command("CANCEL_WORKFLOW_EXECUTION", details=payloads(details))


def continue_as_new(**fields: Anything) -> Command:
    return command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", **(fields or {"input": payloads('"next"')}))


def record_marker(name: str = "marker", **fields: Anything) -> Command:
    return command("RECORD_MARKER", marker_name=name, **fields)


def upsert(**texts: str) -> Command:
    return command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=attributes(**texts))


def modify_memo(**texts: str) -> Command:
    return command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo=memo(**texts))


def workflow_type(name: str) -> WorkflowType:
    return WorkflowType(name=name)
