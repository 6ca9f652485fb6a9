"""The RPCs of workflow rules (server_inventory 1.15, 4.26): switched off unless `frontend.workflowRulesAPIsEnabled`.

Rules are part of their namespace's record; `machines/workflow/rules.py` applies them. A rule is compiled before it is
stored, so that a condition which could never hold is refused, where the reference stores it and logs.
"""

from __future__ import annotations

from perdure.api import Message, rules, workflowservice
from perdure.api.times import timestamp_ns, timestamp_of
from perdure.cluster.rules import compiled
from perdure.config import dynamic as settings
from perdure.errors import BLOB_EXCEEDS_LIMIT, InvalidArgument, Unimplemented
from perdure.frontend import validate
from perdure.frontend.services import Call, Services

_NO_ID = "Workflow Rule ID is not set."
_NOT_FOUND = "Workflow Rule with this ID not Found."


async def create_workflow_rule(
    services: Services, call: Call, request: workflowservice.CreateWorkflowRuleRequest
) -> Message | bytes:
    """A rule that holds from now on; what is pending meets it at its next start or retry."""
    _check_enabled(services, call)
    if not request.HasField("spec"):
        raise InvalidArgument("Rule Specification is not set.")
    if not request.spec.id:
        raise InvalidArgument(_NO_ID)
    if validate.too_long(request.spec.id, services.view(call).limits.id_length):
        raise InvalidArgument("Workflow Rule Id length exceeds limit.")
    if request.force_scan:
        raise Unimplemented("a scan for executions that a new rule concerns is not implemented")
    before = call.namespace
    now = services.clock.now_ns()
    left = dict(before.rules)
    limit = services.config.get(settings.FRONTEND_MAX_WORKFLOW_RULES, before.name)
    if len(left) >= limit:
        _drop_expired(left, now)
    if len(left) >= limit:
        raise InvalidArgument(f"Workflow Rule limit exceeded. Max: {limit}")
    if request.spec.id in left:
        raise InvalidArgument("Workflow Rule with this ID already exists.")
    rule = rules.WorkflowRule(
        create_time=timestamp_of(now),
        spec=request.spec,
        created_by_identity=request.identity,
        description=request.description,
    )
    compiled(rule)
    left[request.spec.id] = rule.SerializeToString()
    if sum(map(len, left.values())) > services.view(call).limits.blob_size:
        raise InvalidArgument(BLOB_EXCEEDS_LIMIT)
    await services.namespaces.update(before, before.evolve(rules=left, config_version=before.config_version + 1))
    return workflowservice.CreateWorkflowRuleResponse(rule=rule)


def _drop_expired(left: dict[str, bytes], now_ns: int) -> None:
    """Make room by the rule that expired first, if one has."""
    expired = []
    for rule_id, body in left.items():
        spec = rules.WorkflowRule.FromString(body).spec
        if spec.HasField("expiration_time") and timestamp_ns(spec.expiration_time) < now_ns:
            expired.append((timestamp_ns(spec.expiration_time), rule_id))
    if expired:
        del left[min(expired)[1]]


async def describe_workflow_rule(
    services: Services, call: Call, request: workflowservice.DescribeWorkflowRuleRequest
) -> Message | bytes:
    """One rule."""
    _check_enabled(services, call)
    body = call.namespace.rules.get(_wanted(request.rule_id))
    if body is None:
        raise InvalidArgument(_NOT_FOUND)
    return workflowservice.DescribeWorkflowRuleResponse(rule=rules.WorkflowRule.FromString(body))


async def delete_workflow_rule(
    services: Services, call: Call, request: workflowservice.DeleteWorkflowRuleRequest
) -> Message | bytes:
    """The rule holds no more; what it paused stays paused."""
    _check_enabled(services, call)
    before = call.namespace
    left = dict(before.rules)
    if left.pop(_wanted(request.rule_id), None) is None:
        raise InvalidArgument(_NOT_FOUND)
    await services.namespaces.update(before, before.evolve(rules=left, config_version=before.config_version + 1))
    return workflowservice.DeleteWorkflowRuleResponse()


async def list_workflow_rules(
    services: Services, call: Call, _: workflowservice.ListWorkflowRulesRequest
) -> Message | bytes:
    """All rules of a namespace, by id; there are few."""
    _check_enabled(services, call)
    found = [rules.WorkflowRule.FromString(body) for _, body in sorted(call.namespace.rules.items())]
    return workflowservice.ListWorkflowRulesResponse(rules=found)


async def trigger_workflow_rule(
    services: Services, call: Call, _: workflowservice.TriggerWorkflowRuleRequest
) -> Message | bytes:
    """The reference has the method and refuses it, whatever is switched on."""
    raise Unimplemented("method TriggerWorkflowRule not supported")


def _wanted(rule_id: str) -> str:
    if not rule_id:
        raise InvalidArgument(_NO_ID)
    return rule_id


def _check_enabled(services: Services, call: Call) -> None:
    if not services.config.get(settings.FRONTEND_WORKFLOW_RULES_APIS_ENABLED, call.namespace.name):
        raise Unimplemented(f"method {call.method.name} not supported")
