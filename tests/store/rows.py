"""Rows to write in tests of stores, and a whole-store dump to compare. Ids are counted, not drawn.

Runs read the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.api import common
from perdure.ids import ChainKey, Kind, uuid_text
from perdure.store.api import ChainPut, ChainRow, ChainWrite, Fragment, PartPut, RunPut, RunRow, Store
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord

NAMESPACE = "namespace"


def key(name: str) -> ChainKey:
    """The chain of the workflow id `name`."""
    return ChainKey(NAMESPACE, 1, name)


def run_id(number: int) -> bytes:
    """A run id of version 7, ordered by `number`."""
    return number.to_bytes(6, "big") + b"\x70\x00\x80\x00" + bytes(6)


def start(name: str, number: int, alarm_ns: int | None = None, body: bytes = b"core") -> ChainWrite:
    """The first write of a chain with one run."""
    run = RunPut(run_id(number), 0, body, alarm_ns, True)
    return ChainWrite(key(name), ChainPut(0, run_id(number), b"chain"), (run,), (), (event(number, 1),))


def step(name: str, number: int, expected: int, body: bytes, alarm_ns: int | None = None) -> ChainWrite:
    """A later write of a run alone; its stored alarm changes when one is given."""
    return ChainWrite(key(name), None, (RunPut(run_id(number), expected, body, alarm_ns, alarm_ns is not None),))


def part(number: int, kind: int, name: bytes, body: bytes | None) -> PartPut:
    """A part of a run."""
    return PartPut(run_id(number), kind, name, body)


def event(number: int, first: int, following: int | None = None, body: bytes | None = None) -> Fragment:
    """A fragment on the branch that has the run's number: one event, unless `following` says more."""
    following = first + 1 if following is None else following
    return Fragment(run_id(number), first, following, b"<%d>" % first if body is None else body)


def record(
    name: str,
    number: int,
    version: int = 1,
    status: int = 1,
    close_time: int | None = None,
    kind: Kind = Kind.WORKFLOW,
    workflow_type: str = "Order",
    keywords: dict[str, str] | None = None,
) -> VisibilityRecord:
    """What visibility shows of a run."""
    return VisibilityRecord(
        NAMESPACE,
        uuid_text(run_id(number)),
        name,
        workflow_type,
        status,
        1_000 + number,
        1_000 + number,
        close_time=close_time,
        task_queue="queue",
        memo=b"memo\x00\xff",
        version=version,
        kind=kind,
        search_attributes=_search_attributes(keywords or {}),
    )


def _search_attributes(keywords: dict[str, str]) -> bytes:
    fields = {name: attributes.encode(value, attributes.KEYWORD) for name, value in keywords.items()}
    return common.SearchAttributes(indexed_fields=fields).SerializeToString(deterministic=True)


def bodies(fragments: Sequence[Fragment]) -> bytes:
    """The fragments' bytes as one."""
    return b"".join(fragment.body for fragment in fragments)


async def loaded(store: Store, name: str, number: int | None = None) -> tuple[ChainRow, RunRow]:
    """The chain and a run of it (the current one without a number), which must exist."""
    found = await store.load(key(name).digest, None if number is None else run_id(number))
    assert found is not None
    chain, run = found
    assert run is not None
    return chain, run


async def missing(store: Store, name: str) -> bool:
    """Whether the chain does not exist."""
    return await store.load(key(name).digest, None) is None
