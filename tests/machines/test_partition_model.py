"""A partition against a list, under any sequence of inputs: order, exclusion, no work left beside a waiting poll."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.machines.task_queue import Poll, Task
from tests.machines.queues import ACTIVITIES, SECOND, partition, task, worker


class Line(RuleBasedStateMachine):
    """Against a list: whatever happens, each key is in one place, in order, and nobody waits beside free work."""

    @initialize(limited=st.booleans())
    def start(self, limited: bool) -> None:
        self.line = partition(ACTIVITIES)
        self.rate = 3.0 if limited else None
        self.now_ns = 0
        self.waiting: list[Poll] = []
        self.held: list[Poll] = []
        self.out: dict[int, Task] = {}
        self.queued: list[tuple[int, int, int]] = []
        self.arrival: dict[int, int] = {}
        self.arrivals = 0

    def _take(self, polls: Sequence[Poll]) -> None:
        for poll in polls:
            assert poll is self.waiting.pop(0), "the poll that waits longest"
            assert poll.matched is not None
            assert poll.matched.task is not None
            one = poll.matched.task
            assert min(self.queued)[2] == one.scheduled_event_id, "the most urgent, then the oldest"
            self.queued.remove(min(self.queued))
            assert one.scheduled_event_id not in self.out
            self.out[one.scheduled_event_id] = one

    @rule(event_id=st.integers(1, 12))
    def offer(self, event_id: int) -> None:
        if event_id not in self.out and all(one[2] != event_id for one in self.queued):
            self.arrivals += 1
            self.arrival[event_id] = self.arrivals
            self.queued.append((event_id % 5 + 1, self.arrivals, event_id))
        self._take(self.line.offered(task(event_id, priority=event_id % 5 + 1), self.now_ns, 0))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        event_id = data.draw(st.sampled_from(sorted(self.out)))
        self.queued.append((event_id % 5 + 1, self.arrival[event_id], event_id))
        self._take(self.line.given_back(self.out.pop(event_id), self.now_ns, 0))

    @rule()
    def poll(self) -> None:
        poll = worker(rate=self.rate)
        self.waiting.append(poll)
        self._take(self.line.polled(poll, self.now_ns, 0))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        poll = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(poll)
        self.line.left(poll, self.now_ns, 0, alive=True)

    @rule(priority=st.integers(1, 5))
    def reserve(self, priority: int) -> None:
        poll = self.line.reserved(priority, self.now_ns)
        if poll is not None:
            assert poll is self.waiting.pop(0)
            self.held.append(poll)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), deliver=st.booleans())
    def close(self, data: st.DataObject, deliver: bool) -> None:
        poll = data.draw(st.sampled_from(self.held))
        self.held.remove(poll)
        if deliver:
            assert self.line.delivered(poll, task(99), "started", self.now_ns)
        else:
            self.waiting = sorted([*self.waiting, poll], key=lambda one: one.seq)
            self._take(self.line.released(poll, self.now_ns, 0))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), started=st.booleans())
    def settle(self, data: st.DataObject, started: bool) -> None:
        event_id = data.draw(st.sampled_from(sorted(self.out)))
        self._take(self.line.settled(self.out.pop(event_id).key, started, self.now_ns, 0))

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        until_ns = self.now_ns + int(seconds * SECOND)
        while self.line.wake_ns is not None and self.line.wake_ns <= until_ns:
            self.now_ns = max(self.now_ns, self.line.wake_ns)
            self._take(self.line.woken(self.now_ns, 0))
        self.now_ns = until_ns

    @invariant()
    def keys_are_in_one_place(self) -> None:
        if hasattr(self, "line"):
            assert {key[1] for key in self.line.queued} == {one[2] for one in self.queued}
            assert {key[1] for key in self.line.handed} == set(self.out)
            assert list(self.line.waiting.values()) == self.waiting

    @invariant()
    def nobody_waits_beside_free_work(self) -> None:
        if hasattr(self, "line") and self.waiting and self.queued:
            assert self.line.bucket.ready_ns > self.now_ns
            assert self.line.wake_ns is not None


TestLine = Line.TestCase
