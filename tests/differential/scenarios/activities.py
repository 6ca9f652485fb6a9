"""Activities: results, retries, heartbeats, cancellation (semantics 5)."""

from __future__ import annotations

from temporalio.api.common.v1 import ActivityType, Priority
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import (
    ActivityFailureInfo,
    ApplicationFailureInfo,
    CanceledFailureInfo,
    Failure,
    ServerFailureInfo,
    TimeoutFailureInfo,
)
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import (
    cancel_activity,
    complete_workflow,
    failure,
    header,
    huge,
    payloads,
    queue,
    record_marker,
    retry_policy,
    seconds,
    start_timer,
)


def completed(s: Script) -> None:
    """An activity that succeeds at once: what its worker gets and what is written (5.2, 5.3)."""
    command = s.activity(
        "first",
        input=payloads("1", "2"),
        header=header(trace='"x"'),
        heartbeat_timeout=seconds(20),
        schedule_to_start_timeout=seconds(50),
        schedule_to_close_timeout=seconds(60),
        priority=Priority(priority_key=1),
    )
    s.complete(s.begin(), command)
    s.describe()
    task = s.poll_activity()
    s.history()
    s.describe()
    s.complete_activity(task)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def retried_twice(s: Script) -> None:
    """D2: two failed attempts write nothing; the third writes ACTIVITY_TASK_STARTED with attempt and last failure."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(0.9)), sticky_attributes=s.sticky())
    s.fail_activity(s.poll_activity(), failure("first"))
    s.describe()
    s.fail_activity(s.poll_activity(), failure("second"))
    last = s.poll_activity()
    task = s.poll_sticky(lambda: s.complete_activity(last))
    started = task.history.events[2]
    s.fact("started event has the attempt's time", started.event_time == last.started_time)
    s.complete(task, complete_workflow())
    s.closed_history()


def not_retryable(s: Script) -> None:
    """Failures that end an activity at its first attempt (5.5)."""
    policy = retry_policy(0.1, 1, 0, 0, "Fatal")
    timeout = Failure(
        message="t", timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE)
    )
    server = Failure(message="s", server_failure_info=ServerFailureInfo(non_retryable=True))
    for label, cause in (
        ("flag", failure("no", non_retryable=True)),
        ("listed type", failure("no", "Fatal")),
        ("timeout failure from a worker", timeout),
        ("server failure", server),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), s.activity(retry_policy=policy))
        s.fail_activity(s.poll_activity(), cause)
        s.describe()
        s.history()


def maximum_attempts(s: Script) -> None:
    """MAXIMUM_ATTEMPTS_REACHED after the last attempt (5.5)."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(0.1, 1, 0, 2)))
    s.fail_activity(s.poll_activity(), failure("first"))
    s.fail_activity(s.poll_activity(), failure("second"))
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def next_retry_delay(s: Script) -> None:
    """next_retry_delay replaces the policy's interval (F17)."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(3600, 1, 3600)))
    first = s.poll_activity()
    s.fail_activity(first, failure("first", next_retry_delay=seconds(1)))
    second = s.poll_activity()
    wait = second.current_attempt_scheduled_time.ToNanoseconds() - first.started_time.ToNanoseconds()
    s.fact("second attempt after about, seconds", round(wait / 1e9))
    s.complete_activity(second)
    s.poll()


def retry_would_miss_schedule_to_close(s: Script) -> None:
    """A retry that cannot start before the schedule-to-close deadline ends with TIMEOUT (5.5)."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(60), schedule_to_close_timeout=seconds(5)))
    s.fail_activity(s.poll_activity())
    s.poll()


def backoff_description(s: Script) -> None:
    """A waiting retry as DescribeWorkflowExecution shows it."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(3600, 2, 7200, 5)))
    task = s.poll_activity()
    s.heartbeat(task, '"progress"')
    s.fail_activity(task, last_heartbeat_details=payloads('"last"'))
    info = s.describe().pending_activities[0]
    wait = info.next_attempt_schedule_time.ToNanoseconds() - info.last_attempt_complete_time.ToNanoseconds()
    s.fact("next attempt in, seconds", round(wait / 1e9))


def heartbeat_details_reach_next_attempt(s: Script) -> None:
    """The last heartbeat's details come with the next attempt (5.4, F15)."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(0.1), heartbeat_timeout=seconds(30)))
    task = s.poll_activity()
    s.heartbeat(task, '"one"')
    s.heartbeat(task, '"two"')
    s.describe()
    s.fail_activity(task)
    task = s.poll_activity()
    s.heartbeat(task, None)
    s.fail_activity(task)
    task = s.poll_activity()
    s.heartbeat(task, '"three"')
    s.fail_activity(task, last_heartbeat_details=payloads('"four"'))
    s.complete_activity(s.poll_activity())
    s.poll()


