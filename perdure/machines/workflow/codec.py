"""The stored form of a run and of a chain: a small core, rewritten at each step, and parts, written when touched
(DESIGN 1.4).

Collections live inside the core while they are few and small. A collection that outgrows that is *spilled*: from
then on each of its entries is a row of its own, and a step writes only the entries it touched; an emptied
collection moves back. Signal request ids, once spilled, are fetched by key and never all loaded. Times are ns;
messages inside are serialized bytes.

`FORMAT` leads every core. A later version decodes every earlier one; numbers and positions are never reused.
"""

from __future__ import annotations

from typing import Any, final

import msgspec
from immutables import Map

from perdure.ids import uuid_bytes, uuid_text
from perdure.machines.deadlines import ACTIVITY, CALLBACK, TIMER, built, push
from perdure.machines.retry import RetryPolicy
from perdure.machines.workflow import activity_task, owed, weight
from perdure.machines.workflow.callback import (
    BACKING_OFF,
    CALLBACKS_SPILLED,
    PART_CALLBACK,
    callback_of,
    callback_tuple,
)
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.draft import (
    PART_ACTIVITY,
    PART_BUFFERED,
    PART_COMPLETED_UPDATE,
    PART_MEMO,
    PART_SEARCH_ATTRIBUTE,
    PART_SIGNAL_ID,
    PART_TIMER,
)
from perdure.machines.workflow.execution import Activity, BufferedEvent, Chain, Execution, Timer
from perdure.machines.workflow.kin_rows import (
    CHILDREN_SPILLED,
    EXTERNAL_CANCELS_SPILLED,
    EXTERNAL_SIGNALS_SPILLED,
    child_of,
    child_tuple,
)
from perdure.machines.workflow.owed import PART_CHILD, PART_EXTERNAL_CANCEL, PART_EXTERNAL_SIGNAL
from perdure.machines.workflow.pending_task import WorkflowTask
from perdure.machines.workflow.pending_update import COMPLETED_UPDATES_SPILLED
from perdure.machines.workflow.run_info import RunInfo
from perdure.machines.workflow.run_operations import decode_pause, encode_pause
from perdure.machines.workflow.sections import decode_sections, encode_sections
from perdure.machines.workflow.signal_events import PART_SIGNAL_EVENT, SIGNAL_EVENTS_SPILLED

FORMAT = 1

PART_START_REQUEST = 129
"""Keyed part of a chain (its run id is the chain's digest): a start request id -> the run it made."""

INLINE_ENTRIES_MAX = 16
INLINE_BYTES_MAX = 4096
"""A collection larger than either is spilled."""

Row = tuple[int, bytes, bytes | None]
"""(part kind, key, body or None to delete)."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Any, ...]).decode


@final
class _Collection:
    """How one kind of part is spilled: its bit in `parts_spilled`."""

    __slots__ = ("bit", "kind")

    def __init__(self, kind: int, bit: int) -> None:
        self.kind = kind
        self.bit = bit


_ACTIVITIES = _Collection(PART_ACTIVITY, 1)
_TIMERS = _Collection(PART_TIMER, 2)
_BUFFERED = _Collection(PART_BUFFERED, 4)
_MEMO = _Collection(PART_MEMO, 8)
_SEARCH_ATTRIBUTES = _Collection(PART_SEARCH_ATTRIBUTE, 16)
_SIGNAL_IDS = _Collection(PART_SIGNAL_ID, 32)
_COMPLETED_UPDATES = _Collection(PART_COMPLETED_UPDATE, COMPLETED_UPDATES_SPILLED)
_CALLBACKS = _Collection(PART_CALLBACK, CALLBACKS_SPILLED)
_SIGNAL_EVENTS = _Collection(PART_SIGNAL_EVENT, SIGNAL_EVENTS_SPILLED)
_CHILDREN = _Collection(PART_CHILD, CHILDREN_SPILLED)
_EXTERNAL_SIGNALS = _Collection(PART_EXTERNAL_SIGNAL, EXTERNAL_SIGNALS_SPILLED)
_EXTERNAL_CANCELS = _Collection(PART_EXTERNAL_CANCEL, EXTERNAL_CANCELS_SPILLED)
COLLECTIONS = (
    _ACTIVITIES,
    _TIMERS,
    _BUFFERED,
    _MEMO,
    _SEARCH_ATTRIBUTES,
    _SIGNAL_IDS,
    _CHILDREN,
    _EXTERNAL_SIGNALS,
    _EXTERNAL_CANCELS,
    _COMPLETED_UPDATES,
    _CALLBACKS,
    _SIGNAL_EVENTS,
)
SIGNAL_IDS_SPILLED = 32
_BY_KEY = (PART_SIGNAL_ID, PART_COMPLETED_UPDATE)
"""Collections that, once spilled, are fetched by key: what is in memory says nothing of how many there are."""


# -- chain -------------------------------------------------------------------------------------------------------------


def encode_chain(chain: Chain) -> bytes:
    """A chain's core."""
    shared = list(chain.shared_branches.items())
    return _encode((FORMAT, chain.namespace_id, chain.workflow_id, chain.current_run_id, chain.run_count, shared))


