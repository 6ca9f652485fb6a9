"""A pending child of a run, and the parent of a run that is a child: plain values (semantics 1.1, 1.2)."""

from __future__ import annotations

from typing import final


@final
class Parent:
    """Whom a child reports to: the run that started it, and the event by which it did."""

    __slots__ = ("initiated_event_id", "namespace", "namespace_id", "run_id", "workflow_id")

    def __init__(
        self, namespace_id: str, namespace: str, workflow_id: str, run_id: str, initiated_event_id: int
    ) -> None:
        self.namespace_id = namespace_id
        self.namespace = namespace
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.initiated_event_id = initiated_event_id


@final
class Child:
    """A child that the run has asked for and that has not ended. Replaced, never changed.

    `started_event_id` is 0 until the run has recorded the child's start, and `draft.BUFFERED_EVENT_ID` while that
    event waits. `started_run_id` is the first run of the child's chain. Unrecorded: `first_task_known` says that the
    child is known to have had its first workflow task, `settled` that a closed parent owes nothing about it any more.
    """

    __slots__ = (
        "close_policy",
        "first_task_known",
        "initiated_event_id",
        "namespace",
        "namespace_id",
        "settled",
        "started_event_id",
        "started_run_id",
        "workflow_id",
        "workflow_type",
    )

    def __init__(
        self,
        initiated_event_id: int,
        namespace_id: str,
        namespace: str,
        workflow_id: str,
        workflow_type: str,
        close_policy: int,
        started_event_id: int = 0,
        started_run_id: str = "",
        first_task_known: bool = False,
        settled: bool = False,
    ) -> None:
        self.initiated_event_id = initiated_event_id
        self.namespace_id = namespace_id
        self.namespace = namespace
        self.workflow_id = workflow_id
        self.workflow_type = workflow_type
        self.close_policy = close_policy
        """An `enums.ParentClosePolicy` number."""
        self.started_event_id = started_event_id
        self.started_run_id = started_run_id
        self.first_task_known = first_task_known
        self.settled = settled

    def copy(self) -> Child:
        """A copy to change before it replaces this one."""
        return Child(
            self.initiated_event_id,
            self.namespace_id,
            self.namespace,
            self.workflow_id,
            self.workflow_type,
            self.close_policy,
            self.started_event_id,
            self.started_run_id,
            self.first_task_known,
            self.settled,
        )
