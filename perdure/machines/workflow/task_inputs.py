"""What happens to a workflow task: a poller takes it, a worker answers; and what a step answers (semantics 3)."""

from __future__ import annotations

from typing import final

from perdure.api import workflowservice
from perdure.machines.workflow.activity_inputs import ActivityDelivery
from perdure.machines.workflow.bad_attributes import BadSearchAttributes
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.task_token import TaskToken


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
class WorkflowTaskDelivery:
    """Everything a PollWorkflowTaskQueueResponse needs except history bytes (semantics 3.4).

    History to send is [first_event_id, next_event_id) of `branches`, followed by `transient` (a serialized
    `History` fragment of the synthetic Scheduled and Started events, or b""). `queries` are (query id, serialized
    WorkflowQuery), `messages` serialized `temporal.api.protocol.v1.Message`s. Times are ns since the epoch.
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
    attribute map, which no machine sees. `named_ids`: for the index of each command that names a namespace, its id.
    """

    __slots__ = ("named_ids", "request", "search_attributes", "token")

    def __init__(
        self,
        token: TaskToken,
        request: workflowservice.RespondWorkflowTaskCompletedRequest,
        search_attributes: dict[int, dict[str, bytes] | BadSearchAttributes],
        named_ids: dict[int, str] | None = None,
    ) -> None:
        super().__init__(token.run_id)
        self.token = token
        self.request = request
        self.search_attributes = search_attributes
        self.named_ids = named_ids or {}


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
