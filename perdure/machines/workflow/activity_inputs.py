"""What happens to an activity: a poller takes an attempt, a worker reports; and what a step answers (semantics 5).

A report names its attempt by a token or by the activity's id: an `ActivityTarget`.
"""

from __future__ import annotations

from typing import final

from perdure.api import common, failure
from perdure.machines.retry import RetryPolicy
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.task_token import TaskToken


@final
class ActivityTaskStarted(Input):
    """A poller is about to get an activity attempt (semantics 5.2); the outcome is `ActivityDelivery` or `Stale`."""

    __slots__ = ("attempt", "identity", "request_id", "scheduled_event_id", "stamp")

    def __init__(
        self, run_id: str, scheduled_event_id: int, attempt: int, stamp: int, request_id: str, identity: str
    ) -> None:
        super().__init__(run_id)
        self.scheduled_event_id = scheduled_event_id
        self.attempt = attempt
        self.stamp = stamp
        self.request_id = request_id
        self.identity = identity


@final
class ActivityDelivery:
    """Everything a PollActivityTaskQueueResponse needs except what the scheduled event holds (type, header, input,
    timeouts). Times are ns since the epoch; `heartbeat_details` and `priority` are serialized messages.
    """

    __slots__ = (
        "attempt",
        "branches",
        "current_attempt_scheduled_time",
        "first_scheduled_time",
        "heartbeat_details",
        "priority",
        "retry",
        "started_time",
        "token",
        "workflow_type",
    )

    def __init__(
        self,
        token: TaskToken,
        workflow_type: str,
        branches: tuple[tuple[bytes, int], ...],
        attempt: int,
        first_scheduled_time: int,
        current_attempt_scheduled_time: int,
        started_time: int,
        heartbeat_details: bytes,
        priority: bytes,
        retry: RetryPolicy,
    ) -> None:
        self.token = token
        self.workflow_type = workflow_type
        self.branches = branches
        self.attempt = attempt
        self.first_scheduled_time = first_scheduled_time
        self.current_attempt_scheduled_time = current_attempt_scheduled_time
        self.started_time = started_time
        self.heartbeat_details = heartbeat_details
        self.priority = priority
        self.retry = retry


@final
class ActivityTarget:
    """Which pending activity a response is about: by scheduled event id and attempt (a token), or, where these are 0,
    by activity id.
    """

    __slots__ = ("activity_id", "attempt", "scheduled_event_id")

    def __init__(self, activity_id: str, scheduled_event_id: int = 0, attempt: int = 0) -> None:
        self.activity_id = activity_id
        self.scheduled_event_id = scheduled_event_id
        self.attempt = attempt


@final
class ActivityTaskCompleted(Input):
    """RespondActivityTaskCompleted and its ById form (semantics 5.3).

    `worker_version` is what the worker says of its build: the deferred start event shows it.
    """

    __slots__ = ("identity", "result", "target", "worker_version")

    def __init__(
        self,
        run_id: str,
        target: ActivityTarget,
        result: common.Payloads | None,
        identity: str,
        worker_version: common.WorkerVersionStamp | None = None,
    ) -> None:
        super().__init__(run_id)
        self.target = target
        self.result = result
        self.identity = identity
        self.worker_version = worker_version


@final
class ActivityTaskFailed(Input):
    """RespondActivityTaskFailed and its ById form (semantics 5.3); `heartbeat_details` None keeps what is stored."""

    __slots__ = ("failure", "heartbeat_details", "identity", "target", "worker_version")

    def __init__(
        self,
        run_id: str,
        target: ActivityTarget,
        failure: failure.Failure | None,
        heartbeat_details: common.Payloads | None,
        identity: str,
        worker_version: common.WorkerVersionStamp | None = None,
    ) -> None:
        super().__init__(run_id)
        self.target = target
        self.failure = failure
        self.heartbeat_details = heartbeat_details
        self.identity = identity
        self.worker_version = worker_version


@final
class ActivityTaskCanceled(Input):
    """RespondActivityTaskCanceled and its ById form (semantics 5.3)."""

    __slots__ = ("details", "identity", "target")

    def __init__(self, run_id: str, target: ActivityTarget, details: common.Payloads | None, identity: str) -> None:
        super().__init__(run_id)
        self.target = target
        self.details = details
        self.identity = identity


@final
class ActivityHeartbeat(Input):
    """RecordActivityTaskHeartbeat and its ById form (semantics 5.4); the outcome is `HeartbeatOutcome`."""

    __slots__ = ("details", "identity", "target")

    def __init__(self, run_id: str, target: ActivityTarget, details: common.Payloads | None, identity: str) -> None:
        super().__init__(run_id)
        self.target = target
        self.details = details
        self.identity = identity


@final
class HeartbeatOutcome:
    """The flags of a heartbeat's answer."""

    __slots__ = ("activity_paused", "activity_reset", "cancel_requested")

    def __init__(self, cancel_requested: bool, activity_paused: bool = False, activity_reset: bool = False) -> None:
        self.cancel_requested = cancel_requested
        self.activity_paused = activity_paused
        self.activity_reset = activity_reset
