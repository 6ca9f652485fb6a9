"""What a step makes dispatchable is offered to matching, and what a close makes pointless is withdrawn.

The `offered` marks are volatile: they cost no write, and whoever loads the run after a crash offers everything again
(DESIGN 1.9).
"""

from __future__ import annotations

from perdure.ids import ChainKey
from perdure.machines.priorities import effective
from perdure.machines.task_queue import WORKFLOW, QueueKey, Task
from perdure.machines.workflow import activity_task
from perdure.machines.workflow.activity_inputs import ActivityTaskStarted
from perdure.machines.workflow.builds import build_id_of
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.effects import OfferTask, WithdrawTask
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.parts import PART_ACTIVITY
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.task_inputs import WorkflowTaskStarted


def make(step: Step, draft: RunDraft) -> None:
    """At the end of a step: offer what waits for a worker, or withdraw it if the run has just closed."""
    execution = draft.execution
    if not execution.running:
        if draft.before is not None and draft.before.running:
            _withdraw(step, draft.before)
        return
    task = execution.task
    if task is not None and not task.started_event_id and not task.offered:
        offered = task.copy()
        offered.offered = True
        execution.task = offered
        step.effects.append(_offer_of(step.key, execution, offered))
    for kind, key in list(draft.touched):
        if kind == PART_ACTIVITY and isinstance(key, int):
            pending = execution.activities.get(key)
            if pending is not None and activity_task.to_offer(execution, pending, draft.env.now):
                activity_task.offer(step, draft, pending)


def _withdraw(step: Step, before: Execution) -> None:
    task = before.task
    if task is not None and task.offered and not task.started_event_id:
        offer = _offer_of(step.key, before, task)
        step.effects.append(WithdrawTask(offer.task))
        if offer.fallback is not None:
            step.effects.append(WithdrawTask(offer.fallback))
    for pending in before.activities.values():
        if pending.offered and not pending.started_time:
            step.effects.append(WithdrawTask(activity_task.task_of(step.key, before, pending)))


def _offer_of(key: ChainKey, execution: Execution, task: WorkflowTask) -> OfferTask:
    normal = _task(key, execution, task, execution.info.task_queue, False)
    if not task.sticky:
        return OfferTask(normal)
    return OfferTask(_task(key, execution, task, task.queue, True), normal)


def _task(key: ChainKey, execution: Execution, task: WorkflowTask, queue: str, sticky: bool) -> Task:
    info = execution.info
    urgency, fairness_key, fairness_weight = effective(info.priority)
    return Task(
        queue=QueueKey(info.namespace_id, queue, WORKFLOW, sticky),
        chain=key,
        run_id=info.run_id,
        scheduled_event_id=task.scheduled_event_id,
        attempt=task.attempt,
        stamp=task.stamp,
        priority=urgency,
        created_ns=task.scheduled_time,
        expires_ns=None,
        fairness_key=fairness_key,
        fairness_weight=fairness_weight,
        build_id=build_id_of(execution),
    )


def start_of(task: Task, request_id: str, identity: str, worker_version: bytes | None) -> Input:
    """The input by which a poller takes a task."""
    if task.queue.type == WORKFLOW:
        return WorkflowTaskStarted(
            task.run_id,
            task.scheduled_event_id,
            task.attempt,
            task.stamp,
            request_id,
            identity,
            task.queue.name,
            task.queue.sticky,
            worker_version,
        )
    return ActivityTaskStarted(task.run_id, task.scheduled_event_id, task.attempt, task.stamp, request_id, identity)
