"""Version sets of build ids, rules of build ids, and what they reach (server_inventory 1.12)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.enums.v1 import DescribeTaskQueueMode, TaskReachability
from temporalio.api.taskqueue.v1 import (
    BuildIdAssignmentRule,
    CompatibleBuildIdRedirectRule,
    RampByPercentage,
    TaskQueue,
    TaskQueueVersionSelection,
)
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import complete_workflow

Update = rpc.UpdateWorkerBuildIdCompatibilityRequest
Rules = rpc.UpdateWorkerVersioningRulesRequest


def _update(s: Script, **fields: Anything) -> None:
    request = Update(**({"namespace": NAMESPACE, "task_queue": s.queue} | fields))
    s.call(request, rpc.UpdateWorkerBuildIdCompatibilityResponse)


def _sets(s: Script, **fields: Anything) -> None:
    request = rpc.GetWorkerBuildIdCompatibilityRequest(namespace=NAMESPACE, task_queue=s.queue, **fields)
    s.call(request, rpc.GetWorkerBuildIdCompatibilityResponse)


def _compatible(new: str, existing: str, default: bool = False) -> Update.AddNewCompatibleVersion:
    return Update.AddNewCompatibleVersion(
        new_build_id=new, existing_compatible_build_id=existing, make_set_default=default
    )


def sets_grow(s: Script) -> None:
    """New sets, compatible ids, promotions; each of them again."""
    _sets(s)
    for _ in range(2):
        _update(s, add_new_build_id_in_new_default_set="1.0")
    _update(s, add_new_build_id_in_new_default_set="2.0")
    for _ in range(2):
        _update(s, add_new_compatible_build_id=_compatible("1.1", "1.0"))
    _sets(s)
    _update(s, add_new_compatible_build_id=_compatible("1.2", "1.0", True))
    _sets(s)
    for _ in range(2):
        _update(s, promote_set_by_build_id="2.0")
    for _ in range(2):
        _update(s, promote_build_id_within_set="1.0")
    _sets(s)
    _sets(s, max_sets=1)


def sets_merge(s: Script) -> None:
    """The primary's default stays the default of the union."""
    for build_id in ("1.0", "2.0", "3.0"):
        _update(s, add_new_build_id_in_new_default_set=build_id)
    _update(s, add_new_compatible_build_id=_compatible("1.1", "1.0"))
    _update(s, merge_sets=Update.MergeSets(primary_set_build_id="1.0", secondary_set_build_id="2.0"))
    _sets(s)
    _update(s, merge_sets=Update.MergeSets(primary_set_build_id="1.0", secondary_set_build_id="3.0"))
    _sets(s)
    _update(s, merge_sets=Update.MergeSets(primary_set_build_id="1.0", secondary_set_build_id="2.0"))
    _update(s, merge_sets=Update.MergeSets(primary_set_build_id="9", secondary_set_build_id="2.0"))
    _update(s, merge_sets=Update.MergeSets(primary_set_build_id="1.0", secondary_set_build_id="9"))
    _sets(s)


def refused_sets(s: Script) -> None:
    """Each error of the version sets."""
    _update(s)
    _update(s, task_queue="")
    _update(s, task_queue="", add_new_build_id_in_new_default_set="")
    _update(s, add_new_build_id_in_new_default_set="b" * 256)
    _update(s, add_new_compatible_build_id=_compatible("", ""))
    _update(s, promote_set_by_build_id="")
    _update(s, promote_build_id_within_set="")
    _update(s, promote_set_by_build_id="unknown")
    _update(s, promote_build_id_within_set="unknown")
    _update(s, add_new_compatible_build_id=_compatible("new", "unknown"))
    _update(s, add_new_build_id_in_new_default_set="1.0")
    _update(s, add_new_build_id_in_new_default_set="2.0")
    _update(s, add_new_build_id_in_new_default_set="1.0")
    _update(s, add_new_compatible_build_id=_compatible("2.0", "1.0"))
    _update(s, add_new_compatible_build_id=_compatible("1.1", "1.0"))
    _update(s, add_new_compatible_build_id=_compatible("1.0", "1.1"))
    _update(s, add_new_compatible_build_id=_compatible("1.1", "1.0", True))
    _sets(s)


