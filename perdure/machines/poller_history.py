"""Which workers a queue has seen, and when: what DescribeTaskQueue shows of them (semantics 12.4). Reads no clock."""

from __future__ import annotations

from typing import final

from perdure.machines.task_queue import PollerDescription, PollRequest


@final
class _Poller:
    """When a worker was last seen: monotonic for the window, wall for showing."""

    __slots__ = ("request", "seen_ns", "seen_wall_ns")

    def __init__(self, request: PollRequest, seen_ns: int, seen_wall_ns: int) -> None:
        self.request = request
        self.seen_ns = seen_ns
        self.seen_wall_ns = seen_wall_ns


@final
class PollerHistory:
    """The workers of one queue by identity, `pollers_max` of them at most: the longest unseen are forgotten first."""

    __slots__ = ("_max", "_pollers")

    def __init__(self, pollers_max: int) -> None:
        self._max = pollers_max
        self._pollers: dict[str, _Poller] = {}

    def __len__(self) -> int:
        return len(self._pollers)

    def seen(self, request: PollRequest, now_ns: int, wall_ns: int) -> None:
        """A worker asks for work, or still waits for it."""
        poller = self._pollers.get(request.identity)
        if poller is None:
            if len(self._pollers) >= self._max:
                self._thin()
            self._pollers[request.identity] = _Poller(request, now_ns, wall_ns)
        else:
            poller.request = request
            poller.seen_ns = now_ns
            poller.seen_wall_ns = wall_ns

    def forgotten(self, identity: str) -> None:
        """A worker said good-bye: it is no longer shown."""
        self._pollers.pop(identity, None)

    def clear(self) -> None:
        """As if no worker had ever been seen."""
        self._pollers.clear()

    def since(self, since_ns: int) -> tuple[PollerDescription, ...]:
        """The workers seen after a time (monotonic)."""
        return tuple(
            [
                PollerDescription(poller.request, poller.seen_wall_ns)
                for poller in self._pollers.values()
                if poller.seen_ns > since_ns
            ]
        )

    def _thin(self) -> None:
        """Keep the newer three quarters, so that a crowd of identities costs little for each."""
        by_age = sorted(self._pollers.items(), key=_seen_of)
        self._pollers = dict(by_age[len(by_age) // 4 + 1 :])


def _seen_of(entry: tuple[str, _Poller]) -> int:
    return entry[1].seen_ns
