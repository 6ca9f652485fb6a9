"""By which worker's build a run goes on, where workers are versioned the old ways (semantics 12.6)."""

from __future__ import annotations

from perdure.api import common
from perdure.machines.workflow.execution import Execution


def build_id_of(execution: Execution) -> str | None:
    """The build id that the run's next task is for: that of the worker which completed the last workflow task.

    "" when that worker was unversioned, None when no worker has completed any: then the queue decides.
    """
    stamp = inherited_stamp(execution.worker_stamp)
    if stamp is not None:
        return stamp.build_id
    return "" if execution.last_completed_started_event_id else None


def inherited_stamp(worker_stamp: bytes | None) -> common.WorkerVersionStamp | None:
    """What a run hands to the one that it continues as or starts, if that is to inherit the build; None for nothing."""
    if not worker_stamp:
        return None
    stamp = common.WorkerVersionStamp.FromString(worker_stamp)
    return stamp if stamp.use_versioning else None
