"""What clients ask of updates, and what they are told (semantics 8.2). Plain values, like `inputs.py`."""

from __future__ import annotations

from typing import final

from perdure.errors import ServiceError
from perdure.machines.workflow.inputs import Input


@final
class AdmitUpdate(Input):
    """UpdateWorkflowExecution. `request` is a serialized `temporal.api.update.v1.Request` whose meta names
    `update_id`; `stage` is what the caller waits for, `waiter` whom an `Answer` effect will name. Who attaches to a
    known update brings its request id and serialized completion callbacks along.
    """

    __slots__ = ("callbacks", "first_run_id", "request", "request_id", "stage", "update_id", "waiter")

    def __init__(
        self,
        run_id: str,
        first_run_id: str,
        update_id: str,
        request: bytes,
        stage: int,
        waiter: int,
        request_id: str = "",
        callbacks: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(run_id)
        self.request_id = request_id
        self.callbacks = callbacks
        self.first_run_id = first_run_id
        self.update_id = update_id
        self.request = request
        self.stage = stage
        self.waiter = waiter


@final
class PollUpdate(Input):
    """PollWorkflowExecutionUpdate: as `AdmitUpdate`, for an update that must be there. Stages below ACCEPTED are
    answered at once.
    """

    __slots__ = ("stage", "update_id", "waiter")

    def __init__(self, run_id: str, update_id: str, stage: int, waiter: int) -> None:
        super().__init__(run_id)
        self.update_id = update_id
        self.stage = stage
        self.waiter = waiter


@final
class UpdateAbandoned(Input):
    """A caller waits no longer; the outcome is the `UpdateStatus` that its update has reached."""

    __slots__ = ("update_id", "waiter")

    def __init__(self, run_id: str, update_id: str, waiter: int) -> None:
        super().__init__(run_id)
        self.update_id = update_id
        self.waiter = waiter


@final
class UpdatePending:
    """The caller's stage is not reached: an `Answer` with an `UpdateStatus`, an `UpdateLost` or an error follows."""

    __slots__ = ("run_id",)

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


@final
class UpdateStatus:
    """How far an update has come: a stage, and at COMPLETED a serialized `Outcome`.

    With `completed_event_id` set the outcome is to be read from that event of `branches` instead.
    """

    __slots__ = ("branches", "completed_event_id", "outcome", "run_id", "stage")

    def __init__(
        self,
        run_id: str,
        stage: int,
        outcome: bytes = b"",
        completed_event_id: int = 0,
        branches: tuple[tuple[bytes, int], ...] = (),
    ) -> None:
        self.run_id = run_id
        self.stage = stage
        self.outcome = outcome
        self.completed_event_id = completed_event_id
        self.branches = branches


@final
class UpdateLost:
    """This process has forgotten the update before its acceptance. It may be admitted again; `error` is for a caller
    who has no time for that.
    """

    __slots__ = ("error",)

    def __init__(self, error: ServiceError) -> None:
        self.error = error


@final
class UpdateRefused(ServiceError):
    """The update's half of an update-with-start failed with `error`; nothing was started."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error