def cancel_before_start(s: Script) -> None:
    """D6: an activity that waits for a worker is cancelled at once, and a workflow task is forced."""
    s.complete(s.begin(), s.activity(), sticky_attributes=s.sticky())
    task = s.poll_sticky(s.signal)
    s.complete(task, cancel_activity(5))
    s.poll()
    s.describe()


def cancel_before_start_with_timer(s: Script) -> None:
    """D6 mixed with START_TIMER: the cancelled event is buffered behind the command's events."""
    s.complete(s.begin(), s.activity())
    s.signal()
    s.complete(s.poll(), cancel_activity(5), start_timer())
    s.poll()


def cancel_in_same_batch(s: Script) -> None:
    """An activity scheduled and cancelled in one workflow task."""
    s.complete(s.begin(), s.activity(), cancel_activity(5))
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def cancel_in_backoff(s: Script) -> None:
    """An activity that waits for its retry counts as not started (4.2)."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(3600)))
    s.fail_activity(s.poll_activity(), failure("first"))
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.poll()


def cancel_of_running(s: Script) -> None:
    """A running activity hears of its cancellation by heartbeat and may report it (5.3, 5.4)."""
    s.complete(s.begin(), s.activity())
    running = s.poll_activity()
    s.cancel_activity(running)
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.describe()
    s.heartbeat(running)
    s.cancel_activity(running)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def cancel_requested_then_completed(s: Script) -> None:
    """A cancelled activity may still complete."""
    s.complete(s.begin(), s.activity())
    running = s.poll_activity()
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.complete_activity(running)
    s.poll()


def cancel_requested_then_failed(s: Script) -> None:
    """A cancelled activity is not retried: retry state CANCEL_REQUESTED (5.5)."""
    s.complete(s.begin(), s.activity(retry_policy=retry_policy(0.1)))
    running = s.poll_activity()
    s.signal()
    s.complete(s.poll(), cancel_activity(5))
    s.fail_activity(running)
    s.poll()


def cancel_of_buffered_completion(s: Script) -> None:
    """F3: REQUEST_CANCEL of an activity whose completion is buffered does not fail."""
    s.complete(s.begin(), s.activity())
    running = s.poll_activity()
    s.signal()
    task = s.poll()
    s.complete_activity(running)
    s.complete(task, cancel_activity(5), start_timer())
    s.poll()


def cancel_twice(s: Script) -> None:
    """A second cancel request for one activity is a bad command (4.2)."""
    s.complete(s.begin_quietly(), s.activity())
    s.poll_activity()
    s.signal()
    s.complete(s.poll(), cancel_activity(5), record_marker())
    s.signal("again")
    s.complete(s.poll(), cancel_activity(5))
    s.history()


def buffered_order(s: Script) -> None:
    """D18: completions go behind other buffered events, each with its started event in order."""
    s.complete(s.begin(), s.activity("a"), s.activity("b"))
    first, second = s.poll_activities(2)
    s.signal("begin")
    task = s.poll()
    s.complete_activity(first)
    s.signal("between")
    s.complete_activity(second)
    s.history()
    s.complete(task, start_timer())
    s.poll()


def by_id(s: Script) -> None:
    """D16: complete by workflow id and activity id, without a run id."""
    s.complete(s.begin(), s.activity("slow"))
    s.poll_activity()
    _by_id_heartbeat(s, "slow")
    _by_id_complete(s, "slow", "")
    _by_id_complete(s, "slow", "")
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def _by_id_complete(s: Script, activity_id: str, run_id: str) -> None:
    request = rpc.RespondActivityTaskCompletedByIdRequest(
        namespace=NAMESPACE,
        workflow_id=s.workflow_id,
        run_id=run_id,
        activity_id=activity_id,
        identity="someone",
        result=payloads('"by id"'),
    )
    s.call(request, rpc.RespondActivityTaskCompletedByIdResponse)


def _by_id_heartbeat(s: Script, activity_id: str) -> None:
    request = rpc.RecordActivityTaskHeartbeatByIdRequest(
        namespace=NAMESPACE,
        workflow_id=s.workflow_id,
        activity_id=activity_id,
        identity="someone",
        details=payloads('"still here"'),
    )
    s.call(request, rpc.RecordActivityTaskHeartbeatByIdResponse)


def _by_id_fail(s: Script, activity_id: str, cause: Failure | None = None) -> None:
    request = rpc.RespondActivityTaskFailedByIdRequest(
        namespace=NAMESPACE,
        workflow_id=s.workflow_id,
        run_id=s.run_id,
        activity_id=activity_id,
        identity="someone",
        failure=cause or failure("by id", non_retryable=True),
    )
    s.call(request, rpc.RespondActivityTaskFailedByIdResponse)


def _by_id_cancel(s: Script, activity_id: str) -> None:
    request = rpc.RespondActivityTaskCanceledByIdRequest(
        namespace=NAMESPACE,
        workflow_id=s.workflow_id,
        run_id=s.run_id,
        activity_id=activity_id,
        identity="someone",
        details=payloads('"by id"'),
    )
    s.call(request, rpc.RespondActivityTaskCanceledByIdResponse)


def by_id_fail_and_cancel(s: Script) -> None:
    """Fail and cancel by id."""
    s.complete(s.begin(), s.activity("fails"), s.activity("cancels"))
    s.poll_activities(2)
    _by_id_cancel(s, "cancels")
    _by_id_fail(s, "fails")
    s.complete(s.poll(), cancel_activity(6))
    _by_id_cancel(s, "cancels")
    s.poll()


def by_id_not_started(s: Script) -> None:
    """By-id completion of an activity no worker has taken fabricates its started event (5.3)."""
    s.complete(s.begin(), s.activity("unstarted"))
    _by_id_heartbeat(s, "unstarted")
    _by_id_fail(s, "unstarted")
    _by_id_complete(s, "unstarted", s.run_id)
    s.poll()


def by_id_any_failure(s: Script) -> None:
    """By id any kind of failure may be reported; its outermost info decides whether another attempt follows (5.5)."""
    for label, cause in (
        ("bare", Failure(message="m")),
        ("timeout", Failure(timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_HEARTBEAT))),
        ("cancelled", Failure(message="m", canceled_failure_info=CanceledFailureInfo())),
        ("server", Failure(message="m", server_failure_info=ServerFailureInfo(non_retryable=True))),
        ("wrapped", Failure(activity_failure_info=ActivityFailureInfo(), cause=failure("in", non_retryable=True))),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(3600)))
        s.poll_activity()
        _by_id_fail(s, "a", cause)
        s.history()
        s.describe()


def by_id_unknown(s: Script) -> None:
    """Unknown activities, workflows and runs in by-id calls."""
    s.start()
    other = "01234567-89ab-cdef-0123-456789abcdef"
    _by_id_complete(s, "nothing", "")
    _by_id_complete(s, "nothing", other)
    _by_id_complete(s, "nothing", "no-uuid")
    _by_id_heartbeat(s, "nothing")
    _by_id_fail(s, "nothing")
    _by_id_cancel(s, "nothing")
    s.workflow_id = "unknown-" + s.nonce
    _by_id_complete(s, "nothing", "")
    _by_id_heartbeat(s, "nothing")


def stale_tokens(s: Script) -> None:
    """The token of an attempt that is over is NOT_FOUND, for every verb (5.3)."""
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(0.1)))
    first = s.poll_activity()
    s.fail_activity(first)
    second = s.poll_activity()
    s.complete_activity(first)
    s.fail_activity(first)
    s.cancel_activity(first)
    s.heartbeat(first)
    s.complete_activity(second)
    s.complete_activity(second)
    s.heartbeat(second)


def after_close(s: Script) -> None:
    """F16: answers of an activity whose workflow is closed are NOT_FOUND."""
    s.complete(s.begin_quietly(), s.activity())
    task = s.poll_activity()
    s.terminate()
    s.complete_activity(task)
    s.fail_activity(task)
    s.cancel_activity(task)
    s.heartbeat(task)
    _by_id_complete(s, "a", "")
    s.history()


def odd_failures(s: Script) -> None:
    """Failures without application info, empty failures, and no failure at all (5.3)."""
    for label, cause in (
        ("no info", Failure(message="bare")),
        ("empty", Failure()),
        ("empty application info", Failure(message="m", application_failure_info=ApplicationFailureInfo())),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(1, 1, 0, 1)))
        s.fail_activity(s.poll_activity(), cause)
        s.history()
    s.another("none")
    s.complete(s.begin_quietly(), s.activity(retry_policy=retry_policy(1, 1, 0, 1)))
    s.fail_activity(s.poll_activity(), failure=None)
    s.history()


def too_big(s: Script) -> None:
    """Oversized results, details and failures turn into server failures (5.3, 5.4)."""
    s.complete(s.begin_quietly(), s.activity("result"))
    s.complete_activity(s.poll_activity(), result=huge())
    s.history()
    s.another("heartbeat")
    s.complete(s.begin_quietly(), s.activity("beat"))
    s.heartbeat(s.poll_activity(), details=huge())
    s.history()


def timeouts_are_normalised(s: Script) -> None:
    """Missing timeouts are derived and all are capped (4.1)."""
    s.begin_quietly(workflow_run_timeout=seconds(100))
    for label, fields in (
        ("start to close only", {"start_to_close_timeout": seconds(10)}),
        ("schedule to close only", {"schedule_to_close_timeout": seconds(20), "start_to_close_timeout": None}),
        ("heartbeat over start to close", {"heartbeat_timeout": seconds(99)}),
        ("start to close over schedule to close", {"schedule_to_close_timeout": seconds(5)}),
        (
            "schedule to start over schedule to close",
            {"schedule_to_close_timeout": seconds(5), "schedule_to_start_timeout": seconds(9)},
        ),
        (
            "over the run timeout",
            {
                "start_to_close_timeout": seconds(1000),
                "schedule_to_close_timeout": seconds(2000),
                "schedule_to_start_timeout": seconds(1500),
                "heartbeat_timeout": seconds(900),
            },
        ),
    ):
        for run_timeout in (100, 0):
            s.another(f"{label}, run timeout {run_timeout}")
            task = s.begin_quietly(workflow_run_timeout=seconds(run_timeout))
            s.complete(task, s.activity(**fields))
            s.history()


def retry_policy_defaults(s: Script) -> None:
    """Every activity has a retry policy, completed with defaults (4.1)."""
    for label, policy in (
        ("none", None),
        ("empty", retry_policy(0, 0)),
        ("initial", retry_policy(4, 0)),
        ("one attempt", retry_policy(0, 0, 0, 1)),
    ):
        s.another(label)
        s.complete(s.begin_quietly(), s.activity(retry_policy=policy))
        s.history()


def eager(s: Script) -> None:
    """Eager activities come with the completion's response, started (4.1)."""
    task = s.begin()
    reply = s.complete(
        task,
        s.activity("eager", request_eager_execution=True, input=payloads("1")),
        s.activity("plain"),
    )
    s.describe()
    s.poll_activity()
    for activity in reply.activity_tasks:
        s.complete_activity(rpc.PollActivityTaskQueueResponse(task_token=activity.task_token))
    s.poll()


