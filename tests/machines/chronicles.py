"""Stories of whole chains: every run's history as compact text, every step audited, more verbs than `Story` has."""

from __future__ import annotations

from typing import Any

from immutables import Map

from perdure.api import command as commands
from perdure.api import common, enums, failure, failures, query, taskqueue, update, workflowservice
from perdure.api import history as api_history
from perdure.api.times import duration_of
from perdure.errors import InvalidArgument
from perdure.machines import task_queue
from perdure.machines.env import Limits
from perdure.machines.workflow import machine
from perdure.machines.workflow.calls import Call, InvokeCallback
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.effects import Answer, Invoke, OfferTask, Send
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import AlarmRang, Input, RequestCancel, ResetSticky, Signal
from perdure.machines.workflow.needs import needs
from perdure.machines.workflow.operator_inputs import Delete
from perdure.machines.workflow.query_inputs import Query
from perdure.machines.workflow.start_inputs import Start, StartOutcome, UpdateWithStartOutcome
from perdure.machines.workflow.task_inputs import (
    WorkflowTaskCompleted,
    WorkflowTaskCompletion,
    WorkflowTaskDelivery,
    WorkflowTaskFailed,
    WorkflowTaskStarted,
)
from perdure.machines.workflow.task_token import TaskToken
from perdure.machines.workflow.update_inputs import AdmitUpdate, PollUpdate, UpdateAbandoned
from perdure.machines.workflow.updates import STAGE_COMPLETED
from tests.machines.audit import Shelf, audited_step
from tests.machines.builders import QUEUE, SECOND, Story, env_at, event_type

StartRequest = workflowservice.StartWorkflowExecutionRequest
STICKY = "sticky"

FAIL = enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL
USE_EXISTING = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE_EXISTING = enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
ALLOW_DUPLICATE = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE


