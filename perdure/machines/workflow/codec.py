"""The stored form of a run and of a chain: a small core, rewritten at each step, and parts, written when touched
(DESIGN 1.4).

Collections live inside the core while they are few and small. A collection that outgrows that is *spilled*: from
then on each of its entries is a row of its own, and a step writes only the entries it touched; an emptied
collection moves back. Signal request ids, once spilled, are fetched by key and never all loaded. Times are ns;
messages inside are serialized bytes.

`FORMAT` leads every core. A later version decodes every earlier one; numbers and positions are never reused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import msgspec
from immutables import Map

from perdure.machines.deadlines import ACTIVITY, CALLBACK, TIMER, built, push
from perdure.machines.persistent import map_of
from perdure.machines.workflow import activity_task, owed, parts, weight
from perdure.machines.workflow.callback import BACKING_OFF, callback_of, callback_tuple
from perdure.machines.workflow.chain import Chain
from perdure.machines.workflow.execution import BufferedEvent, Execution, Timer
from perdure.machines.workflow.kin_rows import child_of, child_tuple
from perdure.machines.workflow.parts import (
    ACTIVITIES_SPILLED,
    BUFFERED_SPILLED,
    MEMO_SPILLED,
    SEARCH_ATTRIBUTES_SPILLED,
    SIGNAL_IDS_SPILLED,
    TIMERS_SPILLED,
)
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.sections import decode_sections, encode_sections
from perdure.machines.workflow.stored_forms import (
    activity_of,
    activity_tuple,
    info_of,
    info_tuple,
    task_of,
    task_tuple,
)

FORMAT = 1

INLINE_ENTRIES_MAX = 16
INLINE_BYTES_MAX = 4096
"""A collection larger than either is spilled."""

Row = tuple[int, bytes, bytes | None]
"""(part kind, key, body or None to delete)."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Any, ...]).decode


# -- chain -------------------------------------------------------------------------------------------------------------


def encode_chain(chain: Chain) -> bytes:
    """A chain's core."""
    shared = list(chain.shared_branches.items())
    return _encode((FORMAT, chain.namespace_id, chain.workflow_id, chain.current_run_id, chain.run_count, shared))


def decode_chain(core: bytes, version: int) -> Chain:
    """The chain of a stored row."""
    _, namespace_id, workflow_id, current_run_id, run_count, shared = _decode(core)
    return Chain(namespace_id, workflow_id, current_run_id, version, run_count, map_of(dict(shared)))


# -- collections -------------------------------------------------------------------------------------------------------


@final
class _Collection:
    """How the entries of one collection are counted, named, and written once each of them is a row of its own."""

    __slots__ = ("bit", "body", "keys", "kind", "measure")

    def __init__(
        self,
        kind: int,
        bit: int,
        measure: Callable[[Execution], tuple[int, int]],
        keys: Callable[[Execution], list[Any]],
        body: Callable[[Execution, Any], bytes | None],
    ) -> None:
        self.kind = kind
        self.bit = bit
        """Its bit in `parts_spilled`."""
        self.measure = measure
        """(entries, rough bytes); the bytes count only while there are few entries."""
        self.keys = keys
        self.body = body
        """One entry as it is now, None when it is gone."""


def _measure_activities(execution: Execution) -> tuple[int, int]:
    count = len(execution.activities)
    if count > INLINE_ENTRIES_MAX:
        return count, 0
    return count, sum([len(a.last_failure) + len(a.heartbeat_details) for a in execution.activities.values()])


def _measure_map(entries: Map[str, bytes]) -> tuple[int, int]:
    count = len(entries)
    return count, sum([len(body) for body in entries.values()]) if count <= INLINE_ENTRIES_MAX else 0


def _measure_callbacks(execution: Execution) -> tuple[int, int]:
    held = execution.callbacks
    return len(held), sum([len(callback.spec) + len(callback.last_failure) for callback in held.values()])


def _activity(execution: Execution, key: int) -> bytes | None:
    activity = execution.activities.get(key)
    return None if activity is None else _encode(activity_tuple(activity))


def _timer(execution: Execution, key: str) -> bytes | None:
    timer = execution.timers.get(key)
    return None if timer is None else _encode(_timer_tuple(timer))


def _timer_tuple(timer: Timer) -> tuple[object, ...]:
    return (timer.timer_id, timer.started_event_id, timer.expiry)


def _buffered(execution: Execution, key: int) -> bytes | None:
    if key >= len(execution.buffered):
        return None
    entry = execution.buffered[key]
    return _encode((entry.type, entry.link, entry.body))


def _child(execution: Execution, key: int) -> bytes | None:
    child = execution.children.get(key)
    return None if child is None else _encode(child_tuple(child))


