"""Batches of commands, as a worker might send them, and as none should.

One command at most of a batch sets something going by itself (a child, a call to another workflow, a short timer):
the outcomes of two could come in either order. What a command says is drawn from few values, so that ids meet.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from typing import Any as Anything

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import ActivityType
from temporalio.api.enums.v1 import ContinueAsNewInitiator, ParentClosePolicy, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue

from .. import values
from .fields import content, note, priority
from .story import SHORT_SECONDS, Story

Maker = Callable[[Story, random.Random], Command]

WRONG_SHARE = 0.04
"""Share of the commands that are spoiled."""
SENSE_SHARE = 0.9
"""How often an id is one that makes sense where there is none to choose from."""


def _free(draw: random.Random, names: tuple[str, ...], taken: Container[str]) -> str:
    """One of these ids, mostly one that is free."""
    free = [name for name in names if name not in taken]
    return draw.choice(free if free and draw.random() < SENSE_SHARE else names)


def _start_timer(story: Story, draw: random.Random) -> Command:
    name = _free(draw, ("t1", "t2", "t3", "t4"), story.view.timers)
    return values.start_timer(name, draw.choice((3600.0, 7200.0, 50.0)))


def _short_timer(story: Story, draw: random.Random) -> Command:
    return values.start_timer(_free(draw, ("t1", "s1", "s2"), story.view.timers), draw.choice((0.0, SHORT_SECONDS)))


def _cancel_timer(story: Story, draw: random.Random) -> Command:
    known = sorted(story.view.timers)
    if not known and draw.random() < SENSE_SHARE:
        return _start_timer(story, draw)
    return values.cancel_timer(draw.choice(known if known and draw.random() < 0.9 else ["t1", "s1", "gone"]))


def _activity(story: Story, draw: random.Random) -> Command:
    name = _free(draw, ("a", "b", "c", "d"), story.view.activities.values())
    fields: dict[str, Anything] = {
        "task_queue": TaskQueue(name=f"act-{name}-{story.s.queue}"),
        "activity_type": ActivityType(name=draw.choice(("Act", "Other"))),
        "retry_policy": draw.choice(
            (
                values.retry_policy(3600),
                # No backoff ever comes near what a story still waits for.
                values.retry_policy(0.1, 2, 0.8),
                values.retry_policy(0.1, 1, 0, 2),
                values.retry_policy(3600, 1, 0, 1),
                values.retry_policy(3600, 3, 7200, 5, "Fatal"),
            )
        ),
    }
    if draw.random() < 0.3:
        fields["heartbeat_timeout"] = values.seconds(draw.choice((20, 40)))
    if draw.random() < 0.3:
        fields["schedule_to_close_timeout"] = values.seconds(draw.choice((60, 5000)))
    if draw.random() < 0.2:
        fields["start_to_close_timeout"] = None
        fields["schedule_to_close_timeout"] = values.seconds(100)
    if draw.random() < 0.2:
        fields["input"] = content(draw)
        fields["header"] = values.header(h="1")
    if draw.random() < 0.15:
        fields["priority"] = priority(draw)
    if draw.random() < 0.25:
        fields["request_eager_execution"] = True
    elif draw.random() < 0.1:
        # It times out as soon as a worker has it.
        fields["start_to_close_timeout"] = values.seconds(SHORT_SECONDS)
    return values.schedule_activity(name, **fields)


def _short_activity(story: Story, draw: random.Random) -> Command:
    """An activity that times out before any worker comes."""
    name = _free(draw, ("a", "x"), story.view.activities.values())
    kind = draw.choice(("schedule_to_start_timeout", "schedule_to_close_timeout"))
    # With neither a retry in it nor another timer beside it, each of the two has one outcome.
    return values.schedule_activity(
        name,
        task_queue=TaskQueue(name=f"act-{name}-{story.s.queue}"),
        retry_policy=values.retry_policy(3600),
        **{kind: values.seconds(SHORT_SECONDS)},
    )


def _cancel_activity(story: Story, draw: random.Random) -> Command:
    known = sorted(story.view.activities)
    if not known and draw.random() < SENSE_SHARE:
        return _activity(story, draw)
    return values.cancel_activity(draw.choice(known if known and draw.random() < 0.9 else [0, 4, 5, 9, 99]))


def _marker(story: Story, draw: random.Random) -> Command:
    fields: dict[str, Anything] = {"details": {"d": content(draw, "1")}} if draw.random() < 0.5 else {}
    if draw.random() < 0.3:
        fields |= {"header": values.header(m="2"), "failure": values.failure("in a marker")}
    return values.record_marker(draw.choice(("marker", "Version", "core_local_activity")), **fields)


def _upsert(story: Story, draw: random.Random) -> Command:
    return draw.choice(
        (
            values.upsert(DiffInt=str(draw.randint(1, 3))),
            values.upsert(DiffKeyword='"k"', DiffBool="true"),
            values.upsert(DiffInt="null"),
            values.upsert(DiffKeywordList='["a","b"]'),
            values.upsert(DiffKeywordList="[]"),
        )
    )


def _modify_memo(story: Story, draw: random.Random) -> Command:
    return values.modify_memo(**{draw.choice(("m", "n")): draw.choice(("1", "2", "null"))})


def _child(story: Story, draw: random.Random) -> Command:
    name = story.child_id(draw.choice((1, 1, 2)))
    policy = draw.choice(
        (
            ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
            ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
            ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON,
            ParentClosePolicy.PARENT_CLOSE_POLICY_UNSPECIFIED,
        )
    )
    if story.kin:
        policy = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
    reuse = draw.choice(
        (
            WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED,
            WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
            WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
            WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
        )
    )
    fields: dict[str, Anything] = {
        "workflow_id": name,
        "workflow_type": values.workflow_type("Kid"),
        "task_queue": story.queue_of(name),
        "parent_close_policy": policy,
        "workflow_id_reuse_policy": reuse,
    }
    if draw.random() < 0.3:
        fields["input"] = content(draw, "1")
        fields["memo"] = values.memo(kid="1")
        fields["search_attributes"] = values.attributes(DiffInt="7")
        fields["header"] = values.header(k="1")
    if draw.random() < 0.2:
        fields["retry_policy"] = values.retry_policy(0.1, 1, 0, 2)
    if draw.random() < 0.2:
        fields["workflow_run_timeout"] = values.seconds(500)
        fields["control"] = "control"
    if draw.random() < 0.2:
        fields["priority"] = priority(draw)
    if draw.random() < 0.05:
        fields["cron_schedule"] = draw.choice(("@every 5h", "not a schedule"))
    story.kids[name] = f"q-{name}"
    return values.command("START_CHILD_WORKFLOW_EXECUTION", **fields)


POLICIES = (
    ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
    ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON,
)


def kid_of(story: Story, parent: str, draw: random.Random) -> list[Command]:
    """A child's child, if it may have one."""
    name = story.child_of(parent, draw.choice((1, 2)))
    if not name:
        return []
    story.kids[name] = f"q-{name}"
    started = values.command(
        "START_CHILD_WORKFLOW_EXECUTION",
        workflow_id=name,
        workflow_type=values.workflow_type("Kid"),
        task_queue=story.queue_of(name),
        parent_close_policy=draw.choice(POLICIES),
    )
    return [started]


