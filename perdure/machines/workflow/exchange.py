"""Inputs that chains send each other: what one asks, and what the other answered (semantics 9, DESIGN 1.10).

A receiver knows a repeated request by its key and answers as it did before; a sender ignores an answer that it does
not wait for any more. So either may arrive any number of times.
"""

from __future__ import annotations

from typing import final

from perdure.api import common, history
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.inputs import Input

# -- at the receiver ---------------------------------------------------------------------------------------------------


@final
class ScheduleFirstTask(Input):
    """To a child: its parent has recorded its start."""

    __slots__ = ()


@final
class ChildClosed(Input):
    """To a parent: a child's chain has ended with `close_event`; `child_first_run_id` is what the parent started."""

    __slots__ = ("child_first_run_id", "child_run_id", "child_workflow_id", "close_event", "initiated_event_id")

    def __init__(
        self,
        run_id: str,
        initiated_event_id: int,
        child_workflow_id: str,
        child_run_id: str,
        child_first_run_id: str,
        close_event: history.HistoryEvent,
    ) -> None:
        super().__init__(run_id)
        self.initiated_event_id = initiated_event_id
        self.child_workflow_id = child_workflow_id
        self.child_run_id = child_run_id
        self.child_first_run_id = child_first_run_id
        self.close_event = close_event


@final
class RequestSettled(Input):
    """To the receiver of a signal or cancel request: its sender has recorded the answer and will not ask again."""

    __slots__ = ("request_id",)

    def __init__(self, request_id: str) -> None:
        super().__init__("")
        self.request_id = request_id


@final
class ParentClosed(Input):
    """To a child, whichever run of its chain is current: its parent has closed, and `policy` says what becomes of it.

    `child_first_run_id` "": the parent never heard of the start; the child is whatever `parent` started.
    """

    __slots__ = ("child_first_run_id", "identity", "parent", "policy")

    def __init__(self, parent: Parent, child_first_run_id: str, policy: int, identity: str) -> None:
        super().__init__("")
        self.identity = identity
        self.parent = parent
        self.child_first_run_id = child_first_run_id
        self.policy = policy


# -- back at the sender ------------------------------------------------------------------------------------------------


@final
class CallUndelivered(Input):
    """A call got no definite answer: whatever is owed about its item now is to be sent again."""

    __slots__ = ("item",)

    def __init__(self, run_id: str, item: tuple[int, int]) -> None:
        super().__init__(run_id)
        self.item = item


@final
class ChildStarted(Input):
    """A child has been started as this run."""

    __slots__ = ("child_run_id", "header", "initiated_event_id")

    def __init__(self, run_id: str, initiated_event_id: int, child_run_id: str, header: common.Header | None) -> None:
        super().__init__(run_id)
        self.initiated_event_id = initiated_event_id
        self.child_run_id = child_run_id
        self.header = header


@final
class ChildStartFailed(Input):
    """A child could not be started; `cause` is an `enums.StartChildWorkflowExecutionFailedCause` number."""

    __slots__ = ("cause", "control", "initiated_event_id")

    def __init__(self, run_id: str, initiated_event_id: int, cause: int, control: str) -> None:
        super().__init__(run_id)
        self.initiated_event_id = initiated_event_id
        self.cause = cause
        self.control = control


@final
class ChildFirstTaskScheduled(Input):
    """A child has had its first workflow task, or is gone."""

    __slots__ = ("initiated_event_id",)

    def __init__(self, run_id: str, initiated_event_id: int) -> None:
        super().__init__(run_id)
        self.initiated_event_id = initiated_event_id


@final
class ExternalAnswered(Input):
    """What became of a signal or cancel request to another workflow: the event that says it."""

    __slots__ = ("attributes", "event_type", "item")

    def __init__(self, run_id: str, item: tuple[int, int], event_type: int, attributes: object) -> None:
        super().__init__(run_id)
        self.item = item
        self.event_type = event_type
        self.attributes = attributes


@final
class ParentAnswered(Input):
    """The parent has taken the report of this run's end, or cares no more."""

    __slots__ = ()


@final
class ClosePolicyApplied(Input):
    """The close policy has had its effect on a child, or the child is gone."""

    __slots__ = ("initiated_event_id",)

    def __init__(self, run_id: str, initiated_event_id: int) -> None:
        super().__init__(run_id)
        self.initiated_event_id = initiated_event_id


@final
class CallbackInvoked(Input):
    """The invocation of a completion callback that came after `attempt` earlier ones has ended.

    `problem` says why it failed, "" when it did not; with `retryable` it is worth another attempt.
    """

    __slots__ = ("attempt", "number", "problem", "retryable")

    def __init__(self, run_id: str, number: int, attempt: int, problem: str, retryable: bool) -> None:
        super().__init__(run_id)
        self.number = number
        self.attempt = attempt
        self.problem = problem
        self.retryable = retryable


@final
class RunArchived(Input):
    """The archive has what this closed run owed it, or wants it no more."""

    __slots__ = ()


@final
class InternalCallbackAnswered(Input):
    """The entity knows how the chain of runs ended, or is gone."""

    __slots__ = ("number",)

    def __init__(self, run_id: str, number: int) -> None:
        super().__init__(run_id)
        self.number = number
