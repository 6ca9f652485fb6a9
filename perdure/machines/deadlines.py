"""A persistent priority queue of deadlines: pushing or popping makes a new queue and leaves the old one as it was.

A run with thousands of pending things finds its next deadline here instead of scanning them, and a draft forks the
queue by copying one reference (DESIGN 1.4). Entries may be stale, and may be *earlier* than the truth, never
later: whoever pops one looks at the state, and pushes it again with its true time if that lies in the future. So
moving a deadline later (a heartbeat) costs nothing here. It is a leftist heap: both operations are O(log n).
"""

from __future__ import annotations

from typing import final

ACTIVITY = 1
"""Entry kinds: an activity's retry or timeout, by scheduled event id."""
TIMER = 2
"""A user timer, by started event id."""
CALLBACK = 3
"""The next attempt at a completion callback of a closed run, by its number."""
FEW = 3
"""So many entries join a queue sooner one by one."""


@final
class Deadline:
    """A heap node: the entry `(when, kind, key)` and what lies below it. Never changed once made."""

    __slots__ = ("key", "kind", "left", "rank", "right", "when")

    def __init__(
        self, when: int, kind: int, key: int, rank: int, left: Deadline | None, right: Deadline | None
    ) -> None:
        self.when = when
        self.kind = kind
        self.key = key
        self.rank = rank
        self.left = left
        self.right = right


def push(heap: Deadline | None, when: int, kind: int, key: int) -> Deadline:
    """The heap with one more entry; `when` is ns since the epoch."""
    entry = Deadline(when, kind, key, 1, None, None)
    return entry if heap is None else _merge(heap, entry)


def built(entries: list[tuple[int, int, int]]) -> Deadline | None:
    """The heap of these (when, kind, key), in one go: what a load of thousands would spend most of its time on.

    In order, they are a heap as they stand: the children of entry i are 2i + 1 and 2i + 2, and the left side of a
    complete tree is never the shallower one.
    """
    ordered = sorted(entries)
    count = len(ordered)
    nodes: list[Deadline | None] = [None] * (2 * count + 2)
    for index in range(count - 1, -1, -1):
        left, right = nodes[2 * index + 1], nodes[2 * index + 2]
        rank = 1 if right is None else right.rank + 1
        nodes[index] = Deadline(*ordered[index], rank, left, right)
    return nodes[0]


def joined(heap: Deadline | None, entries: list[tuple[int, int, int]]) -> Deadline | None:
    """The heap with these (when, kind, key) as well: many at once cost a tenth of what they cost one by one."""
    if len(entries) <= FEW:
        for entry in entries:
            heap = push(heap, *entry)
        return heap
    more = built(entries)
    return more if heap is None or more is None else _merge(heap, more)


def pop(heap: Deadline) -> Deadline | None:
    """The heap without its earliest entry."""
    if heap.left is None:
        return heap.right
    if heap.right is None:
        return heap.left
    return _merge(heap.left, heap.right)


def more_due(heap: Deadline | None, until: int, count: int) -> bool:
    """Whether more than `count` entries stand at `until` or before; looks at no more of them than that."""
    found = 0
    below = [heap]
    while below:
        entry = below.pop()
        if entry is not None and entry.when <= until:
            found += 1
            if found > count:
                return True
            below += (entry.left, entry.right)
    return False


def _merge(a: Deadline, b: Deadline) -> Deadline:
    """Both heaps in one. Ties go by kind, then key, so that equal deadlines surface in the order of semantics 5.6."""
    if (b.when, b.kind, b.key) < (a.when, a.kind, a.key):
        a, b = b, a
    right = b if a.right is None else _merge(a.right, b)
    left = a.left
    if left is None:
        return Deadline(a.when, a.kind, a.key, 1, right, None)
    if left.rank < right.rank:
        left, right = right, left
    return Deadline(a.when, a.kind, a.key, right.rank + 1, left, right)
