"""The state of a workflow run: plain values, no behaviour beyond copying.

A `RunInfo` never changes after the start. An `Execution` is forked (`fork`) for every step and changed only while
it is a draft; what hangs on it (`Activity`, `Timer`, `WorkflowTask`) is replaced, never changed, and its
containers are persistent maps, so a fork costs the same for one pending activity and for two thousand (DESIGN
1.4).

*Recorded* state is a fold of history and is written by `apply.py` only. *Unrecorded* state is what history does
not show. *Volatile* state (marked so) is lost with the process and never stored. All times are int ns, 0 meaning
"not set" or "none".
"""

from __future__ import annotations

from typing import final

from immutables import Map

from perdure.machines.closing_report import InternalCallback
from perdure.machines.deadlines import Deadline
from perdure.machines.persistent import EMPTY
from perdure.machines.workflow.callback import Callback
from perdure.machines.workflow.child import Child
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.pending_update import PendingUpdate
from perdure.machines.workflow.reset_points import ResetPoint
from perdure.machines.workflow.run_info import RunInfo
from perdure.machines.workflow.run_operations import NOTHING, RunOperations

RUNNING = 1
"""Statuses are `enums.WorkflowExecutionStatus` numbers."""
COMPLETED = 2
FAILED = 3
CANCELED = 4
TERMINATED = 5
CONTINUED_AS_NEW = 6
TIMED_OUT = 7
PAUSED = 8
"""Open, but nothing is dispatched."""


@final
class Timer:
    """A pending user timer: recorded state only."""

    __slots__ = ("expiry", "started_event_id", "timer_id")

    def __init__(self, timer_id: str, started_event_id: int, expiry: int) -> None:
        self.timer_id = timer_id
        self.started_event_id = started_event_id
        self.expiry = expiry


@final
class BufferedEvent:
    """An event that waits for its id while a workflow task runs (semantics 0.3): its type, the scheduled event id (or
    timer's started event id) it refers to, and the serialized event without an id.
    """

    __slots__ = ("body", "link", "type")

    def __init__(self, type: int, link: int, body: bytes) -> None:
        self.type = type
        self.link = link
        self.body = body


@final
class BufferedQuery:
    """Volatile: a query that waits for a workflow task (semantics 8.1). `body` is a serialized `WorkflowQuery`."""

    __slots__ = ("body", "query_id", "sent", "waiter")

    def __init__(self, query_id: str, body: bytes, waiter: int, sent: bool = False) -> None:
        self.query_id = query_id
        self.body = body
        self.waiter = waiter
        self.sent = sent


