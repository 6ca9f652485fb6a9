"""Batch operations (semantics 17.1)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.batch.v1 import (
    BatchOperationCancellation,
    BatchOperationDeletion,
    BatchOperationReset,
    BatchOperationResetActivities,
    BatchOperationSignal,
    BatchOperationTermination,
    BatchOperationUnpauseActivities,
    BatchOperationUpdateActivityOptions,
    BatchOperationUpdateWorkflowExecutionOptions,
)
from temporalio.api.common.v1 import Execution, Priority, ResetOptions, WorkflowExecution
from temporalio.api.enums.v1 import BatchOperationState, ExecutionType, ResetType
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import payloads, retry_policy, seconds, workflow_type

TERMINATION = {"termination_operation": BatchOperationTermination(identity="operator")}


def _namespace(s: Script) -> str:
    """A namespace of this scenario's own: one job at a time may run in each."""
    name = f"ns-{s.nonce}"
    s.send(
        rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=seconds(86400)),
        rpc.RegisterNamespaceResponse,
    )
    s.eventually(
        rpc.ListWorkflowExecutionsRequest(namespace=name), rpc.ListWorkflowExecutionsResponse, lambda _: True, False
    )
    return name


def _start(s: Script, namespace: str = NAMESPACE, **fields: Anything) -> None:
    given: dict[str, Anything] = {"job_id": f"job-{s.nonce}", "reason": "because", **fields}
    s.call(rpc.StartBatchOperationRequest(namespace=namespace, **given), rpc.StartBatchOperationResponse)


def _finished(s: Script, namespace: str, job_id: str = "") -> None:
    s.eventually(
        rpc.DescribeBatchOperationRequest(namespace=namespace, job_id=job_id or f"job-{s.nonce}"),
        rpc.DescribeBatchOperationResponse,
        lambda reply: reply.state != BatchOperationState.BATCH_OPERATION_STATE_RUNNING,
    )


def _run(s: Script, namespace: str, job: str, **fields: Anything) -> None:
    """One job from start to end; the reference notices late that the one before is over."""
    request = rpc.StartBatchOperationRequest(namespace=namespace, job_id=f"{job}-{s.nonce}", reason="because", **fields)
    s.eventually(request, rpc.StartBatchOperationResponse, lambda _: True)
    _finished(s, namespace, f"{job}-{s.nonce}")


def _all_are_over(s: Script, namespace: str) -> None:
    """The list of jobs, which the reference brings up to date a little after it describes the last one as over."""
    s.eventually(
        rpc.ListBatchOperationsRequest(namespace=namespace),
        rpc.ListBatchOperationsResponse,
        lambda reply: all(
            one.state != BatchOperationState.BATCH_OPERATION_STATE_RUNNING for one in reply.operation_info
        ),
    )


def _history(s: Script, namespace: str, workflow_id: str) -> None:
    """A history, but for the identity with which the reference's own worker terminates and cancels."""
    request = s.history_request(namespace=namespace, execution=WorkflowExecution(workflow_id=workflow_id))
    reply = s.send(request, rpc.GetWorkflowExecutionHistoryResponse)
    if isinstance(reply, rpc.GetWorkflowExecutionHistoryResponse):
        for event in reply.history.events:
            if event.HasField("workflow_execution_terminated_event_attributes"):
                event.workflow_execution_terminated_event_attributes.ClearField("identity")
            if event.HasField("workflow_execution_cancel_requested_event_attributes"):
                event.workflow_execution_cancel_requested_event_attributes.ClearField("identity")
    s.record(request, rpc.GetWorkflowExecutionHistoryResponse, reply)


def refused(s: Script) -> None:
    """Requests that are refused, with their texts."""
    query = {"visibility_query": "WorkflowType = 'none'"}
    one = [WorkflowExecution(workflow_id="w")]
    activity = Execution(type=ExecutionType.EXECUTION_TYPE_ACTIVITY, business_id="a")
    unpause, reset_activities = BatchOperationUnpauseActivities, BatchOperationResetActivities
    options = BatchOperationUpdateActivityOptions
    cases: dict[str, dict[str, Anything]] = {
        "nothing": {"job_id": "", "reason": ""},
        "no target": TERMINATION,
        "no operation": query,
        "no reason": {**TERMINATION, **query, "reason": ""},
        "no job": {**TERMINATION, **query, "job_id": ""},
        "two targets": {**TERMINATION, **query, "executions": one},
        "wrong kind": {**TERMINATION, "target_executions": [activity]},
        "no kind": {**TERMINATION, "target_executions": [Execution(business_id="a")]},
        "bad query": {**TERMINATION, "visibility_query": "WorkflowType ="},
        "no signal": {"signal_operation": BatchOperationSignal(), **query},
        "no options": {
            "update_workflow_options_operation": BatchOperationUpdateWorkflowExecutionOptions(),
            **query,
        },
        "no mask": {
            "update_workflow_options_operation": BatchOperationUpdateWorkflowExecutionOptions(
                workflow_execution_options=WorkflowExecutionOptions()
            ),
            **query,
        },
        "no reset type": {"reset_operation": BatchOperationReset(), **query},
        "no reset target": {"reset_operation": BatchOperationReset(options=ResetOptions()), **query},
        "strange reset type": {"reset_operation": BatchOperationReset(reset_type=7), **query},  # type: ignore[arg-type]
        "unpause what": {"unpause_activities_operation": unpause(), **query},
        "unpause no type": {"unpause_activities_operation": unpause(type=""), **query},
        "unpause not all": {"unpause_activities_operation": unpause(match_all=False), **query},
        "reset which": {"reset_activities_operation": reset_activities(), **query},
        "reset no type": {"reset_activities_operation": reset_activities(type=""), **query},
        "update what": {"update_activity_options_operation": options(match_all=True), **query},
        "update no type": {
            "update_activity_options_operation": options(type="", activity_options=ActivityOptions()),
            **query,
        },
        "update and restore": {
            "update_activity_options_operation": options(
                match_all=True, activity_options=ActivityOptions(), restore_original=True
            ),
            **query,
        },
    }
    for label, fields in cases.items():
        s.section(label)
        _start(s, **fields)


