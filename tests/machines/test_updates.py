"""Updates of a run and the speculative workflow tasks that carry them (semantics 8.2, 3.1 - 3.8; D5, F 11, 12, 39)."""

from __future__ import annotations

import pytest

from perdure.api import enums, update, workflowservice
from perdure.errors import (
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    WorkflowNotReady,
)
from perdure.machines.env import Limits
from perdure.machines.workflow import alarm, codec, machine
from perdure.machines.workflow.inputs import Stale
from perdure.machines.workflow.update_inputs import UpdateLost, UpdatePending, UpdateStatus
from perdure.machines.workflow.updates import STAGE_ACCEPTED, STAGE_ADMITTED, STAGE_COMPLETED
from tests.machines.builders import SECOND, complete_workflow, schedule_activity, start_timer
from tests.machines.chronicles import (
    Chronicle,
    busy,
    cancel_workflow,
    continue_as_new,
    idle,
    update_request,
)
from tests.machines.update_messages import accept, outcome, place, reject, requests, respond

UNSPECIFIED = 0
Capabilities = workflowservice.RespondWorkflowTaskCompletedRequest.Capabilities


def stage(status: object) -> int:
    """The stage of a status."""
    assert isinstance(status, UpdateStatus), status
    return status.stage


def failure_type(status: object) -> str:
    """The type of the failure that is an update's outcome."""
    assert isinstance(status, UpdateStatus), status
    assert status.stage == STAGE_COMPLETED
    return update.Outcome.FromString(status.outcome).failure.application_failure_info.type


def done(story: Chronicle, *update_ids: str) -> Chronicle:
    """The worker accepts and completes these updates."""
    found = [message for update_id in update_ids for message in (accept(update_id), respond(update_id))]
    story.complete(*[place(message) for message in found], messages=found)
    return story


# -- speculative tasks -------------------------------------------------------------------------------------------------


def test_an_update_of_an_idle_run_stores_nothing_until_it_is_accepted() -> None:
    """D5: virtual ids 5 and 6; the acceptance writes the task and itself at once."""
    story = idle()
    assert isinstance(story.update(), UpdatePending)
    delivery = story.take()
    assert not story.stored
    assert (delivery.started_event_id, delivery.next_event_id) == (6, 5)
    assert [(m.id, m.event_id) for m in requests(delivery)] == [("u/request", 5)]

    done(story, "u")
    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskCompleted(scheduled 5, started 6)",
        "8 WorkflowExecutionUpdateAccepted(u, after 1)",
        "9 WorkflowExecutionUpdateCompleted(accepted 8)",
    ]
    heard = story.heard(story.last_waiter)
    assert isinstance(heard, UpdateStatus)
    assert (heard.stage, heard.outcome) == (STAGE_COMPLETED, outcome().SerializeToString())


def test_a_rejected_update_leaves_no_trace() -> None:
    """D5, F5: nothing is written; the worker rolls back to the last completed task."""
    story = idle()
    story.update()
    story.take()
    answer = story.complete(messages=[reject()])
    assert not story.stored
    assert answer.reset_event_id == 3
    assert failure_type(story.heard(story.last_waiter)) == "Kind"
    assert story.execution.task is None
    assert not machine.pinned(story.execution)
    story.signal()
    assert story.history(after=4) == ["5 WorkflowExecutionSignaled(go)", "6 WorkflowTaskScheduled"]


@pytest.mark.parametrize(("capable", "events"), [(False, []), (True, []), (False, ["t"]), (True, ["t"])])
def test_what_a_dropped_task_may_have_shown(capable: bool, events: list[str]) -> None:
    """Semantics 3.5.3: events in between keep the task, unless the worker can take them back."""
    story = idle(*[start_timer(name, 100) for name in events])
    story.update()
    story.take()
    capabilities = Capabilities(discard_speculative_workflow_task_with_events=capable)
    answer = story.complete(messages=[reject()], capabilities=capabilities)
    dropped = capable or not events
    assert bool(answer.reset_event_id) == dropped
    assert story.stored != dropped


