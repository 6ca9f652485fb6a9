"""Workflows with a cron schedule: their chain of runs (semantics 2.2, 10.3; D13)."""

from __future__ import annotations

from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import complete_workflow, fail_workflow, failure, header, payloads, retry_policy, seconds


def _follow(s: Script) -> rpc.PollWorkflowTaskQueueResponse:
    """Wait for the next run's first workflow task, and turn to that run."""
    task = s.poll()
    s.run_id = task.workflow_execution.run_id
    return task


def completed_then_failed(s: Script) -> None:
    """A result goes to the next run and stays while runs fail; the failure comes with it (F34)."""
    s.start(cron_schedule="@every 1s", input=payloads("1"), header=header(trace='"x"'))
    s.describe()
    s.complete(s.poll(), complete_workflow())
    s.history()
    first = _follow(s)
    s.complete(first, fail_workflow(failure("no")))
    s.history()
    second = _follow(s)
    s.complete(second, fail_workflow(failure("again")))
    _follow(s)
    s.cancel()
    s.terminate()


def retried(s: Script) -> None:
    """The retry policy comes first; the schedule goes on when it gives up."""
    s.start(cron_schedule="@every 1s", retry_policy=retry_policy(1, 1, 0, 2))
    s.complete(s.poll(), fail_workflow(failure("first")))
    s.history()
    s.complete(_follow(s), fail_workflow(failure("second")))
    s.history()
    _follow(s)
    s.terminate()


def timed_out(s: Script) -> None:
    """A run that times out is followed by the next; its timeout counts from its backoff's end (F19)."""
    s.start(cron_schedule="@every 2s", workflow_run_timeout=seconds(1))
    s.poll()
    s.closed_history()
    _follow(s)
    s.terminate()


def terminated(s: Script) -> None:
    """Termination ends the chain."""
    s.start(cron_schedule="@every 1s")
    s.terminate()
    s.history()
    s.describe(execution=s.execution(""))


def refused(s: Script) -> None:
    """What is no schedule, or never comes."""
    for text in ("nonsense", "* * * *", "0 0 30 2 *", "TZ=Nowhere/Land * * * * *", "* * * * 7", "@never"):
        s.start(cron_schedule=text)
        s.signal_with_start(cron_schedule=text)
    s.start(cron_schedule="@every 1s", workflow_start_delay=seconds(1))
