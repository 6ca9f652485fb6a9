"""What starts a workflow, with what comes along, and what the step answers (semantics 2.1, 8.3)."""

from __future__ import annotations

from typing import final

from perdure.api import common, workflowservice
from perdure.machines.closing_report import InternalCallback
from perdure.machines.workflow.child import Parent
from perdure.machines.workflow.inputs import Input, Signal
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery
from perdure.machines.workflow.update_inputs import AdmitUpdate, UpdatePending, UpdateStatus


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
class UpdateWithStartOutcome:
    """Both answers of an update-with-start; `update` is `UpdatePending` or `UpdateStatus`."""

    __slots__ = ("start", "update")

    def __init__(self, start: StartOutcome, update: UpdatePending | UpdateStatus) -> None:
        self.start = start
        self.update = update
