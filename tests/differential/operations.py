"""What operators ask for: verbs beside those of :mod:`.script`, for scenarios and random stories alike.

Each sends one RPC about the script's current run and records the outcome. A field given as None is left unset. Like the
script, nothing here judges an answer.
"""

from __future__ import annotations

import threading
import time
from typing import Any as Anything

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as rpc

from .script import NAMESPACE, Script, filled
from .wire import RpcFailed

OPERATOR = "operator"
GONE_SECONDS = 180.0
"""How long a server may take to remove a run. The reference often takes a minute to note that its close is done."""

# Runs


def pause(s: Script, **fields: Anything) -> None:
    s.call(_of_run(s, rpc.PauseWorkflowExecutionRequest, fields), rpc.PauseWorkflowExecutionResponse)


def unpause(s: Script, **fields: Anything) -> None:
    s.call(_of_run(s, rpc.UnpauseWorkflowExecutionRequest, fields), rpc.UnpauseWorkflowExecutionResponse)


def _of_run(s: Script, kind: Anything, fields: dict[str, Anything]) -> Anything:
    return filled(
        kind,
        fields,
        namespace=NAMESPACE,
        workflow_id=s.workflow_id,
        run_id=s.run_id,
        identity=OPERATOR,
        reason="why",
        request_id=s.new_request_id(),
    )


def change_options(s: Script, *paths: str, options: Anything = None, **fields: Anything) -> None:
    """UpdateWorkflowExecutionOptions of the fields that `paths` name; `options` are fields of the new ones."""
    request = filled(
        rpc.UpdateWorkflowExecutionOptionsRequest,
        fields,
        namespace=NAMESPACE,
        workflow_execution=s.execution(),
        update_mask=FieldMask(paths=paths),
        workflow_execution_options=WorkflowExecutionOptions(**(options or {})),
        identity=OPERATOR,
    )
    s.call(request, rpc.UpdateWorkflowExecutionOptionsResponse)


def delete(s: Script, **fields: Anything) -> None:
    request = filled(rpc.DeleteWorkflowExecutionRequest, fields, namespace=NAMESPACE, workflow_execution=s.execution())
    s.call(request, rpc.DeleteWorkflowExecutionResponse)


def await_gone(s: Script, run_id: str | None = None) -> None:
    """Ask, unrecorded, until the run cannot be described; record the last answer."""
    request = rpc.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=s.execution(run_id))
    end = time.monotonic() + GONE_SECONDS
    pause = threading.Event()
    while time.monotonic() < end:
        outcome = s.send(request, rpc.DescribeWorkflowExecutionResponse)
        if isinstance(outcome, RpcFailed):
            s.record(request, rpc.DescribeWorkflowExecutionResponse, outcome)
            return
        pause.wait(0.1)
    raise s.stop("the run did not go")


# Activities: the fields say which, by `id`, `type`, or all; without any it is "a".


def pause_activity(s: Script, **fields: Anything) -> None:
    chosen = _chosen(fields) | {"reason": "why", "request_id": s.new_request_id()} | fields
    s.call(_of_activities(s, rpc.PauseActivityRequest, chosen), rpc.PauseActivityResponse)


def unpause_activity(s: Script, **fields: Anything) -> None:
    s.call(_of_activities(s, rpc.UnpauseActivityRequest, _chosen(fields) | fields), rpc.UnpauseActivityResponse)


def reset_activity(s: Script, **fields: Anything) -> None:
    s.call(_of_activities(s, rpc.ResetActivityRequest, _chosen(fields) | fields), rpc.ResetActivityResponse)


def tune_activity(s: Script, *paths: str, **fields: Anything) -> None:
    """UpdateActivityOptions; no paths: no mask."""
    mask = {"update_mask": FieldMask(paths=paths)} if paths else {}
    request = _of_activities(s, rpc.UpdateActivityOptionsRequest, _chosen(fields) | mask | fields)
    s.call(request, rpc.UpdateActivityOptionsResponse)


def _chosen(fields: dict[str, Anything]) -> dict[str, Anything]:
    return {} if {"id", "type", "match_all", "unpause_all"} & fields.keys() else {"id": "a"}


def _of_activities(s: Script, kind: Anything, fields: dict[str, Anything]) -> Anything:
    return filled(kind, fields, namespace=NAMESPACE, execution=s.execution(), identity=OPERATOR)
