"""How an entity that is no workflow (a schedule, a batch job) learns that a workflow it started has ended.

It names itself in the start (`Start.callbacks`). The chain of runs carries that along, through continue-as-new, retry,
cron and reset, and the last run owes the report until the entity has answered it. Nothing is decided here.
"""

from __future__ import annotations

from typing import final

from perdure.ids import ChainKey


@final
class InternalCallback:
    """Whom to tell. `token` is the entity's own name for what it started; it comes back in the report."""

    __slots__ = ("target", "token")

    def __init__(self, target: ChainKey, token: str) -> None:
        self.target = target
        self.token = token


@final
class ExecutionClosed:
    """To the entity: the workflow is closed for good. May arrive again: `token` and `run_id` tell a repetition.

    Any value that the step answers, or NotFound, discharges the sender; an error that says to come again does not.
    """

    __slots__ = ("close_time", "failure", "first_run_id", "result", "run_id", "status", "token", "workflow_id")

    def __init__(
        self,
        token: str,
        workflow_id: str,
        run_id: str,
        first_run_id: str,
        status: int,
        result: bytes,
        failure: bytes,
        close_time: int,
    ) -> None:
        self.token = token
        self.workflow_id = workflow_id
        self.run_id = run_id
        """The run that closed last."""
        self.first_run_id = first_run_id
        """The run that began the chain of runs."""
        self.status = status
        """An `enums.WorkflowExecutionStatus` number: COMPLETED, FAILED, CANCELED, TERMINATED or TIMED_OUT."""
        self.result = result
        """Serialized `Payloads` of a completed run, b"" when it gave none."""
        self.failure = failure
        """Serialized `Failure` of a failed run, else b""."""
        self.close_time = close_time
        """ns since the epoch."""
