"""What workers do: take tasks, answer them well or badly, too late or twice."""

from __future__ import annotations

import random
import threading
import time
from typing import Any as Anything

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.protocol.v1 import Message
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Rejection
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice import v1 as rpc

from .. import update_values, values
from ..script import NAMESPACE, WORKER, filled
from ..wire import RpcFailed
from .commands import batch, call_up, kid_of
from .fields import content, of_worker
from .story import BRIEF_POLL_SECONDS, POLL_SECONDS, SHORT_SECONDS, Story, Task

ActivityTask = rpc.PollActivityTaskQueueResponse
ANSWERED = QueryResultType.QUERY_RESULT_TYPE_ANSWERED
FAILED = QueryResultType.QUERY_RESULT_TYPE_FAILED


# Workflow tasks


def poll(story: Story, draw: random.Random) -> bool:
    """Take the task that waits."""
    if not story.task_waits:
        return False
    queue = story.s.sticky_task_queue() if story.view.sticky else None
    request = story.s.poll_request(queue)
    task = story.s.call(request, Task, POLL_SECONDS)
    if queue is not None:
        story.sticky_polled_at = time.monotonic()
    if not task.task_token and queue is not None:
        task = story.s.call(story.s.poll_request(), Task, POLL_SECONDS)
    if task.task_token:
        story.held = task
    return True


def complete(story: Story, draw: random.Random) -> bool:
    """Answer the task in hand with commands, messages and answers to queries."""
    if story.held is None:
        return False
    task = story.held
    story.old_tasks.append(task)
    fields = of_worker(draw)
    inline = draw.random() < 0.15
    if inline:
        fields["return_new_workflow_task"] = True
        fields["force_create_new_workflow_task"] = draw.random() < 0.6
    elif draw.random() < 0.05:
        fields["force_create_new_workflow_task"] = True
    if story.sticky and draw.random() < 0.7:
        fields["sticky_attributes"] = story.s.sticky()
    alone = not (task.queries or story.view.offered or story.view.passed_over)
    silent = story.problems == 0 and draw.random() < 0.1 and alone and len(story.asks) == len(task.messages)
    accepted = list(story.accepted)
    messages = [] if silent else _messages(story, task, draw)
    commands = update_values.places(*(one for one in messages if not one.body.Is(Rejection.DESCRIPTOR)))
    commands += batch(story, draw, inline, story.careful and not silent)
    if task.queries:
        fields["query_results"] = {key: _query_result(draw) for key in sorted(task.queries)}
        for ask in story.asks:
            ask.is_answered = ask.is_answered or not ask.update_id
    story.held = None
    reply = story.s.complete(task, *commands, messages=messages, **fields)
    story.note_completion()
    if story.problems:
        story.accepted = accepted
    if reply.workflow_task.task_token:
        story.held = reply.workflow_task
    story.activities += reply.activity_tasks
    return True


def _messages(story: Story, task: Task, draw: random.Random) -> list[Message]:
    """Acceptance, rejection or silence for each update of the task, and results for some that were accepted before."""
    made: list[Message] = []
    for update_id in list(story.accepted):
        if draw.random() < 0.5:
            story.accepted.remove(update_id)
            made.append(update_values.respond(update_id))
    for update_id in story.view.offered:
        if draw.random() < 0.8:
            # Its request is in history, so that no message repeats it.
            place = Message(
                id=f"{update_id}/request", protocol_instance_id=update_id, event_id=task.started_event_id - 1
            )
            made += [update_values.accept(place, False), update_values.respond(update_id)]
    for request in sorted(task.messages, key=lambda message: message.id):
        kind = draw.choice(("done", "done", "accept", "reject", "fail", "silence"))
        if kind == "reject":
            made.append(update_values.reject(request))
        elif kind != "silence":
            made.append(update_values.accept(request))
        if kind == "done":
            made.append(update_values.respond(request.protocol_instance_id))
        elif kind == "fail":
            made.append(update_values.fail(request.protocol_instance_id))
        elif kind == "accept":
            story.accepted.append(request.protocol_instance_id)
    if draw.random() < 0.02 and not story.careful:
        made.append(update_values.respond("never-heard-of"))
    return made


def _query_result(draw: random.Random) -> WorkflowQueryResult:
    if draw.random() < 0.3:
        return WorkflowQueryResult(result_type=FAILED, error_message="no", failure=values.failure("query"))
    return WorkflowQueryResult(result_type=ANSWERED, answer=content(draw, '"answer"'))


