"""What clients and time do to a workflow chain, and what a step answers; what workers do stands in `task_inputs.py` and
`activity_inputs.py`.

Inputs are past-tense facts or user verbs, already validated by the frontend as far as that needs no state.
`run_id` "" means the current run and is resolved inside the step, never before it (DESIGN 1.2). An outcome is a
plain value; a `ServiceError` as an outcome (rather than raised) means that the step *did* change state and the
caller gets the error all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from perdure.api import common, history, workflowservice
from perdure.machines.closing_report import InternalCallback
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.origin import Origin

if TYPE_CHECKING:
    from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery
    from perdure.machines.workflow.update_inputs import AdmitUpdate


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
class Start(Input):
    """StartWorkflowExecution with defaults filled in (semantics 2.1); SignalWithStart when `signal` is given,
    update-with-start when `update` is (semantics 8.3).

    `search_attributes` are validated payloads with their type metadata, serialized; `first_backoff` is the delay
    of the first workflow task in ns. A child has a `parent`, its parent's `root` (workflow id, run id), and a build.
    `callbacks` are entities that want to know how the run made by this start ends; an existing run tells them nothing.
    """

    __slots__ = (
        "callbacks",
        "first_backoff",
        "parent",
        "request",
        "root",
        "search_attributes",
        "signal",
        "source_stamp",
        "update",
    )

    def __init__(
        self,
        request: workflowservice.StartWorkflowExecutionRequest,
        search_attributes: dict[str, bytes],
        first_backoff: int,
        signal: Signal | None = None,
        parent: Parent | None = None,
        root: tuple[str, str] = ("", ""),
        update: AdmitUpdate | None = None,
        callbacks: tuple[InternalCallback, ...] = (),
        source_stamp: common.WorkerVersionStamp | None = None,
    ) -> None:
        super().__init__("")
        self.source_stamp = source_stamp
        self.request = request
        self.search_attributes = search_attributes
        self.first_backoff = first_backoff
        self.signal = signal
        self.parent = parent
        self.root = root
        self.update = update
        self.callbacks = callbacks


@final
class StartOutcome:
    """`started` false: an existing run was used. `eager` is the workflow task to return with the answer.

    `status` is an `enums.WorkflowExecutionStatus` number. `attached`: the run knows the request by an event of its own,
    not by its start.
    """

    __slots__ = ("attached", "eager", "first_run_id", "run_id", "started", "status")

    def __init__(
        self, run_id: str, first_run_id: str, started: bool, status: int, eager: WorkflowTaskDelivery | None = None
    ) -> None:
        self.run_id = run_id
        self.first_run_id = first_run_id
        self.started = started
        self.status = status
        self.eager = eager
        self.attached: bool = False


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
