"""From names that a person gives to what a store holds: namespaces, chains, runs, states.

The way in for everything that looks at one entity. It decodes with the machines' own codecs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from perdure.errors import NotFound
from perdure.ids import ChainKey, Kind, uuid_bytes, uuid_text
from perdure.machines.batch import BatchMachine
from perdure.machines.entity import Machine
from perdure.machines.namespace_deletion import NamespaceDeletionMachine
from perdure.machines.schedule.machine import ScheduleMachine
from perdure.machines.workflow import codec
from perdure.machines.workflow.chain import Chain
from perdure.machines.workflow.execution import Execution
from perdure.store.inspect import Inspection, StoredChain, StoredRun

MACHINES: Final[dict[int, Machine[Any]]] = {
    Kind.SCHEDULE: ScheduleMachine(),
    Kind.BATCH: BatchMachine(),
    Kind.NAMESPACE_DELETION: NamespaceDeletionMachine(),
}
"""How the states of entities of one row are read."""

KINDS: Final = {kind.name.lower().replace("_", "-"): kind for kind in Kind if kind != Kind.PROBE}
"""Kinds of entities by the words for them."""


class Entity(NamedTuple):
    """An entity of one row as stored: who it is, and its state (None when no machine of ours reads its kind)."""

    kind: int
    namespace_id: str
    id: str
    state: Any


def namespaces(store: Inspection, report: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """Names of namespaces by id; those that cannot be read are left out and reported."""
    found: dict[str, str] = {}
    for record in store.records("namespace"):
        try:
            fields = msgspec.msgpack.decode(record.body)
            found[fields["id"]] = fields["name"]
        except (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError) as error:
            report(f"namespace {record.key} cannot be read: {type(error).__name__}: {error}")
    return found


def namespace_id(store: Inspection, name: str) -> str:
    """The id of a namespace. Raises NotFound."""
    for one, its_name in namespaces(store).items():
        if name in (its_name, one):
            return one
    raise NotFound(f"the store has no namespace {name!r}")


def key(store: Inspection, namespace: str, kind: str, entity_id: str) -> ChainKey:
    """The key of an entity by its names. Raises NotFound."""
    return ChainKey(namespace_id(store, namespace), KINDS[kind], entity_id)


def chain_of(store: Inspection, its_key: ChainKey) -> StoredChain:
    """A stored chain. Raises NotFound."""
    found = store.chain(its_key.digest)
    if found is None:
        raise NotFound(f"the store has no {Kind(its_key.kind).name.lower().replace('_', ' ')} {its_key.id!r}")
    return found


def decoded_chain(row: StoredChain) -> Chain:
    """A workflow's chain."""
    return codec.decode_chain(row.core, row.version)


def decoded_run(store: Inspection, row: StoredRun) -> Execution:
    """A run with its parts."""
    return codec.decode_run(row.core, row.version, row.alarm_ns or 0, store.parts(row.run_id))


def execution(store: Inspection, namespace: str, workflow_id: str, run_id: str = "") -> Execution:
    """A run by its names; without `run_id` the current one. Raises NotFound."""
    wanted_key = key(store, namespace, "workflow", workflow_id)
    wanted = uuid_bytes(run_id) if run_id else chain_of(store, wanted_key).current_run_id
    row = store.run(wanted) if wanted else None
    if row is None or row.digest != wanted_key.digest:
        raise NotFound(f"the store has no run {run_id or '(current)'} of workflow {workflow_id!r}")
    return decoded_run(store, row)


def is_entity(chain: StoredChain) -> bool:
    """Whether a chain's only row is an entity of one row: its run has the chain's digest for an id."""
    return chain.current_run_id == chain.digest


def entity(chain: StoredChain, row: StoredRun) -> Entity:
    """An entity of one row."""
    _, kind, owner, name = msgspec.msgpack.decode(chain.core)
    _, _, body = msgspec.msgpack.decode(row.core)
    machine = MACHINES.get(kind)
    return Entity(kind, owner, name, machine.decode(body) if machine is not None else None)


def text_of(run_id: bytes) -> str:
    """A run id as people read it."""
    return uuid_text(run_id)
