"""The life of a workflow task: sticky queues, transient attempts, timeouts, staleness (semantics 3; D4, D10, D11)."""

from __future__ import annotations

import pytest

from perdure.api import enums, failures, history
from perdure.api.splice import split_events
from perdure.errors import NotFound
from perdure.machines.env import Limits
from perdure.machines.workflow.inputs import Stale
from perdure.machines.workflow.task_inputs import WorkflowTaskDelivery
from perdure.machines.workflow.task_token import TaskToken
from tests.machines.builders import SECOND, T0, complete_workflow, event_type, start_timer
from tests.machines.chronicles import Chronicle, busy, idle

MINUTE = 60
D4 = [
    "1 WorkflowExecutionStarted",
    "2 WorkflowTaskScheduled",
    "3 WorkflowTaskStarted(scheduled 2)",
    "4 WorkflowTaskFailed(scheduled 2, started 3, WorkflowWorkerUnhandledFailure)",
]


def transient(delivery: WorkflowTaskDelivery) -> list[str]:
    """The synthetic events of a delivery."""
    found = delivery.transient
    events = [history.HistoryEvent.FromString(found[a:b]) for a, b in split_events(found)]
    return [f"{event.event_id} {event_type(event)}" for event in events]


def failing(times: int) -> Chronicle:
    """A run whose worker has failed its task so many times in a row."""
    story = busy()
    for number in range(times):
        story.fail_task()
        if number < times - 1:
            story.take()
    return story


# -- delivery ----------------------------------------------------------------------------------------------------------


def test_a_first_delivery_carries_the_whole_history() -> None:
    story = Chronicle()
    story.begin()
    delivery = story.take()

    assert (delivery.first_event_id, delivery.next_event_id, delivery.started_event_id) == (1, 4, 3)
    assert (delivery.previous_started_event_id, delivery.attempt, delivery.sticky) == (0, 1, False)
    assert delivery.branches == story.execution.branches
    assert delivery.transient == b""


def test_a_sticky_delivery_carries_what_is_new() -> None:
    """Semantics 3.4: from behind the last completed task's start."""
    story = busy()
    story.complete(sticky=5)
    story.signal()
    assert story.history(after=5) == ["6 WorkflowTaskScheduled(on sticky)"]

    delivery = story.take()

    assert (delivery.previous_started_event_id, delivery.first_event_id, delivery.next_event_id) == (3, 4, 8)


def test_a_start_is_idempotent_by_request_id_and_stale_otherwise() -> None:
    story = Chronicle()
    story.begin()
    fact = story.started_fact("one")
    first = story.expect(WorkflowTaskDelivery, fact)
    again = story.expect(WorkflowTaskDelivery, fact)
    assert not story.stored
    assert again.token.started_time == first.token.started_time

    fact.request_id = "two"
    story.expect(Stale, fact)


def test_a_repeated_start_from_the_normal_queue_is_not_sticky() -> None:
    """A task that was scheduled on the sticky queue, but taken elsewhere, brings the whole history both times."""
    story = busy()
    story.complete(sticky=5)
    story.signal()
    fact = story.started_fact("one")
    fact.sticky, fact.queue = False, "queue"

    first = story.expect(WorkflowTaskDelivery, fact)
    again = story.expect(WorkflowTaskDelivery, fact)

    assert (first.first_event_id, again.first_event_id) == (1, 1)
    assert not story.execution.sticky_queue


@pytest.mark.parametrize(("field", "value"), [("scheduled_event_id", 9), ("attempt", 2), ("stamp", 1)])
def test_a_start_of_another_task_is_stale(field: str, value: int) -> None:
    story = Chronicle()
    story.begin()
    fact = story.started_fact()
    setattr(fact, field, value)

    story.expect(Stale, fact)


def test_a_start_of_a_closed_run_is_stale() -> None:
    story = Chronicle()
    story.begin()
    fact = story.started_fact()
    story.terminate()

    story.expect(Stale, fact)


@pytest.mark.parametrize(
    ("field", "value"), [("scheduled_event_id", 9), ("started_event_id", 9), ("started_time", 9), ("attempt", 2)]
)
def test_a_token_of_another_task_is_not_found(field: str, value: int) -> None:
    story = busy()
    setattr(story.token, field, value)

    with pytest.raises(NotFound, match=r"Workflow task not found."):
        story.complete()
    with pytest.raises(NotFound, match=r"Workflow task not found."):
        story.fail_task()


def test_a_completed_task_cannot_be_completed_again() -> None:
    story = idle()

    with pytest.raises(NotFound, match=r"Workflow task not found."):
        story.complete()


# -- transient tasks ---------------------------------------------------------------------------------------------------


