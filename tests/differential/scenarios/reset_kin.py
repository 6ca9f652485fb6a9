"""Resets of runs that have children, parents, or requests to other workflows (semantics 7.4, 9.1, 9.2)."""

from __future__ import annotations

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import Priority
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflow.v1 import PostResetOperation, VersioningOverride, WorkflowExecutionOptions

from ..family import kid_id, kid_queue, start_kid, with_kid
from ..script import Script
from ..values import command, complete_workflow, execution, fail_workflow, payloads


def running_child(s: Script) -> None:
    """The child of an open run goes on, and reports to the new run."""
    task = with_kid(s)
    old = s.run_id
    s.reset(9)
    s.describe()
    s.history()
    s.complete(s.poll())
    s.complete(task, complete_workflow('"from the child"'))
    s.await_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    s.history()
    s.describe()
    s.describe(execution=s.execution(old))
    s.history(execution=s.execution(old))


def closed_child(s: Script) -> None:
    """A result that came after the point is told again."""
    s.complete(with_kid(s), fail_workflow())
    s.complete(s.poll_quietly(), complete_workflow())
    s.await_close()
    s.reset(9)
    s.history()
    s.describe()


def started_after_the_point(s: Script) -> None:
    """The child was asked for before the point, and its start recorded after it."""
    task = s.begin_quietly()
    second = s.complete(
        task, start_kid(s), force_create_new_workflow_task=True, return_new_workflow_task=True
    ).workflow_task
    kid = s.poll(kid_queue(s))
    s.complete(second)
    s.complete(s.poll_quietly())
    s.history()
    s.reset(8)
    s.history()
    s.describe()
    s.complete(s.poll())
    s.complete(kid, complete_workflow())
    s.await_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    s.history()


def asked_again(s: Script) -> None:
    """The child was asked for after the point, runs on, and is asked for again."""
    first = with_kid(s).workflow_execution
    s.reset(4)
    task = s.poll()
    s.another_run_waits()
    s.history(execution=first)
    s.complete(task, start_kid(s, input=payloads("2")))
    s.complete(s.poll())
    s.history()
    s.describe(execution=execution(kid_id(s)))
    s.history(execution=first)


def asked_again_after_its_end(s: Script) -> None:
    """The same with a child that has ended meanwhile."""
    s.complete(with_kid(s), complete_workflow())
    s.complete(s.poll())
    s.reset(4)
    s.complete(s.poll(), start_kid(s, input=payloads("2")))
    s.complete(s.poll())
    s.history()


def twice(s: Script) -> None:
    """Two resets: the child's report follows both."""
    task = with_kid(s)
    s.reset(9)
    s.complete(s.poll())
    s.reset(9)
    s.complete(task, complete_workflow('"from the child"'))
    s.await_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    s.history()


def of_a_child(s: Script) -> None:
    """A child that is reset: the parent hears of the new run's end only."""
    s.complete(with_kid(s))
    parent = s.workflow_id, s.run_id
    s.workflow_id, s.run_id = kid_id(s), ""
    s.reset(4)
    s.describe()
    s.workflow_id, s.run_id = parent
    s.complete(s.poll(kid_queue(s)), complete_workflow('"from the new run"'))
    s.poll()


def of_a_child_that_had_ended(s: Script) -> None:
    """Its second end is of no interest."""
    s.complete(with_kid(s), complete_workflow('"first"'))
    s.complete(s.poll())
    parent = s.workflow_id, s.run_id
    s.workflow_id, s.run_id = kid_id(s), ""
    s.reset(4)
    s.workflow_id, s.run_id = parent
    s.complete(s.poll(kid_queue(s)), complete_workflow('"second"'))
    s.another_run_waits()
    s.history()


def pending_signal(s: Script) -> None:
    """A signal to another workflow whose answer came after the point is sent again."""
    s.another("target")
    s.complete(s.begin_quietly())
    target = s.workflow_id, s.run_id
    s.another("sender")
    task = s.begin_quietly()
    signal = command(
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", execution=execution(target[0]), signal_name="ping", control="c"
    )
    second = s.complete(task, signal, force_create_new_workflow_task=True, return_new_workflow_task=True).workflow_task
    s.another_run_waits()
    s.complete(second)
    s.complete(s.poll_quietly())
    s.history()
    s.reset(8)
    s.await_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    s.history()
    s.history(execution=execution(target[0]))


def everything_excluded(s: Script) -> None:
    """With every kind excluded nothing at all is told again."""
    s.complete(with_kid(s), complete_workflow())
    s.signal()
    s.complete(s.poll_quietly())
    s.reset(
        9,
        reset_reapply_exclude_types=[number for number in ResetReapplyExcludeType.values() if number],
    )
    s.history()


def cancelled(s: Script) -> None:
    """A cancel request is not told again."""
    s.complete(s.begin_quietly())
    s.cancel()
    s.complete(s.poll_quietly())
    s.reset(4)
    s.history()
    s.describe()


def operations(s: Script) -> None:
    """Options that the new run gets with the reset."""
    s.complete(s.begin_quietly())
    options = PostResetOperation.UpdateWorkflowOptions(
        workflow_execution_options=WorkflowExecutionOptions(
            versioning_override=VersioningOverride(auto_upgrade=True), priority=Priority(priority_key=2)
        ),
        update_mask=FieldMask(paths=["versioning_override", "priority.priority_key"]),
    )
    s.signal()
    s.reset(4, post_reset_operations=[PostResetOperation(update_workflow_options=options)])
    s.history()
    s.describe()
    s.poll()


def bad_operations(s: Script) -> None:
    """What cannot be done with a reset."""
    s.complete(s.begin_quietly())
    pinned = VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED,
        version=WorkerDeploymentVersion(deployment_name="d", build_id="b"),
    )
    update = PostResetOperation.UpdateWorkflowOptions
    for operation in (
        PostResetOperation(),
        PostResetOperation(signal_workflow=PostResetOperation.SignalWorkflow(signal_name="one")),
        PostResetOperation(
            update_workflow_options=update(
                workflow_execution_options=WorkflowExecutionOptions(
                    versioning_override=VersioningOverride(pinned=pinned)
                ),
                update_mask=FieldMask(paths=["versioning_override"]),
            )
        ),
    ):
        s.section(str(operation).replace("\n", " "))
        run_id = s.run_id
        s.reset(4, post_reset_operations=[operation])
        if s.run_id != run_id:
            s.history()
            s.complete(s.poll())


def signalled_by_another(s: Script) -> None:
    """A signal that a reset takes over does not tell any more which workflow sent it."""
    s.complete(s.begin_quietly())
    receiver, run_id = s.workflow_id, s.run_id
    s.another("sender")
    signal = command(
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", execution=execution(receiver), signal_name="go", control="control"
    )
    s.complete(s.begin_quietly(), signal)
    s.await_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    s.workflow_id, s.run_id = receiver, run_id
    s.reset(4)
    s.history()
