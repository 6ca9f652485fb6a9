"""Workflow rules: what of a namespace is held back when it matches (server_inventory 4.26).

A rule looks at an activity that is about to start for the first time, that failed, or whose backoff is over; if the
rule holds for it, the activity is paused as an operator would pause it. Rules come compiled (`cluster/rules.py`): here
they are only asked. A condition that makes no sense for its field holds for nothing, and neither does its negation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from perdure.api import enums
from perdure.api.names import short_name
from perdure.clock import SECOND
from perdure.machines.env import Env
from perdure.machines.workflow import pause_info
from perdure.machines.workflow.draft import RunDraft
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.rule import All, Any, Clause, Rule, Value, Within
from perdure.machines.workflow.run_operations import Pause


class Meaningless(Exception):
    """The condition cannot be asked of this subject: the rule does not hold."""


def pause_of(env: Env, execution: Execution, pending: Activity) -> Pause | None:
    """How a rule pauses the activity now; None when none does, or when it is paused already."""
    if pending.pause is not None:
        return None
    for rule in env.namespace.rules:
        if rule.pauses and not 0 < rule.expires < env.now and _holds(rule, execution, pending):
            return Pause(env.now, rule.identity, rule.description, "", rule.id)
    return None


def paused_at_start(draft: RunDraft, pending: Activity) -> bool:
    """Whether a rule holds the waiting attempt back; it is paused then."""
    pause = pause_of(draft.env, draft.execution, pending)
    if pause is None:
        return False
    changed = pending.copy()
    changed.pause = pause
    changed.stamp += 1
    changed.offered = False
    draft.put_activity(changed)
    pause_info.show(draft)
    return True


def show_pause(draft: RunDraft, before: Activity, after: Activity) -> None:
    """Tell of a pause that the end of an attempt brought."""
    if after.pause is not before.pause:
        pause_info.show(draft)


def _holds(rule: Rule, execution: Execution, pending: Activity) -> bool:
    try:
        return (rule.where is None or _true(rule.where, _EXECUTION, execution)) and _true(
            rule.predicate, _ACTIVITY, pending
        )
    except Meaningless:
        return False


def _true(clause: Clause, fields: dict[str, Callable[[object], Value | None]], subject: object) -> bool:
    if isinstance(clause, All):
        return all(_true(part, fields, subject) for part in clause.parts)
    if isinstance(clause, Any):
        return any(_true(part, fields, subject) for part in clause.parts)
    found = fields[clause.field](subject)
    if found is None:
        return False
    if isinstance(clause, Within):
        return (clause.low <= int(found) <= clause.high) != clause.negated
    if type(found) is not type(clause.value):
        raise Meaningless
    return OPERATORS[clause.operator](found, clause.value)


def _starts_with(found: Value, wanted: Value) -> bool:
    return str(found).startswith(str(wanted))


OPERATORS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    ">": lambda found, wanted: int(found) > int(wanted),
    ">=": lambda found, wanted: int(found) >= int(wanted),
    "<": lambda found, wanted: int(found) < int(wanted),
    "<=": lambda found, wanted: int(found) <= int(wanted),
    "starts_with": _starts_with,
    "not starts_with": lambda found, wanted: not _starts_with(found, wanted),
}


# -- what conditions are asked of --------------------------------------------------------------------------------------


def _state(pending: Activity) -> str:
    if pending.pause is not None:
        return "Paused"
    if pending.started_time:
        return "Started"
    return "CancelRequested" if pending.cancel_requested else "Scheduled"


def _backoff(pending: Activity) -> int | None:
    """Whole seconds between the last attempt's end and the next one's begin."""
    if pending.attempt < 2:
        return None
    return (pending.scheduled_time - pending.last_attempt_complete_time) // SECOND


def _activity(ask: Callable[[Activity], Value | None]) -> Callable[[object], Value | None]:
    def asked(subject: object) -> Value | None:
        assert isinstance(subject, Activity)
        return ask(subject)

    return asked


def _execution(ask: Callable[[Execution], Value | None]) -> Callable[[object], Value | None]:
    def asked(subject: object) -> Value | None:
        assert isinstance(subject, Execution)
        return ask(subject)

    return asked


_ACTIVITY: Final = {
    "ActivityId": _activity(lambda one: one.activity_id),
    "ActivityType": _activity(lambda one: one.activity_type),
    "ActivityState": _activity(_state),
    "Attempts": _activity(lambda one: one.attempt),
    "BackoffInterval": _activity(_backoff),
    "TaskQueue": _activity(lambda one: one.task_queue),
    "StartedTime": _activity(lambda one: one.started_time),
}
_EXECUTION: Final = {
    "WorkflowId": _execution(lambda one: one.info.workflow_id),
    "WorkflowType": _execution(lambda one: one.info.workflow_type),
    "ExecutionStatus": _execution(lambda one: short_name(enums.WorkflowExecutionStatus, one.status)),
    "StartTime": _execution(lambda one: one.info.start_time),
}

TEXTS: Final = frozenset({"ActivityId", "ActivityType", "ActivityState", "TaskQueue"})
"""Activity fields that are texts."""
NUMBERS: Final = frozenset({"Attempts", "BackoffInterval"})
TIMES: Final = frozenset({"StartedTime"})
EXECUTION_TEXTS: Final = frozenset({"WorkflowId", "WorkflowType", "ExecutionStatus"})
EXECUTION_TIMES: Final = frozenset({"StartTime"})
