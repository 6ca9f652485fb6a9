"""Runs a typed filter over records in memory: the memory store's lists, and the oracle that SQL is tested against.

Every rule is one line of Python, on purpose: when this and `sql.py` disagree, this is what was meant.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from perdure.visibility import conditions as c
from perdure.visibility import token as page_token
from perdure.visibility.attributes import DIVISION, KEYWORD, index_key
from perdure.visibility.conditions import Condition
from perdure.visibility.record import VisibilityRecord, order_key

_SYSTEM: Final[dict[str, Callable[[VisibilityRecord], object]]] = {
    "WorkflowId": lambda record: record.workflow_id,
    "RunId": lambda record: record.run_id,
    "WorkflowType": lambda record: record.workflow_type,
    "StartTime": lambda record: record.start_time,
    "ExecutionTime": lambda record: record.execution_time,
    "CloseTime": lambda record: record.close_time,
    "ExecutionStatus": lambda record: record.status,
    "TaskQueue": lambda record: record.task_queue,
    "HistoryLength": lambda record: _if_closed(record, record.history_length),
    "ExecutionDuration": lambda record: _if_closed(record, record.execution_duration),
    "StateTransitionCount": lambda record: _if_closed(record, record.state_transition_count),
    "HistorySizeBytes": lambda record: _if_closed(record, record.history_size_bytes),
    "ParentWorkflowId": lambda record: record.parent_workflow_id or None,
    "ParentRunId": lambda record: record.parent_run_id or None,
    "RootWorkflowId": lambda record: record.root_workflow_id or None,
    "RootRunId": lambda record: record.root_run_id or None,
}
COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _if_closed(record: VisibilityRecord, value: int) -> int | None:
    return None if record.close_time is None else value


def value_of(record: VisibilityRecord, attribute: c.Attribute) -> Any:
    """The value that filters compare, None where the attribute is not set."""
    if attribute.system:
        return _SYSTEM[attribute.name](record)
    return record.values().get(index_key(attribute.name, attribute.kind))


def matches(condition: Condition, record: VisibilityRecord) -> bool:
    """Whether the filter holds for the record."""
    if isinstance(condition, c.And):
        return all(matches(part, record) for part in condition.parts)
    if isinstance(condition, c.Or):
        return any(matches(part, record) for part in condition.parts)
    if isinstance(condition, c.Compare):
        value = value_of(record, condition.attribute)
        return value is not None and COMPARE[condition.operator](value, condition.value)
    if isinstance(condition, c.In):
        value = value_of(record, condition.attribute)
        return value is not None and (value in condition.values) != condition.negated
    if isinstance(condition, c.IsNull):
        return (value_of(record, condition.attribute) is None) != condition.negated
    if isinstance(condition, c.StartsWith):
        value = value_of(record, condition.attribute)
        return value is not None and value.startswith(condition.prefix) != condition.negated
    if isinstance(condition, c.Contains):
        items = value_of(record, condition.attribute) or []
        return any(wanted in items for wanted in condition.values) != condition.negated
    assert isinstance(condition, c.Mentions), type(condition)
    text = value_of(record, condition.attribute) or ""
    return any(phrase in text for phrase in condition.phrases) != condition.negated


def _found(
    records: Iterable[VisibilityRecord], namespace_id: str, kind: int, where: Condition | None
) -> list[VisibilityRecord]:
    return [
        record
        for record in records
        if record.namespace_id == namespace_id and record.kind == kind and (where is None or matches(where, record))
    ]


def list_page(
    records: Iterable[VisibilityRecord],
    namespace_id: str,
    kind: int,
    where: Condition | None,
    page_size: int,
    token: bytes,
) -> tuple[list[VisibilityRecord], bytes]:
    """One page of a namespace's records of a kind in the order of semantics 15.4.

    The second value is the next token, b"" after a short page.

    Raises InvalidArgument for a foreign token.
    """
    after = page_token.decode(token, namespace_id, kind)
    found = _found(records, namespace_id, kind, where)
    if after is not None:
        found = [record for record in found if order_key(record) > after]
    found.sort(key=order_key)
    page = found[:page_size]
    return page, page_token.encode(page[-1]) if page and len(page) == page_size else b""


def count(
    records: Iterable[VisibilityRecord], namespace_id: str, kind: int, where: Condition | None, group_by: str | None
) -> list[tuple[object, int]]:
    """Counts by value of `group_by` (statuses as numbers, no division as None), largest first, then by value.

    Without `group_by` one pair (None, count).
    """
    found = _found(records, namespace_id, kind, where)
    if group_by is None:
        return [(None, len(found))]
    own = c.Attribute(group_by, KEYWORD, group_by != DIVISION)
    groups = Counter(value_of(record, own) for record in found)
    return sorted(groups.items(), key=lambda pair: (-pair[1], str(pair[0] or "")))
