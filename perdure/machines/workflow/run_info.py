"""What a run is from its start on. Plain values; only `info_changes.py` makes one from another."""

from __future__ import annotations

from typing import final

from perdure.machines.retry import RetryPolicy
from perdure.machines.workflow.child import Parent


def run_expiration(execution_time: int, run_timeout: int | None, execution_expiration: int) -> int:
    """When a run times out, ns since the epoch, 0 for never: never later than its execution."""
    own = execution_time + run_timeout if run_timeout else 0
    return min(own or execution_expiration, execution_expiration) if execution_expiration else own


@final
class RunInfo:
    """What a run is, fixed at its start (semantics 1.1). `user_metadata` and `priority` are serialized messages."""

    __slots__ = (
        "attempt",
        "continued_run_id",
        "create_request_id",
        "cron_schedule",
        "encoded",
        "execution_expiration",
        "execution_time",
        "execution_timeout",
        "first_run_id",
        "namespace",
        "namespace_id",
        "original_run_id",
        "parent",
        "priority",
        "retry",
        "root_run_id",
        "root_workflow_id",
        "run_expiration",
        "run_id",
        "run_timeout",
        "start_time",
        "task_queue",
        "task_timeout",
        "user_metadata",
        "workflow_id",
        "workflow_type",
    )

    def __init__(
        self,
        namespace_id: str,
        namespace: str,
        workflow_id: str,
        run_id: str,
        first_run_id: str,
        original_run_id: str,
        continued_run_id: str,
        create_request_id: str,
        workflow_type: str,
        task_queue: str,
        start_time: int,
        execution_time: int,
        execution_timeout: int | None,
        run_timeout: int | None,
        task_timeout: int,
        execution_expiration: int,
        run_expiration: int,
        attempt: int,
        retry: RetryPolicy | None,
        cron_schedule: str,
        root_workflow_id: str,
        root_run_id: str,
        user_metadata: bytes,
        priority: bytes,
        parent: Parent | None = None,
    ) -> None:
        self.namespace_id = namespace_id
        self.namespace = namespace
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.first_run_id = first_run_id
        self.original_run_id = original_run_id
        self.continued_run_id = continued_run_id
        """The run that this one continues, or "" when a client started it."""
        self.create_request_id = create_request_id
        self.workflow_type = workflow_type
        self.task_queue = task_queue
        self.start_time = start_time
        self.execution_time = execution_time
        self.execution_timeout = execution_timeout
        """None: the start did not name one, which reads as 0 but is shown as absent; so is `run_timeout`."""
        self.run_timeout = run_timeout
        self.task_timeout = task_timeout
        self.execution_expiration = execution_expiration
        self.run_expiration = run_expiration
        self.attempt = attempt
        self.retry = retry
        self.cron_schedule = cron_schedule
        self.root_workflow_id = root_workflow_id
        self.root_run_id = root_run_id
        self.user_metadata = user_metadata
        self.priority = priority
        self.parent = parent
        self.encoded: bytes = b""
        """The stored form, kept by codec.py once made."""
