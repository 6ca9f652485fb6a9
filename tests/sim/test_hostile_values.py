"""Values that are legal on the wire and mean nothing: each is answered, refused with a reason, and no fault of ours.

What an attacker with every field and every extreme value found stands here; `tests/hostile` draws at random.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from perdure.api import command as commands
from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.transport.client import RpcError
from tests.frontend.alone import Alone, alone, started_task
from tests.service.rpc import message


@pytest.mark.parametrize("kind", [99, -1, 2**31 - 1])
def test_a_kind_of_queue_that_has_no_name(kind: int) -> None:
    """Continue-as-new was INTERNAL, for its texts name the kind."""

    async def scenario(server: Alone) -> None:
        command = commands.Command(command_type=enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION)
        wanted = command.continue_as_new_workflow_execution_command_attributes
        wanted.workflow_type.name = "W"
        wanted.task_queue.name, wanted.task_queue.kind = "q", kind  # type: ignore[assignment]  # no such kind
        task = await started_task(server, "w")
        done = rpc.RespondWorkflowTaskCompletedRequest(
            namespace="default", task_token=task.task_token, commands=[command]
        )
        await server.call("RespondWorkflowTaskCompleted", done)

    alone(scenario)


def test_the_end_of_a_server_leaves_no_error_that_nobody_took() -> None:
    """Callers of updates and queries wait when it stops; some of them have just gone."""
    unheard: list[dict[str, Any]] = []

    async def scenario(server: Alone) -> None:
        server.loop.set_exception_handler(lambda _, context: unheard.append(context))
        await started_task(server, "w")
        update = rpc.UpdateWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=message(workflow_id="w"),
            request=message(meta=message(update_id="u"), input=message(name="n")),
        )
        query = rpc.QueryWorkflowRequest(
            namespace="default", execution=message(workflow_id="w"), query=message(query_type="q")
        )
        calls = [
            asyncio.ensure_future(server.client.call(name, request, timeout_s))
            for name, request in (("UpdateWorkflowExecution", update), ("QueryWorkflow", query))
            for timeout_s in (1.0, 60.0)
        ]
        await asyncio.sleep(1)
        server.server.engine.waiters.new()  # of a caller whose input the engine is about to refuse
        stop = asyncio.ensure_future(server.server.close())
        while not stop.done():
            signal = rpc.SignalWorkflowExecutionRequest(
                namespace="default", workflow_execution=message(workflow_id="w"), signal_name="s"
            )
            for name, request in (("SignalWorkflowExecution", signal), ("QueryWorkflow", query)):
                calls.append(asyncio.ensure_future(server.client.call(name, request)))
            await asyncio.sleep(0)
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} <= {RpcError, rpc.SignalWorkflowExecutionResponse}
        del calls, errors
        gc.collect()
        assert unheard == []

    alone(scenario)
