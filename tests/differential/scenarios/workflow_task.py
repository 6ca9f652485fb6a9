"""The life of a workflow task (semantics 3)."""

from __future__ import annotations

from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.enums.v1 import HistoryEventFilterType, VersioningBehavior, WorkerVersioningMode
from temporalio.api.sdk.v1 import WorkflowTaskCompletedMetadata
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import command, complete_workflow, execution, queue, record_marker, seconds, start_timer


def sticky_delivery(s: Script) -> None:
    """A sticky poll gets the new events only; previous_started_event_id is the last completed task's (3.4, F5)."""
    s.complete(s.begin(), sticky_attributes=s.sticky())
    s.describe()
    task = s.poll_sticky(s.signal)
    s.complete(task, sticky_attributes=s.sticky())
    s.signal("two")
    s.complete(s.poll_sticky(), complete_workflow())
    s.closed_history()


def sticky_without_poller(s: Script) -> None:
    """3.9: nobody has polled the sticky queue, so the task goes to the normal queue at once, its event unchanged."""
    s.complete(s.begin(), start_timer("t", 0.1), sticky_attributes=s.sticky(1))
    task = s.poll()
    s.complete(task, complete_workflow())
    s.closed_history()


def sticky_timeout(s: Script) -> None:
    """D10: a sticky poller seen lately is gone: schedule-to-start timeout, full history, attempt stays 1 (F7)."""
    s.complete(s.begin(), sticky_attributes=s.sticky(1))
    s.complete(s.poll_sticky(s.signal), sticky_attributes=s.sticky(1))
    s.signal()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def reset_sticky(s: Script) -> None:
    """ResetStickyTaskQueue sends the next task to the normal queue (3.10)."""
    s.complete(s.begin(), sticky_attributes=s.sticky())
    s.reset_sticky()
    s.signal()
    s.complete(s.poll(), complete_workflow())
    s.await_close()
    s.reset_sticky()
    s.history()


def sticky_cleared_by_completion_without(s: Script) -> None:
    """A completion without sticky attributes ends stickiness (F6)."""
    s.complete(s.begin(), sticky_attributes=s.sticky())
    s.complete(s.poll_sticky(s.signal))
    s.signal()
    s.poll()
    s.history()


def failure_of_sticky_task(s: Script) -> None:
    """After a failure on the sticky queue the next task is attempt 1 on the normal queue (F7)."""
    s.complete(s.begin(), sticky_attributes=s.sticky())
    s.fail_task(s.poll_sticky(s.signal))
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def shutdown_worker_frees_sticky(s: Script) -> None:
    """After ShutdownWorker the next task goes to the normal queue without waiting for a timeout (12.4)."""
    s.complete(s.begin(), sticky_attributes=s.sticky(60))
    s.complete(s.poll_sticky(s.signal), sticky_attributes=s.sticky(60))
    request = rpc.ShutdownWorkerRequest(
        namespace=NAMESPACE, sticky_task_queue=s.sticky_queue, identity="worker", reason="done"
    )
    s.call(request, rpc.ShutdownWorkerResponse)
    s.signal()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def transient(s: Script) -> None:
    """D4, F8: attempts after the first write nothing until one completes."""
    s.fail_task(s.begin())
    s.history()
    s.describe()
    second = s.poll()
    s.history()
    s.fail_task(second, "NON_DETERMINISTIC_ERROR")
    s.describe()
    third = s.poll()
    s.complete(third, start_timer(), sticky_attributes=s.sticky())
    s.history()


def transient_turns_normal(s: Script) -> None:
    """D4: a signal between attempts makes the next task normal, attempt 1."""
    s.fail_task(s.begin())
    s.fail_task(s.poll())
    s.signal()
    task = s.poll()
    s.complete(task, complete_workflow())
    s.closed_history()


def signal_during_transient(s: Script) -> None:
    """A signal while a transient task runs is buffered; a failure then flushes it and the next task is normal."""
    s.fail_task(s.begin())
    second = s.poll()
    s.signal()
    s.history()
    s.fail_task(second)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def completed_transient_with_buffer(s: Script) -> None:
    """A transient task completes while a signal is buffered."""
    s.fail_task(s.begin())
    second = s.poll()
    s.signal()
    s.complete(second, start_timer())
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def start_to_close_timeout(s: Script) -> None:
    """A task nobody completes times out; the next is a transient second attempt (3.8)."""
    first = s.begin(workflow_task_timeout=seconds(1))
    second = s.poll()
    s.complete(first, complete_workflow())
    s.complete(second, complete_workflow())
    s.closed_history()


def timeout_twice(s: Script) -> None:
    """The second timeout of a task is not written."""
    s.begin(workflow_task_timeout=seconds(1))
    s.poll()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def timeout_with_buffered_signal(s: Script) -> None:
    """A timeout flushes the buffer, so the next task is normal."""
    s.begin(workflow_task_timeout=seconds(1))
    s.signal()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def completing_twice(s: Script) -> None:
    """A used token is NOT_FOUND (3.5)."""
    task = s.begin()
    s.complete(task)
    s.complete(task)
    s.fail_task(task)
    s.signal()
    s.poll()
    s.complete(task)


