"""Completions: batches that hold or leave no trace, buffered events and their order, annotations (semantics 3.5, 4)."""

from __future__ import annotations

import pytest

from perdure.api import command as commands
from perdure.api import common, enums, workflowservice
from perdure.api import history as api_history
from perdure.errors import InvalidArgument, ResourceExhausted
from perdure.machines.env import Limits
from perdure.machines.workflow.activity_inputs import ActivityTaskCompleted
from perdure.machines.workflow.bad_attributes import BadSearchAttributes
from perdure.machines.workflow.inputs import Signal, Stale
from perdure.machines.workflow.task_inputs import WorkflowTaskCompleted
from tests.machines.builders import (
    cancel_timer,
    complete_workflow,
    request_cancel_activity,
    schedule_activity,
    start_timer,
    target_of,
)
from tests.machines.chronicles import (
    Chronicle,
    busy,
    cancel_workflow,
    continue_as_new,
    fail_workflow,
    idle,
    modify_memo,
    payload,
    record_marker,
    upsert_search_attributes,
)


def awake(*wanted: commands.Command, limits: Limits | None = None) -> Chronicle:
    """A run that has done this much, with its second workflow task on the worker."""
    story = idle(*wanted, limits=limits)
    story.signal("wake")
    story.take()
    return story


def own_attributes(story: Chronicle) -> list[str]:
    """Names of the search attributes that the worker set, not the server."""
    return sorted(name for name in story.execution.search_attributes if name != "BuildIds")


# -- buffered events ---------------------------------------------------------------------------------------------------


def test_a_signal_during_a_task_comes_after_its_commands() -> None:
    """D3."""
    story = busy()
    story.signal()
    assert story.history(after=3) == []
    story.complete(start_timer("t", 60))

    assert story.history(after=3) == [
        "4 WorkflowTaskCompleted(scheduled 2, started 3)",
        "5 TimerStarted(t, completed 4)",
        "6 WorkflowExecutionSignaled(go)",
        "7 WorkflowTaskScheduled",
    ]


def test_a_run_does_not_close_over_a_signal() -> None:
    """D3, second half: the flush makes the next task a normal one."""
    story = busy()
    story.signal()

    assert story.rejected(complete_workflow()) == "UnhandledCommand"
    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, UnhandledCommand)",
        "5 WorkflowExecutionSignaled(go)",
        "6 WorkflowTaskScheduled",
    ]


@pytest.mark.parametrize("closing", [complete_workflow(), fail_workflow(), cancel_workflow(), continue_as_new()])
def test_no_closing_command_overlooks_an_event(closing: commands.Command) -> None:
    story = busy()
    story.signal()

    assert story.rejected(start_timer("t", 1), closing) == "UnhandledCommand"
    assert not story.execution.timers


def test_completions_are_flushed_last() -> None:
    """D18: two activities complete and a signal arrives between them while a task runs."""
    story = awake(schedule_activity("a"), schedule_activity("b"))
    a, b = story.take_activity(), story.take_activity()
    story.apply(ActivityTaskCompleted(story.run_id, target_of(a), None, "worker"))
    story.signal()
    story.apply(ActivityTaskCompleted(story.run_id, target_of(b), None, "worker"))
    story.crash()
    story.complete()

    assert story.history(after=9) == [
        "10 WorkflowTaskCompleted(scheduled 8, started 9)",
        "11 ActivityTaskStarted(scheduled 5)",
        "12 WorkflowExecutionSignaled(go)",
        "13 ActivityTaskStarted(scheduled 6)",
        "14 ActivityTaskCompleted(scheduled 5, started 11)",
        "15 ActivityTaskCompleted(scheduled 6, started 13)",
        "16 WorkflowTaskScheduled",
    ]


