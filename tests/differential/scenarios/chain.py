"""Chains of runs: continue-as-new, workflow retries, timeouts (semantics 4.5, 10)."""

from __future__ import annotations

from typing import Any as Anything
from uuid import UUID

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Link, Priority
from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import (
    attributes,
    complete_workflow,
    continue_as_new,
    execution,
    fail_workflow,
    failure,
    header,
    memo,
    payload,
    payloads,
    queue,
    retry_policy,
    seconds,
    start_timer,
    workflow_type,
)


def _follow(s: Script, event: HistoryEvent) -> None:
    """Turn to the run that the close event names."""
    for field in ("continued_as_new", "failed", "timed_out", "completed"):
        attributes_of = getattr(event, f"workflow_execution_{field}_event_attributes")
        if attributes_of.new_execution_run_id:
            s.run_id = attributes_of.new_execution_run_id


def _continue(s: Script, task: rpc.PollWorkflowTaskQueueResponse, command: Command | None = None) -> None:
    """Continue a run as new when it is over a second old, so that the new run begins without backoff (10.1)."""
    s.another_run_waits()
    s.complete(task, command or continue_as_new())


def continued(s: Script) -> None:
    """Both runs of a continue-as-new (10.1)."""
    task = s.begin(input=payloads('"first"'), memo=memo(old="1"), search_attributes=attributes(DiffInt="1"))
    _continue(s, task)
    close = s.await_close()
    s.history()
    s.describe()
    _follow(s, close)
    s.poll()
    s.history()
    s.describe()


def continued_at_once(s: Script) -> None:
    """A run that continues in its first second delays the next, so that both together take a second (10.1)."""
    s.complete(s.begin_quietly(), continue_as_new())
    close = s.await_close()
    lifetime = close.event_time.ToNanoseconds()
    lifetime -= s.describe().workflow_execution_info.start_time.ToNanoseconds()
    _follow(s, close)
    started = s.await_event("WORKFLOW_EXECUTION_STARTED").workflow_execution_started_event_attributes
    backoff = started.first_workflow_task_backoff.ToNanoseconds()
    s.fact("lifetime and backoff, seconds", round((lifetime + backoff) / 1e9))
    s.await_event("WORKFLOW_TASK_SCHEDULED")


def continued_with_everything(s: Script) -> None:
    """F33: header, memo and search attributes come from the command only; so do type, queue and timeouts."""
    task = s.begin(memo=memo(old="1"), header=header(old="1"), workflow_execution_timeout=seconds(1000))
    command = continue_as_new(
        workflow_type=workflow_type("Next"),
        task_queue=queue(s.queue + "-next", normal="of no use"),
        input=payloads("2"),
        header=header(new="2"),
        memo=memo(new="2"),
        search_attributes=attributes(DiffKeyword='"new"'),
        workflow_run_timeout=seconds(5000),
        workflow_task_timeout=seconds(300),
        retry_policy=retry_policy(3),
        backoff_start_interval=seconds(1.5),
        initiator=ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW,
        last_completion_result=payloads('"last"'),
        failure=failure("carried"),
    )
    s.complete(task, command)
    close = s.await_close()
    s.history()
    _follow(s, close)
    s.describe()
    s.poll(queue(s.queue + "-next"))


def continued_by_initiator(s: Script) -> None:
    """The initiator of the command decides attempt and initiator of the new run."""
    for initiator in ("UNSPECIFIED", "RETRY", "CRON_SCHEDULE"):
        s.another(initiator)
        value = ContinueAsNewInitiator.Value(f"CONTINUE_AS_NEW_INITIATOR_{initiator}")
        _continue(s, s.begin_quietly(retry_policy=retry_policy(1)), continue_as_new(initiator=value))
        _follow(s, s.await_close())
        s.history()


def unhandled_continue_as_new(s: Script) -> None:
    """A buffered signal fails continue-as-new like any close (4.5)."""
    task = s.begin_quietly()
    s.signal()
    s.complete(task, continue_as_new())
    s.poll()


