"""What calls of workers have in common: what they say of their version, and the start of what matching gave them."""

from __future__ import annotations

from typing import Any

from perdure.api import taskqueue
from perdure.config import dynamic as settings
from perdure.errors import NotFound
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.machines.task_queue import PollRequest, Task
from perdure.machines.workflow.inputs import Stale
from perdure.machines.workflow.offers import start_of


def check_version(services: Services, call: Call, request: Any, named: Any, queue: taskqueue.TaskQueue) -> None:
    """What a worker says of its version: `named` is its stamp or its capabilities."""
    validate.worker_versioning(
        named,
        request.deployment_options if request.HasField("deployment_options") else None,
        queue,
        services.config.get(settings.WORKER_BUILD_ID_SIZE_LIMIT),
        services.config.get(settings.WORKER_VERSIONING_WORKFLOW_APIS, call.namespace.name),
    )


def poll_of(
    request: Any, rate: float | None = None, normal_name: str = "", worker_version: bytes | None = None
) -> PollRequest:
    """A checked poll as matching knows it."""
    capabilities = request.worker_version_capabilities
    return PollRequest(
        request.identity,
        request.worker_instance_key,
        rate,
        capabilities.SerializeToString(),
        request.deployment_options.SerializeToString(),
        validate.polled_build_id(capabilities),
        normal_name,
        worker_version,
    )


async def start_matched(services: Services, task: Task, poll: PollRequest) -> object:
    """Start a matched task for its poller, and settle it with matching: the outcome, or `Stale` when its run is gone.

    Anything but a definite answer of the start gives the task back (`perdure.matching`).
    """
    fact = start_of(task, services.ids.request_id(), poll.identity, poll.worker_version)
    settled = False
    try:
        try:
            outcome = await services.engine.submit(task.chain, fact)
        except NotFound:
            outcome = Stale()
        services.matching.settle(task, not isinstance(outcome, Stale))
        settled = True
        return outcome
    finally:
        if not settled:
            services.matching.give_back(task)
