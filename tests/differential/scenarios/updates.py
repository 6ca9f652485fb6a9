"""Updates as clients see them: stages, identity, refusals, limits (semantics 8.2)."""

from __future__ import annotations

import uuid

from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Input, Meta, Outcome, Request, Response, UpdateRef, WaitPolicy
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..update_values import (
    accept,
    admitted,
    body,
    complete_with,
    done,
    fail,
    idle,
    message,
    poll_request,
    poll_update,
    reject,
    respond,
    stage,
    update,
    update_request,
)
from ..values import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    execution,
    fail_workflow,
    retry_policy,
    seconds,
    start_timer,
)


def accepted_and_completed(s: Script) -> None:
    """D5: an update of an idle run: a task with ids 5 and 6 that no history knows yet, then five events."""
    idle(s)
    pending = update(s)
    task = s.poll()
    s.history()
    complete_with(s, task, done(task))
    pending.join()
    s.history()
    s.describe()


def rejected(s: Script) -> None:
    """D5, F5: a rejected update leaves no trace; reset_history_event_id names the last completed task."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history()
    poll_update(s)
    s.signal()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def completed_with_failure(s: Script) -> None:
    """A handler that fails after its acceptance: the outcome is a failure."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0]), fail(task.messages[0].protocol_instance_id)])
    pending.join()
    poll_update(s)
    s.history()


def completed_with_nothing(s: Script) -> None:
    """An empty outcome is one: who waits must see it."""
    idle(s)
    pending = update(s)
    task = s.poll_quietly()
    update_id = task.messages[0].protocol_instance_id
    nothing = Response(meta=Meta(update_id=update_id), outcome=Outcome())
    complete_with(s, task, [accept(task.messages[0]), message(task.messages[0], "complete", nothing)])
    pending.join()
    poll_update(s)
    s.history()


