"""What operators do: pause, unpause, reset and tune activities; reset a run; change its options."""

from __future__ import annotations

import random
from typing import Any as Anything

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PostResetOperation, VersioningOverride, WorkflowExecutionOptions

from .. import operations, values
from .story import PROBLEMS_MAX, Story

AUTO_UPGRADE = VersioningOverride(auto_upgrade=True)
UNKNOWN = VersioningOverride(
    pinned=VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED,
        version=WorkerDeploymentVersion(deployment_name="nowhere", build_id="none"),
    )
)
"""A version that no worker has: refused."""


def _target(story: Story, draw: random.Random, everything: str) -> dict[str, Anything]:
    """Whom an operator means: an id, a type, or all where the request can say so."""
    known = sorted({activity.activity_id for activity in story.described.pending_activities})
    kind = draw.random()
    if everything and kind < 0.2:
        return {everything: True}
    if kind < 0.4:
        return {"type": draw.choice(("Act", "Other"))}
    return {"id": draw.choice(known if known and draw.random() < 0.9 else ["a", "nobody"])}


def _meets_several(story: Story, target: dict[str, Anything]) -> bool:
    pending = story.described.pending_activities
    if "type" in target:
        return len([one for one in pending if one.activity_type.name == target["type"]]) > 1
    return "id" not in target and len(pending) > 1


def _has_none(story: Story, draw: random.Random) -> bool:
    return not story.described.pending_activities and draw.random() < 0.95


def pause_activity(story: Story, draw: random.Random) -> bool:
    if _has_none(story, draw):
        return False
    request_id = draw.choice(("one", "two"))
    operations.pause_activity(story.s, request_id=request_id, **_target(story, draw, ""))
    return True


def unpause_activity(story: Story, draw: random.Random) -> bool:
    if _has_none(story, draw):
        return False
    operations.unpause_activity(
        story.s,
        reset_attempts=draw.random() < 0.3,
        reset_heartbeat=draw.random() < 0.3,
        **_target(story, draw, "unpause_all"),
    )
    story.touched_in_pause = story.touched_in_pause or story.is_paused
    return True


def reset_activity(story: Story, draw: random.Random) -> bool:
    if _has_none(story, draw):
        return False
    operations.reset_activity(
        story.s,
        keep_paused=draw.random() < 0.3,
        reset_heartbeat=draw.random() < 0.3,
        restore_original_options=draw.random() < 0.2,
        **_target(story, draw, "match_all"),
    )
    story.touched_in_pause = story.touched_in_pause or story.is_paused
    return True


def tune_activity(story: Story, draw: random.Random) -> bool:
    """New options for pending activities, or the old ones back.

    Not of a closed run: the reference gives activities that nobody will see their old options back. Not after attempts
    that only timed out: the reference counts the next one's time from when none had ended, which is 1970.
    """
    if _has_none(story, draw) or not story.running:
        return False
    pending = story.described.pending_activities
    if any(one.attempt > 1 and not one.last_attempt_complete_time.seconds for one in pending):
        return False
    mask: tuple[str, ...] = ()
    fields: dict[str, Anything] = {"restore_original": True}
    if draw.random() < 0.8:
        options = ActivityOptions(
            heartbeat_timeout=values.seconds(draw.choice((0, 25, 70))),
            start_to_close_timeout=values.seconds(draw.choice((15, 90))),
            schedule_to_close_timeout=values.seconds(draw.choice((0, 4000))),
            retry_policy=values.retry_policy(draw.choice((1800, 7200)), 2, 9000, draw.choice((0, 2, 6))),
            priority=Priority(priority_key=2),
            task_queue=TaskQueue(name=f"tuned-{story.s.queue}"),
        )
        paths = (
            "heartbeat_timeout",
            "start_to_close_timeout",
            "schedule_to_close_timeout",
            "retry_policy.maximum_attempts",
            "retry_policy.initial_interval",
            "retry_policy",
            "priority",
            "task_queue.name",
        )
        mask = tuple(draw.sample(paths, draw.randint(1, 3)))
        fields = {"activity_options": options}
    target = _target(story, draw, "match_all")
    before = len(story.s.transcript) + 1
    operations.tune_activity(story.s, *mask, **fields, **target)
    if _meets_several(story, target) and not story.s.transcript[before].startswith("  error:"):
        # The reference answers with the options of whichever a map gives first.
        story.s.transcript[before:] = ["  (the options of one)"]
    story.touched_in_pause = story.touched_in_pause or story.is_paused
    return True


