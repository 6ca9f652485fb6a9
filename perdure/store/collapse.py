"""Turns the writes of one commit into rows per statement kind, in Python, before any SQL runs.

Group commit puts several writes of one chain into one batch. Only the last core of a run and the last body of a part
reach the database; the first expected version is the one that is checked and every write adds one. Deletions run after
the puts of their segment; a write that puts what an earlier one deleted (or deletes what an earlier one put) opens a
new segment, so that the order of the writes holds although each kind of statement runs once a segment, and so that one
SQL statement may hold a whole segment.

Pure: no I/O, no SQL text. It must not decode any body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from perdure.ids import ChainKey
from perdure.store.api import BATCH_WRITES_MAX, ChainWrite, CommitFailed, Fence, Fragment, RunPut
from perdure.visibility.record import VisibilityRecord

NOTHING: Final[dict[bytes, None]] = {}
"""What most segments delete. It is shared, and stays empty."""


@final
class CollapsedChain:
    """One chain's row after a segment; `steps` writes were folded into it."""

    __slots__ = ("core", "current_run_id", "expected_version", "key", "steps")

    def __init__(self, key: ChainKey, expected_version: int, current_run_id: bytes, core: bytes) -> None:
        self.key = key
        self.expected_version = expected_version
        self.steps = 1
        self.current_run_id = current_run_id
        self.core = core


@final
class CollapsedRun:
    """One run's row after a segment; `alarm_changed` when any of the folded writes changed it."""

    __slots__ = ("alarm_changed", "alarm_ns", "core", "expected_version", "key", "run_id", "steps")

    def __init__(self, key: ChainKey, put: RunPut) -> None:
        self.key = key
        self.run_id = put.run_id
        self.expected_version = put.expected_version
        self.steps = 1
        self.core = put.core
        self.alarm_ns = put.alarm_ns
        self.alarm_changed = put.alarm_changed

    def fold(self, key: ChainKey, put: RunPut) -> None:
        """Takes a later put of the same run in."""
        if key is not self.key and key != self.key:
            raise CommitFailed(f"run {put.run_id.hex()} belongs to another chain")
        if put.expected_version != self.expected_version + self.steps:
            raise CommitFailed(f"run {put.run_id.hex()}: versions of one batch do not follow each other")
        self.steps += 1
        self.core = put.core
        if put.alarm_changed:
            self.alarm_ns = put.alarm_ns
            self.alarm_changed = True


@final
class Segment:
    """Puts, then deletions, of rows that are all different: no row occurs twice."""

    __slots__ = (
        "branches",
        "chains",
        "dropped",
        "fragments",
        "parts",
        "reclaimed",
        "runs",
        "trimmed",
        "visibility",
    )

    def __init__(self) -> None:
        self.chains: dict[bytes, CollapsedChain] = {}
        self.runs: dict[bytes, CollapsedRun] = {}
        self.parts: dict[tuple[bytes, int, bytes], bytes | None] = {}
        self.fragments: list[Fragment] = []
        self.visibility: dict[bytes, VisibilityRecord] = {}
        self.reclaimed = self.branches = self.dropped = NOTHING
        self.trimmed = 0
        """How many reclaims there are: each may remove `FRAGMENTS_RECLAIMED_MAX` fragments."""

    def deletes(self) -> bool:
        """Whether any deletion is in here already."""
        return bool(self.trimmed or self.dropped)

    def put_clashes(self, write: ChainWrite) -> bool:
        """Whether `write` puts something that this segment deletes."""
        reclaimed = self.reclaimed
        return (
            (write.chain is not None and write.key.digest in self.dropped)
            or any(run.run_id in reclaimed for run in write.runs)
            or any(part.run_id in reclaimed for part in write.parts)
            or any(record.key in reclaimed for record in write.visibility)
            or any(fragment.branch_id in self.branches for fragment in write.fragments)
        )

    def delete_clashes(self, write: ChainWrite) -> bool:
        """Whether `write` deletes something that this segment puts."""
        part_runs = {place[0] for place in self.parts}
        if write.drop_chain and (write.key.digest in self.chains or write.key.digest in part_runs):
            return True
        for reclaim in write.reclaim:
            run_id = reclaim.run_id
            if reclaim.whole and (run_id in self.runs or run_id in self.visibility or run_id in part_runs):
                return True
            if any(fragment.branch_id in reclaim.branch_ids for fragment in self.fragments):
                return True
        return False

    def put(self, write: ChainWrite) -> None:
        """Folds the puts of `write` in."""
        key = write.key
        chain = write.chain
        if chain is not None:
            collapsed = self.chains.get(key.digest)
            if collapsed is None:
                self.chains[key.digest] = CollapsedChain(key, chain.expected_version, chain.current_run_id, chain.core)
            elif chain.expected_version != collapsed.expected_version + collapsed.steps:
                raise CommitFailed(f"{key!r}: versions of one batch do not follow each other")
            else:
                collapsed.steps += 1
                collapsed.current_run_id = chain.current_run_id
                collapsed.core = chain.core
        runs = self.runs
        for run in write.runs:
            folded = runs.get(run.run_id)
            if folded is None:
                runs[run.run_id] = CollapsedRun(key, run)
            else:
                folded.fold(key, run)
        for part in write.parts:
            self.parts[part.run_id, part.kind, part.key] = part.body
        self.fragments += write.fragments
        for record in write.visibility:
            run_key = record.key
            earlier = self.visibility.get(run_key)
            if earlier is None or earlier.version <= record.version:
                self.visibility[run_key] = record

    def delete(self, write: ChainWrite) -> None:
        """Adds the deletions of `write`."""
        if not self.deletes():
            self.reclaimed, self.branches, self.dropped = {}, {}, {}
        for reclaim in write.reclaim:
            self.trimmed += 1
            if reclaim.whole:
                self.reclaimed[reclaim.run_id] = None
            for branch_id in reclaim.branch_ids:
                self.branches[branch_id] = None
        if write.drop_chain:
            self.dropped[write.key.digest] = None
            # The chain's own parts are kept under its digest, where those of a run are under the run's id.
            self.reclaimed[write.key.digest] = None


def check_batch(fence: Fence, writes: Sequence[ChainWrite]) -> None:
    """Asserts what the caller owes: the batch's bound, and that every slot lies inside the fence (DESIGN 1.8)."""
    assert len(writes) <= BATCH_WRITES_MAX, f"{len(writes)} writes in one commit"
    first_slot = fence.first_slot
    last_slot = fence.last_slot
    for write in writes:
        assert first_slot <= write.key.slot <= last_slot, f"{write.key!r}: slot {write.key.slot} is outside the fence"
        assert not (write.drop_chain and write.chain is not None), f"{write.key!r}: put and dropped in one write"


def collapse(writes: Sequence[ChainWrite]) -> list[Segment]:
    """The segments of a batch, to be applied in order in one transaction.

    Raises `CommitFailed` when versions contradict.
    """
    segment = Segment()
    segments = [segment]
    for write in writes:
        if (segment.trimmed or segment.dropped) and segment.put_clashes(write):
            segment = Segment()
            segments.append(segment)
        segment.put(write)
        if write.reclaim or write.drop_chain:
            if segment.delete_clashes(write):
                segment = Segment()
                segments.append(segment)
            segment.delete(write)
    return segments
