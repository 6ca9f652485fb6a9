"""Performs what schedules owe: starts of workflows, cancel requests, terminations.

It is the performer of `engine/entities.py` for schedules. A request carries an id that follows from the schedule's
state, so that one made again after a crash, or after an unknown outcome, finds what it made before. What may pass
(the store is away, too much is going on) is raised, and asked again; everything else is the schedule's answer.
"""

from __future__ import annotations

from typing import Final, final

from perdure.api import enums, history, method_table
from perdure.api.methods import WORKFLOW_PATH
from perdure.api.times import timestamp_of
from perdure.cluster.namespaces import REGISTERED
from perdure.config import dynamic as settings
from perdure.errors import PASSING, NotFound, ResourceExhausted, ServiceError
from perdure.frontend import schedule_inputs, start_inputs
from perdure.frontend.services import Call, Services
from perdure.ids import ChainKey, Kind
from perdure.machines import json_payloads
from perdure.machines.closing_report import InternalCallback
from perdure.machines.schedule.effects import StartWorkflow, StopWorkflow
from perdure.machines.schedule.inputs import StartAnswered, StopAnswered
from perdure.machines.token_bucket import TokenBucket
from perdure.machines.workflow.inputs import RequestCancel, Terminate
from perdure.machines.workflow.start_inputs import StartOutcome

RESERVED_MAX: Final = 100_000
"""Starts that may wait for their turn; beyond that turns are dealt anew."""
_START: Final = method_table()[WORKFLOW_PATH + "StartWorkflowExecution"]
_NO_TURN: Final = -1


@final
class ScheduleActions:
    """The performer. `perform` may be asked for the same effect again and again."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turns = _Turns(services)

    async def perform(self, key: ChainKey, effect: StartWorkflow | StopWorkflow) -> object:
        """Make an effect happen; the schedule's next input. Raises ServiceError or StoreError to be asked again."""
        if isinstance(effect, StopWorkflow):
            return await self._stop(key, effect)
        answer = StartAnswered(effect.incarnation, effect.start.number, "")
        try:
            self._check_room()
            self._turns.take(key, effect)
            outcome = await self._start(key, effect)
        except ServiceError as error:
            if isinstance(error, PASSING) and self._services.clock.now_ns() < effect.start.give_up:
                raise
            return answer
        answer.run_id = outcome.first_run_id or outcome.run_id
        return answer

    async def _start(self, key: ChainKey, effect: StartWorkflow) -> StartOutcome:
        services = self._services
        namespace = services.namespaces.by_id(key.namespace_id)
        if namespace.state != REGISTERED:
            raise NotFound(f"Namespace {namespace.name} takes no starts.")
        request = schedule_inputs.start_request(effect.action.start_workflow)
        request.namespace = namespace.name
        request.workflow_id = effect.start.workflow_id
        request.request_id = effect.request_id
        request.identity = _identity(namespace.name, key)
        request.workflow_id_reuse_policy = (
            enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
            if effect.unique
            else enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
        )
        if effect.last_result is not None:
            request.last_completion_result.CopyFrom(effect.last_result)
        if effect.last_failure:
            request.continued_failure.MergeFromString(effect.last_failure)
        marks = request.search_attributes.indexed_fields
        marks["TemporalScheduledStartTime"].CopyFrom(
            json_payloads.text(timestamp_of(effect.nominal_second).ToJsonString())
        )
        marks["TemporalScheduledById"].CopyFrom(json_payloads.text(key.id))
        fact = start_inputs.prepare_start(services, Call.within(_START, namespace), request)
        fact.callbacks = (InternalCallback(key, effect.token),)
        outcome = await services.engine.submit(_workflow(key, request.workflow_id), fact)
        assert isinstance(outcome, StartOutcome)
        return outcome

    def _check_room(self) -> None:
        """As for starts by users (`interceptors.LimitBacklog`), but this start is made when there is room again."""
        if self._services.matching.is_full(self._services.config.get(settings.MATCHING_MAX_BACKLOG_TASKS)):
            cause = enums.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED
            raise ResourceExhausted("too many tasks wait for workers", cause)

    async def _stop(self, key: ChainKey, effect: StopWorkflow) -> StopAnswered:
        stop = effect.stop
        name = self._services.namespaces.by_id(key.namespace_id).name
        identity = _identity(name, key)
        fact: RequestCancel | Terminate
        if stop.terminate:
            terminated = history.WorkflowExecutionTerminatedEventAttributes(reason=effect.reason, identity=identity)
            fact = Terminate("", stop.run_id, terminated)
        else:
            requested = history.WorkflowExecutionCancelRequestedEventAttributes(cause=effect.reason, identity=identity)
            fact = RequestCancel("", stop.run_id, requested, effect.request_id)
        try:
            await self._services.engine.submit(_workflow(key, stop.workflow_id), fact)
        except ServiceError as error:
            if isinstance(error, PASSING):
                raise
        return StopAnswered(effect.incarnation, stop.number)


@final
class _Turns:
    """At most `worker.schedulerNamespaceStartWorkflowRPS` starts a second of all schedules of a namespace.

    A start is given its turn when it is first asked for, and keeps it while it is asked for again.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._buckets: dict[str, TokenBucket] = {}
        self._dealt: dict[tuple[bytes, object], int] = {}

    def take(self, key: ChainKey, effect: StartWorkflow) -> None:
        """Returns when it is the start's turn; raises ResourceExhausted before."""
        now = self._services.clock.now_ns()
        mine = (key.digest, effect.key)
        turn = self._dealt.get(mine, _NO_TURN)
        if turn == _NO_TURN:
            turn = self._deal(key.namespace_id, now)
        if turn <= now:
            self._dealt.pop(mine, None)
            return
        if len(self._dealt) >= RESERVED_MAX:
            self._dealt.clear()
        self._dealt[mine] = turn
        raise ResourceExhausted("schedules start too much at once", enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT)

    def _deal(self, namespace_id: str, now: int) -> int:
        bucket = self._buckets.setdefault(namespace_id, TokenBucket())
        name = self._services.namespaces.by_id(namespace_id).name
        rate = self._services.config.get(settings.SCHEDULER_NAMESPACE_START_WORKFLOW_RPS, name)
        if rate != bucket.rate:
            bucket.limit(rate, now)
        turn = max(now, bucket.ready_ns)
        if bucket.limited:
            bucket.take(turn)
        return turn


def _workflow(key: ChainKey, workflow_id: str) -> ChainKey:
    return ChainKey(key.namespace_id, Kind.WORKFLOW, workflow_id)


def _identity(namespace: str, key: ChainKey) -> str:
    return f"temporal-scheduler-{namespace}-{key.id}"
