"""What a run may hold beside its history (`limit.mutableStateSize.error`)."""

from __future__ import annotations

from temporalio.api.common.v1 import Payload, Payloads

from ..script import Script
from ..values import memo

SETTINGS = ("limit.mutableStateSize.error=40000", "limit.mutableStateSize.warn=20000")


def _bytes(count: int) -> Payloads:
    return Payloads(payloads=[Payload(data=b"x" * count)])


def heartbeats(s: Script) -> None:
    """Details of heartbeats that together are too much: the heartbeat after them ends the run."""
    s.complete(s.begin_quietly(), s.activity("a"), s.activity("b"), s.activity("c"))
    tasks = s.poll_activities(3)
    s.heartbeat(tasks[0], None, details=_bytes(30_000))
    s.heartbeat(tasks[1], None, details=_bytes(30_000))
    s.heartbeat(tasks[2])
    s.history()
    s.describe()


def a_large_memo(s: Script) -> None:
    """A start may bring too much; the next request ends the run."""
    s.start(memo=memo(m=f'"{"m" * 60_000}"'))
    s.signal()
    s.closed_history()


def buffered_signals(s: Script) -> None:
    """Signals that wait for their ids count."""
    s.begin_quietly()
    for _ in range(4):
        s.signal(input=_bytes(15_000))
    s.closed_history()
