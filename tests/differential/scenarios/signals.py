"""Signals and signal-with-start (semantics 7.1, 2.6)."""

from __future__ import annotations

from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.workflowservice import v1 as rpc

from ..script import Script
from ..values import complete_workflow, execution, header, huge, memo, payloads, seconds, start_timer


def plain(s: Script) -> None:
    """A signal is written with its input, header, identity and request id, and schedules a task."""
    s.complete(s.begin())
    s.signal("named", input=payloads("1", '"two"'), header=header(h='"x"'))
    s.poll()
    s.describe()


def with_links(s: Script) -> None:
    """A signal's links are kept on its event."""
    s.complete(s.begin_quietly())
    s.signal(links=[Link(batch_job=Link.BatchJob(job_id="job"))])
    s.history()


def several_before_one_task(s: Script) -> None:
    """Signals that come before a task starts share it."""
    s.start()
    for name in ("one", "two", "three"):
        s.signal(name)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def buffered(s: Script) -> None:
    """D3, 3.11: a signal while a task runs is written after the completion and the commands' events."""
    task = s.begin()
    s.signal()
    s.history()
    s.describe()
    s.complete(task, start_timer())
    s.poll()


def unhandled_command(s: Script) -> None:
    """D3, F4: closing while a signal is buffered fails the task with UNHANDLED_COMMAND."""
    task = s.begin()
    s.signal()
    s.complete(task, complete_workflow())
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def deduplicated(s: Script) -> None:
    """F2: signals with one request id count once, also across signal-with-start; without id each counts."""
    s.complete(s.begin_quietly())
    s.signal("once", request_id="same-" + s.nonce)
    s.signal("twice", request_id="same-" + s.nonce)
    s.signal_with_start("thrice", request_id="same-" + s.nonce)
    s.signal("free", request_id=None)
    s.signal("free", request_id=None)
    s.history()
    s.describe()


def on_closed_run(s: Script) -> None:
    """A closed run takes no signals (7.1)."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.signal()
    s.signal(workflow_execution=execution(s.workflow_id))


def by_workflow_id(s: Script) -> None:
    """Without a run id the signal goes to the current run."""
    s.complete(s.begin_quietly())
    s.signal(workflow_execution=execution(s.workflow_id))
    s.history()


def refused(s: Script) -> None:
    """Bad signals."""
    s.start()
    s.signal(signal_name=None)
    s.signal("x" * 1001)
    s.signal(request_id="x" * 1001)
    s.signal(identity="x" * 1001)
    s.signal(input=huge())
    s.signal(links=[Link()])
    s.signal(workflow_execution=execution(s.workflow_id, "no-uuid"))


def start_new(s: Script) -> None:
    """D12: signal-with-start of a new workflow puts the signal second."""
    s.signal_with_start(
        "go", signal_input=payloads("1"), header=header(h="1"), input=payloads('"in"'), memo=memo(m="1")
    )
    s.complete(s.poll(), complete_workflow())
    s.closed_history()
    s.describe()


def start_on_running(s: Script) -> None:
    """Signal-with-start on a running workflow only signals."""
    s.complete(s.begin_quietly())
    s.signal_with_start("go", signal_input=payloads("1"))
    s.poll()


def start_after_close(s: Script) -> None:
    """Signal-with-start on a closed workflow follows the reuse policy."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.signal_with_start(workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
    s.signal_with_start(
        workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
    )
    s.signal_with_start()
    s.history()


def start_policies_on_running(s: Script) -> None:
    """TERMINATE_IF_RUNNING and the conflict policies with signal-with-start."""
    old = s.start().run_id
    s.signal_with_start(workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING)
    s.history(execution=s.execution(old))
    s.history()
    s.signal_with_start(workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
    s.signal_with_start(
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    )
    s.history()


def start_twice_with_request_id(s: Script) -> None:
    """A repeated signal-with-start neither starts nor signals again."""
    for _ in range(2):
        s.signal_with_start(request_id="same-" + s.nonce)
    s.history()


def start_with_delay(s: Script) -> None:
    """A new workflow with a delay gets no task until the delay is over, though it is signalled (2.6)."""
    s.signal_with_start(workflow_start_delay=seconds(1.5))
    s.describe()
    s.poll()


def during_close(s: Script) -> None:
    """F4: after UNHANDLED_COMMAND, signals are refused while the next task runs."""
    task = s.begin_quietly()
    s.signal("one")
    s.complete(task, complete_workflow())
    second = s.poll()
    s.signal("two")
    s.complete(second, complete_workflow())
    s.closed_history()


def buffer_overflow(s: Script) -> None:
    """More than 100 buffered events force the running task to fail, and flush (0.1)."""
    task = s.begin_quietly(workflow_task_timeout=seconds(100))
    for number in range(102):
        s.send(s.signal_request(str(number)), rpc.SignalWorkflowExecutionResponse)
    s.complete(task)
    events = s.poll().history.events
    s.fact("events", [event.event_type for event in events])


def link_of_each(s: Script) -> None:
    """The answer's link names the run and the request, also for repeated requests and without request id."""
    s.start()
    again = "again-" + s.nonce
    s.signal(request_id=again)
    s.signal(request_id=again)
    s.signal(request_id=None)
    s.signal(request_id=None, workflow_execution=s.execution(""))
    s.history()


def repeated_after_close(s: Script) -> None:
    """A request id that the run knows is a success even when the run has closed."""
    s.complete(s.begin_quietly())
    s.signal(request_id="same-" + s.nonce)
    s.terminate()
    s.signal(request_id="same-" + s.nonce)
    s.signal(request_id="other-" + s.nonce)
