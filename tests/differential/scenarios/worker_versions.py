"""The build that a worker names when it polls and when it answers, as events show it (semantics 12.6)."""

from __future__ import annotations

from temporalio.api.common.v1 import WorkerVersionCapabilities, WorkerVersionStamp
from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.enums.v1 import WorkerVersioningMode
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, POLL_SECONDS, WORKER, Script
from ..update_values import complete_with, done, idle, reject, update
from ..values import complete_workflow, huge, retry_policy
from ..wire import RpcFailed

BUILD = WorkerVersionCapabilities(build_id="build")
STAMP = WorkerVersionStamp(build_id="build")
OTHER = WorkerVersionStamp(build_id="other")
UNVERSIONED = WorkerDeploymentOptions(
    deployment_name="series",
    build_id="build",
    worker_versioning_mode=WorkerVersioningMode.WORKER_VERSIONING_MODE_UNVERSIONED,
)


def polled(s: Script) -> None:
    """A poll's build id stands in the start event of its task; one that the server starts shows the answer's."""
    s.start()
    task = s.poll(worker_version_capabilities=BUILD)
    s.complete(task, force_create_new_workflow_task=True, worker_version_stamp=STAMP)
    task = s.poll(worker_version_capabilities=BUILD, deployment_options=UNVERSIONED)
    answer = s.complete(
        task, force_create_new_workflow_task=True, return_new_workflow_task=True, worker_version_stamp=OTHER
    )
    s.complete(answer.workflow_task, complete_workflow(), worker_version_stamp=STAMP)
    s.closed_history()


def reserved(s: Script) -> None:
    """The same for a poll that waited before there was a task."""
    request = s.poll_request(worker_version_capabilities=BUILD)
    waiting = s.background(request, rpc.PollWorkflowTaskQueueResponse, POLL_SECONDS)
    s.start()
    s.complete(waiting.join(), complete_workflow(), worker_version_stamp=STAMP)
    s.closed_history()


def transient(s: Script) -> None:
    """A second attempt shows no build while it is not written, and the answer's when it is."""
    s.start()
    s.fail_task(s.poll(worker_version_capabilities=BUILD), worker_version=STAMP)
    task = s.poll(worker_version_capabilities=BUILD)
    s.history()
    s.complete(task, complete_workflow(), worker_version_stamp=OTHER)
    s.closed_history()


def speculative(s: Script) -> None:
    """A speculative task is written with what its worker names: by its answer, by its failure, or not at all."""
    idle(s)
    pending = update(s)
    task = s.poll(worker_version_capabilities=BUILD)
    complete_with(s, task, done(task), worker_version_stamp=STAMP)
    pending.join()
    pending = update(s, "two")
    s.fail_task(s.poll(worker_version_capabilities=BUILD), worker_version=OTHER)
    task = s.poll(worker_version_capabilities=BUILD)
    complete_with(s, task, done(task))
    pending.join()
    pending = update(s, "three")
    task = s.poll(worker_version_capabilities=BUILD)
    s.signal()
    complete_with(s, task, [reject(task.messages[0])], worker_version_stamp=STAMP)
    pending.join()
    s.history()


def activities(s: Script) -> None:
    """An activity's start event shows what its worker names as it reports the end, not what it polled with."""
    names = ("done", "empty", "failed", "huge", "silent")
    once = retry_policy(attempts=1)
    s.complete(s.begin_quietly(), *[s.activity(name, retry_policy=once) for name in names])
    request = rpc.PollActivityTaskQueueRequest(
        namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity=WORKER, worker_version_capabilities=BUILD
    )
    tasks: dict[str, rpc.PollActivityTaskQueueResponse] = {}
    for _ in names:
        reply = s.send(request, rpc.PollActivityTaskQueueResponse, POLL_SECONDS)
        if isinstance(reply, RpcFailed) or not reply.task_token:
            raise s.stop("an activity task is missing")
        tasks[reply.activity_id] = reply
    s.complete_activity(tasks["done"], worker_version=STAMP)
    s.complete_activity(tasks["empty"], worker_version=WorkerVersionStamp())
    s.fail_activity(tasks["failed"], worker_version=OTHER)
    s.complete_activity(tasks["huge"], result=huge(), worker_version=STAMP)
    s.complete_activity(tasks["silent"])
    s.history()


def old_versioning(s: Script) -> None:
    """A stamp by which tasks are chosen is not shown by start events of workflow tasks; activities show any."""
    chosen = WorkerVersionStamp(build_id="build", use_versioning=True)
    task = s.begin_quietly()
    answer = s.complete(
        task,
        s.activity(retry_policy=retry_policy(attempts=1)),
        force_create_new_workflow_task=True,
        return_new_workflow_task=True,
        worker_version_stamp=chosen,
    )
    s.complete(answer.workflow_task, worker_version_stamp=STAMP)
    s.complete_activity(s.poll_activity(), worker_version=chosen)
    s.history()
