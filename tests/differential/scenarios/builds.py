"""What a run remembers of its workers' builds: reset points and search attributes (semantics 1.1, 3.5.3)."""

from __future__ import annotations

from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.enums.v1 import WorkerVersioningMode
from temporalio.api.workflow.v1 import VersioningOverride
from temporalio.api.workflowservice import v1 as rpc

from .. import operations
from ..script import NAMESPACE, Script
from ..values import attributes, command, complete_workflow, continue_as_new, fail_workflow, retry_policy, workflow_type

AUTO_UPGRADE = VersioningOverride(auto_upgrade=True)


def _turns(s: Script, *checksums: str) -> None:
    """One completed workflow task by each checksum."""
    for checksum in checksums:
        s.complete(s.poll_quietly(), binary_checksum=checksum, force_create_new_workflow_task=True)


def reset_points(s: Script) -> None:
    """Each new checksum adds a point; one seen before, even long ago, does not."""
    s.complete(s.begin_quietly(), force_create_new_workflow_task=True)
    _turns(s, "one", "", "two", "one")
    s.describe()


def reset_points_while_something_is_pending(s: Script) -> None:
    """A point counts as resettable if no child runs at it, and nothing is on its way to another workflow."""
    child = command(
        "START_CHILD_WORKFLOW_EXECUTION", workflow_id=f"child-{s.nonce}", workflow_type=workflow_type("Kid")
    )
    s.complete(s.begin_quietly(), child, binary_checksum="before")
    s.complete(s.poll_quietly(), binary_checksum="with a child")
    s.describe()


def many_reset_points(s: Script) -> None:
    """Twenty points are kept, the newest, and the attribute names as many checksums."""
    s.complete(s.begin_quietly(), force_create_new_workflow_task=True)
    _turns(s, *[f"build {number}" for number in range(22)])
    s.describe()


def stamps(s: Script) -> None:
    """A worker's stamp adds to BuildIds; one without a build id counts as unversioned, and shows twice."""
    for label, stamp in (
        ("empty", WorkerVersionStamp()),
        ("unversioned", WorkerVersionStamp(build_id="b")),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), worker_version_stamp=stamp, force_create_new_workflow_task=True)
        s.describe()
        s.complete(s.poll_quietly(), worker_version_stamp=stamp, force_create_new_workflow_task=True)
        s.complete(s.poll_quietly())
        s.history()
        s.describe()


def stamps_change(s: Script) -> None:
    """Builds are listed in the order in which they came."""
    s.complete(s.begin_quietly(), force_create_new_workflow_task=True)
    for build_id in ("one", "two", "one", "three"):
        stamp = WorkerVersionStamp(build_id=build_id)
        s.complete(s.poll_quietly(), worker_version_stamp=stamp, force_create_new_workflow_task=True)
    s.describe()


def build_ids_over_size(s: Script) -> None:
    """The attribute keeps to 2 KiB: the oldest builds go, "unversioned" stays."""
    s.complete(s.begin_quietly(), force_create_new_workflow_task=True)
    for number in range(4):
        stamp = WorkerVersionStamp(build_id=f"{number}" + "b" * 700)
        s.complete(s.poll_quietly(), worker_version_stamp=stamp, force_create_new_workflow_task=True)
    s.describe()


def build_ids_of_the_start(s: Script) -> None:
    """Users may set BuildIds; the server adds its own."""
    s.complete(s.begin_quietly(search_attributes=attributes(BuildIds='["mine", "assigned:x"]')))
    s.describe()


def inherited(s: Script) -> None:
    """Points go from run to run, and expire with the run they are of."""
    s.complete(s.begin_quietly(), continue_as_new(), binary_checksum="one")
    s.run_id = s.await_close().workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    task = s.poll_quietly()
    s.another_run_waits()
    s.complete(task, continue_as_new(), binary_checksum="two")
    s.describe()
    s.run_id = s.await_close().workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    s.poll()
    s.describe()


