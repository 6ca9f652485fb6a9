"""The end of a run's storage: by request, or when its retention is over (semantics 7.5, 11.3).

A run that is to go has an alarm in the past, so its removal is owed until nothing is left of it (DESIGN 1.10). Each
step removes a bounded piece of history; the last one takes the rows and the visibility record with it. A history
branch that another run names stays (DESIGN 1.11).
"""

from __future__ import annotations

from perdure.machines.workflow import archive, close, request_ids
from perdure.machines.workflow.chain import Chain
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.operator_inputs import Delete
from perdure.machines.workflow.target import find

FRAGMENTS_PER_STEP = 4_096
"""History fragments that one write removes at most. A fragment has one event or more, so events bound fragments."""


def deleted(step: Step, verb: Delete) -> None:
    """DeleteWorkflowExecution: an open run is terminated first; the removal itself is owed from now on."""
    execution = find(step, verb.run_id)
    draft = step.edit(execution)
    if execution.running:
        close.terminate_by_server(step, draft, "Delete workflow execution")
    archive.give_up(draft)
    _mark(draft)


def due(execution: Execution) -> int:
    """When a closed run is to be removed, ns since the epoch."""
    if execution.operations.deleting:
        return execution.close_time
    return execution.close_time + execution.retention


def reclaim(step: Step, draft: RunDraft) -> None:
    """Remove the next piece of a run that is due to go, or what is left of it."""
    _mark(draft)
    execution = draft.execution
    operations = execution.operations.copy()
    draft.reclaimed_branches = _own_branches(step, execution)
    left = execution.next_event_id - 1 - operations.reclaimed
    if left > FRAGMENTS_PER_STEP:
        operations.reclaimed += FRAGMENTS_PER_STEP
        execution.operations = operations
        return
    operations.reclaimed = execution.next_event_id
    execution.operations = operations
    draft.reclaim = True
    _leave_chain(step, execution)


def _mark(draft: RunDraft) -> None:
    if not draft.execution.operations.deleting:
        operations = draft.execution.operations.copy()
        operations.deleting = True
        draft.execution.operations = operations
    draft.stored = True


def _own_branches(step: Step, execution: Execution) -> tuple[bytes, ...]:
    """The history branches that no other run names."""
    assert step.chain is not None, "a run has a chain"
    shared = step.chain.shared_branches
    return tuple([branch for branch, _ in execution.branches if branch not in shared])


def _leave_chain(step: Step, execution: Execution) -> None:
    """The chain forgets the run: who is current, how many there are, who shares whose history, which starts made it or
    were attached to it.
    """
    chain = step.chain
    assert chain is not None, "a run has a chain"
    run_id = execution.info.run_id
    known = step.state.start_requests
    for name in dict.fromkeys(request_ids.of_chain(execution)):
        if known.get(name, run_id) == run_id:
            step.start_requests.append((name, ""))
    shared = chain.shared_branches
    for branch, _ in execution.branches:
        count = shared.get(branch, 0)
        if count > 2:
            shared = shared.set(branch, count - 1)
        elif count:
            shared = shared.delete(branch)
    step.chain = Chain(
        chain.namespace_id,
        chain.workflow_id,
        "" if chain.current_run_id == run_id else chain.current_run_id,
        chain.version,
        chain.run_count - 1,
        shared,
    )
