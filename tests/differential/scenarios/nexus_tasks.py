"""Polls of a queue where nobody calls a Nexus operation, and answers to Nexus tasks that are not there (12.5)."""

from __future__ import annotations

from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.failure.v1 import Failure, NexusHandlerFailureInfo
from temporalio.api.nexus.v1 import Response, StartOperationResponse
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, WORKER, Script
from ..values import queue


def empty_poll(s: Script) -> None:
    """A poll ends empty a second before its caller would give up; a shorter one is refused."""
    request = rpc.PollNexusTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity=WORKER)
    s.call(request, rpc.PollNexusTaskQueueResponse, 3.0)
    s.call(request, rpc.PollNexusTaskQueueResponse, 1.0)
    request.task_queue.CopyFrom(queue(s.queue, TaskQueueKind.TASK_QUEUE_KIND_WORKER_COMMANDS))
    s.call(request, rpc.PollNexusTaskQueueResponse, 3.0)


def refused_polls(s: Script) -> None:
    """Queues and identities that are no such."""
    for name in ("", "/_sys/a/1", "q" * 1001):
        request = rpc.PollNexusTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=name))
        s.call(request, rpc.PollNexusTaskQueueResponse)
    s.call(rpc.PollNexusTaskQueueRequest(namespace=NAMESPACE), rpc.PollNexusTaskQueueResponse)
    s.call(
        rpc.PollNexusTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity="i" * 1001),
        rpc.PollNexusTaskQueueResponse,
    )


def answers_to_nothing(s: Script) -> None:
    """An answer without, with a mangled, or with another kind of token."""
    other = s.begin_quietly().task_token
    for token in (b"", b"\x80garbage", other):
        s.call(
            rpc.RespondNexusTaskCompletedRequest(namespace=NAMESPACE, task_token=token),
            rpc.RespondNexusTaskCompletedResponse,
        )
        s.call(
            rpc.RespondNexusTaskFailedRequest(namespace=NAMESPACE, task_token=token),
            rpc.RespondNexusTaskFailedResponse,
        )
    for failed in (
        Failure(message="odd"),
        Failure(nexus_handler_failure_info=NexusHandlerFailureInfo(type="INTERNAL")),
    ):
        s.call(
            rpc.RespondNexusTaskFailedRequest(namespace=NAMESPACE, task_token=other, failure=failed),
            rpc.RespondNexusTaskFailedResponse,
        )
    for operation in ("", "t" * 4097):
        started = StartOperationResponse(async_success=StartOperationResponse.Async(operation_token=operation))
        s.call(
            rpc.RespondNexusTaskCompletedRequest(
                namespace=NAMESPACE, task_token=other, response=Response(start_operation=started)
            ),
            rpc.RespondNexusTaskCompletedResponse,
        )
