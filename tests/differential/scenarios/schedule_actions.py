"""What schedules start: triggers, backfills, overlap, ends of workflows, limits (semantics 13.5 to 13.8)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any as Anything

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.schedule.v1 import (
    BackfillRequest,
    IntervalSpec,
    Schedule,
    SchedulePatch,
    ScheduleSpec,
)
from temporalio.api.workflowservice import v1 as rpc

from ..plans import ALLOW_ALL, BUFFER_ALL, BUFFER_ONE, CANCEL_OTHER, SKIP, TERMINATE_OTHER, Plan, at, stamp
from ..script import NAMESPACE, Script
from ..values import attributes, complete_workflow, continue_as_new, fail_workflow, failure, memo, payloads, seconds
from ..wire import RpcFailed

# -- patching ----------------------------------------------------------------------------------------------------------


def pause_and_unpause(s: Script) -> None:
    """Notes follow, the token rises, and future times stay."""
    plan = Plan(s)
    plan.created()
    plan.patch(pause="lunch")
    found = plan.until(lambda reply: reply.schedule.state.paused)
    s.fact("state", (found.schedule.state.notes, len(found.info.future_action_times)))
    plan.token()
    plan.patch(unpause="back")
    found = plan.until(lambda reply: not reply.schedule.state.paused)
    s.fact("state", (found.schedule.state.notes, found.info.HasField("update_time")))
    plan.token()


def patch_errors(s: Script) -> None:
    """A patch must be there, and its notes have a length."""
    plan = Plan(s)
    plan.created()
    s.call(rpc.PatchScheduleRequest(namespace=NAMESPACE, schedule_id=plan.id), rpc.PatchScheduleResponse)
    plan.patch(pause="p" * 1001)
    plan.patch(unpause="u" * 1001)
    request = rpc.PatchScheduleRequest(
        namespace=NAMESPACE, schedule_id=plan.id, patch=SchedulePatch(pause="x"), request_id="r" * 1001
    )
    s.call(request, rpc.PatchScheduleResponse)
    plan.patch()
    plan.token()


def trigger(s: Script) -> None:
    """A trigger starts the action's workflow under the given time; the history tells where it comes from."""
    plan = Plan(s)
    schedule = plan.definition()
    start = schedule.action.start_workflow
    start.input.CopyFrom(payloads("1"))
    start.memo.CopyFrom(memo(a="1"))
    start.search_attributes.CopyFrom(attributes(DiffInt="5"))
    start.workflow_execution_timeout.CopyFrom(seconds(600))
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    plan.workflow(1)
    plan.finish()
    s.closed_history()
    s.describe()


def trigger_paused_and_exhausted(s: Script) -> None:
    """A trigger asks neither for a pause nor for remaining actions, and costs none."""
    plan = Plan(s)
    schedule = plan.definition()
    schedule.state.paused = True
    schedule.state.limited_actions = True
    plan.created(schedule)
    plan.trigger(1)
    found = plan.started(1)
    s.fact("remaining", found.schedule.state.remaining_actions)
    plan.token()


def trigger_without_action(s: Script) -> None:
    """Without an action there is nothing to start."""
    plan = Plan(s)
    plan.created(Schedule(spec=ScheduleSpec(cron_string=["0 0 1 1 *"])))
    plan.trigger(1)
    plan.patch_and_wait("after")
    plan.counters()


def trigger_twice_the_same_time(s: Script) -> None:
    """Two triggers of one time name one workflow id: the second may start once the first has ended."""
    plan = Plan(s)
    plan.created()
    plan.trigger(1)
    plan.started(1)
    plan.trigger(1, ALLOW_ALL)
    plan.patch_and_wait("after")
    plan.counters()
    plan.finish()
    plan.trigger(1, ALLOW_ALL)
    plan.started(2)


def started_by_hand(s: Script) -> None:
    """F27: a workflow under the id of an action that was started by hand: the action is dropped."""
    plan = Plan(s)
    plan.created()
    s.workflow_id = f"{plan.workflow_id}-{at(1).ToJsonString()}"
    s.start()
    plan.trigger(1)
    plan.patch_and_wait("after")
    plan.counters()
    s.terminate()
    plan.trigger(1)
    plan.started(1)


def backfill(s: Script) -> None:
    """A backfill takes all times of a range, both ends included, in a pause as well."""
    plan = Plan(s)
    schedule = plan.definition(cron_string=["0/10 * * * *"])
    schedule.state.paused = True
    plan.created(schedule)
    plan.backfill(0, 30, ALLOW_ALL)
    plan.started(4)
    plan.counters()


def backfill_with_skip(s: Script) -> None:
    """Under SKIP only the first time of a backfill starts something."""
    plan = Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"], end_time=stamp("2024-06-01T00:00:00Z")))
    plan.backfill(0, 30)
    plan.started(1)
    plan.counters()


def backfill_into_the_buffer(s: Script) -> None:
    """Under BUFFER_ALL the times wait for one another."""
    plan = Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"], end_time=stamp("2024-06-01T00:00:00Z")))
    plan.backfill(0, 20, BUFFER_ALL)
    plan.started(1)
    plan.counters()
    plan.finish()
    plan.started(2)
    plan.counters()
    plan.finish()
    plan.started(3)
    plan.counters()