def inherited_by_retry(s: Script) -> None:
    """A retried run has them, too."""
    s.complete(s.begin_quietly(retry_policy=retry_policy(attempts=3)), fail_workflow(), binary_checksum="one")
    s.run_id = s.await_close().workflow_execution_failed_event_attributes.new_execution_run_id
    s.complete(s.poll_quietly(), complete_workflow(), binary_checksum="one")
    s.history()
    s.describe()


def listed(s: Script) -> None:
    """Both attributes are found by filters."""
    s.complete(s.begin_quietly(), complete_workflow(), binary_checksum="sum")
    s.await_close()
    for term in ("BuildIds = 'unversioned'", "BinaryChecksums = 'sum'", "BinaryChecksums IS NULL", "BuildIds IS NULL"):
        request = rpc.ListWorkflowExecutionsRequest(
            namespace=NAMESPACE, query=f"TaskQueue = '{s.queue}' AND CloseTime IS NOT NULL AND {term}"
        )
        if term.endswith("NULL"):
            s.call(request, rpc.ListWorkflowExecutionsResponse)
        else:
            s.eventually(request, rpc.ListWorkflowExecutionsResponse, lambda reply: bool(reply.executions))


def _named(name: str, build_id: str = "b") -> WorkerDeploymentOptions:
    return WorkerDeploymentOptions(
        deployment_name=name,
        build_id=build_id,
        worker_versioning_mode=WorkerVersioningMode.WORKER_VERSIONING_MODE_UNVERSIONED,
    )


def deployment_names(s: Script) -> None:
    """A worker that is not versioned names its deployment: kept until another completes, and in search attributes."""
    s.complete(s.begin_quietly(), deployment_options=_named("boats"), force_create_new_workflow_task=True)
    s.describe()
    s.complete(s.poll_quietly(), deployment_options=_named("ships"), force_create_new_workflow_task=True)
    s.describe()
    s.reset(4)
    s.describe()
    s.complete(s.poll_quietly(), force_create_new_workflow_task=True)
    s.describe()
    s.complete(s.poll_quietly(), continue_as_new(), deployment_options=_named("boats"))
    s.await_close()
    s.history()
    s.run_id = ""
    task = s.poll_quietly()
    s.describe()
    s.complete(task)
    s.describe()


def deployment_names_and_overrides(s: Script) -> None:
    """Taking away a versioning override, or what is none, takes the name away; setting one does not."""
    s.complete(s.begin_quietly(), deployment_options=_named("boats"), force_create_new_workflow_task=True)
    operations.change_options(s, "versioning_override")
    s.describe()
    operations.change_options(s, "versioning_override", options={"versioning_override": AUTO_UPGRADE})
    s.describe()
    s.complete(s.poll_quietly(), deployment_options=_named("ships"), force_create_new_workflow_task=True)
    operations.change_options(s, "versioning_override", options={"versioning_override": AUTO_UPGRADE})
    s.describe()
    operations.change_options(s, "versioning_override")
    s.describe()
    s.complete(s.poll_quietly(), deployment_options=_named("boats"), force_create_new_workflow_task=True)
    operations.change_options(s, "versioning_override", options={"versioning_override": AUTO_UPGRADE})
    s.complete(s.poll_quietly(), continue_as_new(), deployment_options=_named("boats"))
    s.await_close()
    s.run_id = ""
    s.poll_quietly()
    s.describe()


def deployment_name_after_buffered_options(s: Script) -> None:
    """Options that change while a task runs count before its completion, whose event comes first."""
    task = s.begin_quietly()
    operations.change_options(s, "versioning_override", options={"versioning_override": AUTO_UPGRADE})
    operations.change_options(s, "versioning_override")
    s.complete(task, deployment_options=_named("boats"))
    s.describe()
    s.history()


def stamp_after_a_reset(s: Script) -> None:
    """The run that a reset makes knows the build of its last completed task, versioned or not."""
    for label, versioned in (("not versioned", False), ("versioned", True)):
        s.another(label)
        stamp = WorkerVersionStamp(build_id="one", use_versioning=versioned)
        s.complete(s.begin_quietly(), worker_version_stamp=stamp, force_create_new_workflow_task=True)
        s.fail_task(s.poll_quietly())
        s.reset(7)
        s.describe()
