"""Several chains that send each other calls, on the pure machine: parents, children, strangers.

A `Family` plays the carrier of calls in the plainest way: `carry` brings one there and its answer back, and a test may
lose either way, repeat it, or let an owner die in between. Every step of every chain is audited.
"""

from __future__ import annotations

from typing import Any

from immutables import Map

from perdure.api import command as commands
from perdure.api import enums, history
from perdure.errors import NotFound, ServiceError, Unavailable
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.machines.closing_report import ExecutionClosed
from perdure.machines.env import Limits
from perdure.machines.workflow import outbound
from perdure.machines.workflow.calls import Call
from perdure.machines.workflow.exchange import CallUndelivered
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import AlarmRang, Input
from tests.machines.builders import T0
from tests.machines.chronicles import Chronicle

TERMINATE = enums.PARENT_CLOSE_POLICY_TERMINATE
REQUEST_CANCEL = enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL
ABANDON = enums.PARENT_CLOSE_POLICY_ABANDON


class Relative(Chronicle):
    """One chain of a family."""

    def __init__(self, family: Family, workflow_id: str, seed: int, limits: Limits | None) -> None:
        super().__init__(limits)
        self.family = family
        self.key = ChainKey("namespace-id", Kind.WORKFLOW, workflow_id)
        self.ids = SeededIds(seed)

    def start_request(self, **fields: Any) -> Any:
        return super().start_request(**({"workflow_id": self.key.id} | fields))

    def apply(self, fact: Input) -> object:
        """One audited step at the family's time, with the runs that it names."""
        self.now = self.family.now
        self._load(fact.run_id)
        if self.state.chain is None:
            return self._first(fact)
        return super().apply(fact)

    def _first(self, fact: Input) -> object:
        outcome = super().apply(fact) if type(fact).__name__ == "Start" else None
        if outcome is None:
            raise NotFound("workflow not found for ID: " + self.key.id)
        return outcome

    def _load(self, run_id: str) -> None:
        if run_id and run_id not in self.state.runs and run_id in self.shelf.cores:
            state = self.state
            runs = state.runs.set(run_id, self.shelf.load(run_id))
            self.state = type(state)(state.chain, runs, state.start_requests, state.start_events)

    def die(self) -> None:
        """The owner dies; the next one looks at every run whose alarm says so."""
        if self.shelf.chain is None:
            return
        self.offers.clear()
        self.invocations.clear()
        self.forget()
        for run_id, (_, _, due) in list(self.shelf.cores.items()):
            if due and due <= self.family.now:
                self.apply(AlarmRang(run_id))

    def forget(self) -> None:
        """What stands in the store is all that is known, and calls have left."""
        self.calls.clear()
        self.state = self.shelf.reload()
        self.state = type(self.state)(self.state.chain, self.state.runs, Map(), Map())

    def kinds(self, letter: str = "") -> list[str]:
        """The event types of a run, the current one by default, shortened."""
        run_id = self.runs["ABCDEFGH".index(letter)] if letter else self.run_id
        return [name_of(event) for event in self.shelf.histories[run_id]]


class Ledger:
    """An entity that starts workflows and wants to know how they end. It may be out of reach for a while."""

    def __init__(self) -> None:
        self.told: list[ExecutionClosed] = []
        self.reachable = True

    def apply(self, fact: ExecutionClosed) -> object:
        """Note what is told."""
        if not self.reachable:
            raise Unavailable("not now")
        self.told.append(fact)
        return None

    def statuses(self) -> list[tuple[str, int]]:
        """(token, status) of everything told, without repetitions."""
        seen = {(fact.token, fact.run_id): fact.status for fact in self.told}
        return [(token, status) for (token, _), status in seen.items()]


def entity_key(id: str) -> ChainKey:
    """The key of an entity that is no workflow."""
    return ChainKey("namespace-id", 2, id)


