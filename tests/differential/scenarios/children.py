"""Child workflows: starts, results, close policies, refusals (semantics 4.6, 9, D8)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.common.v1 import Priority
from temporalio.api.enums.v1 import ParentClosePolicy, WorkflowIdReusePolicy
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflowservice import v1 as rpc

from ..family import kid_history, kid_id, kid_queue, start_kid, with_kid
from ..script import Script
from ..values import (
    attributes,
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    execution,
    fail_workflow,
    header,
    huge,
    memo,
    payload,
    payloads,
    queue,
    retry_policy,
    seconds,
    start_timer,
    workflow_type,
)

LONG = "x" * 1001
TERMINATE = ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
REQUEST_CANCEL = ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL
ABANDON = ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON


def result(s: Script) -> None:
    """D8: initiated, started, first task, completed; both sides described on the way."""
    s.complete(s.begin(), start_kid(s, input=payloads("1")))
    heard = s.poll()
    s.describe()
    s.complete(heard)
    task = s.poll(kid_queue(s))
    s.describe(execution=execution(kid_id(s)))
    s.complete(task, complete_workflow('"from the child"'))
    kid_history(s)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()
    s.describe()


def every_option(s: Script) -> None:
    """What the command says reaches the event, and from there the child (4.6)."""
    wanted = start_kid(
        s,
        input=payloads("1", "2"),
        header=header(h='"x"'),
        memo=memo(m='"kept"'),
        search_attributes=attributes(DiffKeyword='"k"'),
        workflow_execution_timeout=seconds(100),
        workflow_run_timeout=seconds(200),
        workflow_task_timeout=seconds(7),
        parent_close_policy=ABANDON,
        control="control",
        workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
        retry_policy=retry_policy(2.0, 0, 0, 3),
        priority=Priority(priority_key=2),
    )
    wanted.user_metadata.CopyFrom(UserMetadata(summary=payload('"summary"')))
    s.complete(s.begin(priority=Priority(priority_key=4, fairness_key="fair")), wanted)
    s.poll()
    s.complete(s.poll(kid_queue(s)))
    s.describe(execution=execution(kid_id(s)))
    s.history(execution=execution(kid_id(s)))


def defaults(s: Script) -> None:
    """Queue, timeouts and policies that the command leaves out (4.6)."""
    s.complete(s.begin(workflow_run_timeout=seconds(50)), start_kid(s, task_queue=None))
    s.await_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    s.history()
    s.await_event("WORKFLOW_TASK_SCHEDULED", execution=execution(kid_id(s)))
    s.history(execution=execution(kid_id(s)))


def failure(s: Script) -> None:
    """A child's failure is told with its retry state."""
    s.complete(with_kid(s), fail_workflow())
    s.complete(s.poll(), complete_workflow())


def cancellation(s: Script) -> None:
    """A parent cancels its child by an external cancel; the child ends as cancelled."""
    s.complete(with_kid(s))
    s.signal()
    cancel = command(
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION",
        workflow_id=kid_id(s),
        child_workflow_only=True,
        reason="enough",
    )
    s.complete(s.poll(), cancel)
    s.complete(s.poll())
    s.complete(s.poll(kid_queue(s)), cancel_workflow())
    s.complete(s.poll(), complete_workflow())
    kid_history(s)


def termination(s: Script) -> None:
    """A terminated child."""
    s.complete(with_kid(s))
    s.terminate(workflow_execution=execution(kid_id(s)), reason="because")
    s.complete(s.poll(), complete_workflow())


def timeout(s: Script) -> None:
    """A child whose run times out."""
    s.complete(with_kid(s, workflow_run_timeout=seconds(1)))
    s.complete(s.poll(), complete_workflow())


def continued(s: Script) -> None:
    """F14: the last run of the child's chain reports; the parent knows the first."""
    kid = with_kid(s)
    s.another_run_waits()
    s.complete(kid, continue_as_new())
    s.describe()
    task = s.poll(kid_queue(s))
    s.describe(execution=execution(kid_id(s)))
    s.complete(task, complete_workflow('"second run"'))
    s.complete(s.poll(), complete_workflow())
    kid_history(s)