def test_a_signal_makes_a_waiting_task_normal() -> None:
    """D5: SCHEDULED keeps its id and comes first; its offer stays good."""
    story = idle()
    story.update()
    story.signal()
    assert story.history(after=4) == ["5 WorkflowTaskScheduled", "6 WorkflowExecutionSignaled(go)"]
    delivery = story.take()
    assert delivery.started_event_id == 7
    assert [m.event_id for m in requests(delivery)] == [6]


def test_a_signal_makes_a_running_task_normal() -> None:
    """Semantics 3.6: STARTED is written without an identity, the signal waits."""
    story = idle()
    story.update()
    story.take()
    story.signal()
    assert story.history(after=4) == ["5 WorkflowTaskScheduled", "6 WorkflowTaskStarted(scheduled 5)"]
    assert story.event(6).workflow_task_started_event_attributes.identity == ""
    answer = story.complete(messages=[reject()])
    assert answer.reset_event_id == 0
    assert story.history(after=6) == [
        "7 WorkflowTaskCompleted(scheduled 5, started 6)",
        "8 WorkflowExecutionSignaled(go)",
        "9 WorkflowTaskScheduled",
    ]


def test_stored_steps_without_events_make_it_normal_too() -> None:
    """Semantics 3.6: whatever is stored."""
    story = idle(schedule_activity("a", start_to_close=20))
    story.update()
    story.take_activity()
    assert story.history(after=5) == ["6 WorkflowTaskScheduled"]


def test_nobody_polls_for_five_seconds() -> None:
    """Semantics 3.8: SCHEDULED and TIMED_OUT, then a normal task that carries the update."""
    story = idle()
    story.update()
    story.wait(5)
    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled",
        "6 WorkflowTaskTimedOut(scheduled 5, ScheduleToStart)",
        "7 WorkflowTaskScheduled",
    ]
    story.wait(60)
    assert story.history(after=7) == [], "a normal task waits for ever"
    assert len(requests(story.take())) == 1


def test_a_converted_task_keeps_its_schedule_to_start_timeout_after_a_crash() -> None:
    """Semantics 3.6: the timer becomes a regular one."""
    story = idle()
    story.update()
    story.signal()
    story.crash()
    assert story.execution.updates == ()
    story.wait(5)
    assert story.history(after=6) == ["7 WorkflowTaskTimedOut(scheduled 5, ScheduleToStart)", "8 WorkflowTaskScheduled"]


def test_a_silent_worker() -> None:
    """Semantics 3.8: start-to-close of a speculative task writes all its events; the update is sent again."""
    story = idle()
    story.update()
    story.take()
    story.wait(10)
    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskTimedOut(scheduled 5, started 6, StartToClose)",
    ]
    assert len(requests(story.take())) == 1


def test_a_worker_that_fails_its_task_gets_the_update_again() -> None:
    """Semantics 3.7: events are written for a speculative task."""
    story = idle()
    story.update()
    story.take()
    story.fail_task()
    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskFailed(scheduled 5, started 6, WorkflowWorkerUnhandledFailure)",
    ]
    assert len(requests(story.take())) == 1


def test_nothing_of_a_speculative_task_survives_a_crash() -> None:
    """DESIGN 1.5: neither the task nor the update; the stored alarm knows nothing of them either."""
    story = idle()
    before = codec.encode_run(story.execution)
    story.update()
    assert codec.encode_run(story.execution) == before
    assert alarm.durable_alarm(story.execution) == alarm.NEVER
    assert alarm.volatile_alarm(story.execution) < alarm.NEVER
    story.take()
    token = story.token
    story.crash()
    assert story.execution.task is None
    story.token = token
    with pytest.raises(NotFound, match="Workflow task not found"):
        story.respond(messages=[reject()])


