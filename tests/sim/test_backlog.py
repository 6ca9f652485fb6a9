"""The backlog of tasks is in memory, so it is bounded: by refusing what would make more of it, never by dropping.

docs/decisions/013.
"""

from __future__ import annotations

import asyncio
from typing import Any

from perdure.api import command as commands
from perdure.api import enums
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from tests.frontend.alone import Alone, alone, started_task
from tests.service.rpc import message

ONE: dict[str, object] = {"matching.maxBacklogTasks": 1}


def _activity(name: str) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
    wanted = command.schedule_activity_task_command_attributes
    wanted.activity_id, wanted.activity_type.name, wanted.task_queue.name = name, "A", "idle"
    wanted.start_to_close_timeout.seconds = 60
    return command


def _timer() -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_START_TIMER)
    command.start_timer_command_attributes.timer_id = "t"
    command.start_timer_command_attributes.start_to_fire_timeout.seconds = 60
    return command


def _done(task: Any, *wanted: commands.Command) -> rpc.RespondWorkflowTaskCompletedRequest:
    return rpc.RespondWorkflowTaskCompletedRequest(namespace="default", task_token=task.task_token, commands=wanted)


def test_running_workflows_schedule_nothing_more_while_twice_as_much_waits() -> None:
    """The refused task stays with its worker and is completed later; one without activities goes through at once."""

    async def scenario(server: Alone) -> None:
        first, second, third = [await started_task(server, name) for name in ("a", "b", "c")]
        await server.call("RespondWorkflowTaskCompleted", _done(first, _activity("1"), _activity("2")))
        await asyncio.sleep(2)
        refused = await server.refused("RespondWorkflowTaskCompleted", _done(second, _timer(), _activity("1")))
        assert refused.code is StatusCode.RESOURCE_EXHAUSTED
        assert refused.message == "2 tasks wait for workers, no activity or child is scheduled until there are fewer"
        await server.call("RespondWorkflowTaskCompleted", _done(third, _timer()))
        drain = rpc.PollActivityTaskQueueRequest(namespace="default", task_queue=message(name="idle"))
        assert (await server.call("PollActivityTaskQueue", drain)).activity_id == "1"
        await asyncio.sleep(2)
        await server.call("RespondWorkflowTaskCompleted", _done(second, _timer(), _activity("1")))
        assert [(await server.call("PollActivityTaskQueue", drain)).activity_id for _ in range(2)] == ["2", "1"]

    alone(scenario, ONE)
