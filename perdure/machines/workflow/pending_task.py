"""The one pending workflow task of a run: plain values, no behaviour beyond copying (`workflow_task.py` has that)."""

from __future__ import annotations

from typing import Final, final

FAILING_FROM_ATTEMPT: Final = 3
"""From this attempt on the task counts as failing: queries and updates that it would have to bring are refused."""


@final
class WorkflowTask:
    """The one pending workflow task (semantics 3.1). `started_event_id` 0 = not started; `offered` is volatile.

    `schedule_to_start` is how long it may wait for a poller in ns, 0 for ever. A `speculative` task is volatile as a
    whole: it has ids but neither events nor a stored form until something makes it normal (semantics 3.6).
    """

    __slots__ = (
        "attempt",
        "history_size",
        "identity",
        "offered",
        "original_scheduled_time",
        "queue",
        "request_id",
        "schedule_to_start",
        "scheduled_event_id",
        "scheduled_time",
        "speculative",
        "stamp",
        "started_event_id",
        "started_time",
        "sticky",
        "suggest_continue_as_new",
        "suggest_reasons",
        "timeout",
    )

    def __init__(
        self,
        scheduled_event_id: int,
        attempt: int,
        queue: str,
        sticky: bool,
        scheduled_time: int,
        original_scheduled_time: int,
        timeout: int,
        stamp: int = 0,
        started_event_id: int = 0,
        started_time: int = 0,
        request_id: str = "",
        identity: str = "",
        history_size: int = 0,
        suggest_continue_as_new: bool = False,
        suggest_reasons: tuple[int, ...] = (),
        schedule_to_start: int = 0,
        speculative: bool = False,
        offered: bool = False,
    ) -> None:
        self.scheduled_event_id = scheduled_event_id
        self.attempt = attempt
        self.queue = queue
        self.sticky = sticky
        self.scheduled_time = scheduled_time
        self.original_scheduled_time = original_scheduled_time
        self.timeout = timeout
        self.stamp = stamp
        self.started_event_id = started_event_id
        self.started_time = started_time
        self.request_id = request_id
        self.identity = identity
        self.history_size = history_size
        self.suggest_continue_as_new = suggest_continue_as_new
        self.suggest_reasons = suggest_reasons
        self.schedule_to_start = schedule_to_start
        self.speculative = speculative
        self.offered = offered

    def copy(self) -> WorkflowTask:
        """A copy to change before it replaces this one."""
        return WorkflowTask(
            self.scheduled_event_id,
            self.attempt,
            self.queue,
            self.sticky,
            self.scheduled_time,
            self.original_scheduled_time,
            self.timeout,
            self.stamp,
            self.started_event_id,
            self.started_time,
            self.request_id,
            self.identity,
            self.history_size,
            self.suggest_continue_as_new,
            self.suggest_reasons,
            self.schedule_to_start,
            self.speculative,
            self.offered,
        )
