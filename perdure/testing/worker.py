"""A small scripted worker: polls, decides from history (`programs.py`), answers updates (`update_answers.py`), runs
activities, heartbeats, reports.

It stands in for an SDK where time is virtual. It behaves as a good worker does: a report whose outcome is unknown is
sent again, a task that is gone is dropped, a sticky task that begins in the middle is completed from its own memory or
from the server. It must not look at the server other than by RPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, final

from perdure.api import Message, common, enums, failure, history, taskqueue, workflowservice
from perdure.api.times import duration_of
from perdure.clock import SECOND
from perdure.errors import StatusCode
from perdure.testing.in_process import CALL_S
from perdure.testing.programs import TASK_QUEUE, Program, decide, payloads, value_of
from perdure.testing.update_answers import answers_of
from perdure.transport.client import RpcError

POLL_S: Final = 20.0
"""Deadline of a poll."""
REPORT_S: Final = 10.0
"""Deadline of a report."""
PAUSE_S: Final = 0.2
"""Pause before a call that failed is made again."""
STICKY_S: Final = 5.0
"""How long a sticky queue keeps a task to itself."""
PASSING: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED})
"""Outcomes after which a call is made again."""
GONE: Final = frozenset({StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT})
"""Answers to a report that came too late or for a task that is no more."""


class ActivityFailed(Exception):
    """Raised by an activity: this attempt has failed."""


class ActivityLost(Exception):
    """Raised by an activity: say nothing, as a worker that died would."""


class Client(Protocol):
    """What a worker calls its server by."""

    async def call(self, method_name: str, request: Message, timeout_s: float | None = CALL_S) -> Any:
        """The response message. Raises RpcError."""
        ...


@final
class Attempt:
    """What an activity is given: its task, and a way to heartbeat."""

    def __init__(self, worker: Worker, task: workflowservice.PollActivityTaskQueueResponse) -> None:
        self._worker = worker
        self.task = task
        self.attempt = task.attempt

    @property
    def details(self) -> Any:
        """What the last attempt's last heartbeat left."""
        return value_of(self.task.heartbeat_details)

    async def heartbeat(self, details: object) -> None:
        """Report progress. Raises `ActivityLost` when the attempt is over."""
        request = workflowservice.RecordActivityTaskHeartbeatRequest(
            namespace=self._worker.namespace, task_token=self.task.task_token, details=payloads(details)
        )
        if await self._worker.report("RecordActivityTaskHeartbeat", request) is None:
            raise ActivityLost


Activity = Callable[[Attempt], Awaitable[object]]


