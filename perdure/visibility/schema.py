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

COLUMNS: Final = (*_FIRST, _KIND)
"""Of each column of `visibility` that is written: its name, its type in SQLite and in PostgreSQL, and its rule."""


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


def schema(dialect: Dialect) -> list[str]:
    """All statements that make the tables as they are now, in order; they are not idempotent."""
    return [*first(dialect), *kinds(dialect)]