def accepted_first(s: Script) -> None:
    """An update that is accepted in one task and completed in another."""
    idle(s)
    pending = update(s, wait="ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], start_timer())
    pending.join()
    poll_update(s, wait="UNSPECIFIED")
    poll_update(s, wait="ADMITTED")
    poll_update(s, wait="ACCEPTED")
    again = update(s)
    s.signal()
    later = s.poll()
    complete_with(s, later, [respond(task.messages[0].protocol_instance_id)])
    again.join()
    poll_update(s)
    s.history()


def completed_before_acceptance_is_told(s: Script) -> None:
    """F12: who waits for ACCEPTED gets the outcome when both happen in one task, and later too."""
    idle(s)
    pending = update(s, wait="ACCEPTED")
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    poll_update(s, wait="ACCEPTED")
    poll_update(s, wait="UNSPECIFIED")


def same_id_again(s: Script) -> None:
    """F11: the id decides: name and arguments of the second request do not matter."""
    idle(s)
    first = admitted(s)
    other = Request(meta=Meta(update_id=f"u-{s.nonce}"), input=Input(name="another"))
    second = update(s, request=other)
    task = s.poll()
    complete_with(s, task, done(task))
    first.join()
    second.join()
    update(s, request=other).join()
    s.history()


def two_in_one_task(s: Script) -> None:
    """Updates are delivered in the order of their admission, and may end differently."""
    idle(s)
    first = admitted(s, "first")
    second = admitted(s, "second")
    third = admitted(s, "third")
    task = s.poll()
    one, two, three = task.messages
    complete_with(
        s,
        task,
        [accept(one), reject(two), accept(three), respond(three.protocol_instance_id)],
        start_timer(),
    )
    second.join()
    third.join()
    s.terminate()
    first.join()
    s.history()


def with_first_task(s: Script) -> None:
    """An update that comes before the first task is polled rides on it; its request id is in the link."""
    s.start()
    asked = body(s)
    asked.request_id = f"asked-{s.nonce}"
    pending = admitted(s, request=asked)
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()
    poll_update(s)
    update(s).join()


def unknown(s: Script) -> None:
    """What is not there: the workflow, the run, the update."""
    s.run_id = ""
    update(s).join()
    poll_update(s)
    idle(s)
    poll_update(s)
    update(s, workflow_execution=execution(s.workflow_id, str(uuid.uuid4()))).join()
    update(s, first_execution_run_id=str(uuid.uuid4())).join()
    s.terminate()
    update(s).join()
    poll_update(s)


def bad_requests(s: Script) -> None:
    """Requests that are refused before any run is looked at."""
    idle(s)
    for request in (
        update_request(s, workflow_execution=None),
        update_request(s, workflow_execution=execution("")),
        update_request(s, workflow_execution=execution(s.workflow_id, "nonsense")),
        update_request(s, request=None),
        update_request(s, request=Request(meta=Meta(update_id="x" * 1001), input=Input(name="n"))),
        update_request(s, request=Request(meta=Meta(update_id="x"))),
        update_request(s, request=Request(meta=Meta(update_id="x"), input=Input())),
        update_request(s, wait="ADMITTED"),
    ):
        s.call(request, rpc.UpdateWorkflowExecutionResponse)
    for poll in (
        rpc.PollWorkflowExecutionUpdateRequest(namespace="default"),
        rpc.PollWorkflowExecutionUpdateRequest(namespace="default", update_ref=UpdateRef(update_id="x")),
        rpc.PollWorkflowExecutionUpdateRequest(
            namespace="default", update_ref=UpdateRef(update_id="x", workflow_execution=execution("w", "nonsense"))
        ),
        rpc.PollWorkflowExecutionUpdateRequest(
            namespace="default", update_ref=UpdateRef(workflow_execution=execution(s.workflow_id))
        ),
    ):
        s.call(poll, rpc.PollWorkflowExecutionUpdateResponse)


def defaults(s: Script) -> None:
    """No update id: the server makes one. No wait policy: COMPLETED."""
    idle(s)
    pending = update(s, request=body(s, ""), wait_policy=None)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()


def too_many_in_flight(s: Script) -> None:
    """Ten updates may be on their way, the eleventh is refused.

    The ten are not looked at again: the refusal makes the reference forget them, and admit them anew in any order.
    """
    s.start()
    for number in range(10):
        admitted(s, f"u{number}")
    update(s, "u10").join()


def unprocessed(s: Script) -> None:
    """A worker that says nothing about an update it was sent: the server rejects it, and drops the task."""
    idle(s)
    pending = update(s)
    s.complete(s.poll())
    pending.join()
    s.history()
    s.another("with a command, the task is written")
    idle(s)
    pending = update(s)
    s.complete(s.poll(), start_timer())
    pending.join()
    s.history()


def failing_workflow_task(s: Script) -> None:
    """A workflow task at its third attempt: no update is taken."""
    s.fail_task(s.begin())
    s.fail_task(s.poll())
    update(s).join()
    s.complete(s.poll())
    pending = update(s)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()


def worker_fails_task(s: Script) -> None:
    """A worker fails the task that carried an update: events are written, and the update is sent again."""
    idle(s)
    pending = update(s)
    s.fail_task(s.poll())
    s.history()
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()


def server_fails_task(s: Script) -> None:
    """A bad command fails the task: who was sent hears WORKFLOW_NOT_READY, who was accepted before does not."""
    idle(s)
    early = update(s, "early", "ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], start_timer())
    early.join()
    pending = update(s)
    task = s.poll()
    complete_with(s, task, done(task), start_timer(""))
    pending.join()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()
    poll_update(s, "early")


def closed_over_accepted(s: Script) -> None:
    """A run that closes before an accepted update is completed: the outcome is a failure, for all who ask."""
    for label, command in (
        ("complete", complete_workflow()),
        ("fail", fail_workflow()),
        ("cancel", cancel_workflow()),
    ):
        s.another(label)
        idle(s)
        pending = update(s)
        task = s.poll()
        complete_with(s, task, [accept(task.messages[0])], command)
        pending.join()
        poll_update(s)
        poll_update(s, wait="ACCEPTED")
        poll_update(s, wait="UNSPECIFIED")
        update(s).join()
        s.closed_history()


def closed_over_sent(s: Script) -> None:
    """A run that closes without a word about an update that its worker has."""
    idle(s)
    pending = update(s)
    s.complete(s.poll(), complete_workflow())
    pending.join()
    s.closed_history()


def closed_over_admitted(s: Script) -> None:
    """A run that closes while an update waits for its next task."""
    task = s.begin_quietly()
    pending = admitted(s)
    s.complete(task, complete_workflow())
    pending.join()
    s.closed_history()


def rejected_while_closing(s: Script) -> None:
    """A rejection that comes with the closing command still tells its caller."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])], complete_workflow())
    pending.join()
    s.closed_history()


def terminated(s: Script) -> None:
    """A terminated run: a speculative task that waits, one that runs, and an accepted update."""
    idle(s)
    pending = admitted(s)
    s.terminate()
    pending.join()
    s.history()
    s.another("the task has started")
    idle(s)
    pending = update(s)
    s.poll()
    s.terminate()
    pending.join()
    s.history()
    s.another("the update is accepted")
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])])
    s.terminate()
    pending.join()
    poll_update(s)


def continued_as_new(s: Script) -> None:
    """The caller of an update that was not accepted is sent away, and finds the next run."""
    task = s.begin_quietly()
    pending = admitted(s, workflow_execution=execution(s.workflow_id))
    s.complete(task, continue_as_new())
    pending.join()
    again = admitted(s, workflow_execution=execution(s.workflow_id))
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    again.join()
    s.closed_history(execution=execution(s.workflow_id))


def continued_as_new_of_a_run(s: Script) -> None:
    """The same for a caller who named the run."""
    task = s.begin_quietly()
    pending = admitted(s)
    s.complete(task, continue_as_new())
    pending.join()


def retried_run(s: Script) -> None:
    """A run that fails and is retried: the same; the next run waits for its first task, and the update with it."""
    task = s.begin_quietly(retry_policy=retry_policy(1, 1, 0, 3))
    pending = admitted(s, workflow_execution=execution(s.workflow_id))
    s.complete(task, fail_workflow())
    pending.join()


def run_timeout(s: Script) -> None:
    """A run that times out over an admitted and an accepted update."""
    idle(s, workflow_run_timeout=seconds(1.5))
    accepted = update(s, "accepted")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])])
    sent = update(s, "sent")
    s.poll()
    sent.join()
    accepted.join()
    s.closed_history()


def wait_policies(s: Script) -> None:
    """UNSPECIFIED means COMPLETED for an update. Who waits for a stage that does not exist does not wait."""
    idle(s)
    pending = update(s, wait_policy=stage("UNSPECIFIED"))
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    unknown = WaitPolicy(lifecycle_stage=9)  # type: ignore[arg-type]  # no such stage
    s.call(update_request(s, "other", wait_policy=unknown), rpc.UpdateWorkflowExecutionResponse)
    s.call(poll_request(s, "other", wait_policy=unknown), rpc.PollWorkflowExecutionUpdateResponse)
    task = s.poll()
    complete_with(s, task, done(task))
    s.call(poll_request(s, "other", wait_policy=unknown), rpc.PollWorkflowExecutionUpdateResponse)


def reset(s: Script) -> None:
    """After a reset, what was accepted begins anew: an event admits it, and no message repeats the request."""
    idle(s)
    completed = update(s, "completed")
    task = s.poll()
    complete_with(s, task, done(task))
    completed.join()
    accepted = update(s, "accepted", "ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], start_timer())
    accepted.join()
    reply = s.call(s.reset_request(4), rpc.ResetWorkflowExecutionResponse)
    poll_update(s, "accepted")
    s.run_id = reply.run_id
    poll_update(s, "accepted", "UNSPECIFIED")
    again = s.poll()
    request = Message(id=f"accepted-{s.nonce}/request", protocol_instance_id=f"accepted-{s.nonce}", event_id=6)
    other = Message(id=f"completed-{s.nonce}/request", protocol_instance_id=f"completed-{s.nonce}", event_id=5)
    found = [accept(other, False), respond(other.protocol_instance_id), accept(request, False)]
    complete_with(s, again, found, complete_workflow())
    s.closed_history()


def reset_and_ignored(s: Script) -> None:
    """What the reset admitted anew is refused when the task that brought it ends without taking it up."""
    idle(s)
    pending = update(s, "accepted", "ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], start_timer())
    pending.join()
    s.reset(4)
    s.complete(s.poll())
    s.history()
    s.describe()


def reset_keeps_accepted(s: Script) -> None:
    """The point lies behind the acceptance: the update goes on where it was, and may be completed."""
    idle(s)
    pending = update(s, "accepted", "ACCEPTED")
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], start_timer())
    pending.join()
    s.signal()
    s.complete(s.poll_quietly())
    s.reset(s.history()[-1].event_id)
    task = s.poll()
    complete_with(s, task, [respond(f"accepted-{s.nonce}")])
    s.history()
    poll_update(s, "accepted")
