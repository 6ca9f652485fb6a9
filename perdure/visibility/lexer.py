"""Cuts a list filter into tokens exactly where Temporal's SQL tokenizer does, so that error positions agree.

Positions in error texts count bytes of the SELECT statement that Temporal wraps around a filter; that is the only
reason the lexer works on bytes (held as latin-1 text, one character a byte). It judges no grammar. Pure, compilable.
"""

from __future__ import annotations

import re
from typing import Final, final

EOF: Final = "eof"
WORD: Final = "word"
"""A reserved word, lower case."""
NAME: Final = "name"
TEXT: Final = "text"
NUMBER: Final = "number"
"""A literal that is not a string: digits, hex and bit literals, bind variables."""
LIST_ARG: Final = "list_arg"
MARK: Final = "mark"
"""Punctuation."""
BAD: Final = "bad"

_RESERVED_WORDS: Final = """
_binary add all alter analyze and as asc auto_increment between binary boolean by case cast collate column
constraint convert create cross current_date current_time current_timestamp database databases default delete desc
describe distinct div drop else end escape exists explain extended false for force from full group group_concat
having if ignore in index inner insert interval into is join key left like limit localtime localtimestamp lock match
maxvalue mod natural next not null on or order outer processlist regexp rename replace right rlike schema select
separator set show sql_cache sql_no_cache starts_with straight_join stream substr substring table tables then to
true union unique update use using utc_date utc_time utc_timestamp values when where
"""
_LOWERED_WORDS: Final = """
accessible against asensitive before begin bigint bit blob bool both call cascade change char character charset
check comment commit committed condition continue current_user cursor date datetime day_hour day_microsecond
day_minute day_second dec decimal declare delayed deterministic distinctrow double dual duplicate each elseif
enclosed enum escaped exit expansion fetch float float4 float8 foreign fulltext generated geometry
geometrycollection get global grant high_priority hour_microsecond hour_minute hour_second infile inout insensitive
int int1 int2 int3 int4 int8 integer io_after_gtids isolation iterate json key_block_size keys kill language
last_insert_id leading leave less level linear lines linestring load long longblob longtext loop low_priority
master_bind mediumblob mediumint mediumtext middleint minute_microsecond minute_second mode modifies multilinestring
multipoint multipolygon names nchar no_write_to_binlog numeric offset only optimize optimizer_costs option
optionally out outfile partition point polygon precision primary procedure query range read read_write reads real
references release reorganize repair repeat repeatable require resignal restrict return revoke rollback schemas
second_microsecond sensitive serializable session share signal signed smallint spatial specific sql sql_big_result
sql_calc_found_rows sql_small_result sqlexception sqlstate sqlwarning ssl start starting status stored terminated
text than time timestamp tinyblob tinyint tinytext trailing transaction trigger truncate uncommitted undo unlock
unsigned usage varbinary varchar varcharacter variables varying view vindex vindexes virtual vitess_keyspaces
vitess_shards vitess_tablets vschema_tables while with write xor year year_month zerofill
"""

RESERVED: Final = frozenset(_RESERVED_WORDS.split())
"""Words that are never a column's name unless backquoted."""
LOWERED: Final = frozenset(_LOWERED_WORDS.split())
"""Words that may be a column's name but lose their case, because the tokenizer takes them for keywords."""

_BLANKS: Final = " \n\r\t"
_SHORT_MARKS: Final = ",()=;"
"""Marks that no longer one begins with."""
_WORD: Final = re.compile(r"[A-Za-z_@][A-Za-z_@0-9]*")
_SYSTEM_VARIABLE: Final = re.compile(r"@[A-Za-z_@0-9.'\"`]*")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?|\.[0-9]+(?:[eE][+-]?[0-9]*)?")
_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_BITS: Final = re.compile(r"[01]*")
_BIND: Final = re.compile(r"::?[A-Za-z_@][A-Za-z_@0-9.]*")
_PLAIN: Final = {"'": re.compile(r"[^'\\]*"), '"': re.compile(r'[^"\\]*')}
_NAME: Final = re.compile(r"(?:[^`]|``)*")
_MARKS: Final = re.compile(r"->>|->|<=>|<>|<<|<=|>=|>>|!=|&&|\|\||[=,;()+*%^~&|./\-<>!]")
_MARK_NAMES: Final = {"<>": "!=", "&&": "and", "||": "or"}
_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


def as_text(raw: str) -> str:
    """Turn one-character-a-byte text back into what the caller wrote."""
    return raw.encode("latin-1").decode("utf-8", "replace")