def retried(s: Script) -> None:
    """A child with a retry policy fails twice; only the last failure is told."""
    s.complete(with_kid(s, retry_policy=retry_policy(1.0, 1.0, 0, 2)), fail_workflow())
    s.complete(s.poll(kid_queue(s)), fail_workflow())
    s.complete(s.poll(), complete_workflow())
    kid_history(s)


def id_in_use(s: Script) -> None:
    """F40: a child's workflow id that another run has: the start fails, the parent goes on."""
    s.send(
        s.start_request(workflow_id=kid_id(s), task_queue=kid_queue(s)),
        rpc.StartWorkflowExecutionResponse,
    )
    s.complete(s.begin(), start_kid(s, control="control"))
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def id_reuse(s: Script) -> None:
    """A second child of the same id: allowed when the first is closed, refused by policy."""
    s.complete(with_kid(s), complete_workflow())
    reject = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
    s.complete(s.poll(), start_kid(s, workflow_id_reuse_policy=reject))
    s.complete(s.poll(), start_kid(s))
    s.poll()
    s.poll(kid_queue(s))


def terminate_if_running(s: Script) -> None:
    """The deprecated reuse policy TERMINATE_IF_RUNNING, for a child."""
    s.send(
        s.start_request(workflow_id=kid_id(s), task_queue=kid_queue(s)),
        rpc.StartWorkflowExecutionResponse,
    )
    terminate = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    s.complete(s.begin(), start_kid(s, workflow_id_reuse_policy=terminate))
    s.poll()


def close_policies(s: Script) -> None:
    """9.4: each policy, when the parent completes."""
    for label, policy in (("terminate", TERMINATE), ("cancel", REQUEST_CANCEL), ("abandon", ABANDON)):
        s.another(label)
        s.complete(with_kid(s, parent_close_policy=policy))
        s.signal()
        s.complete(s.poll_quietly(), complete_workflow())
        s.await_close()
        s.describe()
        if policy == TERMINATE:
            kid_history(s)
        elif policy == REQUEST_CANCEL:
            s.complete(s.poll(kid_queue(s)), cancel_workflow())
            kid_history(s)
        else:
            s.another_run_waits()
            s.history(execution=execution(kid_id(s)))


def policy_at_continue_as_new(s: Script) -> None:
    """F13: continue-as-new closes the parent's run, so its child dies; the next run has no child."""
    s.complete(with_kid(s))
    s.another_run_waits()
    s.signal()
    s.complete(s.poll_quietly(), continue_as_new())
    kid_history(s)
    s.poll()
    s.describe(execution=execution(s.workflow_id))


def policy_at_termination(s: Script) -> None:
    """A terminated parent takes its child along; the child's last run is the one that dies."""
    kid = with_kid(s)
    s.another_run_waits()
    s.complete(kid, continue_as_new())
    s.complete(s.poll(kid_queue(s)))
    s.terminate()
    kid_history(s)


def policy_at_timeout(s: Script) -> None:
    """A parent whose run times out."""
    s.send(
        s.start_request(workflow_run_timeout=seconds(3)),
        rpc.StartWorkflowExecutionResponse,
    )
    s.complete(s.poll_quietly(), start_kid(s))
    s.complete(s.poll())
    s.complete(s.poll(kid_queue(s)))
    kid_history(s)


def many_children_of_a_closed_parent(s: Script) -> None:
    """Ten children and more go another way in the reference, with the same effect."""
    count = 12
    commands = [start_kid(s, workflow_id=f"{kid_id(s)}-{n}") for n in range(count)]
    s.complete(s.begin_quietly(), *commands)
    s.await_event("CHILD_WORKFLOW_EXECUTION_STARTED", count)
    for n in range(count):
        s.await_event("WORKFLOW_TASK_SCHEDULED", execution=execution(f"{kid_id(s)}-{n}"))
    s.terminate()
    for n in range(count):
        s.closed_history(execution=execution(f"{kid_id(s)}-{n}"))


def never_started(s: Script) -> None:
    """A parent that closes in the batch that asks for a child: the child never is, whatever its policy."""
    for label, policy in (("terminate", TERMINATE), ("abandon", ABANDON)):
        s.another(label)
        s.complete(s.begin_quietly(), start_kid(s, parent_close_policy=policy), complete_workflow())
        s.closed_history()
        s.another_run_waits()
        s.describe()
        s.describe(execution=execution(kid_id(s)))


