"""Checks of requests that need no state, with Temporal's texts (semantics 2.1, 7.1 - 7.3). Pure: no I/O, no clock.

Each function raises `InvalidArgument` (or what its docstring says) and may fill in defaults in the message it was
given, which is the caller's own copy. Lengths of names are UTF-8 bytes, as the reference counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from perdure.api import common, deployment, enums, failure, taskqueue
from perdure.api.times import BadDuration, checked_duration_ns, duration_ns, duration_of
from perdure.clock import SECOND
from perdure.config.values import RetrySettings
from perdure.errors import InvalidArgument, PermissionDenied, Unimplemented
from perdure.machines import priorities, queue_names, retry

_HEX: Final = frozenset("0123456789abcdefABCDEF")


def too_long(text: str, limit: int) -> bool:
    """Whether a name has more than `limit` bytes."""
    return len(text) * 4 > limit and len(text.encode("utf-8", "replace")) > limit


def byte_length(text: str) -> int:
    """UTF-8 bytes of a text."""
    return len(text.encode("utf-8", "replace"))


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in one of the four forms that Go's `uuid.Validate` takes."""
    if len(text) == 45 and text[:9].lower() == "urn:uuid:":
        text = text[9:]
    elif len(text) == 38 and text[0] == "{" and text[-1] == "}":
        text = text[1:-1]
    elif len(text) == 32:
        return _HEX.issuperset(text)
    return (
        len(text) == 36
        and text[8] == text[13] == text[18] == text[23] == "-"
        and _HEX.issuperset(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])
    )


def execution(message: common.WorkflowExecution, is_set: bool) -> None:
    """The workflow a request is about; `is_set` tells whether the field was sent at all."""
    if not is_set:
        raise InvalidArgument("Execution is not set on request.")
    if not message.workflow_id:
        raise InvalidArgument("WorkflowId is not set on request.")
    if message.run_id and not is_uuid(message.run_id):
        raise InvalidArgument("Invalid RunId.")


def run_id(text: str) -> None:
    """A run id where no whole execution is named; "" for the current run."""
    if text and not is_uuid(text):
        raise InvalidArgument("RunId is not valid UUID.")


def workflow_id(text: str, limit: int) -> None:
    """The id of a workflow to start."""
    if not text:
        raise InvalidArgument("WorkflowId is not set on request.")
    if too_long(text, limit):
        raise InvalidArgument(f"WorkflowId exceeds maximum allowed length ({byte_length(text)}/{limit})")


def identity(text: str, limit: int) -> None:
    """The identity of a client or worker; empty is legal."""
    if too_long(text, limit):
        raise InvalidArgument("Identity length exceeds limit.")


def task_queue(message: taskqueue.TaskQueue, is_set: bool, limit: int, root_only: bool = True) -> None:
    """A task queue; its kind defaults to NORMAL. `root_only`: names of partitions are refused."""
    if not is_set:
        raise InvalidArgument("taskQueue is not set")
    if message.kind == enums.TASK_QUEUE_KIND_UNSPECIFIED:
        message.kind = enums.TASK_QUEUE_KIND_NORMAL
    if not message.name:
        raise InvalidArgument("missing task queue name")
    queue_name(message.name, limit, root_only)
    if message.kind == enums.TASK_QUEUE_KIND_STICKY and message.normal_name:
        queue_name(message.normal_name, limit, False)


def partition(queue: taskqueue.TaskQueue) -> None:
    """A queue that is polled or described, valid otherwise: only a sticky one has a normal one beside it."""
    if queue.normal_name and queue.kind != enums.TASK_QUEUE_KIND_STICKY:
        raise InvalidArgument(
            f"only sticky queues can have normal name. tq: {queue.name}, normal name: {queue.normal_name}"
        )


def user_task_queue(message: taskqueue.TaskQueue, is_set: bool, limit: int) -> None:
    """A task queue that a user may start workflows on."""
    task_queue(message, is_set, limit)
    if queue_names.is_internal(message.name):
        raise InvalidArgument(f"cannot use internal per-namespace task queue:{message.name}")


def queue_name(name: str, limit: int, root_only: bool) -> None:
    """The name of a task queue, which is not empty; `root_only` as in `task_queue`."""
    if too_long(name, limit):
        raise InvalidArgument("taskQueue length exceeds limit")
    if root_only and name.startswith(queue_names.RESERVED_PREFIX):
        raise InvalidArgument(f"task queue name cannot start with reserved prefix {queue_names.RESERVED_PREFIX}")


