"""A schedule told step by step on the pure machine, for `test_schedule*.py`.

An `Almanac` plays clock, workflows and carrier in the plainest way: it rings alarms, answers what is owed, and closes
workflows when the test says so. It decodes the encoded state after each step, so that what is not stored is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from perdure.api import common, enums, failure
from perdure.api.schedule import (
    BackfillRequest,
    IntervalSpec,
    SchedulePatch,
    ScheduleSpec,
    TriggerImmediatelyRequest,
)
from perdure.api.schedule import Schedule as Definition
from perdure.api.times import duration_of, timestamp_of
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.machines.closing_report import ExecutionClosed
from perdure.machines.entity import AlarmRang
from perdure.machines.schedule.effects import StartWorkflow, StopWorkflow
from perdure.machines.schedule.inputs import Create, Patch, StartAnswered, StopAnswered
from perdure.machines.schedule.machine import ScheduleMachine
from perdure.machines.schedule.show import info
from perdure.machines.schedule.spec import canonical
from perdure.machines.schedule.state import Schedule

from .builders import SECOND, env_at

NOON = 1_735_732_800 * SECOND
"""2025-01-01T12:00:00Z, when every almanac begins."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
COMPLETED = int(enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
FAILED = int(enums.WORKFLOW_EXECUTION_STATUS_FAILED)


def every(seconds: float, **policies: object) -> Definition:
    """A schedule with an interval, and an action that starts the workflow "job"."""
    definition = Definition(spec=ScheduleSpec(interval=[IntervalSpec(interval=duration_of(int(seconds * SECOND)))]))
    return with_action(definition, **policies)


def cron(*texts: str, zone: str = "", **policies: object) -> Definition:
    return with_action(Definition(spec=ScheduleSpec(cron_string=texts, timezone_name=zone)), **policies)


def with_action(definition: Definition, **policies: object) -> Definition:
    start = definition.action.start_workflow
    start.workflow_id = "job"
    start.workflow_type.name = "Job"
    start.task_queue.name = "queue"
    for name, value in policies.items():
        setattr(definition.policies, name, value)
    return definition


class Almanac:
    """One schedule. `now` is ns since the epoch; `started` are the starts that were answered, in order."""

    def __init__(self, definition: Definition | None = None, patch: SchedulePatch | None = None) -> None:
        self.machine = ScheduleMachine()
        self.key = ChainKey("0" * 36, Kind.SCHEDULE, "plan")
        self.ids = SeededIds(7)
        self.now = NOON
        self.state: Schedule | None = None
        self.outcome: object = None
        self.started: list[StartWorkflow] = []
        self.stopped: list[StopWorkflow] = []
        self.answering = True
        self.steps = 0
        self.refuse: Callable[[StartWorkflow], bool] = lambda _: False
        if definition is not None:
            definition.spec.CopyFrom(canonical(definition.spec))
            self.tell(Create(definition, patch, "created", b"", b""))

    @property
    def schedule(self) -> Schedule:
        assert self.state is not None
        return self.state

    def tell(self, fact: object) -> object:
        """One step, and the answers to what it owes."""
        self.step(fact)
        while self.answering and self.state is not None:
            effects = self.machine.owed(self.state)
            if not effects:
                break
            for effect in effects:
                self.answer(effect)
        return self.outcome

    def step(self, fact: object) -> None:
        """One step alone. What is not stored is lost after it."""
        before = None if self.state is None else self.state.copy()
        result = self.machine.step(self.key, self.state, fact, env_at(self.now, ids=self.ids))
        if self.state is not None:
            assert self.state == before, "a step changes nothing in place"
        self.steps += 1
        self.outcome = result.outcome
        self.state = result.after
        if result.after is not None:
            self.state = self.machine.decode(self.machine.encode(result.after))
            assert self.state == result.after

    def answer(self, effect: StartWorkflow | StopWorkflow) -> None:
        if isinstance(effect, StopWorkflow):
            self.stopped.append(effect)
            self.step(StopAnswered(effect.incarnation, effect.stop.number))
        elif self.refuse(effect):
            self.step(StartAnswered(effect.incarnation, effect.start.number, ""))
        else:
            self.started.append(effect)
            self.step(StartAnswered(effect.incarnation, effect.start.number, f"run-{effect.start.number}"))

    def patch(self, **fields: object) -> None:
        self.tell(Patch(SchedulePatch(**fields), ""))  # type: ignore[arg-type]

    def trigger(self, overlap: int = 0, at: int = 0) -> None:
        request = TriggerImmediatelyRequest(scheduled_time=timestamp_of(at or self.now))
        request.overlap_policy = overlap  # type: ignore[assignment]
        self.patch(trigger_immediately=request)

    def backfill(self, first: int, last: int, overlap: int = 0) -> None:
        request = BackfillRequest(start_time=timestamp_of(first), end_time=timestamp_of(last))
        request.overlap_policy = overlap  # type: ignore[assignment]
        self.patch(backfill_request=[request])

    def sleep(self, ns: int) -> None:
        """Time passes; every alarm rings when it is due."""
        until = self.now + ns
        while self.state is not None:
            alarm = self.machine.alarm(self.state)
            if not alarm or alarm > until:
                break
            assert alarm >= self.now, "an alarm was slept through"
            self.now = max(self.now, alarm)
            before = self.schedule
            self.tell(AlarmRang())
            assert before != self.state, "an alarm moves something"
        self.now = until

    def close(self, number: int = 0, status: int = COMPLETED, result: str = "", message: str = "") -> None:
        """A workflow ends: the one of a start, or the one that is running."""
        if not number:
            number = self.schedule.running[0].number
        effect = next(one for one in self.started if one.start.number == number)
        said = common.Payloads(payloads=[common.Payload(data=result.encode())]).SerializeToString() if result else b""
        why = failure.Failure(message=message).SerializeToString() if message else b""
        run_id = f"run-{number}"
        self.tell(ExecutionClosed(effect.token, effect.start.workflow_id, run_id, run_id, status, said, why, self.now))

    def ids_started(self) -> list[str]:
        return [one.start.workflow_id for one in self.started]

    def times_started(self) -> list[int]:
        """Nominal times since noon, seconds."""
        return [(one.start.nominal - NOON) // SECOND for one in self.started]

    def coming(self) -> list[int]:
        """Future times since noon, seconds."""
        times = info(self.schedule, self.now).future_action_times
        return [time.seconds - NOON // SECOND for time in times]