def call_up(story: Story, draw: random.Random) -> Command:
    """A child signals its parent, or asks it to cancel."""
    if draw.random() < 0.7:
        target = values.execution(story.s.workflow_id)
        return values.command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", execution=target, signal_name="from below")
    return values.command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", workflow_id=story.s.workflow_id)


def _target(story: Story, draw: random.Random) -> Anything:
    names = [story.other_id, story.child_id(1), story.child_id(2), story.s.workflow_id, "nobody-" + story.s.nonce]
    known = sorted(story.kids) + [story.other_id] * story.has_other
    return values.execution(draw.choice(known if known and draw.random() < 0.7 else names))


def _signal_external(story: Story, draw: random.Random) -> Command:
    story.calm()
    fields: dict[str, Anything] = {"execution": _target(story, draw), "signal_name": "from afar"}
    if draw.random() < 0.3:
        fields |= {"input": content(draw, "1"), "control": "c", "header": values.header(x="1")}
    if draw.random() < 0.3 and not story.was_reset:
        # A run that a reset made reaches children from before the point, unlike in the reference (decision 011).
        fields["child_workflow_only"] = True
    return values.command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", **fields)


def _cancel_external(story: Story, draw: random.Random) -> Command:
    story.calm()
    target = _target(story, draw)
    fields: dict[str, Anything] = {"workflow_id": target.workflow_id, "reason": "enough"}
    if draw.random() < 0.3 and not story.was_reset:
        # A run that a reset made reaches children from before the point, unlike in the reference (decision 011).
        fields["child_workflow_only"] = True
    return values.command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", **fields)


