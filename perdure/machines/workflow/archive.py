"""What a closed run owes to the archive: its history, its record, or both (DESIGN 1.10).

Whether it owes anything is settled by the close, from what its namespace archives then. It is an item of
`Execution.calls` like any call (owed.py), so retention waits for the archive; a run deleted by request owes nothing.
"""

from __future__ import annotations

from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.exchange import RunArchived
from perdure.machines.workflow.owed import ARCHIVE
from perdure.machines.workflow.target import find


def owe(draft: RunDraft) -> None:
    """The run closes: what its namespace archives is owed from now on."""
    _set(draft, draft.env.namespace.archives)


def give_up(draft: RunDraft) -> None:
    """The run is deleted by request."""
    _set(draft, 0)
    draft.owe_call(ARCHIVE, False)


def archived(step: Step, answer: RunArchived) -> None:
    """The archive has everything, or wants it no more; from now on only retention holds the run."""
    execution = find(step, answer.run_id)
    if ARCHIVE not in execution.calls:
        return
    draft = step.edit(execution)
    _set(draft, 0)
    draft.stored = True
    draft.owe_call(ARCHIVE, False)


def _set(draft: RunDraft, archiving: int) -> None:
    if draft.execution.operations.archiving != archiving:
        operations = draft.execution.operations.copy()
        operations.archiving = archiving
        draft.execution.operations = operations