def test_only_the_first_failure_of_a_streak_is_written() -> None:
    """D4."""
    story = failing(3)
    assert story.history() == D4

    delivery = story.take()
    assert (delivery.attempt, delivery.started_event_id, delivery.next_event_id) == (4, 6, 5)
    assert transient(delivery) == ["5 WorkflowTaskScheduled", "6 WorkflowTaskStarted"]
    story.complete()

    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled(attempt 4)",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskCompleted(scheduled 5, started 6)",
    ]
    assert story.execution.last_completed_started_event_id == 6


def test_a_signal_between_attempts_makes_the_next_one_normal() -> None:
    """D4, second half."""
    story = failing(2).signal()
    story.take()

    assert story.history(after=4) == [
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowTaskScheduled",
        "7 WorkflowTaskStarted(scheduled 6)",
    ]


def test_a_signal_during_a_transient_attempt_waits_for_its_end() -> None:
    story = failing(1)
    story.take()
    story.signal()
    assert story.history() == D4
    story.complete(start_timer("t", 60))

    assert story.history(after=4) == [
        "5 WorkflowTaskScheduled(attempt 2)",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskCompleted(scheduled 5, started 6)",
        "8 TimerStarted(t, completed 7)",
        "9 WorkflowExecutionSignaled(go)",
        "10 WorkflowTaskScheduled",
    ]


def test_a_signal_during_a_failing_attempt_makes_the_next_one_normal() -> None:
    """The buffer is flushed before the next task is scheduled (semantics 3.2)."""
    story = failing(1)
    story.take()
    story.signal()
    story.fail_task()

    assert story.history(after=4) == ["5 WorkflowExecutionSignaled(go)", "6 WorkflowTaskScheduled"]


def test_a_transient_task_survives_a_crash() -> None:
    story = failing(2).crash()
    delivery = story.take()

    assert (delivery.attempt, transient(delivery)) == (3, ["5 WorkflowTaskScheduled", "6 WorkflowTaskStarted"])


def test_the_timeout_of_later_attempts_grows() -> None:
    """Semantics 3.2: from the fourth attempt on, 5 s doubling up to 10 min."""
    story = Chronicle()
    story.begin()
    timeouts = []
    for _ in range(13):
        story.take()
        assert story.execution.task is not None
        timeouts.append(story.execution.task.timeout // SECOND)
        story.fail_task()

    assert timeouts == [10, 10, 10, 15, 20, 30, 50, 90, 170, 330, 610, 610, 610]


def test_repeated_problems_are_reported_as_a_search_attribute_until_a_task_succeeds() -> None:
    """Semantics 3.7: from the fifth on."""
    story = failing(4)
    assert "TemporalReportedProblems" not in story.execution.search_attributes
    story.take()
    story.fail_task()
    reported = story.execution.search_attributes["TemporalReportedProblems"]
    assert b"cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure" in reported

    story.turn()

    assert "TemporalReportedProblems" not in story.execution.search_attributes


# -- failure reports ---------------------------------------------------------------------------------------------------


def test_leaving_a_sticky_queue_costs_no_attempt() -> None:
    """Appendix F 7: the next task is a normal one, with events, on the normal queue."""
    story = busy()
    story.complete(sticky=5)
    story.signal()
    story.take()
    story.fail_task()

    assert story.history(after=7) == [
        "8 WorkflowTaskFailed(scheduled 6, started 7, WorkflowWorkerUnhandledFailure)",
        "9 WorkflowTaskScheduled",
    ]
    assert story.execution.task_problems == 0


def test_an_oversized_failure_is_cut() -> None:
    limits = Limits()
    limits.blob_size = 300
    limits.blob_size_warn = 200
    story = busy(limits)
    story.fail_task(reason=failures.application_failure("x" * 1000, "Kind"))

    kept = story.events[3].workflow_task_failed_event_attributes.failure
    assert kept.message == "Failure exceeds size limit."
    assert kept.cause.ByteSize() <= 200


def test_a_cause_that_we_do_not_know_is_kept() -> None:
    story = busy()
    for _ in range(6):
        story.fail_task(999)
        story.take()

    assert story.events[3].workflow_task_failed_event_attributes.cause == 999


def test_a_task_that_cannot_be_sent_terminates_the_run() -> None:
    """Semantics 3.7: the worker will never manage it."""
    story = busy()
    story.signal()
    story.fail_task(enums.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE)

    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowExecutionTerminated(GrpcMessageTooLarge)",
    ]


# -- timeouts ----------------------------------------------------------------------------------------------------------


def test_a_started_task_times_out_and_is_tried_again() -> None:
    story = busy()
    story.wait(9)
    assert len(story.events) == 3
    story.wait(1)
    assert story.history(after=3) == ["4 WorkflowTaskTimedOut(scheduled 2, started 3, StartToClose)"]
    assert story.take().attempt == 2

    story.wait(10)

    assert len(story.events) == 4
    assert story.take().attempt == 3


