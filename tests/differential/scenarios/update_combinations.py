"""Updates that meet something else: another update, a failing task, the end of a run, a query (semantics 3.6, 8.2)."""

from __future__ import annotations

from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.update.v1 import Acceptance, Input, Meta, Request, UpdateRef
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..update_values import (
    Poll,
    accept,
    admitted,
    complete_with,
    done,
    idle,
    message,
    poll_update,
    reject,
    respond,
    update,
    update_request,
)
from ..values import (
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    execution,
    fail_workflow,
    payloads,
    retry_policy,
    seconds,
    start_timer,
)

# Another update


def rejected_then_again(s: Script) -> None:
    """The id of a rejected update is free."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    again = update(s)
    task = s.poll()
    complete_with(s, task, done(task))
    again.join()
    s.history()


def rejected_while_another_came(s: Script) -> None:
    """The task is dropped; the next one is speculative if the worker takes it at once, else normal."""
    for inline in (True, False):
        s.another("at once" if inline else "by a poll")
        idle(s)
        pending = update(s)
        task = s.poll()
        other = admitted(s, "other")
        following = complete_with(s, task, [reject(task.messages[0])], return_new_workflow_task=inline)
        pending.join()
        s.history()
        following = following if inline else s.poll()
        complete_with(s, following, done(following))
        other.join()
        s.history()


def in_flight(s: Script) -> None:
    """Accepted updates count against the ten, completed and rejected ones do not."""
    s.start()
    for number in range(10):
        admitted(s, f"u{number}", "ACCEPTED")
    task = s.poll_quietly()
    rejected, completed, *others = sorted(task.messages, key=lambda one: one.id)
    found = [reject(rejected), accept(completed), respond(completed.protocol_instance_id)]
    complete_with(s, task, found + [accept(one) for one in others])
    for update_id in ("a", "b"):
        pending = update(s, update_id, "ACCEPTED")
        task = s.poll()
        complete_with(s, task, [accept(task.messages[0])])
        pending.join()
    update(s, "c", "ACCEPTED").join()


def accepted_in_other_words(s: Script) -> None:
    """History has the request that the client made, whatever the worker's copy says."""
    idle(s)
    pending = update(s)
    task = s.poll()
    request = task.messages[0]
    content = Acceptance(
        accepted_request_message_id="else",
        accepted_request_sequencing_event_id=77,
        accepted_request=Request(meta=Meta(update_id="other", identity="x"), input=Input(name="else")),
    )
    complete_with(s, task, [message(request, "accept", content), respond(request.protocol_instance_id)])
    pending.join()
    s.history()


def caller_leaves(s: Script) -> None:
    """The update goes on without him, and another caller joins it."""
    idle(s)
    s.call(update_request(s), rpc.UpdateWorkflowExecutionResponse, 0.7)
    second = update(s)
    task = s.poll()
    complete_with(s, task, done(task))
    second.join()
    poll_update(s)


# A task that fails


def with_a_second_attempt(s: Script) -> None:
    """An update that comes while a second attempt waits rides on it; one that comes while it runs, on the next."""
    s.fail_task(s.begin_quietly())
    pending = admitted(s)
    s.history()
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.history()
    for inline in (True, False):
        s.another("while it runs, " + ("at once" if inline else "by a poll"))
        s.fail_task(s.begin_quietly())
        task = s.poll()
        pending = admitted(s)
        following = s.complete(task, start_timer(), return_new_workflow_task=inline).workflow_task
        following = following if inline else s.poll()
        complete_with(s, following, done(following))
        pending.join()
        s.history()


def bad_command_of_a_second_attempt(s: Script) -> None:
    """The attempt runs into its timeout, the update is over (3.5.8)."""
    s.fail_task(s.begin_quietly(workflow_task_timeout=seconds(1)))
    pending = admitted(s)
    task = s.poll()
    complete_with(s, task, done(task), start_timer(""))
    pending.join()
    complete_with(s, s.poll(), [], complete_workflow())
    s.history()


def unhandled_command(s: Script) -> None:
    """A signal foils a close: the acceptance with it is undone, and while the next task runs no update is taken."""
    idle(s)
    pending = update(s)
    task = s.poll()
    s.signal()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    task = s.poll()
    update(s, "late").join()
    complete_with(s, task, [], complete_workflow())
    s.closed_history()


def silent_twice(s: Script) -> None:
    """The update is sent again with each attempt."""
    idle(s, workflow_task_timeout=seconds(1))
    pending = update(s)
    s.poll()
    s.poll()
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.history()


def worker_gives_up(s: Script) -> None:
    """What a speculative task leaves behind, by the cause that its worker names."""
    for cause in ("UNHANDLED_COMMAND", "NON_DETERMINISTIC_ERROR", "GRPC_MESSAGE_TOO_LARGE"):
        s.another(cause)
        idle(s)
        pending = update(s)
        s.fail_task(s.poll(), cause)
        s.history()
        if cause == "GRPC_MESSAGE_TOO_LARGE":
            pending.join()


# The end of a run