def signals_do_not_follow(s: Script) -> None:
    """F2: deduplication of signals ends with the run."""
    s.complete(s.begin_quietly())
    s.signal(request_id="same-" + s.nonce)
    _continue(s, s.poll_quietly())
    s.await_close()
    s.signal(request_id="same-" + s.nonce, workflow_execution=execution(s.workflow_id))
    s.history(execution=execution(s.workflow_id))


def chain_keeps_first_run(s: Script) -> None:
    """A chain is known by its first run id, and so are conflicts on it."""
    first = s.start().run_id
    s.complete(s.poll_quietly(), continue_as_new())
    s.await_close()
    s.start()
    s.cancel(first_execution_run_id=first)
    s.terminate(first_execution_run_id=first)
    s.describe(execution=execution(s.workflow_id))


def execution_timeout_is_absolute(s: Script) -> None:
    """F20: the execution timeout is kept over the chain."""
    s.complete(s.begin_quietly(workflow_execution_timeout=seconds(3600)), continue_as_new())
    close = s.await_close()
    before = s.describe().workflow_extended_info.execution_expiration_time
    _follow(s, close)
    after = s.describe().workflow_extended_info.execution_expiration_time
    s.fact("same expiration", before == after)


def retried(s: Script) -> None:
    """D15: a failed run with a retry policy goes on as a new run, attempt 2."""
    policy = retry_policy(1, 2, 0, 2)
    task = s.begin(retry_policy=policy, input=payloads("1"), memo=memo(m="1"), header=header(h="1"))
    s.complete(task, fail_workflow(failure("first")))
    close = s.await_close()
    s.history()
    s.describe()
    _follow(s, close)
    s.describe()
    s.complete(s.poll(), fail_workflow(failure("second")))
    s.closed_history()
    s.describe()


def not_retried(s: Script) -> None:
    """Retry states of workflow failures (10.2)."""
    for label, cause, attempts in (
        ("flag", failure("f", non_retryable=True), 0),
        ("listed type", failure("f", "Fatal"), 0),
        ("attempts", failure("f"), 1),
    ):
        s.another(label)
        task = s.begin_quietly(retry_policy=retry_policy(1, 1, 0, attempts, "Fatal"))
        s.complete(task, fail_workflow(cause))
        s.closed_history()
    s.another("no policy")
    s.complete(s.begin_quietly(), fail_workflow())
    s.closed_history()
    s.another("expiry")
    task = s.begin_quietly(retry_policy=retry_policy(60), workflow_execution_timeout=seconds(10))
    s.complete(task, fail_workflow())
    s.closed_history()


def retry_delay_of_failure(s: Script) -> None:
    """next_retry_delay holds for workflows too."""
    task = s.begin_quietly(retry_policy=retry_policy(3600))
    s.complete(task, fail_workflow(failure("f", next_retry_delay=seconds(2))))
    _follow(s, s.await_close())
    s.history()


def _second_task(s: Script) -> None:
    """Hold a task that begins a second into a run of two: its own timeout, two seconds as well, comes later."""
    s.complete(s.begin_quietly(workflow_run_timeout=seconds(2)), start_timer("t", 1))
    s.poll()


def run_timeout(s: Script) -> None:
    """A run timeout closes the run and fails its running task (10.4)."""
    _second_task(s)
    s.closed_history()
    s.describe()


def run_timeout_idle(s: Script) -> None:
    """A run timeout of a run that waits, with a timer and an activity pending."""
    s.complete(s.begin_quietly(workflow_run_timeout=seconds(1)), start_timer(), s.activity())
    s.closed_history()


def run_timeout_before_first_task(s: Script) -> None:
    """A run timeout without any worker."""
    s.start(workflow_run_timeout=seconds(1))
    s.closed_history()
    s.signal()


def run_timeout_with_retry(s: Script) -> None:
    """A run timeout is retried by the policy; the new run has a run timeout of its own (F19)."""
    s.start(workflow_run_timeout=seconds(1), retry_policy=retry_policy(1, 1, 0, 2))
    close = s.await_close()
    s.history()
    _follow(s, close)
    s.closed_history()