def result_while_a_task_runs(s: Script) -> None:
    """A child's end waits in the buffer of a parent whose task runs; completions come last."""
    kid = with_kid(s)
    s.signal("first")
    task = s.poll()
    s.complete(kid, complete_workflow())
    s.another_run_waits()
    s.signal("second")
    s.complete(task, start_timer())
    s.poll()


def started_and_ended_while_a_task_runs(s: Script) -> None:
    """Start and end of a child in one buffer: the end names the start's final id."""
    task = s.begin_quietly()
    running = s.complete(task, start_kid(s), force_create_new_workflow_task=True, return_new_workflow_task=True)
    s.complete(s.poll(kid_queue(s)), complete_workflow())
    s.another_run_waits()
    s.complete(running.workflow_task)
    s.poll()


def unhandled(s: Script) -> None:
    """A parent cannot close over its child's end that it has not seen."""
    kid = with_kid(s)
    s.signal()
    task = s.poll()
    s.complete(kid, complete_workflow())
    s.another_run_waits()
    s.complete(task, complete_workflow())
    s.poll()


def grandchild(s: Script) -> None:
    """A child's child: its root is the first of the family."""
    kid = with_kid(s)
    other = queue(f"grand-{s.queue}")
    s.complete(kid, start_kid(s, workflow_id=f"grand-{kid_id(s)}", task_queue=other))
    s.poll(kid_queue(s))
    s.poll(other)
    s.describe(execution=execution(f"grand-{kid_id(s)}"))


def _await_listed(s: Script, request: rpc.ListWorkflowExecutionsRequest, count: int) -> None:
    s.eventually(request, rpc.ListWorkflowExecutionsResponse, lambda found: len(found.executions) == count)


def listed(s: Script) -> None:
    """A child is found by its parent and its root."""
    kid = with_kid(s)
    for query in (f"ParentWorkflowId = '{s.workflow_id}'", f"RootWorkflowId = '{s.workflow_id}'"):
        request = rpc.ListWorkflowExecutionsRequest(namespace="default", query=query)
        _await_listed(s, request, 1 if query.startswith("Parent") else 2)
    s.complete(kid, complete_workflow())


def signalled_at_once(s: Script) -> None:
    """A child that is signalled before it has run begins with the signal in its first task's history."""
    s.complete(s.begin_quietly(), start_kid(s))
    s.complete(s.poll_quietly())
    s.await_event("WORKFLOW_TASK_SCHEDULED", execution=execution(kid_id(s)))
    s.signal(workflow_execution=execution(kid_id(s)))
    s.poll(kid_queue(s))


def refused(s: Script) -> None:
    """BAD_START_CHILD_EXECUTION_ATTRIBUTES: each check of the command (4.6).

    Without attributes the reference panics inside, and nothing can be compared.
    """
    cases: dict[str, Anything] = {
        "no id": {"workflow_id": ""},
        "no type": {"workflow_type": None},
        "long id": {"workflow_id": LONG},
        "long type": {"workflow_type": workflow_type(LONG)},
        "negative execution timeout": {"workflow_execution_timeout": seconds(-1)},
        "negative run timeout": {"workflow_run_timeout": seconds(-1)},
        "negative task timeout": {"workflow_task_timeout": seconds(-1)},
        "bad retry policy": {"retry_policy": retry_policy(1, 0.5)},
        "unknown search attribute": {"search_attributes": attributes(Unknown="1")},
        "mistyped search attribute": {"search_attributes": attributes(DiffInt='"x"')},
        "negative priority": {"priority": Priority(priority_key=-1)},
        "own namespace": {"namespace": "default"},
        "unknown namespace": {"namespace": "no-such-namespace"},
        "another namespace": {"namespace": "temporal-system"},
        "input too big": {"input": huge()},
    }
    for label, fields in cases.items():
        s.another(label)
        s.complete(s.begin_quietly(), start_kid(s, **fields))
        if label == "own namespace":
            s.await_event("WORKFLOW_TASK_SCHEDULED", 2)
        s.history()


def cancelled_in_the_same_task(s: Script) -> None:
    """Starting and cancelling one child in one batch fails the task (4.7)."""
    cancel = command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", workflow_id=kid_id(s), child_workflow_only=True)
    s.complete(s.begin_quietly(), start_kid(s), cancel)
    s.history()
