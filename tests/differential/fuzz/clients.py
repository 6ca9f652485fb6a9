"""What clients do: start again, signal, cancel, query, update, terminate."""

from __future__ import annotations

import random
import threading
from typing import Any as Anything

from temporalio.api.enums.v1 import (
    QueryRejectCondition,
    QueryResultType,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.workflow.v1 import OnConflictOptions
from temporalio.api.workflowservice import v1 as rpc

from .. import update_values, values
from ..script import NAMESPACE, Pending
from ..wire import RpcFailed
from .fields import HUGE_SHARE, content, links, of_start
from .story import POLL_SECONDS, WAIT_SECONDS, Ask, Story, Task

ANSWERED = QueryResultType.QUERY_RESULT_TYPE_ANSWERED
FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
ARRIVAL_SECONDS = 0.15
"""What a query needs to reach the server; nothing shows that it has."""


def signal(story: Story, draw: random.Random) -> bool:
    fields: dict[str, Anything] = {}
    if draw.random() < 0.3 and story.is_first_run:
        fields["request_id"] = f"same-{draw.randint(1, 2)}-{story.s.nonce}"
    if draw.random() < 0.3:
        fields |= {"input": content(draw), "header": values.header(s="1")}
    if draw.random() < 0.15:
        fields |= {"links": links(story, draw), "control": "control"}
    if draw.random() < 0.3:
        fields["workflow_execution"] = values.execution(story.s.workflow_id)
    story.s.signal(draw.choice(("go", "stop")), **fields)
    return True


def cancel(story: Story, draw: random.Random) -> bool:
    story.s.cancel(reason=draw.choice(("", "why")), **_of_whom(story, draw))
    return True


def _of_whom(story: Story, draw: random.Random) -> dict[str, Anything]:
    """By run, by the first run of its chain, or whichever is current; with links or without."""
    fields: dict[str, Anything] = {}
    if draw.random() < 0.3:
        fields["links"] = links(story, draw)
    if draw.random() < 0.3:
        fields["workflow_execution"] = values.execution(story.s.workflow_id)
    if draw.random() < 0.3 and not story.fragile:
        fields["first_execution_run_id"] = draw.choice(story.runs)
    return fields


def terminate(story: Story, draw: random.Random) -> bool:
    """Not while a query waits: the reference never answers it then."""
    if any(not ask.update_id for ask in story.asks):
        return False
    story.s.terminate(reason="enough", details=content(draw, '"d"'), **_of_whom(story, draw))
    return True


def _policies(draw: random.Random) -> dict[str, Anything]:
    fields: dict[str, Anything] = {}
    if draw.random() < 0.7:
        fields["workflow_id_reuse_policy"] = draw.choice(WorkflowIdReusePolicy.values())
    if draw.random() < 0.6:
        fields["workflow_id_conflict_policy"] = draw.choice(WorkflowIdConflictPolicy.values())
    if draw.random() < 0.3:
        fields["on_conflict_options"] = OnConflictOptions(attach_request_id=True, attach_links=draw.random() < 0.5)
    return fields


def start_again(story: Story, draw: random.Random) -> bool:
    """The same workflow id, under some policies."""
    fields = _policies(draw) | of_start(story, draw)
    if story.receiver is not None and draw.random() < 0.6:
        fields["completion_callbacks"] = [story.receiver.callback(f"/{draw.choice(('again', 'more'))}")]
        fields["on_conflict_options"] = OnConflictOptions(
            attach_request_id=True, attach_completion_callbacks=draw.random() < 0.8, attach_links=draw.random() < 0.5
        )
    if draw.random() < 0.3 and story.is_first_run:
        fields["request_id"] = f"start-{story.s.nonce}"
    started = story.s.start(**fields)
    if started.run_id and started.started:
        story.held = None
    return True


def brief_run(story: Story, draw: random.Random) -> bool:
    """A run in the place of what is there, which times out, perhaps twice; its task may have timed out before.

    What follows waits for all of that.

    Not while a query waits, as for :func:`terminate`.
    """
    if any(not ask.update_id for ask in story.asks):
        return False
    held = draw.random() < 0.5
    fields: dict[str, Anything] = {
        "workflow_id_conflict_policy": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
        "workflow_run_timeout": values.seconds(2 if held else 1),
        "workflow_task_timeout": values.seconds(1),
    }
    if draw.random() < 0.5:
        fields["retry_policy"] = values.retry_policy(0.1, 1, 0, 2)
    if not story.s.start(**fields).started:
        return True
    story.held = None
    if held:
        story.s.call(story.s.poll_request(), Task, POLL_SECONDS)
    return True


def signal_with_start(story: Story, draw: random.Random) -> bool:
    fields = _policies(draw) | of_start(story, draw)
    fields.pop("on_conflict_options", None)
    if draw.random() < 0.2:
        fields |= {"signal_input": content(draw), "control": "control"}
    if draw.random() < 0.3 and story.is_first_run:
        fields["request_id"] = f"same-{draw.randint(1, 2)}-{story.s.nonce}"
    before = story.s.run_id
    story.s.signal_with_start(**fields)
    if story.s.run_id != before:
        story.held = None
    return True


def start_other(story: Story, draw: random.Random) -> bool:
    """A workflow that is not kin."""
    if story.has_other:
        return False
    request = story.s.start_request(workflow_id=story.other_id, task_queue=story.queue_of(story.other_id))
    story.s.call(request, rpc.StartWorkflowExecutionResponse)
    story.has_other = True
    return True


def signal_kid(story: Story, draw: random.Random) -> bool:
    if not story.kids:
        return False
    name = draw.choice(sorted(story.kids))
    story.s.signal("to the kid", workflow_execution=values.execution(name))
    return True


# Queries


def query(story: Story, draw: random.Random) -> bool:
    """A query; where nothing else is going on a worker answers it at once, else it rides on a task.

    Not beside an update over the limit: that ends the run, and the reference asks anew whether the query is wanted.
    """
    if (
        story.sticky
        or any(ask.is_huge for ask in story.asks)
        or any(not ask.update_id for ask in story.asks)
        or story.described.pending_workflow_task.attempt > 1
    ):
        return False
    fields: dict[str, Anything] = {}
    if draw.random() < 0.2:
        fields["query_reject_condition"] = draw.choice(QueryRejectCondition.values())
    if story.task_waits or story.task_runs:
        pending = _ask(story, **fields)
        threading.Event().wait(ARRIVAL_SECONDS)
        story.asks.append(Ask(pending))
        return True
    pending = _ask(story, **fields)
    threading.Event().wait(ARRIVAL_SECONDS)
    if not pending.is_over:
        answer_query(story, draw)
    pending.join()
    return True


def _ask(story: Story, **fields: Anything) -> Pending[rpc.QueryWorkflowResponse]:
    return story.s.background(story.s.query_request(**fields), rpc.QueryWorkflowResponse, WAIT_SECONDS)


def answer_query(story: Story, draw: random.Random) -> None:
    """Take a query from the queue and answer it."""
    task = story.s.call(story.s.poll_request(), Task, POLL_SECONDS)
    if task.task_token:
        story.s.answer_query(task, completed_type=ANSWERED, query_result=values.payloads('"answer"'))


def unblocked_query(story: Story) -> None:
    """A query that no task carries any more goes to the queue by itself."""
    waits = any(not ask.update_id and not ask.pending.is_over for ask in story.asks)
    if not waits or story.task_waits or story.task_runs:
        return
    threading.Event().wait(ARRIVAL_SECONDS)
    if any(not ask.update_id and not ask.pending.is_over for ask in story.asks):
        answer_query(story, random.Random(0))
        for ask in [ask for ask in story.asks if not ask.update_id]:
            ask.pending.join()
            story.asks.remove(ask)


# Updates


def update(story: Story, draw: random.Random) -> bool:
    """An update of the current run; nobody waits for it here."""
    if story.was_paused:
        return False
    name = f"u{draw.randint(1, 6)}"
    if f"{name}-{story.s.nonce}" in story.view.offered + story.view.passed_over:
        return False
    wait = draw.choice(("ACCEPTED", "COMPLETED", "COMPLETED"))
    fields: dict[str, Anything] = {}
    if draw.random() < 0.5:
        fields["workflow_execution"] = values.execution(story.s.workflow_id)
    if draw.random() < 0.2 and not story.fragile:
        fields["first_execution_run_id"] = draw.choice(story.runs)
    is_huge = draw.random() < HUGE_SHARE * 2 and all(ask.update_id for ask in story.asks)
    if is_huge:
        fields["request"] = update_values.body(story.s, name)
        fields["request"].input.args.CopyFrom(values.huge())
    pending = update_values.update(story.s, name, wait, **fields)
    _await_admission(story, name, pending)
    stage = UpdateWorkflowExecutionLifecycleStage.Value(f"UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_{wait}")
    story.asks.append(Ask(pending, name, stage, is_huge=is_huge))
    return True


def _await_admission(story: Story, name: str, pending: Pending[Anything]) -> None:
    """Until the server knows the update, or has answered already."""
    pause = threading.Event()
    request = update_values.poll_request(story.s, name, "UNSPECIFIED", update_ref=story.update_ref(name))
    for _ in range(100):
        state = story.s.send(request, rpc.PollWorkflowExecutionUpdateResponse)
        if pending.is_over or (not isinstance(state, RpcFailed) and state.update_ref.update_id):
            return
        pause.wait(0.02)


def poll_update(story: Story, draw: random.Random) -> bool:
    """Ask how far an update has come.

    Not of a closed run: the reference remembers those that the close aborted as long as it happens to cache the run.
    """
    if not story.running:
        return False
    name = f"u{draw.randint(1, 6)}"
    update_values.poll_update(story.s, name, "UNSPECIFIED")
    return True


def update_with_start(story: Story, draw: random.Random) -> bool:
    """Start and update in one request."""
    if story.was_paused:
        return False
    name = f"u{draw.randint(1, 6)}"
    fields = _policies(draw) | of_start(story, draw)
    fields.pop("on_conflict_options", None)
    fields.setdefault("workflow_id_conflict_policy", draw.choice((FAIL, USE_EXISTING)))
    start = story.s.start_request(**fields)
    asked = update_values.update_request(
        story.s, name, "COMPLETED", workflow_execution=values.execution(story.s.workflow_id)
    )
    operation = rpc.ExecuteMultiOperationRequest.Operation
    request = rpc.ExecuteMultiOperationRequest(
        namespace=NAMESPACE, operations=[operation(start_workflow=start), operation(update_workflow=asked)]
    )
    pending = story.s.background(request, rpc.ExecuteMultiOperationResponse, WAIT_SECONDS)
    _await_admission(story, name, pending)
    current = story.describe_quietly(values.execution(story.s.workflow_id))
    run_id = current.workflow_execution_info.execution.run_id
    if run_id and run_id != story.s.run_id:
        story.s.run_id, story.held = run_id, None
    stage = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
    story.asks.append(Ask(pending, name, stage, starts=True))
    return True
