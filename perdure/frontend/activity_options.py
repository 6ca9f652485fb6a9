"""What the newer UpdateActivityExecutionOptions checks before any activity is looked at (semantics 5.7).

Its older sister passes over paths it does not know and judges the options as a whole, in the machine. Here each path
must be known, each value that a path names must be right by itself, and a retry policy that is given whole gets its
defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from perdure.api import Duration, common, workflowservice
from perdure.api.activity import ActivityOptions
from perdure.api.times import BadDuration, checked_duration_ns
from perdure.errors import InvalidArgument
from perdure.frontend import validate
from perdure.machines import retry

_TIMEOUTS: Final = {
    "schedule_to_close_timeout": "ScheduleToCloseTimeout",
    "schedule_to_start_timeout": "ScheduleToStartTimeout",
    "start_to_close_timeout": "StartToCloseTimeout",
    "heartbeat_timeout": "HeartbeatTimeout",
}
_PATHS: Final = (
    *_TIMEOUTS,
    "task_queue.name",
    "priority",
    "priority.priority_key",
    "priority.fairness_key",
    "priority.fairness_weight",
    "retry_policy",
    "retry_policy.initial_interval",
    "retry_policy.backoff_coefficient",
    "retry_policy.maximum_interval",
    "retry_policy.maximum_attempts",
    "start_delay",
)
"""The paths of a mask. A start delay may be named, but only an activity without a workflow has one."""


def check(request: workflowservice.UpdateActivityExecutionOptionsRequest, id_length: int) -> None:
    """Raise what is wrong with mask and options. Completes both in place: paths in the words of the proto, defaults."""
    mask = request.update_mask
    if request.restore_original:
        if mask.paths:
            raise InvalidArgument("Both UpdateMask and RestoreOriginal are provided")
        return
    if not request.HasField("activity_options"):
        raise InvalidArgument("ActivityOptions are not provided")
    if not request.HasField("update_mask"):
        raise InvalidArgument("UpdateMask is not provided")
    if not mask.paths:
        raise InvalidArgument("UpdateMask must specify at least one path")
    known = _known(mask.paths)
    options = request.activity_options
    if "task_queue.name" in known:
        validate.user_task_queue(options.task_queue, options.HasField("task_queue"), id_length)
    for path, shown in _TIMEOUTS.items():
        if path in known:
            _check_duration(getattr(options, path), f"invalid {shown}")
    _check_priority(options.priority, known)
    _check_policy(options, known)
    mask.paths[:] = known


def _known(paths: Iterable[str]) -> list[str]:
    """The paths by their names in the proto; masks come in camel case as well."""
    names = {_camel(path): path for path in _PATHS}
    known: list[str] = []
    for path in paths:
        name = names.get(_camel(path))
        if name is None:
            raise InvalidArgument(f"unsupported update_mask path: {json.dumps(path, ensure_ascii=False)}")
        known.append(name)
    return known


def _camel(path: str) -> str:
    return ".".join([_camel_part(part) for part in path.split(".")])


def _camel_part(part: str) -> str:
    first, *others = part.split("_")
    return first[:1].lower() + first[1:] + "".join([word[:1].upper() + word[1:] for word in others])


def _check_duration(value: Duration, what: str) -> None:
    try:
        checked_duration_ns(value)
    except BadDuration as bad:
        raise InvalidArgument(f"{what}: {bad}") from None


def _check_priority(priority: common.Priority, known: list[str]) -> None:
    """The whole of it, or the parts that are named."""
    named = common.Priority()
    if "priority" in known:
        named.CopyFrom(priority)
    if "priority.priority_key" in known:
        named.priority_key = priority.priority_key
    if "priority.fairness_key" in known:
        named.fairness_key = priority.fairness_key
    if "priority.fairness_weight" in known:
        named.fairness_weight = priority.fairness_weight
    validate.priority(named)


def _check_policy(options: ActivityOptions, known: list[str]) -> None:
    policy = options.retry_policy
    if "retry_policy" in known:
        bad = retry.validate(policy)
        if bad is not None:
            raise InvalidArgument(bad)
        options.retry_policy.CopyFrom(retry.policy_message(retry.policy_of(policy)))
    if "retry_policy.initial_interval" in known:
        _check_duration(policy.initial_interval, "invalid InitialInterval set on retry policy")
    if "retry_policy.backoff_coefficient" in known and policy.backoff_coefficient < 1:
        raise InvalidArgument("BackoffCoefficient cannot be less than 1 on retry policy.")
    if "retry_policy.maximum_interval" in known:
        _check_duration(policy.maximum_interval, "invalid MaximumInterval set on retry policy")
    if "retry_policy.maximum_attempts" in known and policy.maximum_attempts < 0:
        raise InvalidArgument("MaximumAttempts cannot be negative on retry policy.")