class Chronicle(Story):
    """A chain whose every step is audited. Runs are called A, B, C in the order of their starts."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.shelf = Shelf()
        self.last: machine.Transition | None = None
        self.request_ids = 0
        self.calls: list[Call] = []
        """What was sent to other chains and has not come back."""
        self.invocations: list[InvokeCallback] = []
        """Completion callbacks that were sent out and have not come back."""
        self.last_waiter = 1000

    # -- the machine -----------------------------------------------------------------------------------------------

    def apply(self, fact: Input) -> object:
        """One audited step, told what it needs; an error as outcome is returned, one that changes nothing is raised."""
        fact = self.informed(fact)
        transition = audited_step(
            self.shelf, self.key, self.state, fact, env_at(self.now, self.limits, self.ids), self.ids
        )
        self.state = transition.state
        for delta in transition.deltas:
            if delta.reclaim:
                self._drop(delta.execution.info.run_id)
        self.stored = transition.stored
        self.last = transition
        for effect in transition.effects:
            if isinstance(effect, OfferTask):
                self.offers.append(effect.task)
            elif isinstance(effect, Answer):
                self.answers.append(effect)
            elif isinstance(effect, Send):
                self.calls.append(effect.call)
            elif isinstance(effect, Invoke):
                self.invocations.append(effect.call)
        if self.state.current is not None:
            self.events = self.shelf.histories[self.run_id]
        return transition.outcome

    def _drop(self, run_id: str) -> None:
        """A run is gone, and with the last one the chain."""
        state = self.state
        if self.shelf.chain is None:
            self.state = ChainState(None, Map(), Map(), Map())
        else:
            self.state = ChainState(state.chain, state.runs.delete(run_id), state.start_requests, state.start_events)

    def meet(self, run_id: str) -> None:
        """An input is about to name this run: have it in memory."""
        state = self.state
        if run_id not in state.runs:
            runs = state.runs.set(run_id, self.shelf.load(run_id))
            self.state = ChainState(state.chain, runs, state.start_requests, state.start_events)

    def delete(self, run_id: str = "") -> Chronicle:
        """DeleteWorkflowExecution, and what it owes."""
        chosen = run_id or self.run_id
        self.meet(chosen)
        self.apply(Delete(run_id))
        self.apply(AlarmRang(chosen))
        return self

    def crash(self) -> Chronicle:
        """The owner dies; the next one loads what was stored and looks at it once."""
        self.state = self.shelf.reload()
        self.offers.clear()
        self.answers.clear()
        self.calls.clear()
        self.invocations.clear()
        self.apply(AlarmRang(self.run_id))
        return self

    @property
    def runs(self) -> list[str]:
        """Run ids in the order of their starts."""
        return list(self.shelf.histories)

    def run(self, letter: str) -> Execution:
        """Run A, B ... of this story."""
        return self.state.runs[self.runs["ABCDEFGH".index(letter)]]

    def letter(self, run_id: str) -> str:
        """What a run is called in this story."""
        return "ABCDEFGH"[self.runs.index(run_id)]

    # -- the client ------------------------------------------------------------------------------------------------

    def start_request(self, **fields: Any) -> StartRequest:
        """A start as the frontend hands it over; times in seconds."""
        request = StartRequest(
            workflow_id="wf",
            workflow_type=common.WorkflowType(name="Wf"),
            task_queue=taskqueue.TaskQueue(name=QUEUE, kind=enums.TASK_QUEUE_KIND_NORMAL),
            workflow_id_conflict_policy=FAIL,
            workflow_id_reuse_policy=ALLOW_DUPLICATE,
            identity="starter",
        )
        for name in ("run", "execution", "task"):
            seconds = fields.pop(f"{name}_timeout", None)
            if seconds is not None:
                getattr(request, f"workflow_{name}_timeout").CopyFrom(duration_of(int(seconds * SECOND)))
        retry = fields.pop("retry", None)
        if retry is not None:
            request.retry_policy.CopyFrom(retry)
        self.request_ids += 1
        request.request_id = fields.pop("request_id", f"request-{self.request_ids}")
        for name, value in fields.items():
            if hasattr(value, "CopyFrom"):
                getattr(request, name).CopyFrom(value)
            elif isinstance(value, list):
                getattr(request, name).extend(value)
            else:
                setattr(request, name, value)
        return request

    def begin(
        self,
        delay: float = 0,
        search_attributes: dict[str, bytes] | None = None,
        parent: Parent | None = None,
        **fields: Any,
    ) -> StartOutcome:
        """StartWorkflowExecution, or a child's start."""
        request = self.start_request(**fields)
        for name, body in (search_attributes or {}).items():
            request.search_attributes.indexed_fields[name].MergeFromString(body)
        root = (parent.workflow_id, parent.run_id) if parent is not None else ("", "")
        fact = Start(request, search_attributes or {}, int(delay * SECOND), parent=parent, root=root)
        return self.expect(StartOutcome, fact)

    def signal_with_start(
        self, name: str = "go", request_id: str = "", delay: float = 0, **fields: Any
    ) -> StartOutcome:
        """SignalWithStartWorkflowExecution."""
        fields.setdefault("workflow_id_conflict_policy", USE_EXISTING)
        if request_id:
            fields["request_id"] = request_id
        request = self.start_request(**fields)
        signal = Signal("", api_history.WorkflowExecutionSignaledEventAttributes(signal_name=name), request.request_id)
        return self.expect(StartOutcome, Start(request, {}, int(delay * SECOND), signal))

    def informed(self, fact: Input) -> Input:
        """Look up what the step needs, as the engine does, on the shelf."""
        while True:
            missing = needs(self.state, fact, self.now)
            if missing is None:
                return fact
            state = self.state
            requests, events, runs = state.start_requests, state.start_events, state.runs
            histories = state.histories
            if missing.history:
                known_events = api_history.History(events=self.shelf.histories[missing.run_id])
                histories = histories.set(missing.run_id, known_events.SerializeToString())
            elif missing.state:
                runs = runs.set(missing.run_id, self.shelf.load(missing.run_id))
            elif missing.start_request:
                requests = requests.set(missing.start_request, self.shelf.requests.get(missing.start_request, ""))
            elif missing.update_id:
                execution = runs[missing.run_id].fork()
                event_id = self.shelf.completed_updates(execution).get(missing.update_id, 0)
                execution.completed_updates = execution.completed_updates.set(missing.update_id, event_id)
                runs = runs.set(missing.run_id, execution)
            elif missing.signal_id:
                execution = runs[missing.run_id].fork()
                known = missing.signal_id in self.shelf.signal_ids(execution)
                execution.signal_ids = execution.signal_ids.set(missing.signal_id, known)
                runs = runs.set(missing.run_id, execution)
            else:
                first = self.shelf.histories[missing.run_id][0].SerializeToString()
                events = events.set(missing.run_id, first)
            self.state = type(state)(state.chain, runs, requests, events, histories)

    def signal(self, name: str = "go", request_id: str = "", run_id: str = "") -> Chronicle:
        attributes = api_history.WorkflowExecutionSignaledEventAttributes(signal_name=name)
        self.apply(Signal(run_id, attributes, request_id))
        return self

    def request_cancel(self, first_run_id: str = "", reason: str = "") -> Chronicle:
        attributes = api_history.WorkflowExecutionCancelRequestedEventAttributes(cause=reason)
        self.apply(RequestCancel("", first_run_id, attributes, "cancel"))
        return self

    def reset_sticky(self) -> Chronicle:
        self.apply(ResetSticky(""))
        return self

    def ask(
        self, query_id: str, reject: int = enums.QUERY_REJECT_CONDITION_NONE, deadline: float = 30, waiter: int = 1
    ) -> object:
        """QueryWorkflow."""
        body = query.WorkflowQuery(query_type=query_id).SerializeToString()
        return self.apply(Query("", query_id, body, reject, waiter, self.now + int(deadline * SECOND)))

    def update(self, update_id: str = "u", stage: int = STAGE_COMPLETED, run_id: str = "", first: str = "") -> object:
        """UpdateWorkflowExecution; `last_waiter` is the number of its caller."""
        self.last_waiter += 1
        request = update_request(update_id)
        return self.apply(self.informed(AdmitUpdate(run_id, first, update_id, request, stage, self.last_waiter)))

    def poll_update(self, update_id: str = "u", stage: int = STAGE_COMPLETED, run_id: str = "") -> object:
        """PollWorkflowExecutionUpdate."""
        self.last_waiter += 1
        return self.apply(self.informed(PollUpdate(run_id, update_id, stage, self.last_waiter)))

    def abandon_update(self, waiter: int, update_id: str = "u", run_id: str = "") -> object:
        """A caller of an update has gone."""
        return self.apply(self.informed(UpdateAbandoned(run_id, update_id, waiter)))

    def update_with_start(self, update_id: str = "u", **fields: Any) -> UpdateWithStartOutcome:
        """ExecuteMultiOperation."""
        self.last_waiter += 1
        ask = AdmitUpdate("", "", update_id, update_request(update_id), STAGE_COMPLETED, self.last_waiter)
        start = Start(self.start_request(**fields), {}, 0, update=ask)
        return self.expect(UpdateWithStartOutcome, self.informed(start))

    def heard(self, waiter: int) -> object:
        """What a caller was told, None while it waits. Nobody is told twice."""
        found = [answer.outcome for answer in self.answers if answer.waiter == waiter]
        assert len(found) < 2, "a caller was told twice"
        return found[0] if found else None

    def wait(self, seconds: float) -> Chronicle:
        """Time passes, and whatever falls due on the way happens at its own time."""
        super().wait(seconds)
        return self

    def ring(self) -> Chronicle:
        super().ring()
        return self

    # -- the worker ------------------------------------------------------------------------------------------------

    def started_fact(self, request_id: str = "poll") -> WorkflowTaskStarted:
        """A poller is about to get the pending workflow task; it leaves the offers."""
        task = next(t for t in reversed(self.offers) if t.queue.type == task_queue.WORKFLOW)
        self.offers = [t for t in self.offers if t.queue.type != task_queue.WORKFLOW]
        return WorkflowTaskStarted(
            task.run_id,
            task.scheduled_event_id,
            task.attempt,
            task.stamp,
            request_id,
            "worker",
            task.queue.name,
            task.queue.sticky,
        )

    def take(self) -> WorkflowTaskDelivery:
        """Poll a workflow task."""
        delivery = self.expect(WorkflowTaskDelivery, self.started_fact())
        self.token = delivery.token
        return delivery

    def respond(self, *wanted: commands.Command, **fields: Any) -> object:
        """RespondWorkflowTaskCompleted, whatever comes of it. `sticky` seconds keep the worker's own queue."""
        assert self.token is not None, "the worker has no workflow task"
        request = workflowservice.RespondWorkflowTaskCompletedRequest(commands=wanted, identity="worker")
        search_attributes = fields.pop("search_attributes", {})
        sticky = fields.pop("sticky", None)
        if sticky is not None:
            request.sticky_attributes.worker_task_queue.name = STICKY
            request.sticky_attributes.schedule_to_start_timeout.CopyFrom(duration_of(int(sticky * SECOND)))
        for query_id, result in fields.pop("query_results", {}).items():
            request.query_results[query_id].CopyFrom(result)
        request.messages.extend(fields.pop("messages", ()))
        for name, value in fields.items():
            if hasattr(value, "CopyFrom"):
                getattr(request, name).CopyFrom(value)
            else:
                setattr(request, name, value)
        outcome = self.apply(self.informed(WorkflowTaskCompleted(self.token, request, search_attributes)))
        if isinstance(outcome, WorkflowTaskCompletion) and outcome.workflow_task is not None:
            self.token = outcome.workflow_task.token
        return outcome

    def complete(self, *wanted: commands.Command, **fields: object) -> WorkflowTaskCompletion:
        outcome = self.respond(*wanted, **fields)
        assert isinstance(outcome, WorkflowTaskCompletion), outcome
        return outcome

    def rejected(self, *wanted: commands.Command, **fields: Any) -> str:
        """The completion must fail the task; returns what the worker is told."""
        outcome = self.respond(*wanted, **fields)
        assert isinstance(outcome, InvalidArgument), outcome
        return outcome.message

    def turn(self, *wanted: commands.Command, **fields: Any) -> Chronicle:
        """Poll a workflow task and complete it."""
        self.take()
        self.complete(*wanted, **fields)
        return self

    def fail_task(
        self,
        cause: int = enums.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        token: TaskToken | None = None,
        reason: failure.Failure | None = None,
    ) -> Chronicle:
        """RespondWorkflowTaskFailed."""
        token = token or self.token
        assert token is not None
        request = workflowservice.RespondWorkflowTaskFailedRequest(identity="worker", failure=reason)
        request.cause = cause  # type: ignore[assignment]  # plain numbers
        self.apply(WorkflowTaskFailed(token, request))
        return self

    # -- what is told ----------------------------------------------------------------------------------------------

    def history(self, letter: str = "", after: int = 0) -> list[str]:
        """A run's history as text (the current run's by default), one line an event."""
        run_id = self.runs["ABCDEFGH".index(letter)] if letter else self.run_id
        return [self.line(event) for event in self.shelf.histories[run_id] if event.event_id > after]

    def line(self, event: api_history.HistoryEvent) -> str:
        """ "4 WorkflowTaskCompleted(scheduled 2, started 3)"."""
        name = event.WhichOneof("attributes")
        assert name is not None
        attributes = getattr(event, name)
        told = [text for field in _TOLD if (text := self._told(attributes, field))]
        return f"{event.event_id} {event_type(event)}" + (f"({', '.join(told)})" if told else "")

    def _told(self, attributes: Any, field: str) -> str:
        if field not in attributes.DESCRIPTOR.fields_by_name:
            return ""
        value = getattr(attributes, field)
        if field == "task_queue":
            return f"on {value.name}" if value.kind == enums.TASK_QUEUE_KIND_STICKY else ""
        if field == "attempt" and value == 1:
            return ""
        if not value or hasattr(value, "CopyFrom"):
            return ""
        enum = attributes.DESCRIPTOR.fields_by_name[field].enum_type
        if enum is not None:
            if value not in enum.values_by_number:
                return str(value)
            text: str = enum.values_by_number[value].name
            return "".join(word.capitalize() for word in text.removeprefix(_PREFIXES[field]).split("_"))
        if field.endswith("_run_id"):
            return f"{_TOLD[field]} {self.letter(value)}" if value in self.runs else ""
        return f"{_TOLD[field]} {value}".strip()


