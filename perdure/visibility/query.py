"""Parses a list filter (semantics 15.3) into `syntax` nodes: the grammar alone, no names and no types.

Temporal hands a filter to a whole SQL parser and then refuses most of what that accepts. So that its answers come out
here word for word, this recursive descent covers the same SQL expressions, but keeps of what filters cannot say only
its name. Time is linear in the text, depth is bounded by `NESTING_MAX` and `CHAIN_MAX`, size by `QUERY_BYTES_MAX`.
Pure and compilable; it must never learn what an attribute is (that is `resolve.py`).
"""

from __future__ import annotations

from typing import Final, final

from perdure.errors import InvalidArgument
from perdure.visibility import lexer, syntax
from perdure.visibility.lexer import Lexer

QUERY_BYTES_MAX: Final = 32 * 1024
"""Bytes of a filter; also keeps the values of one statement below what databases bind (32,767)."""
NESTING_MAX: Final = 100
"""Parentheses, NOTs and signs inside each other (Temporal: 199, which is too many frames for an interpreted caller)."""
CHAIN_MAX: Final = 996
"""Conditions in a row of ANDs or ORs."""

_SELECT_BYTES: Final = len("select * from table1 ")
_WHERE_BYTES: Final = len("where ")
_COMPARE: Final = frozenset({"=", "<", ">", "<=", ">=", "!=", "<=>"})
_BINARY: Final = {
    "|": 1,
    "&": 2,
    "<<": 3,
    ">>": 3,
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "div": 5,
    "mod": 5,
    "^": 6,
}
_SIGN: Final = 7
_COLLATE: Final = 8
_FUNCTION_WORDS: Final = {
    "left": "*sqlparser.FuncExpr",
    "right": "*sqlparser.FuncExpr",
    "if": "*sqlparser.FuncExpr",
    "database": "*sqlparser.FuncExpr",
    "mod": "*sqlparser.FuncExpr",
    "replace": "*sqlparser.FuncExpr",
    "convert": "*sqlparser.ConvertExpr",
    "cast": "*sqlparser.ConvertExpr",
    "substr": "*sqlparser.SubstrExpr",
    "substring": "*sqlparser.SubstrExpr",
    "match": "*sqlparser.MatchExpr",
    "group_concat": "*sqlparser.GroupConcatExpr",
    "values": "*sqlparser.ValuesFuncExpr",
}
_CLOCK_WORDS: Final = frozenset(
    {
        "current_timestamp",
        "utc_timestamp",
        "utc_time",
        "utc_date",
        "localtime",
        "localtimestamp",
        "current_date",
        "current_time",
    }
)
_SUFFIXES: Final = frozenset({"null", "true", "false"})
_GROUP_BY_ONE: Final = "'GROUP BY' clause supports only a single field"


