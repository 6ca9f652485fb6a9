"""Speculative workflow tasks: what makes them normal, what lets them vanish (semantics 3.1 - 3.8); messages."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as Packed
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.protocol.v1 import Message
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.update.v1 import Acceptance, Input, Meta, Outcome, Request, Response
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..update_values import (
    accept,
    admitted,
    complete_with,
    done,
    idle,
    message,
    places,
    poll_update,
    reject,
    respond,
    update,
)
from ..values import command, complete_workflow, failure, huge, payloads, queue, seconds, start_timer

ANSWERED = QueryResultType.QUERY_RESULT_TYPE_ANSWERED
MANY_EVENTS = rpc.RespondWorkflowTaskCompletedRequest.Capabilities(discard_speculative_workflow_task_with_events=True)


def signal_before_start(s: Script) -> None:
    """D5: a signal while the task waits: SCHEDULED first, then SIGNALED; the task carries both."""
    idle(s)
    pending = admitted(s)
    s.describe()
    s.history()
    s.signal()
    s.history()
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history()


def signal_after_start(s: Script) -> None:
    """A signal while the task runs: SCHEDULED and STARTED are written, the signal waits in the buffer."""
    idle(s)
    pending = update(s)
    task = s.poll()
    s.describe()
    s.signal()
    s.history()
    complete_with(s, task, done(task))
    pending.join()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def cancel_after_start(s: Script) -> None:
    """A request to cancel while the task runs; the worker rejects the update and gets a task for the request."""
    idle(s)
    pending = update(s)
    task = s.poll()
    s.cancel()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def activity_ends(s: Script) -> None:
    """An activity's start and result are stored: they make a waiting task normal."""
    s.complete(s.begin_quietly(), s.activity())
    pending = admitted(s)
    activity = s.poll_activity()
    s.history()
    s.complete_activity(activity)
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()


def timer_fires(s: Script) -> None:
    """A timer that fires while the task waits."""
    s.complete(s.begin_quietly(), start_timer("t", 1))
    pending = admitted(s)
    s.await_event("TIMER_FIRED")
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()


def never_polled(s: Script) -> None:
    """3.8: nobody polls the normal queue for 5 s: SCHEDULED, TIMED_OUT, and a normal task.

    The reference's queue brings the task that timed out first, which makes it forget the update: no poll here.
    """
    idle(s)
    pending = admitted(s)
    s.await_event("WORKFLOW_TASK_TIMED_OUT")
    s.history()
    s.terminate()
    pending.join()
    s.closed_history()


def converted_and_never_polled(s: Script) -> None:
    """3.6: a task that a signal made normal keeps its schedule-to-start timeout."""
    idle(s)
    pending = admitted(s)
    s.signal()
    s.await_event("WORKFLOW_TASK_TIMED_OUT")
    s.history()
    s.terminate()
    pending.join()
    s.closed_history()


def worker_is_silent(s: Script) -> None:
    """3.8: start-to-close: SCHEDULED, STARTED, TIMED_OUT are written; the update is sent again."""
    idle(s, workflow_task_timeout=seconds(1))
    pending = update(s)
    lost = s.poll()
    task = s.poll()
    s.complete(lost)
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()


def sticky(s: Script) -> None:
    """On the sticky queue the task brings nothing but its own two events."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())
    waiting = []
    task = s.poll_sticky(lambda: waiting.append(update(s)))
    complete_with(s, task, [reject(task.messages[0])], sticky_attributes=s.sticky())
    waiting[0].join()
    second = update(s, "second")
    task = s.poll_sticky()
    complete_with(s, task, done(task), sticky_attributes=s.sticky())
    second.join()
    s.history()


def sticky_never_polled(s: Script) -> None:
    """The sticky worker is gone: schedule-to-start timeout, then a normal task on the normal queue."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky(1))
    s.complete(s.poll_sticky(s.signal), sticky_attributes=s.sticky(1))
    pending = update(s)
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()


def sticky_without_poller(s: Script) -> None:
    """Nobody has polled the sticky queue: the task goes to the normal queue at once, with the whole history."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky(1))
    pending = update(s)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.history()


def rejected_with_events(s: Script) -> None:
    """3.5.3: a task that also showed events is written, unless the worker can take them back."""
    s.complete(s.begin_quietly())
    s.signal()
    task = s.poll()
    pending = admitted(s)
    s.complete(task)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history()
    for label, fields in (("plain", {}), ("capable", {"capabilities": MANY_EVENTS})):
        s.another(label)
        s.complete(s.begin_quietly(), s.activity(), **fields)
        s.heartbeat(s.poll_activity())
        pending = update(s)
        task = s.poll()
        complete_with(s, task, [reject(task.messages[0])], **fields)
        pending.join()
        s.history()


def rejected_with_command(s: Script) -> None:
    """A rejection together with a command is written."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])], start_timer())
    pending.join()
    s.history()


