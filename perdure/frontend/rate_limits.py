"""Rates that calls must keep: those of the whole server, and those of each namespace (server_inventory 5.2, 6.4).

A rate is a ladder of token buckets, one for each priority: a call takes a token of its own bucket, and of those below
it as far as they have any. So when a namespace asks for too much, polls and reads are refused first, then changes of
state, and what reports progress last. Nothing waits here: a call passes or is refused.

Without a setting there is no limit (docs/decisions/017): what a server of ours bears is an order of magnitude over the
reference's defaults, which protect another architecture.
"""

from __future__ import annotations

from typing import Any, Final, final

from perdure import errors
from perdure.api import Method, enums
from perdure.api.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE
from perdure.config import dynamic as settings
from perdure.frontend.services import Call, Services
from perdure.machines.token_bucket import TokenBucket

LOWEST: Final = 5
_LONG_POLL: Final = 5
"""A read of history that waits for more yields to everything else."""

_BY_PRIORITY: Final[dict[int, str]] = {
    0: """GetClusterInfo GetSystemInfo GetSearchAttributes DescribeNamespace ListNamespaces DeprecateNamespace""",
    1: """
    SignalWorkflowExecution SignalWithStartWorkflowExecution StartWorkflowExecution UpdateWorkflowExecution
    ExecuteMultiOperation CreateSchedule StartBatchOperation StartActivityExecution StartNexusOperationExecution
    RecordActivityTaskHeartbeat RecordActivityTaskHeartbeatById RespondActivityTaskCompleted
    RespondActivityTaskCompletedById RespondWorkflowTaskCompleted RespondQueryTaskCompleted RespondNexusTaskCompleted
    """,
    3: """
    DescribeWorkflowExecution DescribeActivityExecution DescribeTaskQueue GetWorkerBuildIdCompatibility
    GetWorkerVersioningRules ListTaskQueuePartitions QueryWorkflow DescribeSchedule ListScheduleMatchingTimes
    DescribeBatchOperation DescribeWorkerDeploymentVersion DescribeWorkerDeployment DescribeNexusOperationExecution
    ListWorkers DescribeWorker CountWorkers RespondActivityTaskCanceled RespondActivityTaskCanceledById
    RespondActivityTaskFailed RespondActivityTaskFailedById RespondWorkflowTaskFailed RespondNexusTaskFailed
    """,
    4: """
    PollNexusOperationExecution PollActivityExecution PollWorkflowTaskQueue PollActivityTaskQueue
    PollWorkflowExecutionUpdate PollNexusTaskQueue ResetStickyTaskQueue ShutdownWorker
    GetWorkflowExecutionHistoryReverse RecordWorkerHeartbeat FetchWorkerConfig UpdateWorkerConfig
    """,
}
_PRIORITIES: Final = {name: priority for priority, names in _BY_PRIORITY.items() for name in names.split()}
_CHANGE_OF_STATE: Final = 2
"""The priority of every other method."""

_LISTED: Final = """
    CountWorkflowExecutions ScanWorkflowExecutions ListOpenWorkflowExecutions ListClosedWorkflowExecutions
    ListWorkflowExecutions ListArchivedWorkflowExecutions CountActivityExecutions ListActivityExecutions
    CountNexusOperationExecutions ListNexusOperationExecutions GetWorkerTaskReachability ListSchedules CountSchedules
    ListBatchOperations ListDeployments GetDeploymentReachability ListWorkerDeployments
"""
_LISTS: Final = frozenset(_LISTED.split())
"""Methods that read visibility have a rate of their own."""


@final
class Ladder:
    """One rate, shared by priorities 0 (first) to `LOWEST` (first to be refused)."""

    __slots__ = ("_buckets", "generation")

    def __init__(self, rate: float, burst_ratio: float, generation: int, now_ns: int) -> None:
        self.generation = generation
        self._buckets: tuple[TokenBucket, ...] = ()
        if rate < settings.RATE_UNLIMITED:
            self._buckets = tuple([TokenBucket() for _ in range(LOWEST + 1)])
            for bucket in self._buckets:
                bucket.limit(rate, now_ns, burst_ratio)

    def take(self, priority: int, now_ns: int) -> bool:
        """Whether a call of this priority may pass now; takes its tokens if so."""
        if not self._buckets:
            return True
        if self._buckets[priority].ready_ns > now_ns:
            return False
        for bucket in self._buckets[priority:]:
            if bucket.ready_ns <= now_ns:
                bucket.take(now_ns)
        return True