_COLLECTIONS: Final = (
    _Collection(parts.PART_ACTIVITY, ACTIVITIES_SPILLED, _measure_activities, lambda e: list(e.activities), _activity),
    _Collection(parts.PART_TIMER, TIMERS_SPILLED, lambda e: (len(e.timers), 0), lambda e: list(e.timers), _timer),
    _Collection(
        parts.PART_BUFFERED,
        BUFFERED_SPILLED,
        lambda e: (len(e.buffered), sum([len(entry.body) for entry in e.buffered])),
        lambda e: list(range(len(e.buffered))),
        _buffered,
    ),
    _Collection(
        parts.PART_MEMO,
        MEMO_SPILLED,
        lambda e: _measure_map(e.memo),
        lambda e: list(e.memo),
        lambda e, key: e.memo.get(key),
    ),
    _Collection(
        parts.PART_SEARCH_ATTRIBUTE,
        SEARCH_ATTRIBUTES_SPILLED,
        lambda e: _measure_map(e.search_attributes),
        lambda e: list(e.search_attributes),
        lambda e, key: e.search_attributes.get(key),
    ),
    _Collection(
        parts.PART_SIGNAL_ID,
        SIGNAL_IDS_SPILLED,
        lambda e: (len(e.signal_ids), 0),
        lambda e: [name for name, known in e.signal_ids.items() if known],
        lambda e, key: b"" if e.signal_ids.get(key) else None,
    ),
    _Collection(
        parts.PART_CHILD, parts.CHILDREN_SPILLED, lambda e: (len(e.children), 0), lambda e: list(e.children), _child
    ),
    _Collection(
        parts.PART_EXTERNAL_SIGNAL,
        parts.EXTERNAL_SIGNALS_SPILLED,
        lambda e: (len(e.external_signals), 0),
        lambda e: list(e.external_signals),
        lambda e, key: b"" if key in e.external_signals else None,
    ),
    _Collection(
        parts.PART_EXTERNAL_CANCEL,
        parts.EXTERNAL_CANCELS_SPILLED,
        lambda e: (len(e.external_cancels), 0),
        lambda e: list(e.external_cancels),
        lambda e, key: b"" if key in e.external_cancels else None,
    ),
    _Collection(
        parts.PART_COMPLETED_UPDATE,
        parts.COMPLETED_UPDATES_SPILLED,
        lambda e: (len(e.completed_updates), 0),
        lambda e: [name for name, event_id in e.completed_updates.items() if event_id],
        lambda e, key: e.completed_updates[key].to_bytes(8, "big"),
    ),
    _Collection(
        parts.PART_CALLBACK,
        parts.CALLBACKS_SPILLED,
        _measure_callbacks,
        lambda e: list(e.callbacks),
        lambda e, key: _encode(callback_tuple(e.callbacks[key])),
    ),
    _Collection(
        parts.PART_SIGNAL_EVENT,
        parts.SIGNAL_EVENTS_SPILLED,
        lambda e: (len(e.signal_events), 0),
        lambda e: list(e.signal_events),
        lambda e, key: e.signal_events[key].to_bytes(8, "big"),
    ),
)
_COLLECTION_OF: Final = {collection.kind: collection for collection in _COLLECTIONS}


# -- run: writing ------------------------------------------------------------------------------------------------------


def settle_parts(execution: Execution, touched: dict[tuple[int, str | int], bool]) -> list[Row]:
    """Decide where each collection lives from now on; returns the part rows that the step writes or deletes.

    A collection that moves into rows gets all its entries touched. One that is empty has no rows left but those that
    this step deletes. One that no step touches stays where it is.
    """
    if not touched:
        return []
    spilled: dict[int, _Collection] = {}
    for kind in {kind for kind, _ in touched}:
        collection = _COLLECTION_OF[kind]
        if execution.parts_spilled & collection.bit:
            spilled[collection.kind] = collection
            # Of what is fetched by key, memory does not say how many there are.
            if not collection.bit & parts.BY_KEY_SPILLED and collection.measure(execution)[0] == 0:
                execution.parts_spilled &= ~collection.bit
            continue
        count, size = collection.measure(execution)
        if count > INLINE_ENTRIES_MAX or size > INLINE_BYTES_MAX:
            execution.parts_spilled |= collection.bit
            spilled[collection.kind] = collection
            for key in collection.keys(execution):
                touched[(collection.kind, key)] = True
    if not spilled:
        return []
    return [(kind, _key(key), spilled[kind].body(execution, key)) for kind, key in touched if kind in spilled]


def _key(key: str | int) -> bytes:
    """The stored key of a part: ids big-endian, so that they sort; names as UTF-8."""
    return key.to_bytes(8, "big") if isinstance(key, int) else key.encode()