def next_task_inline(s: Script) -> None:
    """An update that comes while a task runs: with return_new_workflow_task the next one is speculative, at once."""
    task = s.begin_quietly()
    pending = admitted(s)
    inline = s.complete(task, return_new_workflow_task=True).workflow_task
    s.history()
    second = admitted(s, "second")
    inline = complete_with(s, inline, [reject(inline.messages[0])], return_new_workflow_task=True)
    pending.join()
    complete_with(s, inline, done(inline), return_new_workflow_task=True)
    second.join()
    s.history()


def next_task_queued(s: Script) -> None:
    """Without it, the next task is a normal one."""
    task = s.begin_quietly()
    pending = admitted(s)
    s.complete(task)
    s.history()
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.history()


def next_task_with_signal(s: Script) -> None:
    """A buffered signal and an update: one normal task for both."""
    task = s.begin_quietly()
    s.signal()
    pending = admitted(s)
    inline = s.complete(task, return_new_workflow_task=True).workflow_task
    complete_with(s, inline, done(inline), complete_workflow())
    pending.join()
    s.closed_history()


def heartbeat(s: Script) -> None:
    """A heartbeat (force_create_new_workflow_task) rejects nothing, and its next task brings only what is new."""
    idle(s)
    pending = update(s)
    task = s.poll()
    second = admitted(s, "second")
    fields = {"force_create_new_workflow_task": True, "return_new_workflow_task": True}
    inline = s.complete(task, **fields).workflow_task
    complete_with(s, inline, [*done(task), *done(inline)], complete_workflow())
    pending.join()
    second.join()
    s.closed_history()


def with_query(s: Script) -> None:
    """A query while a speculative task is pending rides on it."""
    idle(s)
    pending = admitted(s)
    query = s.query()
    s.eventually(
        rpc.DescribeWorkflowExecutionRequest(namespace="default", execution=s.execution()),
        rpc.DescribeWorkflowExecutionResponse,
        lambda reply: reply.HasField("pending_workflow_task"),
        record=False,
    )
    s.another_run_waits()
    task = s.poll()
    answers = {key: WorkflowQueryResult(result_type=ANSWERED, answer=payloads('"answer"')) for key in task.queries}
    complete_with(s, task, [reject(task.messages[0])], query_results=answers)
    pending.join()
    query.join()
    s.history()


def sticky_reset(s: Script) -> None:
    """ResetStickyTaskQueue is in no history: a task that waits or runs stays speculative."""
    for taken in (False, True):
        s.another("while it runs" if taken else "while it waits")
        idle(s)
        pending = admitted(s)
        task = s.poll() if taken else None
        s.reset_sticky()
        task = task or s.poll()
        complete_with(s, task, [reject(task.messages[0])])
        pending.join()
        s.history()


def before_first_task_of_delayed_start(s: Script) -> None:
    """A run that waits for its start delay."""
    s.start(workflow_start_delay=seconds(2))
    pending = admitted(s)
    s.describe()
    task = s.poll()
    complete_with(s, task, done(task), complete_workflow())
    pending.join()
    s.closed_history()


