"""Fences, for every backend.

A later epoch voids every earlier one, and what a fenced-out owner sends is not applied.
"""

from __future__ import annotations

import pytest

from perdure.ids import SLOTS
from perdure.store.api import CommitFailed, Fence, FenceLost, StoreError
from tests.store.conftest import Medium
from tests.store.rows import loaded, missing, start, step


async def test_acquire_takes_all_slots_under_a_greater_epoch(medium: Medium) -> None:
    """All slots, and an epoch greater than any before it."""
    async with medium.opened() as (store, first):
        second = await store.acquire()
        assert (first.first_slot, first.last_slot) == (second.first_slot, second.last_slot) == (0, SLOTS - 1)
        assert second.epoch > first.epoch > 0


async def test_epochs_rise_across_stores_on_one_medium(medium: Medium) -> None:
    """A store that is opened again continues the sequence (DESIGN 1.8)."""
    if not medium.outlives_stores:
        pytest.skip("nothing outlives this store")
    async with medium.opened() as (_, first):
        pass
    async with medium.opened() as (_, second):
        assert second.epoch > first.epoch


async def test_every_earlier_fence_is_void_and_its_writes_are_not_applied(medium: Medium) -> None:
    """`FenceLost` is definite: nothing of the batch was applied, an empty batch included."""
    async with medium.opened() as (store, first):
        await store.commit(first, [start("a", 1)])
        second = await store.acquire()
        for batch in ([step("a", 1, 1, b"late")], [start("b", 2)], [step("a", 1, 1, b"x"), start("a", 9)], []):
            with pytest.raises(FenceLost):
                await store.commit(first, batch)
        assert (await loaded(store, "a"))[1].core == b"core"
        assert await missing(store, "b")
        await store.commit(second, [step("a", 1, 1, b"mine")])
        with pytest.raises(FenceLost):
            await store.commit(Fence(second.epoch + 1, 0, SLOTS - 1), [])


async def test_of_two_stores_the_first_is_fenced_out_by_the_second(medium: Medium) -> None:
    """Ownership moves with `acquire`, whichever process it happens in; the first may take it back under a new epoch."""
    if not medium.shared:
        pytest.skip("one store at a time holds this medium")
    async with medium.opened() as (first, old):
        await first.commit(old, [start("a", 1)])
        async with medium.opened() as (second, new):
            with pytest.raises(FenceLost):
                await first.commit(old, [step("a", 1, 1, b"old owner")])
            await second.commit(new, [step("a", 1, 1, b"new owner")])
            assert (await loaded(first, "a"))[1].core == b"new owner"
            again = await first.acquire()
            with pytest.raises(FenceLost):
                await second.commit(new, [])
            await first.commit(again, [step("a", 1, 2, b"back")])


async def test_rows_outlive_the_store(medium: Medium) -> None:
    """What was committed is there after closing and opening."""
    if not medium.outlives_stores:
        pytest.skip("nothing outlives this store")
    async with medium.opened() as (store, fence):
        await store.commit(fence, [start("a", 1, alarm_ns=3)])
        await store.put_record("namespaces", "default", 0, b"body")
    async with medium.opened() as (store, fence):
        assert (await loaded(store, "a"))[1].core == b"core"
        assert [due.alarm_ns for due in await store.due(fence, 0, 10, 10)] == [3]
        assert [(record.key, record.version) for record in await store.list_records("namespaces")] == [("default", 1)]


async def test_a_closed_store_refuses_and_closing_is_idempotent(medium: Medium) -> None:
    """After `close` nothing is applied and nothing is answered; closing again, or a store never opened, is fine."""
    async with medium.opened() as (store, fence):
        await store.close()
        with pytest.raises(CommitFailed):
            await store.commit(fence, [start("a", 1)])
        with pytest.raises(StoreError):
            await missing(store, "a")
        await store.close()
    await medium.store().close()


async def test_traits_say_what_the_store_is(medium: Medium) -> None:
    """All stores so far share commits and keep visibility in the transaction."""
    traits = medium.store().traits
    assert traits.shares_commits
    assert traits.visibility_in_transaction
    assert traits.history_first == (medium.name == "history-first")
    assert traits.name == {"postgresql": "postgresql", "sqlite": "sqlite", "sqlite-memory": "sqlite"}.get(
        medium.name, "memory"
    )