def fail_task(story: Story, draw: random.Random) -> bool:
    """Report a failure of the task in hand."""
    if story.held is None or story.careful:
        return False
    story.problems += 1
    task, story.held = story.held, None
    story.old_tasks.append(task)
    story.s.fail_task(
        task, draw.choice(("WORKFLOW_WORKER_UNHANDLED_FAILURE", "NON_DETERMINISTIC_ERROR", "UNSPECIFIED"))
    )
    return True


def stale_task(story: Story, draw: random.Random) -> bool:
    """Answer a task that was answered before."""
    if not story.old_tasks:
        return False
    task = draw.choice(story.old_tasks)
    if draw.random() < 0.5:
        story.s.complete(task, values.start_timer("stale"))
    else:
        story.s.fail_task(task)
    return True


def hold_on(story: Story, draw: random.Random) -> bool:
    """Go on with a new task from the answer of this one, as a local activity's heartbeat does."""
    if story.held is None:
        return False
    task, story.held = story.held, None
    story.old_tasks.append(task)
    reply = story.s.complete(task, return_new_workflow_task=True, force_create_new_workflow_task=True)
    if reply.workflow_task.task_token:
        story.held = reply.workflow_task
    return True


def let_expire(story: Story, draw: random.Random) -> bool:
    """Keep a task until the server gives it up."""
    if story.held is None or not story.tasks_expire or story.careful:
        return False
    task, story.held = story.held, None
    story.old_tasks.append(task)
    story.problems += 1
    pause = threading.Event()
    for _ in range(100):
        if not story.runs_now(task.attempt):
            break
        pause.wait(0.1)
    return True


def timer_while_held(story: Story, draw: random.Random) -> bool:
    """A timer fires while a task runs: its event waits, and the next batch may cancel it yet."""
    if story.held is None or "s1" in story.view.timers:
        return False
    task = story.held
    story.old_tasks.append(task)
    timer = values.start_timer("s1", SHORT_SECONDS)
    reply = story.s.complete(task, timer, return_new_workflow_task=True, force_create_new_workflow_task=True)
    # No answer shows what waits. The server fires its timers in order, so a later one of another run says that it does.
    story.s.another_run_waits()
    story.held = reply.workflow_task if reply.workflow_task.task_token else None
    return True


def reset_sticky(story: Story, draw: random.Random) -> bool:
    """Leave the sticky queue, and send a signal.

    The reference keeps the reset in memory until something else is written, and forgets it when a request fails.
    """
    if not story.sticky:
        return False
    story.s.reset_sticky()
    if story.running:
        story.s.signal("unstuck")
    return True


# Activities


def poll_activity(story: Story, draw: random.Random) -> bool:
    """Take one of the activities that wait; a paused run's are held back.

    Not one of several on a queue, which an operator may have put there: partitions of the reference promise no order.
    """
    waiting = story.waiting_activities()
    queues = [one.activity_options.task_queue.name for one in waiting]
    waiting = [one for one in waiting if queues.count(one.activity_options.task_queue.name) == 1]
    if not waiting:
        return False
    chosen = draw.choice(waiting)
    if story.is_paused and not _is_held_back(story, waiting, chosen):
        return False
    request = rpc.PollActivityTaskQueueRequest(
        namespace=NAMESPACE, task_queue=TaskQueue(name=chosen.activity_options.task_queue.name), identity=WORKER
    )
    task = story.s.call(request, ActivityTask, BRIEF_POLL_SECONDS if story.is_paused else POLL_SECONDS)
    if task.task_token:
        story.activities.append(task)
    return True


def _is_held_back(story: Story, waiting: list[PendingActivityInfo], chosen: PendingActivityInfo) -> bool:
    """Whether the reference, too, hands out nothing of this queue before the unpausing.

    It does hand out retries, and whatever an operator touched meanwhile (docs/decisions/010).
    """
    queue = chosen.activity_options.task_queue.name
    same = [activity for activity in waiting if activity.activity_options.task_queue.name == queue]
    return not story.touched_in_pause and all(activity.attempt == 1 for activity in same)


def end_activity(story: Story, draw: random.Random) -> bool:
    """Complete, fail or cancel an attempt, by its token or by its id."""
    if not story.activities:
        return False
    task = story.activities.pop(draw.randrange(len(story.activities)))
    story.old_activities.append(task)
    _end(story, task, draw, draw.random() < 0.25)
    return True


