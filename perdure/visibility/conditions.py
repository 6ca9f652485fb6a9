"""The typed tree of a filter: names resolved, values converted, negations pushed into the leaves.

Both consumers (`evaluate`, `sql`) read this and nothing earlier, so that they cannot disagree about what a filter
means. There is no Not: a leaf on an attribute that a record does not have does not hold, plain or negated (SQL's
NULL), except where its docstring says otherwise; so two truth values are enough. Plain values, no behaviour.
"""

from __future__ import annotations

from typing import Final, final

Scalar = str | int | float | bool
"""What an attribute is compared with: times and durations in int nanoseconds, statuses as their numbers."""


@final
class Attribute:
    """An attribute by its resolved name. `system` ones are fields of a record, others are among its `values()`."""

    __slots__ = ("kind", "name", "system")

    def __init__(self, name: str, kind: int, system: bool) -> None:
        self.name: Final = name
        self.kind: Final = kind
        self.system: Final = system


class Condition:
    """Any node of the tree."""

    __slots__ = ()


@final
class And(Condition):
    """Every part holds; with no parts it always holds."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Condition, ...]) -> None:
        self.parts: Final = parts


@final
class Or(Condition):
    """Some part holds; with no parts it never does."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Condition, ...]) -> None:
        self.parts: Final = parts


@final
class Compare(Condition):
    """`attribute operator value`, operator one of = != < <= > >=. The value has the attribute's own type."""

    __slots__ = ("attribute", "operator", "value")

    def __init__(self, attribute: Attribute, operator: str, value: Scalar) -> None:
        self.attribute: Final = attribute
        self.operator: Final = operator
        self.value: Final = value


@final
class In(Condition):
    """The attribute is set and is (or, negated, is not) one of the values."""

    __slots__ = ("attribute", "negated", "values")

    def __init__(self, attribute: Attribute, values: tuple[Scalar, ...], negated: bool) -> None:
        self.attribute: Final = attribute
        self.values: Final = values
        self.negated: Final = negated


@final
class IsNull(Condition):
    """The attribute is not set, or, negated, is."""

    __slots__ = ("attribute", "negated")

    def __init__(self, attribute: Attribute, negated: bool) -> None:
        self.attribute: Final = attribute
        self.negated: Final = negated


@final
class StartsWith(Condition):
    """The Keyword is set and begins (or, negated, does not begin) with the prefix; case counts."""

    __slots__ = ("attribute", "negated", "prefix")

    def __init__(self, attribute: Attribute, prefix: str, negated: bool) -> None:
        self.attribute: Final = attribute
        self.prefix: Final = prefix
        self.negated: Final = negated


@final
class Contains(Condition):
    """The KeywordList has one of the values; negated it has none, which is also true where it is not set."""

    __slots__ = ("attribute", "negated", "values")

    def __init__(self, attribute: Attribute, values: tuple[str, ...], negated: bool) -> None:
        self.attribute: Final = attribute
        self.values: Final = values
        self.negated: Final = negated


@final
class Mentions(Condition):
    """The Text contains one of the phrases (`attributes.words`); negated it contains none or is not set."""

    __slots__ = ("attribute", "negated", "phrases")

    def __init__(self, attribute: Attribute, phrases: tuple[str, ...], negated: bool) -> None:
        self.attribute: Final = attribute
        self.phrases: Final = phrases
        self.negated: Final = negated


@final
class Filter:
    """A resolved query. `group_by` is a resolved name, None without the clause."""

    __slots__ = ("group_by", "where")

    def __init__(self, where: Condition, group_by: str | None) -> None:
        self.where: Final = where
        self.group_by: Final = group_by
