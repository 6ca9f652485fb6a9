"""The language of archived lists: equalities of five attributes, joined by AND (server_inventory 1.9).

Parsed as filters of live lists are, then narrowed: an archive has no index but close time. Pure.
"""

from __future__ import annotations

from typing import Final, final

from perdure.api import enums, workflow
from perdure.api.times import timestamp_ns
from perdure.archival.api import Window
from perdure.errors import InvalidArgument
from perdure.visibility import syntax
from perdure.visibility.query import parse
from perdure.visibility.times import parse_rfc3339

_EARLIEST: Final = 0
_LATEST: Final = 2**63 - 1
_TEXTS: Final = ("WorkflowId", "RunId", "WorkflowType")
_STATUSES: Final = {
    spelling: number
    for name, number in enums.WorkflowExecutionStatus.items()
    for bare in [name.removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()]
    for spelling in (bare, bare.replace("_", ""), str(number))
    if number > enums.WORKFLOW_EXECUTION_STATUS_RUNNING and number <= enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
}


@final
class Query:
    """What is asked for. Two different values of one attribute match nothing."""

    __slots__ = ("empty", "status", "texts", "window")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.status: int | None = None
        self.window = Window(_EARLIEST, _LATEST)
        self.empty = False

    def matches(self, info: workflow.WorkflowExecutionInfo) -> bool:
        """Whether a record is asked for."""
        closed = timestamp_ns(info.close_time)
        found = {
            "WorkflowId": info.execution.workflow_id,
            "RunId": info.execution.run_id,
            "WorkflowType": info.type.name,
        }
        return (
            not self.empty
            and self.window.earliest <= closed <= self.window.latest
            and self.status in (None, info.status)
            and all(found[name] == text for name, text in self.texts.items())
        )


def compile_query(text: str) -> Query:
    """The meaning of a query, "" for everything. Raises InvalidArgument."""
    found = Query()
    parsed = parse(text)
    if parsed.group_by is not None:
        raise InvalidArgument('only comparison and "and" expression is supported')
    if parsed.where is not None:
        _condition(found, parsed.where)
    return found


def _condition(found: Query, node: syntax.Node) -> None:
    if isinstance(node, syntax.Paren):
        _condition(found, node.part)
    elif isinstance(node, syntax.And):
        for part in node.parts:
            _condition(found, part)
    elif isinstance(node, syntax.Comparison):
        _comparison(found, node)
    else:
        raise InvalidArgument('only comparison and "and" expression is supported')


def _comparison(found: Query, node: syntax.Comparison) -> None:
    if not isinstance(node.left, syntax.Column):
        raise InvalidArgument("invalid filter name: an attribute must stand on the left side")
    name = node.left.name
    if not isinstance(node.right, syntax.Text | syntax.Number):
        raise InvalidArgument(f"invalid value of {name}: it must be a string or a number")
    literal = node.right.value if isinstance(node.right, syntax.Text) else node.right.digits
    if name == "CloseTime":
        _close_time(found, node.operator, literal)
        return
    if name not in _TEXTS and name != "ExecutionStatus":
        raise InvalidArgument(f"unknown filter name: {name}")
    if node.operator != "=":
        raise InvalidArgument(f"only operation = is support for {name}")
    if name == "ExecutionStatus":
        status = _STATUSES.get(literal.strip().lower())
        if status is None:
            raise InvalidArgument(f"unknown workflow close status: {literal.strip().lower()}")
        found.empty = found.empty or found.status not in (None, status)
        found.status = status
        return
    if not isinstance(node.right, syntax.Text):
        raise InvalidArgument(f"value {literal} is not a string value")
    found.empty = found.empty or found.texts.get(name, literal) != literal
    found.texts[name] = literal


def _close_time(found: Query, operator: str, literal: str) -> None:
    moment = int(literal) if literal.isdigit() and len(literal) < 20 else parse_rfc3339(literal)
    if moment is None:
        raise InvalidArgument(f"unable to parse close time '{literal}'")
    earliest, latest = found.window.earliest, found.window.latest
    if operator in ("=", ">="):
        earliest = max(earliest, moment)
    elif operator == ">":
        earliest = max(earliest, moment + 1)
    if operator in ("=", "<="):
        latest = min(latest, moment)
    elif operator == "<":
        latest = min(latest, moment - 1)
    if operator not in ("=", "<", "<=", ">", ">="):
        raise InvalidArgument(f"operator {operator} is not supported for close time")
    found.window = Window(earliest, latest)
