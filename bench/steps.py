"""What the steps of a one-activity workflow cost, on the pure machine alone: no engine, no store, no wire.

Seven steps: start, workflow task started and completed with an activity, activity started and completed, workflow task
started and completed with the end. Run with PYTHONPATH set to measure another copy (`bench/compiled.py` does).
"""

from __future__ import annotations

import time
from typing import Final, TypeVar

from immutables import Map

from perdure.api import command as commands
from perdure.api import common, enums, taskqueue, workflowservice
from perdure.api.times import duration_of
from perdure.clock import DAY, SECOND
from perdure.engine import rows
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.machines.env import Env, Limits, NamespaceView
from perdure.machines.workflow import machine
from perdure.machines.workflow.activity_inputs import (
    ActivityDelivery,
    ActivityTarget,
    ActivityTaskCompleted,
    ActivityTaskStarted,
)
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.start_inputs import Start
from perdure.machines.workflow.task_inputs import WorkflowTaskCompleted, WorkflowTaskDelivery, WorkflowTaskStarted
from perdure.machines.workflow.task_token import TaskToken

T = TypeVar("T")

STORIES: Final = 300
ROUNDS: Final = 7
STEPS: Final = 7
T0: Final = 1_700_000_000 * SECOND


class Story:
    """One workflow's life; `rows` says whether the rows of each step are made, too, as the engine does."""

    def __init__(self, number: int, ids: SeededIds, namespace: NamespaceView, with_rows: bool) -> None:
        self._key = ChainKey("namespace-id", Kind.WORKFLOW, f"wf-{number}")
        self._state = ChainState(None, Map(), Map(), Map())
        self._env = Env(T0, ids, namespace)
        self._rows = with_rows

    def _apply(self, kind: type[T], fact: Input) -> T:
        transition = machine.step(self._key, self._state, fact, self._env)
        self._state = transition.state
        if self._rows:
            rows.chain_write(self._key, transition, {})
        assert isinstance(transition.outcome, kind)
        return transition.outcome

    def _task(self, *wanted: commands.Command) -> None:
        run = self._state.current
        assert run is not None
        assert run.task is not None
        run_id, task = run.info.run_id, run.task
        taken = WorkflowTaskStarted(run_id, task.scheduled_event_id, task.attempt, task.stamp, "r", "w", "q", False)
        token = self._apply(WorkflowTaskDelivery, taken).token
        self._complete(token, *wanted)

    def _complete(self, token: TaskToken, *wanted: commands.Command) -> None:
        request = workflowservice.RespondWorkflowTaskCompletedRequest(commands=wanted, identity="w")
        self._apply(object, WorkflowTaskCompleted(token, request, {}))

    def tell(self, start: workflowservice.StartWorkflowExecutionRequest) -> None:
        """All seven steps."""
        self._apply(object, Start(start, {}, 0))
        self._task(SCHEDULE)
        run = self._state.current
        assert run is not None
        run_id = run.info.run_id
        pending = next(iter(run.activities.values()))
        taken = ActivityTaskStarted(run_id, pending.scheduled_event_id, 1, pending.stamp, "r", "w")
        token = self._apply(ActivityDelivery, taken).token
        target = ActivityTarget(token.activity_id, token.scheduled_event_id, token.attempt)
        self._apply(object, ActivityTaskCompleted(run_id, target, PAYLOADS, "w"))
        self._task(COMPLETE)


PAYLOADS: Final = common.Payloads(payloads=[common.Payload(metadata={"encoding": b"json/plain"}, data=b'"x"' * 10)])
SCHEDULE: Final = commands.Command(
    command_type=enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
    schedule_activity_task_command_attributes=commands.ScheduleActivityTaskCommandAttributes(
        activity_id="1",
        activity_type=common.ActivityType(name="a"),
        task_queue=taskqueue.TaskQueue(name="q"),
        input=PAYLOADS,
        start_to_close_timeout=duration_of(10 * SECOND),
    ),
)
COMPLETE: Final = commands.Command(
    command_type=enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    complete_workflow_execution_command_attributes=commands.CompleteWorkflowExecutionCommandAttributes(result=PAYLOADS),
)


def _start(number: int) -> workflowservice.StartWorkflowExecutionRequest:
    return workflowservice.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=f"wf-{number}",
        workflow_type=common.WorkflowType(name="t"),
        task_queue=taskqueue.TaskQueue(name="q"),
        input=PAYLOADS,
        request_id=f"r-{number}",
        workflow_task_timeout=duration_of(10 * SECOND),
    )


def measure(with_rows: bool) -> float:
    """Microseconds of CPU per step, the best of some rounds."""
    namespace = NamespaceView("namespace-id", "default", DAY, {}, Limits())
    starts = [_start(number) for number in range(STORIES)]
    best = float("inf")
    for _ in range(ROUNDS):
        ids = SeededIds(1)
        before = time.process_time()
        for number, start in enumerate(starts):
            Story(number, ids, namespace, with_rows).tell(start)
        best = min(best, time.process_time() - before)
    return best / STORIES / STEPS * 1e6


def main() -> None:
    """One line."""
    how = "interpreted" if (machine.__file__ or "").endswith(".py") else "compiled"
    print(f"{how}: {measure(False):.1f} µs a step, {measure(True):.1f} µs with its rows")


if __name__ == "__main__":
    main()
