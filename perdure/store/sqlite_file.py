"""Whether a file may become, or is, a store of ours; asked before anything in it is changed.

SQLite opens any database and takes any pragma, misspelt ones in silence. A wrong file name must not put our tables into
another program's data, and a wrong word must not turn the sync of commits off. It only reads.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Final

from perdure.store.api import StoreError

_PRAGMA: Final = re.compile(r"\w+=-?[\w.]+")
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "synchronous": frozenset({"off", "normal", "full", "extra", "0", "1", "2", "3"}),
    "journal_mode": frozenset({"delete", "truncate", "persist", "memory", "wal", "off"}),
}
"""Pragmas that decide about durability, and the only values that they may have."""
_OURS: Final = frozenset({"migration", "chain", "run"})
"""Tables that each version of our schema has."""
_ADVICE: Final = {
    sqlite3.SQLITE_NOTADB: "; give the server a file of its own",
    sqlite3.SQLITE_CORRUPT: "; keep it, and restore a backup (docs/operations.md)",
    sqlite3.SQLITE_CANTOPEN: "; is it a folder, or may the server not write there?",
    sqlite3.SQLITE_READONLY: "; the server must be able to write it",
    sqlite3.SQLITE_FULL: "; make room",
}


def advice(error: sqlite3.Error) -> str:
    """What to do about a file that cannot be opened; "" for what has no simple remedy."""
    return _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")


def check_pragmas(connection: sqlite3.Connection, pragmas: Mapping[str, str]) -> None:
    """Raises StoreError for what is no pragma, or no value of one that decides about durability."""
    known = {str(row[0]) for row in connection.execute("PRAGMA pragma_list")}
    for name, value in pragmas.items():
        if not _PRAGMA.fullmatch(f"{name}={value}") or name.lower() not in known:
            raise StoreError(f"not a pragma: {name}={value}")
        words = _WORDS.get(name.lower())
        if words is not None and value.lower() not in words:
            raise StoreError(f"pragma {name} has no value {value!r}: one of {', '.join(sorted(words))}")


def check_owner(connection: sqlite3.Connection, path: str) -> None:
    """Raises StoreError when the database holds tables, and not ours."""
    rows = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    tables = {str(row[0]) for row in rows}
    if tables and not tables >= _OURS:
        raise StoreError(
            f"{path} is the database of another program (it has a table {min(tables)!r}); "
            "give the server a file of its own"
        )
