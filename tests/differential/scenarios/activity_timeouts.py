"""The four activity timeouts (semantics 5.6)."""

from __future__ import annotations

from ..script import Script
from ..values import complete_workflow, failure, retry_policy, seconds


def schedule_to_start(s: Script) -> None:
    """No worker takes the activity: SCHEDULE_TO_START, not retried."""
    s.complete(s.begin(), s.activity(schedule_to_start_timeout=seconds(1)))
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def start_to_close_once(s: Script) -> None:
    """START_TO_CLOSE with one attempt: started and timed out in the history."""
    s.complete(s.begin(), s.activity(start_to_close_timeout=seconds(1), retry_policy=retry_policy(1, 1, 0, 1)))
    task = s.poll_activity()
    s.complete(s.poll(), complete_workflow())
    s.complete_activity(task)
    s.closed_history()


def start_to_close_retried(s: Script) -> None:
    """F15: a start-to-close timeout retries silently."""
    s.complete(s.begin(), s.activity(start_to_close_timeout=seconds(1), retry_policy=retry_policy(0.1)))
    first = s.poll_activity()
    s.heartbeat(first, '"kept"')
    second = s.poll_activity()
    s.describe()
    s.complete_activity(first)
    s.complete_activity(second)
    s.poll()


def start_to_close_not_retryable(s: Script) -> None:
    """TemporalTimeout:StartToClose in the non-retryable types ends the activity."""
    policy = retry_policy(0.1, 1, 0, 0, "TemporalTimeout:StartToClose")
    s.complete(s.begin(), s.activity(start_to_close_timeout=seconds(1), retry_policy=policy))
    s.poll_activity()
    s.poll()


def heartbeat_once(s: Script) -> None:
    """HEARTBEAT with one attempt; the last details are in the failure."""
    command = s.activity(heartbeat_timeout=seconds(1), retry_policy=retry_policy(1, 1, 0, 1))
    s.complete(s.begin(), command)
    s.heartbeat(s.poll_activity(), '"last words"')
    s.poll()


def heartbeat_retried(s: Script) -> None:
    """A heartbeat timeout retries; details flow on."""
    s.complete(s.begin(), s.activity(heartbeat_timeout=seconds(1), retry_policy=retry_policy(0.1)))
    s.heartbeat(s.poll_activity(), '"progress"')
    s.complete_activity(s.poll_activity())
    s.poll()


def schedule_to_close_unstarted(s: Script) -> None:
    """SCHEDULE_TO_CLOSE of an activity nobody took (schedule-to-start is capped by it)."""
    s.complete(s.begin(), s.activity(start_to_close_timeout=None, schedule_to_close_timeout=seconds(1)))
    s.poll()


def schedule_to_close_running(s: Script) -> None:
    """SCHEDULE_TO_CLOSE while an attempt runs."""
    s.complete(s.begin(), s.activity(start_to_close_timeout=None, schedule_to_close_timeout=seconds(1)))
    s.poll_activity()
    s.poll()


def schedule_to_close_in_backoff(s: Script) -> None:
    """SCHEDULE_TO_CLOSE covers all attempts."""
    command = s.activity(schedule_to_close_timeout=seconds(2), retry_policy=retry_policy(0.6, 1))
    s.complete(s.begin(), command)
    s.fail_activity(s.poll_activity(), failure("first"))
    s.poll_activity()
    s.poll()


def timeout_while_task_runs(s: Script) -> None:
    """A timeout is buffered while a workflow task runs."""
    s.complete(s.begin(), s.activity(schedule_to_start_timeout=seconds(1)))
    s.signal()
    task = s.poll()
    s.another_run_waits()
    s.complete(task)
    s.poll()
