"""Completion callbacks of workflows, delivered to an HTTP receiver (semantics 11.4)."""

from __future__ import annotations

import json
from typing import Any as Anything

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Callback, Link, Payload, Payloads
from temporalio.api.enums.v1 import (
    CallbackState,
    EventType,
    WorkflowIdConflictPolicy,
)
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure, TimeoutFailureInfo
from temporalio.api.workflow.v1 import OnConflictOptions
from temporalio.api.workflowservice import v1 as rpc

from ..receiver import Answer, Receiver
from ..script import NAMESPACE, Script
from ..values import (
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    payload,
    payloads,
    retry_policy,
    seconds,
)
from ..wire import RpcFailed

USE_EXISTING = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
DONE = (CallbackState.CALLBACK_STATE_SUCCEEDED, CallbackState.CALLBACK_STATE_FAILED)


def _settled(s: Script, *states: CallbackState.ValueType, attempt: int = 0) -> None:
    """Describe once every callback is in one of these states and has been tried so often."""
    wanted = states or DONE
    request = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution())
    reply = s.eventually(
        request,
        rpc.DescribeWorkflowExecutionResponse,
        lambda shown: (
            bool(shown.callbacks) and all(one.state in wanted and one.attempt >= attempt for one in shown.callbacks)
        ),
        record=False,
    )
    s.record(
        request,
        rpc.DescribeWorkflowExecutionResponse,
        rpc.DescribeWorkflowExecutionResponse(
            callbacks=reply.callbacks, workflow_extended_info=reply.workflow_extended_info
        ),
    )


def _link(s: Script, event_id: int = 5) -> Link:
    event = Link.WorkflowEvent(namespace=NAMESPACE, workflow_id=f"caller-{s.nonce}", run_id=f"run-{s.nonce}")
    event.event_ref.event_id = event_id
    event.event_ref.event_type = EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED
    return Link(workflow_event=event)


def _ended(s: Script, *commands: Command, **fields: Anything) -> None:
    """A workflow whose first task ends it so, and what the receiver gets of it."""
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback()], **fields)
        s.complete(task, *commands)
        receiver.record(1)
        _settled(s)


def completed(s: Script) -> None:
    """The whole way: shown while it waits, delivered at the close, shown as delivered."""
    with Receiver(s) as receiver:
        callback = receiver.callback("/done?a=b%20c&d=e", _link(s), Authorization="Bearer x", X_Odd="y")
        s.start(completion_callbacks=[callback], links=[_link(s), _link(s, 6)])
        s.history()
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)
        task = s.poll()
        s.complete(task, complete_workflow('{"a": 1}'))
        receiver.record(1)
        _settled(s)
        s.history()


def results(s: Script) -> None:
    """How a result of each encoding is put into the request."""
    kinds: dict[str, Payloads | None] = {
        "none": None,
        "empty": Payloads(),
        "two": payloads('"first"', '"second"'),
        "binary": Payloads(payloads=[Payload(metadata={"encoding": b"binary/plain"}, data=b"abc")]),
        "null": Payloads(payloads=[Payload(metadata={"encoding": b"binary/null"})]),
        "no metadata": Payloads(payloads=[Payload(data=b"abc")]),
        "json protobuf": Payloads(
            payloads=[Payload(metadata={"encoding": b"json/protobuf", "messageType": b"a.B"}, data=b"{}")]
        ),
        "protobuf": Payloads(
            payloads=[Payload(metadata={"encoding": b"binary/protobuf", "messageType": b"a.B"}, data=b"x")]
        ),
        "protobuf without type": Payloads(payloads=[Payload(metadata={"encoding": b"binary/protobuf"}, data=b"x")]),
        "encrypted": Payloads(
            payloads=[Payload(metadata={"encoding": b"binary/encrypted", "key": b"k"}, data=b"secret")]
        ),
        "json with more": Payloads(payloads=[payload('"x"', "Keyword")]),
        "content of nexus": Payloads(
            payloads=[
                Payload(metadata={"encoding": b"unknown/nexus-content", "type": b"text/odd", "x": b"y"}, data=b"t")
            ]
        ),
    }
    for label, result in kinds.items():
        s.another(label)
        if result is None:
            _ended(s, _complete_nothing())
        else:
            _ended(s, command("COMPLETE_WORKFLOW_EXECUTION", result=result))


def _complete_nothing() -> Command:
    """A completion without a result."""
    built = complete_workflow()
    built.complete_workflow_execution_command_attributes.ClearField("result")
    built.complete_workflow_execution_command_attributes.SetInParent()
    return built