def test_what_callers_are_told_when_the_process_forgets_the_run() -> None:
    """Who is not accepted may come again; who is accepted need not."""
    story = idle()
    story.update("a")
    first = story.last_waiter
    story.take()
    story.complete(messages=[accept("a")])
    story.update("b")
    told = {answer.waiter: answer.outcome for answer in machine.forgotten(story.state)}  # type: ignore[union-attr]
    assert stage(told[first]) == STAGE_ACCEPTED
    lost = told[story.last_waiter]
    assert isinstance(lost, UpdateLost)
    assert isinstance(lost.error, Unavailable)


def test_a_task_without_updates_is_not_delivered() -> None:
    """Semantics 3.3: nothing to send, so no task."""
    story = idle()
    story.update()
    fact = story.started_fact()
    execution = story.execution.fork()
    execution.updates = ()
    story.state.runs = story.state.runs.set(story.run_id, execution)
    assert isinstance(story.apply(fact), Stale)
    assert story.execution.task is None


def test_a_task_that_is_returned_with_the_answer_is_speculative() -> None:
    """Semantics 3.5.9: an update that came meanwhile goes out at once, and nothing is stored for it."""
    story = busy()
    story.update()
    answer = story.complete(return_new_workflow_task=True)
    assert answer.workflow_task is not None
    assert (answer.workflow_task.started_event_id, answer.workflow_task.first_event_id) == (6, 4)
    assert len(requests(answer.workflow_task)) == 1
    assert story.history(after=3) == ["4 WorkflowTaskCompleted(scheduled 2, started 3)"]
    answer = story.complete(messages=[reject()], return_new_workflow_task=True)
    assert (answer.reset_event_id, answer.workflow_task) == (3, None)


def test_without_that_the_next_task_is_normal() -> None:
    story = busy()
    story.update()
    story.complete()
    assert story.history(after=4) == ["5 WorkflowTaskScheduled"]


def test_a_heartbeat_neither_rejects_nor_sends_again() -> None:
    """Semantics 3.5.7, 8.2: its task brings only what is new."""
    story = idle()
    story.update("a")
    story.take()
    story.update("b")
    fields = {"force_create_new_workflow_task": True, "return_new_workflow_task": True}
    answer = story.complete(**fields)
    assert answer.workflow_task is not None
    assert [m.protocol_instance_id for m in requests(answer.workflow_task)] == ["b"]
    done(story, "a", "b")
    assert len(story.answers) == 2


# -- what callers are told ---------------------------------------------------------------------------------------------


def test_stages() -> None:
    """An acceptance is told to who waits for it; the outcome comes later."""
    story = idle()
    story.update("u", STAGE_ACCEPTED)
    first = story.last_waiter
    story.update("u")
    second = story.last_waiter
    assert stage(story.poll_update(stage=UNSPECIFIED)) == STAGE_ADMITTED
    story.take()
    story.complete(messages=[accept()])
    assert stage(story.heard(first)) == STAGE_ACCEPTED
    assert story.heard(second) is None
    assert stage(story.poll_update(stage=STAGE_ACCEPTED)) == STAGE_ACCEPTED
    assert isinstance(story.poll_update(), UpdatePending)
    third = story.last_waiter
    story.signal()
    story.take()
    story.complete(messages=[respond()])
    assert stage(story.heard(second)) == stage(story.heard(third)) == STAGE_COMPLETED
    assert story.heard(first) is not None


def test_a_completed_update_is_found_through_history() -> None:
    """F11, F12: by its id, whatever else is asked; also of a closed run, also after a crash."""
    story = idle()
    story.update()
    story.take()
    done(story, "u")
    story.terminate()
    for _ in range(2):
        for found in (story.update(), story.poll_update(stage=STAGE_ACCEPTED), story.poll_update(stage=UNSPECIFIED)):
            assert isinstance(found, UpdateStatus)
            assert (found.stage, found.completed_event_id) == (STAGE_COMPLETED, 9)
        story.crash()


