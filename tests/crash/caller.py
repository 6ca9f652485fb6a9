"""What the loads of the crash test share: calls that are repeated until their outcome is known, and counted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any as Anything
from typing import Final, TypeVar

from perdure.api import Message
from perdure.api import history as api
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from perdure.transport.client import RpcError
from tests.service.rpc import Rpc, message

Reply = TypeVar("Reply", bound=Message)

NAMESPACE: Final = "default"
CALL_S: Final = 10.0
POLL_S: Final = 5.0
PAUSE_S: Final = 0.02
GIVE_UP_S: Final = 60.0
"""A call that is not answered for so long, over restarts, ends the test."""

UNKNOWN_OUTCOME: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED})
"""What a client may see because the server was killed; after these a call is repeated."""


def payloads(text: str) -> Anything:
    """One payload that holds a tag."""
    return {"payloads": [{"metadata": {"encoding": b"binary/plain"}, "data": text.encode()}]}


class Caller:
    """Calls to one server that is killed all the time."""

    def __init__(self, port: int, seed: int) -> None:
        self.answers: Counter[str] = Counter()
        """Calls by their outcome."""
        self.violations: list[str] = []
        self.random = random.Random(seed)
        self.stopping = False
        self._rpc = Rpc(port, channels=2)

    async def once(self, request: Message, reply: type[Reply], timeout_s: float = CALL_S) -> Reply | RpcError:
        """One attempt; its outcome is counted."""
        try:
            answer = await self._rpc.call(request, reply, timeout_s)
        except RpcError as error:
            self.answers[error.code.name] += 1
            if error.code in (StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS):
                self.violations.append(f"{type(request).__name__} was answered {error}")
            return error
        self.answers["OK"] += 1
        return answer

    async def insist(self, request: Message, reply: type[Reply]) -> Reply:
        """Repeat a call, unchanged, until its outcome is known. Raises RpcError for a definite refusal."""
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                answer = await self.once(request, reply)
                if not isinstance(answer, RpcError):
                    return answer
                if answer.code not in UNKNOWN_OUTCOME:
                    raise answer
                await asyncio.sleep(PAUSE_S)

    async def polled(self, request: Message, reply: type[Reply]) -> Reply | None:
        """A task, or None after a poll that brought none."""
        answer = await self.once(request, reply, POLL_S)
        if isinstance(answer, RpcError):
            await asyncio.sleep(PAUSE_S)
            return None
        return answer

    async def accepted(self, call: Awaitable[Message]) -> bool:
        """Whether a worker's answer was taken; a task that has timed out or closed meanwhile is refused."""
        try:
            await call
        except RpcError as error:
            # UnhandledCommand: something happened meanwhile, the task comes again.
            if error.code not in (StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT):
                raise
            if error.code is StatusCode.INVALID_ARGUMENT and "UnhandledCommand" not in error.message:
                raise
            return False
        return True

    async def history(self, workflow_id: str, page_size: int, run_id: str = "") -> list[api.HistoryEvent]:
        """The whole history of a run, by default the current one."""
        request = rpc.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            execution=message(workflow_id=workflow_id, run_id=run_id),
            maximum_page_size=page_size,
        )
        events: list[api.HistoryEvent] = []
        while True:
            reply = await self.insist(request, rpc.GetWorkflowExecutionHistoryResponse)
            events += reply.history.events
            if not reply.next_page_token:
                return events
            request.next_page_token = reply.next_page_token

    def first_error(self, tasks: Sequence[asyncio.Task[None]]) -> BaseException | None:
        """What ended a client or worker that should not have ended."""
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                return error
        return None

    async def end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Cancel clients and workers, and hang up."""
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._rpc.close()
