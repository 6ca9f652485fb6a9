"""The load of the crash test: clients, workers and activities over raw RPCs, so that every acknowledgement is seen.

A workflow schedules an activity and starts a timer, waits for both and for its signals, runs a second activity and
closes with what it got. All that a worker decides it reads from the history, as an SDK does. Clients and workers repeat
a call with the same request id until it is answered, because the server is killed all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any as Anything
from typing import Final, final

from perdure.api import enums
from perdure.api import history as api
from perdure.api import workflowservice as rpc
from tests.crash.caller import GIVE_UP_S, NAMESPACE, Caller, payloads
from tests.crash.checker import Acknowledged, attributes_of, results_of
from tests.service.rpc import message, new_id

QUEUE: Final = "crash"
STICKY: Final = "crash-sticky"
SIGNALS: Final = 3
TIMER_MS_MAX: Final = 300
FAILING_SHARE: Final = 0.2
"""First attempts of activities that fail and are retried."""
STICKY_SHARE: Final = 0.5
"""Completions that ask for the sticky queue."""


@final
class Load(Caller):
    """Starts, signals and runs workflows on one server until told to stop, and writes down what was acknowledged."""

    def __init__(self, port: int, seed: int, clients: int, pollers: int) -> None:
        super().__init__(port, seed)
        self.acknowledged: dict[str, Acknowledged] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[asyncio.Task[None]] = []
        self._counts = (clients, pollers)

    # Life

    def begin(self) -> None:
        """Set clients and workers to work."""
        clients, pollers = self._counts
        self._clients = [asyncio.ensure_future(self._client(number)) for number in range(clients)]
        for _ in range(pollers):
            self._tasks += [
                asyncio.ensure_future(self._workflow_worker(message(name=QUEUE))),
                asyncio.ensure_future(
                    self._workflow_worker(message(name=STICKY, kind=enums.TASK_QUEUE_KIND_STICKY, normal_name=QUEUE))
                ),
                asyncio.ensure_future(self._activity_worker()),
            ]

    def failed(self) -> BaseException | None:
        """What ended a client or worker that should not have ended."""
        return self.first_error([*self._clients, *self._tasks])

    async def finish(self) -> None:
        """Start nothing more and wait until every client's last workflow has closed."""
        self.stopping = True
        async with asyncio.timeout(GIVE_UP_S):
            await asyncio.gather(*self._clients)

    async def close(self) -> None:
        """End the workers."""
        await self.end([*self._clients, *self._tasks])

    # Clients

    async def _client(self, number: int) -> None:
        """One workflow after the other: start it, signal it, wait for its end."""
        for sequence in range(1_000_000):
            if self.stopping:
                return
            workflow_id = f"w{number}-{sequence}"
            known = self.acknowledged[workflow_id] = Acknowledged()
            start = rpc.StartWorkflowExecutionRequest(
                namespace=NAMESPACE,
                workflow_id=workflow_id,
                workflow_type=message(name="Crash"),
                task_queue=message(name=QUEUE),
                request_id=new_id(),
                workflow_task_timeout=message(seconds=2),
                input=payloads(workflow_id),
            )
            # The same start twice, one after the other: the second must name the first one's run.
            for _ in range(2):
                known.run_ids.add((await self.insist(start, rpc.StartWorkflowExecutionResponse)).run_id)
                known.started = True
                if self.random.random() > FAILING_SHARE:
                    break
            for index in range(SIGNALS):
                await self._signal(workflow_id, f"{workflow_id}/s{index}")
            await self._await_close(workflow_id)

    async def _signal(self, workflow_id: str, tag: str) -> None:
        request = rpc.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=message(workflow_id=workflow_id),
            signal_name="go",
            input=payloads(tag),
            request_id=new_id(),
        )
        await self.insist(request, rpc.SignalWorkflowExecutionResponse)
        self.acknowledged[workflow_id].signals.append(tag)

    async def _await_close(self, workflow_id: str) -> None:
        request = rpc.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            execution=message(workflow_id=workflow_id),
            wait_new_event=True,
            history_event_filter_type=enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        while True:
            reply = await self.insist(request, rpc.GetWorkflowExecutionHistoryResponse)
            if reply.history.events:
                return
            request.next_page_token = reply.next_page_token

    # Workers

    async def _workflow_worker(self, queue: Anything) -> None:
        poll = rpc.PollWorkflowTaskQueueRequest(namespace=NAMESPACE, task_queue=queue, identity="worker")
        while True:
            task = await self.polled(poll, rpc.PollWorkflowTaskQueueResponse)
            if task is None or not task.task_token:
                continue
            events: Sequence[api.HistoryEvent] = task.history.events
            if task.next_page_token or not events or events[0].event_id != 1:
                whole = await self.history(task.workflow_execution.workflow_id, 0)
                events = [event for event in whole if event.event_id <= task.started_event_id]
            commands, makes = decide(events, self.random.randrange(TIMER_MS_MAX))
            request = rpc.RespondWorkflowTaskCompletedRequest(
                namespace=NAMESPACE, task_token=task.task_token, identity="worker", commands=commands
            )
            if self.random.random() < STICKY_SHARE:
                request.sticky_attributes.worker_task_queue.name = STICKY
                request.sticky_attributes.worker_task_queue.normal_name = QUEUE
                request.sticky_attributes.schedule_to_start_timeout.seconds = 1
            if await self.accepted(self.insist(request, rpc.RespondWorkflowTaskCompletedResponse)):
                known = self.acknowledged[task.workflow_execution.workflow_id]
                known.completions[task.started_event_id] = makes

    async def _activity_worker(self) -> None:
        poll = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=message(name=QUEUE), identity="worker")
        while True:
            task = await self.polled(poll, rpc.PollActivityTaskQueueResponse)
            if task is None or not task.task_token:
                continue
            if task.attempt == 1 and self.random.random() < FAILING_SHARE:
                failure = message(message="not yet", application_failure_info=message(type="NotYet"))
                failed = rpc.RespondActivityTaskFailedRequest(
                    namespace=NAMESPACE, task_token=task.task_token, failure=failure
                )
                await self.accepted(self.insist(failed, rpc.RespondActivityTaskFailedResponse))
                continue
            beat = rpc.RecordActivityTaskHeartbeatRequest(namespace=NAMESPACE, task_token=task.task_token)
            await self.once(beat, rpc.RecordActivityTaskHeartbeatResponse)
            tag = f"{task.workflow_execution.workflow_id}/{task.activity_id}/{new_id()}"
            done = rpc.RespondActivityTaskCompletedRequest(
                namespace=NAMESPACE, task_token=task.task_token, result=payloads(tag)
            )
            if await self.accepted(self.insist(done, rpc.RespondActivityTaskCompletedResponse)):
                known = self.acknowledged[task.workflow_execution.workflow_id]
                if task.activity_id in known.activity_results:
                    self.violations.append(f"B17 {tag} was accepted after {known.activity_results[task.activity_id]}")
                known.activity_results[task.activity_id] = tag


