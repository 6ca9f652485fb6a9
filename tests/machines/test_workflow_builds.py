"""What a run shows of itself beyond its events: reset points, build ids, attached requests, absent timeouts (semantics
1.1, 2.3, 2.5.1, 3.3, 3.5.3, 10.1).
"""

from __future__ import annotations

import json

import pytest

from perdure.api import common, enums, workflow
from perdure.machines.env import Limits
from perdure.machines.json_payloads import keyword_list
from perdure.machines.workflow import request_ids, reset_points
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.start_inputs import Start
from tests.machines.builders import complete_workflow
from tests.machines.chronicles import (
    USE_EXISTING,
    Chronicle,
    busy,
    continue_as_new,
    fail_workflow,
    idle,
    modify_memo,
    payload,
)

ATTACH = workflow.OnConflictOptions(attach_request_id=True)


def builds(execution: Execution) -> list[str]:
    return reset_points.build_ids(execution.search_attributes.get("BuildIds"))


def points(execution: Execution) -> list[tuple[str, str, int]]:
    return [(one.binary_checksum, one.build_id, one.completed_event_id) for one in execution.reset_points]


def stamp(build_id: str, use_versioning: bool = False) -> common.WorkerVersionStamp:
    return common.WorkerVersionStamp(build_id=build_id, use_versioning=use_versioning)


# -- the started event's id --------------------------------------------------------------------------------------------


def test_events_between_scheduled_and_started_move_the_started_event() -> None:
    story = Chronicle()
    story.begin()
    story.signal("a").signal("b")
    delivery = story.take()

    assert delivery.started_event_id == 5
    story.complete()
    assert story.history(after=4) == [
        "5 WorkflowTaskStarted(scheduled 2)",
        "6 WorkflowTaskCompleted(scheduled 2, started 5)",
    ]
    assert story.execution.last_completed_started_event_id == 5


# -- reset points ------------------------------------------------------------------------------------------------------


def test_each_new_build_leaves_a_reset_point() -> None:
    """The pair of checksum and build id counts; a pair that came before adds nothing."""
    story = idle()
    assert points(story.execution) == [("", "", 4)]
    assert builds(story.execution) == ["unversioned"]
    story.signal().turn()
    assert len(story.execution.reset_points) == 1

    story.signal().turn(binary_checksum="sum")
    story.signal().turn(binary_checksum="sum")
    assert points(story.execution) == [("", "", 4), ("sum", "", 12)]
    checksums = common.Payload.FromString(story.execution.search_attributes["BinaryChecksums"])
    assert json.loads(checksums.data) == ["sum"]


def test_the_oldest_reset_points_are_dropped() -> None:
    story = idle()
    for number in range(reset_points.RESET_POINTS_MAX + 5):
        story.signal().turn(binary_checksum=str(number))

    kept = [one.binary_checksum for one in story.execution.reset_points]
    assert kept == [str(number) for number in range(5, reset_points.RESET_POINTS_MAX + 5)]


@pytest.mark.parametrize("retried", [False, True])
def test_the_next_run_inherits_reset_points_that_expire_with_their_run(retried: bool) -> None:
    story = Chronicle()
    story.begin(retry=common.RetryPolicy(maximum_attempts=3))
    story.take()
    story.complete(fail_workflow() if retried else continue_as_new())

    (point,) = story.run("A").reset_points
    retention = story.run("A").retention
    assert point.expire_time == story.now + retention
    assert [one.run_id for one in story.run("B").reset_points] == [story.runs[0]]
    story.wait(2)
    story.turn(binary_checksum="new")
    assert [one.run_id for one in story.run("B").reset_points] == story.runs
    shown = story.events[0].workflow_execution_started_event_attributes.prev_auto_reset_points
    assert [one.run_id for one in shown.points] == story.runs[:1]


def test_a_run_whose_chain_has_no_reset_points_says_so() -> None:
    story = Chronicle()
    story.begin(run_timeout=5, retry=common.RetryPolicy(maximum_attempts=3))
    story.sleep(6)
    story.ring()

    assert len(story.runs) == 2
    started = story.events[0].workflow_execution_started_event_attributes
    assert started.HasField("prev_auto_reset_points")
    assert not started.HasField("input")


# -- build ids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "by", "after"),
    [
        ([], None, ["unversioned"]),
        (["unversioned"], None, ["unversioned"]),
        ([], stamp("b"), ["unversioned", "unversioned:b"]),
        (["unversioned", "unversioned:b"], stamp("b"), ["unversioned", "unversioned:b"]),
        (["unversioned"], stamp("b", True), ["versioned:b"]),
        (["assigned:x", "pinned:d:b"], None, ["unversioned"]),
        (["versioned:a"], stamp("b", True), ["versioned:a", "versioned:b"]),
    ],
)
def test_build_ids_begin_with_what_the_run_is(
    before: list[str], by: common.WorkerVersionStamp | None, after: list[str]
) -> None:
    """One sentinel leads; a new build comes last."""
    mark = reset_points.mark_of(by) if by is not None else None
    held = keyword_list(before) if before else None
    noted = reset_points.build_ids_noted(held, mark, by is not None and by.use_versioning, False, 2048)
    assert reset_points.build_ids(noted) == after