class Family:
    """Chains by workflow id; they share a clock."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = T0
        self.limits = limits
        self.relatives: dict[str, Relative] = {}
        self.entities: dict[ChainKey, Ledger] = {}

    def member(self, workflow_id: str) -> Relative:
        """The chain of that id, started or not."""
        found = self.relatives.get(workflow_id)
        if found is None:
            found = Relative(self, workflow_id, len(self.relatives) + 7, self.limits)
            self.relatives[workflow_id] = found
        return found

    def calls(self) -> list[Call]:
        """Everything under way."""
        return [call for relative in list(self.relatives.values()) for call in relative.calls]

    def ask(self, call: Call) -> Input | None:
        """Bring a call to its receiver; returns the answer, None when there is no definite one."""
        event = self.event_of(call)
        asked = outbound.request(call, event)
        if isinstance(asked, Input):
            return asked
        target, fact = asked
        outcome: object
        try:
            if isinstance(fact, ExecutionClosed):
                outcome = self._entity(target).apply(fact)
            else:
                outcome = self.member(target.id).apply(fact)
        except ServiceError as error:
            outcome = error
        return outbound.answer(call, event, outcome)

    def entity(self, id: str) -> Ledger:
        """An entity of another kind, which is there from now on."""
        return self.entities.setdefault(entity_key(id), Ledger())

    def _entity(self, key: ChainKey) -> Ledger:
        found = self.entities.get(key)
        if found is None:
            raise NotFound("no such entity")
        return found

    def event_of(self, call: Call) -> history.HistoryEvent | None:
        if not call.event_id:
            return None
        return self.member(call.sender.chain.id).shelf.histories[call.sender.run_id][call.event_id - 1]

    def tell(self, call: Call, answer: Input | None) -> None:
        """Bring an answer, or the lack of one, back to the sender."""
        sender = self.member(call.sender.chain.id)
        if call in sender.calls:
            sender.calls.remove(call)
        sender.apply(answer if answer is not None else CallUndelivered(call.sender.run_id, call.sender.item))

    def carry(self, call: Call) -> None:
        """There and back."""
        self.tell(call, self.ask(call))

    def settle(self) -> None:
        """Carry everything until nothing is under way."""
        for _ in range(1000):
            under_way = self.calls()
            if not under_way:
                return
            self.carry(under_way[0])
        raise AssertionError("calls never come to rest")


def name_of(event: history.HistoryEvent) -> str:
    """`CHILD_STARTED` for EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED."""
    name = enums.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
    return name.replace("WORKFLOW_EXECUTION_", "").replace("WORKFLOW_TASK_", "TASK_")


def start_child(workflow_id: str = "kid", **fields: Any) -> commands.Command:
    """START_CHILD_WORKFLOW_EXECUTION."""
    command = commands.Command(command_type=enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION)
    attributes = command.start_child_workflow_execution_command_attributes
    attributes.workflow_id = workflow_id
    attributes.workflow_type.name = "Kid"
    for name, value in fields.items():
        if hasattr(value, "CopyFrom"):
            getattr(attributes, name).CopyFrom(value)
        else:
            setattr(attributes, name, value)
    return command


def signal_external(workflow_id: str = "other", run_id: str = "", child_only: bool = False) -> commands.Command:
    """SIGNAL_EXTERNAL_WORKFLOW_EXECUTION."""
    command = commands.Command(command_type=enums.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION)
    attributes = command.signal_external_workflow_execution_command_attributes
    attributes.execution.workflow_id = workflow_id
    attributes.execution.run_id = run_id
    attributes.signal_name = "hello"
    attributes.child_workflow_only = child_only
    return command


def cancel_external(workflow_id: str = "other", child_only: bool = False) -> commands.Command:
    """REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION."""
    command = commands.Command(command_type=enums.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION)
    attributes = command.request_cancel_external_workflow_execution_command_attributes
    attributes.workflow_id = workflow_id
    attributes.child_workflow_only = child_only
    return command


def with_child(limits: Limits | None = None, **fields: Any) -> tuple[Family, Relative, Relative]:
    """A family of a parent that has asked for a child, whose start is under way."""
    family = Family(limits)
    parent = family.member("wf")
    parent.begin()
    parent.turn(start_child(**fields))
    return family, parent, family.member("kid")


def current(relative: Relative) -> Execution:
    """The current run of a chain."""
    return relative.execution
