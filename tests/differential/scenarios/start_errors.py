"""Starting workflows: refused requests, each with its text (semantics 2.1)."""

from __future__ import annotations

from typing import Any as Anything

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Link, Priority, RetryPolicy
from temporalio.api.enums.v1 import TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import OnConflictOptions

from ..script import Script
from ..values import attributes, huge, payload, queue, retry_policy, seconds, workflow_type

LONG = "x" * 1001
"""One byte over limit.maxIDLength."""


def _refused(s: Script, cases: dict[str, dict[str, Anything]]) -> None:
    """Send each start; every case has a workflow id of its own unless it says otherwise."""
    for label, fields in cases.items():
        s.another(label)
        s.start(**fields)


def names(s: Script) -> None:
    """Missing and overlong names (2.1.2, 2.1.5)."""
    _refused(
        s,
        {
            "no namespace": {"namespace": None},
            "unknown namespace": {"namespace": "no-such-namespace"},
            "long namespace": {"namespace": LONG},
            "no workflow id": {"workflow_id": None},
            "long workflow id": {"workflow_id": LONG},
            "no type": {"workflow_type": None},
            "empty type": {"workflow_type": workflow_type("")},
            "long type": {"workflow_type": workflow_type(LONG)},
            "no task queue": {"task_queue": None},
            "empty task queue": {"task_queue": TaskQueue()},
            "long task queue": {"task_queue": queue(LONG)},
            "reserved task queue": {"task_queue": queue("/_sys/mine/1")},
            "sticky task queue": {"task_queue": queue("q", TaskQueueKind.TASK_QUEUE_KIND_STICKY)},
            "internal task queue": {"task_queue": queue("temporal-sys-mine")},
            "long request id": {"request_id": LONG},
            "long identity": {"identity": LONG},
            "limit is in bytes": {"workflow_id": "\u00e9" * 501},
        },
    )


def durations(s: Script) -> None:
    """Negative and malformed timeouts (2.1.6)."""
    _refused(
        s,
        {
            "negative execution timeout": {"workflow_execution_timeout": seconds(-1)},
            "negative run timeout": {"workflow_run_timeout": seconds(-1)},
            "negative task timeout": {"workflow_task_timeout": seconds(-1)},
            "mixed signs": {"workflow_run_timeout": Duration(seconds=1, nanos=-1)},
            "nanos out of range": {"workflow_run_timeout": Duration(nanos=1_000_000_000)},
            "negative delay": {"workflow_start_delay": seconds(-1)},
            "delay and cron": {"workflow_start_delay": seconds(1), "cron_schedule": "* * * * *"},
        },
    )


def retry_policies(s: Script) -> None:
    """Bad retry policies (2.1.3)."""
    _refused(
        s,
        {
            "negative initial": {"retry_policy": retry_policy(-1)},
            "small coefficient": {"retry_policy": retry_policy(1, 0.5)},
            "negative coefficient": {"retry_policy": retry_policy(1, -1)},
            "negative maximum": {"retry_policy": retry_policy(1, 1, -1)},
            "maximum below initial": {"retry_policy": retry_policy(10, 1, 5)},
            "negative attempts": {"retry_policy": retry_policy(1, 1, 0, -1)},
            "unknown timeout type": {"retry_policy": retry_policy(1, 1, 0, 0, "TemporalTimeout:Never")},
            "timeout type of the protos": {
                "retry_policy": retry_policy(1, 1, 0, 0, "TemporalTimeout:TIMEOUT_TYPE_HEARTBEAT")
            },
            "half of that": {"retry_policy": retry_policy(1, 1, 0, 0, "TemporalTimeout:HEARTBEAT")},
            "no timeout type": {"retry_policy": retry_policy(1, 1, 0, 0, "TemporalTimeout:Unspecified")},
            "one attempt skips validation": {"retry_policy": RetryPolicy(maximum_attempts=1, backoff_coefficient=0.1)},
        },
    )


def policies(s: Script) -> None:
    """Incompatible id policies and conflict options (2.1.7, 2.1.8)."""
    terminate_if_running = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    reject = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
    use_existing = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
    terminate = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    _refused(
        s,
        {
            "terminate twice": {
                "workflow_id_reuse_policy": terminate_if_running,
                "workflow_id_conflict_policy": terminate,
            },
            "terminate if running and use existing": {
                "workflow_id_reuse_policy": terminate_if_running,
                "workflow_id_conflict_policy": use_existing,
            },
            "reject and terminate": {
                "workflow_id_reuse_policy": reject,
                "workflow_id_conflict_policy": terminate,
            },
            "callbacks without request id": {
                "workflow_id_conflict_policy": use_existing,
                "on_conflict_options": OnConflictOptions(attach_completion_callbacks=True),
            },
            "unknown reuse policy": {"workflow_id_reuse_policy": 77},
        },
    )