_RATES_OF_CALLS: Final = (
    settings.FRONTEND_RPS,
    settings.FRONTEND_NAMESPACE_RPS,
    settings.FRONTEND_GLOBAL_NAMESPACE_RPS,
)
_RATES_OF_LISTS: Final = (
    settings.FRONTEND_NAMESPACE_VISIBILITY_RPS,
    settings.FRONTEND_GLOBAL_NAMESPACE_VISIBILITY_RPS,
)

_LADDERS_MAX: Final = 20_000
"""More namespaces than this at once begin anew with full buckets."""


@final
class LimitRates:
    """Refuses calls that are over the server's rate (`frontend.rps`) or over their namespace's."""

    __slots__ = ("_generation", "_ladders", "_limits_calls", "_limits_lists", "_services")

    def __init__(self, services: Services) -> None:
        self._services = services
        self._generation = -1
        self._limits_calls = False
        self._limits_lists = False
        """Whether there is any rate for calls, and one for lists only: mostly there is none."""
        self._ladders: dict[tuple[str, bool], Ladder] = {}

    def applies(self, method: Method) -> bool:
        return method.service in (WORKFLOW_SERVICE, OPERATOR_SERVICE)

    def enter(self, call: Call, request: Any) -> None:
        method = call.method.name
        config = self._services.config
        if self._generation != config.generation:
            self._generation = config.generation
            self._limits_calls = config.sets(*_RATES_OF_CALLS)
            self._limits_lists = self._limits_calls or config.sets(*_RATES_OF_LISTS)
        if not (self._limits_lists if method in _LISTS else self._limits_calls):
            return
        now = self._services.clock.now_ns()
        priority = _PRIORITIES.get(method, _CHANGE_OF_STATE)
        if method == "GetWorkflowExecutionHistory" and request.wait_new_event:
            priority = _LONG_POLL
        if not self._ladder("", False, now).take(priority, now):
            raise errors.ResourceExhausted(
                "service rate limit exceeded",
                enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT,
                enums.RESOURCE_EXHAUSTED_SCOPE_SYSTEM,
            )
        if call.has_namespace and not self._ladder(call.namespace.name, method in _LISTS, now).take(priority, now):
            raise errors.ResourceExhausted(
                "namespace rate limit exceeded",
                enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT,
                enums.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE,
            )

    def _ladder(self, namespace: str, lists: bool, now: int) -> Ladder:
        """The rate of a namespace ("" for the server's own), made anew when the configuration has changed."""
        key = (namespace, lists)
        found = self._ladders.get(key)
        config = self._services.config
        if found is None or found.generation != config.generation:
            if len(self._ladders) >= _LADDERS_MAX:
                self._ladders.clear()
            found = self._ladders[key] = Ladder(*self._rate(namespace, lists), config.generation, now)
        return found

    def _rate(self, namespace: str, lists: bool) -> tuple[float, float]:
        get = self._services.config.get
        if not namespace:
            return get(settings.FRONTEND_RPS), 2.0
        if lists:
            rate = get(settings.FRONTEND_GLOBAL_NAMESPACE_VISIBILITY_RPS, namespace)
            rate = rate or get(settings.FRONTEND_NAMESPACE_VISIBILITY_RPS, namespace)
            return rate, get(settings.FRONTEND_NAMESPACE_VISIBILITY_BURST_RATIO, namespace)
        rate = get(settings.FRONTEND_GLOBAL_NAMESPACE_RPS, namespace)
        rate = rate or get(settings.FRONTEND_NAMESPACE_RPS, namespace)
        return rate, get(settings.FRONTEND_NAMESPACE_BURST_RATIO, namespace)