@final
class MalformedQuery(InvalidArgument):
    """The text is not SQL; `detail` is what the parser says, for those who introduce it in other words."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"invalid query: malformed SQL query: {detail}")
        self.detail = detail


def malformed(detail: str) -> InvalidArgument:
    """The text is not SQL."""
    return MalformedQuery(detail)


def not_supported(detail: str) -> InvalidArgument:
    """The text is SQL, but filters cannot do that."""
    return InvalidArgument(f"invalid query: operation is not supported: {detail}")


def invalid_expression(detail: str) -> InvalidArgument:
    """The text is a filter whose parts do not fit together."""
    return InvalidArgument(f"invalid query: invalid expression: {detail}")


def parse(text: str) -> syntax.Query:
    """Parse a filter; blanks at the ends do not count.

    Raises InvalidArgument with Temporal's texts for malformed SQL and for clauses that filters do not have; a GROUP BY
    clause is only looked at so far as to name one column.
    """
    stripped = text.strip()
    if len(stripped) > QUERY_BYTES_MAX or len(stripped.encode("utf-8", "replace")) > QUERY_BYTES_MAX:
        raise malformed(f"query is longer than {QUERY_BYTES_MAX} bytes")
    return _Parser(stripped).query()


@final
class _Parser:
    __slots__ = ("_at", "_nesting", "_prefix")

    def __init__(self, text: str) -> None:
        bare = text[:8].lower() in ("order by", "group by")
        self._prefix: Final = _SELECT_BYTES if bare or not text else _SELECT_BYTES + _WHERE_BYTES
        self._at: Final = Lexer(text)
        self._nesting = 0

    def query(self) -> syntax.Query:
        where = self._expression(0) if self._prefix > _SELECT_BYTES else None
        groups: list[syntax.Node] = []
        refused = ""
        if self._take_word("group"):
            self._need_word("by")
            groups.append(self._expression(0))
            while self._take_mark(","):
                groups.append(self._expression(0))
        if self._take_word("having"):
            self._expression(0)
            refused = "HAVING"
        if self._at.is_word("union"):
            raise not_supported("'UNION' clause")
        refused = self._order_by() or self._limit() or refused or self._lock()
        if self._at.is_mark(";"):
            self._at.advance()
        if self._at.kind != lexer.EOF:
            raise self._error()
        if refused:
            raise not_supported(f"'{refused}' clause")
        return syntax.Query(where, self._group_by(groups))

    def _group_by(self, groups: list[syntax.Node]) -> str | None:
        if not groups:
            return None
        if len(groups) > 1:
            raise not_supported(_GROUP_BY_ONE)
        column = groups[0]
        if not isinstance(column, syntax.Column):
            raise invalid_expression(f"must be a column name but was {column.kind}")
        return column.name

    def _order_by(self) -> str:
        if not self._take_word("order"):
            return ""
        self._need_word("by")
        while True:
            self._expression(0)
            if not self._take_word("asc"):
                self._take_word("desc")
            if not self._take_mark(","):
                break
        self._limit()
        self._lock()
        return "ORDER BY"

    def _limit(self) -> str:
        if not self._take_word("limit"):
            return ""
        self._expression(0)
        if self._take_mark(",") or (self._at.kind == lexer.NAME and self._at.value == "offset"):
            if self._at.kind == lexer.NAME and self._at.value == "offset":
                self._at.advance()
            self._expression(0)
        self._lock()
        return "LIMIT"

    def _lock(self) -> str:
        if self._take_word("for"):
            self._need_word("update")
            return "FOR UPDATE"
        if self._take_word("lock"):
            self._need_word("in")
            for name in ("share", "mode"):
                if self._at.kind != lexer.NAME or self._at.value != name:
                    raise self._error()
                self._at.advance()
            return "LOCK IN SHARE MODE"
        return ""

    # Tokens.

    def _error(self) -> InvalidArgument:
        return self._fail("syntax error")

    def _fail(self, what: str) -> InvalidArgument:
        near = f" near '{lexer.as_text(self._at.near)}'" if self._at.near else ""
        return malformed(f"{what} at position {self._prefix + self._at.position()}{near}")

    def _take_word(self, word: str) -> bool:
        found = self._at.is_word(word)
        if found:
            self._at.advance()
        return found

    def _need_word(self, word: str) -> None:
        if not self._take_word(word):
            raise self._error()

    def _take_mark(self, mark: str) -> bool:
        found = self._at.is_mark(mark)
        if found:
            self._at.advance()
        return found

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise self._error()

    def _deeper(self) -> None:
        """Step over the token that opens a level."""
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise self._fail("max nesting level reached")
        self._at.advance()

    # Conditions. `floor` is the loosest operator that may join on: 0 and 1 OR, 2 AND, 3 neither.

    def _expression(self, floor: int, first: syntax.Node | None = None) -> syntax.Node:
        """An expression; `first` is a literal that it begins with and that has been read already."""
        left = self._condition(first)
        while self._at.kind == lexer.WORD:
            word = self._at.value
            if word == "is":
                left = self._is(left)
            elif word == "and" and floor <= 2:
                left = syntax.And(self._chain(left, word, 3))
            elif word == "or" and floor <= 1:
                left = syntax.Or(self._chain(left, word, 2))
            else:
                break
        return left

    def _chain(self, first: syntax.Node, word: str, floor: int) -> tuple[syntax.Node, ...]:
        parts = [first]
        while self._take_word(word):
            parts.append(self._expression(floor))
            if len(parts) > CHAIN_MAX:
                raise malformed("max ast depth reached")
        return tuple(parts)

    def _is(self, left: syntax.Node) -> syntax.Node:
        self._at.advance()
        negated = self._take_word("not")
        if self._at.kind != lexer.WORD or self._at.value not in _SUFFIXES:
            raise self._error()
        suffix = self._at.value
        self._at.advance()
        return syntax.Is(left, suffix, negated)

    def _condition(self, first: syntax.Node | None) -> syntax.Node:
        if first is None and self._at.kind == lexer.WORD:
            word = self._at.value
            if word == "not":
                self._deeper()
                inner = self._expression(3)
                self._nesting -= 1
                return syntax.Not(inner)
            if word in ("exists", "default"):
                return self._exists_or_default()
        left = self._value(0, first)
        if self._at.kind == lexer.MARK:
            operator = self._at.value
            if operator not in _COMPARE:
                return left
            self._at.advance()
            return syntax.Comparison(left, operator, self._value(0))
        if self._at.kind != lexer.WORD:
            return left
        negated = self._take_word("not")
        word = self._at.value if self._at.kind == lexer.WORD else ""
        if word == "between":
            self._at.advance()
            low = self._value(0)
            self._need_word("and")
            return syntax.Between(left, low, self._value(0), negated)
        if word in ("in", "like", "regexp", "starts_with"):
            self._at.advance()
            right = self._in_list() if word == "in" else self._value(0)
            if word == "like" and self._take_word("escape"):
                self._value(0)
            return syntax.Comparison(left, f"not {word}" if negated else word, right)
        if negated:
            raise self._error()
        return left

    def _exists_or_default(self) -> syntax.Node:
        if self._take_word("exists"):
            if not self._at.is_mark("("):
                raise self._error()
            self._skip_call()
            return syntax.Foreign("*sqlparser.ExistsExpr")
        self._at.advance()
        if self._take_mark("("):
            if self._at.kind != lexer.NAME:
                raise self._error()
            self._at.advance()
            self._need_mark(")")
        return syntax.Foreign("*sqlparser.Default")

    def _in_list(self) -> syntax.Node:
        if self._at.kind == lexer.LIST_ARG:
            self._at.advance()
            return syntax.Foreign("sqlparser.ListArg")
        if not self._at.is_mark("("):
            raise self._error()
        return self._tuple()

    # Values. `floor` is the loosest arithmetic operator that may join on.

    def _value(self, floor: int, first: syntax.Node | None = None) -> syntax.Node:
        if first is not None:
            left = first
        elif self._at.is_mark("("):
            left = self._tuple()
            if isinstance(left, syntax.Tuple) and len(left.items) == 1:
                left = syntax.Paren(left.items[0])
        elif self._is_sign():
            left = self._signed()
        else:
            left = self._primary()
        while self._at.kind == lexer.MARK or self._at.kind == lexer.WORD:
            operator = self._at.value
            if operator == "collate" and floor <= _COLLATE:
                self._at.advance()
                if self._at.kind not in (lexer.NAME, lexer.TEXT):
                    raise self._error()
                self._at.advance()
                left = syntax.Foreign("*sqlparser.CollateExpr")
                continue
            binds = _BINARY.get(operator, -1)
            if binds <= floor:
                break
            self._at.advance()
            self._value(binds)
            left = syntax.Foreign("*sqlparser.BinaryExpr")
        return left

    def _is_sign(self) -> bool:
        value = self._at.value
        if self._at.kind == lexer.MARK:
            return value in ("+", "-", "~", "!")
        return self._at.kind == lexer.WORD and value in ("binary", "_binary", "interval")

    def _signed(self) -> syntax.Node:
        sign = self._at.value
        self._deeper()
        operand = self._value(0 if sign == "interval" else _SIGN)
        self._nesting -= 1
        if sign == "interval":
            if self._at.kind != lexer.NAME:
                raise self._error()
            self._at.advance()
            return syntax.Foreign("*sqlparser.IntervalExpr")
        if sign in ("+", "-") and isinstance(operand, syntax.Number) and operand.digits[:1] in "-.0123456789":
            if sign == "+":
                return operand
            negative = operand.digits.startswith("-")
            return syntax.Number(operand.digits[1:] if negative else "-" + operand.digits)
        return syntax.Foreign("*sqlparser.UnaryExpr")

    def _tuple(self) -> syntax.Node:
        """What stands in parentheses here: a list of one and more, or a subquery."""
        self._deeper()
        if self._at.is_word("select"):
            self._skip_rest(1)
            self._nesting -= 1
            return syntax.Foreign("*sqlparser.Subquery")
        items: list[syntax.Node] = []
        while True:
            # Long lists are lists of literals: those need not go through every level of the grammar.
            first = self._literal()
            plain = first is not None and self._at.kind == lexer.MARK and self._at.value in (",", ")")
            items.append(first if plain and first is not None else self._expression(0, first))
            if not self._take_mark(","):
                break
        self._need_mark(")")
        self._nesting -= 1
        return syntax.Tuple(tuple(items))

    def _literal(self) -> syntax.Node | None:
        """The string or number that stands here, if one does."""
        value = self._at.value
        if self._at.kind == lexer.TEXT:
            self._at.advance()
            return syntax.Text(lexer.as_text(value))
        if self._at.kind == lexer.NUMBER:
            self._at.advance()
            return syntax.Number(value)
        return None

    def _primary(self) -> syntax.Node:
        at = self._at
        kind = at.kind
        value = at.value
        literal = self._literal()
        if literal is not None:
            return literal
        if kind == lexer.NAME:
            return self._column()
        if kind != lexer.WORD:
            raise self._error()
        if value in ("true", "false"):
            at.advance()
            return syntax.Bool(value == "true")
        if value == "null":
            at.advance()
            return syntax.Foreign("*sqlparser.NullVal")
        if value == "case":
            self._skip_case()
            return syntax.Foreign("*sqlparser.CaseExpr")
        if value in _CLOCK_WORDS:
            at.advance()
            if at.is_mark("("):
                self._skip_call()
            return syntax.Foreign("*sqlparser.FuncExpr")
        if value not in _FUNCTION_WORDS:
            raise self._error()
        at.advance()
        self._skip_call()
        if value == "match":
            if at.kind != lexer.NAME or at.value != "against":
                raise self._error()
            at.advance()
            self._skip_call()
        return syntax.Foreign(_FUNCTION_WORDS[value])

    def _column(self) -> syntax.Node:
        parts = [self._at.value]
        self._at.advance()
        while len(parts) < 3 and self._take_mark("."):
            if self._at.kind not in (lexer.NAME, lexer.WORD):
                raise self._error()
            parts.append(self._at.value)
            self._at.advance()
        if len(parts) < 3 and self._at.is_mark("("):
            self._skip_call()
            return syntax.Foreign("*sqlparser.FuncExpr")
        if self._at.is_mark("->") or self._at.is_mark("->>"):
            self._at.advance()
            if self._at.kind not in (lexer.TEXT, lexer.NUMBER) and not self._at.is_word("null"):
                raise self._error()
            self._at.advance()
            return syntax.Foreign("*sqlparser.BinaryExpr")
        name = lexer.as_text(".".join(parts)).replace("`", "")
        return syntax.Column(name, ".".join(_quoted(lexer.as_text(part)) for part in parts))

    # Things that filters do not have: only where they end matters.

    def _skip_call(self) -> None:
        if not self._at.is_mark("("):
            raise self._error()
        self._at.advance()
        self._skip_rest(1)

    def _skip_rest(self, depth: int) -> None:
        """Step over everything up to the parenthesis that closes `depth` open ones, and over it."""
        while depth > 0:
            if self._at.kind in (lexer.EOF, lexer.BAD):
                raise self._error()
            if self._at.is_mark("("):
                depth += 1
            elif self._at.is_mark(")"):
                depth -= 1
            self._at.advance()

    def _skip_case(self) -> None:
        depth = 0
        while True:
            if self._at.kind in (lexer.EOF, lexer.BAD):
                raise self._error()
            if self._at.is_word("case"):
                depth += 1
            elif self._at.is_word("end"):
                depth -= 1
            self._at.advance()
            if depth == 0:
                return


def _quoted(name: str) -> str:
    """A part of a column's name as Temporal prints it: in backquotes when it could be misread."""
    odd = not name.replace("_", "a").replace("@", "a").isalnum() or not name.isascii() or name[:1].isdigit()
    lowered = name.lower()
    if odd or lowered in lexer.RESERVED or (lowered in lexer.LOWERED and lowered != "dual"):
        return "`" + name.replace("`", "``") + "`"
    return name
