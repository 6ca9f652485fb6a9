"""A workflow rule, compiled: plain values (server_inventory 4.26).

`cluster/rules.py` makes them, `rules.py` asks them. They stand apart so that a namespace's view can hold rules without
knowing what they are asked of.
"""

from __future__ import annotations

from typing import final

Value = str | int
"""A text, or a number or time (ns)."""


@final
class All:
    """Every part holds; what follows a part that does not is not asked."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Clause, ...]) -> None:
        self.parts = parts


@final
class Any:
    """Some part holds; what follows it is not asked."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Clause, ...]) -> None:
        self.parts = parts


@final
class Compare:
    """`field operator value`; the operator is one of `rules.OPERATORS`."""

    __slots__ = ("field", "operator", "value")

    def __init__(self, field: str, operator: str, value: Value) -> None:
        self.field = field
        self.operator = operator
        self.value = value


@final
class Within:
    """`field BETWEEN low AND high`, ends included, or not."""

    __slots__ = ("field", "high", "low", "negated")

    def __init__(self, field: str, low: int, high: int, negated: bool) -> None:
        self.field = field
        self.low = low
        self.high = high
        self.negated = negated


Clause = All | Any | Compare | Within


@final
class Rule:
    """One rule. `where` says of which executions' activities, None for all; `predicate` of which activities.

    `expires` is ns since the epoch, 0 for never; `identity` and `description` are its maker's.
    """

    __slots__ = ("description", "expires", "id", "identity", "pauses", "predicate", "where")

    def __init__(
        self,
        id: str,
        where: Clause | None,
        predicate: Clause,
        pauses: bool,
        expires: int = 0,
        identity: str = "",
        description: str = "",
    ) -> None:
        self.id = id
        self.where = where
        self.predicate = predicate
        self.pauses = pauses
        self.expires = expires
        self.identity = identity
        self.description = description
