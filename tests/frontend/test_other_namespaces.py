"""What one namespace gives out is of no use in another: run ids, task tokens, page tokens.

The other namespace has a workflow of the same id, so that nothing but the run could tell them apart.
"""

from __future__ import annotations

from typing import Any

from perdure.api import Message, enums
from perdure.api import command as commands
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from tests.frontend.alone import Alone, alone
from tests.service.rpc import message, start_of

OWNER, OTHER = "owner", "other"
NAMESPACES = (OWNER, OTHER)


async def _start(server: Alone, namespace: str, workflow_id: str = "w") -> str:
    answer = await server.call("StartWorkflowExecution", start_of(workflow_id, "q", namespace))
    return str(answer.run_id)


async def _events(server: Alone, namespace: str) -> list[int]:
    request = rpc.GetWorkflowExecutionHistoryRequest(namespace=namespace, execution=message(workflow_id="w"))
    answer = await server.call("GetWorkflowExecutionHistory", request)
    return [int(event.event_type) for event in answer.history.events]


def _about(run_id: str) -> list[tuple[str, Message]]:
    """A request of each kind about the owner's run, in the other namespace."""
    run = message(workflow_id="w", run_id=run_id)
    execution, both = message(namespace=OTHER, execution=run), message(namespace=OTHER, workflow_execution=run)
    by_id = message(namespace=OTHER, workflow_id="w", run_id=run_id, activity_id="a")
    mask, failure = message(paths=["priority"]), message(application_failure_info=message())
    update = message(workflow_execution=run, update_id="u")
    inner = message(meta=message(update_id="u"), input=message(name="n"))
    reset = message(workflow_task_finish_event_id=4, reason="r", request_id="x")
    options = message(workflow_execution_options=message(), update_mask=message(paths=["versioning_override"]))
    stage = message(lifecycle_stage=3)
    return [
        ("DescribeWorkflowExecution", rpc.DescribeWorkflowExecutionRequest(**execution)),
        ("GetWorkflowExecutionHistory", rpc.GetWorkflowExecutionHistoryRequest(**execution)),
        ("GetWorkflowExecutionHistoryReverse", rpc.GetWorkflowExecutionHistoryReverseRequest(**execution)),
        ("ResetStickyTaskQueue", rpc.ResetStickyTaskQueueRequest(**execution)),
        ("QueryWorkflow", rpc.QueryWorkflowRequest(**execution, query=message(query_type="q"))),
        ("PauseActivity", rpc.PauseActivityRequest(**execution, id="a")),
        ("UnpauseActivity", rpc.UnpauseActivityRequest(**execution, id="a")),
        ("ResetActivity", rpc.ResetActivityRequest(**execution, id="a")),
        (
            "UpdateActivityOptions",
            rpc.UpdateActivityOptionsRequest(**execution, id="a", activity_options=message(), update_mask=mask),
        ),
        ("SignalWorkflowExecution", rpc.SignalWorkflowExecutionRequest(**both, signal_name="s")),
        ("TerminateWorkflowExecution", rpc.TerminateWorkflowExecutionRequest(**both)),
        ("RequestCancelWorkflowExecution", rpc.RequestCancelWorkflowExecutionRequest(**both)),
        ("DeleteWorkflowExecution", rpc.DeleteWorkflowExecutionRequest(**both)),
        ("ResetWorkflowExecution", rpc.ResetWorkflowExecutionRequest(**both, **reset)),
        ("UpdateWorkflowExecutionOptions", rpc.UpdateWorkflowExecutionOptionsRequest(**both, **options)),
        ("UpdateWorkflowExecution", rpc.UpdateWorkflowExecutionRequest(**both, request=inner)),
        (
            "PollWorkflowExecutionUpdate",
            rpc.PollWorkflowExecutionUpdateRequest(namespace=OTHER, update_ref=update, wait_policy=stage),
        ),
        ("RespondActivityTaskCompletedById", rpc.RespondActivityTaskCompletedByIdRequest(**by_id)),
        ("RespondActivityTaskFailedById", rpc.RespondActivityTaskFailedByIdRequest(**by_id, failure=failure)),
        ("RespondActivityTaskCanceledById", rpc.RespondActivityTaskCanceledByIdRequest(**by_id)),
        ("RecordActivityTaskHeartbeatById", rpc.RecordActivityTaskHeartbeatByIdRequest(**by_id)),
    ]