def failures(s: Script) -> None:
    """A failed workflow: its failure as JSON, with cause, details and stack trace."""
    s.another("plain")
    _ended(s, fail_workflow())
    s.another("with everything")
    cause = Failure(
        message="inner",
        stack_trace="in inner",
        timeout_failure_info=TimeoutFailureInfo(last_heartbeat_details=payloads("1")),
    )
    info = ApplicationFailureInfo(type="Kind", non_retryable=True, details=payloads('"detail"'))
    info.next_retry_delay.CopyFrom(seconds(1.5))
    outer = Failure(message="outer", source="Sdk", stack_trace="in outer", cause=cause, application_failure_info=info)
    outer.encoded_attributes.CopyFrom(payload('"hidden"'))
    _ended(s, fail_workflow(outer))
    s.another("without info")
    _ended(s, fail_workflow(Failure(message="bare")))


def other_ends(s: Script) -> None:
    """Cancelled, terminated, timed out: reasons stay inside."""
    s.another("cancelled")
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback()])
        s.cancel()
        s.complete(task)
        s.complete(s.poll_quietly(), cancel_workflow())
        receiver.record(1)
        _settled(s)
    s.another("terminated")
    with Receiver(s) as receiver:
        s.start(completion_callbacks=[receiver.callback()])
        s.terminate(reason="a secret")
        receiver.record(1)
        _settled(s)
    s.another("timed out")
    with Receiver(s) as receiver:
        s.start(completion_callbacks=[receiver.callback()], workflow_run_timeout=seconds(1))
        receiver.record(1)
        _settled(s)


def _answered(s: Script, *answers: Answer) -> None:
    with Receiver(s, *answers) as receiver:
        s.begin_quietly(completion_callbacks=[receiver.callback()])
        s.terminate()
        receiver.await_requests(1)
        _settled(s)


def _json(status: int, **body: Anything) -> Answer:
    return Answer(status, json.dumps(body).encode(), (("content-type", "application/json"),))


def refused(s: Script) -> None:
    """Answers after which nobody tries again."""
    for status in (400, 401, 403, 404, 409, 501):
        s.another(str(status))
        _answered(s, Answer(status))
    s.another("with a failure")
    _answered(s, _json(400, message="not so", details={"a": 1}, metadata={"type": "odd"}))
    s.another("with text")
    _answered(s, Answer(400, b"plain words", (("content-type", "text/plain"),)))
    s.another("with a handler error")
    _answered(
        s,
        _json(
            500,
            message="no",
            metadata={"type": "nexus.HandlerError"},
            details={"type": "INTERNAL", "retryableOverride": False},
        ),
    )
    s.another("not to be retried")
    _answered(s, Answer(500, b"", (("nexus-request-retryable", "false"),)))


def retried(s: Script) -> None:
    """Answers after which it is tried again, until it succeeds."""
    for status in (408, 418, 424, 429, 500, 502, 503, 520, 302):
        s.another(str(status))
        with Receiver(s, Answer(status, b"odd"), Answer()) as receiver:
            s.begin_quietly(completion_callbacks=[receiver.callback()])
            s.terminate()
            receiver.await_requests(1)
            _settled(s, CallbackState.CALLBACK_STATE_BACKING_OFF, attempt=1)
            receiver.record(2)
            _settled(s)
    s.another("to be retried")
    with Receiver(s, Answer(400, b"", (("nexus-request-retryable", "true"),)), Answer(204)) as receiver:
        s.begin_quietly(completion_callbacks=[receiver.callback()])
        s.terminate()
        receiver.await_requests(1)
        _settled(s, CallbackState.CALLBACK_STATE_BACKING_OFF, attempt=1)
        receiver.record(2)
        _settled(s)


def unreachable(s: Script) -> None:
    """Nobody listens, or nobody answers in time."""
    s.another("refused")
    receiver = Receiver(s)
    with receiver:
        pass
    s.begin_quietly(completion_callbacks=[receiver.callback()])
    s.terminate()
    _settled(s, CallbackState.CALLBACK_STATE_BACKING_OFF, attempt=1)
    s.another("silent")
    with Receiver(s, Answer(pause=3.5), Answer()) as slow:
        s.begin_quietly(completion_callbacks=[slow.callback()])
        s.terminate()
        slow.await_requests(1)
        _settled(s, CallbackState.CALLBACK_STATE_BACKING_OFF, attempt=1)
        slow.await_requests(2)
        _settled(s)


