"""What users say of a task queue: limits and weights by type, version sets, versioning rules (semantics 12.3, 16.1).

It is the only thing of a queue that is stored: tasks are owed by runs. Values that nobody changes in place, and their
stored form, which every later version reads. `version_sets.py` and `version_rules.py` change it.
"""

from __future__ import annotations

from typing import Any, Final, final

import msgspec

from perdure.machines.task_queue import DispatchConfig


@final
class RateLimit:
    """A limit as it was set: tasks per second (None: unset again), why, by whom and when (ns since the epoch)."""

    __slots__ = ("identity", "per_second", "reason", "time_ns")

    def __init__(self, per_second: float | None, reason: str, identity: str, time_ns: int) -> None:
        self.per_second = per_second
        self.reason = reason
        self.identity = identity
        self.time_ns = time_ns


@final
class TypeConfig:
    """The configuration of one type of a queue; a limit is None when it was never set."""

    __slots__ = ("key_limit", "queue_limit", "weights")

    def __init__(
        self,
        queue_limit: RateLimit | None = None,
        key_limit: RateLimit | None = None,
        weights: dict[str, float] | None = None,
    ) -> None:
        self.queue_limit = queue_limit
        self.key_limit = key_limit
        self.weights = weights or {}

    def dispatch(self) -> DispatchConfig:
        """What matching needs of it."""
        return DispatchConfig(
            None if self.queue_limit is None else self.queue_limit.per_second,
            None if self.key_limit is None else self.key_limit.per_second,
            self.weights,
        )


@final
class VersionSet:
    """Build ids that may run each other's workflows, by the time when each became the set's default: the last is it.

    Times are of the queue's clock; `default_ns` is when the set became the queue's default.
    """

    __slots__ = ("build_ids", "default_ns")

    def __init__(self, build_ids: tuple[tuple[str, int], ...], default_ns: int) -> None:
        self.build_ids = build_ids
        self.default_ns = default_ns

    def names(self) -> list[str]:
        """The build ids, the set's default last."""
        return [build_id for build_id, _ in self.build_ids]


@final
class AssignmentRule:
    """New workflows go to this build id; below 100 `ramp` percent of them, the others to a later rule."""

    __slots__ = ("created_ns", "ramp", "target")

    def __init__(self, target: str, ramp: float, created_ns: int) -> None:
        self.target = target
        self.ramp = ramp
        self.created_ns = created_ns


@final
class RedirectRule:
    """Workflows of `source` go on with `target`."""

    __slots__ = ("created_ns", "source", "target")

    def __init__(self, source: str, target: str, created_ns: int) -> None:
        self.source = source
        self.target = target
        self.created_ns = created_ns


@final
class QueueData:
    """All that is stored of one queue name. `clock` rises with every change, in ns since the epoch where it can."""

    __slots__ = ("assignment_rules", "clock", "configs", "redirect_rules", "version", "version_sets")

    def __init__(
        self,
        configs: dict[int, TypeConfig] | None = None,
        version_sets: tuple[VersionSet, ...] = (),
        assignment_rules: tuple[AssignmentRule, ...] = (),
        redirect_rules: tuple[RedirectRule, ...] = (),
        clock: int = 0,
        version: int = 0,
    ) -> None:
        self.configs = configs or {}
        self.version_sets = version_sets
        self.assignment_rules = assignment_rules
        self.redirect_rules = redirect_rules
        self.clock = clock
        self.version = version

    def evolve(self, **changes: Any) -> QueueData:
        """The data with some fields replaced."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields.update(changes)
        return QueueData(**fields)

    def tick(self, now_ns: int) -> int:
        """The clock's next value: the time, and later than anything before."""
        return max(now_ns, self.clock + 1)


EMPTY: Final = QueueData()
"""A queue of which nobody has said anything."""


def encoded(data: QueueData) -> bytes:
    """The stored form."""
    return msgspec.msgpack.encode(
        {
            "configs": {
                str(kind): (_limit(config.queue_limit), _limit(config.key_limit), config.weights)
                for kind, config in data.configs.items()
            },
            "sets": [(one.build_ids, one.default_ns) for one in data.version_sets],
            "assignments": [(rule.target, rule.ramp, rule.created_ns) for rule in data.assignment_rules],
            "redirects": [(rule.source, rule.target, rule.created_ns) for rule in data.redirect_rules],
            "clock": data.clock,
        }
    )


def decoded(body: bytes, version: int) -> QueueData:
    """Names of fields are never reused; a field that this version does not know is ignored."""
    fields: dict[str, Any] = msgspec.msgpack.decode(body)
    return QueueData(
        {
            int(kind): TypeConfig(_limit_of(queue), _limit_of(key), weights)
            for kind, (queue, key, weights) in fields["configs"].items()
        },
        tuple(
            [
                VersionSet(tuple([(build_id, time_ns) for build_id, time_ns in build_ids]), default_ns)
                for build_ids, default_ns in fields["sets"]
            ]
        ),
        tuple([AssignmentRule(*rule) for rule in fields["assignments"]]),
        tuple([RedirectRule(*rule) for rule in fields["redirects"]]),
        fields["clock"],
        version,
    )


def _limit(limit: RateLimit | None) -> tuple[float | None, str, str, int] | None:
    return None if limit is None else (limit.per_second, limit.reason, limit.identity, limit.time_ns)


def _limit_of(fields: Any) -> RateLimit | None:
    return None if fields is None else RateLimit(*fields)