def lost_token(s: Script) -> None:
    """A task that was dropped cannot be completed again."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, [reject(task.messages[0])])
    pending.join()
    s.complete(task)
    s.fail_task(task)


# Messages


def order_of_messages(s: Script) -> None:
    """4.10: messages take effect where their commands stand; the others after all commands, in order."""
    idle(s)
    first, second = admitted(s, "first"), admitted(s, "second")
    task = s.poll()
    one, two = task.messages
    one_in, one_out = accept(one), respond(one.protocol_instance_id)
    two_in, two_out = accept(two), respond(two.protocol_instance_id)
    commands = [start_timer("a"), *places(two_in), start_timer("b"), *places(one_in), start_timer("c")]
    s.complete(task, *commands, messages=[two_out, one_out, one_in, two_in])
    first.join()
    second.join()
    s.history()


def bad_messages(s: Script) -> None:
    """Messages that fail the workflow task, with the reason that the worker is told."""
    unknown = Message(id="m", protocol_instance_id="unknown")
    empty = Message(id="m", protocol_instance_id="unknown")
    untyped = Message(id="m", protocol_instance_id="unknown")
    untyped.body.value = b"x"
    foreign = Message(id="m", protocol_instance_id="unknown")
    foreign.body.Pack(failure())
    blank = message(unknown, "m", Acceptance())
    big = message(unknown, "m", Response(meta=Meta(update_id="unknown"), outcome=Outcome(success=huge())))
    for label, found in (
        ("empty", [empty]),
        ("untyped", [untyped]),
        ("foreign", [foreign]),
        ("unknown acceptance", [blank]),
        ("unknown response", [respond("unknown")]),
        ("too big", [big]),
    ):
        s.another(label)
        idle(s)
        s.signal()
        s.complete(s.poll(), messages=found)
        s.history()


def bad_transitions(s: Script) -> None:
    """Messages at the wrong time: a response before the acceptance, an acceptance twice, blanks."""
    for label in (
        "response first",
        "twice",
        "no message id",
        "no sequencing id",
        "no meta",
        "wrong meta",
        "no outcome",
    ):
        s.another(label)
        idle(s)
        pending = update(s)
        task = s.poll()
        request = task.messages[0]
        accepted, responded = accept(request), respond(request.protocol_instance_id)
        content = Acceptance(accepted_request_message_id=request.id, accepted_request_sequencing_event_id=4)
        answer = Response(meta=Meta(update_id=request.protocol_instance_id), outcome=Outcome(success=payloads("1")))
        match label:
            case "response first":
                found = [responded]
            case "twice":
                found = [accepted, message(request, "again", content)]
            case "no message id":
                content.accepted_request_message_id = ""
                found = [message(request, "m", content)]
            case "no sequencing id":
                content.accepted_request_sequencing_event_id = 0
                found = [message(request, "m", content)]
            case "no meta":
                answer.ClearField("meta")
                found = [accepted, message(request, "m", answer)]
            case "wrong meta":
                answer.meta.update_id = "another"
                found = [accepted, message(request, "m", answer)]
            case _:
                answer.ClearField("outcome")
                found = [accepted, message(request, "m", answer)]
        s.complete(task, *places(*found), messages=found)
        pending.join()
        s.history()


def unreadable_messages(s: Script) -> None:
    """Bodies that are not what they say, for an update that waits and for one that nobody knows."""
    for label, name, value in (
        ("acceptance", "Acceptance", b"\xff\xff"),
        ("rejection", "Rejection", b"\xff\xff"),
        ("response", "Response", b"\xff\xff"),
        ("a request", "Request", b""),
        ("no such type", "Nonsense", b""),
    ):
        body = Packed(type_url="type.googleapis.com/temporal.api.update.v1." + name, value=value)
        s.another(label)
        idle(s)
        update(s)
        task = s.poll()
        s.complete(task, messages=[Message(id="m", protocol_instance_id=f"u-{s.nonce}", body=body)])
        s.history()
        s.another(label + " for nobody")
        idle(s)
        s.signal()
        s.complete(s.poll(), messages=[Message(id="m", protocol_instance_id="nobody", body=body)])
        s.history()


def absent_message(s: Script) -> None:
    """A PROTOCOL_MESSAGE command without its message, or without attributes."""
    for label, wrong in (
        ("absent", command("PROTOCOL_MESSAGE", message_id="nowhere")),
        ("blank", command("PROTOCOL_MESSAGE", message_id="")),
        ("none", command("PROTOCOL_MESSAGE")),
    ):
        s.another(label)
        idle(s)
        pending = update(s)
        s.complete(s.poll(), wrong)
        pending.join()
        s.history()


def resurrected(s: Script) -> None:
    """A worker accepts or rejects an update that the server does not know: its message has the request."""
    idle(s)
    s.signal()
    task = s.poll()
    asked = Request(meta=Meta(update_id=f"gone-{s.nonce}"), input=Input(name="change"))
    request = Message(id=f"gone-{s.nonce}/request", protocol_instance_id=f"gone-{s.nonce}", event_id=5)
    request.body.Pack(asked)
    complete_with(s, task, [accept(request), respond(request.protocol_instance_id)])
    s.history()
    poll_update(s, "gone")
    s.signal()
    task = s.poll()
    refused = Message(id=f"other-{s.nonce}/request", protocol_instance_id=f"other-{s.nonce}", event_id=5)
    refused.body.Pack(Request(meta=Meta(update_id=f"other-{s.nonce}"), input=Input(name="change")))
    complete_with(s, task, [reject(refused)])
    poll_update(s, "other")


def completed_again(s: Script) -> None:
    """A response to an update that is completed already."""
    idle(s)
    pending = update(s)
    task = s.poll()
    complete_with(s, task, done(task))
    pending.join()
    s.signal()
    again = respond(task.messages[0].protocol_instance_id)
    complete_with(s, s.poll(), [again])
    s.history()


def queue_of_events(s: Script) -> None:
    """The scheduled event names the queue on which the task was, normal or sticky."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky(30))
    waiting = []
    task = s.poll_sticky(lambda: waiting.append(update(s)))
    s.signal()
    complete_with(s, task, done(task))
    waiting[0].join()
    s.poll(queue(s.queue))
    s.history()
