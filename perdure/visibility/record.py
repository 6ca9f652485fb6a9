"""`VisibilityRecord`: what visibility knows of one run, or of one entity of another kind (semantics 15.1).

A value that the engine writes whole at every change and stores hand back unchanged. It carries payloads as serialized
bytes; which of their values a filter can see is `values()`. It does no I/O and knows no query.
"""

from __future__ import annotations

import hashlib
from typing import Final, final

from perdure.api import enums
from perdure.ids import Kind
from perdure.visibility.attributes import Value, indexed

_OPEN: Final = (enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_PAUSED)


@final
class VisibilityRecord:
    """One run, or one entity of another `kind` (an `ids.Kind` number); kinds are listed and counted apart.

    Times are nanoseconds since the epoch, sizes bytes, durations nanoseconds.
    `status` is an `enums.WorkflowExecutionStatus` number. `close_time` is None exactly while the run is open
    (RUNNING or PAUSED), and never before `start_time`; while it is open,
    `history_length`, `history_size_bytes`, `execution_duration` and `state_transition_count` count as not set. Empty
    parent ids mean that there is no parent. `memo` and `search_attributes` are serialized `common.Memo` and
    `common.SearchAttributes` (names as users know them, each payload with its type in the metadata). Of two records
    of one run the one with the higher `version` is newer.
    """

    __slots__ = (
        "_key",
        "_values",
        "close_time",
        "execution_duration",
        "execution_time",
        "history_length",
        "history_size_bytes",
        "kind",
        "memo",
        "namespace_id",
        "parent_run_id",
        "parent_workflow_id",
        "root_run_id",
        "root_workflow_id",
        "run_id",
        "search_attributes",
        "start_time",
        "state_transition_count",
        "status",
        "task_queue",
        "version",
        "workflow_id",
        "workflow_type",
    )

    def __init__(
        self,
        namespace_id: str,
        run_id: str,
        workflow_id: str,
        workflow_type: str,
        status: int,
        start_time: int,
        execution_time: int,
        close_time: int | None = None,
        task_queue: str = "",
        history_length: int = 0,
        history_size_bytes: int = 0,
        execution_duration: int = 0,
        state_transition_count: int = 0,
        parent_workflow_id: str = "",
        parent_run_id: str = "",
        root_workflow_id: str = "",
        root_run_id: str = "",
        memo: bytes = b"",
        search_attributes: bytes = b"",
        version: int = 0,
        kind: int = Kind.WORKFLOW,
        key: bytes | None = None,
    ) -> None:
        assert (close_time is None) == (status in _OPEN), f"{workflow_id!r}: status {status}, close time {close_time}"
        self.namespace_id: Final = namespace_id
        self.run_id: Final = run_id
        self.workflow_id: Final = workflow_id
        self.workflow_type: Final = workflow_type
        self.status: Final = status
        self.start_time: Final = start_time
        self.execution_time: Final = execution_time
        self.close_time: Final = close_time
        self.task_queue: Final = task_queue
        self.history_length: Final = history_length
        self.history_size_bytes: Final = history_size_bytes
        self.execution_duration: Final = execution_duration
        self.state_transition_count: Final = state_transition_count
        self.parent_workflow_id: Final = parent_workflow_id
        self.parent_run_id: Final = parent_run_id
        self.root_workflow_id: Final = root_workflow_id
        self.root_run_id: Final = root_run_id
        self.memo: Final = memo
        self.search_attributes: Final = search_attributes
        self.version: Final = version
        self.kind: Final[int] = kind if type(kind) is int else int(kind)
        self._key = key
        self._values: dict[str, Value] | None = None

    @property
    def key(self) -> bytes:
        """The key of its row, `run_key` of its run id: given by who has the bytes of the id already, else made once."""
        if self._key is None:
            self._key = run_key(self.run_id)
        return self._key

    def values(self) -> dict[str, Value]:
        """The search attributes that filters see, by `attributes.index_key`; decoded once."""
        if self._values is None:
            self._values = indexed(self.search_attributes)
        return self._values

    def fields(self) -> tuple[object, ...]:
        """Everything in it, in the order of the constructor: for equality in tests and for copies."""
        return tuple(getattr(self, name) for name in _FIELDS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VisibilityRecord) and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash((self.namespace_id, self.run_id))

    def __repr__(self) -> str:
        return f"VisibilityRecord({self.workflow_id!r}, {self.run_id!r}, status={self.status}, version={self.version})"


_FIELDS: Final = VisibilityRecord.__init__.__code__.co_varnames[1:22]

OPEN_CLOSE_KEY: Final = -(2**63 - 1)
"""The close key of an open run: before every closed one."""


def run_key(run_id: str) -> bytes:
    """16 bytes that stand for a run id: the UUID itself, or a digest of anything else. UUIDs keep their order."""
    if len(run_id) == 36 and run_id[8] == run_id[13] == run_id[18] == run_id[23] == "-":
        digits = run_id.replace("-", "")
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            raw = b""
        if len(raw) == 16 and raw.hex() == digits:  # of ids that differ in case or blanks only one is the UUID's text
            return raw
    return hashlib.blake2b(run_id.encode("utf-8", "replace"), digest_size=16).digest()


def close_key(record: VisibilityRecord) -> int:
    """Sorts ascending to the order of lists: open runs first, then the last closed."""
    return OPEN_CLOSE_KEY if record.close_time is None else max(-record.close_time, OPEN_CLOSE_KEY + 1)


def order_key(record: VisibilityRecord) -> tuple[int, int, bytes]:
    """The place of a record in lists, ascending (semantics 15.4): close time falling, start time falling, run id."""
    return close_key(record), -record.start_time, record.key
