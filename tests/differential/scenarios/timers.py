"""Timers (semantics 4.3, 6)."""

from __future__ import annotations

from ..script import Script
from ..values import cancel_timer, complete_workflow, start_timer


def fires(s: Script) -> None:
    """A timer fires into the history and schedules a workflow task."""
    s.complete(s.begin(), start_timer("one", 1))
    task = s.poll()
    started = task.history.events[4].event_time.ToNanoseconds()
    fired = task.history.events[5].event_time.ToNanoseconds()
    s.fact("not early", fired - started >= 1_000_000_000)
    s.fact("seconds", round((fired - started) / 1e9))
    s.complete(task, complete_workflow())
    s.closed_history()


def zero_duration(s: Script) -> None:
    """F18: a timer of no duration fires after the workflow task completes."""
    s.complete(s.begin(), start_timer("zero", 0))
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def fraction_of_second(s: Script) -> None:
    """Durations keep their nanoseconds in the event."""
    s.complete(s.begin(), start_timer("half", 0.123456789))
    s.poll()


def cancelled(s: Script) -> None:
    """TIMER_CANCELED names the started event; the id is free again."""
    s.complete(s.begin(), start_timer("t"), start_timer("u"), cancel_timer("t"), start_timer("t"))
    s.history()


def cancelled_later(s: Script) -> None:
    """A timer cancelled in a later workflow task never fires."""
    s.complete(s.begin(), start_timer("t", 2))
    s.signal()
    s.complete(s.poll(), cancel_timer("t"), start_timer("u", 2.5))
    s.poll()


def fired_in_buffer_then_cancelled(s: Script) -> None:
    """D7, F3: CANCEL_TIMER takes a buffered TIMER_FIRED back; a close in the same batch may then succeed."""
    s.complete(s.begin(), start_timer("t", 1))
    s.signal()
    task = s.poll()
    s.another_run_waits()
    s.history()
    s.complete(task, cancel_timer("t"), complete_workflow())
    s.closed_history()


def fired_in_buffer(s: Script) -> None:
    """A timer that fires while a workflow task runs is written after the task's own events."""
    s.complete(s.begin(), start_timer("t", 1))
    s.signal()
    task = s.poll()
    s.another_run_waits()
    s.complete(task, start_timer("u"))
    s.poll()


def in_order(s: Script) -> None:
    """Timers fire in order of expiry."""
    s.complete(s.begin(), start_timer("late", 1.5), start_timer("soon", 0.5), start_timer("same", 1.5))
    s.complete(s.poll())
    s.complete(s.poll())
    s.await_event("TIMER_FIRED", 3)
    fired = [event for event in s.history() if event.HasField("timer_fired_event_attributes")]
    s.fact("order", [event.timer_fired_event_attributes.timer_id for event in fired])


def unfired_at_close(s: Script) -> None:
    """A close forgets pending timers without events."""
    s.complete(s.begin(), start_timer("t"), complete_workflow())
    s.closed_history()
    s.describe()
