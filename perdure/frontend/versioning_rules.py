"""Assignment and redirect rules of build ids, the second way to version workers (server_inventory 1.12).

Off unless `frontend.workerVersioningRuleAPIs` is on. Judges requests; `machines.version_rules` says what they mean.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.api import Message, taskqueue, workflowservice
from perdure.api.times import timestamp_of
from perdure.clock import SECOND
from perdure.config import dynamic as settings
from perdure.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from perdure.frontend import validate
from perdure.frontend.build_ids import RULES_DISABLED, check_queue
from perdure.frontend.services import Call, Services
from perdure.machines import version_rules
from perdure.machines.queue_data import QueueData
from perdure.machines.task_queue import WORKFLOW, QueueKey

_Update = workflowservice.UpdateWorkerVersioningRulesRequest

BUILD_ID_BYTES_MAX: Final = 255
POLLER_SEEN_NS: Final = 70 * SECOND
"""A build id may be committed when a worker of it was seen in this window."""


async def update_worker_versioning_rules(services: Services, call: Call, request: _Update) -> Message | bytes:
    """One operation on the rules of a queue; the token of the last read or update must come with it."""
    _check_enabled(services, call)
    _check_build_ids(request)
    check_queue(services, call, request.task_queue)
    if request.WhichOneof("operation") is None:
        raise InvalidArgument("an operation must be specified")

    def changed(data: QueueData) -> QueueData:
        if request.conflict_token != _token(data):
            raise FailedPrecondition(
                f"provided conflict token '{_shown(request.conflict_token)}' does not match existing one "
                f"'{_shown(_token(data))}'"
            )
        return _changed(services, call, data, request)

    data = await services.task_queues.update(call.namespace.id, request.task_queue, changed)
    return workflowservice.UpdateWorkerVersioningRulesResponse(
        assignment_rules=_assignments(data), compatible_redirect_rules=_redirects(data), conflict_token=_token(data)
    )


def _changed(services: Services, call: Call, data: QueueData, request: _Update) -> QueueData:
    get = services.config.get
    name = call.namespace.name
    now_ns = services.clock.now_ns()
    rules_max = get(settings.ASSIGNMENT_RULE_LIMIT_PER_QUEUE, name)
    upstream_max = get(settings.REDIRECT_RULE_MAX_UPSTREAM_BUILD_IDS_PER_QUEUE, name)
    operation = request.WhichOneof("operation")
    change: Any = getattr(request, operation or "")
    if operation == "insert_assignment_rule":
        target, ramp = change.rule.target_build_id, _ramp(change.rule)
        return version_rules.with_assignment(data, change.rule_index, target, ramp, rules_max, now_ns)
    if operation == "replace_assignment_rule":
        target, ramp = change.rule.target_build_id, _ramp(change.rule)
        return version_rules.with_assignment_replaced(data, change.rule_index, target, ramp, change.force, now_ns)
    if operation == "delete_assignment_rule":
        return version_rules.without_assignment(data, change.rule_index, change.force, now_ns)
    if operation == "add_compatible_redirect_rule":
        source, target = change.rule.source_build_id, change.rule.target_build_id
        redirects_max = get(settings.REDIRECT_RULE_LIMIT_PER_QUEUE, name)
        return version_rules.with_redirect(data, source, target, redirects_max, upstream_max, now_ns)
    if operation == "replace_compatible_redirect_rule":
        source, target = change.rule.source_build_id, change.rule.target_build_id
        return version_rules.with_redirect_replaced(data, source, target, upstream_max, now_ns)
    if operation == "delete_compatible_redirect_rule":
        return version_rules.without_redirect(data, change.source_build_id, now_ns)
    assert operation == "commit_build_id", "the request was checked"
    seen = _worker_seen(services, call, request.task_queue, change.target_build_id)
    return version_rules.committed(data, change.target_build_id, seen, change.force, rules_max, now_ns)


async def get_worker_versioning_rules(
    services: Services, call: Call, request: workflowservice.GetWorkerVersioningRulesRequest
) -> Message | bytes:
    """The rules of a queue, and the token with which they may be changed."""
    _check_enabled(services, call)
    check_queue(services, call, request.task_queue)
    data = services.task_queues.find(call.namespace.id, request.task_queue)
    return workflowservice.GetWorkerVersioningRulesResponse(
        assignment_rules=_assignments(data), compatible_redirect_rules=_redirects(data), conflict_token=_token(data)
    )


def _assignments(data: QueueData) -> list[taskqueue.TimestampedBuildIdAssignmentRule]:
    return [
        taskqueue.TimestampedBuildIdAssignmentRule(
            rule=taskqueue.BuildIdAssignmentRule(
                target_build_id=rule.target, percentage_ramp=taskqueue.RampByPercentage(ramp_percentage=rule.ramp)
            ),
            create_time=timestamp_of(rule.created_ns),
        )
        for rule in data.assignment_rules
    ]


def _redirects(data: QueueData) -> list[taskqueue.TimestampedCompatibleBuildIdRedirectRule]:
    return [
        taskqueue.TimestampedCompatibleBuildIdRedirectRule(
            rule=taskqueue.CompatibleBuildIdRedirectRule(source_build_id=rule.source, target_build_id=rule.target),
            create_time=timestamp_of(rule.created_ns),
        )
        for rule in data.redirect_rules
    ]


def _ramp(rule: taskqueue.BuildIdAssignmentRule) -> float:
    """Percent of new workflows; a rule without a ramp is for all."""
    if not rule.HasField("percentage_ramp"):
        return version_rules.FULL_RAMP
    return rule.percentage_ramp.ramp_percentage


def _worker_seen(services: Services, call: Call, queue: str, build_id: str) -> bool:
    """Whether a worker of a build id has asked the queue for workflow tasks lately."""
    since_ns = services.clock.now_ns() - POLLER_SEEN_NS
    pollers = services.matching.describe(QueueKey(call.namespace.id, queue, WORKFLOW)).pollers
    return any(one.request.build_id == build_id and one.last_access_ns >= since_ns for one in pollers)


def _token(data: QueueData) -> bytes:
    return b"\x01" + data.clock.to_bytes(8)


def _shown(token: bytes) -> str:
    """Bytes as the reference prints them."""
    return "[" + " ".join([str(byte) for byte in token]) + "]"


def _check_enabled(services: Services, call: Call) -> None:
    if not services.config.get(settings.WORKER_VERSIONING_RULE_APIS, call.namespace.name):
        raise PermissionDenied(RULES_DISABLED)


def _check_build_ids(request: _Update) -> None:
    rules: list[Any] = [
        request.insert_assignment_rule.rule,
        request.replace_assignment_rule.rule,
        request.add_compatible_redirect_rule.rule,
        request.replace_compatible_redirect_rule.rule,
        request.commit_build_id,
    ]
    for rule in rules:
        for build_id in (rule.target_build_id, getattr(rule, "source_build_id", "")):
            if validate.too_long(build_id, BUILD_ID_BYTES_MAX):
                raise InvalidArgument(
                    f"BuildId must be <= {BUILD_ID_BYTES_MAX} characters, was {validate.byte_length(build_id)}"
                )
