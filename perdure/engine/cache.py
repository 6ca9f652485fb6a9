"""The cache of chains, bounded in bytes: least recently used first, never one that something waits for (DESIGN 1.5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import final

from perdure.engine.entity import CHAIN_BYTES, Entity

SCAN_MAX = 32
"""How many pinned entities one eviction may pass over before it gives up for now. They count as used then, so that the
next one looks further.
"""


@final
class Cache:
    """Chains in memory by digest."""

    def __init__(self, bytes_max: int, dropped: Callable[[Entity], None]) -> None:
        self._bytes_max = bytes_max
        self._dropped = dropped
        self._entities: OrderedDict[bytes, Entity] = OrderedDict()
        self._charged: dict[bytes, int] = {}
        self.size = 0
        """Bytes charged now."""

    def __len__(self) -> int:
        return len(self._entities)

    def get(self, digest: bytes) -> Entity | None:
        """The chain, which becomes the most recently used."""
        entity = self._entities.get(digest)
        if entity is not None:
            self._entities.move_to_end(digest)
        return entity

    def put(self, entity: Entity) -> None:
        """Add a chain that is not loaded yet."""
        self._entities[entity.digest] = entity
        self._charged[entity.digest] = CHAIN_BYTES
        self.size += CHAIN_BYTES

    def settle(self, entity: Entity) -> None:
        """The chain has come to rest (it is not pinned): charge what it holds now, forget it if it is nothing, make
        room if there is too much.
        """
        if entity.state.chain is None and self._entities.get(entity.digest) is entity:
            self._remove(entity)
            return
        self._charge(entity)
        if self.size > self._bytes_max:
            self._evict()

    def _charge(self, entity: Entity) -> None:
        before = self._charged.get(entity.digest)
        if before is None:
            return
        size = entity.size
        if size != before:
            self.size += size - before
            self._charged[entity.digest] = size

    def _evict(self) -> None:
        """Make room from the old end; looks at no more entities than it removes or passes over."""
        passed: list[bytes] = []
        victims: list[Entity] = []
        excess = self.size - self._bytes_max
        for digest, entity in self._entities.items():
            if excess <= 0 or len(passed) >= SCAN_MAX:
                break
            if entity.pinned:
                passed.append(digest)
                continue
            victims.append(entity)
            excess -= self._charged.get(digest, 0)
        for digest in passed:
            self._entities.move_to_end(digest)
        for entity in victims:
            self._remove(entity)

    def _remove(self, entity: Entity) -> None:
        del self._entities[entity.digest]
        self.size -= self._charged.pop(entity.digest, 0)
        self._dropped(entity)
