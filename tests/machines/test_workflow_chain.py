"""Chains of runs: continue-as-new and retries by policy (semantics 4.5, 10; D15)."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.api import common, enums, failures, taskqueue, workflow
from perdure.api.times import duration_of
from perdure.machines.workflow.execution import CONTINUED_AS_NEW, FAILED, RUNNING
from perdure.machines.workflow.operator_inputs import UpdateOptions
from tests.machines.builders import SECOND, T0, payloads, retry_policy
from tests.machines.chronicles import Chronicle, busy, continue_as_new, fail_workflow, idle, modify_memo, payload


def test_continue_as_new_closes_one_run_and_begins_the_next_in_one_step() -> None:
    story = busy()
    story.wait(5)
    story.complete(continue_as_new(input=payloads('"next"')))

    assert story.history("A", after=3) == [
        "4 WorkflowTaskCompleted(scheduled 2, started 3)",
        "5 WorkflowExecutionContinuedAsNew(completed 4, next B)",
    ]
    assert story.history("B") == [
        "1 WorkflowExecutionStarted(Workflow, continues A)",
        "2 WorkflowTaskScheduled",
    ]
    assert story.last is not None
    assert len(story.last.deltas) == 2
    old, new = story.run("A"), story.run("B")
    assert (old.status, old.new_run_id, new.status) == (CONTINUED_AS_NEW, story.runs[1], RUNNING)
    assert (new.info.first_run_id, new.info.original_run_id) == (story.runs[0], story.runs[1])
    started = story.events[0].workflow_execution_started_event_attributes
    assert started.input == payloads('"next"')
    assert started.attempt == 1
    assert new.info.start_time == old.close_time


def test_what_the_command_leaves_out_comes_from_the_run_but_not_retry_memo_and_attributes() -> None:
    """Semantics 4.5, Appendix F 33."""
    memo = common.Memo(fields={"m": payload('"x"')})
    story = idle(run_timeout=40, task_timeout=7, retry=retry_policy(1), memo=memo)
    story.signal().wait(3)
    story.turn(continue_as_new())

    old, new = story.run("A").info, story.execution.info
    assert (new.workflow_type, new.task_queue) == (old.workflow_type, old.task_queue)
    assert (new.run_timeout, new.task_timeout) == (40 * SECOND, 7 * SECOND)
    assert new.retry is None
    assert not story.execution.memo
    assert not story.execution.search_attributes


def test_the_command_may_change_type_queue_and_timeouts() -> None:
    story = busy()
    story.wait(2)
    story.complete(
        continue_as_new(
            workflow_type=common.WorkflowType(name="Other"),
            task_queue=taskqueue.TaskQueue(name="elsewhere"),
            workflow_run_timeout=duration_of(20 * SECOND),
            workflow_task_timeout=duration_of(300 * SECOND),
            retry_policy=retry_policy(1),
            memo=common.Memo(fields={"m": payload('"x"')}),
        )
    )

    info = story.execution.info
    assert (info.workflow_type, info.task_queue) == ("Other", "elsewhere")
    assert (info.run_timeout, info.task_timeout) == (20 * SECOND, 20 * SECOND)
    assert info.retry is not None
    assert list(story.execution.memo) == ["m"]
    assert story.offers[-1].queue.name == "elsewhere"


def test_a_tight_loop_of_runs_is_slowed_down() -> None:
    """Semantics 10.1: a second between the beginnings of two runs."""
    story = busy()
    story.complete(continue_as_new())
    assert story.history("B") == ["1 WorkflowExecutionStarted(Workflow, continues A)"]
    assert story.execution.info.execution_time == T0 + SECOND

    story.wait(1)

    assert story.history("B")[1:] == ["2 WorkflowTaskScheduled"]


def test_a_requested_backoff_counts_from_the_end_of_the_old_run() -> None:
    story = busy()
    story.wait(5)
    story.complete(continue_as_new(backoff_start_interval=duration_of(9 * SECOND)))

    assert story.execution.info.execution_time == T0 + 14 * SECOND
    assert story.events[0].workflow_execution_started_event_attributes.first_workflow_task_backoff.seconds == 9


def test_the_execution_s_deadline_is_not_prolonged() -> None:
    """Appendix F 20."""
    story = idle(execution_timeout=60, run_timeout=50)
    story.wait(40).signal()
    story.turn(continue_as_new())
    assert story.execution.info.run_expiration == T0 + 60 * SECOND

    story.wait(20)

    assert story.history("B")[-1] == "3 WorkflowExecutionTimedOut(Timeout)"


def test_signals_are_not_deduplicated_across_runs() -> None:
    """Appendix F 2."""
    story = idle().signal(request_id="r")
    story.wait(2)
    story.turn(continue_as_new())
    story.signal(request_id="r")

    assert story.execution.signal_count == 1


def test_a_bad_continue_as_new_leaves_the_run_as_it_was() -> None:
    story = busy()
    told = story.rejected(continue_as_new(workflow_run_timeout=duration_of(-SECOND)))

    assert told.startswith("BadContinueAsNewAttributes: Invalid WorkflowRunTimeout on ContinueAsNew")
    assert len(story.runs) == 1
    assert story.run("A").status == RUNNING


# -- retries -----------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_tried_again_after_its_backoff() -> None:
    """D15."""
    story = Chronicle()
    fields: dict[str, Any] = {"input": payloads('"in"'), "memo": common.Memo(fields={"m": payload('"x"')})}
    story.begin(retry=retry_policy(10), **fields)
    story.turn(modify_memo(m="", other='"y"'))
    story.crash().signal()
    story.turn(fail_workflow())

    assert story.history("A")[-1].endswith(" WorkflowExecutionFailed(completed 9, InProgress, next B)")
    assert story.history("B") == ["1 WorkflowExecutionStarted(attempt 2, Retry, continues A)"]
    started = story.events[0].workflow_execution_started_event_attributes
    assert started.continued_failure.message == "boom"
    assert (started.input, started.first_workflow_task_backoff.seconds) == (payloads('"in"'), 10)
    assert list(started.memo.fields) == list(story.execution.memo) == ["m"], "the memo starts over"
    story.crash().wait(10)
    assert story.history("B")[1:] == ["2 WorkflowTaskScheduled"]
    assert story.take().attempt == 1


def test_a_retry_has_the_priority_that_the_run_began_with() -> None:
    """A continued run has the one that it was given since."""
    begun, changed = common.Priority(priority_key=2), common.Priority(priority_key=4)
    change = UpdateOptions("", workflow.WorkflowExecutionOptions(priority=changed), ("priority",), "operator")
    for end, kept in ((fail_workflow(), begun), (continue_as_new(), changed)):
        story = Chronicle()
        story.begin(retry=retry_policy(10), priority=begun)
        story.apply(change)
        story.turn(end)
        assert story.events[0].workflow_execution_started_event_attributes.priority == kept
        assert story.execution.info.priority == kept.SerializeToString()


def test_a_retry_waits_at_least_until_a_second_after_the_run_began() -> None:
    story = idle(fail_workflow(), retry=retry_policy(0.01))

    assert story.execution.info.execution_time == T0 + SECOND


def test_retries_end_with_the_last_attempt() -> None:
    story = Chronicle()
    story.begin(retry=retry_policy(1, 1, 0, 3))
    for _ in range(3):
        story.wait(5)
        story.turn(fail_workflow())

    ends = [story.history(letter)[-1] for letter in "ABC"]
    assert ends == [
        "5 WorkflowExecutionFailed(completed 4, InProgress, next B)",
        "5 WorkflowExecutionFailed(completed 4, InProgress, next C)",
        "5 WorkflowExecutionFailed(completed 4, MaximumAttemptsReached)",
    ]
    assert [story.run(letter).info.attempt for letter in "ABC"] == [1, 2, 3]
    assert story.execution.status == FAILED


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (failures.application_failure("no", "Kind", True), "NonRetryableFailure"),
        (failures.application_failure("no", "Listed"), "NonRetryableFailure"),
    ],
)
def test_some_failures_are_final(reason: object, state: str) -> None:
    story = Chronicle()
    story.begin(retry=retry_policy(1, 1, 0, 0, "Listed"))
    story.turn(fail_workflow(reason))  # type: ignore[arg-type]

    assert story.history()[-1] == f"5 WorkflowExecutionFailed(completed 4, {state})"


def test_the_worker_s_delay_replaces_the_interval_but_not_its_maximum() -> None:
    """For workflows, unlike activities, the policy's maximum still holds."""
    reason = failures.application_failure("no", "Kind")
    reason.application_failure_info.next_retry_delay.FromSeconds(100)
    story = idle(fail_workflow(reason), retry=retry_policy(1, 1, 30))

    assert story.execution.info.execution_time == T0 + 30 * SECOND


def test_a_run_timeout_is_retried_too_and_counts_after_the_backoff() -> None:
    """Appendix F 19."""
    story = idle(run_timeout=30, retry=retry_policy(10))
    story.sleep(30).ring()

    assert story.history("A", after=4) == ["5 WorkflowExecutionTimedOut(InProgress, next B)"]
    assert story.execution.info.run_expiration == T0 + 70 * SECOND
    failure = story.events[0].workflow_execution_started_event_attributes.continued_failure
    assert failure.timeout_failure_info.timeout_type == enums.TIMEOUT_TYPE_START_TO_CLOSE


def test_no_retry_begins_after_the_execution_s_deadline() -> None:
    story = idle(fail_workflow(), execution_timeout=5, retry=retry_policy(10))

    assert story.history()[-1] == "5 WorkflowExecutionFailed(completed 4, Timeout)"


def test_without_a_policy_a_failure_is_final() -> None:
    assert idle(fail_workflow()).history()[-1] == "5 WorkflowExecutionFailed(completed 4, RetryPolicyNotSet)"