def test_a_caller_that_leaves() -> None:
    """The update goes on; a second call attaches to it."""
    story = idle()
    story.update()
    gone = story.last_waiter
    assert stage(story.abandon_update(gone)) == STAGE_ADMITTED
    story.update()
    story.take()
    done(story, "u")
    assert story.heard(gone) is None
    assert stage(story.heard(story.last_waiter)) == STAGE_COMPLETED


def test_unprocessed_updates_are_rejected() -> None:
    story = idle()
    story.update()
    story.take()
    assert story.complete().reset_event_id == 3
    assert failure_type(story.heard(story.last_waiter)) == "UnprocessedUpdate"


def test_a_task_that_the_server_fails() -> None:
    """Who was sent is told; who was only admitted rides on the next task; the batch leaves no trace."""
    story = idle()
    story.update("sent")
    sent = story.last_waiter
    story.take()
    story.update("new")
    found = [accept("sent"), respond("sent")]
    story.rejected(*[place(message) for message in found], start_timer("", 1), messages=found)
    assert isinstance(story.heard(sent), WorkflowNotReady)
    assert story.heard(story.last_waiter) is None
    assert [m.protocol_instance_id for m in requests(story.take())] == ["new"]
    assert story.execution.update_count == 0


def test_closing_over_updates() -> None:
    """The abort table of semantics 8.2 for a run that closes itself, accepted in the same task or before."""
    story = idle()
    story.update("before")
    before = story.last_waiter
    story.take()
    story.complete(messages=[accept("before")])
    story.update("same", STAGE_ACCEPTED)
    same = story.last_waiter
    story.update("sent")
    sent = story.last_waiter
    story.take()
    story.update("admitted")
    story.complete(place(accept("same")), complete_workflow(), messages=[accept("same")])
    assert failure_type(story.heard(before)) == "AcceptedUpdateCompletedWorkflow"
    assert failure_type(story.heard(same)) == "AcceptedUpdateCompletedWorkflow"
    for waiter in (sent, story.last_waiter):
        assert isinstance(story.heard(waiter), NotFound)
    assert failure_type(story.poll_update("before")) == "AcceptedUpdateCompletedWorkflow"
    assert failure_type(story.crash().poll_update("before", UNSPECIFIED)) == "AcceptedUpdateCompletedWorkflow"
    with pytest.raises(NotFound, match="not found"):
        story.poll_update("sent")
    with pytest.raises(NotFound, match="workflow execution already completed"):
        story.update("sent")


def test_a_run_that_goes_on_sends_callers_away() -> None:
    """Continue-as-new: they come again and find the next run."""
    story = busy()
    story.update()
    story.complete(continue_as_new())
    assert isinstance(story.heard(story.last_waiter), ResourceExhausted)
    assert story.execution.updates == ()


def test_terminating_over_a_speculative_task() -> None:
    """One that waits vanishes; one that runs is written and failed by force."""
    story = idle()
    story.update()
    story.terminate()
    assert story.history(after=4) == ["5 WorkflowExecutionTerminated(enough)"]
    story = idle()
    story.update()
    story.take()
    story.terminate()
    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskFailed(scheduled 5, started 6, ForceCloseCommand)",
        "8 WorkflowExecutionTerminated(enough)",
    ]


def test_a_rejection_may_come_with_the_closing_command() -> None:
    story = idle()
    story.update()
    story.take()
    story.complete(cancel_workflow(), messages=[reject()])
    assert failure_type(story.heard(story.last_waiter)) == "Kind"


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused(story: Chronicle, update_id: str = "u", **fields: str) -> ServiceError:
    """The update must be refused, and nothing may change."""
    with pytest.raises(ServiceError) as caught:
        story.update(update_id, **fields)  # type: ignore[arg-type]
    return caught.value


