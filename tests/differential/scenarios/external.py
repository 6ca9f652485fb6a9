"""Signals and cancel requests from one workflow to another (semantics 4.7, 9.3)."""

from __future__ import annotations

from typing import Any as Anything

from temporalio.api.command.v1 import Command
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as rpc

from ..family import kid_id, kid_queue, with_kid
from ..script import Script
from ..values import (
    command,
    complete_workflow,
    execution,
    header,
    huge,
    payloads,
)

LONG = "x" * 1001
NO_RUN = "00000000-0000-4000-8000-000000000000"


def _other_id(s: Script) -> str:
    return f"other-{s.workflow_id}"


def _other_queue(s: Script) -> TaskQueue:
    return TaskQueue(name=f"other-{s.queue}")


def _with_other(s: Script) -> rpc.PollWorkflowTaskQueueResponse:
    """Another workflow, open and waiting, and this script's; unrecorded. Returns this one's first task."""
    request = s.start_request(workflow_id=_other_id(s), task_queue=_other_queue(s))
    s.send(request, rpc.StartWorkflowExecutionResponse)
    task = s.send(s.poll_request(_other_queue(s)), rpc.PollWorkflowTaskQueueResponse, 15.0)
    assert isinstance(task, rpc.PollWorkflowTaskQueueResponse)
    s.send(s.complete_request(task), rpc.RespondWorkflowTaskCompletedResponse)
    return s.begin_quietly()


def _signal_other(s: Script, **fields: Anything) -> Command:
    given: dict[str, Anything] = {"execution": execution(_other_id(s)), "signal_name": "hello"}
    present = {key: value for key, value in (given | fields).items() if value is not None}
    return command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", **present)


def _cancel_other(s: Script, **fields: Anything) -> Command:
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", **({"workflow_id": _other_id(s)} | fields))


def signal(s: Script) -> None:
    """A signal reaches another workflow with its input and header, and says who sent it."""
    wanted = _signal_other(s, input=payloads("1"), header=header(h='"x"'), control="control")
    s.complete(_with_other(s), wanted)
    s.await_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    s.describe()
    s.poll(_other_queue(s))
    s.poll()
    s.describe()


def signal_by_run_id(s: Script) -> None:
    """With a run id only that run is meant."""
    task = _with_other(s)
    found = s.send(
        rpc.DescribeWorkflowExecutionRequest(namespace="default", execution=execution(_other_id(s))),
        rpc.DescribeWorkflowExecutionResponse,
    )
    assert isinstance(found, rpc.DescribeWorkflowExecutionResponse)
    run_id = found.workflow_execution_info.execution.run_id
    s.complete(
        task,
        _signal_other(s, execution=execution(_other_id(s), run_id)),
        _signal_other(s, execution=execution(_other_id(s), NO_RUN)),
    )
    s.await_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    s.await_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    s.poll(_other_queue(s))


def signal_unknown(s: Script) -> None:
    """No such workflow: the failure is an event, the workflow goes on."""
    s.complete(s.begin_quietly(), _signal_other(s, control="control"))
    s.complete(s.poll(), complete_workflow())


def signal_closed(s: Script) -> None:
    """A closed workflow takes no signal."""
    task = _with_other(s)
    s.terminate(workflow_execution=execution(_other_id(s)))
    s.complete(task, _signal_other(s))
    s.poll()


def signal_itself(s: Script) -> None:
    """A workflow cannot signal itself, with a run id or without."""
    s.complete(s.begin_quietly(), _signal_other(s, execution=s.execution("")))
    s.complete(s.poll(), _signal_other(s, execution=s.execution(NO_RUN)))
    s.poll()


def signal_child_only(s: Script) -> None:
    """child_workflow_only: a stranger does not get the signal, a child does."""
    s.complete(_with_other(s), _signal_other(s, child_workflow_only=True))
    s.poll()
    s.another("a child")
    s.complete(with_kid(s))
    s.signal()
    wanted = _signal_other(s, execution=execution(kid_id(s)), child_workflow_only=True)
    s.complete(s.poll_quietly(), wanted)
    s.poll()
    s.poll(kid_queue(s))


def signal_and_close(s: Script) -> None:
    """A workflow that closes in the batch that signals: the signal is not sent."""
    s.complete(_with_other(s), _signal_other(s), complete_workflow())
    s.closed_history()
    s.another_run_waits()
    s.history(execution=execution(_other_id(s)))


def cancel(s: Script) -> None:
    """A cancel request reaches another workflow and says who sent it."""
    s.complete(_with_other(s), _cancel_other(s, reason="enough", control="control"))
    s.poll(_other_queue(s))
    s.poll()


def cancel_twice(s: Script) -> None:
    """A second request is a success without effect."""
    s.complete(_with_other(s), _cancel_other(s))
    s.complete(s.poll(), _cancel_other(s))
    s.poll()
    s.history(execution=execution(_other_id(s)))


def cancel_unknown(s: Script) -> None:
    """No such workflow."""
    s.complete(s.begin_quietly(), _cancel_other(s, control="control"))
    s.poll()


def cancel_closed(s: Script) -> None:
    """A closed workflow counts as cancelled already."""
    task = _with_other(s)
    s.terminate(workflow_execution=execution(_other_id(s)))
    s.complete(task, _cancel_other(s))
    s.poll()


def cancel_itself(s: Script) -> None:
    """A workflow cannot ask itself to cancel."""
    s.complete(s.begin_quietly(), _cancel_other(s, workflow_id=s.workflow_id))
    s.poll()


def cancel_child_only(s: Script) -> None:
    """child_workflow_only: a stranger is not cancelled."""
    s.complete(_with_other(s), _cancel_other(s, child_workflow_only=True))
    s.poll()
    s.history(execution=execution(_other_id(s)))


def several_at_once(s: Script) -> None:
    """Answers that come while a task runs wait in the buffer."""
    task = _with_other(s)
    running = s.complete(task, _signal_other(s), force_create_new_workflow_task=True, return_new_workflow_task=True)
    s.another_run_waits()
    s.complete(running.workflow_task)
    s.poll()


def refused_signals(s: Script) -> None:
    """BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES: each check of the command."""
    cases: dict[str, Anything] = {
        "no attributes": None,
        "no execution": {"execution": None},
        "no workflow id": {"execution": execution("")},
        "long workflow id": {"execution": execution(LONG)},
        "bad run id": {"execution": execution("wf", "not-a-uuid")},
        "no name": {"signal_name": ""},
        "another namespace": {"namespace": "temporal-system"},
        "unknown namespace": {"namespace": "no-such-namespace"},
        "own namespace": {"namespace": "default"},
        "too big": {"input": huge()},
    }
    for label, fields in cases.items():
        s.another(label)
        wanted = command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION") if fields is None else _signal_other(s, **fields)
        s.complete(s.begin_quietly(), wanted)
        if label == "own namespace":
            s.await_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
        s.history()


def refused_cancels(s: Script) -> None:
    """BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES: each check of the command."""
    cases: dict[str, Anything] = {
        "no attributes": None,
        "no workflow id": {"workflow_id": "", "reason": "r"},
        "long workflow id": {"workflow_id": LONG},
        "bad run id": {"run_id": "not-a-uuid"},
        "another namespace": {"namespace": "temporal-system"},
        "unknown namespace": {"namespace": "no-such-namespace"},
        "own namespace": {"namespace": "default"},
    }
    for label, fields in cases.items():
        s.another(label)
        kind = "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION"
        s.complete(s.begin_quietly(), command(kind) if fields is None else _cancel_other(s, **fields))
        if label == "own namespace":
            s.await_event("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
        s.history()