def decode_chain(core: bytes, version: int) -> Chain:
    """The chain of a stored row."""
    _, namespace_id, workflow_id, current_run_id, run_count, shared = _decode(core)
    return Chain(namespace_id, workflow_id, current_run_id, version, run_count, Map(shared))


# -- run: writing ------------------------------------------------------------------------------------------------------


def settle_parts(execution: Execution, touched: dict[tuple[int, str | int], bool]) -> list[Row]:
    """Decide where each collection lives from now on; returns the part rows that the step writes or deletes.

    A collection that moves into rows gets all its entries touched. One that is empty has no rows left but those that
    this step deletes. One that no step touches stays where it is.
    """
    if not touched:
        return []
    kinds = {kind for kind, _ in touched}
    spilled: set[int] = set()
    for collection in COLLECTIONS:
        if collection.kind not in kinds:
            continue
        if execution.parts_spilled & collection.bit:
            spilled.add(collection.kind)
            if collection.kind not in _BY_KEY and _measure(execution, collection)[0] == 0:
                execution.parts_spilled &= ~collection.bit
            continue
        count, size = _measure(execution, collection)
        if count > INLINE_ENTRIES_MAX or size > INLINE_BYTES_MAX:
            execution.parts_spilled |= collection.bit
            spilled.add(collection.kind)
            for key in _keys(execution, collection):
                touched[(collection.kind, key)] = True
    return _rows(execution, touched, spilled) if spilled else []


def _rows(execution: Execution, touched: dict[tuple[int, str | int], bool], spilled: set[int]) -> list[Row]:
    result: list[Row] = []
    for kind, key in touched:
        if kind in spilled:
            result.append((kind, part_key(kind, key), _part_body(execution, kind, key)))
    return result


def part_key(kind: int, key: str | int) -> bytes:
    """The stored key of a part: ids big-endian, so that they sort; names as UTF-8."""
    return key.to_bytes(8, "big") if isinstance(key, int) else key.encode()


def encode_run(execution: Execution) -> bytes:
    """A run's core, with the collections that are not spilled."""
    info = execution.info
    if not info.encoded:
        info.encoded = _encode(_info_tuple(info))
    spilled = execution.parts_spilled
    task = execution.task
    return _encode(
        (
            FORMAT,
            msgspec.Raw(info.encoded),
            execution.status,
            execution.next_event_id,
            execution.history_size,
            execution.branches,
            execution.transition_count,
            execution.last_update_time,
            execution.close_time,
            execution.new_run_id,
            execution.retention,
            None if task is None or task.speculative else _task_tuple(task),
            execution.task_attempt,
            execution.task_ever_scheduled,
            execution.task_problems,
            execution.last_completed_started_event_id,
            execution.sticky_queue,
            execution.sticky_timeout,
            execution.worker_stamp,
            execution.cancel_requested,
            execution.cancel_request_id,
            execution.signal_count,
            execution.activity_count,
            execution.timer_count,
            execution.close_attempted,
            spilled,
            () if spilled & 1 else [_activity_tuple(a) for a in execution.activities.values()],
            () if spilled & 2 else [(t.timer_id, t.started_event_id, t.expiry) for t in execution.timers.values()],
            () if spilled & 4 else [(e.type, e.link, e.body) for e in execution.buffered],
            () if spilled & 8 else dict(execution.memo.items()),
            () if spilled & 16 else dict(execution.search_attributes.items()),
            () if spilled & 32 else [name for name, known in execution.signal_ids.items() if known],
            encode_sections(execution),
        )
    )


