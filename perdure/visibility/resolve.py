"""Gives a parsed filter its meaning (semantics 15.3): names to attributes, values to their types, or an error text.

`compile_list` and `compile_count` are what the frontend calls. The result carries everything a store needs; whatever a
store could not execute is refused here with InvalidArgument and Temporal's words (server 1.32, unified converter).
It reads no record and writes no SQL.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, final

from perdure.api import enums
from perdure.api.names import short_name
from perdure.errors import InvalidArgument
from perdure.visibility import attributes, syntax
from perdure.visibility.attributes import (
    BOOL,
    DATETIME,
    DIVISION,
    DOUBLE,
    INT,
    KEYWORD,
    KEYWORD_LIST,
    RESERVED_PREFIX,
    TEXT,
    TYPE_NAMES,
)
from perdure.visibility.conditions import (
    And,
    Attribute,
    Compare,
    Condition,
    Contains,
    Filter,
    In,
    IsNull,
    Mentions,
    Or,
    Scalar,
    StartsWith,
)
from perdure.visibility.query import invalid_expression, not_supported, parse
from perdure.visibility.times import parse_duration, parse_rfc3339

__all__ = ["STATUS_NAMES", "Condition", "Filter", "compile_count", "compile_list", "resolve"]

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_EQUALITY: Final = frozenset({"=", "!="})
_MEMBERSHIP: Final = frozenset({"in", "not in"})
_ORDER: Final = frozenset({"<", ">", "<=", ">="})
_OPERATORS: Final = {
    TEXT: _EQUALITY,
    KEYWORD_LIST: _EQUALITY | _MEMBERSHIP,
    KEYWORD: _EQUALITY | _MEMBERSHIP | _ORDER | {"starts_with", "not starts_with"},
    INT: _EQUALITY | _MEMBERSHIP | _ORDER,
    DOUBLE: _EQUALITY | _MEMBERSHIP | _ORDER,
    BOOL: _EQUALITY | _MEMBERSHIP | _ORDER,
    DATETIME: _EQUALITY | _MEMBERSHIP | _ORDER,
}
_RANGES: Final = frozenset({KEYWORD, INT, DOUBLE, DATETIME})
_OPPOSITE: Final = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_GROUPABLE: Final = frozenset({"ExecutionStatus", DIVISION})

STATUS_NAMES: Final[dict[int, str]] = {
    number: short_name(enums.WorkflowExecutionStatus, number) for number in enums.WorkflowExecutionStatus.values()
}
"""Statuses by number as filters and count groups name them: `Running`, `TimedOut`."""

_STATUS_NUMBERS: Final = {name: number for number, name in STATUS_NAMES.items()}
_STATUS_NUMBERS.update(enums.WorkflowExecutionStatus.items())


def compile_list(text: str, custom: Mapping[str, int], division: str | None = None) -> Condition:
    """The condition of a list, scan or batch filter over a namespace's custom attributes (name to type number).

    Unless the filter names TemporalNamespaceDivision it is confined to `division`, or to no division for None.
    A GROUP BY clause that a count could have is passed over. Raises InvalidArgument.
    """
    return resolve(parse(text), custom, division).where


def compile_count(text: str, custom: Mapping[str, int], division: str | None = None) -> Filter:
    """As `compile_list`, for counts: GROUP BY one of ExecutionStatus and TemporalNamespaceDivision is allowed."""
    return resolve(parse(text), custom, division)


def resolve(query: syntax.Query, custom: Mapping[str, int], division: str | None = None) -> Filter:
    """Resolve a parsed filter; see `compile_list` for `custom` and `division`."""
    resolver = _Resolver(custom)
    parts: list[Condition] = []
    if query.where is not None:
        parts.append(resolver.condition(query.where, False))
    group_by = None
    if query.group_by is not None:
        column = resolver.attribute(query.group_by)
        if column.name not in _GROUPABLE:
            raise not_supported(f"'GROUP BY' clause is not supported for search attribute {query.group_by}")
        group_by = column.name
    if not resolver.names_division:
        own = Attribute(DIVISION, KEYWORD, False)
        parts.append(IsNull(own, False) if division is None else Compare(own, "=", division))
    return Filter(parts[0] if len(parts) == 1 else And(tuple(parts)), group_by)


@final
class _Column:
    """A resolved attribute and the name the caller used for it."""

    __slots__ = ("alias", "attribute")

    def __init__(self, alias: str, attribute: Attribute) -> None:
        self.alias: Final = alias
        self.attribute: Final = attribute

    def described(self) -> str:
        return f"search attribute {self.alias} of type {TYPE_NAMES[self.attribute.kind]}"


@final
class _Resolver:
    __slots__ = ("_custom", "names_division")

    def __init__(self, custom: Mapping[str, int]) -> None:
        self._custom: Final = custom
        self.names_division = False

    def attribute(self, name: str) -> Attribute:
        """Custom names first, then system and predefined ones, ScheduleId, and the prefix added or taken away."""
        found = self._custom_attribute(name) or _built_in(name)
        if found is None and name.removeprefix(RESERVED_PREFIX) == "ScheduleId":
            found = _built_in("WorkflowId")
        if found is None and name.startswith(RESERVED_PREFIX):
            found = _built_in(name.removeprefix(RESERVED_PREFIX))
        if found is None:
            found = _built_in(RESERVED_PREFIX + name)
        if found is None:
            raise InvalidArgument(f"invalid query: invalid search attribute: {name}")
        if found.name == DIVISION:
            self.names_division = True
        return found

    def _custom_attribute(self, name: str) -> Attribute | None:
        kind = self._custom.get(name)
        if kind is None or name in attributes.SYSTEM or name in attributes.PREDEFINED:
            return None
        return Attribute(name, kind, False)

    def condition(self, node: syntax.Node, negated: bool) -> Condition:
        """The meaning of a node, or of its negation."""
        if isinstance(node, syntax.Paren):
            return self.condition(node.part, negated)
        if isinstance(node, syntax.Not):
            return self.condition(node.part, not negated)
        if isinstance(node, syntax.And):
            parts = tuple([self.condition(part, negated) for part in node.parts])
            return Or(parts) if negated else And(parts)
        if isinstance(node, syntax.Or):
            parts = tuple([self.condition(part, negated) for part in node.parts])
            return And(parts) if negated else Or(parts)
        if isinstance(node, syntax.Comparison):
            return self._comparison(node, negated)
        if isinstance(node, syntax.Between):
            return self._between(node, negated)
        if isinstance(node, syntax.Is):
            column = self._column(node.left)
            if node.suffix != "null":
                raise invalid_expression("'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'")
            return IsNull(column.attribute, node.negated != negated)
        if isinstance(node, syntax.Column):
            raise invalid_expression("incomplete expression")
        if node.kind == "*sqlparser.FuncExpr":
            raise not_supported("function expression")
        raise not_supported(f"expression of type {node.kind}")

    def _column(self, node: syntax.Node) -> _Column:
        if not isinstance(node, syntax.Column):
            raise invalid_expression(f"must be a column name but was {node.kind}")
        return _Column(node.name, self.attribute(node.name))

    def _comparison(self, node: syntax.Comparison, negated: bool) -> Condition:
        column = self._column(node.left)
        listed = node.operator in _MEMBERSHIP
        if listed and isinstance(node.right, syntax.Tuple):
            values = [_value(item, column) for item in node.right.items]
        else:
            values = [_value(node.right, column)]
        kind = column.attribute.kind
        if node.operator not in _OPERATORS[kind]:
            raise not_supported(
                f"operator '{node.operator.upper()}' not supported for {TYPE_NAMES[kind]} type"
                f" search attribute '{column.alias}'"
            )
        if kind == TEXT:
            return _mentions(column, values[0], (node.operator == "!=") != negated)
        if kind == KEYWORD_LIST:
            refuses = (node.operator in ("!=", "not in")) != negated
            return Contains(column.attribute, tuple([str(value) for value in values]), refuses)
        if node.operator in ("starts_with", "not starts_with"):
            if not isinstance(values[0], str):
                raise invalid_expression(
                    f'right-hand side of "{node.operator}" operator must be a literal string'
                    f" (got: {STATUS_NAMES.get(int(values[0]), str(values[0]))})"
                )
            return StartsWith(column.attribute, values[0], (node.operator == "not starts_with") != negated)
        if listed:
            return _in(column.attribute, values, (node.operator == "not in") != negated)
        return _compare(column.attribute, _OPPOSITE[node.operator] if negated else node.operator, values[0])

    def _between(self, node: syntax.Between, negated: bool) -> Condition:
        column = self._column(node.left)
        kind = column.attribute.kind
        if kind not in _RANGES:
            raise invalid_expression(
                f"cannot do range condition on search attribute '{column.alias}' of type {TYPE_NAMES[kind]}"
            )
        low = _value(node.low, column)
        high = _value(node.high, column)
        if node.negated != negated:
            return Or((_compare(column.attribute, "<", low), _compare(column.attribute, ">", high)))
        return And((_compare(column.attribute, ">=", low), _compare(column.attribute, "<=", high)))


def _built_in(name: str) -> Attribute | None:
    kind = attributes.SYSTEM.get(name)
    if kind is not None:
        return Attribute(name, kind, True)
    kind = attributes.PREDEFINED.get(name)
    return None if kind is None else Attribute(name, kind, False)


def _mentions(column: _Column, value: Scalar, negated: bool) -> Condition:
    tokens = [token for token in str(value).split(" ") if token]
    if not tokens:
        raise invalid_expression(f"no tokens found filtering on Text type search attribute {column.alias}")
    phrases = [attributes.words(token) for token in tokens]
    return Mentions(column.attribute, tuple([phrase for phrase in phrases if phrase]), negated)


def _in(attribute: Attribute, values: list[Scalar], negated: bool) -> Condition:
    """IN over values of the attribute's own type: what an Int can never be is in no list."""
    if attribute.kind == INT:
        values = [int(value) for value in values if isinstance(value, int) or _is_int64(value)]
    elif attribute.kind == DOUBLE:
        values = [float(value) for value in values]
    return In(attribute, tuple(values), negated)


