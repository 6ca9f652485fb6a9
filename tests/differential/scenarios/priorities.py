"""Priority and fairness of workflows, and what their activities, children and later runs have of it (12.2)."""

from __future__ import annotations

from temporalio.api.common.v1 import Priority

from .. import operations
from ..family import kid_id, kid_queue, start_kid
from ..script import Script
from ..values import complete_workflow, continue_as_new, execution, fail_workflow, retry_policy

WHOLE = Priority(priority_key=3, fairness_key="tenant", fairness_weight=2)


def activities(s: Script) -> None:
    """An activity has what its workflow has, field by field replaced by what its command says."""
    s.complete(
        s.begin(priority=WHOLE),
        s.activity("plain"),
        s.activity("key", priority=Priority(priority_key=1)),
        s.activity("fair", priority=Priority(fairness_key="other")),
        s.activity("weight", priority=Priority(fairness_weight=5)),
    )
    s.describe()
    s.history()
    s.poll_activities(4)
    s.describe()


def empty(s: Script) -> None:
    """A priority that says nothing is there all the same, on a run and on its activities."""
    for given in (None, Priority(), Priority(priority_key=2)):
        s.another(str(given))
        s.start(priority=given)
        task = s.poll()
        s.complete(task, s.activity("a", priority=Priority()))
        s.describe()
        s.poll_activity()
        s.history()


def empty_in_later_runs(s: Script) -> None:
    """So has the run that retries, or continues."""
    for label, fields, end in (
        ("retried", {"retry_policy": retry_policy()}, fail_workflow()),
        ("continued", {}, continue_as_new()),
    ):
        s.another(label)
        s.complete(s.begin_quietly(priority=Priority(), **fields), end)
        s.await_close()
        s.run_id = ""
        s.describe()


def without(s: Script) -> None:
    """A workflow without priority."""
    s.complete(s.begin_quietly(), s.activity("plain"), s.activity("key", priority=Priority(priority_key=1)))
    s.poll_activities(2)
    s.describe()


def eager(s: Script) -> None:
    """An activity that is handed back with the completion."""
    task = s.begin_quietly(priority=WHOLE)
    s.complete(task, s.activity("a", request_eager_execution=True, priority=Priority(priority_key=1)))


def children(s: Script) -> None:
    """So it is with children."""
    for label, priority in (("plain", None), ("key", Priority(priority_key=1)), ("fair", Priority(fairness_key="x"))):
        s.another(label)
        s.complete(s.begin_quietly(priority=WHOLE), start_kid(s, priority=priority))
        s.poll_quietly()
        s.poll(kid_queue(s))
        s.describe(execution=execution(kid_id(s)))
        s.history()


def later_runs(s: Script) -> None:
    """A retry and a continued run keep it; a new start has its own."""
    s.complete(s.begin_quietly(priority=WHOLE, retry_policy=retry_policy()), fail_workflow())
    s.await_close()
    s.run_id = ""
    s.describe()
    s.another("continued")
    task = s.begin_quietly(priority=WHOLE)
    s.another_run_waits()
    s.complete(task, continue_as_new())
    s.await_close()
    s.run_id = ""
    s.describe()
    s.complete(s.poll_quietly(), complete_workflow())
    s.start()
    s.describe()


def signal_with_start(s: Script) -> None:
    """A signal-with-start brings it too."""
    s.signal_with_start(priority=WHOLE)
    s.describe()
    s.history()


def refused(s: Script) -> None:
    """Values that are none."""
    for priority in (
        Priority(priority_key=-1),
        Priority(priority_key=6),
        Priority(priority_key=1000),
        Priority(fairness_key="k" * 64),
        Priority(fairness_key="k" * 65),
        Priority(fairness_weight=-1),
        Priority(fairness_weight=1e9),
    ):
        s.another(str(priority).replace("\n", " ")[:40])
        s.start(priority=priority)
        s.complete(s.begin_quietly(workflow_id=f"other-{s.workflow_id}"), s.activity("a", priority=priority))


def later_runs_after_a_change(s: Script) -> None:
    """A retry and the next run by a schedule begin as their predecessor did; a continued run keeps what was changed."""
    changed = {"priority": Priority(priority_key=1, fairness_key="other")}
    for label, fields, end in (
        ("retried", {"retry_policy": retry_policy()}, fail_workflow()),
        ("by schedule", {"cron_schedule": "@every 1s"}, complete_workflow()),
        ("continued", {}, continue_as_new()),
    ):
        s.another(label)
        task = s.begin_quietly(priority=WHOLE, **fields)
        operations.change_options(s, "priority", options=changed)
        s.complete(task)
        s.complete(s.poll_quietly(), end)
        s.await_close()
        s.run_id = ""
        s.describe()
