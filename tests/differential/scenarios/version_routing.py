"""Which worker gets which task where workers are versioned the old ways (semantics 12.6): sets, then rules."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.common.v1 import WorkerVersionCapabilities, WorkerVersionStamp, WorkflowType
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.taskqueue.v1 import CompatibleBuildIdRedirectRule, TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, POLL_SECONDS, WORKER, Script
from ..values import command, complete_workflow, continue_as_new, payloads, start_timer
from ..wire import RpcFailed

Rules = rpc.UpdateWorkerVersioningRulesRequest
Update = rpc.UpdateWorkerBuildIdCompatibilityRequest
EMPTY_SECONDS = 2.5


def _update(s: Script, new: str = "", compatible: str = "") -> None:
    request = Update(namespace=NAMESPACE, task_queue=s.queue)
    if compatible:
        request.add_new_compatible_build_id.new_build_id = new
        request.add_new_compatible_build_id.existing_compatible_build_id = compatible
    else:
        request.add_new_build_id_in_new_default_set = new
    s.call(request, rpc.UpdateWorkerBuildIdCompatibilityResponse)
    s.another_run_waits()


def _capabilities(build_id: str) -> WorkerVersionCapabilities:
    return WorkerVersionCapabilities(build_id=build_id, use_versioning=True)


def _poll(s: Script, build_id: str, comes: bool = True) -> rpc.PollWorkflowTaskQueueResponse:
    """What a worker of a build id ("" for an unversioned one) gets, recorded by the workflow's id alone."""
    request = s.poll_request()
    if build_id:
        request.worker_version_capabilities.CopyFrom(_capabilities(build_id))
    reply = s.send(request, rpc.PollWorkflowTaskQueueResponse, POLL_SECONDS if comes else EMPTY_SECONDS)
    if isinstance(reply, RpcFailed):
        s.record(request, rpc.PollWorkflowTaskQueueResponse, reply)
        return rpc.PollWorkflowTaskQueueResponse()
    s.fact(f"a worker of '{build_id}' gets", reply.workflow_execution.workflow_id)
    return reply


def _poll_activity(s: Script, build_id: str, comes: bool = True) -> None:
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity=WORKER)
    if build_id:
        request.worker_version_capabilities.CopyFrom(_capabilities(build_id))
    reply = s.send(request, rpc.PollActivityTaskQueueResponse, POLL_SECONDS if comes else EMPTY_SECONDS)
    if isinstance(reply, RpcFailed):
        s.record(request, rpc.PollActivityTaskQueueResponse, reply)
        return
    s.fact(f"a worker of '{build_id}' gets", reply.activity_id)


def _stamp(build_id: str) -> WorkerVersionStamp:
    return WorkerVersionStamp(build_id=build_id, use_versioning=True)


def new_runs_go_to_the_default_set(s: Script) -> None:
    """And stay with the set of the worker that had their last task."""
    _update(s, "1.0")
    s.start()
    _poll(s, "", comes=False)
    _poll(s, "2.0", comes=False)
    task = _poll(s, "1.0")
    s.complete(task, s.activity("own", use_workflow_build_id=True), worker_version_stamp=_stamp("1.0"))
    _update(s, "2.0")
    _poll_activity(s, "2.0", comes=False)
    _poll_activity(s, "1.0")
    s.signal()
    _poll(s, "2.0", comes=False)
    _update(s, "1.1", "1.0")
    _poll(s, "1.0", comes=False)
    task = _poll(s, "1.1")
    s.complete(task, complete_workflow(), worker_version_stamp=_stamp("1.1"))
    s.describe()


def activities_of_the_queue_s_default(s: Script) -> None:
    """An activity that need not have the workflow's build goes to the default of its queue."""
    _update(s, "1.0")
    s.start()
    task = _poll(s, "1.0")
    _update(s, "2.0")
    s.complete(task, s.activity("any"), worker_version_stamp=_stamp("1.0"))
    _poll_activity(s, "1.0", comes=False)
    _poll_activity(s, "2.0")


