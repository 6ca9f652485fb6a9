"""The deadline queue is a sorted list that can be forked (DESIGN 1.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.machines.deadlines import ACTIVITY, TIMER, Deadline, built, joined, more_due, pop, push

ENTRIES = st.tuples(st.integers(0, 9), st.sampled_from((ACTIVITY, TIMER)), st.integers(1, 5))


def drain(heap: Deadline | None) -> list[tuple[int, int, int]]:
    found = []
    while heap is not None:
        found.append((heap.when, heap.kind, heap.key))
        heap = pop(heap)
    return found


@given(st.lists(st.one_of(ENTRIES, st.none())))
def test_it_equals_a_sorted_list(operations: list[tuple[int, int, int] | None]) -> None:
    """Pushes and pops (None) in any order: the head is always the least of (when, kind, key)."""
    heap: Deadline | None = None
    model: list[tuple[int, int, int]] = []
    for entry in operations:
        if entry is not None:
            heap = push(heap, *entry)
            model = sorted([*model, entry])
        elif heap is not None:
            assert (heap.when, heap.kind, heap.key) == model[0]
            heap = pop(heap)
            model = model[1:]
    assert drain(heap) == model


@given(st.lists(ENTRIES, min_size=1), ENTRIES)
def test_a_fork_leaves_the_original_as_it_was(entries: list[tuple[int, int, int]], extra: tuple[int, int, int]) -> None:
    """A draft that is thrown away has changed nothing."""
    heap: Deadline | None = None
    for entry in entries:
        heap = push(heap, *entry)
    assert heap is not None
    before = drain(heap)

    drain(pop(push(heap, *extra)))

    assert drain(heap) == before


def test_many_ascending_deadlines_stay_shallow() -> None:
    """2,000 timers set in order must not make a path that recursion falls off."""
    heap: Deadline | None = None
    for when in range(2_000):
        heap = push(heap, when, TIMER, when)

    assert [when for when, _, _ in drain(heap)] == list(range(2_000))


@given(st.lists(ENTRIES), st.lists(ENTRIES))
def test_built_at_once_it_is_the_same_queue(
    entries: list[tuple[int, int, int]], later: list[tuple[int, int, int]]
) -> None:
    heap = built(entries)
    assert _leftist(heap)
    for entry in later:
        heap = push(heap, *entry)
    assert _leftist(heap)
    assert drain(heap) == sorted(entries + later)


def _leftist(heap: Deadline | None) -> bool:
    """Ranks are true and fall to the right, so that merging stays short."""
    if heap is None:
        return True
    right = heap.right.rank if heap.right is not None else 0
    left = heap.left.rank if heap.left is not None else 0
    return heap.rank == right + 1 and left >= right and _leftist(heap.left) and _leftist(heap.right)


@given(st.lists(ENTRIES), st.integers(0, 9), st.integers(0, 5))
def test_it_knows_whether_many_are_due(entries: list[tuple[int, int, int]], until: int, count: int) -> None:
    due = [when for when, _, _ in entries if when <= until]

    assert more_due(built(entries), until, count) == (len(due) > count)


@given(st.lists(ENTRIES), st.lists(ENTRIES))
def test_many_join_as_one_by_one(first: list[tuple[int, int, int]], more: list[tuple[int, int, int]]) -> None:
    assert drain(joined(built(first), more)) == sorted(first + more)
