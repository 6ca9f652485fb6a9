"""Completion callbacks on the pure machine: who has them, when they are owed, what becomes of an answer (11.4)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from perdure.api import common, enums, failure, update, workflow
from perdure.errors import FailedPrecondition, InvalidArgument, NotFound
from perdure.machines.env import Limits
from perdure.machines.workflow import invocations
from perdure.machines.workflow.callback import BACKING_OFF, FAILED, SCHEDULED, STANDBY, SUCCEEDED
from perdure.machines.workflow.calls import InvokeCallback
from perdure.machines.workflow.exchange import CallbackInvoked, CallUndelivered
from perdure.machines.workflow.inputs import AlarmRang
from perdure.machines.workflow.invocations import HttpAnswer, Outgoing
from perdure.machines.workflow.operator_inputs import Delete
from perdure.machines.workflow.update_inputs import AdmitUpdate
from perdure.machines.workflow.updates import STAGE_ACCEPTED
from tests.machines.builders import SECOND, complete_workflow, retry_policy
from tests.machines.chronicles import USE_EXISTING, Chronicle, continue_as_new, fail_workflow
from tests.machines.update_messages import accept, reject, respond

ATTACH = workflow.OnConflictOptions(attach_request_id=True, attach_completion_callbacks=True)


def spec(path: str = "done", size: int = 0) -> common.Callback:
    callback = common.Callback()
    callback.nexus.url = f"https://receiver:8443/{path}"
    if size:
        callback.nexus.header["x-large"] = "x" * size
    return callback


def begun(count: int = 1, limits: Limits | None = None, size: int = 0, **fields: Any) -> Chronicle:
    """A workflow with so many callbacks."""
    story = Chronicle(limits)
    story.begin(completion_callbacks=[spec(str(n), size) for n in range(count)], **fields)
    return story


def attach(story: Chronicle, *callbacks: common.Callback, **fields: Any) -> None:
    story.begin(
        completion_callbacks=list(callbacks),
        workflow_id_conflict_policy=USE_EXISTING,
        on_conflict_options=ATTACH,
        **fields,
    )


def states(story: Chronicle, letter: str = "") -> list[int]:
    run = story.run(letter) if letter else story.execution
    return [callback.state for _, callback in sorted(run.callbacks.items())]


def answer(story: Chronicle, call: InvokeCallback, status: int) -> None:
    """The receiver answers an invocation that is under way."""
    if call in story.invocations:
        story.invocations.remove(call)
    story.apply(invocations.answer(call, HttpAnswer(status, "", "", "", b"")))


def test_a_callback_waits_for_the_close_and_is_delivered_once() -> None:
    story = begun()
    assert (states(story), story.invocations) == ([STANDBY], [])
    story.turn(complete_workflow())
    assert states(story) == [SCHEDULED]
    (call,) = story.invocations
    answer(story, call, 200)
    assert states(story) == [SUCCEEDED]
    assert not story.execution.calls
    answer(story, call, 500)
    assert states(story) == [SUCCEEDED], "a late answer changes nothing"


def test_a_failed_attempt_is_repeated_after_a_growing_pause() -> None:
    story = begun()
    story.terminate()
    pauses = []
    for attempt in range(1, 15):
        answer(story, story.invocations[0], 503)
        callback = story.execution.callbacks[1]
        assert (callback.state, callback.attempt, story.invocations) == (BACKING_OFF, attempt, [])
        assert failure.Failure.FromString(callback.last_failure).message == "handler error (UNAVAILABLE)"
        pauses.append((callback.next_attempt_time - story.now) / SECOND)
        story.wait(pauses[-1] - 0.001)
        assert not story.invocations
        story.wait(0.002)
        assert len(story.invocations) == 1
    for attempt, pause in enumerate(pauses):
        nominal = min(3600, 1 << attempt)
        assert 0.8 * nominal <= pause <= nominal
    answer(story, story.invocations[0], 200)
    callback = story.execution.callbacks[1]
    assert (callback.state, callback.attempt, callback.last_failure) == (SUCCEEDED, 15, b"")


def test_a_refusal_is_final() -> None:
    story = begun()
    story.terminate()
    answer(story, story.invocations[0], 400)
    callback = story.execution.callbacks[1]
    assert (states(story), len(story.execution.calls), callback.next_attempt_time) == ([FAILED], 0, 0)
    assert failure.Failure.FromString(callback.last_failure).application_failure_info.non_retryable


def test_only_the_run_that_ends_for_good_delivers() -> None:
    """Continue-as-new and a retry take the callbacks along, those attached meanwhile too."""
    story = begun(retry_policy=retry_policy(1, attempts=2))
    attach(story, spec("later"))
    story.wait(2)
    story.turn(continue_as_new(retry_policy=retry_policy(1, attempts=2)))
    assert (states(story, "A"), states(story)) == ([STANDBY, STANDBY], [STANDBY, STANDBY])
    story.turn(fail_workflow())
    assert states(story, "B") == [STANDBY, STANDBY]
    story.wait(2)
    story.turn(fail_workflow())
    assert states(story) == [SCHEDULED, SCHEDULED]
    assert {call.sender.run_id for call in story.invocations} == {story.run_id}


def test_the_next_run_of_a_schedule_has_none() -> None:
    story = begun(cron_schedule="* * * * *")
    story.turn(complete_workflow())
    assert states(story, "A") == [SCHEDULED]
    assert states(story) == []


def test_attaching_twice_attaches_once() -> None:
    story = begun()
    for _ in range(2):
        attach(story, spec("a"), spec("b"), request_id="again")
    assert len(story.execution.callbacks) == 3
    story.take()
    attach(story, spec("c"))
    assert len(story.execution.callbacks) == 4, "at once, though the event waits for the task"
    story.complete()
    assert len(story.execution.callbacks) == 4
    story.terminate()
    links = {invocations._link(call).rpartition("=")[2] for call in story.invocations}
    assert links == {"EventReference", "again", "request-4"}


def test_no_more_than_the_limit_is_attached() -> None:
    limits = Limits()
    limits.callbacks = 2
    story = begun(2, limits)
    with pytest.raises(FailedPrecondition, match=r"more than 2 callbacks to a workflow \(2 callbacks already"):
        attach(story, spec())


@pytest.mark.parametrize("size", [0, 5000])
def test_many_callbacks_are_rows_of_their_own(size: int) -> None:
    """A step about one of them writes one, and a new owner finds them all."""
    story = begun(40 if not size else 3, size=size)
    story.terminate()
    count = len(story.invocations)
    answer(story, story.invocations[0], 500)
    answer(story, story.invocations[0], 200)
    assert story.shelf.rows_written == 1
    story.crash()
    assert sorted(states(story)) == sorted([BACKING_OFF, SUCCEEDED, *[SCHEDULED] * (count - 2)])
    assert len(story.invocations) == count - 2


def test_a_new_owner_waits_for_the_next_attempt_as_the_old_one_did() -> None:
    story = begun()
    story.terminate()
    answer(story, story.invocations[0], 500)
    story.crash()
    assert not story.invocations
    story.wait(1)
    assert len(story.invocations) == 1


def test_no_answer_at_all_sends_it_again() -> None:
    story = begun()
    story.terminate()
    call = story.invocations.pop()
    story.apply(CallUndelivered(call.sender.run_id, call.sender.item))
    (again,) = story.invocations
    assert again.attempt == call.attempt == 0


def test_what_cannot_be_delivered_is_given_up_with_the_run() -> None:
    """Retention is the policy: it does not wait for a receiver that is gone, but for the request under way."""
    story = begun()
    story.terminate()
    story.now += 2 * 86_400 * SECOND
    story.ring()
    assert story.state.current is not None, "a request is under way"
    answer(story, story.invocations[0], 500)
    story.ring()
    assert story.state.chain is None or not story.state.chain.run_count


def test_a_deleted_run_delivers_before_it_goes() -> None:
    story = begun()
    story.apply(Delete(story.run_id))
    call = story.invocations[0]
    answer(story, call, 200)
    run_id = call.sender.run_id
    story.apply(AlarmRang(run_id))
    with pytest.raises(NotFound):
        story.apply(CallbackInvoked(run_id, 1, 0, "", False))


@pytest.mark.parametrize("seed", range(40))
def test_every_callback_is_delivered_under_faults(seed: int) -> None:
    """Answers lost, repeated and late, owners that die: in the end the receiver has had each of them."""
    rough = random.Random(seed)
    story = begun(rough.choice([1, 3, 20]))
    story.turn(complete_workflow())
    delivered: set[bytes] = set()
    old: list[CallbackInvoked] = []
    for _ in range(rough.randrange(5, 60)):
        choice = rough.random()
        if choice < 0.15:
            story.crash()
        elif choice < 0.3 and old:
            story.apply(rough.choice(old))
        elif choice < 0.45:
            story.wait(rough.random() * 5)
        elif story.invocations:
            call = story.invocations.pop(rough.randrange(len(story.invocations)))
            _carry_badly(story, call, rough, delivered, old)
    for _ in range(400):
        if not story.invocations and BACKING_OFF not in states(story):
            break
        for call in list(story.invocations):
            delivered.add(call.spec)
            answer(story, call, 200)
        story.wait(60)
    assert set(states(story)) == {SUCCEEDED}
    assert delivered == {callback.spec for callback in story.execution.callbacks.values()}


def _carry_badly(
    story: Chronicle, call: InvokeCallback, rough: random.Random, delivered: set[bytes], old: list[CallbackInvoked]
) -> None:
    status = rough.choice([200, 500, 503])
    if status == 200:
        delivered.add(call.spec)
    came = invocations.answer(call, HttpAnswer(status, "", "", "", b""))
    if rough.random() < 0.3:
        story.apply(CallUndelivered(call.sender.run_id, call.sender.item))
        return
    old.append(came)
    story.apply(came)


def test_no_header_of_a_callback_touches_the_framing() -> None:
    """A callback's own headers may not end a request early or begin another."""
    story = Chronicle()
    callback = spec()
    for name in ("content-length", "transfer-encoding", "host", "connection", "trailer", "x-mine"):
        callback.nexus.header[name] = "0"
    story.begin(completion_callbacks=[callback])
    story.terminate()
    asked = invocations.request(story.invocations[0], story.events[-1])
    assert isinstance(asked, Outgoing)
    assert "x-mine" in asked.headers
    assert not {"content-length", "transfer-encoding", "host", "connection", "trailer"} & set(asked.headers)