def encode_run(execution: Execution) -> bytes:
    """A run's core, with the collections that are not spilled."""
    info = execution.info
    if not info.encoded:
        info.encoded = _encode(info_tuple(info))
    spilled = execution.parts_spilled
    task = execution.task
    activities, timers, buffered = execution.activities, execution.timers, execution.buffered
    memo, attributes, ids = execution.memo, execution.search_attributes, execution.signal_ids
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
            None if task is None or task.speculative else task_tuple(task),
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
            # Most are empty at most steps.
            [activity_tuple(a) for a in activities.values()] if activities and not spilled & ACTIVITIES_SPILLED else (),
            [_timer_tuple(t) for t in timers.values()] if timers and not spilled & TIMERS_SPILLED else (),
            [(e.type, e.link, e.body) for e in buffered] if buffered and not spilled & BUFFERED_SPILLED else (),
            dict(memo.items()) if memo and not spilled & MEMO_SPILLED else (),
            dict(attributes.items()) if attributes and not spilled & SEARCH_ATTRIBUTES_SPILLED else (),
            [key for key, known in ids.items() if known] if ids and not spilled & SIGNAL_IDS_SPILLED else (),
            encode_sections(execution),
        )
    )


# -- run: reading ------------------------------------------------------------------------------------------------------


def decode_run(core: bytes, version: int, alarm: int, rows: list[tuple[int, bytes, bytes]]) -> Execution:
    """The run of a stored row with its parts; deadlines are rebuilt, volatile state is empty."""
    fields = _decode(core)
    assert fields[0] == FORMAT, f"core of format {fields[0]}"
    execution = Execution(info_of(fields[1]))
    execution.version = version
    execution.alarm = alarm
    activities, timers, buffered, memo, attributes, signal_ids, sections = _restore_fields(execution, fields)
    execution.parts_unread = execution.parts_spilled & parts.BY_KEY_SPILLED
    # A collection is in the core or in rows of its own.
    by_kind: dict[int, list[tuple[bytes, bytes]]] = {}
    for kind, key, body in rows:
        by_kind.setdefault(kind, []).append((key, body))
    execution.buffered = tuple(BufferedEvent(*f) for f in [*buffered, *_bodies(by_kind, parts.PART_BUFFERED)])
    execution.memo = map_of(dict(memo) | _named(by_kind, parts.PART_MEMO))
    execution.search_attributes = map_of(dict(attributes) | _named(by_kind, parts.PART_SEARCH_ATTRIBUTE))
    execution.signal_ids = map_of(dict.fromkeys(signal_ids, True))
    _restore_rows(execution, by_kind)
    decode_sections(execution, sections)
    _index(
        execution,
        [activity_of(f) for f in [*activities, *_bodies(by_kind, parts.PART_ACTIVITY)]],
        [Timer(*f) for f in [*timers, *_bodies(by_kind, parts.PART_TIMER)]],
    )
    return execution


def _restore_fields(execution: Execution, fields: tuple[Any, ...]) -> list[Any]:
    """The fields of the core in the order in which `encode_run` writes them; returns the collections behind them."""
    (
        _,
        _,
        execution.status,
        execution.next_event_id,
        execution.history_size,
        branches,
        execution.transition_count,
        execution.last_update_time,
        execution.close_time,
        execution.new_run_id,
        execution.retention,
        task,
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
        *collections,
    ) = fields
    execution.branches = tuple((branch, last) for branch, last in branches)
    execution.task = None if task is None else task_of(task)
    return collections


def _restore_rows(execution: Execution, by_kind: dict[int, list[tuple[bytes, bytes]]]) -> None:
    """What only rows have here: in the core these collections are sections."""
    children = [child_of(f) for f in _bodies(by_kind, parts.PART_CHILD)]
    execution.children = map_of({child.initiated_event_id: child for child in children})
    signals = _named(by_kind, parts.PART_SIGNAL_EVENT)
    execution.signal_events = map_of({name: int.from_bytes(body, "big") for name, body in signals.items()})
    callbacks = [callback_of(f) for f in _bodies(by_kind, parts.PART_CALLBACK)]
    execution.callbacks = map_of({callback.number: callback for callback in callbacks})
    execution.external_signals = map_of(dict.fromkeys(_numbered(by_kind, parts.PART_EXTERNAL_SIGNAL), True))
    execution.external_cancels = map_of(dict.fromkeys(_numbered(by_kind, parts.PART_EXTERNAL_CANCEL), True))


def _bodies(by_kind: dict[int, list[tuple[bytes, bytes]]], kind: int) -> list[tuple[Any, ...]]:
    return [_decode(body) for _, body in by_kind.get(kind, ())]


def _named(by_kind: dict[int, list[tuple[bytes, bytes]]], kind: int) -> dict[str, bytes]:
    return {key.decode(): body for key, body in by_kind.get(kind, ())}


def _numbered(by_kind: dict[int, list[tuple[bytes, bytes]]], kind: int) -> list[int]:
    return [int.from_bytes(key, "big") for key, _ in by_kind.get(kind, ())]


def _index(execution: Execution, activities: list[Activity], timers: list[Timer]) -> None:
    """The maps and queues that are derived from the pending items."""
    execution.activities = map_of({a.scheduled_event_id: a for a in activities})
    execution.activity_ids = map_of({a.activity_id: a.scheduled_event_id for a in activities})
    execution.timers = map_of({t.timer_id: t for t in timers})
    execution.timer_ids = map_of({t.started_event_id: t.timer_id for t in timers})
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