def _measure(execution: Execution, collection: _Collection) -> tuple[int, int]:
    """(entries, rough bytes) of a collection; bytes only while there are few entries."""
    match collection.kind:
        case 1:
            count = len(execution.activities)
            if count > INLINE_ENTRIES_MAX:
                return count, 0
            return count, sum(len(a.last_failure) + len(a.heartbeat_details) for a in execution.activities.values())
        case 2:
            return len(execution.timers), 0
        case 3:
            return len(execution.buffered), sum(len(e.body) for e in execution.buffered)
        case 4:
            return _measure_map(execution.memo)
        case 5:
            return _measure_map(execution.search_attributes)
        case 6:
            return len(execution.children), 0
        case 7:
            return len(execution.external_signals), 0
        case 8:
            return len(execution.external_cancels), 0
        case 9:
            held = execution.callbacks
            return len(held), sum(len(c.spec) + len(c.last_failure) for c in held.values())
        case 10:
            return len(execution.signal_events), 0
        case 131:
            return len(execution.completed_updates), 0
        case _:
            return len(execution.signal_ids), 0


def _measure_map(entries: Map[str, bytes]) -> tuple[int, int]:
    count = len(entries)
    return count, sum(len(body) for body in entries.values()) if count <= INLINE_ENTRIES_MAX else 0


def _keys(execution: Execution, collection: _Collection) -> list[str | int]:
    match collection.kind:
        case 1:
            return list(execution.activities)
        case 2:
            return list(execution.timers)
        case 3:
            return list(range(len(execution.buffered)))
        case 4:
            return list(execution.memo)
        case 5:
            return list(execution.search_attributes)
        case 6:
            return list(execution.children)
        case 7:
            return list(execution.external_signals)
        case 8:
            return list(execution.external_cancels)
        case 9:
            return list(execution.callbacks)
        case 10:
            return list(execution.signal_events)
        case 131:
            return [name for name, event_id in execution.completed_updates.items() if event_id]
        case _:
            return [name for name, known in execution.signal_ids.items() if known]


def _part_body(execution: Execution, kind: int, key: str | int) -> bytes | None:
    """The body of one entry as it is now, None when it is gone."""
    if isinstance(key, int):
        if kind == PART_ACTIVITY:
            activity = execution.activities.get(key)
            return None if activity is None else _encode(_activity_tuple(activity))
        if kind == PART_CHILD:
            child = execution.children.get(key)
            return None if child is None else _encode(child_tuple(child))
        if kind == PART_EXTERNAL_SIGNAL:
            return b"" if key in execution.external_signals else None
        if kind == PART_EXTERNAL_CANCEL:
            return b"" if key in execution.external_cancels else None
        if kind == PART_CALLBACK:
            return _encode(callback_tuple(execution.callbacks[key]))
        if key >= len(execution.buffered):
            return None
        entry = execution.buffered[key]
        return _encode((entry.type, entry.link, entry.body))
    if kind == PART_TIMER:
        timer = execution.timers.get(key)
        return None if timer is None else _encode((timer.timer_id, timer.started_event_id, timer.expiry))
    if kind == PART_MEMO:
        return execution.memo.get(key)
    if kind == PART_SEARCH_ATTRIBUTE:
        return execution.search_attributes.get(key)
    if kind == PART_SIGNAL_EVENT:
        return execution.signal_events[key].to_bytes(8, "big")
    if kind == PART_COMPLETED_UPDATE:
        return execution.completed_updates[key].to_bytes(8, "big")
    return b"" if execution.signal_ids.get(key) else None


# -- run: reading ------------------------------------------------------------------------------------------------------


def decode_run(core: bytes, version: int, alarm: int, parts: list[tuple[int, bytes, bytes]]) -> Execution:
    """The run of a stored row with its parts; deadlines are rebuilt, volatile state is empty."""
    fields = _decode(core)
    assert fields[0] == FORMAT, f"core of format {fields[0]}"
    execution = Execution(_info_of(fields[1]))
    execution.version = version
    execution.alarm = alarm
    _restore_fields(execution, fields)
    by_kind: dict[int, list[tuple[bytes, bytes]]] = {}
    for kind, key, body in parts:
        by_kind.setdefault(kind, []).append((key, body))
    _restore_collections(execution, fields, by_kind)
    decode_sections(execution, fields[32])
    activities = [_activity_of(f) for f in fields[26]] + [_activity_of(f) for f in _bodies(by_kind, PART_ACTIVITY)]
    timers = [Timer(*f) for f in fields[27]] + [Timer(*f) for f in _bodies(by_kind, PART_TIMER)]
    _index(execution, activities, timers)
    return execution


