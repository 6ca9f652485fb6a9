"""One chain in memory: its mailbox, its newest draft, and what the cache needs to know of it."""

from __future__ import annotations

from collections import deque
from typing import final

from perdure.engine.committer import Member
from perdure.engine.mail import Letter
from perdure.ids import ChainKey
from perdure.machines.persistent import EMPTY
from perdure.machines.workflow import weight
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.inputs import Input
from perdure.machines.workflow.machine import pinned
from perdure.store.api import Fragment

CHAIN_BYTES = 1000
RUN_BYTES = 3000
"""Rough sizes of a loaded chain and of each of its runs, without history tails and without what `weight.py` counts."""
MISSING_MAX = 100
"""Run ids remembered as not there."""
REQUESTS_MAX = 100
"""Request ids kept at hand while nothing happens; the store knows the others."""
MAILBOX_MAX = 10_000
"""Inputs that may wait for one chain; more are refused."""


@final
class Tail:
    """The newest committed fragments of one branch, so that most polls read no store; bounded in bytes."""

    __slots__ = ("fragments", "size")

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        self.size = 0

    def append(self, fragment: Fragment, bytes_max: int) -> int:
        """Add the newest fragment; the oldest go when there are too many bytes. Returns the change of size."""
        before = self.size
        if self.fragments and self.fragments[-1].next_event_id != fragment.first_event_id:
            self.fragments.clear()
            self.size = 0
        self.fragments.append(fragment)
        self.size += len(fragment.body)
        while self.size > bytes_max and len(self.fragments) > 1:
            self.size -= len(self.fragments.pop(0).body)
        return self.size - before

    def read(self, first_event_id: int, next_event_id: int) -> list[Fragment] | None:
        """The fragments that hold [first, next), or None when the tail does not reach back so far."""
        fragments = self.fragments
        if not fragments or fragments[0].first_event_id > first_event_id or fragments[-1].next_event_id < next_event_id:
            return None
        return [f for f in fragments if f.next_event_id > first_event_id and f.first_event_id < next_event_id]


@final
class Entity:
    """A chain: `state` is the newest draft, committed or not; `last` is the member whose commit makes it durable.

    `generation` rises when a draft is lost: members of an older generation must not be written, for they build on it.
    """

    __slots__ = (
        "branches",
        "busy",
        "digest",
        "generation",
        "in_flight",
        "key",
        "last",
        "loaded",
        "mailbox",
        "missing",
        "state",
        "tail_bytes",
        "waiting_bytes",
    )

    def __init__(self, digest: bytes, key: ChainKey | None, state: ChainState) -> None:
        self.digest = digest
        self.key = key
        self.state = state
        self.loaded = False
        self.busy = False
        self.mailbox: deque[Letter[Input]] = deque()
        self.waiting_bytes = 0
        """Of the inputs that came when others waited already, since the mailbox was last empty."""
        self.last: Member | None = None
        self.in_flight = 0
        self.generation = 0
        self.missing: frozenset[str] = frozenset()
        """Run ids asked for that this chain does not have."""
        self.branches: tuple[bytes, ...] = ()
        """Branches of this chain that have a tail in memory."""
        self.tail_bytes = 0
        """What the tails of its branches hold."""

    def rest(self) -> list[bytes]:
        """Nothing waits or is in flight: forget closed runs that are no longer current, the store has them.

        Returns the branches whose tails are not needed any more.
        """
        chain = self.state.chain
        if len(self.missing) > MISSING_MAX:
            self.missing = frozenset()
        if chain is None or len(self.state.runs) < 2:
            if len(self.state.start_requests) > REQUESTS_MAX:
                self.state = ChainState(chain, self.state.runs, EMPTY, self.state.start_events)
            return []
        runs = self.state.runs
        branches: list[bytes] = []
        for run_id, execution in list(runs.items()):
            if run_id != chain.current_run_id and not execution.running:
                runs = runs.delete(run_id)
                branches += [branch for branch, _ in execution.branches]
        self.state = ChainState(chain, runs, EMPTY, EMPTY)
        return branches

    def leave_out(self, run_id: str) -> None:
        """A step has removed the run, so it is not there for the next one either, which may come before the commit: a
        second alarm would remove it again, and with it what its chain has left.
        """
        state = self.state
        runs = state.runs.delete(run_id) if run_id in state.runs else state.runs
        self.state = ChainState(state.chain, runs, state.start_requests, EMPTY)
        self.missing |= {run_id}

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, roughly."""
        size = CHAIN_BYTES + self.tail_bytes
        for execution in self.state.runs.values():
            size += RUN_BYTES + weight.memory(execution)
        return size

    @property
    def pinned(self) -> bool:
        """Whether the entity must stay: something waits, is in flight, or would be lost."""
        if self.busy or self.mailbox or self.in_flight:
            return True
        return any(pinned(execution) for execution in self.state.runs.values())
