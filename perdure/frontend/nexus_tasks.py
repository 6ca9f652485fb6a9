"""What a Nexus worker calls: poll and respond (semantics 12.5, 16.2.3).

Nothing dispatches Nexus tasks yet, so a poll is an honest wait that ends empty: at its deadline, or when its worker
says good-bye. No answer can be expected by anyone, so every answer is one to an unknown task. A worker that serves
Nexus operations beside its workflows, or that listens on its control queue, runs against this as against a server
where nobody calls it. The capability `nexus` stays unadvertised until there is more.
"""

from __future__ import annotations

from typing import Final

from perdure.api import Message, workflowservice
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument, NotFound
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.frontend.worker_calls import check_version, poll_of
from perdure.frontend.workers import record_heartbeats
from perdure.machines.task_queue import NEXUS, QueueKey

_EMPTY_POLL: Final = workflowservice.PollNexusTaskQueueResponse().SerializeToString()


async def poll_nexus_task_queue(
    services: Services, call: Call, request: workflowservice.PollNexusTaskQueueRequest
) -> Message | bytes:
    """Nothing, when the wait is over."""
    now_s = services.loop.time()
    ends_at = now_s + call.long_poll_s(now_s)
    limits = services.view(call).limits
    queue = request.task_queue
    validate.task_queue(queue, request.HasField("task_queue"), limits.id_length)
    validate.identity(request.identity, limits.id_length)
    check_version(services, call, request, request.worker_version_capabilities, queue)
    validate.partition(queue)
    record_heartbeats(services, call, request.worker_heartbeat)
    key = QueueKey(call.namespace.id, queue.name, NEXUS)
    matched = await services.matching.poll(key, poll_of(request), ends_at - services.loop.time())
    assert matched is None, "nobody dispatches Nexus tasks"
    return _EMPTY_POLL


async def respond_nexus_task_completed(
    services: Services, call: Call, request: workflowservice.RespondNexusTaskCompletedRequest
) -> Message | bytes:
    """NotFound, once the request is a legal one."""
    answer = request.response.start_operation.async_success
    if request.response.start_operation.HasField("async_success"):
        token = answer.operation_token or answer.operation_id
        limit = services.config.get(settings.NEXUS_OPERATION_TOKEN_LENGTH_LIMIT, request.namespace)
        if not token:
            raise InvalidArgument("missing opration token in response")
        if validate.too_long(token, limit):
            raise InvalidArgument(
                f"operation token length exceeds allowed limit ({validate.byte_length(token)}/{limit})"
            )
    raise _unknown(services, request.task_token)


async def respond_nexus_task_failed(
    services: Services, call: Call, request: workflowservice.RespondNexusTaskFailedRequest
) -> Message | bytes:
    """NotFound, once the request is a legal one."""
    unknown = _unknown(services, request.task_token)
    if isinstance(unknown, InvalidArgument):
        raise unknown
    if not request.HasField("error") and not request.HasField("failure"):
        raise InvalidArgument("request must contain error or failure")
    if request.HasField("failure") and not request.failure.HasField("nexus_handler_failure_info"):
        raise InvalidArgument("request Failure must contain error or failure with NexusHandlerFailureInfo")
    raise unknown


def _unknown(services: Services, token: bytes) -> InvalidArgument | NotFound:
    """What an answer with this token is told: no token of this server names a Nexus task."""
    if not token:
        return InvalidArgument("Task token not set on request.")
    if services.tokens.is_task_token(token):
        return NotFound("Nexus task not found or already expired")
    return InvalidArgument("Error deserializing task token.")