def closed_in_the_same_task(s: Script) -> None:
    """Who waits for the acceptance only hears the end too, when both come together."""
    for label, command in (("complete", complete_workflow()), ("fail", fail_workflow())):
        s.another(label)
        idle(s)
        pending = update(s, wait="ACCEPTED")
        task = s.poll()
        complete_with(s, task, [accept(task.messages[0])], command)
        pending.join()
        poll_update(s, wait="ACCEPTED")
        poll_update(s)


def messages_behind_the_close(s: Script) -> None:
    """Without commands of their own they come after the close, and are too late (4.10)."""
    idle(s)
    pending = update(s)
    task = s.poll()
    s.complete(task, complete_workflow(), messages=done(task))
    pending.join()
    s.history()


def completed_then_continued(s: Script) -> None:
    """The next run does not know the update; its id begins anew."""
    idle(s)
    s.another_run_waits()
    current = execution(s.workflow_id)
    pending = update(s, workflow_execution=current)
    task = s.poll()
    complete_with(s, task, done(task), continue_as_new())
    pending.join()
    poll_update(s)
    poll_update(s, update_ref=UpdateRef(workflow_execution=current, update_id=f"u-{s.nonce}"))
    s.run_id = ""
    again = admitted(s)
    task = s.poll()
    complete_with(s, task, done(task))
    again.join()


def accepted_then_continued(s: Script) -> None:
    """It does not follow the run: it has failed there, and may be asked for anew."""
    idle(s)
    current = execution(s.workflow_id)
    pending = update(s, workflow_execution=current)
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])])
    s.another_run_waits()
    s.signal()
    complete_with(s, s.poll(), [], continue_as_new())
    pending.join()
    update(s).join()
    s.run_id = ""
    again = admitted(s)
    task = s.poll()
    complete_with(s, task, done(task))
    again.join()


def accepted_then_retried(s: Script) -> None:
    """The same for a run that fails and is retried; another update waits for no backoff."""
    idle(s, retry_policy=retry_policy(1, 1, 0, 3))
    current = execution(s.workflow_id)
    pending = update(s, workflow_execution=current)
    task = s.poll()
    complete_with(s, task, [accept(task.messages[0])], fail_workflow())
    pending.join()
    late = update(s, "late", workflow_execution=current)
    task = s.poll()
    complete_with(s, task, done(task))
    late.join()


def reset_over_it(s: Script) -> None:
    """The run is reset while a speculative task waits, and while one runs."""
    for taken in (False, True):
        s.another("while it runs" if taken else "while it waits")
        idle(s)
        pending = admitted(s)
        if taken:
            s.poll()
        request = rpc.ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=s.execution(),
            reason="again",
            workflow_task_finish_event_id=4,
            request_id=s.new_request_id(),
        )
        s.call(request, rpc.ResetWorkflowExecutionResponse)
        pending.join()
        s.history()


# Something else that is stored, or asked


def heartbeat_and_retry_of_an_activity(s: Script) -> None:
    """Neither is in history; a heartbeat is enough to give a speculative task its events (3.6)."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1), heartbeat_timeout=seconds(30)))
    activity = s.poll_activity()
    pending = admitted(s)
    s.heartbeat(activity)
    s.history()
    s.fail_activity(activity)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history()


def timer_fired_in_the_buffer(s: Script) -> None:
    """It made the speculative task normal; the worker cancels the timer and closes (4.3)."""
    s.complete(s.begin_quietly(), start_timer("t", 0.5))
    pending = update(s)
    task = s.poll()
    s.another_run_waits()
    complete_with(s, task, done(task), cancel_timer("t"), complete_workflow())
    pending.join()
    s.history()


def cancel_request(s: Script) -> None:
    """A request to cancel while the task waits; the worker rejects the update and closes."""
    idle(s)
    pending = admitted(s)
    s.cancel()
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])], cancel_workflow())
    pending.join()
    s.history()


def in_a_start_delay(s: Script) -> None:
    """A rejected update leaves the delay as it was."""
    s.start(workflow_start_delay=seconds(2))
    pending = admitted(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history()
    s.poll()
    s.history()


def _answers(task: Poll) -> dict[str, WorkflowQueryResult]:
    answered = QueryResultType.QUERY_RESULT_TYPE_ANSWERED
    return {key: WorkflowQueryResult(result_type=answered, answer=payloads('"x"')) for key in task.queries}


def query_beside_it(s: Script) -> None:
    """One that waits for the first task with the update; one that comes while a task runs that is dropped."""
    s.start()
    asked = s.query()
    pending = admitted(s)
    s.another_run_waits()
    task = s.poll()
    complete_with(s, task, done(task), query_results=_answers(task))
    pending.join()
    asked.join()
    s.another("a task that is dropped")
    idle(s)
    pending = update(s)
    task = s.poll()
    asked = s.query()
    other = admitted(s, "other")
    s.another_run_waits()
    following = complete_with(s, task, [reject(task.messages[0])], return_new_workflow_task=True)
    pending.join()
    complete_with(s, following, done(following), query_results=_answers(following))
    other.join()
    asked.join()
    s.history()
