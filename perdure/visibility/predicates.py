"""Writes a typed filter as a SQL condition, for each dialect, every value as a bind parameter.

Search attributes live in one JSON object per row under `attributes.index_key`, as text, integers and lists of text
only (`stored_values`): a boolean is 0 or 1 and a double an integer that sorts like it, because databases neither agree
on JSON numbers nor round them alike. What a leaf means is `evaluate.matches`; nothing here may differ from it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from enum import Enum
from typing import Final, final
from urllib.parse import quote

from perdure.visibility import conditions as c
from perdure.visibility.attributes import (
    BOOL,
    DIVISION,
    DOUBLE,
    KEYWORD,
    TEXT,
    Value,
    index_key,
)
from perdure.visibility.conditions import Condition
from perdure.visibility.record import OPEN_CLOSE_KEY, run_key

_INT64_MAX: Final = 2**63 - 1
_NEVER: Final = "1 = 0"
_ALWAYS: Final = "1 = 1"
_COLUMNS: Final = {
    "WorkflowId": "workflow_id",
    "RunId": "run_id",
    "WorkflowType": "workflow_type",
    "ExecutionTime": "execution_time",
    "ExecutionStatus": "status",
    "TaskQueue": "task_queue",
    "HistoryLength": "history_length",
    "ExecutionDuration": "execution_duration",
    "StateTransitionCount": "state_transition_count",
    "HistorySizeBytes": "history_size_bytes",
    "ParentWorkflowId": "parent_workflow_id",
    "ParentRunId": "parent_run_id",
    "RootWorkflowId": "root_workflow_id",
    "RootRunId": "root_run_id",
    DIVISION: "division",
}
_FALLING: Final = {"StartTime": "start_key", "CloseTime": "close_key"}
"""Times that are stored negated, so that one ascending index gives the order of lists."""
_SEEKING: Final = {"WorkflowId": "workflow_hash", "RunId": "run_key"}
"""Ids that are found by a shorter column with an index; SQLite has one on whole workflow ids."""
_SQL_OPERATORS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MIRRORED: Final = {"=": "=", "!=": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Dialect(Enum):
    """The SQL databases there are; everything that differs between them is asked of this."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"

    def placeholder(self, number: int) -> str:
        """The bind parameter of that number, from 1."""
        return f"?{number}" if self is Dialect.SQLITE else f"${number}"


def stored_key(name: str, kind: int) -> str:
    """The JSON key of an attribute: never a character that a JSON path would have to escape."""
    return quote(index_key(name, kind), safe="")


def stored_values(values: dict[str, Value]) -> str | None:
    """The JSON of a record's `values()`, None for no values."""
    if not values:
        return None
    found = {quote(name, safe=""): _stored(value) for name, value in values.items()}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _stored(value: Value) -> str | int | list[str]:
    if isinstance(value, float):
        return _double_key(value)
    return int(value) if isinstance(value, bool) else value


def _double_key(value: float) -> int:
    """An int64 that sorts as the double does."""
    bits: int = struct.unpack(">q", struct.pack(">d", value + 0.0))[0]
    return bits if bits >= 0 else bits ^ _INT64_MAX