@final
class Execution:
    """One run. `version` counts its stored steps; `alarm` is the stored alarm (0 = none), never later than what is
    owed.
    """

    __slots__ = (
        "activities",
        "activity_count",
        "activity_ids",
        "alarm",
        "awaits_parent",
        "branches",
        "buffered",
        "callbacks",
        "calls",
        "cancel_request_id",
        "cancel_requested",
        "children",
        "close_attempted",
        "close_time",
        "completed_updates",
        "confirmed",
        "deadlines",
        "external_cancels",
        "external_payload_bytes",
        "external_payload_count",
        "external_signals",
        "forgotten",
        "held_bytes",
        "history_size",
        "info",
        "internal_callbacks",
        "last_completed_started_event_id",
        "last_update_time",
        "memo",
        "new_run_id",
        "next_event_id",
        "operations",
        "override",
        "owed",
        "parts_spilled",
        "parts_unread",
        "queries",
        "report_answered",
        "request_ids",
        "reset_points",
        "retention",
        "search_attributes",
        "signal_count",
        "signal_events",
        "signal_ids",
        "start_linked",
        "status",
        "sticky_queue",
        "sticky_timeout",
        "task",
        "task_attempt",
        "task_ever_scheduled",
        "task_problems",
        "timer_count",
        "timer_ids",
        "timers",
        "transition_count",
        "unsent",
        "update_count",
        "updates",
        "version",
        "worker_deployment",
        "worker_stamp",
    )

    def __init__(self, info: RunInfo, before: Execution | None = None) -> None:
        """A run without a history, or a copy of `before`: a fork is made so often that it must not set each field
        twice.
        """
        self.info = info
        if before is not None:
            self._take_over(before)
            return
        self.version: int = 0
        self.alarm: int = 0
        self.status: int = RUNNING
        self.next_event_id: int = 1
        self.history_size: int = 0
        self.branches: tuple[tuple[bytes, int], ...] = ()
        """(branch id, up to and including event id) in order; the last one's bound is open and reads 0."""
        self.transition_count: int = 0
        self.last_update_time: int = 0
        self.close_time: int = 0
        self.new_run_id: str = ""
        self.retention: int = 0
        """ns after the close at which the run is reclaimed, fixed at the close."""
        # workflow task
        self.task: WorkflowTask | None = None
        self.task_attempt: int = 1
        """The attempt that the next scheduled task will have; > 1 means transient."""
        self.task_ever_scheduled: bool = False
        self.task_problems: int = 0
        """Failures and timeouts of workflow tasks since the last one that succeeded."""
        self.last_completed_started_event_id: int = 0
        self.sticky_queue: str = ""
        self.sticky_timeout: int = 0
        self.worker_stamp: bytes | None = None
        """Serialized WorkerVersionStamp of the last completion, None if it carried none."""
        # recorded
        self.cancel_requested: bool = False
        self.cancel_request_id: str = ""
        self.signal_count: int = 0
        self.activity_count: int = 0
        self.timer_count: int = 0
        self.activities: Map[int, Activity] = EMPTY
        self.activity_ids: Map[str, int] = EMPTY
        self.timers: Map[str, Timer] = EMPTY
        self.timer_ids: Map[int, str] = EMPTY
        """Timer ids by started event id."""
        self.children: Map[int, Child] = EMPTY
        """By initiated event id, as are the next two."""
        self.external_signals: Map[int, bool] = EMPTY
        self.external_cancels: Map[int, bool] = EMPTY
        self.signal_events: Map[str, int] = EMPTY
        """Event ids of signals by request id, 0 while they wait for one; kept where the namespace links to them."""
        self.callbacks: Map[int, Callback] = EMPTY
        """Completion callbacks by number; which ones is recorded, what became of them is not."""
        self.memo: Map[str, bytes] = EMPTY
        """Serialized payloads by key."""
        self.search_attributes: Map[str, bytes] = EMPTY
        self.reset_points: tuple[ResetPoint, ...] = ()
        """At most `reset_points.RESET_POINTS_MAX`, oldest first, those of earlier runs among them."""
        self.start_linked: bool = False
        """Whether the first event has links, which the next run of the chain takes over."""
        self.worker_deployment = ""
        """The deployment that the worker of the newest completed workflow task named, versioned or not."""
        self.request_ids: tuple[tuple[str, int, int], ...] = ()
        """Attached requests, at most `request_ids.ATTACHED_MAX`: id and type of the event; 0 while that is buffered."""
        self.updates: tuple[PendingUpdate, ...] = ()
        """Updates on their way, in order of admission. Only those that are in history (accepted, or admitted by an
        event) are recorded and stored; the others, and everybody who waits, are volatile.
        """
        self.external_payload_count: int = 0
        """Payloads in history whose data is kept elsewhere, and what they say it is in bytes."""
        self.external_payload_bytes: int = 0
        self.override: bytes | None = None
        """Serialized `VersioningOverride`, b"" once it was taken away."""
        self.update_count: int = 0
        """Updates completed so far."""
        self.completed_updates: Map[str, int] = EMPTY
        """Completed updates: the id of their completed event; 0 known not to be completed (asked of the store)."""
        # unrecorded
        self.signal_ids: Map[str, bool] = EMPTY
        """Signal request ids: True known, False known to be absent (asked of the store)."""
        self.buffered: tuple[BufferedEvent, ...] = ()
        self.parts_spilled: int = 0
        """Bit set of part kinds that live in rows of their own, see parts.py."""
        self.operations: RunOperations = NOTHING
        self.close_attempted: bool = False
        """The worker tried to close the run over events it had not seen; its next task shuts signals out."""
        self.awaits_parent: bool = False
        """A child without a workflow task until its parent has recorded its start."""
        self.report_answered: bool = False
        """The parent has taken the report of this closed run."""
        self.internal_callbacks: Map[int, InternalCallback] = EMPTY
        """Entities to be told how the chain of runs ends; the newest run of it has them."""
        # derived
        self.held_bytes: int = 0
        """What varies of the items that hang on it; see weight.py."""
        self.calls: Map[tuple[int, int], bool] = EMPTY
        """What is owed to other chains, by (part kind, initiated event id); see outbound.py."""
        # volatile
        self.parts_unread: int = 0
        """Those of `parts_spilled` that are fetched by key and of which the store may have more than is here: none of a
        run that has been in memory from its start.
        """
        self.unsent: Map[tuple[int, int], bool] = EMPTY
        """Those of `calls` that are not under way."""
        self.confirmed: Map[int, bool] = EMPTY
        """Children whose first task is known to be scheduled; the next stored step takes it into their state."""
        self.forgotten: tuple[str, ...] = ()
        """Request ids that the chain need not remember any more; the next stored step removes them."""
        self.queries: tuple[BufferedQuery, ...] = ()
        self.deadlines: Deadline | None = None
        self.owed: Deadline | None = None

    @property
    def running(self) -> bool:
        """Whether the run is open, paused or not."""
        return self.status == RUNNING or self.status == PAUSED

    @property
    def paused(self) -> bool:
        """Whether the run is open and nothing of it is dispatched (semantics 7.6)."""
        return self.status == PAUSED

    def fork(self) -> Execution:
        """A draft of this state: a shallow copy, since nothing below is ever changed in place."""
        return Execution(self.info, self)

    def _take_over(self, before: Execution) -> None:
        self.version = before.version
        self.alarm = before.alarm
        self.status = before.status
        self.next_event_id = before.next_event_id
        self.history_size = before.history_size
        self.branches = before.branches
        self.transition_count = before.transition_count
        self.last_update_time = before.last_update_time
        self.close_time = before.close_time
        self.new_run_id = before.new_run_id
        self.retention = before.retention
        self.task = before.task
        self.task_attempt = before.task_attempt
        self.task_ever_scheduled = before.task_ever_scheduled
        self.task_problems = before.task_problems
        self.last_completed_started_event_id = before.last_completed_started_event_id
        self.sticky_queue = before.sticky_queue
        self.sticky_timeout = before.sticky_timeout
        self.worker_stamp = before.worker_stamp
        self.cancel_requested = before.cancel_requested
        self.cancel_request_id = before.cancel_request_id
        self.signal_count = before.signal_count
        self.activity_count = before.activity_count
        self.timer_count = before.timer_count
        self.activities = before.activities
        self.activity_ids = before.activity_ids
        self.timers = before.timers
        self.timer_ids = before.timer_ids
        self.callbacks = before.callbacks
        self.memo = before.memo
        self.search_attributes = before.search_attributes
        self.reset_points = before.reset_points
        self.request_ids = before.request_ids
        self.start_linked = before.start_linked
        self.worker_deployment = before.worker_deployment
        self.updates = before.updates
        self.override = before.override
        self.external_payload_count = before.external_payload_count
        self.external_payload_bytes = before.external_payload_bytes
        self.update_count = before.update_count
        self.completed_updates = before.completed_updates
        self.signal_ids = before.signal_ids
        self.signal_events = before.signal_events
        self.buffered = before.buffered
        self.parts_spilled, self.parts_unread = before.parts_spilled, before.parts_unread
        self.operations = before.operations
        self.close_attempted = before.close_attempted
        self.children = before.children
        self.external_signals, self.external_cancels = before.external_signals, before.external_cancels
        self.awaits_parent = before.awaits_parent
        self.report_answered = before.report_answered
        self.internal_callbacks = before.internal_callbacks
        self.held_bytes = before.held_bytes
        self.calls = before.calls
        self.unsent = before.unsent
        self.confirmed = before.confirmed
        self.forgotten = before.forgotten
        self.queries = before.queries
        self.deadlines, self.owed = before.deadlines, before.owed
