"""Tells the story of a plan on one server: the table of verbs, the start, the steps, the end."""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any as Anything

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.workflowservice import v1 as rpc

from .. import values
from ..normalise import Normaliser
from ..receiver import Receiver
from ..runner import Run
from ..script import Script, Stopped
from ..wire import Connection, RpcFailed
from . import clients, endings, operators, workers
from .fields import links, note, priority
from .plan import Plan
from .story import BRIEF_POLL_SECONDS, STICKY_REST_SECONDS, Story

Verb = Callable[[Story, random.Random], bool]

VERBS: dict[str, tuple[Verb, float]] = {
    "poll": (workers.poll, 30),
    "complete": (workers.complete, 26),
    "fail task": (workers.fail_task, 2),
    "stale task": (workers.stale_task, 1),
    "hold on": (workers.hold_on, 1),
    "timer while held": (workers.timer_while_held, 1),
    "let expire": (workers.let_expire, 2),
    "reset sticky": (workers.reset_sticky, 1),
    "poll activity": (workers.poll_activity, 14),
    "end activity": (workers.end_activity, 9),
    "stale activity": (workers.stale_activity, 1.5),
    "beat": (workers.beat, 3),
    "tend": (workers.tend, 6),
    "signal": (clients.signal, 6),
    "cancel": (clients.cancel, 1),
    "terminate": (clients.terminate, 0.7),
    "start again": (clients.start_again, 1.5),
    "brief run": (clients.brief_run, 0.4),
    "signal with start": (clients.signal_with_start, 1.5),
    "start other": (clients.start_other, 2),
    "signal kid": (clients.signal_kid, 1),
    "query": (clients.query, 2),
    "update": (clients.update, 4),
    "poll update": (clients.poll_update, 1),
    "update with start": (clients.update_with_start, 1),
    "pause activity": (operators.pause_activity, 2),
    "unpause activity": (operators.unpause_activity, 2),
    "reset activity": (operators.reset_activity, 1.5),
    "tune activity": (operators.tune_activity, 2),
    "reset run": (operators.reset_run, 2),
    "change options": (operators.change_options, 2),
    "delete run": (operators.delete_run, 1),
    "pause run": (operators.pause_run, 1.5),
}
"""What can happen, and how often relative to the rest. A verb returns False when it has nothing to do."""


KIN_SHARE = 0.3
"""Share of the stories that have many children."""

CALLBACK_SHARE = 0.12
"""Share of the stories in which somebody waits for the end of runs."""

REVIVALS = frozenset({"start again", "signal with start", "update with start", "reset run"})
"""Verbs that begin a run where there is none any more."""
REVIVAL_SHARE = 0.5

STURDY = frozenset({"poll", "complete", "fail task", "hold on", "signal", "cancel", "update", "query", "terminate"})
"""Verbs that do not fail, for moments when a failure elsewhere has effects (:attr:`Story.fragile`)."""


SAME_ERRORS = {
    "workflow update was aborted by closing workflow": "workflow execution already completed",
    "StateRebuilder unable to Rebuild mutable state": "bad point",
    "Can only reset workflow to event ID in range": "bad point",
}
"""Beginnings of messages by what is compared instead: which of the two comes depends on the reference's insides."""


class LooseNormaliser(Normaliser):
    """Knows of more things that mean nothing, since a story meets them at any moment.

    The time by which a continued run waits is what its predecessor lacked of a second (10.1). Callers whom a failed
    task of the reference sends away ask again by themselves: their queries have new ids then, and their updates come in
    another order. What is paused is a set. A closed run may keep a speculative task in its description, and remembers
    updates that its close aborted, for as long as it is cached. Problems in a row count tasks that pauses, terminations
    and resets ended, and in a run made by a reset those of its whole history.
    """

    def error(self, failed: RpcFailed) -> Iterator[str]:
        for beginning, same in SAME_ERRORS.items():
            if failed.message.startswith(beginning):
                failed = replace(failed, message=same)
        yield from super().error(failed)

    def lines(self, message: Message) -> Iterator[str]:
        if isinstance(message, rpc.DescribeWorkflowExecutionResponse):
            kept = rpc.DescribeWorkflowExecutionResponse()
            kept.CopyFrom(message)
            if kept.workflow_execution_info.close_time.seconds:
                kept.ClearField("pending_workflow_task")
            message = kept
        yield from super().lines(message)

    def _value(self, label: str, field: FieldDescriptor, value: Anything) -> Iterator[str]:
        owner = field.containing_type
        if field.name == "first_workflow_task_backoff" and value.ToNanoseconds() < 10**9:
            return
        if owner is not None and owner.name == "QueriesEntry":
            label = "query"
        lines = super()._value(label, field, value)
        if label == "[TemporalPauseInfo]":
            data = self.text(str(sorted(json.loads(value.data))))
            lines = (f"data: {data}" if line.lstrip().startswith("data:") else line for line in lines)
        yield from lines

    def _field(self, field: FieldDescriptor, value: Anything) -> Iterator[str]:
        if field.name == "indexed_fields":
            value = {name: value[name] for name in value if name != "TemporalReportedProblems"}
        if field.name == "messages":
            value = sorted(value, key=lambda message: message.id)
        yield from super()._field(field, value)