def retry_policy(policy: common.RetryPolicy, defaults: RetrySettings) -> None:
    """A retry policy that was set: fills in what is not, then checks (semantics 2.1 item 3)."""
    if policy.maximum_attempts == 0:
        policy.maximum_attempts = defaults.maximum_attempts
    if duration_ns(policy.initial_interval) == 0:
        policy.initial_interval.CopyFrom(duration_of(defaults.initial_interval_ns))
    if duration_ns(policy.maximum_interval) == 0:
        longest = int(defaults.maximum_interval_coefficient) * duration_ns(policy.initial_interval)
        policy.maximum_interval.CopyFrom(duration_of(longest))
    if policy.backoff_coefficient == 0:
        policy.backoff_coefficient = defaults.backoff_coefficient
    if policy.maximum_attempts == 1:
        return
    bad = retry.validate(policy)
    if bad is not None:
        raise InvalidArgument(bad)
    capped_duration(policy, "initial_interval")
    capped_duration(policy, "maximum_interval")


def capped_duration(message: Any, field: str) -> int:
    """ns of a duration field, 0 when unset; one that is too long is cut in the message. Raises BadDuration."""
    if not message.HasField(field):
        return 0
    duration = getattr(message, field)
    checked = checked_duration_ns(duration)
    if checked != duration.seconds * SECOND + duration.nanos:
        duration.CopyFrom(duration_of(checked))
    return checked


_TIMEOUTS: Final = (
    ("workflow_execution_timeout", "An invalid WorkflowExecutionTimeoutSeconds is set on request."),
    ("workflow_run_timeout", "An invalid WorkflowRunTimeoutSeconds is set on request."),
    ("workflow_task_timeout", "An invalid WorkflowTaskTimeoutSeconds is set on request."),
)


def workflow_timeouts(request: Any) -> None:
    """The three timeouts of a start."""
    for field, text in _TIMEOUTS:
        try:
            capped_duration(request, field)
        except BadDuration as wrong:
            raise InvalidArgument(f"{text} cause: {wrong}") from None


def start_delay(request: Any) -> int:
    """ns of the start delay, 0 for none; it excludes a cron schedule."""
    if request.cron_schedule and request.HasField("workflow_start_delay"):
        raise InvalidArgument("CronSchedule and WorkflowStartDelay may not be used together.")
    try:
        return capped_duration(request, "workflow_start_delay")
    except BadDuration as wrong:
        raise InvalidArgument(f"An invalid WorkflowStartDelaySeconds is set on request. cause: {wrong}") from None


def default_id_policies(request: Any, conflict: int) -> None:
    """Fill in id policies; the deprecated TERMINATE_IF_RUNNING becomes a conflict policy (semantics 2.1 item 1)."""
    if request.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED:
        if request.workflow_id_reuse_policy == enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
            request.workflow_id_conflict_policy = enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
            request.workflow_id_reuse_policy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
        else:
            request.workflow_id_conflict_policy = conflict
    if request.workflow_id_reuse_policy == enums.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED:
        request.workflow_id_reuse_policy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE


def id_policies(reuse: int, conflict: int) -> None:
    """Combinations of id policies that contradict each other (semantics 2.1 item 7)."""
    if (
        conflict != enums.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED
        and reuse == enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    ):
        raise InvalidArgument(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together "
            "with a WorkflowIDConflictPolicy"
        )
    if (
        conflict == enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
        and reuse == enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
    ):
        raise InvalidArgument(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used together "
            "with WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"
        )


def priority(message: common.Priority) -> None:
    """Priority key, fairness key and weight."""
    bad = priorities.invalid(message)
    if bad is not None:
        raise InvalidArgument(bad)


_LINK_FIELDS: Final = {
    "workflow_event": ("workflow event", ("namespace", "workflow_id", "run_id")),
    "batch_job": ("batch job", ("job_id",)),
    "nexus_operation": ("nexus operation", ("namespace", "operation_id", "run_id")),
    "activity": ("activity", ("namespace", "activity_id", "run_id")),
    "workflow": ("workflow", ("namespace", "workflow_id", "run_id")),
}
_LINK_WORDS: Final = {
    "namespace": "namespace field",
    "workflow_id": "workflow ID field",
    "run_id": "run ID field",
    "job_id": "job ID",
    "operation_id": "operation ID field",
    "activity_id": "activity ID field",
}