def search_attributes(s: Script) -> None:
    """Undefined, reserved and badly typed search attributes (14.3)."""
    _refused(
        s,
        {
            "undefined": {"search_attributes": attributes(NoSuchAttribute='"x"')},
            "system": {"search_attributes": attributes(WorkflowId='"x"')},
            "system list": {"search_attributes": attributes(ExecutionStatus='"Running"')},
            "deployment": {"search_attributes": attributes(TemporalWorkerDeployment='"x"')},
            "whitelisted": {"search_attributes": attributes(BuildIds='["x"]')},
            "int given text": {"search_attributes": attributes(DiffInt='"seven"')},
            "bool given text": {"search_attributes": attributes(DiffBool='"yes"')},
            "double given int": {"search_attributes": attributes(DiffDouble="3")},
            "datetime given text": {"search_attributes": attributes(DiffDatetime='"yesterday"')},
            "keyword given number": {"search_attributes": attributes(DiffKeyword="3")},
            "value too long": {"search_attributes": attributes(DiffKeyword='"' + "x" * 2049 + '"')},
        },
    )


def priorities(s: Script) -> None:
    """Bad priorities (2.1.9)."""
    _refused(
        s,
        {
            "negative key": {"priority": Priority(priority_key=-1)},
            "large key": {"priority": Priority(priority_key=99)},
            "long fairness key": {"priority": Priority(fairness_key="f" * 65)},
            "negative weight": {"priority": Priority(fairness_weight=-1)},
        },
    )


def links_and_metadata(s: Script) -> None:
    """Bad links, and long user metadata, which 1.32 accepts (2.1.10, 2.1.11)."""
    batch = Link(batch_job=Link.BatchJob(job_id="job"))
    _refused(
        s,
        {
            "empty link": {"links": [Link()]},
            "empty workflow link": {"links": [Link(workflow_event=Link.WorkflowEvent())]},
            "batch link": {"links": [batch]},
            "eleven links": {"links": [batch] * 11},
            "long link": {"links": [Link(batch_job=Link.BatchJob(job_id="j" * 4001))]},
            "long summary": {"user_metadata": UserMetadata(summary=payload('"' + "s" * 400 + '"'))},
            "long details": {"user_metadata": UserMetadata(details=payload('"' + "d" * 20_000 + '"'))},
        },
    )


def too_big(s: Script) -> None:
    """Input and memo over the blob limit (2.1)."""
    s.start(input=huge())
    s.another("memo")
    s.start(memo={"fields": {"m": huge().payloads[0]}})


def signal_with_start(s: Script) -> None:
    """SignalWithStart validates what start does, and the signal's name."""
    policy = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL
    reject = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
    terminate = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    cases: dict[str, dict[str, Anything]] = {
        "no signal name": {"signal_name": None},
        "long signal name": {"signal_name": LONG},
        "no workflow id": {"workflow_id": None},
        "no type": {"workflow_type": None},
        "no task queue": {"task_queue": None},
        "long request id": {"request_id": LONG},
        "delay and cron": {"workflow_start_delay": seconds(1), "cron_schedule": "* * * * *"},
        "bad retry policy": {"retry_policy": retry_policy(-1)},
        "bad timeout": {"workflow_run_timeout": seconds(-1)},
        "reject and terminate": {"workflow_id_reuse_policy": reject, "workflow_id_conflict_policy": terminate},
        "unknown namespace": {"namespace": "no-such-namespace"},
        "conflict policy fail is allowed": {"workflow_id_conflict_policy": policy},
        "signal too big": {"signal_input": huge()},
        "undefined attribute": {"search_attributes": attributes(NoSuchAttribute='"x"')},
    }
    for label, fields in cases.items():
        s.another(label)
        s.signal_with_start(**fields)


def long_message(s: Script) -> None:
    """A text of more than 4,000 bytes is cut, and says so (Appendix C)."""
    s.start(search_attributes=attributes(**{"X" * 6000: "1"}))
    s.signal_with_start(search_attributes=attributes(**{"X" * 6000: "1"}))