def _restore_fields(execution: Execution, fields: tuple[Any, ...]) -> None:
    execution.status, execution.next_event_id, execution.history_size = fields[2:5]
    execution.branches = tuple((branch, last) for branch, last in fields[5])
    (
        execution.transition_count,
        execution.last_update_time,
        execution.close_time,
        execution.new_run_id,
        execution.retention,
    ) = fields[6:11]
    execution.task = None if fields[11] is None else _task_of(fields[11])
    (
        execution.task_attempt,
        execution.task_ever_scheduled,
        execution.task_problems,
        execution.last_completed_started_event_id,
        execution.sticky_queue,
        execution.sticky_timeout,
        execution.worker_stamp,
        execution.cancel_requested,
        execution.cancel_request_id,
        execution.signal_count,
        execution.activity_count,
        execution.timer_count,
        execution.close_attempted,
        execution.parts_spilled,
    ) = fields[12:26]


def _restore_collections(
    execution: Execution, fields: tuple[Any, ...], by_kind: dict[int, list[tuple[bytes, bytes]]]
) -> None:
    """Each collection from the core and from its rows; a collection is in one of the two."""
    buffered = [*fields[28], *_bodies(by_kind, PART_BUFFERED)]
    execution.buffered = tuple(BufferedEvent(*f) for f in buffered)
    execution.memo = Map(dict(fields[29]) | _named(by_kind, PART_MEMO))
    execution.search_attributes = Map(dict(fields[30]) | _named(by_kind, PART_SEARCH_ATTRIBUTE))
    execution.signal_ids = Map(dict.fromkeys(fields[31], True))
    children = [child_of(f) for f in _bodies(by_kind, PART_CHILD)]
    execution.children = Map({child.initiated_event_id: child for child in children})
    signals = _named(by_kind, PART_SIGNAL_EVENT)
    execution.signal_events = Map({name: int.from_bytes(body, "big") for name, body in signals.items()})
    callbacks = [callback_of(f) for f in _bodies(by_kind, PART_CALLBACK)]
    execution.callbacks = Map({callback.number: callback for callback in callbacks})
    execution.external_signals = Map(dict.fromkeys(_numbered(by_kind, PART_EXTERNAL_SIGNAL), True))
    execution.external_cancels = Map(dict.fromkeys(_numbered(by_kind, PART_EXTERNAL_CANCEL), True))


def _bodies(by_kind: dict[int, list[tuple[bytes, bytes]]], kind: int) -> list[tuple[Any, ...]]:
    return [_decode(body) for _, body in by_kind.get(kind, ())]


def _named(by_kind: dict[int, list[tuple[bytes, bytes]]], kind: int) -> dict[str, bytes]:
    return {key.decode(): body for key, body in by_kind.get(kind, ())}


def _numbered(by_kind: dict[int, list[tuple[bytes, bytes]]], kind: int) -> list[int]:
    return [int.from_bytes(key, "big") for key, _ in by_kind.get(kind, ())]


def _index(execution: Execution, activities: list[Activity], timers: list[Timer]) -> None:
    """The maps and queues that are derived from the pending items."""
    execution.activities = Map({a.scheduled_event_id: a for a in activities})
    execution.activity_ids = Map({a.activity_id: a.scheduled_event_id for a in activities})
    execution.timers = Map({t.timer_id: t for t in timers})
    execution.timer_ids = Map({t.started_event_id: t.timer_id for t in timers})
    execution.held_bytes = weight.held(execution)
    execution.calls = execution.unsent = owed.derive(execution)
    for callback in execution.callbacks.values():
        if callback.state == BACKING_OFF:
            execution.deadlines = push(execution.deadlines, callback.next_attempt_time, CALLBACK, callback.number)
    if not execution.running:
        return
    due = [(timer.expiry, TIMER, timer.started_event_id) for timer in timers]
    waiting: list[tuple[int, int, int]] = []
    for activity in activities:
        when = activity_task.next_deadline(activity, execution.paused)
        if when is not None:
            due.append((when, ACTIVITY, activity.scheduled_event_id))
        if not activity.started_time and activity.pause is None:
            waiting.append((activity.scheduled_time, 0, activity.scheduled_event_id))
    execution.deadlines = built(due)
    execution.owed = built(waiting)


# -- tuples ------------------------------------------------------------------------------------------------------------


def _raw(run_id: str) -> bytes | str:
    """A UUID as its 16 bytes; anything else (it cannot be one of ours) as it is."""
    raw = uuid_bytes(run_id)
    return raw if raw is not None and uuid_text(raw) == run_id else run_id


def _text(value: bytes | str) -> str:
    return uuid_text(value) if isinstance(value, bytes) else value


def _retry_tuple(retry: RetryPolicy) -> tuple[object, ...]:
    return (
        retry.initial_interval,
        retry.backoff_coefficient,
        retry.maximum_interval,
        retry.maximum_attempts,
        retry.non_retryable_error_types,
    )