def unknown(s: Script) -> None:
    """A job that is not there."""
    for job in ("", "none"):
        s.call(rpc.DescribeBatchOperationRequest(namespace=NAMESPACE, job_id=job), rpc.DescribeBatchOperationResponse)
        for reason in ("", "because"):
            s.call(
                rpc.StopBatchOperationRequest(namespace=NAMESPACE, job_id=job, reason=reason),
                rpc.StopBatchOperationResponse,
            )


def terminates(s: Script) -> None:
    """A query's open executions are terminated; the job is listed, its id is taken, it cannot be stopped any more."""
    ns = _namespace(s)
    ids = [f"{number}-{s.nonce}" for number in range(3)]
    for one in ids:
        s.start(namespace=ns, workflow_id=one, workflow_type=workflow_type("Batched"))
    s.start(namespace=ns, workflow_id=f"other-{s.nonce}", workflow_type=workflow_type("Other"))
    query = "WorkflowType = 'Batched'"
    s.eventually(
        rpc.CountWorkflowExecutionsRequest(namespace=ns, query=query),
        rpc.CountWorkflowExecutionsResponse,
        lambda reply: reply.count == 3,
    )
    _start(s, ns, visibility_query=query, **TERMINATION)
    _finished(s, ns)
    for one in [*ids, f"other-{s.nonce}"]:
        _history(s, ns, one)
    _all_are_over(s, ns)
    _start(s, ns, visibility_query=query, **TERMINATION)
    s.call(
        rpc.StopBatchOperationRequest(namespace=ns, job_id=f"job-{s.nonce}", reason="late"),
        rpc.StopBatchOperationResponse,
    )
    s.call(
        rpc.ListWorkflowExecutionsRequest(namespace=ns, query="WorkflowType = 'Other'"),
        rpc.ListWorkflowExecutionsResponse,
    )


def by_executions(s: Script) -> None:
    """Named executions: signalled, cancelled, given options; one that is not there counts as done."""
    ns = _namespace(s)
    s.start(namespace=ns)
    targets = [WorkflowExecution(workflow_id=s.workflow_id), WorkflowExecution(workflow_id="missing")]
    signal = BatchOperationSignal(signal="go", input=payloads("1"), identity="operator")
    _run(s, ns, "signal", executions=targets, signal_operation=signal)
    target = Execution(type=ExecutionType.EXECUTION_TYPE_WORKFLOW, business_id=s.workflow_id, run_id=s.run_id)
    _run(s, ns, "again", target_executions=[target], signal_operation=signal)
    _run(s, ns, "cancel", executions=targets, cancellation_operation=BatchOperationCancellation(identity="operator"))
    options = BatchOperationUpdateWorkflowExecutionOptions(
        identity="operator", workflow_execution_options=WorkflowExecutionOptions(priority=Priority(priority_key=2))
    )
    options.update_mask.paths.append("priority")
    _run(s, ns, "options", executions=targets, update_workflow_options_operation=options)
    _history(s, ns, s.workflow_id)
    _all_are_over(s, ns)


def deletes(s: Script) -> None:
    """Open and closed executions are deleted."""
    ns = _namespace(s)
    s.start(namespace=ns)
    closed = f"closed-{s.nonce}"
    s.start(namespace=ns, workflow_id=closed)
    s.terminate(namespace=ns, workflow_execution=WorkflowExecution(workflow_id=closed))
    targets = [WorkflowExecution(workflow_id=one) for one in (s.workflow_id, closed)]
    _run(s, ns, "delete", executions=targets, deletion_operation=BatchOperationDeletion(identity="operator"))


