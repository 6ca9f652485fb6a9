"""What a machine of one row is to its runner: schedules, batch jobs, deletions of namespaces.

Such an entity has no runs and no history. Its whole state is one value that the machine replaces at each step; what
it wants from the outside world is a function of that value (`owed`), as are its alarm and what lists show of it. A
workflow is more than that and has a door of its own (`workflow/machine.py`).

Pure, like everything in this package: no I/O, no clock, no randomness, no logging.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, Protocol, TypeVar, final

from perdure.ids import ChainKey, Kind
from perdure.machines.env import Env

State = TypeVar("State")


@final
class AlarmRang:
    """The time that the machine's `alarm` named has come, or an earlier one."""

    __slots__ = ()


@final
class Discard:
    """The entity is to be gone, with all that it owes: its namespace is. The runner sees to it; no machine is asked."""

    __slots__ = ()


@final
class Step(Generic[State]):
    """The result of one step.

    `after` is the state from now on; the same object as before means that nothing changed, None that the entity is
    gone. `outcome` is what the caller gets; a `ServiceError` there is raised at the caller although the state changed.
    """

    __slots__ = ("after", "outcome")

    def __init__(self, after: State | None, outcome: object = None) -> None:
        self.after = after
        self.outcome = outcome


@final
class Listing:
    """What lists show of an entity: the fields of an execution that mean something for its kind. Times are ns since the
    epoch, `close_time` None while it is open, `status` an `enums.WorkflowExecutionStatus` number; `memo` and
    `search_attributes` are serialized `common.Memo` and `common.SearchAttributes`.
    """

    __slots__ = ("close_time", "memo", "search_attributes", "start_time", "status", "type")

    def __init__(
        self,
        status: int,
        start_time: int,
        close_time: int | None = None,
        type: str = "",
        memo: bytes = b"",
        search_attributes: bytes = b"",
    ) -> None:
        self.status = status
        self.start_time = start_time
        self.close_time = close_time
        self.type = type
        self.memo = memo
        self.search_attributes = search_attributes


class Effect(Protocol):
    """Something owed to the outside. Two effects of one entity with equal keys are the same one, under way once."""

    @property
    def key(self) -> Hashable: ...


class Machine(Protocol[State]):
    """One kind of entity. `step` raises a `ServiceError` when nothing changed and the caller is to hear why."""

    @property
    def kind(self) -> Kind:
        """The kind of the keys of these entities."""
        ...

    def step(self, key: ChainKey, before: State | None, fact: object, env: Env) -> Step[State]:
        """What `fact` makes of the entity; `before` is None when there is none yet, or none any more.

        `env.now` never runs backwards for one entity. Facts may come twice, and too late.
        """
        ...

    def alarm(self, state: State) -> int:
        """When the entity needs attention next, ns since the epoch; 0 for never. A step at that time must move it."""
        ...

    def owed(self, state: State) -> Sequence[Effect]:
        """What must happen outside because the state is this one, however often it was tried before."""
        ...

    def encode(self, state: State) -> bytes:
        """The stored form, which every later version of the machine can decode."""
        ...

    def decode(self, body: bytes) -> State:
        """The state of a stored form."""
        ...

    def listing(self, state: State) -> Listing | None:
        """What lists show of the entity; None for kinds that are not listed."""
        ...