def limits_of_sets(s: Script) -> None:
    """Ten sets and a hundred build ids are the most."""
    for n in range(11):
        _update(s, add_new_build_id_in_new_default_set=f"set-{n}")
    for n in range(90):
        request = Update(
            namespace=NAMESPACE, task_queue=s.queue, add_new_compatible_build_id=_compatible(f"c-{n}", "set-0")
        )
        s.send(request, rpc.UpdateWorkerBuildIdCompatibilityResponse)
    _update(s, add_new_compatible_build_id=_compatible("one too many", "set-0"))


def reachability(s: Script) -> None:
    """By new workflows, by open ones, by closed ones."""

    def ask(*build_ids: str, kind: int = 0, queues: bool = True) -> None:
        request = rpc.GetWorkerTaskReachabilityRequest(namespace=NAMESPACE, build_ids=build_ids)
        request.reachability = TaskReachability.ValueType(kind)
        if queues:
            request.task_queues.append(s.queue)
        s.call(request, rpc.GetWorkerTaskReachabilityResponse)

    ask()
    ask("", queues=False)
    ask(*[str(n) for n in range(6)])
    ask("b" * 256)
    ask("unknown", queues=False)
    for kind in TaskReachability.values():
        ask("", kind=kind)
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    request = rpc.ListWorkflowExecutionsRequest(
        namespace=NAMESPACE, query=f"TaskQueue = '{s.queue}' AND CloseTime IS NOT NULL"
    )
    s.eventually(request, rpc.ListWorkflowExecutionsResponse, lambda known: bool(known.executions), record=False)
    for kind in TaskReachability.values():
        ask("", kind=kind)
    _update(s, add_new_build_id_in_new_default_set=f"{s.queue}-1")
    _update(s, add_new_build_id_in_new_default_set=f"{s.queue}-2")
    _update(s, add_new_compatible_build_id=_compatible(f"{s.queue}-1.1", f"{s.queue}-1"))
    for kind in TaskReachability.values():
        ask(f"{s.queue}-1", f"{s.queue}-1.1", f"{s.queue}-2", "", kind=kind)
    ask(f"{s.queue}-1.1", queues=False)


def _rules(s: Script) -> rpc.GetWorkerVersioningRulesResponse:
    request = rpc.GetWorkerVersioningRulesRequest(namespace=NAMESPACE, task_queue=s.queue)
    return s.call(request, rpc.GetWorkerVersioningRulesResponse)


def _change(s: Script, **fields: Anything) -> None:
    """An operation with the token of now."""
    known = s.send(
        rpc.GetWorkerVersioningRulesRequest(namespace=NAMESPACE, task_queue=s.queue),
        rpc.GetWorkerVersioningRulesResponse,
    )
    token = known.conflict_token if isinstance(known, rpc.GetWorkerVersioningRulesResponse) else b""
    request = Rules(namespace=NAMESPACE, task_queue=s.queue, conflict_token=token, **fields)
    s.call(request, rpc.UpdateWorkerVersioningRulesResponse)


def _assign(target: str, ramp: float | None = None) -> BuildIdAssignmentRule:
    rule = BuildIdAssignmentRule(target_build_id=target)
    if ramp is not None:
        rule.percentage_ramp.CopyFrom(RampByPercentage(ramp_percentage=ramp))
    return rule


def _redirect(source: str, target: str) -> CompatibleBuildIdRedirectRule:
    return CompatibleBuildIdRedirectRule(source_build_id=source, target_build_id=target)


