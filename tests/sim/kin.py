"""Stories of runs that follow each other, of parents and children, of callbacks and schedules: what is between chains
happens once, whoever dies meanwhile.

Like `load.py` it knows the server by its RPCs only.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, final

from perdure.api import common, enums, history, workflowservice
from perdure.api.times import duration_of
from perdure.clock import SECOND
from perdure.errors import StatusCode
from perdure.testing.programs import TASK_QUEUE, value_of
from tests.sim.audit import Violation, audit_chain
from tests.sim.deed import Deed, all_runs, perhaps, until
from tests.sim.load import NAMESPACE, Story

ENDED: Final = enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


@final
class Clockwork(Deed):
    """A cron chain, terminated once it has run three times."""

    kind = "clockwork"

    async def act(self) -> None:
        def every(request: workflowservice.StartWorkflowExecutionRequest) -> None:
            request.cron_schedule = "@every 3s"

        await self.story.start(every)
        run_id, runs = self.story.run_id, 0
        ending: asyncio.Task[Any] | None = None
        while run_id:
            run_id, runs = await self.story.closed(run_id), runs + 1
            if runs == 3:
                # Whichever run is current by then.
                stop = workflowservice.TerminateWorkflowExecutionRequest(
                    namespace=NAMESPACE, workflow_execution=common.WorkflowExecution(workflow_id=self.workflow_id)
                )
                ending = asyncio.get_running_loop().create_task(
                    perhaps(self.stage, "TerminateWorkflowExecution", stop, StatusCode.NOT_FOUND)
                )
        if ending is not None:
            await ending
        await all_runs(self, runs)

    def judge(self) -> list[str]:
        found = audit_chain(self.histories)
        done = [events for events in self.histories if events[-1].event_type == ENDED]
        runs = [value_of(events[-1].workflow_execution_completed_event_attributes.result)["run"] for events in done]
        if runs != [*range(1, len(self.histories))] or len(runs) < 3:
            raise Violation(f"B21: the cron runs of {self.workflow_id} say that they are {runs}")
        for before, after in pairwise(self.histories):
            started = after[0].workflow_execution_started_event_attributes
            backoff = started.first_workflow_task_backoff
            if not backoff.seconds and not backoff.nanos:
                raise Violation(
                    f"B19: a cron run of {self.workflow_id} began at once after {before[-1].event_id} events"
                )
        return found


@final
class Stubborn(Deed):
    """A workflow whose runs fail until the third; who waits for it outside hears of the last one only."""

    kind = "stubborn"

    async def act(self) -> None:
        def retried(request: workflowservice.StartWorkflowExecutionRequest) -> None:
            request.retry_policy.initial_interval.CopyFrom(duration_of(SECOND))
            request.retry_policy.maximum_attempts = 5
            request.completion_callbacks.add().nexus.url = f"{self.stage.address}/{self.workflow_id}"

        await self.story.start(retried)
        await self.story.finish()
        await heard_outside(self)


@final
class Called(Deed):
    """A workflow that goes on as new, and somebody outside who hears of the end."""

    kind = "again"

    async def act(self) -> None:
        def with_callback(request: workflowservice.StartWorkflowExecutionRequest) -> None:
            request.completion_callbacks.add().nexus.url = f"{self.stage.address}/{self.workflow_id}"

        await self.story.start(with_callback)
        await self.story.finish()
        await heard_outside(self)


async def heard_outside(deed: Deed) -> None:
    """Once the callback of the last run has succeeded, what was heard, however often, is its result."""
    last = (await deed.runs())[0]

    async def succeeded() -> bool:
        found = await deed.describe(last)
        states = [one.state for one in found.callbacks] if found is not None else []
        return states == [enums.CALLBACK_STATE_SUCCEEDED]

    await until(succeeded)
    heard = deed.stage.outdoors.heard.get(f"/{deed.workflow_id}", [])
    if not heard or any(json.loads(body) != deed.story.result for body in heard):
        raise Violation(f"B21: of {deed.workflow_id} was heard {heard}, its result is {deed.story.result}")


@final
class Strangers(Deed):
    """A workflow signals another one that is not its child, and asks it to cancel itself."""

    kind = "caller"

    async def act(self) -> None:
        self.callee = Story(self.stage, f"{self.workflow_id}/callee", "callee")
        await self.callee.start()
        await self.story.start()
        await asyncio.gather(self.story.finish(), self.callee.finish())

    def judge(self) -> list[str]:
        (events,) = self.callee.histories
        kinds = [event.event_type for event in events]
        if kinds.count(enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED) != 1:
            raise Violation(f"B21: {self.workflow_id} asked its neighbour to stop, and that heard {kinds}")
        self.callee.acknowledged.append("hello")
        return self.story.judge() + self.callee.judge()


@final
class Patron(Deed):
    """A workflow whose child needs several runs: it hears of the last one only."""

    kind = "patron"

    async def act(self) -> None:
        await self.story.start()
        await self.story.finish()
        self.kid = Story(self.stage, f"{self.workflow_id}/kid", "stubborn")
        ended = [one for one in self.histories[0] if one.event_type == _CHILD_COMPLETED]
        started = [one for one in self.histories[0] if one.event_type == _CHILD_STARTED]
        if len(ended) != 1 or len(started) != 1:
            raise Violation(f"B21: the child of {self.workflow_id} started {len(started)}, ended {len(ended)} times")
        self.kid.run_id = started[0].child_workflow_execution_started_event_attributes.workflow_execution.run_id
        await self.kid.finish()

    def judge(self) -> list[str]:
        return self.story.judge() + self.kid.judge()


_CHILD_STARTED: Final = enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
_CHILD_COMPLETED: Final = enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED


@final
class Leaver(Deed):
    """A workflow that leaves as soon as its three children have started, each with a policy of its own."""

    kind = "leaver"
    kids: Final[Mapping[str, str]] = {"dropped": "hearing", "asked": "callable", "free": "quick"}

    async def act(self) -> None:
        await self.story.start()
        await self.story.finish()
        self.stories = {}
        for event in self.histories[0]:
            if event.event_type == _CHILD_STARTED:
                execution = event.child_workflow_execution_started_event_attributes.workflow_execution
                name = execution.workflow_id.removeprefix(f"{self.workflow_id}/")
                kid = self.stories[name] = Story(self.stage, execution.workflow_id, self.kids[name])
                kid.run_id = execution.run_id
        await asyncio.gather(*[kid.finish() for kid in self.stories.values()])

    def judge(self) -> list[str]:
        found = self.story.judge()
        if set(self.stories) != set(self.kids):
            raise Violation(f"B21: the children of {self.workflow_id} are {sorted(self.stories)}")
        ((*_, dropped),), (asked,) = self.stories["dropped"].histories, self.stories["asked"].histories
        if dropped.event_type != enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
            raise Violation(f"B21: {self.workflow_id} left, and its child was not terminated")
        requests = [one for one in asked if one.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED]
        if len(requests) != 1:
            raise Violation(f"B21: {self.workflow_id} left, and its child was asked {len(requests)} times to stop")
        return found + audit_chain([asked]) + self.stories["free"].judge()


@final
class Planned(Deed):
    """A schedule, each of whose actions runs for a while and goes on as new: one after the other, none lost."""

    kind = "pair"
    actions: Final = 3

    async def act(self) -> None:
        request = workflowservice.CreateScheduleRequest(
            namespace=NAMESPACE, schedule_id=self.workflow_id, request_id=f"create {self.workflow_id}"
        )
        plan = request.schedule
        plan.spec.interval.add().interval.CopyFrom(duration_of(4 * SECOND))
        plan.state.limited_actions, plan.state.remaining_actions = True, self.actions
        plan.policies.overlap_policy = enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
        plan.policies.catchup_window.CopyFrom(duration_of(3600 * SECOND))
        start = plan.action.start_workflow
        start.workflow_id, start.workflow_type.name, start.task_queue.name = "planned", self.kind, TASK_QUEUE
        start.workflow_id = f"{self.workflow_id}/job"
        await self.stage.sure("CreateSchedule", request)
        describe = workflowservice.DescribeScheduleRequest(namespace=NAMESPACE, schedule_id=self.workflow_id)

        async def over() -> bool:
            info = (await self.stage.sure("DescribeSchedule", describe)).info
            busy = bool(info.running_workflows) or info.buffer_size > 0
            return info.action_count == self.actions and not busy

        await until(over)
        self.info = (await self.stage.sure("DescribeSchedule", describe)).info
        self.jobs = []
        for action in self.info.recent_actions:
            first = action.start_workflow_result
            job = Story(self.stage, first.workflow_id, self.kind)
            job.run_id = first.run_id
            await job.finish()
            self.jobs.append(job)
        listed = workflowservice.ListWorkflowExecutionsRequest(
            namespace=NAMESPACE, query=f"TemporalScheduledById = '{self.workflow_id}'", page_size=100
        )
        runs = (await self.stage.sure("ListWorkflowExecutions", listed)).executions
        # What continues an action as new does not say whose it was.
        if len(runs) != self.actions:
            raise Violation(f"B2: {len(runs)} runs of {self.actions} actions of {self.workflow_id}")

    def judge(self) -> list[str]:
        statuses = [action.start_workflow_status for action in self.info.recent_actions]
        if statuses != [enums.WORKFLOW_EXECUTION_STATUS_COMPLETED] * self.actions:
            raise Violation(f"the actions of {self.workflow_id} ended with {statuses}")
        if len({job.workflow_id for job in self.jobs}) != self.actions:
            raise Violation(f"an action of {self.workflow_id} was taken twice")
        ends = [(_when(job.histories[0][0]), _when(job.histories[-1][-1])) for job in self.jobs]
        if self.stage.steady and any(after[0] < before[1] for before, after in pairwise(ends)):
            raise Violation(f"two actions of {self.workflow_id} ran at a time")
        return [result for job in self.jobs for result in job.judge()]


def _when(event: history.HistoryEvent) -> int:
    return event.event_time.seconds * 10**9 + event.event_time.nanos
