"""How a query can fail to reach a worker, as types that callers tell apart.

The first never leaves the server: whoever asked turns to the normal queue. The other two are answers to the caller
of the query (semantics 8.1, inventory 4.13); their texts are Temporal's, since test suites of SDKs look at them.
"""

from __future__ import annotations

from perdure.errors import DeadlineExceeded, FailedPrecondition


class StickyUnavailable(Exception):
    """The sticky queue has had no poller for 10 s, or its worker has said good-bye."""


class NoRecentPoller(FailedPrecondition):
    """Nobody has polled the queue for 20 s: there is likely no worker."""

    def __init__(self) -> None:
        super().__init__("no poller seen for task queue recently, worker may be down")


class QueryTimedOut(DeadlineExceeded):
    """There are workers, but none answered in time."""

    def __init__(self) -> None:
        super().__init__("query timed out before a worker could process it")