def links(messages: Iterable[common.Link], count_max: int, bytes_max: int) -> None:
    """Links attached to a request: their number, sizes and required fields."""
    all_links = list(messages)
    if len(all_links) > count_max:
        raise InvalidArgument(f"cannot attach more than {count_max} links per request, got {len(all_links)}")
    for link in all_links:
        size = link.ByteSize()
        if size > bytes_max:
            raise InvalidArgument(f"link exceeds allowed size of {bytes_max}, got {size}")
        variant = link.WhichOneof("variant")
        rule = _LINK_FIELDS.get(variant or "")
        if rule is None or variant is None:
            raise InvalidArgument("unsupported link variant")
        shown, fields = rule
        body = getattr(link, variant)
        for field in fields:
            if not getattr(body, field):
                raise InvalidArgument(f"{shown} link must not have an empty {_LINK_WORDS[field]}")
        if variant == "workflow_event" and not body.event_ref.event_type and body.event_ref.event_id:
            raise InvalidArgument(
                "workflow event link ref cannot have an unspecified event type and a non-zero event ID"
            )


def worker_versioning(stamp: Any, options: Any, queue: taskqueue.TaskQueue, build_id_max: int, enabled: bool) -> None:
    """What a worker says of its version: `stamp` is its stamp or capabilities, `options` what it deploys or None.

    Raises PermissionDenied when the old versioning is switched off, Unimplemented for a version of a deployment.
    """
    if stamp.use_versioning and not enabled:
        raise PermissionDenied("Worker versioning in workflow progress APIs is disabled on this namespace.")
    if queue.kind == enums.TASK_QUEUE_KIND_STICKY and not queue.normal_name and (stamp.use_versioning or options):
        raise InvalidArgument(
            "NormalName must be set on sticky queue when UseVersioning is true or DeploymentOptions are set."
        )
    if stamp.use_versioning and not stamp.build_id:
        raise InvalidArgument("WorkerVersionStamp must be present if UseVersioning is true.")
    if too_long(stamp.build_id, build_id_max):
        raise InvalidArgument("Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.")
    if (
        options is not None
        and options.worker_versioning_mode == enums.WORKER_VERSIONING_MODE_VERSIONED
        and not (options.deployment_name and options.build_id)
    ):
        raise InvalidArgument("Deployment name and build id must be set together.")
    if options is not None and options.worker_versioning_mode == enums.WORKER_VERSIONING_MODE_VERSIONED:
        # Served as if it had no version, it would be given what other versions must go on with.
        raise Unimplemented("worker deployments are not implemented: no task for a worker of versioning mode VERSIONED")


_DURATION_SECONDS_MAX: Final = 315_576_000_000
"""About 10,000 years: what a protobuf Duration may hold."""


def activity_failure(message: failure.Failure, by_id: bool) -> None:
    """A failure that is reported for an activity (semantics 5.3); who names the activity by id may report any kind."""
    if not by_id and not message.HasField("application_failure_info"):
        raise InvalidArgument("Failure must have ApplicationFailureInfo.")
    current = message
    while True:
        info = current.application_failure_info
        if info.HasField("next_retry_delay"):
            _valid_duration(info.next_retry_delay.seconds, info.next_retry_delay.nanos)
        if not current.HasField("cause"):
            return
        current = current.cause


def _valid_duration(seconds: int, nanos: int) -> None:
    shown = f"duration (seconds:{seconds}  nanos:{nanos})"
    if abs(seconds) > _DURATION_SECONDS_MAX:
        wrong = f"{shown} exceeds {'-' if seconds < 0 else '+'}10000 years"
    elif abs(nanos) >= SECOND:
        wrong = f"{shown} has out-of-range nanos"
    elif seconds * nanos < 0:
        wrong = f"{shown} has seconds and nanos with different signs"
    else:
        return
    raise InvalidArgument(f"NextRetryDelay is not a valid duration: {wrong}")


def polled_build_id(capabilities: common.WorkerVersionCapabilities) -> str:
    """The build id by which a poll wants its tasks chosen, "" when it does not."""
    return capabilities.build_id if capabilities.use_versioning else ""


def polled_stamp(
    capabilities: common.WorkerVersionCapabilities, options: deployment.WorkerDeploymentOptions
) -> bytes | None:
    """What the start of a workflow task shows of a poller: its build id, where that only informs.

    Where tasks are chosen by build id, or the worker belongs to a deployment, other fields tell it.
    """
    if not capabilities.build_id or capabilities.use_versioning:
        return None
    versioned = options.worker_versioning_mode == enums.WORKER_VERSIONING_MODE_VERSIONED
    if versioned and options.deployment_name:
        return None
    return common.WorkerVersionStamp(build_id=capabilities.build_id).SerializeToString()
