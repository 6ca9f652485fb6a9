"""What the scenarios of children and of other workflows share: a child, and what it takes to have one."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.command.v1 import Command
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from .script import Script
from .values import command, execution, workflow_type


def kid_id(s: Script) -> str:
    return f"kid-{s.workflow_id}"


def kid_queue(s: Script) -> TaskQueue:
    """Children poll elsewhere, so that the order of tasks is the script's."""
    return TaskQueue(name=f"kid-{s.queue}")


def start_kid(s: Script, **fields: Anything) -> Command:
    """The command that starts this script's child."""
    given: dict[str, Anything] = {
        "workflow_id": kid_id(s),
        "workflow_type": workflow_type("Kid"),
        "task_queue": kid_queue(s),
    }
    present = {key: value for key, value in (given | fields).items() if value is not None}
    return command("START_CHILD_WORKFLOW_EXECUTION", **present)


def with_kid(s: Script, **fields: Anything) -> rpc.PollWorkflowTaskQueueResponse:
    """A parent that has heard of its child's start; unrecorded. Returns the child's first task."""
    task = s.begin_quietly()
    s.send(s.complete_request(task, start_kid(s, **fields)), rpc.RespondWorkflowTaskCompletedResponse)
    heard = s.poll_quietly()
    s.send(s.complete_request(heard), rpc.RespondWorkflowTaskCompletedResponse)
    return s.poll(kid_queue(s))


def kid_history(s: Script) -> None:
    """The child's whole history, once it is closed."""
    s.closed_history(execution=execution(kid_id(s)))
