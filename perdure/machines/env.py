"""What the world gives to a step: the time, fresh ids, limits and the namespace. The only way in (DESIGN 1.1)."""

from __future__ import annotations

from typing import final

from perdure.clock import HOUR, MINUTE, SECOND
from perdure.ids import IdSource
from perdure.machines.workflow.rule import Rule

MIB = 1 << 20

ARCHIVES_HISTORY = 1
ARCHIVES_RECORD = 2
"""What a namespace archives of its closed runs, as bits."""


@final
class Limits:
    """Limits and switches of one namespace (semantics Appendix E); sizes in bytes, times in ns."""

    __slots__ = (
        "activity_failure_size",
        "blob_size",
        "blob_size_warn",
        "buffered_events",
        "buffered_events_size",
        "buffered_queries",
        "callback_retry_initial",
        "callback_retry_maximum",
        "callbacks",
        "callbacks_beside_updates",
        "callbacks_per_update",
        "cross_namespace_commands",
        "default_workflow_task_timeout",
        "eager_activities",
        "eager_workflow_start",
        "history_count",
        "history_count_suggest",
        "history_size",
        "history_size_suggest",
        "id_length",
        "memo_size",
        "mutable_state_size",
        "pending_activities",
        "pending_cancels",
        "pending_children",
        "pending_signals",
        "reuse_minimal_interval",
        "search_attribute_value_size",
        "search_attributes_size",
        "signal_backlinks",
        "signals",
        "task_heartbeat_timeout",
        "task_retry_max_interval",
        "transaction_size",
        "update_callbacks",
        "updates_in_flight",
        "updates_in_flight_size",
        "updates_suggest",
        "updates_total",
        "workflow_task_timeout_max",
    )

    def __init__(self) -> None:
        self.id_length: int = 1000
        self.blob_size: int = 2 * MIB
        self.blob_size_warn: int = 512 * 1024
        """What is left of a worker's failure that is larger than `blob_size`."""
        self.memo_size: int = 2 * MIB
        self.activity_failure_size: int = 4096
        self.history_size: int = 50 * MIB
        self.history_count: int = 51200
        self.transaction_size: int = 4 * MIB
        """Of the events that one workflow task adds."""
        self.history_size_suggest: int = 4 * MIB
        self.history_count_suggest: int = 4096
        self.mutable_state_size: int = 8 * MIB
        """Of what a run holds beside its history."""
        self.pending_activities: int = 2000
        self.pending_children: int = 2000
        self.pending_signals: int = 2000
        """Signals, and cancel requests, to other workflows that are on their way."""
        self.pending_cancels: int = 2000
        self.cross_namespace_commands: bool = False
        self.buffered_events: int = 100
        self.buffered_events_size: int = 2 * MIB
        self.buffered_queries: int = 1
        self.callbacks: int = 2000
        """Completion callbacks of one run."""
        self.update_callbacks: bool = False
        self.callbacks_per_update: int = 32
        self.callbacks_beside_updates: int = 32
        """Completion callbacks of one run, of any kind, beyond which no update may bring one."""
        self.callback_retry_initial: int = SECOND
        self.callback_retry_maximum: int = HOUR
        self.search_attribute_value_size: int = 2048
        self.search_attributes_size: int = 40 * 1024
        """Of all search attributes of a run together."""
        self.signals: int = 10_000
        self.signal_backlinks: bool = False
        self.updates_in_flight: int = 10
        """Of one run at a time; 0 switches a limit of updates off."""
        self.updates_in_flight_size: int = 20 * MIB
        self.updates_total: int = 2000
        self.updates_suggest: float = 0.9
        """The share of `updates_total` from which on continue-as-new is suggested."""
        self.default_workflow_task_timeout: int = 10 * SECOND
        self.workflow_task_timeout_max: int = 2 * MINUTE
        self.task_heartbeat_timeout: int = 30 * MINUTE
        self.task_retry_max_interval: int = 10 * MINUTE
        self.reuse_minimal_interval: int = SECOND
        self.eager_activities: bool = True
        self.eager_workflow_start: bool = True


@final
class NamespaceView:
    """What a machine may know of its namespace. `search_attributes` maps custom names to `enums.IndexedValueType`
    numbers; `rules` are its workflow rules, compiled; the archives are URIs, "" for none; `bad_binaries` are the
    checksums of workers whose answers do not count.
    """

    __slots__ = (
        "archive_paused",
        "archives",
        "bad_binaries",
        "history_archive",
        "id",
        "limits",
        "name",
        "record_archive",
        "retention",
        "rules",
        "search_attributes",
    )

    def __init__(
        self,
        id: str,
        name: str,
        retention: int,
        search_attributes: dict[str, int],
        limits: Limits,
        rules: tuple[Rule, ...] = (),
        history_archive: str = "",
        record_archive: str = "",
        archive_paused: bool = False,
        bad_binaries: frozenset[str] = frozenset(),
    ) -> None:
        self.id = id
        self.name = name
        self.retention = retention
        self.search_attributes = search_attributes
        self.limits = limits
        self.rules = rules
        self.history_archive = history_archive
        self.record_archive = record_archive
        self.archive_paused = archive_paused
        self.bad_binaries = bad_binaries
        self.archives = (ARCHIVES_HISTORY if history_archive else 0) | (ARCHIVES_RECORD if record_archive else 0)


@final
class Env:
    """One step's view of the world. `now` is ns since the epoch, never before the entity's last time."""

    __slots__ = ("ids", "limits", "namespace", "now")

    def __init__(self, now: int, ids: IdSource, namespace: NamespaceView) -> None:
        self.now = now
        self.ids = ids
        self.namespace = namespace
        self.limits = namespace.limits

    def at(self, earliest: int) -> Env:
        """The same world, not before `earliest`."""
        return self if self.now >= earliest else Env(earliest, self.ids, self.namespace)

    def run_id(self) -> str:
        """A fresh run id."""
        return self.ids.run_id(self.now)

    def request_id(self) -> str:
        """A fresh request id."""
        return self.ids.request_id()
