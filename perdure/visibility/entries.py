"""What SQLite's index of visibility holds of one record: narrow entries, each of which finds its records in list order.

An entry is (attribute, value, status, close key, start key, run key). The attribute is a hash of the list that a record
stands in (namespace, kind and division) and of the attribute's name, so registering an attribute changes no table,
there may be any number of them, and the entries of one attribute lie together in the order of its values. Every record
has an entry under the list itself, one under its type, and one for each value of its search attributes but texts; a
child has two more. Who reads rows by an entry checks them; only counts that stay in the index trust the 64 bits of the
hash.

Pure, and the same for a record to be written and for a stored row: what is removed must be what was put.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any, Final

from perdure.visibility.attributes import DIVISION, KEYWORD, TEXT, index_key

EVERY: Final = ""
"""The name under which every record of a list has an entry; its value is 0."""
TYPE: Final = "WorkflowType"
PARENT: Final = "ParentWorkflowId"
ROOT: Final = "RootWorkflowId"
"""Only records whose root has another workflow id have an entry: the others are found by their own id."""

VALUE_CHARS_MAX: Final = 64
"""How much of a text an entry holds; the row has all of it."""

REMEMBERED_CHARS_MAX: Final = 256
"""The longest attributes whose places are kept in memory, for the next row that has the same."""

_TEXTS: Final = str(TEXT)
_DIVISION_KEY: Final = index_key(DIVISION, KEYWORD)

EntryValue = str | int


def _int64(*parts: str) -> int:
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@lru_cache(4096)
def list_key(namespace_id: str, kind: int, division: str | None) -> int:
    """The list that a record stands in, as an int64."""
    return _int64(namespace_id, str(kind)) if division is None else _int64(namespace_id, str(kind), division)


@lru_cache(65_536)
def attribute_key(records: int, name: str) -> int:
    """An attribute of the records of a list: a system attribute's name, `predicates.stored_key` of any other."""
    return _int64(str(records), name)


def entry_value(value: EntryValue) -> EntryValue:
    """The value as an entry holds it."""
    return value[:VALUE_CHARS_MAX] if isinstance(value, str) else value


def is_whole(value: EntryValue) -> bool:
    """Whether an entry of the value holds all of it, so that an equal entry means an equal value."""
    return isinstance(value, int) or len(value) < VALUE_CHARS_MAX


Places = frozenset[tuple[int, EntryValue]]


def places(
    records: int, workflow_type: str, workflow_id: str, parent: str | None, root: str | None, attributes: str | None
) -> Places:
    """(attribute, value) of all entries of a row; `attributes` is its JSON column (`predicates.stored_values`)."""
    if root == workflow_id:
        root = None
    if parent or root or (attributes is not None and len(attributes) > REMEMBERED_CHARS_MAX):
        return _places(records, workflow_type, parent, root, attributes)
    return _remembered(records, workflow_type, None, None, attributes)


def _places(records: int, workflow_type: str, parent: str | None, root: str | None, attributes: str | None) -> Places:
    found: list[tuple[int, EntryValue]] = [
        (attribute_key(records, EVERY), 0),
        (attribute_key(records, TYPE), entry_value(workflow_type)),
    ]
    if parent:
        found.append((attribute_key(records, PARENT), entry_value(parent)))
    if root:
        found.append((attribute_key(records, ROOT), entry_value(root)))
    if attributes is not None:
        stored: dict[str, Any] = json.loads(attributes)
        for name, value in stored.items():
            if name[0] == _TEXTS or name == _DIVISION_KEY:
                continue
            attribute = attribute_key(records, name)
            values = value if isinstance(value, list) else (value,)
            found.extend([(attribute, entry_value(item)) for item in values])
    return frozenset(found)


_remembered = lru_cache(4096)(_places)
"""Rows of one type that share their attributes, or have none, have the same places."""
