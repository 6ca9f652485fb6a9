"""Records and filters for the tests of visibility: a few attributes of every type, and strategies over them.

Values come from small pools on purpose, so that random filters and random records meet.
"""

from __future__ import annotations

import uuid
from typing import Final

from hypothesis import strategies as st

from perdure.api import common
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord

NAMESPACE: Final = "6f1c1c5e-0000-4000-8000-000000000001"
CUSTOM: Final = {
    "CK": attributes.KEYWORD,
    "CT": attributes.TEXT,
    "CI": attributes.INT,
    "CD": attributes.DOUBLE,
    "CB": attributes.BOOL,
    "CDT": attributes.DATETIME,
    "CL": attributes.KEYWORD_LIST,
    "odd \"name' $.%": attributes.KEYWORD,
}
WORDS: Final = ["a", "b", "ab", "aß", "A", "", "%", "_", "a'b", 'a"b', "\U0010ffff", "\ud7ff", "x y", "Big-World", "é"]
MOMENTS: Final = ["2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2024-01-01T00:00:00.000000001Z"]
INTS: Final = [0, 1, -1, 5, 2**53 + 1, 2**63 - 1, -(2**63) + 1]
DOUBLES: Final = [0.0, 0.1, -1.5, 5.0, 1e300, 0.30000000000000004, 5e-324]
TIMES: Final = [0, 1, 1_704_067_200_000_000_000, 1_704_067_200_000_000_001]
RUNS: Final = [str(uuid.UUID(int=(7 << 76) | (2 << 62) | number)) for number in range(12)]


def search_attributes(values: dict[str, attributes.Value], custom: dict[str, int] | None = None) -> bytes:
    """Serialized `SearchAttributes` with typed payloads."""
    types = CUSTOM if custom is None else custom
    fields = {}
    for name, value in values.items():
        kind = attributes.type_of(name, types)
        assert kind is not None
        fields[name] = attributes.encode(value, kind)
    return common.SearchAttributes(indexed_fields=fields).SerializeToString(deterministic=True)


def record(run_id: str = RUNS[0], **changes: object) -> VisibilityRecord:
    """An open run of `NAMESPACE`, with the changes asked for."""
    facts: dict[str, object] = {
        "namespace_id": NAMESPACE,
        "run_id": run_id,
        "workflow_id": "wf",
        "workflow_type": "T",
        "status": 1,
        "start_time": 10,
        "execution_time": 10,
        "task_queue": "tq",
    }
    facts.update(changes)
    return VisibilityRecord(**facts)  # type: ignore[arg-type]


_optional: dict[str, st.SearchStrategy[attributes.Value]] = {
    "CK": st.sampled_from(WORDS),
    "CT": st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    "CI": st.sampled_from(INTS),
    "CD": st.sampled_from(DOUBLES),
    "CB": st.booleans(),
    "CDT": st.sampled_from(MOMENTS),
    "CL": st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    "odd \"name' $.%": st.sampled_from(WORDS),
    "TemporalNamespaceDivision": st.sampled_from(["d1", "d2"]),
    "TemporalScheduledById": st.sampled_from(WORDS),
    "BuildIds": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
}
_values: st.SearchStrategy[dict[str, attributes.Value]] = st.fixed_dictionaries({}, optional=_optional)


@st.composite
def records(draw: st.DrawFn, run_id: str) -> VisibilityRecord:
    """A record of the given run."""
    closed = draw(st.booleans())
    start = draw(st.sampled_from(TIMES))
    return record(
        run_id,
        workflow_id=draw(st.sampled_from(["wf", "wf2", *WORDS])),
        workflow_type=draw(st.sampled_from(["T", "U"])),
        status=draw(st.sampled_from([2, 3, 4, 5, 6, 7])) if closed else draw(st.sampled_from([1, 8])),
        start_time=start,
        execution_time=draw(st.sampled_from(TIMES)),
        close_time=draw(st.sampled_from([time for time in TIMES if time >= start])) if closed else None,
        history_length=draw(st.integers(0, 6)) if closed else 0,
        execution_duration=draw(st.sampled_from([0, 3_600_000_000_000])) if closed else 0,
        parent_workflow_id=draw(st.sampled_from(["", "wf"])),
        root_workflow_id=draw(st.sampled_from(["wf", "wf2"])),
        memo=draw(st.sampled_from([b"", b"\x00\xff"])),
        search_attributes=search_attributes(draw(_values)),
        version=draw(st.integers(1, 3)),
    )


