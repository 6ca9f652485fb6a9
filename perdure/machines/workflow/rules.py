"""Workflow rules: what of a namespace is held back when it matches (server_inventory 4.26).

A rule looks at an activity that is about to start for the first time, that failed, or whose backoff is over; if the
rule holds for it, the activity is paused as an operator would pause it. Rules come compiled (`cluster/rules.py`): here
they are only asked. A condition that makes no sense for its field holds for nothing, and neither does its negation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from perdure.api import enums
from perdure.clock import SECOND
from perdure.machines.env import Env
from perdure.machines.workflow import pause_info
from perdure.machines.workflow.draft import RunDraft
from perdure.machines.workflow.execution import Activity, Execution
from perdure.machines.workflow.run_operations import Pause

Value = str | int
"""A text, or a number or time (ns)."""


class Meaningless(Exception):
    """The condition cannot be asked of this subject: the rule does not hold."""


@final
class All:
    """Every part holds; what follows a part that does not is not asked."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Clause, ...]) -> None:
        self.parts = parts


@final
class Any:
    """Some part holds; what follows it is not asked."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Clause, ...]) -> None:
        self.parts = parts


@final
class Compare:
    """`field operator value`; the operator is one of `OPERATORS`."""

    __slots__ = ("field", "operator", "value")

    def __init__(self, field: str, operator: str, value: Value) -> None:
        self.field = field
        self.operator = operator
        self.value = value


@final
class Within:
    """`field BETWEEN low AND high`, ends included, or not."""

    __slots__ = ("field", "high", "low", "negated")

    def __init__(self, field: str, low: int, high: int, negated: bool) -> None:
        self.field = field
        self.low = low
        self.high = high
        self.negated = negated


Clause = All | Any | Compare | Within


@final
class Rule:
    """One rule. `where` says of which executions' activities, None for all; `predicate` of which activities.

    `expires` is ns since the epoch, 0 for never; `identity` and `description` are its maker's.
    """

    __slots__ = ("description", "expires", "id", "identity", "pauses", "predicate", "where")

    def __init__(
        self,
        id: str,
        where: Clause | None,
        predicate: Clause,
        pauses: bool,
        expires: int = 0,
        identity: str = "",
        description: str = "",
    ) -> None:
        self.id = id
        self.where = where
        self.predicate = predicate
        self.pauses = pauses
        self.expires = expires
        self.identity = identity
        self.description = description


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


def _status(execution: Execution) -> str:
    name = enums.WorkflowExecutionStatus.Name(execution.status)  # type: ignore[arg-type]  # wire numbers are plain ints
    words = name.removeprefix("WORKFLOW_EXECUTION_STATUS_").split("_")
    return "".join([word.capitalize() for word in words])


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
    "ExecutionStatus": _execution(_status),
    "StartTime": _execution(lambda one: one.info.start_time),
}

TEXTS: Final = frozenset({"ActivityId", "ActivityType", "ActivityState", "TaskQueue"})
"""Activity fields that are texts."""
NUMBERS: Final = frozenset({"Attempts", "BackoffInterval"})
TIMES: Final = frozenset({"StartedTime"})
EXECUTION_TEXTS: Final = frozenset({"WorkflowId", "WorkflowType", "ExecutionStatus"})
EXECUTION_TIMES: Final = frozenset({"StartTime"})
