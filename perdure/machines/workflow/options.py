"""UpdateWorkflowExecutionOptions: what may be changed of a run after its start (semantics 7.7)."""

from __future__ import annotations

from perdure.api import common, enums, history, workflow
from perdure.errors import InvalidArgument, Unimplemented
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.operator_inputs import UpdateOptions
from perdure.machines.workflow.target import find_running

Options = workflow.WorkflowExecutionOptions
_BAD = "error applying update_options: "


def updated(step: Step, verb: UpdateOptions) -> Options:
    """Merge, and write an event if that changes anything; a waiting workflow task moves to its new priority."""
    execution = find_running(step, verb.run_id)
    before = _options(execution)
    after = _merged(before, verb)
    if after.HasField("versioning_override"):
        raise Unimplemented("VersioningOverride is not implemented")
    if after.HasField("time_skipping_config"):
        raise Unimplemented("The Time-Skipping feature is not enabled for namespace.")
    if after == before:
        return after
    draft = step.edit(execution)
    attributes = history.WorkflowExecutionOptionsUpdatedEventAttributes(
        unset_versioning_override=True, identity=verb.identity
    )
    if after.HasField("priority"):
        attributes.priority.CopyFrom(after.priority)
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED, attributes)
    _offer_again(draft)
    return after


def _options(execution: Execution) -> Options:
    options = Options()
    if execution.info.priority:
        options.priority.MergeFromString(execution.info.priority)
    return options


def _merged(before: Options, verb: UpdateOptions) -> Options:
    after = Options()
    after.CopyFrom(before)
    paths = frozenset(verb.paths)
    wanted = verb.options
    pair = {"versioning_override.deployment", "versioning_override.behavior"}
    if len(pair & paths) == 1:
        raise InvalidArgument(_BAD + "versioning_override fields must be updated together")
    if "versioning_override" in paths or pair <= paths:
        after.versioning_override.CopyFrom(wanted.versioning_override)
        if not wanted.HasField("versioning_override"):
            after.ClearField("versioning_override")
    for path in paths:
        if path.startswith("versioning_override.") and path not in pair:
            raise InvalidArgument(_BAD + "versioning_override doesn't support partial updates")
        if path.startswith("time_skipping_config."):
            raise InvalidArgument(_BAD + "time_skipping_config doesn't support partial update")
    if "priority" in paths:
        after.ClearField("priority")
        if wanted.HasField("priority"):
            after.priority.CopyFrom(wanted.priority)
    _merge_priority(after, wanted.priority, paths)
    if "time_skipping_config" in paths and wanted.HasField("time_skipping_config"):
        after.time_skipping_config.CopyFrom(wanted.time_skipping_config)
    return after


def _merge_priority(after: Options, wanted: common.Priority, paths: frozenset[str]) -> None:
    if "priority.priority_key" in paths:
        after.priority.SetInParent()
        after.priority.priority_key = wanted.priority_key
    if "priority.fairness_key" in paths:
        after.priority.SetInParent()
        after.priority.fairness_key = wanted.fairness_key
    if "priority.fairness_weight" in paths:
        after.priority.SetInParent()
        after.priority.fairness_weight = wanted.fairness_weight


def _offer_again(draft: RunDraft) -> None:
    task = draft.execution.task
    if task is not None and not task.started_event_id:
        task = task.copy()
        task.stamp += 1
        task.offered = False
        draft.execution.task = task
