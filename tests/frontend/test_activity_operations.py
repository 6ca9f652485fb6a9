"""What the calls about pending activities refuse before any state is looked at, and that they reach a run (5.7)."""

from __future__ import annotations

from perdure.api import Duration, common, taskqueue, workflowservice
from perdure.transport.client import RpcError
from tests.frontend.served import Served, served

RUN = common.WorkflowExecution(workflow_id="w")


async def _start(server: Served) -> None:
    await server.call(
        "StartWorkflowExecution",
        workflowservice.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id="w",
            workflow_type=common.WorkflowType(name="Wf"),
            task_queue=taskqueue.TaskQueue(name="q"),
            request_id="r",
        ),
        workflowservice.StartWorkflowExecutionResponse,
    )


async def test_a_workflow_and_an_activity_must_be_named() -> None:
    async with served() as server:
        for verb in ("PauseActivity", "UnpauseActivity", "ResetActivity", "UpdateActivityOptions"):
            request_type = getattr(workflowservice, f"{verb}Request")
            error = await server.refused(verb, request_type(namespace="default"))
            assert error.message == "WorkflowId is not set on request."
            error = await server.refused(verb, request_type(namespace="default", execution=RUN))
            assert error.message == "Either Activity.Id or Activity.Type should be set on request."


async def test_a_jitter_is_not_negative() -> None:
    """The reference's older verbs fail half-way through; nothing is done here."""
    async with served() as server:
        await _start(server)
        for verb in ("UnpauseActivity", "ResetActivity"):
            request_type = getattr(workflowservice, f"{verb}Request")
            request = request_type(namespace="default", execution=RUN, id="a", jitter=Duration(seconds=-1))
            assert (await server.refused(verb, request)).message == "invalid jitter: negative duration"


async def test_standalone_activities_are_not_served() -> None:
    async with served() as server:
        for verb in ("PauseActivityExecution", "UnpauseActivityExecution", "ResetActivityExecution"):
            request_type = getattr(workflowservice, f"{verb}Request")
            error: RpcError = await server.refused(verb, request_type(namespace="default", activity_id="a"))
            assert int(error.code) == 12


async def test_both_generations_reach_the_run() -> None:
    async with served() as server:
        await _start(server)
        old = workflowservice.PauseActivityRequest(namespace="default", execution=RUN, id="a")
        new = workflowservice.PauseActivityExecutionRequest(namespace="default", workflow_id="w", activity_id="a")
        for verb, request in (("PauseActivity", old), ("PauseActivityExecution", new)):
            error = await server.refused(verb, request)
            assert error.message.startswith("Can't find pending activity with such ID.")
