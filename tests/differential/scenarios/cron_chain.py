"""Cron schedules beyond the start: in continue-as-new commands, of children, with other policies (semantics 10.3)."""

from __future__ import annotations

from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.api.workflow.v1 import VersioningOverride

from ..family import kid_history, kid_id, kid_queue, start_kid
from ..script import Script
from ..values import (
    complete_workflow,
    continue_as_new,
    execution,
    fail_workflow,
    failure,
    payloads,
    retry_policy,
    seconds,
)


def _next(s: Script) -> None:
    """Turn to the run that is current now."""
    s.run_id = s.describe(execution=s.execution("")).workflow_execution_info.execution.run_id


def continued_with_a_schedule(s: Script) -> None:
    """A command may give the chain a schedule: when is its next run, and what follows that?"""
    task = s.begin_quietly()
    s.another_run_waits()
    s.complete(task, continue_as_new(cron_schedule="@every 2s", backoff_start_interval=seconds(1)))
    s.closed_history()
    _next(s)
    s.complete(s.poll(), complete_workflow('"one"'))
    s.await_close()
    s.history()
    _next(s)
    s.history()
    s.terminate()


def continued_in_a_schedule(s: Script) -> None:
    """A run of a schedule continues as new without naming the schedule: does it go on?"""
    s.start(cron_schedule="@every 1s")
    task = s.poll()
    s.another_run_waits()
    s.complete(task, continue_as_new())
    s.closed_history()
    _next(s)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def every_initiator(s: Script) -> None:
    """A command may claim any initiator, with failure and last result."""
    for name in ("WORKFLOW", "RETRY", "CRON_SCHEDULE"):
        s.another(name)
        initiator = ContinueAsNewInitiator.Value(f"CONTINUE_AS_NEW_INITIATOR_{name}")
        task = s.begin_quietly(workflow_execution_timeout=seconds(100), workflow_run_timeout=seconds(50))
        s.another_run_waits()
        s.complete(
            task,
            continue_as_new(
                initiator=initiator,
                failure=failure("before"),
                last_completion_result=payloads('"last"'),
                retry_policy=retry_policy(2, 1, 0, 3),
                backoff_start_interval=seconds(1),
            ),
        )
        s.closed_history()
        _next(s)
        s.complete(s.poll(), fail_workflow(failure("now")))
        s.closed_history()


def bad_schedule(s: Script) -> None:
    """Commands with a schedule that is none."""
    s.complete(s.begin_quietly(), continue_as_new(cron_schedule="nonsense"))
    s.history()
    s.another("child")
    s.complete(s.begin_quietly(), start_kid(s, cron_schedule="nonsense"))
    s.history()


def child(s: Script) -> None:
    """A child with a schedule: the parent hears of it when the schedule ends, here by a termination."""
    s.complete(s.begin_quietly(), start_kid(s, cron_schedule="@every 1s"))
    s.complete(s.poll())
    s.describe(execution=execution(kid_id(s)))
    s.complete(s.poll(kid_queue(s)), complete_workflow('"one"'))
    s.complete(s.poll(kid_queue(s)), complete_workflow('"two"'))
    s.history()
    parent = s.workflow_id, s.run_id
    s.workflow_id, s.run_id = kid_id(s), ""
    s.describe()
    s.terminate()
    s.workflow_id, s.run_id = parent
    s.poll()


def execution_expires(s: Script) -> None:
    """The execution timeout ends the schedule, and the last result goes from run to run until then."""
    s.start(cron_schedule="@every 1s", workflow_execution_timeout=seconds(4))
    s.complete(s.poll(), complete_workflow('"one"'))
    s.complete(s.poll(), fail_workflow(failure("no")))
    s.poll()
    s.run_id = ""
    s.closed_history()
    s.describe()


def overridden(s: Script) -> None:
    """Children with versioning overrides."""
    s.complete(s.begin_quietly(), start_kid(s, versioning_override=VersioningOverride(auto_upgrade=True)))
    s.complete(s.poll_quietly())
    s.history()
    s.complete(s.poll(kid_queue(s)), complete_workflow())
    kid_history(s)
    pinned = VersioningOverride.PinnedOverride(behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED)
    pinned.version.deployment_name, pinned.version.build_id = "d", "b"
    for label, override in (("pinned", VersioningOverride(pinned=pinned)), ("none", VersioningOverride())):
        s.another(label)
        s.complete(s.begin_quietly(), start_kid(s, versioning_override=override))
        s.poll_quietly()
        s.history()