def test_no_payload_of_a_worker_touches_the_framing() -> None:
    """The metadata of a Nexus content name headers, in whatever case."""
    content = common.Payload(metadata={"encoding": b"unknown/nexus-content"}, data=b"hello")
    for name in ("Length", "LENGTH", "Type"):
        content.metadata[name] = b"3"
    story = begun()
    command = complete_workflow()
    command.complete_workflow_execution_command_attributes.result.payloads.append(content)
    story.turn(command)
    asked = invocations.request(story.invocations[0], story.events[-1])
    assert isinstance(asked, Outgoing)
    assert (asked.headers["content-type"], asked.body) == ("3", b"hello")
    assert "content-length" not in [name.lower() for name in asked.headers]


@pytest.mark.parametrize("name", ["transfer-encoding ", "a: b", "a:b", "", "x\r\ny", "é"])
def test_what_is_no_name_of_a_header_is_not_sent(name: str) -> None:
    story = Chronicle()
    callback = spec()
    callback.nexus.header[name] = "0"
    story.begin(completion_callbacks=[callback])
    story.terminate()
    came = invocations.request(story.invocations[0], story.events[-1])
    assert isinstance(came, CallbackInvoked)
    assert came.problem.startswith("net/http: invalid header field name")
    assert came.retryable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (599, b'{"metadata": {}, "message": "\\ud800"}'),
        (500, b'{"metadata": {"type": "nexus.HandlerError"}, "message": "\\ud800"}'),
        (599, b"[" * 500_000),
    ],
)
def test_words_of_a_receiver_are_text(status: int, body: bytes) -> None:
    """What is no Unicode could not be stored: the run would ask again for ever, or be lost."""
    story = begun()
    story.turn(complete_workflow())
    answered = HttpAnswer(status, "\udcff\udcfe", "application/json", "", body)
    came = invocations.answer(story.invocations[0], answered)
    assert came.problem.encode()
    story.apply(came)
    assert states(story) == [BACKING_OFF]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.b/c?d", "https://a.b"),
        ("http://a:1", "http://a:1"),
        ("http://a?x=http://b/", "http://a"),
        ("http://[::1]:80/x", "http://[::1]:80"),
    ],
)
def test_a_destination_is_scheme_and_host(url: str, expected: str) -> None:
    callback = common.Callback()
    callback.nexus.url = url
    assert invocations.destination(callback) == expected


