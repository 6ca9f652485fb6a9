"""What operators do to runs and their activities beyond signal, cancel and terminate: the inputs (semantics 5.7, 7).

Plain records, validated by the frontend as far as that needs no state.
"""

from __future__ import annotations

from typing import final

from perdure.api import activity as activities
from perdure.api import workflow
from perdure.machines.workflow.inputs import Input


@final
class ActivitySelection:
    """Which pending activities an operation is about: one id, all of a type, or all."""

    __slots__ = ("activity_id", "activity_type", "everything")

    def __init__(self, activity_id: str = "", activity_type: str = "", everything: bool = False) -> None:
        self.activity_id = activity_id
        self.activity_type = activity_type
        self.everything = everything


@final
class PauseActivity(Input):
    """PauseActivity (semantics 5.7)."""

    __slots__ = ("identity", "reason", "request_id", "selection")

    def __init__(self, run_id: str, selection: ActivitySelection, identity: str, reason: str, request_id: str) -> None:
        super().__init__(run_id)
        self.selection = selection
        self.identity = identity
        self.reason = reason
        self.request_id = request_id


@final
class UnpauseActivity(Input):
    """UnpauseActivity (semantics 5.7); `jitter` in ns."""

    __slots__ = ("jitter", "reset_attempts", "reset_heartbeat", "selection")

    def __init__(
        self, run_id: str, selection: ActivitySelection, reset_attempts: bool, reset_heartbeat: bool, jitter: int
    ) -> None:
        super().__init__(run_id)
        self.selection = selection
        self.reset_attempts = reset_attempts
        self.reset_heartbeat = reset_heartbeat
        self.jitter = jitter


@final
class ResetActivity(Input):
    """ResetActivity (semantics 5.7); `jitter` in ns."""

    __slots__ = ("jitter", "keep_paused", "reset_heartbeat", "restore_original", "selection")

    def __init__(
        self,
        run_id: str,
        selection: ActivitySelection,
        reset_heartbeat: bool,
        keep_paused: bool,
        restore_original: bool,
        jitter: int,
    ) -> None:
        super().__init__(run_id)
        self.selection = selection
        self.reset_heartbeat = reset_heartbeat
        self.keep_paused = keep_paused
        self.restore_original = restore_original
        self.jitter = jitter


@final
class UpdateActivityOptions(Input):
    """UpdateActivityOptions (semantics 5.7); the outcome is the resulting `ActivityOptions`.

    `options` and `paths` (of the field mask, as sent) None mean that the request had none.
    """

    __slots__ = ("options", "paths", "restore_original", "selection")

    def __init__(
        self,
        run_id: str,
        selection: ActivitySelection,
        options: activities.ActivityOptions | None,
        paths: tuple[str, ...] | None,
        restore_original: bool,
    ) -> None:
        super().__init__(run_id)
        self.selection = selection
        self.options = options
        self.paths = paths
        self.restore_original = restore_original


@final
class Delete(Input):
    """DeleteWorkflowExecution (semantics 7.5)."""

    __slots__ = ()


@final
class UpdateOptions(Input):
    """UpdateWorkflowExecutionOptions (semantics 7.7); `paths` are of the field mask, checked. The outcome is the
    resulting `WorkflowExecutionOptions`.
    """

    __slots__ = ("identity", "options", "paths")

    def __init__(
        self, run_id: str, options: workflow.WorkflowExecutionOptions, paths: tuple[str, ...], identity: str
    ) -> None:
        super().__init__(run_id)
        self.options = options
        self.paths = paths
        self.identity = identity


class _PauseVerb(Input):
    """Who asks and why; the same request id again is the same request."""

    __slots__ = ("identity", "reason", "request_id")

    def __init__(self, run_id: str, identity: str, reason: str, request_id: str) -> None:
        super().__init__(run_id)
        self.identity = identity
        self.reason = reason
        self.request_id = request_id


@final
class PauseWorkflow(_PauseVerb):
    """PauseWorkflowExecution (semantics 7.6)."""

    __slots__ = ()


@final
class UnpauseWorkflow(_PauseVerb):
    """UnpauseWorkflowExecution (semantics 7.6)."""

    __slots__ = ()


@final
class Reset(Input):
    """ResetWorkflowExecution (semantics 7.4); the outcome is the new run's id. `excluded` are
    `enums.ResetReapplyExcludeType` numbers, `operations` what is done to the new run in the same step.
    """

    __slots__ = ("excluded", "finish_event_id", "operations", "reason", "request_id")

    def __init__(
        self,
        run_id: str,
        finish_event_id: int,
        reason: str,
        request_id: str,
        excluded: frozenset[int],
        operations: tuple[UpdateOptions, ...] = (),
    ) -> None:
        super().__init__(run_id)
        self.finish_event_id = finish_event_id
        self.reason = reason
        self.request_id = request_id
        self.excluded = excluded
        self.operations = operations
