"""What one chain asks of another: a closed union of values (DESIGN 1.10). The engine carries them after the commit.

A call is owed until the sender's state shows its answer, and may arrive more than once: the receiver knows it again by
the key that its kind names. Nothing here decides anything: `outbound.py` derives calls from state and reads answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from perdure.ids import ChainKey
from perdure.machines.workflow.child import Parent

if TYPE_CHECKING:
    from perdure.machines.workflow.execution import Execution


@final
class Sender:
    """Which run owes a call, about which of its pending items: (part kind, initiated event id)."""

    __slots__ = ("branches", "chain", "item", "run_id")

    def __init__(
        self, chain: ChainKey, run_id: str, item: tuple[int, int], branches: tuple[tuple[bytes, int], ...]
    ) -> None:
        self.chain = chain
        self.run_id = run_id
        self.item = item
        self.branches = branches


@final
class StartChild:
    """Start a pending child. Known again by the start's request id. `worker_stamp` is the parent's, serialized."""

    __slots__ = (
        "event_id",
        "parent",
        "priority",
        "root_run_id",
        "root_workflow_id",
        "sender",
        "target",
        "worker_stamp",
    )

    def __init__(
        self,
        sender: Sender,
        target: ChainKey,
        event_id: int,
        parent: Parent,
        root_workflow_id: str,
        root_run_id: str,
        priority: bytes,
        worker_stamp: bytes | None = None,
    ) -> None:
        self.sender = sender
        self.target = target
        self.event_id = event_id
        """The event of the sender's history that says what is asked; 0 for none."""
        self.parent = parent
        self.root_workflow_id = root_workflow_id
        self.root_run_id = root_run_id
        self.priority = priority
        self.worker_stamp = worker_stamp


@final
class ScheduleChildFirstTask:
    """The parent has recorded the child's start: the child may run. Known again by its having had a task."""

    __slots__ = ("child_run_id", "event_id", "sender", "target")

    def __init__(self, sender: Sender, target: ChainKey, child_run_id: str) -> None:
        self.sender = sender
        self.target = target
        self.event_id = 0
        self.child_run_id = child_run_id


@final
class ReachExternal:
    """Signal another workflow, or ask it to cancel: the kind of the sender's item says which of the two.

    Known again by the request id, whichever run took it.
    """

    __slots__ = ("event_id", "namespace", "sender")

    def __init__(self, sender: Sender, event_id: int, namespace: str) -> None:
        self.sender = sender
        self.event_id = event_id
        self.namespace = namespace
        """The name of the sender's namespace, meant where the event names none."""


@final
class ReportToParent:
    """The last run of a child's chain has closed. Known again by the initiated event id no longer being pending."""

    __slots__ = ("event_id", "first_run_id", "parent", "sender", "target")

    def __init__(self, sender: Sender, target: ChainKey, event_id: int, parent: Parent, first_run_id: str) -> None:
        self.sender = sender
        self.target = target
        self.event_id = event_id
        self.parent = parent
        self.first_run_id = first_run_id


@final
class ApplyClosePolicy:
    """The parent has closed. `policy` is TERMINATE or REQUEST_CANCEL; known again by parent run and child run."""

    __slots__ = ("child_first_run_id", "event_id", "identity", "parent", "policy", "sender", "target")

    def __init__(
        self, sender: Sender, target: ChainKey, policy: int, child_first_run_id: str, parent: Parent, identity: str
    ) -> None:
        self.sender = sender
        self.target = target
        self.event_id = 0
        self.policy = policy
        self.identity = identity
        self.child_first_run_id = child_first_run_id
        """Empty when the parent never heard of the child's start."""
        self.parent = parent


@final
class ReportClose:
    """The last run of a chain that an entity started has closed. Known again by the entity's own token and the run."""

    __slots__ = ("event_id", "first_run_id", "sender", "target", "token")

    def __init__(self, sender: Sender, target: ChainKey, token: str, event_id: int, first_run_id: str) -> None:
        self.sender = sender
        self.target = target
        self.token = token
        self.event_id = event_id
        self.first_run_id = first_run_id


@final
class InvokeCallback:
    """Invoke a completion callback over HTTP. What the receiver knows it again by is in the callback itself."""

    __slots__ = (
        "attempt",
        "event_id",
        "namespace",
        "origin",
        "rejection",
        "request_id",
        "sender",
        "spec",
        "start_time",
        "update_id",
    )

    def __init__(
        self,
        sender: Sender,
        event_id: int,
        namespace: str,
        spec: bytes,
        request_id: str,
        origin: int,
        update_id: str,
        rejection: bytes,
        attempt: int,
        start_time: int,
    ) -> None:
        self.sender = sender
        self.event_id = event_id
        """The run's closing event, or the one with an update's outcome; 0 with a `rejection`."""
        self.origin = origin
        """The type of the event that brought it with its request id, 0 for the run's first event."""
        self.update_id = update_id
        self.rejection = rejection
        self.namespace = namespace
        self.spec = spec
        """Serialized `temporal.api.common.v1.Callback`."""
        self.request_id = request_id
        self.attempt = attempt
        """How often it was invoked before."""
        self.start_time = start_time
        """When the run started, ns since the epoch."""


@final
class ArchiveRun:
    """Put a closed run into the archive. It may be put there again: the archive knows it by the run id."""

    __slots__ = ("execution", "sender")

    def __init__(self, sender: Sender, execution: Execution) -> None:
        self.sender = sender
        self.execution = execution
        """The run as it closed."""


Call = StartChild | ScheduleChildFirstTask | ReachExternal | ReportToParent | ApplyClosePolicy | ReportClose
