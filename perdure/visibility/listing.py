"""SQLite's statements of lists and counts over the index of visibility, for a way that `plan` found.

In each, `p` is the index and `v` the row, or `v` alone where candidates are gathered. A walk joins row after row in
list order and stops with the page; ranges are merged by the database. Text and parameters only.
"""

from __future__ import annotations

from typing import Final, final

from perdure.visibility import plan
from perdure.visibility.attributes import DIVISION
from perdure.visibility.conditions import Condition
from perdure.visibility.plan import Arm, Arms, Either, Gathering, Runs, Span, Started, Way
from perdure.visibility.predicates import Dialect, Writer
from perdure.visibility.record import OPEN_CLOSE_KEY, run_key
from perdure.visibility.sql import GROUP_COLUMNS, READ, Statement
from perdure.visibility.token import Place

_ORDER: Final = "close_key, start_key, run_key"
_JOINED: Final = "FROM visibility_entry AS p CROSS JOIN visibility AS v ON v.run_key = p.run_key"
_KEYS: Final = "p.close_key AS close_key, p.start_key AS start_key, p.run_key AS run_key"
_COLUMNS: Final = ", ".join([f"v.{name} AS {name}" for name in READ if name not in ("close_key", "start_key")])
_OPEN: Final = str(OPEN_CLOSE_KEY)
NAMES: Final = tuple([name for name in READ if name not in ("close_key", "start_key")])
"""What a list's rows hold, before close, start and run key."""


@final
class Query:
    """A filter on the records of one kind in one namespace; `lists` are the keys of the divisions it may find."""

    __slots__ = ("kind", "lists", "namespace_id", "where")

    def __init__(self, namespace_id: str, kind: int, where: Condition | None, lists: tuple[int, ...]) -> None:
        self.namespace_id: Final = namespace_id
        self.kind: Final = kind
        self.where: Final = where
        self.lists: Final = lists


def probe(query: Query, way: Way, most: int) -> Statement:
    """How many entries the way has, up to `most`."""
    writer = Writer(Dialect.SQLITE, "p.", "v.")
    limit = writer.bind(most)
    return f"SELECT count(*) FROM ({_counted(writer, query, way)} LIMIT {limit})", tuple(writer.parameters)


def _counted(writer: Writer, query: Query, way: Way) -> str:
    """One row for each entry of the way; one range after the other, so that a limit ends the counting."""
    if isinstance(way, Arms):
        if not way.arms:
            return "SELECT 1 WHERE 0"
        limited = f" AND p.status IN ({_bound(writer, sorted(plan.statuses(query.where)))})"
        ranges = [f"SELECT 1 FROM visibility_entry AS p WHERE {_at(writer, arm)}{limited}" for arm in way.arms]
        return " UNION ALL ".join(ranges)
    if isinstance(way, Either):
        return " UNION ALL ".join([_counted(writer, query, one) for one in way.ways])
    if isinstance(way, Span):
        return f"SELECT 1 FROM visibility_entry AS p WHERE {_spanned(writer, way)}"
    return f"SELECT 1 FROM visibility AS v WHERE {_candidates(writer, query, way)}"


def _at(writer: Writer, arm: Arm) -> str:
    return f"p.attribute = {writer.bind(arm.attribute)} AND p.value = {writer.bind(arm.value)}"


def page(query: Query, way: Way, limit: int, after: Place | None) -> Statement:
    """The rows of a page: `NAMES`, then close, start and run key, in list order."""
    if isinstance(way, Arms):
        return _walk(query, way, limit, after)
    writer = Writer(Dialect.SQLITE, "v.", "v.")
    text = (
        f"SELECT {_COLUMNS}, v.close_key, v.start_key, v.run_key FROM visibility AS v"
        f" WHERE {_candidates(writer, query, way)} AND {_checked(writer, query)}"
    )
    if after is not None:
        text += f" AND (v.close_key, v.start_key, v.run_key) > ({_bound(writer, after)})"
    return f"{text} ORDER BY v.close_key, v.start_key, v.run_key LIMIT {writer.bind(limit)}", tuple(writer.parameters)


def count(query: Query, way: Way, group_by: str | None) -> Statement:
    """Rows of (value, count), largest first, or one row (NULL, count) without `group_by`."""
    in_entries = group_by != DIVISION and isinstance(way, Arms) and plan.is_in_entries(query.where, way)
    keys = "p." if isinstance(way, Arms) else "v."
    writer = Writer(Dialect.SQLITE, keys, "v.")
    if isinstance(way, Arms):
        tests = [_arm(writer, query, way, arm, in_entries) for arm in way.arms]
        table = "FROM visibility_entry AS p" if in_entries else _JOINED
    else:
        tests = [f"{_candidates(writer, query, way)} AND {_checked(writer, query)}"]
        table = "FROM visibility AS v"
    column = "NULL" if group_by is None else (keys if group_by == "ExecutionStatus" else "v.") + GROUP_COLUMNS[group_by]
    each = [f"SELECT {column} AS value, count(*) AS n {table} WHERE {test} GROUP BY 1" for test in tests]
    inner = " UNION ALL ".join(each) if each else "SELECT NULL AS value, 0 AS n WHERE 0"
    if group_by is None:
        return f"SELECT NULL, coalesce(sum(n), 0) FROM ({inner})", tuple(writer.parameters)
    return f"SELECT value, sum(n) FROM ({inner}) GROUP BY 1 ORDER BY 2 DESC, 1", tuple(writer.parameters)