@pytest.mark.parametrize(
    "body",
    [b"[]", b"1", b'{"metadata": 1}', b'{"metadata": {"type": "nexus.HandlerError"}, "details": []}', b"{", b"\xff"],
)
def test_any_body_of_an_answer_is_survived(body: bytes) -> None:
    story = begun()
    story.terminate()
    came = invocations.answer(story.invocations[0], HttpAnswer(500, "no", "application/json; charset=x", "", body))
    assert (came.problem, came.retryable) == ("handler error (INTERNAL)", True)
    assert enums.CALLBACK_STATE_BACKING_OFF == BACKING_OFF


# -- updates -----------------------------------------------------------------------------------------------------------


def updated(limits: Limits | None = None) -> Chronicle:
    """A run that may have callbacks of updates, with an update on the worker that has one."""
    limits = limits or Limits()
    limits.update_callbacks = True
    story = begun(0, limits)
    story.turn()
    ask(story, "r1", spec("update"))
    story.take()
    return story


def asked_for(request_id: str, callbacks: tuple[common.Callback, ...], update_id: str = "u") -> update.Request:
    return update.Request(
        meta=update.Meta(update_id=update_id),
        input=update.Input(name="change"),
        request_id=request_id,
        completion_callbacks=callbacks,
    )


def ask(story: Chronicle, request_id: str, *callbacks: common.Callback, update_id: str = "u") -> object:
    """UpdateWorkflowExecution by a caller who waits for the acceptance and brings these callbacks."""
    request = asked_for(request_id, callbacks, update_id).SerializeToString()
    bodies = tuple([callback.SerializeToString() for callback in callbacks])
    story.last_waiter += 1
    return story.apply(AdmitUpdate("", "", update_id, request, STAGE_ACCEPTED, story.last_waiter, request_id, bodies))


