"""UpdateWorkflowExecutionOptions on the pure machine (semantics 7.7)."""

from __future__ import annotations

import pytest

from perdure.api import common, workflow
from perdure.errors import FailedPrecondition, NotFound
from perdure.machines.workflow import codec, overrides
from perdure.machines.workflow.operator_inputs import UpdateOptions
from tests.machines.builders import Story, complete_workflow, running_execution


def update(story: Story, options: workflow.WorkflowExecutionOptions, *paths: str) -> object:
    return story.apply(UpdateOptions("", options, paths, "operator"))


def prioritised(key: int) -> workflow.WorkflowExecutionOptions:
    return workflow.WorkflowExecutionOptions(priority=common.Priority(priority_key=key))


def test_a_new_priority_is_an_event_and_moves_the_waiting_task() -> None:
    story = Story().start(priority_key=4)
    assert update(story, prioritised(2), "priority.priority_key") == prioritised(2)
    assert story.told(2) == ["3 WorkflowExecutionOptionsUpdated"]
    assert [(task.priority, task.stamp) for task in story.offers] == [(4, 0), (2, 1)]
    loaded = codec.decode_run(codec.encode_run(story.execution), 1, 0, [])
    assert common.Priority.FromString(loaded.info.priority).priority_key == 2


def test_no_change_leaves_no_event() -> None:
    story = Story().start(priority_key=4)
    update(story, prioritised(4), "priority")
    assert not story.stored
    assert story.told(2) == []


def test_an_override_to_a_version_that_no_queue_has_is_refused() -> None:
    story = running_execution()
    options = workflow.WorkflowExecutionOptions()
    options.versioning_override.pinned.behavior = workflow.VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED
    options.versioning_override.pinned.version.deployment_name = "d"
    options.versioning_override.pinned.version.build_id = "b"
    with pytest.raises(FailedPrecondition, match="Pinned version 'd:b' is not present"):
        update(story, options, "versioning_override")


def test_an_override_is_stored_and_leaves_with_its_search_attribute() -> None:
    story = Story().start()
    options = workflow.WorkflowExecutionOptions()
    options.versioning_override.auto_upgrade = True
    update(story, options, "versioning_override")
    loaded = codec.decode_run(codec.encode_run(story.execution), 1, 0, [])
    assert loaded.override == options.versioning_override.SerializeToString()
    assert overrides.BEHAVIOR in loaded.search_attributes
    update(story, workflow.WorkflowExecutionOptions(), "versioning_override")
    assert story.execution.override == b""
    assert overrides.BEHAVIOR not in story.execution.search_attributes


def test_a_closed_run_keeps_its_options() -> None:
    story = running_execution(complete_workflow())
    with pytest.raises(NotFound):
        update(story, prioritised(1), "priority")


def test_only_the_priority_of_a_run_changes() -> None:
    story = Story().start(priority_key=4, run_timeout=60)
    before = story.execution.info
    update(story, prioritised(2), "priority")
    after = story.execution.info
    assert [name for name in before.__slots__ if getattr(before, name) != getattr(after, name)] in (
        ["priority"],
        ["encoded", "priority"],
    )