def test_limits() -> None:
    """In flight, in total (rejections do not count), and in bytes."""
    limits = Limits()
    limits.updates_in_flight = 2
    limits.updates_total = 3
    limits.updates_suggest = 0.5
    story = idle(limits=limits)
    story.update("a")
    story.update("b")
    assert isinstance(refused(story, "c"), ResourceExhausted)
    story.update("b")
    story.take()
    story.complete(messages=[accept("a"), respond("a"), reject("b")])
    story.update("c")
    story.take()
    attributes = story.execution.task
    assert attributes is not None
    assert attributes.suggest_reasons == (enums.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES,)
    done(story, "c")
    story.update("d")
    assert isinstance(refused(story, "e"), FailedPrecondition)
    limits.updates_in_flight_size = 10
    assert isinstance(refused(idle(limits=limits), "e"), ResourceExhausted)


def test_a_failing_workflow_task_takes_no_updates() -> None:
    """From the third attempt on."""
    story = busy()
    story.fail_task()
    story.take()
    story.fail_task()
    assert isinstance(refused(story), WorkflowNotReady)


def test_another_chain_of_runs() -> None:
    story = idle()
    assert str(refused(story, first="another")) == "workflow execution not found"
    assert isinstance(story.update(first=story.run_id), UpdatePending)


def test_messages_that_fail_the_task() -> None:
    """Unknown updates and wrong transitions; the batch leaves no trace."""
    for messages, text in (
        ([respond()], "while in state Sent"),
        ([accept(), accept()], "while in state ProvisionallyAccepted"),
        ([accept(), respond(), respond()], "while in state ProvisionallyCompleted"),
        ([accept("other")], "update other wasn't found"),
    ):
        story = idle()
        story.update()
        story.take()
        assert text in story.rejected(messages=messages)
        assert story.execution.update_count == 0
        assert story.history(after=6)[0].startswith("7 WorkflowTaskFailed(scheduled 5, started 6, BadUpdate")


def test_resurrection() -> None:
    """F39, 8.2: a worker accepts an update that a crash took from the server: its message has the request."""
    story = idle()
    story.signal()
    story.take()
    story.update()
    story.crash()
    token = story.execution.task
    assert token is not None
    story.token = None
    story.wait(10)
    story.take()
    request = update.Request.FromString(update_request("u"))
    story.complete(messages=[accept("u", 7, request)])
    event = story.events[-1].workflow_execution_update_accepted_event_attributes
    assert event.accepted_request == request
    assert stage(story.poll_update(stage=UNSPECIFIED)) == STAGE_ACCEPTED
    assert requests(story.signal().take()) == []


# -- cost --------------------------------------------------------------------------------------------------------------


def test_many_completed_updates_cost_nothing_to_carry() -> None:
    """DESIGN 1.4: beyond a few, ids of completed updates are rows, written once and fetched by key."""
    limits = Limits()
    limits.updates_in_flight = 0
    story = idle(limits=limits)
    sizes: list[int] = []
    for number in range(60):
        story.update(f"u{number}")
        story.take()
        done(story, f"u{number}")
        sizes.append(len(codec.encode_run(story.execution)))
        assert story.shelf.rows_written <= 1 or number == 16
    assert sizes[-1] < sizes[15]
    story.crash()
    assert len(story.execution.completed_updates) == 0
    assert stage(story.poll_update("u7")) == STAGE_COMPLETED
    assert isinstance(story.update("u60"), UpdatePending)
    story.take()
    assert "in state Completed" in story.rejected(messages=[respond("u3")])


def test_an_update_in_a_delayed_start_makes_a_task_at_once() -> None:
    """As the reference: the update does not wait for the delay; the delay's own task comes all the same."""
    story = Chronicle()
    story.begin(delay=7)
    story.update()
    story.take()
    story.complete(messages=[reject()])
    story.wait(7)
    assert story.now >= 7 * SECOND
    assert story.history(after=1)[-1].endswith("WorkflowTaskScheduled")
