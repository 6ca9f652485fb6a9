"""A run while a step changes it: records events, buffers them, hands out ids, and knows what was touched.

Handlers decide and call `record`; `apply.py` alone turns an event into recorded state. Nothing here decides
anything. When the step fails, the draft is dropped; nothing needs to be repaired (STYLE rule 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from immutables import Map

from perdure.api import common, enums, history, sdk
from perdure.api.splice import event_fragment
from perdure.clock import SECOND
from perdure.ids import ChainKey, uuid_bytes
from perdure.machines.deadlines import joined, push
from perdure.machines.env import Env
from perdure.machines.persistent import EMPTY
from perdure.machines.workflow import apply as recorded
from perdure.machines.workflow import external_payloads, weight
from perdure.machines.workflow.callback import SCHEDULED, Callback
from perdure.machines.workflow.chain import Chain, ChainState
from perdure.machines.workflow.child import Child
from perdure.machines.workflow.effects import Effect
from perdure.machines.workflow.event_types import (
    ATTRIBUTES_FIELD,
    BUFFERED_EVENT_ID,
    CHILD_CLOSED,
    FLUSHED_LAST,
    IGNORED_BY_WORKERS,
    NEVER_BUFFERED,
)
from perdure.machines.workflow.execution import BufferedEvent, Execution, Timer
from perdure.machines.workflow.owed import derive, owes_child
from perdure.machines.workflow.parts import (
    PART_ACTIVITY,
    PART_BUFFERED,
    PART_CALLBACK,
    PART_CHILD,
    PART_COMPLETED_UPDATE,
    PART_EXTERNAL_SIGNAL,
    PART_MEMO,
    PART_SEARCH_ATTRIBUTE,
    PART_SIGNAL_EVENT,
    PART_SIGNAL_ID,
    PART_TIMER,
)
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.pending_update import PendingUpdate


@final
class RunDraft:
    """One run in one step. `execution` is the fork that may be changed; `before` is None for a run that this step
    makes.
    """

    __slots__ = (
        "before",
        "due",
        "env",
        "events",
        "execution",
        "first_event_id",
        "pending",
        "realarm",
        "reclaim",
        "reclaimed_branches",
        "stays_speculative",
        "stored",
        "touched",
        "visibility",
    )

    def __init__(self, env: Env, before: Execution | None, execution: Execution) -> None:
        self.env = env
        self.before = before
        self.execution = execution
        self.first_event_id: int = execution.next_event_id
        self.events: list[bytes] = []
        self.due: list[tuple[int, int, int]] = []
        """Deadlines that are not in the run's queue yet: (when, kind, key)."""
        self.pending: list[history.HistoryEvent] = []
        self.touched: dict[tuple[int, str | int], bool] = {}
        self.stored: bool = before is None
        self.visibility: bool = before is None
        self.reclaim: bool = False
        """The run is removed whole."""
        self.reclaimed_branches: tuple[bytes, ...] = ()
        """History branches of which a bounded number of fragments is removed."""
        self.stays_speculative: bool = False
        """The pending speculative task begins after everything that this step stores, so it is not part of that."""
        self.realarm: bool = False
        """The stored alarm is moved even if it could stay early; nothing else changes."""

    # -- events ------------------------------------------------------------------------------------------------------

    def record(
        self,
        event_type: int,
        attributes: object,
        links: tuple[common.Link, ...] = (),
        user_metadata: sdk.UserMetadata | None = None,
        time: int = 0,
        group_markers: Sequence[sdk.EventGroupMarker] = (),
    ) -> int:
        """Add an event with these attributes and apply it; returns its id, or `BUFFERED_EVENT_ID`.

        `time` is ns since the epoch, 0 for now. Event ids are dense; a buffered event gets its own at the flush.
        """
        event = history.HistoryEvent()
        event.event_type = event_type  # type: ignore[assignment]  # wire numbers are plain ints here
        seconds, nanos = divmod(time or self.env.now, SECOND)
        event.event_time.seconds = seconds
        event.event_time.nanos = nanos
        getattr(event, ATTRIBUTES_FIELD[event_type]).CopyFrom(attributes)
        if event_type in IGNORED_BY_WORKERS:
            event.worker_may_ignore = True
        if links:
            event.links.extend(links)
        if user_metadata is not None:
            event.user_metadata.CopyFrom(user_metadata)
        if group_markers:
            event.event_group_markers.extend(group_markers)
        self.stored = True
        if event_type in NEVER_BUFFERED:
            event.event_id = self.execution.next_event_id
            recorded.apply(self, event)
            self._append(event)
            return event.event_id
        event.event_id = BUFFERED_EVENT_ID
        recorded.apply(self, event)
        self.pending.append(event)
        return BUFFERED_EVENT_ID

    def _append(self, event: history.HistoryEvent) -> None:
        fragment = event_fragment(event.SerializeToString())
        self.events.append(fragment)
        execution = self.execution
        external_payloads.note(execution, event, fragment)
        execution.next_event_id = event.event_id + 1
        execution.history_size += len(fragment)

    @property
    def has_buffered(self) -> bool:
        """Whether any event waits for its id."""
        return bool(self.pending) or bool(self.execution.buffered)

    def flush(self) -> None:
        """Give all buffered events their ids: completions last, each group in order (semantics 0.3).

        After the run's closing event they are dropped.
        """
        if not self.pending and not self.execution.buffered:
            return
        events = self.buffered_events()
        self.pending = []
        self._drop_stored_buffer()
        if not self.execution.running:
            return
        started: dict[int, int] = {}
        for event in [e for e in events if e.event_type not in FLUSHED_LAST] + [
            e for e in events if e.event_type in FLUSHED_LAST
        ]:
            event.event_id = self.execution.next_event_id
            if event.event_type == enums.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started[event.activity_task_started_event_attributes.scheduled_event_id] = event.event_id
            elif event.event_type == enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                initiated = event.child_workflow_execution_started_event_attributes.initiated_event_id
                started[initiated] = event.event_id
                self._child_started_at(initiated, event.event_id)
            elif event.event_type in CHILD_CLOSED:
                closed = getattr(event, ATTRIBUTES_FIELD[event.event_type])
                closed.started_event_id = started.get(closed.initiated_event_id, closed.started_event_id)
            elif event.event_type in FLUSHED_LAST:
                attributes = getattr(event, ATTRIBUTES_FIELD[event.event_type])
                attributes.started_event_id = started.get(attributes.scheduled_event_id, attributes.started_event_id)
            elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
                recorded.options_numbered(self, event)
            elif event.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                request_id = event.workflow_execution_signaled_event_attributes.request_id
                if request_id in self.execution.signal_events:
                    self.put_signal_event(request_id, event.event_id)
            self._append(event)

    def _child_started_at(self, initiated_event_id: int, event_id: int) -> None:
        """The start of a child has got its event id."""
        child = self.execution.children.get(initiated_event_id)
        if child is not None:
            child = child.copy()
            child.started_event_id = event_id
            self.put_child(child)

    def buffered_events(self) -> list[history.HistoryEvent]:
        """All events that wait, oldest first."""
        stored = [history.HistoryEvent.FromString(entry.body) for entry in self.execution.buffered]
        return stored + self.pending

    def undo_buffered(self, event_type: int, link: int) -> bool:
        """Take back a buffered event of this type about `link` (a cancelled timer's firing); False when there is
        none.
        """
        for event in self.pending:
            if event.event_type == event_type and recorded.link_of(event) == link:
                self.pending.remove(event)
                return True
        kept = tuple(e for e in self.execution.buffered if e.type != event_type or e.link != link)
        if len(kept) == len(self.execution.buffered):
            return False
        self._drop_stored_buffer()
        self.execution.buffered = kept
        self.execution.held_bytes += sum([len(entry.body) for entry in kept])
        for index in range(len(kept)):
            self.touched[(PART_BUFFERED, index)] = True
        return True

    def _drop_stored_buffer(self) -> None:
        for index in range(len(self.execution.buffered)):
            self.touched[(PART_BUFFERED, index)] = True
        self.execution.held_bytes -= sum([len(entry.body) for entry in self.execution.buffered])
        self.execution.buffered = ()
        self.stored = True

    def store_buffer(self) -> None:
        """Move what still waits into stored state: the step ends while a workflow task runs."""
        for event in self.pending:
            entry = BufferedEvent(event.event_type, recorded.link_of(event), event.SerializeToString())
            self.touched[(PART_BUFFERED, len(self.execution.buffered))] = True
            self.execution.buffered = (*self.execution.buffered, entry)
            self.execution.held_bytes += len(entry.body)
        self.pending = []

    # -- parts -------------------------------------------------------------------------------------------------------

    def put_activity(self, activity: Activity) -> None:
        """Add or replace a pending activity."""
        execution = self.execution
        before = execution.activities.get(activity.scheduled_event_id)
        execution.held_bytes += weight.of_activity(activity) - (weight.of_activity(before) if before is not None else 0)
        execution.activities = execution.activities.set(activity.scheduled_event_id, activity)
        self.touched[(PART_ACTIVITY, activity.scheduled_event_id)] = True
        self.stored = True

    def drop_activity(self, activity: Activity) -> None:
        """Forget a pending activity."""
        execution = self.execution
        execution.held_bytes -= weight.of_activity(execution.activities[activity.scheduled_event_id])
        execution.activities = execution.activities.delete(activity.scheduled_event_id)
        if execution.activity_ids.get(activity.activity_id) == activity.scheduled_event_id:
            execution.activity_ids = execution.activity_ids.delete(activity.activity_id)
        self.touched[(PART_ACTIVITY, activity.scheduled_event_id)] = True
        self.stored = True

    def put_timer(self, timer: Timer) -> None:
        """Add a user timer."""
        self.execution.timers = self.execution.timers.set(timer.timer_id, timer)
        self.execution.timer_ids = self.execution.timer_ids.set(timer.started_event_id, timer.timer_id)
        self.touched[(PART_TIMER, timer.timer_id)] = True
        self.stored = True

    def drop_timer(self, timer_id: str) -> None:
        """Forget a user timer."""
        self.execution.timer_ids = self.execution.timer_ids.delete(self.execution.timers[timer_id].started_event_id)
        self.execution.timers = self.execution.timers.delete(timer_id)
        self.touched[(PART_TIMER, timer_id)] = True
        self.stored = True

    def put_child(self, child: Child) -> None:
        """Add or replace a pending child."""
        execution = self.execution
        execution.children = execution.children.set(child.initiated_event_id, child)
        self.touched[(PART_CHILD, child.initiated_event_id)] = True
        self.stored = True
        self.owe_call((PART_CHILD, child.initiated_event_id), owes_child(execution, child))

    def drop_child(self, initiated_event_id: int) -> None:
        """Forget a child."""
        execution = self.execution
        execution.children = execution.children.delete(initiated_event_id)
        self.touched[(PART_CHILD, initiated_event_id)] = True
        self.stored = True
        self.owe_call((PART_CHILD, initiated_event_id), False)

    def put_external(self, kind: int, initiated_event_id: int) -> None:
        """Add a pending signal (`PART_EXTERNAL_SIGNAL`) or cancel request to another workflow."""
        execution = self.execution
        if kind == PART_EXTERNAL_SIGNAL:
            execution.external_signals = execution.external_signals.set(initiated_event_id, True)
        else:
            execution.external_cancels = execution.external_cancels.set(initiated_event_id, True)
        self.touched[(kind, initiated_event_id)] = True
        self.stored = True
        self.owe_call((kind, initiated_event_id), True)

    def drop_external(self, kind: int, initiated_event_id: int) -> None:
        """Forget a pending signal or cancel request to another workflow."""
        execution = self.execution
        if kind == PART_EXTERNAL_SIGNAL:
            execution.external_signals = execution.external_signals.delete(initiated_event_id)
        else:
            execution.external_cancels = execution.external_cancels.delete(initiated_event_id)
        self.touched[(kind, initiated_event_id)] = True
        self.stored = True
        self.owe_call((kind, initiated_event_id), False)

    def put_callback(self, callback: Callback) -> None:
        """Add or replace a completion callback."""
        execution = self.execution
        execution.callbacks = execution.callbacks.set(callback.number, callback)
        self.touched[(PART_CALLBACK, callback.number)] = True
        self.stored = True
        self.owe_call((PART_CALLBACK, callback.number), callback.state == SCHEDULED)

    def close_calls(self) -> None:
        """The run has closed: what it owes now replaces what it owed before. What is under way stays so."""
        execution = self.execution
        for child in execution.children.values():
            if child.initiated_event_id >= self.first_event_id and not child.settled:
                # Asked for in this very step, so nothing was ever sent.
                child = child.copy()
                child.settled = True
                self.put_child(child)
        before = execution.calls
        execution.calls = derive(execution)
        unsent = [item for item in execution.calls if item not in before or item in execution.unsent]
        execution.unsent = Map(dict.fromkeys(unsent, True))

    def confirm_first_tasks(self) -> None:
        """Take what is known of children's first tasks into stored state, with a step that stores anything."""
        execution = self.execution
        confirmed = execution.confirmed
        execution.confirmed = EMPTY
        for initiated_event_id in confirmed:
            child = execution.children.get(initiated_event_id)
            if child is not None:
                child = child.copy()
                child.first_task_known = True
                self.put_child(child)
                self.call_returned((PART_CHILD, initiated_event_id))

    def owe_call(self, item: tuple[int, int], owed: bool) -> None:
        """Note whether a call about this item is owed. One that is under way stays so until its answer comes."""
        execution = self.execution
        if owed and item not in execution.calls:
            execution.calls = execution.calls.set(item, True)
            execution.unsent = execution.unsent.set(item, True)
        elif not owed and item in execution.calls:
            execution.calls = execution.calls.delete(item)
            if item in execution.unsent:
                execution.unsent = execution.unsent.delete(item)

    def call_returned(self, item: tuple[int, int]) -> None:
        """A call about this item has come back: what is still owed about it may be sent."""
        execution = self.execution
        if item in execution.calls and item not in execution.unsent:
            execution.unsent = execution.unsent.set(item, True)

    def put_signal_event(self, request_id: str, event_id: int) -> None:
        """Note where a signal stands in history, 0 while it waits for its id."""
        self.execution.signal_events = self.execution.signal_events.set(request_id, event_id)
        self.touched[(PART_SIGNAL_EVENT, request_id)] = True

    def remember_signal(self, request_id: str) -> None:
        """Remember a signal's request id for deduplication."""
        self.execution.signal_ids = self.execution.signal_ids.set(request_id, True)
        self.touched[(PART_SIGNAL_ID, request_id)] = True

    def put_update(self, update: PendingUpdate) -> None:
        """Add or replace an update that is not completed; a known one keeps its place."""
        updates = self.execution.updates
        for index, known in enumerate(updates):
            if known.update_id == update.update_id:
                self.execution.updates = (*updates[:index], update, *updates[index + 1 :])
                return
        self.execution.updates = (*updates, update)

    def drop_update(self, update_id: str) -> None:
        """Forget an update that ended."""
        self.execution.updates = tuple([one for one in self.execution.updates if one.update_id != update_id])

    def complete_update(self, update_id: str, event_id: int) -> None:
        """Remember where the outcome of an update stands in history."""
        execution = self.execution
        execution.update_count += 1
        execution.completed_updates = execution.completed_updates.set(update_id, event_id)
        self.touched[(PART_COMPLETED_UPDATE, update_id)] = True
        self.drop_update(update_id)

    def put_memo(self, key: str, payload: bytes | None) -> None:
        """Set or, with None, remove a memo key."""
        memo = self.execution.memo
        self.execution.held_bytes += _exchanged(memo, key, payload)
        if payload is not None:
            self.execution.memo = memo.set(key, payload)
        elif key in memo:
            self.execution.memo = memo.delete(key)
        self.touched[(PART_MEMO, key)] = True
        self.visibility = True

    def put_search_attribute(self, name: str, payload: bytes | None) -> None:
        """Set or, with None, remove a search attribute."""
        attributes = self.execution.search_attributes
        self.execution.held_bytes += _exchanged(attributes, name, payload)
        if payload is not None:
            self.execution.search_attributes = attributes.set(name, payload)
        elif name in attributes:
            self.execution.search_attributes = attributes.delete(name)
        self.touched[(PART_SEARCH_ATTRIBUTE, name)] = True
        self.visibility = True

    # -- deadlines ---------------------------------------------------------------------------------------------------

    def deadline(self, when: int, kind: int, key: int) -> None:
        """Note that something about this activity or timer is due at `when` or later."""
        self.due.append((when, kind, key))

    def queue_deadlines(self) -> None:
        """What was noted joins the queue: before anybody looks at that, and at the end of the step."""
        if self.due:
            self.execution.deadlines = joined(self.execution.deadlines, self.due)
            self.due = []

    def drop_deadlines(self) -> None:
        """Nothing is due any more."""
        self.execution.deadlines = None
        self.due = []

    def owe(self, when: int, scheduled_event_id: int) -> None:
        """Note that an activity attempt scheduled for `when` is owed to matching until it starts."""
        self.execution.owed = push(self.execution.owed, when, 0, scheduled_event_id)


