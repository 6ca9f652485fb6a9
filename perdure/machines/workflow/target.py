"""Which run an input is about: an empty run id is resolved here, inside the step (DESIGN 1.2)."""

from __future__ import annotations

from perdure.errors import NotFound
from perdure.machines.workflow.draft import Step
from perdure.machines.workflow.execution import Execution

ALREADY_COMPLETED = "workflow execution already completed"
WRONG_PARENT = "workflow parent does not match"


def find(step: Step, run_id: str, going: bool = False) -> Execution:
    """The run as the step has it so far (a draft if it was touched); NotFound when there is none.

    One whose history is being removed is found only with `going`.
    """
    chain = step.chain
    wanted = run_id or (chain.current_run_id if chain is not None else "")
    if not wanted:
        raise NotFound("workflow not found for ID: " + step.key.id)
    draft = step.drafts.get(wanted)
    if draft is not None:
        return draft.execution
    execution = step.state.runs.get(wanted)
    if execution is None or (execution.operations.reclaimed and not going):
        raise NotFound(f'workflow execution not found for workflow ID "{step.key.id}" and run ID "{wanted}"')
    return execution


def find_running(step: Step, run_id: str) -> Execution:
    """The same, and it must be open."""
    execution = find(step, run_id)
    if not execution.running:
        raise NotFound(ALREADY_COMPLETED)
    return execution
