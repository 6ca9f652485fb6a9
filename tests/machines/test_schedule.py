"""The machine of a schedule: occurrences, overlap, limits, pauses, ends of workflows (semantics 13)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from perdure.api import common, enums
from perdure.api.schedule import Schedule as Definition
from perdure.api.schedule import SchedulePatch, TriggerImmediatelyRequest
from perdure.api.times import duration_of, timestamp_of
from perdure.errors import FailedPrecondition, NotFound, WorkflowExecutionAlreadyStarted
from perdure.machines.closing_report import ExecutionClosed
from perdure.machines.entity import AlarmRang
from perdure.machines.schedule.buffer import BUFFER_MAX
from perdure.machines.schedule.effects import StartWorkflow
from perdure.machines.schedule.inputs import Create, Delete, Patch, StartAnswered, Update
from perdure.machines.schedule.show import definition, entry, info
from perdure.machines.schedule.spec import canonical
from perdure.machines.schedule.state import (
    ALLOW_ALL,
    BUFFER_ALL,
    BUFFER_ONE,
    CANCEL_OTHER,
    SKIP,
    TERMINATE_OTHER,
)

from .almanac import COMPLETED, DAY, FAILED, HOUR, MINUTE, NOON, Almanac, cron, every
from .builders import SECOND

TIMED_OUT = int(enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT)
CANCELED = int(enums.WORKFLOW_EXECUTION_STATUS_CANCELED)
TERMINATED = int(enums.WORKFLOW_EXECUTION_STATUS_TERMINATED)
RUNNING = int(enums.WORKFLOW_EXECUTION_STATUS_RUNNING)


def canonical_of(wanted: Definition) -> Definition:
    wanted.spec.CopyFrom(canonical(wanted.spec))
    return wanted


# -- occurrences -------------------------------------------------------------------------------------------------------


def test_each_occurrence_starts_a_workflow_under_its_nominal_time() -> None:
    story = Almanac(every(60))
    story.sleep(2 * MINUTE)
    story.close()
    story.sleep(MINUTE)
    assert story.ids_started() == ["job-2025-01-01T12:01:00Z", "job-2025-01-01T12:03:00Z"]
    assert story.schedule.skipped == 1
    assert [start.token for start in story.started] == [f"{story.schedule.incarnation}-{n}" for n in (1, 3)]
    assert len({start.request_id for start in story.started}) == 2


def test_a_year_of_days_across_summer_time_in_milliseconds() -> None:
    story = Almanac(cron("30 1 * * *", zone="America/New_York", overlap_policy=ALLOW_ALL))
    story.sleep(365 * DAY)
    zone = ZoneInfo("America/New_York")
    local = [datetime.fromtimestamp(start.start.nominal / SECOND, zone) for start in story.started]
    assert {(moment.hour, moment.minute) for moment in local} == {(1, 30)}
    # 365 days and the hour that comes twice in November.
    assert len(local) == 366
    assert len({moment.date() for moment in local}) == 365
    assert len(set(story.ids_started())) == 366
    assert story.steps < 2 * 366 + 5


def test_a_schedule_that_was_away_catches_up_within_its_window() -> None:
    wanted = every(60, overlap_policy=BUFFER_ALL)
    wanted.policies.catchup_window.CopyFrom(duration_of(3 * MINUTE))
    story = Almanac(wanted)
    story.now += 10 * MINUTE
    story.tell(AlarmRang())
    assert story.schedule.missed == 6
    assert story.times_started() == [7 * 60]
    assert [(one.nominal - NOON) // SECOND for one in story.schedule.waiting] == [480, 540, 600]


def test_what_is_missed_is_counted_once() -> None:
    wanted = every(60)
    wanted.policies.catchup_window.CopyFrom(duration_of(SECOND))
    story = Almanac(wanted)
    assert story.schedule.catchup_window == 10 * SECOND
    story.now += 59 * MINUTE + 30 * SECOND
    story.tell(AlarmRang())
    story.patch(pause="x")
    assert story.schedule.missed == 59
    assert not story.started


def test_a_long_absence_is_made_up_in_pieces() -> None:
    story = Almanac(every(1))
    story.now += 10_000 * SECOND
    rings = 0
    while 0 < story.machine.alarm(story.schedule) <= story.now:
        story.tell(AlarmRang())
        rings += 1
    assert rings <= 5
    assert story.times_started() == [1]
    assert story.schedule.skipped + story.schedule.dropped == 9_999


def test_jitter_survives_an_update_between_nominal_and_actual_time() -> None:
    """The update comes after the nominal time and before the actual one: the occurrence is not lost, nor doubled."""
    wanted = every(3600)
    wanted.spec.jitter.CopyFrom(duration_of(1800 * SECOND))
    story = Almanac(wanted)
    due = story.schedule.coming(1)[0]
    assert due.actual > due.nominal
    story.sleep((due.nominal + due.actual) // 2 - story.now)
    again = every(3600)
    again.spec.jitter.CopyFrom(duration_of(1800 * SECOND))
    story.tell(Update(canonical_of(again), 0, "u"))
    assert story.schedule.coming(1)[0] == due
    story.sleep(HOUR)
    assert story.times_started()[0] == 3600
    assert len(story.started) == len(set(story.ids_started())) == 1


def test_an_update_forgets_times_before_it() -> None:
    story = Almanac(cron("0 0 1 1 *"))
    story.sleep(200 * DAY)
    story.tell(Update(canonical_of(every(1, overlap_policy=ALLOW_ALL)), 0, "u"))
    assert not story.started
    story.sleep(3 * SECOND)
    assert len(story.started) == 3


def test_end_time_and_seven_days_later_the_schedule_is_gone() -> None:
    wanted = every(60, overlap_policy=ALLOW_ALL)
    wanted.spec.end_time.CopyFrom(timestamp_of(NOON + 150 * SECOND))
    story = Almanac(wanted)
    story.sleep(HOUR)
    assert story.times_started() == [60, 120]
    story.sleep(7 * DAY - 2 * HOUR)
    assert story.state is not None
    story.sleep(2 * HOUR)
    assert story.state is None


def test_a_paused_schedule_stays() -> None:
    story = Almanac(Definition(), SchedulePatch(pause="p"))
    story.sleep(30 * DAY)
    assert story.state is not None
    assert story.machine.alarm(story.schedule) == 0


# -- overlap -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "started", "waiting", "skipped"),
    [
        (0, [60], [], 2),
        (SKIP, [60], [], 2),
        (BUFFER_ONE, [60], [120], 1),
        (BUFFER_ALL, [60], [120, 180], 0),
        (ALLOW_ALL, [60, 120, 180], [], 0),
        (CANCEL_OTHER, [60], [120, 180], 0),
        (TERMINATE_OTHER, [60], [120, 180], 0),
    ],
)
def test_overlap(policy: int, started: list[int], waiting: list[int], skipped: int) -> None:
    story = Almanac(every(60, overlap_policy=policy))
    story.sleep(3 * MINUTE)
    assert story.times_started() == started
    assert [(one.nominal - NOON) // SECOND for one in story.schedule.waiting] == waiting
    assert story.schedule.skipped == skipped
    assert [stop.stop.terminate for stop in story.stopped] == {
        CANCEL_OTHER: [False] * 2,
        TERMINATE_OTHER: [True] * 2,
    }.get(policy, [])


def test_a_buffer_is_worked_off_one_by_one() -> None:
    story = Almanac(every(60, overlap_policy=BUFFER_ALL))
    story.sleep(3 * MINUTE)
    story.close()
    assert story.times_started() == [60, 120]
    story.close()
    assert story.times_started() == [60, 120, 180]
    assert not story.schedule.waiting


@pytest.mark.parametrize("policy", [CANCEL_OTHER, TERMINATE_OTHER])
def test_the_last_of_several_replacements_runs(policy: int) -> None:
    story = Almanac(every(60, overlap_policy=policy))
    story.sleep(3 * MINUTE)
    story.close(status=CANCELED)
    assert story.times_started() == [60, 180]
    assert story.schedule.waiting == ()


def test_unspecified_starts_follow_the_policy_of_the_hour() -> None:
    story = Almanac(every(60, overlap_policy=BUFFER_ALL))
    story.sleep(3 * MINUTE)
    story.tell(Update(canonical_of(every(60, overlap_policy=SKIP)), 0, "u"))
    assert story.schedule.waiting == ()
    assert story.schedule.skipped == 2


def test_the_buffer_has_an_end() -> None:
    story = Almanac(every(1, overlap_policy=BUFFER_ALL))
    story.sleep((BUFFER_MAX + 12) * SECOND)
    assert len(story.schedule.waiting) == BUFFER_MAX
    assert story.schedule.dropped == 11


def test_a_start_under_way_counts_as_running() -> None:
    story = Almanac(every(60))
    story.answering = False
    story.sleep(MINUTE)
    story.trigger()
    assert story.schedule.skipped == 1
    assert len(story.machine.owed(story.schedule)) == 1


def test_replacing_a_start_under_way_waits_for_its_answer() -> None:
    story = Almanac(every(60, overlap_policy=CANCEL_OTHER))
    story.answering = False
    story.sleep(2 * MINUTE)
    (effect,) = story.machine.owed(story.schedule)
    story.answering = True
    story.answer(effect)
    story.tell(AlarmRang())
    assert [stop.stop.run_id for stop in story.stopped] == ["run-1"]


# -- starts ------------------------------------------------------------------------------------------------------------


def test_a_refused_start_lets_the_next_one_through() -> None:
    story = Almanac(every(60, overlap_policy=BUFFER_ALL))
    story.answering = False
    story.sleep(2 * MINUTE)
    story.answering = True
    story.refuse = lambda effect: effect.start.number == 1
    for effect in story.machine.owed(story.schedule):
        story.answer(effect)
    story.tell(Patch(SchedulePatch(), ""))
    assert story.times_started() == [120]
    assert story.schedule.action_count == 1


def test_answers_may_come_twice_and_too_late() -> None:
    story = Almanac(every(60))
    story.sleep(MINUTE)
    before = story.schedule
    story.step(StartAnswered(before.incarnation, 1, "run-1"))
    assert story.schedule == before
    story.close()
    story.step(StartAnswered("another life", 1, "run-1"))
    story.step(ExecutionClosed("another life-1", "job", "r", "r", COMPLETED, b"", b"", story.now))
    story.close(1, FAILED, message="again")
    assert story.schedule.action_count == 1
    assert story.schedule.recent[0].status == COMPLETED
    assert not story.schedule.failure


def test_the_end_may_be_known_before_the_start() -> None:
    story = Almanac(every(60))
    story.answering = False
    story.sleep(MINUTE)
    (effect,) = story.machine.owed(story.schedule)
    assert isinstance(effect, StartWorkflow)
    story.started.append(effect)
    story.close(1, result="r")
    assert story.schedule.action_count == 1
    assert not story.schedule.running
    story.step(StartAnswered(effect.incarnation, 1, "run-1"))
    assert story.schedule.action_count == 1
    assert not story.schedule.running
    assert story.schedule.recent[0].run_id == "run-1"


def test_an_update_does_not_reach_a_start_under_way() -> None:
    story = Almanac(every(60))
    story.answering = False
    story.sleep(MINUTE)
    changed = every(60)
    changed.action.start_workflow.workflow_id = "other"
    changed.action.start_workflow.workflow_type.name = "Other"
    story.tell(Update(canonical_of(changed), 0, "u"))
    (effect,) = story.machine.owed(story.schedule)
    assert isinstance(effect, StartWorkflow)
    assert effect.start.workflow_id == "job-2025-01-01T12:01:00Z"
    assert effect.action.start_workflow.workflow_type.name == "Job"
    assert len(story.schedule.actions) == 2
    story.answering = True
    story.answer(effect)
    assert len(story.schedule.actions) == 1


def test_results_and_failures_are_carried_into_the_next_start() -> None:
    story = Almanac(every(60))
    story.sleep(MINUTE)
    story.close(result="one")
    story.sleep(MINUTE)
    assert story.started[1].last_result == common.Payloads(payloads=[common.Payload(data=b"one")])
    story.close(status=FAILED, message="broken")
    story.sleep(MINUTE)
    assert story.started[2].last_result is not None
    assert b"broken" in story.started[2].last_failure
    story.close(result="two")
    story.sleep(MINUTE)
    assert not story.started[3].last_failure
    story.trigger(ALLOW_ALL)
    assert story.started[4].last_result is None


def test_the_original_workflow_id_can_be_kept() -> None:
    story = Almanac(every(60, keep_original_workflow_id=True))
    story.sleep(MINUTE)
    assert story.ids_started() == ["job"]
    assert not story.started[0].unique


def test_an_empty_action_starts_nothing() -> None:
    wanted = every(60)
    wanted.ClearField("action")
    story = Almanac(wanted)
    story.sleep(5 * MINUTE)
    assert not story.started
    assert not story.schedule.waiting


# -- pauses and limits -------------------------------------------------------------------------------------------------


def test_a_pause_lets_time_go_by() -> None:
    story = Almanac(every(60, overlap_policy=ALLOW_ALL))
    story.patch(pause="lunch")
    story.sleep(10 * MINUTE + SECOND)
    assert story.coming()[0] == 11 * 60
    story.patch(unpause="back")
    story.sleep(MINUTE)
    assert story.times_started() == [11 * 60]
    assert (story.schedule.notes, story.schedule.token, story.schedule.missed) == ("back", 3, 0)


def test_a_trigger_works_in_a_pause_and_costs_no_action() -> None:
    wanted = every(60)
    wanted.state.paused = wanted.state.limited_actions = True
    story = Almanac(wanted)
    story.trigger(at=NOON + 5 * SECOND)
    assert story.ids_started() == ["job-2025-01-01T12:00:05Z"]
    assert story.started[0].start.manual
    assert story.schedule.remaining == 0


def test_limited_actions_run_out() -> None:
    wanted = every(60, overlap_policy=ALLOW_ALL)
    wanted.state.limited_actions = True
    wanted.state.remaining_actions = 2
    story = Almanac(wanted)
    assert story.coming() == [60, 120]
    story.sleep(5 * MINUTE)
    assert story.times_started() == [60, 120]
    assert (story.schedule.remaining, story.schedule.token) == (0, 3)
    assert story.coming() == []
    story.sleep(7 * DAY)
    assert story.state is None


def test_skipped_occurrences_cost_no_action() -> None:
    wanted = every(60)
    wanted.state.limited_actions = True
    wanted.state.remaining_actions = 2
    story = Almanac(wanted)
    story.sleep(3 * MINUTE)
    assert story.schedule.remaining == 1


@pytest.mark.parametrize(
    ("status", "notes"),
    [
        (FAILED, "paused due to workflow failure: job-2025-01-01T12:01:00Z: broken"),
        (TIMED_OUT, "paused due to workflow timeout: job-2025-01-01T12:01:00Z"),
        (CANCELED, ""),
        (TERMINATED, ""),
        (COMPLETED, ""),
    ],
)
def test_pause_on_failure(status: int, notes: str) -> None:
    story = Almanac(every(60, pause_on_failure=True))
    story.sleep(MINUTE)
    story.close(status=status, message="broken" if status == FAILED else "")
    assert story.schedule.notes == notes
    assert story.schedule.paused == bool(notes)
    assert story.schedule.token == (2 if notes else 1)


# -- backfills ---------------------------------------------------------------------------------------------------------


def test_a_backfill_is_inclusive_and_ignores_pause_and_limits() -> None:
    wanted = every(60)
    wanted.state.paused = wanted.state.limited_actions = True
    story = Almanac(wanted)
    story.backfill(NOON - 5 * MINUTE, NOON - 2 * MINUTE, ALLOW_ALL)
    assert story.times_started() == [-300, -240, -180, -120]
    assert story.schedule.processed == NOON
    assert not story.schedule.backfills


def test_a_long_backfill_goes_on_ten_by_ten() -> None:
    story = Almanac(every(3600))
    story.backfill(NOON - 25 * HOUR, NOON - HOUR, ALLOW_ALL)
    assert len(story.started) == 10
    story.sleep(SECOND)
    assert len(story.started) == 20
    story.sleep(SECOND)
    assert len(story.started) == len(set(story.ids_started())) == 25
    assert story.machine.alarm(story.schedule) == NOON + HOUR


def test_a_backfill_that_waits_costs_nothing() -> None:
    story = Almanac(every(3600))
    story.backfill(NOON - 600 * HOUR, NOON - HOUR, BUFFER_ALL)
    story.sleep(HOUR - SECOND)
    steps = story.steps
    assert len(story.schedule.waiting) == 500
    assert steps < 200
    story.close()
    story.sleep(0)
    assert len(story.schedule.waiting) == 499
    story.sleep(SECOND)
    assert len(story.schedule.waiting) >= 499


# -- verbs -------------------------------------------------------------------------------------------------------------


def test_creating_twice() -> None:
    story = Almanac(every(60))
    assert story.tell(Create(every(60), None, "created", b"", b"")) == 1
    with pytest.raises(WorkflowExecutionAlreadyStarted, match='schedule "plan" is already registered'):
        story.step(Create(every(60), None, "another", b"", b""))


def test_an_initial_patch_is_done_at_once() -> None:
    patch = SchedulePatch(trigger_immediately=TriggerImmediatelyRequest(scheduled_time=timestamp_of(NOON)), pause="p")
    story = Almanac(every(60), patch)
    assert story.ids_started() == ["job-2025-01-01T12:00:00Z"]
    assert story.schedule.paused


def test_conflict_tokens() -> None:
    story = Almanac(every(60))
    story.tell(Update(canonical_of(every(120)), 1, "one"))
    assert story.schedule.token == 2
    with pytest.raises(FailedPrecondition, match="mismatched conflict token"):
        story.step(Update(canonical_of(every(180)), 1, "two"))
    assert story.coming()[0] == 120


def test_a_repeated_request_does_nothing_twice() -> None:
    story = Almanac(every(60, overlap_policy=ALLOW_ALL))
    trigger = SchedulePatch(trigger_immediately=TriggerImmediatelyRequest(scheduled_time=timestamp_of(NOON)))
    story.tell(Patch(trigger, "once"))
    story.tell(Patch(trigger, "once"))
    assert len(story.started) == 1
    story.tell(Update(canonical_of(every(120)), 1, "u"))
    story.tell(Update(canonical_of(every(120)), 1, "u"))
    assert story.schedule.token == 2


def test_deleting() -> None:
    story = Almanac(every(60))
    story.tell(Delete())
    assert story.state is None
    for fact in (Delete(), Patch(SchedulePatch(), ""), Update(every(60), 0, ""), StartAnswered("x", 1, "r")):
        with pytest.raises(NotFound, match="schedule not found"):
            story.step(fact)


def test_what_users_see() -> None:
    story = Almanac(every(60))
    story.sleep(MINUTE)
    shown = definition(story.schedule)
    assert shown.policies.overlap_policy == SKIP
    assert shown.policies.catchup_window.seconds == 365 * 86_400
    seen = info(story.schedule, story.now)
    assert (seen.action_count, seen.recent_actions[0].start_workflow_status) == (1, RUNNING)
    assert seen.running_workflows[0].run_id == "run-1"
    assert not seen.HasField("update_time")
    listing = story.machine.listing(story.schedule)
    row = entry("plan", listing.memo, listing.search_attributes)
    assert row.info.workflow_type.name == "Job"
    assert [time.seconds - NOON // SECOND for time in row.info.future_action_times] == [120, 180, 240, 300, 360]
    assert not row.HasField("memo")
    assert not row.HasField("search_attributes")
