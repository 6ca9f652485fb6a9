"""What names an attempt of a task: to its worker in a token, and to the run that the worker's answer comes back to."""

from __future__ import annotations

from typing import final


@final
class TaskToken:
    """What a task token says (semantics 3.4, 5.2): which attempt of which task of which run.

    `started_time` is ns since the epoch. It and `started_event_id` are 0 in an activity's, whose start has no event
    yet; `activity_id` is "" in a workflow task's.
    """

    __slots__ = (
        "activity_id",
        "attempt",
        "namespace_id",
        "run_id",
        "scheduled_event_id",
        "started_event_id",
        "started_time",
        "workflow_id",
    )

    def __init__(
        self,
        namespace_id: str,
        workflow_id: str,
        run_id: str,
        scheduled_event_id: int,
        started_event_id: int,
        started_time: int,
        attempt: int,
        activity_id: str = "",
    ) -> None:
        self.namespace_id = namespace_id
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.scheduled_event_id = scheduled_event_id
        self.started_event_id = started_event_id
        self.started_time = started_time
        self.attempt = attempt
        self.activity_id = activity_id
