"""What can happen to a workflow chain, and what a step answers: what is no larger subject's. Starts, tasks, activities,
queries, updates and operators have modules of their own beside this one, all under the same rules.

Inputs are past-tense facts or user verbs, already validated by the frontend as far as that needs no state.
`run_id` "" means the current run and is resolved inside the step, never before it (DESIGN 1.2). An outcome is a
plain value; a `ServiceError` as an outcome (rather than raised) means that the step *did* change state and the
caller gets the error all the same.
"""

from __future__ import annotations

from typing import final

from perdure.api import common, history
from perdure.machines.workflow.origin import Origin


class Input:
    """Any input; `run_id` names the run it is about."""

    __slots__ = ("run_id",)

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


@final
class Signal(Input):
    """A signal (semantics 7.1). `request_id` "" is not deduplicated."""

    __slots__ = ("attributes", "links", "origin", "request_id")

    def __init__(
        self,
        run_id: str,
        attributes: history.WorkflowExecutionSignaledEventAttributes,
        request_id: str,
        links: tuple[common.Link, ...] = (),
        origin: Origin | None = None,
    ) -> None:
        super().__init__(run_id)
        self.attributes = attributes
        self.request_id = request_id
        self.links = links
        self.origin = origin


@final
class RequestCancel(Input):
    """RequestCancelWorkflowExecution (semantics 7.2)."""

    __slots__ = ("attributes", "first_run_id", "links", "origin", "request_id")

    def __init__(
        self,
        run_id: str,
        first_run_id: str,
        attributes: history.WorkflowExecutionCancelRequestedEventAttributes,
        request_id: str,
        links: tuple[common.Link, ...] = (),
        origin: Origin | None = None,
    ) -> None:
        super().__init__(run_id)
        self.first_run_id = first_run_id
        self.attributes = attributes
        self.request_id = request_id
        self.links = links
        self.origin = origin


@final
class Terminate(Input):
    """TerminateWorkflowExecution (semantics 7.3)."""

    __slots__ = ("attributes", "first_run_id", "links")

    def __init__(
        self,
        run_id: str,
        first_run_id: str,
        attributes: history.WorkflowExecutionTerminatedEventAttributes,
        links: tuple[common.Link, ...] = (),
    ) -> None:
        super().__init__(run_id)
        self.first_run_id = first_run_id
        self.attributes = attributes
        self.links = links


@final
class AlarmRang(Input):
    """The run's alarm time has come, or its owner has just loaded it after a restart: do all that is due, offer all
    that is owed.
    """

    __slots__ = ()


@final
class Snapshot(Input):
    """Read the run's state as it is after everything before it: the outcome is the `Execution` itself."""

    __slots__ = ()


@final
class ResetSticky(Input):
    """ResetStickyTaskQueue (semantics 3.10)."""

    __slots__ = ()


@final
class Stale:
    """The task is not to be delivered: started already, superseded, or its run is closed. Matching forgets it."""

    __slots__ = ()