def test_build_ids_keep_to_the_size_of_a_search_attribute() -> None:
    """The oldest go, the sentinel stays."""
    limits = Limits()
    limits.search_attribute_value_size = 50
    story = busy(limits)
    story.complete(worker_version_stamp=stamp("first"))
    for name in ("second", "third"):
        story.signal().turn(worker_version_stamp=stamp(name))

    assert builds(story.execution) == ["unversioned", "unversioned:third"]


@pytest.mark.parametrize("data", [b"", b"null", b"not json", b'"text"', b"[1]"])
def test_build_ids_of_another_make_count_as_none(data: bytes) -> None:
    """Users may set this search attribute."""
    assert reset_points.build_ids(common.Payload(data=data).SerializeToString()) == []


# -- attached requests -------------------------------------------------------------------------------------------------


def test_an_attached_request_is_known_by_its_event_and_not_attached_twice() -> None:
    story = idle()
    for _ in range(2):
        outcome = story.begin(request_id="again", workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=ATTACH)
        assert not outcome.started

    assert story.history(after=4) == ["5 WorkflowExecutionOptionsUpdated(attached again)"]
    assert story.execution.request_ids == (("again", 5, enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED),)
    story.crash()
    assert story.execution.request_ids == (("again", 5, enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED),)


def test_an_attached_request_waits_in_the_buffer_with_its_event() -> None:
    story = busy()
    story.begin(request_id="again", workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=ATTACH)
    assert story.execution.request_ids == (("again", 0, enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED),)
    story.complete()

    assert story.history(after=4) == ["5 WorkflowExecutionOptionsUpdated(attached again)", "6 WorkflowTaskScheduled"]
    assert story.execution.request_ids == (("again", 5, enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED),)


def test_only_so_many_attached_requests_are_shown() -> None:
    story = idle()
    for number in range(request_ids.ATTACHED_MAX + 1):
        story.begin(request_id=f"r{number}", workflow_id_conflict_policy=USE_EXISTING, on_conflict_options=ATTACH)

    assert len(story.execution.request_ids) == request_ids.ATTACHED_MAX
    assert story.execution.request_ids[0][0] == "r1"


# -- what a start leaves out -------------------------------------------------------------------------------------------


def test_a_timeout_that_was_not_given_is_not_shown() -> None:
    """An explicit zero is; both mean that there is none."""
    silent, explicit = idle(), idle(run_timeout=0, execution_timeout=0)

    assert (silent.execution.info.run_timeout, silent.execution.info.execution_timeout) == (None, None)
    assert (explicit.execution.info.run_timeout, explicit.execution.info.execution_timeout) == (0, 0)
    started = silent.events[0].workflow_execution_started_event_attributes
    assert not started.HasField("workflow_run_timeout")
    assert not started.HasField("workflow_execution_timeout")
    started = explicit.events[0].workflow_execution_started_event_attributes
    assert started.HasField("workflow_run_timeout")
    assert started.HasField("workflow_execution_timeout")


def test_continue_as_new_shows_what_its_command_says() -> None:
    """A run timeout always, initiator, backoff and header only if the command has them."""
    story = idle()
    story.wait(2)
    story.signal().turn(continue_as_new())

    closing = story.shelf.histories[story.runs[0]][-1].workflow_execution_continued_as_new_event_attributes
    assert closing.HasField("workflow_run_timeout")
    assert not closing.initiator
    assert not closing.HasField("backoff_start_interval")
    started = story.events[0].workflow_execution_started_event_attributes
    assert started.initiator == enums.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    assert not started.HasField("first_workflow_task_backoff")
    assert not started.HasField("header")
    assert story.run("B").info.run_timeout == 0


@pytest.mark.parametrize("nothing", ["null", "[]", ""])
def test_a_memo_that_says_nothing_is_left_out(nothing: str) -> None:
    memo = common.Memo(fields={"gone": payload(nothing), "kept": payload("1")})
    story = busy(memo=memo)
    shown = story.events[0].workflow_execution_started_event_attributes.memo
    assert list(shown.fields) == list(story.execution.memo) == ["kept"]

    story.complete(modify_memo(kept=nothing))
    assert not story.execution.memo


def test_a_task_that_was_only_scheduled_outlives_its_run() -> None:
    """Describe shows it; nobody can start it."""
    story = idle()
    story.signal()
    story.terminate()

    assert story.execution.task is not None
    assert not story.execution.task.started_event_id
    done = busy()
    done.complete(complete_workflow())
    assert done.execution.task is None


@pytest.mark.parametrize("retried", [False, True])
def test_the_next_run_takes_over_the_links_of_the_start(retried: bool) -> None:
    """They stand in the first event only, which is looked up when it is needed."""
    link = common.Link(batch_job=common.Link.BatchJob(job_id="job"))
    story = Chronicle()
    request = story.start_request(retry=common.RetryPolicy(maximum_attempts=3))
    request.links.append(link)
    story.apply(story.informed(Start(request, {}, 0)))
    story.crash()
    story.take()
    story.complete(fail_workflow() if retried else continue_as_new())

    assert list(story.events[0].links) == [link]
    assert story.run("B").start_linked
