"""Cancel requests and termination (semantics 7.2, 7.3)."""

from __future__ import annotations

from ..script import Script
from ..values import cancel_workflow, complete_workflow, execution, payloads, start_timer


def cancelled(s: Script) -> None:
    """A cancel request is written with its reason; the workflow closes itself as cancelled."""
    s.complete(s.begin())
    s.cancel(reason="enough")
    s.describe()
    s.complete(s.poll(), cancel_workflow())
    s.closed_history()
    s.describe()


def cancel_ignored(s: Script) -> None:
    """A workflow may complete in spite of a cancel request."""
    s.complete(s.begin_quietly())
    s.cancel()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def cancel_without_request(s: Script) -> None:
    """CANCEL_WORKFLOW_EXECUTION needs no cancel request (4.4)."""
    s.complete(s.begin_quietly(), cancel_workflow())
    s.closed_history()


def cancel_twice(s: Script) -> None:
    """A second cancel request changes nothing (7.2)."""
    s.complete(s.begin_quietly())
    s.cancel(request_id="same-" + s.nonce)
    s.cancel(request_id="same-" + s.nonce)
    s.cancel(reason="other")
    s.history()


def cancel_of_closed_run(s: Script) -> None:
    """F38: cancelling a closed run succeeds."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.cancel()
    s.cancel(workflow_execution=execution(s.workflow_id))
    s.history()


def cancel_while_task_runs(s: Script) -> None:
    """A cancel request during a task is buffered; a close command then fails the task."""
    task = s.begin()
    s.cancel()
    s.complete(task, complete_workflow())
    s.poll()


def first_execution_run_id(s: Script) -> None:
    """The chain is checked by its first run (7.2, 7.3)."""
    first = s.start().run_id
    other = "01234567-89ab-cdef-0123-456789abcdef"
    s.cancel(first_execution_run_id=other)
    s.cancel(first_execution_run_id=first)
    s.cancel(first_execution_run_id="no-uuid")
    s.terminate(first_execution_run_id=other)
    s.terminate(first_execution_run_id="no-uuid")
    s.terminate(first_execution_run_id=first)
    s.history()
    s.section("closed")
    s.terminate(first_execution_run_id=other)
    s.cancel(first_execution_run_id=other)


def terminated(s: Script) -> None:
    """TERMINATED carries reason, details and identity."""
    s.complete(s.begin_quietly(), start_timer(), s.activity())
    s.terminate(reason="because", details=payloads('"more"'), identity="operator")
    s.closed_history()
    s.describe()


def terminated_by_default(s: Script) -> None:
    """Reason and identity have defaults (7.3)."""
    s.start()
    s.terminate()
    s.history()


def terminated_while_task_runs(s: Script) -> None:
    """D9: the running task fails with FORCE_CLOSE_COMMAND, buffered events are flushed, then TERMINATED."""
    task = s.begin()
    s.signal()
    s.terminate()
    s.complete(task, complete_workflow())
    s.history()


def terminated_while_transient_task_runs(s: Script) -> None:
    """A transient task leaves no failure event when its run is terminated."""
    s.fail_task(s.begin())
    s.poll()
    s.terminate()
    s.history()


def terminate_of_closed_run(s: Script) -> None:
    """F38: terminating a closed run is NOT_FOUND."""
    s.complete(s.begin_quietly(), complete_workflow())
    s.await_close()
    s.terminate()
    s.terminate(workflow_execution=execution(s.workflow_id))
    s.terminate(first_execution_run_id=s.run_id)


def refused(s: Script) -> None:
    """Long reasons, ids and identities."""
    s.start()
    s.cancel(request_id="x" * 1001)
    s.cancel(identity="x" * 1001)
    s.cancel(reason="x" * 1001)
    s.terminate(identity="x" * 1001, reason="r" * 5000)
    s.history()


def terminated_with_task_scheduled(s: Script) -> None:
    """A task that nobody took still shows in the description of its closed run."""
    s.another("first task")
    s.start()
    s.terminate()
    s.describe()
    s.another("second attempt")
    s.fail_task(s.begin_quietly())
    s.terminate()
    s.history()
    s.describe()


def cancelled_before_first_task(s: Script) -> None:
    """A cancel request between a task's two events."""
    s.start()
    s.cancel(reason="early")
    s.signal()
    s.complete(s.poll(), cancel_workflow())
    s.closed_history()
