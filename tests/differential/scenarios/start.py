"""Starting workflows: accepted requests (semantics 2)."""

from __future__ import annotations

import itertools

from temporalio.api.common.v1 import Link, Priority, SearchAttributes
from temporalio.api.enums.v1 import EventType, TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import OnConflictOptions
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import (
    attributes,
    cancel_workflow,
    complete_workflow,
    fail_workflow,
    header,
    memo,
    payload,
    payloads,
    retry_policy,
    seconds,
)

FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL
USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
ALLOW = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
FAILED_ONLY = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
REJECT = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
TERMINATE_IF_RUNNING = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING


def plain(s: Script) -> None:
    """D1: start, first task, completion."""
    task = s.begin()
    s.complete(task, complete_workflow())
    s.closed_history()
    s.describe()


def with_everything(s: Script) -> None:
    """All attributes of a start arrive in the started event and in the description (2.3)."""
    task = s.begin(
        input=payloads('"one"', "2"),
        header=header(trace='"abc"'),
        memo=memo(note='"text"', gone="null"),
        search_attributes=attributes(DiffKeyword='"k"', DiffInt="7", DiffKeywordList='["a","b"]', DiffBool="true"),
        retry_policy=retry_policy(2.5, 1.5, 30.0, 4, "Fatal"),
        workflow_execution_timeout=seconds(3600),
        workflow_run_timeout=seconds(600),
        workflow_task_timeout=seconds(7.25),
        user_metadata=UserMetadata(summary=payload('"short"'), details=payload('"long"')),
        priority=Priority(priority_key=2, fairness_key="tenant", fairness_weight=1.5),
        links=[_link()],
    )
    s.complete(task, complete_workflow())
    s.closed_history()
    s.describe()


def _link() -> Link:
    event = Link.WorkflowEvent(
        namespace="default",
        workflow_id="caller",
        run_id="11111111-2222-3333-4444-555555555555",
        event_ref=Link.WorkflowEvent.EventReference(
            event_id=5, event_type=EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED
        ),
    )
    return Link(workflow_event=event)


def retry_policy_defaults(s: Script) -> None:
    """An empty retry policy is completed with the defaults (2.1.3)."""
    for label, policy in (
        ("empty", retry_policy(0, 0)),
        ("initial only", retry_policy(3, 0)),
        ("maximum only", retry_policy(0, 0, 5)),
        ("one attempt", retry_policy(0, 0, 0, 1)),
    ):
        s.another(label)
        s.start(retry_policy=policy)
        s.history()


def timeouts_are_normalised(s: Script) -> None:
    """Run timeout is capped by the execution timeout, the task timeout by 120 s and the run timeout (2.1)."""
    for label, execution, run, task in (
        ("run longer than execution", 100, 200, 10),
        ("execution only", 100, 0, 0),
        ("long task timeout", 0, 0, 500),
        ("task longer than run", 0, 5, 20),
        ("nothing", 0, 0, 0),
    ):
        s.another(label)
        s.start(
            workflow_execution_timeout=seconds(execution),
            workflow_run_timeout=seconds(run),
            workflow_task_timeout=seconds(task),
        )
        s.history()
        s.describe()


def huge_timeouts_are_capped(s: Script) -> None:
    """Timeouts above the cap of 2.1.6 are cut."""
    s.start(workflow_execution_timeout=seconds(10_000_000_000), workflow_run_timeout=seconds(10_000_000_000))
    s.history()


def null_memo_and_attributes_vanish(s: Script) -> None:
    """Entries with a null payload are left out of the started event (2.3)."""
    s.start(memo=memo(kept="1", gone="null"), search_attributes=attributes(DiffKeyword="null", DiffInt="1"))
    s.history()
    s.describe()


def same_request_id(s: Script) -> None:
    """A start is deduplicated by its request id, also on a closed run (F1)."""
    first = s.start(request_id="same-" + s.nonce)
    s.start(request_id="same-" + s.nonce)
    s.complete(s.poll(), complete_workflow())
    s.await_close()
    again = s.start(request_id="same-" + s.nonce)
    s.fact("same run", first.run_id == again.run_id)
    other = s.start(request_id="other-" + s.nonce)
    s.fact("new run", first.run_id != other.run_id)


def conflict_with_running(s: Script) -> None:
    """What each conflict policy does to a running workflow (2.5)."""
    s.start()
    s.start()
    s.start(workflow_id_conflict_policy=FAIL)
    s.start(workflow_id_reuse_policy=ALLOW)
    s.start(workflow_id_reuse_policy=FAILED_ONLY)
    s.start(workflow_id_reuse_policy=REJECT)
    s.start(workflow_id_conflict_policy=USE_EXISTING)
    s.start(workflow_id_conflict_policy=USE_EXISTING, workflow_id_reuse_policy=REJECT)
    s.history()


