"""DescribeTaskQueue in both modes, and the order in which a queue hands out (semantics 12.2, 12.4)."""

from __future__ import annotations

import time
from typing import Any as Anything

from temporalio.api.common.v1 import Priority, WorkerVersionCapabilities
from temporalio.api.enums.v1 import DescribeTaskQueueMode, RateLimitSource, TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue, TaskQueueVersionSelection
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import queue

ENHANCED = DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
POLL = 3.0


def _describe(s: Script, **fields: Anything) -> rpc.DescribeTaskQueueResponse:
    defaults: dict[str, Anything] = {"namespace": NAMESPACE, "task_queue": TaskQueue(name=s.queue)}
    return s.call(rpc.DescribeTaskQueueRequest(**(defaults | fields)), rpc.DescribeTaskQueueResponse)


def nobody_has_been_there(s: Script) -> None:
    """A queue that nobody knows is described as an empty one, of every type and in both modes."""
    _describe(s, include_task_queue_status=True, report_stats=True, report_config=True)
    for kind in TaskQueueType.values()[1:]:
        _describe(s, task_queue_type=kind, report_stats=True, include_task_queue_status=True)
    _describe(s, api_mode=ENHANCED)
    s.another("in the enhanced mode the reference remembers its answer for a while")
    _describe(s, api_mode=ENHANCED, report_stats=True, report_pollers=True, report_task_reachability=True)
    _describe(s, api_mode=ENHANCED, report_stats=True, task_queue_types=[TaskQueueType.TASK_QUEUE_TYPE_NEXUS])
    sticky = s.sticky_task_queue()
    _describe(s, task_queue=sticky, include_task_queue_status=True, report_config=True)
    _describe(s, task_queue=TaskQueue(name=f"/_sys/{s.queue}/2"), include_task_queue_status=True)


def limit_that_holds(s: Script) -> None:
    """Without a limit of its own a queue has the system's; how high that is, is the installation's business."""
    for kind in TaskQueueType.values()[1:3]:
        reply = _describe(s, task_queue_type=kind, include_task_queue_status=True)
        limit = reply.effective_rate_limit
        s.fact("limited by", RateLimitSource.Name(limit.rate_limit_source))
        s.fact("as its status says", limit.requests_per_second == reply.task_queue_status.rate_per_second > 0)


def refused(s: Script) -> None:
    """What cannot be described."""
    _describe(s, task_queue=s.sticky_task_queue(), report_stats=True)
    _describe(s, task_queue=s.sticky_task_queue(), api_mode=ENHANCED)
    _describe(s, task_queue=TaskQueue(name=f"/_sys/{s.queue}/2"), report_stats=True)
    _describe(s, task_queue=TaskQueue(name=f"/_sys/{s.queue}/2"), api_mode=ENHANCED)
    _describe(s, task_queue=TaskQueue())
    _describe(
        s,
        api_mode=ENHANCED,
        report_task_reachability=True,
        versions=TaskQueueVersionSelection(build_ids=[str(n) for n in range(6)]),
    )


def chosen_versions(s: Script) -> None:
    """The enhanced mode shows the build ids that it was asked for, known or not."""
    for selection in (
        TaskQueueVersionSelection(build_ids=["one", "two"]),
        TaskQueueVersionSelection(unversioned=True),
        TaskQueueVersionSelection(build_ids=["one"], unversioned=True, all_active=True),
    ):
        _describe(s, api_mode=ENHANCED, versions=selection, report_stats=True, report_task_reachability=True)


def backlog_by_priority(s: Script) -> None:
    """Counts by priority, and whether anything came and went."""
    for number, key in enumerate((1, 1, 5, 0)):
        s.workflow_id = f"wf-{number}-{s.nonce}"
        s.start(priority=Priority(priority_key=key))
    request = rpc.DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), report_stats=True)
    reply = s.eventually(
        request,
        rpc.DescribeTaskQueueResponse,
        lambda known: known.stats.approximate_backlog_count == 4,
        record=False,
    )
    for key, stats in sorted(reply.stats_by_priority_key.items()):
        s.fact(f"backlog of priority {key}", stats.approximate_backlog_count)
        s.fact("it came", stats.tasks_add_rate > 0)


def urgent_first(s: Script) -> None:
    """Among tasks that wait, the lowest priority key goes first; a key above 5 counts as 5, none as 3."""
    for number, key in enumerate((5, 0, 1, 4, 2)):
        s.workflow_id = f"wf-{number}-{s.nonce}"
        s.start(priority=Priority(priority_key=key))
    request = rpc.DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), report_stats=True)
    known = s.eventually(
        request, rpc.DescribeTaskQueueResponse, lambda one: one.stats.approximate_backlog_count == 5, record=False
    )
    s.fact("levels", sorted(known.stats_by_priority_key))


