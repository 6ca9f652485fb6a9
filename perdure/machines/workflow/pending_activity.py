"""An activity between the event that schedules it and the one that ends it. Replaced, never changed; times are int ns,
0 meaning "not set" or "none".
"""

from __future__ import annotations

from typing import final

from perdure.machines.retry import RetryPolicy
from perdure.machines.workflow.run_operations import Pause


@final
class Activity:
    """A pending activity (semantics 1.2). `started_time` 0 = this attempt has not started; `offered` is volatile.

    `priority`, `last_failure` and `heartbeat_details` are serialized messages; the input stays in the scheduled event.
    `original_options` is the serialized `ActivityOptions` of the scheduled event, kept once they were changed.
    """

    __slots__ = (
        "activity_id",
        "activity_reset",
        "activity_type",
        "attempt",
        "cancel_request_event_id",
        "cancel_requested",
        "first_scheduled_time",
        "heartbeat_details",
        "heartbeat_time",
        "heartbeat_timeout",
        "identity",
        "last_attempt_complete_time",
        "last_failure",
        "last_worker_identity",
        "offered",
        "original_options",
        "own_build",
        "pause",
        "priority",
        "request_id",
        "reset_heartbeats",
        "retry",
        "retry_expiration",
        "schedule_to_close",
        "schedule_to_start",
        "scheduled_event_id",
        "scheduled_time",
        "stamp",
        "start_to_close",
        "started_time",
        "task_queue",
    )

    def __init__(
        self,
        scheduled_event_id: int,
        activity_id: str,
        activity_type: str,
        task_queue: str,
        scheduled_time: int,
        schedule_to_close: int,
        schedule_to_start: int,
        start_to_close: int,
        heartbeat_timeout: int,
        retry: RetryPolicy,
        priority: bytes,
    ) -> None:
        self.scheduled_event_id = scheduled_event_id
        self.activity_id = activity_id
        self.activity_type = activity_type
        self.task_queue = task_queue
        self.first_scheduled_time = scheduled_time
        self.scheduled_time = scheduled_time
        self.schedule_to_close = schedule_to_close
        self.schedule_to_start = schedule_to_start
        self.start_to_close = start_to_close
        self.heartbeat_timeout = heartbeat_timeout
        self.retry = retry
        self.retry_expiration: int = scheduled_time + schedule_to_close if schedule_to_close else 0
        self.priority = priority
        self.attempt: int = 1
        self.stamp: int = 0
        self.started_time: int = 0
        self.request_id: str = ""
        self.identity: str = ""
        self.last_failure: bytes = b""
        self.last_worker_identity: str = ""
        self.last_attempt_complete_time: int = 0
        self.heartbeat_details: bytes = b""
        self.heartbeat_time: int = 0
        self.cancel_requested: bool = False
        self.cancel_request_event_id: int = 0
        self.pause: Pause | None = None
        self.activity_reset: bool = False
        """The attempt on the worker was reset: its heartbeats say so."""
        self.reset_heartbeats: bool = False
        """The next attempt starts without heartbeat details."""
        self.original_options: bytes = b""
        self.own_build: bool = False
        """Only a worker of the workflow's own build may take it, where workers are versioned the old ways."""
        self.offered: bool = False

    def copy(self) -> Activity:
        """A copy to change before it replaces this one."""
        other = Activity(
            self.scheduled_event_id,
            self.activity_id,
            self.activity_type,
            self.task_queue,
            self.scheduled_time,
            self.schedule_to_close,
            self.schedule_to_start,
            self.start_to_close,
            self.heartbeat_timeout,
            self.retry,
            self.priority,
        )
        other.first_scheduled_time = self.first_scheduled_time
        other.retry_expiration = self.retry_expiration
        other.attempt = self.attempt
        other.stamp = self.stamp
        other.started_time = self.started_time
        other.request_id = self.request_id
        other.identity = self.identity
        other.last_failure = self.last_failure
        other.last_worker_identity = self.last_worker_identity
        other.last_attempt_complete_time = self.last_attempt_complete_time
        other.heartbeat_details = self.heartbeat_details
        other.heartbeat_time = self.heartbeat_time
        other.cancel_requested = self.cancel_requested
        other.cancel_request_event_id = self.cancel_request_event_id
        other.pause = self.pause
        other.activity_reset = self.activity_reset
        other.reset_heartbeats = self.reset_heartbeats
        other.original_options = self.original_options
        other.own_build = self.own_build
        other.offered = self.offered
        return other
