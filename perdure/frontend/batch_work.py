"""What batch jobs owe the outside: pages of their query, and one operation after the other (semantics 17.1).

The performer of `machines/batch.py`. Each operation goes through the handler of the RPC that does the same to a single
execution, with a request id made of job and target, so that doing it again changes nothing. It keeps the job's rate;
which targets there are and what is done, the machine knows.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final, final

from perdure.api import batch, enums, method_table, workflowservice
from perdure.api.methods import WORKFLOW_PATH
from perdure.api.times import timestamp_of
from perdure.config import dynamic as settings
from perdure.engine.entities import After
from perdure.errors import DeadlineExceeded, InvalidArgument, NotFound, ResourceExhausted, ServiceError, Unavailable
from perdure.frontend import activity_operations, reset_targets, workflow, workflow_operations
from perdure.frontend.services import Call, Services
from perdure.ids import ChainKey, Kind, uuid_text
from perdure.machines.batch import PAGE_TARGETS_MAX, FindPage, Job, PageFound, QueryRefused, Target, Work, Worked
from perdure.machines.workflow.execution import Execution
from perdure.store.api import StoreError
from perdure.visibility.resolve import compile_list
from perdure.visibility.syntax import quoted

CHUNK_TARGETS_MAX: Final = 100
"""Operations between two commits of the job's progress; also no more than the rate allows in a second."""
ATTEMPTS_MAX: Final = 6
"""How often an operation that meets a busy workflow is tried before it counts as failed."""
PAUSE_FIRST_S: Final = 0.1
SLEEP_MIN_S: Final = 0.002
"""A shorter wait for the rate is made up for later."""

_OPEN: Final = "ExecutionStatus = 'Running' OR ExecutionStatus = 'Paused'"

CLOSED_TOO: Final = frozenset({"deletion_operation", "reset_operation"})
"""Operations on closed executions as well; all others ask for open ones."""


class Outcome(Enum):
    """How one operation ended. One that is skipped is not counted: the job had done it before. One of which nothing is
    known is done again, and with it its whole chunk.
    """

    DONE = 1
    FAILED = 2
    SKIPPED = 3
    UNKNOWN = 4


@final
class One:
    """One operation: what it needs to know."""

    __slots__ = ("job", "key", "request", "services", "target")

    def __init__(
        self,
        services: Services,
        key: ChainKey,
        job: Job,
        request: workflowservice.StartBatchOperationRequest,
        target: Target,
    ) -> None:
        self.services = services
        self.key = key
        self.job = job
        self.request = request
        self.target = target

    @property
    def by_query(self) -> bool:
        return bool(self.request.visibility_query)

    def call(self, method: str) -> Call:
        """A call of the server's own, in the job's namespace."""
        namespace = self.services.namespaces.by_id(self.key.namespace_id)
        return Call.within(method_table()[WORKFLOW_PATH + method], namespace)

    def request_id(self, verb: str) -> str:
        """The same for the same job, operation and target."""
        text = "\0".join((self.key.namespace_id, self.key.id, verb, *self.target))
        return uuid_text(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())

    def aim(self, execution: Any) -> None:
        """Set workflow id and run id of a request's execution."""
        execution.workflow_id, execution.run_id = self.target

    async def snapshot(self) -> Execution:
        """The target's state. Raises NotFound."""
        workflow_id, run_id = self.target
        return await self.services.snapshot(ChainKey(self.key.namespace_id, Kind.WORKFLOW, workflow_id), run_id)


@final
class BatchWork:
    """Performs the effects of batch jobs."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    async def perform(self, key: ChainKey, effect: FindPage | Work) -> object | None:
        request = workflowservice.StartBatchOperationRequest.FromString(effect.job.request)
        if isinstance(effect, FindPage):
            return await self._find(key, effect, request)
        return await self._work(key, effect, request)

    async def _find(
        self, key: ChainKey, effect: FindPage, request: workflowservice.StartBatchOperationRequest
    ) -> object:
        store = self._services.store
        namespace = self._services.namespaces.by_id(key.namespace_id)
        job = effect.job
        try:
            where = compile_list(_filter(request, job.started), namespace.search_attributes)
        except InvalidArgument:
            return QueryRefused()
        estimate = None
        if effect.number == 1:
            counts = await store.count_visibility(namespace.id, Kind.WORKFLOW, where, None)
            estimate = sum([count for _, count in counts])
        page = await store.list_visibility(namespace.id, Kind.WORKFLOW, where, PAGE_TARGETS_MAX, job.cursor)
        targets = tuple([(one.workflow_id, one.run_id) for one in page.records])
        return PageFound(effect.number, targets, page.next_page_token, estimate)

    async def _work(self, key: ChainKey, effect: Work, request: workflowservice.StartBatchOperationRequest) -> object:
        """A chunk of the page, begun at the job's rate, several at a time."""
        loop = asyncio.get_running_loop()
        rate, concurrency = self._pace(key, request)
        count = max(1, min(CHUNK_TARGETS_MAX, int(rate)))
        targets = effect.job.page[effect.first : effect.first + count]
        begun = loop.time()
        turns = asyncio.Semaphore(concurrency)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, target in enumerate(targets):
                await _sleep_until(begun + number / rate)
                await turns.acquire()
                one = One(self._services, key, effect.job, request, target)
                task = group.create_task(_attempt(one))
                task.add_done_callback(lambda _: turns.release())
                tasks.append(task)
        outcomes = [task.result() for task in tasks]
        if Outcome.UNKNOWN in outcomes:
            raise Unavailable("not every operation of the chunk has a definite outcome")
        failed, skipped = outcomes.count(Outcome.FAILED), outcomes.count(Outcome.SKIPPED)
        worked = Worked(effect.number, effect.first, len(targets), failed, skipped)
        wait = begun + len(targets) / rate - loop.time()
        return After(worked, wait) if wait >= SLEEP_MIN_S else worked

    def _pace(self, key: ChainKey, request: workflowservice.StartBatchOperationRequest) -> tuple[float, int]:
        """Operations per second, and how many at once."""
        name = self._services.namespaces.by_id(key.namespace_id).name
        get = self._services.config.get
        rate = float(max(1, get(settings.WORKER_BATCHER_RPS, name)))
        asked = request.max_operations_per_second
        if 0 < asked < rate:
            rate = asked
        return rate, max(1, get(settings.WORKER_BATCHER_CONCURRENCY, name))


