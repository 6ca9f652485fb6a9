"""What can happen to a workflow chain, and what a step answers.

Inputs are past-tense facts or user verbs, already validated by the frontend as far as that needs no state.
`run_id` "" means the current run and is resolved inside the step, never before it (DESIGN 1.2). An outcome is a
plain value; a `ServiceError` as an outcome (rather than raised) means that the step *did* change state and the
caller gets the error all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from perdure.api import common, failure, history, workflowservice
from perdure.machines.closing_report import InternalCallback
from perdure.machines.workflow.bad_attributes import BadSearchAttributes
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.origin import Origin

if TYPE_CHECKING:
    from perdure.machines.workflow.update_inputs import AdmitUpdate


class Input:
    """Any input; `run_id` names the run it is about."""

    __slots__ = ("run_id",)

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


@final
class Signal(Input):
    """A signal (semantics 7.1). `request_id` "" is not deduplicated."""

    __slots__ = ("attributes", "links", "origin", "request_id")

    def __init__(
        self,
        run_id: str,
        attributes: history.WorkflowExecutionSignaledEventAttributes,
        request_id: str,
        links: tuple[common.Link, ...] = (),
        origin: Origin | None = None,
    ) -> None:
        super().__init__(run_id)
        self.attributes = attributes
        self.request_id = request_id
        self.links = links
        self.origin = origin


@final
class Start(Input):
    """StartWorkflowExecution with defaults filled in (semantics 2.1); SignalWithStart when `signal` is given,
    update-with-start when `update` is (semantics 8.3).

    `search_attributes` are validated payloads with their type metadata, serialized; `first_backoff` is the delay
    of the first workflow task in ns. A child has a `parent`, its parent's `root` (workflow id, run id), and a build.
    `callbacks` are entities that want to know how the run made by this start ends; an existing run tells them nothing.
    """

    __slots__ = (
        "callbacks",
        "first_backoff",
        "parent",
        "request",
        "root",
        "search_attributes",
        "signal",
        "source_stamp",
        "update",
    )

    def __init__(
        self,
        request: workflowservice.StartWorkflowExecutionRequest,
        search_attributes: dict[str, bytes],
        first_backoff: int,
        signal: Signal | None = None,
        parent: Parent | None = None,
        root: tuple[str, str] = ("", ""),
        update: AdmitUpdate | None = None,
        callbacks: tuple[InternalCallback, ...] = (),
        source_stamp: common.WorkerVersionStamp | None = None,
    ) -> None:
        super().__init__("")
        self.source_stamp = source_stamp
        self.request = request
        self.search_attributes = search_attributes
        self.first_backoff = first_backoff
        self.signal = signal
        self.parent = parent
        self.root = root
        self.update = update
        self.callbacks = callbacks


@final
class StartOutcome:
    """`started` false: an existing run was used. `eager` is the workflow task to return with the answer.

    `attached`: the run knows the request by an event of its own, not by its start.
    """

    __slots__ = ("attached", "eager", "first_run_id", "run_id", "started", "status")

    def __init__(
        self, run_id: str, first_run_id: str, started: bool, status: int, eager: WorkflowTaskDelivery | None = None
    ) -> None:
        self.run_id = run_id
        self.first_run_id = first_run_id
        self.started = started
        self.status = status
        self.eager = eager
        self.attached: bool = False


@final
class RequestCancel(Input):
    """RequestCancelWorkflowExecution (semantics 7.2)."""

    __slots__ = ("attributes", "first_run_id", "links", "origin", "request_id")

    def __init__(
        self,
        run_id: str,
        first_run_id: str,
        attributes: history.WorkflowExecutionCancelRequestedEventAttributes,
        request_id: str,
        links: tuple[common.Link, ...] = (),
        origin: Origin | None = None,
    ) -> None:
        super().__init__(run_id)
        self.first_run_id = first_run_id
        self.attributes = attributes
        self.request_id = request_id
        self.links = links
        self.origin = origin


@final
class Terminate(Input):
    """TerminateWorkflowExecution (semantics 7.3)."""

    __slots__ = ("attributes", "first_run_id", "links")

    def __init__(
        self,
        run_id: str,
        first_run_id: str,
        attributes: history.WorkflowExecutionTerminatedEventAttributes,
        links: tuple[common.Link, ...] = (),
    ) -> None:
        super().__init__(run_id)
        self.first_run_id = first_run_id
        self.attributes = attributes
        self.links = links


@final
class AlarmRang(Input):
    """The run's alarm time has come, or its owner has just loaded it after a restart: do all that is due, offer all
    that is owed.
    """

    __slots__ = ()


@final
class Snapshot(Input):
    """Read the run's state as it is after everything before it: the outcome is the `Execution` itself."""

    __slots__ = ()


@final
class ResetSticky(Input):
    """ResetStickyTaskQueue (semantics 3.10)."""

    __slots__ = ()


