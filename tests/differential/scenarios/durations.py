"""Durations of centuries: where they are cut, and that what waits so long does no harm (semantics 2.1.6, 4, 10)."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import RetryPolicy

from ..family import kid_id, kid_queue, start_kid
from ..script import Script
from ..values import command, continue_as_new, execution, fail_workflow, failure, start_timer

CENTURIES = Duration(seconds=8_000_000_000)
"""Less than 64 bits of nanoseconds can say."""
LONGEST = Duration(seconds=315_576_000_000)
"""The longest of the wire."""


def _policy(interval: Duration, attempts: int = 0) -> RetryPolicy:
    return RetryPolicy(initial_interval=interval, maximum_interval=interval, maximum_attempts=attempts)


def continued(s: Script) -> None:
    """A backoff, and the retry policy that comes with the command."""
    for label, wanted in (("centuries", CENTURIES), ("longest", LONGEST)):
        s.another(label)
        s.complete(
            s.begin_quietly(),
            continue_as_new(backoff_start_interval=wanted, workflow_run_timeout=wanted, retry_policy=_policy(wanted)),
        )
        s.closed_history()
        s.run_id = ""
        s.history()
        s.terminate()


def child(s: Script) -> None:
    """Timeouts and retry policy of a child."""
    for label, wanted in (("centuries", CENTURIES), ("longest", LONGEST)):
        s.another(label)
        kid = start_kid(s, workflow_execution_timeout=wanted, workflow_run_timeout=wanted, retry_policy=_policy(wanted))
        s.complete(s.begin_quietly(), kid)
        s.poll()
        s.complete(s.poll(kid_queue(s)), fail_workflow())
        s.describe(execution=execution(kid_id(s)))
        s.terminate()


def scheduled_child(s: Script) -> None:
    """A child whose schedule names a time that no clock of ours reaches: it waits, and the parent goes on. How long it
    would wait is the reference's 292 years or our hundred, and not compared.
    """
    s.complete(s.begin_quietly(), start_kid(s, cron_schedule="@every 2562047h"))
    s.poll()
    s.describe(execution=execution(kid_id(s)))
    s.terminate()
    s.await_close(execution=execution(kid_id(s)))


def activity(s: Script) -> None:
    """Timeouts, retry policy and the delay that a failure asks for."""
    for label, wanted in (("centuries", CENTURIES), ("longest", LONGEST)):
        s.another(label)
        plan = s.activity("a", start_to_close_timeout=wanted, retry_policy=_policy(wanted, 3))
        s.complete(s.begin_quietly(), plan)
        s.fail_activity(s.poll_activity(), failure(next_retry_delay=wanted))
        s.describe()
        s.history()


def timer(s: Script) -> None:
    """A timer of centuries does not keep another one from firing."""
    far = command("START_TIMER", timer_id="far", start_to_fire_timeout=LONGEST)
    s.complete(s.begin_quietly(), far, start_timer("near", 1))
    s.poll()


def retried_run(s: Script) -> None:
    """The delay that a workflow's failure asks for."""
    task = s.begin_quietly(retry_policy=_policy(LONGEST))
    s.complete(task, fail_workflow(failure(next_retry_delay=LONGEST)))
    s.closed_history()
    s.describe(execution=execution(s.workflow_id))
