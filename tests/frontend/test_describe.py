"""What DescribeWorkflowExecution shows where the dev server shows less (decision 011)."""

from __future__ import annotations

from perdure.api import common, taskqueue, workflowservice
from tests.frontend.served import served


async def test_a_memo_that_is_kept_elsewhere_says_so() -> None:
    """Whoever reads the memo needs the details to find its payload."""
    kept = common.Payload(data=b"where", external_payloads=[common.Payload.ExternalPayloadDetails(size_bytes=5)])
    start = workflowservice.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="w",
        request_id="r",
        workflow_type=common.WorkflowType(name="Wf"),
        task_queue=taskqueue.TaskQueue(name="q"),
        memo=common.Memo(fields={"k": kept}),
    )
    describe = workflowservice.DescribeWorkflowExecutionRequest(
        namespace="default", execution=common.WorkflowExecution(workflow_id="w")
    )
    async with served({}) as server:
        await server.call("StartWorkflowExecution", start, workflowservice.StartWorkflowExecutionResponse)
        shown = await server.call(
            "DescribeWorkflowExecution", describe, workflowservice.DescribeWorkflowExecutionResponse
        )
    assert shown.workflow_execution_info.memo.fields["k"] == kept