async def _sleep_until(when: float) -> None:
    wait = when - asyncio.get_running_loop().time()
    if wait >= SLEEP_MIN_S:
        await asyncio.sleep(wait)


def _filter(request: workflowservice.StartBatchOperationRequest, started_ns: int) -> str:
    """The query that finds a job's targets: those of its user's that were there when it began."""
    terms = [f"({request.visibility_query})", f"StartTime <= '{timestamp_of(started_ns).ToJsonString()}'"]
    kind = request.WhichOneof("operation")
    if kind not in CLOSED_TOO:
        terms.append(f"({_OPEN})")
    if kind == "unpause_activities_operation" and request.unpause_activities_operation.type:
        paused = f"property:activityType={request.unpause_activities_operation.type}"
        terms.append(f"TemporalPauseInfo = {quoted(paused)}")
    return " AND ".join(terms)


async def _attempt(one: One) -> Outcome:
    """One operation until it has a definite outcome, or a store or an owner is away."""
    operation = OPERATIONS[one.request.WhichOneof("operation") or ""]
    for attempt in range(ATTEMPTS_MAX):
        try:
            return await operation(one) or Outcome.DONE
        except NotFound:
            return Outcome.DONE
        except (Unavailable, StoreError):
            return Outcome.UNKNOWN
        except (ResourceExhausted, DeadlineExceeded):
            await asyncio.sleep(PAUSE_FIRST_S * (1 << attempt))
        except ServiceError:
            return Outcome.FAILED
    return Outcome.FAILED


# -- the operations ----------------------------------------------------------------------------------------------------


async def _terminate(one: One) -> None:
    operation = one.request.termination_operation
    request = workflowservice.TerminateWorkflowExecutionRequest(reason=one.request.reason, identity=operation.identity)
    if operation.HasField("details"):
        request.details.CopyFrom(operation.details)
    one.aim(request.workflow_execution)
    await workflow.terminate_workflow_execution(one.services, one.call("TerminateWorkflowExecution"), request)


async def _cancel(one: One) -> None:
    request = workflowservice.RequestCancelWorkflowExecutionRequest(
        identity=one.request.cancellation_operation.identity, request_id=one.request_id("cancel")
    )
    one.aim(request.workflow_execution)
    await workflow.request_cancel_workflow_execution(one.services, one.call("RequestCancelWorkflowExecution"), request)


async def _signal(one: One) -> None:
    operation = one.request.signal_operation
    request = workflowservice.SignalWorkflowExecutionRequest(
        signal_name=operation.signal, identity=operation.identity, request_id=one.request_id("signal")
    )
    if operation.HasField("input"):
        request.input.CopyFrom(operation.input)
    if operation.HasField("header"):
        request.header.CopyFrom(operation.header)
    one.aim(request.workflow_execution)
    await workflow.signal_workflow_execution(one.services, one.call("SignalWorkflowExecution"), request)


async def _delete(one: One) -> Outcome | None:
    """A running execution is found twice: as an open one, and as the closed one that deleting made of it."""
    if one.by_query:
        try:
            execution = await one.snapshot()
        except NotFound:
            return Outcome.SKIPPED
        if execution.operations.deleting:
            return Outcome.SKIPPED
    request = workflowservice.DeleteWorkflowExecutionRequest()
    one.aim(request.workflow_execution)
    await workflow_operations.delete_workflow_execution(one.services, one.call("DeleteWorkflowExecution"), request)
    return None


