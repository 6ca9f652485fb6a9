"""Puts the descriptions of a queue's lines together into the queue's own (semantics 12.4)."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.machines.task_queue import BacklogDescription, PollerDescription, QueueDescription


def merged(lines: Sequence[QueueDescription]) -> QueueDescription:
    """All pollers, by identity the one seen last, and the sum of what waits. The first line is the queue's own."""
    pollers: dict[str, PollerDescription] = {}
    levels: dict[int, BacklogDescription] = {}
    for line in lines:
        for poller in line.pollers:
            known = pollers.get(poller.request.identity)
            if known is None or known.last_access_ns < poller.last_access_ns:
                pollers[poller.request.identity] = poller
        for level in line.backlog:
            levels[level.priority] = _sum(levels.get(level.priority), level)
    backlog = tuple([levels[priority] for priority in sorted(levels)])
    limit = lines[0]
    return QueueDescription(
        tuple(pollers.values()), backlog, limit.rate_limit, limit.rate_limit_by_api, limit.rate_limiting
    )


def _sum(first: BacklogDescription | None, second: BacklogDescription) -> BacklogDescription:
    if first is None:
        return second
    return BacklogDescription(
        first.priority,
        first.count + second.count,
        max(first.age_ns, second.age_ns),
        first.add_rate + second.add_rate,
        first.dispatch_rate + second.dispatch_rate,
    )
