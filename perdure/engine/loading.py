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
from perdure.machines.workflow.execution import ChainState
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.machine import Needs
from perdure.machines.workflow.parts import PART_COMPLETED_UPDATE, PART_SIGNAL_ID, PART_START_REQUEST
from perdure.store.api import Store


async def load(store: Store, entity: Entity, fact: Input) -> None:
    """Load the chain and the run that the input names. Raises StoreError."""
    run_id = uuid_bytes(fact.run_id) if fact.run_id else None
    generation = entity.generation
    found = await store.load(entity.digest, run_id)
    if generation != entity.generation:
        return
    if fact.run_id and (run_id is None or found is None):
        entity.missing.add(fact.run_id)
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
        entity.missing.add(fact.run_id)
    elif chain.current_run_id:
        raise AssertionError("a chain without its current run")
    entity.state = ChainState(chain, runs, state.start_requests, state.start_events)
    entity.loaded = True


async def look_up(store: Store, histories: Histories, entity: Entity, missing: Needs) -> None:
    """Add what the next step needs to the entity's knowledge; none of it is state of its own.

    Raises StoreError or Unavailable.
    """
    generation = entity.generation
    if missing.state or missing.history:
        await _look_up_run(store, histories, entity, missing)
        return
    if missing.start_request:
        wanted = missing.start_request.encode()
        found = await store.load_parts(entity.digest, PART_START_REQUEST, [wanted])
        if generation == entity.generation:
            run_id = rows.text_of(found[wanted]) if wanted in found else ""
            state = entity.state
            # Only the newest absence is worth remembering: refused starts would pile theirs up.
            requests = Map({key: run for key, run in state.start_requests.items() if run})
            requests = requests.set(missing.start_request, run_id)
            entity.state = ChainState(state.chain, state.runs, requests, state.start_events)
        return
    if missing.signal_id:
        wanted = missing.signal_id.encode()
        found = await store.load_parts(rows.run_bytes(missing.run_id), PART_SIGNAL_ID, [wanted])
        if generation == entity.generation:
            state = entity.state
            execution = state.runs[missing.run_id].fork()
            execution.signal_ids = execution.signal_ids.set(missing.signal_id, wanted in found)
            runs = state.runs.set(missing.run_id, execution)
            entity.state = ChainState(state.chain, runs, state.start_requests, state.start_events)
        return
    if missing.update_id:
        wanted = missing.update_id.encode()
        found = await store.load_parts(rows.run_bytes(missing.run_id), PART_COMPLETED_UPDATE, [wanted])
        if generation == entity.generation:
            state = entity.state
            execution = state.runs[missing.run_id].fork()
            event_id = int.from_bytes(found.get(wanted, b""), "big")
            execution.completed_updates = execution.completed_updates.set(missing.update_id, event_id)
            runs = state.runs.set(missing.run_id, execution)
            entity.state = ChainState(state.chain, runs, state.start_requests, state.start_events)
        return
    event = await histories.event(entity.state.runs[missing.run_id].branches, 1)
    if generation == entity.generation:
        state = entity.state
        events: Map[str, bytes] = state.start_events.set(missing.run_id, event)
        entity.state = ChainState(state.chain, state.runs, state.start_requests, events)


async def _look_up_run(store: Store, histories: Histories, entity: Entity, missing: Needs) -> None:
    """A run beside the one that the input names, or all of a run's history (`Needs.state`, `Needs.history`)."""
    generation = entity.generation
    run_id = missing.run_id
    if missing.history:
        run = entity.state.runs[run_id]
        fragments = await histories.read(run.branches, 1, run.next_event_id, HISTORY_BYTES_MAX, False)
        if generation == entity.generation:
            state = entity.state
            known = state.histories.set(run_id, whole_events(fragments, run.next_event_id))
            entity.state = ChainState(state.chain, state.runs, state.start_requests, state.start_events, known)
        return
    found = await store.load(entity.digest, rows.run_bytes(run_id))
    if generation != entity.generation:
        return
    state = entity.state
    row = found[1] if found is not None else None
    if row is None:
        known = state.histories.set(run_id, b"")
        entity.state = ChainState(state.chain, state.runs, state.start_requests, state.start_events, known)
    elif run_id not in state.runs:
        runs = state.runs.set(run_id, rows.run_of(row))
        entity.state = ChainState(state.chain, runs, state.start_requests, state.start_events, state.histories)
