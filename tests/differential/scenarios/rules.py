"""Workflow rules (server_inventory 4.26). The suite's servers have them switched on."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.common.v1 import ActivityType
from temporalio.api.rules.v1 import WorkflowRuleAction, WorkflowRuleSpec
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..script import WORKER, Script
from ..values import retry_policy, seconds
from ..wire import RpcFailed

PAUSE = WorkflowRuleAction(activity_pause=WorkflowRuleAction.ActionActivityPause())


def _namespace(s: Script) -> str:
    name = f"ns-{s.nonce}"
    request = rpc.RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=seconds(86400))
    s.send(request, rpc.RegisterNamespaceResponse)
    s.eventually(
        rpc.CountWorkflowExecutionsRequest(namespace=name), rpc.CountWorkflowExecutionsResponse, lambda _: True, False
    )
    return name


def _spec(rule_id: str, predicate: str, **fields: Anything) -> WorkflowRuleSpec:
    spec = WorkflowRuleSpec(id=rule_id, actions=[PAUSE], **fields)
    spec.activity_start.predicate = predicate
    return spec


def _create(s: Script, namespace: str, spec: WorkflowRuleSpec | None, **fields: Anything) -> None:
    request = rpc.CreateWorkflowRuleRequest(
        namespace=namespace, spec=spec, identity="maker", description="why", request_id=s.new_request_id(), **fields
    )
    s.call(request, rpc.CreateWorkflowRuleResponse)


def life(s: Script) -> None:
    """Created, described, listed, deleted; ids are unique and needed."""
    ns = _namespace(s)
    _create(s, ns, _spec("one", "ActivityType = 'none'", visibility_query="WorkflowType = 'none'"))
    _create(s, ns, _spec("one", "ActivityType = 'none'"))
    for rule_id in ("one", "two", ""):
        s.call(rpc.DescribeWorkflowRuleRequest(namespace=ns, rule_id=rule_id), rpc.DescribeWorkflowRuleResponse)
    s.call(rpc.ListWorkflowRulesRequest(namespace=ns), rpc.ListWorkflowRulesResponse)
    for rule_id in ("one", "one", ""):
        s.call(rpc.DeleteWorkflowRuleRequest(namespace=ns, rule_id=rule_id), rpc.DeleteWorkflowRuleResponse)
    s.call(rpc.ListWorkflowRulesRequest(namespace=ns), rpc.ListWorkflowRulesResponse)


def refused(s: Script) -> None:
    """What is missing or too much; triggering is never there."""
    ns = _namespace(s)
    _create(s, ns, None)
    _create(s, ns, _spec("", "ActivityType = 'none'"))
    _create(s, ns, _spec("i" * 1001, "ActivityType = 'none'"))
    for number in range(11):
        request = rpc.CreateWorkflowRuleRequest(namespace=ns, spec=_spec(f"rule-{number}", "ActivityType = 'none'"))
        outcome = s.send(request, rpc.CreateWorkflowRuleResponse)
        if isinstance(outcome, RpcFailed):
            s.record(request, rpc.CreateWorkflowRuleResponse, outcome)
    s.call(rpc.TriggerWorkflowRuleRequest(namespace=ns, id="rule-1"), rpc.TriggerWorkflowRuleResponse)


def pauses_at_start(s: Script) -> None:
    """An activity that matches is not handed out, and says by which rule it is paused; others go on."""
    ns = _namespace(s)
    _create(s, ns, _spec("held", "ActivityType = 'Held'", visibility_query="WorkflowType = 'Wf'"))
    _known(s)
    s.start(namespace=ns)
    task = s.poll(namespace=ns)
    held, free = ActivityType(name="Held"), ActivityType(name="Free")
    s.complete(task, s.activity("a", activity_type=held), s.activity("b", activity_type=free), namespace=ns)
    s.poll_activity(namespace=ns)
    # The rule is asked when a poller takes the activity: in the reference the first one may have met the other only.
    another = rpc.PollActivityTaskQueueRequest(namespace=ns, task_queue=TaskQueue(name=s.queue), identity=WORKER)
    waiting = s.background(another, rpc.PollActivityTaskQueueResponse, 3.0)
    _paused(s, ns)
    waiting.outcome()


def pauses_at_failure(s: Script) -> None:
    """An activity that fails in its second attempt is paused then, and tells by which rule."""
    ns = _namespace(s)
    _create(s, ns, _spec("failing", "Attempts >= 2 AND ActivityId = 'a'"))
    _known(s)
    s.start(namespace=ns)
    task = s.poll(namespace=ns)
    s.complete(task, s.activity("a", retry_policy=retry_policy(0.1, 1.0, 1.0)), namespace=ns)
    for _ in range(2):
        s.fail_activity(s.poll_activity(namespace=ns), namespace=ns)
    _paused(s, ns)


def _known(s: Script) -> None:
    """The reference's services hear of a rule within two seconds, later on a busy machine."""
    for _ in range(3):
        s.another_run_waits()


def _paused(s: Script, namespace: str) -> None:
    request = rpc.DescribeWorkflowExecutionRequest(namespace=namespace, execution=s.execution())
    s.eventually(
        request,
        rpc.DescribeWorkflowExecutionResponse,
        lambda reply: any(one.paused for one in reply.pending_activities),
    )
