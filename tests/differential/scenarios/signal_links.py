"""Links to signals: what Describe resolves of them (`history.enableCHASMSignalBacklinks`)."""

from __future__ import annotations

from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import command, continue_as_new, execution
from ..wire import RpcFailed


def _shown(s: Script) -> None:
    """The requests that Describe knows."""
    request = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution())
    reply = s.send(request, rpc.DescribeWorkflowExecutionResponse)
    assert not isinstance(reply, RpcFailed)
    kept = rpc.DescribeWorkflowExecutionResponse(workflow_extended_info=reply.workflow_extended_info)
    s.record(request, rpc.DescribeWorkflowExecutionResponse, kept)


def plain(s: Script) -> None:
    """Signals of an idle run; one without a request id cannot be found."""
    s.complete(s.begin_quietly())
    s.signal()
    s.signal(request_id="")
    s.signal()
    _shown(s)
    s.history()


def many(s: Script) -> None:
    """More than fit into a row's core, and a repetition."""
    s.complete(s.begin_quietly())
    request = s.signal_request()
    for _ in range(2):
        s.call(request, rpc.SignalWorkflowExecutionResponse)
    for _ in range(20):
        s.send(s.signal_request(), rpc.SignalWorkflowExecutionResponse)
    _shown(s)


def buffered(s: Script) -> None:
    """While a task runs they have no event id yet."""
    task = s.begin_quietly()
    s.signal()
    s.signal()
    _shown(s)
    s.complete(task)
    _shown(s)
    s.history()


def with_start(s: Script) -> None:
    """The signal that starts a run, and one that meets it."""
    s.signal_with_start()
    _shown(s)
    s.signal_with_start()
    _shown(s)


def external(s: Script) -> None:
    """A signal from another workflow bears a request id of the server's."""
    s.complete(s.begin_quietly())
    sender = Script(s.connection, s.name)
    target = execution(s.workflow_id)
    sender.complete(
        sender.begin_quietly(),
        command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", execution=target, signal_name="sig"),
    )
    sender.await_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    _shown(s)


def later_runs(s: Script) -> None:
    """A reset brings them along, continue-as-new does not."""
    s.another("reset")
    s.complete(s.begin_quietly())
    s.signal()
    s.reset(4)
    _shown(s)
    s.another("continued")
    s.complete(s.begin_quietly())
    s.signal()
    s.complete(s.poll_quietly(), continue_as_new())
    _shown(s)
    s.run_id = ""
    _shown(s)


def closed(s: Script) -> None:
    """A signal that was waiting when the run was terminated got its id before."""
    s.begin_quietly()
    s.signal()
    s.terminate()
    _shown(s)
