"""UpdateTaskQueueConfig: limits and fairness weights of a queue that hold until they are unset (semantics 12.3).

Stored before it is answered, so a restart changes nothing. Two things the reference lets pass are refused, since they
could only be mistakes: a request without a queue, and one without the queue's type.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.api import Message, enums, taskqueue, workflowservice
from perdure.api.times import timestamp_of
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.machines.priorities import FAIRNESS_KEY_BYTES_MAX
from perdure.machines.queue_data import QueueData, RateLimit, TypeConfig
from perdure.machines.queue_names import RESERVED_PREFIX
from perdure.machines.task_queue import WORKFLOW

REASON_BYTES_MAX: Final = 1000


async def update_task_queue_config(
    services: Services, call: Call, request: workflowservice.UpdateTaskQueueConfigRequest
) -> Message | bytes:
    """Set or unset what the request names; the rest of the configuration stays."""
    _check(services, call, request)
    kind = int(request.task_queue_type)
    weights_max = _weights_max(services, call, request)

    def changed(data: QueueData) -> QueueData:
        clock = data.tick(services.clock.now_ns())
        before = data.configs.get(kind, TypeConfig())
        after = TypeConfig(
            _limit(request, "update_queue_rate_limit", clock) or before.queue_limit,
            _limit(request, "update_fairness_key_rate_limit_default", clock) or before.key_limit,
            _weights(before.weights, request, weights_max),
        )
        return data.evolve(configs={**data.configs, kind: after}, clock=clock)

    stored = await services.task_queues.update(call.namespace.id, request.task_queue, changed)
    return workflowservice.UpdateTaskQueueConfigResponse(config=config_message(stored.configs[kind]))


def config_message(config: TypeConfig) -> taskqueue.TaskQueueConfig:
    """The configuration as it is shown."""
    message = taskqueue.TaskQueueConfig(fairness_weight_overrides=config.weights)
    if config.queue_limit is not None:
        message.queue_rate_limit.CopyFrom(_limit_message(config.queue_limit))
    if config.key_limit is not None:
        message.fairness_keys_rate_limit_default.CopyFrom(_limit_message(config.key_limit))
    return message


def _limit_message(limit: RateLimit) -> taskqueue.RateLimitConfig:
    message = taskqueue.RateLimitConfig(
        metadata=taskqueue.ConfigMetadata(
            reason=limit.reason, update_identity=limit.identity, update_time=timestamp_of(limit.time_ns)
        )
    )
    if limit.per_second is not None:
        message.rate_limit.requests_per_second = limit.per_second
    return message


def _limit(request: Any, field: str, clock: int) -> RateLimit | None:
    """The limit that a request sets or unsets; None: it says nothing of it."""
    if not request.HasField(field):
        return None
    update = getattr(request, field)
    per_second = update.rate_limit.requests_per_second if update.HasField("rate_limit") else None
    return RateLimit(per_second, update.reason, request.identity, clock)


def _weights(
    before: dict[str, float], request: workflowservice.UpdateTaskQueueConfigRequest, weights_max: int
) -> dict[str, float]:
    after = {key: weight for key, weight in before.items() if key not in request.unset_fairness_weight_overrides}
    after.update(request.set_fairness_weight_overrides)
    if len(after) > weights_max:
        raise InvalidArgument("fairness weight overrides update rejected: exceeding maximum key size")
    return after


def _weights_max(services: Services, call: Call, request: workflowservice.UpdateTaskQueueConfigRequest) -> int:
    return services.config.get(
        settings.MATCHING_MAX_FAIRNESS_KEY_WEIGHT_OVERRIDES,
        call.namespace.name,
        request.task_queue,
        int(request.task_queue_type),
    )


def _check(services: Services, call: Call, request: workflowservice.UpdateTaskQueueConfigRequest) -> None:
    limit = services.view(call).limits.id_length
    workflows = request.task_queue_type == WORKFLOW
    if workflows and request.update_queue_rate_limit.HasField("rate_limit"):
        raise InvalidArgument("Setting rate limit on workflow task queues is not allowed.")
    _check_limit(request.update_queue_rate_limit, "UpdateQueueRateLimit")
    if workflows and request.update_fairness_key_rate_limit_default.HasField("rate_limit"):
        raise InvalidArgument("Setting fairness key rate limit on workflow task queues is not allowed.")
    _check_limit(request.update_fairness_key_rate_limit_default, "UpdateFairnessKeyRateLimitDefault")
    if validate.too_long(request.identity, limit):
        raise InvalidArgument(f"Identity field too long (max {limit} characters).")
    _check_weights(request, _weights_max(services, call, request))
    if not request.task_queue:
        raise InvalidArgument("missing task queue name")
    if request.task_queue.startswith(RESERVED_PREFIX):
        raise InvalidArgument(f"task queue family name cannot have prefix {RESERVED_PREFIX} {request.task_queue}")
    if validate.too_long(request.task_queue, limit):
        raise InvalidArgument("taskQueue length exceeds limit")
    if request.task_queue_type not in enums.TaskQueueType.values()[1:]:
        raise InvalidArgument("task queue type is not set")


def _check_limit(update: workflowservice.UpdateTaskQueueConfigRequest.RateLimitUpdate, label: str) -> None:
    if not update.HasField("rate_limit"):
        return
    # A rate that is no number compares as neither.
    if not update.rate_limit.requests_per_second >= 0:
        raise InvalidArgument(f"RequestsPerSecond for {label} rate limit must be non-negative.")
    if validate.too_long(update.reason, REASON_BYTES_MAX):
        raise InvalidArgument(f"{label}.Reason field too long (max {REASON_BYTES_MAX} characters).")


def _check_weights(request: workflowservice.UpdateTaskQueueConfigRequest, weights_max: int) -> None:
    count = len(request.set_fairness_weight_overrides) + len(request.unset_fairness_weight_overrides)
    if count > weights_max:
        raise InvalidArgument(f"too many fairness weight overrides in request: got {count}, maximum {weights_max}")
    for key, weight in request.set_fairness_weight_overrides.items():
        _check_key(key)
        if not weight > 0:
            raise InvalidArgument(f'invalid fairness weight weight for key "{key}": must be greater than zero')
    for key in request.unset_fairness_weight_overrides:
        _check_key(key)
    for key in request.unset_fairness_weight_overrides:
        if key in request.set_fairness_weight_overrides:
            raise InvalidArgument(f'fairness weight override key "{key}" present in both set and unset lists')


def _check_key(key: str) -> None:
    if not key:
        raise InvalidArgument("fairness weight override key must not be empty")
    if validate.too_long(key, FAIRNESS_KEY_BYTES_MAX):
        raise InvalidArgument("fairness key length exceeds limit")
