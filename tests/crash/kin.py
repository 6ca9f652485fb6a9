"""The second load of the crash test: everything that happens between chains.

A workflow starts a child, signals it, waits for what the child makes of the signal, continues as new, takes updates
all the while, and closes when its client says so. Then the client may reset it, and it closes again. Each call is
repeated unchanged until it is answered. What must hold of it all stands in `kin_checker.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any as Anything
from typing import Final, final

from perdure.api import enums, protocol, update
from perdure.api import history as api
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from perdure.transport.client import RpcError
from tests.crash.caller import GIVE_UP_S, NAMESPACE, PAUSE_S, UNKNOWN_OUTCOME, Caller, payloads
from tests.crash.checker import attributes_of
from tests.crash.kin_checker import Family, Reset
from tests.service.rpc import message, new_id

QUEUE: Final = "kin"
KIDS: Final = "kids"
UPDATES: Final = 2
RESET_SHARE: Final = 0.5
FINISH: Final = "finish"
MOVING: Final = UNKNOWN_OUTCOME | {
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.ABORTED,
}
"""What an update may be answered while its run closes or its task fails; its caller asks again."""


@final
class KinLoad(Caller):
    """Clients and workers of families of workflows."""

    def __init__(self, port: int, seed: int, clients: int) -> None:
        super().__init__(port, seed)
        self.families: dict[str, Family] = {}
        self._count = clients
        self._clients: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Set clients and workers to work."""
        self._clients = [asyncio.ensure_future(self._client(number)) for number in range(self._count)]
        for _ in range(2):
            self._workers += [
                asyncio.ensure_future(self._worker(QUEUE, decide_parent)),
                asyncio.ensure_future(self._worker(KIDS, decide_kid)),
            ]

    def failed(self) -> BaseException | None:
        """What ended a client or worker that should not have ended."""
        return self.first_error([*self._clients, *self._workers])

    async def finish(self) -> None:
        """Begin nothing more, and wait for the last family."""
        self.stopping = True
        async with asyncio.timeout(GIVE_UP_S):
            await asyncio.gather(*self._clients)

    async def close(self) -> None:
        """End the workers."""
        await self.end([*self._clients, *self._workers])

    # Clients

    async def _client(self, number: int) -> None:
        for sequence in range(1_000_000):
            if self.stopping:
                return
            workflow_id = f"kin{number}-{sequence}"
            family = Family(workflow_id)
            await self._live(family)
            self.families[workflow_id] = family

    async def _live(self, family: Family) -> None:
        """One workflow from its start to its last close."""
        start = rpc.StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=family.workflow_id,
            workflow_type=message(name="Kin"),
            task_queue=message(name=QUEUE),
            request_id=new_id(),
            workflow_task_timeout=message(seconds=2),
            input=payloads("1"),
        )
        family.first_run_id = (await self.insist(start, rpc.StartWorkflowExecutionResponse)).run_id
        for index in range(UPDATES):
            await self._update(family, f"{family.workflow_id}/u{index}")
        finish = rpc.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=message(workflow_id=family.workflow_id),
            signal_name=FINISH,
            request_id=new_id(),
        )
        await self.insist(finish, rpc.SignalWorkflowExecutionResponse)
        last = await self._await_end(family.workflow_id, family.first_run_id)
        if self.random.random() < RESET_SHARE:
            await self._reset(family, last)

    async def _update(self, family: Family, update_id: str) -> None:
        request = rpc.UpdateWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=message(workflow_id=family.workflow_id),
            wait_policy=message(lifecycle_stage=enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED),
            request=message(meta=message(update_id=update_id), input=message(name="u", args=payloads(update_id))),
        )
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                answer = await self.once(request, rpc.UpdateWorkflowExecutionResponse)
                if not isinstance(answer, RpcError):
                    if answer.HasField("outcome"):
                        break
                elif answer.code not in MOVING:
                    raise answer
                await asyncio.sleep(PAUSE_S)
        text = answer.outcome.success.payloads[0].data.decode()
        family.updates[update_id] = (answer.update_ref.workflow_execution.run_id, text)

    async def _await_end(self, workflow_id: str, run_id: str) -> str:
        """Follow a chain of runs to its end; the last run's id."""
        while True:
            request = rpc.GetWorkflowExecutionHistoryRequest(
                namespace=NAMESPACE,
                execution=message(workflow_id=workflow_id, run_id=run_id),
                wait_new_event=True,
                history_event_filter_type=enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
            )
            reply = await self.insist(request, rpc.GetWorkflowExecutionHistoryResponse)
            while not reply.history.events:
                request.next_page_token = reply.next_page_token
                reply = await self.insist(request, rpc.GetWorkflowExecutionHistoryResponse)
            following = getattr(attributes_of(reply.history.events[0]), "new_execution_run_id", "")
            if not following:
                return run_id
            run_id = following

    async def _reset(self, family: Family, base: str) -> None:
        """Back to the end of the first workflow task, the same request twice at times."""
        events = await self.history(family.workflow_id, 0, base)
        completed = enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        point = next(event.event_id for event in events if event.event_type == completed)
        request = rpc.ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=message(workflow_id=family.workflow_id, run_id=base),
            reason="again",
            request_id=new_id(),
            workflow_task_finish_event_id=point,
        )
        run_ids = {
            (await self.insist(request, rpc.ResetWorkflowExecutionResponse)).run_id
            for _ in range(1 + (self.random.random() < RESET_SHARE))
        }
        family.reset = Reset(base, run_ids, point)
        await self._await_end(family.workflow_id, sorted(run_ids)[0])

    # Workers

    async def _worker(self, queue: str, decide: Anything) -> None:
        poll = rpc.PollWorkflowTaskQueueRequest(
            namespace=NAMESPACE, task_queue=message(name=queue), identity="kin worker"
        )
        while True:
            task = await self.polled(poll, rpc.PollWorkflowTaskQueueResponse)
            if task is None or not task.task_token:
                continue
            workflow_id = task.workflow_execution.workflow_id
            events = list(task.history.events)
            if task.next_page_token:
                events = await self.history(workflow_id, 0, task.workflow_execution.run_id)
            messages = answers_to(task.messages)
            commands = [
                message(
                    command_type=enums.COMMAND_TYPE_PROTOCOL_MESSAGE,
                    protocol_message_command_attributes=message(message_id=one.id),
                )
                for one in messages
            ]
            request = rpc.RespondWorkflowTaskCompletedRequest(
                namespace=NAMESPACE,
                task_token=task.task_token,
                identity="kin worker",
                commands=[*commands, *decide(workflow_id, events)],
                messages=messages,
            )
            await self.accepted(self.insist(request, rpc.RespondWorkflowTaskCompletedResponse))


