"""StartBatchOperation, StopBatchOperation, DescribeBatchOperation, ListBatchOperations (semantics 17.1).

Checks requests and shows jobs; `machines/batch.py` runs them and `batch_work.py` does what they owe.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from perdure.api import Message, batch, common, enums, workflowservice
from perdure.api.names import short_name
from perdure.api.times import timestamp_of
from perdure.config import dynamic as settings
from perdure.errors import BLOB_EXCEEDS_LIMIT, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from perdure.frontend import validate
from perdure.frontend.batch_work import OPERATIONS, TYPES
from perdure.frontend.services import Call, Services
from perdure.frontend.visibility import page_size
from perdure.ids import ChainKey, Kind
from perdure.machines.batch import COMPLETED, EXECUTIONS_MAX, RUNNING, Job, StartJob, StopJob, Target
from perdure.visibility.query import parse
from perdure.visibility.resolve import compile_count

_OPEN: Final = "ExecutionStatus = 'Running'"
_SYNTAX: Final = re.compile(r"invalid query: malformed SQL query: (.*?)(?:(at position )(\d+)(.*))?", re.DOTALL)
_CHOOSE: Final = "Either activity type must be set, or match all should be set to true"
_MISSING: Final = (
    "must provide required parameters: BatchType,Reason,Namespace, AND one of (Query OR Executions OR TargetExecutions)"
)

Request = workflowservice.StartBatchOperationRequest


async def start_batch_operation(services: Services, call: Call, request: Request) -> Message | bytes:
    """Begins a job; one that runs already, or ran, keeps its id."""
    _check_enabled(services, call)
    kind = request.WhichOneof("operation")
    if kind is not None and kind not in OPERATIONS:
        raise InvalidArgument(f"The operation type {_go_type(kind)} is not supported for this namespace")
    _check(request, kind)
    assert kind is not None, "checked above"
    limits = services.view(call).limits
    if validate.too_long(request.job_id, limits.id_length):
        raise InvalidArgument("JobId length exceeds limit.")
    if request.ByteSize() > limits.blob_size:
        raise InvalidArgument(BLOB_EXCEEDS_LIMIT)
    if request.visibility_query:
        _check_syntax(request.visibility_query)
    targets = _targets(request)
    identity: str = getattr(request, kind).identity
    fact = StartJob(TYPES[kind], request.SerializeToString(), identity, request.reason, targets)
    async with services.batch_starts:
        await _check_running(services, call)
        await services.engine.submit(_key(call, request.job_id), fact)
    return workflowservice.StartBatchOperationResponse()


async def stop_batch_operation(
    services: Services, call: Call, request: workflowservice.StopBatchOperationRequest
) -> Message | bytes:
    """Ends a job early: what was begun is finished, nothing else is."""
    _check_job_id(request.job_id)
    if not request.reason:
        raise InvalidArgument("Reason is not set on request.")
    _check_enabled(services, call)
    await services.engine.submit(_key(call, request.job_id), StopJob())
    return workflowservice.StopBatchOperationResponse()


async def describe_batch_operation(
    services: Services, call: Call, request: workflowservice.DescribeBatchOperationRequest
) -> Message | bytes:
    """A job and how far it has come."""
    _check_job_id(request.job_id)
    _check_enabled(services, call)
    job = await services.engine.entities.read(_key(call, request.job_id))
    if job is None:
        raise NotFound(f"workflow not found for ID: {request.job_id}")
    assert isinstance(job, Job)
    wanted = Request.FromString(job.request)
    response = workflowservice.DescribeBatchOperationResponse(
        job_id=request.job_id,
        start_time=timestamp_of(job.started),
        total_operation_count=job.total,
        complete_operation_count=job.succeeded,
        failure_operation_count=job.failed,
        identity=job.identity,
        reason=job.reason,
        query=wanted.visibility_query,
        executions=_shown_targets(wanted),
    )
    response.operation_type = job.type  # type: ignore[assignment]  # wire numbers are plain ints here
    response.state = _state(job.status)  # type: ignore[assignment]
    if job.closed:
        response.close_time.CopyFrom(timestamp_of(job.closed))
    return response


async def list_batch_operations(
    services: Services, call: Call, request: workflowservice.ListBatchOperationsRequest
) -> Message | bytes:
    """Jobs of a namespace: those that run, then the closed ones, newest first."""
    _check_enabled(services, call)
    size = page_size(services, call, request.page_size)
    page = await services.store.list_visibility(call.namespace.id, Kind.BATCH, None, size, request.next_page_token)
    response = workflowservice.ListBatchOperationsResponse(next_page_token=page.next_page_token)
    for record in page.records:
        info = batch.BatchOperationInfo(job_id=record.workflow_id, start_time=timestamp_of(record.start_time))
        info.state = _state(record.status)  # type: ignore[assignment]
        info.operation_type = enums.BatchOperationType.Value(record.workflow_type)
        if record.close_time is not None:
            info.close_time.CopyFrom(timestamp_of(record.close_time))
        response.operation_info.append(info)
    return response


def _key(call: Call, job_id: str) -> ChainKey:
    return ChainKey(call.namespace.id, Kind.BATCH, job_id)


def _state(status: int) -> int:
    if status == RUNNING:
        return enums.BATCH_OPERATION_STATE_RUNNING
    return enums.BATCH_OPERATION_STATE_COMPLETED if status == COMPLETED else enums.BATCH_OPERATION_STATE_FAILED


# -- checks ------------------------------------------------------------------------------------------------------------


def _check_enabled(services: Services, call: Call) -> None:
    if not services.config.get(settings.FRONTEND_ENABLE_BATCHER, call.namespace.name):
        raise PermissionDenied("Batch operation feature are disabled on this namespace.")


def _check_job_id(job_id: str) -> None:
    if not job_id:
        raise InvalidArgument("JobId is not set on request.")


async def _check_running(services: Services, call: Call) -> None:
    """At most so many jobs of a namespace at once; the caller lets nobody else start one meanwhile."""
    namespace = call.namespace
    where = compile_count(_OPEN, namespace.search_attributes).where
    counts = await services.store.count_visibility(namespace.id, Kind.BATCH, where, None)
    limit = services.config.get(settings.MAX_CONCURRENT_BATCH_OPERATION_PER_NAMESPACE, namespace.name)
    if sum([count for _, count in counts]) >= limit:
        raise ResourceExhausted(
            "Max concurrent batch operations is reached", enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT
        )


def _check(request: Request, kind: str | None) -> None:
    """What can be wrong with a request, in the reference's order."""
    selectors = bool(request.visibility_query) + bool(request.executions) + bool(request.target_executions)
    if kind is None or not request.reason or not selectors:
        raise InvalidArgument(_MISSING)
    _check_job_id(request.job_id)
    if selectors > 1:
        raise InvalidArgument("visibility query, executions, and target executions are mutually exclusive")
    for number, one in enumerate(request.target_executions):
        if one.type != enums.EXECUTION_TYPE_WORKFLOW:
            shown = short_name(enums.ExecutionType, one.type)
            raise InvalidArgument(
                f"target_executions[{number}] has type {shown}, but operation {_go_type(kind)} requires Workflow"
            )
    check = _CHECKS.get(kind)
    if check is not None:
        check(getattr(request, kind))