def decide(events: Sequence[api.HistoryEvent], timer_ms: int) -> tuple[list[Anything], list[int]]:
    """The workflow's code: the next commands, and the event types they make."""
    scheduled = {
        event.activity_task_scheduled_event_attributes.activity_id
        for event in events
        if event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    }
    results = results_of(events)
    fired = any(event.event_type == enums.EVENT_TYPE_TIMER_FIRED for event in events)
    if not scheduled:
        timer = message(timer_id="t", start_to_fire_timeout=message(nanos=timer_ms * 1_000_000 + 1))
        start = message(command_type=enums.COMMAND_TYPE_START_TIMER, start_timer_command_attributes=timer)
        return (
            [_schedule("first"), start],
            [enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enums.EVENT_TYPE_TIMER_STARTED],
        )
    if "second" in results:
        close = message(result=payloads(result_of(events)))
        kind = enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
        command = message(command_type=kind, complete_workflow_execution_command_attributes=close)
        return [command], [enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED]
    if "second" not in scheduled and "first" in results and fired and len(_signals(events)) >= SIGNALS:
        return [_schedule("second")], [enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
    return [], []


def result_of(events: Sequence[api.HistoryEvent]) -> str:
    """What a run must close with: the results of its activities and its signals in order."""
    results = results_of(events)
    return " ".join([*results.get("first", []), *results.get("second", []), *_signals(events)])


def _signals(events: Sequence[api.HistoryEvent]) -> list[str]:
    kind = enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return [attributes_of(event).input.payloads[0].data.decode() for event in events if event.event_type == kind]


def _schedule(activity_id: str) -> Anything:
    attributes = message(
        activity_id=activity_id,
        activity_type=message(name="Act"),
        task_queue=message(name=QUEUE),
        start_to_close_timeout=message(seconds=1),
        heartbeat_timeout=message(seconds=1),
        retry_policy=message(initial_interval=message(nanos=20_000_000), backoff_coefficient=1.0),
    )
    kind = enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK
    return message(command_type=kind, schedule_activity_task_command_attributes=attributes)
