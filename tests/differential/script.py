"""The language scenarios are written in: verbs that send one RPC each and write its outcome into a transcript.

A script never judges an answer. It records it, normalised, and goes on; the comparison of two transcripts is the judge.
A scenario that waits for a task which does not come stops there, so that a broken server costs one poll and not one per
line that follows.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any as Anything
from typing import Generic

from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    TaskQueueKind,
    TaskQueueType,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from . import values
from .normalise import Normaliser, indented
from .wire import Connection, Reply, RpcFailed

NAMESPACE = "default"
RPC_SECONDS = 10.0
"""Deadline of an RPC that should answer at once."""
POLL_SECONDS = 15.0
"""Deadline of a poll that should bring a task."""
SOON_SECONDS = 10.0
"""How long something eventual (visibility, a server timer) may take."""
WORKER = "worker"


class Stopped(Exception):
    """The scenario cannot go on: what it waits for did not come. The transcript says what."""


class Pending(Generic[Reply]):
    """An RPC under way in a thread of its own. `join` records its outcome, so the order of records is the script's."""

    def __init__(self, script: Script, request: Message, reply_type: type[Reply], timeout: float) -> None:
        self._script = script
        self._request = request
        self._reply_type = reply_type
        self._outcome: Reply | RpcFailed | None = None
        self._thread = threading.Thread(target=self._run, args=(timeout,), daemon=True)
        self._thread.start()

    def _run(self, timeout: float) -> None:
        self._outcome = self._script.send(self._request, self._reply_type, timeout)

    @property
    def is_over(self) -> bool:
        """Whether the answer is there."""
        return not self._thread.is_alive()

    def is_over_within(self, seconds: float) -> bool:
        """Whether the answer comes in that time."""
        self._thread.join(seconds)
        return self.is_over

    def join(self) -> Reply:
        """Wait for the RPC, record it, and return its answer (an empty one if it failed)."""
        return self._script.record(self._request, self._reply_type, self.outcome())

    def outcome(self) -> Reply | RpcFailed:
        """Wait for the RPC; its outcome, unrecorded."""
        self._thread.join()
        if self._outcome is None:
            raise AssertionError("the RPC's thread died")
        return self._outcome


