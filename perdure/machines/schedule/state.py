"""What a schedule is: one value, replaced at each step, and its stored form.

Payloads and messages are bytes here; what the machine itself decides by is plain. Times are ns since the epoch.
Records are tuples with names: cheap to copy, compared by value, and stored as they are.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final, NamedTuple, final

import msgspec

from perdure.api import enums
from perdure.machines.schedule.spec import LOOKS_MAX, Due, compiled, next_due

FORMAT: Final = 1
REQUESTS_KEPT: Final = 100
"""So many request ids of updates and patches are remembered, so that a repeated one does nothing twice."""

SKIP: Final = int(enums.SCHEDULE_OVERLAP_POLICY_SKIP)
BUFFER_ONE: Final = int(enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE)
BUFFER_ALL: Final = int(enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL)
CANCEL_OTHER: Final = int(enums.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER)
TERMINATE_OTHER: Final = int(enums.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER)
ALLOW_ALL: Final = int(enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class Waiting(NamedTuple):
    """A start in the buffer. `number` is its own for as long as the schedule lives; `overlap` 0 is the schedule's."""

    number: int
    nominal: int
    actual: int
    overlap: int
    manual: bool


class Starting(NamedTuple):
    """A start that was decided on and is owed until its answer is known.

    `alone`: it counts as running for overlap. `generation` names the action that it starts; a later update does not
    reach it, or a repeated attempt could start a second workflow. No attempt is made after `give_up`.
    """

    number: int
    nominal: int
    actual: int
    manual: bool
    alone: bool
    workflow_id: str
    generation: int
    give_up: int


class Running(NamedTuple):
    """A workflow that this schedule started and that holds others up; `run_id` is the first of its chain of runs."""

    number: int
    workflow_id: str
    run_id: str


class Stopping(NamedTuple):
    """A cancel request, or a termination, that is owed."""

    number: int
    workflow_id: str
    run_id: str
    terminate: bool


class Taken(NamedTuple):
    """An action that was taken. `scheduled` is when it was due with jitter, `taken` when it happened."""

    number: int
    scheduled: int
    taken: int
    workflow_id: str
    run_id: str
    status: int


class Backfill(NamedTuple):
    """A range whose times are still to be taken: those later than `after`, up to `end`."""

    after: int
    end: int
    overlap: int


_RECORDS: Final[dict[str, Any]] = {
    "waiting": Waiting,
    "starting": Starting,
    "running": Running,
    "stopping": Stopping,
    "recent": Taken,
    "backfills": Backfill,
}