def assignment_rules(s: Script) -> None:
    """Inserted, replaced, deleted, committed; the last full rule goes by force only."""
    _rules(s)
    insert, replace = Rules.InsertBuildIdAssignmentRule, Rules.ReplaceBuildIdAssignmentRule
    delete, commit = Rules.DeleteBuildIdAssignmentRule, Rules.CommitBuildId
    _change(s, insert_assignment_rule=insert(rule_index=0, rule=_assign("1.0")))
    _change(s, insert_assignment_rule=insert(rule_index=9, rule=_assign("2.0", 30)))
    _change(s, insert_assignment_rule=insert(rule_index=0, rule=_assign("3.0", 0)))
    _change(s, insert_assignment_rule=insert(rule_index=-1, rule=_assign("x")))
    _change(s, insert_assignment_rule=insert(rule_index=0, rule=_assign("x", 101)))
    _change(s, insert_assignment_rule=insert(rule_index=0, rule=_assign("b" * 256)))
    _change(s, replace_assignment_rule=replace(rule_index=1, rule=_assign("1.5", 50)))
    _change(s, replace_assignment_rule=replace(rule_index=1, rule=_assign("1.5", 50), force=True))
    _change(s, replace_assignment_rule=replace(rule_index=7, rule=_assign("1.5")))
    _change(s, replace_assignment_rule=replace(rule_index=0, rule=_assign("4.0")))
    _change(s, delete_assignment_rule=delete(rule_index=0))
    _change(s, delete_assignment_rule=delete(rule_index=9, force=True))
    _change(s, delete_assignment_rule=delete(rule_index=0, force=True))
    _change(s, commit_build_id=commit(target_build_id="5.0"))
    _change(s, commit_build_id=commit(target_build_id="5.0", force=True))
    _change(s, commit_build_id=commit(target_build_id="1.5", force=True))
    _rules(s)
    _describe_versions(s)


def redirect_rules(s: Script) -> None:
    """No cycles, one target a source, none of a partial rule's target."""
    add, replace = Rules.AddCompatibleBuildIdRedirectRule, Rules.ReplaceCompatibleBuildIdRedirectRule
    delete, insert = Rules.DeleteCompatibleBuildIdRedirectRule, Rules.InsertBuildIdAssignmentRule
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("1", "2")))
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("2", "3")))
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("3", "1")))
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("1", "4")))
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("5", "")))
    _change(s, insert_assignment_rule=insert(rule=_assign("7", 10)))
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("7", "8")))
    _change(s, insert_assignment_rule=insert(rule=_assign("1", 10)))
    _change(s, replace_compatible_redirect_rule=replace(rule=_redirect("1", "3")))
    _change(s, replace_compatible_redirect_rule=replace(rule=_redirect("9", "3")))
    _change(s, delete_compatible_redirect_rule=delete(source_build_id="2"))
    _change(s, delete_compatible_redirect_rule=delete(source_build_id="2"))
    _update(s, add_new_build_id_in_new_default_set="set")
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("set", "3")))
    _change(s, add_compatible_redirect_rule=add(rule=_redirect("6", "set")))
    _change(s, insert_assignment_rule=insert(rule=_assign("set")))
    _rules(s)
    _describe_versions(s)


def _describe_versions(s: Script) -> None:
    request = rpc.DescribeTaskQueueRequest(
        namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), report_task_reachability=True
    )
    request.api_mode = DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
    s.call(request, rpc.DescribeTaskQueueResponse)
    for chosen in (["1.5", "5.0", "2.0", ""], ["1", "2", "3", "7"]):
        request.versions.CopyFrom(TaskQueueVersionSelection(build_ids=chosen))
        s.call(request, rpc.DescribeTaskQueueResponse)


def old_tokens(s: Script) -> None:
    """A token that is not the newest changes nothing."""
    token = _rules(s).conflict_token
    for target in ("1.0", "2.0"):
        request = Rules(namespace=NAMESPACE, task_queue=s.queue, conflict_token=token)
        request.insert_assignment_rule.rule.target_build_id = target
        reply = s.send(request, rpc.UpdateWorkerVersioningRulesResponse)
        s.fact("taken", isinstance(reply, rpc.UpdateWorkerVersioningRulesResponse))
