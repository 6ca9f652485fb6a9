"""Brings what a step needs from the store into an entity. Rows in, state out; decides nothing.

While a read was on its way, drafts may have been lost (the entity has another generation): then its rows may be older
than what is stored, and they are thrown away. The state is looked at after the read, never before it: commits that came
back meanwhile have changed it.
"""

from __future__ import annotations

from immutables import Map

from perdure.engine import rows
from perdure.engine.entity import Entity
from perdure.engine.histories import HISTORY_BYTES_MAX, Histories, whole_events
from perdure.ids import uuid_bytes
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.needs import Needs
from perdure.machines.workflow.parts import PART_COMPLETED_UPDATE, PART_SIGNAL_ID, PART_START_REQUEST
from perdure.store.api import RunRow, Store


async def load(store: Store, entity: Entity, fact: Input) -> None:
    """Load the chain and the run that the input names. Raises StoreError."""
    run_id = uuid_bytes(fact.run_id) if fact.run_id else None
    generation = entity.generation
    found = await store.load(entity.digest, run_id)
    if generation != entity.generation:
        return
    if fact.run_id and (run_id is None or found is None):
        entity.missing |= {fact.run_id}
    if found is None:
        entity.loaded = True
        return
    chain_row, run_row = found
    state = entity.state
    chain = state.chain if entity.loaded and state.chain is not None else rows.chain_of(chain_row)
    if entity.key is None:
        entity.key = rows.key_of(chain)
    runs = state.runs
    if run_row is not None:
        execution = rows.run_of(run_row)
        if execution.info.run_id not in runs:
            runs = runs.set(execution.info.run_id, execution)
    elif fact.run_id:
        entity.missing |= {fact.run_id}
    elif chain.current_run_id:
        raise AssertionError("a chain without its current run")
    entity.state = ChainState(chain, runs, state.start_requests, state.start_events)
    entity.loaded = True


async def look_up(store: Store, histories: Histories, entity: Entity, missing: Needs) -> None:
    """Add what the next step needs to the entity's knowledge; none of it is state of its own.

    Raises StoreError or Unavailable.
    """
    run_id = missing.run_id
    generation = entity.generation
    if missing.history:
        run = entity.state.runs[run_id]
        fragments = await histories.read(run.branches, 1, run.next_event_id, HISTORY_BYTES_MAX)
        if generation == entity.generation:
            entity.state = entity.state.with_history(run_id, whole_events(fragments, run.next_event_id))
    elif missing.state:
        # What a step has removed is stored until its commit.
        gone = run_id in entity.missing
        found = None if gone else await store.load(entity.digest, rows.run_bytes(run_id))
        if generation == entity.generation:
            _remember_run(entity, run_id, found[1] if found is not None else None)
    elif missing.start_request:
        body = await _part(store, entity.digest, PART_START_REQUEST, missing.start_request)
        if generation == entity.generation:
            _remember_start(entity, missing.start_request, rows.text_of(body) if body is not None else "")
    elif missing.signal_id:
        body = await _part(store, rows.run_bytes(run_id), PART_SIGNAL_ID, missing.signal_id)
        if generation == entity.generation:
            known = entity.state.runs[run_id].fork()
            known.signal_ids = known.signal_ids.set(missing.signal_id, body is not None)
            entity.state = entity.state.with_run(known)
    elif missing.update_id:
        body = await _part(store, rows.run_bytes(run_id), PART_COMPLETED_UPDATE, missing.update_id)
        if generation == entity.generation:
            known = entity.state.runs[run_id].fork()
            event_id = int.from_bytes(body or b"", "big")
            known.completed_updates = known.completed_updates.set(missing.update_id, event_id)
            entity.state = entity.state.with_run(known)
    else:
        event = await histories.event(entity.state.runs[run_id].branches, 1)
        if generation == entity.generation:
            state = entity.state
            events: Map[str, bytes] = state.start_events.set(run_id, event)
            entity.state = ChainState(state.chain, state.runs, state.start_requests, events, state.histories)


async def _part(store: Store, owner: bytes, kind: int, name: str) -> bytes | None:
    """A part that is fetched by key, None when there is none."""
    key = name.encode()
    return (await store.load_parts(owner, kind, [key])).get(key)


def _remember_start(entity: Entity, request_id: str, run_id: str) -> None:
    """Only the newest absence is worth remembering: refused starts would pile theirs up."""
    state = entity.state
    requests = Map({known: made for known, made in state.start_requests.items() if made}).set(request_id, run_id)
    entity.state = ChainState(state.chain, state.runs, requests, state.start_events, state.histories)


def _remember_run(entity: Entity, run_id: str, row: RunRow | None) -> None:
    """A run beside the one that the input names; of one that is gone, that its history is."""
    if row is None:
        entity.state = entity.state.with_history(run_id, b"")
    elif run_id not in entity.state.runs:
        entity.state = entity.state.with_run(rows.run_of(row))
