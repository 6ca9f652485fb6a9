"""ResetWorkflowExecution (semantics 7.4, D14, F20, F21)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType, WorkflowIdConflictPolicy
from temporalio.api.workflow.v1 import OnConflictOptions
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..update_values import admitted, complete_with, done, idle, update
from ..values import complete_workflow, continue_as_new, seconds, start_timer

SIGNAL = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
UPDATE = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE


def closed_run(s: Script) -> None:
    """D14: the events before the point, the failed task, the signals after it, a new task."""
    s.complete(s.begin_quietly(), s.activity("a"))
    s.signal("one")
    s.signal("two")
    s.complete(s.poll(), complete_workflow())
    s.await_close()
    old = s.run_id
    s.reset(4)
    s.history()
    s.describe()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()
    s.run_id = old
    s.history()
    s.describe()


def running_run(s: Script) -> None:
    """The open run is terminated, and its waiting signal goes over."""
    s.complete(s.begin_quietly(), start_timer("t", 60))
    s.signal("one")
    s.poll()
    s.signal("two")
    old = s.run_id
    s.reset(4)
    s.history()
    s.poll()
    s.describe(execution=s.execution(old))
    s.history(execution=s.execution(old))


def pending_items(s: Script) -> None:
    """Activities and timers that were pending at the point are pending again."""
    s.complete(s.begin_quietly(), s.activity("a"), start_timer("t", 60))
    s.poll_activity()
    s.signal()
    s.complete(s.poll_quietly())
    s.reset(9)
    s.history()
    s.describe()
    s.complete_activity(s.poll_activity())
    s.poll()
    s.history()


def before_the_start_of_a_task(s: Script) -> None:
    """A point between scheduled and started: the start is made up."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.reset(3)
    s.history()


def exclusions(s: Script) -> None:
    """Signals are left out on demand."""
    for label, fields in (
        ("none", {"reset_reapply_type": ResetReapplyType.RESET_REAPPLY_TYPE_NONE}),
        ("signal", {"reset_reapply_type": ResetReapplyType.RESET_REAPPLY_TYPE_SIGNAL}),
        (
            "excluded",
            {"reset_reapply_exclude_types": [ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL]},
        ),
    ):
        s.another(label)
        s.complete(s.begin_quietly())
        s.signal()
        s.complete(s.poll_quietly(), complete_workflow())
        s.await_close()
        s.reset(4, **fields)
        s.history()


def continued(s: Script) -> None:
    """F21: signals of the runs that continued the base run are reapplied too; the newest run is terminated."""
    s.complete(s.begin_quietly())
    s.signal("one")
    base = s.run_id
    s.another_run_waits()
    s.complete(s.poll_quietly(), continue_as_new())
    s.await_close()
    s.run_id = s.poll().workflow_execution.run_id
    s.signal("two")
    newest = s.run_id
    s.run_id = base
    s.reset(4)
    s.history()
    s.history(execution=s.execution(newest))


def continued_with_an_update(s: Script) -> None:
    """Updates of the runs that continued the base run are taken over whatever becomes of signals."""
    s.complete(s.begin_quietly(), continue_as_new())
    base = s.run_id
    s.run_id = ""
    s.signal("two")
    pending = admitted(s)
    task = s.poll_quietly()
    complete_with(s, task, done(task))
    pending.join()
    for excluded in (SIGNAL, UPDATE):
        s.section(ResetReapplyExcludeType.Name(excluded))
        s.run_id = base
        s.reset(4, reset_reapply_exclude_types=[excluded])
        s.history()


def signalled_again(s: Script) -> None:
    """A signal before the point is known to the new run: whoever sends it again has sent it once."""
    task = s.begin_quietly()
    sent = {"request_id": f"sent-{s.nonce}"}
    s.signal(**sent)
    s.complete(task)
    s.complete(s.poll_quietly())
    s.reset(8)
    s.signal(**sent)
    s.signal_with_start(**sent)
    s.history()
    s.another("brought by the start")
    s.signal_with_start(**sent)
    s.complete(s.poll_quietly())
    s.reset(5)
    s.signal_with_start(**sent)
    s.history()


def met_by_a_start(s: Script) -> None:
    """A start that used the run before its reset is told of the run that took its place."""
    task = s.begin_quietly()
    attached: dict[str, Anything] = {
        "workflow_id_conflict_policy": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        "on_conflict_options": OnConflictOptions(attach_request_id=True),
    }
    s.start(request_id=f"before-{s.nonce}", **attached)
    s.complete(task)
    s.start(request_id=f"after-{s.nonce}", **attached)
    s.reset(4)
    s.history()
    s.describe()
    s.complete(s.poll(), complete_workflow())
    for name in ("before", "after"):
        s.start(request_id=f"{name}-{s.nonce}", **attached)


def twice(s: Script) -> None:
    """A reset of a run that a reset made: three branches."""
    s.complete(s.begin_quietly())
    s.signal("one")
    s.complete(s.poll_quietly(), complete_workflow())
    s.await_close()
    s.reset(4)
    s.complete(s.poll_quietly(), complete_workflow())
    s.await_close()
    s.reset(8)
    s.history()
    s.describe()


def timeouts_start_over(s: Script) -> None:
    """F20: the run and execution timeouts count from the reset."""
    s.complete(s.begin_quietly(workflow_run_timeout=seconds(50), workflow_execution_timeout=seconds(100)))
    s.reset(4)
    s.history()
    s.describe()


def refused(s: Script) -> None:
    """Bad points, no request id, nobody."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    for finish in (0, 1, 6, 7):
        s.reset(finish)
    s.reset(4, request_id="")
    s.reset(4, request_id="x" * 1001)
    s.run_id = "x"
    s.reset(4)
    s.run_id = "b4b4a2f6-0f0e-4b3a-9d80-3a8d4e2f5c6d"
    s.reset(4)
    s.workflow_id = ""
    s.reset(4)


def after_an_update(s: Script) -> None:
    """The tasks of an update are written with their completion: the point lies within a batch of events."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.complete(_next(s), complete_workflow())
    s.await_close()
    s.reset(7)
    s.history()
    s.describe()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def _next(s: Script) -> rpc.PollWorkflowTaskQueueResponse:
    s.signal()
    return s.poll()


def after_a_failed_task(s: Script) -> None:
    """A failed task leads to another that no history shows: a reset may go to where it was pending."""
    s.start()
    s.fail_task(s.poll_quietly())
    s.signal("one")
    s.signal("two")
    s.complete(s.poll(), complete_workflow())
    s.await_close()
    base = s.run_id
    for point in (5, 6, 7):
        s.run_id = base
        s.reset(point)
        s.history()
