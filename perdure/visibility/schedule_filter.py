"""Filters of schedules (semantics 13.9): those of executions, but for attributes that mean nothing to a schedule.

Schedules are records of a kind of their own, so nothing has to be added to what a user filters by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from perdure.errors import InvalidArgument
from perdure.visibility import attributes, syntax
from perdure.visibility.conditions import Filter
from perdure.visibility.query import parse
from perdure.visibility.resolve import resolve

ALLOWED = "TemporalSchedulePaused"
"""The one predefined attribute that a filter of schedules may name."""


def compile_schedules(text: str, custom: Mapping[str, int]) -> Filter:
    """The meaning of a filter over a namespace's custom attributes (name to type number). Raises InvalidArgument."""
    query = parse(text)
    found = resolve(query, custom)
    names = list(_columns(query.where)) if query.where is not None else []
    for name in [*names, *([query.group_by] if query.group_by is not None else [])]:
        if _reserved(name) and name != ALLOWED:
            raise InvalidArgument(f'invalid query filter for schedules: cannot filter on "{name}"')
    return found


def _reserved(name: str) -> bool:
    return (
        name in attributes.SYSTEM
        or name in attributes.PREDEFINED
        or name in attributes.RESERVED
        or name.startswith(attributes.RESERVED_PREFIX)
    )


def _columns(node: syntax.Node) -> Iterator[str]:
    if isinstance(node, syntax.And | syntax.Or):
        for part in node.parts:
            yield from _columns(part)
    elif isinstance(node, syntax.Not | syntax.Paren):
        yield from _columns(node.part)
    elif isinstance(node, syntax.Comparison | syntax.Between | syntax.Is):
        yield from _columns(node.left)
    elif isinstance(node, syntax.Column):
        yield node.name
