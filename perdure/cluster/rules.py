"""From a workflow rule as its maker wrote it to one that machines can ask (server_inventory 4.26).

Conditions have the syntax of list filters over a few fields of their own. What a rule cannot say is found out here,
when it is made, so that no rule is stored that could never hold.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, final

from perdure.api import rules as messages
from perdure.api.times import timestamp_ns
from perdure.errors import InvalidArgument
from perdure.machines.workflow import rules
from perdure.machines.workflow.rule import All, Any, Clause, Compare, Rule, Within
from perdure.visibility import syntax
from perdure.visibility.query import parse
from perdure.visibility.times import parse_rfc3339

log = logging.getLogger(__name__)

_EQUALITIES: Final = ("=", "!=")
_PREFIXES: Final = ("starts_with", "not starts_with")
_ORDERS: Final = (">", ">=", "<", "<=")


@final
class _Fields:
    """Which fields a condition may name, by what they hold."""

    __slots__ = ("numbers", "texts", "times", "what")

    def __init__(self, what: str, texts: frozenset[str], numbers: frozenset[str], times: frozenset[str]) -> None:
        self.what = what
        self.texts = texts
        self.numbers = numbers
        self.times = times


_ACTIVITY: Final = _Fields("activity search field", rules.TEXTS, rules.NUMBERS, rules.TIMES)
_EXECUTION: Final = _Fields("search attribute name", rules.EXECUTION_TEXTS, frozenset(), rules.EXECUTION_TIMES)


def compiled(rule: messages.WorkflowRule) -> Rule:
    """The rule for machines. Raises InvalidArgument for conditions that make no sense."""
    spec = rule.spec
    if not spec.HasField("activity_start"):
        raise InvalidArgument("Workflow Rule trigger is not set.")
    where = _condition(spec.visibility_query, _EXECUTION) if spec.visibility_query else None
    return Rule(
        spec.id,
        where,
        _condition(spec.activity_start.predicate, _ACTIVITY),
        any(action.HasField("activity_pause") for action in spec.actions),
        timestamp_ns(spec.expiration_time) if spec.HasField("expiration_time") else 0,
        rule.created_by_identity,
        rule.description,
    )


def compiled_all(bodies: Mapping[str, bytes]) -> tuple[Rule, ...]:
    """A namespace's rules, by id.

    All of them were compiled once before they were stored; one that this version cannot read holds for nothing, and
    the log says so, since a namespace must not be lost to it.
    """
    found = []
    for rule_id, body in sorted(bodies.items()):
        try:
            found.append(compiled(messages.WorkflowRule.FromString(body)))
        except InvalidArgument as error:
            log.error("workflow rule %s is left out: %s", rule_id, error)
    return tuple(found)


def _condition(text: str, fields: _Fields) -> Clause:
    query = parse(text)
    if query.where is None:
        raise InvalidArgument(f"a condition on an {fields.what} is missing")
    if query.group_by is not None:
        raise InvalidArgument("operation is not supported: 'group by' clause")
    return _clause(query.where, fields)


def _clause(node: syntax.Node, fields: _Fields) -> Clause:
    if isinstance(node, syntax.And):
        return All(tuple([_clause(part, fields) for part in node.parts]))
    if isinstance(node, syntax.Or):
        return Any(tuple([_clause(part, fields) for part in node.parts]))
    if isinstance(node, syntax.Paren):
        return _clause(node.part, fields)
    if isinstance(node, syntax.Comparison):
        return _comparison(node, fields)
    if isinstance(node, syntax.Between):
        name = _name(node.left, fields)
        if name not in fields.times:
            raise InvalidArgument(f"unknown or unsupported {fields.what}: {name}")
        return Within(name, _time(node.low), _time(node.high), node.negated)
    raise InvalidArgument(f"operation is not supported: expression of type {node.kind}")


def _comparison(node: syntax.Comparison, fields: _Fields) -> Clause:
    name = _name(node.left, fields)
    operator = node.operator
    if name in fields.texts:
        _check_operator(name, operator, (*_EQUALITIES, *_PREFIXES))
        if not isinstance(node.right, syntax.Text) or not node.right.value:
            raise InvalidArgument(f"{name} cannot be empty")
        return Compare(name, operator, node.right.value)
    _check_operator(name, operator, (*_EQUALITIES, *_ORDERS))
    return Compare(name, operator, _time(node.right) if name in fields.times else _number(node.right))


def _check_operator(name: str, operator: str, allowed: tuple[str, ...]) -> None:
    if operator not in allowed:
        raise InvalidArgument(f"invalid expression: operation {operator} is not supported for {name} filter")


def _name(node: syntax.Node, fields: _Fields) -> str:
    if not isinstance(node, syntax.Column):
        raise InvalidArgument(f"invalid filter name: {node.kind}")
    if node.name not in fields.texts | fields.numbers | fields.times:
        raise InvalidArgument(f"unknown or unsupported {fields.what}: {node.name}")
    return node.name


def _number(node: syntax.Node) -> int:
    if isinstance(node, syntax.Number):
        try:
            return int(node.digits)
        except ValueError:
            pass
    raise InvalidArgument("invalid value: a whole number is wanted")


def _time(node: syntax.Node) -> int:
    found = parse_rfc3339(node.value) if isinstance(node, syntax.Text) else None
    if found is None:
        raise InvalidArgument("invalid value: a time in RFC3339 format is wanted")
    return found