class Script:
    """One run of one scenario against one server, with ids of its own."""

    def __init__(self, connection: Connection, name: str, normaliser: type[Normaliser] = Normaliser) -> None:
        self.connection = connection
        self.name = name
        self.nonce = "n" + uuid.uuid4().hex[:12]
        self.workflow_id = f"wf-{self.nonce}"
        self.queue = f"q-{self.nonce}"
        self.sticky_queue = f"sticky-{self.nonce}"
        self.run_id = ""
        self.transcript: list[str] = []
        self._normaliser = normaliser(self.nonce)
        self._requests = 0
        self._others = 0

    # Recording

    def call(self, request: Message, reply_type: type[Reply], timeout: float = RPC_SECONDS) -> Reply:
        """Send an RPC and record its outcome. A failure is recorded and answered by an empty reply."""
        return self.record(request, reply_type, self.send(request, reply_type, timeout))

    def send(self, request: Message, reply_type: type[Reply], timeout: float = RPC_SECONDS) -> Reply | RpcFailed:
        """Send an RPC without recording it."""
        try:
            return self.connection.call(request, reply_type, timeout)
        except RpcFailed as failed:
            return failed

    def record(self, request: Message, reply_type: type[Reply], outcome: Reply | RpcFailed) -> Reply:
        """Write an outcome into the transcript."""
        self._heading(type(request).__name__.removesuffix("Request"))
        if isinstance(outcome, RpcFailed):
            self.transcript += indented(self._normaliser.error(outcome))
            return reply_type()
        lines = list(self._normaliser.lines(outcome))
        self.transcript += indented(lines or ["(empty)"])
        return outcome

    def show(self, message: Message) -> None:
        """Record a message that is part of an answer, without a heading."""
        self.transcript += indented(self._normaliser.lines(message))

    def show_error(self, failed: RpcFailed) -> None:
        """The same for an error."""
        self.transcript += indented(self._normaliser.error(failed))

    def call_bytes(self, path: str, request: bytes) -> None:
        """Send raw bytes to any path and record the outcome."""
        self._heading(path)
        try:
            reply = self.connection.call_bytes(path, request, RPC_SECONDS)
            self.transcript.append(f"  {len(reply)} bytes")
        except RpcFailed as failed:
            self.transcript += indented(self._normaliser.error(failed))

    def fact(self, text: str, value: object) -> None:
        """Record something computed from answers: a relation of times, a count."""
        self.transcript.append(self._normaliser.text(f"fact: {text}: {value}"))

    def alias(self, text: str, placeholder: str) -> None:
        """Write `placeholder` for a text that is another in each run, such as an address."""
        self._normaliser.alias(text, placeholder)

    def section(self, text: str) -> None:
        """A heading for the reader of a diff."""
        self.transcript.append(self._normaliser.text(f"## {text}"))

    def stop(self, text: str) -> Stopped:
        """Record why the scenario ends here, for `raise s.stop(...)`."""
        self.transcript.append(f"STOPPED: {text}")
        return Stopped(text)

    def _heading(self, text: str) -> None:
        self.transcript.append(text)

    def background(self, request: Message, reply_type: type[Reply], timeout: float = RPC_SECONDS) -> Pending[Reply]:
        """Send an RPC from another thread; it is recorded when joined."""
        return Pending(self, request, reply_type, timeout)

    def eventually(
        self, request: Message, reply_type: type[Reply], until: Callable[[Reply], bool], record: bool = True
    ) -> Reply:
        """Ask again until the answer satisfies `until` or SOON_SECONDS are over; record the last answer only."""
        end = time.monotonic() + SOON_SECONDS
        pause = threading.Event()
        while True:
            outcome = self.send(request, reply_type)
            done = not isinstance(outcome, RpcFailed) and until(outcome)
            if done or time.monotonic() > end:
                break
            pause.wait(0.1)
        if record:
            self.record(request, reply_type, outcome)
        if not done:
            raise self.stop(f"{type(request).__name__} never showed what was awaited")
        return outcome if not isinstance(outcome, RpcFailed) else reply_type()

    # Requests

    def execution(self, run_id: str | None = None) -> WorkflowExecution:
        """This script's workflow; by default the run that `start` returned last."""
        return values.execution(self.workflow_id, self.run_id if run_id is None else run_id)

    def new_request_id(self) -> str:
        """A request id that is the same in each run of the scenario."""
        self._requests += 1
        return f"request-{self._requests}-{self.nonce}"

    def start_request(self, **fields: Anything) -> rpc.StartWorkflowExecutionRequest:
        """A start with everything a worker needs; a field given as None is left unset."""
        return filled(
            rpc.StartWorkflowExecutionRequest,
            fields,
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            workflow_type=values.workflow_type("Wf"),
            task_queue=TaskQueue(name=self.queue),
            identity="starter",
            request_id=self.new_request_id(),
        )

    def another(self, label: str) -> None:
        """Turn to a new workflow with queues of its own, and head its part of the transcript."""
        self.section(label)
        self._others += 1
        self.workflow_id = f"wf-{self._others}-{self.nonce}"
        self.queue = f"q-{self._others}-{self.nonce}"
        self.sticky_queue = f"sticky-{self._others}-{self.nonce}"
        self.run_id = ""

    # Clients

    def start(self, **fields: Anything) -> rpc.StartWorkflowExecutionResponse:
        """StartWorkflowExecution; remembers the run id."""
        reply = self.call(self.start_request(**fields), rpc.StartWorkflowExecutionResponse)
        self.run_id = reply.run_id or self.run_id
        return reply

    def signal_request(self, name: str = "go", **fields: Anything) -> rpc.SignalWorkflowExecutionRequest:
        return filled(
            rpc.SignalWorkflowExecutionRequest,
            fields,
            namespace=NAMESPACE,
            workflow_execution=self.execution(),
            signal_name=name,
            identity="signaller",
            request_id=self.new_request_id(),
        )

    def signal(self, name: str = "go", **fields: Anything) -> rpc.SignalWorkflowExecutionResponse:
        return self.call(self.signal_request(name, **fields), rpc.SignalWorkflowExecutionResponse)

    def signal_with_start(self, name: str = "go", **fields: Anything) -> rpc.SignalWithStartWorkflowExecutionResponse:
        request = filled(
            rpc.SignalWithStartWorkflowExecutionRequest,
            fields,
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            workflow_type=values.workflow_type("Wf"),
            task_queue=TaskQueue(name=self.queue),
            identity="starter",
            request_id=self.new_request_id(),
            signal_name=name,
        )
        reply = self.call(request, rpc.SignalWithStartWorkflowExecutionResponse)
        self.run_id = reply.run_id or self.run_id
        return reply

    def cancel(self, **fields: Anything) -> None:
        request = filled(
            rpc.RequestCancelWorkflowExecutionRequest,
            fields,
            namespace=NAMESPACE,
            workflow_execution=self.execution(),
            identity="canceller",
            request_id=self.new_request_id(),
        )
        self.call(request, rpc.RequestCancelWorkflowExecutionResponse)

    def terminate(self, **fields: Anything) -> None:
        request = filled(
            rpc.TerminateWorkflowExecutionRequest, fields, namespace=NAMESPACE, workflow_execution=self.execution()
        )
        self.call(request, rpc.TerminateWorkflowExecutionResponse)

    def reset_request(self, finish: int, **fields: Anything) -> rpc.ResetWorkflowExecutionRequest:
        return filled(
            rpc.ResetWorkflowExecutionRequest,
            fields,
            namespace=NAMESPACE,
            workflow_execution=self.execution(),
            reason="why",
            request_id=self.new_request_id(),
            workflow_task_finish_event_id=finish,
        )

    def reset(self, finish: int, **fields: Anything) -> None:
        """ResetWorkflowExecution; turns to the new run."""
        reply = self.call(self.reset_request(finish, **fields), rpc.ResetWorkflowExecutionResponse)
        self.run_id = reply.run_id or self.run_id

    def describe(self, **fields: Anything) -> rpc.DescribeWorkflowExecutionResponse:
        request = filled(rpc.DescribeWorkflowExecutionRequest, fields, namespace=NAMESPACE, execution=self.execution())
        return self.call(request, rpc.DescribeWorkflowExecutionResponse)

    def query_request(self, kind: str = "state", **fields: Anything) -> rpc.QueryWorkflowRequest:
        return filled(
            rpc.QueryWorkflowRequest,
            fields,
            namespace=NAMESPACE,
            execution=self.execution(),
            query=WorkflowQuery(query_type=kind, query_args=values.payloads("1")),
        )

    def query(self, kind: str = "state", **fields: Anything) -> Pending[rpc.QueryWorkflowResponse]:
        """A query under way: a worker must answer it before it is joined."""
        return self.background(self.query_request(kind, **fields), rpc.QueryWorkflowResponse, POLL_SECONDS)

    # History

    def history_request(self, **fields: Anything) -> rpc.GetWorkflowExecutionHistoryRequest:
        return filled(rpc.GetWorkflowExecutionHistoryRequest, fields, namespace=NAMESPACE, execution=self.execution())

    def history(self, **fields: Anything) -> list[HistoryEvent]:
        """One page of history, recorded."""
        reply = self.call(self.history_request(**fields), rpc.GetWorkflowExecutionHistoryResponse)
        return list(reply.history.events)

    def closed_history(self, **fields: Anything) -> list[HistoryEvent]:
        """The whole history once the run is closed: follows its close event first, unrecorded."""
        self.await_close(**fields)
        return self.history(**fields)

    def await_close(self, **fields: Anything) -> HistoryEvent:
        """Long-poll for the close event; not recorded."""
        events = self._follow(HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT, fields)
        for event in events:
            return event
        raise self.stop("the run did not close")

    def await_event(self, kind: str, count: int = 1, **fields: Anything) -> HistoryEvent:
        """Long-poll until the `count`-th event of a kind is in the history; not recorded."""
        wanted = EventType.Value(f"EVENT_TYPE_{kind}")
        for event in self._follow(HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT, fields):
            count -= event.event_type == wanted
            if count == 0:
                return event
        raise self.stop(f"no event {kind} came")

    def _follow(self, kind: HistoryEventFilterType.ValueType, fields: dict[str, Anything]) -> Iterator[HistoryEvent]:
        request = self.history_request(wait_new_event=True, history_event_filter_type=kind, **fields)
        end = time.monotonic() + POLL_SECONDS
        while time.monotonic() < end:
            reply = self.send(request, rpc.GetWorkflowExecutionHistoryResponse, POLL_SECONDS)
            if isinstance(reply, RpcFailed):
                self.record(request, rpc.GetWorkflowExecutionHistoryResponse, reply)
                return
            yield from reply.history.events
            if not reply.next_page_token:
                return
            request.next_page_token = reply.next_page_token

    def another_run_waits(self) -> None:
        """Let 1.6 s of the server's own time pass: another run's timer is waited for through a long poll, unrecorded.

        For what a server must do by itself while a task is held back, and which no answer shows.
        """
        aside = Script(self.connection, self.name)
        task = aside.begin_quietly()
        aside.complete(task, values.start_timer("pause", 1.6))
        aside.await_event("TIMER_FIRED")

    # Workflow workers

    def poll_request(self, queue: TaskQueue | None = None, **fields: Anything) -> rpc.PollWorkflowTaskQueueRequest:
        return filled(
            rpc.PollWorkflowTaskQueueRequest,
            fields,
            namespace=NAMESPACE,
            task_queue=queue or TaskQueue(name=self.queue),
            identity=WORKER,
        )

    def poll(self, queue: TaskQueue | None = None, **fields: Anything) -> rpc.PollWorkflowTaskQueueResponse:
        """Poll for a workflow task and record it; the scenario ends here if none comes."""
        request = self.poll_request(queue, **fields)
        return self._came(self.call(request, rpc.PollWorkflowTaskQueueResponse, POLL_SECONDS))

    def _came(self, reply: rpc.PollWorkflowTaskQueueResponse | RpcFailed) -> rpc.PollWorkflowTaskQueueResponse:
        """The task that a poll brought; the scenario ends here without one."""
        if isinstance(reply, RpcFailed) or not reply.task_token:
            raise self.stop("no workflow task came")
        return reply

    def poll_sticky(self, trigger: Callable[[], object] | None = None) -> rpc.PollWorkflowTaskQueueResponse:
        """Poll the sticky queue and record the task.

        The server gives a sticky queue up when it has seen no poller there for 10 s (semantics 3.9), so the first task
        of a queue needs a `trigger`: what causes the task, done once the server knows the poller.
        """
        if trigger is None:
            return self.poll(self.sticky_task_queue())
        request = self.poll_request(self.sticky_task_queue())
        waiting = self.background(request, rpc.PollWorkflowTaskQueueResponse, POLL_SECONDS)
        describe = rpc.DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=request.task_queue)
        describe.task_queue_type = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        self.eventually(describe, rpc.DescribeTaskQueueResponse, lambda known: bool(known.pollers), record=False)
        trigger()
        return self._came(waiting.join())

    def sticky_task_queue(self) -> TaskQueue:
        return values.queue(self.sticky_queue, TaskQueueKind.TASK_QUEUE_KIND_STICKY, self.queue)

    def sticky(self, schedule_to_start: float = 10.0) -> StickyExecutionAttributes:
        return values.sticky(self.sticky_queue, schedule_to_start)

    def begin(self, **fields: Anything) -> rpc.PollWorkflowTaskQueueResponse:
        """Start a workflow and poll its first task."""
        self.start(**fields)
        return self.poll()

    def begin_quietly(self, **fields: Anything) -> rpc.PollWorkflowTaskQueueResponse:
        """Start a workflow and poll its first task, both unrecorded: other scenarios look at them."""
        started = self.send(self.start_request(**fields), rpc.StartWorkflowExecutionResponse)
        if isinstance(started, RpcFailed):
            raise self.stop(f"the workflow did not start: {started}")
        self.run_id = started.run_id
        return self.poll_quietly()

    def poll_quietly(self) -> rpc.PollWorkflowTaskQueueResponse:
        """Poll for a workflow task, unrecorded."""
        return self._came(self.send(self.poll_request(), rpc.PollWorkflowTaskQueueResponse, POLL_SECONDS))

    def complete_request(
        self, task: rpc.PollWorkflowTaskQueueResponse, *commands: Command, **fields: Anything
    ) -> rpc.RespondWorkflowTaskCompletedRequest:
        return reported(rpc.RespondWorkflowTaskCompletedRequest, task, fields, commands=commands)

    def complete(
        self, task: rpc.PollWorkflowTaskQueueResponse, *commands: Command, **fields: Anything
    ) -> rpc.RespondWorkflowTaskCompletedResponse:
        """RespondWorkflowTaskCompleted with these commands."""
        request = self.complete_request(task, *commands, **fields)
        return self.call(request, rpc.RespondWorkflowTaskCompletedResponse)

    def fail_task(
        self,
        task: rpc.PollWorkflowTaskQueueResponse,
        cause: str = "WORKFLOW_WORKER_UNHANDLED_FAILURE",
        **fields: Anything,
    ) -> None:
        """RespondWorkflowTaskFailed."""
        request = reported(
            rpc.RespondWorkflowTaskFailedRequest,
            task,
            fields,
            cause=WorkflowTaskFailedCause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{cause}"),
            failure=values.failure("task failed"),
        )
        self.call(request, rpc.RespondWorkflowTaskFailedResponse)

    def answer_query(self, task: rpc.PollWorkflowTaskQueueResponse, **fields: Anything) -> None:
        """RespondQueryTaskCompleted."""
        request = filled(rpc.RespondQueryTaskCompletedRequest, fields, namespace=NAMESPACE, task_token=task.task_token)
        self.call(request, rpc.RespondQueryTaskCompletedResponse)

    def reset_sticky(self, **fields: Anything) -> None:
        request = filled(rpc.ResetStickyTaskQueueRequest, fields, namespace=NAMESPACE, execution=self.execution())
        self.call(request, rpc.ResetStickyTaskQueueResponse)

    # Activity workers

    def activity(self, activity_id: str = "a", **fields: Anything) -> Command:
        """The command that schedules an activity on this script's queue."""
        return values.schedule_activity(activity_id, **({"task_queue": TaskQueue(name=self.queue)} | fields))

    def activity_poll_request(self, **fields: Anything) -> rpc.PollActivityTaskQueueRequest:
        return filled(
            rpc.PollActivityTaskQueueRequest,
            fields,
            namespace=NAMESPACE,
            task_queue=TaskQueue(name=self.queue),
            identity=WORKER,
        )

    def poll_activity(self, **fields: Anything) -> rpc.PollActivityTaskQueueResponse:
        """Poll for an activity task and record it; the scenario ends here if none comes."""
        request = self.activity_poll_request(**fields)
        reply = self.call(request, rpc.PollActivityTaskQueueResponse, POLL_SECONDS)
        if not reply.task_token:
            raise self.stop("no activity task came")
        return reply

    def poll_activities(self, count: int) -> list[rpc.PollActivityTaskQueueResponse]:
        """Poll for several activity tasks and record them by activity id: a queue's partitions promise no order."""
        request = self.activity_poll_request()
        tasks: list[rpc.PollActivityTaskQueueResponse] = []
        for _ in range(count):
            reply = self.send(request, rpc.PollActivityTaskQueueResponse, POLL_SECONDS)
            if isinstance(reply, RpcFailed) or not reply.task_token:
                raise self.stop(f"only {len(tasks)} of {count} activity tasks came")
            tasks.append(reply)
        tasks.sort(key=lambda task: task.activity_id)
        return [self.record(request, rpc.PollActivityTaskQueueResponse, task) for task in tasks]

    def complete_activity(self, task: rpc.PollActivityTaskQueueResponse, **fields: Anything) -> None:
        request = reported(rpc.RespondActivityTaskCompletedRequest, task, fields, result=values.payloads('"ok"'))
        self.call(request, rpc.RespondActivityTaskCompletedResponse)

    def fail_activity(
        self, task: rpc.PollActivityTaskQueueResponse, cause: Failure | None = None, **fields: Anything
    ) -> None:
        request = reported(rpc.RespondActivityTaskFailedRequest, task, fields, failure=cause or values.failure())
        self.call(request, rpc.RespondActivityTaskFailedResponse)

    def cancel_activity(self, task: rpc.PollActivityTaskQueueResponse, **fields: Anything) -> None:
        details = values.payloads('"cleaned up"')
        request = reported(rpc.RespondActivityTaskCanceledRequest, task, fields, details=details)
        self.call(request, rpc.RespondActivityTaskCanceledResponse)

    def heartbeat(
        self, task: rpc.PollActivityTaskQueueResponse, text: str | None = '"beat"', **fields: Anything
    ) -> rpc.RecordActivityTaskHeartbeatResponse:
        details = values.payloads(text) if text is not None else None
        request = reported(rpc.RecordActivityTaskHeartbeatRequest, task, fields, details=details)
        return self.call(request, rpc.RecordActivityTaskHeartbeatResponse)


def filled(kind: type[Reply], fields: dict[str, Anything], **defaults: Anything) -> Reply:
    """A message of the defaults, overridden by the fields; None leaves a field unset."""
    return kind(**{key: value for key, value in (defaults | fields).items() if value is not None})


def reported(
    kind: type[Reply],
    task: rpc.PollWorkflowTaskQueueResponse | rpc.PollActivityTaskQueueResponse,
    fields: dict[str, Anything],
    **defaults: Anything,
) -> Reply:
    """What a worker says of a task: `filled` with the task's token."""
    return filled(kind, fields, namespace=NAMESPACE, task_token=task.task_token, identity=WORKER, **defaults)