def many_records() -> st.SearchStrategy[list[VisibilityRecord]]:
    """Up to a dozen records of different runs."""
    return st.integers(1, len(RUNS)).flatmap(lambda size: st.tuples(*[records(run) for run in RUNS[:size]]).map(list))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


_text = st.sampled_from(WORDS).map(_quoted)
_number = st.sampled_from([*INTS, *DOUBLES, 4.5, -0.5, 1e19, -1e19, 1e30]).map(repr)
_time = st.one_of(st.sampled_from(MOMENTS).map(_quoted), st.sampled_from(TIMES).map(str))
_status = st.sampled_from(["'Running'", "'Completed'", "'WORKFLOW_EXECUTION_STATUS_FAILED'", "1", "7"])
_duration = st.sampled_from(["'1h'", "'01:00:00'", "0", "'1.5d'"])
_LITERALS: Final = {
    "CK": _text,
    "CI": _number,
    "CD": _number,
    "CDT": _time,
    "`odd \"name' $.%`": _text,
    "WorkflowId": st.one_of(_text, st.just("'wf'")),
    "RunId": st.sampled_from(RUNS[:3]).map(_quoted),
    "WorkflowType": st.sampled_from(["'T'", "'V'"]),
    "StartTime": _time,
    "ExecutionTime": _time,
    "CloseTime": _time,
    "HistoryLength": st.integers(0, 6).map(str),
    "ExecutionDuration": _duration,
    "ParentWorkflowId": st.sampled_from(["'wf'", "''"]),
    "RootWorkflowId": st.sampled_from(["'wf'", "'wf2'"]),
    "TemporalNamespaceDivision": st.sampled_from(["'d1'", "'d3'"]),
    "ScheduledById": _text,
    "ExecutionStatus": _status,
}
_KEYWORDS: Final = ["CK", "`odd \"name' $.%`", "WorkflowId", "WorkflowType", "ScheduledById", "RunId"]


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """One condition, of any attribute, that resolves."""
    shape = draw(st.sampled_from(["compare", "in", "between", "null", "prefix", "bool", "list", "text"]))
    word = draw(st.sampled_from(["", "NOT "]))
    if shape == "bool":
        return f"CB {draw(st.sampled_from(['=', '!=', '<', '>=']))} {draw(st.sampled_from(['true', 'FALSE']))}"
    if shape == "text":
        tokens = draw(st.sampled_from(["a", "A b", "big-world", "world", "-", "ab é", "x"]))
        return f"CT {draw(st.sampled_from(['=', '!=']))} '{tokens}'"
    if shape == "list":
        name = draw(st.sampled_from(["CL", "BuildIds"]))
        if draw(st.booleans()):
            return f"{name} {draw(st.sampled_from(['=', '!=']))} {draw(_text)}"
        return f"{name} {word}IN ({draw(_text)}, {draw(_text)})"
    if shape == "null":
        name = draw(st.sampled_from([*_LITERALS, "CL", "CT", "CB"]))
        return f"{name} IS {word}NULL"
    if shape == "prefix":
        return f"{draw(st.sampled_from(_KEYWORDS))} {word}STARTS_WITH {draw(_text)}"
    name = draw(st.sampled_from(sorted(_LITERALS)))
    literal = _LITERALS[name]
    if shape == "in":
        return f"{name} {word}IN ({', '.join(draw(st.lists(literal, min_size=1, max_size=3)))})"
    if shape == "between":
        return f"{name} {word}BETWEEN {draw(literal)} AND {draw(literal)}"
    return f"{name} {draw(st.sampled_from(['=', '!=', '<>', '<', '<=', '>', '>=']))} {draw(literal)}"


def filters() -> st.SearchStrategy[str]:
    """A filter that resolves over `CUSTOM`: conditions under AND, OR, NOT and parentheses."""
    return st.recursive(
        conditions(),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["AND", "OR", "and", "||"]), inner).map(" ".join),
            inner.map(lambda text: f"NOT ({text})"),
            inner.map(lambda text: f"({text})"),
            inner.map(lambda text: f"NOT {text}"),
        ),
        max_leaves=5,
    )
