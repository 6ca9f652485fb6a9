"""The committer: gathers the writes of many chains into one database transaction (DESIGN 1.6).

While one commit is in flight the next batch forms. A batch that definitely failed is retried member by member, so
that only the member that fails alone loses its draft. An ambiguous result takes a new epoch before anything else
is written; what became of the batch is then re-read, never guessed. Nothing here knows a machine: a member is a
list of writes and two callbacks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import final

from perdure.machines.pauses import pause
from perdure.store.api import (
    BATCH_WRITES_MAX,
    ChainWrite,
    CommitFailed,
    CommitUnknown,
    Fence,
    FenceLost,
    Store,
    StoreError,
)

log = logging.getLogger(__name__)

GATHER_TURNS = 2
"""Turns of the loop that the first member of a batch waits for others: in them, what the sockets hold already is read
and stepped. On an idle server they are over at once (decision 020).
"""
BATCH_BYTES_MAX = 8 << 20
"""Histories and states of one batch, unless one member is larger: its statements run in one turn of the loop."""
QUEUE_MEMBERS_MAX = 10_000
"""Members that may wait for a commit; more are refused."""
PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 5.0
"""Pauses before a new epoch is asked for again: doubling from the first to the longest."""


class Member:
    """One atomic member of a batch. `committed` and `lost` are called on the loop; exactly one, once."""

    __slots__ = ("writes",)

    def __init__(self, writes: list[ChainWrite]) -> None:
        self.writes = writes

    def committed(self) -> None:
        """The writes are durable."""
        raise AssertionError("a member says what happens after its commit")

    def lost(self, ambiguous: bool) -> None:
        """The writes were not applied or, if `ambiguous`, may have been; in that case no later write can be undone by
        them any more.
        """
        raise AssertionError("a member says what happens when it is lost")

    def stale(self) -> bool:
        """Whether the member builds on a draft that was lost, so that it must not be written."""
        return False


@final
class Committer:
    """Writes members in the order they came, as long as it holds the fence."""

    def __init__(self, store: Store, on_fence_lost: Callable[[], None]) -> None:
        self._store = store
        self._queue: deque[Member] = deque()
        self._wake = asyncio.Event()
        self._on_fence_lost = on_fence_lost
        self._fence: Fence | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    @property
    def fence(self) -> Fence:
        """The fence held now."""
        assert self._fence is not None, "acquire comes first"
        return self._fence

    @property
    def waiting(self) -> int:
        """Members not yet handed to the store."""
        return len(self._queue)

    async def acquire(self) -> None:
        """Take ownership under a new epoch."""
        self._fence = await self._store.acquire()

    def enqueue(self, member: Member) -> None:
        """Queue a member, of at most `BATCH_WRITES_MAX` writes, for the next commit."""
        assert len(member.writes) <= BATCH_WRITES_MAX, "a member larger than a batch would wait for ever"
        self._queue.append(member)
        self._idle.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Waits until nothing is queued or in flight."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Waits until nothing is queued or in flight, or the store is found unable to go on (a disk that stays full).

        Then the members are not told: whether they were applied is not known, and the next owner's epoch decides it.
        Whoever waits for them must be told that nothing is known.
        """
        self._stopping = True
        await self._idle.wait()

    async def run(self) -> None:
        """The committer's task: runs until cancelled."""
        while True:
            await self._wake.wait()
            for _ in range(GATHER_TURNS):
                await asyncio.sleep(0)
            self._wake.clear()
            while self._queue:
                await self._commit_batch(self._next_batch())
            self._idle.set()

    def _next_batch(self) -> list[Member]:
        batch: list[Member] = []
        size = size_bytes = 0
        while self._queue and size + len(self._queue[0].writes) <= BATCH_WRITES_MAX and size_bytes < BATCH_BYTES_MAX:
            member = self._queue.popleft()
            if member.stale():
                _told(member.lost, False)
                continue
            size += len(member.writes)
            for write in member.writes:
                for fragment in write.fragments:
                    size_bytes += len(fragment.body)
                for run in write.runs:
                    size_bytes += len(run.core)
            batch.append(member)
        return batch

    async def _commit_batch(self, batch: list[Member]) -> None:
        """Write a batch and tell its members. Whatever happens, this task goes on: with it the whole owner would
        stand still.
        """
        if not batch:
            return
        try:
            await self._store.commit(self.fence, [write for member in batch for write in member.writes])
        except CommitFailed as error:
            if len(batch) == 1:
                log.warning("a write failed: %s", error)
                _told(batch[0].lost, False)
            else:
                await self._commit_singly(batch)
            return
        except CommitUnknown as error:
            log.warning("the outcome of a commit is unknown, taking a new epoch: %s", error)
            await self._recover(batch)
            return
        except FenceLost:
            log.error("another owner has taken over")
            self._on_fence_lost()
            for member in batch:
                _told(member.lost, False)
            return
        except Exception:
            # A fault of ours or of the store's: the batch may have been applied, so it is treated as if.
            log.exception("a commit ended with an error that the port does not know")
            await self._recover(batch)
            return
        for member in batch:
            _told(member.committed)

    async def _commit_singly(self, batch: list[Member]) -> None:
        for member in batch:
            if member.stale():
                _told(member.lost, False)
            else:
                await self._commit_batch([member])

    async def _recover(self, batch: list[Member]) -> None:
        """A new epoch makes sure that the old transaction cannot land any more; then the members' chains are read
        again.
        """
        failures = 0
        while True:
            try:
                self._fence = await self._store.acquire()
                break
            except StoreError as error:
                log.warning("no new epoch yet: %s", error)
                if self._stopping:
                    self._idle.set()
                await asyncio.sleep(pause(failures, PAUSE_FIRST_S, PAUSE_MAX_S))
                failures += 1
        for member in batch:
            _told(member.lost, True)


def _told(tell: Callable[..., None], *arguments: object) -> None:
    """A fault in what one member does afterwards must not reach the others."""
    try:
        tell(*arguments)
    except Exception:
        log.exception("what follows a commit went wrong")