def _exchanged(entries: Map[str, bytes], key: str, payload: bytes | None) -> int:
    """By how much a map grows when this key gets this payload, or goes."""
    before = entries.get(key)
    return (len(key) + len(payload) if payload is not None else 0) - (
        len(key) + len(before) if before is not None else 0
    )


@final
class Step:
    """One step of a chain: the drafts of the runs it touches, the chain row after it, and the effects to run after
    the commit.
    """

    __slots__ = ("chain", "drafts", "effects", "env", "key", "start_requests", "state")

    def __init__(self, env: Env, state: ChainState, key: ChainKey) -> None:
        self.env = env
        self.state = state
        self.key = key
        self.chain: Chain | None = state.chain
        self.drafts: dict[str, RunDraft] = {}
        self.effects: list[Effect] = []
        self.start_requests: list[tuple[str, str]] = []
        """(request id, run id) that join the chain's keyed parts; run id "" takes one out."""

    def edit(self, execution: Execution) -> RunDraft:
        """The draft of a loaded run, forked on first use."""
        draft = self.drafts.get(execution.info.run_id)
        if draft is None:
            draft = RunDraft(self.env.at(execution.last_update_time), execution, execution.fork())
            self.drafts[execution.info.run_id] = draft
        return draft

    def create(self, execution: Execution, env: Env) -> RunDraft:
        """The draft of a run that this step makes; it gets a history branch of its own, named like the run.

        `env` is the draft's of the run before it, so that the chain's clock never runs backwards.
        """
        draft = RunDraft(env, None, execution)
        branch = uuid_bytes(execution.info.run_id)
        assert branch is not None, "run ids that we make are UUIDs"
        execution.branches = ((branch, 0),)
        self.drafts[execution.info.run_id] = draft
        return draft

    def discard(self, draft: RunDraft) -> RunDraft:
        """Start over with this run: everything the draft did is dropped, and so is every effect and every new run of
        the step.
        """
        assert draft.before is not None, "a run made in this step cannot be restored"
        self.drafts = {}
        self.effects = []
        self.chain = self.state.chain
        self.start_requests = []
        return self.edit(draft.before)