def test_a_callback_of_an_update_waits_for_its_outcome() -> None:
    story = updated()
    story.complete(messages=[accept()])
    assert (states(story), story.invocations) == ([STANDBY], [])
    story.signal()
    story.take()
    story.complete(messages=[respond()])
    (call,) = story.invocations
    assert states(story) == [SCHEDULED]
    answer(story, call, 503)
    story.wait(1)
    answer(story, story.invocations[0], 200)
    assert states(story) == [SUCCEEDED]
    assert story.execution.running


def test_an_open_run_owes_its_callbacks_after_a_crash() -> None:
    """Owed, and backing off: both are found again, also when the run has closed meanwhile."""
    story = updated()
    story.complete(messages=[accept(), respond()])
    story.crash()
    answer(story, story.invocations[0], 500)
    story.crash()
    assert not story.invocations
    story.terminate()
    story.wait(1)
    answer(story, story.invocations[0], 200)
    assert states(story) == [SUCCEEDED]


def test_the_end_of_the_run_ends_its_updates() -> None:
    """Each callback is told of what it waited for; only those for the close go on to the next run."""
    story = updated()
    attach(story, spec("run"))
    story.complete(messages=[accept()])
    story.wait(2)
    story.signal()
    story.take()
    story.complete(continue_as_new())
    assert (states(story, "A"), states(story)) == ([STANDBY, SCHEDULED], [STANDBY])
    (call,) = story.invocations
    asked = invocations.request(call, story.shelf.histories[call.sender.run_id][call.event_id - 1])
    assert isinstance(asked, Outgoing)
    assert b"Workflow completed before the Update completed" in asked.body


def test_a_further_caller_attaches_until_there_is_an_outcome() -> None:
    story = updated()
    for _ in range(2):
        ask(story, "r2", spec("second"))
    story.complete(messages=[accept()])
    for _ in range(2):
        ask(story, "r3", spec("third"))
    assert states(story) == [STANDBY] * 3
    story.signal()
    story.take()
    ask(story, "r4", spec("fourth"))
    story.complete(messages=[respond()])
    assert states(story) == [SCHEDULED] * 4
    ask(story, "r5", spec("fifth"))
    assert len(story.execution.callbacks) == 4, "who comes later has the answer"


def test_a_rejected_update_tells_nobody() -> None:
    story = updated()
    ask(story, "r2", spec("second"))
    story.complete(messages=[reject()])
    assert not story.execution.callbacks


def test_callbacks_of_updates_have_limits_of_their_own() -> None:
    limits = Limits()
    limits.callbacks_per_update, limits.callbacks_beside_updates = 2, 3
    story = updated(limits)
    story.complete(messages=[accept()])
    with pytest.raises(FailedPrecondition, match=r'more than 2 callbacks to update "u" \(1 callbacks already'):
        ask(story, "r2", spec("a"), spec("b"))
    with pytest.raises(FailedPrecondition, match=r"more than 3 callbacks to a workflow \(1 callbacks already"):
        ask(story, "r2", *[spec(str(n)) for n in range(3)], update_id="other")
    with pytest.raises(InvalidArgument, match="request_id is required"):
        ask(story, "", spec("a"))


def test_a_worker_brings_no_addresses() -> None:
    """An update that the server has forgotten comes back with the worker's copy, whose addresses nobody checked."""
    story = updated()
    story.complete(messages=[accept(), respond()])
    story.signal()
    request = asked_for("r2", (spec("of the worker"),), "forgotten")
    story.take()
    story.complete(messages=[accept("forgotten", request=request)])
    assert "forgotten" in {pending.update_id for pending in story.execution.updates}
    assert [callback.update_id for callback in story.execution.callbacks.values()] == ["u"]