def _next_run(s: Script, kind: str) -> None:
    close = s.await_close()
    s.run_id = getattr(close, f"workflow_execution_{kind}_event_attributes").new_execution_run_id


def continued(s: Script) -> None:
    """Continue-as-new takes callbacks along; the run that ends for good delivers."""
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback("/1"), receiver.callback("/2")])
        s.complete(task, continue_as_new())
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)
        _next_run(s, "continued_as_new")
        s.complete(s.poll_quietly(), complete_workflow())
        receiver.await_requests(2)
        _settled(s)
        reply = s.send(s.history_request(), rpc.GetWorkflowExecutionHistoryResponse)
        assert not isinstance(reply, RpcFailed)
        started = reply.history.events[0].workflow_execution_started_event_attributes
        s.fact("callbacks in the new run", len(started.completion_callbacks))


def retried_workflow(s: Script) -> None:
    """A retry by policy takes callbacks along."""
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback()], retry_policy=retry_policy(attempts=2))
        s.complete(task, fail_workflow())
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)
        _next_run(s, "failed")
        s.complete(s.poll_quietly(), fail_workflow(failure("again")))
        receiver.record(1)
        _settled(s)
        s.history()


def timed_out_retry(s: Script) -> None:
    """A retry after a run timeout takes callbacks along too."""
    with Receiver(s) as receiver:
        s.start(
            completion_callbacks=[receiver.callback()],
            retry_policy=retry_policy(attempts=2),
            workflow_run_timeout=seconds(1),
        )
        _next_run(s, "timed_out")
        receiver.record(1)
        _settled(s)


def cron(s: Script) -> None:
    """A cron schedule's next run has none: the first run delivers."""
    with Receiver(s) as receiver:
        s.start(completion_callbacks=[receiver.callback()], cron_schedule="@every 1s")
        s.complete(s.poll_quietly(), complete_workflow())
        receiver.record(1)
        _settled(s)
        _next_run(s, "completed")
        s.history()
        s.terminate()


def reset(s: Script) -> None:
    """The new run has the callbacks again; the one that the reset ends does not deliver."""
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback()])
        s.complete(task)
        old = s.run_id
        reply = s.call(s.reset_request(4), rpc.ResetWorkflowExecutionResponse)
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)
        s.run_id = reply.run_id
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)
        s.complete(s.poll_quietly(), complete_workflow())
        receiver.record(1)
        _settled(s)
        s.run_id = old
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)


def reset_closed(s: Script) -> None:
    """A reset of a run that has delivered delivers again."""
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback()])
        s.complete(task, complete_workflow())
        receiver.await_requests(1)
        _settled(s)
        reply = s.call(s.reset_request(4), rpc.ResetWorkflowExecutionResponse)
        s.run_id = reply.run_id
        s.complete(s.poll_quietly(), complete_workflow('"again"'))
        receiver.record(2)
        _settled(s)


def reset_attached(s: Script) -> None:
    """What was attached after the point is attached again."""
    with Receiver(s) as receiver:
        task = s.begin_quietly()
        s.complete(task)
        s.start(
            completion_callbacks=[receiver.callback()],
            workflow_id_conflict_policy=USE_EXISTING,
            on_conflict_options=OnConflictOptions(attach_request_id=True, attach_completion_callbacks=True),
        )
        old = s.run_id
        reply = s.call(s.reset_request(4), rpc.ResetWorkflowExecutionResponse)
        s.run_id = reply.run_id
        s.history()
        s.complete(s.poll_quietly(), complete_workflow())
        receiver.record(1)
        _settled(s)
        s.run_id = old
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)


def reset_continued(s: Script) -> None:
    """A reset of an earlier run ends the current one, which has callbacks of its own."""
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback()])
        first = s.run_id
        s.complete(task, continue_as_new())
        _next_run(s, "continued_as_new")
        s.poll_quietly()
        second = s.run_id
        s.run_id = first
        reply = s.call(s.reset_request(4), rpc.ResetWorkflowExecutionResponse)
        s.run_id = second
        receiver.record(1)
        _settled(s)
        s.run_id = reply.run_id
        s.terminate()
        receiver.await_requests(2)
        _settled(s)


