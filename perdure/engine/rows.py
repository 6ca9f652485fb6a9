"""From a transition to the rows of one `ChainWrite`, and from stored rows to state. Bytes only; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from perdure.api import common
from perdure.ids import ChainKey, Kind, uuid_bytes, uuid_text
from perdure.machines.entity import Listing
from perdure.machines.persistent import EMPTY
from perdure.machines.workflow import codec
from perdure.machines.workflow.chain import Chain, ChainState
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.machine import Transition
from perdure.machines.workflow.parts import PART_START_REQUEST
from perdure.store.api import ChainPut, ChainRow, ChainWrite, Fragment, PartPut, Reclaim, RunPut, RunRow
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord

_WORKFLOW: Final = int(Kind.WORKFLOW)
REMEMBERED_BYTES_MAX: Final = 256
"""The longest search attribute that is kept in memory as visibility has it, for the next run that has the same."""


def run_bytes(run_id: str) -> bytes:
    """The stored form of a run id that we made."""
    raw = uuid_bytes(run_id)
    assert raw is not None, f"not a run id of ours: {run_id!r}"
    return raw


def chain_write(key: ChainKey, transition: Transition, types: Mapping[str, int]) -> ChainWrite:
    """The write of one step; `types` are those of the namespace's own search attributes."""
    chain = transition.chain
    dropped = chain is not None and not chain.run_count
    parts: list[PartPut] = [
        PartPut(key.digest, PART_START_REQUEST, request_id.encode(), run_bytes(run_id) if run_id else None)
        for request_id, run_id in transition.start_requests
    ]
    runs: list[RunPut] = []
    fragments: list[Fragment] = []
    visibility: list[VisibilityRecord] = []
    reclaim: list[Reclaim] = []
    for delta in transition.deltas:
        if not delta.stored:
            continue
        execution = delta.execution
        run_id = run_bytes(execution.info.run_id)
        if delta.reclaim:
            reclaim.append(Reclaim(run_id, delta.reclaimed_branches))
            continue
        if delta.reclaimed_branches:
            reclaim.append(Reclaim(run_id, delta.reclaimed_branches, whole=False))
        alarm = execution.alarm or None
        core = codec.encode_run(execution)
        runs.append(RunPut(run_id, delta.expected_version, core, alarm, delta.alarm_changed))
        for kind, part_key, body in delta.rows:
            parts.append(PartPut(run_id, kind, part_key, body))
        if delta.events:
            branch, _ = execution.branches[-1]
            fragments.append(Fragment(branch, delta.first_event_id, execution.next_event_id, b"".join(delta.events)))
        if delta.visibility:
            visibility.append(visibility_record(execution, types, run_id))
    put: ChainPut | None = None
    if chain is not None and not dropped:
        current = run_bytes(chain.current_run_id) if chain.current_run_id else b""
        put = ChainPut(chain.version - 1, current, codec.encode_chain(chain))
    return ChainWrite(key, put, tuple(runs), tuple(parts), tuple(fragments), tuple(visibility), tuple(reclaim), dropped)


def visibility_record(execution: Execution, types: Mapping[str, int], key: bytes | None = None) -> VisibilityRecord:
    """What visibility knows of a run (semantics 15.1); `key` is the stored form of its run id."""
    info = execution.info
    closed = not execution.running
    return VisibilityRecord(  # in order: to find 22 names among 22 takes twice as long as all the rest of it
        info.namespace_id,
        info.run_id,
        info.workflow_id,
        info.workflow_type,
        execution.status,
        info.start_time,
        info.execution_time,
        execution.close_time if closed else None,
        info.task_queue,
        execution.next_event_id - 1 if closed else 0,
        execution.history_size if closed else 0,
        max(0, execution.close_time - info.execution_time) if closed else 0,
        execution.transition_count if closed else 0,
        info.parent.workflow_id if info.parent is not None else "",
        info.parent.run_id if info.parent is not None else "",
        info.root_workflow_id,
        info.root_run_id,
        _memo(execution),
        _search_attributes(execution, types),
        execution.version,
        _WORKFLOW,
        key,
    )


def listed(key: ChainKey, listing: Listing, version: int) -> VisibilityRecord:
    """What visibility knows of an entity of one row, which has no run id but its digest."""
    duration = 0 if listing.close_time is None else max(0, listing.close_time - listing.start_time)
    return VisibilityRecord(
        namespace_id=key.namespace_id,
        run_id=uuid_text(key.digest),
        workflow_id=key.id,
        workflow_type=listing.type,
        status=listing.status,
        start_time=listing.start_time,
        execution_time=listing.start_time,
        close_time=listing.close_time,
        execution_duration=duration,
        memo=listing.memo,
        search_attributes=listing.search_attributes,
        version=version,
        kind=int(key.kind),
    )


def _memo(execution: Execution) -> bytes:
    if not execution.memo:
        return b""
    memo = common.Memo()
    for name, body in execution.memo.items():
        memo.fields[name].MergeFromString(body)
    return memo.SerializeToString()


def _search_attributes(execution: Execution, types: Mapping[str, int]) -> bytes:
    """Serialized `SearchAttributes`: those of one attribute each, set end to end, are one of all."""
    found = []
    for name, body in execution.search_attributes.items():
        # A run keeps the type that its worker claimed; an index goes by the one that is registered.
        typed = _typed if len(body) > REMEMBERED_BYTES_MAX else _remembered
        found.append(typed(name, body, attributes.type_of(name, types)))
    count, size = execution.external_payload_count, execution.external_payload_bytes
    if count and not execution.running:
        for name, number in (("TemporalExternalPayloadCount", count), ("TemporalExternalPayloadSizeBytes", size)):
            payload = attributes.encode(number, attributes.INT)
            found.append(common.SearchAttributes(indexed_fields={name: payload}).SerializeToString())
    return b"".join(found)


def _typed(name: str, body: bytes, kind: int | None) -> bytes:
    """One attribute as serialized `SearchAttributes`, with the type that is registered, if there is one."""
    found = common.SearchAttributes()
    payload = found.indexed_fields[name]
    payload.MergeFromString(body)
    if kind is not None:
        attributes.write_type(payload, kind)
    return found.SerializeToString()


_remembered = lru_cache(4096)(_typed)
"""The build of a worker, which each run of it has, is put into bytes once."""


def chain_of(row: ChainRow) -> Chain:
    """The chain of a stored row."""
    return codec.decode_chain(row.core, row.version)


def key_of(chain: Chain) -> ChainKey:
    """The key of a stored chain."""
    return ChainKey(chain.namespace_id, Kind.WORKFLOW, chain.workflow_id)


def run_of(row: RunRow) -> Execution:
    """The run of a stored row with its parts."""
    return codec.decode_run(row.core, row.version, row.alarm_ns or 0, row.parts)


def text_of(run_id: bytes) -> str:
    """A stored run id as text."""
    return uuid_text(run_id)


def empty_state() -> ChainState:
    """The state of a chain that has never been started."""
    return ChainState(None, EMPTY, EMPTY, EMPTY)
