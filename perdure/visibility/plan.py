"""Ways to find the records of a filter in SQLite's index of visibility (`entries`): what could be read, not how.

A filter is a conjunction of parts; each part that an index knows offers one way: *arms*, ranges of entries that are in
list order each and share no record, or a *gathering*, a set of candidates that has to be sorted. Whichever way is
taken, the whole filter is checked on every record, so a way need only be complete. The store asks how many entries each
way has (up to `GATHERED_MAX`) and takes the least. Pure: no SQL, no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, final

from perdure.api import enums
from perdure.visibility import conditions as c
from perdure.visibility.attributes import DIVISION, KEYWORD_LIST, TEXT
from perdure.visibility.conditions import Condition
from perdure.visibility.entries import (
    EVERY,
    PARENT,
    ROOT,
    TYPE,
    VALUE_CHARS_MAX,
    EntryValue,
    attribute_key,
    entry_value,
    is_whole,
)
from perdure.visibility.predicates import after_prefix, stored_key, stored_scalar

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1

GATHERED_MAX: Final = 50_000
"""Most candidates that are fetched and sorted; beyond that, entries are walked in list order."""
GATHERED_TO_COUNT_MAX: Final = 250_000
"""Most candidates that are fetched for a count, which would have to walk everything else."""
SPAN_WEIGHT: Final = 5
"""A candidate of a span costs as much as so many others: its row is found by another index."""
ARMS_MAX: Final = 64
"""Most ranges that are merged."""
TYPES_MAX: Final = 8
"""Most workflow types that a prefix is resolved to."""

STATUSES: Final = frozenset(number for number in enums.WorkflowExecutionStatus.values() if number)
OPEN: Final = frozenset({enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_PAUSED})
_INDEXED_SYSTEM: Final = frozenset({TYPE, PARENT})
_IN_ENTRIES: Final = frozenset({"ExecutionStatus", "StartTime", "CloseTime"})
COUNTED: Final = frozenset({"ExecutionStatus", TYPE, DIVISION})
"""Attributes by whose values records are counted all the time."""


@final
class Arm:
    """All entries of one attribute with one value; `but` keeps out what an earlier arm has."""

    __slots__ = ("attribute", "but", "value")

    def __init__(self, attribute: int, value: EntryValue, but: Condition | None = None) -> None:
        self.attribute: Final = attribute
        self.value: Final = value
        self.but: Final = but


@final
class Arms:
    """Ranges in list order. `leaf` is the part of the filter that they answer whole, None if rows must be asked."""

    __slots__ = ("arms", "leaf")

    def __init__(self, arms: tuple[Arm, ...], leaf: Condition | None) -> None:
        self.arms: Final = arms
        self.leaf: Final = leaf


@final
class Span:
    """Candidates by the values of attributes in [low, high); None is no bound."""

    __slots__ = ("attributes", "high", "low")

    def __init__(self, attributes: tuple[int, ...], low: EntryValue | None, high: EntryValue | None) -> None:
        self.attributes: Final = attributes
        self.low: Final = low
        self.high: Final = high


@final
class Ids:
    """Candidates by workflow id: one of `ids`, or from `low` on and below `high`; and those under `attributes`."""

    __slots__ = ("attributes", "high", "ids", "low")

    def __init__(
        self,
        ids: tuple[str, ...],
        low: str | None = None,
        high: str | None = None,
        attributes: tuple[tuple[int, EntryValue], ...] = (),
    ) -> None:
        self.ids: Final = ids
        self.low: Final = low
        self.high: Final = high
        self.attributes: Final = attributes


@final
class Runs:
    """Candidates by run id: so few that nothing else needs to be asked."""

    __slots__ = ("run_ids",)

    def __init__(self, run_ids: tuple[str, ...]) -> None:
        self.run_ids: Final = run_ids


@final
class Started:
    """Candidates by start time, from `earliest` to `latest` (ns)."""

    __slots__ = ("earliest", "latest")

    def __init__(self, earliest: int, latest: int) -> None:
        self.earliest: Final = earliest
        self.latest: Final = latest


@final
class Either:
    """Candidates that any of the ways finds."""

    __slots__ = ("ways",)

    def __init__(self, ways: tuple[Way, ...]) -> None:
        self.ways: Final = ways


Gathering = Span | Ids | Runs | Started | Either
Way = Arms | Gathering


def parts_of(where: Condition | None) -> Iterator[Condition]:
    """The parts of the conjunction that a filter is."""
    if isinstance(where, c.And):
        for part in where.parts:
            yield from parts_of(part)
    elif where is not None:
        yield where


def divisions(where: Condition | None) -> tuple[str | None, ...] | None:
    """The divisions that a filter is confined to (None for no division), or None when it does not say."""
    for part in parts_of(where):
        attribute = getattr(part, "attribute", None)
        if attribute is None or attribute.name != DIVISION or attribute.system:
            continue
        if isinstance(part, c.IsNull) and not part.negated:
            return (None,)
        values = _equal_to(part)
        if values is not None and len(values) <= TYPES_MAX:
            return tuple([str(value) for value in values])
    return None


def statuses(where: Condition | None) -> frozenset[int]:
    """Statuses that records of the filter may have: never too few."""
    if isinstance(where, c.And):
        return STATUSES.intersection(*[statuses(part) for part in where.parts])
    if isinstance(where, c.Or):
        return frozenset().union(*[statuses(part) for part in where.parts])
    attribute = getattr(where, "attribute", None)
    if attribute is None or not attribute.system:
        return STATUSES
    if attribute.name == "CloseTime":
        if isinstance(where, c.IsNull):
            return STATUSES - OPEN if where.negated else OPEN
        return STATUSES - OPEN
    if attribute.name != "ExecutionStatus":
        return STATUSES
    values = _equal_to(where)
    if values is not None:
        return STATUSES.intersection(int(value) for value in values)
    if isinstance(where, c.Compare) and where.operator == "!=":
        return STATUSES - {int(where.value)}
    if isinstance(where, c.In):
        return STATUSES.difference(int(value) for value in where.values)
    return STATUSES


def started(where: Condition | None) -> Started | None:
    """Between which times records of the filter were started, both ends included; None when it does not say."""
    earliest, latest = _INT64_MIN, _INT64_MAX
    for part in parts_of(where):
        if not isinstance(part, c.Compare) or not part.attribute.system or part.attribute.name != "StartTime":
            continue
        if part.operator in ("=", ">", ">="):
            earliest = max(earliest, int(part.value))
        if part.operator in ("=", "<", "<="):
            latest = min(latest, int(part.value))
    return None if (earliest, latest) == (_INT64_MIN, _INT64_MAX) else Started(earliest, latest)


def type_leaf(where: Condition | None) -> Condition | None:
    """A part that says something of the workflow type other than which one it is."""
    for part in parts_of(where):
        attribute = getattr(part, "attribute", None)
        if attribute is not None and attribute.system and attribute.name == TYPE and _equal_to(part) is None:
            return part
    return None


def every(lists: tuple[int, ...]) -> Arms:
    """All records of the lists."""
    return Arms(tuple([Arm(attribute_key(one, EVERY), 0) for one in lists]), None)


def of_types(lists: tuple[int, ...], types: Iterable[str], leaf: Condition) -> Arms:
    """The records of the types that `leaf` holds for."""
    names = dict.fromkeys(types)
    values = dict.fromkeys([entry_value(name) for name in names])
    arms = [Arm(attribute_key(one, TYPE), value) for one in lists for value in values]
    return Arms(tuple(arms), leaf if all(is_whole(name) for name in names) else None)


def ways(where: Condition | None, lists: tuple[int, ...]) -> list[Way]:
    """The ways that the parts of a filter offer, apart from `every`."""
    found: list[Way] = []
    for part in parts_of(where):
        way = _way(part, lists)
        if way is not None:
            found.append(way)
    window = started(where)
    if window is not None:
        found.append(window)
    return found


def weight(way: Way) -> int:
    """What a candidate of the way costs."""
    return SPAN_WEIGHT if isinstance(way, Span) else 1


def is_counted(where: Condition | None) -> bool:
    """Whether the counters alone answer how many records the filter holds for."""
    return all(name in COUNTED for name in _names(where))


def is_in_entries(where: Condition | None, way: Arms) -> bool:
    """Whether entries alone tell which records the filter holds for, taken the way and in lists by division."""
    return all(
        part is way.leaf or _says_division(part) or all(name in _IN_ENTRIES for name in _names(part))
        for part in parts_of(where)
    )


def _says_division(part: Condition) -> bool:
    return divisions(part) is not None


def _names(where: Condition | None) -> Iterator[str]:
    """The attributes in a filter; a custom one never has the name of a system attribute."""
    if isinstance(where, c.And | c.Or):
        for part in where.parts:
            yield from _names(part)
    elif where is not None:
        attribute: c.Attribute = where.attribute  # type: ignore[attr-defined]  # every leaf has one
        yield attribute.name


def _equal_to(part: Condition | None) -> tuple[c.Scalar, ...] | None:
    """The values of which the attribute has one, if the part says just that."""
    if isinstance(part, c.Compare) and part.operator == "=":
        return (part.value,)
    if isinstance(part, c.In) and not part.negated:
        return part.values
    return None


def _either(part: c.Or, lists: tuple[int, ...]) -> Either | None:
    found = []
    for one in part.parts:
        offered = ways(one, lists)
        if not offered:
            return None
        found.append(offered[0])
    return Either(tuple(found)) if 0 < len(found) <= ARMS_MAX else None


def _way(part: Condition, lists: tuple[int, ...]) -> Way | None:
    if isinstance(part, c.Or):
        return _either(part, lists)
    attribute: c.Attribute | None = getattr(part, "attribute", None)
    if attribute is None or (attribute.name == DIVISION and not attribute.system) or attribute.kind == TEXT:
        return None
    if attribute.system and attribute.name not in _INDEXED_SYSTEM:
        return _by_id(part, attribute.name, lists)
    if isinstance(part, c.Contains):
        return None if part.negated else _holding(part, lists)
    name = attribute.name if attribute.system else stored_key(attribute.name, attribute.kind)
    attributes = tuple([attribute_key(one, name) for one in lists])
    values = _equal_to(part)
    if values is not None:
        stored = [stored_scalar(attribute, value) for value in values]
        wanted = dict.fromkeys([entry_value(value) for value in stored])
        arms = tuple([Arm(one, value) for one in attributes for value in wanted])
        whole = len(arms) == len(lists) and all(is_whole(value) for value in stored)
        return Arms(arms, part if whole else None)
    if isinstance(part, c.StartsWith) and not part.negated:
        return _beginning(attributes, part.prefix)
    if isinstance(part, c.Compare) and part.operator in ("<", "<=", ">", ">="):
        value = stored_scalar(attribute, part.value)
        if isinstance(value, str):
            # Entries are cut short, so what is beyond a text may have an entry that is equal to its.
            start = value[:VALUE_CHARS_MAX]
            above = part.operator[0] == ">"
            return Span(attributes, start if above else None, None if above else after_prefix(start))
        return _range(attributes, part.operator, value)
    return None


def _beginning(attributes: tuple[int, ...], prefix: str) -> Span:
    start = prefix[:VALUE_CHARS_MAX]
    return Span(attributes, start, after_prefix(start))


def _range(attributes: tuple[int, ...], operator: str, value: int) -> Span | None:
    if operator == ">=":
        return Span(attributes, value, None)
    if operator == ">":
        return Span(attributes, value + 1, None) if value < 2**63 - 1 else None
    if operator == "<":
        return Span(attributes, None, value)
    return Span(attributes, None, value + 1) if value < 2**63 - 1 else None


def _by_id(part: Condition, name: str, lists: tuple[int, ...]) -> Way | None:
    values = _equal_to(part)
    if values is not None:
        ids = tuple(dict.fromkeys([str(value) for value in values]))
        if name == "RunId":
            return Runs(ids)
        if name == "WorkflowId":
            return Ids(ids)
        if name == ROOT:
            roots = [(attribute_key(one, ROOT), entry_value(value)) for one in lists for value in ids]
            return Ids(ids, attributes=tuple(roots))
    if name == "WorkflowId" and isinstance(part, c.StartsWith) and not part.negated:
        return Ids((), part.prefix, after_prefix(part.prefix))
    return None


def _holding(part: c.Contains, lists: tuple[int, ...]) -> Arms | None:
    """An arm for each value, without the records of the values before it."""
    assert part.attribute.kind == KEYWORD_LIST, part.attribute.kind
    name = stored_key(part.attribute.name, part.attribute.kind)
    values = tuple(dict.fromkeys(part.values))
    if not all(is_whole(value) for value in values):
        return None  # entries would not tell which records an earlier arm has
    arms = [
        Arm(attribute_key(one, name), value, c.Contains(part.attribute, values[:place], True) if place else None)
        for place, value in enumerate(values)
        for one in lists
    ]
    return Arms(tuple(arms), part if len(values) == 1 else None)