def resets(s: Script) -> None:
    """Reset to the first and to the last workflow task, by the old field and by options."""
    ns = _namespace(s)
    s.start(namespace=ns)
    task = s.poll(namespace=ns)
    s.complete(task, namespace=ns)
    s.signal(namespace=ns)
    task = s.poll(namespace=ns)
    s.complete(task, namespace=ns)
    targets = [WorkflowExecution(workflow_id=s.workflow_id)]
    first = BatchOperationReset(identity="operator", reset_type=ResetType.RESET_TYPE_FIRST_WORKFLOW_TASK)
    _run(s, ns, "first", executions=targets, reset_operation=first)
    _history(s, ns, s.workflow_id)
    task = s.poll(namespace=ns)
    s.complete(task, namespace=ns)
    last = BatchOperationReset(identity="operator")
    last.options.last_workflow_task.SetInParent()
    _run(s, ns, "last", executions=targets, reset_operation=last)
    _history(s, ns, s.workflow_id)
    by_id = BatchOperationReset(identity="operator", options=ResetOptions(workflow_task_id=4))
    _run(s, ns, "id", executions=targets, reset_operation=by_id)
    unknown_build = BatchOperationReset(options=ResetOptions(build_id="none"))
    _run(s, ns, "build", executions=targets, reset_operation=unknown_build)


def bad_attribute(s: Script) -> None:
    """A query that parses but names an unknown attribute is found out by the job."""
    ns = _namespace(s)
    _start(s, ns, visibility_query="NoSuchAttribute = 'x'", **TERMINATION)
    _finished(s, ns)


def one_at_a_time(s: Script) -> None:
    """A second job is refused while one runs; a stopped job is a failed one."""
    ns = _namespace(s)
    for number in range(60):
        request = s.start_request(namespace=ns, workflow_id=f"{number}-{s.nonce}")
        s.send(request, rpc.StartWorkflowExecutionResponse)
    targets = [WorkflowExecution(workflow_id=f"{number}-{s.nonce}") for number in range(60)] * 10
    signal = BatchOperationSignal(signal="go", identity="operator")
    _start(s, ns, executions=targets, signal_operation=signal)
    s.eventually(
        rpc.ListBatchOperationsRequest(namespace=ns),
        rpc.ListBatchOperationsResponse,
        lambda reply: len(reply.operation_info) == 1,
    )
    _start(s, ns, job_id=f"second-{s.nonce}", executions=targets[:1], signal_operation=signal)
    s.call(
        rpc.StopBatchOperationRequest(namespace=ns, job_id=f"job-{s.nonce}", reason="enough", identity="operator"),
        rpc.StopBatchOperationResponse,
    )
    s.eventually(
        rpc.ListBatchOperationsRequest(namespace=ns),
        rpc.ListBatchOperationsResponse,
        lambda reply: reply.operation_info[0].state == BatchOperationState.BATCH_OPERATION_STATE_FAILED,
    )


def activities(s: Script) -> None:
    """Paused activities are unpaused by type, given options, and reset, all of them or those of a type."""
    ns = _namespace(s)
    s.start(namespace=ns)
    task = s.poll(namespace=ns)
    s.complete(task, s.activity("a", retry_policy=retry_policy(3600.0)), namespace=ns)
    s.fail_activity(s.poll_activity(namespace=ns), namespace=ns)
    pause = rpc.PauseActivityRequest(
        namespace=ns, execution=s.execution(), id="a", identity="operator", reason="rest", request_id="p"
    )
    s.call(pause, rpc.PauseActivityResponse)
    targets = [WorkflowExecution(workflow_id=s.workflow_id, run_id=s.run_id), WorkflowExecution(workflow_id="missing")]
    unpause = BatchOperationUnpauseActivities(identity="operator", match_all=True)
    _run(s, ns, "unpause", executions=targets, unpause_activities_operation=unpause)
    _pending(s, ns)
    options = BatchOperationUpdateActivityOptions(
        identity="operator", type="Act", activity_options=ActivityOptions(heartbeat_timeout=seconds(7))
    )
    options.update_mask.paths.append("heartbeat_timeout")
    _run(s, ns, "update", executions=targets, update_activity_options_operation=options)
    _pending(s, ns)
    restore = BatchOperationUpdateActivityOptions(identity="operator", type="Act", restore_original=True)
    restore.update_mask.SetInParent()  # without it the reference's worker dies
    _run(s, ns, "restore", executions=targets, update_activity_options_operation=restore)
    _pending(s, ns)
    reset = BatchOperationResetActivities(identity="operator", match_all=True)
    _run(s, ns, "reset", executions=targets, reset_activities_operation=reset)
    _pending(s, ns)
    other = BatchOperationResetActivities(identity="operator", type="Other")
    _run(s, ns, "other", executions=targets, reset_activities_operation=other)


def _pending(s: Script, namespace: str) -> None:
    """What is pending, without the times of retries."""
    request = rpc.DescribeWorkflowExecutionRequest(namespace=namespace, execution=s.execution())
    reply = s.send(request, rpc.DescribeWorkflowExecutionResponse)
    assert isinstance(reply, rpc.DescribeWorkflowExecutionResponse)
    for one in reply.pending_activities:
        one.ClearField("next_attempt_schedule_time")
        one.ClearField("current_retry_interval")
    shown = rpc.DescribeWorkflowExecutionResponse(pending_activities=reply.pending_activities)
    s.record(request, rpc.DescribeWorkflowExecutionResponse, shown)
