"""UpdateTaskQueueConfig and what DescribeTaskQueue shows of it (semantics 12.3)."""

from __future__ import annotations

from typing import Any as Anything

from google.protobuf.wrappers_pb2 import DoubleValue
from temporalio.api.enums.v1 import RateLimitSource, TaskQueueType
from temporalio.api.taskqueue.v1 import RateLimit, TaskQueue, TaskQueueMetadata
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, WORKER, Script
from ..values import complete_workflow
from ..wire import RpcFailed

ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
WORKFLOWS = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW

Limit = rpc.UpdateTaskQueueConfigRequest.RateLimitUpdate


def _limit(per_second: float, reason: str = "") -> Limit:
    return Limit(rate_limit=RateLimit(requests_per_second=per_second), reason=reason)


def _update(s: Script, **fields: Anything) -> rpc.UpdateTaskQueueConfigResponse:
    defaults: dict[str, Anything] = {"task_queue": s.queue, "task_queue_type": ACTIVITIES}
    request = rpc.UpdateTaskQueueConfigRequest(namespace=NAMESPACE, **(defaults | fields))
    return s.call(request, rpc.UpdateTaskQueueConfigResponse)


def _config(s: Script, kind: TaskQueueType.ValueType = ACTIVITIES) -> None:
    request = rpc.DescribeTaskQueueRequest(
        namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), task_queue_type=kind, report_config=True
    )
    reply = s.call(request, rpc.DescribeTaskQueueResponse)
    source = reply.effective_rate_limit.rate_limit_source
    if source == RateLimitSource.RATE_LIMIT_SOURCE_API:
        s.fact("limited by the API to", reply.effective_rate_limit.requests_per_second)


def set_and_unset(s: Script) -> None:
    """Each part of a configuration is changed without the others; an unset limit keeps its metadata."""
    _config(s)
    _update(s, identity="operator", update_queue_rate_limit=_limit(5.5, "too fast"))
    _config(s)
    _update(s, update_fairness_key_rate_limit_default=_limit(2))
    _update(s, set_fairness_weight_overrides={"gold": 10.0, "lead": 0.1})
    _update(s, set_fairness_weight_overrides={"gold": 5.0}, unset_fairness_weight_overrides=["lead", "unknown"])
    _config(s)
    _update(s, identity="another", update_queue_rate_limit=Limit(reason="enough"))
    _update(s, update_queue_rate_limit=_limit(0), update_fairness_key_rate_limit_default=Limit())
    _config(s)
    _config(s, WORKFLOWS)


def workflow_queues(s: Script) -> None:
    """Workflow tasks are not limited, but weighed."""
    _update(s, task_queue_type=WORKFLOWS, update_queue_rate_limit=_limit(5))
    _update(s, task_queue_type=WORKFLOWS, update_fairness_key_rate_limit_default=_limit(5))
    _update(s, task_queue_type=WORKFLOWS, update_queue_rate_limit=Limit(reason="unset"))
    _update(s, task_queue_type=WORKFLOWS, set_fairness_weight_overrides={"a": 2.0})
    _config(s, WORKFLOWS)


def refused(s: Script) -> None:
    """What is wrong with a request, in the order in which it is found."""
    _update(s, update_queue_rate_limit=_limit(-1))
    _update(s, update_fairness_key_rate_limit_default=_limit(-0.5))
    _update(s, update_queue_rate_limit=_limit(1, "r" * 1001))
    _update(s, update_fairness_key_rate_limit_default=_limit(1, "r" * 1001))
    _update(s, update_queue_rate_limit=_limit(1), identity="i" * 1001)
    _update(s, set_fairness_weight_overrides={"": 1.0})
    _update(s, set_fairness_weight_overrides={"k" * 65: 1.0})
    _update(s, set_fairness_weight_overrides={"k": -1.0})
    _update(s, set_fairness_weight_overrides={"k": 0.0})
    _update(s, unset_fairness_weight_overrides=[""])
    _update(s, unset_fairness_weight_overrides=["k" * 65])
    _update(s, unset_fairness_weight_overrides=["k"], set_fairness_weight_overrides={"k": 1.0})
    _update(s, set_fairness_weight_overrides={f"k{n}": 1.0 for n in range(1001)})
    _update(s, task_queue="/_sys/other/1", update_queue_rate_limit=_limit(1))
    _config(s)


def too_many_weights(s: Script) -> None:
    """The limit is on what is kept, too."""
    _update(s, set_fairness_weight_overrides={f"a{n}": 1.0 for n in range(600)})
    reply = _update(s, set_fairness_weight_overrides={f"b{n}": 1.0 for n in range(600)})
    s.fact("weights", len(reply.config.fairness_weight_overrides))


def a_stopped_queue_hands_nothing_out(s: Script) -> None:
    """A limit of 0 stops a queue's activities until it is unset; the statistics say that it held something back."""
    _update(s, update_queue_rate_limit=_limit(0))
    s.complete(s.begin_quietly(), s.activity())
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity=WORKER)
    s.call(request, rpc.PollActivityTaskQueueResponse, 4.0)
    s.fact("limit at work", _rate_limiting(s))
    _update(s, update_queue_rate_limit=Limit())
    s.complete_activity(s.poll_activity())
    s.complete(s.poll_quietly(), complete_workflow())


def _rate_limiting(s: Script) -> list[bool]:
    """Of the queue's activities: as a whole, and of each priority."""
    describe = rpc.DescribeTaskQueueRequest(
        namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), task_queue_type=ACTIVITIES, report_stats=True
    )
    reply = s.send(describe, rpc.DescribeTaskQueueResponse)
    if isinstance(reply, RpcFailed):
        raise s.stop("the queue is not described")
    return [stats.rate_limiting_active for stats in (reply.stats, *reply.stats_by_priority_key.values())]


def the_worker_s_own_limit(s: Script) -> None:
    """A poll's limit is shown with the poller, and holds unless the API's does, or it limits nothing."""
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), identity=WORKER)
    request.task_queue_metadata.CopyFrom(TaskQueueMetadata(max_tasks_per_second=DoubleValue(value=7.0)))
    s.call(request, rpc.PollActivityTaskQueueResponse, 3.0)
    describe = rpc.DescribeTaskQueueRequest(
        namespace=NAMESPACE, task_queue=TaskQueue(name=s.queue), task_queue_type=ACTIVITIES
    )
    reply = s.call(describe, rpc.DescribeTaskQueueResponse)
    s.fact("effective", reply.effective_rate_limit)
    _update(s, update_queue_rate_limit=_limit(3))
    reply = s.call(describe, rpc.DescribeTaskQueueResponse)
    s.fact("effective", reply.effective_rate_limit)
    _update(s, update_queue_rate_limit=_limit(1e9))
    reply = s.call(describe, rpc.DescribeTaskQueueResponse)
    s.fact("set by", RateLimitSource.Name(reply.effective_rate_limit.rate_limit_source))