def terminate_existing(s: Script) -> None:
    """TERMINATE_EXISTING ends the old run and starts a new one in one step (2.5)."""
    old = s.start().run_id
    s.poll()
    new = s.start(workflow_id_conflict_policy=TERMINATE_EXISTING).run_id
    s.fact("another run", old != new)
    s.history(execution=s.execution(old))
    s.history()
    s.start(workflow_id_reuse_policy=TERMINATE_IF_RUNNING)
    s.history(execution=s.execution(new))
    s.history()


def use_existing_attaches_request_id(s: Script) -> None:
    """USE_EXISTING with on_conflict_options records OPTIONS_UPDATED without a workflow task (2.5)."""
    task = s.begin()
    s.complete(task)
    s.start(
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
        request_id="attached-" + s.nonce,
    )
    s.start(
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True),
        request_id="attached-" + s.nonce,
    )
    s.start(
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=OnConflictOptions(attach_request_id=True, attach_links=True),
        request_id="linked-" + s.nonce,
        links=[_link()],
    )
    s.history()
    s.describe()


def reuse_after_completion(s: Script) -> None:
    """What each reuse policy does with a completed run (2.5)."""
    task = s.begin()
    s.complete(task, complete_workflow())
    s.await_close()
    s.start(workflow_id_reuse_policy=REJECT)
    s.start(workflow_id_reuse_policy=FAILED_ONLY)
    s.start(workflow_id_reuse_policy=TERMINATE_IF_RUNNING)
    s.terminate()
    s.start(workflow_id_reuse_policy=ALLOW)


def reuse_after_failure(s: Script) -> None:
    """ALLOW_DUPLICATE_FAILED_ONLY lets failed, cancelled and terminated ids start again (2.5)."""
    for label, command in (("failed", fail_workflow()), ("cancelled", cancel_workflow())):
        s.another(label)
        s.complete(s.begin_quietly(), command)
        s.await_close()
        s.start(workflow_id_reuse_policy=REJECT)
        s.start(workflow_id_reuse_policy=FAILED_ONLY)
    s.another("terminated")
    s.start()
    s.terminate()
    s.start(workflow_id_reuse_policy=FAILED_ONLY)


def delayed(s: Script) -> None:
    """A start delay puts the first workflow task off (2.2)."""
    s.start(workflow_start_delay=seconds(1.5))
    description = s.describe()
    info = description.workflow_execution_info
    wait = info.execution_time.ToNanoseconds() - info.start_time.ToNanoseconds()
    s.fact("execution time minus start time, seconds", wait / 1e9)
    s.poll()
    events = s.history()
    s.fact("task not scheduled early", events[1].event_time.ToNanoseconds() >= info.execution_time.ToNanoseconds())


def signal_in_delay(s: Script) -> None:
    """A signal does not end a start delay (7.1)."""
    s.start(workflow_start_delay=seconds(2))
    s.signal()
    s.describe()
    s.poll()


def signal_with_start_in_delay(s: Script) -> None:
    """SignalWithStart on a delayed run ends its delay (2.6)."""
    s.start(workflow_start_delay=seconds(3600))
    s.signal_with_start()
    s.poll()


def cancel_in_delay(s: Script) -> None:
    """A cancel request ends a start delay (7.2)."""
    s.start(workflow_start_delay=seconds(3600))
    s.cancel()
    s.poll()


def terminate_in_delay(s: Script) -> None:
    """A delayed run can be terminated before its first task."""
    s.start(workflow_start_delay=seconds(3600))
    s.terminate()
    s.history()
    s.describe()


def delayed_with_timeouts(s: Script) -> None:
    """The run timeout counts from the end of the delay (2.2)."""
    s.start(workflow_start_delay=seconds(100), workflow_run_timeout=seconds(50))
    description = s.describe()
    start = description.workflow_execution_info.start_time.ToNanoseconds()
    expiry = description.workflow_extended_info.run_expiration_time.ToNanoseconds()
    s.fact("run expires after start, seconds", round((expiry - start) / 1e9))


def eager(s: Script) -> None:
    """An eager start returns the first task in its own response (2.4)."""
    reply = s.start(request_eager_execution=True, request_id="eager-" + s.nonce)
    s.start(request_eager_execution=True, request_id="eager-" + s.nonce)
    s.complete(reply.eager_workflow_task, complete_workflow())
    s.start(request_eager_execution=True, request_id="eager-" + s.nonce)
    s.closed_history()