async def _reset(one: One) -> Outcome | None:
    """As with `_delete`, what a reset terminated is found again among the closed ones."""
    execution = await one.snapshot()
    if one.by_query and execution.operations.reset_run_id and execution.close_time >= one.job.started:
        return Outcome.SKIPPED
    operation = one.request.reset_operation
    run_id, event_id = await reset_targets.find(one.services, execution, operation)
    request = workflowservice.ResetWorkflowExecutionRequest(
        reason=one.request.reason,
        request_id=one.request_id("reset"),
        workflow_task_finish_event_id=event_id,
        identity=operation.identity,
        post_reset_operations=operation.post_reset_operations,
    )
    if operation.HasField("options"):
        request.reset_reapply_type = operation.options.reset_reapply_type
        request.reset_reapply_exclude_types.extend(operation.options.reset_reapply_exclude_types)
    else:
        request.reset_reapply_type = operation.reset_reapply_type
    request.workflow_execution.workflow_id = one.target[0]
    request.workflow_execution.run_id = run_id
    await workflow_operations.reset_workflow_execution(one.services, one.call("ResetWorkflowExecution"), request)
    return None


async def _update_options(one: One) -> None:
    operation = one.request.update_workflow_options_operation
    request = workflowservice.UpdateWorkflowExecutionOptionsRequest(
        workflow_execution_options=operation.workflow_execution_options,
        update_mask=operation.update_mask,
        identity=operation.identity,
    )
    one.aim(request.workflow_execution)
    call = one.call("UpdateWorkflowExecutionOptions")
    await workflow_operations.update_workflow_execution_options(one.services, call, request)


async def _unpause_activities(one: One) -> None:
    operation = one.request.unpause_activities_operation
    request = workflowservice.UnpauseActivityRequest(
        identity=operation.identity,
        reset_attempts=operation.reset_attempts,
        reset_heartbeat=operation.reset_heartbeat,
        jitter=operation.jitter,
    )
    if operation.type:
        request.type = operation.type
    else:
        request.unpause_all = True
    one.aim(request.execution)
    await activity_operations.unpause_activity(one.services, one.call("UnpauseActivity"), request)


async def _reset_activities(one: One) -> None:
    operation = one.request.reset_activities_operation
    request = workflowservice.ResetActivityRequest(
        identity=operation.identity,
        reset_heartbeat=operation.reset_heartbeat,
        keep_paused=operation.keep_paused,
        restore_original_options=operation.restore_original_options,
        jitter=operation.jitter,
    )
    _choose(request, operation)
    one.aim(request.execution)
    await activity_operations.reset_activity(one.services, one.call("ResetActivity"), request)


async def _update_activity_options(one: One) -> None:
    operation = one.request.update_activity_options_operation
    request = workflowservice.UpdateActivityOptionsRequest(
        identity=operation.identity, restore_original=operation.restore_original
    )
    if operation.HasField("activity_options"):
        request.activity_options.CopyFrom(operation.activity_options)
    if operation.HasField("update_mask"):
        request.update_mask.CopyFrom(operation.update_mask)
    _choose(request, operation)
    one.aim(request.execution)
    await activity_operations.update_activity_options(one.services, one.call("UpdateActivityOptions"), request)


def _choose(
    request: workflowservice.ResetActivityRequest | workflowservice.UpdateActivityOptionsRequest,
    operation: batch.BatchOperationResetActivities | batch.BatchOperationUpdateActivityOptions,
) -> None:
    if operation.type:
        request.type = operation.type
    else:
        request.match_all = True


Operation = Callable[[One], Awaitable[Outcome | None]]

OPERATIONS: Final[dict[str, Operation]] = {
    "termination_operation": _terminate,
    "cancellation_operation": _cancel,
    "signal_operation": _signal,
    "deletion_operation": _delete,
    "reset_operation": _reset,
    "update_workflow_options_operation": _update_options,
    "unpause_activities_operation": _unpause_activities,
    "reset_activities_operation": _reset_activities,
    "update_activity_options_operation": _update_activity_options,
}
"""Every operation that is built, by its field in `StartBatchOperationRequest`."""

TYPES: Final[dict[str, int]] = {
    "termination_operation": enums.BATCH_OPERATION_TYPE_TERMINATE_WORKFLOW,
    "cancellation_operation": enums.BATCH_OPERATION_TYPE_CANCEL_WORKFLOW,
    "signal_operation": enums.BATCH_OPERATION_TYPE_SIGNAL_WORKFLOW,
    "deletion_operation": enums.BATCH_OPERATION_TYPE_DELETE_WORKFLOW,
    "reset_operation": enums.BATCH_OPERATION_TYPE_RESET_WORKFLOW,
    "update_workflow_options_operation": enums.BATCH_OPERATION_TYPE_UPDATE_WORKFLOW_EXECUTION_OPTIONS,
    "unpause_activities_operation": enums.BATCH_OPERATION_TYPE_UNPAUSE_ACTIVITY,
    "reset_activities_operation": enums.BATCH_OPERATION_TYPE_RESET_ACTIVITY,
    "update_activity_options_operation": enums.BATCH_OPERATION_TYPE_UPDATE_ACTIVITY_OPTIONS,
}
"""The number under which each is shown."""