def execution_timeout(s: Script) -> None:
    """An execution timeout ends the chain, retry policy or not."""
    s.start(workflow_execution_timeout=seconds(1), retry_policy=retry_policy(1, 1, 0, 5))
    s.closed_history()


def execution_timeout_of_second_run(s: Script) -> None:
    """F20: the execution timeout ends a later run of the chain."""
    _continue(s, s.begin_quietly(workflow_execution_timeout=seconds(4)))
    _follow(s, s.await_close())
    s.poll()
    s.closed_history()


def timeout_during_buffered_signal(s: Script) -> None:
    """A signal buffered when the run times out is written before the close."""
    _second_task(s)
    s.signal()
    s.closed_history()


def completed_in_same_task(s: Script) -> None:
    """Commands before a close are carried out with it."""
    s.complete(s.begin_quietly(), start_timer(), s.activity(), complete_workflow())
    s.closed_history()
    s.describe()


def continued_with_zeros(s: Script) -> None:
    """Durations of zero in the command count as given, and null entries of its maps vanish (4.5)."""
    task = s.begin_quietly(workflow_run_timeout=seconds(0), workflow_execution_timeout=seconds(0))
    fields = {
        "backoff_start_interval": seconds(0),
        "workflow_run_timeout": seconds(0),
        "workflow_task_timeout": seconds(0),
        "memo": memo(gone="null", empty="[]"),
        "search_attributes": attributes(DiffInt="null", DiffKeyword='"k"'),
        "header": header(),
    }
    _continue(s, task, continue_as_new(**fields))
    close = s.await_close()
    s.history()
    _follow(s, close)
    s.history()
    s.describe()


def continued_with_backoff(s: Script) -> None:
    """A backoff puts the first task off (10.1)."""
    task = s.begin_quietly(workflow_run_timeout=seconds(30))
    _continue(s, task, continue_as_new(backoff_start_interval=seconds(60)))
    close = s.await_close()
    s.history()
    _follow(s, close)
    s.history()
    s.describe()


def continued_twice_with_timeouts(s: Script) -> None:
    """Timeouts go from run to run (10.1)."""
    task = s.begin_quietly(workflow_execution_timeout=seconds(100), workflow_run_timeout=seconds(50))
    _continue(s, task, continue_as_new(workflow_run_timeout=seconds(200)))
    _follow(s, s.await_close())
    _continue(s, s.poll_quietly())
    _follow(s, s.await_close())
    s.history()
    s.describe()


def continued_keeps(s: Script) -> None:
    """Priority, metadata and links of a start in the run that continues it."""
    task = s.begin_quietly(**_about_the_start())
    _continue(s, task)
    _follow(s, s.await_close())
    s.history()
    s.describe()


def retried_keeps(s: Script) -> None:
    """Priority, metadata and links of a start in the run that retries it."""
    task = s.begin_quietly(retry_policy=retry_policy(attempts=2), **_about_the_start())
    s.complete(task, fail_workflow())
    _follow(s, s.await_close())
    s.await_event("WORKFLOW_TASK_SCHEDULED")
    s.history()
    s.describe()


def _about_the_start() -> dict[str, Anything]:
    link = Link(workflow_event=Link.WorkflowEvent(namespace="default", workflow_id="caller", run_id=str(UUID(int=5))))
    return {
        "priority": Priority(priority_key=2, fairness_key="tenant"),
        "user_metadata": UserMetadata(summary=payload('"short"'), details=payload('"long"')),
        "links": [link],
    }


def continued_after_cancel_request(s: Script) -> None:
    """A cancel request is of one run."""
    task = s.begin_quietly()
    s.cancel()
    s.complete(task)
    _continue(s, s.poll_quietly())
    _follow(s, s.await_close())
    s.describe()
    s.cancel()
    s.describe()


def continued_before_its_time(s: Script) -> None:
    """A delayed run that a cancel request woke continues: the next one does not make up for the delay (10.1)."""
    s.start(workflow_start_delay=seconds(3600))
    s.cancel()
    _continue(s, s.poll())
    _follow(s, s.await_close())
    s.poll()
    s.history()
