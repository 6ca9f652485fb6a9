"""The tables and indexes of visibility, as the steps in which they came to be, for each dialect.

Each step is the statements of one numbered migration of the stores (`store/sql/migrations.py`) and is never edited once
it has been released: a new one is added. Text only; nothing here talks to a database.
"""

from __future__ import annotations

from typing import Final

from perdure.visibility.predicates import Dialect

_TEXT: Final = 'text COLLATE "C"'
_FIRST: Final = (
    ("run_key", "BLOB", "bytea", "NOT NULL"),
    ("namespace_id", "TEXT", _TEXT, "NOT NULL"),
    ("close_key", "INTEGER", "bigint", "NOT NULL"),
    ("start_key", "INTEGER", "bigint", "NOT NULL"),
    ("status", "INTEGER", "bigint", "NOT NULL"),
    ("division", "TEXT", _TEXT, ""),
    ("workflow_type", "TEXT", _TEXT, "NOT NULL"),
    ("workflow_hash", "INTEGER", "bigint", "NOT NULL"),
    ("workflow_id", "TEXT", _TEXT, "NOT NULL"),
    ("run_id", "TEXT", _TEXT, "NOT NULL"),
    ("execution_time", "INTEGER", "bigint", "NOT NULL"),
    ("task_queue", "TEXT", _TEXT, "NOT NULL"),
    ("history_length", "INTEGER", "bigint", ""),
    ("history_size_bytes", "INTEGER", "bigint", ""),
    ("execution_duration", "INTEGER", "bigint", ""),
    ("state_transition_count", "INTEGER", "bigint", ""),
    ("parent_workflow_id", "TEXT", _TEXT, ""),
    ("parent_run_id", "TEXT", _TEXT, ""),
    ("root_workflow_id", "TEXT", _TEXT, ""),
    ("root_run_id", "TEXT", _TEXT, ""),
    ("version", "INTEGER", "bigint", "NOT NULL"),
    ("attributes", "TEXT", "jsonb", ""),
    ("memo", "BLOB", "bytea", "NOT NULL"),
    ("search_attributes", "BLOB", "bytea", "NOT NULL"),
)
_KIND: Final = ("kind", "INTEGER", "bigint", "NOT NULL DEFAULT 1")

_LIST: Final = ("list", "INTEGER", "", "NOT NULL DEFAULT 0")


def columns(dialect: Dialect) -> dict[str, str]:
    """The columns of `visibility` that are written, and their types; the last is the dialect's own."""
    sqlite = dialect is Dialect.SQLITE
    found = {name: one if sqlite else other for name, one, other, _ in (*_FIRST, _KIND)}
    own = found.pop("workflow_hash")
    return {**found, "list": _LIST[1]} if sqlite else {**found, "workflow_hash": own}


def _column(dialect: Dialect, column: tuple[str, str, str, str]) -> str:
    name, sqlite, postgresql, rule = column
    return f"{name} {sqlite if dialect is Dialect.SQLITE else postgresql} {rule}".rstrip()


def first(dialect: Dialect) -> tuple[str, ...]:
    """The table and its first indexes."""
    sqlite = dialect is Dialect.SQLITE
    identity = "id INTEGER PRIMARY KEY" if sqlite else "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    columns = [_column(dialect, column) for column in _FIRST]
    statements = [
        f"CREATE TABLE visibility ({', '.join([identity, *columns])})",
        "CREATE UNIQUE INDEX visibility_run ON visibility (run_key)",
        """CREATE INDEX visibility_page ON visibility
             (namespace_id, close_key, start_key, run_key, status, division, workflow_type)""",
        "CREATE INDEX visibility_workflow ON visibility (workflow_hash)",
    ]
    if not sqlite:
        statements.append(
            "CREATE INDEX visibility_attributes ON visibility USING gin (attributes jsonb_path_ops)"
            " WHERE attributes IS NOT NULL"
        )
    return tuple(statements)


def kinds(dialect: Dialect) -> tuple[str, ...]:
    """Entities of every kind in one table: lists walk one kind."""
    return (
        f"ALTER TABLE visibility ADD COLUMN {_column(dialect, _KIND)}",
        "DROP INDEX visibility_page",
        """CREATE INDEX visibility_page ON visibility
             (namespace_id, kind, close_key, start_key, run_key, status, division, workflow_type)""",
    )


def counters(dialect: Dialect) -> tuple[str, ...]:
    """How many records there are, filled from those that are there.

    A counter is the sum of its pieces; `division_key` is the division without NULL (`sql.division_key`).
    """
    sqlite = dialect is Dialect.SQLITE
    text, integer = ("TEXT", "INTEGER") if sqlite else (_TEXT, "bigint")
    return (
        f"""CREATE TABLE visibility_count (
             namespace_id {text} NOT NULL, kind {integer} NOT NULL, division_key {text} NOT NULL,
             workflow_type {text} NOT NULL, status {integer} NOT NULL, piece {integer} NOT NULL, division {text},
             n {integer} NOT NULL,
             PRIMARY KEY (namespace_id, kind, division_key, workflow_type, status, piece))
             {"STRICT, WITHOUT ROWID" if sqlite else "WITH (fillfactor = 50)"}""",
        """INSERT INTO visibility_count (namespace_id, kind, division_key, workflow_type, status, piece, division, n)
             SELECT namespace_id, kind, coalesce('=' || division, ''), workflow_type, status, 0, division, count(*)
             FROM visibility GROUP BY 1, 2, 3, 4, 5, 7""",
    )


def entries() -> tuple[str, ...]:
    """SQLite's index of its own (`perdure.visibility.entries`) in the place of the page index; filled by the store."""
    return (
        "DROP INDEX visibility_page",
        "DROP INDEX visibility_workflow",
        "ALTER TABLE visibility DROP COLUMN workflow_hash",
        f"ALTER TABLE visibility ADD COLUMN {_column(Dialect.SQLITE, _LIST)}",
        """CREATE TABLE visibility_entry (
             attribute INTEGER NOT NULL, value ANY NOT NULL, status INTEGER NOT NULL, close_key INTEGER NOT NULL,
             start_key INTEGER NOT NULL, run_key BLOB NOT NULL,
             PRIMARY KEY (attribute, value, status, close_key, start_key, run_key)) STRICT, WITHOUT ROWID""",
    )


def entries_filled() -> tuple[str, ...]:
    """What is made when every row has its list."""
    return (
        "CREATE INDEX visibility_workflow ON visibility (list, workflow_id)",
        "CREATE INDEX visibility_started ON visibility (list, start_key)",
    )


def schema(dialect: Dialect) -> list[str]:
    """All statements that make the tables as they are now, in order; they are not idempotent."""
    return [
        *first(dialect),
        *kinds(dialect),
        *counters(dialect),
        *((*entries(), *entries_filled()) if dialect is Dialect.SQLITE else ()),
    ]