@final
class Schedule:
    """A schedule's whole state. Made by `copy` and changed only while a step owns the copy."""

    FIELDS: Final = (
        "schedule_id",
        "seed",
        "incarnation",
        "request_id",
        "spec",
        "workflow_id",
        "workflow_type",
        "generation",
        "actions",
        "overlap",
        "catchup_window",
        "pause_on_failure",
        "keep_workflow_id",
        "notes",
        "paused",
        "limited",
        "remaining",
        "created",
        "updated",
        "processed",
        "token",
        "next_number",
        "action_count",
        "missed",
        "skipped",
        "dropped",
        "waiting",
        "starting",
        "running",
        "stopping",
        "recent",
        "backfills",
        "backfill_at",
        "result",
        "failure",
        "memo",
        "search_attributes",
        "requests",
    )

    __slots__ = ("_all_known", "_coming", *FIELDS)

    def __init__(self) -> None:
        self.schedule_id = ""
        self.seed = ""
        """Of jitter: namespace id and schedule id."""
        self.incarnation = ""
        """What tells this schedule from an earlier one of the same id; request ids of starts begin with it."""
        self.request_id = ""
        """Of the creation."""
        self.spec = b""
        """A canonical `ScheduleSpec`."""
        self.workflow_id = ""
        self.workflow_type = ""
        self.generation = 0
        """Which of `actions` is the schedule's."""
        self.actions: tuple[tuple[int, bytes], ...] = ()
        """Serialized `ScheduleAction`s by generation: the schedule's, and older ones that starts still need."""
        self.overlap = SKIP
        self.catchup_window = 0
        self.pause_on_failure = False
        self.keep_workflow_id = False
        self.notes = ""
        self.paused = False
        self.limited = False
        self.remaining = 0
        self.created = 0
        self.updated = 0
        self.processed = 0
        """The actual time of the last occurrence that was looked at; the next one is computed from here, not from
        now, so that one whose nominal time has passed and whose actual time has not is never lost."""
        self.token = 1
        """The conflict token."""
        self.next_number = 1
        self.action_count = 0
        self.missed = 0
        self.skipped = 0
        self.dropped = 0
        self.waiting: tuple[Waiting, ...] = ()
        self.starting: tuple[Starting, ...] = ()
        self.running: tuple[Running, ...] = ()
        self.stopping: tuple[Stopping, ...] = ()
        self.recent: tuple[Taken, ...] = ()
        self.backfills: tuple[Backfill, ...] = ()
        self.backfill_at = 0
        """When to take more of the backfills, 0 for no time of its own."""
        self.result = b""
        """Serialized `Payloads` of the last completed workflow."""
        self.failure = b""
        """Serialized `Failure` of the last one, if that failed."""
        self.memo = b""
        self.search_attributes = b""
        """Of the user: serialized `common.Memo` and `common.SearchAttributes`."""
        self.requests: tuple[str, ...] = ()
        self._coming: tuple[Due, ...] = ()
        self._all_known = False
        """Whether nothing comes after `_coming`: a search that found nothing may have been a long one."""

    def copy(self) -> Schedule:
        """A copy that a step may change."""
        fresh = Schedule.__new__(Schedule)
        for name in self.__slots__:
            setattr(fresh, name, getattr(self, name))
        return fresh

    def fields(self) -> tuple[Any, ...]:
        """Everything that is stored, in order."""
        found: tuple[Any, ...] = _all_fields(self)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash(self.incarnation)

    @property
    def action(self) -> bytes:
        """The serialized `ScheduleAction` of now."""
        return self.action_of(self.generation)

    def action_of(self, generation: int) -> bytes:
        """The action of a generation that something still needs."""
        for number, body in self.actions:
            if number == generation:
                return body
        raise AssertionError(f"action {generation} is gone")

    @property
    def exhausted(self) -> bool:
        """Whether there are no scheduled actions left."""
        return self.limited and self.remaining <= 0

    @property
    def busy(self) -> bool:
        """Whether a workflow holds others up."""
        return bool(self.running) or any(start.alone for start in self.starting)

    def number(self) -> int:
        """A fresh number; for a step's copy only."""
        number = self.next_number
        self.next_number += 1
        return number

    def coming(self, count: int) -> tuple[Due, ...]:
        """The next `count` occurrences after the one last looked at; fewer when the spec names no more, or hides them
        well.

        Remembered, and so are those that an advance leaves over; never stored, since zones change.
        """
        known = [due for due in self._coming if due.actual > self.processed]
        after = known[-1].actual if known else self.processed
        spec = compiled(self.spec)
        enough = spec.looks + LOOKS_MAX
        while len(known) < count and not self._all_known and (not known or spec.looks < enough):
            due = next_due(spec, self.seed, after)
            if due is None:
                self._all_known = True
                break
            after = due.actual
            # What was due before the last update was judged by what the schedule was then.
            if due.actual >= self.updated:
                known.append(due)
        self._coming = tuple(known)
        return self._coming[:count]

    def forget_times(self) -> None:
        """The spec has changed; for a step's copy only."""
        self._coming = ()
        self._all_known = False


_all_fields: Final = attrgetter(*Schedule.FIELDS)


def encode(state: Schedule) -> bytes:
    """The stored form."""
    return _encode((FORMAT, *state.fields()))


def decode(body: bytes) -> Schedule:
    """The way back."""
    _, *fields = _decode(body)
    state = Schedule()
    for name, value in zip(Schedule.FIELDS, fields, strict=True):
        record = _RECORDS.get(name)
        if record is not None:
            value = tuple([record(*item) for item in value])
        elif isinstance(value, list):
            value = tuple([tuple(item) if isinstance(item, list) else item for item in value])
        setattr(state, name, value)
    return state
