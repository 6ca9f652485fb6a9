"""The committer goes on whatever a commit does: with it the whole owner would stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import final

import pytest

from perdure.engine.committer import Committer, Member
from perdure.ids import ChainKey
from perdure.store.api import BATCH_WRITES_MAX, ChainPut, ChainWrite, CommitUnknown, Fence, FenceLost, StoreError
from perdure.store.memory import MemoryStore
from perdure.testing import virtual_time


@final
class Note(Member):
    """A member that writes its own chain and remembers what it was told."""

    __slots__ = ("said", "spoilt")

    def __init__(self, name: str, writes: int = 1, spoilt: bool = False) -> None:
        keys = [ChainKey("n", 1, f"{name} {number}") for number in range(writes)]
        super().__init__([ChainWrite(key, chain=ChainPut(0, bytes(16), b"core")) for key in keys])
        self.said: list[str] = []
        self.spoilt = spoilt

    def committed(self) -> None:
        self.said.append("committed")
        if self.spoilt:
            raise ValueError("what follows goes wrong")

    def lost(self, ambiguous: bool) -> None:
        self.said.append("unknown" if ambiguous else "lost")


@final
class Moody:
    """A store whose next answers are laid down; then it is a memory store."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.commits: list[Exception] = []
        self.acquires: list[Exception] = []
        self.batches: list[int] = []

    async def acquire(self) -> Fence:
        await asyncio.sleep(0.01)
        if self.acquires:
            raise self.acquires.pop(0)
        return await self.inner.acquire()

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        await asyncio.sleep(0.01)
        self.batches.append(len(writes))
        if self.commits:
            raise self.commits.pop(0)
        await self.inner.commit(fence, writes)


def _run(scenario: Callable[[Moody, Committer, list[str]], Awaitable[None]]) -> None:
    async def started() -> None:
        store, heard = Moody(), list[str]()
        await store.inner.open()
        committer = Committer(store, lambda: heard.append("fence lost"))  # type: ignore[arg-type]  # the part it uses
        await committer.acquire()
        task = asyncio.create_task(committer.run())
        async with asyncio.timeout(60):
            await scenario(store, committer, heard)
            await committer.drained()
        assert not task.done(), "the committer has ended"
        task.cancel()

    virtual_time.run(1, started())


async def _written(committer: Committer, *members: Note) -> list[list[str]]:
    for member in members:
        committer.enqueue(member)
    await committer.drained()
    return [member.said for member in members]


def test_an_error_that_the_port_does_not_know_is_an_ambiguous_commit() -> None:
    """A fault of ours or of a driver: its members are told, a new epoch is taken, the next batch is written."""

    async def scenario(store: Moody, committer: Committer, heard: list[str]) -> None:
        epoch = committer.fence.epoch
        store.commits = [RuntimeError("a driver's own error")]
        assert await _written(committer, Note("a"), Note("b")) == [["unknown"], ["unknown"]]
        assert committer.fence.epoch > epoch
        assert await _written(committer, Note("c")) == [["committed"]]

    _run(scenario)


def test_a_new_epoch_is_asked_for_until_there_is_one() -> None:
    """The store may be away for a while; no error of its own ends the asking."""

    async def scenario(store: Moody, committer: Committer, heard: list[str]) -> None:
        store.commits = [CommitUnknown("away")]
        store.acquires = [StoreError("away"), CommitUnknown("away"), StoreError("away")]
        assert await _written(committer, Note("a")) == [["unknown"]]
        assert await _written(committer, Note("b")) == [["committed"]]

    _run(scenario)


def test_a_store_that_stays_away_does_not_keep_the_server_from_stopping() -> None:
    """A disk that is full and stays so: the member is told nothing, since nothing is known."""

    async def scenario(store: Moody, committer: Committer, heard: list[str]) -> None:
        store.commits = [CommitUnknown("full")]
        store.acquires = [StoreError("full") for _ in range(1_000)]
        waits = Note("a")
        committer.enqueue(waits)
        await committer.stop()
        assert waits.said == []
        assert len(store.acquires) > 900, "it did not wait for the disk"

    _run(scenario)


def test_what_one_member_does_afterwards_does_not_reach_the_others() -> None:
    """A fault behind one commit is that member's alone."""

    async def scenario(store: Moody, committer: Committer, heard: list[str]) -> None:
        assert await _written(committer, Note("a"), Note("b", spoilt=True), Note("c")) == [["committed"]] * 3
        assert await _written(committer, Note("d")) == [["committed"]]

    _run(scenario)


def test_a_lost_fence_is_told_once_and_every_member_is_lost() -> None:
    """Another owner writes now."""

    async def scenario(store: Moody, committer: Committer, heard: list[str]) -> None:
        store.commits = [FenceLost("succeeded")]
        assert await _written(committer, Note("a"), Note("b")) == [["lost"], ["lost"]]
        assert heard == ["fence lost"]

    _run(scenario)


def test_batches_are_full_and_never_over_full() -> None:
    """A member is not split; one that could never be written is refused at the door."""

    async def scenario(store: Moody, committer: Committer, heard: list[str]) -> None:
        members = [Note(str(number), writes=50) for number in range(5)]
        assert await _written(committer, *members) == [["committed"]] * 5
        assert store.batches == [100, 100, 50]
        with pytest.raises(AssertionError, match="larger than a batch"):
            committer.enqueue(Note("too much", writes=BATCH_WRITES_MAX + 1))

    _run(scenario)
