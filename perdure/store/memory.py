"""The store in memory: the model that every other store is measured by, and the ground of tests and the simulation.

Serializable by construction: `MemoryDisk.apply` runs without a break on the event loop and undoes itself when a member
fails. The disk outlives the stores opened on it, as a file outlives a process; with `synchronous=False` it also keeps
apart what was applied and what was synced, so that a store that lies about durability can be planted (`crash`). With
`history_first` a failed write may leave fragments behind, as on Cassandra: readers must not see them and later writes
replace them.

It must not know anything that another store could not know: rows and bytes only.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, final

from perdure.ids import SLOTS, slot_of
from perdure.store.api import (
    KEYED,
    ChainRow,
    ChainWrite,
    CommitFailed,
    Due,
    Fence,
    FenceLost,
    Fragment,
    PartPut,
    Reclaim,
    Record,
    RunPut,
    RunRow,
    StoreError,
    Traits,
    VisibilityPage,
)
from perdure.store.collapse import check_batch
from perdure.store.limits import FRAGMENTS_RECLAIMED_MAX, KEYS_MAX
from perdure.visibility import evaluate
from perdure.visibility.record import VisibilityRecord, run_key
from perdure.visibility.resolve import Condition
from perdure.visibility.sql import page_size_of

K = TypeVar("K")
V = TypeVar("V")


@final
class _Run:
    """A stored run row: replaced, never changed."""

    __slots__ = ("alarm_ns", "core", "digest", "version")

    def __init__(self, digest: bytes, version: int, core: bytes, alarm_ns: int | None) -> None:
        self.digest = digest
        self.version = version
        self.core = core
        self.alarm_ns = alarm_ns


@final
class _State:
    """All rows. `alarms` is sorted by (time, run id); `torn` names fragments that no successful write has stored."""

    __slots__ = ("alarms", "chains", "epoch", "fragments", "parts", "records", "runs", "torn", "visibility")

    def __init__(self) -> None:
        self.epoch = 0
        self.chains: dict[bytes, ChainRow] = {}
        self.runs: dict[bytes, _Run] = {}
        self.parts: dict[bytes, dict[tuple[int, bytes], bytes]] = {}
        self.fragments: dict[bytes, dict[int, Fragment]] = {}
        self.torn: set[tuple[bytes, int]] = set()
        self.visibility: dict[bytes, VisibilityRecord] = {}
        self.records: dict[tuple[str, str], Record] = {}
        self.alarms: list[tuple[int, bytes]] = []

    def copy(self) -> _State:
        """A state of its own with the same rows."""
        other = _State()
        other.epoch = self.epoch
        other.chains = dict(self.chains)
        other.runs = dict(self.runs)
        other.parts = {run_id: dict(parts) for run_id, parts in self.parts.items()}
        other.fragments = {branch_id: dict(branch) for branch_id, branch in self.fragments.items()}
        other.torn = set(self.torn)
        other.visibility = dict(self.visibility)
        other.records = dict(self.records)
        other.alarms = list(self.alarms)
        return other


Undo = list[Callable[[], object]]


@final
class _Application:
    """One batch being applied to a state, with what undoes it."""

    __slots__ = ("_state", "_undo")

    def __init__(self, state: _State) -> None:
        self._state = state
        self._undo: Undo = []

    def apply(self, writes: Sequence[ChainWrite]) -> None:
        """All writes in order, or none: `CommitFailed` leaves the state as it was."""
        try:
            for write in writes:
                self._write(write)
        except CommitFailed:
            for undo in reversed(self._undo):
                undo()
            raise

    def _write(self, write: ChainWrite) -> None:
        chain = write.chain
        if chain is not None:
            digest = write.key.digest
            version = _next_version(repr(write.key), self._state.chains.get(digest), chain.expected_version)
            self._set(self._state.chains, digest, ChainRow(version, chain.current_run_id, chain.core))
        for run in write.runs:
            self._put_run(write.key.digest, run)
        for part in write.parts:
            self._put_part(part)
        for fragment in write.fragments:
            self._put_fragment(fragment)
        for record in write.visibility:
            self._put_visibility(record)
        for reclaim in write.reclaim:
            self._reclaim(reclaim)
        if write.drop_chain:
            self._drop(self._state.chains, write.key.digest)
            self._drop(self._state.parts, write.key.digest)

    def _put_run(self, digest: bytes, put: RunPut) -> None:
        before = self._state.runs.get(put.run_id)
        version = _next_version(f"run {put.run_id.hex()}", before, put.expected_version)
        if before is not None and before.digest != digest:
            raise CommitFailed(f"run {put.run_id.hex()} belongs to another chain")
        alarm_ns = put.alarm_ns if before is None or put.alarm_changed else before.alarm_ns
        self._move_alarm(put.run_id, before.alarm_ns if before is not None else None, alarm_ns)
        self._set(self._state.runs, put.run_id, _Run(digest, version, put.core, alarm_ns))

    def _put_part(self, part: PartPut) -> None:
        parts = self._state.parts.get(part.run_id)
        if parts is None:
            parts = {}
            self._set(self._state.parts, part.run_id, parts)
        if part.body is None:
            self._drop(parts, (part.kind, part.key))
        else:
            self._set(parts, (part.kind, part.key), part.body)

    def _put_fragment(self, fragment: Fragment) -> None:
        branch = self._state.fragments.get(fragment.branch_id)
        if branch is None:
            branch = {}
            self._set(self._state.fragments, fragment.branch_id, branch)
        place = (fragment.branch_id, fragment.first_event_id)
        if fragment.first_event_id in branch:
            if place not in self._state.torn:
                raise CommitFailed(f"branch {fragment.branch_id.hex()} has a fragment at {fragment.first_event_id}")
            self._state.torn.discard(place)
            self._undo.append(lambda: self._state.torn.add(place))
        self._set(branch, fragment.first_event_id, fragment)

    def _put_visibility(self, record: VisibilityRecord) -> None:
        key = run_key(record.run_id)
        before = self._state.visibility.get(key)
        if before is None or before.version <= record.version:
            self._set(self._state.visibility, key, record)

    def _reclaim(self, reclaim: Reclaim) -> None:
        if reclaim.whole:
            run = self._state.runs.get(reclaim.run_id)
            if run is not None:
                self._move_alarm(reclaim.run_id, run.alarm_ns, None)
                self._drop(self._state.runs, reclaim.run_id)
            self._drop(self._state.parts, reclaim.run_id)
            self._drop(self._state.visibility, reclaim.run_id)
        budget = FRAGMENTS_RECLAIMED_MAX
        for branch_id in reclaim.branch_ids:
            branch = self._state.fragments.get(branch_id, {})
            for first_event_id in sorted(branch)[:budget]:
                self._drop(branch, first_event_id)
                budget -= 1
            if not branch:
                self._drop(self._state.fragments, branch_id)

    def _move_alarm(self, run_id: bytes, before_ns: int | None, after_ns: int | None) -> None:
        if before_ns == after_ns:
            return
        alarms = self._state.alarms
        if before_ns is not None:
            _remove(alarms, (before_ns, run_id))
            self._undo.append(lambda: bisect.insort(alarms, (before_ns, run_id)))
        if after_ns is not None:
            bisect.insort(alarms, (after_ns, run_id))
            self._undo.append(lambda: _remove(alarms, (after_ns, run_id)))

    def _set(self, table: dict[K, V], key: K, value: V) -> None:
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.pop(key))
        table[key] = value

    def _drop(self, table: dict[K, V], key: K) -> None:
        if key in table:
            before = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, before))


def _next_version(what: str, before: ChainRow | _Run | None, expected_version: int) -> int:
    """The version after a put, or `CommitFailed` when the row is not at the expected one (0: must not exist)."""
    version = 0 if before is None else before.version
    if version != expected_version:
        raise CommitFailed(f"{what}: expected version {expected_version}, found {version}")
    return version + 1


def _remove(alarms: list[tuple[int, bytes]], entry: tuple[int, bytes]) -> None:
    index = bisect.bisect_left(alarms, entry)
    assert alarms[index] == entry, f"alarm {entry!r} is missing"
    del alarms[index]


@final
class MemoryDisk:
    """What several stores see, one after the other or at once, as a database would be seen.

    With `synchronous` false, `apply` returns before anything is safe: `sync` makes it so, `crash` loses what was not.
    """

    __slots__ = ("_pending", "_synced", "state", "synchronous")

    def __init__(self, synchronous: bool = True) -> None:
        self.synchronous = synchronous
        self.state = _State()
        self._synced = self.state if synchronous else _State()
        self._pending: list[Callable[[_State], object]] = []

    def change(self, change: Callable[[_State], V]) -> V:
        """Runs a deterministic change of the state; whatever it raises must have left the state as it was."""
        result = change(self.state)
        if not self.synchronous:
            self._pending.append(change)
        return result

    def apply(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        """Applies a batch under the fence, as `Store.commit` says."""

        def change(state: _State) -> None:
            if fence.epoch != state.epoch:
                raise FenceLost(f"epoch {fence.epoch} was succeeded by {state.epoch}")
            _Application(state).apply(writes)

        self.change(change)

    def tear(self, writes: Sequence[ChainWrite]) -> None:
        """Leaves the fragments of a write that failed behind, as a store with `history_first` may.

        Unseen, and to be overwritten.
        """

        def change(state: _State) -> None:
            for write in writes:
                for fragment in write.fragments:
                    branch = state.fragments.setdefault(fragment.branch_id, {})
                    place = (fragment.branch_id, fragment.first_event_id)
                    if fragment.first_event_id not in branch or place in state.torn:
                        branch[fragment.first_event_id] = fragment
                        state.torn.add(place)

        self.change(change)

    def sync(self) -> None:
        """Makes everything applied so far safe from `crash`."""
        for change in self._pending:
            change(self._synced)
        self._pending.clear()

    @property
    def unsynced(self) -> int:
        """How many changes a crash may still take."""
        return len(self._pending)

    def crash(self, kept: int = 0) -> None:
        """Loses all changes that were not synced but the first `kept` of them. With `synchronous` nothing is lost."""
        if self.synchronous:
            return
        for change in self._pending[:kept]:
            change(self._synced)
        self._pending.clear()
        self.state = self._synced.copy()


@final
class MemoryStore:
    """A store on a `MemoryDisk` (its own, unless one is given). Nothing here awaits, so nothing interleaves."""

    __slots__ = ("_open", "disk", "traits")

    def __init__(self, disk: MemoryDisk | None = None, history_first: bool = False) -> None:
        self.disk = disk if disk is not None else MemoryDisk()
        self.traits = Traits("memory", True, True, history_first)
        self._open = False

    async def open(self) -> None:
        self._open = True

    async def close(self) -> None:
        self._open = False

    async def acquire(self) -> Fence:
        def change(state: _State) -> int:
            state.epoch += 1
            return state.epoch

        self._check_open()
        return Fence(self.disk.change(change), 0, SLOTS - 1)

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        check_batch(fence, writes)
        if not self._open:
            raise CommitFailed("the store is not open")
        self.disk.apply(fence, writes)

    async def load(self, digest: bytes, run_id: bytes | None) -> tuple[ChainRow, RunRow | None] | None:
        state = self._state()
        chain = state.chains.get(digest)
        if chain is None:
            return None
        wanted = chain.current_run_id if run_id is None else run_id
        run = state.runs.get(wanted)
        if run is None or run.digest != digest:
            return chain, None
        parts = state.parts.get(wanted, {})
        loaded = sorted((kind, key, body) for (kind, key), body in parts.items() if kind < KEYED)
        return chain, RunRow(wanted, run.version, run.core, run.alarm_ns, loaded)

    async def load_parts(self, run_id: bytes, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        assert len(keys) <= KEYS_MAX, f"{len(keys)} keys in one load_parts"
        parts = self._state().parts.get(run_id, {})
        return {key: parts[kind, key] for key in keys if (kind, key) in parts}

    async def read_history(
        self, branch_id: bytes, first_event_id: int, next_event_id: int, bytes_max: int, reverse: bool = False
    ) -> list[Fragment]:
        state = self._state()
        branch = state.fragments.get(branch_id, {})
        page: list[Fragment] = []
        size = 0
        for start in sorted(branch, reverse=reverse):
            fragment = branch[start]
            if (branch_id, start) in state.torn or fragment.next_event_id <= first_event_id or start >= next_event_id:
                continue
            page.append(fragment)
            size += len(fragment.body)
            if size >= bytes_max:
                break
        return page

    async def due(self, fence: Fence, from_ns: int, to_ns: int, limit: int) -> list[Due]:
        state = self._state()
        found: list[Due] = []
        for index in range(bisect.bisect_left(state.alarms, (from_ns, b"")), len(state.alarms)):
            alarm_ns, run_id = state.alarms[index]
            if alarm_ns >= to_ns or len(found) == limit:
                break
            digest = state.runs[run_id].digest
            if fence.first_slot <= slot_of(digest) <= fence.last_slot:
                found.append(Due(alarm_ns, digest, run_id))
        return found

    async def list_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
    ) -> VisibilityPage:
        records, following = evaluate.list_page(
            self._records(), namespace_id, kind, where, page_size_of(page_size), token
        )
        return VisibilityPage(records, following)

    async def count_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
    ) -> list[tuple[object, int]]:
        return evaluate.count(self._records(), namespace_id, kind, where, group_by)

    async def put_record(self, table: str, key: str, expected_version: int, body: bytes | None) -> int:
        def change(state: _State) -> int:
            before = state.records.get((table, key))
            version = 0 if before is None else before.version
            if version != expected_version:
                raise CommitFailed(f"{table} {key!r}: expected version {expected_version}, found {version}")
            if body is None:
                state.records.pop((table, key), None)
            else:
                state.records[table, key] = Record(key, version + 1, body)
            return version + 1

        assert body is not None or expected_version > 0, "deleting what must not exist"
        self._check_open()
        return self.disk.change(change)

    async def list_records(self, table: str) -> list[Record]:
        records = self._state().records
        return [records[place] for place in sorted(records) if place[0] == table]

    def _records(self) -> Iterable[VisibilityRecord]:
        return self._state().visibility.values()

    def _state(self) -> _State:
        self._check_open()
        return self.disk.state

    def _check_open(self) -> None:
        if not self._open:
            raise StoreError("the store is not open")