def backfill_of_nothing(s: Script) -> None:
    """Ranges that hold no time, or end before they begin."""
    plan = Plan(s)
    plan.created(plan.definition(cron_string=["0 0 1 1 *"]))
    for first, last in ((0, 30), (30, 0)):
        plan.backfill(first, last, ALLOW_ALL)
        plan.patch_and_wait(f"after {first}")
    plan.counters()


def two_backfills(s: Script) -> None:
    """One patch may carry several ranges."""
    plan = Plan(s)
    plan.created(plan.definition(cron_string=["0/10 * * * *"], end_time=stamp("2024-06-01T00:00:00Z")))
    plan.patch(
        backfill_request=[
            BackfillRequest(start_time=at(60), end_time=at(70), overlap_policy=ALLOW_ALL),
            BackfillRequest(start_time=at(0), end_time=at(10), overlap_policy=ALLOW_ALL),
        ]
    )
    plan.started(4)


# -- overlap -----------------------------------------------------------------------------------------------------------


def _running_one(s: Script, overlap: Anything) -> Plan:
    plan = Plan(s)
    schedule = plan.definition()
    schedule.policies.overlap_policy = overlap
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    return plan


def _three_more(plan: Plan) -> None:
    for minute in (2, 3, 4):
        plan.trigger_and_wait(minute)


def overlap_skip(s: Script) -> None:
    """SKIP: while one runs, others are dropped and counted."""
    plan = _running_one(s, SKIP)
    _three_more(plan)
    plan.counters()
    plan.finish()
    plan.trigger(5)
    plan.started(2)


def overlap_buffer_one(s: Script) -> None:
    """BUFFER_ONE: one waits, the others are dropped."""
    plan = _running_one(s, BUFFER_ONE)
    _three_more(plan)
    plan.counters()
    plan.finish()
    plan.started(2)
    plan.counters()


def overlap_buffer_all(s: Script) -> None:
    """BUFFER_ALL: all wait."""
    plan = _running_one(s, BUFFER_ALL)
    _three_more(plan)
    plan.counters()
    for count in (2, 3, 4):
        plan.finish()
        plan.started(count)
    plan.counters()


def overlap_allow_all(s: Script) -> None:
    """ALLOW_ALL: all run, and none holds others up."""
    plan = _running_one(s, ALLOW_ALL)
    _three_more(plan)
    plan.started(4)
    plan.counters()