def _retry_of(f: Any) -> RetryPolicy:
    return RetryPolicy(f[0], float(f[1]), f[2], f[3], tuple(f[4]))


def _info_tuple(info: RunInfo) -> tuple[object, ...]:
    return (
        info.namespace_id,
        info.namespace,
        info.workflow_id,
        _raw(info.run_id),
        _raw(info.first_run_id),
        _raw(info.original_run_id),
        _raw(info.continued_run_id),
        _raw(info.create_request_id),
        info.workflow_type,
        info.task_queue,
        info.start_time,
        info.execution_time,
        info.execution_timeout,
        info.run_timeout,
        info.task_timeout,
        info.execution_expiration,
        info.run_expiration,
        info.attempt,
        None if info.retry is None else _retry_tuple(info.retry),
        info.cron_schedule,
        info.root_workflow_id,
        _raw(info.root_run_id),
        info.user_metadata,
        info.priority,
        None if info.parent is None else _parent_tuple(info.parent),
    )


def _parent_tuple(parent: Parent) -> tuple[object, ...]:
    return (
        parent.namespace_id,
        parent.namespace,
        parent.workflow_id,
        _raw(parent.run_id),
        parent.initiated_event_id,
    )


def _info_of(f: Any) -> RunInfo:
    retry = None if f[18] is None else _retry_of(f[18])
    # Cores from before there were children end earlier.
    p = f[24] if len(f) > 24 else None
    parent = None if p is None else Parent(p[0], p[1], p[2], _text(p[3]), p[4])
    return RunInfo(
        f[0], f[1], f[2], _text(f[3]), _text(f[4]), _text(f[5]), _text(f[6]), _text(f[7]), f[8], f[9], f[10], f[11],
        f[12], f[13], f[14], f[15], f[16], f[17], retry, f[19], f[20], _text(f[21]), f[22], f[23],
        parent,
    )  # fmt: skip


def _task_tuple(task: WorkflowTask) -> tuple[object, ...]:
    return (
        task.scheduled_event_id,
        task.attempt,
        task.queue,
        task.sticky,
        task.scheduled_time,
        task.original_scheduled_time,
        task.timeout,
        task.stamp,
        task.started_event_id,
        task.started_time,
        task.request_id,
        task.identity,
        task.history_size,
        task.suggest_continue_as_new,
        task.suggest_reasons,
        task.schedule_to_start,
    )


def _task_of(f: Any) -> WorkflowTask:
    return WorkflowTask(*(*f[:14], tuple(f[14]), *f[15:16]))


def _activity_tuple(a: Activity) -> tuple[object, ...]:
    return (
        a.scheduled_event_id,
        a.activity_id,
        a.activity_type,
        a.task_queue,
        a.scheduled_time,
        a.schedule_to_close,
        a.schedule_to_start,
        a.start_to_close,
        a.heartbeat_timeout,
        _retry_tuple(a.retry),
        a.priority,
        a.first_scheduled_time,
        a.retry_expiration,
        a.attempt,
        a.stamp,
        a.started_time,
        a.request_id,
        a.identity,
        a.last_failure,
        a.last_worker_identity,
        a.last_attempt_complete_time,
        a.heartbeat_details,
        a.heartbeat_time,
        a.cancel_requested,
        a.cancel_request_event_id,
        _operated_tuple(a),
        a.own_build,
    )


def _operated_tuple(a: Activity) -> tuple[object, ...] | None:
    """What operators did to an activity; None for the many that are left alone."""
    if a.pause is None and not a.activity_reset and not a.reset_heartbeats and not a.original_options:
        return None
    return (encode_pause(a.pause), a.activity_reset, a.reset_heartbeats, a.original_options)


def _operated(activity: Activity, f: Any) -> None:
    activity.pause = decode_pause(f[0])
    activity.activity_reset, activity.reset_heartbeats, activity.original_options = f[1:4]


def _activity_of(f: Any) -> Activity:
    activity = Activity(*(*f[:9], _retry_of(f[9]), f[10]))
    (
        activity.first_scheduled_time,
        activity.retry_expiration,
        activity.attempt,
        activity.stamp,
        activity.started_time,
        activity.request_id,
        activity.identity,
        activity.last_failure,
        activity.last_worker_identity,
        activity.last_attempt_complete_time,
        activity.heartbeat_details,
        activity.heartbeat_time,
        activity.cancel_requested,
        activity.cancel_request_event_id,
    ) = f[11:25]
    if len(f) > 25 and f[25] is not None:
        _operated(activity, f[25])
    if len(f) > 26:
        activity.own_build = f[26]
    return activity
