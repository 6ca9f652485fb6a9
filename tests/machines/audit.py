"""What must hold after every step of the workflow machine, whatever the story: an auditor that shares no code with it.

It keeps a shelf of rows as a store would, folds histories, and looks for what is owed by scanning the whole state.
"""

from __future__ import annotations

import copy

from immutables import Map

from perdure.api import enums, history
from perdure.api.splice import split_events
from perdure.ids import ChainKey, SeededIds, uuid_text
from perdure.machines.deadlines import Deadline
from perdure.machines.env import Env
from perdure.machines.pieces import whole
from perdure.machines.workflow import alarm, codec, machine, weight
from perdure.machines.workflow import apply as recorded
from perdure.machines.workflow.activity_task import TRAVEL_GRACE
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.child import Child
from perdure.machines.workflow.draft import RunDraft
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import AlarmRang, Input
from perdure.machines.workflow.operator_inputs import ResetActivity, UpdateActivityOptions
from perdure.machines.workflow.parts import PART_COMPLETED_UPDATE, PART_SIGNAL_ID
from perdure.machines.workflow.pending_activity import Activity

Tuned = tuple[str, int, str]
"""Run, scheduled event, and "options" or "priority" of an activity that an operator has changed; no event tells."""
NEVER = 1 << 70
KEYED_FROM = 128
"""Part kinds from here on are not loaded with the run."""
_VOLATILE = (
    "queries",
    "unsent",
    "parts_unread",
    "confirmed",
    "forgotten",
    "deadlines",
    "owed",
    "offered",
    "encoded",
    "version",
    "alarm",
    "signal_ids",
    "updates",
)
_KEYED = ("completed_updates",)
_STICKINESS = ("sticky_queue", "sticky_timeout")
"""Stored with the next step that stores anything: what happens to a speculative task costs no write of its own."""
_UNRECORDED = ("TemporalReportedProblems", "TemporalPauseInfo")


# -- views -------------------------------------------------------------------------------------------------------------


def frozen(value: object, leave_out: tuple[str, ...] = ()) -> object:
    """A deep copy in plain tuples, to compare; objects become (class name, field, ...) without the fields left out."""
    if isinstance(value, Map):
        return tuple(sorted((repr(key), frozen(item, leave_out)) for key, item in value.items()))
    if isinstance(value, Deadline):
        return tuple(sorted(entries(value)))
    if isinstance(value, tuple):
        return tuple(frozen(item, leave_out) for item in value)
    if isinstance(value, Exception):
        return (type(value).__name__, str(value))
    # Compiled classes know their fields by another name.
    slots = getattr(type(value), "__slots__", None) or getattr(type(value), "__mypyc_attrs__", None)
    if slots is None or isinstance(value, bytes | str | int | float):
        return value
    return (
        type(value).__name__,
        *((name, frozen(getattr(value, name), leave_out)) for name in slots if name not in leave_out),
    )


def entries(heap: Deadline | None) -> list[tuple[int, int, int]]:
    """Every entry of a queue of deadlines."""
    if heap is None:
        return []
    return [(heap.when, heap.kind, heap.key), *entries(heap.left), *entries(heap.right)]


def stored_view(execution: Execution, leave_out: tuple[str, ...] = ()) -> object:
    """The run without what a crash takes."""
    shown = execution
    if execution.task is not None and execution.task.speculative:
        shown = execution.fork()
        shown.task = None
    updates = [(u.update_id, u.accepted_event_id, u.admitted_event) for u in execution.updates if u.recorded]
    return frozen(shown, (*_VOLATILE, *_KEYED, *leave_out)), updates