def test_a_full_buffer_ends_the_running_task() -> None:
    """Semantics 0.1: by count or by bytes, the server takes the task back; what waited is written before the next."""
    limits = Limits()
    limits.buffered_events = 3
    story = busy(limits)
    for _ in range(3):
        story.signal()
    assert story.history(after=3) == []
    story.signal()

    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        *[f"{number} WorkflowExecutionSignaled(go)" for number in (5, 6, 7, 8)],
    ]
    assert story.take().attempt == 2
    limits = Limits()
    limits.buffered_events_size = 100
    other = busy(limits)
    other.signal("x" * 100)
    assert other.history(after=5) == []
    other.signal()
    assert other.take().attempt == 1, "the newest event came behind its place"


def test_a_worker_that_tries_to_close_shuts_out_signals_during_its_next_task() -> None:
    """Close-attempted protection (semantics 3.7, 7.1; Appendix F 4)."""
    story = busy()
    story.signal()
    story.rejected(complete_workflow())
    story.signal("still welcome")
    story.take()
    story.crash()

    with pytest.raises(ResourceExhausted, match="workflow operation can not be applied because workflow is closing"):
        story.signal()
    with pytest.raises(ResourceExhausted):
        story.signal_with_start()

    story.fail_task()
    story.take()
    story.signal("welcome again")
    assert story.execution.signal_count == 3


def test_a_firing_that_was_buffered_can_be_taken_back() -> None:
    """D7: and then the run may close."""
    story = awake(start_timer("t", 5))
    story.wait(6)
    story.crash()
    assert len(story.execution.buffered) == 1
    story.complete(cancel_timer("t"), complete_workflow())

    assert story.history(after=8) == [
        "9 WorkflowTaskCompleted(scheduled 7, started 8)",
        "10 TimerCanceled(t, started 5, completed 9)",
        "11 WorkflowExecutionCompleted(completed 9)",
    ]


def test_an_id_whose_firing_is_buffered_can_be_used_again() -> None:
    story = awake(start_timer("t", 5))
    story.wait(6)
    story.complete(start_timer("t", 60))

    assert story.history(after=9) == [
        "10 TimerStarted(t, completed 9)",
        "11 TimerFired(t, started 5)",
        "12 WorkflowTaskScheduled",
    ]
    assert story.execution.timers["t"].started_event_id == 10


def test_cancelling_an_unstarted_activity_wakes_the_workflow() -> None:
    """D6, with a timer behind it."""
    story = awake(schedule_activity("a"))
    story.complete(request_cancel_activity(5), start_timer("t", 60))

    assert story.history(after=9) == [
        "10 ActivityTaskCancelRequested(scheduled 5, completed 9)",
        "11 TimerStarted(t, completed 9)",
        "12 ActivityTaskCanceled(scheduled 5, requested 10)",
        "13 WorkflowTaskScheduled",
    ]


@pytest.mark.parametrize("crashed", [False, True])
def test_an_activity_that_came_with_the_answer_times_out(crashed: bool) -> None:
    """It was never offered, so nobody else has set its clock."""
    story = busy()
    outcome = story.complete(schedule_activity("a", schedule_to_close=90, start_to_close=20, eager=True))
    assert [delivery.attempt for delivery in outcome.activities] == [1]
    assert story.offers == []
    if crashed:
        story.crash()
    story.wait(25)

    assert story.activity("a").attempt == 2
    assert [task.attempt for task in story.activity_offers()] == [2]


# -- rejected batches --------------------------------------------------------------------------------------------------


def test_a_rejected_command_discards_the_whole_batch() -> None:
    """One bad command fails the workflow task; its valid neighbours leave no trace."""
    story = awake(start_timer("live", 60))
    before = story.execution

    told = story.rejected(
        start_timer("new", 5),
        modify_memo(a='"x"'),
        schedule_activity("act"),
        start_timer("live", 5),
        record_marker("m"),
    )

    assert told.startswith("StartTimerDuplicateId: ")
    assert story.history(after=8) == [
        "9 WorkflowTaskFailed(scheduled 7, started 8, StartTimerDuplicateId)",
    ]
    assert story.execution.timers is before.timers
    assert story.execution.memo is before.memo
    assert story.execution.activities is before.activities
    assert [task.attempt for task in story.offers] == [2]