def carried(s: Script) -> None:
    """Fairness keys and weights are echoed in events, polls and descriptions."""
    priority = Priority(priority_key=2, fairness_key="tenant", fairness_weight=2.5)
    task = s.begin(priority=priority)
    s.complete(task, s.activity("own", priority=Priority(fairness_key="other")), s.activity("inherited"))
    s.poll_activities(2)
    s.history()
    s.describe()


def refused_priorities(s: Script) -> None:
    """What is no priority."""
    for number, priority in enumerate(
        (
            Priority(priority_key=-1),
            Priority(fairness_key="k" * 65),
            Priority(fairness_weight=-1),
            Priority(priority_key=9, fairness_weight=1e9),
        )
    ):
        s.workflow_id = f"wf-{number}-{s.nonce}"
        s.start(priority=priority)


def pollers(s: Script) -> None:
    """A worker is shown with what it says of itself; one of a sticky queue with that queue."""
    poll = s.poll_request(
        worker_version_capabilities=WorkerVersionCapabilities(build_id="build-1"), worker_instance_key="key"
    )
    s.send(poll, rpc.PollWorkflowTaskQueueResponse, 2.5)
    _describe(s)
    _describe(s, api_mode=ENHANCED, report_pollers=True)
    _describe(s, task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    s.send(s.poll_request(s.sticky_task_queue()), rpc.PollWorkflowTaskQueueResponse, 2.5)
    _describe(s, task_queue=queue(s.sticky_queue, TaskQueueKind.TASK_QUEUE_KIND_STICKY, s.queue))


def a_good_bye_ends_polls(s: Script) -> None:
    """ShutdownWorker answers the polls of the worker empty, also those it still sends, and forgets it; others wait."""
    workflows = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    activities = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    mine = s.poll_request(worker_instance_key="mine", identity="one")
    other = s.poll_request(worker_instance_key="other", identity="two")
    activity = rpc.PollActivityTaskQueueRequest(
        namespace=NAMESPACE, task_queue=mine.task_queue, identity="one", worker_instance_key="mine"
    )
    began = time.monotonic()
    waiting = s.background(mine, rpc.PollWorkflowTaskQueueResponse, 20.0)
    waiting_activity = s.background(activity, rpc.PollActivityTaskQueueResponse, 20.0)
    stays = s.background(other, rpc.PollWorkflowTaskQueueResponse, 8.0)
    for kind, count in ((workflows, 2), (activities, 1)):
        request = rpc.DescribeTaskQueueRequest(namespace=NAMESPACE, task_queue=mine.task_queue, task_queue_type=kind)
        s.eventually(
            request,
            rpc.DescribeTaskQueueResponse,
            lambda known, count=count: len(known.pollers) == count,  # type: ignore[misc]  # bound now
            record=False,
        )
    goodbye = rpc.ShutdownWorkerRequest(
        namespace=NAMESPACE,
        identity="one",
        sticky_task_queue=s.sticky_queue,
        worker_instance_key="mine",
        task_queue=s.queue,
        task_queue_types=[workflows, activities],
    )
    s.call(goodbye, rpc.ShutdownWorkerResponse)
    waiting.join()
    waiting_activity.join()
    s.call(mine, rpc.PollWorkflowTaskQueueResponse, 20.0)
    s.fact("all of it took less than 7 s", time.monotonic() - began < 7)
    _describe(s)
    s.start()
    s.fact("the other worker gets", stays.join().workflow_execution.workflow_id)


def a_worker_that_hung_up_gets_nothing(s: Script) -> None:
    """A task goes to the next who asks, not to a poll whose client is gone."""
    for _ in range(8):
        s.connection.hang_up(s.poll_request(), 0.1)
    s.start()
    task = s.poll()
    s.fact("attempt", task.attempt)


def normal_name_of_a_normal_queue(s: Script) -> None:
    """Only a sticky queue has a normal one beside it."""
    named = TaskQueue(name=s.queue, normal_name="other")
    whose: dict[str, Anything] = {"namespace": NAMESPACE, "task_queue": named, "identity": "worker"}
    s.call(rpc.PollWorkflowTaskQueueRequest(**whose), rpc.PollWorkflowTaskQueueResponse, POLL)
    s.call(rpc.PollActivityTaskQueueRequest(**whose), rpc.PollActivityTaskQueueResponse, POLL)
    s.call(rpc.PollNexusTaskQueueRequest(**whose), rpc.PollNexusTaskQueueResponse, POLL)
    _describe(s, task_queue=named)
    _describe(s, task_queue=named, api_mode=ENHANCED)
    s.call(
        rpc.ListTaskQueuePartitionsRequest(namespace=NAMESPACE, task_queue=named), rpc.ListTaskQueuePartitionsResponse
    )
    s.start(task_queue=named)
    task = s.poll()
    s.complete(task, s.activity("a", task_queue=named))
    s.history()
    s.poll_activity()
