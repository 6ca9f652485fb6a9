"""The deletion of a namespace: renamed at once, emptied page by page, then its record goes (semantics 14.4).

The entity lives in the system's namespace under the id of the one that is to go, so it outlives it. It owes one thing
at a time, and each may be done twice: the new name, a page of what is left (kind by kind, pass by pass, until a pass
finds nothing), and at last the record. What is running is not closed with ceremony; it is removed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, final

import msgspec

from perdure.clock import MILLISECOND, SECOND
from perdure.errors import NotFound
from perdure.ids import ChainKey, Kind
from perdure.machines.entity import AlarmRang, Step
from perdure.machines.env import Env
from perdure.machines.pauses import pause

KINDS: Final[tuple[int, ...]] = (Kind.SCHEDULE, Kind.BATCH, Kind.WORKFLOW)
"""What a pass looks for, in this order: first what could start more."""
PAUSE_FIRST: Final = 100 * MILLISECOND
PAUSE_MAX: Final = 10 * SECOND
"""Between two passes: removals take a moment, and what owes something to the outside takes longer."""
GRACE: Final = SECOND
"""The shortest delay: calls that were on their way when the namespace went out of use are through by then."""
FORMAT: Final = 1

RENAMING: Final = 1
"""Phases are stored, so their numbers are never reused."""
EMPTYING: Final = 2
RESTING: Final = 3
WAITING: Final = 4
REMOVING: Final = 5


_FIELDS: Final = (
    "cursor",
    "delay",
    "kind",
    "new_name",
    "passes",
    "phase",
    "removed",
    "resumes",
    "seen",
)


@final
class Deletion:
    """`delay` ns lie between the last removal and that of the record; `resumes` is when a rest or the delay is over.

    `new_name` is "" until the namespace has it. `passes` counts, `kind` is an index into `KINDS`, `cursor` the place in
    its list, `seen` what the pass has found so far, `removed` what all have.
    """

    __slots__ = _FIELDS

    def __init__(
        self,
        delay: int,
        phase: int = RENAMING,
        new_name: str = "",
        passes: int = 0,
        kind: int = 0,
        cursor: bytes = b"",
        seen: int = 0,
        removed: int = 0,
        resumes: int = 0,
    ) -> None:
        self.delay = delay
        self.phase = phase
        self.new_name = new_name
        self.passes = passes
        self.kind = kind
        self.cursor = cursor
        self.seen = seen
        self.removed = removed
        self.resumes = resumes

    def evolve(self, **changes: Any) -> Deletion:
        """The state with some fields replaced."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        fields.update(changes)
        return Deletion(**fields)


# -- facts -------------------------------------------------------------------------------------------------------------


@final
class Begin:
    """Delete the namespace; asked again, the delay is that of the last call."""

    __slots__ = ("delay",)

    def __init__(self, delay: int) -> None:
        self.delay = delay


@final
class Renamed:
    """The namespace is out of use and has this name."""

    __slots__ = ("new_name",)

    def __init__(self, new_name: str) -> None:
        self.new_name = new_name


@final
class Swept:
    """A page of `count` things was removed; the next one begins at `cursor`, b"" when there is none."""

    __slots__ = ("after", "count", "cursor")

    def __init__(self, after: Sweep, count: int, cursor: bytes) -> None:
        self.after = after
        self.count = count
        self.cursor = cursor


@final
class Leftover:
    """Something is in the namespace after all: a call was on its way when it went out of use."""

    __slots__ = ()


@final
class RecordRemoved:
    """Nothing speaks of the namespace any more."""

    __slots__ = ()


# -- effects -----------------------------------------------------------------------------------------------------------


@final
class Rename:
    """Owed: the namespace out of use, under another name; answered by `Renamed`."""

    key: Final = "rename"


@final
class Sweep:
    """Owed: the removal of a page of one kind of things; answered by `Swept`."""

    __slots__ = ("cursor", "kind", "passes")

    def __init__(self, state: Deletion) -> None:
        self.passes = state.passes
        self.kind = KINDS[state.kind]
        self.cursor = state.cursor

    @property
    def key(self) -> Hashable:
        return (self.passes, self.kind, self.cursor)