def _check_signal(operation: batch.BatchOperationSignal) -> None:
    if not operation.signal:
        raise InvalidArgument("must provide signal name")


def _check_options(operation: batch.BatchOperationUpdateWorkflowExecutionOptions) -> None:
    if not operation.HasField("workflow_execution_options"):
        raise InvalidArgument("must provide UpdateOptions")
    if not operation.HasField("update_mask"):
        raise InvalidArgument("must provide UpdateMask")


def _check_reset(operation: batch.BatchOperationReset) -> None:
    if operation.HasField("options"):
        if operation.options.WhichOneof("target") is None:
            raise InvalidArgument("batch reset missing target")
    elif operation.reset_type not in enums.ResetType.values()[1:]:
        shown = operation.reset_type or "Unspecified"
        raise InvalidArgument(f"unknown batch reset type {shown}")


def _check_unpause(operation: batch.BatchOperationUnpauseActivities) -> None:
    if operation.WhichOneof("activity") is None:
        raise InvalidArgument("activity filter must be set")
    _check_choice(operation)


def _check_activity_reset(operation: batch.BatchOperationResetActivities) -> None:
    if operation.WhichOneof("activity") is None:
        raise InvalidArgument("must provide ActivityType or MatchAll")
    _check_choice(operation)


def _check_activity_options(operation: batch.BatchOperationUpdateActivityOptions) -> None:
    if operation.HasField("activity_options") and operation.restore_original:
        raise InvalidArgument("cannot set both activity options and restore original")
    if not operation.HasField("activity_options") and not operation.restore_original:
        raise InvalidArgument("Either activity type must be set, or restore original should be set to true")
    _check_choice(operation)


def _check_choice(operation: Any) -> None:
    if not operation.type and not operation.match_all:
        raise InvalidArgument(_CHOOSE)


_CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "signal_operation": _check_signal,
    "update_workflow_options_operation": _check_options,
    "reset_operation": _check_reset,
    "unpause_activities_operation": _check_unpause,
    "reset_activities_operation": _check_activity_reset,
    "update_activity_options_operation": _check_activity_options,
}


def _check_syntax(query: str) -> None:
    """Only what is no SQL is found out here; the job finds out about the rest, as in the reference."""
    try:
        parse(query)
    except InvalidArgument as bad:
        syntax = _SYNTAX.fullmatch(bad.message)
        if syntax is None:
            return
        what, at, position, rest = syntax.groups("")
        # The reference parses the query behind a table's name that is a letter shorter here than in lists.
        text = f"{what}{at}{int(position) - 1}{rest}" if position else what
        raise InvalidArgument(f"invalid visibility query: {text}") from None


def _go_type(kind: str) -> str:
    """The operation as the reference's texts name it."""
    words = "".join([word.capitalize() for word in kind.split("_")])
    return f"*workflowservice.StartBatchOperationRequest_{words}"


# -- targets -----------------------------------------------------------------------------------------------------------


def _targets(request: Request) -> tuple[Target, ...]:
    """The executions that a request names."""
    found = [(one.workflow_id, one.run_id) for one in request.executions]
    found += [(one.business_id, one.run_id) for one in request.target_executions]
    if len(found) > EXECUTIONS_MAX:
        raise InvalidArgument(f"a batch operation may name {EXECUTIONS_MAX} executions at most")
    for workflow_id, run_id in found:
        if not workflow_id:
            raise InvalidArgument("WorkflowId is not set on request.")
        if run_id and not validate.is_uuid(run_id):
            raise InvalidArgument("Invalid RunId.")
    return tuple(found)


def _shown_targets(request: Request) -> list[common.Execution]:
    if request.target_executions:
        return list(request.target_executions)
    return [
        common.Execution(type=enums.EXECUTION_TYPE_WORKFLOW, business_id=one.workflow_id, run_id=one.run_id)
        for one in request.executions
    ]
