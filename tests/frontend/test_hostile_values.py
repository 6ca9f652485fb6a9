"""Values that are legal on the wire and mean nothing: each is answered, refused with a reason, and no fault of ours.

What an attacker with every field and every extreme value found stands here; `tests/hostile` draws at random.
"""

from __future__ import annotations

from typing import Any

import pytest

from perdure.api import command as commands
from perdure.api import enums
from perdure.api import workflowservice as rpc
from tests.frontend.alone import Alone, alone
from tests.service.rpc import message


async def started(server: Alone, workflow_id: str) -> Any:
    """A workflow task of a new workflow, whose queue has its name."""
    start = rpc.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=workflow_id,
        workflow_type=message(name="W"),
        task_queue=message(name=workflow_id),
        request_id=workflow_id,
    )
    await server.call("StartWorkflowExecution", start)
    poll = rpc.PollWorkflowTaskQueueRequest(namespace="default", task_queue=message(name=workflow_id))
    return await server.call("PollWorkflowTaskQueue", poll)


@pytest.mark.parametrize("kind", [99, -1, 2**31 - 1])
def test_a_kind_of_queue_that_has_no_name(kind: int) -> None:
    """Continue-as-new was INTERNAL, for its texts name the kind."""

    async def scenario(server: Alone) -> None:
        command = commands.Command(command_type=enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION)
        wanted = command.continue_as_new_workflow_execution_command_attributes
        wanted.workflow_type.name = "W"
        wanted.task_queue.name, wanted.task_queue.kind = "q", kind  # type: ignore[assignment]  # no such kind
        task = await started(server, "w")
        done = rpc.RespondWorkflowTaskCompletedRequest(
            namespace="default", task_token=task.task_token, commands=[command]
        )
        await server.call("RespondWorkflowTaskCompleted", done)

    alone(scenario)
