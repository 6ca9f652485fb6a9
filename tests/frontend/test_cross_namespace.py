"""Commands about another namespace (`system.enableCrossNamespaceCommands`): refused by default, else carried there.

Seen to be the same on server 1.32.0 with the same flag: histories of both sides, close policies, what is not found.
"""

from __future__ import annotations

from typing import Any

from perdure.api import command as commands
from perdure.api import common, enums, history, taskqueue, workflowservice
from tests.frontend.served import Served, served

ALLOWED: dict[str, object] = {"system.enableCrossNamespaceCommands": True}
NAMESPACES = ("default", "other")
TERMINATE = enums.PARENT_CLOSE_POLICY_TERMINATE


async def _start(server: Served, namespace: str, workflow_id: str) -> None:
    request = workflowservice.StartWorkflowExecutionRequest(
        namespace=namespace,
        workflow_id=workflow_id,
        workflow_type=common.WorkflowType(name="Wf"),
        task_queue=taskqueue.TaskQueue(name="q"),
        request_id=workflow_id,
    )
    await server.call("StartWorkflowExecution", request, workflowservice.StartWorkflowExecutionResponse)


async def _turn(server: Served, namespace: str, *wanted: commands.Command) -> None:
    """Poll a workflow task and complete it."""
    poll = workflowservice.PollWorkflowTaskQueueRequest(
        namespace=namespace, task_queue=taskqueue.TaskQueue(name="q"), identity="worker"
    )
    task = await server.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
    assert task.task_token
    done = workflowservice.RespondWorkflowTaskCompletedRequest(
        namespace=namespace, task_token=task.task_token, commands=wanted
    )
    await server.call("RespondWorkflowTaskCompleted", done, workflowservice.RespondWorkflowTaskCompletedResponse)


async def _closed(server: Served, namespace: str, workflow_id: str) -> history.HistoryEvent:
    """The closing event, waited for."""
    request = workflowservice.GetWorkflowExecutionHistoryRequest(
        namespace=namespace,
        execution=common.WorkflowExecution(workflow_id=workflow_id),
        wait_new_event=True,
        history_event_filter_type=enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
    )
    found = await server.call(
        "GetWorkflowExecutionHistory", request, workflowservice.GetWorkflowExecutionHistoryResponse
    )
    return found.history.events[-1]


async def _kinds(server: Served, namespace: str, workflow_id: str) -> list[str]:
    request = workflowservice.GetWorkflowExecutionHistoryRequest(
        namespace=namespace, execution=common.WorkflowExecution(workflow_id=workflow_id)
    )
    found = await server.call(
        "GetWorkflowExecutionHistory", request, workflowservice.GetWorkflowExecutionHistoryResponse
    )
    return [enums.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in found.history.events]


def _child(**fields: Any) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION)
    attributes = command.start_child_workflow_execution_command_attributes
    attributes.namespace = "other"
    attributes.workflow_id = "kid"
    attributes.workflow_type.name = "Kid"
    attributes.task_queue.name = "q"
    for name, value in fields.items():
        setattr(attributes, name, value)
    return command


def _complete() -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)
    command.complete_workflow_execution_command_attributes.SetInParent()
    return command


async def test_a_child_in_another_namespace_reports_to_its_parent() -> None:
    async with served(ALLOWED, NAMESPACES) as server:
        await _start(server, "default", "parent")
        await _turn(server, "default", _child())
        await _turn(server, "default")
        await _turn(server, "other", _complete())
        await _turn(server, "default", _complete())
        await _closed(server, "default", "parent")
        assert "CHILD_WORKFLOW_EXECUTION_COMPLETED" in await _kinds(server, "default", "parent")
        describe = workflowservice.DescribeWorkflowExecutionRequest(
            namespace="other", execution=common.WorkflowExecution(workflow_id="kid")
        )
        shown = await server.call(
            "DescribeWorkflowExecution", describe, workflowservice.DescribeWorkflowExecutionResponse
        )
        info = shown.workflow_execution_info
        assert info.parent_execution.workflow_id == info.root_execution.workflow_id == "parent"
        describe.namespace = "default"
        error = await server.refused("DescribeWorkflowExecution", describe)
        assert "kid" in error.message, "it is in its own namespace only"


async def test_the_close_policy_reaches_another_namespace() -> None:
    async with served(ALLOWED, NAMESPACES) as server:
        await _start(server, "default", "parent")
        await _turn(server, "default", _child(parent_close_policy=TERMINATE))
        await _turn(server, "default", _complete())
        closing = await _closed(server, "other", "kid")
        assert closing.workflow_execution_terminated_event_attributes.reason == "by parent close policy"


async def test_a_signal_and_a_cancel_request_reach_another_namespace() -> None:
    async with served(ALLOWED, NAMESPACES) as server:
        await _start(server, "other", "there")
        await _start(server, "default", "here")
        signal = commands.Command(command_type=enums.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION)
        wanted = signal.signal_external_workflow_execution_command_attributes
        wanted.namespace, wanted.signal_name, wanted.execution.workflow_id = "other", "go", "there"
        cancel = commands.Command(command_type=enums.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION)
        asked = cancel.request_cancel_external_workflow_execution_command_attributes
        asked.namespace, asked.workflow_id = "other", "there"
        await _turn(server, "default", signal, cancel)
        kinds: list[str] = []
        while "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED" not in kinds or (
            "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED" not in kinds
        ):
            await _turn(server, "default")
            kinds = await _kinds(server, "default", "here")
        there = await _kinds(server, "other", "there")
        assert there.count("WORKFLOW_EXECUTION_SIGNALED") == 1
        assert there.count("WORKFLOW_EXECUTION_CANCEL_REQUESTED") == 1


async def test_by_default_it_is_refused() -> None:
    async with served(None, NAMESPACES) as server:
        await _start(server, "default", "parent")
        poll = workflowservice.PollWorkflowTaskQueueRequest(
            namespace="default", task_queue=taskqueue.TaskQueue(name="q"), identity="worker"
        )
        task = await server.call("PollWorkflowTaskQueue", poll, workflowservice.PollWorkflowTaskQueueResponse)
        done = workflowservice.RespondWorkflowTaskCompletedRequest(
            namespace="default", task_token=task.task_token, commands=[_child()]
        )
        error = await server.refused("RespondWorkflowTaskCompleted", done)
        assert "cross namespace" in error.message.lower()