def token_of_closed_run(s: Script) -> None:
    """Answers to a task of a terminated run are NOT_FOUND."""
    task = s.begin()
    s.terminate()
    s.complete(task)
    s.fail_task(task)


def token_in_other_namespace(s: Script) -> None:
    """A token belongs to its namespace."""
    task = s.begin()
    s.complete(task, namespace="temporal-system")
    s.complete(task, namespace=None)


def heartbeat(s: Script) -> None:
    """D11: force_create with return_new gives the next task in the response, three events each time."""
    task = s.begin()
    reply = s.complete(
        task, sticky_attributes=s.sticky(), return_new_workflow_task=True, force_create_new_workflow_task=True
    )
    reply = s.complete(
        reply.workflow_task,
        record_marker(),
        sticky_attributes=s.sticky(),
        return_new_workflow_task=True,
        force_create_new_workflow_task=True,
    )
    s.describe()
    s.complete(reply.workflow_task, complete_workflow())
    s.closed_history()


def force_create_without_return(s: Script) -> None:
    """force_create alone schedules the next task on the queue."""
    s.complete(s.begin(), force_create_new_workflow_task=True)
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def return_new_task_for_buffered_events(s: Script) -> None:
    """3.11: buffered events come with the inline task, after the command's events."""
    task = s.begin()
    s.signal()
    reply = s.complete(task, start_timer(), return_new_workflow_task=True, sticky_attributes=s.sticky())
    s.complete(reply.workflow_task, complete_workflow())
    s.closed_history()


def return_new_without_need(s: Script) -> None:
    """return_new_workflow_task returns nothing when nothing needs a task."""
    s.complete(s.begin(), start_timer(), return_new_workflow_task=True)
    s.describe()


def failure_fields(s: Script) -> None:
    """WORKFLOW_TASK_FAILED carries cause, failure and identity; binary checksum is kept."""
    for cause in (
        "UNSPECIFIED",
        "NON_DETERMINISTIC_ERROR",
        "BAD_BINARY",
        "FORCE_CLOSE_COMMAND",
        "RESET_STICKY_TASK_QUEUE",
        "WORKFLOW_WORKER_UNHANDLED_FAILURE",
        "PAYLOADS_TOO_LARGE",
        "EXTERNAL_STORAGE_FAILURE",
    ):
        s.another(cause)
        s.fail_task(s.begin_quietly(), cause, binary_checksum="sum", identity=None)
        s.history()


def failures_that_begin_anew(s: Script) -> None:
    """After two causes, which servers use, the next task is a first attempt (3.7)."""
    for cause in ("RESET_WORKFLOW", "FAILOVER_CLOSE_COMMAND"):
        s.another(cause)
        s.fail_task(s.begin_quietly(), cause)
        s.history()
        s.describe()


def failure_message_too_large(s: Script) -> None:
    """Cause GRPC_MESSAGE_TOO_LARGE terminates the workflow (3.7)."""
    s.fail_task(s.begin_quietly(), "GRPC_MESSAGE_TOO_LARGE")
    s.closed_history()


def completion_metadata(s: Script) -> None:
    """SDK metadata, binary checksum and worker stamp arrive in the completed event."""
    task = s.begin(identity=None)
    s.complete(
        task,
        start_timer(),
        binary_checksum="sum",
        sdk_metadata=WorkflowTaskCompletedMetadata(core_used_flags=[1, 2], lang_used_flags=[3], sdk_name="n"),
    )
    s.history()
    s.describe()


def behaviour_without_version(s: Script) -> None:
    """A versioning behaviour is refused from a worker that names no version; the task goes on (3.5.1)."""
    task = s.begin()
    s.complete(task, versioning_behavior=VersioningBehavior.VERSIONING_BEHAVIOR_PINNED)
    unversioned = WorkerDeploymentOptions(
        worker_versioning_mode=WorkerVersioningMode.WORKER_VERSIONING_MODE_UNVERSIONED, build_id="b"
    )
    behaviour = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
    s.complete(task, versioning_behavior=behaviour, deployment_options=unversioned)
    s.complete(task)
    s.history()


def answer_in_parts(s: Script) -> None:
    """A first or a later page of an answer is refused, and nothing of it is done (3.5.1)."""
    task = s.begin()
    s.complete(task, start_timer("first"), intermediate_page=True)
    s.complete(task, start_timer("last"), page_number=1)
    s.complete(task)
    s.history()


def close_must_be_last(s: Script) -> None:
    """A command after a closing command makes the RPC fail; the task stays started (3.5.6)."""
    task = s.begin(workflow_task_timeout=seconds(1))
    s.complete(task, complete_workflow(), start_timer())
    s.describe()
    s.complete(task, complete_workflow(), complete_workflow())
    s.complete(task, command("UNSPECIFIED"))
    s.poll()
    s.history()