@final
class WorkflowTaskStarted(Input):
    """A poller is about to get the workflow task (semantics 3.3); the outcome is `WorkflowTaskDelivery` or `Stale`.

    `worker_version` is the poller's serialized `WorkerVersionStamp`, None when its start event shows none.
    """

    __slots__ = (
        "attempt",
        "identity",
        "queue",
        "request_id",
        "scheduled_event_id",
        "stamp",
        "sticky",
        "worker_version",
    )

    def __init__(
        self,
        run_id: str,
        scheduled_event_id: int,
        attempt: int,
        stamp: int,
        request_id: str,
        identity: str,
        queue: str,
        sticky: bool,
        worker_version: bytes | None = None,
    ) -> None:
        super().__init__(run_id)
        self.scheduled_event_id = scheduled_event_id
        self.attempt = attempt
        self.stamp = stamp
        self.request_id = request_id
        self.identity = identity
        self.queue = queue
        self.sticky = sticky
        self.worker_version = worker_version


@final
class Stale:
    """The task is not to be delivered: started already, superseded, or its run is closed. Matching forgets it."""

    __slots__ = ()


@final
class TaskToken:
    """What a task token says (semantics 3.4, 5.2): which attempt of which task of which run."""

    __slots__ = (
        "activity_id",
        "attempt",
        "namespace_id",
        "run_id",
        "scheduled_event_id",
        "started_event_id",
        "started_time",
        "workflow_id",
    )

    def __init__(
        self,
        namespace_id: str,
        workflow_id: str,
        run_id: str,
        scheduled_event_id: int,
        started_event_id: int,
        started_time: int,
        attempt: int,
        activity_id: str = "",
    ) -> None:
        self.namespace_id = namespace_id
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.scheduled_event_id = scheduled_event_id
        self.started_event_id = started_event_id
        self.started_time = started_time
        self.attempt = attempt
        self.activity_id = activity_id


@final
class WorkflowTaskDelivery:
    """Everything a PollWorkflowTaskQueueResponse needs except history bytes (semantics 3.4).

    History to send is [first_event_id, next_event_id) of `branches`, followed by `transient` (a serialized
    `History` fragment of the synthetic Scheduled and Started events, or b""). `queries` are (query id, serialized
    WorkflowQuery), `messages` serialized `temporal.api.protocol.v1.Message`s.
    """

    __slots__ = (
        "attempt",
        "branches",
        "first_event_id",
        "messages",
        "next_event_id",
        "previous_started_event_id",
        "queries",
        "scheduled_time",
        "started_event_id",
        "started_time",
        "sticky",
        "task_queue",
        "token",
        "transient",
        "workflow_type",
    )

    def __init__(
        self,
        token: TaskToken,
        workflow_type: str,
        task_queue: str,
        previous_started_event_id: int,
        started_event_id: int,
        attempt: int,
        scheduled_time: int,
        started_time: int,
        sticky: bool,
        branches: tuple[tuple[bytes, int], ...],
        first_event_id: int,
        next_event_id: int,
        transient: bytes,
        queries: tuple[tuple[str, bytes], ...],
        messages: tuple[bytes, ...] = (),
    ) -> None:
        self.token = token
        self.workflow_type = workflow_type
        self.task_queue = task_queue
        self.previous_started_event_id = previous_started_event_id
        self.started_event_id = started_event_id
        self.attempt = attempt
        self.scheduled_time = scheduled_time
        self.started_time = started_time
        self.sticky = sticky
        self.branches = branches
        self.first_event_id = first_event_id
        self.next_event_id = next_event_id
        self.transient = transient
        self.queries = queries
        self.messages = messages


@final
class WorkflowTaskCompleted(Input):
    """RespondWorkflowTaskCompleted (semantics 3.5).

    `search_attributes`: for the index of each command that carries some, the validated payloads (serialized, with
    their type metadata; b"" removes) or what is wrong with them: validation needs the namespace's
    attribute map, which no machine sees. `namespace_ids`: for the index of each command that names a namespace, its id.
    """

    __slots__ = ("namespace_ids", "request", "search_attributes", "token")

    def __init__(
        self,
        token: TaskToken,
        request: workflowservice.RespondWorkflowTaskCompletedRequest,
        search_attributes: dict[int, dict[str, bytes] | BadSearchAttributes],
        namespace_ids: dict[int, str] | None = None,
    ) -> None:
        super().__init__(token.run_id)
        self.token = token
        self.request = request
        self.search_attributes = search_attributes
        self.namespace_ids = namespace_ids or {}


@final
class WorkflowTaskCompletion:
    """The answer to a completion: the next task if it is returned inline, eager activities, and the event to which a
    worker rolls back whose speculative task was dropped (else 0).
    """

    __slots__ = ("activities", "reset_event_id", "workflow_task")

    def __init__(
        self, workflow_task: WorkflowTaskDelivery | None, activities: tuple[ActivityDelivery, ...], reset_event_id: int
    ) -> None:
        self.workflow_task = workflow_task
        self.activities = activities
        self.reset_event_id = reset_event_id


@final
class WorkflowTaskFailed(Input):
    """RespondWorkflowTaskFailed (semantics 3.7)."""

    __slots__ = ("request", "token")

    def __init__(self, token: TaskToken, request: workflowservice.RespondWorkflowTaskFailedRequest) -> None:
        super().__init__(token.run_id)
        self.token = token
        self.request = request


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
    timeouts).
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
        retry: object,
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
    """Which pending activity a response is about: by scheduled event id and attempt (a token), or by activity id (0,
    0).
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
