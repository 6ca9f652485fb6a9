"""The store port. Its docstrings are law: one contract suite (`tests/store`) holds every backend to them.

What a store promises is the atomicity of one chain's write (`ChainWrite`) under the fence. That many chains share
one database transaction is an optimisation a store may offer. A store knows rows and bytes; it never decodes a
core, a part or an event.

Rows
- *chain*: digest (16 bytes), version, current run id, core. One per chain.
- *run*: run id (16 bytes), digest of its chain, version, core, alarm. One per run, kept until the run is reclaimed.
- *part*: (run id, kind, key) -> body. Pieces of a run that are written only when touched (DESIGN 1.4).
  Kinds below `KEYED` come with the run when it is loaded; kinds from `KEYED` on are fetched by key.
- *fragment*: (branch id, first event id) -> bytes of a serialized `History` holding events [first, next).
- *visibility*: one record per run, or per entity of another kind (kinds are listed and counted apart), written in the
  same transaction where `Traits.visibility_in_transaction`.
- *record*: (table, key) -> versioned bytes, for small registries (namespaces, cluster metadata).

Order: the writes given to `commit` take effect in the order given; two writes to one chain in one batch are both
applied. Errors: `CommitFailed` means nothing of the batch was applied; `CommitUnknown` means it may or may not
have been; `FenceLost` means that another owner has taken over and nothing was applied. Nothing else may come out
of `commit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

from perdure.ids import ChainKey
from perdure.visibility.record import VisibilityRecord
from perdure.visibility.resolve import Condition

KEYED = 128
"""Part kinds from here on are not loaded with the run; the engine asks for them by key."""

BATCH_WRITES_MAX = 128
"""Most chain writes in one commit."""


class StoreError(Exception):
    """A failure of the store, never of the caller of the API."""


class CommitFailed(StoreError):
    """Definite: nothing of this batch was applied. A version check that fails is this, too."""


class CommitUnknown(StoreError):
    """Ambiguous: the batch may have been applied. The owner takes a new epoch and re-reads before it answers
    anything.
    """


class FenceLost(StoreError):
    """Definite: a later epoch holds these slots. The owner must stop answering for them."""


class StoreBusy(StoreError):
    """Another process holds this store (SQLite: the file's lock)."""


@final
class Fence:
    """The right to write to slots [first_slot, last_slot], as long as `epoch` is the latest for the range (DESIGN
    1.8).
    """

    __slots__ = ("epoch", "first_slot", "last_slot")

    def __init__(self, epoch: int, first_slot: int, last_slot: int) -> None:
        self.epoch = epoch
        self.first_slot = first_slot
        self.last_slot = last_slot


@final
class ChainPut:
    """The chain row after the write. `expected_version` 0 inserts; otherwise the row must have that version, and gets
    the next.
    """

    __slots__ = ("core", "current_run_id", "expected_version")

    def __init__(self, expected_version: int, current_run_id: bytes, core: bytes) -> None:
        self.expected_version = expected_version
        self.current_run_id = current_run_id
        self.core = core


@final
class RunPut:
    """A run row after the write; versions as in `ChainPut`.

    `alarm_ns` is the earliest time at which the run needs attention, None for never; a store with an indexed alarm
    column leaves the column alone when `alarm_changed` is false.
    """

    __slots__ = ("alarm_changed", "alarm_ns", "core", "expected_version", "run_id")

    def __init__(
        self, run_id: bytes, expected_version: int, core: bytes, alarm_ns: int | None, alarm_changed: bool
    ) -> None:
        self.run_id = run_id
        self.expected_version = expected_version
        self.core = core
        self.alarm_ns = alarm_ns
        self.alarm_changed = alarm_changed


@final
class PartPut:
    """One part of a run: inserted or replaced, or with body None deleted (deleting what is not there is fine)."""

    __slots__ = ("body", "key", "kind", "run_id")

    def __init__(self, run_id: bytes, kind: int, key: bytes, body: bytes | None) -> None:
        self.run_id = run_id
        self.kind = kind
        self.key = key
        self.body = body


@final
class Fragment:
    """Events [first_event_id, next_event_id) of a branch, as bytes of a serialized `History`; concatenations are
    valid, too.
    """

    __slots__ = ("body", "branch_id", "first_event_id", "next_event_id")

    def __init__(self, branch_id: bytes, first_event_id: int, next_event_id: int, body: bytes) -> None:
        self.branch_id = branch_id
        self.first_event_id = first_event_id
        self.next_event_id = next_event_id
        self.body = body


@final
class Reclaim:
    """Removes a run whole, in bounded work: the run row, its parts, its visibility record and at most
    `limits.FRAGMENTS_RECLAIMED_MAX` fragments, the oldest first. Not `whole`, it removes fragments only: a history
    longer than the bound goes piece by piece before its run does.
    """

    __slots__ = ("branch_ids", "run_id", "whole")

    def __init__(self, run_id: bytes, branch_ids: tuple[bytes, ...], whole: bool = True) -> None:
        self.run_id = run_id
        self.branch_ids = branch_ids
        self.whole = whole


@final
class ChainWrite:
    """Everything one step changes in one chain; applied whole or not at all.

    A fragment whose (branch, first event id) exists is an error (`CommitFailed`): histories are append-only.
    `drop_chain` deletes the chain row and the chain's own parts, those under its digest (its last run was reclaimed).
    It excludes `chain`.
    """

    __slots__ = ("chain", "drop_chain", "fragments", "key", "parts", "reclaim", "runs", "visibility")

    def __init__(
        self,
        key: ChainKey,
        chain: ChainPut | None = None,
        runs: tuple[RunPut, ...] = (),
        parts: tuple[PartPut, ...] = (),
        fragments: tuple[Fragment, ...] = (),
        visibility: tuple[VisibilityRecord, ...] = (),
        reclaim: tuple[Reclaim, ...] = (),
        drop_chain: bool = False,
    ) -> None:
        self.key = key
        self.chain = chain
        self.runs = runs
        self.parts = parts
        self.fragments = fragments
        self.visibility = visibility
        self.reclaim = reclaim
        self.drop_chain = drop_chain


@final
class ChainRow:
    """A stored chain row."""

    __slots__ = ("core", "current_run_id", "version")

    def __init__(self, version: int, current_run_id: bytes, core: bytes) -> None:
        self.version = version
        self.current_run_id = current_run_id
        self.core = core


@final
class RunRow:
    """A stored run with the parts that come with it: `parts` are (kind, key, body) ordered by kind and key."""

    __slots__ = ("alarm_ns", "core", "parts", "run_id", "version")

    def __init__(
        self, run_id: bytes, version: int, core: bytes, alarm_ns: int | None, parts: list[tuple[int, bytes, bytes]]
    ) -> None:
        self.run_id = run_id
        self.version = version
        self.core = core
        self.alarm_ns = alarm_ns
        self.parts = parts


@final
class Due:
    """One stored alarm: which run of which chain, and when."""

    __slots__ = ("alarm_ns", "digest", "run_id")

    def __init__(self, alarm_ns: int, digest: bytes, run_id: bytes) -> None:
        self.alarm_ns = alarm_ns
        self.digest = digest
        self.run_id = run_id


@final
class Record:
    """A versioned entry of a small registry."""

    __slots__ = ("body", "key", "version")

    def __init__(self, key: str, version: int, body: bytes) -> None:
        self.key = key
        self.version = version
        self.body = body


@final
class VisibilityPage:
    """A page of a list: the records, and where the next page begins (b"" when this was the last)."""

    __slots__ = ("next_page_token", "records")

    def __init__(self, records: list[VisibilityRecord], next_page_token: bytes) -> None:
        self.records = records
        self.next_page_token = next_page_token


@final
class Traits:
    """What a store declares of itself: its name; whether many chains share a commit; whether lists follow the write
    (else the record is owed to them); whether histories are appended before the rows that name them (DESIGN 1.13).
    """

    __slots__ = ("history_first", "name", "shares_commits", "visibility_in_transaction")

    def __init__(self, name: str, shares_commits: bool, visibility_in_transaction: bool, history_first: bool) -> None:
        self.name = name
        self.shares_commits = shares_commits
        self.visibility_in_transaction = visibility_in_transaction
        self.history_first = history_first


class Store(Protocol):
    """A durable store. All methods are called from one event loop; none may block it beyond a millisecond or two."""

    @property
    def traits(self) -> Traits: ...

    async def open(self) -> None:
        """Connects, creates or migrates the schema. A file held by another process raises `StoreBusy`."""
        ...

    async def close(self) -> None:
        """Finishes the commit in flight and lets go. Idempotent."""
        ...

    async def acquire(self) -> Fence:
        """Takes all slots under a new epoch, greater than any before it. Every earlier fence is void from then on."""
        ...

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        """Applies the writes atomically and durably (synced when this returns), if `fence` still holds.

        At most `BATCH_WRITES_MAX` writes. The fence's row is checked under lock in the same transaction and each
        slot is asserted to lie inside. Only one commit may be in flight per store object. Raises `CommitFailed`,
        `CommitUnknown` or `FenceLost`.
        """
        ...

    async def load(self, digest: bytes, run_id: bytes | None) -> tuple[ChainRow, RunRow | None] | None:
        """The chain, and the run asked for (None: the current one) with its parts of kinds below `KEYED`.

        None when there is no such chain. The run is None when the chain has no run of that id. Sees every commit
        that returned.
        """
        ...

    async def load_parts(self, run_id: bytes, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The bodies of those keys that exist; at most `limits.KEYS_MAX` keys. `run_id` may be a chain's digest."""
        ...

    async def read_history(
        self, branch_id: bytes, first_event_id: int, next_event_id: int, bytes_max: int, reverse: bool = False
    ) -> list[Fragment]:
        """Whole fragments that hold events in [first_event_id, next_event_id), in order (descending if `reverse`).

        Stops after the fragment with which their sizes reach `bytes_max`, so at least one comes when there is any.
        """
        ...

    async def due(self, fence: Fence, from_ns: int, to_ns: int, limit: int) -> list[Due]:
        """Stored alarms in [from_ns, to_ns) of the fence's slots, earliest first, at most `limit`.

        When `limit` were found there may be more with the last one's time: ask again from that time on.
        """
        ...

    async def list_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
    ) -> VisibilityPage:
        """A page of the records of one kind, in the order of semantics 15.4.

        A token that is not ours, or of another namespace or kind, raises `errors.InvalidArgument`.
        """
        ...

    async def count_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
    ) -> list[tuple[object, int]]:
        """Counts of one kind by value of `group_by`, largest first, or one pair (None, count) without it."""
        ...

    async def put_record(self, table: str, key: str, expected_version: int, body: bytes | None) -> int:
        """Creates (expected 0), replaces or, with body None, deletes a registry entry; returns the new version.

        Durable when it returns. A version that does not match raises `CommitFailed`.
        """
        ...

    async def list_records(self, table: str) -> list[Record]:
        """All entries of a registry table, by key."""
        ...