def overlap_cancel_other(s: Script) -> None:
    """CANCEL_OTHER: the running one is asked to cancel; the last of the waiting ones follows it."""
    plan = _running_one(s, CANCEL_OTHER)
    plan.trigger(2)
    plan.workflow(1)
    s.await_event("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    s.history()
    plan.counters()
    plan.finish()
    plan.started(2)


def overlap_terminate_other(s: Script) -> None:
    """TERMINATE_OTHER: the running one is terminated."""
    plan = _running_one(s, TERMINATE_OTHER)
    plan.trigger(2)
    plan.started(2)
    plan.workflow(1)
    s.closed_history()
    plan.counters()


def overlap_of_the_trigger(s: Script) -> None:
    """A trigger's own policy wins over the schedule's."""
    plan = _running_one(s, SKIP)
    plan.trigger(2, ALLOW_ALL)
    plan.started(2)
    plan.trigger(3, BUFFER_ALL)
    plan.until(lambda reply: reply.info.buffer_size == 1)
    plan.counters()


# -- ends of workflows -------------------------------------------------------------------------------------------------


def results_are_carried(s: Script) -> None:
    """The last result, and the failure of a failed run, go into the next start."""
    plan = _running_one(s, BUFFER_ALL)
    plan.trigger_and_wait(2)
    plan.trigger_and_wait(3)
    plan.finish(complete_workflow("7"))
    plan.started(2)
    plan.finish(fail_workflow(failure("broken")))
    plan.started(3)
    plan.workflow(2)
    s.closed_history()
    plan.workflow(3)
    s.history()


def pause_on_failure(s: Script) -> None:
    """A failure pauses the schedule, with a note."""
    plan = Plan(s)
    schedule = plan.definition()
    schedule.policies.pause_on_failure = True
    schedule.policies.overlap_policy = BUFFER_ALL
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    plan.trigger(2)
    plan.until(lambda reply: reply.info.buffer_size == 1)
    plan.finish(fail_workflow(failure("broken")))
    found = plan.until(lambda reply: reply.schedule.state.paused)
    s.fact("notes", found.schedule.state.notes)
    plan.token()


def statuses_of_actions(s: Script) -> None:
    """Recent actions tell how their workflows ended."""
    plan = _running_one(s, BUFFER_ALL)
    plan.trigger_and_wait(2)
    plan.trigger_and_wait(3)
    plan.finish()
    plan.started(2)
    plan.finish(fail_workflow(failure("x")))
    found = plan.started(3)
    names = [WorkflowExecutionStatus.Name(one.start_workflow_status) for one in found.info.recent_actions]
    s.fact("statuses", names)


# -- acting by itself --------------------------------------------------------------------------------------------------


def limited_actions(s: Script) -> None:
    """Two actions and no more; each costs one and raises the token."""
    plan = Plan(s)
    schedule = plan.definition(interval=[IntervalSpec(interval=seconds(1))])
    schedule.policies.overlap_policy = ALLOW_ALL
    schedule.state.limited_actions = True
    schedule.state.remaining_actions = 2
    plan.created(schedule)
    found = plan.until(lambda reply: reply.info.action_count == 2)
    s.fact("remaining", found.schedule.state.remaining_actions)
    s.fact("future", len(found.info.future_action_times))
    times = [one.schedule_time.seconds for one in found.info.recent_actions]
    s.fact("a second apart", [later - earlier for earlier, later in pairwise(times)])
    plan.token()


def automatic_start(s: Script) -> None:
    """A workflow that the schedule started by itself: its history."""
    plan = Plan(s)
    schedule = plan.definition(interval=[IntervalSpec(interval=seconds(1))])
    schedule.state.limited_actions = True
    schedule.state.remaining_actions = 1
    plan.created(schedule)
    found = plan.until(lambda reply: reply.info.action_count == 1)
    taken = found.info.recent_actions[0]
    s.fact("id", taken.start_workflow_result.workflow_id.replace(taken.schedule_time.ToJsonString(), "<nominal>"))
    s.workflow_id = taken.start_workflow_result.workflow_id
    started = s.send(s.history_request(), rpc.GetWorkflowExecutionHistoryResponse)
    assert not isinstance(started, RpcFailed)
    event = started.history.events[0].workflow_execution_started_event_attributes
    s.fact("attributes", sorted(event.search_attributes.indexed_fields))
    nominal = event.search_attributes.indexed_fields["TemporalScheduledStartTime"].data
    s.fact("nominal", nominal.decode().replace(taken.schedule_time.ToJsonString(), "<nominal>"))
    s.fact("by", event.search_attributes.indexed_fields["TemporalScheduledById"].data.decode())
    s.fact("identity", event.identity)


def end_of_times(s: Script) -> None:
    """A spec whose end has passed names no future."""
    plan = Plan(s)
    plan.created(plan.definition(cron_string=["* * * * *"], end_time=stamp("2024-06-01T00:00:00Z")))
    s.fact("future", len(plan.read().info.future_action_times))


# -- chains, users, updates --------------------------------------------------------------------------------------------


def continuing_as_new_is_going_on(s: Script) -> None:
    """The next run in a chain of runs holds others up as the first one did; its end frees the schedule."""
    plan = _running_one(s, SKIP)
    s.complete(s.poll_quietly(), continue_as_new())
    plan.trigger_and_wait(2)
    plan.counters()
    plan.finish()
    plan.trigger(3)
    found = plan.started(2)
    s.fact("first", WorkflowExecutionStatus.Name(found.info.recent_actions[0].start_workflow_status))


def terminated_by_a_user(s: Script) -> None:
    """A workflow that a user ends is no failure, and frees the schedule."""
    plan = Plan(s)
    schedule = plan.definition()
    schedule.policies.pause_on_failure = True
    plan.created(schedule)
    plan.trigger(1)
    plan.started(1)
    plan.workflow(1)
    s.terminate()
    plan.trigger(2)
    found = plan.started(2)
    s.fact("paused", found.schedule.state.paused)
    s.fact("first", WorkflowExecutionStatus.Name(found.info.recent_actions[0].start_workflow_status))


def an_update_changes_the_action(s: Script) -> None:
    """What is triggered after an update is what the update says."""
    plan = Plan(s)
    plan.created()
    schedule = plan.definition()
    schedule.action.start_workflow.workflow_id = f"other-{s.nonce}"
    plan.update(schedule)
    plan.until(lambda reply: reply.info.HasField("update_time"))
    plan.trigger(1)
    plan.started(1)


def an_update_changes_the_policy_of_what_waits(s: Script) -> None:
    """Starts without a policy of their own follow the schedule's when they are looked at."""
    plan = _running_one(s, BUFFER_ALL)
    plan.trigger_and_wait(2)
    plan.trigger_and_wait(3)
    schedule = plan.definition()
    schedule.policies.overlap_policy = SKIP
    plan.update(schedule)
    plan.until(lambda reply: reply.info.overlap_skipped == 2)
    plan.counters()
    plan.token()


def a_buffer_of_mixed_policies(s: Script) -> None:
    """Each waiting start by its own policy, in their order."""
    plan = _running_one(s, SKIP)
    plan.trigger_and_wait(2, BUFFER_ALL)
    plan.trigger_and_wait(3, BUFFER_ONE)
    plan.trigger_and_wait(4, BUFFER_ALL)
    plan.trigger_and_wait(5, SKIP)
    plan.counters()
    plan.finish()
    plan.started(2)
    plan.finish()
    plan.started(3)
    plan.counters()
