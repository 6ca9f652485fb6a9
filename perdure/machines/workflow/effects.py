"""The closed union of what a step of the workflow machine asks the engine to do after its commit.

Nothing here happens before the transaction has committed (DESIGN 1.6), and all of it may happen twice: receivers
are idempotent.
"""

from __future__ import annotations

from typing import final

from perdure.machines.task_queue import Task
from perdure.machines.workflow.calls import ArchiveRun, Call, InvokeCallback


@final
class OfferTask:
    """Offer a workflow task or an activity attempt to matching. Owed until the run records its start.

    `fallback` is the normal queue's task when `task` goes to a sticky queue that may have lost its worker.
    """

    __slots__ = ("fallback", "task")

    def __init__(self, task: Task, fallback: Task | None = None) -> None:
        self.task = task
        self.fallback = fallback


@final
class WithdrawTask:
    """The run has closed: matching may forget a task that waits. Optional: a stale task is refused when it starts."""

    __slots__ = ("task",)

    def __init__(self, task: Task) -> None:
        self.task = task


@final
class Answer:
    """Answer a caller that waits for more than its own step: `outcome` is a value, or a `ServiceError` to raise."""

    __slots__ = ("outcome", "waiter")

    def __init__(self, waiter: int, outcome: object) -> None:
        self.waiter = waiter
        self.outcome = outcome


@final
class Send:
    """Send a call to another chain and bring its answer back as an input. Owed until the run records that answer."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call


@final
class Invoke:
    """Invoke a completion callback and bring the answer back as an input. Owed until the run records that answer."""

    __slots__ = ("call",)

    def __init__(self, call: InvokeCallback) -> None:
        self.call = call


@final
class Archive:
    """Put a closed run into the archive and bring the answer back as an input. Owed until the run records it."""

    __slots__ = ("call",)

    def __init__(self, call: ArchiveRun) -> None:
        self.call = call


Effect = OfferTask | WithdrawTask | Answer | Send | Invoke | Archive