def test_a_run_is_found_in_its_own_namespace_only() -> None:
    async def scenario(server: Alone) -> None:
        run_id = await _start(server, OWNER)
        await _start(server, OTHER)
        before = [await _events(server, namespace) for namespace in NAMESPACES]
        wrong = []
        for name, request in _about(run_id):
            error = await server.refused(name, request)
            if error.code is not StatusCode.NOT_FOUND:
                wrong.append((name, str(error)))
        assert wrong == []
        assert [await _events(server, namespace) for namespace in NAMESPACES] == before

    alone(scenario, namespaces=NAMESPACES)


def test_task_tokens_are_of_their_own_namespace() -> None:
    """Of workflow tasks and of activities, whole and in part; the tasks are done afterwards as if nothing had been."""

    async def scenario(server: Alone) -> None:
        await _start(server, OWNER)
        await _start(server, OTHER)
        queue = message(namespace=OWNER, task_queue=message(name="q"))
        task = await server.call("PollWorkflowTaskQueue", rpc.PollWorkflowTaskQueueRequest(**queue))
        command = commands.Command(command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
        wanted = command.schedule_activity_task_command_attributes
        wanted.activity_id, wanted.activity_type.name, wanted.task_queue.name = "a", "A", "q"
        wanted.start_to_close_timeout.seconds = 60

        async def refused(name: str, kind: Any, token: bytes) -> None:
            for namespace, given in ((OTHER, token), (OWNER, token[:-1]), (OWNER, token[1:]), (OWNER, token + b"x")):
                error = await server.refused(name, kind(namespace=namespace, task_token=given))
                assert error.code is StatusCode.INVALID_ARGUMENT, (name, str(error))

        await refused("RespondWorkflowTaskCompleted", rpc.RespondWorkflowTaskCompletedRequest, task.task_token)
        await refused("RespondWorkflowTaskFailed", rpc.RespondWorkflowTaskFailedRequest, task.task_token)
        done = rpc.RespondWorkflowTaskCompletedRequest(namespace=OWNER, task_token=task.task_token, commands=[command])
        await server.call("RespondWorkflowTaskCompleted", done)
        activity = await server.call("PollActivityTaskQueue", rpc.PollActivityTaskQueueRequest(**queue))
        for name, kind in (
            ("RespondActivityTaskCompleted", rpc.RespondActivityTaskCompletedRequest),
            ("RespondActivityTaskFailed", rpc.RespondActivityTaskFailedRequest),
            ("RespondActivityTaskCanceled", rpc.RespondActivityTaskCanceledRequest),
            ("RecordActivityTaskHeartbeat", rpc.RecordActivityTaskHeartbeatRequest),
        ):
            await refused(name, kind, activity.task_token)
        completed = rpc.RespondActivityTaskCompletedRequest(namespace=OWNER, task_token=activity.task_token)
        await server.call("RespondActivityTaskCompleted", completed)
        assert enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED in await _events(server, OWNER)

    alone(scenario, namespaces=NAMESPACES)


def test_page_tokens_of_lists_are_of_their_own_namespace_and_kind() -> None:
    async def scenario(server: Alone) -> None:
        for number in range(3):
            await _start(server, OWNER, f"w{number}")
        listed = rpc.ListWorkflowExecutionsRequest(namespace=OWNER, page_size=1)
        token = (await server.call("ListWorkflowExecutions", listed)).next_page_token
        assert token
        for name, kind, namespace in (
            ("ListWorkflowExecutions", rpc.ListWorkflowExecutionsRequest, OTHER),
            ("ListSchedules", rpc.ListSchedulesRequest, OWNER),
            ("ListBatchOperations", rpc.ListBatchOperationsRequest, OWNER),
            ("ListNamespaces", rpc.ListNamespacesRequest, ""),
            ("ListWorkers", rpc.ListWorkersRequest, OWNER),
        ):
            request = kind(next_page_token=token)
            if namespace:
                request.namespace = namespace  # type: ignore[union-attr]  # where there is one
            error = await server.refused(name, request)
            assert error.code is StatusCode.INVALID_ARGUMENT, (name, str(error))

    alone(scenario, namespaces=NAMESPACES)