_TOLD = {
    "activity_id": "",
    "timer_id": "",
    "signal_name": "",
    "marker_name": "",
    "scheduled_event_id": "scheduled",
    "started_event_id": "started",
    "latest_cancel_requested_event_id": "requested",
    "workflow_task_completed_event_id": "completed",
    "task_queue": "on",
    "attempt": "attempt",
    "initiator": "",
    "cause": "",
    "timeout_type": "",
    "retry_state": "",
    "reason": "",
    "continued_execution_run_id": "continues",
    "new_execution_run_id": "next",
    "attached_request_id": "attached",
    "protocol_instance_id": "",
    "accepted_request_sequencing_event_id": "after",
    "accepted_event_id": "accepted",
}
"""Which fields of an event are told, in this order, and how they are called."""
_PREFIXES = {
    "initiator": "CONTINUE_AS_NEW_INITIATOR_",
    "cause": "WORKFLOW_TASK_FAILED_CAUSE_",
    "timeout_type": "TIMEOUT_TYPE_",
    "retry_state": "RETRY_STATE_",
}


def idle(*wanted: commands.Command, limits: Limits | None = None, **fields: Any) -> Chronicle:
    """A run whose first workflow task was completed with these commands."""
    story = Chronicle(limits)
    story.begin(**fields)
    return story.turn(*wanted)