def eager_with_delay(s: Script) -> None:
    """A delayed start is not eager (2.4)."""
    s.start(request_eager_execution=True, workflow_start_delay=seconds(1))
    s.poll()


def eager_on_conflict(s: Script) -> None:
    """USE_EXISTING on a running workflow returns no eager task (2.4)."""
    s.start()
    s.start(request_eager_execution=True, workflow_id_conflict_policy=USE_EXISTING)


def without_request_id_and_identity(s: Script) -> None:
    """An empty request id is replaced by a random one; identities may be empty (F30)."""
    s.start(request_id=None, identity=None)
    task = s.poll(identity=None)
    s.complete(task, complete_workflow(), identity=None)
    s.closed_history()
    s.describe()


def unicode_names(s: Script) -> None:
    """Names are any UTF-8 text."""
    s.workflow_id += "-\u00fc\u4e2d\u6587/\U0001f600 x"
    s.queue += "-\u00e9\u4e2d"
    task = s.begin()
    s.complete(task, complete_workflow())
    s.closed_history()


def attached_while_task_runs(s: Script) -> None:
    """The event of an attached request waits in the buffer like others, and Describe says so (2.5.1)."""
    options = OnConflictOptions(attach_request_id=True, attach_links=True)
    task = s.begin_quietly()
    attached = "attached-" + s.nonce
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id=attached)
    s.describe()
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id=attached)
    s.complete(task)
    s.history()
    s.describe()


def attached_request_comes_again(s: Script) -> None:
    """An attached request id is known, whatever the policy, and also once its run is closed (2.5.1)."""
    options = OnConflictOptions(attach_request_id=True)
    s.complete(s.begin_quietly())
    attached = "attached-" + s.nonce
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id=attached)
    s.start(request_id=attached)
    s.start(workflow_id_conflict_policy=USE_EXISTING, request_id=attached)
    s.start(workflow_id_conflict_policy=TERMINATE_EXISTING, request_id=attached)
    s.terminate()
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id=attached)
    s.start(request_id=attached)
    s.describe()


def attached_by_the_run_s_own_request(s: Script) -> None:
    """The request that started the run attaches nothing."""
    options = OnConflictOptions(attach_request_id=True, attach_links=True)
    own = "own-" + s.nonce
    s.start(request_id=own)
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id=own)
    s.history()
    s.describe()


def attached_links_only(s: Script) -> None:
    """Options may ask for links alone, or for nothing."""
    s.start()
    links = OnConflictOptions(attach_links=True)
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=links, links=[_link()])
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=links)
    s.start(workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=OnConflictOptions())
    s.history()
    s.describe()


def many_attached_requests(s: Script) -> None:
    """Describe lists attached requests."""
    options = OnConflictOptions(attach_request_id=True)
    s.start()
    for number in range(20):
        request = s.start_request(
            workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=options, request_id=f"r{number}-{s.nonce}"
        )
        s.send(request, rpc.StartWorkflowExecutionResponse)
    s.describe()


def typed_by_the_client(s: Script) -> None:
    """A type in the metadata of a start's search attribute, right or wrong."""
    fields = {"DiffInt": payload("5", "Int"), "DiffKeyword": payload('"k"', "Int")}
    s.start(search_attributes=SearchAttributes(indexed_fields=fields))
    s.history()
    s.describe()


def empty_memo_and_attributes(s: Script) -> None:
    """Empty maps, and maps whose entries all vanish."""
    for label, memo_, attributes_ in (
        ("empty", memo(), attributes()),
        ("all null", memo(a="null", b="[]"), attributes(DiffInt="null")),
    ):
        s.another(label)
        s.start(memo=memo_, search_attributes=attributes_)
        s.history()
        s.describe()


def eager_again(s: Script) -> None:
    """A repeated eager start gets its task again, until the task is over (2.4)."""
    own = "own-" + s.nonce
    task = s.start(request_eager_execution=True, request_id=own).eager_workflow_task
    s.start(request_eager_execution=True, request_id=own)
    s.start(request_id=own)
    s.complete(task)
    s.start(request_eager_execution=True, request_id=own)


def queue_kinds(s: Script) -> None:
    """The started event shows the queue as it was named; tasks go to the normal one of that name."""
    for name, kind in itertools.product((s.queue, " "), TaskQueueKind.values()):
        s.another(f"{name} {TaskQueueKind.Name(kind)}")
        s.start(task_queue=TaskQueue(name=name, kind=kind, normal_name="normal"))
        s.history(execution=s.execution(""))
