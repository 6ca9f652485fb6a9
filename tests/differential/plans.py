"""A schedule in the language of scenarios: its RPCs, and what is waited for.

Nominal times are fixed ones in the past: the ids of workflows, which end with them, are then the same on both servers.
A change is waited for before the next one: the reference loses one of two patches that arrive together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any as Anything

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import ScheduleOverlapPolicy
from temporalio.api.schedule.v1 import (
    BackfillRequest,
    Schedule,
    SchedulePatch,
    ScheduleSpec,
    TriggerImmediatelyRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from .script import NAMESPACE, Script, filled
from .values import complete_workflow, workflow_type
from .wire import RpcFailed

SKIP = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_SKIP
BUFFER_ONE = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE
BUFFER_ALL = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
CANCEL_OTHER = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER
TERMINATE_OTHER = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER
ALLOW_ALL = ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
TIMEOUT = 20.0
"""Deadline of RPCs that the reference answers by way of a workflow of its own."""


def stamp(text: str) -> Timestamp:
    found = Timestamp()
    found.FromJsonString(text)
    return found


NOON = stamp("2024-05-01T12:00:00Z")


def at(minute: int) -> Timestamp:
    """So many minutes after noon of a day in 2024."""
    return Timestamp(seconds=NOON.seconds + 60 * minute)


class Plan:
    """The schedule of a script, and its RPCs."""

    def __init__(self, s: Script, name: str = "") -> None:
        self.s = s
        self.id = f"sched{name}-{s.nonce}"
        self.workflow_id = f"job{name}-{s.nonce}"

    def definition(self, **spec: Anything) -> Schedule:
        """A schedule that acts seldom: yearly, unless a spec is given."""
        found = Schedule(spec=ScheduleSpec(**(spec or {"cron_string": ["0 0 1 1 *"]})))
        start = found.action.start_workflow
        start.workflow_id = self.workflow_id
        start.workflow_type.CopyFrom(workflow_type("Wf"))
        start.task_queue.CopyFrom(TaskQueue(name=self.s.queue))
        return found

    def create_request(self, wanted: Schedule | None = None, **fields: Anything) -> rpc.CreateScheduleRequest:
        return filled(
            rpc.CreateScheduleRequest,
            fields,
            namespace=NAMESPACE,
            schedule_id=self.id,
            schedule=wanted or self.definition(),
            request_id=self.s.new_request_id(),
            identity="planner",
        )

    def create(self, wanted: Schedule | None = None, **fields: Anything) -> rpc.CreateScheduleResponse:
        return self.s.call(self.create_request(wanted, **fields), rpc.CreateScheduleResponse)

    def created(self, wanted: Schedule | None = None, **fields: Anything) -> None:
        """Create without recording, and wait until it answers."""
        outcome = self.s.send(self.create_request(wanted, **fields), rpc.CreateScheduleResponse)
        if isinstance(outcome, RpcFailed):
            self.s.record(rpc.CreateScheduleRequest(), rpc.CreateScheduleResponse, outcome)
            raise self.s.stop("the schedule was not created")
        self.read()

    def describe_request(self) -> rpc.DescribeScheduleRequest:
        return rpc.DescribeScheduleRequest(namespace=NAMESPACE, schedule_id=self.id)

    def read(self) -> rpc.DescribeScheduleResponse:
        """Describe without recording."""
        outcome = self.s.send(self.describe_request(), rpc.DescribeScheduleResponse, TIMEOUT)
        if isinstance(outcome, RpcFailed):
            self.s.record(self.describe_request(), rpc.DescribeScheduleResponse, outcome)
            raise self.s.stop("the schedule cannot be described")
        return outcome

    def describe(self) -> rpc.DescribeScheduleResponse:
        return self.s.call(self.describe_request(), rpc.DescribeScheduleResponse, TIMEOUT)

    def until(self, what: Callable[[rpc.DescribeScheduleResponse], bool]) -> rpc.DescribeScheduleResponse:
        """Describe until it shows something; not recorded."""
        return self.s.eventually(self.describe_request(), rpc.DescribeScheduleResponse, what, record=False)

    def update(self, wanted: Schedule | None = None, **fields: Anything) -> None:
        request = filled(
            rpc.UpdateScheduleRequest,
            fields,
            namespace=NAMESPACE,
            schedule_id=self.id,
            schedule=wanted or self.definition(),
            request_id=self.s.new_request_id(),
        )
        self.s.call(request, rpc.UpdateScheduleResponse)

    def patch(self, **patch: Anything) -> None:
        request = rpc.PatchScheduleRequest(
            namespace=NAMESPACE,
            schedule_id=self.id,
            patch=SchedulePatch(**patch),
            request_id=self.s.new_request_id(),
        )
        self.s.call(request, rpc.PatchScheduleResponse)

    def patch_and_wait(self, notes: str) -> None:
        """Pause a moment after another patch: when the notes show, the other one has been seen too.

        The reference keeps one patch only, and loses the other of two that come at once.
        """
        self.s.another_run_waits()
        self.patch(pause=notes)
        self.until(lambda reply: reply.schedule.state.notes == notes)

    def trigger(self, minute: int, overlap: Anything = 0) -> None:
        self.patch(trigger_immediately=TriggerImmediatelyRequest(overlap_policy=overlap, scheduled_time=at(minute)))

    def backfill(self, first: int, last: int, overlap: Anything = 0) -> None:
        self.patch(backfill_request=[BackfillRequest(start_time=at(first), end_time=at(last), overlap_policy=overlap)])

    def delete(self) -> None:
        self.s.call(rpc.DeleteScheduleRequest(namespace=NAMESPACE, schedule_id=self.id), rpc.DeleteScheduleResponse)

    def matching(self, first: Timestamp | None, last: Timestamp | None) -> list[str]:
        request = rpc.ListScheduleMatchingTimesRequest(namespace=NAMESPACE, schedule_id=self.id)
        if first is not None:
            request.start_time.CopyFrom(first)
        if last is not None:
            request.end_time.CopyFrom(last)
        reply = self.s.call(request, rpc.ListScheduleMatchingTimesResponse, TIMEOUT)
        return [time.ToJsonString() for time in reply.start_time]

    def started(self, count: int) -> rpc.DescribeScheduleResponse:
        """Wait until so many actions were taken, and state their workflows."""
        found = self.until(lambda reply: reply.info.action_count >= count)
        self.s.fact("started", [one.start_workflow_result.workflow_id for one in found.info.recent_actions])
        return found

    def counters(self) -> None:
        info = self.read().info
        self.s.fact(
            "actions, missed, skipped, dropped, buffered",
            (
                info.action_count,
                info.missed_catchup_window,
                info.overlap_skipped,
                info.buffer_dropped,
                info.buffer_size,
            ),
        )
        self.s.fact("running", [one.workflow_id for one in info.running_workflows])

    def token(self) -> None:
        self.s.fact("conflict token", int.from_bytes(self.read().conflict_token, "big"))

    def workflow(self, minute: int) -> None:
        """Turn to the workflow that was started for a minute."""
        self.s.workflow_id = f"{self.workflow_id}-{at(minute).ToJsonString()}"
        self.s.run_id = ""

    def finish(self, *commands: Anything) -> None:
        """Take the next workflow task, unrecorded, and complete the workflow."""
        self.s.complete(self.s.poll_quietly(), *(commands or (complete_workflow(),)))

    def decided(self) -> int:
        """How many starts the schedule has decided on in some way."""
        return _decided(self.read())

    def trigger_and_wait(self, minute: int, overlap: Anything = 0) -> None:
        """Trigger, and wait until the schedule has decided what becomes of it."""
        before = self.decided()
        self.trigger(minute, overlap)
        self.until(lambda reply: _decided(reply) > before)


def _decided(reply: rpc.DescribeScheduleResponse) -> int:
    info = reply.info
    return info.action_count + info.overlap_skipped + info.buffer_dropped + info.buffer_size
