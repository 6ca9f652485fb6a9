"""UpdateWorkflowExecutionOptions: what may be changed of a run after its start (semantics 7.7)."""

from __future__ import annotations

from perdure.api import common, enums, history, workflow
from perdure.errors import InvalidArgument
from perdure.machines.workflow import overrides, workflow_task
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.operator_inputs import UpdateOptions
from perdure.machines.workflow.target import find_running

Options = workflow.WorkflowExecutionOptions
_BAD = "error applying update_options: "


def updated(step: Step, verb: UpdateOptions) -> Options:
    """Merge, and write an event if that changes anything; a waiting workflow task moves to its new priority."""
    execution = find_running(step, verb.run_id)
    if verb.options.HasField("versioning_override"):
        overrides.check_update(execution, verb.options.versioning_override)
    after = change(execution, verb)
    if after != options_of(execution):
        record(step.edit(execution), after, verb.identity)
    return after


def change(execution: Execution, verb: UpdateOptions) -> Options:
    """The run's options with what the mask names replaced."""
    return _merged(options_of(execution), verb)


def record(draft: RunDraft, after: Options, identity: str) -> None:
    """Write the event; what waits for a worker goes where the options say now."""
    attributes = history.WorkflowExecutionOptionsUpdatedEventAttributes(identity=identity)
    if after.HasField("versioning_override"):
        attributes.versioning_override.CopyFrom(overrides.newer_form(after.versioning_override))
    else:
        attributes.unset_versioning_override = True
    if after.HasField("priority"):
        attributes.priority.CopyFrom(after.priority)
    behavior = draft.execution.override or b""
    draft.record(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED, attributes)
    if (draft.execution.override or b"") != behavior:
        workflow_task.clear_sticky(draft.execution)
    _offer_again(draft)


def options_of(execution: Execution) -> Options:
    """The run's options as they are."""
    options = Options()
    if execution.override:
        options.versioning_override.MergeFromString(execution.override)
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