@final
class Worker:
    """One worker process: `pollers` polls of each kind. `run` it as a task; cancel it to stop."""

    def __init__(
        self,
        client: Client,
        name: str,
        programs: Mapping[str, Program],
        activities: Mapping[str, Activity],
        namespace: str = "default",
        sticky: bool = True,
    ) -> None:
        self.client = client
        self.namespace = namespace
        self.name = name
        self._programs = programs
        self._activities = activities
        self._sticky = f"{name}-sticky" if sticky else ""
        self._known: dict[str, list[history.HistoryEvent]] = {}

    async def run(self, pollers: int = 2) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(pollers):
                group.create_task(self._work_on_workflows(TASK_QUEUE, enums.TASK_QUEUE_KIND_NORMAL))
                if self._sticky:
                    group.create_task(self._work_on_workflows(self._sticky, enums.TASK_QUEUE_KIND_STICKY))
                group.create_task(self._work_on_activities())

    # Calls

    async def report(self, method: str, request: Message) -> Any:
        """The answer, after as many attempts as it takes; None when the server says that it is too late."""
        while True:
            try:
                return await self.client.call(method, request, REPORT_S)
            except RpcError as error:
                if error.code in GONE:
                    return None
                if error.code not in PASSING:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def _poll(self, method: str, request: Message) -> Any:
        while True:
            try:
                task = await self.client.call(method, request, POLL_S)
            except RpcError as error:
                if error.code not in PASSING:
                    raise
                await asyncio.sleep(PAUSE_S)
                continue
            if task.task_token:
                return task
            # A server that shuts down answers polls at once.
            await asyncio.sleep(PAUSE_S)

    # Workflows

    async def _work_on_workflows(self, queue: str, kind: enums.TaskQueueKind.ValueType) -> None:
        place = taskqueue.TaskQueue(name=queue, kind=kind)
        if kind == enums.TASK_QUEUE_KIND_STICKY:
            place.normal_name = TASK_QUEUE
        poll = workflowservice.PollWorkflowTaskQueueRequest(
            namespace=self.namespace, task_queue=place, identity=self.name
        )
        while True:
            task = await self._poll("PollWorkflowTaskQueue", poll)
            await self._workflow_task(task)

    async def _workflow_task(self, task: workflowservice.PollWorkflowTaskQueueResponse) -> None:
        events = await self._history(task)
        if task.HasField("query"):
            answer = workflowservice.RespondQueryTaskCompletedRequest(
                namespace=self.namespace,
                task_token=task.task_token,
                completed_type=enums.QUERY_RESULT_TYPE_ANSWERED,
                query_result=payloads(_seen(events)),
            )
            await self.report("RespondQueryTaskCompleted", answer)
            return
        answers = answers_of(events, task.messages)
        request = workflowservice.RespondWorkflowTaskCompletedRequest(
            namespace=self.namespace,
            task_token=task.task_token,
            identity=self.name,
            messages=answers.messages,
            commands=answers.commands + decide(self._programs[task.workflow_type.name], events, answers.completed),
        )
        for query_id in task.queries:
            request.query_results[query_id].result_type = enums.QUERY_RESULT_TYPE_ANSWERED
            request.query_results[query_id].answer.CopyFrom(payloads(_seen(events)))
        if self._sticky:
            request.sticky_attributes.worker_task_queue.name = self._sticky
            request.sticky_attributes.worker_task_queue.kind = enums.TASK_QUEUE_KIND_STICKY
            request.sticky_attributes.schedule_to_start_timeout.CopyFrom(duration_of(round(STICKY_S * SECOND)))
        await self.report("RespondWorkflowTaskCompleted", request)

    async def _history(self, task: workflowservice.PollWorkflowTaskQueueResponse) -> list[history.HistoryEvent]:
        """All events up to the task's start: as sent, joined to what is known, or asked for."""
        run_id = task.workflow_execution.run_id
        events = list(task.history.events)
        token = task.next_page_token
        if events and events[0].event_id > 1:
            known = self._known.get(run_id, [])
            before = [event for event in known if event.event_id < events[0].event_id]
            if len(before) == events[0].event_id - 1:
                events = before + events
            else:
                events, token = [], b""
        if not events or token:
            events += await self._pages(task.workflow_execution, token)
        if task.started_event_id:
            events = [event for event in events if event.event_id <= task.started_event_id]
        # A task that fails leaves no trace of its own events: only what came before its start is sure to stay.
        self._known[run_id] = events[: max(0, task.previous_started_event_id)]
        if task.attempt <= 1:
            self._known[run_id] = events
        return events

    async def _pages(self, execution: common.WorkflowExecution, token: bytes) -> list[history.HistoryEvent]:
        request = workflowservice.GetWorkflowExecutionHistoryRequest(
            namespace=self.namespace, execution=execution, next_page_token=token
        )
        events: list[history.HistoryEvent] = []
        while True:
            page = await self.report("GetWorkflowExecutionHistory", request)
            if page is None:
                return events
            events.extend(page.history.events)
            request.next_page_token = page.next_page_token
            if not page.next_page_token:
                return events

    # Activities

    async def _work_on_activities(self) -> None:
        poll = workflowservice.PollActivityTaskQueueRequest(
            namespace=self.namespace, task_queue=taskqueue.TaskQueue(name=TASK_QUEUE), identity=self.name
        )
        while True:
            task = await self._poll("PollActivityTaskQueue", poll)
            await self._activity_task(task)

    async def _activity_task(self, task: workflowservice.PollActivityTaskQueueResponse) -> None:
        try:
            result = await self._activities[task.activity_type.name](Attempt(self, task))
        except ActivityLost:
            return
        except ActivityFailed as error:
            reason = failure.Failure(message=str(error))
            reason.application_failure_info.type = "ActivityFailed"
            failed = workflowservice.RespondActivityTaskFailedRequest(
                namespace=self.namespace, task_token=task.task_token, failure=reason, identity=self.name
            )
            await self.report("RespondActivityTaskFailed", failed)
            return
        done = workflowservice.RespondActivityTaskCompletedRequest(
            namespace=self.namespace, task_token=task.task_token, result=payloads(result), identity=self.name
        )
        await self.report("RespondActivityTaskCompleted", done)


def _seen(events: list[history.HistoryEvent]) -> list[str]:
    """What every query answers: the signals seen."""
    return [
        value_of(event.workflow_execution_signaled_event_attributes.input)
        for event in events
        if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