def answers_to(requests: Sequence[protocol.Message]) -> list[protocol.Message]:
    """Acceptance and result of every update, the result being its argument."""
    made: list[protocol.Message] = []
    for request in requests:
        asked = update.Request()
        request.body.Unpack(asked)
        acceptance = update.Acceptance(
            accepted_request_message_id=request.id,
            accepted_request_sequencing_event_id=request.event_id,
            accepted_request=asked,
        )
        response = update.Response(meta=asked.meta, outcome=update.Outcome(success=asked.input.args))
        for kind, content in (("accept", acceptance), ("complete", response)):
            one = protocol.Message(id=f"{request.id}/{kind}", protocol_instance_id=request.protocol_instance_id)
            one.body.Pack(content)
            made.append(one)
    return made


def decide_parent(workflow_id: str, events: Sequence[api.HistoryEvent]) -> list[Anything]:
    """The parent's code, by how far its history has come."""
    kinds = {event.event_type for event in events}
    begun = events[0].workflow_execution_started_event_attributes.input.payloads[0].data.decode()
    finished = "finish" in begun or enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED in kinds
    if begun != "1":
        done = message(result=payloads(begun))
        close = message(
            command_type=enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
            complete_workflow_execution_command_attributes=done,
        )
        return [close] if finished else []
    if enums.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED not in kinds:
        child = message(
            workflow_id=f"{workflow_id}-kid", workflow_type=message(name="Kid"), task_queue=message(name=KIDS)
        )
        kind = enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION
        return [message(command_type=kind, start_child_workflow_execution_command_attributes=child)]
    if enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED not in kinds:
        return []
    if enums.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED not in kinds:
        wanted = message(
            execution=message(workflow_id=f"{workflow_id}-kid"), signal_name="go", input=payloads(f"{workflow_id}/x")
        )
        kind = enums.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION
        return [message(command_type=kind, signal_external_workflow_execution_command_attributes=wanted)]
    if enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED not in kinds:
        return []
    following = message(input=payloads("2 finish" if finished else "2"))
    kind = enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION
    return [message(command_type=kind, continue_as_new_workflow_execution_command_attributes=following)]


def decide_kid(workflow_id: str, events: Sequence[api.HistoryEvent]) -> list[Anything]:
    """The child's code: its result is the signal that it got."""
    for event in events:
        if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            done = message(result=event.workflow_execution_signaled_event_attributes.input)
            kind = enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
            return [message(command_type=kind, complete_workflow_execution_command_attributes=done)]
    return []