def test_a_transient_task_that_fails_again_is_left_to_its_timeout() -> None:
    """Semantics 3.5.8: nothing changes, the worker is told."""
    story = busy()
    story.rejected(cancel_timer("absent"))
    story.take()

    assert story.rejected(cancel_timer("absent")).startswith("BadCancelTimerAttributes")
    assert not story.stored
    assert story.execution.task is not None
    assert story.execution.task.attempt == 2
    story.wait(10)
    assert story.take().attempt == 3


def test_what_no_retry_can_mend_terminates_the_run() -> None:
    """TERM of semantics 4.0."""
    limits = Limits()
    limits.blob_size = 10
    story = busy(limits)
    story.signal()
    told = story.rejected(record_marker("m"))

    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, BadRecordMarkerAttributes)",
        "5 WorkflowExecutionSignaled(go)",
        f"6 WorkflowExecutionTerminated({told})",
    ]


def test_a_closing_command_comes_last() -> None:
    story = busy()

    with pytest.raises(InvalidArgument, match="must be the last command"):
        story.respond(complete_workflow(), start_timer("t", 1))
    assert len(story.events) == 3, "the task goes on"


def test_an_unknown_command_refuses_the_call() -> None:
    story = busy()

    with pytest.raises(InvalidArgument, match=r"(?i)unknown command type: 777"):
        story.respond(commands.Command(command_type=777))  # type: ignore[arg-type]
    assert len(story.events) == 3


def test_what_is_not_built_fails_the_task_and_says_so() -> None:
    """A Nexus operation at an endpoint that exists: a refused call would leave the task to its timeout, in silence."""
    story = busy()
    asked = commands.ScheduleNexusOperationCommandAttributes(endpoint="e", service="s", operation="o")
    command = commands.Command(
        command_type=enums.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION, schedule_nexus_operation_command_attributes=asked
    )
    request = workflowservice.RespondWorkflowTaskCompletedRequest(commands=[command])
    assert story.token is not None
    outcome = story.apply(WorkflowTaskCompleted(story.token, request, {}, {0: "endpoint-id"}))
    assert isinstance(outcome, InvalidArgument)
    assert outcome.message == "FeatureDisabled: Nexus operations of workflows are not built yet"
    assert "WorkflowTaskFailed" in story.history()[3]


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, "BadCompleteWorkflowExecutionAttributes"),
        (enums.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, "BadFailWorkflowExecutionAttributes"),
        (enums.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION, "BadCancelWorkflowExecutionAttributes"),
        (enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION, "BadContinueAsNewAttributes"),
        (enums.COMMAND_TYPE_RECORD_MARKER, "BadRecordMarkerAttributes"),
        (enums.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, "BadSearchAttributes"),
        (enums.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES, "BadModifyWorkflowPropertiesAttributes"),
    ],
)
def test_a_command_without_attributes_is_the_worker_s_fault(number: int, cause: str) -> None:
    story = busy()
    told = story.rejected(commands.Command(command_type=number))  # type: ignore[arg-type]  # plain numbers

    assert told.startswith(f"{cause}: ")


# -- annotations -------------------------------------------------------------------------------------------------------


def test_annotations_are_events_of_their_own() -> None:
    story = busy()
    command = record_marker("m")
    command.user_metadata.summary.data = b"why"
    story.complete(command, upsert_search_attributes(Color='"red"'), modify_memo(note='"x"'))

    assert story.history(after=3) == [
        "4 WorkflowTaskCompleted(scheduled 2, started 3)",
        "5 MarkerRecorded(m, completed 4)",
        "6 UpsertWorkflowSearchAttributes(completed 4)",
        "7 WorkflowPropertiesModified(completed 4)",
    ]
    assert story.events[4].user_metadata.summary.data == b"why"
    assert own_attributes(story) == ["Color"]
    assert list(story.execution.memo) == ["note"]
    assert story.last is not None
    assert story.last.deltas[0].visibility