def _compare(attribute: Attribute, operator: str, value: Scalar) -> Condition:
    if attribute.kind == DOUBLE:
        return Compare(attribute, operator, float(value))
    if attribute.kind == INT and isinstance(value, float):
        return _compare_int(attribute, operator, value)
    return Compare(attribute, operator, value)


def _is_int64(value: Scalar) -> bool:
    return isinstance(value, float) and value.is_integer() and _INT64_MIN <= value <= _INT64_MAX


def _compare_int(attribute: Attribute, operator: str, value: float) -> Condition:
    """An Int against a fraction, as a comparison of integers; against what no int64 reaches, as a constant."""
    if operator in ("=", "!="):
        if _is_int64(value) and int(value) <= _INT64_MAX:
            return Compare(attribute, operator, int(value))
        return Or(()) if operator == "=" else IsNull(attribute, True)
    bound = math.ceil(value) if operator in ("<", ">=") else math.floor(value)
    if _INT64_MIN <= bound <= _INT64_MAX:
        return Compare(attribute, operator, bound)
    always = (bound > 0) == (operator in ("<", "<="))
    return IsNull(attribute, True) if always else Or(())


def _value(node: syntax.Node, column: _Column) -> Scalar:
    """A literal as the type of its column wants it."""
    if isinstance(node, syntax.Text):
        return _typed(node.value, column)
    if isinstance(node, syntax.Number):
        return _typed(_number(node.digits), column)
    if isinstance(node, syntax.Bool):
        if column.attribute.kind != BOOL:
            raise _wrong_type(node.value, column)
        return node.value
    if isinstance(node, syntax.Column):
        raise not_supported(
            "column name on the right side of comparison expression (did you forget to quote "
            f"{_go_quoted(node.quoted)}?)"
        )
    if node.kind == "*sqlparser.GroupConcatExpr":
        raise not_supported("'group_concat'")
    if node.kind == "*sqlparser.FuncExpr":
        raise not_supported("nested func")
    raise invalid_expression(f"unexpected value type {node.kind}")