def recorded_view(execution: Execution, tuned: set[Tuned]) -> dict[str, object]:
    """What history alone determines; of a closed run, what still matters. What is `tuned` is left out."""
    run_id = execution.info.run_id
    view: dict[str, object] = {
        "status": execution.status,
        "close_time": execution.close_time,
        "ever scheduled": execution.task_ever_scheduled,
        "last completed": execution.last_completed_started_event_id,
        "memo": dict(execution.memo.items()),
        "search attributes": {k: v for k, v in execution.search_attributes.items() if k not in _UNRECORDED},
    }
    # One that an event admitted may have been rejected since, which leaves no event.
    view["accepted updates"] = {u.update_id: u.accepted_event_id for u in execution.updates if u.accepted_event_id}
    view["pause"] = frozen(execution.operations.pause)
    view["completed updates"] = execution.update_count
    view["signal events"] = dict(execution.signal_events.items())
    known = execution.callbacks.values()
    view["callbacks"] = sorted((c.spec, c.update_id, c.request_id, c.origin, c.registration_time) for c in known)
    if execution.running:
        view["counts"] = (execution.signal_count, execution.activity_count, execution.timer_count)
        view["reset points"] = frozen(execution.reset_points)
        view["attached"] = execution.request_ids
        view["cancel requested"] = execution.cancel_requested
        view["children"] = {c.initiated_event_id: _recorded_child(c) for c in execution.children.values()}
        view["externals"] = (set(execution.external_signals), set(execution.external_cancels))
        view["timers"] = {t.timer_id: (t.started_event_id, t.expiry) for t in execution.timers.values()}
        anew = execution.info.original_run_id != run_id
        pending = execution.activities.items()
        view["activities"] = {i: _recorded_activity(a, anew) for i, a in pending}
        view["options"] = {i: _options(a) for i, a in pending if (run_id, i, "options") not in tuned}
        view["priorities"] = {i: _priority(a) for i, a in pending if (run_id, i, "priority") not in tuned}
        view["activity ids"] = dict(execution.activity_ids.items())
    return view


def _recorded_child(c: Child) -> tuple[object, ...]:
    return (
        (c.namespace_id, c.namespace, c.workflow_id, c.workflow_type),
        c.close_policy,
        c.started_event_id,
        c.started_run_id,
    )


def _recorded_activity(a: Activity, anew: bool) -> tuple[object, ...]:
    """`anew`: in a run that a reset made, activities from before the point begin when it was made."""
    return (
        a.activity_id,
        a.activity_type,
        0 if anew else a.first_scheduled_time,
        a.cancel_requested,
        a.cancel_request_event_id,
    )


def _options(a: Activity) -> tuple[object, ...]:
    """What UpdateActivityOptions may change, and a reset may restore."""
    timeouts = (a.schedule_to_close, a.schedule_to_start, a.start_to_close, a.heartbeat_timeout)
    return a.task_queue, timeouts, frozen(a.retry)


def _priority(a: Activity) -> object:
    return a.priority


def replay(info_of: Execution, env: Env, events: list[history.HistoryEvent]) -> Execution:
    """The recorded state that a history gives: `apply` folded over it."""
    draft = RunDraft(env, None, Execution(info_of.info))
    for event in events:
        if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            started = event.workflow_execution_started_event_attributes
            for key, payload in started.memo.fields.items():
                if payload.data:
                    draft.put_memo(key, payload.SerializeToString())
            for name, payload in started.search_attributes.indexed_fields.items():
                draft.put_search_attribute(name, payload.SerializeToString())
        recorded.apply(draft, event)
    return draft.execution


# -- what is owed ------------------------------------------------------------------------------------------------------


def owed_at(execution: Execution, durable: bool) -> int:
    """The earliest time at which anything is due, found by looking at everything; `NEVER` if nothing is."""
    calls = bool(execution.unsent) if not durable else owes_calls(execution)
    if not execution.running:
        if calls or execution.calls:
            return execution.close_time if calls else NEVER
        return execution.close_time + execution.retention
    due = [execution.last_update_time if calls else NEVER]
    info = execution.info
    if info.run_expiration:
        due.append(info.run_expiration)
    task = execution.task
    if task is not None and task.speculative and durable:
        task = None
    if task is None:
        waits = not execution.awaits_parent and not execution.paused
        if waits and not execution.task_ever_scheduled and info.execution_time > info.start_time:
            due.append(info.execution_time)
    elif task.started_event_id:
        due.append(task.started_time + task.timeout)
    else:
        if durable or not task.offered:
            due.append(task.scheduled_time)
        if task.schedule_to_start:
            due.append(task.scheduled_time + task.schedule_to_start)
    for activity in execution.activities.values():
        due += _owed_by(activity, durable, execution.paused)
    due += [timer.expiry for timer in execution.timers.values()]
    return min(due)