def _arm(writer: Writer, query: Query, way: Arms, arm: Arm, in_entries: bool) -> str:
    """The condition of one arm over all statuses, for a count."""
    tests = [_at(writer, arm), f"p.status IN ({_bound(writer, sorted(plan.statuses(query.where)))})"]
    window = plan.started(query.where)
    if window is not None:
        tests.append(f"p.close_key <= {writer.bind(_negated(window.earliest))}")
    if in_entries:
        left = [part for part in plan.parts_of(query.where) if part is not way.leaf and plan.divisions(part) is None]
        tests.extend([writer.condition(part) for part in left])
    else:
        tests.append(_checked(writer, query))
        if arm.but is not None:
            tests.append(writer.condition(arm.but))
    return " AND ".join(tests)


def _walk(query: Query, way: Arms, limit: int, after: Place | None) -> Statement:
    """The ranges of the arms, one for each status, merged by the database."""
    writer = Writer(Dialect.SQLITE, "p.", "v.")
    checked = _checked(writer, query)
    window = plan.started(query.where)
    ranges = []
    for arm in way.arms:
        key = _at(writer, arm)
        but = f" AND {writer.condition(arm.but)}" if arm.but is not None else ""
        for status in sorted(plan.statuses(query.where)):
            bounds = _bounds(writer, status in plan.OPEN, after, window)
            if bounds is not None:
                test = f"{key} AND p.status = {status}{bounds} AND {checked}{but}"
                ranges.append(f"SELECT {_COLUMNS}, {_KEYS} {_JOINED} WHERE {test}")
    if not ranges:
        return f"SELECT {_COLUMNS}, {_KEYS} {_JOINED} WHERE 0", ()
    return f"{' UNION ALL '.join(ranges)} ORDER BY {_ORDER} LIMIT {writer.bind(limit)}", tuple(writer.parameters)


def _bounds(writer: Writer, is_open: bool, after: Place | None, window: Started | None) -> str | None:
    """Where a range of one status begins and ends, None when it has nothing after the token's place."""
    if is_open:
        if after is None:
            return f" AND p.close_key = {_OPEN}"
        close, start, run = after
        if close != OPEN_CLOSE_KEY:
            return None
        return f" AND p.close_key = {_OPEN} AND (p.start_key, p.run_key) > ({_bound(writer, (start, run))})"
    text = ""
    if after is not None and after[0] != OPEN_CLOSE_KEY:
        text = f" AND (p.close_key, p.start_key, p.run_key) > ({_bound(writer, after)})"
    if window is not None:
        # No record is closed before it is started.
        text += f" AND p.close_key <= {writer.bind(_negated(window.earliest))}"
    return text


def _negated(time: int) -> int:
    """A time as start keys and close keys of closed records hold it."""
    return max(OPEN_CLOSE_KEY + 1, min(2**63 - 1, -time))


def _checked(writer: Writer, query: Query) -> str:
    """The whole filter, asked of the row."""
    text = f"v.namespace_id = {writer.bind(query.namespace_id)} AND v.kind = {writer.bind(query.kind)}"
    return text if query.where is None else f"{text} AND ({writer.condition(query.where)})"


def _candidates(writer: Writer, query: Query, way: Gathering) -> str:
    if isinstance(way, Runs):
        return f"v.run_key IN ({_bound(writer, [run_key(one) for one in way.run_ids])})"
    if isinstance(way, Span):
        return f"v.run_key IN (SELECT p.run_key FROM visibility_entry AS p WHERE {_spanned(writer, way)})"
    if isinstance(way, Either):
        return f"v.run_key IN ({' UNION ALL '.join([_keys(writer, query, one) for one in way.ways])})"
    if isinstance(way, Started):
        bounds = f"BETWEEN {writer.bind(_negated(way.latest))} AND {writer.bind(_negated(way.earliest))}"
        return f"v.list IN ({_bound(writer, query.lists)}) AND v.start_key {bounds}"
    listed = f"v.list IN ({_bound(writer, query.lists)})"
    if way.low is not None:
        test = f"{listed} AND v.workflow_id >= {writer.bind(way.low)}"
        return test if way.high is None else f"{test} AND v.workflow_id < {writer.bind(way.high)}"
    test = f"{listed} AND v.workflow_id IN ({_bound(writer, way.ids)})"
    if not way.attributes:
        return test
    by_id = f"SELECT v.run_key FROM visibility AS v WHERE {test}"
    by_entry = [
        f"SELECT p.run_key FROM visibility_entry AS p WHERE p.attribute = {writer.bind(attribute)}"
        f" AND p.value = {writer.bind(value)}"
        for attribute, value in way.attributes
    ]
    return f"v.run_key IN ({' UNION ALL '.join([by_id, *by_entry])})"


def _keys(writer: Writer, query: Query, way: Way) -> str:
    if not isinstance(way, Arms):
        return f"SELECT v.run_key FROM visibility AS v WHERE {_candidates(writer, query, way)}"
    ranges = [f"SELECT p.run_key FROM visibility_entry AS p WHERE {_at(writer, arm)}" for arm in way.arms]
    return " UNION ALL ".join(ranges) if ranges else "SELECT NULL WHERE 0"


def _spanned(writer: Writer, way: Span) -> str:
    text = f"p.attribute IN ({_bound(writer, way.attributes)})"
    if way.low is not None:
        text += f" AND p.value >= {writer.bind(way.low)}"
    if way.high is not None:
        text += f" AND p.value < {writer.bind(way.high)}"
    return text


def _bound(writer: Writer, values: object) -> str:
    return ", ".join([writer.bind(value) for value in values])  # type: ignore[attr-defined]
