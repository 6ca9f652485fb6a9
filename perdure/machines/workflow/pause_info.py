"""The search attribute that says what of a run is paused: the run itself, and types of its activities (semantics 5.7,
7.6). Unrecorded: no event tells of it.
"""

from __future__ import annotations

from perdure.machines.json_payloads import keyword_list
from perdure.machines.workflow.draft import RunDraft
from perdure.machines.workflow.execution import Execution

PAUSE_INFO = "TemporalPauseInfo"


def show(draft: RunDraft) -> None:
    """Keep the search attribute in step with what is paused."""
    entries = _entries(draft.execution)
    stored = draft.execution.search_attributes.get(PAUSE_INFO)
    if not entries:
        if stored is not None:
            draft.put_search_attribute(PAUSE_INFO, None)
        return
    body = keyword_list(entries)
    if body != stored:
        draft.put_search_attribute(PAUSE_INFO, body)


def _entries(execution: Execution) -> list[str]:
    """The run with the reason, then an entry for each type of activity of which one is paused."""
    entries: list[str] = []
    pause = execution.operations.pause
    if pause is not None:
        entries.append(f"Workflow:{execution.info.workflow_id}")
        if pause.reason:
            entries.append(f"Reason:{pause.reason}")
    types = sorted({a.activity_type for a in execution.activities.values() if a.pause is not None})
    return entries + [f"property:activityType={name}" for name in types]
