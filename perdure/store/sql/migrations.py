"""The schema as numbered migrations, per dialect (DESIGN 5: rows in insertion order, at most one short random index).

A migration, once released, is never edited: a new one is added. All that are missing run in one transaction with the
entry of their numbers. A database with a higher number than ours was made by a newer server and is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import final

from perdure.store.api import StoreError
from perdure.store.sql import sqlite_visibility
from perdure.visibility import schema
from perdure.visibility.predicates import Dialect


@final
class Migration:
    """One numbered step of the schema; its `steps` run in order: statements, or what no statement can do (SQLite)."""

    __slots__ = ("name", "number", "steps")

    def __init__(self, number: int, name: str, steps: tuple[str | Callable[[sqlite3.Connection], None], ...]) -> None:
        self.number = number
        self.name = name
        self.steps = steps


def missing(migrations: tuple[Migration, ...], applied: int, where: str) -> tuple[Migration, ...]:
    """The migrations after number `applied`. Raises `StoreError` when the database is newer than this server."""
    newest = migrations[-1].number
    if applied > newest:
        raise StoreError(
            f"{where} has schema version {applied}, made by a newer Perdure; this one knows versions up to {newest}"
        )
    return tuple(migration for migration in migrations if migration.number > applied)


SQLITE = (
    Migration(
        1,
        "rows of chains, runs and histories",
        (
            # Slot and clock are columns because several owners may share a database of the other dialects; here they
            # are for symmetry.
            """CREATE TABLE chain (
                 id INTEGER PRIMARY KEY, digest BLOB NOT NULL, slot INTEGER NOT NULL, version INTEGER NOT NULL,
                 current_run_id BLOB NOT NULL, core BLOB NOT NULL) STRICT""",
            "CREATE UNIQUE INDEX chain_digest ON chain (digest)",
            """CREATE TABLE run (
                 id INTEGER PRIMARY KEY, run_id BLOB NOT NULL, digest BLOB NOT NULL, slot INTEGER NOT NULL,
                 clock INTEGER NOT NULL, version INTEGER NOT NULL, alarm_ns INTEGER, core BLOB NOT NULL) STRICT""",
            "CREATE UNIQUE INDEX run_id ON run (run_id)",
            "CREATE INDEX run_alarm ON run (clock, alarm_ns, slot) WHERE alarm_ns IS NOT NULL",
            """CREATE TABLE part (
                 run_id BLOB NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL,
                 PRIMARY KEY (run_id, kind, key)) STRICT, WITHOUT ROWID""",
            """CREATE TABLE fragment (
                 id INTEGER PRIMARY KEY, branch_id BLOB NOT NULL, first_event_id INTEGER NOT NULL,
                 next_event_id INTEGER NOT NULL, body BLOB NOT NULL) STRICT""",
            "CREATE UNIQUE INDEX fragment_place ON fragment (branch_id, first_event_id)",
            """CREATE TABLE record (
                 tab TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,
                 PRIMARY KEY (tab, key)) STRICT, WITHOUT ROWID""",
            """CREATE TABLE ownership (
                 first_slot INTEGER NOT NULL PRIMARY KEY, last_slot INTEGER NOT NULL, epoch INTEGER NOT NULL) STRICT""",
        ),
    ),
    Migration(2, "visibility", schema.first(Dialect.SQLITE)),
    Migration(3, "kinds of visibility records", schema.kinds(Dialect.SQLITE)),
    Migration(4, "counters of visibility records", schema.counters(Dialect.SQLITE)),
    Migration(5, "an index of every attribute", (*schema.entries(), sqlite_visibility.fill, *schema.entries_filled())),
)

POSTGRESQL = (
    Migration(
        1,
        "rows of chains, runs and histories",
        (
            # A heap keeps insertion order. Free room on the pages lets an update that moves no alarm stay in its
            # page and touch no index; cores are small or already dense, so they are not compressed.
            """CREATE TABLE chain (
                 digest bytea PRIMARY KEY, slot integer NOT NULL, version bigint NOT NULL,
                 current_run_id bytea NOT NULL, core bytea NOT NULL) WITH (fillfactor = 80)""",
            """CREATE TABLE run (
                 run_id bytea PRIMARY KEY, digest bytea NOT NULL, slot integer NOT NULL, clock integer NOT NULL,
                 version bigint NOT NULL, alarm_ns bigint, core bytea NOT NULL) WITH (fillfactor = 50)""",
            "ALTER TABLE chain ALTER COLUMN core SET STORAGE EXTERNAL",
            "ALTER TABLE run ALTER COLUMN core SET STORAGE EXTERNAL",
            "CREATE INDEX run_alarm ON run (clock, alarm_ns, slot) WHERE alarm_ns IS NOT NULL",
            """CREATE TABLE part (
                 run_id bytea NOT NULL, kind smallint NOT NULL, key bytea NOT NULL, body bytea NOT NULL,
                 PRIMARY KEY (run_id, kind, key)) WITH (fillfactor = 80)""",
            """CREATE TABLE fragment (
                 branch_id bytea NOT NULL, first_event_id bigint NOT NULL, next_event_id bigint NOT NULL,
                 body bytea NOT NULL, PRIMARY KEY (branch_id, first_event_id))""",
            """CREATE TABLE record (
                 tab text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, version bigint NOT NULL,
                 body bytea NOT NULL, PRIMARY KEY (tab, key))""",
            """CREATE TABLE ownership (
                 first_slot integer PRIMARY KEY, last_slot integer NOT NULL, epoch bigint NOT NULL)""",
        ),
    ),
    Migration(2, "visibility", schema.first(Dialect.POSTGRESQL)),
    Migration(3, "kinds of visibility records", schema.kinds(Dialect.POSTGRESQL)),
    Migration(4, "counters of visibility records", schema.counters(Dialect.POSTGRESQL)),
)
