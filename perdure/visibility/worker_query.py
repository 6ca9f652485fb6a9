"""The filter of ListWorkers: list-filter grammar over what a heartbeat says (semantics 12.4).

Temporal reads such a filter worker by worker, and takes what it cannot evaluate (an unknown name, a wrong operator) for
"does not hold", only of the workers at which it comes across it. So do we: a text that does not parse is refused, all
else is silence. Pure: a worker is a record of plain values.
"""

from __future__ import annotations

from typing import Final, final

from perdure.clock import SECOND
from perdure.errors import InvalidArgument
from perdure.visibility import syntax
from perdure.visibility.evaluate import COMPARE
from perdure.visibility.query import MalformedQuery, parse
from perdure.visibility.times import parse_rfc3339

_TEXTS: Final = (
    "WorkerInstanceKey",
    "WorkerIdentity",
    "HostName",
    "TaskQueue",
    "DeploymentName",
    "BuildId",
    "SdkName",
    "SdkVersion",
    "WorkerStatus",
)
_TIMES: Final = ("StartTime", "HeartbeatTime")


@final
class WorkerFields:
    """What filters may ask of a worker: texts by name ("" where nothing is said), times in ns (None likewise)."""

    __slots__ = ("texts", "times")

    def __init__(self, texts: dict[str, str], times: dict[str, int | None]) -> None:
        self.texts = texts
        self.times = times


class _Unfit(Exception):
    """The expression cannot be evaluated."""


@final
class WorkerQuery:
    """A parsed filter."""

    __slots__ = ("_where",)

    def __init__(self, text: str) -> None:
        """Raises InvalidArgument for a text that does not parse; an empty one holds for every worker."""
        try:
            self._where = parse(text).where
        except MalformedQuery as wrong:
            raise InvalidArgument(f"malformed query: {wrong.detail}") from None

    def holds(self, worker: WorkerFields) -> bool:
        """Whether the filter holds for a worker."""
        if self._where is None:
            return True
        try:
            return _holds(self._where, worker)
        except _Unfit:
            return False


def _holds(node: syntax.Node, worker: WorkerFields) -> bool:
    if isinstance(node, syntax.Paren):
        return _holds(node.part, worker)
    if isinstance(node, syntax.And):
        return all(_holds(part, worker) for part in node.parts)
    if isinstance(node, syntax.Or):
        return any(_holds(part, worker) for part in node.parts)
    if isinstance(node, syntax.Comparison):
        return _compares(node, worker)
    if isinstance(node, syntax.Between):
        return _between(node, worker)
    if isinstance(node, syntax.Is):
        return _is(node, worker)
    raise _Unfit


def _name(node: syntax.Node) -> str:
    if not isinstance(node, syntax.Column):
        raise _Unfit
    return "WorkerStatus" if node.name == "status" else node.name


def _compares(node: syntax.Comparison, worker: WorkerFields) -> bool:
    name = _name(node.left)
    if name in _TEXTS:
        if not isinstance(node.right, syntax.Text) or not node.right.value:
            raise _Unfit
        return _text_compares(worker.texts[name], node.operator, node.right.value)
    if name in _TIMES:
        return _time_compares(worker.times[name] or 0, node.operator, _time(node.right))
    raise _Unfit


def _text_compares(text: str, operator: str, wanted: str) -> bool:
    if operator == "=":
        return text == wanted
    if operator == "!=":
        return text != wanted
    if operator == "starts_with":
        return text.startswith(wanted)
    if operator == "not starts_with":
        return not text.startswith(wanted)
    raise _Unfit


def _time_compares(time: int, comparison: str, wanted: int) -> bool:
    compare = COMPARE.get(comparison)
    if compare is None:
        raise _Unfit
    return compare(time, wanted)


def _between(node: syntax.Between, worker: WorkerFields) -> bool:
    name = _name(node.left)
    if name not in _TIMES:
        raise _Unfit
    low, high = _time(node.low), _time(node.high)
    time = worker.times[name]
    if time is None:
        return False
    return (low <= time <= high) != node.negated


def _is(node: syntax.Is, worker: WorkerFields) -> bool:
    name = _name(node.left)
    if node.suffix != "null":
        raise _Unfit
    if name in _TEXTS:
        return (worker.texts[name] == "") != node.negated
    if name in _TIMES:
        return (worker.times[name] is None) != node.negated
    raise _Unfit


def _time(node: syntax.Node) -> int:
    """A literal as ns since the epoch: RFC 3339, or an integer of seconds."""
    found: int | None = None
    if isinstance(node, syntax.Text):
        found = parse_rfc3339(node.value)
    elif isinstance(node, syntax.Number) and node.digits.lstrip("-").isdigit():
        found = int(node.digits) * SECOND
    if found is None:
        raise _Unfit
    return found
