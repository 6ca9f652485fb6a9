"""How long a caller waits for an update, and what he is told when nothing comes (semantics 8.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest

from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from perdure.transport.client import RpcError
from tests.frontend.alone import Alone, alone, started_task
from tests.service.rpc import message

EARLY_S: Final = 0.0004
"""How early uvloop's timers, which count in milliseconds, may ring."""


def _ring_early(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to ring after a while does so early; what rings at an instant, such as a call's deadline, does not."""
    call_later = loop.call_later

    def earlier(delay: float, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        return call_later(max(delay - EARLY_S, 0.0), callback, *args, **kwargs)

    monkeypatch.setattr(loop, "call_later", earlier)


def _update(workflow_id: str) -> rpc.UpdateWorkflowExecutionRequest:
    return rpc.UpdateWorkflowExecutionRequest(
        namespace="default",
        workflow_execution=message(workflow_id=workflow_id),
        request=message(meta=message(update_id="u"), input=message(name="n")),
    )


@pytest.mark.parametrize("early", [False, True])
def test_a_caller_without_time_is_told_so_and_not_how_far_the_update_is(
    early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the loop's timer rings a little before his deadline."""

    async def scenario(server: Alone) -> StatusCode:
        await started_task(server, "w")
        if early:
            _ring_early(server.loop, monkeypatch)
        with pytest.raises(RpcError) as refused:
            await server.client.call("UpdateWorkflowExecution", _update("w"), 0.7)
        return refused.value.code

    assert alone(scenario) == StatusCode.DEADLINE_EXCEEDED


def test_a_patient_caller_is_told_how_far_the_update_is() -> None:
    async def scenario(server: Alone) -> Any:
        await started_task(server, "w")
        return await server.client.call("UpdateWorkflowExecution", _update("w"), 60.0)

    assert alone(scenario).stage == enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
