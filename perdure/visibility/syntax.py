"""The nodes that a list filter parses to (semantics 15.3), before any name or type is known.

They are kept apart from the parser so that `resolve.py` can read a tree without importing a grammar. A node holds
what the text said and nothing else: no types, no defaults, no folding beyond the sign of a number. Pure and
compilable: plain final classes, nothing here may import a message or do I/O.
"""

from __future__ import annotations

from typing import Final, final


class Node:
    """Any part of an expression; `kind` is the name Temporal's error texts give to it."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        raise AssertionError("a bare Node never enters a tree")


@final
class And(Node):
    """Every part holds; a chain of ANDs is one node, so a long one stays shallow."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Node, ...]) -> None:
        self.parts: Final = parts

    @property
    def kind(self) -> str:
        return "*sqlparser.AndExpr"


@final
class Or(Node):
    """Some part holds; a chain of ORs is one node."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Node, ...]) -> None:
        self.parts: Final = parts

    @property
    def kind(self) -> str:
        return "*sqlparser.OrExpr"


@final
class Not(Node):
    """The negation of `part`."""

    __slots__ = ("part",)

    def __init__(self, part: Node) -> None:
        self.part: Final = part

    @property
    def kind(self) -> str:
        return "*sqlparser.NotExpr"


@final
class Paren(Node):
    """One expression in parentheses: transparent around a condition, refused around a value."""

    __slots__ = ("part",)

    def __init__(self, part: Node) -> None:
        self.part: Final = part

    @property
    def kind(self) -> str:
        return "*sqlparser.ParenExpr"


@final
class Comparison(Node):
    """`left operator right`; the operator is lower case, negated forms are spelled `not in` and so on."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, left: Node, operator: str, right: Node) -> None:
        self.left: Final = left
        self.operator: Final = operator
        self.right: Final = right

    @property
    def kind(self) -> str:
        return "*sqlparser.ComparisonExpr"


@final
class Between(Node):
    """`left [NOT] BETWEEN low AND high`, both ends included."""

    __slots__ = ("high", "left", "low", "negated")

    def __init__(self, left: Node, low: Node, high: Node, negated: bool) -> None:
        self.left: Final = left
        self.low: Final = low
        self.high: Final = high
        self.negated: Final = negated

    @property
    def kind(self) -> str:
        return "*sqlparser.RangeCond"


@final
class Is(Node):
    """`left IS [NOT] NULL|TRUE|FALSE`; `suffix` is `null`, `true` or `false`."""

    __slots__ = ("left", "negated", "suffix")

    def __init__(self, left: Node, suffix: str, negated: bool) -> None:
        self.left: Final = left
        self.suffix: Final = suffix
        self.negated: Final = negated

    @property
    def kind(self) -> str:
        return "*sqlparser.IsExpr"


@final
class Column(Node):
    """A name, without its backquotes; `quoted` is how Temporal prints it back in an error."""

    __slots__ = ("name", "quoted")

    def __init__(self, name: str, quoted: str) -> None:
        self.name: Final = name
        self.quoted: Final = quoted

    @property
    def kind(self) -> str:
        return "*sqlparser.ColName"


@final
class Text(Node):
    """A quoted string, escapes undone."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value: Final = value

    @property
    def kind(self) -> str:
        return "*sqlparser.SQLVal"


@final
class Number(Node):
    """A literal that is not a string; `digits` as written, with its sign. It need not be a number we know."""

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        self.digits: Final = digits

    @property
    def kind(self) -> str:
        return "*sqlparser.SQLVal"


@final
class Bool(Node):
    """`true` or `false`."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value: Final = value

    @property
    def kind(self) -> str:
        return "sqlparser.BoolVal"


@final
class Tuple(Node):
    """A list in parentheses: the right side of IN, or two values and more anywhere else."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Node, ...]) -> None:
        self.items: Final = items

    @property
    def kind(self) -> str:
        return "sqlparser.ValTuple"


@final
class Foreign(Node):
    """Something that SQL has and list filters do not (functions, arithmetic, subqueries): only its name is kept."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: Final = name

    @property
    def kind(self) -> str:
        return self.name


@final
class Query:
    """A parsed filter. `where` is None for an empty one; `group_by` is the name as written, None without the clause."""

    __slots__ = ("group_by", "where")

    def __init__(self, where: Node | None, group_by: str | None) -> None:
        self.where: Final = where
        self.group_by: Final = group_by


def quoted(text: str) -> str:
    """A text as a literal of the grammar."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