def stale_activity(story: Story, draw: random.Random) -> bool:
    """Answer an attempt that is over."""
    if not story.old_activities:
        return False
    task = draw.choice(story.old_activities)
    if draw.random() < 0.3:
        story.s.heartbeat(task)
    else:
        _end(story, task, draw, by_id=False)
    return True


def beat(story: Story, draw: random.Random) -> bool:
    """An attempt reports progress."""
    if not story.activities:
        return False
    task = draw.choice(story.activities)
    if draw.random() < 0.3:
        request = filled(rpc.RecordActivityTaskHeartbeatByIdRequest, _by_id(story, task, draw))
        story.s.call(request, rpc.RecordActivityTaskHeartbeatByIdResponse)
    else:
        story.s.heartbeat(task, draw.choice(('"one"', '"two"', None)))
    return True


def _by_id(story: Story, task: ActivityTask, draw: random.Random) -> dict[str, Anything]:
    return {
        "namespace": NAMESPACE,
        "workflow_id": task.workflow_execution.workflow_id,
        "run_id": task.workflow_execution.run_id if draw.random() < 0.5 else "",
        "activity_id": task.activity_id,
        "identity": WORKER,
    }


def _end(story: Story, task: ActivityTask, draw: random.Random, by_id: bool) -> None:
    kind = draw.choice(("complete", "complete", "fail", "fail", "fatal", "delay", "cancel"))
    cause = values.failure("attempt", "Fatal" if kind == "fatal" else "Kind", kind == "fatal" and draw.random() < 0.5)
    if kind == "delay":
        cause.application_failure_info.next_retry_delay.CopyFrom(values.seconds(3600))
    if by_id:
        _end_by_id(story, kind, cause, _by_id(story, task, draw))
    elif kind == "complete":
        story.s.complete_activity(task, result=content(draw, '"ok"'))
    elif kind == "cancel":
        story.s.cancel_activity(task)
    else:
        last = content(draw, '"last"') if draw.random() < 0.3 else None
        story.s.fail_activity(task, cause, last_heartbeat_details=last)


def _end_by_id(story: Story, kind: str, cause: Anything, fields: dict[str, Anything]) -> None:
    if kind == "complete":
        done = rpc.RespondActivityTaskCompletedByIdRequest(**fields, result=values.payloads('"ok"'))
        story.s.call(done, rpc.RespondActivityTaskCompletedByIdResponse)
    elif kind == "cancel":
        gone = rpc.RespondActivityTaskCanceledByIdRequest(**fields, details=values.payloads('"c"'))
        story.s.call(gone, rpc.RespondActivityTaskCanceledByIdResponse)
    else:
        failed = rpc.RespondActivityTaskFailedByIdRequest(**fields, failure=cause)
        story.s.call(failed, rpc.RespondActivityTaskFailedByIdResponse)


# Other workflows


def tend(story: Story, draw: random.Random) -> bool:
    """A task of a child, or of the stranger: hear of what came, and perhaps end."""
    names = sorted(story.kids) + ([story.other_id] if story.has_other else [])
    if not names:
        return False
    name = draw.choice(names)
    described = story.s.describe(execution=values.execution(name))
    if not described.pending_workflow_task.state or described.pending_workflow_task.attempt > 1:
        return True
    request = story.s.poll_request(story.queue_of(name))
    task = story.s.send(request, Task, POLL_SECONDS)
    if isinstance(task, RpcFailed) or not task.task_token:
        story.s.fact("no task for", name)
        return True
    story.s.record(request, Task, task)
    story.s.complete(task, *_ending(story, name, draw))
    story.calm()
    story.await_task_of(name)
    story.await_kin(name)
    return True


def _ending(story: Story, name: str, draw: random.Random) -> list[Command]:
    """What a child's worker does: it stays or closes, starts a child of its own, or calls its parent."""
    kind = draw.choice(("stay", "stay", "complete", "fail", "cancel", "continue", "child", "child", "child", "call"))
    if kind == "child":
        return kid_of(story, name, draw)
    if kind == "call":
        return [call_up(story, draw)]
    if kind == "stay":
        return []
    if kind == "complete":
        return [values.complete_workflow()]
    if kind == "fail":
        return [values.fail_workflow(values.failure("kid", non_retryable=draw.random() < 0.5))]
    if kind == "cancel":
        return [values.cancel_workflow()]
    return [values.continue_as_new()]
