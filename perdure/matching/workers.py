"""The workers that have sent heartbeats, by namespace: in memory, each for five minutes from its last (semantics 12.4).

A heartbeat is what a worker says of itself, so nothing here is durable and nothing is guessed: after a restart workers
are known again as they report. A worker that says it has shut down is forgotten at once. What expired is dropped when
somebody calls; no timer runs. Bodies are serialized messages, which this module never reads.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

from perdure.clock import SECOND
from perdure.visibility.worker_query import WorkerFields

TTL_NS: Final = 300 * SECOND
"""A worker that has been silent for so long is forgotten (`matching.workerRegistryEntryTTL`)."""

WORKERS_MAX: Final = 1_000_000
"""Workers of all namespaces (`matching.workerRegistryMaxEntries`); the longest silent is forgotten for a new one."""

BYTES_MAX: Final = 256 << 20
"""Bytes of all heartbeats held; likewise."""

EXPIRED_AT_ONCE: Final = 1_000
"""Silent workers dropped by one call: nobody sees those that are still there."""

_OVERHEAD: Final = 1_500
"""Bytes of a worker's entry beside its heartbeat."""


@final
class Worker:
    """One worker at its last heartbeat."""

    __slots__ = ("body", "fields", "internal", "key", "seen_ns")

    def __init__(self, key: str, body: bytes, fields: WorkerFields, internal: bool) -> None:
        """`internal` workers are the server's own, which lists leave out."""
        self.key = key
        self.body = body
        self.fields = fields
        self.internal = internal
        self.seen_ns = 0


@final
class WorkerRegistry:
    """The workers of all namespaces. Times are monotonic ns."""

    __slots__ = ("_by_namespace", "_bytes", "_bytes_max", "_order", "_ttl_ns", "_workers_max")

    def __init__(self, ttl_ns: int = TTL_NS, workers_max: int = WORKERS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._ttl_ns = ttl_ns
        self._workers_max = workers_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._by_namespace: dict[str, dict[str, Worker]] = {}
        self._order: OrderedDict[tuple[str, str], Worker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def seen(self, namespace_id: str, worker: Worker, now_ns: int) -> None:
        """A worker reports."""
        self.gone(namespace_id, worker.key)
        worker.seen_ns = now_ns
        self._by_namespace.setdefault(namespace_id, {})[worker.key] = worker
        self._order[namespace_id, worker.key] = worker
        self._bytes += _size(worker)
        self._expire(now_ns)
        while len(self._order) > self._workers_max or self._bytes > self._bytes_max:
            self.gone(*next(iter(self._order)))

    def gone(self, namespace_id: str, key: str) -> None:
        """A worker has shut down; an unknown one is ignored."""
        worker = self._order.pop((namespace_id, key), None)
        if worker is None:
            return
        self._bytes -= _size(worker)
        workers = self._by_namespace[namespace_id]
        del workers[key]
        if not workers:
            del self._by_namespace[namespace_id]

    def find(self, namespace_id: str, key: str, now_ns: int) -> Worker | None:
        """A worker that is known now."""
        self._expire(now_ns)
        worker = self._by_namespace.get(namespace_id, {}).get(key)
        return None if worker is None or now_ns - worker.seen_ns >= self._ttl_ns else worker

    def all(self, namespace_id: str, now_ns: int) -> list[Worker]:
        """The workers of a namespace, in no order."""
        self._expire(now_ns)
        since_ns = now_ns - self._ttl_ns
        return [one for one in self._by_namespace.get(namespace_id, {}).values() if one.seen_ns > since_ns]

    def _expire(self, now_ns: int) -> None:
        """Drop some of those whose time is over: a whole fleet may fall silent at once."""
        for _ in range(EXPIRED_AT_ONCE):
            if not self._order:
                return
            place, oldest = next(iter(self._order.items()))
            if now_ns - oldest.seen_ns < self._ttl_ns:
                return
            self.gone(*place)


def _size(worker: Worker) -> int:
    return len(worker.body) + _OVERHEAD