def eager_undone(s: Script) -> None:
    """F35: no eager activity comes back when its task also cancels it or closes the workflow."""
    s.complete(s.begin(), s.activity("a", request_eager_execution=True), cancel_activity(5))
    s.another("closed")
    s.complete(s.begin(), s.activity("a", request_eager_execution=True), complete_workflow())
    s.closed_history()


def on_another_queue(s: Script) -> None:
    """An activity goes to the queue its command names; ids and types may be any text."""
    name = f"other-{s.nonce}"
    command = s.activity("\u00fc/1", activity_type=ActivityType(name="T\u00ffpe"), task_queue=queue(name))
    s.complete(s.begin(), command)
    s.complete_activity(s.poll_activity(task_queue=queue(name)))
    s.poll()


def duplicate_id(s: Script) -> None:
    """An activity id may be used again once the first is over, not before (4.1)."""
    s.complete(s.begin(), s.activity("same"))
    s.signal()
    s.complete(s.poll(), s.activity("same"))
    s.complete_activity(s.poll_activity())
    s.complete(s.poll(), s.activity("same"))
    s.complete_activity(s.poll_activity())
    s.poll()


def poll_bounds(s: Script) -> None:
    """Activity polls: empty answer, too short a deadline, bad queues."""
    request = rpc.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=queue(s.queue), identity="w")
    s.call(request, rpc.PollActivityTaskQueueResponse, timeout=3.0)
    s.call(request, rpc.PollActivityTaskQueueResponse, timeout=1.0)
    for name in ("", "x" * 1001, "/_sys/a/1"):
        request.task_queue.name = name
        s.call(request, rpc.PollActivityTaskQueueResponse, timeout=3.0)