def tell(plan: Plan, connection: Connection) -> Run:
    """Carry out the plan; what was seen."""
    script = Script(connection, f"seed {plan.seed}", LooseNormaliser)
    story = Story(script, plan, plan.draw("start"))
    with contextlib.ExitStack() as stack, contextlib.suppress(Stopped):
        if plan.draw("callbacks").random() < CALLBACK_SHARE:
            story.receiver = stack.enter_context(Receiver(script))
        _begin(story)
        for step in plan.steps:
            _step(story, step)
        story.finish()
        endings.look_back(story)
    return Run(script.name, tuple(script.transcript))


def _begin(story: Story) -> None:
    draw = story.plan.draw("start")
    story.sticky = draw.random() < 0.15
    fields: dict[str, Anything] = {"request_id": f"start-{story.s.nonce}"}
    if draw.random() < 0.3:
        fields["retry_policy"] = values.retry_policy(0.1, 1, 0, draw.choice((0, 2, 3)), "Fatal")
    if draw.random() < 0.3:
        fields |= {"memo": values.memo(m="1"), "search_attributes": values.attributes(DiffInt="1", DiffKeyword='"a"')}
    if draw.random() < 0.3:
        fields |= {"input": values.payloads('"in"'), "header": values.header(h="1")}
    if draw.random() < 0.2:
        fields["workflow_run_timeout"] = values.seconds(1000)
    if draw.random() < 0.2:
        fields["workflow_execution_timeout"] = values.seconds(2000)
    if draw.random() < 0.05:
        fields["workflow_start_delay"] = values.seconds(3600)
    if draw.random() < 0.05:
        fields["cron_schedule"] = draw.choice(("@every 5h", "@every 1s"))
    if draw.random() < 0.1:
        fields["request_eager_execution"] = True
    if draw.random() < 0.08:
        story.tasks_expire = True
        fields["workflow_task_timeout"] = values.seconds(6)
    if draw.random() < 0.1:
        fields["versioning_override"] = operators.AUTO_UPGRADE
    if draw.random() < 0.3:
        fields |= {"priority": priority(draw), "user_metadata": note(draw), "links": links(story, draw)}
    story.kin = draw.random() < KIN_SHARE
    if story.receiver is not None and draw.random() < 0.8:
        fields["completion_callbacks"] = [story.receiver.callback("/first", X_Who="first")]
    reply = story.s.start(**fields)
    if reply.eager_workflow_task.task_token:
        story.held = reply.eager_workflow_task
    _meet_sticky_worker(story)
    story.look()


def _meet_sticky_worker(story: Story) -> None:
    """Let the server see a poller of the sticky queue, or it gives the queue up (3.9). The poll ends empty.

    A task that waits has its place already, and is left to :func:`.workers.poll`.
    """
    if not story.sticky or story.task_waits or time.monotonic() - story.sticky_polled_at < STICKY_REST_SECONDS:
        return
    request = story.s.poll_request(story.s.sticky_task_queue())
    story.s.send(request, rpc.PollWorkflowTaskQueueResponse, BRIEF_POLL_SECONDS)
    threading.Event().wait(0.1)
    story.sticky_polled_at = time.monotonic()


def _step(story: Story, step: int) -> None:
    """The first verb in this step's order that has something to do."""
    _meet_sticky_worker(story)
    for name in _order(story, step):
        if story.fragile and name not in STURDY:
            continue
        before = len(story.s.transcript)
        story.s.section(f"step {step}: {name}")
        if VERBS[name][0](story, story.plan.draw(f"{step}/{name}")):
            story.look()
            clients.unblocked_query(story)
            return
        del story.s.transcript[before:]


def _order(story: Story, step: int) -> list[str]:
    """The verbs in the order in which this step tries them; where nothing runs, mostly those first that begin anew."""
    order = story.plan.order(step, [(name, weight) for name, (_, weight) in VERBS.items()])
    if story.running or story.plan.draw(f"{step}/revival").random() > REVIVAL_SHARE:
        return order
    return sorted(order, key=lambda name: name not in REVIVALS)


def verbs_of(run: Run) -> tuple[str, ...]:
    """The verbs a run tells of, for the reader of a failure."""
    return tuple([line[3:] for line in run.lines if re.match(r"## step \d+: ", line)])
