"""The settings that may change while a server runs: a typed table of keys, and the values somebody set.

Keys, types, defaults and scopes are the reference server's (server_inventory 6.4, semantics Appendix E), so that its
users' files and flags keep their meaning. A key that is not in the table is accepted with a warning: suites set keys
that newer, older or misspelled servers know. Who acts on a setting reads it each time; nobody keeps a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from perdure.clock import HOUR, MILLISECOND, MINUTE, SECOND
from perdure.config.values import (
    AllowedAddress,
    Constrained,
    Constraints,
    RetrySettings,
    Scope,
    Setting,
    to_allowed_addresses,
    to_bool,
    to_duration_ns,
    to_float,
    to_int,
    to_retry_settings,
    to_str,
    to_strings,
)

T = TypeVar("T")

GLOBAL: Final = Scope.GLOBAL
NAMESPACE: Final = Scope.NAMESPACE
TASK_QUEUE: Final = Scope.TASK_QUEUE
DESTINATION: Final = Scope.DESTINATION
KIB: Final = 1024
MIB: Final = 1024 * KIB


def _integer(key: str, default: int, scope: Scope = NAMESPACE) -> Setting[int]:
    return Setting(key, to_int, default, scope)


def _number(key: str, default: float, scope: Scope = NAMESPACE) -> Setting[float]:
    return Setting(key, to_float, default, scope)


def _switch(key: str, default: bool, scope: Scope = NAMESPACE) -> Setting[bool]:
    return Setting(key, to_bool, default, scope)


def _duration(key: str, default: int, scope: Scope = NAMESPACE) -> Setting[int]:
    """A setting in nanoseconds."""
    return Setting(key, to_duration_ns, default, scope)


# Limits of sizes and counts (semantics Appendix E). Sizes are bytes.
MAX_ID_LENGTH = _integer("limit.maxIDLength", 1000, GLOBAL)
BLOB_SIZE_LIMIT_ERROR = _integer("limit.blobSize.error", 2 * MIB)
BLOB_SIZE_LIMIT_WARN = _integer("limit.blobSize.warn", 512 * KIB)
MEMO_SIZE_LIMIT_ERROR = _integer("limit.memoSize.error", 2 * MIB)
MEMO_SIZE_LIMIT_WARN = _integer("limit.memoSize.warn", 2 * KIB)
HISTORY_SIZE_LIMIT_ERROR = _integer("limit.historySize.error", 50 * MIB)
HISTORY_SIZE_LIMIT_WARN = _integer("limit.historySize.warn", 10 * MIB)
HISTORY_SIZE_SUGGEST_CONTINUE_AS_NEW = _integer("limit.historySize.suggestContinueAsNew", 4 * MIB)
HISTORY_COUNT_LIMIT_ERROR = _integer("limit.historyCount.error", 50 * KIB)
HISTORY_COUNT_LIMIT_WARN = _integer("limit.historyCount.warn", 10 * KIB)
HISTORY_COUNT_SUGGEST_CONTINUE_AS_NEW = _integer("limit.historyCount.suggestContinueAsNew", 4 * KIB)
MUTABLE_STATE_SIZE_LIMIT_ERROR = _integer("limit.mutableStateSize.error", 8 * MIB, GLOBAL)
MUTABLE_STATE_SIZE_LIMIT_WARN = _integer("limit.mutableStateSize.warn", MIB, GLOBAL)
ACTIVITY_FAILURE_SIZE_LIMIT_ERROR = _integer("limit.mutableStateActivityFailureSize.error", 4 * KIB)
ACTIVITY_FAILURE_SIZE_LIMIT_WARN = _integer("limit.mutableStateActivityFailureSize.warn", 2 * KIB)
PENDING_ACTIVITIES_LIMIT_ERROR = _integer("limit.numPendingActivities.error", 2000)
PENDING_CHILD_EXECUTIONS_LIMIT_ERROR = _integer("limit.numPendingChildExecutions.error", 2000)
PENDING_SIGNALS_LIMIT_ERROR = _integer("limit.numPendingSignals.error", 2000)
PENDING_CANCEL_REQUESTS_LIMIT_ERROR = _integer("limit.numPendingCancelRequests.error", 2000)
USER_METADATA_SUMMARY_SIZE_LIMIT = _integer("limit.userMetadataSummarySize", 400)
USER_METADATA_DETAILS_SIZE_LIMIT = _integer("limit.userMetadataDetailsSize", 20000)
WORKER_BUILD_ID_SIZE_LIMIT = _integer("limit.workerBuildIdSize", 255, GLOBAL)
LIMIT_ENDPOINT_NAME_MAX_LENGTH = _integer("limit.endpointNameMaxLength", 200, GLOBAL)
LIMIT_ENDPOINT_EXTERNAL_URLMAX_LENGTH = _integer("limit.endpointExternalURLMaxLength", 4 * KIB, GLOBAL)
LIMIT_ENDPOINT_DESCRIPTION_MAX_SIZE = _integer("limit.endpointDescriptionMaxSize", 20000, GLOBAL)
LIMIT_ENDPOINT_LIST_DEFAULT_PAGE_SIZE = _integer("limit.endpointListDefaultPageSize", 100, GLOBAL)
LIMIT_ENDPOINT_LIST_MAX_PAGE_SIZE = _integer("limit.endpointListMaxPageSize", 1000, GLOBAL)
SYSTEM_TRANSACTION_SIZE_LIMIT = _integer("system.transactionSizeLimit", 4 * MIB, GLOBAL)
SYSTEM_MAX_SERVICE_ERROR_MESSAGE_LENGTH = _integer("system.maxServiceErrorMessageLength", 4000, GLOBAL)
SYSTEM_MAX_CALLBACKS_PER_WORKFLOW = _integer("system.maxCallbacksPerWorkflow", 32)
SYSTEM_MAX_CALLBACKS_PER_UPDATE_ID = _integer("system.maxCallbacksPerUpdateID", 32)

# The frontend: rates, pages, checks of requests.
RATE_UNLIMITED: Final = 1_000_000
"""A rate per second from which on there is no limit: what ours are when nothing is set (docs/decisions/017)."""
FRONTEND_RPS = _integer("frontend.rps", RATE_UNLIMITED, GLOBAL)
FRONTEND_NAMESPACE_RPS = _integer("frontend.namespaceRPS", RATE_UNLIMITED)
FRONTEND_NAMESPACE_BURST_RATIO = _number("frontend.namespaceBurstRatio", 2.0)
FRONTEND_NAMESPACE_VISIBILITY_RPS = _integer("frontend.namespaceRPS.visibility", RATE_UNLIMITED)
FRONTEND_NAMESPACE_VISIBILITY_BURST_RATIO = _number("frontend.namespaceBurstRatio.visibility", 1.0)
FRONTEND_GLOBAL_NAMESPACE_VISIBILITY_RPS = _integer("frontend.globalNamespaceRPS.visibility", 0)
FRONTEND_GLOBAL_NAMESPACE_RPS = _integer("frontend.globalNamespaceRPS", 0)
FRONTEND_NAMESPACE_COUNT = _integer("frontend.namespaceCount", 1200)
FRONTEND_VISIBILITY_MAX_PAGE_SIZE = _integer("frontend.visibilityMaxPageSize", 1000)
FRONTEND_VISIBILITY_ARCHIVAL_QUERY_MAX_PAGE_SIZE = _integer("frontend.visibilityArchivalQueryMaxPageSize", 10_000)
FRONTEND_HISTORY_MAX_PAGE_SIZE = _integer("frontend.historyMaxPageSize", 256)
FRONTEND_MAX_BAD_BINARIES = _integer("frontend.maxBadBinaries", 10)
FRONTEND_MAX_LINKS_PER_REQUEST = _integer("frontend.maxLinksPerRequest", 10)
FRONTEND_LINK_MAX_SIZE = _integer("frontend.linkMaxSize", 4000)
FRONTEND_CALLBACK_URL_MAX_LENGTH = _integer("frontend.callbackURLMaxLength", 1000)
FRONTEND_CALLBACK_HEADER_MAX_LENGTH = _integer("frontend.callbackHeaderMaxLength", 8 * KIB)
SEARCH_ATTRIBUTES_NUMBER_OF_KEYS_LIMIT = _integer("frontend.searchAttributesNumberOfKeysLimit", 100)
SEARCH_ATTRIBUTES_SIZE_OF_VALUE_LIMIT = _integer("frontend.searchAttributesSizeOfValueLimit", 2 * KIB)
SEARCH_ATTRIBUTES_TOTAL_SIZE_LIMIT = _integer("frontend.searchAttributesTotalSizeLimit", 40 * KIB)
MAX_CONCURRENT_BATCH_OPERATION_PER_NAMESPACE = _integer("frontend.MaxConcurrentBatchOperationPerNamespace", 1)
FRONTEND_ENABLE_SERVER_VERSION_CHECK = _switch("frontend.enableServerVersionCheck", True, GLOBAL)
FRONTEND_MASK_INTERNAL_ERROR_DETAILS = _switch("frontend.maskInternalErrorDetails", True)
FRONTEND_EXPOSE_AUTHORIZER_ERRORS = _switch("frontend.exposeAuthorizerErrors", False, GLOBAL)
FRONTEND_ENABLE_TOKEN_NAMESPACE_ENFORCEMENT = _switch("frontend.enableTokenNamespaceEnforcement", True, GLOBAL)
FRONTEND_HTTP_ALLOWED_HOSTS: Setting[tuple[str, ...]] = Setting("frontend.httpAllowedHosts", to_strings, (), GLOBAL)
FRONTEND_SHUTDOWN_DRAIN_DURATION = _duration("frontend.shutdownDrainDuration", 0, GLOBAL)
FRONTEND_DELETE_NAMESPACE_RPS = _integer("frontend.deleteNamespaceDeleteActivityRPS", 1000, GLOBAL)
FRONTEND_ALLOW_DELETE_OF_ENDPOINT_TARGET = _switch("frontend.allowDeleteNamespaceIfNexusEndpointTarget", False, GLOBAL)
WORKER_PROTECTED_NAMESPACES: Setting[tuple[str, ...]] = Setting("worker.protectedNamespaces", to_strings, (), GLOBAL)
FRONTEND_DELETE_NAMESPACE_NAMESPACE_DELETE_DELAY = _duration("frontend.deleteNamespaceNamespaceDeleteDelay", 0, GLOBAL)

# HTTP/2 connections.
FRONTEND_KEEP_ALIVE_MAX_CONNECTION_AGE = _duration("frontend.keepAliveMaxConnectionAge", 5 * MINUTE, GLOBAL)
FRONTEND_KEEP_ALIVE_MAX_CONNECTION_IDLE = _duration("frontend.keepAliveMaxConnectionIdle", 2 * MINUTE, GLOBAL)
FRONTEND_KEEP_ALIVE_MAX_CONNECTION_AGE_GRACE = _duration("frontend.keepAliveMaxConnectionAgeGrace", 70 * SECOND, GLOBAL)
FRONTEND_KEEP_ALIVE_MIN_TIME = _duration("frontend.keepAliveMinTime", 10 * SECOND, GLOBAL)
FRONTEND_KEEP_ALIVE_TIME = _duration("frontend.keepAliveTime", MINUTE, GLOBAL)
FRONTEND_KEEP_ALIVE_TIMEOUT = _duration("frontend.keepAliveTimeout", 10 * SECOND, GLOBAL)
FRONTEND_KEEP_ALIVE_PERMIT_WITHOUT_STREAM = _switch("frontend.keepAlivePermitWithoutStream", True, GLOBAL)

# Features of the API that can be switched.
FRONTEND_ENABLE_SCHEDULES = _switch("frontend.enableSchedules", True)
FRONTEND_ENABLE_BATCHER = _switch("frontend.enableBatcher", True)
FRONTEND_ENABLE_UPDATE_WORKFLOW_EXECUTION = _switch("frontend.enableUpdateWorkflowExecution", True)
FRONTEND_ENABLE_UPDATE_WORKFLOW_EXECUTION_ASYNC_ACCEPTED = _switch(
    "frontend.enableUpdateWorkflowExecutionAsyncAccepted", True
)
FRONTEND_ENABLE_EXECUTE_MULTI_OPERATION = _switch("frontend.enableExecuteMultiOperation", True)
FRONTEND_ACTIVITY_APIS_ENABLED = _switch("frontend.activityAPIsEnabled", True)
WORKER_VERSIONING_DATA_APIS = _switch("frontend.workerVersioningDataAPIs", False)
WORKER_VERSIONING_RULE_APIS = _switch("frontend.workerVersioningRuleAPIs", False)
WORKER_VERSIONING_WORKFLOW_APIS = _switch("frontend.workerVersioningWorkflowAPIs", True)
FRONTEND_WORKER_HEARTBEATS_ENABLED = _switch("frontend.WorkerHeartbeatsEnabled", True)
FRONTEND_LIST_WORKERS_ENABLED = _switch("frontend.ListWorkersEnabled", True)
FRONTEND_WORKER_COMMANDS_ENABLED = _switch("frontend.workerCommandsEnabled", False)
FRONTEND_ENABLE_CANCEL_WORKER_POLLS_ON_SHUTDOWN = _switch("frontend.enableCancelWorkerPollsOnShutdown", False)
FRONTEND_WORKFLOW_PAUSE_ENABLED = _switch("frontend.WorkflowPauseEnabled", False)
FRONTEND_WORKFLOW_TIME_SKIPPING_ENABLED = _switch("frontend.WorkflowTimeSkippingEnabled", False)
FRONTEND_MAX_WORKFLOW_RULES = _integer("frontend.maxWorkflowRulesPerNamespace", 10)
FRONTEND_WORKFLOW_RULES_APIS_ENABLED = _switch("frontend.workflowRulesAPIsEnabled", False)
FRONTEND_ENABLE_BATCH_OPERATIONS_FOR_STANDALONE_ACTIVITIES = _switch(
    "frontend.enableBatchOperationsForStandaloneActivities", False
)
SYSTEM_ENABLE_DEPLOYMENT_VERSIONS = _switch("system.enableDeploymentVersions", True)
SYSTEM_ENABLE_EAGER_WORKFLOW_START = _switch("system.enableEagerWorkflowStart", True)
SYSTEM_ENABLE_ACTIVITY_EAGER_EXECUTION = _switch("system.enableActivityEagerExecution", True)
SYSTEM_ENABLE_CROSS_NAMESPACE_COMMANDS = _switch("system.enableCrossNamespaceCommands", False, GLOBAL)
SYSTEM_ENABLE_CANCEL_ACTIVITY_WORKER_COMMAND = _switch("system.enableCancelActivityWorkerCommand", False)
SYSTEM_ENABLE_STICKY_QUERY = _switch("system.enableStickyQuery", True)
SYSTEM_DISALLOW_QUERY = _switch("system.disallowQuery", False)
SYSTEM_ENABLE_NEXUS = _switch("system.enableNexus", True, GLOBAL)
ACTIVITY_ENABLE_STANDALONE = _switch("activity.enableStandalone", True)
ACTIVITY_ENABLE_CALLBACKS = _switch("activity.enableCallbacks", False)
ACTIVITY_START_DELAY_ENABLED = _switch("activity.startDelayEnabled", True)
HISTORY_ENABLE_STANDALONE_ACTIVITY_OPERATOR_COMMANDS = _switch(
    "history.enableStandaloneActivityOperatorCommands", False
)
NEXUSOPERATION_ENABLE_STANDALONE = _switch("nexusoperation.enableStandalone", False)
HISTORY_ENABLE_CHASM = _switch("history.enableChasm", True)
HISTORY_ENABLE_CHASM_CALLBACKS = _switch("history.enableCHASMCallbacks", True)
HISTORY_ENABLE_CHASM_SIGNAL_BACKLINKS = _switch("history.enableCHASMSignalBacklinks", False)
HISTORY_ENABLE_TRANSITION_HISTORY = _switch("history.enableTransitionHistory", True)
HISTORY_ENABLE_UPDATE_CALLBACKS = _switch("history.enableUpdateCallbacks", False)
HISTORY_ENABLE_SIGNAL_WITH_START_FROM_WORKFLOW = _switch("history.enableSignalWithStartFromWorkflow", False)
HISTORY_ENABLE_REQUEST_ID_REF_LINKS = _switch("history.enableRequestIdRefLinks", True)
HISTORY_ENABLE_WORKFLOW_TASK_COMPLETION_PAGINATION = _switch("history.enableWorkflowTaskCompletionPagination", False)

# Executions.
HISTORY_MAXIMUM_SIGNALS_PER_EXECUTION = _integer("history.maximumSignalsPerExecution", 10000)
HISTORY_MAXIMUM_BUFFERED_EVENTS_BATCH = _integer("history.maximumBufferedEventsBatch", 100, GLOBAL)
HISTORY_MAXIMUM_BUFFERED_EVENTS_SIZE_IN_BYTES = _integer("history.maximumBufferedEventsSizeInBytes", 2 * MIB, GLOBAL)
HISTORY_MAX_IN_FLIGHT_UPDATES = _integer("history.maxInFlightUpdates", 10)
HISTORY_MAX_IN_FLIGHT_UPDATE_PAYLOADS = _integer("history.maxInFlightUpdatePayloads", 20 * MIB)
HISTORY_MAX_TOTAL_UPDATES = _integer("history.maxTotalUpdates", 2000)
HISTORY_MAX_TOTAL_UPDATES_SUGGEST_CONTINUE_AS_NEW_THRESHOLD = _number(
    "history.maxTotalUpdates.suggestContinueAsNewThreshold", 0.9
)
HISTORY_MAX_BUFFERED_QUERY_COUNT = _integer("history.MaxBufferedQueryCount", 1, GLOBAL)
HISTORY_LONG_POLL_EXPIRATION_INTERVAL = _duration("history.longPollExpirationInterval", 20 * SECOND)
HISTORY_DEFAULT_WORKFLOW_TASK_TIMEOUT = _duration("history.defaultWorkflowTaskTimeout", 10 * SECOND)
HISTORY_WORKFLOW_TASK_HEARTBEAT_TIMEOUT = _duration("history.workflowTaskHeartbeatTimeout", 30 * MINUTE)
HISTORY_WORKFLOW_TASK_RETRY_MAX_INTERVAL = _duration("history.workflowTaskRetryMaxInterval", 10 * MINUTE, GLOBAL)
HISTORY_WORKFLOW_TASK_CRITICAL_ATTEMPT = _integer("history.workflowTaskCriticalAttempt", 10, GLOBAL)
HISTORY_DEFAULT_ACTIVITY_RETRY_POLICY = Setting(
    "history.defaultActivityRetryPolicy", to_retry_settings, RetrySettings(), NAMESPACE
)
HISTORY_DEFAULT_WORKFLOW_RETRY_POLICY = Setting(
    "history.defaultWorkflowRetryPolicy", to_retry_settings, RetrySettings(), NAMESPACE
)
HISTORY_RETENTION_TIMER_JITTER_DURATION = _duration("history.retentionTimerJitterDuration", 30 * MINUTE, GLOBAL)
HISTORY_PARENT_CLOSE_POLICY_THRESHOLD = _integer("history.parentClosePolicyThreshold", 10)
HISTORY_SHUTDOWN_DRAIN_DURATION = _duration("history.shutdownDrainDuration", 0, GLOBAL)
HISTORY_HOST_LEVEL_CACHE_MAX_SIZE = _integer("history.hostLevelCacheMaxSize", 128000, GLOBAL)
HISTORY_CACHE_TTL = _duration("history.cacheTTL", HOUR, GLOBAL)
HISTORY_RPS = _integer("history.rps", 3000, GLOBAL)
SYSTEM_WORKFLOW_TASK_PROBLEMS_TO_TRIGGER_SEARCH_ATTRIBUTE = _integer(
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute", 5
)

# Matching.
MATCHING_LONG_POLL_EXPIRATION_INTERVAL = _duration("matching.longPollExpirationInterval", MINUTE, TASK_QUEUE)
MATCHING_NUM_TASK_QUEUE_READ_PARTITIONS = _integer("matching.numTaskqueueReadPartitions", 4, TASK_QUEUE)
MATCHING_NUM_TASK_QUEUE_WRITE_PARTITIONS = _integer("matching.numTaskqueueWritePartitions", 4, TASK_QUEUE)
MATCHING_MAX_TASK_QUEUE_IDLE_TIME = _duration("matching.maxTaskQueueIdleTime", 5 * MINUTE, TASK_QUEUE)
MATCHING_POLLER_HISTORY_TTL = _duration("matching.PollerHistoryTTL", 5 * MINUTE)
MATCHING_QUERY_POLLER_UNAVAILABLE_WINDOW = _duration("matching.queryPollerUnavailableWindow", 20 * SECOND, GLOBAL)
MATCHING_SYNC_MATCH_WAIT_DURATION = _duration("matching.syncMatchWaitDuration", 200 * MILLISECOND, TASK_QUEUE)
MATCHING_RPS = _integer("matching.rps", 1200, GLOBAL)
MATCHING_PRIORITY_LEVELS = _integer("matching.priorityLevels", 5, TASK_QUEUE)
MATCHING_ENABLE_FAIRNESS = _switch("matching.enableFairness", False, TASK_QUEUE)
MATCHING_USE_NEW_MATCHER = _switch("matching.useNewMatcher", True, TASK_QUEUE)
MATCHING_MAX_BACKLOG_TASKS = _integer("matching.maxBacklogTasks", 1_000_000, GLOBAL)
"""Ours alone: tasks that may wait in one process before starts are refused (docs/decisions/013)."""
MATCHING_MAX_FAIRNESS_KEY_WEIGHT_OVERRIDES = _integer("matching.maxFairnessKeyWeightOverrides", 1000, TASK_QUEUE)
VERSION_COMPATIBLE_SET_LIMIT_PER_QUEUE = _integer("limit.versionCompatibleSetLimitPerQueue", 10)
VERSION_BUILD_ID_LIMIT_PER_QUEUE = _integer("limit.versionBuildIdLimitPerQueue", 100)
TASK_QUEUES_PER_BUILD_ID_LIMIT = _integer("limit.taskQueuesPerBuildId", 20)
ASSIGNMENT_RULE_LIMIT_PER_QUEUE = _integer("limit.wv.AssignmentRuleLimitPerQueue", 100)
REDIRECT_RULE_LIMIT_PER_QUEUE = _integer("limit.wv.RedirectRuleLimitPerQueue", 500)
REDIRECT_RULE_MAX_UPSTREAM_BUILD_IDS_PER_QUEUE = _integer("limit.wv.RedirectRuleMaxUpstreamBuildIDsPerQueue", 50)
REACHABILITY_TASK_QUEUE_SCAN_LIMIT = _integer("limit.reachabilityTaskQueueScan", 20, GLOBAL)
REACHABILITY_QUERY_BUILD_ID_LIMIT = _integer("limit.reachabilityQueryBuildIds", 5, GLOBAL)
REACHABILITY_QUERY_SET_DURATION_SINCE_DEFAULT = _duration(
    "frontend.reachabilityQuerySetDurationSinceDefault", 5 * MINUTE, GLOBAL
)
VERSION_DRAINAGE_STATUS_VISIBILITY_GRACE_PERIOD = _duration(
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod", 3 * MINUTE
)
VERSION_DRAINAGE_STATUS_REFRESH_INTERVAL = _duration("matching.wv.VersionDrainageStatusRefreshInterval", 3 * MINUTE)
MATCHING_MAX_VERSIONS_IN_DEPLOYMENT = _integer("matching.maxVersionsInDeployment", 100)
MATCHING_MAX_DEPLOYMENTS = _integer("matching.maxDeployments", 100)
MATCHING_MAX_TASK_QUEUES_IN_DEPLOYMENT_VERSION = _integer("matching.maxTaskQueuesInDeploymentVersion", 100)

# Namespaces, visibility and the registry.
SYSTEM_FORCE_SEARCH_ATTRIBUTES_CACHE_REFRESH_ON_READ = _switch(
    "system.forceSearchAttributesCacheRefreshOnRead", False, GLOBAL
)
SYSTEM_FORCE_NEXUS_ENDPOINT_REFRESH_ON_READ = _switch("system.forceNexusEndpointRefreshOnRead", False, GLOBAL)
SYSTEM_REFRESH_NEXUS_ENDPOINTS_MIN_WAIT = _duration("system.refreshNexusEndpointsMinWait", SECOND, GLOBAL)
SYSTEM_NAMESPACE_MIN_RETENTION_LOCAL = _duration("system.namespaceMinRetentionLocal", HOUR, GLOBAL)
SYSTEM_NAMESPACE_MIN_RETENTION_GLOBAL = _duration("system.namespaceMinRetentionGlobal", 24 * HOUR, GLOBAL)
SYSTEM_NAMESPACE_CACHE_REFRESH_INTERVAL = _duration("system.namespaceCacheRefreshInterval", 2 * SECOND, GLOBAL)
SYSTEM_VISIBILITY_DISABLE_ORDER_BY_CLAUSE = _switch("system.visibilityDisableOrderByClause", True)
SYSTEM_SECONDARY_VISIBILITY_WRITING_MODE = Setting("system.secondaryVisibilityWritingMode", to_str, "off", GLOBAL)
SYSTEM_HISTORY_ARCHIVAL_STATE = Setting("system.historyArchivalState", to_str, "disabled", GLOBAL)
SYSTEM_VISIBILITY_ARCHIVAL_STATE = Setting("system.visibilityArchivalState", to_str, "disabled", GLOBAL)
SYSTEM_ENABLE_READ_FROM_HISTORY_ARCHIVAL = _switch("system.enableReadFromHistoryArchival", True, GLOBAL)
SYSTEM_ENABLE_READ_FROM_VISIBILITY_ARCHIVAL = _switch("system.enableReadFromVisibilityArchival", True, GLOBAL)
PERDURE_ARCHIVAL_FILE_ROOTS: Setting[tuple[str, ...]] = Setting("perdure.archivalFileRoots", to_strings, (), GLOBAL)

# Server-side workers.
SCHEDULER_NAMESPACE_START_WORKFLOW_RPS = _number("worker.schedulerNamespaceStartWorkflowRPS", 30.0)
WORKER_PER_NAMESPACE_WORKER_COUNT = _integer("worker.perNamespaceWorkerCount", 1)
WORKER_BATCHER_RPS = _integer("worker.batcherRPS", 50)
WORKER_BATCHER_CONCURRENCY = _integer("worker.batcherConcurrency", 5)
WORKER_ENABLE_SCHEDULER = _switch("worker.enableScheduler", True)
WORKER_ENABLE_NAMESPACE_BATCHER = _switch("worker.enableNamespaceBatcher", True)
WORKER_BUILD_ID_SCAVENGER_ENABLED = _switch("worker.buildIdScavengerEnabled", False, GLOBAL)

# Callbacks and Nexus.
CALLBACK_ALLOWED_ADDRESSES: Setting[tuple[AllowedAddress, ...]] = Setting(
    "callback.allowedAddresses", to_allowed_addresses, (), NAMESPACE
)
CALLBACK_REQUEST_TIMEOUT = _duration("callback.request.timeout", 10 * SECOND, DESTINATION)
CALLBACK_RETRY_POLICY_INITIAL_INTERVAL = _duration("callback.retryPolicy.initialInterval", SECOND, GLOBAL)
CALLBACK_RETRY_POLICY_MAX_INTERVAL = _duration("callback.retryPolicy.maxInterval", HOUR, GLOBAL)
CALLBACK_MAX_PER_EXECUTION = _integer("callback.maxPerExecution", 2000)
NEXUS_CALLBACK_ENDPOINT_TEMPLATE = Setting(
    "component.nexusoperations.callback.endpoint.template", to_str, "unset", GLOBAL
)
NEXUS_RECORD_CANCEL_REQUEST_COMPLETION_EVENTS = _switch(
    "component.nexusoperations.recordCancelRequestCompletionEvents", True, GLOBAL
)
NEXUS_USE_SYSTEM_CALLBACK_URL = _switch("component.nexusoperations.useSystemCallbackURL", True, GLOBAL)
NEXUS_REQUEST_TIMEOUT = _duration("component.nexusoperations.request.timeout", 10 * SECOND, DESTINATION)
NEXUS_REQUEST_TIMEOUT_MIN = _duration("component.nexusoperations.limit.request.timeout.min", 1500 * MILLISECOND)
NEXUS_DISPATCH_TASK_TIMEOUT_MIN = _duration("component.nexusoperations.limit.dispatch.task.timeout.min", SECOND)
NEXUS_OPERATION_CONCURRENCY_LIMIT = _integer("component.nexusoperations.limit.operation.concurrency", 30)
NEXUS_SERVICE_NAME_LENGTH_LIMIT = _integer("component.nexusoperations.limit.service.name.length", 1000)
NEXUS_OPERATION_NAME_LENGTH_LIMIT = _integer("component.nexusoperations.limit.operation.name.length", 1000)
NEXUS_OPERATION_TOKEN_LENGTH_LIMIT = _integer("component.nexusoperations.limit.operation.token.length", 4096)
NEXUS_HEADER_SIZE_LIMIT = _integer("component.nexusoperations.limit.header.size", 8192)
NEXUS_SCHEDULE_TO_CLOSE_TIMEOUT_LIMIT = _duration("component.nexusoperations.limit.scheduleToCloseTimeout", 0)
NEXUS_RETRY_INITIAL_INTERVAL = _duration("component.nexusoperations.retryPolicy.initialInterval", SECOND, GLOBAL)
NEXUS_RETRY_MAX_INTERVAL = _duration("component.nexusoperations.retryPolicy.maxInterval", HOUR, GLOBAL)
STANDALONE_NEXUS_REQUEST_TIMEOUT = _duration("nexusoperation.request.timeout", 10 * SECOND, DESTINATION)
NEXUSOPERATION_LONG_POLL_TIMEOUT = _duration("nexusoperation.longPollTimeout", MINUTE)
NEXUSOPERATION_LONG_POLL_BUFFER = _duration("nexusoperation.longPollBuffer", SECOND)
ACTIVITY_LONG_POLL_TIMEOUT = _duration("activity.longPollTimeout", MINUTE)
ACTIVITY_LONG_POLL_BUFFER = _duration("activity.longPollBuffer", SECOND)

# Metrics.
METRICS_BREAKDOWN_BY_TASK_QUEUE = _switch("metrics.breakdownByTaskQueue", True, TASK_QUEUE)
METRICS_BREAKDOWN_BY_PARTITION = _switch("metrics.breakdownByPartition", True, TASK_QUEUE)
METRICS_BREAKDOWN_BY_BUILD_ID = _switch("metrics.breakdownByBuildID", True, TASK_QUEUE)

SETTINGS: Final[dict[str, Setting[Any]]] = {
    setting.folded: setting for setting in list(globals().values()) if isinstance(setting, Setting)
}
"""Every known setting by its key in lower case."""


class DynamicConfig:
    """What is set, over the table's defaults. Reading costs one dict lookup where nothing is set."""

    __slots__ = ("_values", "_warnings", "generation")

    def __init__(self, overrides: Mapping[str, object] | None = None) -> None:
        """`overrides` are plain values by key, as the command line gives them: they hold everywhere."""
        self._values: dict[str, dict[Constraints, Any]] = {}
        self._warnings: list[str] = []
        self.generation = 0
        """Rises with every `replace`: who keeps something made from settings compares it."""
        self.replace({key: [Constrained(value)] for key, value in (overrides or {}).items()})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd about the values given last: unknown keys, and values whose type does not fit (ignored)."""
        return tuple(self._warnings)

    def replace(self, values: Mapping[str, Sequence[Constrained]]) -> None:
        """Take new values in place of the old ones; the next `get` sees them. Of equal constraints the first wins."""
        converted: dict[str, dict[Constraints, Any]] = {}
        warnings: list[str] = []
        for key, entries in values.items():
            setting = SETTINGS.get(key.lower())
            if setting is None:
                warnings.append(f"unknown dynamic config key {key!r} is ignored")
                continue
            for entry in entries:
                try:
                    value = setting.convert(entry.value)
                except ValueError as wrong:
                    warnings.append(f"dynamic config {setting.key}: {wrong}; value {entry.value!r} is ignored")
                    continue
                converted.setdefault(setting.folded, {}).setdefault(entry.constraints, value)
        self._values = converted
        self.generation += 1
        self._warnings = warnings

    def sets(self, *wanted: Setting[Any]) -> bool:
        """Whether somebody gave one of these a value, anywhere."""
        return any(setting.folded in self._values for setting in wanted)

    def get(
        self,
        setting: Setting[T],
        namespace: str = "",
        task_queue: str = "",
        task_type: int = 0,
        destination: str = "",
    ) -> T:
        """The value in force; what the setting's scope does not look at is ignored.

        Precedence by scope: namespace: namespace, none. Task queue: namespace + queue + type, namespace + queue, queue,
        namespace, none. Destination: namespace + destination, destination, namespace, none. `task_type` is a number of
        `enums.TaskQueueType`. Durations are nanoseconds.
        """
        values = self._values.get(setting.folded)
        if values is None:
            return setting.default
        for constraints in _precedence(setting.scope, namespace, task_queue, task_type, destination):
            if constraints in values:
                value: T = values[constraints]
                return value
        return setting.default


def _precedence(
    scope: Scope, namespace: str, task_queue: str, task_type: int, destination: str
) -> tuple[Constraints, ...]:
    if scope is Scope.GLOBAL:
        return (Constraints(),)
    if scope is Scope.TASK_QUEUE:
        return (
            Constraints(namespace, task_queue, task_type),
            Constraints(namespace, task_queue),
            Constraints(task_queue=task_queue),
            Constraints(namespace),
            Constraints(),
        )
    if scope is Scope.DESTINATION:
        return (
            Constraints(namespace, destination=destination),
            Constraints(destination=destination),
            Constraints(namespace),
            Constraints(),
        )
    return (Constraints(namespace), Constraints())