def owes_calls(execution: Execution) -> bool:
    """Whether another chain waits for anything of this run, as far as its stored state tells."""
    for c in execution.children.values():
        started = c.started_event_id != 0
        if execution.running:
            if not (started and c.first_task_known):
                return True
        elif not c.settled and not (c.close_policy == enums.PARENT_CLOSE_POLICY_ABANDON and c.first_task_known):
            return True
    if execution.running:
        return bool(execution.external_signals or execution.external_cancels)
    reports = execution.info.parent is not None and not execution.new_run_id
    return reports and not execution.report_answered


def _owed_by(a: Activity, durable: bool, held: bool) -> list[int]:
    due: list[int] = []
    if a.pause is not None:
        return due
    if a.schedule_to_close:
        due.append(a.first_scheduled_time + a.schedule_to_close)
    if not a.started_time:
        if (durable or not a.offered) and not held:
            due.append(a.scheduled_time)
        if a.schedule_to_start:
            due.append(a.scheduled_time + a.schedule_to_start)
        return due
    if a.start_to_close:
        due.append(a.started_time + a.start_to_close + TRAVEL_GRACE)
    if a.heartbeat_timeout:
        due.append(max(a.started_time, a.heartbeat_time) + a.heartbeat_timeout + TRAVEL_GRACE)
    return due


# -- the shelf ---------------------------------------------------------------------------------------------------------


class Shelf:
    """The rows that a store would have after the transitions it was given, and the histories."""

    def __init__(self) -> None:
        self.chain: tuple[bytes, int] | None = None
        self.cores: dict[str, tuple[bytes, int, int]] = {}
        self.parts: dict[str, dict[tuple[int, bytes], bytes]] = {}
        self.histories: dict[str, list[history.HistoryEvent]] = {}
        self.requests: dict[str, str] = {}
        self.signals: dict[str, set[str]] = {}
        """Every signal request id that a run has taken, as a model of what must be found on the shelf."""
        self.completed: dict[str, dict[str, int]] = {}
        """Every completed update of a run and the id of its event, taken from history."""
        self.lagging: set[str] = set()
        """Runs whose stickiness has changed since they were last stored."""
        self.tuned: set[Tuned] = set()
        self.rows_written = 0
        """Part rows of the last transition."""

    def commit(self, transition: machine.Transition) -> None:
        """Write what the transition says, checking versions and the order of events."""
        if transition.chain is not None:
            expected = self.chain[1] if self.chain is not None else 0
            assert transition.chain.version == expected + 1
            self.chain = (codec.encode_chain(transition.chain), transition.chain.version)
        self.requests.update(transition.start_requests)
        self.rows_written = 0
        for delta in transition.deltas:
            if delta.reclaim:
                self._remove_run(delta)
            elif delta.stored:
                self._commit_run(delta)
        if self.chain is not None:
            assert codec.decode_chain(*self.chain).run_count == len(self.cores), "the chain counts its runs"
            if not self.cores:
                self.chain = None

    def _commit_run(self, delta: machine.RunDelta) -> None:
        execution = delta.execution
        run_id = execution.info.run_id
        _, version, stored_alarm = self.cores.get(run_id, (b"", 0, 0))
        assert delta.expected_version == version
        assert execution.version == version + 1
        if delta.alarm_changed:
            stored_alarm = execution.alarm
        assert stored_alarm == execution.alarm, "the alarm changed and nobody was told"
        self.cores[run_id] = (codec.encode_run(execution), execution.version, stored_alarm)
        parts = self.parts.setdefault(run_id, {})
        self.rows_written += len(delta.rows)
        for kind, key, body in delta.rows:
            if body is None:
                parts.pop((kind, key), None)
            else:
                parts[(kind, key)] = body
        known = {name for name, is_known in execution.signal_ids.items() if is_known}
        self.signals.setdefault(run_id, set()).update(known)
        events = self.histories.setdefault(run_id, [])
        if not events:
            events += self._shared(execution)
        assert not delta.events or delta.first_event_id == len(events) + 1
        for fragment in delta.events:
            for start, end in split_events(fragment):
                events.append(history.HistoryEvent.FromString(fragment[start:end]))
        completed = self.completed.setdefault(run_id, {})
        for event in events:
            if event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                meta = event.workflow_execution_update_completed_event_attributes.meta
                assert completed.setdefault(meta.update_id, event.event_id) == event.event_id, "an update ends once"
        self.lagging.discard(run_id)
        assert [event.event_id for event in events] == list(range(1, execution.next_event_id)), "event ids are dense"
        assert execution.history_size == sum(_fragment_size(event) for event in events)

    def _remove_run(self, delta: machine.RunDelta) -> None:
        """A deleted run goes with what only it had: a branch of history that another run names stays."""
        execution = delta.execution
        run_id = execution.info.run_id
        del self.cores[run_id], self.parts[run_id]
        named = {branch for left in self.cores for branch, _ in self.load(left).branches}
        gone = {branch for branch, _ in execution.branches} - named
        assert set(delta.reclaimed_branches) == gone, "the branches that nobody names any more go, and no others"
        for branch in gone:
            del self.histories[uuid_text(branch)]

    def _shared(self, execution: Execution) -> list[history.HistoryEvent]:
        """The past that a run which a reset made has from others."""
        past: list[history.HistoryEvent] = []
        for branch, last in execution.branches[:-1]:
            past += self.histories[uuid_text(branch)][len(past) : last]
        return past

    def load(self, run_id: str) -> Execution:
        """The run as a new owner would find it."""
        core, version, stored_alarm = self.cores[run_id]
        found = sorted(self.parts.get(run_id, {}).items())
        parts = [(kind, key, body) for (kind, key), body in found if kind < KEYED_FROM]
        return codec.decode_run(core, version, stored_alarm, parts)

    def signal_ids(self, execution: Execution) -> set[str]:
        """All signal request ids that the store knows of."""
        rows = {key.decode() for kind, key in self.parts[execution.info.run_id] if kind == PART_SIGNAL_ID}
        return rows | {name for name, known in self.load(execution.info.run_id).signal_ids.items() if known}

    def completed_updates(self, execution: Execution) -> dict[str, int]:
        """All completed updates that the store knows of."""
        stored = self.parts[execution.info.run_id].items()
        rows = {k.decode(): int.from_bytes(body, "big") for (kind, k), body in stored if kind == PART_COMPLETED_UPDATE}
        return rows | {k: found for k, found in self.load(execution.info.run_id).completed_updates.items() if found}

    def reload(self) -> ChainState:
        """The state after a crash: the current run as stored, nothing volatile."""
        assert self.chain is not None
        chain = codec.decode_chain(*self.chain)
        run_id = chain.current_run_id
        return ChainState(chain, Map({run_id: self.load(run_id)}), Map(self.requests), Map())