def test_a_dead_sticky_worker_costs_its_timeout() -> None:
    """D10."""
    story = busy()
    story.complete(sticky=5)
    story.signal().wait(5)

    assert story.history(after=4) == [
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowTaskScheduled(on sticky)",
        "7 WorkflowTaskTimedOut(scheduled 6, ScheduleToStart)",
        "8 WorkflowTaskScheduled",
    ]
    delivery = story.take()
    assert (delivery.first_event_id, delivery.attempt) == (1, 1)


def test_a_task_on_the_normal_queue_waits_for_ever() -> None:
    """Appendix F 36."""
    story = Chronicle()
    story.begin()
    story.wait(3600 * 24 * 365)

    assert len(story.events) == 2


def test_reset_sticky_sends_the_next_task_to_the_normal_queue() -> None:
    story = busy()
    story.complete(sticky=5)
    story.reset_sticky().signal()

    assert story.history(after=5) == ["6 WorkflowTaskScheduled"]
    story.terminate()
    with pytest.raises(NotFound, match="workflow execution already completed"):
        story.reset_sticky()


def test_a_sticky_offer_names_the_normal_queue_as_its_fallback() -> None:
    story = busy()
    story.complete(sticky=5)
    story.signal()

    assert story.last is not None
    (offer,) = story.last.effects
    fallback = getattr(offer, "fallback", None)
    assert fallback is not None
    assert (fallback.queue.name, fallback.queue.sticky) == ("queue", False)


# -- heartbeats --------------------------------------------------------------------------------------------------------


def test_a_heartbeat_brings_the_next_task_inline_and_keeps_the_first_time() -> None:
    """D11."""
    story = busy()
    for _ in range(2):
        story.wait(5)
        story.complete(force_create_new_workflow_task=True, return_new_workflow_task=True, sticky=5)

    assert story.history(after=3) == [
        "4 WorkflowTaskCompleted(scheduled 2, started 3)",
        "5 WorkflowTaskScheduled(on sticky)",
        "6 WorkflowTaskStarted(scheduled 5)",
        "7 WorkflowTaskCompleted(scheduled 5, started 6)",
        "8 WorkflowTaskScheduled(on sticky)",
        "9 WorkflowTaskStarted(scheduled 8)",
    ]
    assert story.execution.task is not None
    assert story.execution.task.original_scheduled_time == T0
    started = story.events[5].workflow_task_started_event_attributes
    assert (started.request_id, started.identity) == ("request-from-RespondWorkflowTaskCompleted", "worker")


def test_heartbeats_end_after_half_an_hour() -> None:
    """Semantics 3.5.2."""
    story = busy()
    for _ in range(30 * 12):
        story.wait(5)
        story.complete(force_create_new_workflow_task=True, return_new_workflow_task=True, sticky=5)
    last = len(story.events)
    story.wait(5)

    outcome = story.respond(force_create_new_workflow_task=True, return_new_workflow_task=True, sticky=5)

    assert isinstance(outcome, NotFound)
    assert outcome.message == "workflow task heartbeat timeout"
    assert story.history(after=last) == [
        f"{last + 1} WorkflowTaskTimedOut(scheduled {last - 1}, started {last}, StartToClose)",
        f"{last + 2} WorkflowTaskScheduled",
    ]


def test_a_heartbeat_that_makes_progress_starts_the_clock_again() -> None:
    story = busy()
    story.wait(5)
    story.complete(start_timer("t", 99), force_create_new_workflow_task=True, return_new_workflow_task=True)

    assert story.execution.task is not None
    assert story.execution.task.original_scheduled_time == T0 + 5 * SECOND


# -- suggestions -------------------------------------------------------------------------------------------------------


def test_a_long_history_suggests_to_continue_as_new() -> None:
    limits = Limits()
    limits.history_count_suggest = 7
    story = Chronicle(limits)
    story.begin()
    story.turn()
    story.signal().take()

    started = story.events[6].workflow_task_started_event_attributes
    assert started.suggest_continue_as_new
    assert list(started.suggest_continue_as_new_reasons) == [
        enums.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS
    ]


def test_a_started_event_counts_the_history_stored_before_its_step() -> None:
    """Events of the same step are not in it (seen in the reference)."""
    story = busy()
    stored_before = story.execution.history_size
    story.complete(force_create_new_workflow_task=True, return_new_workflow_task=True)

    assert story.events[5].workflow_task_started_event_attributes.history_size_bytes == stored_before
    eager = Chronicle()
    eager.begin(request_eager_execution=True)
    assert eager.events[2].workflow_task_started_event_attributes.history_size_bytes == 0


def test_a_token_without_optional_fields_is_good() -> None:
    """Tokens of older servers lack the started id and time."""
    story = busy()
    assert story.token is not None
    token = story.token
    story.token = TaskToken(token.namespace_id, token.workflow_id, token.run_id, 2, 0, 0, 1)
    story.complete(complete_workflow())

    assert story.history(after=4) == ["5 WorkflowExecutionCompleted(completed 4)"]
