"""Reading history: from the tails in memory where they reach, else from the store; always committed events only."""

from __future__ import annotations

from typing import final

from perdure.api.splice import event_fragment, event_id_of, slice_events, split_events
from perdure.engine.entity import Tail
from perdure.errors import Unavailable
from perdure.store.api import Fragment, Store, StoreError

TAIL_BYTES_MAX = 64 * 1024
"""History kept in memory per branch."""
HISTORY_BYTES_MAX = 256 << 20
"""More than any run's history may have (semantics 0.1)."""
_NO_BOUND = 1 << 62


@final
class Histories:
    """History of all runs of this owner."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tails: dict[bytes, Tail] = {}

    def remember(self, fragment: Fragment) -> int:
        """Keep a committed fragment at hand; returns by how many bytes the branch's tail has grown."""
        tail = self._tails.get(fragment.branch_id)
        if tail is None:
            tail = self._tails[fragment.branch_id] = Tail()
        return tail.append(fragment, TAIL_BYTES_MAX)

    def forget(self, branch: bytes) -> int:
        """Let go of a branch's tail: readers go to the store. Returns the bytes freed."""
        tail = self._tails.pop(branch, None)
        return tail.size if tail is not None else 0

    async def read(
        self,
        branches: tuple[tuple[bytes, int], ...],
        first_event_id: int,
        next_event_id: int,
        bytes_max: int,
        reverse: bool = False,
    ) -> list[Fragment]:
        """Whole fragments in order (descending if `reverse`) over a run's branches; stops once `bytes_max` is
        reached. The last of a branch that this run shares is cut where the run left it, which may lie within a batch:
        a speculative task is written together with its completion. Raises Unavailable when the store cannot be read.
        """
        if len(branches) == 1:
            tail = self._tails.get(branches[0][0])
            found = tail.read(first_event_id, next_event_id) if tail is not None else None
            if found is not None:
                return found[::-1] if reverse else found
        result: list[Fragment] = []
        size = 0
        for branch, start, end in _ranges(branches, reverse):
            low, high = max(first_event_id, start), min(next_event_id, end)
            if low >= high or size >= bytes_max:
                continue
            try:
                page = await self._store.read_history(branch, low, high, bytes_max - size, reverse)
            except StoreError as error:
                raise Unavailable("the store cannot be read now") from error
            for fragment in page:
                result.append(_without_foreign_events(fragment, end))
                size += len(fragment.body)
        return result

    async def event(self, branches: tuple[tuple[bytes, int], ...], event_id: int) -> bytes:
        """One serialized event, which must exist."""
        found = await self.find(branches, event_id)
        assert found is not None, f"event {event_id} is not in history"
        return found

    async def find(self, branches: tuple[tuple[bytes, int], ...], event_id: int) -> bytes | None:
        """One serialized event; None when its run was deleted."""
        for fragment in await self.read(branches, event_id, event_id + 1, 1):
            for start, end in split_events(fragment.body):
                if event_id_of(fragment.body[start:end]) == event_id:
                    return fragment.body[start:end]
        return None


def _ranges(branches: tuple[tuple[bytes, int], ...], reverse: bool) -> list[tuple[bytes, int, int]]:
    """(branch, first event id, event id after the last) of each branch of a run."""
    result: list[tuple[bytes, int, int]] = []
    start = 1
    for branch, last in branches:
        end = last + 1 if last else _NO_BOUND
        result.append((branch, start, end))
        start = end
    return result[::-1] if reverse else result


def _without_foreign_events(fragment: Fragment, end: int) -> Fragment:
    """The fragment without what another run wrote from event `end` on."""
    if fragment.next_event_id <= end:
        return fragment
    body = slice_events(fragment.body, fragment.first_event_id, end)
    return Fragment(fragment.branch_id, fragment.first_event_id, end, body)


def whole_events(fragments: list[Fragment], next_event_id: int) -> bytes:
    """The fragments as one, without events from `next_event_id` on: newer than the state they are read for."""
    kept: list[bytes] = []
    expected = 1
    for fragment in fragments:
        for start, end in split_events(fragment.body):
            event = fragment.body[start:end]
            if event_id_of(event) == expected and expected < next_event_id:
                kept.append(event_fragment(event))
                expected += 1
    assert expected == next_event_id, f"history ends before event {expected}"
    return b"".join(kept)
