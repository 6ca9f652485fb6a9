"""What the engine needs of its neighbours: matching, the namespaces, the world outside.

Engine and matching meet in the composition root only.
"""

from __future__ import annotations

from typing import Protocol

from perdure.machines.env import NamespaceView
from perdure.machines.task_queue import Offered, Task, TaskKey
from perdure.machines.workflow.invocations import HttpAnswer, Outgoing


class Reservation(Protocol):
    """A waiting poller kept for a task that is about to be committed; closed by exactly one of the two methods."""

    @property
    def identity(self) -> str:
        """The poller's identity."""
        ...

    @property
    def worker_version(self) -> bytes | None:
        """The poller's serialized `WorkerVersionStamp`, if events show it."""
        ...

    def deliver(self, task: Task, started: object) -> bool:
        """Hand out the committed start; False when the poller has gone."""
        ...

    def release(self) -> None:
        """The commit failed: the poller goes back to its place."""
        ...


class Dispatch(Protocol):
    """Matching as the engine sees it."""

    def offer(self, task: Task) -> Offered:
        """Offer a task; idempotent by its key."""
        ...

    def reserve(self, task: Task) -> Reservation | None:
        """A waiting poller for a task, if the task would be its next one."""
        ...

    def forget(self, key: TaskKey) -> None:
        """A queued task is known to be stale."""
        ...


class Namespaces(Protocol):
    """Where the engine finds what a machine may know of a namespace."""

    def view(self, namespace_id: str) -> NamespaceView | None:
        """The namespace, or None when it is gone."""
        ...


class Outside(Protocol):
    """The world outside the server, by HTTP."""

    async def post(self, namespace: str, destination: str, request: Outgoing) -> HttpAnswer:
        """Send a request of a namespace (its name) to a destination (scheme and host). Raises NoAnswer."""
        ...