def _number(digits: str) -> int | float:
    """An int64, or else a float64; bit, hex and bind literals are no numbers here."""
    unsigned = digits.removeprefix("-")
    if unsigned.isdigit() and len(unsigned) <= 400:
        whole = int(digits)
        if _INT64_MIN <= whole <= _INT64_MAX:
            return whole
    try:
        number = float(digits)
    except ValueError:
        number = math.inf
    if not math.isfinite(number) or unsigned[:1] not in tuple(".0123456789"):
        raise invalid_expression(f'unable to parse value "{digits}"')
    return number


def _typed(value: str | int | float, column: _Column) -> Scalar:
    attribute = column.attribute
    if isinstance(value, str) and "\0" in value:
        raise invalid_expression(f"NUL character in value of {column.described()}")
    if attribute.name == "ExecutionStatus":
        return _status(value)
    if attribute.name == "ExecutionDuration":
        return _duration(value)
    kind = attribute.kind
    if kind == DATETIME and not isinstance(value, float):
        moment = value if isinstance(value, int) else parse_rfc3339(value)
        if moment is None:
            raise invalid_expression(f"unable to parse datetime '{value}'")
        return moment
    if kind in (KEYWORD, KEYWORD_LIST, TEXT):
        fits = isinstance(value, str)
    else:
        fits = kind in (INT, DOUBLE) and not isinstance(value, str)
    if not fits:
        raise _wrong_type(value, column)
    return value


def _status(value: str | int | float) -> int:
    if isinstance(value, float):
        raise invalid_expression("unexpected value type float64 for search attribute ExecutionStatus")
    if isinstance(value, int):
        if value not in STATUS_NAMES:
            raise invalid_expression(f"invalid ExecutionStatus value {value}")
        return value
    number = _STATUS_NUMBERS.get(value)
    if number is None:
        raise invalid_expression(f"invalid ExecutionStatus value '{value}'")
    return number


def _duration(value: str | int | float) -> int:
    if isinstance(value, float):
        raise invalid_expression("unexpected value type float64 for search attribute ExecutionDuration")
    if isinstance(value, int):
        return value
    nanoseconds = parse_duration(value)
    if nanoseconds is None:
        raise invalid_expression(f"invalid duration value for search attribute ExecutionDuration: {value}")
    return nanoseconds


def _wrong_type(value: Scalar, column: _Column) -> Exception:
    if isinstance(value, bool):
        shown, name = ("true" if value else "false"), "bool"
    elif isinstance(value, str):
        shown, name = _go_quoted(value), "string"
    elif isinstance(value, int):
        shown, name = str(value), "int64"
    else:
        shown, name = attributes.go_text(value), "float64"
    return invalid_expression(f"invalid value type for {column.described()}: {shown} (type: {name})")


def _go_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