def bad_command_in_second_attempt(s: Script) -> None:
    """A bad command in a transient task is refused and written nowhere; the task runs into its timeout (3.5.8)."""
    s.fail_task(s.begin(workflow_task_timeout=seconds(1)))
    second = s.poll()
    s.complete(second, start_timer(""))
    s.history()
    s.describe()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()


def two_workers_one_task(s: Script) -> None:
    """A task is delivered once: a second poll gets the next run's task."""
    first = s.begin()
    s.another("other")
    s.start()
    s.poll()
    s.complete(first, complete_workflow())


def poll_bounds(s: Script) -> None:
    """A poll returns an empty answer before its deadline; a deadline too short is refused (12.1)."""
    reply = s.call(s.poll_request(), rpc.PollWorkflowTaskQueueResponse, timeout=3.0)
    s.fact("empty", not reply.task_token)
    s.call(s.poll_request(), rpc.PollWorkflowTaskQueueResponse, timeout=1.5)


def poll_errors(s: Script) -> None:
    """Refused polls."""
    long = "x" * 1001
    for label, request in (
        ("empty queue", s.poll_request(queue(""))),
        ("long queue", s.poll_request(queue(long))),
        ("reserved queue", s.poll_request(queue("/_sys/x/1"))),
        ("system queue", s.poll_request(queue("temporal-sys-x"))),
        ("long namespace", s.poll_request(namespace=long)),
    ):
        s.section(label)
        s.call(request, rpc.PollWorkflowTaskQueueResponse, timeout=3.0)
    s.section("long identity")
    s.call(s.poll_request(identity=long), rpc.PollWorkflowTaskQueueResponse, timeout=3.0)


def queue_waits_for_worker(s: Script) -> None:
    """F36: a task on a queue without a poller just waits."""
    s.start()
    s.another_run_waits()
    s.describe()
    s.poll()


def long_poll_sees_new_events(s: Script) -> None:
    """A history long poll returns once events are added (3.10)."""
    s.complete(s.begin_quietly())
    kind = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT
    request = s.history_request(wait_new_event=True, history_event_filter_type=kind)
    first = s.call(request, rpc.GetWorkflowExecutionHistoryResponse)
    request.next_page_token = first.next_page_token
    waiting = s.background(request, rpc.GetWorkflowExecutionHistoryResponse)
    s.signal()
    second = waiting.join()
    s.terminate()
    request.next_page_token = second.next_page_token
    s.call(request, rpc.GetWorkflowExecutionHistoryResponse)


def problems_are_reported(s: Script) -> None:
    """After five failed attempts the run has the attribute TemporalReportedProblems, until one succeeds (3.7)."""
    task = s.begin_quietly()
    for _ in range(4):
        s.fail_task(task)
        task = s.poll_quietly()
    s.describe()
    s.fail_task(task)
    task = s.poll_quietly()
    s.describe()
    s.complete(task)
    s.describe()


def timeouts_grow(s: Script) -> None:
    """From the fourth attempt on, tasks get more time (3.2)."""
    task = s.begin_quietly()
    for _ in range(5):
        s.fail_task(task)
        task = s.poll_quietly()
        events = task.history.events
        timeout = events[-2].workflow_task_scheduled_event_attributes.start_to_close_timeout
        extra = timeout.ToNanoseconds() / 1e9 - 10
        expected = 5 * 2 ** (task.attempt - 4) if task.attempt > 3 else 0
        s.fact(f"attempt {task.attempt} has 80 to 100 % of {expected} s more", 0.8 * expected <= extra <= expected)


def sticky_of_closed_run(s: Script) -> None:
    """ResetStickyTaskQueue on a closed run, an unknown one, and by workflow id alone (3.10)."""
    s.complete(s.begin_quietly(), complete_workflow(), sticky_attributes=s.sticky())
    s.await_close()
    s.reset_sticky()
    s.reset_sticky(execution=execution(s.workflow_id))
    s.reset_sticky(execution=execution("nobody-" + s.nonce))


def signals_around_sticky_task(s: Script) -> None:
    """Events before a sticky task starts come with it; its started event follows them."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())

    task = s.poll_sticky(s.signal)
    s.signal("two")
    s.complete(task, sticky_attributes=s.sticky())
    s.signal("three")
    s.complete(s.poll_sticky(), complete_workflow())
    s.closed_history()


def transient_after_events(s: Script) -> None:
    """Third attempts, a signal, and a completion in one history (3.2)."""
    s.fail_task(s.begin_quietly())
    s.fail_task(s.poll_quietly())
    s.history()
    task = s.poll()
    s.signal()
    s.describe()
    s.history()
    s.complete(task, start_timer())
    s.history()
    s.complete(s.poll(), complete_workflow())
    s.closed_history()
