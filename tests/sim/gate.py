"""The store as one incarnation of a server sees it: when that incarnation is killed, its calls never return.

A kill runs no `finally`, so nothing is cancelled: what a dead server had sent may still arrive, and it learns of
nothing. It must not change what passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, final

from perdure.store.api import ChainRow, ChainWrite, Due, Fence, Fragment, Record, RunRow, Traits, VisibilityPage
from perdure.store.faulty import FaultyStore
from perdure.store.memory import MemoryDisk
from perdure.visibility.resolve import Condition

T = TypeVar("T")


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


@final
class Gate:
    """A `Store` that `kill` turns into silence."""

    def __init__(self, inner: FaultyStore, disk: MemoryDisk, syncs: bool) -> None:
        """`syncs`: what was applied is safe before the server hears of it."""
        self.traits: Traits = inner.traits
        self._disk = disk
        self._syncs = syncs
        self.inner = inner
        self.dead = False
        self.late: Callable[[], None] | None = None
        """Called once behind the next commit that has landed, before the server hears of it."""

    def kill(self) -> None:
        """From here on nothing returns."""
        self.dead = True

    async def _pass(self) -> None:
        if self.dead:
            await _never()

    async def _through(self, call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        await self._pass()
        try:
            found = await call(*arguments)
            if self._syncs and not self.dead:
                self._disk.sync()
            return found
        finally:
            if self.dead:
                await _never()

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def acquire(self) -> Fence:
        return await self._through(self.inner.acquire)

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        await self._pass()
        try:
            await self.inner.commit(fence, writes)
            if self._syncs and not self.dead:
                self._disk.sync()
            late, self.late = self.late, None
            if late is not None:
                late()
        finally:
            if self.dead:
                await _never()

    async def load(self, digest: bytes, run_id: bytes | None) -> tuple[ChainRow, RunRow | None] | None:
        return await self._through(self.inner.load, digest, run_id)

    async def load_parts(self, run_id: bytes, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return await self._through(self.inner.load_parts, run_id, kind, keys)

    async def read_history(
        self, branch_id: bytes, first_event_id: int, next_event_id: int, bytes_max: int, reverse: bool = False
    ) -> list[Fragment]:
        return await self._through(
            self.inner.read_history, branch_id, first_event_id, next_event_id, bytes_max, reverse
        )

    async def due(self, fence: Fence, from_ns: int, to_ns: int, limit: int) -> list[Due]:
        return await self._through(self.inner.due, fence, from_ns, to_ns, limit)

    async def list_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
    ) -> VisibilityPage:
        return await self._through(self.inner.list_visibility, namespace_id, kind, where, page_size, token)

    async def count_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
    ) -> list[tuple[object, int]]:
        return await self._through(self.inner.count_visibility, namespace_id, kind, where, group_by)

    async def put_record(self, table: str, key: str, expected_version: int, body: bytes | None) -> int:
        return await self._through(self.inner.put_record, table, key, expected_version, body)

    async def list_records(self, table: str) -> list[Record]:
        return await self._through(self.inner.list_records, table)