def attached(s: Script) -> None:
    """USE_EXISTING attaches callbacks to the open run, also while its task is on a worker."""
    options = OnConflictOptions(attach_request_id=True, attach_completion_callbacks=True, attach_links=True)
    with Receiver(s) as receiver:
        task = s.begin_quietly(completion_callbacks=[receiver.callback("/first")])
        again = s.start_request(
            completion_callbacks=[receiver.callback("/second", _link(s)), receiver.callback("/third")],
            links=[_link(s, 7)],
            workflow_id_conflict_policy=USE_EXISTING,
            on_conflict_options=options,
        )
        s.call(again, rpc.StartWorkflowExecutionResponse)
        s.call(again, rpc.StartWorkflowExecutionResponse)
        _settled(s, CallbackState.CALLBACK_STATE_STANDBY)
        s.complete(task)
        s.history()
        unattached = s.start_request(
            completion_callbacks=[receiver.callback("/fourth")],
            workflow_id_conflict_policy=USE_EXISTING,
            on_conflict_options=OnConflictOptions(attach_request_id=True),
        )
        s.call(unattached, rpc.StartWorkflowExecutionResponse)
        s.terminate()
        receiver.await_requests(3)
        _settled(s)


def attached_while_buffered(s: Script) -> None:
    """Callbacks attached while a workflow task runs are the run's at once, though their event waits for its id."""
    with Receiver(s) as receiver:
        task = s.begin_quietly()
        s.start(
            completion_callbacks=[receiver.callback()],
            workflow_id_conflict_policy=USE_EXISTING,
            on_conflict_options=OnConflictOptions(attach_request_id=True, attach_completion_callbacks=True),
        )
        s.complete(task, complete_workflow())
        s.complete(s.poll_quietly(), complete_workflow())
        s.history()
        receiver.record(1)
        _settled(s)


def validation(s: Script) -> None:
    """What is wrong with callbacks, in Temporal's words."""
    url = "http://127.0.0.1:9/x"
    long_header = {"a" * 4000: "b" * 4193}
    cases: dict[str, list[Callback]] = {
        "no variant": [Callback()],
        "newer variant": [Callback(nexus_handler=Callback.NexusHandler())],
        "no url": [Callback(nexus=Callback.Nexus())],
        "scheme": [Callback(nexus=Callback.Nexus(url="ftp://127.0.0.1:9/x"))],
        "no host": [Callback(nexus=Callback.Nexus(url="http:///x"))],
        "relative": [Callback(nexus=Callback.Nexus(url="/x"))],
        "unparsable": [Callback(nexus=Callback.Nexus(url="http://127.0.0.1:port/x"))],
        "bad escape": [Callback(nexus=Callback.Nexus(url="http://127.0.0.1:9/%zz"))],
        "control": [Callback(nexus=Callback.Nexus(url="http://127.0.0.1:9/\x01"))],
        "other host": [Callback(nexus=Callback.Nexus(url="http://example.com/x"))],
        "user in url": [Callback(nexus=Callback.Nexus(url="http://127.0.0.1:9@example.com/x"))],
        "insecure": [Callback(nexus=Callback.Nexus(url="http://host.secure/x"))],
        "temporal": [Callback(nexus=Callback.Nexus(url="temporal://other"))],
        "long url": [Callback(nexus=Callback.Nexus(url=url + "x" * 1000))],
        "long header": [Callback(nexus=Callback.Nexus(url=url, header=long_header))],
        "bad link": [Callback(nexus=Callback.Nexus(url=url), links=[Link()])],
        "many links": [Callback(nexus=Callback.Nexus(url=url), links=[_link(s, n + 1) for n in range(11)])],
        "second bad": [Callback(nexus=Callback.Nexus(url=url)), Callback()],
        "too many": [Callback(nexus=Callback.Nexus(url=url))] * 2001,
    }
    for label, callbacks in cases.items():
        s.section(label)
        s.start(completion_callbacks=callbacks)
    s.another("internal variant")
    s.start(completion_callbacks=[Callback(internal=Callback.Internal(data=b"x"))])
    s.another("not attached without options")
    s.start()
    s.start(completion_callbacks=[Callback(nexus=Callback.Nexus(url=url))], workflow_id_conflict_policy=USE_EXISTING)
    s.describe()


def internal_addresses(s: Script) -> None:
    """Addresses of the server itself are taken without a rule; what is sent there must bear a token of its own."""
    for label, url in {"system": "temporal://system", "internal": "temporal://internal"}.items():
        for kind, header in {"none": {}, "bad": {"Temporal-Callback-Token": "odd"}}.items():
            s.another(f"{label} {kind}")
            s.begin_quietly(completion_callbacks=[Callback(nexus=Callback.Nexus(url=url, header=header))])
            s.terminate()
            _settled(s)