def busy(limits: Limits | None = None, **fields: Any) -> Chronicle:
    """A run whose first workflow task is on the worker."""
    story = Chronicle(limits)
    story.begin(**fields)
    story.take()
    return story


# -- commands ----------------------------------------------------------------------------------------------------------


def payload(text: str) -> common.Payload:
    return common.Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def fail_workflow(reason: failure.Failure | None = None) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION)
    command.fail_workflow_execution_command_attributes.failure.CopyFrom(
        reason or failures.application_failure("boom", "Kind")
    )
    return command


def cancel_workflow() -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION)
    command.cancel_workflow_execution_command_attributes.SetInParent()
    return command


def continue_as_new(**fields: Any) -> commands.Command:
    attributes = commands.ContinueAsNewWorkflowExecutionCommandAttributes(**fields)
    return commands.Command(
        command_type=enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
        continue_as_new_workflow_execution_command_attributes=attributes,
    )


def record_marker(name: str) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_RECORD_MARKER)
    command.record_marker_command_attributes.marker_name = name
    command.record_marker_command_attributes.details["data"].payloads.add().CopyFrom(payload('"x"'))
    return command


def upsert_search_attributes(**values: str) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
    attributes = command.upsert_workflow_search_attributes_command_attributes
    for name, text in values.items():
        attributes.search_attributes.indexed_fields[name].CopyFrom(payload(text))
    return command


def modify_memo(**values: str) -> commands.Command:
    command = commands.Command(command_type=enums.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES)
    attributes = command.modify_workflow_properties_command_attributes
    for name, text in values.items():
        attributes.upserted_memo.fields[name].CopyFrom(payload(text))
    return command


def update_request(update_id: str) -> bytes:
    """The request of an update."""
    request = update.Request(meta=update.Meta(update_id=update_id), input=update.Input(name="change"))
    return request.SerializeToString()


def answered(text: str) -> query.WorkflowQueryResult:
    """A worker's answer to a query."""
    return query.WorkflowQueryResult(
        result_type=enums.QUERY_RESULT_TYPE_ANSWERED, answer=common.Payloads(payloads=[payload(text)])
    )