@final
class Lexer:
    """One token of look-ahead over a filter: `kind` and `value` are the current token, `advance` fetches the next.

    `near` is what Temporal quotes in a syntax error at this token (empty for punctuation and at the end).
    """

    __slots__ = ("_binds", "_offset", "_text", "kind", "near", "value")

    def __init__(self, text: str) -> None:
        self._text: Final = text.encode("utf-8", "replace").decode("latin-1")
        self._offset = 0
        self._binds = 0
        self.kind = EOF
        self.value = ""
        self.near = ""
        self.advance()

    def position(self) -> int:
        """Bytes read so far, counting the one character after the token that the tokenizer has looked at."""
        return self._offset + 1

    def is_mark(self, mark: str) -> bool:
        return self.kind == MARK and self.value == mark

    def is_word(self, word: str) -> bool:
        return self.kind == WORD and self.value == word

    def advance(self) -> None:
        """Read the next token; at the end, and only there, its kind is EOF."""
        text = self._text
        while True:
            offset = self._offset
            while offset < len(text) and text[offset] in _BLANKS:
                offset += 1
            self._offset = offset
            if offset >= len(text):
                self._set(EOF, "", "")
                return
            start = text[offset]
            if start in _SHORT_MARKS:
                self._offset = offset + 1
                self._set(MARK, start, "")
                return
            if start not in "#-/" or not self._skip_comment(start):
                self._scan(start)
                return

    def _skip_comment(self, start: str) -> bool:
        """Step over a comment, if a whole one begins here."""
        two = self._text[self._offset : self._offset + 2]
        if start == "#" or two == "--" or two == "//":
            end = self._text.find("\n", self._offset)
            self._offset = len(self._text) if end < 0 else end + 1
            return True
        if two != "/*":
            return False
        end = self._text.find("*/", self._offset + 2)
        if end < 0:
            return False
        self._offset = end + 2
        return True

    def _set(self, kind: str, value: str, near: str) -> None:
        self.kind = kind
        self.value = value
        self.near = near

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        """What `pattern` matches here, stepping over it, or None."""
        found = pattern.match(self._text, self._offset)
        if found is None:
            return None
        self._offset = found.end()
        return found.group()

    def _peek(self) -> str:
        """The next character, or nothing at the end."""
        return self._text[self._offset : self._offset + 1]

    def _scan(self, start: str) -> None:
        following = self._text[self._offset + 1 : self._offset + 2]
        if start in "xXbB" and following == "'":
            self._scan_quoted_number(start)
        elif start.isascii() and (start.isalpha() or start in "_@"):
            self._scan_word(following)
        elif (start.isdigit() and start.isascii()) or (start == "." and following.isdigit() and following.isascii()):
            self._scan_number()
        elif start in "'\"":
            self._scan_text(start)
        elif start == "`":
            self._scan_name()
        elif start == ":":
            self._scan_bind()
        elif start == "?":
            self._offset += 1
            self._binds += 1
            self._set(NUMBER, f":v{self._binds}", f":v{self._binds}")
        else:
            self._scan_mark(start)

    def _scan_mark(self, start: str) -> None:
        if self._text.startswith("/*", self._offset):
            rest = self._text[self._offset :]
            self._offset = len(self._text)
            self._set(BAD, rest, rest)
            return
        mark = self._take(_MARKS)
        if mark is None:
            self._offset += 1
            self._set(BAD, start, start)
            return
        name = _MARK_NAMES.get(mark, mark)
        self._set(WORD if name in ("and", "or") else MARK, name, "")

    def _scan_word(self, following: str) -> None:
        found = self._take(_SYSTEM_VARIABLE if self._peek() == "@" and following == "@" else _WORD)
        assert found is not None
        lowered = found.lower()
        if lowered in RESERVED:
            name = "regexp" if lowered == "rlike" else lowered
            self._set(WORD, name, lowered)
        elif lowered in LOWERED:
            self._set(NAME, lowered, lowered)
        else:
            self._set(NAME, found, found)

    def _scan_number(self) -> None:
        found = self._take(_NUMBER)
        assert found is not None
        after = self._peek()
        bad = after.isascii() and (after.isalpha() or after in ("_", "@"))
        self._set(BAD if bad else NUMBER, found, found)

    def _scan_quoted_number(self, start: str) -> None:
        self._offset += 2
        digits = self._take(_HEX if start in "xX" else _BITS)
        assert digits is not None
        if self._peek() != "'":
            self._set(BAD, digits, digits)
            return
        self._offset += 1
        odd = start in "xX" and len(digits) % 2 == 1
        self._set(BAD if odd else NUMBER, f"{start}'{digits}'", digits)

    def _scan_bind(self) -> None:
        found = self._take(_BIND)
        if found is None:
            self._offset += 2 if self._text.startswith("::", self._offset) else 1
            self._set(BAD, ":", ":")
            return
        self._set(LIST_ARG if found.startswith("::") else NUMBER, found, found)

    def _scan_name(self) -> None:
        self._offset += 1
        found = self._take(_NAME)
        assert found is not None
        name = found.replace("``", "`")
        closed = self._peek() == "`"
        if closed:
            self._offset += 1
        self._set(NAME if closed and name else BAD, name, name)

    def _scan_text(self, quote: str) -> None:
        """A string in either quote; the quote doubled or behind a backslash stands for itself."""
        pieces: list[str] = []
        plain = _PLAIN[quote]
        self._offset += 1
        while True:
            run = self._take(plain)
            if run:
                pieces.append(run)
            stop = self._text[self._offset : self._offset + 2]
            self._offset += len(stop)
            if stop == quote * 2:
                pieces.append(quote)
            elif stop[:1] == "\\" and len(stop) == 2:
                pieces.append(_ESCAPES.get(stop[1], stop[1]))
            else:
                closed = stop[:1] == quote
                if closed and len(stop) == 2:
                    self._offset -= 1
                value = "".join(pieces)
                self._set(TEXT if closed else BAD, value, value)
                return