def _fragment_size(event: history.HistoryEvent) -> int:
    return len(history.History(events=[event]).SerializeToString())


# -- the audit ---------------------------------------------------------------------------------------------------------


def audited_step(
    shelf: Shelf, key: ChainKey, state: ChainState, fact: Input, env: Env, ids: SeededIds
) -> machine.Transition:
    """One step, checked from all sides, and committed to the shelf. `ids` is what `env` draws from."""
    before = frozen(state, ("encoded",))
    twin = Env(env.now, copy.deepcopy(ids), env.namespace)
    try:
        transition = machine.step(key, state, fact, env)
    finally:
        assert frozen(state, ("encoded",)) == before, "a step changed the state that it was given"
    in_pieces = type(fact) in machine.LONG_HANDLERS
    again = whole(machine.pieces(key, state, fact, twin)) if in_pieces else machine.step(key, state, fact, twin)
    assert frozen(again.state) == frozen(transition.state), "the same input gave another state"
    assert [d.events for d in again.deltas] == [d.events for d in transition.deltas]
    assert [d.rows for d in again.deltas] == [d.rows for d in transition.deltas]
    assert frozen(tuple(again.effects)) == frozen(tuple(transition.effects))
    shelf.commit(transition)
    for delta in transition.deltas:
        execution = delta.execution
        check_delta(shelf, state, delta)
        note_tuned(shelf, state, fact, execution)
        if not delta.reclaim:
            check_run(shelf, execution, env)
        if isinstance(fact, AlarmRang) and not delta.reclaim:
            assert alarm.volatile_alarm(execution) > env.now, "the alarm would ring again at once"
    return transition


