"""Stories of strangers who start and tell at once, and of operators who pause, reset and delete. Each keeps what it was
promised, and judges that from histories read at the end.

Like `load.py` it knows the server by its RPCs only.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, final

from perdure.api import common, enums, taskqueue, workflowservice
from perdure.api.times import duration_of
from perdure.clock import SECOND
from perdure.errors import StatusCode
from perdure.testing.programs import TASK_QUEUE, payloads, value_of
from perdure.testing.update_answers import LATER, NOW
from perdure.transport.client import RpcError
from tests.sim.audit import Violation, audit_chain, audit_signals, audit_updates, signals_of
from tests.sim.deed import LOOK_S, Deed, all_runs, perhaps, until
from tests.sim.load import NAMESPACE, Story

MARGIN_S: Final = 1.5
"""What was under way when an operator was answered may still arrive for so long."""
ENDED: Final = enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


@final
class Court(Deed):
    """Two callers update a workflow and start it if need be, each of them twice at once."""

    kind = "court"

    async def act(self) -> None:
        callers = [(f"{self.workflow_id}/{name}", name) for name in (NOW, LATER)]
        answers = await asyncio.gather(*[self._call(*caller) for caller in callers * 2])
        if len({run_id for run_id, _, _ in answers}) != 1:
            raise Violation(f"B3: {self.workflow_id} was started as {answers}")
        for run_id, update_id, outcome in answers:
            self.story.run_id = run_id
            if self.story.outcomes.setdefault(update_id, outcome) != outcome:
                raise Violation(f"B12: {update_id} has two outcomes")
        await self.story.finish()
        # The same again, also when all is over.
        again = await self._call(*callers[0])
        if again[2] != self.story.outcomes[again[1]]:
            raise Violation(f"B12: {again[1]} has another outcome later")
        await all_runs(self, 1)

    async def _call(self, update_id: str, name: str) -> tuple[str, str, object]:
        await self.sleep(3.0)
        request = workflowservice.ExecuteMultiOperationRequest(namespace=NAMESPACE)
        start = request.operations.add().start_workflow
        start.namespace, start.workflow_id, start.request_id = NAMESPACE, self.workflow_id, f"{update_id}/start"
        start.workflow_type.name, start.task_queue.name = self.kind, TASK_QUEUE
        start.workflow_id_conflict_policy = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
        ask = request.operations.add().update_workflow
        ask.namespace, ask.workflow_execution.workflow_id = NAMESPACE, self.workflow_id
        ask.wait_policy.lifecycle_stage = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        ask.request.meta.update_id, ask.request.input.name = update_id, name
        while True:
            try:
                answer = await self.stage.sure("ExecuteMultiOperation", request)
            except RpcError as error:
                if error.code != StatusCode.FAILED_PRECONDITION:
                    raise
                await asyncio.sleep(LOOK_S)
                continue
            told = answer.responses[1].update_workflow
            if told.HasField("outcome"):
                return answer.responses[0].start_workflow.run_id, update_id, value_of(told.outcome.success)

    def judge(self) -> list[str]:
        events = self.histories[0]
        audit_updates(events, self.story.outcomes, 2)
        return audit_chain(self.histories)


@final
class Door(Deed):
    """Three callers signal a workflow and start it if need be; a fourth signal ends it."""

    kind = "door"

    async def act(self) -> None:
        names = [f"{self.workflow_id}/{number}" for number in range(3)]
        runs = await asyncio.gather(*[self._knock(name) for name in names])
        if len(set(runs)) != 1:
            raise Violation(f"B3: {self.workflow_id} was started as {runs}")
        self.story.run_id = runs[0]
        self.story.acknowledged += names
        await self.story.signal(f"{self.workflow_id}/last")
        await self.story.finish()
        await all_runs(self, 1)

    async def _knock(self, name: str) -> str:
        await self.sleep(3.0)
        request = workflowservice.SignalWithStartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            workflow_type=common.WorkflowType(name=self.kind),
            task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
            request_id=name,
            signal_name="news",
            signal_input=payloads(name),
            workflow_id_conflict_policy=enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        )
        run_id: str = (await self.stage.sure("SignalWithStartWorkflowExecution", request)).run_id
        return run_id


@final
class Crowd(Deed):
    """Many signals at once, while activities end: one chain with many steps between two commits."""

    kind = "crowd"

    async def act(self) -> None:
        await self.story.start()
        waves = (4, 4, 4)
        for wave, count in enumerate(waves):
            await self.sleep(2.0)
            await asyncio.gather(*[self._shout(f"{self.workflow_id}/{wave}-{number}") for number in range(count)])
        await self.story.finish()

    async def _shout(self, name: str) -> None:
        request = workflowservice.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=self.execution(),
            signal_name="news",
            input=payloads(name),
            request_id=name,
        )
        await self.stage.sure("SignalWorkflowExecution", request)
        self.story.acknowledged.append(name)
        if name not in signals_of(await self.story.events(self.story.run_id)):
            # It may wait until the running workflow task ends; then it must be counted as such.
            if await self._buffered():
                return
            if self.stage.alone and name not in signals_of(await self.story.events(self.story.run_id)):
                raise Violation(f"B9: {name} was acknowledged, and is not in the history that is read then")

    async def _buffered(self) -> bool:
        """Whether a workflow task is running, behind which events wait."""
        found = await self.describe()
        return found is not None and found.pending_workflow_task.state == enums.PENDING_WORKFLOW_TASK_STATE_STARTED


@final
class Rewritten(Deed):
    """A run is reset while it is told things, by the same request twice; then what it was made from is deleted."""

    kind = "diary"

    async def act(self) -> None:
        await self.story.start()
        base = self.story.run_id
        names = [f"{self.workflow_id}/{number}" for number in range(3)]
        reset = asyncio.ensure_future(self._reset(base))
        await asyncio.gather(*[self._note(name) for name in names])
        made = await reset
        self.story.run_id = made
        await self.story.finish()
        self.base = await self.story.events(base)
        await all_runs(self, 2)
        if self.stage.random.random() < 0.5:
            await self.delete(base)
            again = await self.story.events(made)
            if [event.SerializeToString() for event in again] != [
                event.SerializeToString() for event in self.histories[0]
            ]:
                raise Violation(f"B7: the run that shared its history with one that was deleted: {self.workflow_id}")

    async def _note(self, name: str) -> None:
        """To whichever run is current."""
        await self.sleep(8.0)
        request = workflowservice.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=common.WorkflowExecution(workflow_id=self.workflow_id),
            signal_name="news",
            input=payloads(name),
            request_id=name,
        )
        await self.stage.sure("SignalWorkflowExecution", request)
        self.story.acknowledged.append(name)

    async def _reset(self, base: str) -> str:
        async def completed() -> int:
            kinds = [event.event_type for event in await self.story.events(base)]
            done = enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            return kinds.index(done) + 1 if done in kinds else 0

        self.point: int = await until(completed)
        await self.sleep(8.0)
        request = workflowservice.ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=self.execution(base),
            reason="again",
            request_id=f"{self.workflow_id}/reset",
            workflow_task_finish_event_id=self.point,
        )
        both = await asyncio.gather(*[self.stage.sure("ResetWorkflowExecution", request) for _ in range(2)])
        if both[0].run_id != both[1].run_id:
            raise Violation(f"B3: one reset made two runs of {self.workflow_id}")
        run_id: str = both[0].run_id
        return run_id

    def judge(self) -> list[str]:
        (events,) = self.histories
        kept = [event.SerializeToString() for event in events[: self.point - 1]]
        if kept != [event.SerializeToString() for event in self.base[: self.point - 1]]:
            raise Violation(f"B21: the reset of {self.workflow_id} has another beginning")
        if events[-1].event_type != ENDED:
            raise Violation(f"{self.workflow_id} ended with {enums.EventType.Name(events[-1].event_type)}")
        audit_signals(signals_of(events), self.story.acknowledged)
        audit_signals(signals_of(self.base), [], self.story.acknowledged)
        if self.story.result.get("signals") != signals_of(events):
            raise Violation(f"B20: {self.workflow_id} did not see all its signals")
        return audit_chain([self.base]) + audit_chain([events])


@final
class Halted(Deed):
    """A workflow is paused for a while, and told things meanwhile."""

    kind = "diary"

    async def act(self) -> None:
        await self.story.start()
        await self.sleep(3.0)
        pause = workflowservice.PauseWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            run_id=self.story.run_id,
            reason="look",
            request_id=f"{self.workflow_id}/pause",
        )
        await self.stage.sure("PauseWorkflowExecution", pause)
        found = await self.describe()
        paused = enums.WORKFLOW_EXECUTION_STATUS_PAUSED
        if self.stage.alone and (found is None or found.workflow_execution_info.status != paused):
            raise Violation(f"B9: {self.workflow_id} was paused, and then it was not")
        await asyncio.gather(*[self.story.signal(f"{self.workflow_id}/{number}") for number in range(3)])
        go_on = workflowservice.UnpauseWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            run_id=self.story.run_id,
            request_id=f"{self.workflow_id}/unpause",
        )
        await perhaps(
            self.stage, "UnpauseWorkflowExecution", go_on, StatusCode.FAILED_PRECONDITION, StatusCode.NOT_FOUND
        )
        await self.story.finish()

    def judge(self) -> list[str]:
        kinds = [event.event_type for event in self.histories[0]]
        for kind in (
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
        ):
            if kinds.count(kind) != 1:
                raise Violation(f"{kinds.count(kind)} times {enums.EventType.Name(kind)} in {self.workflow_id}")
        paused = kinds.index(enums.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED)
        between = kinds[paused : kinds.index(enums.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED)]
        if enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED in between or enums.EVENT_TYPE_WORKFLOW_TASK_STARTED in between:
            raise Violation(f"{self.workflow_id} got a workflow task while it was paused")
        return self.story.judge()


@final
class Toil(Deed):
    """An activity that fails is paused, looked at, and let go on in one of several ways."""

    kind = "toil"

    async def act(self) -> None:
        await self.story.start()
        loop = asyncio.get_running_loop()
        begun = self.stage.guard.begun.setdefault(self.workflow_id, [])
        await self._operate("PauseActivity", workflowservice.PauseActivityRequest(request_id="pause"))
        paused = loop.time()
        (pending,) = await self._pending()
        if self.stage.alone and not pending.paused:
            raise Violation(f"B9: the activity of {self.workflow_id} was paused, and then it was not")
        await asyncio.sleep(self.stage.random.uniform(2.0, 12.0))
        early = [time for time in begun if time > paused + MARGIN_S]
        if early:
            raise Violation(f"the activity of {self.workflow_id} was paused at {paused} and began at {early}")
        way = self.stage.random.randrange(3)
        if way == 0:
            change = workflowservice.UpdateActivityOptionsRequest()
            change.activity_options.start_to_close_timeout.CopyFrom(duration_of(7 * SECOND))
            change.update_mask.paths.append("start_to_close_timeout")
            await self._operate("UpdateActivityOptions", change)
            (pending,) = await self._pending()
            if self.stage.alone and pending.activity_options.start_to_close_timeout.seconds != 7:
                raise Violation(f"B9: the activity of {self.workflow_id} has not its new options")
        self.stage.guard.open.add(self.workflow_id)
        if way == 1:
            await self._operate("ResetActivity", workflowservice.ResetActivityRequest())
        else:
            await self._operate("UnpauseActivity", workflowservice.UnpauseActivityRequest(reset_attempts=way == 2))
        await self.story.finish()

    async def _operate(self, method: str, request: Any) -> None:
        """As soon as there is an activity, and until the server has done it or it is over."""
        request.namespace, request.id = NAMESPACE, "toil"
        request.execution.CopyFrom(self.execution())
        while self.workflow_id not in self.stage.guard.open:
            if await perhaps(self.stage, method, request, StatusCode.NOT_FOUND) is not None:
                return
            await asyncio.sleep(LOOK_S)
        # From here on it may have ended behind an answer that was lost.
        await perhaps(self.stage, method, request, StatusCode.NOT_FOUND)

    async def _pending(self) -> list[Any]:
        found = await self.describe()
        return list(found.pending_activities) if found is not None else []


@final
class Removed(Deed):
    """A workflow is deleted, running or not, and its name is taken again."""

    kind = "diary"

    async def act(self) -> None:
        await self.story.start()
        first = self.story.run_id
        # A twin of the start may be on its way, and a run that is gone is known to nobody.
        await asyncio.sleep(2.0)
        if self.stage.random.random() < 0.5:
            await asyncio.gather(*[self.story.signal(f"gone/{number}") for number in range(3)])
        await self.delete(first)
        self.story = Story(self.stage, self.workflow_id, self.kind)

        def anew(request: workflowservice.StartWorkflowExecutionRequest) -> None:
            request.request_id = f"start {self.workflow_id} anew"

        await self.story.start(anew)
        if self.story.run_id == first:
            raise Violation(f"{self.workflow_id} was deleted, and is back")
        await asyncio.gather(*[self.story.signal(f"{self.workflow_id}/{number}") for number in range(3)])
        await self.story.finish()
        await all_runs(self, 1)
