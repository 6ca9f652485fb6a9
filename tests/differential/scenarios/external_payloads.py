"""Payloads whose data is kept elsewhere: how many and how large they are is told of a run."""

from __future__ import annotations

from temporalio.api.common.v1 import Header, Payload, Payloads
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import command, complete_workflow, continue_as_new, failure, modify_memo, record_marker


def _payload(*sizes: int) -> Payload:
    return Payload(data=b"where", external_payloads=[Payload.ExternalPayloadDetails(size_bytes=size) for size in sizes])


def _payloads(*sizes: int) -> Payloads:
    return Payloads(payloads=[_payload(*sizes)])


def counted(s: Script) -> None:
    """In the start, in signals, commands and results, as long as an event has them."""
    s.start(input=_payloads(1000, 24), header=Header(fields={"h": _payload(7)}))
    s.describe()
    s.signal(input=_payloads(100))
    s.describe()
    task = s.poll()
    s.complete(task, s.activity("a", input=_payloads(10)), record_marker(details={"d": _payloads(3)}))
    s.complete_activity(s.poll_activity(), result=_payloads(1 << 40))
    s.describe()
    s.complete(s.poll_quietly(), command("COMPLETE_WORKFLOW_EXECUTION", result=_payloads(0)))
    s.await_close()
    s.describe()
    for query in (
        f"WorkflowId = '{s.workflow_id}' AND TemporalExternalPayloadCount = 8",
        f"WorkflowId = '{s.workflow_id}' AND TemporalExternalPayloadSizeBytes > 1000",
    ):
        s.eventually(
            rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=query),
            rpc.ListWorkflowExecutionsResponse,
            lambda reply: bool(reply.executions),
        )


def in_failures(s: Script) -> None:
    """In details of failures, encoded attributes, heartbeats."""
    s.complete(s.begin_quietly(), s.activity("a"))
    task = s.poll_activity()
    s.heartbeat(task, None, details=_payloads(50))
    s.describe()
    reason = failure(non_retryable=True)
    reason.application_failure_info.details.CopyFrom(_payloads(11))
    reason.encoded_attributes.CopyFrom(_payload(13))
    s.fail_activity(task, reason)
    s.describe()


def later_runs(s: Script) -> None:
    """The next run counts anew; a reset run has what its events have."""
    task = s.begin_quietly(input=_payloads(1000))
    s.another_run_waits()
    s.complete(task, continue_as_new(input=_payloads(1)))
    s.await_close()
    s.describe()
    s.run_id = ""
    s.describe()
    s.complete(s.poll_quietly(), modify_memo(m='"x"'))
    s.signal(input=_payloads(100))
    s.complete(s.poll_quietly(), complete_workflow())
    s.run_id = s.describe().workflow_execution_info.execution.run_id
    s.await_close()
    s.reset(4)
    s.describe()
