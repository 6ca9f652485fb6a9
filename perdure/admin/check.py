"""The integrity of a store: whether its rows fit together as the stores' and the machines' rules say.

Every chain is itself, has its runs and is in its slot; every run decodes, has a history without gaps, an alarm that is
not too late, and a visibility record that says the same; nothing lies about that belongs to nobody. It repairs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, final

from perdure.admin import export, find, recorded
from perdure.api.splice import first_event_id, split_events
from perdure.errors import NotFound
from perdure.ids import ChainKey, Kind, slot_of, uuid_text
from perdure.machines.workflow import alarm, codec
from perdure.machines.workflow.execution import Execution
from perdure.store.inspect import Inspection, StoredChain, StoredRun

Report = Callable[[str], None]
"""Takes a sentence about something that is wrong."""


@final
class Checked:
    """How much was looked at, and what was wrong with it."""

    def __init__(self) -> None:
        self.chains = 0
        self.runs = 0
        self.entities = 0
        self.events = 0
        self.problems: list[str] = []


def check(store: Inspection, deep: bool = False) -> Checked:
    """Look at everything, with `deep` at every event. Raises StoreError when the store cannot be read."""
    store.schema()
    checked = Checked()
    known = find.namespaces(store, checked.problems.append)
    runs_by_chain: Counter[bytes] = Counter()
    named: set[bytes] = set()
    for row in store.runs():
        runs_by_chain[row.digest] += 1
        chain = store.chain(row.digest)
        if chain is None:
            checked.problems.append(f"run {uuid_text(row.run_id)} belongs to no chain")
        elif find.is_entity(chain):
            checked.entities += 1
            _guarded(_entity, store, row, chain, known, checked)
        else:
            checked.runs += 1
            _guarded(_run, store, row, chain, checked, named)
            if deep:
                _guarded(_recorded, store, row, checked)
    for chain in store.chains():
        checked.chains += 1
        _guarded(_chain, store, chain, runs_by_chain[chain.digest], known, checked)
    for branch in store.branches():
        if branch not in named:
            checked.problems.append(f"history branch {branch.hex()} is named by no run")
    for key in store.unseen():
        checked.problems.append(f"the visibility record of {uuid_text(key)} has no run")
    counted, there = store.counters()
    # What is damaged may be of any type.
    for what in sorted(counted.keys() | there.keys(), key=repr):
        if counted.get(what, 0) != there.get(what, 0):
            shown = ", ".join([repr(one) for one in what])
            numbers = f"a list counts {counted.get(what, 0)} executions and has {there.get(what, 0)}"
            checked.problems.append(f"{numbers}: {shown}")
    nowhere, bare = store.index_faults()
    if nowhere:
        checked.problems.append(f"{nowhere} entries of the index of lists lead nowhere")
    if bare:
        checked.problems.append(f"{bare} visibility records are not in the index of lists")
    strays = store.stray_parts()
    if strays:
        checked.problems.append(f"{strays} parts belong to no run and no chain")
    return checked


def _guarded(look: Callable[..., None], store: Inspection, row: Any, *rest: Any) -> None:
    """A row that cannot be decoded is a problem, not the end."""
    checked = next(one for one in rest if isinstance(one, Checked))
    try:
        look(store, row, *rest)
    except Exception as error:  # noqa: BLE001 - damaged bytes break the decoders' assumptions in any way
        checked.problems.append(f"{_called(row)} cannot be read: {type(error).__name__}: {error}")


def _called(row: StoredChain | StoredRun) -> str:
    if isinstance(row, StoredRun):
        return f"{'entity' if row.run_id == row.digest else 'run'} {uuid_text(row.run_id)}"
    return f"chain {row.digest.hex()}"


def _chain(store: Inspection, row: StoredChain, runs: int, known: dict[str, str], checked: Checked) -> None:
    report = checked.problems.append
    if row.slot != slot_of(row.digest):
        report(f"{_called(row)} is in slot {row.slot}, not in {slot_of(row.digest)}")
    if find.is_entity(row):
        if runs != 1:
            report(f"{_called(row)} has {runs} rows, not one")
        return
    chain = find.decoded_chain(row)
    name = f"workflow {chain.workflow_id!r}"
    if ChainKey(chain.namespace_id, Kind.WORKFLOW, chain.workflow_id).digest != row.digest:
        report(f"{name} has another chain's digest")
    if chain.namespace_id not in known:
        report(f"{name} is in namespace {chain.namespace_id}, which is not there")
    if chain.run_count != runs:
        report(f"{name} counts {chain.run_count} runs and has {runs}")
    if row.current_run_id and store.run(row.current_run_id) is None:
        report(f"{name} has a current run {uuid_text(row.current_run_id)} that is not there")


def _entity(_: Inspection, row: StoredRun, chain: StoredChain, known: dict[str, str], checked: Checked) -> None:
    report = checked.problems.append
    found = find.entity(chain, row)
    name = f"{Kind(found.kind).name.lower()} {found.id!r}"
    if ChainKey(found.namespace_id, found.kind, found.id).digest != chain.digest:
        report(f"{name} has another chain's digest")
    if found.namespace_id not in known:
        report(f"{name} is in namespace {found.namespace_id}, which is not there")
    machine = find.MACHINES.get(found.kind)
    if machine is None or found.state is None:
        return
    if machine.owed(found.state):
        if row.alarm_ns is None:
            report(f"{name} owes something and has no alarm")
    elif machine.alarm(found.state) and (row.alarm_ns or alarm.NEVER) > machine.alarm(found.state):
        report(f"{name} has its alarm too late")


def _run(store: Inspection, row: StoredRun, chain: StoredChain, checked: Checked, named: set[bytes]) -> None:
    report = checked.problems.append
    execution = find.decoded_run(store, row)
    info = execution.info
    name = f"run {info.run_id} of workflow {info.workflow_id!r}"
    if info.run_id != uuid_text(row.run_id):
        report(f"{name} is stored under {uuid_text(row.run_id)}")
    if codec.decode_chain(chain.core, chain.version).workflow_id != info.workflow_id:
        report(f"{name} is in the chain of another workflow")
    if row.slot != chain.slot:
        report(f"{name} is in slot {row.slot}, its chain in {chain.slot}")
    named.update([branch for branch, _ in execution.branches])
    checked.events += _history(store, execution, name, report)
    alarm.settle(execution)
    due = alarm.durable_alarm(execution)
    if (row.alarm_ns or alarm.NEVER) > due:
        report(f"{name} is due at {due} and has its alarm at {row.alarm_ns}")
    shown = store.visibility(row.run_id)
    if shown is None:
        report(f"{name} has no visibility record")
    elif (shown.namespace_id, shown.workflow_id) != (info.namespace_id, info.workflow_id):
        report(f"{name} is listed as workflow {shown.workflow_id!r} of namespace {shown.namespace_id}")
    elif shown.status != execution.status:
        report(f"{name} has status {execution.status} and is listed with {shown.status}")


def _recorded(store: Inspection, row: StoredRun, checked: Checked) -> None:
    """The state beside the history, where that is whole."""
    execution = find.decoded_run(store, row)
    if execution.operations.reclaimed:
        return
    try:
        events = export.history(store, execution).events
    except NotFound:
        return
    name = f"run {execution.info.run_id} of workflow {execution.info.workflow_id!r}"
    checked.problems += [f"{name} {difference}" for difference in recorded.differences(execution, events)]


def _history(store: Inspection, execution: Execution, name: str, report: Report) -> int:
    """Whether the history is whole, from the first event to the last; how many events it has."""
    position = 1
    for branch, bound in execution.branches:
        last = bound or execution.next_event_id - 1
        for fragment in store.history(branch):
            if fragment.first_event_id > last or fragment.next_event_id <= position:
                continue
            if fragment.first_event_id > position:
                if execution.operations.reclaimed < fragment.first_event_id - 1:
                    report(f"{name} misses events {position} to {fragment.first_event_id - 1}")
                position = fragment.first_event_id
            _fragment(fragment.first_event_id, fragment.next_event_id, fragment.body, name, report)
            position = min(fragment.next_event_id, last + 1)
    if position < execution.next_event_id and execution.operations.reclaimed < execution.next_event_id - 1:
        report(f"{name} misses events {position} to {execution.next_event_id - 1}")
    return execution.next_event_id - 1


def _fragment(first: int, following: int, body: bytes, name: str, report: Report) -> None:
    try:
        events = split_events(body)
    except ValueError as error:
        report(f"{name} has events from {first} on that cannot be read: {error}")
        return
    if len(events) != following - first or first_event_id(body) != first:
        report(f"{name} has {len(events)} events in the place of {first} to {following - 1}")