def _continue(story: Story, draw: random.Random) -> Command:
    fields: dict[str, Anything] = {}
    if draw.random() < 0.3:
        fields["memo"] = values.memo(next="1")
        fields["search_attributes"] = values.attributes(DiffInt="8")
        fields["header"] = values.header(n="1")
    if draw.random() < 0.2:
        fields["retry_policy"] = values.retry_policy(0.1, 1, 0, 2)
    if draw.random() < 0.2:
        fields["initiator"] = draw.choice(ContinueAsNewInitiator.values())
    if draw.random() < 0.2:
        fields["failure"] = values.failure("carried")
        fields["last_completion_result"] = values.payloads('"last"')
    if draw.random() < 0.2:
        fields["workflow_run_timeout"] = values.seconds(300)
        fields["workflow_task_timeout"] = values.seconds(20)
    if draw.random() < 0.15:
        fields["backoff_start_interval"] = values.seconds(draw.choice((0.2, 1, 3600)))
    if draw.random() < 0.1:
        fields["cron_schedule"] = draw.choice(("@every 5h", "@every 1s", "not a schedule"))
    if draw.random() < 0.1:
        fields["workflow_type"] = values.workflow_type("Next")
    return values.continue_as_new(**({"input": values.payloads('"next"')} | fields))


def _close(story: Story, draw: random.Random) -> Command:
    kind = draw.choice(("complete", "fail", "fail", "cancel", "continue", "continue", "continue"))
    if kind == "complete":
        return values.complete_workflow()
    if kind == "cancel":
        return values.cancel_workflow()
    if kind == "continue":
        return _continue(story, draw)
    return values.fail_workflow(values.failure("end", draw.choice(("Kind", "Fatal")), draw.random() < 0.3))


ALONE: tuple[tuple[Maker, float], ...] = (
    (_short_timer, 2),
    (_short_activity, 1),
    (_child, 4),
    (_signal_external, 2),
    (_cancel_external, 1.5),
)
"""Commands that set something going; one a batch."""

KIN: tuple[tuple[Maker, float], ...] = ((_child, 4), (_signal_external, 1), (_cancel_external, 0.5))
"""The same in stories about children."""

TOGETHER: tuple[tuple[Maker, float], ...] = (
    (_start_timer, 3),
    (_cancel_timer, 2),
    (_activity, 5),
    (_cancel_activity, 2),
    (_marker, 1),
    (_upsert, 1),
    (_modify_memo, 1),
)
"""Commands whose effects are all in the answer."""

CLOSE_SHARE = 0.08
ALONE_SHARE = 0.3
KIN_SHARE = 0.8


def batch(story: Story, draw: random.Random, inline: bool, careful: bool) -> list[Command]:
    """Commands for one completion. `inline`: another task follows at once, so nothing may come in from outside.
    `careful`: none that could fail.
    """
    made: list[Command] = []
    if careful:
        return [values.record_marker()] if draw.random() < 0.7 else []
    for _ in range(draw.choice((0, 1, 1, 2, 2, 3, 4))):
        made.append(_pick(draw, TOGETHER)(story, draw))
    closes = draw.random() < CLOSE_SHARE
    if not inline and not closes and draw.random() < (KIN_SHARE if story.kin else ALONE_SHARE):
        made.insert(draw.randint(0, len(made)), _pick(draw, KIN if story.kin else ALONE)(story, draw))
    made = [_spoil(one, draw) if draw.random() < WRONG_SHARE else one for one in made]
    if closes:
        made.append(_close(story, draw))
    if draw.random() < 0.02 and not story.fragile:
        draw.shuffle(made)
    made = _without_replaced_timers(made)
    for one in made:
        if draw.random() < 0.1:
            one.user_metadata.CopyFrom(note(draw))
    return made


def _without_replaced_timers(made: list[Command]) -> list[Command]:
    """The reference loses a timer that takes the id of one which the same batch cancels (decision 011)."""
    kept: list[Command] = []
    cancelled: set[str] = set()
    for one in made:
        if one.start_timer_command_attributes.timer_id in cancelled:
            continue
        if one.HasField("cancel_timer_command_attributes"):
            cancelled.add(one.cancel_timer_command_attributes.timer_id)
        kept.append(one)
    return kept


def _pick(draw: random.Random, makers: tuple[tuple[Maker, float], ...]) -> Maker:
    return draw.choices([maker for maker, _ in makers], [weight for _, weight in makers])[0]


def _spoil(command: Command, draw: random.Random) -> Command:
    """The command without one of its fields, with a bad duration, or without attributes at all."""
    spoiled = Command()
    spoiled.CopyFrom(command)
    name = spoiled.WhichOneof("attributes")
    if name is None or draw.random() < 0.15 or not getattr(spoiled, name).ListFields():
        return Command(command_type=command.command_type)
    attributes = getattr(spoiled, name)
    present = [descriptor.name for descriptor, _ in attributes.ListFields()]
    field = draw.choice(present)
    if field == "task_queue":
        return command
    if field == "start_to_fire_timeout" or (field.endswith("_timeout") and draw.random() < 0.6):
        getattr(attributes, field).CopyFrom(values.seconds(-1))
    else:
        attributes.ClearField(field)
    return spoiled