@final
class RemoveRecord:
    """Owed: the end of the namespace's record, and of what else is kept by its id, if nothing is left in it.

    Answered by `RecordRemoved` or `Leftover`.
    """

    key: Final = "remove"


# -- the machine -------------------------------------------------------------------------------------------------------


@final
class NamespaceDeletionMachine:
    """Deletes namespaces; see the module."""

    kind: Final = Kind.NAMESPACE_DELETION

    def step(self, key: ChainKey, before: Deletion | None, fact: object, env: Env) -> Step[Deletion]:
        if isinstance(fact, Begin):
            return Step(_begun(before, fact))
        if before is None:
            raise NotFound(f"no deletion of namespace {key.id} is under way")
        if isinstance(fact, AlarmRang):
            return Step(_resumed(before, env))
        if isinstance(fact, Renamed):
            if before.phase != RENAMING:
                return Step(before)
            return Step(before.evolve(phase=EMPTYING, new_name=fact.new_name))
        if isinstance(fact, Swept):
            return Step(_swept(before, fact, env))
        if isinstance(fact, Leftover):
            return Step(_next_pass(before, env) if before.phase == REMOVING else before)
        assert isinstance(fact, RecordRemoved), f"a deletion knows no {type(fact).__name__}"
        return Step(None if before.phase == REMOVING else before)

    def alarm(self, state: Deletion) -> int:
        return state.resumes if state.phase in (RESTING, WAITING) else 0

    def owed(self, state: Deletion) -> Sequence[Rename | Sweep | RemoveRecord]:
        if state.phase == RENAMING:
            return (Rename(),)
        if state.phase == EMPTYING:
            return (Sweep(state),)
        return (RemoveRecord(),) if state.phase == REMOVING else ()

    def encode(self, state: Deletion) -> bytes:
        return msgspec.msgpack.encode((FORMAT, {name: getattr(state, name) for name in _FIELDS}))

    def decode(self, body: bytes) -> Deletion:
        """Names of fields are never reused; a field that this version does not know is ignored."""
        _, fields = msgspec.msgpack.decode(body)
        return Deletion(**{name: fields[name] for name in _FIELDS if name in fields})

    def listing(self, state: Deletion) -> None:
        """It is not listed."""


def _begun(before: Deletion | None, fact: Begin) -> Deletion:
    if before is None:
        return Deletion(fact.delay)
    if before.phase == REMOVING or fact.delay == before.delay:
        return before
    longer = max(GRACE, fact.delay) - max(GRACE, before.delay)
    resumes = before.resumes + longer if before.phase == WAITING else before.resumes
    return before.evolve(delay=fact.delay, resumes=resumes)


def _resumed(state: Deletion, env: Env) -> Deletion:
    if env.now < state.resumes:
        return state
    if state.phase == RESTING:
        return state.evolve(phase=EMPTYING, resumes=0)
    return state.evolve(phase=REMOVING, resumes=0) if state.phase == WAITING else state


def _swept(state: Deletion, fact: Swept, env: Env) -> Deletion:
    if state.phase != EMPTYING or fact.after.key != Sweep(state).key:
        return state
    after = state.evolve(seen=state.seen + fact.count, removed=state.removed + fact.count, cursor=fact.cursor)
    if fact.cursor:
        return after
    if state.kind + 1 < len(KINDS):
        return after.evolve(kind=state.kind + 1)
    if not after.seen:
        return after.evolve(phase=WAITING, resumes=env.now + max(GRACE, state.delay))
    return _next_pass(after, env)


def _next_pass(state: Deletion, env: Env) -> Deletion:
    resumes = env.now + pause(state.passes, PAUSE_FIRST, PAUSE_MAX)
    return state.evolve(phase=RESTING, resumes=resumes, passes=state.passes + 1, kind=0, seen=0, cursor=b"")