def workflow_hash(workflow_id: str) -> int:
    """A short stand-in for a workflow id, so that its index stays small; an int64."""
    digest = hashlib.blake2b(workflow_id.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def stored_scalar(attribute: c.Attribute, value: c.Scalar) -> str | int:
    """A value as the column or the JSON of its attribute holds it."""
    if attribute.system and attribute.name in _FALLING:
        return max(-_INT64_MAX, min(_INT64_MAX, -int(value)))
    if attribute.kind == DOUBLE:
        return _double_key(float(value))
    if attribute.kind == BOOL:
        return int(value)
    return value if isinstance(value, str) else int(value)


def after_prefix(prefix: str) -> str | None:
    """The least text above everything that begins with the prefix, None if there is no such text."""
    for end in range(len(prefix), 0, -1):
        last = ord(prefix[end - 1])
        if last < 0x10FFFF:
            return prefix[: end - 1] + chr(0xE000 if last == 0xD7FF else last + 1)
    return None


def _joined(parts: list[str], word: str) -> str:
    """The parts joined as a balanced tree: databases bound the depth of an expression, not its size."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(parts[:half], word)} {word} {_joined(parts[half:], word)})"


@final
class Writer:
    """Writes conditions of one statement, collecting its parameters in order.

    `keys` and `rest` are the prefixes of columns: status, order and run keys are in the index as well as in the row.
    """

    __slots__ = ("dialect", "keys", "parameters", "rest")

    def __init__(self, dialect: Dialect, keys: str = "", rest: str = "") -> None:
        self.dialect: Final = dialect
        self.keys: Final = keys
        self.rest: Final = rest
        self.parameters: Final[list[object]] = []

    def bind(self, value: object) -> str:
        self.parameters.append(value)
        return self.dialect.placeholder(len(self.parameters))

    def condition(self, node: Condition) -> str:
        """SQL that is true exactly where the filter holds; otherwise it is false or NULL."""
        if isinstance(node, c.And):
            return _joined([self.condition(part) for part in node.parts], "AND") if node.parts else _ALWAYS
        if isinstance(node, c.Or):
            return _joined([self.condition(part) for part in node.parts], "OR") if node.parts else _NEVER
        if isinstance(node, c.Compare):
            return self._compare(node)
        if isinstance(node, c.In):
            return self._in(node)
        if isinstance(node, c.IsNull):
            return self._is_null(node)
        if isinstance(node, c.StartsWith):
            return self._starts_with(node)
        if isinstance(node, c.Contains):
            return self._contains(node)
        assert isinstance(node, c.Mentions), type(node)
        return self._mentions(node)

    def _operand(self, attribute: c.Attribute) -> str:
        """The column or JSON value of an attribute; binds a parameter, so call it where it is written."""
        column = _FALLING.get(attribute.name) if attribute.system else None
        if column is not None:
            return self.keys + column
        if attribute.system or attribute.name == DIVISION:
            name = _COLUMNS[attribute.name]
            return (self.keys if name == "status" else self.rest) + name
        key = stored_key(attribute.name, attribute.kind)
        if self.dialect is Dialect.SQLITE:
            return f"json_extract({self.rest}attributes, {self.bind(_path(key))})"
        text = f"(attributes ->> {self.bind(key)}::text)"
        return f'{text} COLLATE "C"' if attribute.kind in (KEYWORD, TEXT) else f"{text}::bigint"

    def _in_json(self, attribute: c.Attribute) -> bool:
        return not attribute.system and attribute.name != DIVISION

    def _holding(self, attribute: c.Attribute, value: object) -> str:
        """PostgreSQL: the row's JSON has this value, in a form that its index answers."""
        document = json.dumps({stored_key(attribute.name, attribute.kind): value}, ensure_ascii=False)
        return f"attributes @> {self.bind(document)}::jsonb"

    def _when_closed(self, attribute: c.Attribute, text: str) -> str:
        """Guard a comparison of close times against the value that stands for none."""
        if attribute.system and attribute.name == "CloseTime":
            return f"({text} AND {self.keys}close_key <> {self.bind(OPEN_CLOSE_KEY)})"
        return text

    def _compare(self, node: c.Compare) -> str:
        attribute = node.attribute
        value = stored_scalar(attribute, node.value)
        if node.operator == "=" and self.dialect is Dialect.POSTGRESQL and self._in_json(attribute):
            return self._holding(attribute, value)
        if node.operator == "=" and attribute.system and attribute.name in _SEEKING:
            return self._in(c.In(attribute, (node.value,), False))
        operators = _MIRRORED if attribute.system and attribute.name in _FALLING else _SQL_OPERATORS
        text = f"{self._operand(attribute)} {operators[node.operator]} {self.bind(value)}"
        return self._when_closed(attribute, text)

    def _in(self, node: c.In) -> str:
        attribute = node.attribute
        values = [stored_scalar(attribute, value) for value in node.values]
        if not values:
            return self._is_null(c.IsNull(attribute, True)) if node.negated else _NEVER
        if not node.negated and self.dialect is Dialect.POSTGRESQL and self._in_json(attribute):
            return _joined([self._holding(attribute, value) for value in values], "OR")
        seek = ""
        hashed = self.dialect is Dialect.POSTGRESQL or attribute.name == "RunId"
        if not node.negated and attribute.system and attribute.name in _SEEKING and hashed:
            shorten = workflow_hash if attribute.name == "WorkflowId" else run_key
            listed = ", ".join([self.bind(shorten(str(value))) for value in values])
            seek = f"{self.rest}{_SEEKING[attribute.name]} IN ({listed}) AND "
        operand = self._operand(attribute)
        listed = ", ".join([self.bind(value) for value in values])
        word = "NOT IN" if node.negated else "IN"
        return self._when_closed(attribute, f"({seek}{operand} {word} ({listed}))")

    def _is_null(self, node: c.IsNull) -> str:
        attribute = node.attribute
        if attribute.system and attribute.name == "CloseTime":
            return f"{self.keys}close_key {'<>' if node.negated else '='} {self.bind(OPEN_CLOSE_KEY)}"
        word = "IS NOT NULL" if node.negated else "IS NULL"
        if self._in_json(attribute) and self.dialect is Dialect.POSTGRESQL:
            return f"(attributes -> {self.bind(stored_key(attribute.name, attribute.kind))}::text) {word}"
        return f"{self._operand(attribute)} {word}"

    def _starts_with(self, node: c.StartsWith) -> str:
        above = after_prefix(node.prefix)
        first = f"{self._operand(node.attribute)} {'<' if node.negated else '>='} {self.bind(node.prefix)}"
        if above is None:
            return first
        second = f"{self._operand(node.attribute)} {'>=' if node.negated else '<'} {self.bind(above)}"
        return f"({first} {'OR' if node.negated else 'AND'} {second})"

    def _contains(self, node: c.Contains) -> str:
        attribute = node.attribute
        if self.dialect is Dialect.SQLITE:
            path = self.bind(_path(stored_key(attribute.name, attribute.kind)))
            listed = ", ".join([self.bind(value) for value in node.values])
            inner = f"SELECT 1 FROM json_each({self.rest}attributes, {path}) AS item WHERE item.value IN ({listed})"
            return f"{'NOT ' if node.negated else ''}EXISTS ({inner})"
        found = _joined([self._holding(attribute, [value]) for value in node.values], "OR")
        return f"({found}) IS NOT TRUE" if node.negated else found

    def _mentions(self, node: c.Mentions) -> str:
        if not node.phrases:
            return _ALWAYS if node.negated else _NEVER
        name = "instr" if self.dialect is Dialect.SQLITE else "strpos"
        cast = "" if self.dialect is Dialect.SQLITE else "::text"
        tests = [f"{name}({self._operand(node.attribute)}, {self.bind(phrase)}{cast}) > 0" for phrase in node.phrases]
        found = _joined(tests, "OR")
        return f"({found}) IS NOT TRUE" if node.negated else found


def _path(key: str) -> str:
    return f'$."{key}"'