def note_tuned(shelf: Shelf, state: ChainState, fact: Input, after: Execution) -> None:
    """Keep `Shelf.tuned`: options that an operator has restored are those of history again.

    A reset restores all but the priority, as in the reference.
    """
    before = state.runs.get(after.info.run_id)
    if before is None or not isinstance(fact, UpdateActivityOptions | ResetActivity):
        return
    chosen = fact.selection
    for event_id, activity in after.activities.items():
        met = activity.activity_id == chosen.activity_id or activity.activity_type == chosen.activity_type
        for aspect, seen in (("options", _options), ("priority", _priority)):
            mark = (after.info.run_id, event_id, aspect)
            if not (met or chosen.everything):
                assert seen(activity) == seen(before.activities[event_id]), "another activity has new options"
            elif fact.restore_original and (aspect == "options" or isinstance(fact, UpdateActivityOptions)):
                shelf.tuned.discard(mark)
            elif seen(activity) != seen(before.activities[event_id]):
                assert isinstance(fact, UpdateActivityOptions), "a reset changes no options"
                shelf.tuned.add(mark)


def check_delta(shelf: Shelf, state: ChainState, delta: machine.RunDelta) -> None:
    """A step that stores nothing changes nothing stored, but stickiness around a speculative task."""
    before, after = state.runs.get(delta.execution.info.run_id), delta.execution
    if not delta.stored:
        assert before is not None
        assert not delta.events
        if stored_view(before) == stored_view(after):
            return
        assert stored_view(before, _STICKINESS) == stored_view(after, _STICKINESS), (
            "a stored field changed in a volatile step"
        )
        task = before.task
        assert task is not None, "only a speculative task may leave stickiness behind"
        assert task.speculative, "only a speculative task may leave stickiness behind"
        shelf.lagging.add(after.info.run_id)


def check_task_events(execution: Execution, events: list[history.HistoryEvent]) -> None:
    """The pending workflow task names its events; others have none, but ids that continue the history."""
    task = execution.task
    if task is None or not execution.running:
        return
    if task.speculative:
        assert task.attempt == 1
        assert task.scheduled_event_id == len(events) + 1
        assert task.started_event_id in (0, len(events) + 2)
    elif task.attempt == 1:
        scheduled = events[task.scheduled_event_id - 1]
        assert scheduled.event_type == enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
        if task.started_event_id:
            started = events[task.started_event_id - 1]
            assert started.event_type == enums.EVENT_TYPE_WORKFLOW_TASK_STARTED
            attributes = started.workflow_task_started_event_attributes
            assert attributes.scheduled_event_id == task.scheduled_event_id
    elif task.started_event_id:
        assert task.scheduled_event_id == len(events) + 1
        assert task.started_event_id == len(events) + 2


def check_run(shelf: Shelf, execution: Execution, env: Env) -> None:
    """Stored form, fold and alarms of one run."""
    run_id = execution.info.run_id
    loaded = shelf.load(run_id)
    lagging = _STICKINESS if run_id in shelf.lagging else ()
    assert stored_view(loaded, lagging) == stored_view(execution, lagging)
    assert execution.held_bytes == weight.held(execution), "what the run holds was miscounted"
    assert shelf.completed_updates(execution) == shelf.completed[run_id]
    assert shelf.signal_ids(execution) == shelf.signals[run_id]
    check_task_events(execution, shelf.histories[run_id])
    waiting = [history.HistoryEvent.FromString(entry.body) for entry in execution.buffered]
    folded = replay(execution, env, shelf.histories[run_id] + waiting)
    assert recorded_view(folded, shelf.tuned) == recorded_view(execution, shelf.tuned)
    for each in (execution, loaded):
        owed = owed_at(each, True)
        assert alarm.durable_alarm(each) <= owed
        assert alarm.volatile_alarm(each) <= owed_at(each, False)
        if owed < alarm.NEVER:
            assert 0 < each.alarm <= owed, "the stored alarm is later than what is owed"
    if not execution.running:
        assert not execution.buffered
        assert execution.task is None or not execution.task.started_event_id
        assert execution.close_time