def reset_run(story: Story, draw: random.Random) -> bool:
    """Go back to the end of some workflow task, or to a point that is none.

    Not to where children were pending that a close would reach: in the reference the close policy of the run that a
    reset makes does not (decision 011). Not to within a batch of events either, which the reference refuses. A reset
    ends a task, see `pause_run`.
    """
    if story.problems >= PROBLEMS_MAX or (not story.view.finishes and draw.random() < 0.8):
        return False
    points = story.reset_points() or [1]
    if story.kin:
        points = points[-2:]
    point = draw.choice(points) if draw.random() < 0.85 else draw.choice((0, 1, story.view.last_id + 1))
    fields: dict[str, Anything] = {}
    if draw.random() < 0.3:
        fields["reset_reapply_type"] = draw.choice(ResetReapplyType.values())
    if draw.random() < 0.2:
        fields["reset_reapply_exclude_types"] = [draw.choice(ResetReapplyExcludeType.values())]
    if draw.random() < 0.15 and point in points:
        # Of two mistakes in one request either may be told.
        fields["post_reset_operations"] = [_afterwards(draw)]
    before = story.s.run_id
    story.s.reset(point, **fields)
    if story.s.run_id != before:
        story.held, story.was_reset = None, True
        story.problems += 1
    return True


def _afterwards(draw: random.Random) -> PostResetOperation:
    """What the run that a reset makes gets at once."""
    if draw.random() < 0.2:
        return PostResetOperation(signal_workflow=PostResetOperation.SignalWorkflow(signal_name="afterwards"))
    options = WorkflowExecutionOptions(priority=Priority(priority_key=draw.choice((1, 2))))
    override = draw.choice((AUTO_UPGRADE, AUTO_UPGRADE, None, UNKNOWN))
    if override is not None:
        options.versioning_override.CopyFrom(override)
    mask = FieldMask(paths=draw.choice((["priority"], ["versioning_override"], ["versioning_override", "priority"])))
    update = PostResetOperation.UpdateWorkflowOptions(workflow_execution_options=options, update_mask=mask)
    return PostResetOperation(update_workflow_options=update)


def change_options(story: Story, draw: random.Random) -> bool:
    """A priority for the run, a versioning override, or none of it any more.

    Not while a task waits: the reference offers it anew, and throws away what is only in memory when the old offer
    comes to a worker.
    """
    if story.task_waits:
        return False
    options: dict[str, Anything] = {"priority": Priority(priority_key=draw.choice((1, 4)))}
    paths = [draw.choice(("priority", "priority.priority_key"))]
    if draw.random() < 0.5:
        paths = ["versioning_override", *paths[: draw.randint(0, 1)]]
        options["versioning_override"] = draw.choice((AUTO_UPGRADE, AUTO_UPGRADE, AUTO_UPGRADE, None, None, UNKNOWN))
    operations.change_options(story.s, *paths, options=options)
    story.touched_in_pause = story.touched_in_pause or story.is_paused
    return True


def delete_run(story: Story, draw: random.Random) -> bool:
    """Remove an older run of the chain; those that share its history, or came after it, keep theirs.

    The reference takes up to minutes, so nothing asks for the run afterwards. Not where a child's way to its parent
    may lead over the run (decision 011).
    """
    if not story.older_runs or (story.was_reset and story.kids):
        return False
    run_id = draw.choice(story.older_runs)
    operations.delete(story.s, workflow_execution=story.s.execution(run_id))
    story.forget(run_id)
    return True


def pause_run(story: Story, draw: random.Random) -> bool:
    """Hold the run, or let it go; often enough while it is what is asked for already.

    No updates afterwards: as after new options, an old offer makes the reference forget them. Not after failed tasks:
    the reference counts a task that the pause ends among them. Not before a first task that is still to come: there the
    reference does not pause, or forgets the delay (decision 011).
    """
    if story.problems >= PROBLEMS_MAX or story.awaits_first_task:
        return False
    story.was_paused = True
    if story.is_paused == (draw.random() < 0.85):
        operations.unpause(story.s)
        story.touched_in_pause = False
        return True
    if story.task_waits:
        story.problems += 1
    operations.pause(story.s, request_id=draw.choice(("one", "two")))
    return True
