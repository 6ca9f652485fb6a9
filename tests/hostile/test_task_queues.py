"""Questions about task queues that are long rather than hard."""

from __future__ import annotations

import time

import pytest

from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from tests.hostile.conftest import Run
from tests.service.rpc import Rpc, message, refusal


def _asked(kinds: list[int], build_ids: list[str]) -> rpc.DescribeTaskQueueRequest:
    request = rpc.DescribeTaskQueueRequest(
        namespace="default", task_queue=message(name="q"), report_stats=True, versions=message(build_ids=build_ids)
    )
    request.api_mode = enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
    request.task_queue_types.extend(kinds)  # type: ignore[arg-type]  # wire numbers are plain ints here
    return request


@pytest.mark.parametrize(
    ("kinds", "build_ids"),
    [([99], []), (list(range(20_000)), []), ([], [f"b{n}" for n in range(20_000)])],
    ids=range(3),
)
def test_too_much_of_a_queue_is_refused(run: Run, kinds: list[int], build_ids: list[str]) -> None:
    async def scenario(client: Rpc) -> None:
        error = await refusal(client.call(_asked(kinds, build_ids), rpc.DescribeTaskQueueResponse))
        assert error.code is StatusCode.INVALID_ARGUMENT, str(error)

    run(scenario)


def test_a_type_named_often_is_looked_at_once(run: Run) -> None:
    async def scenario(client: Rpc) -> None:
        begun = time.perf_counter()
        described = await client.call(_asked([1, 2] * 10_000, [""]), rpc.DescribeTaskQueueResponse)
        assert sorted(described.versions_info[""].types_info) == [1, 2]
        assert time.perf_counter() - begun < 1.5

    run(scenario)
