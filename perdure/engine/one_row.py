"""An entity of one row in memory: its committed state, its mailbox, who watches it, which effects are under way; and
its form in the store. Its runner is `entities.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final, final

import msgspec

from perdure.engine import rows
from perdure.engine.committer import Member
from perdure.engine.mail import Letter
from perdure.ids import ChainKey, Kind
from perdure.machines.entity import Machine
from perdure.store.api import ChainPut, ChainRow, ChainWrite, Reclaim, RunPut, RunRow

ENTITY_BYTES: Final = 2_000
"""Roughly what an entity takes in memory beside its state."""
FORMAT: Final = 1
"""Of the rows: (FORMAT, kind, namespace id, name) the chain's, (FORMAT, time of the last step, state) the run's."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


@final
class StateWatcher:
    """Somebody who waits for a committed state of which `predicate` holds."""

    __slots__ = ("future", "predicate")

    def __init__(self, predicate: Callable[[Any], bool], future: asyncio.Future[Any]) -> None:
        self.predicate = predicate
        self.future = future


@final
class OneRow:
    """One entity in memory. `state` is always committed; `last` is the time of its last step."""

    __slots__ = (
        "alarm",
        "digest",
        "failures",
        "held",
        "key",
        "last",
        "loaded",
        "mailbox",
        "resting",
        "running",
        "size",
        "state",
        "version",
        "waiting_bytes",
        "watchers",
    )

    def __init__(self, digest: bytes, key: ChainKey | None) -> None:
        self.digest = digest
        self.key = key
        self.loaded = False
        self.running = False
        self.state: Any = None
        self.version = 0
        self.last = 0
        self.alarm = 0
        """As stored, ns since the epoch; 0 for none."""
        self.mailbox: deque[Letter[object]] = deque()
        self.waiting_bytes = 0
        self.watchers: list[StateWatcher] = []
        self.held: set[Hashable] = set()
        """Keys of effects under way or pausing."""
        self.resting: dict[Hashable, asyncio.Event] = {}
        """Of effects whose answers are held back: set, the pause is over."""
        self.failures: dict[Hashable, int] = {}
        self.size = ENTITY_BYTES
        """Bytes that it takes in memory, roughly."""

    @property
    def at_rest(self) -> bool:
        """Whether nothing would be lost if it were forgotten."""
        return not (self.running or self.mailbox or self.watchers or self.held)

    def take(self, row: RunRow, machine: Machine[Any]) -> None:
        """The entity is as stored."""
        _, self.last, body = _decode(row.core)
        self.state = machine.decode(body)
        self.version = row.version
        self.alarm = row.alarm_ns or 0
        self.size = _size(body)
        self.loaded = True

    def forget(self) -> None:
        """What is in memory may not be what is stored."""
        self.loaded = False
        self.state = None
        self.version = 0
        self.alarm = 0


@final
class Write(Member):
    """One step on its way through a commit."""

    __slots__ = ("done",)

    def __init__(self, write: ChainWrite) -> None:
        super().__init__([write])
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def committed(self) -> None:
        if not self.done.done():
            self.done.set_result(True)

    def lost(self, ambiguous: bool) -> None:
        if not self.done.done():
            self.done.set_result(False)


def key_of(row: ChainRow) -> ChainKey:
    """The key of a stored entity."""
    _, kind, namespace_id, name = _decode(row.core)
    return ChainKey(namespace_id, Kind(kind), name)


def written(entity: OneRow, key: ChainKey, machine: Machine[Any], after: Any, now: int) -> tuple[ChainWrite, int]:
    """The write that puts `after` in the place of what is stored, and the alarm in it (0: none)."""
    if after is None:
        return ChainWrite(key, reclaim=(Reclaim(key.digest, ()),), drop_chain=True), 0
    # What owes something is due from now on, should this process be gone.
    alarm = now if machine.owed(after) else machine.alarm(after)
    listing = machine.listing(after)
    shown = (rows.listed(key, listing, entity.version + 1),) if listing is not None else ()
    body = machine.encode(after)
    run = RunPut(key.digest, entity.version, _encode((FORMAT, now, body)), alarm or None, alarm != entity.alarm)
    core = _encode((FORMAT, int(key.kind), key.namespace_id, key.id))
    chain = None if entity.version else ChainPut(0, key.digest, core)
    entity.size = _size(body)
    return ChainWrite(key, chain=chain, runs=(run,), visibility=shown), alarm


def _size(body: bytes) -> int:
    return ENTITY_BYTES + 2 * len(body)
