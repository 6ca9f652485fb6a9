"""The cache of chains stays within its bytes, whatever in it must stay (DESIGN 1.5)."""

from __future__ import annotations

from immutables import Map

from perdure.engine.cache import SCAN_MAX, Cache
from perdure.engine.entity import CHAIN_BYTES, Entity
from perdure.machines.workflow.chain import Chain, ChainState


def loaded(cache: Cache, number: int, busy: bool = False) -> Entity:
    """A chain in the cache, which comes to rest at once unless it is busy."""
    state = ChainState(Chain("namespace", f"wf-{number}", "", 1), Map(), Map(), Map())
    entity = Entity(b"%d" % number, None, state)
    entity.busy = busy
    cache.put(entity)
    if not busy:
        cache.settle(entity)
    return entity


def test_chains_that_must_stay_do_not_keep_the_others() -> None:
    """However many of them are the least recently used, room is made behind them; none of them goes."""
    dropped: list[Entity] = []
    room = 10 * CHAIN_BYTES
    cache = Cache(room, dropped.append)
    waiting = [loaded(cache, number, busy=True) for number in range(3 * SCAN_MAX)]
    for number in range(1000, 1400):
        loaded(cache, number)
    assert len(cache) <= len(waiting) + SCAN_MAX
    assert not set(waiting) & set(dropped)
    for entity in waiting:
        entity.busy = False
        cache.settle(entity)
    assert cache.size <= room


def test_the_least_recently_used_goes_first() -> None:
    dropped: list[Entity] = []
    cache = Cache(3 * CHAIN_BYTES, dropped.append)
    first, second, third = [loaded(cache, number) for number in range(3)]
    assert cache.get(first.digest) is first
    loaded(cache, 3)
    assert dropped == [second]
    loaded(cache, 4)
    assert dropped == [second, third]
