"""What is remembered of workers, and for how long (semantics 12.4)."""

from __future__ import annotations

from perdure.matching.workers import Worker, WorkerRegistry
from perdure.visibility.worker_query import WorkerFields, WorkerQuery

SECOND = 1_000_000_000


def _worker(key: str, size: int = 10) -> Worker:
    return Worker(key, b"x" * size, WorkerFields({}, {}), False)


def _keys(registry: WorkerRegistry, now_s: int, namespace: str = "ns") -> list[str]:
    return [one.key for one in registry.all(namespace, now_s * SECOND)]


def test_a_worker_is_known_until_it_is_silent_for_its_time() -> None:
    registry = WorkerRegistry(ttl_ns=10 * SECOND)
    registry.seen("ns", _worker("a"), 0)
    registry.seen("ns", _worker("b"), 5 * SECOND)
    registry.seen("other", _worker("a"), 9 * SECOND)
    registry.seen("ns", _worker("a"), 9 * SECOND)

    assert sorted(_keys(registry, 14)) == ["a", "b"]
    assert _keys(registry, 15) == ["a"]
    assert registry.find("ns", "a", 18 * SECOND) is not None
    assert registry.find("ns", "a", 19 * SECOND) is None
    assert len(registry) == 0


def test_namespaces_do_not_see_each_other() -> None:
    registry = WorkerRegistry()
    registry.seen("ns", _worker("a"), 0)
    registry.gone("other", "a")

    assert registry.find("other", "a", 0) is None
    assert _keys(registry, 0) == ["a"]


def test_the_longest_silent_gives_way_when_there_are_too_many() -> None:
    registry = WorkerRegistry(workers_max=2)
    for key in ("a", "b", "a", "c"):
        registry.seen("ns", _worker(key), 0)

    assert sorted(_keys(registry, 0)) == ["a", "c"]


def test_what_is_held_is_bounded_in_bytes() -> None:
    registry = WorkerRegistry(bytes_max=10_000)
    for n in range(20):
        registry.seen("ns", _worker(f"w{n}", 2_000), 0)
    assert _keys(registry, 0) == ["w18", "w19"]
    registry.gone("ns", "w18")
    registry.gone("ns", "w19")
    registry.seen("ns", _worker("small"), 0)
    assert _keys(registry, 0) == ["small"]


def test_a_blank_filter_holds_for_all() -> None:
    assert WorkerQuery("").holds(WorkerFields({}, {}))
    assert WorkerQuery("  ").holds(WorkerFields({}, {}))