def test_validated_search_attributes_replace_the_worker_s() -> None:
    """They carry the type metadata that SDKs decode by (Appendix F 32)."""
    typed = common.Payload(metadata={"type": b"Keyword"}, data=b'"red"')
    story = busy()
    story.complete(upsert_search_attributes(Color='"red"'), search_attributes={0: {"Color": typed.SerializeToString()}})

    assert story.execution.search_attributes["Color"] == typed.SerializeToString()
    written = story.events[4].upsert_workflow_search_attributes_event_attributes.search_attributes
    assert written.indexed_fields["Color"] == typed


def test_what_validation_found_wrong_fails_the_task() -> None:
    story = busy()
    told = story.rejected(
        start_timer("t", 5),
        upsert_search_attributes(Nope='"x"'),
        search_attributes={1: BadSearchAttributes("Nope is not defined")},
    )

    assert told == "BadSearchAttributes: Nope is not defined"


@pytest.mark.parametrize("nothing", ["null", "[]", ""])
def test_search_attributes_are_removed_by_null_or_an_empty_list(nothing: str) -> None:
    """Appendix F 25."""
    story = idle(upsert_search_attributes(Color='"red"', Size="1"))
    story.signal().turn(upsert_search_attributes(Color=nothing))

    assert own_attributes(story) == ["Size"]


def test_memo_keys_are_removed_by_an_empty_payload_and_the_merged_size_counts() -> None:
    limits = Limits()
    limits.memo_size = 120
    story = busy(limits, memo=common.Memo(fields={"old": payload('"' + "x" * 40 + '"')}))
    story.complete(modify_memo(old="", new='"x"'), force_create_new_workflow_task=True, return_new_workflow_task=True)
    assert list(story.execution.memo) == ["new"]

    told = story.rejected(modify_memo(big='"' + "x" * 100 + '"'))
    assert "Memo exceeds size limit." in told
    assert story.history()[-1].startswith("9 WorkflowExecutionTerminated(BadModifyWorkflowPropertiesAttributes")


# -- limits of a run ---------------------------------------------------------------------------------------------------


def test_a_history_of_too_many_events_ends_the_run() -> None:
    """Semantics 0.1: the step that would pass the limit is dropped, the run terminated, the caller told."""
    limits = Limits()
    limits.history_count = 8
    story = busy(limits)

    outcome = story.respond(*[start_timer(f"t{number}", 60) for number in range(10)])

    text = "Workflow history count exceeds limit."
    assert isinstance(outcome, InvalidArgument)
    assert outcome.message == text
    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        f"5 WorkflowExecutionTerminated({text})",
    ]


def test_who_polls_does_not_hear_of_it() -> None:
    """A worker that is told INVALID_ARGUMENT by a poll gives up: there is no task for it, and that is all."""
    limits = Limits()
    limits.history_count = 6
    story = idle(limits=limits)
    story.signal()
    assert isinstance(story.apply(story.started_fact()), Stale)
    assert story.history()[-1] == "7 WorkflowExecutionTerminated(Workflow history count exceeds limit.)"


def test_a_history_that_has_grown_too_large_ends_the_run_with_the_next_step() -> None:
    """The reference measures what is there before a step, so one step may go beyond."""
    limits = Limits()
    story = busy(limits)
    limits.history_size = story.execution.history_size + 100
    story.complete(*[start_timer(f"t{number}", 60) for number in range(10)])
    assert story.execution.running

    outcome = story.apply(Signal("", api_history.WorkflowExecutionSignaledEventAttributes(signal_name="go"), ""))

    assert isinstance(outcome, InvalidArgument)
    assert outcome.message == "Workflow history size exceeds limit."
    assert story.history()[-1].endswith("WorkflowExecutionTerminated(Workflow history size exceeds limit.)")


def test_a_batch_that_is_too_much_for_one_write_ends_the_run() -> None:
    limits = Limits()
    limits.transaction_size = 500
    story = busy(limits)

    outcome = story.respond(*[start_timer(f"t{number}", 60) for number in range(50)])

    assert isinstance(outcome, InvalidArgument)
    assert outcome.message.startswith("transaction size of ")
    assert story.history(after=3) == [
        "4 WorkflowTaskFailed(scheduled 2, started 3, ForceCloseCommand)",
        "5 WorkflowExecutionTerminated(Transaction size exceeds limit.)",
    ]