def unversioned_runs_stay_unversioned(s: Script) -> None:
    """A run that an unversioned worker began does not change sides; nor does a versioned worker get tasks unasked."""
    s.start()
    _poll(s, "9.0", comes=False)
    task = _poll(s, "")
    s.complete(task)
    _update(s, "9.0")
    s.signal()
    _poll(s, "9.0", comes=False)
    s.complete(_poll(s, ""), complete_workflow())


def waiting_tasks_follow(s: Script) -> None:
    """A new run's task that waits goes over to what has become the default."""
    s.start()
    _update(s, "1.0")
    _poll(s, "", comes=False)
    _poll(s, "1.0")


def queries_find_their_version(s: Script) -> None:
    """A query is asked of a worker of the run's set."""
    _update(s, "1.0")
    s.start()
    s.complete(_poll(s, "1.0"), start_timer("t", 60), worker_version_stamp=_stamp("1.0"))
    _update(s, "2.0")
    query = s.query()
    _poll(s, "2.0", comes=False)
    task = _poll(s, "1.0")
    s.fact("it is a query", task.HasField("query"))
    s.answer_query(task, completed_type=QueryResultType.QUERY_RESULT_TYPE_ANSWERED, query_result=payloads("1"))
    query.join()


def rules_assign_and_redirect(s: Script) -> None:
    """The first full rule takes new runs, a redirect takes all of a build id's."""

    def change(**fields: Anything) -> None:
        known = s.send(
            rpc.GetWorkerVersioningRulesRequest(namespace=NAMESPACE, task_queue=s.queue),
            rpc.GetWorkerVersioningRulesResponse,
        )
        assert isinstance(known, rpc.GetWorkerVersioningRulesResponse)
        request = rpc.UpdateWorkerVersioningRulesRequest(
            namespace=NAMESPACE, task_queue=s.queue, conflict_token=known.conflict_token, **fields
        )
        s.call(request, rpc.UpdateWorkerVersioningRulesResponse)
        s.another_run_waits()

    change(commit_build_id=Rules.CommitBuildId(target_build_id="1.0", force=True))
    s.start()
    _poll(s, "", comes=False)
    task = _poll(s, "1.0")
    s.complete(task, worker_version_stamp=_stamp("1.0"))
    change(
        add_compatible_redirect_rule=Rules.AddCompatibleBuildIdRedirectRule(
            rule=CompatibleBuildIdRedirectRule(source_build_id="1.0", target_build_id="1.1")
        )
    )
    s.signal()
    _poll(s, "1.0", comes=False)
    _poll(s, "1.1")


def the_next_run_inherits_the_build(s: Script) -> None:
    """Continued as new, a run stays with its set if it says so, else it goes where new runs go."""
    for inherit in (True, False):
        s.another(f"inherits: {inherit}")
        _update(s, "1.0")
        s.start()
        task = _poll(s, "1.0")
        _update(s, "2.0")
        s.complete(task, continue_as_new(inherit_build_id=inherit), worker_version_stamp=_stamp("1.0"))
        s.await_close()
        _poll(s, "2.0", comes=not inherit)
        _poll(s, "1.0", comes=inherit)
        s.run_id = ""
        s.history()
        s.describe()


def a_child_inherits_the_build(s: Script) -> None:
    """A child of the same queue likewise."""
    for inherit in (True, False):
        s.another(f"inherits: {inherit}")
        _update(s, "1.0")
        s.start()
        task = _poll(s, "1.0")
        _update(s, "2.0")
        kid = command(
            "START_CHILD_WORKFLOW_EXECUTION",
            workflow_id=f"child-{s.workflow_id}",
            workflow_type=WorkflowType(name="Kid"),
            inherit_build_id=inherit,
        )
        s.complete(task, kid, worker_version_stamp=_stamp("1.0"))
        s.await_event("CHILD_WORKFLOW_EXECUTION_STARTED")
        _poll(s, "2.0", comes=not inherit)
        s.workflow_id = f"child-{s.workflow_id}"
        s.run_id = ""
        s.history()
        s.describe()
