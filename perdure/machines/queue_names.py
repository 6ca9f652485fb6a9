"""What a task queue may be called (semantics 2.1.5, server_inventory 3.4). Nothing here knows whether it exists."""

from __future__ import annotations

from perdure.api import enums, taskqueue

RESERVED_PREFIX = "/_sys/"
"""Begins the names that matching gives to partitions."""
INTERNAL_PREFIX = "temporal-sys-per-ns-"
INTERNAL_CONTROLLER = "temporal-sys-worker-controller-per-ns-tq"


def invalid(name: str, bytes_max: int) -> str | None:
    """Why a task queue's name is refused, or None."""
    if not name:
        return "taskQueue is not set"
    if len(name.encode()) > bytes_max:
        return "taskQueue length exceeds limit"
    if name.startswith(RESERVED_PREFIX):
        return f"task queue name cannot start with reserved prefix {RESERVED_PREFIX}"
    return None


def invalid_queue(queue: taskqueue.TaskQueue, bytes_max: int, parent_queue: str = "") -> str | None:
    """Why a user's task queue is refused, or None. What runs on an internal `parent_queue` may name internal ones."""
    if not queue.name:
        return "missing task queue name"
    bad = invalid(queue.name, bytes_max)
    if bad is None and queue.kind == enums.TASK_QUEUE_KIND_STICKY and queue.normal_name:
        bad = "taskQueue length exceeds limit" if len(queue.normal_name.encode()) > bytes_max else None
    if bad is not None:
        return bad
    if is_internal(queue.name) and not is_internal(parent_queue):
        within = f" (in parent component task queue: {parent_queue})" if parent_queue else ""
        return f"cannot use internal per-namespace task queue:{queue.name}{within}"
    return None


def described(queue: taskqueue.TaskQueue, own_queue: str) -> str:
    """A task queue as Temporal's messages show it: protobuf-go's text, with defaults filled in."""
    name = (queue.name or own_queue).replace("\\", "\\\\").replace('"', '\\"')
    kind = queue.kind or enums.TASK_QUEUE_KIND_NORMAL
    # A number without a name is legal on the wire.
    shown = enums.TaskQueueKind.Name(kind) if kind in enums.TaskQueueKind.values() else str(int(kind))
    return f'name:"{name}" kind:{shown}'


def is_internal(name: str) -> bool:
    """Whether a queue belongs to workers of the server's own."""
    return name.startswith(INTERNAL_PREFIX) or name == INTERNAL_CONTROLLER
