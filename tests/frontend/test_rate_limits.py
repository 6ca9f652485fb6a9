"""Rates hold, by namespace and for the whole server, and what matters most is refused last (server_inventory 5.2)."""

from __future__ import annotations

from perdure.api import Status, errordetails, workflowservice
from perdure.config import dynamic
from perdure.config.values import Constrained, Constraints
from perdure.errors import StatusCode
from perdure.frontend.rate_limits import LOWEST, Ladder
from perdure.transport.client import RpcError
from tests.frontend.served import Served, failure_of, served

SECOND = 10**9
_COUNT = workflowservice.CountWorkflowExecutionsRequest
_DESCRIBE = workflowservice.DescribeWorkflowExecutionRequest


def test_a_ladder_keeps_its_rate_at_every_priority() -> None:
    """A second's worth and the burst pass at once, then one call an interval."""
    for priority in range(LOWEST + 1):
        ladder = Ladder(10, 2.0, 1, 0)
        assert [ladder.take(priority, 0) for _ in range(21)] == [True] * 20 + [False]
        passed = sum(ladder.take(priority, now) for now in range(0, 10 * SECOND, SECOND // 100))
        assert passed == 99


def test_what_matters_less_is_refused_first() -> None:
    """Calls of a high priority use up the tokens of the lower ones, never the other way round."""
    ladder = Ladder(10, 1.0, 1, 0)
    assert [ladder.take(1, 0) for _ in range(10)] == [True] * 10
    assert not ladder.take(4, 0)
    assert not ladder.take(1, 0)
    assert ladder.take(0, 0), "the highest priority has what nobody of its kind used"
    other = Ladder(10, 1.0, 1, 0)
    assert [other.take(4, 0) for _ in range(11)] == [True] * 10 + [False]
    assert other.take(1, 0), "polls cannot starve completions"


def test_no_setting_is_no_limit() -> None:
    ladder = Ladder(dynamic.RATE_UNLIMITED, 1.0, 1, 0)
    assert all(ladder.take(LOWEST, 0) for _ in range(10_000))


async def _count(world: Served, namespace: str) -> None:
    await world.call(
        "CountWorkflowExecutions", _COUNT(namespace=namespace), workflowservice.CountWorkflowExecutionsResponse
    )


def _detail(error: RpcError) -> errordetails.ResourceExhaustedFailure:
    return errordetails.ResourceExhaustedFailure.FromString(Status.FromString(error.details).details[0].value)


async def test_lists_of_one_namespace_are_limited_and_others_go_on() -> None:
    """The limit is of one namespace and of its lists; the error tells cause and scope."""
    settings: dict[str, object] = {"frontend.namespaceRPS.visibility": 1}
    async with served(settings, ("default", "other")) as world:
        await _count(world, "default")
        error = await failure_of(_count(world, "default"))
        assert (error.code, error.message) == (StatusCode.RESOURCE_EXHAUSTED, "namespace rate limit exceeded")
        assert (_detail(error).cause, _detail(error).scope) == (1, 1)
        await _count(world, "other")
        missing = await world.refused("DescribeWorkflowExecution", _described("default"))
        assert missing.code == StatusCode.NOT_FOUND, "other calls have another rate"


def _described(namespace: str) -> workflowservice.DescribeWorkflowExecutionRequest:
    request = _DESCRIBE(namespace=namespace)
    request.execution.workflow_id = "none"
    return request


async def test_a_namespace_has_the_rate_that_is_set_for_it_now() -> None:
    """A limit set for one namespace while the server runs holds from the next call on, and goes the same way."""
    async with served(None, ("default", "other")) as world:
        config = world.server.config
        for _ in range(5):
            assert (await world.refused("DescribeWorkflowExecution", _described("other"))).code == StatusCode.NOT_FOUND
        config.replace(
            {
                "frontend.namespaceRPS": [Constrained(1, Constraints("other"))],
                "frontend.namespaceBurstRatio": [Constrained(1.0)],
            }
        )
        codes = [(await world.refused("DescribeWorkflowExecution", _described("other"))).code for _ in range(2)]
        assert codes == [StatusCode.NOT_FOUND, StatusCode.RESOURCE_EXHAUSTED]
        assert (await world.refused("DescribeWorkflowExecution", _described("default"))).code == StatusCode.NOT_FOUND
        config.replace({})
        assert (await world.refused("DescribeWorkflowExecution", _described("other"))).code == StatusCode.NOT_FOUND


async def test_the_whole_server_has_a_rate() -> None:
    """`frontend.rps` counts every call; its refusal has the scope of the system."""
    async with served({"frontend.rps": 1}) as world:
        errors = [await world.refused("DescribeWorkflowExecution", _described("default")) for _ in range(3)]
        assert [one.code for one in errors] == [StatusCode.NOT_FOUND] * 2 + [StatusCode.RESOURCE_EXHAUSTED]
        assert errors[2].message == "service rate limit exceeded"
        assert (_detail(errors[2]).cause, _detail(errors[2]).scope) == (1, 2)
        await world.call("GetSystemInfo", workflowservice.GetSystemInfoRequest(), workflowservice.GetSystemInfoResponse)
