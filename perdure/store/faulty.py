"""A memory store that fails, delays, tears and forgets on purpose, from a seed: the ground of the simulation.

Every fault is one that the port allows a real store (`CommitFailed`, `CommitUnknown` with the batch applied, lost or
still on its way, slow answers), except what `crash` does to a disk that was made without `synchronous`: that one breaks
the port's promise, and an auditor must notice. It must not invent faults that no store may show.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import final

from perdure.clock import SECOND
from perdure.store.api import (
    ChainRow,
    ChainWrite,
    CommitFailed,
    CommitUnknown,
    Due,
    Fence,
    FenceLost,
    Fragment,
    Record,
    RunRow,
    StoreError,
    Traits,
    VisibilityPage,
)
from perdure.store.collapse import check_batch
from perdure.store.memory import MemoryStore
from perdure.visibility.resolve import Condition


@final
class Faults:
    """How often what goes wrong: probabilities per call in [0, 1], latencies as bounds in nanoseconds.

    `fail`: nothing applied, `CommitFailed`. `unknown_applied`, `unknown_lost`: `CommitUnknown` after or instead of
    applying. `late`: `CommitUnknown`, and the batch is applied up to `late_max_ns` later, unless the fence has moved on
    by then. `read_error`: a read raises `StoreError`. The four of commit exclude each other; their sum is at most 1.
    """

    __slots__ = (
        "fail",
        "late",
        "late_max_ns",
        "latency_max_ns",
        "latency_min_ns",
        "read_error",
        "unknown_applied",
        "unknown_lost",
    )

    def __init__(
        self,
        fail: float = 0.0,
        unknown_applied: float = 0.0,
        unknown_lost: float = 0.0,
        late: float = 0.0,
        read_error: float = 0.0,
        latency_min_ns: int = 0,
        latency_max_ns: int = 0,
        late_max_ns: int = 5 * SECOND,
    ) -> None:
        assert fail + unknown_applied + unknown_lost + late <= 1.0, "these exclude each other"
        assert 0 <= latency_min_ns <= latency_max_ns, "latency bounds"
        self.fail = fail
        self.unknown_applied = unknown_applied
        self.unknown_lost = unknown_lost
        self.late = late
        self.read_error = read_error
        self.latency_min_ns = latency_min_ns
        self.latency_max_ns = latency_max_ns
        self.late_max_ns = late_max_ns


@final
class FaultyStore:
    """A `MemoryStore` behind `Faults`. `faults` may be exchanged at any time.

    `injected` counts what was done, by name.
    """

    __slots__ = ("_committing", "_inner", "_late", "_random", "faults", "injected", "traits")

    def __init__(self, inner: MemoryStore, faults: Faults, seed: int) -> None:
        self.traits: Traits = inner.traits
        self.faults = faults
        self.injected: dict[str, int] = {}
        self._inner = inner
        self._random = random.Random(seed)
        self._committing = False
        self._late: set[asyncio.TimerHandle] = set()

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        """Lets go. Batches on their way stay on their way: they belong to the disk, not to the process."""
        await self._inner.close()

    def crash(self) -> None:
        """The machine stops.

        What was not synced is lost, but for a prefix of it, and what was on its way never arrives.
        """
        disk = self._inner.disk
        for handle in self._late:
            handle.cancel()
        self._late.clear()
        disk.crash(kept=self._random.randint(0, disk.unsynced))

    async def acquire(self) -> Fence:
        await self._delay()
        return await self._inner.acquire()

    async def commit(self, fence: Fence, writes: Sequence[ChainWrite]) -> None:
        check_batch(fence, writes)
        assert not self._committing, "two commits in flight"
        self._committing = True
        try:
            await self._delay()
            fault = self._draw()
            if fault:
                self.injected[fault] = self.injected.get(fault, 0) + 1
            if fault == "fail":
                self._tear(writes)
                raise CommitFailed("injected: nothing was applied")
            if fault == "unknown_lost":
                self._tear(writes)
                raise CommitUnknown("injected: the batch was lost")
            if fault == "late":
                self._send_late(fence, tuple(writes))
                raise CommitUnknown("injected: the batch is on its way")
            await self._inner.commit(fence, writes)
            await self._delay()
            if fault == "unknown_applied":
                raise CommitUnknown("injected: the batch was applied")
        finally:
            self._committing = False

    async def load(self, digest: bytes, run_id: bytes | None) -> tuple[ChainRow, RunRow | None] | None:
        await self._read()
        return await self._inner.load(digest, run_id)

    async def load_parts(self, run_id: bytes, kind: int, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        await self._read()
        return await self._inner.load_parts(run_id, kind, keys)

    async def read_history(
        self, branch_id: bytes, first_event_id: int, next_event_id: int, bytes_max: int, reverse: bool = False
    ) -> list[Fragment]:
        await self._read()
        return await self._inner.read_history(branch_id, first_event_id, next_event_id, bytes_max, reverse)

    async def due(self, fence: Fence, from_ns: int, to_ns: int, limit: int) -> list[Due]:
        await self._read()
        return await self._inner.due(fence, from_ns, to_ns, limit)

    async def list_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, page_size: int, token: bytes
    ) -> VisibilityPage:
        await self._read()
        return await self._inner.list_visibility(namespace_id, kind, where, page_size, token)

    async def count_visibility(
        self, namespace_id: str, kind: int, where: Condition | None, group_by: str | None
    ) -> list[tuple[object, int]]:
        await self._read()
        return await self._inner.count_visibility(namespace_id, kind, where, group_by)

    async def put_record(self, table: str, key: str, expected_version: int, body: bytes | None) -> int:
        await self._delay()
        return await self._inner.put_record(table, key, expected_version, body)

    async def list_records(self, table: str) -> list[Record]:
        await self._read()
        return await self._inner.list_records(table)

    def _draw(self) -> str:
        """The fault of this commit, or ""."""
        faults = self.faults
        point = self._random.random()
        for name, share in (
            ("fail", faults.fail),
            ("unknown_applied", faults.unknown_applied),
            ("unknown_lost", faults.unknown_lost),
            ("late", faults.late),
        ):
            if point < share:
                return name
            point -= share
        return ""

    def _tear(self, writes: Sequence[ChainWrite]) -> None:
        """On a store that stores history first, a failed batch may leave the fragments of any of its members behind."""
        if self.traits.history_first:
            torn = [write for write in writes if self._random.random() < 0.5]
            if torn:
                self.injected["tear"] = self.injected.get("tear", 0) + 1
                self._inner.disk.tear(torn)

    def _send_late(self, fence: Fence, writes: tuple[ChainWrite, ...]) -> None:
        def arrive() -> None:
            self._late.discard(handle)
            try:
                self._inner.disk.apply(fence, writes)
            except (CommitFailed, FenceLost):
                self._tear(writes)
                return
            self.injected["late_applied"] = self.injected.get("late_applied", 0) + 1

        delay_s = self._random.uniform(0, self.faults.late_max_ns) / SECOND
        handle = asyncio.get_running_loop().call_later(delay_s, arrive)
        self._late.add(handle)

    async def _delay(self) -> None:
        if self.faults.latency_max_ns:
            await asyncio.sleep(self._random.uniform(self.faults.latency_min_ns, self.faults.latency_max_ns) / SECOND)

    async def _read(self) -> None:
        await self._delay()
        if self.faults.read_error and self._random.random() < self.faults.read_error:
            self.injected["read_error"] = self.injected.get("read_error", 0) + 1
            raise StoreError("injected: the read failed")
