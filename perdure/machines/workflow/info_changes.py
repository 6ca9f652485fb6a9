"""A run's info with something of it replaced: what an options update or a reset changes (semantics 7.4, 7.7).

A `RunInfo` never changes once made; these make another.
"""

from __future__ import annotations

from perdure.machines.workflow.run_info import RunInfo, run_expiration


def copy_of(info: RunInfo) -> RunInfo:
    """The same info, to be changed before anyone sees it."""
    return RunInfo(
        namespace_id=info.namespace_id,
        namespace=info.namespace,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        first_run_id=info.first_run_id,
        original_run_id=info.original_run_id,
        continued_run_id=info.continued_run_id,
        create_request_id=info.create_request_id,
        workflow_type=info.workflow_type,
        task_queue=info.task_queue,
        start_time=info.start_time,
        execution_time=info.execution_time,
        execution_timeout=info.execution_timeout,
        run_timeout=info.run_timeout,
        task_timeout=info.task_timeout,
        execution_expiration=info.execution_expiration,
        run_expiration=info.run_expiration,
        attempt=info.attempt,
        retry=info.retry,
        cron_schedule=info.cron_schedule,
        root_workflow_id=info.root_workflow_id,
        root_run_id=info.root_run_id,
        user_metadata=info.user_metadata,
        priority=info.priority,
        parent=info.parent,
    )


def with_priority(info: RunInfo, priority: bytes) -> RunInfo:
    """With another priority (serialized)."""
    other = copy_of(info)
    other.priority = priority
    return other


def reset_from(info: RunInfo, run_id: str, now: int) -> RunInfo:
    """The info of the run that a reset makes at `now` (ns since the epoch): its timeouts start over (F20)."""
    other = copy_of(info)
    other.run_id = run_id
    other.start_time = now
    other.execution_time = now
    other.execution_expiration = now + info.execution_timeout if info.execution_timeout else 0
    other.run_expiration = run_expiration(now, info.run_timeout, other.execution_expiration)
    if info.root_run_id == info.run_id:
        other.root_run_id = run_id
    return other
